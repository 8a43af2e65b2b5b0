"""Names of values: those of the variables that held them at the end, wherever values are shown and asked for."""

import functools
import math
import re
import weakref

import numpy as np
import pytest
from helpers.same_bits import bits

import nbad
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace


def names(f, *arguments):
    """By name the value of each named node, for numbers as inputs."""
    graph = (f.whole_program() if isinstance(f, nbad.Kernel) else trace(f, [Argument(name) for name in arguments], {})).graph
    return {name: node.op for node in graph.nodes for name in node.names}


def wave(a, x, t):
    amplitude = a * math.exp(-t)
    phase = angle = math.sin(x)
    both = amplitude * phase * angle
    return both / (1.0 + t)


def test_a_variable_names_what_was_assigned():
    assert names(wave, "a", "x", "t") == {"amplitude": "mul", "phase": "sin", "angle": "sin", "both": "mul"}


def test_the_last_value_has_the_name():
    def f(x):
        y = math.exp(x)
        y = math.sin(y)
        y = y / 2.0
        return y + 1.0

    assert names(f, "x") == {"y": "div"}


def test_arguments_keep_their_names():
    def f(x, y):
        x = x * y
        z = y
        return math.sin(x) * z

    assert names(f, "x", "y") == {"x.1": "mul"}


def test_functions_that_a_kernel_calls():
    def smooth(u):
        e = math.exp(u)
        return e / (1.0 + e)

    def f(x):
        first = smooth(x)
        second = smooth(2.0 * first)
        return first * second

    expected = {"first": "div", "second": "div", "smooth.e": "exp", "smooth.e.1": "exp", "smooth.u": "mul"}
    assert names(f, "x") == expected


def test_kernels_that_a_kernel_calls():
    inner = nbad.kernel(lambda x: 2.0 * x)
    inner_wave = nbad.kernel(wave)

    @nbad.kernel
    def outer(x):
        y = inner_wave(x, x, 1.0)
        return inner(inner_wave(y, x, 2.0))

    found = names(outer)
    assert {"y", "wave.both", "wave.both.1", "wave.amplitude", "wave.amplitude.1"} <= found.keys()
    assert found["y"] == "div"


def test_tuples_arrays_and_lists():
    def f(x, y):
        a, b = x * y, x - y
        r = np.array([a + 1.0, b * 2.0])
        m = [math.sin(r[0]), 3.0, math.cos(r[1])]
        return a * b * m[0] * m[2] + np.dot(r, r)

    assert names(f, "x", "y") == {"a": "mul", "b": "sub", "r[0]": "add", "r[1]": "mul", "m[0]": "sin", "m[2]": "cos"}


def test_branches_and_loops():
    def f(x, y):
        if x > y:
            z = x * y
        else:
            z = x - y
        total = 0.0
        while total < 10.0:
            total = total + z * z + 1.0
        return total

    found = names(f, "x", "y")
    assert (found["z"], found["total"]) == ("select", "loop")


def test_wrappers_generators_methods_and_comprehensions():
    def logged(function):
        @functools.wraps(function)
        def wrapper(*args):
            result = function(*args)
            return result

        return wrapper

    def parts(x):
        half = x / 2.0
        yield half
        yield half * half

    class Model:
        def value(self, x):
            scaled = 3.0 * x
            return scaled + 1.0

    @logged
    def f(x):
        a = sum(parts(x))
        b = Model().value(a)
        c = sum([math.sin(b * k) for k in (1.0, 2.0)])
        return c

    found = names(f, "x")
    assert {"a", "b", "c"} <= found.keys()
    assert {"parts.half", "value.scaled"} <= found.keys()
    assert found["c"] == found["result"] == "add"


@nbad.kernel
def price(s, k, t):
    root = math.sqrt(t)
    d1 = math.log(s / k) / root
    discount = math.exp(-0.02 * t)
    return s * math.erf(d1) - k * discount * math.erf(d1 - root)


XS = np.linspace(90.0, 110.0, 50), 100.0, np.linspace(0.5, 2.0, 50)


def test_residuals_of_these_names_are_kept():
    y, pullback = nbad.vjp(price, *XS, residuals=("d1", "discount", "root"))
    assert {"d1", "discount", "root"} <= set(pullback.residuals.names)
    assert {value.reason for value in pullback.residuals.values if value.name == "d1"} == {"asked for"}
    expected_y, expected = nbad.vjp(price, *XS)
    assert bits(y) == bits(expected_y)
    for found, right in zip(pullback(1.0), expected(1.0), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-13, atol=0)


def test_names_are_shown():
    _, pullback = nbad.vjp(price, *XS, residuals=("root", "d1"))
    assert {"root", "d1"} <= set(pullback.residuals.names)
    assert re.search(r"^ +\d+  d1 +400 bytes  test_names.py:\d+ ", str(pullback.residuals), re.MULTILINE)
    assert re.search(
        r"^  ∂y0/∂a +8 bytes +test_names.py:\d+ +entry of the Jacobian, carrier$", str(nbad.explain(waves, *XS)), re.MULTILINE
    )
    assert re.search(r"^  d1 = div\(%\d+, root\) +# test_names.py:\d+$", nbad.show(price, "plan"), re.MULTILINE)


@nbad.kernel
def waves(a, b, t):
    carrier = math.sin(t)
    return a * carrier, b * carrier * a, carrier * carrier, math.exp(carrier * a)


def test_a_value_that_is_an_entry_of_the_jacobian_goes_by_both_names():
    f = nbad.kernel(exponential)
    assert nbad.vjp(f, 2.0)[1].residuals.names == ("∂y0/∂x",)
    assert nbad.vjp(f, 2.0, residuals=("%1",))[1].residuals.names == ("∂y0/∂x",)
    assert nbad.vjp(f, 2.0, residuals=("growth",))[1].residuals.names == ("growth",)


def exponential(x):
    growth = math.exp(x)
    return growth


def test_wrong_names_are_refused_with_those_there_are():
    what = r"got: 'discont'\n  expected: names among .*d1.*\n  did you mean: discount\n  fix: residuals=\('discount',\)"
    with pytest.raises(ValueError, match=what):
        nbad.vjp(price, *XS, residuals=("discont",))


def test_derivatives_keep_names():
    assert "d1" in names(nbad.grad(price))
    assert "d1" in nbad.vjp(nbad.grad(price), *XS, residuals=("d1",))[1].residuals.names


def test_names_change_no_code():
    def other(s, k, t):
        w = math.sqrt(t)
        h = math.log(s / k) / w
        e = math.exp(-0.02 * t)
        return s * math.erf(h) - k * e * math.erf(h - w)

    plans = [f.whole_program().plan((0, 1, 2), "mincut") for f in (price, nbad.kernel(other))]
    assert len({plan.digest for plan in plans}) == 1


class Mark:
    """Something that a weak reference can be had of."""


def test_frames_are_kept_no_longer_than_the_trace(collect):
    marks = []

    def f(x):
        mark = Mark()
        marks.append(weakref.ref(mark))
        y = math.sin(x)
        return y * 2.0

    trace(f, [Argument("x")], {})
    collect()
    assert marks[0]() is None


def test_frames_of_a_kernel_that_is_refused_are_kept_no_longer(collect):
    marks = []

    def f(x):
        mark = Mark()
        marks.append(weakref.ref(mark))
        return math.sin(x).nothing

    with pytest.raises(AttributeError, match="nothing"):
        trace(f, [Argument("x")], {})
    collect()
    assert marks[0]() is None
