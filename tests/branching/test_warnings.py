"""Warnings on paths that depend on traced values: issued once, after the sweep, if an element took the path."""

import math
import warnings

import numpy as np
import pytest

import nbad


class RangeWarning(UserWarning):
    pass


def extrapolates(x):
    if x > 10:
        warnings.warn(f"x = {x} is large", stacklevel=1)
    if x > 100:
        raise ValueError("too large")
    if x < 0:
        warnings.warn("negative", RangeWarning, stacklevel=2)
        return 0.0
    return math.sqrt(x)


def issued(call, *args):
    """The result of a call, and its warnings as text, kind and whether they name this file."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = call(*args)
    assert all(w.filename == __file__ for w in found)
    return result, [(str(w.message), w.category) for w in found]


LARGE, SMALL = ("x = 16.0 is large", UserWarning), ("negative", RangeWarning)
F, G = nbad.kernel(extrapolates), nbad.kernel(extrapolates, errors="nan")
H = nbad.kernel(lambda x: F(x) if x < 50 else x)
CASES = [([1.0, 4.0], []), ([1.0, 16.0, 20.0], [LARGE]), ([-1.0, 16.0, -4.0, 16.0], [LARGE, SMALL]), ([2.0, -0.5], [SMALL])]


@pytest.mark.parametrize("kernel", [F, G, H], ids=["raise", "nan", "nested"])
@pytest.mark.parametrize(("x", "expected"), CASES)
def test_each_warning_is_issued_once(kernel, x, expected):
    x = np.array(x)
    for _ in range(3):
        value, found = issued(kernel, x)
        np.testing.assert_array_equal(value, np.where(x > 0, np.sqrt(abs(x)), 0.0))
        assert found == expected
        for verb in (nbad.jacobian(kernel), nbad.grad(kernel), lambda x: nbad.vjp(kernel, x)[1](1.0)):
            assert issued(verb, x)[1] == expected


def test_an_error_comes_before_warnings():
    with pytest.raises(ValueError, match=r"(?s)^too large.*element \(1,\), the first of 1 that failed"):
        issued(F, np.array([-1.0, 101.0]))
    value, found = issued(G, np.array([16.0, 101.0]))
    np.testing.assert_array_equal(value, [4.0, np.nan])
    assert found == [LARGE]


def test_the_filters_of_warnings_hold():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RangeWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", RangeWarning)
        np.testing.assert_array_equal(F(np.array([16.0])), [4.0])
        with pytest.raises(RangeWarning, match="negative"):
            F(np.array([16.0, -1.0]))


def test_a_warning_for_all_elements_is_that_of_the_trace():
    def warns(x, n=2):
        if n == 2:
            warnings.warn("n is 2", stacklevel=1)
        return x

    f = nbad.kernel(warns)
    assert issued(f, 1.0) == (1.0, [("n is 2", UserWarning)])
    assert issued(f, 2.0) == (2.0, [])
