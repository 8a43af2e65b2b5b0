"""Arms that are taken because two values are equal: their derivatives are right for them, at points without a neighbour."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbad.graphs.differentiate import jacobian
from nbad.graphs.edges import Edges
from nbad.graphs.graph import Graph, needed
from nbad.graphs.simplify import SimplifyingBuilder


class EqualArm(NamedTuple):
    """An arm of a select, the one where its condition is `truth`, that needs the values of node `comparison` to be equal."""

    choice: int
    truth: bool
    comparison: int


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
    ([EqualArm(choice=4, truth=True, comparison=2)], [])
    """
    if not any(node.op == "select" for node in graph.nodes):
        return []
    active = Edges(graph, SimplifyingBuilder.extending(graph), frozenset(wrt), jacobian).active
    reasons = _reasons(graph, active)
    choices = [k for k in needed(graph, graph.outputs) if graph.nodes[k].op == "select" and k in active]
    found = [(k, truth, reasons.get((graph.nodes[k].args[0], truth))) for k in choices for truth in (True, False)]
    return [EqualArm(k, truth, comparison) for k, truth, comparison in found if comparison is not None]


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


def takers(graph: Graph, arm: EqualArm, values: Sequence[Any]) -> Any:
    """Which elements take an arm, and use it, from the values of all nodes."""
    used: dict[int, Any] = dict.fromkeys(graph.outputs, True)
    for k in range(max(graph.outputs), arm.choice, -1):
        if k not in used:
            continue
        node = graph.nodes[k]
        condition = values[node.args[0]] if node.op == "select" else None
        uses = (True,) * len(node.args) if condition is None else (True, condition, np.logical_not(condition))
        for a, use in zip(node.args, uses, strict=True):
            used[a] = np.logical_or(used.get(a, False), np.logical_and(used[k], use))
    chosen = values[graph.nodes[arm.choice].args[0]]
    return np.logical_and(used.get(arm.choice, False), chosen if arm.truth else np.logical_not(chosen))
