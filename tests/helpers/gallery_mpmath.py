"""The gallery in as many digits as one likes: the same source text, run on mpmath's numbers.

Nothing of nbad's tracer or derivatives is involved: a function is copied, and `math`, `numpy` and their functions, in it and in
its helpers, are those of mpmath; so is `nbad.solve`.
"""

import math
import types

import mpmath
import numpy as np

import nbad

DIGITS = 60
NAMES = {"arctan2": "atan2", "arctan": "atan", "abs": "fabs"}


class Digits:
    """`math` or `numpy` for mpmath's numbers: functions of numbers are mpmath's, those of arrays NumPy's."""

    def __getattr__(self, name):
        return getattr(mpmath, NAMES.get(name, name), None) or getattr(np, name)

    def zeros(self, shape):
        """An array of mpmath's zeros."""
        return np.full(shape, mpmath.mpf(0), object)


class Own:
    """`nbad` for mpmath's numbers."""

    @staticmethod
    def solve(residual, start, *params, bracket=None):
        """The root, by the steps of a secant from where others have found it in fewer digits."""
        if bracket is not None:
            with mpmath.workdps(15):
                start = mpmath.findroot(lambda v: residual(v, *params), bracket, solver="ridder", tol=1e-12, verify=False)
        return mpmath.findroot(lambda v: residual(v, *params), start)


def in_digits(value):
    """A function that computes what `value` does, in mpmath's current precision; anything else is itself."""
    if isinstance(value, nbad.Kernel):
        return in_digits(value.__wrapped__)
    if value in (math, np):
        return Digits()
    if value is nbad:
        return Own()
    if isinstance(value, types.BuiltinFunctionType) and value.__module__ == "math":
        return getattr(mpmath, value.__name__)
    if not isinstance(value, types.FunctionType):
        return value
    known = {name: in_digits(value.__globals__[name]) for name in value.__code__.co_names if name in value.__globals__}
    return types.FunctionType(value.__code__, known | {"__builtins__": __builtins__}, value.__name__, value.__defaults__)


def cores_of(kernel):
    return [kernel.core(name) for name in kernel.parameters]


def slots_of(kernel, xs, n):
    """All scalar slots of the arguments as rows, one for each element."""
    columns = [np.broadcast_to(x, (n, *core)).reshape(n, -1) for x, core in zip(xs, cores_of(kernel), strict=True)]
    return np.concatenate(columns, axis=1)


def arguments_of(kernel, slots):
    """The arguments of a kernel for one element, taken from its slots."""
    sizes = [math.prod(core) for core in cores_of(kernel)]
    ends = np.cumsum([0, *sizes])
    return [slots[a:b].reshape(core) if core else slots[a] for a, b, core in zip(ends, ends[1:], cores_of(kernel), strict=False)]


def outputs_of(y):
    """All output slots as a list."""
    leaves = y if isinstance(y, tuple) else (y,)
    return [value for leaf in leaves for value in (leaf.ravel() if hasattr(leaf, "ravel") else [leaf])]


def exact(kernel, slots, orders, output=0):
    """One partial derivative of one output at one point, rounded to float64; `orders` has a number for each slot."""
    plain = in_digits(kernel)

    def function(*numbers):
        return outputs_of(plain(*arguments_of(kernel, np.array(numbers, object))))[output]

    with mpmath.workdps(DIGITS):
        return float(mpmath.diff(function, tuple(map(mpmath.mpf, slots)), orders))


def exact_along(kernel, slots, direction, weights, order):
    """Derivative at 0 of `weights . kernel(slots + t direction)` by t, rounded to float64."""
    plain = in_digits(kernel)

    def function(t):
        values = outputs_of(plain(*arguments_of(kernel, np.array([x + t * v for x, v in zip(start, direction, strict=True)]))))
        return sum(w * value for w, value in zip(weights, values, strict=True))

    with mpmath.workdps(DIGITS):
        start = [mpmath.mpf(x) for x in slots]
        return float(mpmath.diff(function, 0, order))
