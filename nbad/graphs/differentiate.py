"""Symbolic derivatives of a graph: local partials, one operation at a time, and sweeps over the whole graph.

A partial is SymPy's own derivative of the operation, or a stable form of it, as text. It is read once per operation and kept as
a recipe: a small graph in the operands and the value, which every node of that operation repeats. The builder simplifies and
merges: primal and partials share their nodes.

Branches are guarded by predicate. A node has the condition under which an output uses it; its cotangent means something only
where that holds, and a contribution to an operand that is used more widely is `select(condition, contribution, 0)`. Its tangent,
likewise, means something only where the node depends on the input. No value is ever tested, so a joint graph can be
differentiated again, to any order.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from nbad.graphs.conditions import Conditions
from nbad.graphs.graph import Graph, Node
from nbad.graphs.recipes import read_partial
from nbad.graphs.simplify import SimplifyingBuilder
from nbad.operations.derived import DERIVED
from nbad.operations.row import REAL
from nbad.operations.table import TABLE

LARGEST_EXPONENT = 8  # of `pow` by a constant: beyond it, repeated multiplication rounds more than `pow` does
CONSTANT_POWER = ("y*x**(y - 1)", "v*log(x)")  # for a known y, so that 0**0 needs no case


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
    # reverse and forward differ in the order of the products only: both read the same local partials
    sweeps = _Sweeps(graph, frozenset(wrt))
    sweep = {"reverse": sweeps.reverse, "forward": sweeps.forward}[mode]
    entries = {(m, n): node for m, row in enumerate(sweep()) for n in wrt if (node := row.get(n)) is not None}
    joint = sweeps.builder.build((*graph.outputs, *entries.values()))
    return JointGraph(joint, len(graph.outputs), tuple(entries))


class _Tangent(NamedTuple):
    """A condition, and what the tangent of a node, or a part of it, is where that holds."""

    condition: int
    node: int


Row = dict[int, int]  # of the Jacobian: input slot to node
Tangents = dict[int, _Tangent]


class _Case(NamedTuple):
    """The factor of an operand where a condition holds, and none of an earlier case."""

    condition: int
    factor: int


@dataclass(frozen=True)
class _Edge:
    """How an operand acts on a value where `literal` holds: by the factor of the first case whose condition holds."""

    operand: int
    cases: tuple[_Case, ...]
    otherwise: int
    literal: int


class _Sweeps:
    """Sweeps over one graph, on one builder, so that local partials are shared."""

    def __init__(self, graph: Graph, wrt: frozenset[int]) -> None:
        self.graph, self.wrt = graph, wrt
        # nodes of the primal keep their numbers, so that those of `graph` and of the builder are one
        self.builder = SimplifyingBuilder.extending(graph)
        self.conditions = Conditions(self.builder)
        self.one = self.builder.constant(1.0)
        self.edges: dict[int, list[_Edge]] = {}
        self._find_edges()

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

    def _uses(self, k: int, region: int) -> Iterator[tuple[int, _Edge]]:
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

    def _parts(self, edges: list[_Edge], tangents: Tangents) -> Iterator[_Tangent]:
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

    def _scaled(self, edge: _Edge, weight: int) -> int:
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

    def _find_edges(self) -> None:
        """Edges between nodes that depend on `wrt`, zero partials left out."""
        active = set(self.wrt)  # the nodes that depend on these
        for k, node in enumerate(self.graph.nodes):
            self.builder.source = node.source
            edges = [edge for edge in self._edges_of(k, node, active) if not self._vanishes(edge)]
            if edges:
                self.edges[k] = edges
                active.add(k)

    def _edges_of(self, k: int, node: Node, active: set[int]) -> Iterator[_Edge]:
        if active.isdisjoint(node.args):
            return
        if node.op == "select":
            chosen, *arms = node.args
            literals = chosen, self.builder.add("not", chosen)
            yield from (_Edge(arm, (), self.one, literal) for arm, literal in zip(arms, literals, strict=True) if arm in active)
        elif TABLE[node.op].kind == REAL:
            recipes = _partials(node.op, node.payload, _half_integer_exponent(self.graph, node))
            yield from (self._repeat(recipe, k, a) for recipe, a in zip(recipes, node.args, strict=True) if a in active)

    def _repeat(self, recipe: Graph, k: int, operand: int) -> _Edge:
        *parts, otherwise = self.builder.splice(recipe, (*self.graph.nodes[k].args, k))
        cases = tuple(map(_Case, parts[::2], parts[1::2]))
        if cases and self._is_zero(cases[0].factor):  # the operand is not used there: a branch, as at a select
            return _Edge(operand, cases[1:], otherwise, self.builder.add("not", cases[0].condition))
        return _Edge(operand, cases, otherwise, self.conditions.always)

    def _vanishes(self, edge: _Edge) -> bool:
        return all(map(self._is_zero, (edge.otherwise, *(case.factor for case in edge.cases))))


def _half_integer_exponent(graph: Graph, node: Node) -> Fraction | None:
    """The exponent of `pow`, if it is a constant whose power is cheaper and more accurate as products and square roots."""
    exponent = graph.nodes[node.args[1]] if node.op == "pow" else None
    if exponent is None or exponent.op != "const":
        return None
    is_half = abs(exponent.payload) <= LARGEST_EXPONENT and (2 * exponent.payload).is_integer()
    return Fraction(exponent.payload) if is_half else None


# never stale: an operation that a user defines again gets a name of its own
@functools.cache
def _partials(op: str, payload: int | None, exponent: Fraction | None) -> tuple[Graph, ...]:
    """The partial by each operand as a recipe: a graph in the operands and the value."""
    row = TABLE[op]
    if row.recipes:
        return row.recipes()
    texts = CONSTANT_POWER if exponent is not None else row.partials or ()
    operands = ("x", "y", "z")[: len(row.operands)]
    numbers = {name: number for name, number in (("n", payload), ("y", exponent)) if number is not None}
    inputs = (*(f"{name}_" if name in numbers else name for name in operands), "v")
    return tuple(read_partial(text or DERIVED[op][k], inputs, numbers) for k, text in enumerate(texts))
