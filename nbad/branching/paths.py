"""The path that is run, as a condition of the elements that take it; what ends it without a value, and who catches that."""

import operator
import re
import sys
import traceback
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from nbad import lines
from nbad.branching.branches import Loss
from nbad.branching.choices import Choice
from nbad.branching.faults import ERRORS, KEEPING, OPERATORS, RAISING, RULES, SILENT, cause_of, ends_path, was_raised
from nbad.branching.returns import Call
from nbad.containers.snapshots import Heap
from nbad.errors import TraceError
from nbad.language import refusals
from nbad.language.merging import both, opposite
from nbad.language.trace import Trace
from nbad.language.values import Tracer, first_traced
from nbad.rewriting.texts import TracedText

# where a text of `%` shows a value, by whatever format
_PLACES = re.compile(r"(?<!%)%(\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")


class Mark(NamedTuple):
    """How many branches, calls and guards are open, and the refusal that was noted last."""

    open: int
    calls: int
    guards: int
    refused: TraceError | None


class Floor(NamedTuple):
    """How much was open when the pass began that is run for all passes of a loop, and the condition of the pass."""

    open: int = 0
    calls: int = 0
    guards: int = 0
    asked: Any = True


class Paths:
    """Where a trace stands: the base of its control flow.

    Attributes
    ----------
    trace : Trace
    original : callable
        What a stand-in stands for; anything else itself.
    reached : callable
        What is to be called in place of a function that came out of a container, an object or a call.
    open : list
        Branches and choices whose arms are being run, outermost first.
    passes : list
        What was known where the passes began that are run for all passes of a loop, likewise.
    calls : list
        Calls that return from within branches, likewise.
    guards : list
        Statements that may catch errors, whose bodies are being run, likewise.
    lost : dict
        Why a variable has no value after a branch, by code object and name.
    """

    floor = Floor()  # what the path that is run is seen from

    def __init__(self, trace: Trace, original: Callable[[Any], Any], reached: Callable[[Any], Any]) -> None:
        self.trace, self.original, self.reached = trace, original, reached
        self.open: list[Any] = []
        self.calls: list[Call] = []
        self.passes: list[Heap] = []
        self.guards: list[Any] = []
        self.lost: dict[tuple[CodeType, str], Loss] = {}
        trace.path, trace.ends_operand = self._path, self._ends_operand
        trace.guards, trace.catches, trace.note_faults = self.guards, self._catches, self._note_faults

    def heaps(self) -> list[Heap]:
        """What was known where the passes, branches and calls began that this is within; none where it is for all elements."""
        calls = (call.heap for call in self.calls if call.merged_returns)
        return [*self.passes, *(fork.heap for fork in self.open if fork.is_traced), *calls]

    def unguard(self, guard: Any) -> None:
        """The body of such a statement ends."""
        if guard in self.guards:
            del self.guards[self.guards.index(guard) :]

    def mark(self) -> Mark:
        """Where the path that is run stands now."""
        return Mark(len(self.open), len(self.calls), len(self.guards), self.trace.refused)

    def reset(self, mark: Mark) -> None:
        """Forget the calls and guards that have been left since."""
        del self.calls[mark.calls :], self.guards[mark.guards :]

    def ends_path(self, mark: Mark, inside: int) -> bool:
        """Whether the error that is handled ends the path that is run, which has got this far since a mark; note it as a flag."""
        error = sys.exception()
        if error is None or not ends_path(error):
            return False
        if any(fork.is_traced for fork in self.open[mark.open + inside :]):
            raise self.trace.refusal_of("raise", line=lines.raising_line(error))
        if isinstance(error, Exception):
            self._flag(error)
        del self.open[mark.open + inside :]
        self.reset(mark)
        if self.trace.refused is error or not was_raised(self.trace.refused):  # of a text: it has been shown
            self.trace.refused = mark.refused
        return True

    def _flag(self, error: Exception) -> None:
        """All elements on the path that is run have no value, or go to a handler."""
        self.trace.no_value(True, cause_of(error))

    def _catcher(self, error: Exception) -> Any:
        """The innermost statement that catches an error; None where there is none."""
        return next((guard for guard in reversed(self.guards) if guard.catches(error)), None)

    def _catches(self, condition: Any, error: Exception) -> bool:
        """Whether a handler catches an error of the elements on the path that is run for which a condition holds."""
        guard = self._catcher(error)
        if guard is not None:
            guard.fault(condition, error)
        return guard is not None

    def _note_faults(self, path: str, operands: tuple[Any, ...], result: Any) -> None:
        """What Python raises for some operands of an operation, if a handler catches that."""
        rule = RULES.get(path)
        if rule is None:
            self.trace.opaque += not path.startswith(SILENT) or path in RAISING or self._lets_numpy_raise()
        elif path in OPERATORS and any(map(self._is_of_numpy, operands)):
            self.trace.opaque += any(map(self._catcher, OPERATORS[path]))
        elif any(map(self._catcher, ERRORS)):
            for condition, error in rule(self.trace, operands, result):
                guard = self._catcher(error)
                if guard is not None and guard.has_handlers and condition is not False:
                    guard.fault(condition, error)

    def _is_of_numpy(self, value: Any) -> bool:
        """Whether an operand may be a number of NumPy's, or an array."""
        nodes, found = self.trace.builder.nodes, {value._node} if isinstance(value, Tracer) else set()
        left = list(found)
        while left:
            node = nodes[number := left.pop()]
            if number in self.trace.of_numpy or (node.op in ("state", "loop") and self.trace.of_numpy):  # whatever is carried
                return True
            more = [k for k in node.args if k not in found] if node.op in KEEPING else []
            found.update(more)
            left += more
        return isinstance(value, np.generic | np.ndarray)

    def _lets_numpy_raise(self) -> bool:
        """Whether NumPy is told to raise, or to warn where warnings are errors, as handlers for these say."""
        warned = (
            guard.has_handlers and guard.catches(RuntimeWarning()) and not guard.catches(OSError()) for guard in self.guards
        )
        return "raise" in np.geterr().values() or any(warned)

    def _ends_operand(self, error: TraceError) -> bool:
        """Whether an operation that Python has not either ends the path of an operand."""
        if not (error.is_pythons and self.open and isinstance(self.open[-1], Choice)):
            return False
        self._flag(error)
        if self.trace.refused is error:
            self.trace.refused = None
        return True

    def notes_warning(self, given: dict[str, Any]) -> bool:
        """Note a warning of the elements on the path that is run, if that is not the path of all."""
        if self.trace.path() is True:
            return False
        message, category = given.get("message"), given.get("category") or UserWarning
        self.trace.no_value(True, cause_of(message if isinstance(message, Warning) else category(message)))
        return True

    def named(self, known: Any) -> Any:
        """What `locals()` and its like give, where it has all variables that Python has."""
        for (code, name), loss in self.lost.items():
            if code is sys._getframe(1).f_code and name not in known:
                raise self.missing(name, loss)
        return known

    def explain(self, error: NameError, returned: lines.Line | None = None) -> None:
        """Raise what a NameError means, if a branch, or one with a return for others, has left the variable without a value."""
        found = re.search(r"'(\w+)'", str(error))  # `error.name` is not set for local variables
        name = found[1] if found else ""
        frames = [(frame.f_code, number) for frame, number in traceback.walk_tb(error.__traceback__)]
        around = [code for code, _ in self.lost if name in code.co_cellvars and "free variable" in str(error)]
        codes = [code for code, _ in reversed(frames)] + around
        losses = [self.lost[code, name] for code in codes if (code, name) in self.lost]
        if not losses and "not associated" in str(error):  # it has none on the path that is run, which few elements may take
            losses = [Loss("one-sided", f"not assigned before: {fork.line}") for fork in self.open[::-1] if fork.is_traced]
            losses += [Loss("one-sided", f"not assigned where elements have not returned: {returned}")] if returned else []
        for loss in losses:
            raise self.missing(name, loss, lines.line_of(*frames[-1])) from None

    def missing(self, name: str, loss: Loss, line: lines.Line | None = None) -> TraceError:
        """The error for a variable that has no value after a branch, by a `Loss`."""
        return self.trace.refusal_of(loss.case, line=line, got=loss.why, name=name)

    def text(self, before: TraceError | None, value: str) -> Any:
        """An f-string, before which something was refused or not: one that shows traced values is of a kind of its own."""
        words, noted = refusals.FLOW["text"], self.trace.refused
        if noted is before or words[0] not in str(noted) or was_raised(noted):
            return value
        self.trace.refused, self.trace.has_texts = before, True
        return TracedText(value, self.trace, words)

    def formatted(self, template: Any, values: Any) -> Any:
        """`template % values`, of which the places for traced values show these as they are."""
        sample = _sample(values)
        plainly = template % sample  # which raises what Python raises for such values
        if sample is values:
            return plainly
        before, self.trace.refused = self.trace.refused, None
        text = _PLACES.sub(r"%\1s", str(template)) % values
        self.trace.refused, self.trace.has_texts = before, True
        return TracedText(text, self.trace, refusals.FLOW["text"])

    def operand(self) -> "_Operand":
        """Run a function of the kernel's, perhaps in an operand of a choice, whose path an error may end."""
        return _Operand(self)

    def _path(self) -> Any:
        """The condition of the path that is run: in the order in which it was asked, as each part is asked under those before."""
        trace, later, floor = self.trace, len(self.trace.builder.nodes), self.floor
        asked = [(fork.condition, fork.literal) for fork in self.open[floor.open :] if fork.is_traced]
        returned = (condition for call in self.calls[floor.calls :] for condition in call.returned)
        asked += [(condition, opposite(trace, condition)) for condition in returned]
        path: Any = floor.asked
        for _, literal in sorted(asked, key=lambda pair: later if pair[0] is None else trace.condition(pair[0])._node):
            path = both(trace, path, literal)
        return path


def _sample(values: Any) -> Any:
    """What `%` is given, with plain values like the traced ones in it; itself, if there are none."""
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, tuple) else (values,)
    samples = list(map(_like, parts))
    if all(map(operator.is_, samples, parts)):
        return values
    if isinstance(values, dict):
        return dict(zip(values, samples, strict=True))
    return tuple(samples) if isinstance(values, tuple) else samples[0]


def _like(value: Any) -> Any:
    """A plain value like a traced one; itself, if it is plain."""
    if isinstance(value, Tracer):
        kind: Any = value.__class__  # float, int or bool
        return kind(1)
    return "" if type(value) is TracedText else value if first_traced((value,)) is None else object()


class _Operand:
    """A block whose errors end the path of the operand that it stands in, if it stands in one."""

    def __init__(self, paths: Paths) -> None:
        self._paths, self._mark = paths, paths.mark()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        around = self._paths.open[: self._mark.open]
        return error is not None and bool(around) and isinstance(around[-1], Choice) and self._paths.ends_path(self._mark, 0)
