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
from nbad.graphs.implicit import Equations
from nbad.graphs.kernels import outputs_of
from nbad.graphs.loops import Loop, each_once
from nbad.operations.row import BOOL
from nbad.operations.table import TABLE, row_of

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
    loops: dict[Any, list[Any]] = {}
    for k, node in enumerate(graph.nodes):
        operands = [values[a] for a in node.args]
        if node.op == "loop":
            key = node.args, node.payload.loop
            loops[key] = loops.get(key) or _exact_states(node.payload.loop, operands)
            values.append(loops[key][node.payload.place])
            continue
        if node.op == "implicit":
            values.append(_exact_roots(node.payload.equations, operands)[node.payload.place])
            continue
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


def _exact_states(loop: Loop, operands: Sequence[Any]) -> list[Any]:
    """The states of a loop at its end; nan where what no derivative is taken of is computed anew in each pass."""
    import mpmath

    if any(node.op == "stop_gradient" for node in each_once(loop.step)):
        return [mpmath.nan] * (loop.states + 1)
    active, states, captured = operands[0], operands[1 : loop.states + 1], operands[loop.states + 1 :]
    for passes in range(loop.max_passes + 1):
        values = _exact_values(loop.step, [*states, *captured])
        goes_on, *following = (values[k] for k in loop.step.outputs)
        if passes == loop.max_passes or not (active and goes_on):
            break
        states = following
    return [*states, mpmath.mpf(bool(active and goes_on))]


def _exact_roots(equations: Equations, operands: Sequence[Any]) -> list[Any]:
    """The unknowns to all digits, beginning with those that were found; nan where there are none."""
    import mpmath

    unknowns, parameters = operands[: equations.unknowns], operands[equations.unknowns :]

    def residual(*at: Any) -> Any:
        values = _exact_values(equations.residual, [*at, *parameters])
        found = [values[k] for k in equations.residual.outputs]
        return found if len(found) > 1 else found[0]

    try:
        roots = mpmath.findroot(residual, unknowns if len(unknowns) > 1 else unknowns[0])
    except (ArithmeticError, ValueError):
        return [mpmath.nan] * len(unknowns)
    return list(roots) if len(unknowns) > 1 else [roots]


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

    def lower_gamma(a: Any, x: Any) -> Any:
        return mpmath.gammainc(a, 0, x)

    def jn(n: int, x: Any) -> Any:
        return mpmath.sqrt(mpmath.pi / (2 * x)) * mpmath.besselj(n + 0.5, x)

    own = {"cbrt": cbrt, "Abs": abs, "Max": max, "Min": min, "ceiling": mpmath.ceil}
    own |= {"Piecewise": choose, "Eq": operator.eq, "jn": jn, "besselk": _besselk, "bessely": _bessely}
    own |= {"Ei": mpmath.ei, "LambertW": mpmath.lambertw, "elliptic_k": mpmath.ellipk, "elliptic_e": mpmath.ellipe}
    own |= {"lowergamma": lower_gamma, "uppergamma": lambda a, x: mpmath.gamma(a) - lower_gamma(a, x)}
    own |= {"betainc_regularized": lambda a, b, x, y: mpmath.betainc(a, b, x, y, regularized=True)}
    return {name: getattr(mpmath, name) for name in dir(mpmath) if not name.startswith("_")} | own


def _besselk(order: Any, x: Any) -> Any:
    """By the trapezoidal rule, whose digits double with the points; mpmath takes seconds for whole orders."""
    import mpmath

    if x <= 0:
        return mpmath.nan
    nats = mpmath.mp.dps * mpmath.log(10) + 10
    step = min(9 / nats, 5 / mpmath.sqrt(2 * nats * x))
    last = mpmath.acosh(1 + (nats + abs(order) * mpmath.log(2 + nats / x)) / x)
    terms = (mpmath.exp(-x * mpmath.cosh(t)) * mpmath.cosh(order * t) for t in mpmath.arange(step, last, step))
    return step * (mpmath.exp(-x) / 2 + mpmath.fsum(terms))


def _bessely(order: Any, x: Any) -> Any:
    """Whole orders from 0 on by the series of the first, the Wronskian of the second, and the recurrence upwards."""
    import mpmath

    if order != mpmath.floor(order) or order < 0 or x <= 0:
        return mpmath.bessely(order, x) if x > 0 else mpmath.nan
    with mpmath.extradps(int(x) + 10):
        quarter, term, harmonic, total = x * x / 4, mpmath.mpf(1), mpmath.mpf(0), mpmath.mpf(0)
        k = 0
        while abs(term) > mpmath.eps * abs(total) or k <= x:
            k += 1
            harmonic, term = harmonic + mpmath.mpf(1) / k, -term * quarter / k**2
            total -= harmonic * term
        first = 2 / mpmath.pi * ((mpmath.log(x / 2) + mpmath.euler) * mpmath.besselj(0, x) + total)
        second = (mpmath.besselj(1, x) * first - 2 / (mpmath.pi * x)) / mpmath.besselj(0, x)
        for n in range(1, int(order) + 1):
            first, second = second, 2 * n / x * second - first
        return +first


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
