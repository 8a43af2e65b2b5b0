"""The linear map of a plan: entries, and two walks along them: from seeds to cotangents, from tangents to output tangents.

Where no inner vertex is kept, the entries are those of the Jacobian, and a walk is one product with it. A kept vertex has a sum
of its own. What flows through it is 0 where every seed that reaches it is 0, and where it is not used, whatever its entries are:
not that sum is tested for it, which may be 0 for other reasons, but the seeds and the conditions of the entries.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from nbad.graphs.graph import Graph, GraphBuilder, Node
from nbad.graphs.simplify import SimplifyingBuilder, compact


class Entry(NamedTuple):
    """One entry of the per-element Jacobian: the number of its partial, or its constant.

    Beside a partial the constant -1 says that the entry is its negative, which only entries of maps with inner vertices are.
    Vertex `j` of a map is output `outputs + j` and input `inputs + j`; then there may be a condition, the number of another
    partial, which is 0 where the entry does not count.
    """

    output: int
    input: int
    partial: int | None
    constant: float | None = None
    condition: int | None = None


class Ends(NamedTuple):
    """One direction of a walk: its sources, the inner vertices in turn, each as a target and as a source, and its targets.

    `names` are those of the sources; `of` says from where to where an entry leads.
    """

    names: Sequence[str]
    sources: Sequence[int]
    inner: Sequence[tuple[int, int]]
    targets: Sequence[int]
    of: Callable[[Entry], tuple[int, int]]

    @classmethod
    def reverse(cls, wrt: Sequence[int], outputs: int, inputs: int, inner: int) -> "Ends":
        """From outputs to inputs."""
        vertices = [(inputs + j, outputs + j) for j in reversed(range(inner))]
        names = [f"seed{k}" for k in range(outputs)]
        return cls(names, range(outputs), vertices, wrt, lambda e: (e.output, e.input))

    @classmethod
    def forward(cls, wrt: Sequence[int], outputs: int, inputs: int, inner: int) -> "Ends":
        """From inputs to outputs."""
        vertices = [(outputs + j, inputs + j) for j in range(inner)]
        names = [f"tangent{k}" for k in range(len(wrt))]
        return cls(names, wrt, vertices, range(outputs), lambda e: (e.input, e.output))


Shape = tuple[tuple[int, ...], int, int, int]  # the differentiated inputs; numbers of outputs, of inputs, of inner vertices
Direction = Callable[[tuple[int, ...], int, int, int], Ends]


def product(name: str, partials: Sequence[str], entries: Iterable[Entry], ends: Ends) -> Graph:
    """The graph of one product with the Jacobian or its transpose."""
    builder = GraphBuilder(name, [*partials, *ends.names])
    column = {source: len(partials) + k for k, source in enumerate(ends.sources)}
    sums: dict[int, int] = {}
    for entry in entries:
        source, target = ends.of(entry)
        factor = builder.constant(entry.constant) if entry.partial is None else entry.partial
        term = guarded_product(builder, factor, column[source])
        sums[target] = builder.add("add", sums[target], term) if target in sums else term
    return builder.build(sums[target] if target in sums else builder.constant(0.0) for target in ends.targets)


def matrix(builder: GraphBuilder, partials: Sequence[int], entries: Iterable[Entry], shape: Shape) -> list[int]:
    """All entries of the Jacobian from a map without inner vertices, in C order, as nodes; those of the partials are given."""
    wrt, outputs, *_ = shape
    nodes = {}
    for e in entries:
        nodes[e.output, e.input] = builder.constant(e.constant) if e.partial is None else partials[e.partial]
    zero = builder.constant(0.0)
    return [nodes.get((m, n), zero) for m in range(outputs) for n in wrt]


def guarded_product(builder: GraphBuilder, entry: int, seed: int) -> int:
    """`entry * seed`, which a zero seed makes 0 whatever the entry is."""
    node = builder.nodes[entry]
    if node.op == "const" and node.payload == 1.0:
        return seed
    product = builder.add("mul", entry, seed)
    if _is_finite(node):
        return product
    zero = builder.constant(0.0)
    return builder.add("select", builder.add("eq", seed, zero), zero, product)


def _is_finite(node: Node) -> bool:
    return node.op == "const" and abs(node.payload) < float("inf")


def scarce_product(name: str, partials: int, entries: tuple[Entry, ...], direction: Direction, shape: Shape) -> Graph:
    """The same for a map with inner vertices and so many partials."""
    ends = direction(*shape)
    builder = SimplifyingBuilder(name, [*(f"p{k}" for k in range(partials)), *ends.names])
    sources = range(partials, len(builder.inputs))
    return compact(builder, walk(builder, entries, *_weights(builder, entries), ends, sources))


def scarce_matrix(name: str, partials: int, entries: tuple[Entry, ...], shape: Shape) -> Graph:
    """All entries of the Jacobian from a map with inner vertices, in C order: one walk for each unit seed, or unit tangent."""
    wrt, outputs, *_ = shape
    is_reverse = outputs <= len(wrt)
    ends = (Ends.reverse if is_reverse else Ends.forward)(*shape)
    builder = SimplifyingBuilder(name, [f"p{k}" for k in range(partials)])
    zero, one = builder.constant(0.0), builder.constant(1.0)
    factors, conditions = _weights(builder, entries)
    units = [[one if k == place else zero for k in range(len(ends.sources))] for place in range(len(ends.sources))]
    found = [walk(builder, entries, factors, conditions, ends, unit) for unit in units]
    rows = found if is_reverse else zip(*found, strict=True)
    return compact(builder, [node for row in rows for node in row])


def _weights(builder: SimplifyingBuilder, entries: Sequence[Entry]) -> tuple[list[int], list[int | None]]:
    """The nodes of some entries and of their conditions, where the partials are the first inputs."""
    zero = builder.constant(0.0)
    found = [builder.constant(e.constant) if e.partial is None else e.partial for e in entries]
    negative = [e.partial is not None and e.constant is not None for e in entries]
    factors = [builder.add("neg", k) if is_negative else k for k, is_negative in zip(found, negative, strict=True)]
    return factors, [None if e.condition is None else builder.add("ne", e.condition, zero) for e in entries]


def walk(
    builder: SimplifyingBuilder,
    entries: Iterable[Entry],
    factors: Iterable[int],
    conditions: Iterable[int | None],
    ends: Ends,
    sources: Iterable[int],
) -> list[int]:
    """What reaches each target from some sources, as nodes; those of the entries and of their conditions are given, too."""
    found = _Walk(builder, dict(zip(ends.sources, sources, strict=True)))
    into: dict[int, list[Way]] = {}
    for entry, factor, condition in zip(entries, factors, conditions, strict=True):
        source, target = ends.of(entry)
        into.setdefault(target, []).append((source, factor, condition))
    for target, vertex in ends.inner:
        found.pass_on(vertex, into.get(target, ()))
    return [found.total(into.get(target, ())) for target in ends.targets]


Way = tuple[int, int, int | None]  # the source, the entry and its condition as nodes


class _Reach(NamedTuple):
    """Where something reaches a vertex: the sources from which it may come as bits, and a node. Equal bits mean the same."""

    bits: int
    node: int


class _Walk:
    """A walk along the entries of a map."""

    def __init__(self, builder: SimplifyingBuilder, sources: dict[int, int]) -> None:
        self.builder, self._zero = builder, builder.constant(0.0)
        self._values = dict(sources)  # what flows at sources and vertices
        self._bits: dict[int, int] = {}
        self._known: dict[int, int] = {}  # nodes by bits
        self._reaches: dict[int, _Reach] = {}

    def pass_on(self, vertex: int, ways: Sequence[Way]) -> None:
        """Let a vertex be a source of ways that come later."""
        self._values[vertex], self._reaches[vertex] = self._arriving(ways, self._unconditional(ways))

    def total(self, ways: Sequence[Way]) -> int:
        """The sum of what comes along some ways."""
        return self._arriving(ways, self._unconditional(ways))[0]

    def _unconditional(self, ways: Sequence[Way]) -> int:
        """From which sources something comes for all elements, as bits, where that is not so of all ways."""
        if all(condition is None for _, _, condition in ways):
            return 0
        return functools.reduce(operator.or_, (self._reach(s).bits for s, _, condition in ways if condition is None), 0)

    def _arriving(self, ways: Sequence[Way], always: int) -> tuple[int, _Reach]:
        """What comes along some ways, and where one of them brings something.

        In halves: so additions need not wait for all that came before. And both at once: of 256 seeds the first are no longer in
        registers when the last one is read, and were read again; softmax of 128 pulls back in 0.8 of the time so.
        """
        if len(ways) < 2:
            return (self._term(*ways[0]), self._brought(*ways[0], always)) if ways else (self._zero, self._either())
        half = (len(ways) + 1) // 2
        (a, p), (b, q) = self._arriving(ways[:half], always), self._arriving(ways[half:], always)
        return self.builder.add("add", a, b), self._either(p, q)

    def _term(self, source: int, entry: int, condition: int | None) -> int:
        if (weight := self.builder.inner(entry, "neg")) is not None:  # another way may have the same weight with a plus
            return self.builder.add("neg", self._term(source, weight, condition))
        product, counts = self.builder.add("mul", entry, self._values[source]), self._reach(source).node
        if condition is not None:  # where it fails the entry may be anything
            counts = self.builder.add("and", counts, condition)
        elif _is_finite(self.builder.nodes[entry]):
            return product
        return self.builder.add("select", counts, product, self._zero)

    def _reach(self, source: int) -> _Reach:
        """Where something is at a source or a vertex."""
        if source not in self._reaches:
            self._reaches[source] = self._single(self.builder.add("ne", self._values[source], self._zero))
        return self._reaches[source]

    def _single(self, node: int) -> _Reach:
        return _Reach(1 << self._bits.setdefault(node, len(self._bits)), node)

    def _brought(self, source: int, entry: int, condition: int | None, always: int) -> _Reach:
        """Where a way brings something; what comes from its source for all elements in other ways is said by these."""
        reach = self._reach(source)
        if condition is None:
            return reach
        return self._single(self.builder.add("and", reach.node, condition)) if reach.bits & ~always else self._either()

    def _either(self, *parts: _Reach) -> _Reach:
        """Where one of two holds; of none, nowhere."""
        bits = functools.reduce(operator.or_, (part.bits for part in parts), 0)
        if bits not in self._known:
            same = [part.node for part in parts if part.bits == bits]
            nodes = same[:1] or [part.node for part in parts]
            self._known[bits] = self.builder.fold("or", [self.builder.constant(False), *nodes])
        return _Reach(bits, self._known[bits])
