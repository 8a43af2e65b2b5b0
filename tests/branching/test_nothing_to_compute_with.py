"""What cannot be computed with ends the paths of the elements that meet it: None, things that are no numbers, missing items."""

import math
import statistics

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


def assert_positive_elements_raise(function, errors, words):
    """Elements above 0 raise what the function itself raises; all others have its values."""
    f, g, x = nbad.kernel(function), nbad.kernel(function, errors="nan"), np.array([-3.0, -1.0, 2.0, 4.0])
    values = np.array([function(v) for v in x[:2].tolist()])
    np.testing.assert_array_equal(f(x[:2]), values)
    np.testing.assert_array_equal(g(x), [*values, np.nan, np.nan])
    np.testing.assert_array_equal(nbad.grad(g)(x), [*nbad.grad(f)(x[:2]), np.nan, np.nan])
    with pytest.raises(errors, match=words) as expected:
        function(2.0)
    with pytest.raises(errors, match=r"raised at element \(2,\), the first of 2 that failed, by ") as raised:
        f(x)
    assert (type(raised.value), raised.value.args) == (type(expected.value), expected.value.args)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_elements_raise_the_type_error_of_python(function):
    assert_positive_elements_raise(function, TypeError, "NoneType|must be|unsupported")


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


def looks_up(x):
    if x > 0:
        return TABLE["none"]
    return x


def looks_too_far(x):
    if x > 0:
        return LEVELS[3] * x
    return x


def looks_too_far_in_an_array(x):
    items = np.array([x, 2 * x])
    if x > 0:
        return items[2]
    return items[1]


def writes_too_far(x):
    items = [x, 2 * x]
    if x > 0:
        items[2] = x
    return items[1]


def looks_between(x):
    for k in range(len(LEVELS)):
        low, high = LEVELS[k], LEVELS[k + 1]
        if low <= x <= high:
            return (x - low) / (high - low)


def divides_by_none_of_them(x):
    if x > 0:
        return x * (1 / len(LEVELS[3:]))
    return x


def leaves_the_domain(x):
    if x > 0:
        return x + math.log(len(LEVELS[3:]))
    return x


def leaves_the_range(x):
    if x > 0:
        return x + math.exp(LEVELS[2])
    return x


def unpacks_too_few(x):
    if x > 0:
        a, b = LEVELS[2:]
        return a * b * x
    return x


def fails_in_a_library(x):
    if x > 0:
        return x * statistics.mean(LEVELS[3:])
    return x


LEVELS = (-5.0, -2.0, 1000.0)
OF_VALUES = [
    looks_up, looks_too_far, looks_too_far_in_an_array, writes_too_far, divides_by_none_of_them, leaves_the_domain,
    leaves_the_range, unpacks_too_few, fails_in_a_library,
]  # fmt: skip


@pytest.mark.parametrize("function", OF_VALUES, ids=lambda f: f.__name__)
def test_elements_raise_what_plain_values_raise(function):
    words = "none|range|bounds|division|domain|expected a|unpack|data point"
    assert_positive_elements_raise(function, (ArithmeticError, LookupError, ValueError), words)


def test_a_loop_that_every_element_leaves_before_it_fails():
    x = np.array([-4.0, -2.5, 0.0, 999.0])
    y, slope = nbad.value_and_grad(nbad.kernel(looks_between))(x)
    np.testing.assert_allclose(y, [looks_between(v) for v in x.tolist()], rtol=1e-14)
    np.testing.assert_allclose(slope, [1 / 3, 1 / 3, 1 / 1002, 1 / 1002], rtol=1e-14)
    with pytest.raises(IndexError, match="tuple index out of range"):
        nbad.kernel(looks_between)(-6.0)


def test_in_an_operand_they_are_refused():
    with pytest.raises(nbad.errors.TraceError, match="raises an error in an operand"):
        nbad.kernel(lambda x: LEVELS[3] if x > 0 else x)(-1.0)


def falls_back(x):
    try:
        y = x
        if x > 0:
            y = TABLE["none"]
    except LookupError:
        y = -3 * x
    return 2 * y


def test_handlers_catch_what_plain_values_raise():
    x = np.array([-3.0, 2.0])
    np.testing.assert_array_equal(nbad.kernel(falls_back)(x), [falls_back(v) for v in x.tolist()])


def test_errors_of_other_kinds_are_errors_of_the_trace():
    def calls_wrongly(x):
        return half() if x > 0 else x

    with pytest.raises(TypeError, match=r"half\(\) missing 1 required"):
        nbad.kernel(calls_wrongly)(-1.0)
    with pytest.raises(nbad.errors.TraceError, match="uses None where a real number is needed"):
        nbad.kernel(lambda x: x / NOTHING)(-1.0)
