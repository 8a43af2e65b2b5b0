"""What the forward kernel stores, and what the reverse kernel computes from it.

The residuals are the values that a policy keeps. From them the prologue computes the partials, the nonconstant entries of the
Jacobian, once for each tile; where the residuals are these there is no prologue. From partials and seeds the reverse kernel
computes the cotangents: it only multiplies and adds. Where the map keeps inner vertices, its weights are the partials, and the
conditions of some of them.
"""

from functools import partial

from nbad.derivatives.differentiate import JointGraph
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.simplify import compact, simplify
from nbad.plans import cost, work
from nbad.plans.linear import Entry
from nbad.plans.plan import Plan, Policy, Residual
from nbad.plans.policies import POLICIES, Targets, stored_values


def partition(joint: JointGraph, wrt: tuple[int, ...], policy: Policy = "partials", seeds: int = 1) -> Plan:
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
    split = partial(_split, targets, entries, joint, wrt)
    return cost.best([split(candidate) for candidate in POLICIES], seeds) if policy == "auto" else split(policy)


def _split(targets: Targets, entries: tuple[Entry, ...], joint: JointGraph, wrt: tuple[int, ...], policy: Policy) -> Plan:
    """The plan of one policy."""
    outputs = joint.n_outputs
    stored = stored_values(targets, policy)
    prologue = None if stored == list(targets.entries) else _prologue(targets, stored)
    residuals = tuple(_describe(targets, k, policy) for k in stored)
    return Plan(policy, wrt, outputs, _forward(targets, stored, outputs), residuals, prologue, entries, inner=joint.inner)


def _targets(joint: JointGraph) -> tuple[Targets, tuple[Entry, ...]]:
    """The joint graph with each nonconstant entry once among its outputs, and how the Jacobian is made of them."""
    graph, count = simplify(joint.graph), joint.n_outputs + len(joint.positions)
    primal, found, more = graph.outputs[: joint.n_outputs], graph.outputs[joint.n_outputs : count], graph.outputs[count:]
    conditions = dict(zip(joint.conditions, more, strict=False))
    kept: dict[int, int] = {}
    weights = [graph.nodes[k].args[0] if joint.inner and graph.nodes[k].op == "neg" else k for k in found]
    for k in (*weights, *conditions.values()):
        if graph.nodes[k].op != "const":
            kept.setdefault(k, len(kept))
    entries = tuple(
        Entry(*position, kept.get(k), _constant(graph, k, node), kept.get(conditions.get(number, -1)))
        for number, (position, k, node) in enumerate(zip(joint.positions, weights, found, strict=True))
    )
    vertices = more[len(conditions) :]
    graph = compact(graph, (*primal, *kept, *vertices))
    partials = graph.outputs[joint.n_outputs : joint.n_outputs + len(kept)]
    roles: dict[int, list[str]] = {k: [] for k in partials}
    inner = enumerate(map(graph.label, graph.outputs[joint.n_outputs + len(kept) :]))
    heads = [*(f"y{m}" for m in range(joint.n_outputs)), *(f"{label}'" if j in joint.scaled else label for j, label in inner)]
    tails = [*graph.inputs, *heads[joint.n_outputs :]]
    for entry in entries:
        name = f"∂{heads[entry.output]}/∂{tails[entry.input]}"
        if entry.partial is not None:
            roles[partials[entry.partial]].append(name if entry.constant is None else f"-{name}")
        if entry.condition is not None:
            roles[partials[entry.condition]].append(f"{name}?")
    return Targets(graph, roles, joint.inner > 0), entries


def _constant(graph: Graph, weight: int, entry: int) -> float | None:
    """The constant of an entry: its value, or -1 where it is the negative of a weight."""
    if graph.nodes[weight].op == "const":
        return graph.nodes[weight].payload
    return None if weight == entry else -1.0


def _forward(targets: Targets, stored: list[int], outputs: int) -> Graph:
    """Inputs to outputs and stored values; a condition is stored as 1 or 0, because all rows of the buffer have one dtype."""
    given: Graph | GraphBuilder = targets.graph
    results = stored
    if any(_is_condition(targets, k) for k in stored):
        given = builder = GraphBuilder.extending(targets.graph)
        results = [builder.number(k) for k in stored]
    return compact(given, (*targets.graph.outputs[:outputs], *results))


def _prologue(targets: Targets, stored: list[int]) -> Graph:
    """Stored values to partials."""
    graph = targets.graph  # which is simplified
    builder = GraphBuilder(f"{graph.name}_prologue", [f"r{k}" for k in range(len(stored))])
    zero = builder.constant(0.0)
    places = {k: builder.add("ne", row, zero) if _is_condition(targets, k) else row for row, k in enumerate(stored)}
    return compact(builder, builder.rebuild(graph, places, targets.entries))


def _is_condition(targets: Targets, k: int) -> bool:
    return targets.graph.nodes[k].kind == "bool"


def _describe(targets: Targets, k: int, policy: Policy) -> Residual:
    node, name = targets.graph.nodes[k], targets.name(k)
    if isinstance(policy, tuple):
        name = next((asked for asked in node.names if asked in policy), name)
    return Residual(name, node.source, _reason(targets, k, policy, name))


def _reason(targets: Targets, k: int, policy: Policy, name: str) -> str:
    """Why a value is kept, and what else it is called than by its name."""
    node = targets.graph.nodes[k]
    if k in targets.entries:
        entry = ", ".join(targets.entries[k])
        if node.op == "input":
            return f"input, and entry {entry}"
        reason = "weight of the linear map" if targets.is_wide else "entry of the Jacobian"
        return ", ".join([reason, *[other for other in (entry, *node.names) if other != name]])
    if isinstance(policy, tuple) and (name in policy or node.op != "input"):
        return "asked for"
    if node.op == "input":
        return "input of the partials"
    if work.is_expensive(node):
        return f"`{node.op}` is too expensive to repeat"
    return "in place of what it is computed from"
