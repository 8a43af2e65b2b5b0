"""A traced number has what NumPy's float64 has: attributes, methods, items; right values are those of the plain function."""

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

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
    "ellipsis": lambda x: x[...] * 2,
    "no index": lambda x: x[()] * 2,
    "new axis": lambda x: (x[..., None] * np.array([1.0, 2.0]))[1],
    "new axes": lambda x: x[None, np.newaxis].shape[1] * x,
    "array": lambda x: np.array(x, copy=True, ndmin=1)[0] * x,
    "array of a dtype": lambda x: np.asarray(x, float) * np.array(x, dtype=np.float64, copy=None),
    "at least": lambda x: np.atleast_1d(x)[0] * np.atleast_2d(x)[0, 0],
    "powers": lambda x: ((x * x) ** np.array([1.0, 2.0])).sum(),
}


def plain(use):
    """The plain function at each point, and its central differences."""
    h = 1e-6
    values = [use(x) for x in POINTS]
    slopes = [(use(np.float64(x + h)) - use(np.float64(x - h))) / (2 * h) for x in POINTS]
    return np.array(values, float), np.array(slopes, float)


@pytest.mark.parametrize("name", USES)
def test_uses(name):
    use = USES[name]
    kernel = nbad.kernel(use)
    values, slopes = plain(use)
    np.testing.assert_allclose(kernel(POINTS), values, rtol=1e-15)
    np.testing.assert_allclose(nbad.grad(kernel)(POINTS), slopes, atol=1e-7)


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


def masked(x):
    return x[x > 0]


@pytest.mark.parametrize("function", [first, looped, unpacked, masked])
def test_one_number_is_no_sequence(function):
    with pytest.raises(TraceError, match="treats a traced value, a scalar, as a sequence"):
        nbad.kernel(function)(2.0)


def test_other_dtypes_are_refused():
    with pytest.raises(TraceError, match="makes `x` a number of dtype float32"):
        nbad.kernel(lambda x: x.astype(np.float32))(2.0)


def test_it_is_not_iterable():
    seen = []
    nbad.kernel(lambda x: seen.append(np.iterable(x)) or x)(2.0)
    assert seen == [False]
