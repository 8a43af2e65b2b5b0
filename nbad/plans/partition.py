"""What the forward kernel stores, and what the reverse kernel computes from it.

The residuals are the values that a policy keeps. From them the prologue computes the partials, the nonconstant entries of the
Jacobian, once for each tile; where the residuals are these there is no prologue. From partials and seeds the reverse kernel
computes the cotangents: it only multiplies and adds.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.simplify import compact, simplify
from nbad.plans import cost
from nbad.plans.policies import POLICIES, Targets, stored_values

__all__ = ["POLICIES", "Entry", "Plan", "Residual", "fuse", "jvp_graph", "partition"]


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

    policy: str | tuple[str, ...]
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

    def __str__(self):
        lines = [f"plan of {self.forward.name}, policy {self.policy!r}: {len(self.residuals)} residuals"]
        for k, residual in enumerate(self.residuals):
            lines.append(f"  residual {k}: {residual.name:<28} {residual.reason}")
        lines += ["forward:", str(self.forward)]
        lines += ["prologue:", str(self.prologue)] if self.prologue else []
        return "\n".join([*lines, "reverse:", str(self.reverse)])


def partition(joint, wrt, policy="partials", seeds=1) -> Plan:
    """Split a joint graph into a forward graph and the maps from its residuals.

    Parameters
    ----------
    joint : JointGraph
    wrt : tuple of int
        The input slots to differentiate.
    policy : str or tuple of str
        One of `POLICIES`, the names of values to keep, or "auto": the policy that costs least for `seeds` seeds.
    seeds : int

    Returns
    -------
    Plan
        Its `policy` is never "auto", but the one that was chosen.
    """
    targets, entries = _targets(joint)
    split = partial(_split, targets, entries, joint.n_outputs, wrt)
    return cost.best([split(candidate) for candidate in POLICIES], seeds) if policy == "auto" else split(policy)


def _split(targets, entries, outputs, wrt, policy):
    """The plan of one policy."""
    stored = stored_values(targets, policy)
    prologue = None if stored == list(targets.entries) else _prologue(targets, stored)
    residuals = tuple(_describe(targets, k, policy) for k in stored)
    return Plan(policy, wrt, outputs, _forward(targets, stored, outputs), residuals, prologue, entries)


def _targets(joint):
    """The joint graph with each nonconstant entry once among its outputs, and how the Jacobian is made of them."""
    graph = simplify(joint.graph)
    primal, found = graph.outputs[: joint.n_outputs], graph.outputs[joint.n_outputs :]
    kept = list(dict.fromkeys(k for k in found if graph.nodes[k].op != "const"))
    entries = tuple(
        Entry(m, n, kept.index(k)) if k in kept else Entry(m, n, None, graph.nodes[k].payload)
        for (m, n), k in zip(joint.positions, found, strict=True)
    )
    graph = compact(replace(graph, outputs=(*primal, *kept)))
    partials = graph.outputs[joint.n_outputs :]
    roles = {k: [] for k in partials}
    for entry in entries:
        if entry.partial is not None:
            roles[partials[entry.partial]].append(f"∂y{entry.output}/∂{graph.inputs[entry.input]}")
    return Targets(graph, roles), entries


def _forward(targets, stored, outputs):
    """Inputs to outputs and stored values; a condition is stored as 1 or 0."""
    builder = GraphBuilder.extending(targets.graph)
    one, zero = builder.constant(1.0), builder.constant(0.0)
    results = [builder.add("select", k, one, zero) if _is_condition(targets, k) else k for k in stored]
    return compact(builder.build((*targets.graph.outputs[:outputs], *results)))


def _prologue(targets, stored):
    """Stored values to partials."""
    graph = targets.graph
    builder = GraphBuilder(f"{graph.name}_prologue", [f"r{k}" for k in range(len(stored))])
    zero = builder.constant(0.0)
    places = {k: builder.add("ne", row, zero) if _is_condition(targets, k) else row for row, k in enumerate(stored)}
    for k in (k for k in targets.below(stored) if k not in places):
        node = graph.nodes[k]
        constants = {a: builder.constant(graph.nodes[a].payload) for a in node.args if graph.nodes[a].op == "const"}
        args = [constants[a] if a in constants else places[a] for a in node.args]
        places[k] = builder.add(node.op, *args, payload=node.payload, source=node.source)
    return simplify(builder.build(places[k] for k in targets.entries))


def _is_condition(targets, k):
    return targets.graph.nodes[k].kind == "bool"


def _describe(targets, k, policy):
    node = targets.graph.nodes[k]
    return Residual(targets.name(k), node.source, _reason(targets, k, policy))


def _reason(targets, k, policy):
    """Why a value is kept."""
    node = targets.graph.nodes[k]
    if k in targets.entries:
        return f"input, and entry {', '.join(targets.entries[k])}" if node.op == "input" else "entry of the Jacobian"
    if isinstance(policy, tuple) and (targets.name(k) in policy or node.op != "input"):
        return "asked for"
    if node.op == "input":
        return "input of the partials"
    if cost.is_expensive(node):
        return f"`{node.op}` is too expensive to repeat"
    return "in place of what it is computed from"


def _linear_map(plan, name, given, sources, targets, ends):
    """The graph of one product with the Jacobian or its transpose; `ends` says from where to where an entry leads."""
    letter = "p" if plan.prologue else "r"
    partials = [f"{letter}{k}" for k in range(plan.partials)]
    builder = GraphBuilder(f"{plan.forward.name}_{name}", [*partials, *(f"{given}{k}" for k in range(len(sources)))])
    column = {source: len(partials) + k for k, source in enumerate(sources)}
    sums = dict.fromkeys(targets)
    for entry in plan.entries:
        source, target = ends(entry)
        factor = builder.constant(entry.constant) if entry.partial is None else entry.partial
        term = guarded_product(builder, factor, column[source])
        sums[target] = term if sums[target] is None else builder.add("add", sums[target], term)
    return builder.build(builder.constant(0.0) if s is None else s for s in sums.values())


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


def fuse(prologue, following) -> Graph:
    """One graph of two: the second one's first inputs are the outputs of the first."""
    given = following.inputs[len(prologue.outputs) :]
    builder = GraphBuilder(following.name, [*prologue.inputs, *given])
    partials = builder.splice(prologue, range(len(prologue.inputs)))
    operands = [partials[k] for k in prologue.outputs]
    places = builder.splice(following, [*operands, *range(len(prologue.inputs), len(builder.inputs))])
    return builder.build(places[k] for k in following.outputs)


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
