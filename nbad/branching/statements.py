"""`if` and `try` as the rewritten copy of a function runs them: both arms, and what variables are behind these; errors caught."""

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad.branching.arms import Changes, Fork, variables
from nbad.branching.faults import NoPath
from nbad.branching.returns import Call, Ends
from nbad.containers.snapshots import Heap
from nbad.errors import TraceError
from nbad.language import elements, refusals
from nbad.language.merging import Different, containers, like
from nbad.lines import Line, running_line
from nbad.rewriting.unseen import may_swallow

if TYPE_CHECKING:
    from nbad.branching.flow import Flow


class Loss(NamedTuple):
    """Why a variable has no value after a branch: a case of `refusals.FLOW`, and what happened."""

    case: str
    why: str


class _Arm(NamedTuple):
    """What an arm leaves: the variables, those that are lost by then, what it wrote, and how it may have ended the call."""

    values: dict[str, Any]
    lost: dict[tuple[CodeType, str], Loss]
    changes: Changes
    ends: Ends

    @property
    def is_alive(self) -> bool:
        return self.ends.final is None and not self.ends.is_dead


class PlainBranch:
    """An `if` whose test is known: one arm runs."""

    is_traced = False

    def __init__(self, then: bool, around: "PlainBranch | Branch | None" = None) -> None:
        self.then, self._around = then, around

    def turn(self) -> bool:
        """Whether to run the second arm."""
        return not self.then

    def dies(self) -> bool:
        """Whether the error that is handled ends this path only: an arm of the branch that an `elif` belongs to."""
        return self._around is not None and self._around.dies()

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
        self,
        flow: "Flow",
        condition: Any,
        names: tuple[str, ...],
        frame: FrameType,
        last_line: int,
        call: Call | None,
        around: "PlainBranch | Branch | None",
        asks: bool,
    ) -> None:
        super().__init__(flow, condition, frame, last_line)
        self.around, self._may_be_asked, self._module = around, asks, str(frame.f_globals.get("__name__"))
        self.names, self.call, self.frame, self._mark = names, call, frame, flow.mark()
        self.before = self.values = self._variables()
        self._lost = dict(flow.lost)  # before the arms
        self.is_dead = False
        self._first: _Arm | None = None
        flow.open.append(self)
        if call is not None:
            call.enter()

    def turn(self) -> bool:
        """The first arm has run; the second one is to run on the same variables."""
        self._first = self._end_arm()
        self.values, self.holds = self.before, False
        return True

    def dies(self) -> bool:
        """Whether the error that is handled ends this path only: then the merge takes the other arm."""
        self.is_dead = self.flow.ends_path(self._mark, 1)
        return self.is_dead

    def join(self) -> bool:
        """Both arms have run."""
        second = self._end_arm()
        first, second = (second, _Arm(self.before, self._lost, {}, Ends())) if self._first is None else (self._first, second)
        self.flow.abandon(self._mark.open + 1)
        self.flow.open.pop()
        if self.call is not None:
            self.call.join(self.condition, first.ends, second.ends)
        self.values = self._joined(first, second)
        self.close()
        self.flow.checked()
        if first.ends.is_dead and second.ends.is_dead:
            self._die()
        del self.frame, self.before, self._first, self.around
        return True

    def _die(self) -> None:
        """No arm has a value: nor has the arm that this branch is."""
        if not isinstance(self.around, Branch):
            raise NoPath
        self.around.is_dead = True

    def _joined(self, first: _Arm, second: _Arm) -> dict[str, Any]:
        if first.is_alive and second.is_alive:
            self.merge_writes(first.changes, second.changes)
            self.flow.lost = first.lost | second.lost
            return dict(self._merged(first, second))
        for arm in (first, second):
            if arm.is_alive:
                self.write(arm.changes)
                self.flow.lost = arm.lost
                return arm.values
        return self.before

    def _merged(self, first: _Arm, second: _Arm) -> Iterator[tuple[str, Any]]:
        for name in self.names:
            sides = [arm for arm in (first, second) if name not in arm.values]
            if not sides:
                try:
                    yield name, self.merger.merge(first.values[name], second.values[name])
                except Different as error:
                    self._lose(name, "unlike", str(error))
            elif len(sides) == 1 and (self.code, name) not in sides[0].lost:  # else it has a value in Python
                try:
                    yield name, self._half(name, first.values, second.values)
                except Different:
                    self._lose(name, "one-sided", "assigned in one branch only")

    def _half(self, name: str, first: dict[str, Any], second: dict[str, Any]) -> Any:
        """What a variable is that has a value on one side only."""
        value = first.get(name, second.get(name))
        if self._may_be_asked or any(guard.catches(UnboundLocalError()) for guard in self.flow.guards):
            raise Different("somebody asks whether it has a value")
        if any(map(self.heap.holds, containers(value))):
            raise Different("it has other names")
        missing = like(value, lambda number: elements.unbound(self.flow.trace, number, name, self.line, self._module))
        return self.merger.merge(value, missing) if name in first else self.merger.merge(missing, value)

    def _lose(self, name: str, case: str, why: str) -> None:
        self.flow.lost[self.code, name] = Loss(case, f"{why}: {self.line}")

    def _end_arm(self) -> _Arm:
        ends = Ends() if self.call is None else self.call.end_arm()
        ends, self.is_dead = (ends.dead() if self.is_dead else ends), False
        lost, self.flow.lost = self.flow.lost, dict(self._lost)
        return _Arm(self._variables(), lost, self.end_arm(), ends)

    def _variables(self) -> dict[str, Any]:
        known = self.frame.f_locals
        return {name: known[name] for name in self.names if name in known}


class Guard:
    """A `with` statement or a `finally`: what they do with errors and returns of the elements in their bodies."""

    has_handlers = False  # as a Trial has

    def __init__(self, flow: "Flow", call: Call | None, catches: bool | None) -> None:
        self.has_end, self._catches = catches is not None, bool(catches)
        self._flow, self._applied = flow, flow.trace.applied
        self._call, self._returns = call, 0 if call is None else call.merged_returns
        self._heap: Heap | None = None
        self._managers: list[Any] = []
        self._line: Line | None = None

    def manager(self, value: Any) -> Any:
        """The context manager of a `with` statement."""
        self._managers.append(self._flow.original(value))
        if may_swallow(self._managers[-1]):
            self._catches = True
        self._line, self._applied = running_line(), self._flow.trace.applied
        return value

    def left(self) -> None:
        """The body of a `with` statement has run: its managers may suppress errors."""
        self.passed()
        if any(map(may_swallow, self._managers)):
            if isinstance(error := sys.exception(), NameError):
                self._flow.explain(error)
            self.ran()

    def catches(self, error: Exception) -> bool:
        """Whether an error of the body does not get out of the statement."""
        return self._catches

    def fault(self, condition: Any, error: Exception) -> None:
        """Refuse that it catches an error of some elements."""
        raise self._flow.trace.refusal(*refusals.FLOW["caught"], line=self._line)

    def passed(self) -> None:
        """The body of the statement ends."""
        self._flow.unguard(self)

    def ran(self) -> None:
        """The body, the errors of which do not get out, has run."""
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


def only(is_it: Callable[[Any], bool]) -> type:
    """A class for patterns, of which everything is an instance for which a function holds."""
    return type("Only", (type,), {"__instancecheck__": lambda cls, value: is_it(value)})("Only", (), {})


def errors_in(error: BaseException | None) -> list[BaseException | None]:
    """An error, or those that a group of them holds."""
    return [part for inner in error.exceptions for part in errors_in(inner)] if isinstance(error, BaseExceptionGroup) else [error]
