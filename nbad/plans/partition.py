"""What the forward kernel stores, and what the reverse kernel computes from it.

The residuals are the values that a policy keeps. From them the prologue computes the partials, the nonconstant entries of the
Jacobian, once for each tile; where the residuals are these there is no prologue. From partials and seeds the reverse kernel
computes the cotangents: it only multiplies and adds.
"""

from functools import partial

from nbad.derivatives.differentiate import JointGraph
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.simplify import compact, simplify
from nbad.plans import cost, work
from nbad.plans.plan import Entry, Plan, Policy, Residual
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
    split = partial(_split, targets, entries, joint.n_outputs, wrt)
    return cost.best([split(candidate) for candidate in POLICIES], seeds) if policy == "auto" else split(policy)


def _split(targets: Targets, entries: tuple[Entry, ...], outputs: int, wrt: tuple[int, ...], policy: Policy) -> Plan:
    """The plan of one policy."""
    stored = stored_values(targets, policy)
    prologue = None if stored == list(targets.entries) else _prologue(targets, stored)
    residuals = tuple(_describe(targets, k, policy) for k in stored)
    return Plan(policy, wrt, outputs, _forward(targets, stored, outputs), residuals, prologue, entries)


def _targets(joint: JointGraph) -> tuple[Targets, tuple[Entry, ...]]:
    """The joint graph with each nonconstant entry once among its outputs, and how the Jacobian is made of them."""
    graph = simplify(joint.graph)
    primal, found = graph.outputs[: joint.n_outputs], graph.outputs[joint.n_outputs :]
    kept = list(dict.fromkeys(k for k in found if graph.nodes[k].op != "const"))
    entries = tuple(
        Entry(m, n, kept.index(k)) if k in kept else Entry(m, n, None, graph.nodes[k].payload)
        for (m, n), k in zip(joint.positions, found, strict=True)
    )
    graph = compact(graph, (*primal, *kept))
    partials = graph.outputs[joint.n_outputs :]
    roles: dict[int, list[str]] = {k: [] for k in partials}
    for entry in entries:
        if entry.partial is not None:
            roles[partials[entry.partial]].append(f"∂y{entry.output}/∂{graph.inputs[entry.input]}")
    return Targets(graph, roles), entries


def _forward(targets: Targets, stored: list[int], outputs: int) -> Graph:
    """Inputs to outputs and stored values; a condition is stored as 1 or 0, because all rows of the buffer have one dtype."""
    given: Graph | GraphBuilder = targets.graph
    results = stored
    if any(_is_condition(targets, k) for k in stored):
        given = builder = GraphBuilder.extending(targets.graph)
        one, zero = builder.constant(1.0), builder.constant(0.0)
        results = [builder.add("select", k, one, zero) if _is_condition(targets, k) else k for k in stored]
    return compact(given, (*targets.graph.outputs[:outputs], *results))


def _prologue(targets: Targets, stored: list[int]) -> Graph:
    """Stored values to partials."""
    graph = targets.graph
    builder = GraphBuilder(f"{graph.name}_prologue", [f"r{k}" for k in range(len(stored))])
    zero = builder.constant(0.0)
    places = {k: builder.add("ne", row, zero) if _is_condition(targets, k) else row for row, k in enumerate(stored)}
    return simplify(builder.build(builder.rebuild(graph, places, targets.entries)))


def _is_condition(targets: Targets, k: int) -> bool:
    return targets.graph.nodes[k].kind == "bool"


def _describe(targets: Targets, k: int, policy: Policy) -> Residual:
    node = targets.graph.nodes[k]
    return Residual(targets.name(k), node.source, _reason(targets, k, policy))


def _reason(targets: Targets, k: int, policy: Policy) -> str:
    """Why a value is kept."""
    node = targets.graph.nodes[k]
    if k in targets.entries:
        return f"input, and entry {', '.join(targets.entries[k])}" if node.op == "input" else "entry of the Jacobian"
    if isinstance(policy, tuple) and (targets.name(k) in policy or node.op != "input"):
        return "asked for"
    if node.op == "input":
        return "input of the partials"
    if work.is_expensive(node):
        return f"`{node.op}` is too expensive to repeat"
    return "in place of what it is computed from"
