"""`any` and `all` of what an iterator gives: elements for which some items have decided do not ask for the next one."""

import math

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

XS = np.array([-2.5, -0.0, 0.3, 1.0, 1.7, 2.0, 3.6])


def count_until_any(x):
    count = [0.0]

    def asked(v):
        count[0] += 1
        return v > 1

    holds = any(asked(v) for v in (x, x + 1, x + 2))
    return count[0] + 10 * holds


def count_until_not_all(x):
    count = [0.0]

    def asked(v):
        count[0] += 1
        return v > 0

    return count[0] if all(map(asked, (x, x - 1, 2.0))) else -count[0]


def plain_items_between(x):
    return sum(any(flag for flag in flags) for flags in ((x > 0, False, x > 1), (False, x > 2), (x < 0, True))) * 1.0


def within_other_choices(x):
    return (x if x > 0 and any(math.sqrt(v) > 1 for v in (x, x + 1)) else -x) if not all(v > x for v in (1.0, 2.0)) else 7.0


@pytest.mark.parametrize(
    "f", [count_until_any, count_until_not_all, plain_items_between, within_other_choices], ids=lambda f: f.__name__
)
def test_items_are_asked_for_as_in_python(f):
    xs = XS if f is not within_other_choices else XS[1:]
    np.testing.assert_array_equal(nbad.kernel(f)(xs), [f(x) for x in xs])


def test_an_error_behind_what_decides_is_none():
    def f(x):
        def asked(v):
            if v < 0:
                raise ValueError("negative")
            return 1 / (v + 1) > 0.2

        return 3.0 if all(asked(v) for v in (x, -x)) else x

    xs = np.array([0.0, 5.0, 9.0])
    np.testing.assert_array_equal(nbad.kernel(f)(xs), [3.0, 5.0, 9.0])
    np.testing.assert_array_equal(nbad.kernel(f, errors="nan")([1.0, 5.0]), [np.nan, 5.0])
    with pytest.raises(ValueError, match="negative"):
        nbad.kernel(f)([5.0, 1.0])


def test_a_variable_of_the_last_item_is_refused():
    def f(x):
        if any((last := v) > x for v in (0.0, 1.0, 2.0)):
            return last * x
        return -x

    with pytest.raises(TraceError, match=r"assigns `last` in an operand that depends on a traced value"):
        nbad.kernel(f)(XS)


def test_what_is_left_in_the_iterator_is_refused():
    def f(x):
        items = iter((2.0, 1.0, 0.0))
        return any(v < x for v in items) * 10 + sum(items)

    with pytest.raises(TraceError, match=r"changes the iterator `items` in a branch on a traced value"):
        nbad.kernel(f)(XS)


def test_a_loop_over_items_that_bind_a_variable():
    def f(x):
        for v in ((t := 2 * u) for u in (x, 1.0)):
            if v > 1:
                break
        return t

    np.testing.assert_array_equal(nbad.kernel(f)(XS), [f(x) for x in XS])
