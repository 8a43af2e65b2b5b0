"""`a if test else b`, `and`, `or`, `any` and `all` on traced values: operands are evaluated, and merged into one value."""

import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from nbad.branching.arms import Changes, Fork, variables
from nbad.branching.guards import refuse_end
from nbad.language.merging import Different, as_condition

if TYPE_CHECKING:
    from nbad.branching.flow import Flow

_END = object()


class PlainChoice:
    """A choice whose test is known: one operand is evaluated."""

    is_traced = False

    def __init__(self, value: Any, truth: bool, frame: FrameType) -> None:
        self.value, self._truth, self.frame = value, truth, frame

    def first(self) -> bool:
        """Whether to evaluate the operand for a test that holds."""
        return self._truth

    def second(self) -> bool:
        """Whether to evaluate the operand for a test that fails."""
        return not self._truth

    def merge(self, a: Any, b: Any) -> Any:
        """The value of the choice."""
        return a if self._truth else b


class Choice(Fork):
    """A choice on a traced value: both operands are evaluated and merged."""

    def __init__(self, flow: "Flow", value: Any, frame: FrameType) -> None:
        self.value = value
        super().__init__(flow, flow.trace.condition(value), frame)
        self.frame = frame
        self._first: Changes = {}

    def first(self) -> bool:
        """Evaluate the operand for a test that holds."""
        return True

    def second(self) -> bool:
        """Evaluate the operand for a test that fails, too."""
        self.holds = False
        self._first = self.end_arm()
        return True

    def merge(self, a: Any, b: Any) -> Any:
        """The value of the choice, after its second operand."""
        self.merge_writes(self._first, self.end_arm())
        return self.merged(a, b)

    def end_operand(self) -> None:
        """The one operand that is an arm has been evaluated, as that of `and` and `or`, where the other one is the test."""
        changes = self.end_arm()
        self.merge_writes(*((changes, {}) if self.holds else ({}, changes)))

    def merged(self, a: Any, b: Any) -> Any:
        """The value that is the one or the other, when what they wrote is merged."""
        try:
            result = self.merger.merge(a, b)
        except Different as error:
            raise self.flow.trace.refusal_of("operands", line=self.line, got=str(error)) from None
        self.close()
        return result


def quantified(flow: "Flow", values: Iterable[Any], join: Callable[..., Any], decisive: bool) -> Any:
    """`any` or `all` of what an iterator gives: elements for which some items have decided do not ask for the next one."""
    frame: Any = sys._getframe(1)
    while "__nbad__" not in frame.f_globals:
        frame = frame.f_back
    items, result = iter(values), not decisive
    while result is not decisive:
        if not flow.trace.is_traced(result):
            value = _next(flow, items)
        else:
            value = _next_in_arm(flow, items, result, not decisive, frame)
        if value is _END:
            break
        result = join(flow.trace, result, value)
    return result


def _next(flow: "Flow", items: Iterator[Any]) -> Any:
    value = next(items, _END)
    return value if value is _END else as_condition(flow.trace, value)


def _next_in_arm(flow: "Flow", items: Iterator[Any], condition: Any, holds: bool, frame: FrameType) -> Any:
    """The next item for elements for which a condition holds, or fails; it may not assign variables, as `:=` does."""
    refuse_end(flow, items)
    known, choice = dict(variables(frame.f_locals)), Choice(flow, condition, frame)
    choice.holds = holds
    flow.open.append(choice)
    value = _END  # also where an error ends the path
    with flow.operand():
        value = _next(flow, items)
    flow.open.remove(choice)
    choice.end_operand()
    choice.close()
    bound = next((name for name, new in variables(frame.f_locals) if new is not known.get(name, _END)), None)
    if bound is not None:
        raise flow.trace.refusal_of("binds", name=bound)
    return value
