"""Writes in a branch that reach a container by a way of their own: each is merged or refused, none passes unseen.

Those to what is no container are in `test_unread_state`.
"""

import contextvars
import io
import math
import threading
import types
import weakref

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

XS, YS = np.array([-1.7, 0.3]), np.array([0.7, 1.9])
CONTEXT = contextvars.ContextVar("cv", default=1.0)
THREAD = threading.local()
TEXT = io.StringIO()
TABLE = ([1.0], 2.0)


class Fixed:
    def __init__(self):
        self.a = np.arange(3.0)
        self.a.flags.writeable = False


def write(reference, x):
    if x > 0:
        reference().v = 2.0
    return reference().v


def weak_reference(x, y):
    held = Target()
    held.v = 1.0
    return write(weakref.ref(held), x)


class Target:
    v = 0.0


def context_variable(x, y):
    CONTEXT.set(1.0)
    if x > 0:
        CONTEXT.set(2.0)
    return CONTEXT.get() * x


def data_of_a_thread(x, y):
    THREAD.v = 1.0
    if x > 0:
        THREAD.v = 2.0
    return THREAD.v * x


def outer_text(x, y):
    TEXT.seek(0)
    TEXT.truncate()
    if x > 0:
        TEXT.write("abc")
    return len(TEXT.getvalue()) * x


def list_in_an_outer_tuple(x, y):
    if x > 0:
        TABLE[0][0] = 5.0
    else:
        TABLE[0][0] = 1.0
    return TABLE[0][0]


REFUSED = [weak_reference, context_variable, data_of_a_thread, outer_text, list_in_an_outer_tuple]


@pytest.mark.parametrize("function", REFUSED)
def test_writes_are_refused(function):
    with pytest.raises(TraceError, match=r"(?s)changes .* in a branch on a traced value:.*test_hidden_writes\.py.*fix: "):
        nbad.kernel(function)(XS, YS)


def values_of_a_dict(x, y):
    d = {"a": [1.0]}
    v = d.values()
    del d
    if x > 0:
        for items in v:
            items[0] = 2.0
    return next(iter(v))[0] * x


def read_only_dict(x, y):
    d = {"a": [1.0]}
    p = types.MappingProxyType(d)
    del d
    if x > 0:
        p["a"][0] = 2.0
    return p["a"][0] * x


def methods_of_a_list(x, y):
    items = [1.0]
    s, g = items.__setitem__, items.__getitem__
    del items
    if x > 0:
        s(0, 2.0)
    return g(0) * x


def items_of_a_flat_iterator(x, y):
    a = np.array([1.0, 2.0])
    f = a.flat
    del a
    if x > 0:
        f[0] = 5.0
    return f[0] * x


def object_with_a_read_only_array(x, y):
    o = Fixed()
    if x > 0:
        return x * o.a[1]
    if y > 0:
        return x * 3.0
    return x * y


RIGHT = [values_of_a_dict, read_only_dict, methods_of_a_list, items_of_a_flat_iterator, object_with_a_read_only_array]


@pytest.mark.parametrize("function", RIGHT)
def test_writes_are_merged(function):
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    kernel = nbad.kernel(function)
    np.testing.assert_allclose(kernel(XS, YS), expected, rtol=1e-15)
    np.testing.assert_allclose(nbad.grad(kernel)(XS, YS), expected / XS, rtol=1e-15)  # all are linear in x


def in_both_arms(x, log):
    if x > 0.0:
        return 0.5
    else:
        log[0] += 1.0
        return 0.25


def before_an_error_of_the_others(x, log):
    if x > 0.0:
        log[0] = x
        return 0.5
    raise KeyError


def in_nested_arms(x, log):
    if x > 0.0:
        if x > 1.0:
            log[0] = 2.0
            return x
        return 3.0
    elif x > -1.0:
        log[1] = x
        return log[1]
    else:
        return sum(log)


@pytest.mark.parametrize("returns", [in_both_arms, before_an_error_of_the_others, in_nested_arms])
def test_what_is_written_before_the_returns_of_all_arms_stays_written(returns):
    def f(x):
        log = [1.0, 2.0]
        value = returns(x, log)
        return value, log[0], log[1]

    def expected(x):
        try:
            return f(x)
        except KeyError:
            return (math.nan,) * 3

    xs = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.5])
    np.testing.assert_array_equal(np.transpose(nbad.kernel(f, errors="nan")(xs)), [expected(x) for x in xs.tolist()])
