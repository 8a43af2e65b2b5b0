"""The common reference: value, Jacobian and Hessian by dual numbers in NumPy, independent of nbad and of every peer.

A result is checked on a sample of the elements it was computed for: the first, the last, and others in between.
"""

import functools
import math

import numpy as np

from benchmarks.cases.rebinding import rebound

ENDS, BETWEEN = 64, 400  # elements of a sample
TOLERANCE = {"float64": 1e-9, "float32": 2e-3}  # of the size of what is compared


class WrongResultError(AssertionError):
    """What a contestant computed is not what the reference says."""


class Dual:
    """A value with its derivatives by all arguments, which have one leading axis.

    For second derivatives the value is such a number itself, and the derivative one of them, or 0 or 1: that by one argument.
    """

    __array_ufunc__ = None  # a NumPy array to the left leaves the operation to us

    def __init__(self, value, dots):
        self.value, self.dots = value, dots

    def __add__(self, other):
        other = _dual(other)
        return Dual(self.value + other.value, self.dots + other.dots)

    def __mul__(self, other):
        other = _dual(other)
        return Dual(self.value * other.value, self.dots * other.value + self.value * other.dots)

    def __truediv__(self, other):
        other = _dual(other)
        value = self.value / other.value
        return Dual(value, (self.dots - value * other.dots) / other.value)

    def __pow__(self, exponent):
        exponent = _dual(exponent)
        by_base = exponent.value * self.value ** (exponent.value - 1) * self.dots
        is_constant = np.isscalar(exponent.dots) and exponent.dots == 0.0
        by_exponent = 0.0 if is_constant else self.value**exponent.value * LIBRARY["log"](self.value) * exponent.dots
        return Dual(self.value**exponent.value, by_base + by_exponent)

    def __abs__(self):
        return Dual(abs(self.value), np.where(self.value > 0, 1.0, -1.0) * self.dots)

    def __gt__(self, other):
        return self.value > other

    def __ge__(self, other):
        return self.value >= other

    def __neg__(self):
        return Dual(-self.value, -self.dots)

    def __sub__(self, other):
        return self + -_dual(other)

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return _dual(other) / self

    __radd__, __rmul__ = __add__, __mul__


def _dual(x):
    return x if isinstance(x, Dual) else Dual(x, 0.0)


def _unary(value, derivative):
    def function(x):
        if not isinstance(x, Dual):
            return value(x)
        y = function(x.value)
        return Dual(y, derivative(x.value, y) * x.dots)

    return function


def _atan2(y, x):
    if not isinstance(y, Dual) and not isinstance(x, Dual):
        return np.arctan2(y, x)
    y, x = _dual(y), _dual(x)
    return Dual(_atan2(y.value, x.value), (x.value * y.dots - y.value * x.dots) / (x.value**2 + y.value**2))


def _where(test, x, y):
    if not isinstance(x, Dual) and not isinstance(y, Dual):
        return np.where(test, x, y)
    x, y = _dual(x), _dual(y)
    return Dual(_where(test, x.value, y.value), _where(test, x.dots, y.dots))


LIBRARY = {
    "sqrt": _unary(np.sqrt, lambda x, y: 0.5 / y),
    "exp": _unary(np.exp, lambda x, y: y),
    "log": _unary(np.log, lambda x, y: 1 / x),
    "sin": _unary(np.sin, lambda x, y: LIBRARY["cos"](x)),
    "cos": _unary(np.cos, lambda x, y: -LIBRARY["sin"](x)),
    "erf": _unary(np.vectorize(math.erf, otypes=[float]), lambda x, y: 2 / math.sqrt(math.pi) * LIBRARY["exp"](-x * x)),
    "atan2": _atan2,
    "where": _where,
}


class Reference:
    """Value, Jacobian and Hessian of a workload on a sample of its elements, in float64."""

    def __init__(self, workload, inputs, n):
        self.sample = _sample(n)
        self.workload, self.inputs = workload, [np.asarray(x, float)[self.sample] if x.ndim else float(x) for x in inputs]
        self.value, self.jacobian = _evaluate(workload, self.inputs, self.sample.size)

    @functools.cached_property
    def hessian(self):
        """Rows of entries, of a workload with one output."""
        return _second(self.workload, self.inputs, self.sample.size)

    def check(self, sweep, result, seeds, tolerance):
        """Compare a result in normal form (`benchmarks.cases.task`) with the expected one."""
        for k, (got, expected) in enumerate(zip(_leaves(result), self._expected(sweep, seeds), strict=True)):
            got = np.asarray(got, float)[..., self.sample]
            error = np.max(np.abs(got - expected)) / (np.max(np.abs(expected)) or 1.0)
            if got.shape != expected.shape or not error <= tolerance:
                raise WrongResultError(f"result {k} of {sweep} is wrong by {error:.1e} of its size, {tolerance:.0e} allowed")

    def _expected(self, sweep, seeds):
        if sweep in ("jacobian", "hessian"):
            return [entry for row in getattr(self, sweep) for entry in row]
        if sweep == "value_and_jacobian":
            return [*self.value, *self._expected("jacobian", seeds)]
        if sweep != "reverse":
            return self.value
        seeds = [np.asarray(s, float)[:, self.sample] for s in seeds]
        columns = zip(*self.jacobian, strict=True)
        return [sum(s * entry for s, entry in zip(seeds, column, strict=True)) for column in columns]


def _evaluate(workload, inputs, size):
    count, results = len(workload.wrt), rebound(workload.function, LIBRARY)(*_duals(workload, inputs))
    leaves = results if workload.is_tuple else (results,)
    return [y.value for y in leaves], [list(np.broadcast_to(y.dots, (count, size))) for y in leaves]


def _second(workload, inputs, size):
    count, function = len(workload.wrt), rebound(workload.function, LIBRARY)
    duals, rows = _duals(workload, inputs), []
    for chosen in workload.wrt:
        partial = function(*(Dual(x, float(k == chosen)) for k, x in enumerate(duals))).dots
        rows.append(list(np.broadcast_to(_dual(partial).dots, (count, size))))
    return rows


def _duals(workload, inputs):
    """The arguments with their derivatives by the differentiated ones."""
    count = len(workload.wrt)
    units = dict(zip(workload.wrt, np.eye(count).reshape(count, count, 1), strict=True))
    return [Dual(x, units.get(k, np.zeros((count, 1)))) for k, x in enumerate(inputs)]


@functools.cache
def _sample(n):
    if n <= BETWEEN:
        return np.arange(n)
    between = np.linspace(0, n - 1, BETWEEN).astype(int)
    return np.unique(np.concatenate([np.arange(ENDS), between, np.arange(n - ENDS, n)]))


def _leaves(result):
    return [leaf for part in result for leaf in (part if isinstance(part, list) else [part])]
