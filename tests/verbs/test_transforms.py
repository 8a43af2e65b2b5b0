"""Transforms beyond first order and one seed: linearize, value_and_grad, hvp, modes of the Jacobian, out= everywhere."""

import math

import mpmath
import numpy as np
import pytest

import nbad


@nbad.kernel
def energy(x, y):
    return math.exp(-x * y) * math.sin(x) + np.where(x > y, (x - y) ** 3, 0.0)


@nbad.kernel
def polar(x, y):
    return np.hypot(x, y), np.arctan2(y, x), x * y


X, Y = np.linspace(0.2, 2.0, 7), np.linspace(1.5, 0.3, 7)


def mp_energy(x, y):
    return mpmath.exp(-x * y) * mpmath.sin(x) + ((x - y) ** 3 if x > y else 0)


def test_linearize_is_the_jvp():
    y, pushforward = nbad.linearize(polar, X, 2.0)
    tangents = np.cos(X), 0.3
    value, expected = nbad.jvp(polar, (X, 2.0), tangents)
    assert all(np.array_equal(a, b) for a, b in zip(y, value, strict=True))
    for found in (pushforward(tangents), pushforward(tangents)):
        assert all(np.allclose(a, b, rtol=1e-14) for a, b in zip(found, expected, strict=True))


def test_batched_pushforward_equals_the_loop():
    _, pushforward = nbad.linearize(polar, X, 2.0)
    many = np.random.default_rng(3).standard_normal((4, 7)), np.arange(4.0)
    found = pushforward.batched(many)
    for s in range(4):
        assert all(np.array_equal(a[s], b) for a, b in zip(found, pushforward((many[0][s], many[1][s])), strict=True))
    assert [f.shape for f in pushforward.batched((np.empty((0, 7)), 1.0))] == [(0, 7)] * 3


def test_linearize_keeps_nothing_of_its_caller():
    x = X.copy()
    _, pushforward = nbad.linearize(polar, x, 2.0)
    before = pushforward((1.0, 0.0))
    x[:] = math.nan
    assert all(np.array_equal(a, b) for a, b in zip(pushforward((1.0, 0.0)), before, strict=True))


def test_linearize_takes_a_choice_of_arguments():
    _, pushforward = nbad.linearize(polar, X, Y, argnums="y")
    assert np.allclose(pushforward((1.0,))[2], X)
    what = r"there must be one tangent per differentiated argument\n.*\n  got: 2 tangents\n  expected: a tuple of 1: y"
    with pytest.raises(ValueError, match=what):
        pushforward((1.0, 1.0))
    with pytest.raises(ValueError, match=r"the tangent of y has a wrong shape"):
        pushforward((np.ones(3),))
    with pytest.raises(ValueError, match="the number of tangents is not known"):
        pushforward.batched((1.0,))


def test_value_and_grad_is_value_and_grad():
    y, (dx, dy) = nbad.value_and_grad(energy, ("x", "y"))(X, Y)
    assert np.array_equal(y, energy(X, Y))
    assert np.array_equal(np.stack([dx, dy], -1), np.stack(nbad.grad(energy, (0, 1))(X, Y), -1))
    assert np.array_equal(nbad.value_and_grad(energy)(X, Y)[1], dx)


@pytest.mark.parametrize("orders", [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (2, 1), (3, 0), (1, 2), (2, 2), (4, 0)])
def test_derivatives_of_every_order(orders):
    f = energy
    for name, times in zip("xy", orders, strict=True):
        for _ in range(times):
            f = nbad.grad(f, name)
    found = f(X, Y)
    with mpmath.workdps(40):
        expected = [float(mpmath.diff(mp_energy, (mpmath.mpf(x), mpmath.mpf(y)), orders)) for x, y in zip(X, Y, strict=True)]
    assert np.allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_hessian_is_symmetric_to_the_last_bit():
    hessian = nbad.hessian(energy)(X, Y)
    assert np.array_equal(hessian, np.swapaxes(hessian, 1, 2))
    for (i, j), orders in {(0, 0): (2, 0), (0, 1): (1, 1), (1, 1): (0, 2)}.items():
        with mpmath.workdps(40):
            expected = [float(mpmath.diff(mp_energy, (mpmath.mpf(x), mpmath.mpf(y)), orders)) for x, y in zip(X, Y, strict=True)]
        assert np.allclose(hessian[:, i, j], expected, rtol=1e-12, atol=1e-12)


def test_hvp_is_hessian_times_vector():
    tangents = np.cos(X), np.sin(Y)
    hessian = nbad.hessian(energy)(X, Y)
    expected = np.einsum("nij,nj->ni", hessian, np.stack(tangents, -1))
    assert np.allclose(np.stack(nbad.hvp(energy, (X, Y), tangents), -1), expected, rtol=1e-13)
    assert np.allclose(hessian, np.swapaxes(hessian, 1, 2), rtol=1e-13)


def test_many_directions_over_one_forward_sweep():
    directions = np.random.default_rng(5).standard_normal((6, 2, 7))
    _, pushforward = nbad.linearize(nbad.grad(energy, (0, 1)), X, Y)
    found = np.stack(pushforward.batched((directions[:, 0], directions[:, 1])), -1)
    assert np.allclose(found, np.einsum("nij,sjn->sni", nbad.hessian(energy)(X, Y), directions), rtol=1e-13)


def test_hessian_of_chosen_arguments():
    whole = nbad.hessian(energy)(X, Y)
    assert np.allclose(nbad.hessian(energy, argnums=("y", "x"))(X, Y), whole[:, ::-1, ::-1], rtol=1e-13)
    assert np.allclose(nbad.hessian(energy, argnums="y")(X, Y), whole[:, 1:, 1:], rtol=1e-13)


@pytest.mark.parametrize("f", [energy, polar])
def test_modes_of_the_jacobian_agree(f):
    reverse, forward, auto = (nbad.jacobian(f, mode=mode)(X, Y) for mode in ("reverse", "forward", "auto"))
    assert np.allclose(forward, reverse, rtol=1e-14)
    assert np.array_equal(auto, reverse) or np.array_equal(auto, forward)
    assert np.array_equal(nbad.value_and_jacobian(f)(X, Y)[1], auto)


def test_auto_is_forward_for_many_outputs_of_one_argument():
    @nbad.kernel
    def powers(x):
        u = math.exp(x)
        return u, u * u, u**3, math.sin(u), math.cos(u) * u

    assert np.array_equal(nbad.jacobian(powers)(X), nbad.jacobian(powers, mode="forward")(X))


def test_out_of_every_transform():
    headline = "out= does not have the structure of the result"
    y, dot = np.empty(7), np.empty(7)
    assert nbad.jvp(energy, (X, Y), (1.0, 0.0), out=(y, dot)) == (y, dot)
    assert np.array_equal(dot, nbad.jvp(energy, (X, Y), (1.0, 0.0))[1])
    blocks = np.empty((7, 1, 2))
    assert nbad.value_and_jacobian(energy)(X, Y, out=(y, blocks))[1] is blocks
    assert np.array_equal(blocks, nbad.jacobian(energy)(X, Y))
    assert nbad.value_and_grad(energy, "y")(X, Y, out=(y, dot))[1] is dot
    assert np.array_equal(dot, blocks[:, 0, 1])
    square = np.empty((7, 2, 2))
    assert nbad.hessian(energy)(X, Y, out=square) is square
    pair = np.empty(7), np.empty(7)
    assert nbad.hvp(energy, (X, Y), (1.0, 0.0), out=pair) is pair
    assert np.allclose(pair[0], square[:, 0, 0], rtol=1e-13)
    _, pushforward = nbad.linearize(energy, X, Y)
    assert pushforward((0.0, 1.0), out=dot) is dot
    many = np.empty((2, 7))
    assert pushforward.batched((np.ones((2, 7)), 0.0), out=many) is many
    for call in (nbad.value_and_jacobian(energy), nbad.value_and_grad(energy)):
        with pytest.raises(ValueError, match=headline):
            call(X, Y, out=y)
    with pytest.raises(ValueError, match="overlaps an input or another result"):
        nbad.jvp(energy, (X, Y), (1.0, 0.0), out=(y, y))
    with pytest.raises(ValueError, match="overlaps an input or another result"):
        nbad.value_and_jacobian(energy)(X, Y, out=(blocks.ravel()[:7], blocks))


def test_grad_refuses_several_outputs_at_its_first_trace():
    gradient = nbad.grad(polar)
    with pytest.raises(TypeError, match="take kernels with one number as output, but `polar` returns a tuple"):
        gradient(1.0, 2.0)


def test_grad_refuses_what_selects_nothing():
    with pytest.raises(ValueError, match=r"names an argument twice"):
        nbad.grad(energy, (0, "x"))
    with pytest.raises(ValueError, match=r"'z' does not select an argument"):
        nbad.grad(energy, "z")
    with pytest.raises(TypeError, match="the first argument is not a kernel"):
        nbad.grad(math.sin)


def test_gradients_are_kernels():
    slope = nbad.grad(energy)

    @nbad.kernel
    def newton(x, y):
        return x - energy(x, y) / slope(x, y)

    assert np.allclose(newton(X, Y), X - energy(X, Y) / slope(X, Y), rtol=1e-14)
    assert slope(x=1.0, y=2.0) == slope(1.0, 2.0)
    nbad.testing.check_kernel(slope, X, Y)


def test_the_gradient_by_an_argument_that_the_call_omits():
    f = nbad.kernel(lambda x, rate=2.0: rate * x * x)
    with pytest.raises(
        ValueError, match=r"the call does not pass rate as a number, so it is[\s\S]*fix: nbad\.grad\(f, 'rate'\)\(x, rate=2\.0\)"
    ):
        nbad.grad(f, "rate")(3.0)
    assert nbad.grad(f, "rate")(3.0, rate=2.0) == 9.0


@pytest.mark.parametrize("transform", [nbad.jacobian, nbad.value_and_jacobian, nbad.hessian])
def test_argnums_may_come_from_an_iterator_or_a_list_that_changes(transform):
    f, chosen = nbad.kernel(lambda x, y: x * x * y), [1, 0]
    expected = transform(f, (1, 0))(2.0, 3.0)[-1]
    compute, other = transform(f, iter((1, 0))), transform(f, chosen)
    chosen.pop()
    for _ in range(3):
        assert np.array_equal(compute(2.0, 3.0)[-1], expected)
        assert np.array_equal(other(2.0, 3.0)[-1], expected)


def test_sparsity_says_which_entries_there_are():
    f = nbad.kernel(lambda x, c: (x[0] * x[1], np.where(c > 0, x[2], c), 3.0 * c * c), signature="(3),()->(),(),()")
    x, c = np.ones((4, 3)), np.linspace(-1.0, 1.0, 4)
    found = nbad.jacobian(f).sparsity(x, c)
    assert found.tolist() == [[True, True, False, False], [False, False, True, True], [False, False, False, True]]
    assert not nbad.jacobian(f)(x, c)[:, ~found].any()
    assert nbad.jacobian(f, argnums="c").sparsity(x, c).tolist() == [[False], [True], [True]]


@pytest.mark.parametrize("residuals", ["auto", "partials", "mincut", "recompute"])
def test_a_gradient_by_no_argument_has_no_results_and_a_pullback(residuals):
    nothing, x = nbad.grad(nbad.kernel(lambda x: x * x), ()), np.ones(3)
    for _ in range(4):
        y, pullback = nbad.vjp(nothing, x, residuals=residuals)
        assert y == ()
        np.testing.assert_array_equal(pullback(())[0], np.zeros(3))
        assert nbad.vjp(nothing, x, argnums=(), residuals=residuals)[1](()) == ()
