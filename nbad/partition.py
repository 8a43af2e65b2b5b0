"""What the forward kernel stores and what the reverse kernel computes from it.

Policy "partials": the residuals are the nonconstant entries of the per-element Jacobian, each kept once; the reverse kernel
multiplies and adds. A linear kernel stores nothing.
"""

from dataclasses import dataclass

from nbad.graph import Graph, GraphBuilder
from nbad.simplify import simplify

POLICIES = ("partials",)


@dataclass(frozen=True)
class Residual:
    """A value that the forward kernel stores: its name, the user's line it stems from, and why it is kept."""

    name: str
    source: str | None
    reason: str


@dataclass(frozen=True)
class Entry:
    """One entry of the per-element Jacobian: the number of its residual, or its constant."""

    output: int
    input: int
    residual: int | None
    constant: float | None = None


@dataclass(frozen=True)
class Plan:
    """The forward graph (inputs to outputs and residuals) and the linear maps that the residuals stand for.

    `reverse` takes residuals and one seed per output slot to one cotangent per differentiated input slot; `pushforward` takes
    residuals and tangents to output tangents.
    """

    policy: str
    wrt: tuple[int, ...]
    outputs: int
    forward: Graph
    residuals: tuple[Residual, ...]
    entries: tuple[Entry, ...]
    reverse: Graph
    pushforward: Graph

    def __str__(self):
        lines = [f"plan of {self.forward.name}, policy {self.policy!r}: {len(self.residuals)} residuals"]
        for k, residual in enumerate(self.residuals):
            lines.append(f"  residual {k}: {residual.name:<28} {residual.reason}")
        return "\n".join([*lines, "forward:", str(self.forward), "reverse:", str(self.reverse)])


def partition(joint, wrt, policy="partials") -> Plan:
    """Split a joint graph into a forward graph and the maps from its residuals.

    Parameters
    ----------
    joint : JointGraph
    wrt : tuple of int
        The input slots to differentiate.
    policy : str

    Returns
    -------
    Plan
    """
    graph = simplify(joint.graph)
    primal, nodes = graph.outputs[: joint.n_outputs], graph.outputs[joint.n_outputs :]
    kept = list(dict.fromkeys(k for k in nodes if graph.nodes[k].op != "const"))
    forward = simplify(Graph(graph.name, graph.inputs, graph.nodes, (*primal, *kept)))
    entries = tuple(
        Entry(m, n, kept.index(k)) if k in kept else Entry(m, n, None, graph.nodes[k].payload)
        for (m, n), k in zip(joint.positions, nodes, strict=True)
    )
    residuals = tuple(_describe(graph, joint.positions, nodes, k) for k in kept)
    maps = linear_maps(graph.name, len(kept), entries, joint.n_outputs, wrt)
    return Plan(policy, wrt, joint.n_outputs, forward, residuals, entries, *maps)


def linear_maps(name, residuals, entries, outputs, wrt):
    """The reverse and the pushforward graph of the given Jacobian entries."""
    names = [f"r{k}" for k in range(residuals)]
    reverse = _linear_map(f"{name}_reverse", names, entries, "seed", outputs, wrt, transposed=True)
    push = _linear_map(f"{name}_pushforward", names, entries, "tangent", outputs, wrt, transposed=False)
    return reverse, push


def _describe(graph, positions, nodes, kept):
    """Name a residual after the entries that it is."""
    roles = [f"∂y{m}/∂{graph.inputs[n]}" for (m, n), k in zip(positions, nodes, strict=True) if k == kept]
    return Residual(", ".join(roles), graph.nodes[kept].source, "entry of the Jacobian")


def _linear_map(name, residuals, entries, given, outputs, wrt, transposed):
    """The graph of one product with the Jacobian, or with its transpose."""
    sources, targets = (range(outputs), wrt) if transposed else (wrt, range(outputs))
    builder = GraphBuilder(name, [*residuals, *(f"{given}{k}" for k in range(len(sources)))])
    column = {source: len(residuals) + k for k, source in enumerate(sources)}
    sums = dict.fromkeys(targets)
    for entry in entries:
        source, target = (entry.output, entry.input) if transposed else (entry.input, entry.output)
        factor = builder.constant(entry.constant) if entry.residual is None else entry.residual
        term = guarded_product(builder, factor, column[source])
        sums[target] = term if sums[target] is None else builder.add("add", sums[target], term)
    return builder.build([builder.constant(0.0) if s is None else s for s in sums.values()])


def guarded_product(builder, entry, seed):
    """`entry * seed`, which a zero seed makes 0 whatever the entry is."""
    node = builder.nodes[entry]
    if node.op == "const" and node.payload == 1.0:
        return seed
    product = builder.add("mul", entry, seed)
    if node.op == "const" and abs(node.payload) < float("inf"):
        return product
    zero = builder.constant(0.0)
    return builder.add("select", builder.add("eq", seed, zero), zero, product)


def jvp_graph(joint, wrt) -> Graph:
    """One graph from inputs and tangents to outputs and output tangents, from a joint graph in forward mode."""
    names = [f"tangent_{joint.graph.inputs[n]}" for n in wrt]
    builder = GraphBuilder(f"{joint.graph.name}_jvp", [*joint.graph.inputs, *names])
    places = builder.splice(joint.graph, range(len(joint.graph.inputs)))
    outputs = [places[k] for k in joint.graph.outputs]
    tangents: list[int | None] = [None] * joint.n_outputs
    for (m, n), entry in zip(joint.positions, outputs[joint.n_outputs :], strict=True):
        term = guarded_product(builder, entry, len(joint.graph.inputs) + wrt.index(n))
        tangents[m] = term if tangents[m] is None else builder.add("add", tangents[m], term)
    dots = [builder.constant(0.0) if t is None else t for t in tangents]
    return simplify(builder.build([*outputs[: joint.n_outputs], *dots]))
