"""Under which condition a value is used: conditions as nodes, and the tree of branches that they form."""

import heapq
from typing import NamedTuple

from nbad.graphs.simplify import SimplifyingBuilder

DEEP = 8  # branches within branches


class _Branch(NamedTuple):
    """A condition as a branch: how deep it is nested, and the parent under which a literal makes it."""

    depth: int
    parent: int
    literal: int


class Conditions:
    """Conditions as bool nodes, and the tree of branches that they form."""

    def __init__(self, builder: SimplifyingBuilder) -> None:
        self.builder = builder
        self.always, self.never = builder.constant(True), builder.constant(False)
        self._branches: dict[int, _Branch] = {}  # by their conditions
        self._children: dict[tuple[int, int], int] = {}

    def under(self, parent: int, literal: int) -> int:
        """The condition of the branch `literal` where `parent` holds."""
        return self._branch_of(parent, literal, (parent, literal))

    def over(self, parent: int, literal: int) -> int:
        """The same where `literal` is the outer branch: it is asked for first, and what may fail in `parent` is used there."""
        return self._branch_of(parent, literal, (literal, parent))

    def _branch_of(self, parent: int, literal: int, both: tuple[int, int]) -> int:
        if literal == self.always:  # as nearly all are
            return parent
        condition = self.builder.add("and", *both)
        # where the literal follows from the parent, or cannot hold, there is no branch
        if condition not in (parent, self.never):
            self._branches.setdefault(condition, _Branch(self._branch(parent).depth + 1, parent, literal))
            self._children[parent, literal] = condition
        return condition

    def contribute(self, group: dict[int, int], condition: int, contribution: int) -> None:
        """Add to the sum of contributions that count under one condition."""
        known = group.get(condition)
        group[condition] = contribution if known is None else self.builder.add("add", known, contribution)

    def merge(self, group: dict[int, int], target: int) -> int:
        """The sum of all contributions, each 0 where its condition fails, right wherever `target` holds.

        Branches are closed from the innermost; two opposite ones become one select.
        """
        if group.keys() == {self.always}:
            return group[self.always]
        zero = self.builder.constant(0.0)
        # deepest first: what closes a branch may add to the sum of its parent
        inmost = [(-self._branch(condition).depth, condition) for condition in group]
        heapq.heapify(inmost)
        is_alone = sum(condition != self.always for condition in group) == 1
        while inmost:
            _, condition = heapq.heappop(inmost)
            if condition in (target, self.always) or condition not in group:  # or closed with its opposite
                continue
            depth, parent, literal = self._branch(condition)
            opposite = self._opposite(parent, literal)
            if is_alone and depth > DEEP:  # as in the largest of many: nothing waits at the levels between
                opposite, parent, literal = None, self.always, condition
            inside, outside = group.pop(condition), zero if opposite is None else group.pop(opposite, zero)
            self.contribute(group, parent, self.builder.add("select", literal, inside, outside))
            heapq.heappush(inmost, (-self._branch(parent).depth, parent))
        return self.builder.fold("add", group.values()) if group else zero

    def _branch(self, condition: int) -> _Branch:
        """The branch of a condition; a union of branches is a branch of its own."""
        return self._branches.get(condition) or _Branch(int(condition != self.always), self.always, condition)

    def _opposite(self, parent: int, literal: int) -> int | None:
        inside = self.builder.inner(literal, "not")
        other = self.builder.find("not", literal) if inside is None else inside
        return None if other is None else self._children.get((parent, other))
