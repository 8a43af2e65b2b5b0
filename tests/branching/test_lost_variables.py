"""Variables that have a value in Python, but none that a trace could hold: not to be taken for unbound ones."""

import re

import numpy as np
import pytest
from helpers.tracing import traced

import nbad
from nbad.errors import TraceError

POINTS = np.array([(x, y) for x in (-1.5, -0.4, 0.3, 1.7) for y in (-0.9, 0.2, 1.1)])


def view_or_list(x, y):
    m = np.array([[x, y], [y, x]])[0]
    if x > 1:
        m = [x, x]
    elif x > 0:
        m = [y, x]
    return m[1]


def nested(x, y):
    if x > 0:
        if y > 0:
            m = {0: x}
        else:
            m = [y]
    else:
        m = [x * y]
    return m[0]


def object_on_one_side(x, y):
    if x > 0:
        if y > 0:
            m = {0: x}
    else:
        m = [x]
    return m[0] if x <= 0 or y > 0 else y


def before_the_branch(x, y):
    m = (x, y)
    if x > 0:
        m = [y, x]
    if y > 0:
        m = [x, x]
    return m[0]


def in_a_loop(x, y):
    m = {0: x}
    while x < 1:
        x = x + 0.5
        m = [x]
    if y > 0:
        m = [y]
    return m[0]


def from_pass_to_pass(x, y):
    m, total = {0: x}, 0.0
    while x < 2:
        if y > 0:
            m = [y]
        total = total + m[0]
        x = x + 0.5
        m = {0: x}
    return total


def in_a_handler(x, y):
    m = (x, y)
    try:
        if x > 0:
            m = [y, x]
        z = 1.0 / (y - 0.2)
    except ZeroDivisionError:
        if x < 1:
            m = [x, x]
        z = 0.0
    return m[0] + z


def in_a_body(x, y):
    m = (x, y)
    try:
        if x > 0:
            m = [y, x]
        z = 1.0 / (y - 0.2)
    except ZeroDivisionError:
        m = [x, x]
        z = 0.0
    return m[0] + z


def asked_by_an_inner_function(x, y):
    def inner():
        try:
            return m + y
        except NameError:
            return 5.0

    if x > 0:
        m = x
    return inner()


def looked_for(x, y):
    if x > 0:
        m = x
    return y if "m" in locals() else -y


def looked_for_by_dir(x, y):
    m = x
    if x > 0:
        del m
    return y if "m" in dir() else -y


LOST = (
    view_or_list, nested, object_on_one_side, before_the_branch, in_a_loop, from_pass_to_pass, in_a_handler, in_a_body,
    asked_by_an_inner_function, looked_for, looked_for_by_dir,
)  # fmt: skip


@pytest.mark.parametrize("function", LOST, ids=lambda function: function.__name__)
def test_what_is_lost_is_refused_by_name_and_reason(function):
    for point in POINTS:
        assert isinstance(function(*map(float, point)), float)  # Python has a value
    loss = "which has no single value after a branch|which has no number at the begin|which has no value on one side"
    with pytest.raises(TraceError, match=rf"uses `m`, ({loss})"):
        traced(function, "x y")


def test_the_first_loss_is_the_reason():
    got = "got: a list in one branch and a TracedArray in the other: elif x > 0: (test_lost_variables.py:"
    with pytest.raises(TraceError, match=re.escape(got)):
        traced(view_or_list, "x y")


def lost_in_the_other_arm(x, y):
    if x > 0:
        if y > 0:
            t = [x]
        else:
            t = {}
        z = x + len(t) if False else x
    else:
        if y > 0:
            t = y
        z = t if y > 0 else 0.0
    return z


def lost_and_bound_again(x, y):
    t = x
    if x > 0:
        t = [x]
    t = y
    if y > 0:
        t = x
    return t


def lost_on_a_path_that_has_returned(x, y):
    if x > 0:
        if y > 0:
            t = [x]
        else:
            t = {}
        return x + len(t) if False else x
    if y > 0:
        t = y
    return t if y > 0 else 1.0


@pytest.mark.parametrize("function", [lost_in_the_other_arm, lost_and_bound_again, lost_on_a_path_that_has_returned])
def test_what_was_lost_elsewhere_has_a_value_here(function):
    expected = [function(*point) for point in POINTS]
    np.testing.assert_array_equal(nbad.kernel(function)(*POINTS.T), expected)


def set_on_the_path_that_returns(x, y):
    if x > 0:
        m = y
        return x
    return m


def set_in_a_loop_without_passes(x, y):
    if x > 0:
        return y
    for m in range(0):
        y = m
    return m + x


@pytest.mark.parametrize("function", [set_on_the_path_that_returns, set_in_a_loop_without_passes])
def test_a_variable_without_value_behind_a_return_of_other_elements(function):
    got = r"got: not assigned where elements have not returned: return \w \(test_lost_variables.py:"
    with pytest.raises(TraceError, match=rf"(?s)uses `m`, which has no value on one side.*{got}.*fix: m = 0.0"):
        traced(function, "x y")


def test_a_loop_within_a_loop_that_binds_the_variable_anew():
    def f(x, y):
        if y < x + 0.25:
            i = 5
            x -= 1
        while y > x:
            if y > 0.5:
                y = x
            else:
                for i in range(100):
                    x = x + 1 + 0 * i
                    if x > 0.5:
                        break
        return x + 2 * y

    xs, ys = np.array([1.0, 0.3, -1.0, -0.3, 2.0]), np.array([1.0, 2.0, 3.0, 0.2, 2.1])
    np.testing.assert_array_equal(nbad.kernel(f)(xs, ys), list(map(f, xs, ys)))


def test_a_loop_within_a_loop_that_reads_the_variable():
    def f(x, y):
        if y < x + 0.25:
            i = 5.0
        while y > x:
            for k in range(100):
                i, x = i + 1, x + i
                if x > 0.5 * k:
                    break
        return x + 2 * y

    assert nbad.kernel(f, errors="nan")(1.0, 1.2) == f(1.0, 1.2)
    with pytest.raises(UnboundLocalError, match="'i'"):
        nbad.kernel(f)(np.array([1.0, 1.0]), np.array([1.2, 1.5]))


def test_a_variable_that_is_none_before_a_loop_of_many_passes():
    def f(x, start):
        best, place = float("inf"), start
        for k in range(120):
            distance = (x - k * 0.03) ** 2
            if distance < best:
                best, place = distance, k
        return place

    with pytest.raises(TraceError, match=r"(?s)uses `place`, which has no number at the begin of each pass.*fix: place = 0.0"):
        nbad.kernel(f, static=("start",))(0.5, None)
    assert nbad.kernel(f)(0.5, 0.0) == 17.0
