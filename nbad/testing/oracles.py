"""Independent oracles for one graph: the plain function, 60-digit arithmetic, and a bound on what rounding can do.

None of them runs compiled code, and the 60 digits do without symbolic derivatives: they difference the primal itself.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nbad.graphs.graph import Graph, Node
from nbad.graphs.kernels import outputs_of
from nbad.operations.row import BOOL
from nbad.operations.table import TABLE

DIGITS = 60
STEP_DIGITS = 20  # of a relative step: a central difference is off by its square, and 60 digits leave 40 after the division
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
    values: list[Bounded] = []
    info = np.finfo(dtype)
    arrays = [np.asarray(x, np.float64) for x in inputs]
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            operands = [values[a] for a in node.args]
            values.append(_leaf(node, arrays, info) if node.op in ("input", "const") else _apply(node, operands, info))
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    return [Bounded(np.broadcast_to(values[k].value, shape), np.broadcast_to(values[k].error, shape)) for k in graph.outputs]


def _leaf(node: Node, arrays: list[np.ndarray], info: Any) -> Bounded:
    if node.op == "input":
        return Bounded(arrays[node.payload], np.zeros(()))
    if node.kind == BOOL:
        return Bounded(np.bool_(node.payload), np.zeros((), bool))
    return Bounded(np.float64(node.payload), np.abs(info.dtype.type(node.payload) - np.float64(node.payload)))


def _apply(node: Node, operands: list[Bounded], info: Any) -> Bounded:
    payload = () if node.payload is None else (node.payload,)

    def operation(*args: Any) -> Any:
        return TABLE[node.op].numpy(*args, *payload)

    value = operation(*(o.value for o in operands))
    if node.kind == BOOL:
        return Bounded(value, _uncertain(node, operands))
    if node.op == "select":
        return Bounded(value, _select_error(*operands))
    if node.op in SCALED:
        operands = [Bounded(o.value, o.error + info.eps * np.abs(o.value)) for o in operands]
    moved = sum((_moved(operation, operands, k, value) for k in range(len(operands))), np.zeros(()))
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
    row = TABLE[node.op]
    if node.op in ("powi", "half_power"):
        return max(abs(node.payload), 1.0)
    return ULPS["libm" if row.libm else "expansion" if row.expansion else "instruction"]


def exact(graph: Graph, point: Sequence[Any], digits: int = DIGITS) -> list[Any]:
    """Run the graph in 60 digits at one point.

    Parameters
    ----------
    graph : Graph
    point : sequence of numbers
    digits : int

    Returns
    -------
    list of mpmath.mpf
        nan where the value is not a finite real number.
    """
    import mpmath

    with mpmath.workdps(digits):
        values = _exact_values(graph, point)
        return [mpmath.mpf(values[k]) for k in graph.outputs]


def _exact_values(graph: Graph, point: Sequence[Any], center: list[Any] | None = None) -> list[Any]:
    """The value of every node; what no derivative is taken of has its value at the center."""
    values: list = []
    for k, node in enumerate(graph.nodes):
        operands = [values[a] for a in node.args]
        frozen = center if node.op == "stop_gradient" else None
        values.append(frozen[k] if frozen else _exact_node(node, operands, point))
    return values


def _exact_node(node: Node, operands: list[Any], point: Sequence[Any]) -> Any:
    import mpmath

    if node.op == "input":
        x = point[node.payload]
        return x if isinstance(x, mpmath.mpf) else mpmath.mpf(float(x))
    if node.op == "const":
        return node.payload if node.kind == BOOL else mpmath.mpf(node.payload)
    if node.kind == BOOL:
        return bool(TABLE[node.op].numpy(*operands))
    if node.op == "select":
        return operands[1] if operands[0] else operands[2]
    if TABLE[node.op].expression is None:  # a user's own operation
        return mpmath.nan
    try:
        value = eval(_code(node.op), _names(), dict(zip("xyz", operands, strict=False), n=node.payload))
    except (ArithmeticError, ValueError):
        return mpmath.nan
    return value if mpmath.isfinite(value) and isinstance(value, mpmath.mpf) else mpmath.nan


@cache
def _code(op: str) -> Any:
    return compile(str(TABLE[op].expression), op, "eval")


@cache
def _names() -> dict[str, Any]:
    """What the expressions of the primitive table call, in mpmath."""
    import mpmath

    def cbrt(x: Any) -> Any:
        return mpmath.sign(x) * mpmath.cbrt(abs(x))

    def choose(*cases: Any) -> Any:
        return mpmath.mpf(next(value for value, condition in cases if condition))

    def jn(n: int, x: Any) -> Any:
        return mpmath.sqrt(mpmath.pi / (2 * x)) * mpmath.besselj(n + 0.5, x)

    own = {"cbrt": cbrt, "Abs": abs, "Max": max, "Min": min, "ceiling": mpmath.ceil}
    own |= {"Piecewise": choose, "Eq": operator.eq, "jn": jn}
    return {name: getattr(mpmath, name) for name in dir(mpmath) if not name.startswith("_")} | own


def exact_jacobian(graph: Graph, point: Sequence[Any], wrt: Sequence[int]) -> np.ndarray:
    """Partials by central differences in 60 digits: no symbolic derivative is involved.

    Parameters
    ----------
    graph : Graph
    point : sequence of numbers
    wrt : sequence of int
        Input slots.

    Returns
    -------
    numpy.ndarray, shape (outputs, len(wrt))
        nan at kinks, jumps and poles, and outside the domain.
    """
    columns = [_exact_column(graph, point, slot) for slot in wrt]
    return np.array(columns, float).reshape(len(columns), len(graph.outputs)).T


def _exact_column(graph: Graph, point: Sequence[Any], slot: int) -> list[float]:
    """Slopes along one input; its size sets the step, and the digits that the step needs."""
    import mpmath

    size = abs(float(point[slot])) or 10.0**-10
    digits = DIGITS + max(0, -math.floor(math.log10(size))) if math.isfinite(size) else DIGITS
    with mpmath.workdps(digits):
        step = mpmath.mpf(size) / 10**STEP_DIGITS
        center = _exact_values(graph, _shifted(point, slot, 0))
        wide, may_jump = _slopes(graph, point, slot, center, step)
        narrow, _ = _slopes(graph, point, slot, center, step / 2) if may_jump else (wide, False)
        return [a if abs(a - b) <= 1e-6 * abs(a) + 1e-15 else math.nan for a, b in zip(wide, narrow, strict=True)]


def _slopes(graph: Graph, point: Sequence[Any], slot: int, center: list[Any], step: Any) -> tuple[list[float], bool]:
    """The slope of every output for one step, and whether any might be a jump, whose slope depends on the step."""
    import mpmath

    values = center, *(_exact_values(graph, _shifted(point, slot, s), center) for s in (-step, step))
    triples = [[mpmath.mpf(v[k]) for v in values] for k in graph.outputs]
    may_jump = any(abs(ahead - behind) > 1e-8 * (abs(ahead) + abs(behind)) for _, behind, ahead in triples)
    return [_slope(behind, middle, ahead, step) for middle, behind, ahead in triples], may_jump


def _shifted(point: Sequence[Any], slot: int, step: Any) -> list[Any]:
    import mpmath

    return [mpmath.mpf(float(x)) + step if k == slot else x for k, x in enumerate(point)]


def _slope(behind: Any, center: Any, ahead: Any, step: Any) -> float:
    """The central slope, or nan where the slopes to the left and to the right differ."""
    left, right = (center - behind) / step, (ahead - center) / step
    return float((left + right) / 2) if abs(left - right) <= 1e-6 * (abs(left) + abs(right)) + 1e-15 else math.nan


def difference_error(slopes: np.ndarray) -> float:
    """How far differences may be off where the slope itself is 0: the square of the relative step, of the largest slope."""
    finite = np.abs(slopes[np.isfinite(slopes)])
    return 10.0 ** (-1.5 * STEP_DIGITS) * max(finite.max(initial=0.0), 1.0)
