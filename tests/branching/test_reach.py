"""What code that runs as it is in a branch may write to, and what is left alone: objects of libraries, which change when read."""

import collections
import functools
import pathlib
import sqlite3

import numpy as np
import pandas as pd
import pytest

import nbad
from nbad.errors import TraceError

LOG = [0.0]
XS = np.array([-1.5, 0.75])


def note(value):
    LOG[0] = value
    return value


def noted():
    return LOG[0]


class Given:
    def __get__(self, owner, cls):
        return note(2.0)


class Noting:
    given = Given()

    @property
    def read(self):
        return note(2.0)

    @functools.cached_property
    def kept(self):
        return note(2.0)

    def __add__(self, other):
        return note(2.0) + other

    def __len__(self):
        return int(note(2.0))

    def __contains__(self, value):
        return note(2.0) == value


class Meta(type):
    @property
    def read(cls):
        return note(2.0)


class Made(metaclass=Meta):
    pass


class Counts(collections.UserDict):
    def __missing__(self, key):
        return note(2.0)


remembered = functools.lru_cache(maxsize=0)(note)
NOTING, COUNTS = Noting(), Counts()
TEXTS = {
    "a property": lambda: NOTING.read,
    "a cached property": lambda: Noting().kept,
    "a descriptor": lambda: NOTING.given,
    "a descriptor by its class": lambda: Noting.given,
    "a property of a class of classes": lambda: Made.read,
    "an operator": lambda: NOTING + 1.0,
    "a length": lambda: len(NOTING),
    "a container": lambda: 2.0 in NOTING,
    "a missing key": lambda: COUNTS["a"],
    "a cache that a function calls": lambda: call_remembered(),
}


def call_remembered():
    return remembered(2.0)


@pytest.mark.parametrize("name", TEXTS)
def test_writes_of_operators_and_properties_in_branches_are_refused(name):
    def kernel(x):
        note(0.0)
        if x > 0:
            act()
        return x * noted()

    act = TEXTS[name]
    with pytest.raises(TraceError, match="changes `LOG`, from outside the kernel, in a branch"):
        nbad.kernel(kernel)(XS)
    act = noted
    np.testing.assert_array_equal(nbad.kernel(kernel)(XS), XS * 0.0)


TABLE = pd.DataFrame({"a": [1.0, 2.0]}, index=["u", "v"])
BOOKS = {"rates": TABLE["a"], "place": pathlib.PurePath("/a/b")}
RATES = sqlite3.connect(":memory:")
RATES.execute("create table rates as select 2.0 as v")


class Books:
    def __init__(self):
        self.table = TABLE


BOOK = Books()
READING = [
    lambda: TABLE.loc["v", "a"],
    lambda: BOOKS["rates"]["v"] * len(BOOKS["place"].parts),
    lambda: RATES.execute("select v from rates").fetchone()[0],
    lambda: BOOK.table.groupby("a").sum().size + 1.0,
]


@pytest.mark.parametrize("rate", READING)
def test_functions_in_branches_may_read_objects_of_libraries(rate):
    """Such objects keep what they have found; reached are also all of pandas' own variables, in 0.7 s."""

    def kernel(x):
        return x * rate() if x > 0 else x

    np.testing.assert_array_equal(nbad.kernel(kernel)(XS), [kernel(x) for x in XS.tolist()])


MEMORY = {}


def of_memory(n):
    if n not in MEMORY:
        MEMORY[n] = 2.0 * n
    return MEMORY[n]


def test_a_memory_that_fills_in_a_branch_is_refused_with_what_works():
    def kernel(x):
        return x * f(2.0) if x > 0 else x

    def before(x):
        value = f(2.0)
        return x * value if x > 0 else x

    f = of_memory
    with pytest.raises(TraceError, match=r"(?s)changes `MEMORY`.*fix: value = f\(2\.0\)  # before it.*@functools\.cache"):
        nbad.kernel(kernel)(XS)
    assert MEMORY == {}
    np.testing.assert_array_equal(nbad.kernel(before)(XS), [before(x) for x in XS.tolist()])
    MEMORY.clear()
    f = functools.cache(lambda n: 2.0 * n)
    np.testing.assert_array_equal(nbad.kernel(kernel)(XS), [kernel(x) for x in XS.tolist()])
