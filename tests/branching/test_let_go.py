"""What runs where a value is let go of, a `finally` of a generator or a `__del__`, runs when Python runs it, or is refused."""

import math
import weakref

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

XS = np.array([-2.5, -0.0, 0.3, 0.5, 1.0, 1.7])


class Noted:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log[0] += 1.0


def waiting(x, log):
    try:
        yield x
        yield 2 * x
    finally:
        log[0] += 1.0


def made_in_an_arm(x):
    log = [0.0]
    if x > 0.4:
        items = waiting(x, log)
        x = next(items)
    return x + log[0]


def bound_anew_in_an_arm(x):
    log = [0.0]
    held = Noted(log)
    if x > 0.4:
        held = None
    return log[0] if held is None else 2 * log[0]


def deleted_in_both_arms(x):
    log, y = [0.0], 0.0
    held = [Noted(log)]
    if x > 0.4:
        del held
        y = log[0]
    else:
        held = None
    return y


def seen_by_a_weak_reference(x):
    class Value:
        pass

    value = Value()
    seen = weakref.ref(value)
    if x > 0.4:
        value = None
    return 1.0 if seen() is None else 2.0


def made_by_passes_that_are_one(x):
    log = [0.0]
    for _ in range(90):
        items = waiting(x, log)
        x = math.sin(next(items)) + log[0]
    return x + log[0]


def made_in_a_body_that_fails(x):
    log = [0.0]
    try:
        items = waiting(x, log)
        x = next(items) + math.sqrt(x)
    except ValueError:
        items = None
    return x + log[0]


def held_by_a_helper(x):
    log = [0.0]

    def half(v):
        held = Noted(log)
        return 0.5 * v if v > 0.4 else v + 0 * len(held.log)

    y = half(x)
    return y + 10 * log[0]


def passed_to_a_lambda(x):
    log = [0.0]
    half = lambda v, held: 0.5 * v  # noqa: E731
    y = half(x, Noted(log))
    return y + 10 * log[0]


def generator_of_a_helper(x):
    log = [0.0]

    def first(v):
        items = waiting(v, log)
        next(items)
        return next(items)

    y = first(x)
    return y + 10 * log[0]


def seen_by_its_caller(x):
    class Value:
        pass

    def half(v):
        value = Value()
        return weakref.ref(value), (0.5 * v if v > 0.4 else v)

    seen, y = half(x)
    return (1.0 if seen() is None else 2.0) + y


class Slotted:
    __slots__ = ("within",)

    def __init__(self, within):
        self.within = within


def held_by_a_slot(x):
    log = [0.0]
    held = Slotted(Noted(log))
    if x > 0.4:
        held = None
    return log[0] if held is None else 2 * log[0]


@pytest.mark.parametrize(
    "f",
    [
        made_in_an_arm,
        bound_anew_in_an_arm,
        deleted_in_both_arms,
        seen_by_a_weak_reference,
        made_in_a_body_that_fails,
        seen_by_its_caller,
        held_by_a_slot,
        held_by_a_helper,
        passed_to_a_lambda,
        generator_of_a_helper,
    ],
)
def test_what_some_elements_let_go_of_is_refused(f):
    with pytest.raises(TraceError, match=r"(items|held|value)`, .* where it is let go of[\s\S]*fix: \w+\.close\(\)"):
        nbad.kernel(f)(XS)


def ended_in_its_arm(x):
    log = [0.0]
    if x > 0.4:
        items = waiting(x, log)
        x = next(items)
        items.close()
        held = Noted(log)
        held = x
        x += held
    return x + log[0]


def generator_of_the_caller(x):
    log = [0.0]
    items = waiting(x, log)

    def first(values):
        return 0.5 * next(values)

    y = first(items)
    return y + 10 * log[0]


def made_by_a_helper(x):
    log = [0.0]

    def half(v):
        held = Noted(log)
        y = 0.5 * v
        return (held, y) if log[0] == 0.0 else (None, 0.0)

    held, y = half(x)
    y = y + 10 * log[0]
    del held
    return y + log[0]


class Part:
    """A part knows its whole by a weak reference, as those of trees do."""

    def __init__(self, value, whole=None):
        self.value, self.parts, self.whole = value, [], whole and weakref.ref(whole)
        if whole is not None:
            whole.parts.append(self)

    def total(self, factor=1.0):
        value = factor * sum([self.value, *(part.value for part in self.parts)])
        return value if value > 0.4 else 0.5


def tree_of_a_helper(x):
    def total(v):
        root = Part(v if v > 0.4 else 0.5)
        return Part(2 * v, root).whole().value

    return 3 * total(x)


def tree_in_an_object(x):
    def grown(v):
        root = Part(v if v > 0.4 else 0.5)
        return Slotted(Part(2 * v, root)), Slotted(root)

    leaf, root = grown(x)
    return leaf.within.value * root.within.value


def trees_of_passes(x):
    while x > 0.1:
        root = Part(x)
        x = 0.5 * Part(-0.5 * x, root).value + 0.1 * root.value
    return x


SEEN = [Part(0.5)]
PART = Part(2.0, SEEN[0])


def weakly_seen_outside(x):
    return 2 * SEEN[0].total(x)


@pytest.mark.parametrize(
    "f",
    [
        ended_in_its_arm,
        made_by_passes_that_are_one,
        generator_of_the_caller,
        made_by_a_helper,
        tree_of_a_helper,
        tree_in_an_object,
        trees_of_passes,
        weakly_seen_outside,
    ],
)
def test_what_is_let_go_of_for_all_ends_where_python_ends_it(f):
    np.testing.assert_allclose(nbad.kernel(f)(XS), [f(x) for x in XS.tolist()], rtol=1e-14)
