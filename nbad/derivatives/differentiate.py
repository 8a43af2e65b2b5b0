"""Symbolic derivatives of a graph: tangents and cotangents swept along its edges, each under a condition, to a `JointGraph`.

The builder simplifies and merges: primal and partials share their nodes.

Branches are guarded by predicate. A node has the condition under which an output uses it; its cotangent means something only
where that holds, and a contribution to an operand that is used more widely is `select(condition, contribution, 0)`. Its tangent,
likewise, means something only where the node depends on the input. No value is ever tested, so a joint graph can be
differentiated again, to any order.

The Jacobian may be left as a product of sparse maps: some inner vertices are kept, and the sweeps end at these (`scarcity`).
"""

import functools
import heapq
import operator
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nbad.derivatives.conditions import Conditions
from nbad.derivatives.edges import Edge, Edges
from nbad.derivatives.factors import moved
from nbad.derivatives.scarcity import Arc, Tally, kept_vertices, tallies
from nbad.graphs.flags import Flags, silenced
from nbad.graphs.graph import Graph, GraphBuilder, Node, needed
from nbad.graphs.loops import narrow
from nbad.graphs.simplify import SimplifyingBuilder


@dataclass(frozen=True)
class JointGraph:
    """Primal outputs and Jacobian entries in one graph.

    Inner vertices may be kept: then the entries are those of outputs and vertices by inputs and vertices. A vertex counts like an
    output behind the others, and like an input behind the others, and has entries by vertices before it only.

    Attributes
    ----------
    graph : Graph
        Its first `n_outputs` outputs are the primal ones; output `n_outputs + k` is the entry at `positions[k]`. Behind these are
        the conditions, 1 or 0, and the values of the vertices.
    n_outputs : int
    positions : tuple of (int, int)
        Output slot and input slot of each entry. Entries that are zero by structure are left out.
    conditions : tuple of int
        Numbers of the entries that count for some elements only: for others they may be anything, and what flows there is lost.
    inner : int
        Number of vertices.
    scaled : frozenset of int
        Those whose entries have another unit: what leads into them is divided by what all that leads out is multiplied by.
    """

    graph: Graph
    n_outputs: int
    positions: tuple[tuple[int, int], ...]
    conditions: tuple[int, ...] = ()
    inner: int = 0
    scaled: frozenset[int] = frozenset()

    @property
    def entries(self) -> tuple[int, ...]:
        """Their nodes."""
        return self.graph.outputs[self.n_outputs : self.n_outputs + len(self.positions)]


def jacobian(graph: Graph, wrt: tuple[int, ...], mode: str = "reverse", elimination: str = "full", seeds: int = 1) -> JointGraph:
    """Append the entries of the Jacobian to a graph.

    Parameters
    ----------
    graph : Graph
    wrt : tuple of int
        Input slots to differentiate by.
    mode : "reverse" or "forward"
        One cotangent sweep per output, or one tangent sweep per input slot.
    elimination : str
        One of `nbad.derivatives.scarcity.ELIMINATIONS`: which inner vertices are eliminated, which are kept.
    seeds : int
        The number to expect, for "auto".

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
    if kept := sweeps.kept(elimination, seeds):
        return _scarce(sweeps, wrt, kept)
    sweep = {"reverse": sweeps.reverse, "forward": sweeps.forward}[mode]
    entries = {(m, n): node for m, row in enumerate(sweep()) for n in wrt if (node := row.get(n)) is not None}
    joint = sweeps.builder.build((*graph.outputs, *entries.values()))
    return JointGraph(_joined(joint, sweeps.wider), len(graph.outputs), tuple(entries))


def eliminations(graph: Graph, wrt: tuple[int, ...], seeds: int = 1) -> tuple[list[Tally], str]:
    """What the linear map is by each elimination, and which of them "auto" takes."""
    return tallies(*_Sweeps(narrow(graph), frozenset(wrt)).arcs(), seeds)


def sparsity(graph: Graph, wrt: tuple[int, ...]) -> list[set[int]]:
    """For each output the input slots that it may follow, some values of the inputs given."""
    edges = Edges(graph, SimplifyingBuilder.extending(graph), frozenset(wrt), jacobian).found
    bits = {n: 1 << place for place, n in enumerate(wrt)}
    for k, found in edges.items():
        bits[k] = functools.reduce(operator.or_, (bits[edge.operand] for edge in found))
    rows = (bits.get(output, 0) for output in graph.outputs)
    return [{n for place, n in enumerate(wrt) if row >> place & 1} for row in rows]


def _scarce(sweeps: "_Sweeps", wrt: tuple[int, ...], kept: list[int]) -> JointGraph:
    """The joint graph of a map with inner vertices."""
    outputs, inputs = sweeps.graph.outputs, len(sweeps.graph.inputs)
    columns = {k: k for k in wrt} | {k: inputs + place for place, k in enumerate(kept)}
    entries: dict[tuple[int, int], int] = {}
    conditions: dict[int, int] = {}
    for m, row in enumerate(sweeps.rows(kept)):
        for k in sorted(row, key=columns.__getitem__):
            condition, entry = row[k]
            touches_vertex = m >= len(outputs) or columns[k] >= inputs
            if touches_vertex and condition != sweeps.conditions.always:
                conditions[len(entries)] = sweeps.builder.number(condition)
            entries[m, columns[k]] = entry if touches_vertex else sweeps.where(condition, entry)
    vertices = range(len(outputs), len(outputs) + len(kept))
    entries, scaled = moved(sweeps.builder, entries, vertices, inputs, conditions)
    joint = sweeps.builder.build((*outputs, *entries.values(), *conditions.values(), *kept))
    return JointGraph(_joined(joint, sweeps.wider), len(outputs), tuple(entries), tuple(conditions), len(kept), scaled)


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
        builder.give_names(places[k], graph.nodes[k].names)
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
    """A condition, and what the derivative of or by a node, or a part of it, is where that holds."""

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

    def kept(self, elimination: str, seeds: int) -> list[int]:
        """The inner vertices that an elimination keeps."""
        return [] if elimination == "full" else kept_vertices(*self.arcs(), elimination, seeds)

    def arcs(self) -> tuple[dict[tuple[int, int], Arc], list[int]]:
        """The map before any elimination, and its heads."""
        arcs: dict[tuple[int, int], Arc] = {}
        for k, edges in self.edges.items():
            for edge in edges:
                weight = None if edge.cases else self.builder.value(edge.otherwise)
                arc = Arc(weight, edge.literal != self.conditions.always)
                arcs[k, edge.operand] = arc.beside(arcs.get((k, edge.operand)))
        # an output may be an inner vertex, too: where its seed comes in has a number of its own
        heads = {-1 - m: output for m, output in enumerate(self.graph.outputs)}
        arcs |= {(head, output): Arc(1.0) for head, output in heads.items() if output in self.edges or output in self.wrt}
        return arcs, list(heads)

    def rows(self, kept: list[int]) -> Iterator[dict[int, _Tangent]]:
        """One row for each output and each kept vertex: by what it follows, with the condition under which it does."""
        ends = self.wrt.union(kept)
        for root in self.graph.outputs:
            yield {root: _Tangent(self.conditions.always, self.one)} if root in ends else self._part(root, ends)
        for root in kept:
            yield self._part(root, ends)

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
        found = self._part(output, self.wrt)
        return {n: found[n].node for n in self.wrt if n in found}

    def _part(self, root: int, ends: Collection[int]) -> dict[int, _Tangent]:
        """The derivatives of a node by the ends below it, at which the sweep stops; each is right where its condition holds."""
        regions, reached = self._regions(root, ends), {}
        groups = defaultdict(dict, {root: {self.conditions.always: self.one}})
        for k in sorted(regions, reverse=True):
            self.builder.source = self.graph.nodes[k].source
            is_end = k in ends and k != root
            target = self.conditions.always if k in self.wrt and ends is self.wrt else regions[k]
            found = self.conditions.merge(groups.pop(k, {}), target)
            if (is_end or k in self.wrt) and not self._is_zero(found):
                reached[k] = _Tangent(regions[k], found)
            for condition, edge in () if is_end or self._is_zero(found) else self._uses(k, target):
                self.conditions.contribute(groups[edge.operand], condition, self._scaled(edge, found))
        return reached

    def where(self, condition: int, value: int) -> int:
        """A value, 0 where a condition fails; branches within branches are closed at once."""
        return self.builder.add("select", condition, value, self.builder.constant(0.0))

    def _regions(self, root: int, ends: Collection[int]) -> dict[int, int]:
        """Every node down to the ends that the root depends on, with the condition under which it uses it."""
        regions = {root: self.conditions.always}
        waiting = [-root]
        while waiting:
            k = -heapq.heappop(waiting)
            if k in ends and k != root:
                continue
            for condition, edge in self._uses(k, regions[k]):
                known = regions.get(edge.operand)
                if known is None:
                    heapq.heappush(waiting, -edge.operand)
                if known != condition:
                    regions[edge.operand] = condition if known is None else self.builder.add("or", known, condition)
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
                part = _Tangent(self.conditions.over(region, edge.literal), self._scaled(edge, tangent))
                if part.condition != self.conditions.never and not self._is_zero(part.node):
                    yield part

    def _joined(self, node: Node, parts: list[_Tangent]) -> _Tangent:
        """The sum of all parts, right where one of their conditions holds, and the union of these."""
        region = self.builder.fold("or", (part.condition for part in parts))
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
