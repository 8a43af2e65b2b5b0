"""Functions that a kernel reaches by other ways than their names: out of containers, objects and calls."""

import dataclasses
import enum
import functools
import math
import re
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import pytest
import scipy.optimize

import nbad
from nbad.errors import TraceError

X = np.array([-2.0, 0.5, 3.0])
Number = TypeVar("Number")


def half(x):
    return x / 2 if x > 0 else -x


def power(x, n):
    return x**n if x > 1 else x


class Methods(Mapping):
    """A table that finds its functions in its own way."""

    def __init__(self, functions):
        self.functions = functions

    def __getitem__(self, name):
        return self.functions[name.lower()]

    def __iter__(self):
        return iter(self.functions)

    def __len__(self):
        return len(self.functions)

    def applied(self, name, x):
        return self.functions[name](x) + math.exp(x)


class Space:
    """An object with a function in an attribute, and a method."""

    def __init__(self, encode):
        self.encode = encode
        self.calls = 0

    def apply(self, x):
        return self.encode(x) if x > 1 else x


TABLE = {"half": half, "sine": math.sin, "exp": np.exp, "cube": functools.partial(power, n=3), "kernel": nbad.kernel(half)}
METHODS = Methods(TABLE)
SPACES = {"a": Space(half)}


@functools.lru_cache
def cached(x):
    return x if x > 1 else -x


def chosen():
    return half


KERNELS = {
    "out of a dict": lambda x: TABLE["half"](x) + TABLE["sine"](x) * TABLE["exp"](x),
    "out of a mapping": lambda x: METHODS["HALF"](x),
    "by a method of a dict": lambda x: TABLE.get("half")(x) if x != 0 else x,
    "out of a list": lambda x: [half, cached][1](x),
    "a partial": lambda x: TABLE["cube"](x),
    "a kernel": lambda x: TABLE["kernel"](x),
    "an attribute of an object in a dict": lambda x: SPACES["a"].encode(x),
    "a method of an object in a dict": lambda x: SPACES["a"].apply(x),
    "from a call": lambda x: chosen()(x) if x != 0 else x,
}


@pytest.mark.parametrize("name", KERNELS)
def test_functions_are_seen_into_however_they_are_reached(name):
    kernel = nbad.kernel(KERNELS[name])
    np.testing.assert_allclose(kernel(X), [KERNELS[name](x) for x in X.tolist()], rtol=1e-14)


def test_variables_hold_functions():
    def kernel(x):
        encode, name = METHODS["half"], "sine"
        result = encode(x)
        for function in (METHODS[name], abs, lambda v: v if v > 0 else 0.0):
            result = result + function(x)
        return result

    np.testing.assert_allclose(nbad.kernel(kernel)(X), [kernel(x) for x in X.tolist()], rtol=1e-14)


def test_objects_of_the_kernel_may_still_be_written_to():
    class Total:
        def __init__(self):
            self.sum = 0.0

        def add(self, x):
            self.sum = self.sum + (x if x > 0 else 2 * x)

    def kernel(x):
        totals = [Total(), Total()]
        for total in totals:
            total.add(x)
        totals[1].add(3 * x)
        return totals[0].sum + totals[1].sum

    np.testing.assert_allclose(nbad.kernel(kernel)(X), [kernel(x) for x in X.tolist()], rtol=1e-14)


FUNCTIONS = [math.sin, math.cos]


class Law:
    """Methods, of which none is reached by its name; its own objects call one another."""

    def __init__(self, rate):
        if rate > 10:
            raise ValueError("too fast")
        self.rate = math.exp(-rate)

    def at(self, t):
        return math.exp(self.rate * t)

    def later(self, t):
        return self.at(t + 1) + self.delayed(t)

    @staticmethod
    def delayed(t):
        return math.tanh(t) if t > 0 else t

    def __call__(self, t):
        return math.sin(self.rate) * t if t > 1 else self.at(t)


class Double(Law):
    def at(self, t):
        return 2 * super().at(t)


class Box(Generic[Number]):
    made = 0

    def __init__(self, x):
        Box.made += 1
        self.x = x

    def around(self):
        box = object.__new__(Box)
        box.x = math.sin(self.x)
        return box


class Spring:
    k = 2.0

    def __init__(self, x):
        self.x = math.sin(x)

    def force(self):
        return -self.k * self.x


class OfOldStyle(Spring):
    def __init__(self, x):
        super(OfOldStyle, self).__init__(x)  # noqa: UP008, as older code has it
        Spring.__init__(self, self.x)


@dataclasses.dataclass
class Gauge:
    x: float
    level: float = dataclasses.field(init=False)
    scale: dataclasses.InitVar[float] = 1.0

    def __post_init__(self, scale):
        if self.x > 10:
            raise ValueError("too high")
        self.level = math.exp(self.x) * scale if self.x < 1 else scale
        return self.level  # which nobody sees


@dataclasses.dataclass
class Finished:
    x: float

    @staticmethod
    def __post_init__():
        pass


@dataclasses.dataclass
class Counted:
    x: float

    def __post_init__(self):
        self.attributes = len(vars(self))
        self.__dict__ = {"x": self.attributes * abs(self.x)}


class Pair(NamedTuple):
    a: float
    b: float = 2.0

    def mixed(self, x):
        return self.a * math.exp(-x) + self.b


@dataclasses.dataclass(frozen=True)
class Frozen:
    law: Pair

    def bounded(self, x):
        return self.law.mixed(x) if x > 1 else x


class Rule:
    """Its methods are given to functions, which call them."""

    def of(self, v, x=0.5):
        return math.exp(v) - x if v > x else v - x

    def mapped(self, x):
        return sum(map(self.of, [x, -x]))

    def reduced(self, x):
        return functools.reduce(self.of, [x, 1.0, 2.0])

    def greatest(self, x):
        return max([x, 1 - x], key=self.of) + x

    def root(self, x):
        return scipy.optimize.brentq(self.of, -9.0, 9.0, args=(x,))


class Kind(enum.Enum):
    CONVEX = 2.0

    def of(self, x):
        return x**self.value if x > 0 else math.exp(x)


PAIR, FROZEN, RULE = Pair(0.5), Frozen(Pair(0.5)), Rule()


def functions_in_a_loop(x):
    total = 0.0
    for function in FUNCTIONS:
        total = total + function(x)
    return total


def a_bound_method(x):
    at = Law(x).at
    return at(2.0)


def a_parameter(x):
    def apply(function, v):
        return function(v)

    return apply(math.sin, x) + apply(Law(x).at, 0.5)


# no branch and no loop is in these: what is called is all that asks for their being rewritten
STRAIGHT = {
    "a method": lambda x: Law(x).at(2.0),
    "methods that call methods": lambda x: Law(x).later(x),
    "a static method of an object": lambda x: Law(x).delayed(x),
    "a method of a base class": lambda x: Double(x).later(1.0),
    "a base class by its name": lambda x: OfOldStyle(x).force(),
    "a generic class": lambda x: Box[float](x).around().x,
    "a class in a list": lambda x: [Box, Spring][1](x).force(),
    "what only sets up an object": lambda x: Spring(x).x,
    "what finishes a dataclass": lambda x: Gauge(x).level + Gauge(x, 3.0).level,
    "what finishes it without it": lambda x: Finished(x).x,
    "what finishes it sees no more than that": lambda x: Counted(x).x,
    "an object": lambda x: Law(x)(x) + Double(0.1)(x),
    "a method of a namedtuple": lambda x: Pair(x)._replace(b=x).mixed(x),
    "a method of an outer namedtuple": lambda x: PAIR.mixed(x),
    "a method of an outer frozen dataclass": lambda x: FROZEN.bounded(x),
    "a method of what it holds": lambda x: FROZEN.law.mixed(x),
    "a method of a mapping": lambda x: METHODS.applied("half", x),
    "a method of an enumeration's member": lambda x: Kind.CONVEX.of(x),
    "a method that is mapped": lambda x: RULE.mapped(x) + sum(map(RULE.of, [x])),
    "a method that joins items": lambda x: RULE.reduced(x),
    "a method that is a key": lambda x: RULE.greatest(x),
    "functions in a list": lambda x: sum(f(x) for f in FUNCTIONS),
    "values of a dict": lambda x: sum(f(x) for f in {"sine": math.sin}.values()),
    "functions that a function is given": lambda x: functools.reduce(lambda v, f: f(v), FUNCTIONS, x),
    "functions in a loop": functions_in_a_loop,
    "a bound method": a_bound_method,
    "a parameter": a_parameter,
}


@pytest.mark.parametrize("name", STRAIGHT)
def test_functions_are_seen_into_in_straight_lines(name):
    kernel = nbad.kernel(STRAIGHT[name], math="libm")
    np.testing.assert_array_equal(kernel(X), [STRAIGHT[name](x) for x in X.tolist()])


def test_methods_are_solved():
    for kernel in (lambda x: RULE.root(x), lambda x: Rule().root(x), lambda x: nbad.solve(RULE.of, 0.5, x)):
        np.testing.assert_allclose(nbad.kernel(kernel)(X), [RULE.root(x) for x in X.tolist()], rtol=1e-12)


@pytest.mark.parametrize(("function", "text"), [(lambda x: Law(x).rate, "too fast"), (lambda x: Gauge(x).level, "too high")])
def test_an_object_that_cannot_be_made_ends_the_path(function, text):
    with pytest.raises(ValueError, match=text):
        nbad.kernel(function)([1.0, 11.0])
    np.testing.assert_array_equal(nbad.kernel(function, errors="nan")([0.0, 11.0]), [1.0, np.nan])


@pytest.mark.parametrize(
    ("verb", "fix", "expected"),
    [
        (lambda f, x: nbad.bind(f, x)(), "f(x)", 9.0),
        (lambda f, x: nbad.bind(nbad.grad(f), x)(), "f(x)", 9.0),
        (lambda f, x: nbad.vjp(f, x)[1](1.0)[0], "nbad.grad(f)(x)", 6.0),
        (lambda f, x: nbad.hessian(f)(x)[0, 0], "nbad.grad(nbad.grad(f))(x)", 2.0),
    ],
)
def test_verbs_on_traced_values_are_refused_with_a_line_that_works(verb, fix, expected):
    f = nbad.kernel(lambda x: x * x)
    with pytest.raises(TraceError, match=rf"with a traced value[\s\S]*fix: {re.escape(fix)}"):
        nbad.kernel(lambda x: verb(f, x))(3.0)
    assert nbad.kernel(eval(f"lambda x: {fix}", {"f": f, "nbad": nbad}))(3.0) == expected
