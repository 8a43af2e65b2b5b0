"""`if` on a traced value, and cases of `match`: both arms run, then each variable that they bind is merged."""

from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad.branching import no_value
from nbad.branching.arms import Changes, Fork
from nbad.branching.faults import NoPath
from nbad.branching.guards import refuse_to_let_go
from nbad.branching.returns import Call, Ends
from nbad.language.merging import Different, containers, like

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
        missing = like(value, lambda number: no_value.unbound(self.flow.trace, number, name, self.line, self._module))
        return self.merger.merge(value, missing) if name in first else self.merger.merge(missing, value)

    def _lose(self, name: str, case: str, why: str) -> None:
        self.flow.lost[self.code, name] = Loss(case, f"{why}: {self.line}")

    def _end_arm(self) -> _Arm:
        ends = Ends() if self.call is None else self.call.end_arm()
        ends, self.is_dead = (ends.dead() if self.is_dead else ends), False
        lost, self.flow.lost = self.flow.lost, dict(self._lost)
        values = self._variables()
        for name in self.names:
            refuse_to_let_go(self.flow, name, self.before.get(name), values.get(name), self.line)
        return _Arm(values, lost, self.end_arm(), ends)

    def _variables(self) -> dict[str, Any]:
        known = self.frame.f_locals
        return {name: known[name] for name in self.names if name in known}


def only(is_it: Callable[[Any], bool]) -> type:
    """A class for patterns, of which everything is an instance for which a function holds."""
    return type("Only", (type,), {"__instancecheck__": lambda cls, value: is_it(value)})("Only", (), {})
