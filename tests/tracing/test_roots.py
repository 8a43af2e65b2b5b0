"""Equations inside kernels against mpmath, closed forms, and the residuals themselves."""

import math
import re

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

import nbad


@nbad.kernel
def kepler(m, e):
    return nbad.solve(lambda anomaly: anomaly - e * math.sin(anomaly) - m, m, bracket=(m - e, m + e))


def by_parameters(anomaly, m, e):
    return anomaly - e * math.sin(anomaly) - m


@nbad.kernel
def colebrook(re, k):
    def residual(x):
        return x + 2.0 * math.log10(k / 3.7 + 2.51 * x / re)

    return 1.0 / nbad.solve(residual, 7.0) ** 2


def call(v, s, x, t, price):
    root = v * math.sqrt(t)
    d1 = math.log(s / x) / root + 0.5 * root
    return 0.5 * (s * math.erfc(-d1 / math.sqrt(2.0)) - x * math.erfc((root - d1) / math.sqrt(2.0))) - price


@nbad.kernel
def volatility(s, x, t, price):
    return nbad.solve(call, 0.3, s, x, t, price, bracket=(1e-3, 4.0))


def exact_kepler(m, e):
    return mpmath.findroot(lambda v: v - e * mpmath.sin(v) - m, m + e * mpmath.sin(m))


def exact_colebrook(re, k):
    return mpmath.findroot(lambda x: x + 2 * mpmath.log10(k / mpmath.mpf("3.7") + mpmath.mpf("2.51") * x / re), 7) ** -2


def exact_volatility(s, x, t, price):
    def residual(v):
        d1 = mpmath.log(s / x) / (v * mpmath.sqrt(t)) + v * mpmath.sqrt(t) / 2
        return s * mpmath.ncdf(d1) - x * mpmath.ncdf(d1 - v * mpmath.sqrt(t)) - price

    return mpmath.findroot(residual, 0.3)


CASES = {
    "kepler": (kepler, exact_kepler, [(0.3, 0.1), (2.0, 0.6), (5.5, 0.95)]),
    "colebrook": (colebrook, exact_colebrook, [(1e4, 1e-6), (1e5, 1e-4), (3e6, 0.03)]),
    "volatility": (volatility, exact_volatility, [(100.0, 100.0, 0.5, 6.0), (90.0, 110.0, 2.0, 11.0)]),
}
ORDERS = [(), (0,), (1,), (0, 0), (0, 1), (1, 1), (0, 0, 0), (0, 1, 1)]


def derivative(kernel, argnums):
    for n in argnums:
        kernel = nbad.grad(kernel, n)
    return kernel


def exact_derivative(exact, argnums, point):
    with mpmath.workdps(50):
        orders = tuple(argnums.count(n) for n in range(len(point)))
        return mpmath.diff(exact, tuple(map(mpmath.mpf, point)), orders) if argnums else exact(*map(mpmath.mpf, point))


def condition(exact, argnums, point):
    """By how much the derivative follows its arguments, relatively."""
    value = exact_derivative(exact, argnums, point)
    each = (abs(exact_derivative(exact, (*argnums, n), point) * x / value) for n, x in enumerate(point))
    return max(1.0, float(max(each)))


NAMES = ["kepler", "colebrook", pytest.param("volatility", marks=pytest.mark.slow)]


@pytest.mark.parametrize("argnums", ORDERS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_roots_and_their_derivatives_to_third_order(name, argnums):
    kernel, exact, points = CASES[name]
    values = derivative(kernel, argnums)(*map(np.array, zip(*points, strict=True)))
    for value, point in zip(values, points, strict=True):
        expected = float(exact_derivative(exact, argnums, point))
        assert abs(value / expected - 1.0) <= 1e-12 * condition(exact, argnums, point)


def test_the_harness_passes():
    m, e = np.linspace(0.1, 6.0, 30), np.linspace(0.0, 0.9, 30)
    nbad.testing.check_kernel(kepler, m, e)


def test_parameters_may_be_passed_or_seen():
    passed = nbad.kernel(lambda m, e: nbad.solve(by_parameters, m, m, e))
    assert passed(0.7, 0.3) == pytest.approx(kepler(0.7, 0.3), rel=1e-15)
    assert nbad.grad(passed, 1)(0.7, 0.3) == pytest.approx(nbad.grad(kepler, 1)(0.7, 0.3), rel=1e-14)


def test_outside_of_kernels_it_solves_for_numbers():
    assert nbad.solve(by_parameters, 0.7, 0.7, 0.3) == pytest.approx(float(kepler(0.7, 0.3)), rel=1e-15)
    assert_allclose(nbad.solve(lambda u: np.array([u[0] * u[1] - 2.0, u[0] - u[1] - 1.0]), np.array([3.0, 2.0])), [2.0, 1.0])
    with pytest.raises(nbad.NotConvergedError, match="no root in 100 steps"):
        nbad.solve(lambda x: x * x + 1.0, 1.0)


def test_several_unknowns():
    @nbad.kernel
    def crossing(a, b):
        x, y = nbad.solve(lambda u: np.array([u[0] ** 2 + u[1] ** 2 - a, u[0] * u[1] - b]), np.array([2.0, 1.0]))
        return x, y

    a, b = np.array([5.0, 6.0]), np.array([1.0, 1.5])
    (x, y), blocks = nbad.value_and_jacobian(crossing)(a, b)
    assert_allclose([x * x + y * y, x * y], [a, b], rtol=1e-14)
    over = 2.0 * (x * x - y * y)
    assert_allclose(blocks, np.moveaxis(np.array([[x, -2.0 * y], [-y, 2.0 * x]]) / over, -1, 0), rtol=1e-13)
    one = nbad.kernel(lambda a, b: crossing(a, b)[0])
    plus, minus = (np.sqrt(a + sign * 2.0 * b) for sign in (1, -1))  # x = (sqrt(a + 2b) + sqrt(a - 2b))/2
    by_a = -(plus**-3 + minus**-3) / 8.0
    by_ab = -(plus**-3 - minus**-3) / 4.0
    assert_allclose(nbad.hessian(one)(a, b)[:, 0], np.stack([by_a, by_ab], -1), rtol=1e-12)


def test_neither_start_nor_bracket_have_derivatives():
    f = nbad.kernel(lambda start, low, y: nbad.solve(lambda v: v**3 - y, start, bracket=(low, 10.0)))
    assert nbad.value_and_grad(f, (0, 1, 2))(1.0, 0.5, 8.0)[1] == (0.0, 0.0, pytest.approx(1.0 / 12.0, rel=1e-14))


def test_single_precision():
    m, e = np.linspace(0.1, 6.0, 50, dtype=np.float32), np.linspace(0.0, 0.9, 50, dtype=np.float32)
    y, (by_m, by_e) = nbad.value_and_grad(kepler, (0, 1))(m, e)
    assert y.dtype == by_m.dtype == np.float32
    wide = m.astype(float), e.astype(float)
    for single, double in zip((y, by_m, by_e), (kepler(*wide), *nbad.value_and_grad(kepler, (0, 1))(*wide)[1]), strict=True):
        assert_allclose(single, double, rtol=2e-4, atol=1e-6)


def test_a_bracket_saves_what_newtons_steps_alone_would_lose():
    f = nbad.kernel(lambda y: nbad.solve(lambda v: math.atan(v) - y, 3.0, bracket=(-50.0, 60.0)))
    y = np.linspace(-1.5, 1.5, 31)
    assert_allclose(f(y), np.tan(y), rtol=1e-12, atol=1e-12)
    lost = nbad.kernel(lambda y: nbad.solve(lambda v: math.atan(v) - y, 3.0))
    with pytest.raises(nbad.NotConvergedError, match="no root"):
        lost(np.zeros(3))


def test_residuals_that_branch_and_call():
    def residual(v, y):
        return (v * v if v > 0.0 else 3.0 * v) - y

    f = nbad.kernel(lambda y: nbad.solve(residual, 1.0, y, bracket=(-10.0, 10.0)))
    y = np.array([-3.0, 4.0, 9.0])
    assert_allclose(f(y), [-1.0, 2.0, 3.0], rtol=1e-14)
    assert_allclose(nbad.grad(f)(y), [1.0 / 3.0, 0.25, 1.0 / 6.0], rtol=1e-13)


def test_a_root_within_the_residual_of_another():
    def outer(v, y):
        inner = nbad.solve(lambda w: w**3 + w - v, 0.5)  # v = w^3 + w
        return inner**2 + inner - y

    f = nbad.kernel(lambda y: nbad.solve(outer, 1.0, y))
    w = (-1.0 + math.sqrt(1.0 + 4.0 * 3.0)) / 2.0
    assert f(3.0) == pytest.approx(w**3 + w, rel=1e-13)
    assert nbad.grad(f)(3.0) == pytest.approx((3.0 * w * w + 1.0) / (2.0 * w + 1.0), rel=1e-12)


def test_elements_without_a_root():
    f = nbad.kernel(lambda y: nbad.solve(lambda v: v * v - y, 1.0))
    y = np.array([4.0, -1.0, 9.0, -2.0])
    with pytest.raises(nbad.NotConvergedError, match="found no root in 100 steps") as caught:
        f(y)
    assert "element (1,), the first of 2" in str(caught.value.__notes__)
    quiet = nbad.kernel(lambda y: nbad.solve(lambda v: v * v - y, 1.0), errors="nan")
    assert_allclose(quiet(y), [2.0, np.nan, 3.0, np.nan])
    assert_allclose(nbad.grad(quiet)(y), [0.25, np.nan, 1.0 / 6.0, np.nan])


def test_a_bracket_without_a_change_of_sign():
    f = nbad.kernel(lambda y: nbad.solve(lambda v: v - y, 0.5, bracket=(0.0, 1.0)))
    assert_allclose(f(np.array([0.0, 0.25, 1.0])), [0.0, 0.25, 1.0], atol=1e-15)
    with pytest.raises(nbad.NotConvergedError, match="found no root"):
        f(2.0)


def test_nan_goes_through():
    assert_allclose(kepler(np.array([0.5, np.nan]), 0.0), [0.5, np.nan])


def test_untaken_arms_solve_nothing():
    f = nbad.kernel(lambda y: nbad.solve(lambda v: v * v - y, 1.0) if y > 0.0 else -y)
    assert_allclose(f(np.array([-3.0, 4.0])), [3.0, 2.0])
    assert_allclose(nbad.grad(f)(np.array([-3.0, 4.0])), [-1.0, 0.25])


def test_a_double_root_is_found_slowly():
    f = nbad.kernel(lambda y: nbad.solve(lambda v: (v - y) ** 2, y + 1.0))
    assert f(3.0) == pytest.approx(3.0, abs=1e-11)


SCIPY = {
    "newton": lambda f, y: optimize.newton(f, 2.0, args=(y,)),
    "newton with a slope": lambda f, y: optimize.newton(f, 2.0, lambda v, y: 2.0 * v, args=(y,)),
    "brentq": lambda f, y: optimize.brentq(f, 0.0, 10.0, args=(y,)),
    "bisect": lambda f, y: optimize.bisect(f, 0.0, 10.0, (y,)),
    "toms748": lambda f, y: optimize.toms748(f, 0.0, 10.0, args=(y,)),
    "root_scalar, bracket": lambda f, y: optimize.root_scalar(f, args=(y,), bracket=(0.0, 10.0)).root,
    "root_scalar, start": lambda f, y: optimize.root_scalar(f, args=(y,), x0=2.0, method="newton").root,
}


@pytest.mark.parametrize("name", SCIPY)
def test_root_finders_of_scipy(name):
    find = SCIPY[name]
    f = nbad.kernel(lambda y: find(lambda v, y: v * v - y, y))
    y = np.array([2.0, 9.0, 30.0])
    assert_allclose(f(y), np.sqrt(y), rtol=1e-14)
    assert_allclose(nbad.grad(f)(y), 0.5 / np.sqrt(y), rtol=1e-13)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda y: nbad.solve(lambda v: (v, v), y), "solves 2 equations for 1 unknown"),
        (lambda y: nbad.solve(lambda v: v - y, np.array([1.0, 2.0]), bracket=(0.0, 1.0))[0], "several unknowns within a bracket"),
        (lambda y: nbad.solve(lambda v: None, y), "None"),
    ],
)
def test_what_cannot_be_solved(function, text):
    with pytest.raises(nbad.NbadError, match=text):
        nbad.kernel(function)(1.0)


def or_minus(y):
    try:
        return optimize.brentq(lambda v: v * v - y, 0.0, 2.0)
    except ValueError:
        return -y


def test_ends_of_the_same_sign_raise_what_scipy_raises():
    y = np.array([1.0, 9.0, 4.0, -1.0])
    assert_allclose(nbad.kernel(or_minus)(y), [or_minus(value) for value in y.tolist()], rtol=1e-14)
    assert_allclose(nbad.grad(nbad.kernel(or_minus))(y), [0.5, -1.0, 0.25, -1.0], rtol=1e-13)


def test_a_bracket_may_be_given_from_its_upper_end():
    f = nbad.kernel(lambda y: nbad.solve(lambda v: v * v * v - y, 1.0, bracket=(3.0, 0.0)))
    assert_allclose(f(np.array([1.0, 8.0, 20.0])), np.cbrt([1.0, 8.0, 20.0]), rtol=1e-15)


@pytest.mark.parametrize(
    "option",
    [{"max_passes": 0}, {"max_passes": 2.5}, {"tol": "a"}, {"tol": -1.0}, {"bracket": (1.0,)}, {"bracket": 3.0}],
    ids=str,
)
def test_options_that_mean_nothing(option):
    (name,) = option
    with pytest.raises(nbad.NbadError, match=f"wrong `{name}`"):
        nbad.kernel(lambda y: nbad.solve(lambda v: v * v - y, 1.0, **option))(4.0)


def test_how_a_root_was_found_is_not_known():
    f = nbad.kernel(lambda y: optimize.root_scalar(lambda v: v * v - y, bracket=(0.0, 9.0)).iterations * y)
    with pytest.raises(nbad.NbadError, match="asks how a root was found, by `iterations`"):
        f(4.0)


def test_fsolve_returns_an_array():
    f = nbad.kernel(lambda y: optimize.fsolve(lambda v: v * v - y, 2.0)[0] * y)
    assert_allclose(f(np.array([1.0, 4.0])), [1.0, 8.0], rtol=1e-15)
    assert_allclose(
        nbad.kernel(lambda y: optimize.fsolve(lambda v: v * v - y, 2.0))(np.array([1.0, 4.0])), [1.0, 2.0], rtol=1e-15
    )


def circle_and_line(v, a, b):
    return [v[0] ** 2 + v[1] ** 2 - a, v[0] - b * v[1]]


ROOTS = {
    "args": lambda a, b: optimize.root(circle_and_line, [1.0, 1.0], args=(a, b)).x,
    "closure": lambda a, b: optimize.root(lambda v: np.array(circle_and_line(v, a, b)), np.array([1.0, 1.0]), tol=1e-13)["x"],
    "slopes": lambda a, b: (
        optimize.root(
            lambda v: (circle_and_line(v, a, b), np.array([[2.0 * v[0], 2.0 * v[1]], [1.0, -b]])),
            (1.0, 1.0),
            method="hybr",
            jac=True,
        ).x
    ),
    "given slopes": lambda a, b: (
        optimize.root(circle_and_line, (1.0, 1.0), (a, b), jac=lambda v, a, b: np.array([[2.0 * v[0], 2.0 * v[1]], [1.0, -b]])).x
    ),
}


@pytest.mark.parametrize("name", ROOTS)
def test_root_of_scipy(name):
    f = nbad.kernel(ROOTS[name], signature="(),()->(2)")
    a, b = np.array([2.0, 5.0, 1.0]), np.array([1.0, 2.0, 0.5])
    v = np.sqrt(a / (1.0 + b * b))
    assert_allclose(f(a, b), np.stack([b * v, v], axis=-1), rtol=1e-13)
    assert_allclose(f(a, b)[0], ROOTS[name](2.0, 1.0), rtol=1e-9)
    slopes = np.stack(
        [np.stack([0.5 * b * v / a, v - b * b * v / (1.0 + b * b)], -1), np.stack([0.5 * v / a, -b * v / (1.0 + b * b)], -1)], -2
    )
    assert_allclose(nbad.jacobian(f)(a, b), slopes, rtol=1e-12)


def test_root_of_scipy_for_one_unknown():
    def f(y):
        found = optimize.root(lambda v: v**3 - y, 1.0)
        return found.x[0] if found.success else -1.0

    assert_allclose(nbad.kernel(f)(np.array([8.0, 27.0])), [2.0, 3.0], rtol=1e-14)
    assert_allclose(nbad.grad(nbad.kernel(f))(8.0), 1.0 / 12.0, rtol=1e-14)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"method": "lm"}, "finds a root by the method 'lm'"), ({"callback": print}, "by `callback`")],
    ids=["method", "callback"],
)
def test_what_root_of_scipy_may_not_be_asked(options, text):
    with pytest.raises(nbad.NbadError, match=text):
        nbad.kernel(lambda y: optimize.root(lambda v: v * v - y, 2.0, **options).x[0])(4.0)
    with pytest.raises(nbad.NbadError, match="asks how a root was found, by `nfev`"):
        nbad.kernel(lambda y: optimize.root(lambda v: v * v - y, 2.0).nfev * y)(4.0)


@pytest.mark.parametrize(
    "find",
    [
        lambda f: optimize.brentq(f, 0.0, 9.0, full_output=True)[0],
        lambda f: optimize.newton(f, 2.0, full_output=True)[0],
        lambda f: optimize.fsolve(f, 2.0, full_output=True)[0],
    ],
)
def test_full_output_is_refused(find):
    with pytest.raises(nbad.NbadError, match="full_output"):
        nbad.kernel(lambda y: find(lambda v: v * v - y))(4.0)


def logarithm_or_minus(y):
    try:
        return optimize.brentq(lambda v: math.exp(v) - y, -2.0, 2.0)
    except ValueError:
        return -y


def logarithm_or_error(y):
    try:
        return nbad.solve(in_bounds, y, y)
    except KeyError:
        return -y


def in_bounds(v, y):
    if v > 1.5:
        raise KeyError("v")
    return math.sin(v) + v - y


def test_a_residual_may_raise_in_a_try():
    y = np.array([0.01, 1.0, 2.0, 9.0])
    f = nbad.kernel(logarithm_or_minus)
    assert_allclose(f(y), [-0.01, 0.0, math.log(2.0), -9.0], rtol=1e-14)
    assert_allclose(nbad.grad(f)(y), [-1.0, 1.0, 0.5, -1.0], rtol=1e-13)
    ends = math.sin(1.0) + 1.0
    assert_allclose(nbad.kernel(logarithm_or_error)(np.array([ends, 2.7])), [1.0, -2.7], rtol=1e-14)


def log_of_the_unknown(x):
    return nbad.solve(lambda v: math.log(v) - x, 10.0)


def root_of_the_unknown(x):
    return nbad.solve(lambda v: math.sqrt(v) - x, 9.0)


def within_a_bracket(x):
    return nbad.solve(lambda v: math.log(v) - x, 10.0, bracket=(0.0, 50.0))


def refuses_the_unknown(x):
    def residual(v):
        if v < 0.0:
            raise ValueError("negative")
        return v * v * v - x

    return nbad.solve(residual, 0.3)


def caught_when_not_found(x):
    try:
        return nbad.solve(lambda v: math.log(v) - x, 10.0)
    except nbad.NotConvergedError:
        return -2.0


def caught_when_outside(x):
    try:
        return nbad.solve(lambda v: math.log(v) - x, 10.0)
    except ValueError:
        return -1.0


def caught_within(x):
    def residual(v):
        try:
            return math.log(v) - x
        except ValueError:
            return v - 1.0

    return nbad.solve(residual, 10.0)


@pytest.mark.parametrize(
    "function",
    [
        log_of_the_unknown, root_of_the_unknown, within_a_bracket, refuses_the_unknown, caught_when_not_found,
        caught_when_outside, caught_within,
    ],
)  # fmt: skip
def test_steps_out_of_the_domain_end_as_in_plain_python(function):
    f = nbad.kernel(function)
    for x in (0.5, 1.0, -3.0, 2.5, math.nan, math.inf):
        try:
            expected = function(x)
        except (nbad.NotConvergedError, ValueError) as error:
            with pytest.raises(type(error), match=re.escape(str(error).splitlines()[0])):
                f(x)
        else:
            assert_allclose(f(x), expected, rtol=1e-14)
