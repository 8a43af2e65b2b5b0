"""Writes in a branch that reach a container by a way of their own: each is merged or refused, none passes unseen.

Those to what is no container are in `test_unread_state`.
"""

import contextvars
import dataclasses
import functools
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


LOG = [0.0]
SET_LOG = functools.partial(LOG.__setitem__, 0)


class Settings:
    v = 0.0


class Noted:
    def __init__(self, value=2.0):
        note(value)

    @staticmethod
    def noted():
        note(2.0)


@dataclasses.dataclass
class NotedData:
    value: float = 2.0

    def __post_init__(self):
        note(self.value)


def note(value):
    LOG[0] = value


def noted():
    return LOG[0]


def set_attribute(value):
    Settings.v = value


def call_a_partial():
    SET_LOG(2.0)


def set_default(value, box=[0.0]):  # noqa: B006
    box[0] += value
    return box[0]


def set_global(value):
    global NUMBER
    NUMBER = value


def number():
    return NUMBER


def variable():
    value = 0.0

    def set_it(new):
        nonlocal value
        value = new

    return set_it, lambda: value


def averaging(weight):
    state = [0.0, 0]

    def average(x=1.0):
        state[0] += weight * (x - state[0])
        state[1] += 1
        return state[0] / state[1]

    return average


SET_CLOSED, CLOSED = variable()
AVERAGE = averaging(0.5)


def by_a_function(x, y):
    note(0.0)
    if x > 0:
        note(2.0)
    return x * noted()


def by_one_that_it_calls(x, y):
    note(0.0)
    if x > 0:
        call_a_partial()
    return x * noted()


def by_a_class(x, y):
    note(0.0)
    if x > 0:
        Noted()
    return x * noted()


def by_a_static_method(x, y):
    note(0.0)
    if x > 0:
        Noted.noted()
    return x * noted()


def by_a_dataclass(x, y):
    note(0.0)
    if x > 0:
        NotedData()
    return x * noted()


def by_a_mapped_function(x, y):
    note(0.0)
    if x > 0:
        list(map(note, [1.0, 2.0]))
    return x * noted()


def by_an_operand(x, y):
    note(0.0)
    x > 0 and note(2.0)
    return x * noted()


def by_a_handler(x, y):
    note(0.0)
    try:
        if x > 0:
            raise ValueError
    except ValueError:
        note(2.0)
    return x * noted()


def into_a_class(x, y):
    set_attribute(0.0)
    if x > 0:
        set_attribute(2.0)
    return x * read_attribute()


def read_attribute():
    return Settings.v


def into_a_default(x, y):
    before = set_default(0.0)
    if x > 0:
        set_default(1.0)
    return x * (set_default(0.0) - before)


BY_CALLS = [
    by_a_function, by_one_that_it_calls, by_a_class, by_a_static_method, by_a_dataclass, by_a_mapped_function, by_an_operand,
    by_a_handler, into_a_class, into_a_default,
]  # fmt: skip
REFUSED = [weak_reference, context_variable, data_of_a_thread, outer_text, list_in_an_outer_tuple, *BY_CALLS]


@pytest.mark.parametrize("function", REFUSED)
def test_writes_are_refused(function):
    with pytest.raises(TraceError, match=r"(?s)changes .* in a branch on a traced value:.*test_hidden_writes\.py.*fix: "):
        nbad.kernel(function)(XS, YS)


def before_a_call(x):
    if x > 0:
        return 1.0
    note(2.0)
    return 0.0


def by_a_function_behind_a_return(x, y):
    note(0.0)
    before_a_call(x)
    return x * noted()


def by_a_function_of_a_loop(x, y):
    note(0.0)
    k = 0
    while k < x:
        k += 1
        note(2.0)
    return x * noted()


def into_a_variable_of_the_module(x, y):
    set_global(0.0)
    if x > 0:
        set_global(2.0)
    return x * number()


def into_a_closed_variable(x, y):
    SET_CLOSED(0.0)
    if x > 0:
        SET_CLOSED(2.0)
    return x * CLOSED()


def into_what_a_closure_of_the_module_holds(x, y):
    average = averaging(0.5)
    average(1.0)
    if x > 0:
        AVERAGE(x)
    return average(x)


def setting():
    held = [LOG]

    def set_it(x):
        held[0][0] = x

    return set_it


def into_what_a_closure_took_from_outside(x, y):
    set_it = setting()
    set_it(1.0)
    if x > 0:
        set_it(x)
    return x


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (into_what_a_closure_took_from_outside, "changes `LOG`, from outside the kernel, in a branch on a traced value"),
        (into_a_closed_variable, "calls a function that sets an outer variable, in a branch on a traced value"),
        (into_what_a_closure_of_the_module_holds, "changes `state`, from outside the kernel, in a branch on a traced value"),
        (by_a_function_behind_a_return, "returns on a traced value, and changes what outlives the call after it"),
        (by_a_function_of_a_loop, "changes `LOG`, from outside the kernel, in a loop on a traced value"),
        (into_a_variable_of_the_module, "calls a function that sets an outer variable, in a branch on a traced value"),
    ],
)
def test_writes_of_calls_without_traced_values_are_refused(function, what):
    with pytest.raises(TraceError, match=f"(?s){what}.*fix: "):
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


def closure_that_a_function_makes(x, y):
    average, total = averaging(0.5), averaging(2.0)
    total()
    for k in range(5):
        if average(x * k) > 0.1:
            total(3.0)
    return x * total()


class Meter:
    def __init__(self):
        self.total = 0.0

    def add(self, x):
        self.total += x
        return self.total


def metering():
    meter = Meter()
    return lambda x: meter.add(x)


def object_that_a_closure_holds(x, y):
    add = metering()
    add(x)
    if x > 0:
        add(x)
    return add(0.0)


def object_with_a_read_only_array(x, y):
    o = Fixed()
    if x > 0:
        return x * o.a[1]
    if y > 0:
        return x * 3.0
    return x * y


RIGHT = [
    values_of_a_dict,
    read_only_dict,
    methods_of_a_list,
    items_of_a_flat_iterator,
    closure_that_a_function_makes,
    object_with_a_read_only_array,
]


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
