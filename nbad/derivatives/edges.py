"""Edges: how each value of a graph follows its operands, by partials of its row or by a tangent loop, one operation at a time.

A partial is SymPy's own derivative of the operation, or a stable form of it, as text. It is read once per operation and kept as
a recipe: a small graph in the operands and the value, which every node of that operation repeats.

The square of a value may be smooth where the value is not: that of `abs(x)` is, with the partial 2*x, and so are those of a root
and of a length. Their rows say so, and a power or a product in which such a value stands twice follows its operands by that
partial, through signs, factors and choices: so the Hessian of `(hypot(x, y)/h)**2` is right at 0, where that of `hypot` is none.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from nbad.derivatives.tangents import TangentLoop, tangent_loop
from nbad.graphs.graph import Graph, Node, Payload
from nbad.graphs.loops import Loop
from nbad.graphs.recipes import read_partial
from nbad.graphs.simplify import SimplifyingBuilder
from nbad.operations.derived import DERIVED
from nbad.operations.row import REAL
from nbad.operations.table import TABLE, row_of

if TYPE_CHECKING:
    from nbad.derivatives.differentiate import JointGraph

LARGEST_EXPONENT = 8  # of `pow` by a constant: beyond it, repeated multiplication rounds more than `pow` does
EXTREMA = ("maximum", "minimum", "pymax", "pymin", "fmax", "fmin")
LINEAR = {"mul": (0, 1), "div": (0,), "neg": (0,)}  # in which operands
# in these the square of a value follows the squares of operands
PASSING = LINEAR | {"select": (1, 2), "abs": (0,), "copysign": (0,), "hypot": (0, 1)} | dict.fromkeys(EXTREMA, (0, 1))
ROOTS = ("sqrt", "norm_root")
SIGNS = ("abs", "copysign", "neg")
NOT_NEGATIVE = ("abs", "hypot", *ROOTS)
DEEPEST = 4  # of these operations one above the other


class Case(NamedTuple):
    """The factor of an operand where a condition holds, and none of an earlier case."""

    condition: int
    factor: int


class Edge(NamedTuple):
    """How an operand acts on a value where `literal` holds: by the factor of the first case whose condition holds."""

    operand: int
    cases: tuple[Case, ...]
    otherwise: int
    literal: int


class Edges:
    """The edges of one graph, on a builder that extends it.

    Attributes
    ----------
    found : dict
        The nodes that depend on the inputs `wrt`, these themselves left out, each with its edges, zero partials left out.
    loops : dict
        For each loop among them, by its operands and itself, the loop that carries its derivatives, too, and the nodes of that.
    """

    def __init__(
        self, graph: Graph, builder: SimplifyingBuilder, wrt: frozenset[int], jacobian: Callable[..., "JointGraph"]
    ) -> None:
        self.graph, self.builder, self.jacobian = graph, builder, jacobian
        self.loops: dict[tuple[tuple[int, ...], Loop], tuple[TangentLoop, list[int]]] = {}
        self.always = builder.constant(True)
        self.active = set(wrt)  # the nodes that depend on these
        self.found: dict[int, list[Edge]] = {}
        self._depths: dict[int, int] = {}  # of nodes whose squares are known, how far below
        followed = _followed(graph)
        for k, node in enumerate(graph.nodes):
            if k not in followed or self.active.isdisjoint(node.args):
                continue
            builder.source = node.source
            by_square = self._by_hypot(k, node) if node.op == "hypot" else self._by_power(node)
            if edges := self._by_operands(k) if by_square is None else by_square:
                self.found[k] = edges
                self.active.add(k)
                if by_square is None or node.op != "pow":  # a power of a square has its best form already
                    self._note_depth(k, node)

    def _by_operands(self, k: int) -> list[Edge]:
        """The edges of a value by the partials of its operation."""
        node = self.graph.nodes[k]
        if node.op == "select":
            chosen, *arms = node.args
            literals, one = (chosen, self.builder.add("not", chosen)), self.builder.constant(1.0)
            return [Edge(arm, (), one, literal) for arm, literal in zip(arms, literals, strict=True) if arm in self.active]
        if node.op == "loop":
            return self._by_loop(node)
        if node.op == "tied":
            return self._by_ties(*node.args)
        return self._repeated(k, _partials(node.op, node.payload, _exponent(self.graph, node))) if node.kind == REAL else []

    def _by_ties(self, value: int, *items: int) -> list[Edge]:
        """The edges of the greatest or least of many: the items that are equal to it share alike."""
        ties, one, zero = [self.builder.add("eq", value, item) for item in items], *map(self.builder.constant, (1.0, 0.0))
        share = self.builder.add("div", one, self._sum([self.builder.add("select", tie, one, zero) for tie in ties]))
        return [Edge(item, (), share, tie) for item, tie in zip(items, ties, strict=True) if item in self.active]

    def _sum(self, terms: list[int]) -> int:
        """In halves: so additions need not wait for all that came before."""
        if len(terms) == 1:
            return terms[0]
        half = (len(terms) + 1) // 2
        return self.builder.add("add", self._sum(terms[:half]), self._sum(terms[half:]))

    def _by_loop(self, node: Node) -> list[Edge]:
        """The edges of a state at the end of a loop: its derivatives are states of another loop."""
        loop, place = node.payload
        operands = sorted(self.active.intersection(node.args))
        if (key := (node.args, loop)) not in self.loops:
            active, initial, captured = node.args[0], node.args[1 : 1 + loop.states], node.args[1 + loop.states :]
            columns = [[k for k, a in enumerate(node.args[1:]) if a == operand] for operand in operands]
            tangents = tangent_loop(loop, columns, self.jacobian)
            initial = (*initial, *map(self.builder.constant, tangents.starts))
            self.loops[key] = tangents, self.builder.loop(active, initial, captured, tangents.loop)
        tangents, nodes = self.loops[key]
        pairs = [(a, (place, c)) for c, a in enumerate(operands) if (place, c) in tangents.places]
        guards = [tangents.guards.get(pair) for _, pair in pairs]
        literals = [
            self.always if g is None else self.builder.add("ge", nodes[g.place], self.builder.constant(g.least)) for g in guards
        ]
        factors = [nodes[tangents.places[pair]] for _, pair in pairs]
        return [Edge(a, (), factor, literal) for (a, _), factor, literal in zip(pairs, factors, literals, strict=True)]

    def _repeated(self, k: int, recipes: tuple[Graph, ...]) -> list[Edge]:
        pairs = zip(recipes, self.graph.nodes[k].args, strict=True)
        edges = (self._repeat(recipe, k, a) for recipe, a in pairs if a in self.active)
        return [edge for edge in edges if not self._vanishes(edge)]

    def _repeat(self, recipe: Graph, k: int, operand: int) -> Edge:
        *parts, otherwise = self.builder.splice(recipe, (*self.graph.nodes[k].args, k))
        cases = tuple(map(Case, parts[::2], parts[1::2]))
        if cases and self._is_zero(cases[0].factor):  # the operand is not used there: a branch, as at a select
            return Edge(operand, cases[1:], otherwise, self.builder.add("not", cases[0].condition))
        return Edge(operand, cases, otherwise, self.always)

    def _vanishes(self, edge: Edge) -> bool:
        return all(map(self._is_zero, (edge.otherwise, *(case.factor for case in edge.cases))))

    def _is_zero(self, k: int) -> bool:
        return self.builder.value(k) == 0.0

    def _note_depth(self, k: int, node: Node) -> None:
        depth = 1 + max((self._depths[a] for a in self._passing(node) if a in self._depths), default=-1)
        is_known = bool(row_of(node.op, node.payload).square) or node.op in (*EXTREMA, "tied")
        if is_known or 0 < depth <= DEEPEST:
            self._depths[k] = depth if depth <= DEEPEST else 0

    def _passing(self, node: Node) -> list[int]:
        """Operands whose squares the square of a value follows."""
        if node.op == "tied":
            return list(node.args[1:])
        places = PASSING.get(node.op, ())
        return [a for a in (node.args[place] for place in places) if node.args.count(a) == 1]

    def _by_hypot(self, k: int, node: Node) -> list[Edge] | None:
        """The edges of a root of a sum of squares, through these; None where they are not known."""
        if self._depths.keys().isdisjoint(node.args):
            return None
        half = self.builder.add("half_over", k)
        return [self._scaled(edge, half) for a in node.args if a in self.active for edge in self._of_square(a)]

    def _by_power(self, node: Node) -> list[Edge] | None:
        """The edges of a power through the square of its base, v**n as (v*v)**(n/2); None where that square is not known."""
        base, exponent = _as_power(self.graph, node)
        if exponent < 2.0:
            return self._by_product(node) if node.op == "mul" else None
        base, exponent = self._below_roots(base, exponent)
        if base not in self._depths:
            return None
        rest, half = exponent - 2.0, self.builder.constant(exponent / 2.0)
        if rest.is_integer():
            power = self.builder.add("powi", base, payload=int(rest))
        else:
            power = self.builder.add("pow", base, self.builder.constant(rest))
        factor = self.builder.add("mul", half, power)
        return [self._scaled(edge, factor) for edge in self._of_square(base)]

    def _below_roots(self, base: int, exponent: float) -> tuple[int, float]:
        """A power of roots as a power of what is under them, whose square is known: `sqrt(abs(x))**4` as `abs(x)**2`."""
        found, (below, total), has_root = (base, exponent), (base, exponent), False
        while (node := self.graph.nodes[below]).args:
            if node.op in SIGNS and (total / 2.0).is_integer():  # an even power does not see the sign
                below = node.args[0]
                continue
            power = 0.5 if node.op in ROOTS else _as_power(self.graph, node)[1]
            if power != 0.5 and power < 2.0:
                break
            below, total, has_root = node.args[0], total * power, has_root or power == 0.5
            is_whole = total >= 2.0 and total.is_integer()
            if has_root and is_whole and below in self._depths and self.graph.nodes[below].op in NOT_NEGATIVE:
                found = below, total
        return found

    def _by_product(self, node: Node) -> list[Edge] | None:
        """The edges of `(a*v)*v`, as Python reads `a*v*v`, through the square of v; None where that is not known."""
        for product, base in (node.args, node.args[::-1]):
            inside = self.graph.nodes[product]
            if inside.op in LINEAR and base in self._depths and base in self._passing(inside):
                return list(self._through(product, [base], 1, base, DEEPEST + 1))
        return None

    def _of_square(self, k: int, limit: int = DEEPEST + 1) -> list[Edge]:
        """The edges of the square of a node, by the product rule where it is not known, or not above this depth."""
        node, depth = self.graph.nodes[k], self._depths.get(k, limit)
        if depth >= limit:
            return [Edge(k, (), self._twice(k), self.always)]
        if not row_of(node.op, node.payload).square:
            times = 2 if node.op in LINEAR else 1
            return list(self._through(k, self._passing(node), times, self._twice(k), depth))
        edges = self._repeated(k, _squares(node.op, _exponent(self.graph, node)))
        # a partial 2*x is that of the square of x, which may be known itself
        is_square = [edge.otherwise == self._twice(edge.operand) for edge in edges]
        pairs = zip(edges, is_square, strict=True)
        return [e for edge, passes in pairs for e in (self._of_square(edge.operand, depth) if passes else [edge])]

    def _twice(self, k: int) -> int:
        return self.builder.add("mul", self.builder.constant(2.0), k)

    def _through(self, k: int, squared: list[int], times: int, rest: int, limit: int) -> Iterator[Edge]:
        """The edges of node `k` with those of the squares of some operands behind them; `rest` is a factor of all others."""
        for edge in self._by_operands(k):
            if edge.operand not in squared:
                yield self._scaled(edge, rest)
                continue
            for inner in self._of_square(edge.operand, limit):
                # the factor of a square is a square, but one that would leave the range by itself
                yield functools.reduce(lambda found, _: self._chained(edge, found), range(times), inner)

    def _scaled(self, edge: Edge, factor: int) -> Edge:
        return self._chained(Edge(edge.operand, (), factor, self.always), edge)

    def _chained(self, outer: Edge, inner: Edge) -> Edge:
        """The operand of `inner` as it acts through `outer`."""
        *cases, (_, otherwise) = (
            Case(self.builder.add("and", p, q), self._product(a, b))
            for p, a in (*outer.cases, Case(self.always, outer.otherwise))
            for q, b in (*inner.cases, Case(self.always, inner.otherwise))
        )
        return Edge(inner.operand, tuple(cases), otherwise, self.builder.add("and", outer.literal, inner.literal))

    def _product(self, a: int, b: int) -> int:
        return a if self._is_zero(a) else b if self._is_zero(b) else self.builder.add("mul", a, b)


def _followed(graph: Graph) -> set[int]:
    """The nodes that an output may follow; not the steps that lead to the root of an equation, nor to the greatest of many."""
    found = set(graph.outputs)
    for k in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[k]
        if k in found:
            found.update(_behind(node))
    return found


def _behind(node: Node) -> Sequence[int]:
    """The operands that a value may follow."""
    if node.op == "tied":
        return node.args[1:]
    return node.payload.parameters(node.args) if node.op == "implicit" else node.args


def _as_power(graph: Graph, node: Node) -> tuple[int, float]:
    """Base and exponent of a power with a known exponent; other values are their own."""
    base = node.args[0]
    if node.op == "powi":
        return base, float(node.payload)
    if node.op == "square" or (node.op == "mul" and node.args[1] == base):
        return base, 2.0
    exponent = graph.nodes[node.args[1]].payload if node.op == "pow" and graph.nodes[node.args[1]].op == "const" else 1.0
    return base, exponent


def _exponent(graph: Graph, node: Node) -> Fraction | None:
    """The exponent of `pow`, if it is a constant whose power is cheaper and more accurate as products and square roots."""
    exponent = graph.nodes[node.args[1]] if node.op == "pow" else None
    if exponent is None or exponent.op != "const":
        return None
    is_half = abs(exponent.payload) <= LARGEST_EXPONENT and (2 * exponent.payload).is_integer()
    return Fraction(exponent.payload) if is_half else None


# never stale: an operation that a user defines again gets a name of its own
@functools.cache
def _partials(op: str, payload: Payload, exponent: Fraction | None) -> tuple[Graph, ...]:
    """The partial by each operand as a recipe: a graph in the operands and the value."""
    row = row_of(op, payload)
    if row.recipes:
        return row.recipes()
    return _recipes(op, [str(text or DERIVED[op][k]) for k, text in enumerate(row.partials or ())], payload, exponent)


@functools.cache
def _squares(op: str, exponent: Fraction | None) -> tuple[Graph, ...]:
    """The partials of the square of the value, likewise."""
    return _recipes(op, TABLE[op].square, None, exponent)


def _recipes(op: str, texts: Iterable[str], payload: int | None, exponent: Fraction | None) -> tuple[Graph, ...]:
    operands = ("x", "y", "z")[: len(TABLE[op].operands)]
    numbers = {name: number for name, number in (("n", payload), ("y", exponent)) if number is not None}
    inputs = (*(f"{name}_" if name in numbers else name for name in operands), "v")
    return tuple(read_partial(text, inputs, numbers) for text in texts)
