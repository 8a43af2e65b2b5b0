"""`a if test else b`, `and` and `or` on a traced value: both operands are evaluated, and are merged into one value."""

from types import FrameType
from typing import TYPE_CHECKING, Any

from nbad.branching.arms import Changes, Fork
from nbad.language import refusals
from nbad.language.merging import Different

if TYPE_CHECKING:
    from nbad.branching.flow import Flow


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
        self.frame, self.holds = frame, None
        self._first: Changes = {}

    def first(self) -> bool:
        """Evaluate the operand for a test that holds."""
        self.holds = True
        return True

    def second(self) -> bool:
        """Evaluate the operand for a test that fails, too."""
        self.holds = False
        self._first = self.end_arm()
        return True

    def merge(self, a: Any, b: Any) -> Any:
        """The value of the choice, after its second operand."""
        self.merge_writes(self._first, self.end_arm())
        return self._merged(a, b)

    def merge_and(self, b: Any) -> Any:
        """The value of `value and b`."""
        # only one operand of `and` is an arm; the other one is the test
        self.merge_writes(self.end_arm(), {})
        return self._merged(b, self.value)

    def merge_or(self, b: Any) -> Any:
        """The value of `value or b`."""
        self.merge_writes({}, self.end_arm())
        return self._merged(self.value, b)

    def _merged(self, a: Any, b: Any) -> Any:
        try:
            result = self.merger.merge(a, b)
        except Different as error:
            what, fix = refusals.FLOW["operands"]
            raise self.flow.trace.refusal(what, fix, line=self.line, got=str(error)) from None
        self.close()
        return result
