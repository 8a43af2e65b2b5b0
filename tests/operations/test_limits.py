"""Derivatives where a function ends, at infinity, and where a square leaves the range: the limits, from closed forms."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import nbad
from nbad.derivatives.differentiate import jacobian
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


@in_both_modes
@pytest.mark.parametrize("operation", ["logaddexp", "logaddexp2"])
@pytest.mark.parametrize("x", [INF, -INF])
def test_equal_infinities_share_a_logarithm_of_a_sum(operation, x, mode):
    assert derivatives(operation, 1, (x, x), mode) == [0.5, 0.5]
    assert derivatives(operation, 2, (x, x), mode) == [0.0] * 4
    assert derivatives(operation, 1, (2.0, 2.0), mode) == [0.5, 0.5]
    factor = 1.0 if operation == "logaddexp" else math.log(2.0)
    np.testing.assert_allclose(derivatives(operation, 2, (2.0, 2.0), mode), np.array([1, -1, -1, 1]) * factor / 4)


def test_folds_of_logarithms_start_from_minus_infinity():
    @nbad.kernel
    def total(x, y):
        result = -math.inf
        for part in (x, y):
            result = np.logaddexp(result, part)
        return result

    x, y = np.array([0.3, -INF]), np.array([1.2, -INF])
    first, second = nbad.jacobian(total)(x, y), nbad.hessian(total)(x, y)
    p = 1 / (1 + math.exp(0.9))
    np.testing.assert_allclose(first, [[[p, 1 - p]], [[0.25, 0.5]]])  # the start takes part in the tie
    np.testing.assert_allclose(second, np.array([p * (1 - p) * np.array([[1, -1], [-1, 1]]), np.zeros((2, 2))]), atol=1e-16)


@in_both_modes
@pytest.mark.parametrize(("dtype", "x"), [(np.float64, 1e-170), (np.float64, 1e-300), (np.float32, 1e-25), (np.float32, 1e-37)])
def test_second_order_of_xlogy_far_down(dtype, x, mode):
    """The same number twice: that of `x*log(x)` is 1/x."""
    entries = derivatives("xlogy", 2, (dtype(x), dtype(x)), mode)
    np.testing.assert_allclose(entries, [0.0, 1 / x, 1 / x, -1 / x], rtol=4 * np.finfo(dtype).eps)


@in_both_modes
@pytest.mark.parametrize(
    ("operation", "point", "expected"),
    [
        ("div", (0.0, 0.5), [0, 0, 0, 16, 0, 16, 16, 0]),
        ("pow", (2.0, 0.0), [0, -0.25, -0.25, math.log(2), -0.25, math.log(2), math.log(2), math.log(2) ** 3]),
    ],
)
def test_third_order_where_a_factor_is_0(operation, point, expected, mode):
    """A factor that is 0 by the value of an operand has a slope by it, unless what it stands beside has none."""
    np.testing.assert_allclose(derivatives(operation, 3, point, mode), expected, rtol=1e-14, atol=1e-16)


@in_both_modes
@pytest.mark.parametrize("point", [(-1e8, 1e-5), (1e-20, 1.0), (1.0, -1e-20), (3.0, -4.0), (1e60, 1e-60)])
def test_third_order_of_an_angle_where_one_operand_is_small(point, mode):
    """Closed forms, as fractions: the sum and the difference of both have slopes that cancel there."""
    x, y = map(Fraction, point)
    by_x, by_y = 2 * y * (3 * x * x - y * y), 2 * x * (x * x - 3 * y * y)
    orders = [by_x, -by_y, -by_y, -by_x, -by_y, -by_x, -by_x, by_y]
    expected = [float(order / (x * x + y * y) ** 3) for order in orders]
    np.testing.assert_allclose(derivatives("atan2", 3, point, mode), expected, rtol=1e-14)


@in_both_modes
def test_third_order_of_kl_div_where_a_square_leaves_the_range(mode):
    found = derivatives("kl_div", 3, (1e-300, 1e-200), mode)
    np.testing.assert_allclose(found[3::2], [INF] * 2 + [-2e300], rtol=1e-14)


@in_both_modes
@pytest.mark.parametrize(("dtype", "y"), [(np.float64, 1e-200), (np.float32, 1e-30)])
def test_0_is_flat_in_a_divisor_whose_square_leaves_the_range(dtype, y, mode):
    assert derivatives("div", 2, (dtype(0.0), dtype(y)), mode) == [0.0, -INF, -INF, 0.0]


@in_both_modes
@pytest.mark.parametrize(
    ("operation", "dtype", "point", "expected"),
    [
        ("div", np.float64, (1e-300, 1e-160), [0.0, -INF, -INF, 2e180]),
        ("div", np.float32, (1e-35, 1e-20), [0.0, -INF, -INF, 2e25]),
        ("hypot", np.float64, (1e-150, 1e-300), [1e-150, -1.0, -1.0, 1e150]),
        ("rel_entr", np.float32, (1e-35, 1e-20), [1e35, -1e20, -1e20, 1e5]),
        ("kl_div", np.float64, (1e-300, 1e-200), [1e300, -1e200, -1e200, 1e100]),
        ("kl_div", np.float64, (0.0, 1e-200), [INF, -1e200, -1e200, 0.0]),
        ("atan2", np.float64, (1e-200, 1e-200), [-INF, 0.0, 0.0, INF]),
        ("atan2", np.float32, (-1e-25, 1e-25), [INF, 0.0, 0.0, -INF]),
        ("atan2", np.float64, (0.0, -1e-200), [0.0, -INF, -INF, 0.0]),
    ],
)
def test_second_order_where_a_square_leaves_the_range(operation, dtype, point, expected, mode):
    """Closed forms: 2*x/y**3, x/y**2, y**2/z**3 with z the length, and (y**2 - x**2)/z**4 beside 2*x*y/z**4."""
    found = derivatives(operation, 2, tuple(map(dtype, point)), mode)
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(dtype).eps)


@in_both_modes
def test_a_huber_loss_of_negative_width_has_no_derivative_of_any_order(mode):
    for order in 1, 2, 3:
        assert np.isnan(derivatives("huber", order, (-1.0, 0.5), mode)).all()
