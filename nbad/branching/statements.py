"""Statements that branch, loop and catch errors, as the rewritten copy of a function runs them."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad.branching.arms import Changes, Fork, variables
from nbad.branching.returns import Call, Ends
from nbad.branching.snapshots import Heap
from nbad.errors import TraceError
from nbad.language import refusals
from nbad.language.merging import Different
from nbad.language.unseen import may_swallow
from nbad.lines import Line, running_line

if TYPE_CHECKING:
    from nbad.branching.flow import Flow

LARGEST_LOOP = 1_000_000


class Loss(NamedTuple):
    """Why a variable has no value after a branch: a case of `refusals.FLOW`, and what happened."""

    case: str
    why: str


class _Arm(NamedTuple):
    """What an arm leaves: the variables, what it wrote, and how it may have ended the call."""

    values: dict[str, Any]
    changes: Changes
    ends: Ends

    @property
    def is_alive(self) -> bool:
        return self.ends.final is None


class PlainBranch:
    """An `if` whose test is known: one arm runs."""

    is_traced = False

    def __init__(self, then: bool) -> None:
        self.then = then

    def turn(self) -> bool:
        """Whether to run the second arm."""
        return not self.then

    def join(self) -> bool:
        """Whether there are variables to set."""
        return False


class Branch(Fork):
    """An `if` on a traced value: both arms run, then each variable is merged.

    Attributes
    ----------
    values : dict
        What the variables are to be set to; the others are to be deleted.
    """

    then = True

    def __init__(
        self, flow: "Flow", condition: Any, names: tuple[str, ...], frame: FrameType, last_line: int, call: Call | None
    ) -> None:
        super().__init__(flow, condition, frame, last_line)
        self.names, self.call, self.frame, self._depth = names, call, frame, len(flow.open)
        self.before = self.values = self._variables()
        self._first: _Arm | None = None
        flow.open.append(self)
        if call is not None:
            call.enter()

    def turn(self) -> bool:
        """The first arm has run; the second one is to run on the same variables."""
        self._first = self._end_arm()
        self.values = self.before
        return True

    def join(self) -> bool:
        """Both arms have run."""
        second = self._end_arm()
        first, second = (second, _Arm(self.before, {}, Ends())) if self._first is None else (self._first, second)
        self.flow.abandon(self._depth + 1)
        self.flow.open.pop()
        if self.call is not None:
            self.call.join(self.condition, first.ends, second.ends)
        self.values = self._joined(first, second)
        self.close()
        self.flow.checked()
        del self.frame, self.before, self._first
        return True

    def _joined(self, first: _Arm, second: _Arm) -> dict[str, Any]:
        if first.is_alive and second.is_alive:
            self.merge_writes(first.changes, second.changes)
            return dict(self._merged(first.values, second.values))
        for arm in (first, second):
            if arm.is_alive:
                self.write(arm.changes)
                return arm.values
        return self.before

    def _merged(self, first: dict[str, Any], second: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for name in self.names:
            if name in first and name in second:
                try:
                    yield name, self.merger.merge(first[name], second[name])
                except Different as error:
                    self._lose(name, "unlike", str(error))
            elif name in first or name in second:
                self._lose(name, "one-sided", "assigned in one branch only")

    def _lose(self, name: str, case: str, why: str) -> None:
        self.flow.lost[self.code, name] = Loss(case, f"{why}: {self.line}")

    def _end_arm(self) -> _Arm:
        ends = Ends() if self.call is None else self.call.end_arm()
        return _Arm(self._variables(), self.end_arm(), ends)

    def _variables(self) -> dict[str, Any]:
        known = self.frame.f_locals
        return {name: known[name] for name in self.names if name in known}


class Loop:
    """A `while` loop."""

    def __init__(self, flow: "Flow") -> None:
        self._flow, self._passes = flow, 0

    def again(self, test: Any) -> bool:
        """Whether the loop goes on."""
        self._passes += 1
        if self._passes > LARGEST_LOOP:
            what, fix = refusals.FLOW["endless"]
            raise self._flow.trace.refusal(what.format(count=LARGEST_LOOP), fix)
        return self._flow.known(test, "while")


class Guard:
    """A `try` statement: its handlers may not hide that traced operations raise nothing."""

    def __init__(self, flow: "Flow", call: Call | None) -> None:
        self._flow, self._depth, self._applied = flow, len(flow.open), flow.trace.applied
        self._call, self._returns = call, 0 if call is None else call.merged_returns
        self._heap: Heap | None = None
        self._managers: list[Any] = []
        self._line: Line | None = None

    def manager(self, value: Any) -> Any:
        """The context manager of a `with` statement."""
        self._managers.append(self._flow.original(value))
        self._line, self._applied = running_line(), self._flow.trace.applied
        return value

    def left(self) -> None:
        """The body of a `with` statement has run: its managers may suppress errors."""
        if any(map(may_swallow, self._managers)):
            if isinstance(error := sys.exception(), NameError):
                self._flow.explain(error)
            self.ran()

    def caught(self) -> None:
        """A handler begins: errors of the trace are not for the kernel to handle."""
        for error in _parts(sys.exception()):
            if isinstance(error, TraceError) and not isinstance(error, AttributeError):
                raise error
            if isinstance(error, NameError):
                self._flow.explain(error)
        # the branches that the error left, seen from the `try`
        if any(fork.is_traced for fork in self._flow.open[self._depth :]):
            raise self._flow.trace.refusal(*refusals.FLOW["caught"])
        del self._flow.open[self._depth :]

    def ran(self) -> None:
        """The body, whose handlers are for errors that arithmetic may raise, has run."""
        # a body without arithmetic on traced values catches what it would catch outside
        if self._flow.trace.applied > self._applied and not isinstance(sys.exception(), TraceError):
            raise self._flow.trace.refusal(*refusals.FLOW["try"], line=self._line or running_line())

    def finish(self, has_return: bool) -> None:
        """The `finally` begins: it runs once, behind the returns of some elements and of others not."""
        if self._call is None or self._call.merged_returns == self._returns or sys.exception() is not None:
            return
        self._heap = Heap(variables(sys._getframe(1)), self._flow.outer)
        if has_return:
            raise self._flow.trace.refusal(*refusals.FLOW["finally"])

    def finished(self) -> None:
        """The `finally` has run: it may have changed local variables, but nothing that outlives the call."""
        if self._heap is not None and self._heap.changes():
            raise self._flow.trace.refusal(*refusals.FLOW["finally"])


def _parts(error: BaseException | None) -> list[BaseException | None]:
    return [part for inner in error.exceptions for part in _parts(inner)] if isinstance(error, BaseExceptionGroup) else [error]
