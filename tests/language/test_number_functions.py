"""Builtins and functions of NumPy that are made of several operations: Python's and NumPy's own values, and derivatives."""

import bisect
import itertools
import math
import re

import numpy as np
import pytest
from helpers.tracing import traced
from numpy.polynomial import chebyshev, hermite, hermite_e, laguerre, legendre, polynomial

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.errors import TraceError
from nbad.graphs.interpreter import evaluate

XS = np.array([-2.5, -1.5, -0.5, -0.3, -0.0, 0.0, 0.2, 0.49999999999999994, 0.5, 1.0, 1.5, 2.0, 2.5, 3.7])
SPECIAL = np.array([-np.inf, -1.0, -0.0, 0.0, 2.0, np.inf, np.nan])
SERIES, POLYNOMIAL = (0.5, 2.0, -1.0, 0.25), np.polynomial.Polynomial([1.0, 2.0, 3.0], domain=[0.0, 2.0])
KNOTS, HEIGHTS = (-1.0, 0.0, 0.0, 2.0), (3.0, 1.0, 4.0, 5.0)


def value(function, xs):
    return np.broadcast_to(evaluate(traced(function).graph, xs)[0], xs.shape)


def slope(function, xs):
    joint = jacobian(traced(function).graph, (0,))
    return np.broadcast_to(evaluate(joint.graph, xs)[1], xs.shape) if joint.positions else np.zeros(xs.shape)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: int(x), lambda x: round(x), lambda x: np.rint(x), lambda x: np.round(10 * x), lambda x: bool(x) * 2.0,
        lambda x: np.clip(x, -1, 1), lambda x: np.clip(x, None, 0.5), lambda x: np.polyval([2.0, -1.0, 0.25], x),
        lambda x: max(v * v for v in (x, 1.0)), lambda x: min([x, 2 * x, 0.5]), lambda x: max({x * 2: 1} if 1 > 2 else (x, 0.25)),
        lambda x: sum([x, 1, x]), lambda x: pow(x, 2) + abs(x), lambda x: np.interp(x, KNOTS, HEIGHTS),
        lambda x: float(np.select([x > 1, x > 0], [x, 2 * x], 7.0)),
        lambda x: np.interp(x, KNOTS, HEIGHTS, left=7.0), lambda x: np.interp(x, KNOTS, HEIGHTS, right=x),
        lambda x: 1.0 * bisect.bisect(KNOTS, x), lambda x: 1.0 * bisect.bisect_left(KNOTS, x, 1),
        lambda x: np.piecewise(x, [x < 0, x > 2], [np.sin, lambda t: t * t]),
        lambda x: np.piecewise(x, [x < 0, x > 2], [-1.0, np.cos, abs]),
        lambda x: 1.0 * np.allclose(x, 1.0, atol=0.5) + 2.0 * np.allclose([x, 2.0], [1.0, x], atol=1.5),
        lambda x: np.conj(x) + np.real(x) + np.imag(x),
        lambda x: math.remainder(x, 0.75) + math.remainder(2.5, x + 0.1), lambda x: math.modf(x)[0] + math.modf(x)[1],
        lambda x: math.prod([x, 2.0, x]) + math.prod(v for v in (x, x)), lambda x: math.fsum([x, 1e20, 0.25, -1e20]),
        lambda x: math.dist([x, 2.0], [1.0, 0.25]), lambda x: math.hypot(x), lambda x: math.ldexp(x, 3), lambda x: np.modf(x)[0],
        lambda x: chebyshev.chebval(x, [1, 2, 3, 0.5]), lambda x: legendre.legval(x, SERIES),
        lambda x: hermite.hermval(x, SERIES),
        lambda x: hermite_e.hermeval(x, SERIES), lambda x: laguerre.lagval(x, SERIES), lambda x: polynomial.polyval(x, SERIES),
        lambda x: POLYNOMIAL(x) + POLYNOMIAL.deriv()(x), lambda x: np.polynomial.Chebyshev(SERIES)(x),
        lambda x: np.poly1d(SERIES)(x),
        lambda x: sorted([x, 0.4, -x], reverse=True)[0] + 2.0 * sorted(v for v in (x, 0.4))[0],
        lambda x: max([x, -2.0, 2 * x], key=abs) + min(x, 0.4, -x, key=lambda v: (v - 0.2) ** 2),
        lambda x: max(((x, 1.0), (x * x, 2.0), (2.0, x)), key=lambda pair: pair[0])[1], lambda x: min([x, 3.0], default=1.0),
        lambda x: max(np.float64(0.25), x) + min(np.float64(0.5), x, key=abs),
        lambda x: max([1.0, -3.0], key=abs) * min((x, -x), key=math.sin) + max([x], key=None, default=2.0),
        lambda x: min(range(3), key=lambda k: (x - k) ** 2) * 1.0, lambda x: max([], default=x) + [3.0, x][max(0, 1, key=int)],
        lambda x: 1.0 * any(v > 1 for v in (x, -x)) + 2.0 * all([x > 0, x < 2]) + any([]) + all([]),
    ],
)  # fmt: skip
def test_values_equal_those_of_python_and_numpy(function):
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(value(function, XS), [function(np.float64(x)) for x in XS])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 1.0 * np.isnan(x), lambda x: 1.0 * np.isinf(x), lambda x: 1.0 * np.isfinite(x), lambda x: 1.0 * np.signbit(x),
        lambda x: 1.0 * math.isnan(x), lambda x: 1.0 * math.isinf(x), lambda x: 1.0 * math.isfinite(x),
    ],
)  # fmt: skip
def test_classes_of_numbers(function):
    np.testing.assert_array_equal(value(function, SPECIAL), [function(np.float64(x)) for x in SPECIAL])


def test_whole_numbers_are_constant():
    assert not slope(lambda x: int(x) + round(x), XS).any()


def test_slopes_of_tables():
    expected = np.where((XS < -1) | (XS >= 2), 0.0, np.where(XS < 0, -2.0, 0.5))
    np.testing.assert_array_equal(slope(lambda x: np.interp(x, KNOTS, HEIGHTS), XS), expected)
    np.testing.assert_array_equal(slope(lambda x: np.interp(0.5, (0.0, 1.0), (x, 3 * x)), XS), 2.0)
    np.testing.assert_allclose(slope(lambda x: np.polyval([2.0, x, 0.25], x), XS), 6 * XS, rtol=1e-15)


def test_slopes_of_polynomials_and_pieces():
    np.testing.assert_allclose(slope(lambda x: POLYNOMIAL(x), XS), POLYNOMIAL.deriv()(XS), rtol=1e-15)
    expected = laguerre.lagval(XS, laguerre.lagder(SERIES))
    np.testing.assert_allclose(slope(lambda x: laguerre.lagval(x, SERIES), XS), expected, rtol=1e-13)
    expected = np.where(XS < 0, np.cos(XS), 2 * XS)
    np.testing.assert_array_equal(slope(lambda x: np.piecewise(x, [x < 0, x >= 0], [np.sin, np.square]), XS), expected)
    np.testing.assert_array_equal(slope(lambda x: math.remainder(1.0, x), np.array([0.3, -0.7])), [-3.0, 1.0])


def test_interpolation_of_nan_and_of_one_knot():
    with np.errstate(invalid="ignore"):
        got = value(lambda x: np.interp(x, KNOTS, HEIGHTS), SPECIAL)
    np.testing.assert_array_equal(got, np.interp(SPECIAL, KNOTS, HEIGHTS))
    assert value(lambda x: np.interp(x, [1.0], [4.0]), XS).tolist() == [4.0] * len(XS)


def test_clipping_halves_the_slope_at_its_ends():
    assert slope(lambda x: np.clip(x, -0.5, 1.0), np.array([-0.5, 0.0, 1.0, 2.0])).tolist() == [0.5, 1.0, 0.5, 0.0]


def test_lazy_iteration_stops_where_python_does():
    seen = []

    def note(k):
        seen.append(k)
        return k == 1

    def kernel(x):
        return x if any(note(k) for k in range(5)) and not all(note(k) for k in (1, 7, 8)) else -x

    assert value(kernel, XS).tolist() == XS.tolist()
    assert seen == [0, 1, 1, 7]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.interp(x, [0.0, x], [1.0, 2.0]), "calls `numpy.interp` with a traced `xp`"),
        (lambda x: np.interp(x, [1.0, 0.0], [1.0, 2.0]), "calls `numpy.interp` with an `xp` that does not increase"),
        (lambda x: np.interp(x, [0.0, 1.0], [1.0]), "calls `numpy.interp` with tables that do not fit"),
        (lambda x: np.interp(x, [0.0, 1.0], [1.0, 2.0], period=1.0), "passes `period=` to `numpy.interp`"),
        (lambda x: bisect.bisect([x, 1.0], 0.0), "calls `bisect.bisect_right` with a traced `a`"),
        (lambda x: np.piecewise(x, [x > 0], [1.0, 2.0, 3.0]), "calls `numpy.piecewise` with lists that do not fit"),
        (lambda x: sorted([x, 1.0], reverse=x), "uses a traced value as True or False, in code that nbad cannot see into"),
        (lambda x: sorted([x, 1.0], key=abs), "passes `key=` to `builtins.sorted`"),
        (lambda x: np.select([x > 0], [x, 1.0]), "calls `numpy.select` with lists of different lengths"),
        (lambda x: max([x, 1.0], key=lambda v: (v, 1.0)), "picks the greatest or least by a key that is no number"),
        (lambda x: max([[x], [1.0]], key=lambda v: v[0]), "picks the greatest or least of lists or arrays"),
        (lambda x: max([x, 1.0], key=str), "picks the greatest or least by a key that is no number"),
        (lambda x: sum(range(x)), "counts to a traced value, and not in a `for` statement"),
    ],
)
def test_refusals(function, message):
    number = function.__code__.co_firstlineno
    text = rf"kernel `<lambda>` {re.escape(message)}:\n.*\(test_number_functions\.py:{number}\)\n  fix: "
    with pytest.raises(TraceError, match=text):
        traced(function)


@pytest.mark.parametrize(
    "function",
    [lambda x: math.modf(x)[0], lambda x: np.modf(x)[0], lambda x: math.remainder(x, 1.5), lambda x: math.remainder(x, -0.75)],
)
def test_what_is_left_of_a_number_follows_it_where_it_is_zero(function):
    xs = np.array([-2.25, -0.25, -0.0, 0.0, 1e-300, 0.3])
    np.testing.assert_array_equal(slope(function, xs), 1.0)


def test_the_rest_of_a_division_follows_the_divisor_where_it_is_zero():
    xs = np.array([-3.0, -1.5, 0.0, 1.5, 3.0])  # multiples of the divisor
    np.testing.assert_array_equal(
        slope(lambda x: math.remainder(3.0, x), np.array([1.5, -1.5, 3.0, -0.75])), [-2.0, 2.0, -1.0, 4.0]
    )
    np.testing.assert_array_equal(slope(lambda x: math.remainder(x, 1.5), xs), 1.0)


@pytest.mark.parametrize(
    "power", [0, 1, -1, 1023, 1024, 2000, 2097, 3000, -1022, -1040, -1075, -1080, -2000, -2098, -4000, 10**9, -(10**9)]
)
def test_powers_of_two_beyond_those_of_one_number(power):
    xs = np.array([0.0, -0.0, 5e-324, 1e-310, 1.0, -3.7, 1.7e308, -1e300, 1.2345678901234567e-290, np.inf, -np.inf, np.nan])
    found = value(lambda x: math.ldexp(x, power), xs)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.ldexp(xs, power)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[:2]), np.signbit(expected[:2]))


@pytest.mark.parametrize(
    "heights",
    [
        [1.0, np.inf, 2.0], [np.inf, 1.0, 2.0], [np.nan, 1.0, 2.0], [1.0, 2.0, np.nan], [np.inf, np.inf, 1.0],
        [-np.inf, np.inf, 0.0], [1.0, 1e308, -1e308], [-np.inf, 3.0, np.nan],
    ],
)  # fmt: skip
def test_tables_that_are_not_finite_everywhere(heights):
    xs = np.array([-1.0, 0.0, 0.25, 1.0, 1.5, 2.0, 3.0, np.nan])
    knots = [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(value(lambda x: np.interp(x, knots, heights), xs), np.interp(xs, knots, heights))


@pytest.mark.parametrize("knots", [[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, 1.0], [0.0, 1.0, np.inf]])
def test_tables_that_begin_or_end_nowhere(knots):
    xs, heights = np.array([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf, np.nan]), [2.0, 3.0, 5.0]
    np.testing.assert_array_equal(value(lambda x: np.interp(x, knots, heights), xs), np.interp(xs, knots, heights))

    f = nbad.kernel(lambda x, a, b, c: np.interp(x, knots, [a, b, c]))
    np.testing.assert_array_equal(f(xs, *heights), np.interp(xs, knots, heights))
    weights = nbad.jacobian(f, argnums=(1, 2, 3))(xs[1:-2], *heights)[..., 0, :]
    np.testing.assert_array_equal(weights.T, [np.interp(xs[1:-2], knots, unit) for unit in np.eye(3)])


@pytest.mark.parametrize(
    ("knots", "heights"),
    [
        ([-1.7e308, 1.7e308], [0.0, 1.0]), ([-1.7e308, -1.0, 1.7e308], [0.0, 1.0, 3.0]),
        ([-1e308, 1.0, 1.7e308], [1.0, -1.0, np.inf]),
        ([-1.7e308, 1.7e308], [-1.7e308, 1.7e308]), ([-np.inf, 1.0], [np.inf, 2.0]), ([1.0, 1.0], [2.0, 3.0]),
    ],
)  # fmt: skip
def test_tables_whose_knots_are_further_apart_than_numbers_reach(knots, heights):
    xs = np.array([-np.inf, -1.7e308, -1e308, -1.0, 0.0, 1.0, 1e308, 1.7e308, np.inf, np.nan])
    with np.errstate(all="ignore"):
        expected = np.interp(xs, knots, heights)
    np.testing.assert_array_equal(value(lambda x: np.interp(x, knots, heights), xs), expected)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_sorted_keeps_equal_numbers_in_their_order_and_nan_beside_one_where_python_leaves_it(count, is_reversed):
    numbers = [1.0, 0.0, -0.0, -2.0, np.inf, *[np.nan] * (count == 2)]  # in three, Python 3.14 leaves it elsewhere than 3.13
    rows = np.array(list(itertools.product(numbers, repeat=count)))
    kernel = nbad.kernel(lambda a: np.array(sorted(a, reverse=is_reversed)), signature=f"({count})->({count})")
    found, expected = kernel(rows), np.array([sorted(row.tolist(), reverse=is_reversed) for row in rows])
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found)[found == 0], np.signbit(expected)[found == 0])
