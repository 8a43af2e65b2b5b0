"""Functions that a kernel reaches by other ways than their names: out of containers, objects and calls."""

import functools
import math
import re
from collections.abc import Mapping

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

X = np.array([-2.0, 0.5, 3.0])


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
