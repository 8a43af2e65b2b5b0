"""Control flow of one trace: what the rewritten copies of a kernel's functions call instead of Python's own.

A test on a plain value decides, as in Python. On a traced value both arms run, and what they leave is merged by selects.
"""

import builtins
import functools
import operator
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType, MethodType, TracebackType
from typing import Any, Self

import numpy as np

from nbad import lines
from nbad.branching.branches import Branch, PlainBranch, only
from nbad.branching.choices import Choice, PlainChoice, quantified
from nbad.branching.faults import NoPath, ends_path, was_raised
from nbad.branching.guards import Guard
from nbad.branching.loops import Each, Loop
from nbad.branching.paths import Floor, Paths
from nbad.branching.returns import Call
from nbad.branching.trials import Trial
from nbad.containers.aliases import Shared
from nbad.containers.kinds import leads_on
from nbad.containers.snapshots import Heap
from nbad.errors import NbadError, TraceError
from nbad.language import arrays, lookup, masks, refusals
from nbad.language.merging import both, containers, either
from nbad.language.trace import Trace
from nbad.language.values import Perhaps, Tracer
from nbad.lines import Line
from nbad.rewriting.unseen import asks_for_error

# a plain branch keeps nothing of the call: two of them serve all
_PLAIN = {truth: PlainBranch(truth) for truth in (True, False)}


class Flow(Paths):
    """What `__nbad__` is in a rewritten function.

    Attributes
    ----------
    outer : list of (str, object)
        Variables of code outside the kernel that can be changed.
    """

    # in a rewritten function the names may be the user's
    slice, error, failing = builtins.slice, (Exception, NoPath), AssertionError

    def __init__(self, trace: Trace, original: Callable[[Any], Any], reached: Callable[[Any], Any]) -> None:
        super().__init__(trace, original, reached)
        self.outer: list[tuple[str, Any]] = []
        self._shared: list[Shared] = []
        self._truths: dict[int, tuple[Any, bool]] = {}  # of traced values, which are held: so the keys stay theirs
        trace.before_write, trace.quantified = self._before_write, functools.partial(quantified, self)
        trace.before_handled = self.check_handled

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if isinstance(error, NameError):
            self.explain(error)
        first = self.trace.refused
        if error is not None and first and first is not error and self._hides(error, first):
            raise first from None
        if isinstance(error, Exception) and not isinstance(error, NbadError) and (misuse := refusals.misuse(error)):
            case, got = misuse
            raise self.trace.refusal_of(case, line=lines.raising_line(error), got=got) from None
        traced = [fork for fork in self.open if fork.is_traced]
        if error is not None and (traced or self.trace.is_flagged) and ends_path(error):
            case = "raise" if traced else "every path"
            raise self.trace.refusal_of(case, line=lines.raising_line(error)) from error
        if error is None:
            if self.trace.refused:
                raise self.trace.refused
            self.abandon(0)
            self._check_shared()
        if error is not None and traced and not isinstance(error, NbadError):
            error.add_note(f"nbad runs both arms of a branch on a traced value: {traced[-1].line}")

    def _hides(self, error: BaseException, first: TraceError) -> bool:
        """Whether somebody has made another error of a refusal, or did what is refused, too, as it went by."""
        return was_raised(first) if isinstance(error, NbadError) else not isinstance(error, ImportError)

    # statements

    def branch(
        self,
        test: Any,
        names: tuple[str, ...],
        last_line: int,
        call: Call | None = None,
        around: PlainBranch | Branch | None = None,
        asks: bool = False,
    ) -> PlainBranch | Branch:
        """Begin an `if` whose arms bind `names`, or an `elif` of the branch `around` it; `asks`: somebody may look for these."""
        self.settled()
        truth = self.truth(test)
        if truth is not None:
            return _PLAIN[truth] if around is None else PlainBranch(truth, around)
        return Branch(self, self.trace.condition(_scalar(test)), names, sys._getframe(1), last_line, call, around, asks)

    def call(self) -> Call:
        """Begin a function that returns from within branches."""
        return Call(self, sys._getframe(1))

    def loop(self, names: tuple[str, ...], last_line: int, call: Call | None, asks: bool, watches: bool = False) -> Loop:
        """Begin a `while` loop whose body and test bind `names`; `watches`: the test may write."""
        return Loop(self, names, last_line, call, asks, watches)

    def each(self, iterable: Any, names: tuple[str, ...], last_line: int, call: Call | None, asks: bool) -> Each:
        """Begin a `for` loop."""
        return Each(self, iterable, names, last_line, call, asks)

    def trial(self, names: tuple[str, ...], last_line: int, call: Call | None, kinds: Callable[[], Any], asks: bool) -> Trial:
        """Begin a `try` statement that binds `names`; `kinds` tells for which errors its handlers are."""
        self._check_shared()
        return Trial(self, names, sys._getframe(1), last_line, call, kinds, asks)

    def guard(self, call: Call | None = None, catches: bool | None = None) -> Guard:
        """Begin a `with` statement, or one with a `finally`; `catches`: whether errors do not get out of that."""
        guard = Guard(self, call, catches)
        self.guards.append(guard)
        return guard

    def leave(self, *branches: PlainBranch | Branch) -> None:
        """Refuse a jump out of branches on traced values."""
        if any(branch.is_traced for branch in branches):
            raise self.trace.refusal_of("break")
        for branch in branches:
            if isinstance(branch, Trial):
                branch.undo()

    def known(self, test: Any, word: str) -> bool:
        """The truth of a test that must not be traced."""
        truth = self.truth(test)
        if truth is None:
            raise self.trace.refusal_of(word)
        return truth

    def checked(self, value: Any = None) -> Any:
        """The value of an expression that may have written to a container."""
        if self._shared:
            self._check_shared()
        return value

    def given(self, value: Any) -> Any:
        """An attribute that a call is given: of a method or function what is to be called."""
        return self.reached(value) if isinstance(value, FunctionType | MethodType) else value

    def settled(self) -> None:
        """The end of a statement that may have written to a container, or chosen one."""
        if self._shared:
            self._check_shared()
            for shared in self._shared:
                shared.release()

    # expressions

    def test(self, value: Any, binds: str = "") -> None:
        """Begin a choice; `binds` is a variable that its operands assign."""
        truth = self.truth(value)
        if truth is not None:
            choice: PlainChoice | Choice = PlainChoice(value, truth, sys._getframe(1))
        elif binds:
            raise self.trace.refusal_of("binds", name=binds)
        else:
            self._check_shared()
            choice = Choice(self, _scalar(value), sys._getframe(1))
        self.open.append(choice)

    def first(self) -> bool:
        """Whether to evaluate the first operand of the innermost choice."""
        return self._innermost(sys._getframe(1)).first()

    def second(self) -> bool:
        """Whether to evaluate its second operand."""
        return self._innermost(sys._getframe(1)).second()

    def choose(self, _: Any, a: Any, b: Any) -> Any:
        """`a if test else b`."""
        return self._ended(sys._getframe(1)).merge(a, b)

    def both(self, _: Any, b: Any) -> Any:
        """`value and b`."""
        return self._joined(sys._getframe(1), b, both, False)

    def either(self, _: Any, b: Any) -> Any:
        """`value or b`."""
        return self._joined(sys._getframe(1), b, either, True)

    def _joined(self, frame: FrameType, b: Any, join: Callable[..., Any], decisive: bool) -> Any:
        choice = self._ended(frame)
        sides = (choice.value, b) if decisive else (b, choice.value)
        if not choice.is_traced:
            return choice.merge(*sides)
        choice.end_operand()
        if self._are_conditions(*sides):
            choice.close()
            return join(self.trace, choice.value, b)
        result = choice.merged(*sides)
        # `x and y` never holds where `y` does not, `x or y` always where it does: then nobody asks which of them it is
        if not isinstance(b, np.ndarray) and self.truth(b) is decisive:
            self._truths[id(result)] = result, decisive
        return result

    def negated(self, value: Any) -> Any:
        """`not value`."""
        truth = self.truth(value)
        return self.trace.logic("not", self.trace.condition(_scalar(value))) if truth is None else not truth

    def contained(self, item: Any, container: Any) -> Any:
        """`item in container`."""
        return lookup.contained(self.trace, item, container)

    def identical(self, a: Any, b: Any) -> Any:
        """`a is b`; a condition stands for True and False, which are what they are equal to."""
        if a is None or b is None:
            other = b if a is None else a
            return other.none if type(other) is Perhaps else other is None
        if Perhaps in (type(a), type(b)):
            raise self.trace.refusal_of("perhaps")
        if a is b or not (self.has_names(a, b) or isinstance(a, Tracer) or isinstance(b, Tracer)):
            return self.original(a) is self.original(b)
        if self._are_conditions(a, b):
            return self.negated(self.trace.exclusive(a, b))
        # a choice between numbers is a new one, and True may be passed for a number
        if self.has_names(a, b) or (isinstance(a, Tracer) and isinstance(b, Tracer)) or self._may_be_flag(a, b):
            raise self.trace.refusal_of("identity")
        return False

    def only(self, value: Any) -> type:
        """The class for the pattern `case True`: its instances are what is that value."""
        return only(lambda subject: self.known(self.identical(subject, value), "case"))

    def item(self, container: Any, index: Any) -> Any:
        """`container[index]`."""
        axes, index = lookup.new_axes(container, index), arrays.bare(index)
        if axes is not None:
            return arrays.with_axes(self.trace, container, axes)
        mask = masks.as_mask(self.trace, index, True) if isinstance(container, Tracer | arrays.TracedArray | np.generic) else None
        if mask is not None:
            return masks.picked(self.trace, container, mask)
        if not lookup.is_traced(index):
            return self.reached(container[index])
        return self._picked(lookup.item(self.trace, container, index), container)

    def of_error(self, error: Any, name: str) -> Any:
        """`error.__context__` and its like, which errors of some elements have not: nobody raised them on the way to here."""
        if any(fault.error is error for fork in self.open if isinstance(fork, Trial) for fault in fork.faults):
            raise self.trace.refusal_of("way", name=name)
        return getattr(error, name)

    def method(self, value: Any) -> Any:
        """What stands for a method of a container that may be given a traced value; all others as they are."""
        if type(value.__self__) is dict and value.__name__ == "get":
            return functools.partial(self._got, value.__self__)
        if type(value.__self__) in (list, tuple) and value.__name__ == "index":
            return functools.partial(lookup.place_of, self.trace, value.__self__)
        if type(value.__self__) in (list, tuple) and value.__name__ == "count":
            return functools.partial(lookup.count_of, self.trace, value.__self__)
        if type(value.__self__) is list and value.__name__ == "sort" and self.trace.holds_traced(value.__self__):
            return functools.partial(self._sort, value.__self__)
        return value

    def _sort(self, items: list[Any], **options: Any) -> None:
        items[:] = self.trace.call(sorted, (items,), options)

    def _got(self, table: dict[Any, Any], key: Any, default: Any = None) -> Any:
        """`table.get(key, default)`."""
        if not lookup.is_of_key(table, key):
            return table.get(key, default)
        return self._picked(lookup.of_key(self.trace, table, key, default), table, default)

    def _picked(self, found: Any, *sources: Any) -> Any:
        """What may be one of several things, lists and arrays among them, depending on a traced place."""
        within = list(containers(sources))
        self.watch([(value, within) for value in containers(found)], lines.running_line())
        return found

    def kept(self) -> tuple[Any, ...]:
        """What is to be set back where a part of the kernel is run again."""
        return self.mark(), len(self.passes), self.floor, list(self._shared), dict(self.lost), dict(self.trace.aliases.stale)

    def set_back(self, kept: tuple[Any, ...]) -> None:
        """Forget what has happened since."""
        mark, passes, self.floor, shared, lost, stale = kept
        del self.open[mark.open :], self.passes[passes:]
        self.reset(mark)
        self.trace.refused, self._shared, self.lost = mark.refused, list(shared), dict(lost)
        self.trace.aliases.stale = dict(stale)

    def begin_pass(self, heap: Heap, call: Call | None) -> None:
        """A pass that is run for all passes of a loop begins: what led to it is no matter of its."""
        self.passes.append(heap)
        calls = len(self.calls) if call is None else self.calls.index(call)
        self.floor = Floor(len(self.open), calls, len(self.guards))

    def is_watched(self, value: Any) -> bool:
        """Whether a list or array must not be written to any more."""
        return any(shared.holds(value) for shared in self._shared)

    def put(self, value: Any, container: Any, index: Any) -> Any:
        """`container[index] = value`; gives what the variable of the container is to hold."""
        if self.passes and isinstance(container, Tracer):  # another name of it is no state of the loop's
            raise self.trace.refusal_of("loop number")
        return masks.put(self.trace, value, container, index)

    def augmented(self, name: str, old: Any, value: Any) -> Any:
        """What `old += value` makes, and its like: `name` is that of the operator."""
        return getattr(operator, name)(old, value)

    # variables

    def adopt(self, name: str, value: Any) -> None:
        """Remember a variable of code outside the kernel, if what it holds can be changed."""
        if leads_on(value):
            self.outer.append((name, value))
            for heap in self.heaps():
                heap.add([(name, value)], is_outer=True)

    def watch(self, entangled: Iterable[tuple[Any, list[Any]]], line: Line | None, case: str = "shared") -> None:
        """Refuse all further writes to lists and arrays that may be one another: merged ones, each with what it may be."""
        self._shared += [Shared(merged, sources, line, case) for merged, sources in entangled]

    def check_handled(self, asking: CodeType | None = None) -> None:
        """Refuse that a function, or the code of one, asks for the error of a handler that is run as an arm: Python has none."""
        arms = [fork for fork in self.open if isinstance(fork, Trial) and not fork.holds]
        if arms and sys.exception() is arms[-1].outer_error and (asking is None or asks_for_error(asking, bool(self.guards))):
            raise self.trace.refusal_of("handled")

    def abandon(self, depth: int) -> None:
        """Forget plain choices that an error left, and that somebody caught; of traced branches both arms must run."""
        left = [fork for fork in self.open[depth:] if fork.is_traced]
        if left:
            raise self.trace.refusal_of("caught", line=left[-1].line)
        del self.open[depth:]

    def _innermost(self, frame: FrameType) -> Any:
        """The innermost choice of a frame."""
        self.abandon(next(k for k in range(len(self.open), 0, -1) if self.open[k - 1].frame is frame))
        return self.open[-1]

    def _ended(self, frame: FrameType) -> Any:
        """The innermost choice of a frame, whose operands have been evaluated."""
        self._innermost(frame)
        return self.open.pop()

    def _check_shared(self) -> None:
        for shared in self._shared:
            if shared.is_written():
                raise self._refuse_write(shared)
        self._shared = [shared for shared in self._shared if shared.is_alive()]

    def _before_write(self, array: np.ndarray) -> None:
        """An array of traced values is about to be written to."""
        for shared in self._shared:
            if shared.is_alive() and shared.holds(array):
                raise self._refuse_write(shared)

    def _refuse_write(self, shared: Shared) -> TraceError:
        got = "names that depend on a traced value" if shared.case == "shared" else "the loop"
        return self.trace.refusal_of(shared.case, got=f"{got}: {shared.line}")

    def has_names(self, *values: Any) -> bool:
        """Whether any of several lists or arrays may be another one, depending on a traced value."""
        return any(shared.is_merged(value) for shared in self._shared for value in values)

    def _may_be_flag(self, *values: Any) -> bool:
        """Whether an argument is compared with True or False."""
        nodes = [self.trace.builder.nodes[value._node] for value in values if isinstance(value, Tracer)]
        return any(isinstance(value, bool) for value in values) and any(node.op == "input" for node in nodes)

    def _are_conditions(self, *values: Any) -> bool:
        return all(map(self.trace.is_condition, values))

    def condition(self, value: Any) -> Any:
        """A test as a traced condition."""
        return self.trace.condition(_scalar(value))

    def truth(self, value: Any) -> bool | None:
        """The truth of a plain value; None if it is traced."""
        if id(value) in self._truths:
            return self._truths[id(value)][1]
        value = _scalar(value)
        if type(value) is Perhaps:
            return None
        if not isinstance(value, Tracer):
            return bool(value)
        node = self.trace.builder.nodes[value._node] if value._trace is self.trace else None
        return bool(node.payload) if node and node.op == "const" else None


def _scalar(value: Any) -> Any:
    """The item of an array of one."""
    return value.item() if isinstance(value, np.ndarray) and arrays.holds_objects(value) and value.size == 1 else value
