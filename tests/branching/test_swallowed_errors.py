"""Errors that somebody swallows: traced operations raise none, and a branch that one leaves has run one arm only."""

import contextlib
import math
import threading
import types
import warnings

import numpy as np
import pytest
from helpers.tracing import traced

import nbad
from nbad.errors import TraceError

XS, YS = np.array([-1.7, -0.6, 0.3, 0.9]), np.array([0.7, -1.2, 1.9, -0.2])
LOCK = threading.Lock()


class Swallow:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return True


class Watch:
    """Suppresses nothing."""

    def __enter__(self):
        self.runs = True

    def __exit__(self, kind, error, traceback):
        self.runs = False
        if kind is None:
            return None
        return False


@contextlib.contextmanager
def swallow():
    with contextlib.suppress(Exception):
        yield


@contextlib.contextmanager
def handle():
    try:
        yield
    except (ValueError, ZeroDivisionError):
        LOCK.locked()


@contextlib.contextmanager
def translate():
    try:
        yield
    except ValueError as error:
        raise TypeError("no number") from error
    finally:
        LOCK.locked()


@swallow()
def decorated(x):
    return 1 / x


def fails_for_some(x):
    if x > 0:
        return {}["k"]
    return x


def manager_of_a_class(x, y):
    v = 100.0
    with Swallow():
        v = y / x
        v = math.sqrt(v)
    return v


def manager_of_a_generator(x, y):
    v = 100.0
    with handle():
        v = math.sqrt(x)
    return v


def manager_around_a_manager(x, y):
    v = 100.0
    with swallow():
        v = math.sqrt(x)
    return v


def several_managers(x, y):
    v = 100.0
    with np.errstate(all="ignore"), Swallow():
        v = math.sqrt(x)
    return v


def stack_of_managers(x, y):
    v = 100.0
    with contextlib.ExitStack() as stack:
        stack.enter_context(handle())
        v = math.sqrt(x)
    return v


def stack_with_a_function(x, y):
    v = 100.0
    with contextlib.ExitStack() as stack:
        stack.push(lambda *error: True)
        v = math.sqrt(x)
    return v


class Quiet(contextlib.suppress):
    pass


def subclass_of_suppress(x, y):
    v = 5.0
    with Quiet(ZeroDivisionError, ValueError):
        v = math.log(x)
    return v


def end_that_breaks(x, y):
    v = 100.0
    for _ in range(1):
        try:
            v = math.sqrt(x)
        finally:
            break  # noqa: B012
    return v


def decorator(x, y):
    return y if decorated(x) is None else x


ARITHMETIC = [
    manager_of_a_class, manager_of_a_generator, manager_around_a_manager, several_managers, stack_of_managers,
    stack_with_a_function, subclass_of_suppress, end_that_breaks, decorator,
]  # fmt: skip


@pytest.mark.parametrize("function", ARITHMETIC)
def test_errors_of_arithmetic_are_not_swallowed(function):
    with pytest.raises(TraceError, match=r"catches errors of arithmetic on traced values|where `\w+` may catch errors"):
        traced(function, "x y")


def raised_in_a_with(x, y):
    v = 100.0
    with Swallow():
        if x > 0:
            v = 1.0
            {}["k"]
        v = 2.0
    return v * x


def raised_in_an_operand(x, y):
    v = 100.0
    with Swallow():
        v = {}["k"] if x > 0 else 2.0
    return v * x


def raised_in_a_helper(x, y):
    v = 100.0
    with handle(), Swallow():
        v = fails_for_some(x)
    return v


def raised_before_a_break(x, y):
    v = 100.0
    for _ in range(1):
        try:
            if x > 0:
                {}["k"]
            v = 2.0
        finally:
            break  # noqa: B012
    return v


def raised_before_a_lost_attribute(x, y):
    v = 100.0
    with swallow():
        if x > 0:
            v = 1.0
            v = types.SimpleNamespace().z
        v = 2.0
    return v * x


def raised_in_an_arm_of_an_arm(x, y):
    v = 100.0
    if y > 0:
        with Swallow():
            if x > 0:
                {}["k"]
            v = 2.0
    return v * x


LEFT = [
    raised_in_a_with, raised_in_an_operand, raised_in_a_helper, raised_before_a_break, raised_before_a_lost_attribute,
    raised_in_an_arm_of_an_arm,
]  # fmt: skip


@pytest.mark.parametrize("function", LEFT)
def test_branches_that_an_error_left_are_refused(function):
    with pytest.raises(TraceError, match=r"catches an error that left a branch|catches errors of arithmetic on traced values"):
        traced(function, "x y")


def refused_and_swallowed(x, y):
    v = 3.0
    with Swallow():
        v = math.nextafter(x, y)
    return v


def lost_and_swallowed(x, y):
    v = 3.0
    if x > 0:
        u = 1.0
    with swallow():
        v = u
    return v


@pytest.mark.parametrize(("function", "text"), [(refused_and_swallowed, "nextafter"), (lost_and_swallowed, "uses `u`, which")])
def test_refusals_are_not_swallowed(function, text):
    with pytest.raises(TraceError, match=text):
        traced(function, "x y")


def no_arithmetic(x, y):
    v = 100.0
    with swallow():
        v = [x][3]
    with contextlib.suppress(KeyError):
        {}["k"]
    return v * x


def innocent_managers(x, y):
    with np.errstate(all="ignore"), contextlib.nullcontext(), LOCK, warnings.catch_warnings(), Watch(), translate():
        v = x / y
    with contextlib.ExitStack() as stack:
        stack.enter_context(translate())
        stack.enter_context(Watch())
        stack.callback(print, end="")
        v = v * x
    return v


def plain_choices_that_errors_left(x, y):
    def looked_up(d):
        return d["k"] if x is not None else 0.0

    def quiet():
        with Swallow():
            return looked_up({})

    return (x * 2 if quiet() is None else 3.0) if y > 0 else y


SLOPES = {
    no_arithmetic: lambda x, y: 100.0,
    innocent_managers: lambda x, y: 2 * x / y,
    plain_choices_that_errors_left: lambda x, y: 2.0 if y > 0 else 0.0,
}


@pytest.mark.parametrize("function", SLOPES)
def test_what_hides_nothing_is_right(function):
    kernel, points = nbad.kernel(function), list(zip(XS.tolist(), YS.tolist(), strict=True))
    np.testing.assert_allclose(kernel(XS, YS), [function(*point) for point in points], rtol=1e-14)
    np.testing.assert_allclose(nbad.grad(kernel)(XS, YS), [SLOPES[function](*point) for point in points], rtol=1e-14)


def divides_at_the_end(x):
    try:
        try:
            if x > 0:
                raise KeyError
        finally:
            y = 1.0 / (x - 2.0)
    except ZeroDivisionError:
        y = 7.0
    return y


def raises_at_the_end(x):
    y = x
    try:
        try:
            if x > 0:
                raise KeyError
        finally:
            if x > 1:
                raise ValueError
    except ValueError:
        y = 7.0
    return y


@pytest.mark.parametrize("f", [divides_at_the_end, raises_at_the_end])
def test_an_error_in_place_of_another_that_a_finally_raises_and_a_handler_catches(f):
    assert f(2.0) == 7.0
    with pytest.raises(TraceError, match="before a `finally` that may raise another, which a handler catches"):
        nbad.kernel(f)(XS)


def test_errors_in_place_of_others_that_nobody_catches():
    @nbad.kernel(errors="nan")
    def f(x):
        y = x
        try:
            try:
                if x > 0:
                    raise KeyError
            finally:
                if x > 1:
                    raise ValueError
        except OSError:
            return 3.0 * y
        return y + 1.0

    np.testing.assert_array_equal(f(np.array([-1.0, 2.0])), [0.0, math.nan])


def test_what_is_refused_first_is_what_is_told():
    @contextlib.contextmanager
    def halved(box):
        try:
            yield
        finally:
            box[0] = box[0] * 0.5

    def f(x):
        box = [x]
        with halved(box):
            return {x: 1.0}[x]

    with pytest.raises(TraceError, match=r"uses `x` as the key of a dict[\s\S]*return \{x: 1.0\}\[x\]"):
        nbad.kernel(f)(2.0)
