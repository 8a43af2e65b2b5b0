"""Static arguments: Python values fixed when a kernel is traced, one specialization for each value."""

import copy
import dataclasses
import enum
import functools
import math
import pickle
import threading
import weakref
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.api.statics import identity
from nbad.errors import TraceError
from nbad.memo import FEW

X = np.linspace(-1.0, 2.0, 7)
traces: list = []


@nbad.kernel(static=("order",))
def taylor(x, order=3):
    """exp(x), cut off."""
    traces.append(order)
    term = total = 1.0 + 0.0 * x
    for k in range(1, order + 1):
        term = term * x / k
        total = total + term
    return total


@nbad.kernel(static=("n", "mode"))
def power(n, x, mode, y=2.0):
    return x**n * y if mode == "times" else x**n + y


def exponential(order):
    return sum(X**k / float(np.prod(np.arange(1, k + 1))) for k in range(order + 1))


def test_one_specialization_for_each_value():
    traces.clear()
    for order in (2, 5, 2, 5, 3):
        assert_allclose(taylor(X, order), exponential(order), rtol=1e-14)
    assert traces == [2, 5, 3]
    assert_array_equal(taylor(X), taylor(X, order=3))
    assert_array_equal(taylor(X), taylor(X, 3))
    assert taylor.static == ("order",)


def test_every_verb_takes_static_arguments_by_position_and_by_keyword():
    value, slope = exponential(4), exponential(3)
    for args, options in (((X, 4), {}), ((X,), {"order": 4}), ((), {"order": 4, "x": X})):
        assert_allclose(taylor(*args, **options), value, rtol=1e-14)
        y, pullback = nbad.vjp(taylor, *args, **options)
        assert_allclose(y, value, rtol=1e-14)
        assert_allclose(pullback(1.0), [slope], rtol=1e-14)
        assert_allclose(nbad.jacobian(taylor)(*args, **options)[:, 0, 0], slope, rtol=1e-14)
        assert_allclose(nbad.value_and_jacobian(taylor)(*args, **options)[1][:, 0, 0], slope, rtol=1e-14)
        assert_allclose(nbad.grad(taylor)(*args, **options), slope, rtol=1e-14)
        assert_allclose(nbad.grad(nbad.grad(taylor))(*args, **options), exponential(2), rtol=1e-14)
        assert_allclose(nbad.hessian(taylor)(*args, **options)[:, 0, 0], exponential(2), rtol=1e-14)
        assert_allclose(nbad.value_and_grad(taylor)(*args, **options)[1], slope, rtol=1e-14)
        assert_allclose(nbad.linearize(taylor, *args, **options)[1]((1.0,)), slope, rtol=1e-14)
    assert nbad.grad(taylor).static == ("order",)


def test_tangents_beside_static_arguments():
    slope = exponential(3)
    for tangent in (None, 0):
        assert_allclose(nbad.jvp(taylor, (X, 4), (1.0, tangent))[1], slope, rtol=1e-14)
    assert_allclose(nbad.jvp(taylor, (X,), (1.0,), order=4)[1], slope, rtol=1e-14)
    assert_allclose(nbad.hvp(taylor, (X, 4), (1.0, None))[0], exponential(2), rtol=1e-14)
    assert_allclose(nbad.jvp(power, (2, X, "times"), (None, X, None), y=X)[1], 2 * X**3, rtol=1e-14)
    text = r"`taylor\(x\)`: order has no derivative, so its tangent must be 0[\s\S]*got: 1.0\n[\s\S]*fix: None"
    with pytest.raises(TypeError, match=text):
        nbad.jvp(taylor, (X, 4), (1.0, 1.0))
    text = r"one tangent per argument[\s\S]*got: 1 tangent\n[\s\S]*fix: nbad\.jvp\(taylor, \(x, order,\), \(1\.0, None,\)\)"
    with pytest.raises(ValueError, match=text):
        nbad.jvp(taylor, (X, 4), (1.0,))


def test_positions_count_all_parameters():
    """As the user sees them: position 1 is x though n before it is static."""
    by_x, by_y = 3 * X**2 * 5.0, X**3
    for argnums, expected in ((1, [by_x]), ("x", [by_x]), (-1, [by_y]), ((3, 1), [by_y, by_x]), (("y", 1), [by_y, by_x])):
        cts = nbad.vjp(power, 3, X, "times", np.full(7, 5.0), argnums=argnums)[1](1.0)
        assert_allclose(cts, expected, rtol=1e-13)
        jacobian = nbad.jacobian(power, argnums)(3, X, "times", np.full(7, 5.0))
        assert_allclose(jacobian[:, 0].T, expected, rtol=1e-13)
    assert_allclose(nbad.grad(power, 1)(3, X, "times", 5.0), by_x, rtol=1e-13)
    assert_allclose(nbad.grad(power, (-1, 1))(3, X, "times", 5.0)[0], by_y, rtol=1e-13)
    assert nbad.hessian(power, (1, 3))(3, X, "times", 5.0).shape == (7, 2, 2)


def test_naming_a_static_argument_is_an_error():
    for argnums in (0, "n", (1, 2), -2):
        what = r"`power\(x, y\)`: argnums=.* does not select arguments[\s\S]*got: (n|mode), which is static\n"
        with pytest.raises(ValueError, match=what + r"  expected: positions 1, 3 or names among x, y, each once\n"):
            nbad.vjp(power, 3, X, "times", 5.0, argnums=argnums)
        what = r"`power\(n, x, mode, y\)`: .* does not select an argument[\s\S]*got: (n|mode), which is static\n"
        with pytest.raises(
            ValueError, match=what + r"  expected: a position from 0 to 3 or a name among x, y\n  fix: argnums='x'"
        ):
            nbad.grad(power, argnums)
    with pytest.raises(ValueError, match=r"argnums=3 does not select arguments[\s\S]*got: y, which the call does not pass"):
        nbad.vjp(power, 3, X, "times", argnums=3)


def test_values_that_are_equal_but_of_other_types():
    """x**2 multiplies, x**2.0 calls `pow`; True, 0.0 and -0.0, and tuples of these, are apart too."""
    seen = []

    @nbad.kernel(static="p")
    def f(x, p):
        seen.append(p)
        return x + sum(p) if isinstance(p, tuple) else x * p

    for p in (1, 1.0, True, np.float64(1.0), 0.0, -0.0, (1, 2), (1.0, 2), ((0.0,),) * 0, float("nan"), float("nan")):
        f(1.0, p)
    assert list(map(repr, seen)) == ["1", "1.0", "True", "np.float64(1.0)", "0.0", "-0.0", "(1, 2)", "(1.0, 2)", "()", "nan"]
    assert np.copysign(1.0, f(1.0, -0.0)) == -1.0


def test_values_of_any_hashable_type():
    @nbad.kernel(static=("f", "names", "flag"))
    def g(x, f, names, flag=None):
        return f(x) * len(names) if flag is None else -x

    assert_array_equal(g(X, np.sin, ("a", "b")), nbad.kernel(lambda x: math.sin(x))(X) * 2)
    assert_array_equal(g(X, np.square, frozenset("abc")), X * X * 3)
    assert_array_equal(g(X, np.exp, (), "on"), -X)


def polynomial(x, coefficients):
    total = 0.0
    for c in reversed(coefficients):
        total = total * x + c
    return total


def looked_up(x, table):
    return table["scale"] * x ** table.get("power", 1) + sum(table.get("more", ()))


CONTENTS = {
    "list": (polynomial, [1.0, 2.0, 3.0], lambda value: value.__setitem__(1, 5.0)),
    "array": (polynomial, np.array([1.0, 2.0, 3.0]), lambda value: value.__setitem__(1, 5.0)),
    "whole numbers": (polynomial, np.array([1, 2, 3]), lambda value: value.__setitem__(1, 5)),
    "dict": (looked_up, {"scale": 2.0, "power": 3}, lambda value: value.update(power=2)),
    "list in a dict": (looked_up, {"scale": 2.0, "more": [1.0, 4.0]}, lambda value: value["more"].append(3.0)),
    "array in a dict": (looked_up, {"scale": 2.0, "more": np.ones(3)}, lambda value: value["more"].fill(4.0)),
    "bytes": (polynomial, bytearray(b"abc"), lambda value: value.append(7)),
}


@pytest.mark.parametrize(("function", "value", "change"), CONTENTS.values(), ids=CONTENTS)
def test_values_that_can_be_changed_are_told_apart_by_their_contents(function, value, change):
    seen = []

    def counted(x, p):
        seen.append(p)
        return function(x, p)

    f = nbad.kernel(counted, static="p")
    slope = nbad.grad(f)
    for turn in range(2):
        before = copy.deepcopy(value)
        for _ in range(3):
            assert_allclose(f(X, value), function(X, value), rtol=1e-14)
            assert_allclose(f(X, copy.deepcopy(value)), function(X, value), rtol=1e-14)
            assert_allclose(nbad.vjp(f, X, value)[1](1.0)[0], slope(X, value), rtol=1e-14)
        assert_allclose(slope(X, value), (function(X + 1e-6, value) - function(X - 1e-6, value)) / 2e-6, rtol=1e-7, atol=1e-7)
        assert len(seen) == turn + 1
        assert_array_equal(pickle.dumps(before), pickle.dumps(value))
        change(value)


def test_what_a_kernel_does_to_a_static_value_stays_in_the_trace():
    def greedy(x, steps, options):
        total = 0.0 * x
        while steps:
            total = total + x ** steps.pop()
        options["seen"] = True
        return total * options.pop("scale")

    f, steps, options = nbad.kernel(greedy, static=("steps", "options")), [1, 2], {"scale": 3.0}
    for _ in range(3):
        assert_allclose(f(X, steps, options), 3.0 * (X + X * X), rtol=1e-14)
        assert_allclose(nbad.grad(f)(X, steps, options), 3.0 + 6.0 * X, rtol=1e-14)
    assert (steps, options) == ([1, 2], {"scale": 3.0})


def test_static_names_that_do_not_exist():
    text = r"`nbad.kernel\(static=\('m',\)\)`: `f` has no parameter `m`[\s\S]*fix: static=\('n',\)"
    with pytest.raises(ValueError, match=text):
        nbad.kernel(_plain, static=("m",))


def _plain(x, n):
    return x**n


_plain.__name__ = "f"


def test_a_static_array_is_one_value_and_no_array_of_elements():
    with pytest.raises(TraceError, match=r"`power` returns an array, but has no signature that says so[\s\S]*got: \(7\)"):
        power(X, X, "times")


def test_missing_static_argument():
    with pytest.raises(TypeError, match=r"`power\(n, x, mode, y\)`: missing a required argument: 'mode'"):
        power(3, X)
    text = r"`power`: there is one graph for each value of the static argument n\b[\s\S]*fix: def power"
    with pytest.raises(TypeError, match=text):
        nbad.show(power, "graph")
    assert nbad.show(taylor, "graph").startswith("taylor(x):")


def test_static_and_vector_arguments():
    """The signature has a group for each argument that is not static."""

    @nbad.kernel(signature="(3),()->(2)", static="axes")
    def projected(x, axes, scale):
        return scale * x[list(axes)]

    x = np.arange(12.0).reshape(4, 3)
    assert_array_equal(projected(x, (2, 0), 2.0), 2 * x[:, [2, 0]])
    assert_array_equal(projected(x, (1, 1), 2.0), 2 * x[:, [1, 1]])
    assert nbad.jacobian(projected)(x, (2, 0), 2.0).shape == (4, 2, 4)
    with pytest.raises(TraceError, match=r"`projected` does not return what its signature says[\s\S]*got: \(3\)"):
        projected(x, (0, 1, 2), 1.0)


def test_static_arguments_of_kernels_in_kernels():
    @nbad.kernel(static="order")
    def outer(x, order):
        return taylor(2 * x, order) - taylor(x, order=order - 1) + power(order, x, mode="times", y=x)

    assert_allclose(outer(X, 3), taylor(2 * X, 3) - taylor(X, 2) + X**4, rtol=1e-13, atol=1e-13)


def test_quick_calls_do_not_mix_values():
    """Repeated calls on few elements take a short cut; the static value must not be part of it."""
    for _ in range(3):
        assert_allclose([taylor(1.0), taylor(1.0, 1), taylor(1.0, 2)], [16 / 6, 2.0, 2.5], rtol=1e-15)
        assert_allclose(power(2, 3.0, "times"), 18.0)
        assert_allclose(power(2, 3.0, "plus", 1.0), 10.0)


@dataclasses.dataclass(frozen=True)
class Power:
    n: float
    more: object = None


class Scale:
    def __init__(self, factor):
        self.factor = factor
        self.me = self


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor


class Wide(Slotted):
    __slots__ = ("offset",)


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Named(NamedTuple):
    n: float


class Tagged(float):
    """Equal to its number, whatever its tag."""


def tagged(value, tag):
    made = Tagged(value)
    made.tag = tag
    return made


def seen_by(values):
    """How many traces the values of a static argument take, twice each."""
    seen = []

    @nbad.kernel(static="p")
    def f(x, p):
        seen.append(p)
        return x

    for p in (*values, *values):
        assert f(1.0, p) == 1.0
        assert nbad.grad(f)(1.0, p) == 1.0
    return len(seen)


ZEROS = (0.0, -0.0, 0, False, np.float64(0.0), np.float32(0.0), 0j, complex(0.0, -0.0))


@pytest.mark.parametrize(
    "values",
    [
        ZEROS,
        [Power(z) for z in ZEROS],
        [Power(1, Power(z)) for z in ZEROS],
        [Power(1, (1, (z,))) for z in ZEROS],
        [Power(1, frozenset([z])) for z in ZEROS],
        [Scale([1, {"a": z}]) for z in ZEROS],
        [Scale({z}) for z in ZEROS],
        [Scale(np.array([z])) for z in ZEROS],
        [Slotted(z) for z in ZEROS],
        [Wide(z) for z in ZEROS],
        [Named(z) for z in ZEROS],
        [(z,) for z in ZEROS],
        [tagged(1.0, z) for z in ZEROS],
        [functools.partial(math.pow, z) for z in ZEROS],
        [Decimal("1"), Decimal("1.0"), Decimal("0"), Decimal("-0"), Fraction(1), 1, 1.0],
        [Color.RED, Color.BLUE, Color, int, float, np.sin, np.cos, math.sin, math, np, taylor, power, nbad.grad(taylor)],
        [range(3), range(0, 3, 2), range(0, 4, 2), (0, 1, 2), Named(1), (1,), b"a", "a", None, Ellipsis],
        [Scale(np.zeros(2)), Scale(np.zeros((2, 1))), Scale(np.zeros(2, int)), Scale([0.0, 0.0]), Scale((0.0, 0.0))],
        [object(), object(), numba.njit(lambda x: x), numba.njit(lambda x: x), functools.cache(math.sin)],
    ],
)
def test_statics_are_told_apart_by_type_and_contents(values):
    assert seen_by(values) == len(values)


def test_equal_statics_share_a_specialization():
    same = [Power(2.0, (Color.RED, frozenset("ab"))) for _ in range(3)]
    assert seen_by(same) == 1
    assert seen_by([Decimal("1.5"), Decimal("1.5")]) == seen_by([Fraction(1, 3), Fraction(1, 3)]) == 1
    assert seen_by([functools.partial(math.pow, 2.0)] * 2) == seen_by([float("nan"), float("nan")]) == 1


@pytest.mark.parametrize("kind", [Scale, Slotted])
def test_an_object_that_has_changed_is_another_one(kind):
    @nbad.kernel(static="p")
    def f(x, p):
        return p.factor[0] * x if isinstance(p.factor, list) else p.factor * x

    p = kind(2.0)
    assert (f(1.0, p), nbad.grad(f)(1.0, p)) == (2.0, 2.0)
    p.factor = 3.0
    assert (nbad.jacobian(f)(1.0, p).item(), f(1.0, p), nbad.hessian(f)(1.0, p).item()) == (3.0, 3.0, 0.0)
    p.factor = [4.0]
    assert f(1.0, p) == 4.0
    p.factor[0] = 5.0
    assert f(1.0, p) == nbad.grad(f)(1.0, p) == 5.0


@pytest.mark.parametrize("make", [threading.Lock, lambda: (k for k in "a"), lambda: Scale(threading.Lock())])
def test_mutable_values_whose_contents_cannot_be_seen_are_refused(make):
    text = r"`taylor`: the contents of the static argument order cannot be seen[\s\S]*got: \w+ in which [\s\S]*fix: "
    with pytest.raises(TypeError, match=text):
        taylor(X, make())


@given(st.recursive(st.sampled_from(ZEROS), lambda inner: st.lists(inner, max_size=3).map(tuple) | inner.map(Power)))
def test_identity_is_type_and_text(value):
    """The text of these values tells all that tells them apart."""
    assert identity("f", "p", copy.deepcopy(value)) == identity("f", "p", value)
    assert identity("f", "p", (value,)) != identity("f", "p", value)
    for zero in ZEROS:
        assert (identity("f", "p", zero) == identity("f", "p", value)) == (repr(zero) == repr(value))


def test_identity_of_what_is_shared_many_times_is_found_once():
    value = Scale(1.0)
    for _ in range(40):
        value = Scale([value, value])
    assert hash(identity("f", "p", value)) == hash(identity("f", "p", value))


def test_what_a_static_argument_holds_twice_is_one_thing():
    def changed(x, m):
        m[0][0] = 5.0
        return x * m[1][0]

    f, part = nbad.kernel(changed, static=("m",)), [1.0]
    assert (f(2.0, [part, part]), f(2.0, [[1.0], [1.0]]), part) == (10.0, 2.0, [1.0])


def test_a_static_argument_may_hold_itself():
    items, settings = [3.0], {"a": 2.0}
    items.append(items)
    settings["self"] = settings
    f = nbad.kernel(lambda x, m: x * m[0], static=("m",))
    g = nbad.kernel(lambda x, m: x * m["self"]["a"], static=("m",))
    assert (f(2.0, items), g(2.0, settings), nbad.grad(f)(2.0, items)) == (6.0, 4.0, 3.0)


def test_a_traced_value_for_a_static_argument():
    for n in (lambda x: x, lambda x: (x, 1), lambda x: [1, {"a": x}], lambda x: np.array([x, x]), Scale, Power):
        with pytest.raises(TraceError, match=r"^kernel `<lambda>` passes a traced value for `n`, a static argument of `power`:"):
            nbad.kernel(lambda x: power(n(x), x, "times"))(X)  # noqa: B023


def test_the_specializations_in_latest_use_are_kept_with_their_code(collect):
    @nbad.kernel(static=("c",))
    def scaled(x, c):
        return x * c + 1.0

    first, programs = scaled.bind((2.0,), {"c": 0.5})[0], []
    for k in range(2 * FEW):
        program = scaled.bind((2.0,), {"c": k + 1.5})[0]
        programs.append(weakref.ref(program))
        assert scaled.bind((2.0,), {"c": 0.5})[0] is first
    del program
    collect()
    assert [k for k, program in enumerate(programs) if program() is not None] == list(range(FEW + 1, 2 * FEW))
    assert scaled(2.0, 1.5) == 4.0
