"""Operations on None and on things that are no numbers end the paths of the elements that meet them."""

import math

import numpy as np
import pytest

import nbad

NOTHING = None
TABLE = {"low": 2.0, "high": None}


def divides(x):
    y = 3.0
    if x > 0:
        y = x / NOTHING
    return y + x


def is_divided(x):
    return NOTHING / x if x > 0 else x


def adds_text(x):
    if x > 0:
        return x + "abc"
    return x


def passes_it_on(x):
    if x > 0:
        return math.sin(TABLE["high"])
    return x * TABLE["low"]


def calls_it(x):
    if x > 0:
        x = NOTHING(x)
    return x


def goes_through_it(x):
    if x > 0:
        for k in NOTHING:
            x = x + k
    return x


def compares(x):
    return 1.0 if x > 0 and x < NOTHING else x


def computes_without_elements(x):
    if x > 0:
        y = TABLE["high"] * 2.0
    else:
        y = x
    return y


def unpacks(x):
    if x > 0:
        a, b = TABLE["high"]
        return a + b
    return x


def negates(x):
    return x if x <= 0 else -TABLE["high"]


def half(value):
    return value / 2.0


def is_not_for_it(x):
    return half(x) if x <= 0 else half(TABLE["high"])


FUNCTIONS = [
    divides, is_divided, adds_text, passes_it_on, calls_it, goes_through_it, compares, computes_without_elements, unpacks,
    is_not_for_it,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_elements_raise_the_type_error_of_python(function):
    f, g, x = nbad.kernel(function), nbad.kernel(function, errors="nan"), np.array([-3.0, -1.0, 2.0, 4.0])
    values = np.array([function(v) for v in x[:2].tolist()])
    np.testing.assert_array_equal(f(x[:2]), values)
    np.testing.assert_array_equal(g(x), [*values, np.nan, np.nan])
    np.testing.assert_array_equal(nbad.grad(g)(x), [*nbad.grad(f)(x[:2]), np.nan, np.nan])
    with pytest.raises(TypeError, match=r"NoneType|must be|unsupported") as expected:
        function(2.0)
    with pytest.raises(TypeError, match=r"raised at element \(2,\), the first of 2 that failed, by ") as raised:
        f(x)
    assert (type(raised.value), raised.value.args) == (TypeError, expected.value.args)


@pytest.mark.parametrize("kind", [NameError, AttributeError, ImportError])
def test_mistakes_are_errors_of_the_trace(kind):
    def misspells(x):
        if x > 0:
            x = misspelled(x)  # noqa: F821
        return x

    def asks(x):
        if x > 0:
            x = math.inf.nothing
        return x

    def imports(x):
        if x > 0:
            from math import nothing  # noqa: F401
        return x

    function = {NameError: misspells, AttributeError: asks, ImportError: imports}[kind]
    with pytest.raises(kind, match=r"misspelled|nothing"):
        nbad.kernel(function)(-1.0)


def test_errors_of_other_kinds_are_errors_of_the_trace():
    def looks_up(x):
        return TABLE["none"] if x > 0 else x

    def calls_wrongly(x):
        return half() if x > 0 else x

    with pytest.raises(KeyError, match="none"):
        nbad.kernel(looks_up)(-1.0)
    with pytest.raises(TypeError, match=r"half\(\) missing 1 required"):
        nbad.kernel(calls_wrongly)(-1.0)
    with pytest.raises(nbad.errors.TraceError, match="uses None where a real number is needed"):
        nbad.kernel(lambda x: x / NOTHING)(-1.0)
