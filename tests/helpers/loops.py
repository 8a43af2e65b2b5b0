"""Loops built by hand: a step is a Python function of numbers, which grows a graph where these are nodes, else computes."""

import functools
import inspect
import math
from typing import NamedTuple

import mpmath
import numpy as np
import sympy

from nbad.api.kernel import Kernel
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.loops import Loop
from nbad.verbs import sympy_kernels


class Number:
    """A node, with Python's operators."""

    __array_ufunc__ = None  # NumPy 2.0 takes comparisons of its numbers with others for itself

    def __init__(self, builder, node):
        self.builder, self.node = builder, node

    def apply(self, op, *others, swapped=False):
        nodes = [self.node, *(other.node if isinstance(other, Number) else self.builder.constant(other) for other in others)]
        return Number(self.builder, self.builder.add(op, *(nodes[::-1] if swapped else nodes)))


_OPERATORS = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "lt": "lt", "gt": "gt", "ge": "ge", "and": "and"}
_SWAPPED = ("add", "sub", "mul", "truediv")
_OF_ONE = {"neg": "neg", "abs": "abs", "invert": "not"}
for _name, _op in (*_OPERATORS.items(), *_OF_ONE.items()):
    setattr(Number, f"__{_name}__", functools.partialmethod(Number.apply, _op))
for _name in _SWAPPED:
    setattr(Number, f"__r{_name}__", functools.partialmethod(Number.apply, _OPERATORS[_name], swapped=True))


def where(condition, x, y):
    """One of two numbers."""
    return condition.apply("select", x, y) if isinstance(condition, Number) else x if condition else y


def function(name, plain):
    """A function of one number of any kind: a node, a float, one of mpmath's, or one that has a method of that name."""

    def call(x):
        if isinstance(x, Number):
            return x.apply(name)
        if isinstance(x, mpmath.mpf | np.float64):
            return getattr(mpmath if isinstance(x, mpmath.mpf) else np, name)(x)
        return getattr(x, name)() if hasattr(x, name) else plain(x)

    return call


sin, cos, exp, sqrt, log = (function(name, getattr(math, name)) for name in ("sin", "cos", "exp", "sqrt", "log"))
trunc = function("trunc", lambda x: float(math.trunc(x)))


class Steps(NamedTuple):
    """A loop as a step: of all states and captured values to whether it goes on and the next states, or what computes these."""

    step: object
    states: int
    captured: int
    max_passes: int = 100
    passes: float = 8.0

    @property
    def loop(self):
        builder = GraphBuilder("step", [*(f"z{k}" for k in range(self.states)), *(f"c{k}" for k in range(self.captured))])
        goes_on, following = self.step(*(Number(builder, k) for k in range(self.states + self.captured)))
        return Loop(built(builder, [goes_on, *value_of(following)]), self.states, self.max_passes, self.passes)

    def __call__(self, initial, captured, active=True):
        """All states at the end, and 1.0 where it was not done."""
        builder = next((x.builder for x in (*initial, *captured, active) if isinstance(x, Number)), None)
        if builder is None:
            return self.plain(initial, captured, active)
        active, *nodes = (node_of(builder, x) for x in (active, *initial, *captured))
        return [Number(builder, k) for k in builder.loop(active, nodes[: self.states], nodes[self.states :], self.loop)]

    def plain(self, initial, captured, active):
        z, k = list(initial), 0
        while active and (again := self.step(*z, *captured))[0] and k < self.max_passes:
            z, k = list(value_of(again[1])), k + 1
        return [*z, np.float64(bool(active and again[0]))]


def value_of(following):
    return following() if callable(following) else following


def node_of(builder, x):
    return x.node if isinstance(x, Number) else builder.constant(x)


def built(builder, results):
    return builder.build([node_of(builder, x) for x in results])


def graph_of(arity, function, builder=GraphBuilder):
    """The graph of a function of numbers, which returns one or several."""
    grown = builder("f", [f"x{k}" for k in range(arity)])
    results = function(*(Number(grown, k) for k in range(arity)))
    return built(grown, results if isinstance(results, tuple | list) else (results,))


def kernel_of(function):
    """A kernel with the graph of a function of numbers; undecorated, it computes with floats."""
    arity = len(inspect.signature(function).parameters)
    graph = graph_of(arity, function)
    x = sympy.Symbol("x")
    traced = sympy_kernels.graph_of((x,) * len(graph.outputs) if len(graph.outputs) > 1 else x, (x,), "f")._replace(graph=graph)
    return Kernel(function, tracer=lambda arguments, constants: traced)


def newton(x, d, m, e):
    step = (x - e * sin(x) - m) / (1.0 - e * cos(x))
    return x - step, step


NEWTON = Steps(lambda x, d, m, e: (abs(d) > 1e-9, newton(x, d, m, e)), 2, 2)


def kepler(m, e):
    """The root of x - e*sin(x) = m."""
    return NEWTON([m, 1.0], [m, e])[0]


def slope(x, v, a, b):
    return v, -a * x - b * v * v * v


def runge_kutta(x, v, k, a, b, h):
    p1, q1 = slope(x, v, a, b)
    p2, q2 = slope(x + 0.5 * h * p1, v + 0.5 * h * q1, a, b)
    p3, q3 = slope(x + 0.5 * h * p2, v + 0.5 * h * q2, a, b)
    p4, q4 = slope(x + h * p3, v + h * q3, a, b)
    return x + h / 6.0 * (p1 + 2.0 * (p2 + p3) + p4), v + h / 6.0 * (q1 + 2.0 * (q2 + q3) + q4), k + 1.0


TEN = Steps(lambda x, v, k, a, b, h: (k < 10.0, runge_kutta(x, v, k, a, b, h)), 3, 3)


def oscillator(x, v, a, b):
    """Ten steps of a damped oscillator."""
    return tuple(TEN([x, v, 0.0], [a, b, 0.125])[:2])


EUCLID = Steps(lambda a, b: (b > 0.5, lambda: (b, a - b * trunc(a / b))), 2, 0)


def gcd(a, b):
    """The greatest common divisor of whole numbers."""
    return EUCLID([a, b], [])[0]


HALVING = Steps(lambda y, x: (abs(y * y - x) > 1e-12 * x, (0.5 * (y + x / y),)), 1, 1)
# the sum of roots, each of which is found by a loop of its own, while it stays below a limit
ROOTS = Steps(lambda s, k, x, limit: (s < limit, (s + HALVING([x + k], [x + k])[0], k + 1.0)), 2, 2)


def nested(x, limit):
    """A loop in a loop."""
    return ROOTS([0.0, 1.0], [x, limit])[0]


ENDLESS = Steps(lambda y, x: (y > -1.0, (y + x,)), 1, 1, 1_000_000_000)


def untaken(x, y):
    """An arm with a loop that would not end, taken for negative numbers only."""
    positive = x > 0.0
    return where(positive, x * y, ENDLESS([y], [x], ~positive if isinstance(positive, Number) else not positive)[0])


COLLATZ = Steps(
    lambda n, k: (n > 1.5, (where(n - 2.0 * trunc(n / 2.0) > 0.5, 3.0 * n + 1.0, 0.5 * n), k + 1.0)), 2, 0, max_passes=20
)


def collatz(n):
    """How many passes, at most 20, and whether that was not enough."""
    return tuple(COLLATZ([n, 0.0], [])[1:])


# name, function, and points in its domain
EXAMPLES = {
    "kepler": (kepler, [(0.1, 0.0), (1.0, 0.5), (2.0, 0.9), (-3.0, 0.3), (0.5, 0.95), (0.0, 0.0)]),
    "oscillator": (oscillator, [(1.0, 0.0, 2.0, 0.1), (-0.5, 0.25, 0.5, 1.0), (0.0, 0.0, 1.0, 1.0)]),
    "gcd": (gcd, [(12.0, 18.0), (17.0, 5.0), (7.0, 0.0), (1071.0, 462.0), (5.0, 5.0)]),
    "nested": (nested, [(0.5, 3.0), (2.0, 20.0), (2.0, -1.0), (9.0, 3.5)]),
    "untaken": (untaken, [(1.0, 2.0), (-3.0, 4.0), (5.0, 6.0), (-1.0, -4.0)]),
    "collatz": (collatz, [(1.0,), (6.0,), (27.0,), (7.0,), (64.0,)]),
}
