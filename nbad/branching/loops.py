"""`for` and `while` as the rewritten copy of a function runs them: pass by pass, or one pass for all, and again if that fails.

A pass whose test is known is run, as in Python. Where the test or a `break` depends on a traced value, or where the passes would
be too many operations, one pass is traced for all. If that fails, as for a variable that has no value before the first pass, that
pass is run for itself, in an arm where its test holds, and the next one is tried.
"""

import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from nbad import lines
from nbad.branching.arms import variables
from nbad.branching.branches import Branch
from nbad.branching.faults import NoPath
from nbad.branching.guards import refuse_end
from nbad.branching.outcomes import Count, Limits
from nbad.branching.passes import Moment, Pass
from nbad.branching.returns import Call
from nbad.containers.snapshots import Heap
from nbad.errors import InternalError, TraceError
from nbad.language.merging import Different
from nbad.language.number_functions import TracedRange
from nbad.rewriting.unseen import has_end

if TYPE_CHECKING:
    from nbad.branching.flow import Flow

LARGEST_LOOP = 1_000_000
UNROLLED = 400  # operations of all passes of a loop, beyond which one pass is traced for all
UNROLLED_LEFT = 60  # the same for a loop that is left on a traced test: the passes that are left cost nothing then
FEWEST = 5  # passes of a `for` loop that may be traced as one
TRIED = 3  # how many first passes may have to be run for themselves
LONGEST = 100  # passes that are run one by one where elements leave the loop on a traced test
LARGER, FEW = 3.0, 30  # how much larger one pass for all may be than one of many, and how many operations do not matter
_END = object()
# what a loop over a container makes for itself alone
_OF_CONTAINERS = frozenset(map(type, map(iter, ([], (), "", range(0), {}, {}.values(), {}.items()))))


class Loop:
    """A `while` loop.

    Attributes
    ----------
    sets : bool
        Whether the variables are to be set.
    values : dict
        What they are to be set to; the others are to be deleted.
    """

    def __init__(
        self, flow: "Flow", names: tuple[str, ...], last_line: int, call: Call | None, asks: bool, watches: bool = False
    ) -> None:
        self.flow, self.names, self.last_line, self.call, self._asks = flow, names, last_line, call, asks
        self.sets, self.values = False, dict[str, Any]()
        self._passes = self._tried = self._used = self._size = 0  # operations before a pass, and of the last one
        self._is_over = self._is_asked = False  # the test of this pass is traced
        self._wants = self._waits = self._runs = False  # one pass for all; to begin it; the pass that is known to be run
        self._returns = 0 if call is None else call.merged_returns
        self._operations = flow.trace.operations
        self._forks: list[Branch] = []  # of passes that are run in an arm
        self._first: Moment | None = None  # the begin of the loop
        self._back: Moment | None = None  # where passes one by one go on if that for all fails from the begin on
        self._pass: Pass | None = None
        self._error: Exception | None = None
        self._is_early = False  # the pass failed because a variable had no value yet
        self._left: Any = False  # whether elements have left the loop, until they are told from the others
        self._items: Iterator[Any] = iter(())  # of a `for` loop
        self._shows_items = False  # code may see whether the loop has asked for an item
        self._watches = watches  # the test may write to something
        self._before_test: Heap | None = None

    def next(self, left: Any = False) -> bool:
        """Whether to run the body once more."""
        frame = sys._getframe(1)
        is_next = self._next(left, frame)
        if self._watches:
            self._before_test = Heap([*variables(frame.f_locals), *self.values.items()], self.flow.outer) if is_next else None
        return is_next

    def _next(self, left: Any, frame: FrameType) -> bool:
        self.sets = False
        if self._pass is not None:
            return self._after_pass(self._pass, frame)
        if self._waits:
            return self._begin(frame)
        is_left = self.flow.truth(left)
        if self._is_over or is_left or not (self.call is None or self.call.alive):
            return False
        self._left = left
        if self._shows_items:  # to ask for the next item may do things of its own
            if self._is_left(is_left is None):
                refuse_end(self.flow, self._items)
            self._stay(frame)
        if not self._asks_for_next():
            return False
        self._size, self._used = self.flow.trace.operations - self._used, self.flow.trace.operations
        self._wants = self._tried < TRIED and self._passes > 0 and self._pays(self._is_left(is_left is None))
        self._passes += 1
        if self._wants and self._can_restart():
            return self._begin(frame)
        self._check(is_left is None)
        return True

    def _stay(self, frame: FrameType) -> None:
        """Run what follows for the elements that have not left the loop."""
        left, self._left = self._left, False
        if self.flow.truth(left) is None:
            self._fork(self.flow.negated(left), frame)

    def _fork(self, condition: Any, frame: FrameType) -> None:
        """Run what follows in an arm, up to the end of the loop."""
        condition = self.flow.condition(condition)
        self._forks.append(Branch(self.flow, condition, self.names, frame, self.last_line, self.call, None, self._asks))

    def _asks_for_next(self) -> bool:
        """Whether there is something to run a pass for; an error may end the path of the elements that ask."""
        try:
            return self._has_next()
        except self.flow.error:
            if not (self._forks and self._forks[-1].dies()):
                raise
            return False

    def goes_on(self, test: Any, left: Any) -> bool:
        """Whether to run the body of a pass: its test holds, in an arm if it is traced, or the pass is that for all."""
        if self._before_test is not None:
            self._watch(test, self._before_test)
        return self._goes_on(test, left, sys._getframe(1))

    def _watch(self, test: Any, before: Heap) -> None:
        """A test that has written to something must not be asked again: the pass is run for itself."""
        for entry, now in before.changes():
            if self._pass is not None or self.flow.truth(test) is None:
                is_carried = entry.kind.write is not None and len(now.items) == len(entry.contents.items)
                case = "loop test" if is_carried else "changed"
                raise self.flow.trace.refusal_of(case, name=entry.name, noun=entry.kind.noun, where="a loop")
            self._wants = False

    def _goes_on(self, test: Any, left: Any, frame: FrameType) -> bool:
        if self._pass is not None:
            return self._pass.goes_on(test, left)
        if self._runs:
            self._runs = False
            return True
        truth = self.flow.truth(test)
        self._is_asked = truth is None
        if truth is None and self._can_restart():
            self._waits = True
            return False
        if truth is None:
            self._fork(test, frame)
        if truth is None and self._tried >= TRIED and self._error is not None:
            raise self._error
        self._is_over = truth is False
        self._waits = not self._is_over and (truth is None or self._wants)
        if self._passes == 1 and not self._is_over and not self._waits and self._may_be_traced():
            self._first = Moment(self.flow, self.call, frame.f_locals, self.names)
        return not self._is_over and not self._waits

    def __enter__(self) -> Self:
        """Before the test, which may do things of its own."""
        if self._pass is None:
            self._stay(sys._getframe(1))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> bool:
        """A pass for all may fail: then passes are run one by one. An error of one of these may end the path of its elements."""
        if self._pass is None or not isinstance(error, Exception) or isinstance(error, InternalError):
            if error is not None or not (self.call is None or self.call.alive):
                self._let_go()
            if self._pass is not None or error is None or not self._forks or not self._forks[-1].dies():
                return False
            self._is_over = True
            return True
        if isinstance(error, NoPath):
            error = self.flow.trace.refusal_of("raise")
        self._is_early = isinstance(error, NameError)
        try:
            if isinstance(error, NameError):
                self.flow.explain(error)
        except TraceError as meant:
            error = meant
        self._error = error
        return True

    def ends(self) -> bool:
        """Whether to set the variables, behind the loop."""
        self._let_go()
        if self._pass is not None:  # left by a jump that hides an error
            raise self.flow.trace.refusal_of("break")
        if self._is_over and self.sets:
            self.sets = False
            return True
        if not self._forks:
            return False
        fork = self._forks.pop()
        fork.join()
        self.values = fork.values
        return True

    def _let_go(self) -> None:
        """All elements that ran the last pass have left the loop."""

    # passes one by one

    def _has_next(self) -> bool:
        """Whether there is something to run a pass for."""
        return True

    def _may_be_traced(self) -> bool:
        """Whether one pass may be traced for all, though passes can be run one by one."""
        return True

    def _pays(self, is_left: bool) -> bool:
        """Whether one pass for all is better."""
        used = self.flow.trace.operations - self._operations
        return used > 0 and (is_left or used > UNROLLED)

    def _is_left(self, is_left: bool) -> bool:
        """Whether some elements have left the loop."""
        return is_left or (self.call is not None and self.call.merged_returns > self._returns)

    def _check(self, is_left: bool) -> None:
        """Refuse a loop without end."""
        if self._passes > LONGEST and self._error is not None and self._is_left(is_left):
            raise self._error
        if self._passes > LARGEST_LOOP:
            raise self.flow.trace.refusal_of("endless", count=LARGEST_LOOP)

    # one pass for all

    def _can_restart(self) -> bool:
        """Whether the loop can be begun again."""
        return self._first is not None and not self._forks and self._first.can_return()

    def _begin(self, frame: FrameType) -> bool:
        """Trace a pass for all, from the begin of the loop on, or else from the pass on that is known to be run."""
        first, number = self._first if self._can_restart() else None, self._passes
        here = Moment(self.flow, self.call, frame.f_locals, self.names)
        limits = self._limits(here)
        if first is not None:
            self._first, self._back, number = None, here, 1
            first.come_back()
        run = Pass(first or here, frame, lines.line_of(frame.f_code, frame.f_lineno), self._count(number), limits)
        self._waits, self._pass, self._error, self._is_early = False, run, None, False
        self.sets, self.values = True, run.values
        return True

    def _after_pass(self, run: Pass, frame: FrameType) -> bool:
        """Whether to run the body again."""
        if self._error is None:
            try:
                self._is_over = run.end(frame.f_locals)
            except (TraceError, Different) as error:
                self._error = error
        self.sets, self.values = True, run.values
        if self._error is not None:
            self._go_back(run)
        elif self._is_over:
            self._pass = None
        return not self._is_over

    def _go_back(self, run: Pass) -> None:
        """The pass for all has failed."""
        is_undone = run.abandon()
        if self._error is not None and (not is_undone or (self._is_asked and not self._is_early)):
            raise self._error
        self._pass, self._runs = None, self._back is None
        self._tried += self._back is None
        if self._back is not None:
            self._back.come_back()
        self.values, self._back = (self._back or run.before).values, None

    def _count(self, number: int) -> Count | None:
        """What is counted from a pass on, of which the first is number 1."""
        return None

    def _limits(self, here: Moment) -> Limits | None:
        """What the pass may be, where passes can be run one by one."""
        if self._is_asked:
            return None
        plain = {name for name, value in here.values.items() if type(value) is int}
        return Limits(frozenset(plain), LARGER * self._size + FEW)


class Each(Loop):
    """A `for` loop, which in a `try` is a guard too: to leave it may run the `finally` of a generator."""

    has_handlers = False

    def __init__(
        self, flow: "Flow", iterable: Any, names: tuple[str, ...], last_line: int, call: Call | None, asks: bool
    ) -> None:
        super().__init__(flow, names, last_line, call, asks)
        self._range = iterable if isinstance(iterable, range | TracedRange) else None
        self._items = iterated(() if isinstance(iterable, TracedRange) else iterable)
        self._shows_items = self._items is iterable or type(self._items) not in _OF_CONTAINERS
        self._item: Any = None
        if self._shows_items and flow.guards:
            flow.guards.append(self)

    def acts(self, error: Exception) -> bool:
        """Whether code of the user's runs where an error leaves the loop."""
        return has_end(self._items)

    def catches(self, error: Exception) -> bool:
        """No errors."""
        return False

    def _let_go(self) -> None:
        """As Python does, which may run the `finally` of a generator."""
        self.flow.unguard(self)
        self._items = iter(())

    @property
    def item(self) -> Any:
        """What the variable of the loop is to be set to."""
        return self._item if self._pass is None else self._pass.item

    def stays(self, left: Any) -> bool:
        """Whether to run the body of a pass."""
        return self._goes_on(self._test(), left, sys._getframe(1))

    def _test(self) -> Any:
        """Whether there is an item."""
        counted = self._range
        if not isinstance(counted, TracedRange):  # a pass for all is repeated as often as there are items
            return True
        return self.item < counted.stop if counted.step > 0 else self.item > counted.stop

    def _has_next(self) -> bool:
        if isinstance(self._range, TracedRange):
            self._item = self._range.start + self._passes * self._range.step
            return True
        self._item = next(self._items, _END)
        return self._item is not _END

    def _may_be_traced(self) -> bool:
        return isinstance(self._range, range) and len(self._range) >= FEWEST

    def _pays(self, is_left: bool) -> bool:
        counted = self._range
        if not isinstance(counted, range) or len(counted) < FEWEST:
            return False
        used = self.flow.trace.operations - self._operations
        all_ = used + (len(counted) - self._passes) * self._size
        return self._size > 0 and (all_ > UNROLLED_LEFT if is_left else self._passes > 1 and all_ > UNROLLED)

    def _check(self, is_left: bool) -> None:
        """It ends with its items."""

    def _count(self, number: int) -> Count | None:
        counted = self._range
        if counted is None:
            return None
        start = counted.start + (number - 1) * counted.step
        return Count(start, counted.step, counted.stop, len(counted) - number + 1 if isinstance(counted, range) else None)

    def _limits(self, here: Moment) -> Limits | None:
        return super()._limits(here) if isinstance(self._range, range) else None


def iterated(iterable: Any) -> Iterator[Any]:
    """The iterator of what a `for` loop runs over; `nbad.branching.faults` knows it as a call of the user's."""
    return iter(iterable)
