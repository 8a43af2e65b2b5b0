"""Objects whose state is no item of a container: a change in an arm is seen, or the branch is refused."""

import bz2
import contextvars
import csv
import ctypes
import datetime
import decimal
import functools
import hashlib
import io
import itertools
import logging
import lzma
import mmap
import operator
import os
import queue
import random
import re
import struct
import sys
import threading
import types
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

XS = np.array([-1.7, 0.3])
LOG = logging.getLogger("nbad.tests.level")


class Exact(decimal.Context):
    """A class of the user's on one of C code."""


class Other:
    v = 1.0


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
    __slots__ = iter(("v", "b"))


class Longer(list):
    __slots__ = ("v",)


class Counter:
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.n += 1
        return self.n


def with_v(held):
    held.v = 1.0
    return held


def context_variable():
    variable = contextvars.ContextVar("c")
    variable.set(1.0)
    return variable


def one(*, a=1.0):
    return a


def two(*, a=2.0):
    return a


def function():
    return types.FunctionType(one.__code__, {}, "one", None, None)


def function_with_keyword():
    new = function()
    new.__kwdefaults__ = {"a": 1.0}
    return new


def function_with_default():
    def new(a=1.0):
        return a

    return new


def bound_methods():
    h = hashlib.sha256(b"a")
    return h.update, h.digest


def pointer():
    return ctypes.pointer((ctypes.c_double * 2)(1.0, 2.0))


def wait(semaphore):
    semaphore.acquire()


# what makes an object, what changes it, and what tells that it was changed
CHANGED = {
    "positional defaults": (function_with_default, lambda f: setattr(f, "__defaults__", (2.0,)), lambda f: f()),
    "keyword defaults": (function_with_keyword, lambda f: setattr(f, "__kwdefaults__", {"a": 2.0}), lambda f: f()),
    "a keyword default": (function_with_keyword, lambda f: f.__kwdefaults__.update(a=2.0), lambda f: f()),
    "code": (function_with_default, lambda f: setattr(f, "__code__", (lambda a: 2.0 * a).__code__), lambda f: f()),
    "attributes": (function, lambda f: setattr(f, "__dict__", {"v": 1.0}), lambda f: len(vars(f))),
    "a context of decimals": (lambda: decimal.Context(prec=5), lambda c: setattr(c, "prec", 7), lambda c: c.prec),
    "a subclass of C code": (lambda: Exact(prec=5), lambda c: setattr(c, "prec", 7), lambda c: c.prec),
    "an event": (threading.Event, lambda e: e.set(), lambda e: e.is_set()),
    "a condition": (threading.Condition, lambda c: c.acquire(), lambda c: c._is_owned()),
    "a lock": (threading.Lock, lambda e: e.acquire(), lambda e: e.locked()),
    "a recursive lock": (threading.RLock, lambda e: e.acquire(), lambda e: "count=1" in repr(e)),
    "a semaphore": (threading.Semaphore, wait, lambda e: e._value),
    "a simple queue": (queue.SimpleQueue, lambda q: q.put(1.0), lambda q: q.qsize()),
    "a queue": (queue.Queue, lambda q: q.put(1.0), lambda q: q.qsize()),
    "a hash": (lambda: hashlib.sha256(b"a"), lambda h: h.update(b"b"), lambda h: h.digest()[0]),
    "a hash in a list": (lambda: [hashlib.blake2b(b"a")], lambda h: h[0].update(b"b"), lambda h: h[0].digest()[0]),
    "methods of a hash": (bound_methods, lambda m: m[0](b"b"), lambda m: m[1]()[0]),
    "zlib": (zlib.compressobj, lambda c: c.compress(b"abcdef"), lambda c: len(c.flush())),
    "bz2": (bz2.BZ2Compressor, lambda c: c.compress(b"abcdef"), lambda c: len(c.flush())),
    "lzma": (lzma.LZMACompressor, lambda c: c.compress(b"abcdef"), lambda c: len(c.flush())),
    "a polynomial": (lambda: np.poly1d([1.0, 2.0]), lambda p: p.__setitem__(0, 5.0), lambda p: p(0.0)),
    "coefficients": (
        lambda: np.polynomial.Polynomial([1.0]), lambda p: setattr(p, "coef", np.array([2.0])), lambda p: p(0.0)
    ),
    "flags of an array": (lambda: np.zeros(2), lambda a: setattr(a.flags, "writeable", False), lambda a: a.flags.writeable),
    "flags of integers": (lambda: np.zeros(2, int), lambda a: a.setflags(write=False), lambda a: a.flags.writeable),
    "a record": (lambda: np.zeros(1, "f8,f8")[0], lambda a: a.__setitem__("f0", 2.0), lambda a: a["f0"]),
    "a mask": (lambda: np.ma.array([1.0, 2.0]), lambda a: setattr(a, "mask", True), lambda a: a.count()),
    "names of fields": (
        lambda: np.dtype([("a", float)]), lambda d: setattr(d, "names", ("b",)), lambda d: d.names == ("a",)
    ),
    "a generator of numbers": (lambda: np.random.Generator(np.random.PCG64(1)), lambda r: r.random(), lambda r: r.random()),
    "a cell": (lambda: types.CellType(1.0), lambda c: setattr(c, "cell_contents", 2.0), lambda c: c.cell_contents),
    "a partial": (
        lambda: functools.partial(max, 1.0), lambda p: p.__setstate__((max, (2.0,), {}, {})), lambda p: p(0.0)
    ),
    "arguments of an error": (lambda: ValueError(1.0), lambda e: setattr(e, "args", (2.0,)), lambda e: e.args[0]),
    "a cause of an error": (
        lambda: ValueError(1.0), lambda e: setattr(e, "__cause__", KeyError()), lambda e: e.__cause__ is None
    ),
    "bases": (
        lambda: type("Local", (type("Base", (), {}),), {}), lambda c: setattr(c, "__bases__", (Other,)), lambda c: hasattr(c, "v")
    ),
    "a file": (lambda: io.BufferedReader(io.BytesIO(b"abc")), lambda f: f.read(1), lambda f: len(f.read())),
    "text of a file": (lambda: io.TextIOWrapper(io.BytesIO(b"abc")), lambda f: f.read(1), lambda f: len(f.read())),
    "a list in a slice": (lambda: slice([1.0]), lambda s: s.stop.append(2.0), lambda s: len(s.stop)),
    "a code of an error": (lambda: OSError(1, "a"), lambda e: setattr(e, "errno", 2), lambda e: e.errno),
    "mapped memory": (lambda: mmap.mmap(-1, 8), lambda m: m.__setitem__(0, 5), lambda m: m[0]),
    "an element": (lambda: ElementTree.Element("a"), lambda e: setattr(e, "text", "b"), lambda e: e.text is None),
    "what a pointer points to": (pointer, lambda p: p.contents.__setitem__(0, 7.0), lambda p: p.contents[0]),
    "a level": (lambda: LOG.setLevel(10) or LOG, lambda log: log.setLevel(20), lambda log: log.level),
    "numpy's errors": (
        lambda: np.seterr(divide="ignore"), lambda _: np.seterr(divide="raise"), lambda _: len(np.geterr()["divide"])
    ),
    "numpy's digits": (
        lambda: np.set_printoptions(precision=8), lambda _: np.set_printoptions(precision=4),
        lambda _: np.get_printoptions()["precision"],
    ),
    "decimal's digits": (
        lambda: setattr(decimal.getcontext(), "prec", 28), lambda _: setattr(decimal.getcontext(), "prec", 7),
        lambda _: decimal.getcontext().prec,
    ),
    "decimal's context": (
        lambda: setattr(decimal.getcontext(), "prec", 28), lambda _: decimal.setcontext(decimal.Context(prec=7)),
        lambda _: decimal.getcontext().prec,
    ),
    "logging at all": (lambda: logging.disable(0), lambda _: logging.disable(50), lambda _: logging.root.manager.disable),
    "depth of recursion": (
        lambda: sys.setrecursionlimit(1000), lambda _: sys.setrecursionlimit(1001), lambda _: sys.getrecursionlimit()
    ),
    "the environment": (
        lambda: os.environ.update(NBAD_TEST="1") or os.environ, lambda held: held.update(NBAD_TEST="2"),
        lambda held: float(held["NBAD_TEST"]),
    ),
    "slots of a list": (lambda: with_v(Longer([1.0])), lambda o: setattr(o, "v", 2.0), lambda o: o.v),
    "data of a thread": (lambda: with_v(threading.local()), lambda o: setattr(o, "v", 2.0), lambda o: o.v),
    "a flat iterator": (lambda: np.array([1.0, 2.0]).flat, lambda it: next(it), lambda it: next(it)),
    "an enumeration": (lambda: np.ndenumerate(np.array([1.0, 2.0])), lambda it: next(it), lambda it: next(it)[1]),
    "pairs": (lambda: itertools.pairwise([1.0, 2.0, 3.0]), lambda it: next(it), lambda it: next(it)[0]),
    "matches": (lambda: re.finditer("a", "a a a"), lambda it: next(it), lambda it: next(it).start()),
    "a context variable": (context_variable, lambda c: c.set(2.0), lambda c: c.get()),
    "text in memory": (io.StringIO, lambda s: s.write("abc"), lambda s: len(s.getvalue())),
    "bytes in memory": (io.BytesIO, lambda s: s.write(b"abc"), lambda s: s.tell()),
    "random numbers": (lambda: random.Random(3), lambda r: r.random(), lambda r: r.random()),
    "random numbers of numpy": (lambda: np.random.RandomState(3), lambda r: r.rand(), lambda r: r.rand()),
    "a number of C": (lambda: ctypes.c_double(1.0), lambda c: setattr(c, "value", 5.0), lambda c: c.value),
    "an array of C": (lambda: (ctypes.c_double * 2)(), lambda c: c.__setitem__(0, 5.0), lambda c: c[0]),
    "a context": (contextvars.copy_context, lambda c: c.run(NUMBER.set, 2.0), lambda c: len(c)),
}  # fmt: skip
NUMBER = contextvars.ContextVar("number")
MERGED = {
    "private slots": (lambda: Private(1.0), lambda o: o.set(2.0), lambda o: o.get()),
    "inherited slots": (lambda: with_v(Inherited()), lambda o: setattr(o, "v", 2.0), lambda o: o.v),
    "slots from an iterator": (lambda: with_v(Several()), lambda o: setattr(o, "v", 2.0), lambda o: o.v),
    "an iterator with slots": (Counter, lambda it: next(it), lambda it: next(it)),
}


@pytest.fixture(autouse=True)
def settings():
    """What the cases set is set back."""
    limit, context = sys.getrecursionlimit(), decimal.getcontext().copy()
    with np.errstate(), np.printoptions():
        yield
    sys.setrecursionlimit(limit)
    decimal.setcontext(context)
    logging.disable(0)
    os.environ.pop("NBAD_TEST", None)


def changing(make, change, tell):
    """A function that makes a thing, changes it in an arm, and tells what it is then."""

    def kernel(x):
        held = make()
        if x > 0:
            change(held)
        return tell(held) * x

    return kernel


@pytest.mark.parametrize("case", CHANGED)
def test_a_change_in_an_arm_is_refused(case):
    kernel = changing(*CHANGED[case])
    assert kernel(-1.0) != -kernel(1.0)  # it matters
    with pytest.raises(TraceError, match=r"(?s)changes .*in a branch on a traced value:.*test_unread_state\.py.*fix: "):
        nbad.kernel(kernel)(XS)


@pytest.mark.parametrize("case", [name for name in CHANGED if name not in ("zlib", "bz2", "lzma")])
def test_what_no_arm_changes_is_let_pass(case):
    make, _, tell = CHANGED[case]

    def kernel(x, held):
        if x > 0:
            return x * held
        return x + held

    def whole(x):
        held = make()
        return kernel(x, float(tell(held)))

    expected = [whole(x) for x in XS.tolist()]
    np.testing.assert_allclose(nbad.kernel(whole)(XS), expected, rtol=1e-15)


@pytest.mark.parametrize("case", MERGED)
def test_what_an_arm_writes_to_slots_is_merged(case):
    kernel = changing(*MERGED[case])
    np.testing.assert_array_equal(nbad.kernel(kernel)(XS), [kernel(x) for x in XS.tolist()])


def released():
    view = memoryview(b"abc")
    view.release()
    return view


WITHIN_REACH = {
    "a match": lambda: re.match("a", "a"), "a struct": lambda: struct.Struct("d"), "a getter": lambda: operator.itemgetter(1),
    "a date": lambda: datetime.datetime(2020, 1, 1), "a decimal": lambda: decimal.Decimal("0.1"), "a mock": mock.MagicMock,
    "a released view": released, "an error": lambda: OSError(70000, "a"), "a reader": lambda: csv.DictReader(["a"]),
    "places": lambda: np.ndindex(2), "a state of numbers": lambda: np.random.RandomState(1), "a callback": lambda: CALLBACK,
    "a pool": lambda: ThreadPoolExecutor(1), "an element": lambda: ElementTree.Element("a"), "a path": lambda: Path("a"),
    "a pattern": lambda: re.compile("a"), "a polynomial": lambda: np.poly1d([1.0]), "a dtype": lambda: np.dtype("f8,f8"),
    "a cached function": lambda: functools.cache(len), "a generic type": lambda: list[int], "a thread": threading.Thread,
}  # fmt: skip
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)


@pytest.mark.parametrize("name", WITHIN_REACH)
def test_what_is_within_reach_of_a_branch_may_stay_what_it_is(name):
    outer = WITHIN_REACH[name]()

    def helper(x, held):
        if x > 0:
            return 2.0 * x
        del held
        return 3.0 * x

    def kernel(x):
        held = [outer]
        if x > 1:
            x = x + 1.0
        return helper(x, held)

    np.testing.assert_allclose(nbad.kernel(kernel)(XS), [kernel(x) for x in XS.tolist()], rtol=1e-15)


def level(x):
    log = logging.getLogger("nbad.tests.level")
    log.setLevel(10)
    if x > 0:
        log.info("positive")
        return x * log.level
    return x


def restored(x):
    if x > 0:
        with np.errstate(divide="ignore"), decimal.localcontext() as context:
            context.prec = 5
            y = x * float(decimal.Decimal(1) / decimal.Decimal(3))
    else:
        y = x
    return y


def locked(x):
    lock = threading.Lock()
    if x > 0:
        with lock:
            y = 2.0 * x
    else:
        y = x
    return y


def made_in_the_arm(x):
    if x > 0:
        digest = hashlib.sha256(b"a")
        digest.update(b"b")
        y = x * digest.digest()[0]
        del digest
    else:
        y = x
    return y


def taken_before(x):
    packer = zlib.compressobj()
    n = len(packer.compress(b"abc") + packer.flush())
    del packer
    return n * x if x > 0 else x


@pytest.mark.parametrize("function", [level, restored, locked, made_in_the_arm, taken_before])
def test_what_leaves_no_trace_is_right(function):
    expected = [function(x) for x in XS.tolist()]
    np.testing.assert_allclose(nbad.kernel(function)(XS), expected, rtol=1e-15)


def test_what_nobody_can_read_is_named():
    def kernel(x):
        packer = zlib.compressobj()
        return packer.flush()[0] * x if x > 0 else x

    with pytest.raises(TraceError, match=r"(?s)perhaps changes the object `packer`, which nobody can read, .*fix: value = "):
        nbad.kernel(kernel)(XS)
