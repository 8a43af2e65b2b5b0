"""Symbolic derivatives of a graph: local partials from SymPy, one operation at a time, and sweeps over the whole graph.

A partial is derived, or parsed from its row, once per operation and kept as a recipe: a small graph in the operands and the
value, which every node of that operation repeats. The builder simplifies and merges: primal and partials share their nodes.

Branches are guarded by predicate. A node has the condition under which an output uses it; its cotangent means something only
where that holds, and a contribution to an operand that is used more widely is `select(condition, contribution, 0)`. No value
is ever tested, so a joint graph can be differentiated again, to any order.
"""

import functools
import heapq
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from nbad.graph import Graph
from nbad.ops import REAL, TABLE
from nbad.simplify import SimplifyingBuilder

LARGEST_EXPONENT = 8  # of `pow` by a constant: beyond it, repeated multiplication rounds more than `pow` does


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
    >>> from nbad.graph import GraphBuilder
    >>> builder = GraphBuilder("f", ["x", "y"])
    >>> joint = jacobian(builder.build([builder.add("mul", 0, 1)]), wrt=(0, 1))
    >>> joint.positions, joint.graph.outputs
    (((0, 0), (0, 1)), (2, 1, 0))
    """
    sweeps = _Sweeps(graph, frozenset(wrt))
    sweep = {"reverse": sweeps.reverse, "forward": sweeps.forward}[mode]
    entries = {(m, n): node for m, row in enumerate(sweep()) for n in wrt if (node := row.get(n)) is not None}
    joint = sweeps.builder.build((*graph.outputs, *entries.values()))
    return JointGraph(joint, len(graph.outputs), tuple(entries))


@dataclass(frozen=True)
class _Edge:
    """How an operand acts on a value where `literal` holds: by the factor of the first case whose condition holds."""

    operand: int
    cases: tuple[tuple[int, int], ...]
    otherwise: int
    literal: int


class _Sweeps:
    """Sweeps over one graph, on one builder, so that local partials are shared."""

    def __init__(self, graph: Graph, wrt: frozenset[int]):
        self.graph, self.wrt = graph, wrt
        self.builder = SimplifyingBuilder.extending(graph)
        self.conditions = _Conditions(self.builder)
        self.one = self.builder.constant(1.0)
        self.edges: dict[int, list[_Edge]] = {}
        self._find_edges()

    def reverse(self):
        """One row of the Jacobian per output: input slot to node."""
        return [self._cotangents(output) for output in self.graph.outputs]

    def forward(self):
        """The same rows, from one tangent sweep per input slot."""
        columns = {n: self._tangents(n) for n in self.wrt}
        return [{n: column[output] for n, column in columns.items() if output in column} for output in self.graph.outputs]

    def _cotangents(self, output):
        regions, found = self._regions(output), {}
        groups = defaultdict(dict, {output: {self.conditions.always: self.one}})
        for k in sorted(regions, reverse=True):
            self.builder.source = self.graph.nodes[k].source
            found[k] = self.conditions.merge(groups.pop(k, {}), regions[k])
            for condition, edge in () if self._is_zero(found[k]) else self._uses(k, regions[k]):
                self.conditions.contribute(groups[edge.operand], condition, self._scaled(edge, found[k]))
        return {n: found[n] for n in self.wrt if n in found and not self._is_zero(found[n])}

    def _regions(self, output):
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

    def _uses(self, k, region):
        """The edges below node `k`, each with the condition under which it is taken."""
        for edge in self.edges.get(k, ()):
            condition = self.conditions.under(region, edge.literal)
            if condition != self.conditions.never:
                yield condition, edge

    def _tangents(self, n):
        tangents = {n: self.one}
        for k, edges in self.edges.items():
            self.builder.source = self.graph.nodes[k].source
            group: dict[int, int] = {}
            for edge in edges:
                if edge.operand in tangents:
                    condition = self.conditions.under(self.conditions.always, edge.literal)
                    self.conditions.contribute(group, condition, self._scaled(edge, tangents[edge.operand]))
            tangent = self.conditions.merge(group, self.conditions.always)
            if not self._is_zero(tangent):
                tangents[k] = tangent
        return tangents

    def _scaled(self, edge, weight):
        """`weight * partial`, the weight inside the cases, so that an unused case cannot spoil the product."""
        result = self._times(weight, edge.otherwise)
        for condition, factor in reversed(edge.cases):
            result = self.builder.add("select", condition, self._times(weight, factor), result)
        return result

    def _times(self, weight, factor):
        return factor if self._is_zero(factor) else self.builder.add("mul", weight, factor)

    def _is_zero(self, k):
        return self.builder.value(k) == 0.0

    def _find_edges(self):
        """Edges between nodes that depend on `wrt`, zero partials left out."""
        active = set(self.wrt)
        for k, node in enumerate(self.graph.nodes):
            self.builder.source = node.source
            edges = [edge for edge in self._edges_of(k, node, active) if not self._vanishes(edge)]
            if edges:
                self.edges[k] = edges
                active.add(k)

    def _edges_of(self, k, node, active):
        if active.isdisjoint(node.args):
            return
        if node.op == "select":
            chosen, *arms = node.args
            literals = chosen, self.builder.add("not", chosen)
            yield from (_Edge(arm, (), self.one, literal) for arm, literal in zip(arms, literals, strict=True) if arm in active)
        elif TABLE[node.op].kind == REAL:
            recipes = _partials(node.op, node.payload, _half_integer_exponent(self.graph, node))
            yield from (self._repeat(recipe, k, a) for recipe, a in zip(recipes, node.args, strict=True) if a in active)

    def _repeat(self, recipe, k, operand):
        places = self.builder.splice(recipe, (*self.graph.nodes[k].args, k))
        *parts, otherwise = (places[output] for output in recipe.outputs)
        cases = tuple(zip(parts[::2], parts[1::2], strict=True))
        if cases and self._is_zero(cases[0][1]):  # the operand is not used there: a branch, as at a select
            return _Edge(operand, cases[1:], otherwise, self.builder.add("not", cases[0][0]))
        return _Edge(operand, cases, otherwise, self.conditions.always)

    def _vanishes(self, edge):
        return all(map(self._is_zero, (edge.otherwise, *(factor for _, factor in edge.cases))))


class _Conditions:
    """Conditions as bool nodes, and the tree of branches that they form."""

    def __init__(self, builder):
        self.builder = builder
        self.always, self.never = builder.constant(True), builder.constant(False)
        self._branches: dict[int, tuple[int, int, int]] = {}  # condition: its depth, its parent, its literal
        self._children: dict[tuple[int, int], int] = {}

    def under(self, parent, literal):
        """The condition of the branch `literal` where `parent` holds."""
        condition = self.builder.add("and", parent, literal)
        if condition not in (parent, self.never):
            self._branches.setdefault(condition, (self._branch(parent)[0] + 1, parent, literal))
            self._children[parent, literal] = condition
        return condition

    def contribute(self, group, condition, contribution):
        """Add to the sum of contributions that count under one condition."""
        known = group.get(condition)
        group[condition] = contribution if known is None else self.builder.add("add", known, contribution)

    def merge(self, group, target):
        """The sum of all contributions, each 0 where its condition fails, right wherever `target` holds.

        Branches are closed from the innermost; two opposite ones become one select.
        """
        zero = self.builder.constant(0.0)
        inmost = [(-self._branch(condition)[0], condition) for condition in group]
        heapq.heapify(inmost)
        while inmost:
            _, condition = heapq.heappop(inmost)
            if condition in (target, self.always) or condition not in group:
                continue
            _, parent, literal = self._branch(condition)
            inside, outside = group.pop(condition), group.pop(self._opposite(parent, literal), zero)
            self.contribute(group, parent, self.builder.add("select", literal, inside, outside))
            heapq.heappush(inmost, (-self._branch(parent)[0], parent))
        return functools.reduce(lambda a, b: self.builder.add("add", a, b), group.values()) if group else zero

    def _branch(self, condition):
        """Depth, parent and literal; a union of branches is a branch of its own."""
        return self._branches.get(condition, (condition != self.always, self.always, condition))

    def _opposite(self, parent, literal):
        inside = self.builder.inner(literal, "not")
        return self._children.get((parent, self.builder.find("not", literal) if inside is None else inside))


def _half_integer_exponent(graph, node):
    """The exponent of `pow`, if it is a constant whose power is cheaper and more accurate as products and square roots."""
    exponent = graph.nodes[node.args[1]].payload if node.op == "pow" else None
    if exponent is None or graph.nodes[node.args[1]].op != "const":
        return None
    return Fraction(exponent) if abs(exponent) <= LARGEST_EXPONENT and (2 * exponent).is_integer() else None


@functools.cache
def _partials(op, payload, exponent) -> tuple[Graph, ...]:
    """The partial by each operand as a recipe: a graph in the operands and the value.

    Its outputs are the condition and the factor of each case in turn, then the factor where no condition holds.
    """
    row = TABLE[op]
    operands = ("x", "y")[: len(row.operands)]
    texts = row.partials if row.partials and exponent is None else (None,) * len(operands)
    known = {"n": payload, "y": exponent}
    given = {name: value for name, value in known.items() if value is not None}
    expressions = (
        _derivative(row.expression, x, given) if text is None else _parse(text, evaluate=False)
        for x, text in zip(operands, texts, strict=True)
    )
    return tuple(_Recipe((*operands, "v")).of(expression) for expression in expressions)


def _derivative(text, operand, given):
    return _parse(text, **given).diff(_symbol(operand))


def _symbol(name):
    import sympy

    return sympy.Symbol(name, real=True)


def _parse(text, evaluate=True, **given):
    """The SymPy expression of a text; with `evaluate` False its operations stay in the order written."""
    import sympy
    from sympy.parsing.sympy_parser import parse_expr

    names = {name: sympy.Function(name) for name in TABLE if not hasattr(sympy, name)}
    names |= {name: _symbol(name) for name in "xyv"} | {name: sympy.sympify(value) for name, value in given.items()}
    with sympy.evaluate(evaluate):
        return parse_expr(text, local_dict=names)


NAMES = {"Abs": "abs", "ceiling": "ceil"}  # in SymPy, and here
RELATIONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "eq"}


class _Recipe:
    """Walks a SymPy expression into a graph."""

    def __init__(self, inputs):
        self.inputs = inputs
        self.builder = SimplifyingBuilder("partial", inputs)

    def of(self, expression):
        """The recipe; a choice at the root becomes cases."""
        cases = list(expression.args) if expression.is_Piecewise else [(expression, True)]
        *guarded, (otherwise, _) = cases
        pairs = [self.node(part) for factor, condition in guarded for part in (condition, factor)]
        return self.builder.build([*pairs, self.node(otherwise)])

    def node(self, e):
        """The node of one expression."""
        if e.is_Symbol:
            return self.inputs.index(e.name)
        if e.is_number:
            return self.builder.constant(float(e.evalf(30)))
        if e.is_Add:
            return self.chain("add", map(self.node, e.args))
        if e.is_Mul or e.is_Pow:
            return self.quotient(e.args if e.is_Mul else (e,))
        if e.is_Relational:
            relation = self.builder.add(RELATIONS[e.rel_op], self.node(e.lhs), self.node(e.rhs))
            return self.builder.add("not", relation) if e.rel_op == "!=" else relation
        if e.is_Boolean:
            return self.chain(type(e).__name__.lower(), map(self.node, e.args))
        name = type(e).__name__
        return self.builder.add(NAMES.get(name, name), *map(self.node, e.args))

    def quotient(self, factors):
        """A product, its negative powers in one denominator."""
        inverse = [f for f in factors if f.is_Pow and f.exp.is_negative]
        direct = [self.power(f.base, f.exp) if f.is_Pow else self.node(f) for f in factors if f not in inverse]
        numerator = self.chain("mul", direct or [self.builder.constant(1.0)])
        if not inverse:
            return numerator
        return self.builder.add("div", numerator, self.chain("mul", [self.power(f.base, -f.exp) for f in inverse]))

    def power(self, base, exponent):
        """Integer powers as products, halves with a square root."""
        add, x = self.builder.add, self.node(base)
        if not (2 * exponent).is_Integer:
            return add("pow", x, self.node(exponent))
        whole, half = divmod(int(2 * exponent), 2)
        root = add("sqrt", x) if half else self.builder.constant(1.0)
        return add("mul", add("powi", x, payload=whole), root)

    def chain(self, op, nodes):
        """One operation from left to right."""
        return functools.reduce(lambda a, b: self.builder.add(op, a, b), nodes)
