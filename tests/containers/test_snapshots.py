"""What branches see of objects that Python lets code change: every kind is merged or refused, none passes unseen."""

import argparse
import collections
import logging
import types
from typing import ClassVar

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

XS, YS = np.array([-1.7, 0.3]), np.array([0.7, 1.9])
Pair = collections.namedtuple("Pair", "a b")


class Tagged(list):
    """A list with attributes."""


class Named(dict):
    """A dict with attributes."""


class Settings:
    table: ClassVar = [1.0, 2.0]


def list_in_a_named_tuple(x, y):
    pair = Pair([x, y], y)
    if x > 0:
        pair.a[0] = y
    return pair.a[0] * pair.b


def named_tuple_that_is_returned(x, y):
    def helper(pair):
        if x > 0:
            pair.a[0] = y
            return pair
        return Pair([y, y], 2.0)

    pair = Pair([x, y], y)
    return helper(pair).b + pair.a[0]


def list_in_a_namespace(x, y):
    space = types.SimpleNamespace(v=[x])
    if x > 0:
        space.v[0] = y
    return space.v[0] * x


def wrapped_list(x, y):
    values = collections.UserList([x, y])
    if x > 0:
        values[0] = y
    return values[0] * x


def list_of_a_list(x, y):
    values = Tagged([x])
    values.tag = [x]
    if x > 0:
        values.tag[0] = y
    return values.tag[0] * x


def list_of_a_class(x, y):
    class Local:
        v: ClassVar = [0.0]

        @classmethod
        def put(cls, value):
            cls.v[0] = value

    if x > 0:
        Local.put(y)
    return Local().v[0] * x


def list_of_a_function(x, y):
    def helper():
        return helper.v[0]

    helper.v = [x]
    if x > 0:
        helper.v[0] = y
    return helper() * x


def dict_that_a_later_deque_holds_too(x, y):
    d = {"a": x}
    q = collections.deque([d])
    if x > 0:
        d["a"] = y
    return q[0]["a"] * len(q)


def dict_by_a_short_way_through_a_deque_and_a_long_one(x, y):
    q, items = collections.deque([{"a": x}]), [[]]
    items[0].append(q[0])
    if x > 0:
        items[0][0]["a"] = y
    return q[0]["a"] * len(q)


@pytest.mark.parametrize("function", [
    list_in_a_named_tuple, named_tuple_that_is_returned, list_in_a_namespace, wrapped_list, list_of_a_list, list_of_a_class,
    list_of_a_function, dict_that_a_later_deque_holds_too,
    dict_by_a_short_way_through_a_deque_and_a_long_one,
])  # fmt: skip
def test_items_of_lists_are_merged_wherever_the_list_is_held(function):
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(function)(XS, YS), expected, rtol=1e-15)


def attribute_of_a_namespace(x, y):
    space = types.SimpleNamespace(v=x)
    if x > 0:
        space.v = y
    return space.v


def attribute_of_parsed_options(x, y):
    options = argparse.Namespace(v=x)
    if x > 0:
        options.v = y
    return options.v


def attribute_of_a_dict(x, y):
    values = Named(a=x)
    values.tag = x
    if x > 0:
        values.tag = y
    return values.tag


def attribute_of_a_class(x, y):
    class Local:
        v = 0.0

    if x > 0:
        Local.v = y
    return Local.v


def attribute_of_a_function(x, y):
    def helper():
        return helper.v

    helper.v = x
    if x > 0:
        helper.v = y
    return helper()


def wrapped_dict(x, y):
    values = collections.UserDict(a=x)
    if x > 0:
        values["a"] = y
    return values["a"]


def bytes_in_a_view(x, y):
    view = memoryview(bytearray(b"ab"))
    if x > 0:
        view[0] = 5
    return view[0] * x


@pytest.mark.parametrize(("function", "what"), [
    (attribute_of_a_namespace, "the object `space`"), (attribute_of_parsed_options, "the object `options`"),
    (attribute_of_a_dict, "the dict `values`"), (attribute_of_a_class, "the class `Local`"),
    (attribute_of_a_function, "the dict `helper`"), (wrapped_dict, "the dict `values`"), (bytes_in_a_view, "the array `view`"),
])  # fmt: skip
def test_other_changes_in_a_branch_are_refused(function, what):
    with pytest.raises(TraceError, match=rf"(?s)changes {what} in a branch on a traced value:.*test_snapshots\.py.*fix: "):
        nbad.kernel(function)(XS, YS)


def test_a_class_from_outside_the_kernel():
    def kernel(x, y):
        if x > 0:
            Settings.table[0] = y
        return Settings.table[0] * x

    with pytest.raises(TraceError, match=r"(?s)changes `Settings`, from outside the kernel, in a branch on a traced value"):
        nbad.kernel(kernel)(XS, YS)
    assert Settings.table == [1.0, 2.0]


def test_objects_with_tuples_may_outlive_a_return():
    class Local:
        names = ("a", "b")

        def __init__(self, value):
            self.pair = (value, 1.0)

    def kernel(x, y):
        def helper(held):
            if x > 0:
                return held.pair[0] * y
            return held.pair[1] * x

        return helper(Local(y)) + helper(Pair((x, y), x).a and Local(x))

    expected = [kernel(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(kernel)(XS, YS), expected, rtol=1e-15)


def test_a_logger_may_be_used_in_a_branch():
    log = logging.getLogger("nbad.tests.heap")

    def kernel(x, y):
        if x > 0:
            log.debug("positive")
            return y
        return x

    assert nbad.kernel(kernel)(XS, YS).tolist() == [-1.7, 1.9]


def test_outer_objects_that_are_met_after_a_return():
    outer = [1.0, 2.0]

    def helper(x):
        return outer[0] * x

    def kernel(x, y):
        if x > 0:
            return y
        z = helper(x)
        if y > 1:
            return z
        return z * y

    expected = [kernel(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(kernel)(XS, YS), expected, rtol=1e-15)


def test_objects_that_answer_in_ways_of_their_own():
    """As tables of other libraries do."""

    class Index:
        def __init__(self):
            self.names, self.cache = np.array(["a", "b"], object), {}

        __hash__ = None

        def __eq__(self, other):
            return np.array([True, False])

    class Table:
        __slots__ = ("__weakref__", "columns", "index")

        def __init__(self):
            self.columns, self.index = [np.array([1.0, 2.0]), np.array([1, 2])], Index()

        def __getattr__(self, name):
            raise RuntimeError(name)

        def __bool__(self):
            raise ValueError("which one?")

        def __eq__(self, other):
            return np.array([True, False])

        __hash__ = None

    def kernel(x, y):
        table = Table()
        if x > 0:
            return x * table.columns[0][1]
        if y > 0:
            return y
        return x * y

    np.testing.assert_array_equal(nbad.kernel(kernel)(XS, YS), [0.7, 0.6])


def test_a_class_whose_module_is_no_text():
    class Odd:
        __module__ = property(lambda self: "odd")

    def kernel(x):
        odd = Odd()
        if x > 0:
            x = 2 * x
        return x if odd is not None else 0.0

    assert [nbad.kernel(kernel)(x) for x in (-1.0, 3.0)] == [-1.0, 6.0]
