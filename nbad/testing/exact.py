"""The graph in 60 digits, by mpmath: values, and partials in which no symbolic derivative is involved."""

import math
import operator
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from nbad.derivatives.implicit import Equations
from nbad.graphs.graph import Graph, Node
from nbad.graphs.loops import Loop, each_once
from nbad.operations.row import BOOL
from nbad.operations.table import TABLE

DIGITS = 60
STEP_DIGITS = 20  # of a relative step: a central difference is off by its square, and 60 digits leave 40 after the division


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
    import mpmath

    values: list = []
    loops: dict[Any, list[Any]] = {}
    for k, node in enumerate(graph.nodes):
        operands = [values[a] for a in node.args]
        if node.op == "loop":
            key = node.args, node.payload.loop
            loops[key] = loops.get(key) or _exact_states(node.payload.loop, operands)
            values.append(loops[key][node.payload.place])
            continue
        if node.op == "tied":
            values.append(operands[0])
            continue
        if node.op == "implicit":
            values.append(_exact_roots(node.payload.equations, operands)[node.payload.place])
            continue
        frozen = center if node.op == "stop_gradient" else None
        values.append(frozen[k] if frozen else _exact_node(node, operands, point))
        if center and _is_constant(node.op) and values[k] != center[k]:
            values[k] = mpmath.nan  # there are jumps between, many of which look like a slope
    return values


def _is_constant(op: str) -> bool:
    """Whether an operation of numbers has no slope but jumps, as rounding has."""
    return op in TABLE and TABLE[op].kind != BOOL and {*(TABLE[op].partials or "?")} == {"0"}


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
