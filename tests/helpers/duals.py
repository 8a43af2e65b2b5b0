"""Dual numbers in plain Python, an oracle of its own: a kernel's source runs on them as it stands, one branch at a time."""

import math
from types import FunctionType, SimpleNamespace

import numpy as np


class Dual:
    """A value and its partials; comparisons see the value only."""

    def __init__(self, value, partials):
        self.value, self.partials = float(value), np.asarray(partials, float)

    def _join(self, other, value, mine, theirs):
        other_partials = other.partials if isinstance(other, Dual) else 0.0
        return Dual(value, mine * self.partials + theirs * other_partials)

    def __add__(self, other):
        return self._join(other, self.value + _value(other), 1.0, 1.0)

    def __sub__(self, other):
        return self._join(other, self.value - _value(other), 1.0, -1.0)

    def __rsub__(self, other):
        return self._join(other, _value(other) - self.value, -1.0, 1.0)

    def __mul__(self, other):
        return self._join(other, self.value * _value(other), _value(other), self.value)

    def __truediv__(self, other):
        value = self.value / _value(other)
        return self._join(other, value, 1.0 / _value(other), -value / _value(other))

    def __rtruediv__(self, other):
        return Dual(_value(other), 0.0 * self.partials) / self

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, exponent):
        if isinstance(exponent, Dual):
            return MATH.exp(exponent * MATH.log(self))
        return Dual(self.value**exponent, exponent * self.value ** (exponent - 1) * self.partials)

    def __rpow__(self, base):
        return MATH.exp(self * math.log(base))

    def __floordiv__(self, other):
        return Dual(self.value // _value(other), 0.0 * self.partials)

    def __rfloordiv__(self, other):
        return Dual(_value(other), 0.0 * self.partials) // self

    def __mod__(self, other):
        return self - other * (self // other)

    def __neg__(self):
        return Dual(-self.value, -self.partials)

    def __abs__(self):
        return Dual(abs(self.value), math.copysign(self.value != 0.0, self.value) * self.partials)

    def __int__(self):
        return int(self.value)

    __trunc__ = __int__

    def __floor__(self):
        return math.floor(self.value)

    def __lt__(self, other):
        return self.value < _value(other)

    def __le__(self, other):
        return self.value <= _value(other)

    def __gt__(self, other):
        return self.value > _value(other)

    def __ge__(self, other):
        return self.value >= _value(other)

    def __eq__(self, other):
        return self.value == _value(other)

    def __ne__(self, other):
        return self.value != _value(other)

    def __bool__(self):
        return self.value != 0.0

    __hash__ = None


def _value(x):
    return x.value if isinstance(x, Dual) else x


def _lifted(function, partial):
    def lifted(x):
        if not isinstance(x, Dual):
            return function(x)
        return Dual(function(x.value), partial(x.value) * x.partials)

    return lifted


MATH = SimpleNamespace(
    sin=_lifted(math.sin, math.cos),
    cos=_lifted(math.cos, lambda x: -math.sin(x)),
    tanh=_lifted(math.tanh, lambda x: (1.0 - math.tanh(x)) * (1.0 + math.tanh(x))),
    exp=_lifted(math.exp, math.exp),
    sqrt=_lifted(math.sqrt, lambda x: 0.5 / math.sqrt(x)),
    atan=_lifted(math.atan, lambda x: 1.0 / (1.0 + x * x)),
    log=_lifted(math.log, lambda x: 1.0 / x),
    log10=_lifted(math.log10, lambda x: 1.0 / (x * math.log(10.0))),
    erf=_lifted(math.erf, lambda x: 2.0 / math.sqrt(math.pi) * math.exp(-x * x)),
    floor=math.floor,
    pi=math.pi,
)
NUMPY = SimpleNamespace(
    zeros=lambda size: np.array([0.0] * size, object), array=lambda items: np.array(items, object), dot=lambda a, b: sum(a * b)
)


def value_and_partials(function, *xs):
    """The outputs of a function at one point as a tuple, and their partials by every argument that is no integer."""
    seeds = np.eye(len(xs))
    returned = function(*(x if isinstance(x, int) else Dual(x, seed) for x, seed in zip(xs, seeds, strict=True)))
    outputs = returned if isinstance(returned, tuple) else (returned,)
    duals = [y if isinstance(y, Dual) else Dual(y, np.zeros(len(xs))) for y in outputs]
    return np.array([y.value for y in duals]), np.array([y.partials for y in duals])


def on_duals(function, known=None):
    """The same function, and those that it calls, whose `math` and `np` know dual numbers."""
    known = {} if known is None else known
    if function not in known:
        namespace = dict(function.__globals__)
        known[function] = FunctionType(
            function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__
        )
        for name in function.__code__.co_names:
            found = getattr(namespace.get(name), "__wrapped__", namespace.get(name))
            if found is math or found is np:
                namespace[name] = MATH if found is math else NUMPY
            elif isinstance(found, FunctionType):
                namespace[name] = on_duals(found, known)
    return known[function]
