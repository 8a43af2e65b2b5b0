"""Writes in a branch that reach a container by a way of their own: each is merged or refused, none passes unseen."""

import contextvars
import ctypes
import io
import itertools
import math
import random
import re
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


class Private:
    __slots__ = ("__v",)

    def __init__(self, v):
        self.__v = v

    def set(self, v):
        self.__v = v

    def get(self):
        return self.__v


class Base:
    __slots__ = ("v",)


class Inherited(Base):
    __slots__ = ()


class Several:
    __slots__ = iter(("a", "b"))


class Longer(list):
    __slots__ = ("extra",)


class Counter:
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.n += 1
        return self.n


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


def private_slots(x, y):
    o = Private(1.0)
    if x > 0:
        o.set(2.0)
    return o.get() * x


def inherited_slots(x, y):
    o = Inherited()
    o.v = 1.0
    if x > 0:
        o.v = 2.0
    return o.v


def slots_from_an_iterator(x, y):
    o = Several()
    o.a = 1.0
    if x > 0:
        o.a = 2.0
    return o.a


def slots_of_a_list(x, y):
    o = Longer([1.0])
    o.extra = 1.0
    if x > 0:
        o.extra = 2.0
    return o.extra


def iterator_with_slots(x, y):
    it = Counter()
    if x > 0:
        next(it)
    return next(it) * x


def place_of_a_flat_iterator(x, y):
    a = np.array([1.0, 2.0])
    f = a.flat
    if x > 0:
        next(f)
    return next(f) * x


def place_in_an_enumeration(x, y):
    it = np.ndenumerate(np.array([1.0, 2.0]))
    if x > 0:
        next(it)
    return next(it)[1] * x


def place_among_pairs(x, y):
    a = itertools.pairwise([1.0, 2.0, 3.0])
    if x > 0:
        next(a)
    return next(a)[0] * x


def place_among_matches(x, y):
    a = re.finditer("a", "a a a")
    if x > 0:
        next(a)
    return next(a).start() * x


def context_variable(x, y):
    CONTEXT.set(1.0)
    if x > 0:
        CONTEXT.set(2.0)
    return CONTEXT.get() * x


def new_context_variable(x, y):
    c = contextvars.ContextVar("c")
    c.set(1.0)
    if x > 0:
        c.set(2.0)
    return c.get() * x


def data_of_a_thread(x, y):
    THREAD.v = 1.0
    if x > 0:
        THREAD.v = 2.0
    return THREAD.v * x


def new_data_of_a_thread(x, y):
    t = threading.local()
    t.v = 1.0
    if x > 0:
        t.v = 2.0
    return t.v * x


def text_in_memory(x, y):
    s = io.StringIO()
    if x > 0:
        s.write("abc")
    return len(s.getvalue()) * x


def bytes_in_memory(x, y):
    s = io.BytesIO()
    if x > 0:
        s.write(b"abc")
    return s.tell() * x


def random_numbers(x, y):
    r = random.Random(3)
    if x > 0:
        r.random()
    return r.random() * x


def random_numbers_of_numpy(x, y):
    r = np.random.RandomState(3)
    if x > 0:
        r.rand()
    return r.rand() * x


def number_of_c(x, y):
    c = ctypes.c_double(1.0)
    if x > 0:
        c.value = 5.0
    return c.value * x


def array_of_c(x, y):
    c = (ctypes.c_double * 2)()
    if x > 0:
        c[0] = 5.0
    return c[0] * x


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


REFUSED = [
    weak_reference,
    private_slots,
    inherited_slots,
    slots_from_an_iterator,
    slots_of_a_list,
    iterator_with_slots,
    place_of_a_flat_iterator,
    place_in_an_enumeration,
    place_among_pairs,
    place_among_matches,
    context_variable,
    new_context_variable,
    data_of_a_thread,
    new_data_of_a_thread,
    text_in_memory,
    bytes_in_memory,
    random_numbers,
    random_numbers_of_numpy,
    number_of_c,
    array_of_c,
    outer_text,
    list_in_an_outer_tuple,
]


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
