"""Objects of the user's classes, and dicts, that branches and loops on traced values write to: as in plain Python."""

import copy
import dataclasses
import functools
import math

import numpy as np
import pytest
from helpers.duals import value_and_partials

import nbad
from nbad.errors import TraceError

XS = [0.3, -1.0, 2.0, 0.0, 0.7]


class Controller:
    def __init__(self, gain, rate, limit=None):
        self.gain, self.rate, self.limit = gain, rate, limit
        self.integral = 0.0
        self.steps = 0

    def step(self, error, dt):
        self.integral += error * dt
        u = self.gain * error + self.rate * self.integral
        self.steps += 1
        if abs(u) > self.limit:
            self.integral -= error * dt
            u = math.copysign(self.limit, u)
        return u


@dataclasses.dataclass(slots=True)
class Slots:
    x: float
    hits: float = 0.0
    names: tuple = ()


SHARED = Slots(1.0)
HELD = {"s": Slots(1.0)}


class Namesake(Slots):
    __slots__ = ("x",)
    __init__ = object.__init__


Namesake.__name__ = "Slots"


class Signed:
    def __init__(self, x):
        if x > 0:
            self.x = x
            self.sign = 1
        else:
            self.x, self.sign = -x, -1


def controlled(x, steps=8):
    controller, s, total = Controller(x, 0.5, 1.0), 0.0, 0.0
    for _ in range(steps):
        u = controller.step(1.0 - s, 0.1)
        s += 0.3 * u
        total += s * controller.steps
    return total + controller.integral


def controlled_for_long(x):
    return controlled(x, 300)


def slots(x):
    s = Slots(x)
    for k in range(5):
        if s.x > k * 0.3:
            s.x -= 0.2
            s.hits += 1
        else:
            s.x *= 1.1
    return s.x + s.hits


def slots_in_a_loop_on_data(x):
    s = Slots(abs(x) + 1)
    while s.x > 0.1:
        s.x *= 0.7
        s.hits += 1
        if s.hits > 7:
            break
    return s.x + s.hits


def attributes_that_both_arms_make(x):
    s = Signed(x)
    return s.x * 2 + s.sign


def keys_that_both_arms_make(x):
    table = {"a": x, "b": 1.0}
    for k in range(3):
        if x > k:
            table[k] = x * k
            del table["b"]
            table["b"] = table[k]
        elif x < -k:
            table[k], table["b"] = 2.0, table.pop("b") + k
        else:
            table[k], table["b"] = x, table.pop("b") - 1.0
    return table[0] + 3 * table[2] + 5 * table["b"] + 7 * len(table)


def a_dict(x):
    table = {"a": x, "b": 0.0}
    if x > 0:
        table["b"] += x * x
    else:
        table["a"] = 2.0
    return table["a"] + 3 * table["b"]


def a_dict_in_a_loop_on_data(x):
    table = {"x": abs(x) + 1, "n": 0}
    while table["x"] > 0.1:
        table["x"] *= 0.5
        table["n"] += 1
    return table["x"] + table["n"]


def a_dict_with_numbers_as_keys(x):
    table = {"x": x, 1: 0, 0: 1.0}
    for _ in range(200):
        if table["x"] > 1:
            table["x"] = table["x"] * 0.5
            table[0] += table["x"]
        else:
            table["x"] += 0.3
        table[1] += 1
    return table["x"] + table[1] + table[0]


def early_returns(x):
    table, s = {"x": x}, Slots(x)

    def helper():
        if x > 0:
            table["x"] = 5.0
            s.hits = 2.0
            return 1.0
        table["x"] = 7.0 * x
        s.x = 3.0
        return 2.0

    return helper() + table["x"] + s.x + s.hits


def two_names(x):
    s = Slots(x)
    other, both = s, [s, Slots(1.0)]
    if x > 0:
        other.x = 3 * x
    both[0].hits += 1
    return s.x + both[0].hits + both[1].x


def swapped(x):
    s, t = Slots(x), Slots(1.0)
    if x > 0:
        s.x, t.x = t.x, s.x
    return s.x - 2 * t.x


def none_at_first(x):
    s, total = Slots(x), 0.0
    s.hits = None
    for v in (x, 2 * x, 0.3):
        if v > 0:
            if s.hits is not None:
                total += v - s.hits
            s.hits = v
    return total


def settings_stay_plain(x):
    settings = {"order": 3, "names": ("a", "b")}
    total = 0.0
    while x < 10:
        x = 2 * x + 1.5
        for k in range(settings["order"]):
            total += k * len(settings["names"])
    return total + x


def slots_of_classes_of_one_name(x):
    s = Namesake()
    s.x = x
    Slots.x.__set__(s, 1.0)
    if x > 0:
        s.x = 5.0
    else:
        Slots.x.__set__(s, 7.0)
    return s.x + 10 * Slots.x.__get__(s)


def chosen_and_read(x):
    s, t = {"x": x, "y": 1.0}, {"x": 2.0, "y": x}
    u = s if x > 0 else t
    return u["x"] * s["y"] + u["y"]


KERNELS = [
    controlled, controlled_for_long, slots, slots_in_a_loop_on_data, attributes_that_both_arms_make,
    keys_that_both_arms_make, a_dict,
    a_dict_in_a_loop_on_data, a_dict_with_numbers_as_keys, early_returns, two_names, swapped, none_at_first,
    settings_stay_plain, slots_of_classes_of_one_name, chosen_and_read,
]  # fmt: skip


@pytest.mark.parametrize("function", KERNELS)
def test_as_in_plain_python(function):
    np.testing.assert_array_equal(nbad.kernel(function, math="libm")(XS), [function(x) for x in XS])


@pytest.mark.parametrize(
    "function", [slots, a_dict_with_numbers_as_keys, early_returns, attributes_that_both_arms_make, keys_that_both_arms_make]
)
def test_derivatives(function):
    slopes = [value_and_partials(function, x)[1][0] for x in XS]
    np.testing.assert_allclose(nbad.jacobian(nbad.kernel(function))(XS)[:, 0], slopes, rtol=1e-13)


def one_arm_makes_an_attribute(x):
    s = Signed(x)
    if x > 0:
        s.other = x
    return s.x


def one_arm_makes_a_key(x):
    table = {"x": x}
    if x > 0:
        table["y"] = x
    return table["x"]


def an_equal_key(x):
    table = {1: x}
    if x > 0:
        del table[1]
        table[True] = x
    return table[1] + (list(table).pop() is True)


def dicts_with_equal_keys(x):
    table = {0.0: x} if x > 0 else {-0.0: x}
    return math.copysign(1.0, list(table).pop())


def a_loop_makes_a_key(x):
    table = {}
    while x < 10:
        table["y"] = x
        x += 1
    return table["y"]


def a_loop_makes_an_attribute(x):
    s = Slots(x)
    del s.hits
    while x < 10:
        s.hits = x
        x += 1
    return s.hits


class Meter:
    """It counts how often it is read, in three ways."""

    def __init__(self, x):
        self.x, self.reads = x, 0

    @property
    def v(self):
        self.reads += 1
        return self.x

    def __neg__(self):
        self.reads += 10
        return -self.x

    def __add__(self, other):
        self.reads += 100
        return self.x + other


def asked_between_two(x):
    m = Meter(x)
    is_inside = [-1 < m.v < 1.5, -1.5 < -m <= 1, 0 != m + 1.0 < 2 < 3]
    return m.reads + sum(is_inside)


def a_copy_of_an_outer_object(x):
    s = copy.deepcopy(SHARED)
    if x > 0:
        s.x = x
    return s.x


def writes_an_outer_object_that_a_dict_holds(x):
    s = HELD["s"]
    if x > 0:
        s.x = x
    return s.x


def test_an_outer_object_is_copied_not_written():
    what = r"changes `HELD`, from outside the kernel, in a branch on a traced value[\s\S]*fix: own = copy.deepcopy\(HELD\)"
    with pytest.raises(TraceError, match=what):
        nbad.kernel(writes_an_outer_object_that_a_dict_holds)(1.0)
    np.testing.assert_array_equal(nbad.kernel(a_copy_of_an_outer_object)(np.array(XS)), [0.3, 1.0, 2.0, 1.0, 0.7])
    assert SHARED.x == HELD["s"].x == 1.0


def test_what_stands_between_two_comparisons_is_asked_once():
    np.testing.assert_array_equal(nbad.kernel(asked_between_two)(np.array(XS)), [asked_between_two(x) for x in XS])
    assert asked_between_two(0.0) == 114


def written_under_two_names(x):
    s, t = {"x": x}, {"x": 2.0}
    u = s if x > 0 else t
    u["x"] = 9.0
    return s["x"] + t["x"]


def another_object_in_each_pass(x):
    s = Slots(x)
    if x > -1:
        for _ in range(24):
            m = 0
            while x < 0.7:
                m += 1
                if m > 4:
                    break
                s.x, s.hits = s.hits * 0.5, s.x * 0.5
            s = Slots(x, 1.0)
    return s.x


@functools.cache
def made_once():
    return {"x": 1.0}


def shared():
    return SHARED


def an_object_out_of_a_function(x):
    s = shared()
    if x > 0:
        s.x = x
    return s.x


def a_dict_out_of_a_cache(x):
    table = made_once()
    if x > 0:
        table["x"] = x
    return table["x"]


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (an_object_out_of_a_function, r"changes `.*shared\(\)`, from outside the kernel, in a branch on a traced value"),
        (a_dict_out_of_a_cache, r"changes `.*made_once\(\)`, from outside the kernel, in a branch on a traced value"),
        (another_object_in_each_pass, "uses `s`, which has no single value after a branch on a traced value"),
        (one_arm_makes_an_attribute, "changes which attributes the object `s` has in a branch on a traced value"),
        (one_arm_makes_a_key, "changes which keys the dict `table` has in a branch on a traced value"),
        (a_loop_makes_a_key, "changes which keys the dict `table` has in a loop on a traced value"),
        (a_loop_makes_an_attribute, "changes which attributes the object `s` has in a loop on a traced value"),
        (an_equal_key, "changes which keys the dict `table` has in a branch on a traced value"),
        (dicts_with_equal_keys, r"a dict with the keys \[0.0\] in one branch and \[-0.0\] in the other"),
        (written_under_two_names, "writes to a list or array that has several names, depending on a traced value"),
    ],
)
def test_what_cannot_be_merged(function, what):
    with pytest.raises(TraceError, match=f"(?s){what}.*fix: "):
        nbad.kernel(function)(1.0)
