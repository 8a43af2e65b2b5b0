"""Cases from the test suites of JAX (special values), ChainRules (points), DiffTests (functions) and Mooncake (control flow)."""

import math

import mpmath
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose

import nbad

PI = math.pi
SPECIAL_VALUES = [  # jax-ml/jax, tests/lax_autodiff_test.py: to second order
    (np.sinh, mpmath.sinh, (0.0,)), (np.cosh, mpmath.cosh, (0.0,)), (np.arcsin, mpmath.asin, (0.0,)),
    (np.arccos, mpmath.acos, (0.0,)), (np.tan, mpmath.tan, (0.0,)), (np.tanh, mpmath.tanh, (0.0, 1000.0)),
    (np.sin, mpmath.sin, (0.0, PI, PI / 2, PI / 4)), (np.cos, mpmath.cos, (0.0, PI, PI / 2, PI / 4)),
    (np.arctan, mpmath.atan, (0.0, 1000.0)), (scipy.special.erf, mpmath.erf, (0.0, 10.0)),
    (scipy.special.erfc, mpmath.erfc, (0.0, 10.0)), (np.arcsinh, mpmath.asinh, (0.0, 1000.0)),
    (np.arccosh, mpmath.acosh, (1000.0,)), (np.arctanh, mpmath.atanh, (0.0,)),
]  # fmt: skip
CHAIN_RULES = [  # JuliaDiff/ChainRules.jl, test/rulesets/Base
    *((f, g, (PI - 0.01,)) for f, g in ((np.sin, mpmath.sin), (np.cos, mpmath.cos), (np.tan, mpmath.tan))),
    *((f, g, (0.5,)) for f, g in ((np.arcsin, mpmath.asin), (np.arccos, mpmath.acos), (np.arctan, mpmath.atan))),
    *((f, g, (-0.1, 7.9)) for f, g in ((np.exp, mpmath.exp), (np.expm1, mpmath.expm1), (np.exp2, lambda x: mpmath.mpf(2) ** x))),
    *((f, g, (-4.1, 6.4)) for f, g in ((np.abs, abs), (np.square, lambda x: x * x), (np.negative, lambda x: -x))),
    (np.sign, mpmath.sign, (-1.1, 0.5, 100.0)), (lambda x: x**3, lambda x: x**3, (-3.2, 0.0)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "oracle", "points"), SPECIAL_VALUES + CHAIN_RULES)
def test_points_to_second_order(function, oracle, points):
    kernel = nbad.kernel(lambda x: function(x))
    slope = nbad.grad(kernel)
    with mpmath.workdps(60):
        wanted = [[float(mpmath.diff(oracle, x, order)) for x in map(mpmath.mpf, points)] for order in (0, 1, 2)]
    for derivative, exact in zip((kernel, slope, nbad.grad(slope)), wanted, strict=True):
        assert_allclose(derivative(np.array(points)), exact, rtol=4e-15, atol=1e-60)


def test_sinc_at_zero_and_the_exponent_of_a_power():
    """`sinc` to second order at its removable singularity; by the exponent, a power has no slope at base 0."""
    slope = nbad.grad(nbad.kernel(lambda x: np.sinc(x)))
    assert (slope(0.0), nbad.grad(slope)(0.0)) == (0.0, pytest.approx(-PI * PI / 3, rel=1e-15))
    power = nbad.grad(nbad.kernel(lambda x, y: x**y), (0, 1))
    assert power(0.0, 3.0) == (0.0, 0.0)
    assert power(-3.0, 3.0)[0] == 27.0
    assert math.isnan(power(-3.0, 3.0)[1])


NUMBER_TO_NUMBER = [  # JuliaDiff/DiffTests.jl: the function, and its derivative
    (lambda x: math.sin(x) ** 2 / math.cos(x) ** 2, lambda x: 2 * math.tan(x) / math.cos(x) ** 2),
    (lambda x: 2 * x + math.sqrt(x * x * x), lambda x: 2 + 1.5 * math.sqrt(x)),
    (lambda x: 10.31 ** (x + x) - x, lambda x: 2 * math.log(10.31) * 10.31 ** (2 * x) - 1),
    (lambda x: 1.0, lambda x: 0.0),
    (lambda x: 1.0 / (1.0 + math.exp(-x)), lambda x: math.exp(-x) / (1.0 + math.exp(-x)) ** 2),
]


@pytest.mark.parametrize(("function", "derivative"), NUMBER_TO_NUMBER)
def test_numbers_to_numbers(function, derivative):
    xs = np.array([0.2, 0.9, 1.4])
    kernel = nbad.kernel(function)
    assert_allclose(kernel(xs), list(map(function, xs)), rtol=4e-15)
    assert_allclose(nbad.grad(kernel)(xs), list(map(derivative, xs)), rtol=1e-14)


def test_outputs_that_are_multiplied_in_place():
    @nbad.kernel(signature="(2),(2)->(2)")
    def rebound(y, x):
        y = y.copy()
        y1, y2 = y
        y1 *= x[0]
        y2 *= x[0]
        y1 *= x[1]
        y2 *= x[1]
        y[0], y[1] = y1, y2
        return y

    y, x = np.array([0.5, -2.0]), np.array([3.0, 0.25])
    wanted = [[x[0] * x[1], 0.0, y[0] * x[1], y[0] * x[0]], [0.0, x[0] * x[1], y[1] * x[1], y[1] * x[0]]]
    assert_allclose(nbad.jacobian(rebound)(y, x), wanted, rtol=1e-15)


def used_several_times(x):
    y = math.cos(x) if x > 0 else math.sin(x)
    return y * y


def defined_in_one_arm(x):
    if x > 0:
        v = x * x
    return v if x > 0 else -x


def five_hundred_steps(x):
    for _ in range(500):
        x = math.sin(x)
    return x


def counted_down(x, n=3):
    while n > 0:
        x = math.cos(x)
        n -= 1
    return x


def swapped(x):
    a, b = x, 1.5
    for _ in range(3):
        a, b = b, 2 * a
    return a * b


CONTROL_FLOW = [  # Mooncake.jl, src/test_resources.jl: the function, its derivative
    (used_several_times, lambda x: -math.sin(2 * x) if x > 0 else math.sin(2 * x)),
    (defined_in_one_arm, lambda x: 2 * x if x > 0 else -1.0),
    (five_hundred_steps, lambda x: math.prod(math.cos(y) for y in iterates(math.sin, x, 500))),
    (counted_down, lambda x: -math.prod(math.sin(y) for y in iterates(math.cos, x, 3))),
    (swapped, lambda x: 12.0),
]  # fmt: skip


def iterates(function, x, count):
    for _ in range(count):
        yield x
        x = function(x)


@pytest.mark.parametrize(("function", "derivative"), CONTROL_FLOW)
def test_control_flow(function, derivative):
    xs = [-0.7, 0.4, 1.3]
    kernel = nbad.kernel(function)
    assert_allclose(kernel(xs), [function(x) for x in xs], rtol=1e-13)
    y, pullback = nbad.vjp(kernel, np.array(xs))
    for _ in range(2):
        assert_allclose(pullback(np.ones_like(y))[0], [derivative(x) for x in xs], rtol=1e-12)
