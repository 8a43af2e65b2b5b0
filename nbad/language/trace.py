"""One run of a kernel on traced values: the graph that grows, calls of library functions, errors that name the kernel's line."""

import functools
import math
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np

from nbad import lines
from nbad.errors import TraceError
from nbad.graphs.failures import may_fail
from nbad.graphs.flags import Cause, Flag
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.kernels import KernelLike, Traced
from nbad.language import arrays, masks, meanings, refusals, vocabulary
from nbad.language.merging import Aliases, both
from nbad.language.refusals import advice, described
from nbad.language.values import (
    Perhaps,
    TracedCondition,
    TracedGuard,
    TracedReal,
    TracedWhole,
    Tracer,
    first_traced,
    plain_number,
)
from nbad.lines import Line
from nbad.operations.row import BOOL, REAL
from nbad.operations.table import TABLE
from nbad.rewriting.texts import computing_line
from nbad.rewriting.unseen import Unseen

MAX_PASSES = 10_000
_NUMERIC = (complex, np.complexfloating, np.ndarray, list, tuple)  # what NumPy's numbers compute with
_QUANTIFIERS = ("numpy.any", "numpy.all")
LARGEST_INTEGER_POWER = 65536  # beyond it Numba calls `pow`, and the bits are to be the same


# what these make of whole numbers is whole; it may be -0 if some of the operands may, or in any case
WHOLE: dict[str, Callable[..., bool]] = {
    "abs": lambda x: False,
    "add": lambda x, y: x and y,
    **dict.fromkeys(("powi", "sub"), lambda x, *others: x),
    "select": lambda condition, x, y: x or y,
    **dict.fromkeys(("pymax", "pymin"), lambda x, y: x or y),
    **dict.fromkeys(("floordiv", "mod", "mul", "neg"), lambda *operands: True),
}


class Trace:
    """One run of a kernel on traced values: a growing graph, and the errors that name the kernel.

    Attributes
    ----------
    flags : list of Flag
        What elements have no value by, or warn of, in the order of the trace. Whoever traces a part of a graph that is no part of
        this one, such as the body of a loop, takes the flags that were added meanwhile out of the list, and adds his own.
    path : callable
        The condition of the path that is run, traced or True; control flow puts it here.
    ends_operand : callable
        Whether an error ends the path of an operand of a choice that is being evaluated; control flow puts it here, too.
    guards : list
        Statements that may catch errors, whose bodies are being run.
    catches : callable
        Whether one of them catches an error of the elements on the path that is run for which a condition holds.
    note_faults : callable
        Tells them what an operation on operands may raise, which gave a result.
    opaque : int
        How often something was computed of which nobody knows what it may raise.
    of_numpy : set of int
        Nodes that may be numbers of NumPy's, of which a division raises nothing.
    has_texts : bool
        Whether the kernel has got texts of traced values, which are no `str`.
    """

    def __init__(self, name: str, inputs: Sequence[str], max_operations: int, max_passes: int = MAX_PASSES) -> None:
        self.name, self.max_passes = name, max_passes
        self.builder = GraphBuilder(name, inputs)
        self.max_operations = max_operations
        self.operations = 0  # less than nodes: inputs and constants are free
        self.applied = 0  # how often something was computed; nodes do not tell, for equal ones are one
        self.is_open = True
        self.unseen = Unseen()
        self.aliases = Aliases()
        self.refused: TraceError | None = None  # the first refusal: somebody may have caught it
        self.line = lines.running_line  # the tracer puts another one once the kernel has returned
        self.frame = lines.user_frame  # and here one that notes in which functions operations run
        self.flags: list[Flag] = []
        self.unset: dict[int, Cause] = {}  # by what stands for variables without a value
        self.ranges: dict[int, tuple[float, float]] = {}  # of nodes that count the passes of loops
        self.path: Callable[[], Any] = lambda: True
        self.guards: list[Any] = []
        self.opaque, self.of_numpy, self.has_texts = 0, set[int](), False
        self.catches: Callable[[Any, Exception], bool] = lambda condition, error: False
        self.note_faults: Callable[[str, tuple[Any, ...], Any], None] = lambda path, operands, result: None
        self.ends_operand: Callable[[TraceError], bool] = lambda error: False
        self.before_handled: Callable[[], None] = lambda: None  # likewise, for those who ask which error is handled
        self.quantified: Callable[..., Any]  # `any` or `all` of what an iterator gives; control flow puts it here
        self.before_write: Callable[[np.ndarray], None] = lambda array: None  # control flow puts another one: see `Flow.wrote`

    def value(self, node: int) -> Tracer:
        """The traced value of a node."""
        return (TracedCondition if self.builder.nodes[node].kind == BOOL else TracedReal)(self, node)

    def apply(self, op: str, operands: Sequence[Any], payload: int | None = None) -> Tracer:
        """The value of operation `op`: traced values and plain numbers go in, a traced value comes out."""
        self.applied += 1
        is_whole = op in WHOLE and all(map(is_whole_number, operands)) and (payload is None or payload >= 0)
        if not is_whole and TABLE[op].kind == REAL:
            operands = [self.real(value) if isinstance(value, TracedWhole) else value for value in operands]
        nodes = [self.node(value, kind) for value, kind in zip(operands, TABLE[op].operands, strict=True)]
        before = len(self.builder.nodes)
        node = self.builder.add(op, *nodes, payload=payload, source=lines.place(self.frame()))
        self._count(before)
        self._look_around(sys._getframe(1), TABLE[op].kind == BOOL)
        return TracedWhole(self, node, WHOLE[op](*map(_is_signed, operands))) if is_whole else self.value(node)

    def whole(self, op: str, x: Any) -> Tracer:
        """What `op` makes of a real number, as a whole number."""
        return TracedWhole(self, self.apply(op, (self.real(x),))._node, is_signed=True)

    def power(self, base: Any, exponent: Any) -> Tracer:
        """`base ** exponent`; an integer exponent is repeated multiplication."""
        is_plain = not isinstance(exponent, Tracer) and isinstance(exponent, int | np.integer)
        if not is_plain or abs(int(exponent)) > LARGEST_INTEGER_POWER:
            return self.apply("pow", (base, exponent))
        if exponent == 0:
            one = self.builder.constant(1.0)
            return TracedWhole(self, one, is_signed=False) if is_whole_number(base) else self.value(one)
        if exponent != 1:
            return self.apply("powi", (base,), int(exponent))
        return +base if is_whole_number(base) else self.real(base)

    def logic(self, op: str, *operands: Any) -> Tracer:
        """`&`, `|` or `~`, which take conditions only."""
        if not all(map(self.is_condition, operands)):
            fix = "(x > 0) & (y > 0)  # comparisons in parentheses; `a and b` of flags"
            raise self.refusal("uses `&`, `|`, `^` or `~` on a number", fix)
        return self.apply(op, operands)

    def exclusive(self, x: Any, y: Any) -> Tracer:
        """`x ^ y` on conditions."""
        return self.logic("or", self.logic("and", x, self.logic("not", y)), self.logic("and", self.logic("not", x), y))

    def is_condition(self, value: Any) -> bool:
        """Whether the value is a condition, traced or plain."""
        return isinstance(value, (TracedCondition, bool, np.bool_))

    def real(self, value: Any) -> Tracer:
        """A traced real number; a condition counts 1 or 0, and a whole number has no -0."""
        value = arrays.bare(value)
        if isinstance(value, TracedWhole):
            plain = self.value(self._own(value)._node)
            return self.apply("add", (plain, 0.0)) if value.is_signed else plain
        return self.value(self.node(value, REAL))

    def condition(self, value: Any) -> Tracer:
        """A traced condition; a number holds where it is not zero, and None does not."""
        if type(value) is Perhaps:
            return self.logic("and", self.logic("not", self.condition(value.none)), self.condition(value.number))
        return self.value(self.node(value, BOOL))

    def node(self, value: Any, kind: str) -> int:
        """The node of an operand: a traced value of this trace, or a plain number."""
        value = arrays.bare(value)
        if isinstance(value, Tracer):
            return self._own(value)._node if value.kind == kind else self._converted(value, kind)
        if type(value) is Perhaps:
            return self.node(value.use(), kind)
        plain = self._plain(value)
        return self.builder.constant(bool(plain) if kind == BOOL else float(plain))

    def item(self, value: Any) -> Any:
        """An item of an array: a traced value, a float or a bool."""
        value = arrays.bare(value)
        if isinstance(value, Tracer):
            return value
        if type(value) is Perhaps:
            return self.item(value.use())
        plain = self._plain(value)
        return plain if isinstance(plain, bool) else np.float64(plain)

    def no_value(self, condition: Any, cause: Cause) -> None:
        """Elements on the path that is run have no value, or warn, where a condition holds; it may be True.

        Not so those for which somebody catches the error.
        """
        if self.guards and not cause.is_warning and self.catches(condition, cause.error):
            return
        self.flags.append(Flag(both(self, self.path(), condition), cause))

    def not_none(self, condition: Any) -> None:
        """Elements on the path that is run have no value where a condition holds, by an operation on None."""
        frame = lines.user_frame()
        if frame is None or "__nbad__" not in frame.f_globals:  # it may have asked for None, which nobody noticed
            raise self.refusal_of("perhaps")
        self.no_value(condition, Cause.here(TypeError("an operation on None")))

    def nothing(self) -> Tracer:
        """What stands for a value where there is none: nobody uses it."""
        return self.value(self.builder.constant(math.nan))

    @property
    def is_flagged(self) -> bool:
        """Whether there are elements without a value."""
        return any(not cause.is_warning for _, cause in self.flags)

    def constant(self, value: Any) -> Any:
        """What arithmetic makes of plain numbers in arrays without axes: a number that may be written to; all else as it is."""
        return self.real(value) if isinstance(value, float) else value

    def unwritten(self, value: Any) -> Any:
        """A number or an array, which must not have been written to under another name."""
        if self.aliases.is_stale(value):
            what = "uses a number after its array was written to under another name"
            raise self.refusal(what, "y = np.array(y)  # where it is made: then all names see what is written")
        return value

    def clone(self, value: Tracer) -> Tracer:
        """A traced value under a name of its own: for NumPy a copy."""
        node = self._own(value)._node
        return TracedWhole(self, node, value.is_signed) if isinstance(value, TracedWhole) else self.value(node)

    def mask(self, index: Any, of_number: bool) -> np.ndarray | None:
        """The conditions of an index that is a mask; None for all others."""
        return masks.as_mask(self, index, of_number)

    def picked(self, array: Any, mask: np.ndarray) -> masks.Masked:
        """The items of an array where conditions hold."""
        return masks.picked(self, array, mask)

    def write(self, array: Any, mask: np.ndarray, value: Any) -> None:
        """Write to the items of an array where conditions hold."""
        masks.write(self, array, mask, value)

    def is_whole(self, value: Any) -> bool:
        """Whether this is a traced whole number, or a plain one."""
        return is_whole_number(value)

    def is_traced(self, value: Any) -> bool:
        """Whether this is a traced value itself."""
        return isinstance(value, Tracer)

    def holds_traced(self, value: Any) -> bool:
        """Whether a value, or a container or array, holds a traced value."""
        return first_traced((value,)) is not None

    def call(self, function: Any, args: tuple[Any, ...], options: dict[str, Any], path: str | None = None) -> Any:
        """A library function on plain values, or what it means on traced ones."""
        args = tuple([value.use() if type(value) is Perhaps else value for value in args])
        function = np.nonzero if function is np.where and len(args) == 1 else function
        known, (args, options) = vocabulary.find(function), masks.in_place(function, args, options)
        is_single = known is not None and known.is_of_items
        if masks.holds_masked(args, options) and function is not np.place:
            return masks.called(self, known, lambda *given, **named: self.call(function, given, named, path), args, options)
        self._refuse_whole(path or (known.path if known else vocabulary.path_of(function)), args)
        if known is None or is_single:
            if (
                known
                and not options.keys().isdisjoint(("out", "where"))
                and meanings.holds((args, options), arrays.TracedArray | Tracer)
            ):
                return masks.into(self, function, args, options)
            is_of_cells = any(isinstance(value, arrays.TracedArray) and value.ndim == 0 for value in args)
            args, options = tuple(map(arrays.bare, args)), {name: arrays.bare(value) for name, value in options.items()}
            if is_of_cells and first_traced((args, options)) is None:
                return self.constant(meanings.call_plain(self, function, args, options))
        values = args, options
        if not meanings.acts_on_plain(known, values) and first_traced(values) is None:
            return meanings.call_plain(self, function, args, options)
        if known is None:
            raise vocabulary.unknown(self, path or vocabulary.path_of(function))
        result = meanings.call(self, known, args, options)
        if known.path in _QUANTIFIERS and type(args[0]) is type(result) is TracedCondition:
            result = TracedGuard(self, result._node)
        if isinstance(result, Tracer) and known.path.startswith(("numpy.", "scipy.")):
            self.of_numpy.add(result._node)
        if self.guards:
            self.note_faults(known.path, args, result)
        return result

    def _refuse_whole(self, path: str, args: tuple[Any, ...]) -> None:
        """Refuse functions of whole arrays on one traced number, which they would return as it is; a mask is a guard."""
        if path in _QUANTIFIERS and args and self.is_condition(arrays.bare(args[0])):
            return
        if path in refusals.WHOLE and args and self.is_traced(arrays.bare(args[0])):
            operands = [value.spelled() if isinstance(value, Tracer) else repr(value) for value in args]
            what, fix, expected = refusals.whole(path, operands)
            raise self.refusal(what, fix, expected=expected)

    def splice(self, kernel: KernelLike, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The results of another nbad kernel, whose graph is repeated in this one for every element of its arguments."""
        traced, operands, cores = kernel.bind_traced(args, kwargs)
        self.opaque += bool(may_fail(traced.graph))
        before = len(self.builder.nodes)
        self.applied += 1
        self.frame()
        name = getattr(kernel, "__name__", "kernel")
        repeat = functools.partial(self._repeat, traced, f"{name}.")
        results = meanings.each_element(self, name, operands, cores, traced.outputs, repeat)
        self._count(before)
        self._look_around(sys._getframe(1), is_condition=False)
        return traced.structure.build(results)

    def _repeat(self, traced: Traced, prefix: str, slots: list[Any]) -> list[Tracer]:
        """The outputs of a kernel, for the values of its input slots; its flags become flags here."""
        nodes, path = [self.real(value)._node for value in slots], self.path()
        active = None if path is True else self.node(path, BOOL)
        if traced.flags is not None:
            conditions = [self.value(k) for k in self.builder.splice(traced.flags.graph, nodes, active, prefix)]
            for condition, cause in traced.flags.spliced(conditions):
                self.no_value(condition, cause)
        return list(map(self.value, self.builder.splice(traced.graph, nodes, active, prefix)))

    def grown(self, grow: Callable[..., Any], *operands: Any) -> Any:
        """What `grow(builder, *operands)` makes of nodes, for the line that runs."""
        before, self.builder.source = len(self.builder.nodes), lines.place(self.frame())
        self.applied += 1
        found = grow(self.builder, *operands)
        self.builder.source = None
        self._count(before)
        self._look_around(sys._getframe(1), is_condition=False)
        return found

    def refusal(
        self, what: str, fix: str | None = None, *, line: Line | None = None, got: str | None = None, expected: str | None = None
    ) -> TraceError:
        """The error that says what this kernel does, where, and what to write instead."""
        where = line or self.line()
        error = TraceError(f"kernel `{self.name}` {what}:", source=where, got=got, expected=expected, fix=fix)
        self.refused = self.refused or error
        return error

    def refusal_of(self, case: str, *, line: Line | None = None, got: str | None = None, **words: Any) -> TraceError:
        """The same for a case of `refusals.FLOW`, in which these words are filled in."""
        what, fix = (text.format(**words) for text in refusals.FLOW[case])
        return self.refusal(what, fix, line=line, got=got)

    def note_text(self, frame: FrameType | None) -> None:
        """The text of a traced value, which is not that of a number, is asked for: it may be shown, but not computed with."""
        line = computing_line(frame) if self.is_open else None
        if line is not None:
            self.refusal_of("text", line=line)  # it counts: an error that is on its way needs the text

    def _look_around(self, frame: FrameType, is_condition: bool) -> None:
        """Refuse an operation that runs in code that may hide something from the trace."""
        fault = self.unseen.fault(frame, is_condition)
        if fault is None:
            return
        code = fault.frame.f_code
        line, got = lines.line_of(code, fault.frame.f_lineno), lines.obstacle(fault.frame)
        raise self.refusal_of(fault.case, line=line, got=got, name=code.co_name)

    def _plain(self, value: Any) -> bool | float:
        plain = plain_number(value)
        if plain is None:
            what = f"uses {described(value)} where a real number is needed"
            error = self.refusal(what, advice(value), expected="a traced value, a Python or NumPy number")
            error.is_pythons = not isinstance(value, _NUMERIC)
            if not self.ends_operand(error):
                raise error
            return math.nan
        return plain

    def _own(self, value: Tracer) -> Tracer:
        if value._trace is self and self.is_open:
            return self.unwritten(value)
        what = f"uses a traced value of kernel `{value._trace.name}` after or outside its trace"
        raise self.refusal(what, "pass it as an argument, or return it")

    def _converted(self, value: Tracer, kind: str) -> int:
        if type(value) is TracedGuard:
            what, fix, expected = refusals.whole("numpy.any", ["x"])
            raise self.refusal(what, fix, expected=expected)
        if kind == BOOL:
            return self.apply("ne", (value, 0.0))._node
        return self.apply("select", (value, 1.0, 0.0))._node

    def _count(self, before: int) -> None:
        for node in self.builder.nodes[before:]:
            self.operations += node.op not in ("input", "const")
        if self.operations > self.max_operations:
            what = f"has more than {self.max_operations} operations"
            fix = f"@nbad.kernel(max_operations={10 * self.max_operations})  # or shorter loops"
            raise self.refusal(what, fix, expected=f"{self.max_operations} at most")


def is_whole_number(value: Any) -> bool:
    """Whether a value is a whole number in Python; conditions are."""
    if isinstance(value, Tracer):
        return isinstance(value, TracedWhole | TracedCondition)
    return isinstance(value, (int, np.integer, np.bool_))


def _is_signed(value: Any) -> bool:
    return isinstance(value, TracedWhole) and value.is_signed
