"""A plan: what the forward kernel stores, and the linear map that the reverse kernel and the pushforward apply."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nbad.derivatives.differentiate import JointGraph
from nbad.graphs.failures import may_fail
from nbad.graphs.flags import has_alarm
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.simplify import simplify
from nbad.memo import cached_property

Policy = str | tuple[str, ...]  # by name, or the names of values to keep


@dataclass(frozen=True)
class Residual:
    """A value that the forward kernel stores: its name, the user's line it stems from, and why it is kept."""

    name: str
    source: str | None
    reason: str


class Entry(NamedTuple):
    """One entry of the per-element Jacobian: the number of its partial, or its constant."""

    output: int
    input: int
    partial: int | None
    constant: float | None = None


@dataclass(frozen=True)
class Plan:
    """The forward graph (inputs to outputs and residuals), and the way from residuals to cotangents and tangents.

    `prologue` takes residuals to partials, each nonconstant entry of the Jacobian once; None where the residuals are these.
    `mode` says how the entries were accumulated.
    """

    policy: Policy
    wrt: tuple[int, ...]
    outputs: int
    forward: Graph
    residuals: tuple[Residual, ...]
    prologue: Graph | None
    entries: tuple[Entry, ...]
    mode: str = "reverse"

    @property
    def partials(self) -> int:
        """Number of nonconstant entries, each counted once."""
        return len(self.prologue.outputs) if self.prologue else len(self.residuals)

    @cached_property
    def reverse(self) -> Graph:
        """Partials and one seed per output slot to one cotangent per differentiated input slot."""
        return _linear_map(self, "reverse", "seed", range(self.outputs), self.wrt, lambda e: (e.output, e.input))

    @cached_property
    def pushforward(self) -> Graph:
        """Partials and tangents to output tangents."""
        return _linear_map(self, "pushforward", "tangent", self.wrt, range(self.outputs), lambda e: (e.input, e.output))

    def __str__(self) -> str:
        lines = [f"plan of {self.forward.name}, policy {self.policy!r}: {len(self.residuals)} residuals"]
        for k, residual in enumerate(self.residuals):
            lines.append(f"  residual {k}: {residual.name:<28} {residual.reason}")
        lines += ["forward:", str(self.forward)]
        lines += ["prologue:", str(self.prologue)] if self.prologue else []
        return "\n".join([*lines, "reverse:", str(self.reverse)])


def _linear_map(
    plan: Plan, name: str, given: str, sources: Sequence[int], targets: Sequence[int], ends: Callable[[Entry], tuple[int, int]]
) -> Graph:
    """The graph of one product with the Jacobian or its transpose; `ends` says from where to where an entry leads."""
    letter = "p" if plan.prologue else "r"
    partials = [f"{letter}{k}" for k in range(plan.partials)]
    builder = GraphBuilder(f"{plan.forward.name}_{name}", [*partials, *(f"{given}{k}" for k in range(len(sources)))])
    column = {source: len(partials) + k for k, source in enumerate(sources)}
    sums: dict[int, int] = {}
    for entry in plan.entries:
        source, target = ends(entry)
        factor = builder.constant(entry.constant) if entry.partial is None else entry.partial
        term = guarded_product(builder, factor, column[source])
        sums[target] = builder.add("add", sums[target], term) if target in sums else term
    return builder.build(sums[target] if target in sums else builder.constant(0.0) for target in targets)


def guarded_product(builder: GraphBuilder, entry: int, seed: int) -> int:
    """`entry * seed`, which a zero seed makes 0 whatever the entry is."""
    node = builder.nodes[entry]
    if node.op == "const" and node.payload == 1.0:
        return seed
    product = builder.add("mul", entry, seed)
    if node.op == "const" and abs(node.payload) < float("inf"):
        return product
    zero = builder.constant(0.0)
    return builder.add("select", builder.add("eq", seed, zero), zero, product)


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
    builder, partials = GraphBuilder.extending(plan.forward), plan.forward.outputs[plan.outputs :]
    nodes = {}
    for e in plan.entries:
        nodes[e.output, e.input] = builder.constant(e.constant) if e.partial is None else partials[e.partial]
    zero = builder.constant(0.0)
    entries = [nodes.get((m, n), zero) for m in range(plan.outputs) for n in plan.wrt]
    has_value = with_value or has_alarm(plan.forward) or bool(may_fail(plan.forward))
    return builder.build([*plan.forward.outputs[: plan.outputs if has_value else 0], *entries])


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
    """One graph from inputs and tangents to outputs and output tangents, from a joint graph in forward mode."""
    names = [f"tangent_{joint.graph.inputs[n]}" for n in wrt]
    builder = GraphBuilder(f"{joint.graph.name}_jvp", [*joint.graph.inputs, *names])
    outputs = builder.splice(joint.graph, range(len(joint.graph.inputs)))
    tangents: dict[int, int] = {}
    for (m, n), entry in zip(joint.positions, outputs[joint.n_outputs :], strict=True):
        term = guarded_product(builder, entry, len(joint.graph.inputs) + wrt.index(n))
        tangents[m] = builder.add("add", tangents[m], term) if m in tangents else term
    dots = [tangents[m] if m in tangents else builder.constant(0.0) for m in range(joint.n_outputs)]
    return simplify(builder.build([*outputs[: joint.n_outputs], *dots]))


def with_products(graph: Graph, primals: int) -> Graph:
    """The graph of `jvp_graph`, of so many primal inputs, with what zero tangents leave out as outputs, too: it is computed."""
    zero_tangents = {k for k, node in enumerate(graph.nodes) if node.op == "eq" and _is_tangent(graph, node.args[0], primals)}
    left_out = [node.args[2] for node in graph.nodes if node.op == "select" and node.args[0] in zero_tangents]
    return GraphBuilder.extending(graph).build([*graph.outputs, *left_out])


def _is_tangent(graph: Graph, k: int, primals: int) -> bool:
    node = graph.nodes[k]
    return node.op == "input" and node.payload >= primals
