"""Symbolic derivatives of a graph: sweeps over the whole graph along its edges, which `nbad.derivatives.edges` finds.

The builder simplifies and merges: primal and partials share their nodes.

Branches are guarded by predicate. A node has the condition under which an output uses it; its cotangent means something only
where that holds, and a contribution to an operand that is used more widely is `select(condition, contribution, 0)`. Its tangent,
likewise, means something only where the node depends on the input. No value is ever tested, so a joint graph can be
differentiated again, to any order.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nbad.derivatives.conditions import Conditions
from nbad.derivatives.edges import Edge, Edges
from nbad.graphs.flags import Flags, silenced
from nbad.graphs.graph import Graph, GraphBuilder, Node, needed
from nbad.graphs.loops import narrow
from nbad.graphs.simplify import SimplifyingBuilder


@dataclass(frozen=True)
class JointGraph:
    """Primal outputs and Jacobian entries in one graph.

    Attributes
    ----------
    graph : Graph
        Its first `n_outputs` outputs are the primal ones; output `n_outputs + k` is the entry at `positions[k]`.
    n_outputs : int
    positions : tuple of (int, int)
        Output slot and input slot of each entry. Entries that are zero by structure are left out.
    """

    graph: Graph
    n_outputs: int
    positions: tuple[tuple[int, int], ...]


def jacobian(graph: Graph, wrt: tuple[int, ...], mode: str = "reverse") -> JointGraph:
    """Append the entries of the Jacobian to a graph.

    Parameters
    ----------
    graph : Graph
    wrt : tuple of int
        Input slots to differentiate by.
    mode : "reverse" or "forward"
        One cotangent sweep per output, or one tangent sweep per input slot.

    Returns
    -------
    JointGraph

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> builder = GraphBuilder("f", ["x", "y"])
    >>> joint = jacobian(builder.build([builder.add("mul", 0, 1)]), wrt=(0, 1))
    >>> joint.positions, joint.graph.outputs
    (((0, 0), (0, 1)), (2, 1, 0))
    """
    graph = narrow(graph)
    # reverse and forward differ in the order of the products only: both read the same local partials
    sweeps = _Sweeps(graph, frozenset(wrt))
    sweep = {"reverse": sweeps.reverse, "forward": sweeps.forward}[mode]
    entries = {(m, n): node for m, row in enumerate(sweep()) for n in wrt if (node := row.get(n)) is not None}
    joint = sweeps.builder.build((*graph.outputs, *entries.values()))
    return JointGraph(_joined(joint, sweeps.wider), len(graph.outputs), tuple(entries))


def _joined(graph: Graph, wider: dict[int, int]) -> Graph:
    """The same outputs where loops run once: nodes of loops are those of the loops that carry derivatives, too."""
    if not wider:
        return graph
    builder = GraphBuilder(graph.name, graph.inputs)
    places = {k: k for k in range(len(graph.inputs))}
    for k in needed(graph, graph.outputs, places):
        node = graph.nodes[wider.get(k, k)]
        builder.source = node.source
        # what a wider loop is given beside what its primal is given are constants, which may come later
        args = [places[a] if a in places else builder.constant(graph.nodes[a].payload) for a in node.args]
        places[k] = builder.constant(node.payload) if node.op == "const" else builder.add(node.op, *args, payload=node.payload)
    return narrow(builder.build([places[k] for k in graph.outputs]))


def silenced_joint(joint: JointGraph, flags: Flags, wrt: Sequence[int]) -> JointGraph:
    """The same Jacobian with all its entries, by the input slots `wrt`, which are nan for all elements without a value."""
    builder = SimplifyingBuilder.extending(joint.graph)
    found = dict(zip(joint.positions, joint.graph.outputs[joint.n_outputs :], strict=True))
    positions = tuple((m, n) for m in range(joint.n_outputs) for n in wrt)
    zero = builder.constant(0.0)
    graph = builder.build([*joint.graph.outputs[: joint.n_outputs], *(found.get(position, zero) for position in positions)])
    return replace(joint, graph=silenced(graph, flags), positions=positions)


class _Tangent(NamedTuple):
    """A condition, and what the tangent of a node, or a part of it, is where that holds."""

    condition: int
    node: int


Row = dict[int, int]  # of the Jacobian: input slot to node
Tangents = dict[int, _Tangent]


class _Sweeps:
    """Sweeps over one graph, on one builder, so that local partials are shared."""

    def __init__(self, graph: Graph, wrt: frozenset[int]) -> None:
        self.graph, self.wrt = graph, wrt
        # nodes of the primal keep their numbers, so that those of `graph` and of the builder are one
        self.builder = SimplifyingBuilder.extending(graph)
        self.conditions = Conditions(self.builder)
        self.one = self.builder.constant(1.0)
        edges = Edges(graph, self.builder, wrt, jacobian)
        self.edges, self.loops = edges.found, edges.loops

    @property
    def wider(self) -> dict[int, int]:
        """Nodes of loops, and those that are the same in loops that carry derivatives, too."""
        found = {}
        for k, node in enumerate(self.graph.nodes):
            if node.op == "loop" and (node.args, node.payload.loop) in self.loops:
                loop, place = node.payload
                tangents, nodes = self.loops[node.args, loop]
                found[k] = nodes[place if place < loop.states else tangents.loop.states]
        return {k: wide for k, wide in found.items() if self.builder.nodes[wide].op == "loop"}

    def reverse(self) -> list[Row]:
        """One row of the Jacobian per output: input slot to node."""
        return [self._cotangents(output) for output in self.graph.outputs]

    def forward(self) -> list[Row]:
        """The same rows, from one tangent sweep per input slot."""
        columns = {n: self._tangents(n) for n in self.wrt}
        return [self._row(output, columns) for output in self.graph.outputs]

    def _row(self, output: int, columns: dict[int, Tangents]) -> Row:
        row = {}
        for n, tangents in columns.items():
            if output in tangents:
                row[n] = self.conditions.merge({tangents[output].condition: tangents[output].node}, self.conditions.always)
        return {n: entry for n, entry in row.items() if not self._is_zero(entry)}

    def _cotangents(self, output: int) -> Row:
        regions, found = self._regions(output), {}
        groups = defaultdict(dict, {output: {self.conditions.always: self.one}})
        for k in sorted(regions, reverse=True):
            self.builder.source = self.graph.nodes[k].source
            found[k] = self.conditions.merge(groups.pop(k, {}), regions[k])
            for condition, edge in () if self._is_zero(found[k]) else self._uses(k, regions[k]):
                self.conditions.contribute(groups[edge.operand], condition, self._scaled(edge, found[k]))
        return {n: found[n] for n in self.wrt if n in found and not self._is_zero(found[n])}

    def _regions(self, output: int) -> dict[int, int]:
        """Every node that the output depends on, with the condition under which it uses it; results are needed always."""
        regions = {output: self.conditions.always}
        for k in range(output, -1, -1):
            if k not in regions:
                continue
            if k in self.wrt:
                regions[k] = self.conditions.always
            for condition, edge in self._uses(k, regions[k]):
                regions[edge.operand] = self.builder.add("or", regions.get(edge.operand, self.conditions.never), condition)
        return regions

    def _uses(self, k: int, region: int) -> Iterator[tuple[int, Edge]]:
        """The edges below node `k`, each with the condition under which it is taken."""
        for edge in self.edges.get(k, ()):
            condition = self.conditions.under(region, edge.literal)
            if condition != self.conditions.never:
                yield condition, edge

    def _tangents(self, n: int) -> Tangents:
        """Every node that depends on input `n`: its tangent, and the condition under which it depends on it."""
        tangents = {n: _Tangent(self.conditions.always, self.one)}
        for k, edges in self.edges.items():
            self.builder.source = self.graph.nodes[k].source
            parts = list(self._parts(edges, tangents))
            if parts:
                tangents[k] = self._joined(self.graph.nodes[k], parts)
        return tangents

    def _parts(self, edges: list[Edge], tangents: Tangents) -> Iterator[_Tangent]:
        """What comes through each operand, with its condition."""
        for edge in edges:
            if edge.operand in tangents:
                region, tangent = tangents[edge.operand]
                part = _Tangent(self.conditions.under(region, edge.literal), self._scaled(edge, tangent))
                if part.condition != self.conditions.never and not self._is_zero(part.node):
                    yield part

    def _joined(self, node: Node, parts: list[_Tangent]) -> _Tangent:
        """The sum of all parts, right where one of their conditions holds, and the union of these."""
        region = functools.reduce(lambda p, q: self.builder.add("or", p, q), (part.condition for part in parts))
        if node.op == "select" and len(parts) == 2:  # one of them counts: no zero need be added
            return _Tangent(region, self.builder.add("select", node.args[0], *(part.node for part in parts)))
        group: dict[int, int] = {}
        for condition, tangent in parts:
            self.conditions.contribute(group, condition, tangent)
        return _Tangent(region, self.conditions.merge(group, region))

    def _scaled(self, edge: Edge, weight: int) -> int:
        """`weight * partial`, the weight inside the cases, so that an unused case cannot spoil the product."""
        result = self._times(weight, edge.otherwise)
        # from the last: the first case that holds wins
        for condition, factor in reversed(edge.cases):
            result = self.builder.add("select", condition, self._times(weight, factor), result)
        return result

    def _times(self, weight: int, factor: int) -> int:
        return factor if self._is_zero(factor) else self.builder.add("mul", weight, factor)

    def _is_zero(self, k: int) -> bool:
        return self.builder.value(k) == 0.0
