"""Loops on data: a step that is repeated, for each element as often as its numbers ask for.

A loop is one node for each state that is used. All nodes of the same operands and the same `Loop` are one loop of the machine,
so that every node is one number still, and nothing else in a graph need know how it came about.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from nbad.errors import InternalError
from nbad.graphs.graph import Graph, Node
from nbad.graphs.interpreter import repeat
from nbad.memo import cached_property
from nbad.operations.row import BOOL, REAL, Operation
from nbad.operations.table import row_of

SHOWN = 6  # letters of the digest, where people read it


@dataclass(frozen=True, eq=False)
class Loop:
    """What one pass does, and how often it may be done.

    For each element it is `z = initial; k = 0`, and then

        while active and goes_on(z, captured) and k < max_passes: z = next(z, captured); k += 1

    Attributes
    ----------
    step : Graph
        Its inputs are the states and behind them the captured values; its outputs are `goes_on`, a bool, and the next states.
    states : int
    max_passes : int
    passes : float
        How many to expect; costs follow it, values do not.
    """

    step: Graph
    states: int
    max_passes: int
    passes: float = 10.0

    def __post_init__(self) -> None:
        kinds = [self.step.nodes[k].kind for k in self.step.outputs]
        if not 1 <= self.states <= len(self.step.inputs) or kinds != [BOOL, *[REAL] * self.states] or self.max_passes < 1:
            raise InternalError(f"a loop of {self.states} states, {self.max_passes} passes and a step that returns {kinds}")

    @cached_property
    def digest(self) -> str:
        """What tells loops apart: all that values depend on, so not the lines of the source."""
        nodes = [(n.op, n.args, type(n.payload).__name__, repr(n.payload), n.kind) for n in self.step.nodes]
        meaning = (
            type(self.step).__name__,
            nodes,
            self.step.outputs,
            len(self.step.inputs),
            self.states,
            self.max_passes,
            self.passes,
        )
        return hashlib.sha256(repr(meaning).encode()).hexdigest()[:32]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loop) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def payloads(self) -> "list[Carried]":
        """Those of all nodes that it may have."""
        return [Carried(self, place) for place in range(self.states + 1)]

    @cached_property
    def row(self) -> Operation:
        """What the primitive table says of other operations."""
        operands = (BOOL, *[REAL] * len(self.step.inputs))
        pass_cost = self.states + sum(row_of(node.op, node.payload).cost for node in each_once(self.step))
        return Operation("loop", _last_value, operands=operands, payload=0, cost=self.passes * pass_cost)

    @cached_property
    def text(self) -> str:
        """As a graph tells it where it first uses it."""
        lines = str(self.step).splitlines()
        return "\n".join([f"loop {self.digest[:SHOWN]}, at most {self.max_passes} passes:", *(f"  {line}" for line in lines)])


class Carried(NamedTuple):
    """The payload of a node: which state's last value it is.

    Where `place` is the number of states, it is 1.0 for elements that are not done after the most passes, and 0.0 for others.
    """

    loop: Loop
    place: int

    @property
    def row(self) -> Operation:
        """That of the loop."""
        return self.loop.row

    @property
    def text(self) -> str:
        """That of the loop."""
        return self.loop.text

    def __repr__(self) -> str:
        return f"state {self.place} of loop {self.loop.digest}"

    def __str__(self) -> str:
        what = "unfinished" if self.place == self.loop.states else f"state {self.place}"
        return f"{what} of loop {self.loop.digest[:SHOWN]}"


def _last_value(*values: Any) -> Any:
    """One node, for operands in NumPy and its payload behind them."""
    *operands, (loop, place) = values
    return repeat(loop, operands)[place]


def each_once(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph that compute something, one for all nodes of a loop."""
    loops = set()
    for node in graph.nodes:
        if node.op == "loop":
            key = node.args, node.payload.loop
            if key not in loops:
                yield node
            loops.add(key)
        elif node.op not in ("input", "const"):
            yield node
