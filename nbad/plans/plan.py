"""A plan, and the graphs made of it: reverse sweeps, pushforwards and blocks by its linear map, Jacobians, normal equations."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nbad.derivatives.differentiate import JointGraph
from nbad.graphs.failures import may_fail
from nbad.graphs.flags import has_alarm
from nbad.graphs.graph import Graph, GraphBuilder, by_demand, without_dead
from nbad.graphs.loops import digest_of
from nbad.graphs.simplify import SimplifyingBuilder, simplify
from nbad.memo import Memo, cached_property
from nbad.plans import work
from nbad.plans.linear import Direction, Ends, Entry, Shape, guarded_product, matrix, product, scarce_matrix, scarce_product, walk

AT_ONCE = 128  # sums that one kernel leaves
# residual rows from which on they lie in lines: with AVX-512 and cold caches the sweeps of softmax of 32 and more are 1.3 to 2.4
# times as fast so, those of 16 up to 1.1 times slower
LINED = 32

_products = Memo(8)

Policy = str | tuple[str, ...]  # by name, or the names of values to keep


def are_lined(count: int) -> bool:
    """Whether so many residual rows lie in lines in their buffer: a cache line of each after the other, then the next ones."""
    return count >= LINED


@dataclass(frozen=True)
class Residual:
    """A value that the forward kernel stores: its name, the user's line it stems from, and why it is kept."""

    name: str
    source: str | None
    reason: str


@dataclass(frozen=True)
class Plan:
    """The forward graph (inputs to outputs and residuals), and the way from residuals to cotangents and tangents.

    `prologue` takes residuals to partials, each nonconstant entry of the Jacobian once; None where the residuals are these.
    `mode` says how the entries were accumulated, `inner` how many inner vertices the map keeps, `asked` for
    which policy, maybe "auto", and how many seeds it was made.
    """

    policy: Policy
    wrt: tuple[int, ...]
    outputs: int
    forward: Graph
    residuals: tuple[Residual, ...]
    prologue: Graph | None
    entries: tuple[Entry, ...]
    mode: str = "reverse"
    inner: int = 0
    asked: tuple[Policy, int] = ("auto", 1)

    @cached_property
    def key(self) -> tuple[tuple[int, ...], Policy, int]:
        """What tells it from other plans of the same graph and mode.

        Maps with other inner vertices may have entries at the same places.
        """
        return self.wrt, self.policy, hash(self.digest) if self.inner else 0

    @cached_property
    def digest(self) -> str:
        """What tells, in every process, what the residuals are, and what is made of them."""
        return digest_of(self.forward, self.prologue and digest_of(self.prologue), self.entries)

    @property
    def partials(self) -> int:
        """Number of nonconstant entries, each counted once, and of conditions."""
        return len(self.prologue.outputs) if self.prologue else len(self.residuals)

    @cached_property
    def reverse(self) -> Graph:
        """Partials and one seed per output slot to one cotangent per differentiated input slot."""
        return self._product("reverse", Ends.reverse)

    @cached_property
    def pushforward(self) -> Graph:
        """Partials and tangents to output tangents."""
        return self._product("pushforward", Ends.forward)

    @cached_property
    def blocks(self) -> Graph:
        """Residuals to every entry of the Jacobian, in C order."""
        name = f"{self.forward.name}_blocks"
        if self.inner:
            entries = scarce_matrix(name, self.partials, self.entries, self._shape)
            return by_demand(fuse(self.prologue, entries) if self.prologue else entries)
        if self.prologue:
            builder = GraphBuilder.extending(replace(self.prologue, name=name))
            return builder.build(matrix(builder, self.prologue.outputs, self.entries, self._shape))
        builder = GraphBuilder(name, [f"r{k}" for k in range(self.partials)])
        return builder.build(matrix(builder, range(self.partials), self.entries, self._shape))

    @property
    def _shape(self) -> Shape:
        return self.wrt, self.outputs, len(self.forward.inputs), self.inner

    def _product(self, name: str, direction: Direction) -> Graph:
        full_name, letter = f"{self.forward.name}_{name}", "p" if self.prologue else "r"
        # for the plans of nearly every policy it is one; the text of the entries tells 0.0 from -0.0
        key = full_name, letter, self.partials, self._shape, repr(self.entries)
        return _products(key, lambda: self._new_product(full_name, letter, direction))

    def _new_product(self, name: str, letter: str, direction: Direction) -> Graph:
        if self.inner:
            return scarce_product(name, self.partials, self.entries, direction, self._shape)
        return product(name, [f"{letter}{k}" for k in range(self.partials)], self.entries, direction(*self._shape))

    def __str__(self) -> str:
        lines = [f"plan of {self.forward.name}, policy {self.policy!r}: {len(self.residuals)} residuals"]
        for k, residual in enumerate(self.residuals):
            lines.append(f"  residual {k}: {residual.name:<28} {residual.reason}")
        lines += ["forward:", str(self.forward)]
        lines += ["prologue:", str(self.prologue)] if self.prologue else []
        return "\n".join([*lines, "reverse:", str(self.reverse)])


def with_partials(plan: Plan) -> Graph:
    """The forward graph under its numbers, with partials as outputs in place of residuals: what elements use of it."""
    if plan.prologue is None:
        return plan.forward
    builder, outputs = GraphBuilder.extending(plan.forward), plan.forward.outputs
    return builder.build([*outputs[: plan.outputs], *builder.splice(plan.prologue, outputs[plan.outputs :])])


def whole_jacobian(plan: Plan, with_value: bool) -> Graph:
    """The forward graph with every entry of the Jacobian as an output, in C order, behind the values if these are asked for.

    They stay where elements may fail: what would be noticed beside the entries is so without them.
    """
    builder = GraphBuilder.extending(plan.forward)
    entries = matrix(builder, plan.forward.outputs[plan.outputs :], plan.entries, plan._shape)
    has_value = with_value or has_alarm(plan.forward) or bool(may_fail(plan.forward))
    return builder.build([*plan.forward.outputs[: plan.outputs if has_value else 0], *entries])


def triangle(size: int) -> list[tuple[int, int]]:
    """The places of the upper triangle of a matrix.

    Examples
    --------
    >>> triangle(2)
    [(0, 0), (0, 1), (1, 1)]
    """
    return [(i, j) for i in range(size) for j in range(i, size)]


def symmetric(graph: Graph, size: int) -> Graph:
    """A graph whose last outputs are a symmetric matrix, with one triangle in place of both: the one that takes less work.

    Of Hessians of the gallery that leaves out up to 40 % of the operations; the entries of the other triangle are equal but for
    rounding, and come by other ways.
    """
    before, entries = graph.outputs[: len(graph.outputs) - size * size], graph.outputs[len(graph.outputs) - size * size :]
    pairs = list(itertools.product(range(size), range(size)))
    upper = [*before, *(entries[min(i, j) * size + max(i, j)] for i, j in pairs)]
    lower = [*before, *(entries[max(i, j) * size + min(i, j)] for i, j in pairs)]
    found = (Graph(graph.name, graph.inputs, *without_dead(graph, outputs)) for outputs in (upper, lower))
    return min(found, key=work.total)


def normal(plan: Plan) -> list[tuple[Graph, int]]:
    """Graphs from inputs to one element's `J'J`, its upper triangle, and `J'r` behind it: at most `AT_ONCE` of these in each.

    They come last, so many as is said beside the graph; where elements may fail, the outputs of the kernel come before them.
    """
    whole, size = whole_jacobian(plan, True), len(plan.wrt)
    builder, pairs = GraphBuilder.extending(whole), triangle(size)
    values, entries = whole.outputs[: plan.outputs], whole.outputs[plan.outputs :]
    columns = [entries[n::size] for n in range(size)]
    wanted = [_dot(builder, columns[i], columns[j]) for i, j in pairs] + [_dot(builder, column, values) for column in columns]
    before = values if has_alarm(plan.forward) or may_fail(plan.forward) else ()
    parts = [wanted[k : k + AT_ONCE] for k in range(0, len(wanted), AT_ONCE)]
    return [(builder.build([*before, *part]), len(part)) for part in parts]


def _dot(builder: GraphBuilder, left: Sequence[int], right: Sequence[int]) -> int:
    """The sum of products of nodes, without those of constant zeros."""
    zero = builder.constant(0.0)
    total = zero
    for pair in zip(left, right, strict=True):
        if zero not in pair:
            product = builder.add("mul", *pair)
            total = product if total == zero else builder.add("add", total, product)
    return total


def fuse(prologue: Graph, following: Graph) -> Graph:
    """One graph of two: the second one's first inputs are the outputs of the first."""
    given = following.inputs[len(prologue.outputs) :]
    builder = GraphBuilder(following.name, [*prologue.inputs, *given])
    partials = builder.splice(prologue, range(len(prologue.inputs)))
    return builder.build(builder.splice(following, [*partials, *range(len(prologue.inputs), len(builder.inputs))]))


def repeated(graph: Graph, shared: int, times: int) -> Graph:
    """Several copies of a graph in one, which share their first inputs: outputs of the first copy come first."""
    if times == 1:
        return graph
    own = [f"{name}_{k}" for k in range(times) for name in graph.inputs[shared:]]
    builder, size = GraphBuilder(graph.name, [*graph.inputs[:shared], *own]), len(graph.inputs) - shared
    places = [(*range(shared), *range(shared + k * size, shared + (k + 1) * size)) for k in range(times)]
    return builder.build([output for operands in places for output in builder.splice(graph, operands)])


def jvp_graph(joint: JointGraph, wrt: tuple[int, ...]) -> Graph:
    """One graph from inputs and tangents to outputs and output tangents, from a joint graph."""
    inputs = [*joint.graph.inputs, *(f"tangent_{joint.graph.inputs[n]}" for n in wrt)]
    name = f"{joint.graph.name}_jvp"
    if joint.inner:
        return simplify(_scarce_jvp(SimplifyingBuilder(name, inputs), joint, wrt))
    return simplify(_jvp(GraphBuilder(name, inputs), joint, wrt))


def _jvp(builder: GraphBuilder, joint: JointGraph, wrt: tuple[int, ...]) -> Graph:
    outputs = builder.splice(joint.graph, range(len(joint.graph.inputs)))
    tangents: dict[int, int] = {}
    for (m, n), entry in zip(joint.positions, outputs[joint.n_outputs :], strict=True):
        term = guarded_product(builder, entry, len(joint.graph.inputs) + wrt.index(n))
        tangents[m] = builder.add("add", tangents[m], term) if m in tangents else term
    dots = [tangents[m] if m in tangents else builder.constant(0.0) for m in range(joint.n_outputs)]
    return builder.build([*outputs[: joint.n_outputs], *dots])


def _scarce_jvp(builder: SimplifyingBuilder, joint: JointGraph, wrt: tuple[int, ...]) -> Graph:
    """The same where inner vertices are kept; conditions are numbers behind the entries."""
    outputs = builder.splice(joint.graph, range(len(joint.graph.inputs)))
    primal, found = outputs[: joint.n_outputs], outputs[joint.n_outputs :]
    zero, count, inputs = builder.constant(0.0), len(joint.positions), len(joint.graph.inputs)
    holds = {k: builder.add("ne", found[count + row], zero) for row, k in enumerate(joint.conditions)}
    entries = [Entry(m, n, k) for k, (m, n) in enumerate(joint.positions)]
    ends = Ends.forward(wrt, joint.n_outputs, inputs, joint.inner)
    conditions = [holds.get(k) for k in range(count)]
    return builder.build([*primal, *walk(builder, entries, found[:count], conditions, ends, range(inputs, len(builder.inputs)))])


def with_products(graph: Graph, primals: int) -> Graph:
    """The graph of `jvp_graph`, of so many primal inputs, with what zero tangents leave out as outputs, too: it is computed."""
    zero_tangents = {k for k, node in enumerate(graph.nodes) if node.op == "eq" and _is_tangent(graph, node.args[0], primals)}
    left_out = [node.args[2] for node in graph.nodes if node.op == "select" and node.args[0] in zero_tangents]
    return GraphBuilder.extending(graph).build([*graph.outputs, *left_out])


def _is_tangent(graph: Graph, k: int, primals: int) -> bool:
    node = graph.nodes[k]
    return node.op == "input" and node.payload >= primals
