"""Items at places that depend on data: as in Python, negative ones count from the end, and those out of range raise."""

import collections
import math
import re

import numpy as np
import pytest
from helpers.tracing import traced

import nbad
from nbad.errors import TraceError

TABLE, VECTOR, MATRIX = [1.0, 2.0, 4.0, 8.0], np.array([1.0, 3.0, 9.0]), np.arange(6.0).reshape(2, 3)
SQUARES = [float(k * k) for k in range(40)]


def of_list(x):
    return x * TABLE[int(x)]


def of_tuple(x):
    return (x, x * x, 3.0 * x)[int(x)]


def of_vector(x):
    return x * VECTOR[int(x)]


def of_matrix(x):
    return x * MATRIX[int(x), int(x) - 1]


def of_rows(x):
    return x * MATRIX[int(x)][int(x) + 1]


def of_own_list(x):
    items = [x, 2.0 * x]
    items[1] = x * x
    return items[int(x)]


def of_dict(x):
    return {0: x, 1: 2.0 * x, "two": 0.0, 2.5: 7.0, -3: x * x, np.int64(7): 0.5}[int(x)]


def of_dict_of_lists(x):
    a, b = {0: (x, [1.0, x]), 2: (2.0, [x, x * x])}[int(x)]
    return a * b[0] + b[1]


def with_a_default(x):
    return {0: x, 2: 3.0 * x}.get(int(x), x * x) if x > -3.0 else {-5: x}.get(int(x)) * 2.0


def caught_in_a_dict(x):
    try:
        y = {0: 2.0, 1: 3.0}[int(x)] * x
    except KeyError:
        y = -x
    return y


def keys_of_dict(x):
    if x in {2.5: "a", -0.5: "b", "c": 1.0}:
        return 3.0 + x
    return {0: x, 40: 1.0}[int(x)]


def place_of(x):
    k = [0, 2, "a", 7, 2, x].index(int(x)) if x < 6.0 else (7, 40).index(int(x))
    return TABLE[k] * x


def in_an_arm(x):
    return TABLE[int(x)] * x if x < 5.0 else -x


def behind_a_test(x):
    return x if -3.0 <= x < 3.0 and VECTOR[int(x)] > 2.0 else -x


def caught(x):
    try:
        y = TABLE[int(x)] * x
    except IndexError:
        y = -x
    return y


def counted(x):
    k, total = 0, 0.0
    while total < x:
        total = total + TABLE[k]
        k += 1
    return total * x


def counted_down(x):
    k, total = 2, 0.0
    while k > x:
        total = total + VECTOR[k] * x
        k -= 1
    return total


def retried(x):
    for k in range(12):
        if TABLE[k] > x:
            return TABLE[k] * x
    return x


def nested(x):
    total = x
    for i in range(6):
        for j in range(6):
            total = total + 0.01 * TABLE[i + j - 2] * x
            if total > 3.0 * x:
                break
        if j < 5 or i > 1:
            return total
    return total


FUNCTIONS = [
    of_list, of_tuple, of_vector, of_matrix, of_rows, of_own_list, of_dict, of_dict_of_lists, with_a_default, caught_in_a_dict,
    keys_of_dict, place_of, in_an_arm, behind_a_test, caught, counted, counted_down, retried, nested,
]  # fmt: skip
POINTS = np.array(
    [1.5, 0.25, 2.5, 3.5, 4.5, 7.9, 8.0, 40.0, -0.5, -1.5, -2.5, -3.5, -4.5, -5.5, 1e300, -1e300, math.nan, math.inf]
)


def outcome(function, x):
    try:
        return float(function(x)), None
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        return math.nan, error


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_places_are_those_of_python(function):
    values, errors = zip(*(outcome(function, float(x)) for x in POINTS), strict=True)
    f, g = nbad.kernel(function), nbad.kernel(function, errors="nan")
    for x, value, error in zip(POINTS, values, errors, strict=True):
        if error is None:
            np.testing.assert_allclose(f(x), value, rtol=1e-15)
        else:
            with pytest.raises(type(error), match=re.escape(str(error))):
                f(x)
    failed = np.array([error is not None for error in errors])
    assert failed.any() != (function is behind_a_test)
    np.testing.assert_allclose(g(POINTS), values, rtol=1e-15)
    y, slopes = nbad.value_and_grad(g)(POINTS)
    np.testing.assert_allclose(y, values, rtol=1e-15)
    assert np.isnan(slopes[failed]).all()
    with np.errstate(invalid="ignore"):
        near = [(outcome(function, x + 1e-6)[0] - outcome(function, x - 1e-6)[0]) / 2e-6 for x in POINTS.tolist()]
    smooth = np.isfinite(near) & ~failed & (np.abs(POINTS) < 100.0) & (np.round(POINTS) != POINTS)
    np.testing.assert_allclose(slopes[smooth], np.array(near)[smooth], rtol=1e-6)


def test_the_note_names_the_element():
    with pytest.raises(IndexError, match="list index out of range") as raised:
        nbad.kernel(of_list)(np.array([1.0, 9.0, 2.0, -7.0]))
    (note,) = raised.value.__notes__
    assert "raised at element (1,), the first of 2 that failed, by return x * TABLE[int(x)]" in note


def test_arguments_that_are_places():
    f = nbad.kernel(lambda i: TABLE[i])
    np.testing.assert_array_equal(f(np.array([0, 3, -1, -4])), [1.0, 8.0, 8.0, 1.0])
    with pytest.raises(IndexError, match="list index out of range"):
        f(np.array([0, 4]))
    with pytest.raises(TypeError, match="list indices must be integers or slices, not float"):
        f(np.array([0.0, 0.5]))


def test_keys_that_are_conditions():
    f = nbad.kernel(lambda x: {True: x * x, False: 3.0}[x > 0.0])
    np.testing.assert_array_equal(f(np.array([2.0, -1.0])), [4.0, 3.0])


@pytest.mark.parametrize("table", [{2**53 + 1: 1.0}, {math.nan: 1.0}, {1j: 1.0}, collections.defaultdict(float, {1: 2.0})])
def test_keys_that_numbers_of_the_trace_are_not_told_from(table):
    with pytest.raises(TraceError, match="as the key of a dict"):
        nbad.kernel(lambda x: table[int(x)])(1.0)


def test_what_a_dict_gives_is_not_written_to():
    def function(x):
        table = {0: [x], 1: [2.0 * x]}
        table[int(x)][0] = 1.0
        return table[0][0]

    with pytest.raises(TraceError, match="several names"):
        nbad.kernel(function)(1.0)


def test_places_among_plain_ones():
    def function(x):
        return (VECTOR[np.array([int(x), 0])] * np.array([x, 2.0])).sum()

    f = nbad.kernel(function)
    for x in (0.5, 2.5, -1.5):
        np.testing.assert_allclose(f(x), function(x), rtol=1e-15)
    with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 3"):
        f(7.5)


def sum_of_squares(x):
    total = 0.0
    for k in range(40):
        total = total + SQUARES[k] * x * x
        if total > 1e3:
            break
    return total


@pytest.mark.parametrize("function", [lambda x: TABLE[x > 0.0], lambda x: TABLE[int(np.searchsorted(VECTOR, x))], sum_of_squares])
def test_places_that_are_in_range_cost_no_flag(function):
    assert traced(function).flags is None
    assert nbad.kernel(function)(2.0) == function(2.0)
