"""What compares functions of real packages is itself on trial: right derivatives pass, wrong ones do not."""

import math

import numpy as np
import pytest
from real import compare
from real.collect import Example
from real.compare import Wrong, check_jacobian, outcome_of

import nbad

POINT = {"x": 1.7}


def smooth(x):
    return math.exp(x) * math.sin(x)


def nearly_flat(x):
    """Its value has half as many right digits as numbers have."""
    return math.acos(math.cos(x * 1e-4))


def root(x, tolerance):
    """The root of t**2 = x by halving: a staircase."""
    low, high = 0.0, 4.0
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if middle * middle < x else (low, middle)
    return low


def searched(x):
    """Each stair goes up by its factor."""
    return root(x, 1e-7) * x


def searched_narrowly(x):
    """Stairs narrower than what rounding makes flat in `nearly_flat`."""
    return root(x, 1e-11) * x


def searched_by_a_factor(x):
    """The root of t**2 = x, whose stairs are flat: what is decided is a factor."""
    low, high, passes = 0.0, 4.0, 0
    while passes < 30:
        middle = (low + high) / 2
        is_below = middle * middle <= x
        low = low + (middle - low) * is_below
        high = high + (middle - high) * (not is_below)
        passes += 1
    return middle


def searched_and_nearly_flat(x):
    """A stair that goes up by its factor, and by what rounding makes flat."""
    return searched(x) + 1e3 * math.acos(math.cos(x * 1e-3))


def approached(x):
    """The root of t**2 = x by Newton's steps, counted."""
    t, passes = x, 0
    while abs(t * t - x) > 1e-3 * x:
        t, passes = (t + x / t) / 2, passes + 1
    return t


def slope_of_the_passes():
    t, dt = 1.7, 1.0
    while abs(t * t - 1.7) > 1e-3 * 1.7:
        t, dt = (t + 1.7 / t) / 2, (dt + 1 / t - 1.7 * dt / t**2) / 2
    return dt


def verdict(function, slope):
    example = Example("function", function, POINT, ("x",), is_guess=False)
    try:
        check_jacobian(example, [POINT], np.array([[[slope]]]))
    except Wrong as wrong:
        return wrong.args[0]
    return "right"


SLOPES = [
    (smooth, math.exp(1.7) * (math.sin(1.7) + math.cos(1.7))),
    (searched, root(1.7, 1e-7)),
    (searched_narrowly, root(1.7, 1e-11)),
    (searched_and_nearly_flat, root(1.7, 1e-7) + 1.0),
    (approached, slope_of_the_passes()),
    (nearly_flat, 1e-4),
]


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


def test_a_flat_stair_is_told_from_what_rounding_makes_flat():
    assert verdict(searched_by_a_factor, 0.0) == "right"
    assert verdict(nearly_flat, 0.0) == "derivative"


@pytest.mark.parametrize("slope", [1e-3, 0.1, -0.3, 0.7])
def test_a_flat_stair_has_no_other_slope(slope):
    assert verdict(searched_by_a_factor, slope) == "derivative"


def test_a_part_that_rounding_makes_flat_is_missed():
    assert verdict(searched_and_nearly_flat, root(1.7, 1e-7)) == "derivative"


@nbad.kernel
def exponential(x):
    return math.exp(x)


POINTS = np.linspace(0.1, 5.0, 2000)
# where vector functions round otherwise than the C library, if they do anywhere
UNEVEN = float(POINTS[np.argmax(exponential(POINTS) != [math.exp(x) for x in POINTS])])


def by_the_last_bit(x):
    """Like a search that fails where its last step happens to be 0."""
    if math.exp(x) != math.exp(UNEVEN):
        raise ValueError("no convergence")
    return 3.0 * x


def test_an_error_by_the_last_bit_is_none():
    example = Example("function", by_the_last_bit, {"x": UNEVEN}, ("x",), is_guess=False)
    assert outcome_of(example).outcome == "right"


def test_an_error_of_ours_is_a_crash(monkeypatch):
    def fail(example, points, functions):
        if functions == "simd":
            raise ValueError("ours")
        return of_kernel(example, points, functions)

    of_kernel = compare._of_kernel
    monkeypatch.setattr(compare, "_of_kernel", fail)
    assert outcome_of(Example("function", smooth, POINT, ("x",), is_guess=False)).outcome == "crash"
