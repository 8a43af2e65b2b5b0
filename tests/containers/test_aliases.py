"""Lists and arrays chosen by a traced condition: a write through any of their names, or a test of identity, is refused."""

import math

import numpy as np
import pytest
from helpers.tracing import traced

import nbad
from nbad.errors import TraceError

XS, YS = np.array([-1.7, -0.6, 0.3, 0.9]), np.array([0.7, -1.2, 1.9, -0.2])


def scale(values):
    values *= 2


def either(a, b, condition):
    if condition:
        return a
    return b


def tail_or(a, b, x):
    if x > 0:
        return a[1:]
    return b


def sum_in_between(a, b):
    a.append(1.0)
    total = sum(b)
    a.pop()
    return total


def augmented(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    b = a if x > y else c
    a *= 10
    return b[0] + b[1]


def augmented_in_an_arm(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    if x > y:
        b = a
    else:
        b = c
    a *= 10
    return b[0] + b[1]


def filled(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    b = a if x > y else c
    a.fill(3.0)
    return b[0] + b[1]


def diagonal(x, y):
    a, c = np.array([[x, y], [y, x]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    b = a if x > y else c
    np.fill_diagonal(a, 7.0)
    return b[0, 0] + b[1, 1]


def reversed_and_back(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a if x > y else c
    a.reverse()
    result = b[0]
    a.reverse()
    return result


def reversed_and_back_in_one_expression(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a if x > y else c
    return (a.reverse(), b[0], a.reverse())[1]


def changed_and_back_in_a_helper(x, y):
    a, c = [x, y], [1.0, 2.0]
    return sum_in_between(a, a if x > y else c)


def longer(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a if x > y else c
    a += [1.0]
    return sum(b)


def shorter(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a if x > y else c
    del a[0]
    return sum(b)


def picked_row(x, y):
    m = np.array([[x, y], [1.0, 2.0]])
    row = m[0 if x > y else 1]
    m *= 2
    return row[0]


def written_row(x, y):
    m = np.array([[x, y], [1.0, 2.0]])
    row = m[0 if x > y else 1]
    row += 2
    return m[0, 0]


def helper_picks(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    b = either(a, c, x > y)
    b *= 2
    return a[0] + c[0]


def helper_returns_a_view(x, y):
    a, c = np.array([x, y]), np.array([1.0])
    b = tail_or(a, c, x)
    a[1] = 5.0
    return b[0]


def helper_writes(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    scale(a if x > y else c)
    return a[0] + c[0]


def without_a_name(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    (a if x > y else c)[0] = 5.0
    return a[0] + c[0]


def through_an_iterator(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    (a if x > y else c).flat[0] = 5.0
    return a[0] + c[0]


def view_of_one_arm(x, y):
    if x > y:
        a = np.array([x, y])
        b = a[:1]
    else:
        a, b = np.array([1.0, 2.0]), np.array([3.0])
    a[0] = 7.0
    return b[0]


def views_of_both_arms(x, y):
    if x > y:
        a = np.array([x, y])
        b = a[:1]
    else:
        a = np.array([1.0, y])
        b = a[:1]
    a[0] = 7.0
    return b[0]


def whole_numbers(x, y):
    a, c = np.array([1, 2]), np.array([1, 2])
    (a if x > y else c)[0] = 5
    return x * a[0]


def through_a_nameless_view(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    (a if x > y else c).view(np.ndarray)[0] = 5.0
    return a[0] + c[0]


def by_a_method_of_a_nameless_view(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    np.asarray(a if x > y else c).view(np.ndarray).fill(5.0)
    return a[0] + c[0]


def added_to_a_nameless_view(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    (a if x > y else c).view(np.ndarray)[:] += 5.0
    return a[0] + c[0]


def nameless_target_of_a_loop(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    for (a if x > y else c).view(np.ndarray)[0] in (1.0, 5.0):
        pass
    return a[0] + c[0]


def chosen_again(x, y):
    a = [x, y]
    if x > 0:
        b = a if x > y else [1.0, 2.0]
    else:
        b = [3.0, 4.0]
    b[0] = 5.0
    return a[0]


def array_chosen_again(x, y):
    a = np.array([x, y])
    b = (a if x > y else np.ones(2)) if x > 0 else np.zeros(2)
    b[0] = 5.0
    return a[0]


def source_of_what_is_chosen_again(x, y):
    a = np.array([x, y, y])
    b = (a if x > y else np.ones(3))[1:]
    c = b if x > 0 else np.zeros(2)
    del b
    a[1] = 5.0
    return c[0]


def row_chosen_again(x, y):
    rows = [[x, y], [y, x]]
    b = rows[int(x > 0)] if x > y else [1.0, 2.0]
    b[0] = 5.0
    return rows[0][0] + rows[1][0]


def chosen_again_by_a_helper(x, y):
    a = [x, y]
    b = either(a, [1.0, 2.0], x > y) if x > 0 else [3.0, 4.0]
    b[0] = 5.0
    return a[0]


def chosen_returns(x, y):
    a = np.array([x, y])

    def pick():
        if x > 0:
            return a if x > y else np.ones(2)
        return np.zeros(2)

    b = pick()
    b[0] = 5.0
    return a[0]


def chosen_within_a_list(x, y):
    a = [x, y]
    b = ([a] if x > y else [[1.0, 2.0]]) if x > 0 else [[3.0, 4.0]]
    b[0][0] = 5.0
    return a[0]


def view_returned_where_all_others_raise(x, y):
    a = np.array([x, y])

    def tail():
        if x > 0:
            return a[1:]
        raise ValueError("no tail")

    b = tail()
    b[0] = 5.0
    return a[1]


def left_by_one_of_several_errors(x, y):
    a = [x, y]
    try:
        b = a
        math.sqrt(x)
        b = [1.0, 2.0]
        math.sqrt(y)
    except ValueError:
        a[0] = 5.0
    return b[0]


def kept_under_another_name_before_an_error(x, y):
    try:
        b = kept = [x, y]
        math.sqrt(x)
        b = [1.0, 2.0]
        math.sqrt(y)
        b = [3.0, 4.0]
    except ValueError:
        pass
    b[0] = 5.0
    return kept[0]


def chosen_by_a_helper_in_an_arm(x, y):
    a = np.copy(y)
    if x > 0.5:
        y = either(a, 2 * a, x < 2)
    y[x > 0] = 5.0
    return a + y


def chosen_in_an_arm_and_returned(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])

    def pick():
        if x > 0.5:
            return a if y > 0 else 2 * a
        return c * 3.0

    pick()[0] = 5.0
    return a[0] + c[0]


WRITES = [
    augmented, augmented_in_an_arm, filled, diagonal, reversed_and_back, reversed_and_back_in_one_expression,
    changed_and_back_in_a_helper, longer, shorter, picked_row, written_row, helper_picks, helper_returns_a_view, helper_writes,
    without_a_name, through_an_iterator, view_of_one_arm, views_of_both_arms, whole_numbers, through_a_nameless_view,
    by_a_method_of_a_nameless_view, added_to_a_nameless_view, nameless_target_of_a_loop, chosen_again, array_chosen_again,
    source_of_what_is_chosen_again, row_chosen_again, chosen_again_by_a_helper, chosen_returns, chosen_within_a_list,
    view_returned_where_all_others_raise, left_by_one_of_several_errors, kept_under_another_name_before_an_error,
    chosen_by_a_helper_in_an_arm, chosen_in_an_arm_and_returned,
]  # fmt: skip


@pytest.mark.parametrize("function", WRITES)
def test_writes_are_refused(function):
    with pytest.raises(TraceError, match="writes to a list or array that has several names") as caught:
        traced(function, "x y")
    assert "fix: v = v.copy()" in str(caught.value)


def lists(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a if x > y else c
    return 1.0 if b is a else 2.0


def arrays(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    if x > y:
        c = a
    if c is not a:
        return x
    return y


def any_of_several(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a if x > y else c
    return 1.0 if any(b is v for v in (a, c)) else 0.0


def numbers(x, y):
    b = x if x > y else y
    return 1.0 if b is x else 0.0


def by_number(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a if x > y else c
    return 1.0 if id(b) == id(a) else 0.0


def bases(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    b = a[:1] if x > y else c[:1]
    return 1.0 if b.base is a else 0.0


@pytest.mark.parametrize("function", [lists, arrays, any_of_several, numbers, by_number, bases])
def test_identity_that_depends_on_a_traced_value_is_refused(function):
    with pytest.raises(TraceError, match="asks by `is` for what depends on a traced value"):
        traced(function, "x y")


def read_only(x, y):
    a, c = np.array([x, y]), np.array([y, 2.0])
    total = 0.0
    for k in range(2):
        v = a if x > 0 else c
        total = total + v[k] ** 2
    return total


def read_only_rows(x, y):
    m = np.array([[x, y], [y, 3.0]])
    p, q = m[0], m[1]
    if x > 0:
        p, q = q, p
    return p[0] * q[1]


def read_only_view(x, y):
    return tail_or(np.array([1.0, x * y]), np.array([math.sin(x)]), x)[0]


def written_once_nobody_reads_the_other(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    v = a if x > 0 else c
    result = v[0]
    del v
    a[0] = 3.0
    return result * a[0]


def gone_after_its_statement(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    len(a if x > 0 else c)
    a[0] = 3.0
    return x * a[0]


def gone_after_its_test(x, y):
    a, c = np.array([x, y]), np.array([1.0, 2.0])
    if len(a if x > 0 else c) == 2:
        a[0] = 3.0
    return x * a[0]


def known_identity(x, y):
    a, c = [x, y], [1.0, 2.0]
    b = a
    d = a if x > 0 else c
    return d[0] * (x if b is a else y)


SLOPES = {
    read_only: lambda x, y: 2 * x if x > 0 else 0.0,
    read_only_rows: lambda x, y: 0.0 if x > 0 else 3.0,
    read_only_view: lambda x, y: y if x > 0 else math.cos(x),
    written_once_nobody_reads_the_other: lambda x, y: 3.0 if x > 0 else 0.0,
    gone_after_its_statement: lambda x, y: 3.0,
    gone_after_its_test: lambda x, y: 3.0,
    known_identity: lambda x, y: 2 * x if x > 0 else 1.0,
}


@pytest.mark.parametrize("function", SLOPES)
def test_what_is_only_read_is_right(function):
    kernel, points = nbad.kernel(function), list(zip(XS.tolist(), YS.tolist(), strict=True))
    np.testing.assert_allclose(kernel(XS, YS), [function(*point) for point in points], rtol=1e-14)
    np.testing.assert_allclose(nbad.grad(kernel)(XS, YS), [SLOPES[function](*point) for point in points], rtol=1e-14)
