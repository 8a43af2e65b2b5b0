"""Independent oracles for one graph: the plain function, 60-digit arithmetic, and a bound on what rounding can do.

None of them runs compiled code, and the 60 digits do without symbolic derivatives: they difference the primal itself.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nbad.derivatives.edges import EXTREMA
from nbad.graphs.graph import Graph, Node
from nbad.graphs.loops import Loop
from nbad.graphs.structures import outputs_of
from nbad.operations.row import BOOL
from nbad.operations.table import TABLE, row_of

SCALED = ("sinc", "jn_pi", "ndtr", "log_ndtr", "mills")  # they multiply the operand by a constant, and round it
ULPS = {"libm": 4.0, "expansion": 8.0, "instruction": 1.0}


@dataclass(frozen=True)
class Bounded:
    """A value of the graph, elementwise, and how far it may be from the exact one.

    For a bool `error` is a mask: the comparison may go either way.
    """

    value: Any
    error: Any


def undecorated(function: Callable[..., Any], columns: Sequence[Any]) -> np.ndarray:
    """Run a plain Python function element by element.

    Parameters
    ----------
    function : callable
    columns : sequence of 1-d arrays
        One per argument, all of one length.

    Returns
    -------
    numpy.ndarray, shape (outputs, elements)
        nan where the function raised, as `math.log(-1.0)` does.

    Examples
    --------
    >>> undecorated(math.log, [np.array([1.0, -1.0])])
    array([[ 0., nan]])
    """
    with np.errstate(all="ignore"):
        rows = [_call(function, point) for point in zip(*columns, strict=True)]
    width = max((len(row) for row in rows), default=0)
    return np.array([row or (math.nan,) * width for row in rows], float).reshape(len(rows), -1).T


def _call(function: Callable[..., Any], point: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        result = function(*point)
    except (ArithmeticError, ValueError):
        return ()
    return tuple(value for leaf in outputs_of(result) for value in np.ravel(leaf))


def bounded(graph: Graph, inputs: Sequence[Any], dtype: DTypeLike = np.float64) -> list[Bounded]:
    """Running error analysis: every output with a bound on its rounding error in `dtype`.

    Each operation is repeated with each operand moved by that operand's own error, so that cancellation and ill-conditioned
    functions widen the bound by as much as they lose.

    Parameters
    ----------
    graph : Graph
    inputs : sequence of arrays
        One per scalar input.
    dtype : dtype
        The precision whose rounding is bounded; the values themselves are computed in float64.

    Returns
    -------
    list of Bounded
        One per output. An error of nan means that the bound is lost, at a pole for instance.

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> builder = GraphBuilder("f", ["x"])
    >>> graph = builder.build([builder.add("sub", builder.add("exp", 0), builder.constant(1.0))])
    >>> bool(bounded(graph, [1e-12])[0].error > 1e-4 * 1e-12)
    True
    """
    arrays = [np.asarray(x, np.float64) for x in inputs]
    with np.errstate(all="ignore"):
        values = _bounded_values(graph, [Bounded(a, np.zeros(())) for a in arrays], np.finfo(dtype))
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    return [Bounded(np.broadcast_to(values[k].value, shape), np.broadcast_to(values[k].error, shape)) for k in graph.outputs]


def _bounded_values(graph: Graph, inputs: Sequence[Bounded], info: Any) -> list[Bounded]:
    values: list[Bounded] = []
    loops: dict[Any, list[Bounded]] = {}
    for node in graph.nodes:
        operands = [values[a] for a in node.args]
        if node.op == "input":
            values.append(inputs[node.payload])
        elif node.op == "const":
            values.append(_constant(node, info))
        elif node.op == "loop":
            key = node.args, node.payload.loop
            loops[key] = loops.get(key) or _repeated(node.payload.loop, operands, info)
            values.append(loops[key][node.payload.place])
        else:
            values.append(_apply(node, operands, info))
    return values


def _repeated(loop: Loop, operands: Sequence[Bounded], info: Any) -> list[Bounded]:
    """The states of a loop at its end. Where one more pass may or may not be done, what that changes is an error."""
    active, states, captured = operands[0], operands[1 : loop.states + 1], operands[loop.states + 1 :]
    for passes in range(loop.max_passes + 1):
        values = _bounded_values(loop.step, [*states, *captured], info)
        goes_on, *following = (values[k] for k in loop.step.outputs)
        moves = Bounded(np.logical_and(active.value, goes_on.value), np.logical_or(active.error, goes_on.error))
        if passes == loop.max_passes or not (moves.value.any() or (passes == 0 and moves.error.any())):
            break
        states = [
            Bounded(np.where(moves.value, new.value, old.value), _select_error(moves, new, old))
            for new, old in zip(following, states, strict=True)
        ]
    return [*states, Bounded(moves.value.astype(float), np.where(moves.error, 1.0, 0.0))]


def _constant(node: Node, info: Any) -> Bounded:
    if node.kind == BOOL:
        return Bounded(np.bool_(node.payload), np.zeros((), bool))
    return Bounded(np.float64(node.payload), np.abs(info.dtype.type(node.payload) - np.float64(node.payload)))


def _apply(node: Node, operands: list[Bounded], info: Any) -> Bounded:
    payload = () if node.payload is None else (node.payload,)

    def operation(*args: Any) -> Any:
        return row_of(node.op, node.payload).numpy(*args, *payload)

    value = operation(*(o.value for o in operands))
    if node.kind == BOOL:
        return Bounded(value, _uncertain(node, operands))
    if node.op == "select":
        return Bounded(value, _select_error(*operands))
    if node.op in SCALED:
        operands = [Bounded(o.value, o.error + info.eps * np.abs(o.value)) for o in operands]
    moved = sum((_moved(operation, operands, k, value) for k in range(len(operands))), np.zeros(()))
    if node.op in (*EXTREMA, "tied"):  # one of the operands as it is: which of them are equal to it is certain
        return Bounded(value, moved)
    size = np.abs(value) + (node.op == "lgamma")  # Python's has no digits near its zeros
    rounding = _ulps(node) * info.eps * size + info.tiny
    return Bounded(value, np.where(np.abs(value) > info.max, np.nan, moved + rounding))


def _moved(operation: Callable[..., Any], operands: list[Bounded], k: int, value: Any) -> Any:
    """How far the value goes when operand `k` moves by its error, either way; a step out of the domain does not count."""

    def step(error: Any) -> Any:
        return np.abs(operation(*(o.value + error if i == k else o.value for i, o in enumerate(operands))) - value)

    return np.fmax(step(operands[k].error), step(-operands[k].error))


def _uncertain(node: Node, operands: list[Bounded]) -> Any:
    if TABLE[node.op].operands[0] == BOOL:
        return np.logical_or.reduce(np.broadcast_arrays(*(o.error for o in operands)))
    room = operands[0].error + operands[1].error
    return (np.abs(operands[0].value - operands[1].value) <= room) & (room > 0)


def _select_error(condition: Bounded, chosen: Bounded, other: Bounded) -> np.ndarray:
    either = np.abs(chosen.value - other.value) + np.fmax(chosen.error, other.error)
    return np.where(condition.error, either, np.where(condition.value, chosen.error, other.error))


def _ulps(node: Node) -> float:
    row = row_of(node.op, node.payload)
    if node.op in ("powi", "half_power"):
        return max(abs(node.payload), 1.0)
    return ULPS["libm" if row.libm else "expansion" if row.expansion else "instruction"]
