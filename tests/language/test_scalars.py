"""A traced number has what NumPy's float64 has, and NumPy's small functions take it; right is what the plain function gives."""

import math

import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from scipy.stats import norm

import nbad
from nbad.errors import TraceError

KNOTS = np.array([0.0, 0.25, 0.5, 1.0])
POINTS = np.array([-1.4, 0.3, 2.2])
USES = {
    "shape": lambda x: x * 2 if x.shape == () else x,
    "ndim": lambda x: x * 2 if x.ndim == 0 else x,
    "size": lambda x: x * x.size,
    "dtype": lambda x: x * 2 if x.dtype == np.float64 else x,
    "dtype of an array": lambda x: x * 2 if np.asarray(x).dtype == np.float64 else x,
    "item": lambda x: x.item() * 2,
    "copy": lambda x: x.copy() * 2,
    "copied": lambda x: np.copy(x) * 2,
    "float": lambda x: x.astype(float) * 2,
    "float by name": lambda x: x.astype("float64", copy=False) * x,
    "int": lambda x: x.astype(int) * x,
    "bool": lambda x: x * x.astype(bool),
    "real": lambda x: x.real * 2 + x.imag,
    "conjugate": lambda x: x.conj() * x.conjugate(),
    "transposed": lambda x: x.T * x.squeeze(),
    "clip": lambda x: x.clip(0.0, 1.0) * x,
    "round": lambda x: x.round() * x + x.round(1),
    "ravel": lambda x: x.ravel()[0] * x.flatten()[0],
    "reshaped": lambda x: x.reshape(-1)[0] * np.asarray(x).reshape(1, 1)[0, 0] + x.reshape(()),
    "ellipsis": lambda x: x[...] * 2,
    "no index": lambda x: x[()] * 2,
    "new axis": lambda x: (x[..., None] * np.array([1.0, 2.0]))[1],
    "new axes": lambda x: x[None, np.newaxis].shape[1] * x,
    "array": lambda x: np.array(x, copy=True, ndmin=1)[0] * x,
    "array of a dtype": lambda x: np.asarray(x, float) * np.array(x, dtype=np.float64, copy=None),
    "at least": lambda x: np.atleast_1d(x)[0] * np.atleast_2d(x)[0, 0],
    "close": lambda x: np.where(np.isclose(x, 0.3), x * x, 3 * x),
    "close to itself": lambda x: np.where(np.isclose(x, x + 1e-7, rtol=0.0, atol=1e-6), x * x, 3 * x),
    "close in math": lambda x: x * x if math.isclose(x, 0.3001, rel_tol=1e-2) else 3 * x,
    "close by a bound": lambda x: x * x if math.isclose(x, 0.0, abs_tol=0.5) else 3 * x,
    "no nan": lambda x: np.nan_to_num(x * x),
    "quotient and remainder": lambda x: np.divmod(x, 0.6)[0] * x + np.divmod(x, 0.6)[1],
    "place": lambda x: np.searchsorted(KNOTS, x) * x + np.searchsorted(KNOTS, x, side="right"),
    "bin": lambda x: np.digitize(x, KNOTS) * x + np.digitize(x, KNOTS, right=True),
    "table": lambda x: KNOTS[np.searchsorted(KNOTS[:3], x)] * x,
    "variance": lambda x: np.var([x, 2 * x, 3.0]),
    "deviation": lambda x: np.std(np.array([x, 2 * x, 3.0])),
    "spread": lambda x: np.ptp([x, 2 * x, 3.0, x * x]),
    "not sparse": lambda x: x if scipy.sparse.issparse(x) else np.asarray(x).ravel()[0] * x,
    "powers": lambda x: ((x * x) ** np.array([1.0, 2.0])).sum(),
}


def plain(use):
    """The plain function at each point, and its central differences."""
    h = 1e-6
    values = [use(x) for x in POINTS]
    slopes = [(use(np.float64(x + h)) - use(np.float64(x - h))) / (2 * h) for x in POINTS]
    return np.array(values, float), np.array(slopes, float)


def assert_like_plain(use, rtol):
    kernel = nbad.kernel(use)
    values, slopes = plain(use)
    np.testing.assert_allclose(kernel(POINTS), values, rtol=rtol)
    np.testing.assert_allclose(nbad.grad(kernel)(POINTS), slopes, atol=1e-7)


@pytest.mark.parametrize("name", USES)
def test_uses(name):
    assert_like_plain(USES[name], 1e-15)


def test_an_unknown_attribute_is_not_written():
    def careful(x):
        try:
            x.units = "m"
        except AttributeError:
            return 3.0 * x
        return x

    def careless(x):
        x.units = "m"
        return x

    assert nbad.kernel(careful)(2.0) == 6.0
    with pytest.raises(TraceError, match="writes the attribute `units` of `x`"):
        nbad.kernel(careless)(2.0)


def first(x):
    return x[0]


def looped(x):
    return sum(part for part in x)


def unpacked(x):
    a, b = x
    return a + b


@pytest.mark.parametrize("function", [first, looped, unpacked])
def test_one_number_is_no_sequence(function):
    with pytest.raises(TraceError, match="treats a traced value, a scalar, as a sequence"):
        nbad.kernel(function)(2.0)


def test_other_dtypes_are_refused():
    with pytest.raises(TraceError, match="makes `x` a number of dtype float32"):
        nbad.kernel(lambda x: x.astype(np.float32))(2.0)
    with pytest.raises(TraceError, match=r"makes `x` a number of another precision(?s:.*)with float32 arrays"):
        nbad.kernel(lambda x: x * np.float32(x))(2.0)


def test_the_largest_number_is_that_of_the_dtype():
    for dtype in np.float32, np.float64:
        xs = np.array([np.inf, -np.inf, np.nan, 1.5], dtype)
        np.testing.assert_array_equal(nbad.kernel(lambda x: np.nan_to_num(x, nan=2.0))(xs), np.nan_to_num(xs, nan=2.0))


def test_it_is_not_iterable():
    seen = []
    nbad.kernel(lambda x: seen.append(np.iterable(x)) or x)(2.0)
    assert seen == [False]


NOT_FINITE = np.array([-math.inf, math.inf, math.nan, 0.25, 0.5, -0.0])


@pytest.mark.parametrize(
    "use",
    [
        lambda x: np.nan_to_num(x),
        lambda x: np.nan_to_num(x, nan=7.0, posinf=8.0, neginf=-9.0),
        lambda x: np.searchsorted(KNOTS, x) + 0.0,
        lambda x: np.searchsorted(KNOTS, x, side="right") + 0.0,
        lambda x: np.digitize(x, KNOTS) + 0.0,
        lambda x: np.where(np.isclose(x, x), 1.0, 2.0),
        lambda x: np.where(np.isclose(x, x, equal_nan=True), 1.0, 2.0),
        lambda x: np.where(np.isclose(x, math.inf), 1.0, 2.0),
        lambda x: 1.0 if math.isclose(x, math.inf) else 2.0,
        lambda x: 1.0 if math.isclose(x, x) else 2.0,
    ],
)
def test_special_points(use):
    np.testing.assert_array_equal(nbad.kernel(use)(NOT_FINITE), [float(use(x)) for x in NOT_FINITE])


def test_tables_must_increase_and_be_constant():
    with pytest.raises(TraceError, match=r"calls `numpy.searchsorted` with an `a` that does not increase[\s\S]*sorted\(a\)"):
        nbad.kernel(lambda x: np.searchsorted([1.0, 0.0], x) * x)(2.0)
    with pytest.raises(TraceError, match=r"calls `numpy.digitize` with a traced `bins`"):
        nbad.kernel(lambda x: np.digitize(x, [0.0, x]) * x)(2.0)


STANDARD = {
    "cdf": lambda x: scipy.stats.norm.cdf(x) * x,
    "sf": lambda x: scipy.stats.norm.sf(x, 0.5),
    "logcdf": lambda x: scipy.stats.norm.logcdf(x, loc=0.1, scale=2.0),
    "logsf": lambda x: norm.logsf(x, 0.1, x * x),
    "pdf": lambda x: norm.pdf(x, 0.2, scale=0.5),
    "logpdf": lambda x: norm.logpdf(x, x * x, 1.0 + x * x),
    "ppf": lambda x: norm.ppf(x * x / (1.0 + x * x), 0.1, scale=2.0),
    "isf": lambda x: norm.isf(x * x / (1.0 + x * x)),
}


@pytest.mark.parametrize("name", STANDARD)
def test_the_normal_distribution_of_scipy(name):
    assert_like_plain(STANDARD[name], 1e-14)


def test_a_normal_distribution_needs_a_positive_scale():
    kernel = nbad.kernel(lambda x, s: norm.cdf(x, scale=s))
    scales = np.array([1.0, 0.0, -1.0, math.nan])
    np.testing.assert_array_equal(np.isnan(kernel(0.5, scales)), [False, True, True, True])  # as SciPy says
