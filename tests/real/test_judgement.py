"""What compares functions of real packages is itself on trial: right derivatives pass, wrong ones do not."""

import math

import numpy as np
import pytest
from real.collect import Example
from real.compare import Wrong, check_jacobian

POINT = {"x": 1.7}


def smooth(x):
    return math.exp(x) * math.sin(x)


def nearly_flat(x):
    """Its value has half as many right digits as numbers have."""
    return math.acos(math.cos(x * 1e-4))


def searched(x):
    """The root of t**2 = x by halving, to 1e-7, times x: a staircase, of which each stair goes up by itself."""
    low, high = 0.0, 4.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if middle * middle < x else (low, middle)
    return low * x


def verdict(function, slope):
    example = Example("function", function, POINT, ("x",), is_guess=False)
    try:
        check_jacobian(example, [POINT], np.array([[[slope]]]))
    except Wrong as wrong:
        return wrong.args[0]
    return "right"


SLOPES = [(smooth, math.exp(1.7) * (math.sin(1.7) + math.cos(1.7))), (searched, searched(1.7) / 1.7), (nearly_flat, 1e-4)]


@pytest.mark.parametrize(("function", "slope"), SLOPES)
def test_right_derivatives_pass(function, slope):
    assert verdict(function, slope) == "right"


@pytest.mark.parametrize(("function", "slope"), SLOPES)
@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.9, 1.3])
def test_wrong_derivatives_do_not(function, slope, factor):
    assert verdict(function, factor * slope) == "derivative"


@pytest.mark.parametrize("factor", [1 - 1e-4, 1 + 1e-5])
def test_a_smooth_function_is_judged_closely(factor):
    assert verdict(smooth, factor * SLOPES[0][1]) == "derivative"
