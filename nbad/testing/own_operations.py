"""The user's own operations on trial: their partials against differences of their values, in double precision.

A smoke test, not more: the 60 digits of the other oracles are not to be had from compiled code.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nbad.graphs.graph import Graph
from nbad.graphs.interpreter import evaluate, evaluate_all
from nbad.graphs.loops import each_once
from nbad.operations.row import Operation
from nbad.operations.table import TABLE
from nbad.testing.comparisons import Findings, Near

ELEMENTS = 64
STEP = 1e-4  # relative to the operand, or absolute for the smallest ones


def own_partials(graph: Graph, rows: Iterable[Any]) -> Findings:
    """Every partial of every operation that is not nbad's, where a graph uses it; in a loop, in its first pass."""
    values = evaluate_all(graph, *(row[:ELEMENTS] for row in rows))
    for node in each_once(graph):
        if node.op == "loop":
            yield from own_partials(node.payload.loop.step, [np.broadcast_to(values[a], ELEMENTS) for a in node.args[1:]])
        recipes = TABLE[node.op].recipes if node.op in TABLE else None
        if recipes:
            operands = [np.array(np.broadcast_to(values[a], ELEMENTS)) for a in node.args]
            yield from _partials_of(TABLE[node.op], recipes(), operands)


def _partials_of(row: Operation, recipes: Iterable[Graph], operands: list[np.ndarray]) -> Findings:
    for by, recipe in enumerate(recipes):
        slope, error = difference(row.numpy, operands, by)
        found = evaluate(recipe, *operands, row.numpy(*operands))[0]
        yield Near(f"partial {by} of `{row.name}`, against differences,", found, slope, error, unknown=np.isnan(slope))


def difference(function: Callable[..., Any], operands: list[np.ndarray], by: int) -> tuple[np.ndarray, np.ndarray]:
    """The central slope along one operand, and how far it may be off; nan where the slopes to the sides differ.

    Examples
    --------
    >>> slope, error = difference(np.sin, [np.array([0.5])], 0)
    >>> bool(abs(slope - np.cos(0.5)) <= error) and bool(error < 1e-5)
    True
    """
    step = STEP * np.maximum(np.abs(operands[by]), STEP)

    def moved(s: float) -> Any:
        return function(*(x + s * step if k == by else x for k, x in enumerate(operands)))

    center, narrow, wide = moved(0), (moved(0.5) - moved(-0.5)) / step, (moved(1) - moved(-1)) / (2 * step)
    error = 1e-6 * np.abs(narrow) + 10 * np.abs(wide - narrow) + 1e-14 * np.abs(center) / step
    bend = np.abs(moved(1) - 2 * center + moved(-1)) / step
    return np.where(bend <= 0.1 * np.abs(narrow) + error, narrow, np.nan), error
