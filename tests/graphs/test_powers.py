"""Derivatives of constant powers: exponents by orders by dtypes by magnitudes, against mpmath, at poles and at infinity."""

import math

import mpmath
import numpy as np
import pytest

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.graphs.simplify import simplify

WHOLE = (-12, -6, -3, -2, -1, 0, 1, 2, 3, 7, 12)
REAL = (-7.5, -2.5, -2.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0, 9.25)
MARGIN = 512  # a power that comes so near to the ends of the range, its factor may take over them


def power(exponent):
    builder = GraphBuilder("power", ["x"])
    if isinstance(exponent, int):
        return builder.build([builder.add("powi", 0, payload=exponent)])
    return builder.build([builder.add("pow", 0, builder.constant(exponent))])


def derivative(graph, order, mode="reverse"):
    for _ in range(order):
        joint = jacobian(graph, (0,), mode)
        builder = GraphBuilder.extending(joint.graph)
        graph = simplify(builder.build(joint.graph.outputs[1:] or (builder.constant(0.0),)))
    return graph


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("exponent", [*WHOLE, *REAL])
def test_derivatives_keep_the_range_and_the_accuracy_of_the_power(exponent, order, dtype, mode):
    graph, eps = derivative(power(exponent), order, mode), float(np.finfo(dtype).eps)
    tiny, huge = mpmath.mpf(float(np.finfo(dtype).tiny)), mpmath.mpf(float(np.finfo(dtype).max))
    end = 0.9 * float(mpmath.log10(huge))
    for x in map(dtype, (0.01, 2000.0, 0.7, 3.1, 1e-20, 1e15, *np.logspace(-end, end, 41))):
        got = float(evaluate(graph, x)[0])
        left = mpmath.mpf(float(x)) ** (exponent - order)
        true = mpmath.ff(exponent, order) * left
        if tiny * MARGIN < left < huge / MARGIN:
            np.testing.assert_allclose(got, float(true), rtol=(abs(exponent) + 8) * eps, atol=0, err_msg=str(x))
        elif abs(true) > huge * MARGIN:
            assert got == float(mpmath.sign(true)) * math.inf, x
        elif abs(true) < tiny / MARGIN:
            assert abs(got) <= tiny, x
        else:
            assert not math.isnan(got), x


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("exponent", [-12, -3, -2, -1, 0, 1, 2, 3, -2.0, 0.0, 1.0, -0.5, -1.5, 0.5])
def test_poles_and_infinities(exponent, order, mode):
    """By the sign of the factor and of the power."""
    graph, factor = derivative(power(exponent), order, mode), float(mpmath.ff(exponent, order))
    for x in (0.0, -0.0, math.inf, -math.inf)[:: 1 if float(exponent).is_integer() else 2]:
        with np.errstate(all="ignore"):
            expected = factor * np.power(np.float64(x), exponent - order) if factor else 0.0
        assert evaluate(graph, x)[0] == expected, x


@pytest.mark.parametrize(
    ("exponent", "order", "x", "expected"),
    [(-12, 2, np.float32(0.01), 1.56e30), (-6, 2, np.float32(2000.0), 42 / 2000.0**8), (-2, 3, 1e-60, -2.4e301)],
)
def test_compiled_code_does_the_same(exponent, order, x, expected):
    derived = nbad.kernel(lambda x: x**exponent)
    for _ in range(order):
        derived = nbad.grad(derived)
    np.testing.assert_allclose(derived(np.full(3, x)), expected, rtol=4e-6 if order == 2 else 1e-14)


@pytest.mark.parametrize("kernel", [lambda x: x**0.0, lambda x: np.power(x, 0), lambda x: math.pow(x, 0), lambda x: x**-0.0])
@pytest.mark.parametrize("x", [0.0, -0.0, 2.0, math.inf])
def test_the_power_0_is_flat(kernel, x):
    value, slope = nbad.value_and_grad(nbad.kernel(lambda x: kernel(x) + x))(np.array([x]))
    assert value == 1.0 + x
    assert slope == 1.0
