"""Special functions: of numbers and in kernels, at their hard points, without SciPy; and the families behind their partials."""

import builtins
import ctypes
import functools
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
from nbad.codegen import compile, host
from nbad.codegen.lower import lower
from nbad.errors import MissingExtraError, TraceError
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.language import special_functions
from nbad.operations import scipy_link
from nbad.operations.series import HALF_LINE
from nbad.operations.table import TABLE
from nbad.testing.exact import exact

UNARY = """
    cosm1 digamma ellipe ellipk entr erfcinv erfcx erfinv exp1 exp10 expi expit exprel gamma gammaln i0 i0e i1 i1e j0 j1 k0 k1
    log_expit log_ndtr loggamma logit ndtr ndtri y0 y1
""".split()
BINARY = "xlogy xlog1py beta betaln boxcox gammainc gammaincc huber iv jv kl_div kv rel_entr yv zeta".split()
PROVEN = "boxcox digamma erfcinv erfcx exp10 exprel gammaln huber j1 lambertw log_ndtr logit ndtri sinc softplus xlogy".split()
DOMAIN = {
    **dict.fromkeys("beta betaln exp1 expi gammainc gammaincc iv jv k0 k1 kl_div kv rel_entr y0 y1 yv".split(), (0.1, 9.0)),
    **dict.fromkeys(("boxcox", "huber", "loggamma"), (0.1, 9.0)),
    **dict.fromkeys(("ellipe", "ellipk"), (-5.0, 0.99)),
    "erfcinv": (0.01, 1.99),
    "ndtri": (0.01, 0.99),
    "zeta": (1.1, 9.0),
    "lambertw": (-0.3, 9.0),
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
    shapes = {1: lambda x: function(x), 2: lambda x, y: function(x, y), 3: lambda x, y, z: function(x, y, z)}
    return nbad.kernel(shapes[count], math=math_)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_function_of_scipy_and_ours(name, rng):
    """In kernels by either name, and on plain arrays."""
    xs, ours, theirs = columns(name, rng), getattr(special, name), getattr(scipy.special, name)
    expected = theirs(*xs)
    for values in (ours(*xs), of(ours, len(xs))(*xs), of(theirs, len(xs))(*xs)):
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)
    assert isinstance(ours(*xs[:, 0]), float)
    np.testing.assert_array_equal(nbad.jacobian(of(ours, len(xs)))(*xs), nbad.jacobian(of(theirs, len(xs)))(*xs))


@pytest.mark.parametrize("name", PROVEN)
def test_the_harness_proves_it(name, rng):
    xs = columns(name, rng)
    assert nbad.testing.check_kernel(of(getattr(special, name), len(xs)), *xs).entries


def test_an_exponential_over_its_exponent_has_derivatives_of_all_orders():
    """Those are integrals of s**n*exp(s*x) from 0 to 1, by mpmath: at 0, next to it, where series end, and far out."""
    x = np.array([0.0, -0.0, 5e-324, 1e-17, -1e-8, 0.3, -1.0, 3.999, 4.0, -4.001, 6.0, -7.999, 8.0, 40.0, -60.0, 700.0, -1e5])
    kernel = of(special.exprel, 1)
    for n in range(4):
        with mpmath.workdps(60):
            true = [float(mpmath.hyp1f1(n + 1, n + 2, mpmath.mpf(each)) / (n + 1)) for each in x]
        np.testing.assert_allclose(kernel(x), true, rtol=2e-15)
        np.testing.assert_array_equal(kernel(np.array([math.inf, -math.inf])), [math.inf, 0.0])
        kernel = nbad.grad(kernel)


def test_a_box_cox_transform_is_a_logarithm_at_exponent_0():
    x = np.array([0.3, 1.0, 7.5])
    (value, log), (first, second) = np.array([special.boxcox(x, 0.0), np.log(x)]), np.array([1 / x, np.log(x) ** 2 / 2])
    np.testing.assert_array_equal(value, log)
    np.testing.assert_allclose(nbad.jacobian(of(special.boxcox, 2))(x, 0.0)[:, 0].T, [first, second], rtol=1e-14)


@pytest.mark.parametrize("word", ["xy", "yx", "xxy", "yxx", "yyx", "yxy"])
def test_mixed_partials_of_a_box_cox_transform_do_not_cancel(word):
    """Of x**(y - 1), whatever comes first: where that is small, a product rule would subtract what is not."""
    x, y = np.array([[1e-3, 5.0], [1e-3, -5.0], [0.5, 1e-9], [30.0, -5.0], [1.0, 0.0], [2.0, 0.3]]).T
    kernel = functools.reduce(nbad.grad, word, nbad.kernel(lambda x, y: special.boxcox(x, y)))
    n, logs = word.count("y"), [mpmath.log(each) for each in x]
    slope = {1: lambda e, log: log**n, 2: lambda e, log: e * log**n + n * log ** (n - 1)}[word.count("x")]
    true = [mpmath.mpf(b) ** (c - word.count("x")) * slope(c - 1, log) for b, c, log in zip(x, y, logs, strict=True)]
    np.testing.assert_allclose(kernel(x, y), np.array(true, float), rtol=2e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_box_cox_transform_of_0_or_infinity_is_smooth_in_the_exponent(dtype):
    x, y = np.array([[0.0, 0.5], [math.inf, -0.5], [0.0, 0.0], [math.inf, 0.0], [0.0, -0.5]], dtype).T
    kernel = of(special.boxcox, 2)
    for true in ([4, 4, math.inf, math.inf, math.inf], [-16, 16, -math.inf, math.inf, -math.inf]):
        kernel = nbad.grad(kernel, "y")
        np.testing.assert_array_equal(kernel(x, y), np.array(true, dtype))


@pytest.mark.parametrize("name", ["mod", "fmod", "floordiv", "heaviside", "round"])
def test_values_at_the_edges_are_those_of_numpy(name):
    own = {"mod": operator.mod, "fmod": np.fmod, "floordiv": operator.floordiv, "heaviside": np.heaviside, "round": np.rint}
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
        (special.entr, (0.0,), [math.inf]),
        (special.kl_div, (0.0, 2.0), [-math.inf, 1.0]),
        (special.rel_entr, (0.0, 2.0), [-math.inf, 0.0]),
        (special.ellipk, (1.0,), [math.inf]),
        (special.k0, (0.0,), [-math.inf]),
        (special.y0, (0.0,), [math.inf]),
        (special.expi, (0.0,), [math.inf]),
        (special.exp1, (0.0,), [-math.inf]),
        (special.lambertw, (0.0,), [1.0]),
        (special.lambertw, (-0.5,), [math.nan]),
        (special.gammainc, (1.0, 0.0), [math.nan, 1.0]),
        (special.gammainc, (0.5, 0.0), [math.nan, math.inf]),
        (special.betainc, (1.0, 3.0, 0.0), [math.nan, math.nan, 3.0]),
        (special.i0e, (0.0,), [0.0]),
        (special.jv, (2.0, 0.0), [math.nan, 0.0]),
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
        (lambda x: special.erfcinv(x), lambda x: mpmath.erfinv(1 - x), (0.1, 0.9, 1.7)),
        (lambda x: special.ndtri(x), lambda x: mpmath.sqrt(2) * mpmath.erfinv(2 * x - 1), (0.1, 0.5, 0.97)),
        (lambda x: special.j0(x), lambda x: mpmath.besselj(0, x), (0.0, 0.3, 7.0)),
        (lambda x: special.j1(x), lambda x: mpmath.besselj(1, x), (0.0, 0.3, 7.0)),
        (lambda x: special.i0(x), lambda x: mpmath.besseli(0, x), (0.0, 0.3, 7.0)),
        (lambda x: special.i1(x), lambda x: mpmath.besseli(1, x), (0.0, 0.3, 7.0)),
        (lambda x: special.yv(2.5, x), lambda x: mpmath.bessely(2.5, x), (0.3, 7.0)),
        (lambda x: special.kv(2.5, x), lambda x: mpmath.besselk(2.5, x), (0.3, 7.0)),
        (lambda x: special.jv(2.5, x), lambda x: mpmath.besselj(2.5, x), (0.3, 7.0)),
        (lambda x: special.i0e(x), lambda x: mpmath.exp(-x) * mpmath.besseli(0, x), (0.3, 3.0)),
        (lambda x: special.exp1(x), mpmath.e1, (0.3, 7.0)),
        (lambda x: special.expi(x), mpmath.ei, (-2.0, 0.7, 7.0)),
        (lambda x: scipy.special.expn(2, x), lambda x: mpmath.expint(2, x), (0.3, 7.0)),
        (lambda x: special.ellipk(x), mpmath.ellipk, (-30.0, -0.6, 0.0, 1e-9, 0.3, 0.51, 0.999)),
        (lambda x: special.ellipe(x), mpmath.ellipe, (-30.0, -0.6, 0.0, 1e-9, 0.3, 0.51, 0.999)),
        (lambda x: scipy.special.lambertw(x), mpmath.lambertw, (-0.36, -0.1, 0.0, 1e-9, 3.0, 1e9)),
        (lambda x: scipy.special.lambertw(x, k=-1).real, lambda x: mpmath.lambertw(x, -1), (-0.36, -0.1, -1e-9)),
        (lambda x: special.beta(x, 0.01), lambda x: mpmath.beta(x, mpmath.mpf(0.01)), (0.2, 3.0, 40.0)),
        (lambda x: special.betaln(2.5, x), lambda x: mpmath.log(mpmath.beta(2.5, x)), (0.2, 3.0, 4e3)),
        (lambda x: special.gammainc(2.0, x), lambda x: 1 - (1 + x) * mpmath.exp(-x), (0.0, 0.3, 7.0)),
        (lambda x: special.gammaincc(30.0, x), lambda x: mpmath.gammainc(30, x, regularized=True), (20.0, 40.0)),
        (lambda x: special.betainc(2.0, 1.0, x), lambda x: x * x, (0.0, 0.3, 0.9)),
        (lambda x: special.betainc(40.0, 30.0, x), lambda x: mpmath.betainc(40, 30, 0, x, regularized=True), (0.5, 0.62)),
        (lambda x: special.zeta(2.0, x), lambda x: mpmath.zeta(2, x), (0.3, 4.0)),
        (lambda x: special.entr(x), lambda x: -x * mpmath.log(x), (0.3, 4.0)),
        (lambda x: special.kl_div(x, 2.0), lambda x: x * mpmath.log(x / 2) - x + 2, (0.3, 1.9, 4.0)),
        (lambda x: special.rel_entr(2.0, x), lambda x: 2 * mpmath.log(2 / x), (0.3, 1.9, 4.0)),
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


@pytest.mark.parametrize("name", ["entr", "kl_div", "rel_entr", "exp10", "zeta"])
def test_values_at_the_edges_are_those_of_scipy(name):
    row = TABLE[name]
    points = np.array(list(itertools.product(EDGES, repeat=len(row.operands)))).T
    if name == "zeta":  # left of 0 SciPy has values for some exponents, where ours are nan
        points = points[:, (points[1] >= 0.0) & (points[0] < 1e100)]
    if name == "kl_div":  # SciPy's is infinite where the quotient leaves the range
        points = points[:, ~np.isin(np.abs(points), (1e-300, 5e-324, 1e300)).any(axis=0)]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(
            of(getattr(special, name), len(points))(*points), getattr(scipy.special, name)(*points), rtol=1e-13
        )


def test_lambert_function(rng):
    """Both real branches, up to the branch point and over all magnitudes."""
    x = np.concatenate([-math.exp(-1.0) + 10.0 ** rng.uniform(-16, -0.5, 60), 10.0 ** rng.uniform(-300, 300, 60)])
    upper = of(special.lambertw, 1)(x)
    lower = nbad.kernel(lambda x: scipy.special.lambertw(x, -1).real)(x[x < 0.0])
    for branch, values, points in ((0, upper, x), (-1, lower, x[x < 0.0])):
        for value, point in zip(values, points, strict=True):
            with mpmath.workdps(40):
                true = mpmath.lambertw(mpmath.mpf(float(point)), branch)
            slack = 1 / max(abs(1 + float(mpmath.re(true))), 1e-8) + 2
            assert abs(value - float(true.real)) <= 4e-16 * slack * abs(value), point


def test_parameters_that_nbad_has_no_derivative_by():
    """The one by the operand is there beside them, and a parameter that is not differentiated does not count."""
    f = nbad.kernel(lambda a, x: special.gammainc(a, x) * x)
    assert np.isnan(nbad.jacobian(f)(2.0, 1.0)[0, 0])
    assert np.isnan(nbad.hessian(f)(2.0, 1.0)[0]).all()
    assert nbad.grad(f, 1)(2.0, 1.0) == pytest.approx(scipy.special.gammainc(2.0, 1.0) + math.exp(-1.0))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: scipy.special.expn(x, x), r"calls `expn` with a first argument that is no plain whole number"),
        (lambda x: scipy.special.zeta(x), r"calls `zeta` of one number[\s\S]*fix: scipy.special.zeta\(x, 1.0\)"),
        (lambda x: scipy.special.lambertw(x, 2), r"calls `lambertw` for a branch that is not real"),
    ],
)
def test_refusals(function, message):
    with pytest.raises(TraceError, match=message):
        nbad.kernel(function)(1.0)


def test_derivatives_of_small_whole_parameters_never_end():
    """Their parameters fall by 1 with each order: polynomials, and an exponential function."""
    f, g, h = (nbad.kernel(k) for k in (_gammainc_of_two, _betainc_of_two, _betainc_of_three))
    x = np.array([0.0, 0.3, 0.9])
    for order in range(1, 7):
        f, g, h = nbad.grad(f), nbad.grad(g), nbad.grad(h)
        np.testing.assert_allclose(f(x[1:]), (-1.0) ** order * (order - 1 - x[1:]) * np.exp(-x[1:]), rtol=1e-12)
        np.testing.assert_allclose(g(x), {1: 2 * x, 2: 2 + 0 * x}.get(order, 0 * x), atol=1e-12)
        exact = np.polynomial.Polynomial([0, 0, 6, -8, 3]).deriv(order)(x)  # x**2*(6 - 8*x + 3*x**2)
        np.testing.assert_allclose(h(x[1:]), exact[1:], rtol=1e-11, atol=1e-11)


def _gammainc_of_two(x):
    return special.gammainc(2.0, x)


def _betainc_of_two(x):
    return special.betainc(2.0, 1.0, x)


def _betainc_of_three(x):
    return special.betainc(2.0, 3.0, x)


POINT = {"v": 2.0, "z": 1.7, "k": 2.5, "m": 1.3, "n": 2, "df": 5.0, "t": -0.8, "a": 1.5, "b": 2.5, "x": 0.7}
OPERANDS = {"betaincc": "a b x", "rgamma": "z", "pdtr": "k m", "spherical_jn": "n z", "stdtr": "df t"}
OPERANDS |= dict.fromkeys(("chdtr", "chdtrc"), "v x") | dict.fromkeys(("ive", "kve"), "v z") | dict.fromkeys(("k0e", "k1e"), "x")


@pytest.mark.parametrize("path", special_functions.REWRITES)
def test_what_to_write_for_other_functions_of_scipy(path):
    name = path.rpartition(".")[2]
    operands = OPERANDS.get(name, "n x").split()
    *before, value = special_functions.REWRITES[path].partition("#")[0].split("; ")
    lines = [f"def f({', '.join(operands)}):", *before, f"return {value}"]
    namespace = {"np": np, "scipy": scipy}
    exec("\n    ".join(lines), namespace)
    kernel = nbad.kernel(namespace["f"], static=[each for each in operands if each == "n"])
    for sign in {1.0, -1.0 if name == "stdtr" else 1.0}:
        point = [POINT[each] * (sign if each == "t" else 1) for each in operands]
        assert kernel(*point) == pytest.approx(getattr(scipy.special, name)(*point), rel=1e-13)


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
        ("ellipk_slope", (1, 2, 3), (-40.0, -0.7, -0.49, 1e-9, 0.3, 0.6, 0.999)),
        ("ellipe_slope", (1, 2, 3), (-40.0, -0.7, -0.49, 1e-9, 0.3, 0.6, 0.999)),
        ("expint", (0, 1, 2, 5), (1e-3, 0.7, 4.0, 30.0)),
        ("i0e_slope", (1, 2, 3), (-50.0, -1e-3, 1e-9, 0.7, 19.9, 20.1, 1e4)),
        ("i1e_slope", (1, 2, 3), (-50.0, -1e-3, 1e-9, 0.7, 19.9, 20.1, 1e4)),
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
    with pytest.raises(
        TraceError, match=r"a first argument that is no plain whole number[\s\S]*fix: (nbad|scipy).special.polygamma\(1, x\)"
    ):
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
    for known in (host.foreign_function, compile._link):
        known.cache_clear()
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
            doubles = [ctypes.c_double] * len(row.operands)
            function = ctypes.CFUNCTYPE(ctypes.c_double, *doubles, ctypes.c_int)(scipy_link.address(row.scipy, len(doubles)))
            for point in row.samples:
                assert function(*point, 0) == row.numpy(*point), row.name


def test_bessel_functions_of_whole_order(rng):
    x = rng.uniform(0.1, 9.0, 50)
    f = nbad.kernel(lambda x: (scipy.special.kn(2, x), scipy.special.yn(3, x)))
    for got, expected in zip(f(x), (scipy.special.kn(2, x), scipy.special.yn(3, x)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    slopes = nbad.jacobian(f)(x)[..., 0]
    np.testing.assert_allclose(slopes[:, 0], scipy.special.kvp(2, x), rtol=1e-12)
    np.testing.assert_allclose(slopes[:, 1], scipy.special.yvp(3, x), rtol=1e-11, atol=1e-13)


def test_wrong_number_of_arguments():
    with pytest.raises(TypeError, match=r"`nbad\.special\.xlogy` is called with 1 argument\n"):
        special.xlogy(1.0)
    with pytest.raises(TraceError, match=r"calls `nbad.special.xlogy` with 1 argument:[\s\S]*expected: 2"):
        nbad.kernel(lambda x: special.xlogy(x))(1.0)


def test_functions_say_what_they_compute():
    assert special.softplus.__doc__ == "log(1 + exp(x)), elementwise."
    assert special.softplus.__name__ == "softplus"


def test_vector_arguments():
    f = nbad.kernel(lambda r: np.sum(special.softplus(r)), signature="(3)->()")
    np.testing.assert_allclose(nbad.grad(f)([0.0, 1.0, -1.0]), scipy.special.expit([0.0, 1.0, -1.0]), rtol=1e-15)


@pytest.mark.parametrize("a", [0.5, 1.0, 2.5, 300.0])
def test_incomplete_gamma_functions_are_flat_at_infinity(a):
    for function, value in ((special.gammainc, 1.0), (special.gammaincc, 0.0)):
        f = nbad.kernel(lambda x: function(a, x))  # noqa: B023
        assert (f(math.inf), nbad.grad(f)(math.inf), nbad.grad(nbad.grad(f))(math.inf)) == (value, 0.0, 0.0)
