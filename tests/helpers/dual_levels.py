"""Dual numbers in plain Python: derivatives of any order without graphs, where the parts are dual themselves.

What does not depend on the variable is no dual number but a float, so that it has no slope that could meet an infinite one.
"""

import math

import numpy as np


def operation(both, one, other):
    """An operation on two numbers, of which the one with the newer variable is dual, or both are."""

    def forward(self, x):
        if not isinstance(x, Dual) or x.level < self.level:
            return Dual(*one(self, x), self.level)
        return Dual(*both(self, x), self.level) if x.level == self.level else Dual(*other(self, x), x.level)

    return forward, lambda self, x: Dual(*other(x, self), self.level)


class Dual:
    """A number and how it follows one variable; variables have levels, the newest the highest."""

    def __init__(self, value, slope, level):
        self.value, self.slope, self.level = value, slope, level

    __add__, __radd__ = operation(
        lambda x, y: (x.value + y.value, x.slope + y.slope),
        lambda x, y: (x.value + y, x.slope),
        lambda x, y: (x + y.value, y.slope),
    )
    __sub__, __rsub__ = operation(
        lambda x, y: (x.value - y.value, x.slope - y.slope),
        lambda x, y: (x.value - y, x.slope),
        lambda x, y: (x - y.value, -y.slope),
    )
    __mul__, __rmul__ = operation(
        lambda x, y: (x.value * y.value, x.value * y.slope + x.slope * y.value),
        lambda x, y: (x.value * y, x.slope * y),
        lambda x, y: (x * y.value, x * y.slope),
    )
    __truediv__, __rtruediv__ = operation(
        lambda x, y: ((q := x.value / y.value), (x.slope - q * y.slope) / y.value),
        lambda x, y: (x.value / y, x.slope / y),
        lambda x, y: ((q := x / y.value), -q * y.slope / y.value),
    )

    def __neg__(self):
        return Dual(-self.value, -self.slope, self.level)

    def __abs__(self):
        return -self if self < 0.0 else self

    def __lt__(self, other):
        return primal(self) < primal(other)

    def __gt__(self, other):
        return primal(self) > primal(other)

    def __ge__(self, other):
        return primal(self) >= primal(other)

    def sin(self):
        return Dual(apply("sin", self.value), apply("cos", self.value) * self.slope, self.level)

    def cos(self):
        return Dual(apply("cos", self.value), -apply("sin", self.value) * self.slope, self.level)

    def exp(self):
        value = apply("exp", self.value)
        return Dual(value, value * self.slope, self.level)

    def sqrt(self):
        value = apply("sqrt", self.value)
        return Dual(value, self.slope / (2.0 * value), self.level)

    def trunc(self):
        return float(math.trunc(primal(self)))


def primal(x):
    return primal(x.value) if isinstance(x, Dual) else x


def apply(name, x):
    return getattr(x, name)() if isinstance(x, Dual) else getattr(np, name)(x)


def derivative(function, slot):
    """The function that returns the slopes of the results of another, by one argument."""

    def call(*point):
        level = 1 + max(x.level if isinstance(x, Dual) else 0 for x in point)
        point = [x if isinstance(x, Dual) else np.float64(x) for x in point]
        point[slot] = Dual(point[slot], np.float64(1.0), level)
        with np.errstate(all="ignore"):
            results = function(*point)
        results = results if isinstance(results, tuple | list) else [results]
        return [slope_of(result, level) for result in results]

    return call


def slope_of(x, level):
    return x.slope if isinstance(x, Dual) and x.level == level else 0.0


def jacobian(function, point):
    """Slopes of all results by all arguments, at one point."""
    return np.array([derivative(function, slot)(*point) for slot in range(len(point))], float).T
