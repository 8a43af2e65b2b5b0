"""Classes that kernels make of Python's own, and names that a module may have: as in plain Python."""

import functools
import itertools
import math

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError


def of_float(x):
    class Length(float):
        def twice(self):
            return self * 2

    return Length(2.0).twice() * x + isinstance(Length(1.0), float)


def of_int(x):
    class Count(int):
        pass

    return Count(3) * x + x ** Count(2)


def of_list(x):
    class Items(list):
        def total(self):
            return sum(self)

    items = Items([x, 1.0])
    items.append(2.0)
    return items.total() + items[-1]


def of_type(x):
    class Meta(type):
        def __call__(cls, value):
            made = super().__call__(value)
            made.twice = value * 2
            return made

    class Number(metaclass=Meta):
        def __init__(self, value):
            self.value = value

    return Number(x).value + Number(x).twice


def with_hasattr(x):
    return x * 2 if hasattr(math, "nothing_of_this_name") else x * 3


def with_a_default(x):
    return getattr(np, "nothing_of_this_name", np.sin)(x)


def with_an_error(x):
    try:
        return math.nothing_of_this_name(x)
    except AttributeError:
        return x * 5


def with_submodules(x):
    names = ("nothing_of_this_name", "accumulate")
    return x * [hasattr(itertools, name) for name in names].count(True) + hasattr(functools, "reduce")


@pytest.mark.parametrize(
    "f",
    [of_float, of_int, of_list, of_type, with_hasattr, with_a_default, with_an_error, with_submodules],
    ids=lambda f: f.__name__,
)
def test_as_in_plain_python(f):
    xs = np.array([-1.5, 0.25, 2.0])
    np.testing.assert_allclose(nbad.kernel(f)(xs), [f(x) for x in xs], rtol=1e-15)


def test_a_name_that_nobody_asked_for_is_refused():
    with pytest.raises(TraceError, match=r"(?s)uses `math.sqroot`.*a name that the module does not have.*fix: math.sqrt"):
        nbad.kernel(lambda x: math.sqroot(x))(1.0)


class Answering:
    def __init__(self, x):
        self.x = x

    def __bool__(self):
        return self.x > 0

    def __float__(self):
        return self.x


@pytest.mark.parametrize(
    ("kernel", "got"),
    [
        (lambda x: 1.0 if Answering(x) else 0.0, "__bool__ should return bool, returned traced bool"),
        (lambda x: float(Answering(x)), r"__float__ returned non-float \(type traced float\)"),
    ],
)
def test_methods_that_answer_python_with_traced_values(kernel, got):
    with pytest.raises(
        TraceError, match=rf"(?s)answers with a traced value where Python asks .*got: .*{got}.*fix: def is_positive"
    ):
        nbad.kernel(kernel)(1.0)


def test_the_method_of_another_name():
    class Number(Answering):
        def is_positive(self):
            return self.x > 0

    assert nbad.kernel(lambda x: 2.0 if Number(x).is_positive() else 0.0)(1.0) == 2.0
