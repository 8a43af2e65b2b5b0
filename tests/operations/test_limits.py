"""Derivatives where a function ends, at infinity, and where a square leaves the range: the limits, from closed forms."""

import math

import mpmath
import numpy as np
import pytest

from nbad.graphs.differentiate import jacobian
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.graphs.simplify import simplify

INF = math.inf
in_both_modes = pytest.mark.parametrize("mode", ["reverse", "forward"])


def derivatives(operation, order, point, mode):
    """All partials of one order, those that are zero by structure too, in C order."""
    arity = len(point)
    builder = GraphBuilder(operation, "xyz"[:arity])
    graph = builder.build([builder.add(operation, *range(arity))])
    for _ in range(order):
        joint = jacobian(graph, tuple(range(arity)), mode)
        builder = GraphBuilder.extending(joint.graph)
        entries = dict(zip(joint.positions, joint.graph.outputs[joint.n_outputs :], strict=True))
        zero = builder.constant(0.0)
        graph = simplify(builder.build([entries.get((m, n), zero) for m in range(len(graph.outputs)) for n in range(arity)]))
    return [float(value) for value in evaluate(graph, *point)]


@in_both_modes
@pytest.mark.parametrize(
    ("operation", "point", "expected"),
    [
        ("hypot", (INF, 1.0), [1, 0]),
        ("hypot", (-INF, 1.0), [-1, 0]),
        ("hypot", (1.0, INF), [0, 1]),
        ("hypot", (INF, INF), [math.nan, math.nan]),
        ("atan2", (1.0, INF), [0, 0]),
        ("atan2", (-INF, 1.0), [0, 0]),
    ],
)
def test_first_order_at_infinity(operation, point, expected, mode):
    np.testing.assert_array_equal(derivatives(operation, 1, point, mode), expected)


@in_both_modes
@pytest.mark.parametrize(
    ("operation", "x", "expected"),
    [
        ("acosh", 1.0, -INF),
        ("sqrt", 0.0, -INF),
        ("cbrt", 0.0, -INF),
        ("cbrt", -0.0, INF),
        ("log_ndtr", -INF, -1.0),
        *((name, INF, 0.0) for name in ("acosh", "sqrt")),
        *((name, x, 0.0) for name in ("erf", "erfc", "ndtr", "atan", "cbrt", "asinh", "tanh") for x in (INF, -INF)),
        ("log_ndtr", INF, 0.0),
    ],
)
def test_second_order_where_a_function_ends(operation, x, expected, mode):
    assert derivatives(operation, 2, (x,), mode) == [expected]


@in_both_modes
@pytest.mark.parametrize("operation", ["hypot", "atan2"])
@pytest.mark.parametrize("point", [(INF, 1.0), (-INF, 1.0), (1.0, INF), (1.0, -INF)])
def test_second_order_of_two_operands_at_infinity(operation, point, mode):
    assert derivatives(operation, 2, point, mode) == [0.0] * 4


@in_both_modes
@pytest.mark.parametrize("x", [-1e300, -1e160, -1e100, -1e79, 1e50, 1e79, 1e102])
def test_squares_in_the_second_order_of_atan_stay_in_range(x, mode):
    with mpmath.workdps(400):
        true = float(-2 * mpmath.mpf(x) / (1 + mpmath.mpf(x) ** 2) ** 2)
    np.testing.assert_allclose(derivatives("atan", 2, (x,), mode), [true], rtol=1e-14)


@in_both_modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [9, 16, 18, 30, 37, 154, 200, 300])
def test_log_ndtr_is_a_parabola_far_left(exponent, dtype, mode):
    """Its second derivative is -1 + 1/x**2, but for higher powers."""
    if exponent < np.log10(np.finfo(dtype).max):
        x = dtype(-(10.0**exponent))
        np.testing.assert_allclose(derivatives("log_ndtr", 2, (x,), mode), [-1.0], rtol=8 * np.finfo(dtype).eps)
