"""Squares that are smooth where their bases are not, and conventions that have no derivative of their own, in closed forms."""

import math

import numpy as np
import pytest

import nbad

NAN, INF = math.nan, math.inf


def orders(function, *point):
    """Gradient and Hessian, each in both modes where there are two; they must agree."""
    kernel = nbad.kernel(function)
    first = [nbad.jacobian(kernel, mode=mode)(*point)[0] for mode in ("reverse", "forward")]
    np.testing.assert_array_equal(*first)
    second = nbad.hessian(kernel)(*point)
    np.testing.assert_array_equal(second, second.T)
    return first[0], second


SQUARES = {
    "hypot": (lambda x, y: math.hypot(x, y) ** 2 / 2, np.eye(2)),
    "hypot, float exponent": (lambda x, y: np.power(math.hypot(x, y), 2.0) / 2, np.eye(2)),
    "hypot, left to right": (lambda x, y: 0.5 * math.hypot(x, y) * math.hypot(x, y), np.eye(2)),
    "hypot, quotient first": (lambda x, y: math.hypot(x, y) / 2 * math.hypot(x, y), np.eye(2)),
    "hypot, scaled inside": (lambda x, y: (math.hypot(x, y) / 4) ** 2 - (3 * math.hypot(x, y)) ** 2, np.eye(2) * (1 / 8 - 18)),
    "hypot, sign inside": (lambda x, y: np.square(-math.hypot(x, y)), 2 * np.eye(2)),
    "hypot, third power": (lambda x, y: math.hypot(x, y) ** 3, np.zeros((2, 2))),
    "hypot, fourth power": (lambda x, y: math.hypot(x, y) ** 4, np.zeros((2, 2))),
    "hypot, limited": (lambda x, y: min(math.hypot(x, y), 1.0) ** 2, 2 * np.eye(2)),
    "root": (lambda x, y: math.sqrt(x * x + y * y) ** 2, 2 * np.eye(2)),
    "root, as a power": (lambda x, y: ((x * x + y * y) ** 0.5) ** 2, 2 * np.eye(2)),
    "root, sixth power": (lambda x, y: math.sqrt(x * x + y * y + x * y) ** 6, np.zeros((2, 2))),
    "abs": (lambda x, y: abs(x) ** 2 + abs(y) ** 2, 2 * np.eye(2)),
    "abs of a sum": (lambda x, y: abs(x - 2 * y) ** 2, np.array([[2.0, -4], [-4, 8]])),
    "abs, factor inside": (lambda x, y: (2 * abs(x)) ** 2 + (abs(y) / -2) ** 2, np.diag([8.0, 0.5])),
    "abs, limited": (lambda x, y: min(3 * abs(x), 1.0) ** 2 + np.clip(abs(y), -1, 1) ** 2, np.diag([18.0, 2])),
    "abs, in a branch": (lambda x, y: (abs(x) if y > -1 else y) ** 2, np.diag([2.0, 0])),
    "abs, Huber": (lambda x, y: 0.5 * abs(x) * abs(x) if abs(x) < 1 else abs(x) - 0.5, np.diag([1.0, 0])),
    "hypot of abs": (lambda x, y: math.hypot(abs(x), max(y, -y)) ** 2, 2 * np.eye(2)),
    "hypot of abs elsewhere": (lambda x, y: math.hypot(abs(x), 1.0) + math.hypot(2.0, abs(y)), np.diag([1.0, 0.5])),
    "power of a power": (lambda x, y: np.power(math.sqrt(x * x + y * y), 4.0) ** 2, np.zeros((2, 2))),
    "fourth power of a root": (lambda x, y: np.sqrt(abs(x)) ** 4 + (abs(y) ** 0.5) ** 4, 2 * np.eye(2)),
    "square of a square of a root": (lambda x, y: (math.sqrt(math.hypot(x, y)) ** 2) ** 2, 2 * np.eye(2)),
    "eighth power of a root of a root": (lambda x, y: np.sqrt(np.sqrt(abs(x))) ** 8 + abs(y) ** 2, 2 * np.eye(2)),
    "fourth power of a root with a sign": (
        lambda x, y: np.copysign(np.sqrt(abs(x)), y) ** 4 + (-math.sqrt(abs(y))) ** 4,
        2 * np.eye(2),
    ),
    "signs between roots": (
        lambda x, y: (-abs(-np.sqrt(np.sqrt(abs(x))))) ** 8 + np.copysign(abs(y) ** 0.5, x) ** 4,
        2 * np.eye(2),
    ),
    "powers of roots beyond the second order": (lambda x, y: np.sqrt(abs(x)) ** 5 + np.sqrt(abs(y)) ** 6, np.zeros((2, 2))),
    "copysign": (lambda x, y: np.copysign(x, y) ** 2, np.diag([2.0, 0])),
    "maximum": (lambda x, y: max(x, -x) ** 2 + np.minimum(y, -y) ** 2, 2 * np.eye(2)),
    "maximum of many": (lambda x, y: np.max([x, -x, x]) ** 2 + max(y, -y, -1.0) ** 2, 2 * np.eye(2)),
}


@pytest.mark.parametrize("name", SQUARES)
def test_squares_are_smooth_at_0(name):
    function, hessian = SQUARES[name]
    first, second = orders(function, 0.0, 0.0)
    np.testing.assert_array_equal(first, [0.0, 0.0])
    np.testing.assert_allclose(second, hessian, rtol=1e-15)


def test_square_of_a_norm():
    kernel = nbad.kernel(lambda v: np.linalg.norm(v) ** 2 / 2, signature="(3)->()")
    for point in (np.zeros(3), np.array([1.0, -2.0, 3.0])):
        np.testing.assert_array_equal(nbad.grad(kernel)(point), point)
        np.testing.assert_allclose(nbad.hessian(kernel)(point), np.eye(3), atol=1e-16)


def test_orders_beyond_the_second():
    third = nbad.grad(nbad.grad(nbad.grad(nbad.kernel(lambda x: abs(x) ** 3 + abs(x) ** 2 * x))))
    np.testing.assert_array_equal(third([-2.0, 3.0]), [-6.0 + 6, 6.0 + 6])
    assert nbad.grad(nbad.grad(nbad.kernel(lambda x: abs(x) ** 3)))(0.0) == 0.0
    fourth = nbad.kernel(lambda x, y: math.hypot(x, y) ** 4)
    for _ in range(4):
        fourth = nbad.grad(fourth)
    assert fourth(0.0, 0.0) == 24.0


@pytest.mark.parametrize("root", [math.sqrt, lambda u: u**0.5])
def test_square_of_a_root_after_a_clamp(root):
    def clamped(h, D):
        h = min(h, D)
        return root(h * (D - h)) ** 2 + D

    first, second = orders(clamped, 3.0, 2.0)
    np.testing.assert_array_equal(first, [0.0, 1.0])
    np.testing.assert_array_equal(second, np.zeros((2, 2)))
    first, second = orders(clamped, 0.5, 2.0)
    np.testing.assert_allclose(first, [1.0, 1.5])
    np.testing.assert_allclose(second, [[-2.0, 1.0], [1.0, 0.0]])


def test_a_genuine_product_of_0_and_infinity_stays_nan():
    def clamped(h, D):
        h = min(h, D)
        return math.sqrt(h * (D - h)) + D

    np.testing.assert_array_equal(nbad.jacobian(nbad.kernel(clamped))(3.0, 2.0), [[0.0, NAN]])


def test_squares_keep_the_range_of_their_factors():
    """The square of the factor alone would be infinite."""
    kernel = nbad.kernel(lambda x, h: (abs(x) / h) ** 2)
    for dtype, tiny in ((np.float64, 1e-200), (np.float32, 1e-25)):
        by_x, by_h = nbad.jacobian(kernel)(np.array([3 * tiny], dtype), np.array([tiny], dtype))[0, 0]
        np.testing.assert_allclose([by_x, by_h], [6 / tiny, -18 / tiny], rtol=1e-6)


@pytest.mark.parametrize(
    "function", [lambda x, y: math.hypot(x, y), lambda x, y: math.hypot(x, y) + x * y, lambda x, y: math.cos(math.hypot(x, y))]
)
def test_second_order_of_a_chosen_slope_is_none(function):
    first, second = orders(function, 0.0, 0.0)
    np.testing.assert_array_equal(first, [0.0, 0.0])
    np.testing.assert_array_equal(second, np.full((2, 2), NAN))


def test_second_order_of_a_norm_at_0_is_none():
    kernel = nbad.kernel(lambda v: np.linalg.norm(v), signature="(2)->()")
    np.testing.assert_array_equal(nbad.grad(kernel)(np.zeros(2)), np.zeros(2))
    np.testing.assert_array_equal(nbad.hessian(kernel)(np.zeros(2)), np.full((2, 2), NAN))


def test_guards_keep_a_chosen_slope_away():
    kernel = nbad.kernel(lambda x, y: math.sin(math.hypot(x, y)) / math.hypot(x, y) if math.hypot(x, y) > 0 else 1 - x * x / 6)
    np.testing.assert_allclose(nbad.hessian(kernel)(0.0, 0.0), [[-1 / 3, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    "function",
    [
        abs,
        lambda x: max(x, 0.0),
        lambda x: np.clip(x, 0.0, 1.0),
        lambda x: math.floor(x) + np.round(x) * x,
        lambda x: np.sign(x) + np.copysign(x, 1.0),
    ],
)
def test_kinks_of_lines_have_second_order_0(function):
    kernel = nbad.kernel(lambda x: x * x + function(x))
    assert nbad.hessian(kernel)(0.0) == 2.0
    assert nbad.grad(nbad.grad(kernel))(0.0) == 2.0


POWERS = {  # at base 0: the limits of the partials from the right, nan where x**y has none that is known
    -1.0: ([-INF, -INF], [[INF, INF], [INF, INF]]),
    0.0: ([0.0, -INF], [[0.0, INF], [INF, INF]]),
    0.5: ([INF, 0.0], [[-INF, NAN], [NAN, 0.0]]),
    1.0: ([1.0, 0.0], [[0.0, -INF], [-INF, 0.0]]),
    1.5: ([0.0, 0.0], [[INF, 0.0], [0.0, 0.0]]),
    2.0: ([0.0, 0.0], [[2.0, 0.0], [0.0, 0.0]]),
    3.0: ([0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]]),
}


@pytest.mark.parametrize("exponent", POWERS)
def test_powers_at_base_0(exponent):
    first, second = orders(lambda x, y: x**y, 0.0, exponent)
    np.testing.assert_array_equal(first, POWERS[exponent][0])
    np.testing.assert_array_equal(second, POWERS[exponent][1])


def test_square_of_a_power_at_base_0():
    first, second = orders(lambda x, y: (x**y) ** 2, 0.0, 0.5)
    np.testing.assert_array_equal(first, [1.0, 0.0])
    np.testing.assert_array_equal(second, [[0.0, -INF], [-INF, 0.0]])


@pytest.mark.parametrize("function", [nbad.special.xlogy, lambda x, y: nbad.special.xlog1py(x, y - 1)])
def test_products_with_logarithms_at_0(function):
    first, second = orders(lambda x, y: function(x, y), 0.0, 0.0)
    np.testing.assert_array_equal(first, [-INF, 0.0])
    np.testing.assert_array_equal(second, [[0.0, INF], [INF, 0.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_0_over_a_number_whose_reciprocal_overflows(dtype):
    tiny = np.array([np.finfo(dtype).tiny / 16])
    first = nbad.jacobian(nbad.kernel(lambda x, y: x / y))(np.zeros(1, dtype), tiny.astype(dtype))
    np.testing.assert_array_equal(first, [[[INF, 0.0]]])
