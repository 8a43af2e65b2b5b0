"""Arms that are taken because two values are equal: their derivatives are right for them, at points without a neighbour."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from nbad.derivatives.differentiate import jacobian
from nbad.derivatives.edges import Edges
from nbad.graphs.failures import uses_of
from nbad.graphs.graph import Graph, needed
from nbad.graphs.loops import Loop
from nbad.graphs.simplify import SimplifyingBuilder


class EqualArm(NamedTuple):
    """An arm of a select, the one where its condition is `truth`, that needs the values of node `comparison` to be equal.

    Where the select is one of the step of a loop, `choice` is a node of the loop, and `inside` what it is in the step.
    """

    choice: int
    truth: bool
    comparison: int
    inside: "EqualArm | None" = None


def equal_arms(graph: Graph, wrt: Iterable[int]) -> list[EqualArm]:
    """The arms whose conditions hold only where values are equal that depend on some inputs, at choices that do so too.

    Parameters
    ----------
    graph : Graph
    wrt : iterable of int
        Input slots. What is flat in them, as a rounded value, does not depend on them.

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> b = GraphBuilder("f", ["a", "b"])
    >>> graph = b.build([b.add("select", b.add("eq", 0, 1), 0, b.add("mul", 0, 1))])
    >>> equal_arms(graph, (0, 1)), equal_arms(graph, ())
    ([EqualArm(choice=4, truth=True, comparison=2, inside=None)], [])
    """
    if not any(node.op in ("select", "loop") for node in graph.nodes):
        return []
    edges = Edges(graph, SimplifyingBuilder.extending(graph), frozenset(wrt), jacobian)
    reasons = _reasons(graph, edges.active)
    choices = [k for k in needed(graph, graph.outputs) if graph.nodes[k].op == "select" and k in edges.active]
    found = [(k, truth, reasons.get((graph.nodes[k].args[0], truth))) for k in choices for truth in (True, False)]
    arms = [EqualArm(k, truth, comparison) for k, truth, comparison in found if comparison is not None]
    return [*arms, *_arms_of_steps(graph, edges)]


def line_of(graph: Graph, arm: EqualArm) -> str | None:
    """The line of the comparison."""
    node = graph.nodes[arm.choice]
    return graph.nodes[arm.comparison].source if arm.inside is None else line_of(node.payload.loop.step, arm.inside)


def _arms_of_steps(graph: Graph, edges: Edges) -> Iterator[EqualArm]:
    """Those of steps of loops, which follow from what the states and the captured values depend on."""
    seen = set()
    for k in needed(graph, graph.outputs):
        node = graph.nodes[k]
        key = node.args, node.payload.loop if node.op == "loop" else None
        if key not in edges.loops or key in seen:
            continue
        seen.add(key)
        loop, (tangents, _) = node.payload.loop, edges.loops[key]
        captured = (s for s, a in enumerate(node.args[1:]) if s >= loop.states and a in edges.active)
        for arm in equal_arms(loop.step, {s for s, _ in tangents.places} | set(captured)):
            yield EqualArm(k, True, k, arm)


def _reasons(graph: Graph, active: set[int]) -> dict[tuple[int, bool], int]:
    """Conditions and outcomes that need a comparison to find its operands equal, with that comparison."""
    found: dict[tuple[int, bool], int] = {}
    for k, node in enumerate(graph.nodes):
        for truth in (True, False):
            if node.op == ("eq" if truth else "ne") and not active.isdisjoint(node.args):
                found[k, truth] = k
            elif node.op in ("and", "or", "not"):
                below = [found.get((a, truth ^ (node.op == "not"))) for a in node.args]
                reasons = [reason for reason in below if reason is not None]
                # one of the operands is reason enough where all must be so
                if reasons and (len(reasons) == len(below) or (node.op == "and") == truth):
                    found[k, truth] = reasons[0]
    return found


def takers(graph: Graph, arms: Sequence[EqualArm]) -> Graph:
    """The graph of which elements take each of some arms, and use it: 1 for these, 0 for others."""
    builder = SimplifyingBuilder.extending(graph)
    uses, one, zero = uses_of(builder, graph), builder.constant(1.0), builder.constant(0.0)
    return builder.build([builder.add("select", _taken(builder, graph, uses, arm), one, zero) for arm in arms])


def _taken(builder: SimplifyingBuilder, graph: Graph, uses: dict[int, int], arm: EqualArm) -> int:
    """The condition under which an arm is taken and used."""
    node = graph.nodes[arm.choice]
    if arm.inside is None:
        use, holds = uses.get(arm.choice), node.args[0] if arm.truth else builder.add("not", node.args[0])
    else:
        loop, zero = node.payload.loop, builder.constant(0.0)
        key, nodes = (node.args, loop), enumerate(graph.nodes)
        use = next(uses.get(k) for k, n in nodes if n.op == "loop" and (n.args, n.payload.loop) == key)  # its nodes share that
        given = node.args[0], [*node.args[1 : loop.states + 1], zero], node.args[loop.states + 1 :]
        holds = builder.add("ne", builder.loop(*given, _noting(loop, arm.inside))[loop.states], zero)
    return builder.constant(False) if use is None else builder.add("and", use, holds)


def _noting(loop: Loop, arm: EqualArm) -> Loop:
    """The same loop with one more state: 1 once an arm was taken and used in a pass, 0 until then."""
    step, states = loop.step, loop.states
    builder = SimplifyingBuilder(step.name, [*step.inputs[:states], "taken", *step.inputs[states:]])
    taken = builder.splice(takers(step, [arm]), [*range(states), *range(states + 1, len(builder.inputs))])
    outputs = builder.splice(step, [*range(states), *range(states + 1, len(builder.inputs))])
    outputs.append(builder.add("select", builder.add("ne", *taken, builder.constant(0.0)), builder.constant(1.0), states))
    return replace(loop, step=builder.build(outputs), states=states + 1)
