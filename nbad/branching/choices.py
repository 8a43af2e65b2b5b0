"""Expressions that choose: `a if test else b`, `and`, `or`, as the rewritten copy of a function evaluates them."""

from nbad.branching.arms import Fork
from nbad.language import refusals
from nbad.language.merging import Different


class PlainChoice:
    """A choice whose test is known: one operand is evaluated."""

    is_traced = False

    def __init__(self, value, truth):
        self.value, self._truth = value, truth

    def first(self):
        """Whether to evaluate the operand for a test that holds."""
        return self._truth

    def second(self):
        """Whether to evaluate the operand for a test that fails."""
        return not self._truth

    def merge(self, a, b):
        """The value of the choice."""
        return a if self._truth else b


class Choice(Fork):
    """A choice on a traced value: both operands are evaluated and merged."""

    def __init__(self, flow, value, frame):
        self.value = value
        super().__init__(flow, flow.trace.condition(value), frame)
        self._first = {}

    def first(self):
        """Evaluate the operand for a test that holds."""
        return True

    def second(self):
        """Evaluate the operand for a test that fails, too."""
        self._first = self.end_arm()
        return True

    def merge(self, a, b):
        """The value of the choice, after its second operand."""
        self.merge_writes(self._first, self.end_arm())
        return self._merged(a, b)

    def merge_and(self, b):
        """The value of `value and b`."""
        self.merge_writes(self.end_arm(), {})
        return self._merged(b, self.value)

    def merge_or(self, b):
        """The value of `value or b`."""
        self.merge_writes({}, self.end_arm())
        return self._merged(self.value, b)

    def _merged(self, a, b):
        try:
            result = self.merger.merge(a, b)
        except Different as error:
            what, fix = refusals.FLOW["operands"]
            raise self.flow.trace.refusal(what, fix, line=self.line, got=str(error)) from None
        self.close()
        return result
