"""Static arguments: Python values fixed when a kernel is traced, one specialization for each value."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.errors import TraceError

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
    text = r"there must be one tangent per argument[\s\S]*got: 1 tangents\n  expected: 2\n  fix: \(x_dot, order_dot,\)"
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
        with pytest.raises(ValueError, match=what + r"  expected: a position from 0 to 3 or a name among x, y\n  fix: 'x'"):
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


def test_values_that_are_not_hashable():
    text = r"`taylor`: the static argument order is not hashable[\s\S]*got: list\n  expected: a number, text or tuple"
    with pytest.raises(TypeError, match=text + r"[\s\S]*fix: tuple\(order\)"):
        taylor(X, [3])


def test_static_names_that_do_not_exist():
    text = r"`nbad.kernel\(static=\('m',\)\)`: `f` has no parameter `m`[\s\S]*fix: static=\('n',\)"
    with pytest.raises(ValueError, match=text):
        nbad.kernel(_plain, static=("m",))


def _plain(x, n):
    return x**n


_plain.__name__ = "f"


def test_an_array_for_a_static_argument_is_refused():
    with pytest.raises(TypeError, match=r"`power`: the static argument n is not hashable[\s\S]*got: ndarray"):
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
