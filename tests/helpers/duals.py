"""Dual numbers in a few lines of plain Python: derivatives of any order without graphs, where the parts are dual themselves."""

import math

import numpy as np


class Dual:
    """A number and how it follows one variable."""

    def __init__(self, value, slope=0.0):
        self.value, self.slope = value, slope

    def __add__(self, other):
        other = lifted(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __neg__(self):
        return Dual(-self.value, -self.slope)

    def __sub__(self, other):
        other = lifted(other)
        return Dual(self.value - other.value, self.slope - other.slope)

    def __rsub__(self, other):
        return lifted(other) - self

    def __mul__(self, other):
        other = lifted(other)
        return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)

    def __truediv__(self, other):
        other = lifted(other)
        quotient = self.value / other.value
        return Dual(quotient, (self.slope - quotient * other.slope) / other.value)

    def __rtruediv__(self, other):
        return lifted(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __abs__(self):
        return -self if self < 0.0 else self

    def __lt__(self, other):
        return primal(self) < primal(other)

    def __gt__(self, other):
        return primal(self) > primal(other)

    def __ge__(self, other):
        return primal(self) >= primal(other)

    def __float__(self):
        return primal(self)

    def sin(self):
        return Dual(apply("sin", self.value), apply("cos", self.value) * self.slope)

    def cos(self):
        return Dual(apply("cos", self.value), -apply("sin", self.value) * self.slope)

    def exp(self):
        value = apply("exp", self.value)
        return Dual(value, value * self.slope)

    def sqrt(self):
        value = apply("sqrt", self.value)
        return Dual(value, self.slope / (2.0 * value))

    def trunc(self):
        return Dual(float(math.trunc(primal(self))))


def lifted(x):
    return x if isinstance(x, Dual) else Dual(x)


def primal(x):
    return primal(x.value) if isinstance(x, Dual) else x


def apply(name, x):
    if isinstance(x, Dual):
        return getattr(x, name)()
    try:
        return getattr(math, name)(x)
    except (ValueError, OverflowError):
        return math.nan


def slope_of(x):
    return x.slope if isinstance(x, Dual) else 0.0


def derivative(function, slot):
    """The function that returns the slopes of the results of another, by one argument."""

    def call(*point):
        results = function(*(Dual(x, 1.0) if k == slot else Dual(x) for k, x in enumerate(point)))
        results = results if isinstance(results, tuple | list) else [results]
        return [slope_of(result) for result in results]

    return call


def jacobian(function, point):
    """Slopes of all results by all arguments, at one point."""
    return np.array([derivative(function, slot)(*point) for slot in range(len(point))], float).T
