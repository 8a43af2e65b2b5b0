"""Special functions: of numbers and in kernels, at their hard points, without SciPy; and the families behind their partials."""

import builtins
import ctypes
import itertools
import math
import operator

import mpmath
import numpy as np
import pytest
import scipy.special

import nbad
import nbad.testing
from nbad import special
from nbad.codegen import host
from nbad.codegen.lower import lower
from nbad.errors import MissingExtraError, TraceError
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.operations import scipy_link
from nbad.operations.series import HALF_LINE
from nbad.operations.table import TABLE
from nbad.testing.oracles import exact

UNARY = "digamma erfcx erfinv expit gamma gammaln log_expit log_ndtr logit ndtr".split()
BINARY = ("xlogy", "xlog1py")
DOMAIN = {
    "erfinv": (-0.99, 0.99),
    "logit": (0.01, 0.99),
    "xlogy": (0.01, 5.0),
    "xlog1py": (-0.9, 5.0),
    "gamma": (0.1, 9.0),
    "gammaln": (0.1, 9.0),
    "digamma": (0.1, 9.0),
}
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-300, 1e300, -1e300, 5e-324, np.inf, -np.inf, np.nan, 7.0, -3.0, 1e10)


def columns(name, rng, count=200):
    low, high = DOMAIN.get(name, (-5.0, 5.0))
    return rng.uniform(low, high, (2 if name in BINARY else 1, count))


def of(function, count, math_="simd"):
    return nbad.kernel((lambda x: function(x)) if count == 1 else (lambda x, y: function(x, y)), math=math_)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_function_of_scipy_and_ours(name, rng):
    """In kernels by either name, and on plain arrays."""
    xs, ours, theirs = columns(name, rng), getattr(special, name), getattr(scipy.special, name)
    expected = theirs(*xs)
    for values in (ours(*xs), of(ours, len(xs))(*xs), of(theirs, len(xs))(*xs)):
        np.testing.assert_allclose(values, expected, rtol=2e-13, atol=1e-15)
    assert isinstance(ours(*xs[:, 0]), float)
    np.testing.assert_array_equal(nbad.jacobian(of(ours, len(xs)))(*xs), nbad.jacobian(of(theirs, len(xs)))(*xs))


@pytest.mark.parametrize("name", [*UNARY, *BINARY, "softplus", "sinc"])
def test_the_harness_proves_it(name, rng):
    xs = columns(name, rng)
    assert nbad.testing.check_kernel(of(getattr(special, name), len(xs)), *xs).entries


@pytest.mark.parametrize("name", ["mod", "fmod", "floordiv", "heaviside", "round"])
def test_values_at_the_edges_are_those_of_numpy(name):
    own = {"mod": operator.mod, "fmod": np.fmod, "floordiv": operator.floordiv, "heaviside": np.heaviside, "round": round}
    function = own[name]
    points = np.array(list(itertools.product(EDGES, repeat=len(TABLE[name].operands)))).T
    with np.errstate(all="ignore"):
        expected = TABLE[name].numpy(*points)
    for math_ in ("simd", "libm"):
        f = of(function, len(points), math_)
        np.testing.assert_array_equal(f(*points), expected)
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(f(*points))[number], np.signbit(expected)[number])


def test_remainders_are_those_of_numpy_everywhere(rng):
    x, y = rng.normal(size=(2, 2000)) * 10.0 ** rng.uniform(-3, 6, (2, 2000))
    for function, theirs in ((divmod, np.divmod), (np.fmod, np.fmod)):
        np.testing.assert_array_equal(of(function, 2)(x, y), theirs(x, y))


def test_partials_of_remainders_are_whole_next_to_a_jump():
    """Where x/y rounds to 3, but 3 y is more than x."""
    x = np.nextafter(3.0, 0.0)
    assert nbad.jacobian(nbad.kernel(lambda x, y: x % y))(x, 1.0).tolist() == [[1.0, -2.0]]
    assert nbad.jacobian(nbad.kernel(lambda x, y: np.fmod(x, y)))(-x, 1.0).tolist() == [[1.0, 2.0]]
    assert nbad.jacobian(nbad.kernel(lambda x, y: x % y))(-1e-20, 1.0).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("decimals", [-2, -1, 0, 1, 3])
def test_rounding_to_decimals_is_that_of_numpy(rng, decimals):
    x = np.concatenate([rng.normal(size=500) * 100, np.arange(-5, 5) + 0.5, [0.125, 0.375, 25.0, 35.0]])
    np.testing.assert_array_equal(nbad.kernel(lambda x: np.round(x, decimals))(x), np.round(x, decimals))
    np.testing.assert_array_equal(nbad.kernel(lambda x: round(x))(x), np.rint(x))


@pytest.mark.parametrize(
    ("function", "point", "expected"),
    [
        (special.xlogy, (0.0, 0.0), [-math.inf, 0.0]),
        (special.xlogy, (0.0, 2.0), [math.log(2.0), 0.0]),
        (special.xlogy, (2.0, 0.0), [-math.inf, math.inf]),
        (special.xlog1py, (0.0, -1.0), [-math.inf, 0.0]),
        (special.logit, (1.0,), [math.inf]),
        (special.logit, (0.0,), [math.inf]),
        (special.erfinv, (1.0,), [math.inf]),
        (special.gamma, (0.0,), [-math.inf]),
        (special.gamma, (-1.0,), [math.nan]),
        (special.gammaln, (-1.0,), [math.nan]),
        (special.digamma, (-1.0,), [math.inf]),
        (special.sinc, (0.0,), [-0.0]),
        (np.heaviside, (0.0, 0.5), [0.0, 1.0]),
        (np.heaviside, (1.0, 0.5), [0.0, 0.0]),
        (round, (0.5,), [0.0]),
        (operator.floordiv, (4.0, 2.0), [0.0, 0.0]),
        (operator.mod, (4.0, 2.0), [1.0, -2.0]),
        (special.log_ndtr, (50.0,), [0.0]),
        (special.ndtr, (-50.0,), [0.0]),
        (special.softplus, (800.0,), [1.0]),
        (special.expit, (-800.0,), [0.0]),
    ],
)
def test_conventions(function, point, expected):
    assert np.array_equal(nbad.jacobian(of(function, len(point)))(*point)[0], expected, equal_nan=True)


def test_slope_of_log_ndtr_far_out():
    slopes = nbad.grad(nbad.kernel(lambda x: special.log_ndtr(x)))
    np.testing.assert_allclose(slopes([-1e8, -1e4]), [1e8, 1e4 + 1e-4], rtol=1e-15)
    expected = [-1.0, -1.0 + 1e-8, -0.9999000599500517, 0.0]
    np.testing.assert_allclose(nbad.grad(slopes)([-1e8, -1e4, -100.0, 60.0]), expected, rtol=1e-14)


def test_second_derivatives_with_x_zero():
    """A guard on the value would make the mixed partial of x log(y) zero at x = 0."""
    for function, mixed in ((special.xlogy, 0.5), (special.xlog1py, 1 / 3)):
        np.testing.assert_allclose(nbad.hessian(of(function, 2))(0.0, 2.0), [[0.0, mixed], [mixed, 0.0]], rtol=1e-15)


def test_entropy_at_zero():
    f = nbad.kernel(lambda p: special.xlogy(p, p))
    assert (f(0.0), nbad.grad(f)(0.0)) == (0.0, -math.inf)
    assert nbad.grad(nbad.kernel(lambda p: special.xlogy(p, np.sqrt(p)) * 0.0 + p))(1.0) == 1.0


@pytest.mark.parametrize(
    ("f", "function", "points"),
    [
        (lambda x: special.sinc(x), mpmath.sincpi, (0.0, 1e-3, 0.4, 2.2)),
        (lambda x: special.erfcx(x), lambda x: mpmath.exp(x * x) * mpmath.erfc(x), (-1.0, 0.3, 2.0)),
        (lambda x: special.log_ndtr(x), lambda x: mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2), (-3.0, -0.5, 1.0)),
        (lambda x: special.gammaln(x), mpmath.loggamma, (0.3, 4.0)),
        (lambda x: special.digamma(x), mpmath.digamma, (0.3, 4.0)),
        (lambda x: special.logit(x), lambda x: mpmath.log(x / (1 - x)), (0.2, 0.5, 0.9)),
        (lambda x: special.expit(x), lambda x: 1 / (1 + mpmath.exp(-x)), (-30.0, 1e-9, 30.0)),
        (lambda x: special.erfinv(x), mpmath.erfinv, (-0.5, 0.9)),
        (lambda x: np.hypot(x, 2.0), lambda x: mpmath.sqrt(x * x + 4), (-3.0, 1e-3, 50.0)),
        (lambda x: np.arctan2(x, 2.0), lambda x: mpmath.atan(x / 2), (-3.0, 1e-3, 50.0)),
    ],
)
def test_third_derivatives(f, function, points):
    """The rows are closed under differentiation: no order ends it."""
    third = nbad.grad(nbad.grad(nbad.grad(nbad.kernel(f))))
    for x in points:
        with mpmath.workdps(60):
            expected = float(mpmath.diff(function, mpmath.mpf(x), 3))
        assert third(x) == pytest.approx(expected, rel=1e-12, abs=1e-12)


# the families


def value(op, n, x):
    builder = GraphBuilder(op, ["x"])
    return evaluate(lower(builder.build([builder.add(op, 0, payload=n)])), np.asarray(x))[0]


def truth(op, n, x):
    builder = GraphBuilder(op, ["x"])
    return float(exact(builder.build([builder.add(op, 0, payload=n)]), [x])[0])


@pytest.mark.parametrize(
    ("op", "orders", "points"),
    [
        ("polygamma", (1, 2, 3, 6), (1e-3, 0.4, 1.0, 7.3, 50.0, 1e6, -0.3, -4.7)),
        ("jn_pi", (0, 1, 2, 5), (1e-6, 0.01, 0.3, 0.8, 1.4, 6.2)),
        ("ierfcx", (1, 2), (-3.0, -1e-3, 1e-6, 0.1, 0.9, 2.5, 5.0)),
    ],
)
def test_family(op, orders, points):
    for n in orders:
        for x in points:
            assert value(op, n, x) == pytest.approx(truth(op, n, x), rel=3e-14), (n, x)


@pytest.mark.parametrize("n", HALF_LINE)
def test_scaled_integrals_far_out(n):
    """Their leading terms: 1/(sqrt(pi) 2**n x**(n + 1))."""
    x = 1e8
    assert value("ierfcx", n, x) == pytest.approx(1 / (math.sqrt(math.pi) * 2**n * x ** (n + 1)), rel=1e-14)
    assert value("ierfcx", n, math.inf) == 0.0


@pytest.mark.parametrize("function", [scipy.special.polygamma, special.polygamma])
def test_polygamma(function, rng):
    x = rng.uniform(0.1, 9.0, 50)
    for n in (0, 1, 3):
        np.testing.assert_allclose(nbad.kernel(lambda x, n=n: function(n, x))(x), scipy.special.polygamma(n, x), rtol=1e-12)
        np.testing.assert_allclose(function(n, x), scipy.special.polygamma(n, x), rtol=1e-12)
    slopes = nbad.grad(nbad.kernel(lambda x: function(1, x)))(x)
    np.testing.assert_allclose(slopes, scipy.special.polygamma(2, x), rtol=1e-12)
    with pytest.raises(TraceError, match=r"a first argument that is no plain whole number[\s\S]*fix: polygamma\(1, x\)"):
        nbad.kernel(lambda x: function(x, x))(1.0)


# SciPy


@pytest.fixture
def no_scipy(monkeypatch):
    """A process in which SciPy is not to be found."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "scipy":
            raise ImportError("No module named 'scipy'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    host.foreign_function.cache_clear()
    yield
    host.foreign_function.cache_clear()


def test_without_scipy_the_error_names_the_extra(no_scipy):
    text = r'`erfinv` takes its values from SciPy, which is not installed[\s\S]*fix: pip install "nbad\[scipy\]"'
    with pytest.raises(MissingExtraError, match=text):
        special.erfinv(0.5)
    with pytest.raises(ImportError, match=text):
        nbad.kernel(lambda x: special.erfinv(x))(0.5)


def test_without_scipy_the_others_work(no_scipy):
    f = nbad.kernel(lambda x: (special.softplus(x), special.expit(x), special.ndtr(x), special.xlogy(x, x), special.gamma(x)))
    expected = 0.974076984180107, 0.6224593312018546, 0.6914624612740131, -0.34657359027997264, 1.772453850905516
    assert f(0.5) == pytest.approx(expected, rel=1e-15)
    assert special.softplus(0.5) == pytest.approx(0.974076984180107)


def test_every_address_is_that_of_a_function_of_doubles():
    for row in TABLE.values():
        if row.scipy:
            function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_int)(scipy_link.address(row.scipy, 1))
            for x in (0.3, 0.7):
                assert function(x, 0) == row.numpy(x)


def test_wrong_number_of_arguments():
    with pytest.raises(TypeError, match=r"`nbad\.special\.xlogy` is called with 1 arguments"):
        special.xlogy(1.0)
    with pytest.raises(TraceError, match=r"calls `nbad.special.xlogy` with 1 arguments[\s\S]*expected: 2"):
        nbad.kernel(lambda x: special.xlogy(x))(1.0)


def test_functions_say_what_they_compute():
    assert special.softplus.__doc__ == "log(1 + exp(x)), elementwise."
    assert special.softplus.__name__ == "softplus"


def test_vector_arguments():
    f = nbad.kernel(lambda r: np.sum(special.softplus(r)), signature="(3)->()")
    np.testing.assert_allclose(nbad.grad(f)([0.0, 1.0, -1.0]), scipy.special.expit([0.0, 1.0, -1.0]), rtol=1e-15)
