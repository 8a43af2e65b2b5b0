"""Kernels that call kernels, where the caller branches and returns early; neither has been traced before."""

import math

import numpy as np
import pytest

import nbad

X = np.linspace(-2.0, 2.0, 41)


def square():
    """A kernel that nothing has traced yet."""
    return nbad.kernel(lambda x: x * x)


fresh_global = square()


@nbad.kernel
def of_a_global(x):
    if x > 1:
        return 1.0
    return fresh_global(x)


def helper(x, kernel):
    if x > 1:
        return 1.0
    return kernel(x)


def expected(x):
    return np.where(x > 1, 1.0, x * x), np.where(x > 1, 0.0, 2 * x)


def of_a_closure():
    inner = square()

    @nbad.kernel
    def outer(x):
        if x > 1:
            return 1.0
        return inner(x)

    return outer


def in_a_helper():
    inner = square()
    return nbad.kernel(lambda x: helper(x, inner))


def in_both_arms():
    inner, one = square(), nbad.kernel(lambda x: 1.0 + 0.0 * x)

    @nbad.kernel
    def outer(x):
        if x > 1:
            y = one(x)
        else:
            y = inner(x)
        return y

    return outer


def in_a_loop():
    inner = square()

    @nbad.kernel
    def outer(x):
        total = 0.0
        for k in range(4):
            if x > 1:
                return 1.0
            total = total + inner(x) * k / 6
        return total

    return outer


def of_a_derivative():
    slope = nbad.grad(nbad.kernel(lambda x: x**3 / 3))

    @nbad.kernel
    def outer(x):
        if x > 1:
            return 1.0
        return slope(x)

    return outer


@pytest.mark.parametrize("make", [lambda: of_a_global, of_a_closure, in_a_helper, in_both_arms, in_a_loop, of_a_derivative])
def test_value_and_slope(make):
    f = make()
    value, slope = nbad.value_and_grad(f)(X)
    np.testing.assert_allclose(value, expected(X)[0], rtol=1e-14)
    np.testing.assert_allclose(slope, expected(X)[1], rtol=1e-14)
    np.testing.assert_allclose(nbad.grad(nbad.grad(f))(X), np.where(X > 1, 0.0, 2.0), rtol=1e-14)


def test_a_kernel_that_is_called_before_and_after_the_early_return():
    inner = square()

    @nbad.kernel
    def outer(x):
        y = inner(x)
        if y > 1:
            return math.sqrt(y)
        return inner(y) + inner(2.0)  # the second call has no traced argument: it runs

    np.testing.assert_allclose(outer(X), np.where(X * X > 1, np.abs(X), X**4 + 4.0), rtol=1e-14)
    nbad.testing.check_kernel(outer, X)
