"""Sums of exponentials as `scipy.special` has them: values by SciPy and mpmath, derivatives by closed forms, at ties too."""

import math

import mpmath
import numpy as np
import pytest
from scipy import special

import nbad

ROWS = np.array(
    [[0.0, -40.0, -50.0], [1.0, 1.0, 1.0], [2.0, 2.0, -1.0], [1e3, 999.0, -1e3], [-0.7, 0.3, 0.2], [-math.inf, 1.0, 2.0]]
)


@nbad.kernel(signature="(3)->()")
def logsumexp(v):
    return special.logsumexp(v)


@nbad.kernel(signature="(3)->(3)")
def softmax(v):
    return special.softmax(v)


@nbad.kernel(signature="(3)->(3)")
def log_softmax(v):
    return special.log_softmax(v)


def shares(row):
    """Of each exponential in the sum of all, with 60 digits."""
    with mpmath.workdps(60):
        powers = [mpmath.exp(mpmath.mpf(x)) for x in row]
        return np.array([power / sum(powers) for power in powers])


def test_values():
    with mpmath.workdps(60):
        true = [float(mpmath.log(sum(mpmath.exp(mpmath.mpf(x)) for x in row))) for row in ROWS]
        logs = [[float(mpmath.log(share)) if share else -math.inf for share in shares(row)] for row in ROWS]
    np.testing.assert_allclose(logsumexp(ROWS), true, rtol=4e-16)
    np.testing.assert_allclose(softmax(ROWS), np.array(list(map(shares, ROWS)), float), rtol=1e-15)
    np.testing.assert_allclose(log_softmax(ROWS), logs, rtol=1e-15)


def test_infinities():
    inf = math.inf
    rows = np.array([[-inf, -inf, -inf], [inf, 1.0, 2.0], [inf, inf, -inf], [math.nan, 1.0, 2.0]])
    np.testing.assert_array_equal(logsumexp(rows), special.logsumexp(rows, axis=1))
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(log_softmax(rows), special.log_softmax(rows, axis=1), rtol=1e-15)
        np.testing.assert_allclose(softmax(rows), special.softmax(rows, axis=1), rtol=1e-15)


def test_derivatives():
    for row in ROWS:
        share = shares(row).astype(float)
        np.testing.assert_allclose(nbad.jacobian(logsumexp)(row)[0], share, rtol=1e-15)
        np.testing.assert_allclose(nbad.jacobian(log_softmax)(row), np.eye(3) - share, atol=1e-15)
        second = np.diag(share) - np.outer(share, share)
        np.testing.assert_allclose(nbad.hessian(logsumexp)(row), second, atol=1e-15)
        np.testing.assert_allclose(nbad.jacobian(softmax)(row), second, atol=1e-15)


def test_axes():
    @nbad.kernel(signature="(2,3)->(2),(1,3),(),(2,3),(2,3)")
    def f(a):
        ends = special.softmax(a, axis=0), special.log_softmax(a, axis=(0, 1))
        return special.logsumexp(a, axis=1), special.logsumexp(a, axis=0, keepdims=True), special.logsumexp(a.tolist()), *ends

    a = np.random.default_rng(0).normal(size=(2, 3))
    own = special.softmax(a, axis=0), special.log_softmax(a, axis=(0, 1))
    expected = special.logsumexp(a, axis=1), special.logsumexp(a, axis=0, keepdims=True), special.logsumexp(a), *own
    for got, value in zip(f(a), expected, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-14)


def test_every_check():
    for kernel in (logsumexp, softmax, log_softmax):
        nbad.testing.check_kernel(kernel, ROWS[3:5])


def test_refusals():
    with pytest.raises(nbad.errors.TraceError, match=r"calls `scipy.special.logsumexp` on one element"):
        nbad.kernel(lambda x: special.logsumexp(x))(1.0)
    with pytest.raises(nbad.errors.TraceError, match=r"passes `b=` to `scipy.special.logsumexp`"):
        nbad.kernel(lambda x: special.logsumexp([x, 1.0], b=[1.0, 2.0]))(1.0)
