"""Code that asks what it was given gets the answer that a float would give: a traced number is no sequence."""

import collections.abc
import functools
import math
import numbers

import numpy as np
import pytest

import nbad

XS, YS = np.array([-1.7, -0.6, 0.3]), np.array([0.7, -1.2, 1.9])


def number(x, y):
    return x * y if isinstance(x, numbers.Real) and isinstance(y, numbers.Number) else y


def whole_number(x, y):
    return x if isinstance(x, int | np.integer | numbers.Integral) else y


def float_or_int(x, y):
    return x * y if isinstance(x, (int, float)) and type(x) is float and x.__class__ is float else y


def condition(x, y):
    return x if isinstance(x > 0, bool) and type(x > 0) is bool and not isinstance(y, bool) else y


def scalar_for_numpy(x, y):
    return x * y if np.isscalar(x) and not np.iterable(y) and np.ndim(x) == 0 else y


def scalar_by_attributes(x, y):
    return y if hasattr(x, "__len__") or hasattr(x, "__iter__") or hasattr(x, "__getitem__") or callable(x) else x * y


def scalar_by_protocols(x, y):
    return y if isinstance(x, collections.abc.Iterable | collections.abc.Sized | collections.abc.Reversible) else x * y


def length(value):
    try:
        return len(value)
    except TypeError:
        return 1


def scalar_by_trial(x, y):
    return length(x) * y + length([x, y]) * x


@functools.singledispatch
def energy(value):
    return 0.0


@energy.register
def _(value: float):
    return value * value


@energy.register
def _(value: list):
    return sum(value)


def dispatched(x, y):
    return energy(x) + energy([x, y]) * y


def matched(x, y):
    match x:
        case int():
            return y
        case float(value):
            return value * y
    return y


class Point:
    __match_args__ = ("u", "v")

    def __init__(self, u, v):
        self.u, self.v = u, v


def taken_apart(x, y):
    match Point(x, [y, 2.0]):
        case Point(v=[first]):
            return first
        case Point(u, [first, float() as second]):
            return u * first * second
    return math.nan


FUNCTIONS = [
    number,
    whole_number,
    float_or_int,
    condition,
    scalar_for_numpy,
    scalar_by_attributes,
    scalar_by_protocols,
    scalar_by_trial,
    dispatched,
    matched,
    taken_apart,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_are_those_of_floats(function):
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(function)(XS, YS), expected, rtol=1e-15)


def test_arrays_of_a_kernel_are_no_scalars():
    @nbad.kernel(signature="(2)->()")
    def kernel(v):
        return v[0] if np.isscalar(v) or not np.iterable(v) or isinstance(v, numbers.Number) else v[1]

    assert kernel(np.array([1.0, 2.0])) == 2.0
