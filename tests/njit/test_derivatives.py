"""Derivatives in compiled code: made outside and asked for inside, in registers, in rows, over arrays."""

import math

import numba
import numpy as np
import pytest
from helpers.compiled import assert_same, calling
from numba.core.errors import TypingError

import nbad
from kernels import polar, product


@nbad.kernel
def wave(x, t, speed):
    return math.exp(-x * x) * math.sin(speed * t - x)


@nbad.kernel(signature="(2),()->(2)")
def shear(v, a):
    return [v[0] + a * v[1], v[1] * v[0]]


blocks, both, curvature = nbad.jacobian(polar), nbad.value_and_jacobian(polar), nbad.hessian(wave)
slope, value_and_slopes = nbad.grad(wave, "t"), nbad.value_and_grad(wave, (0, "speed"))


def test_made_outside_they_are_tuples_of_numbers():
    @numba.njit
    def call(x, t, c):
        return blocks(x, t), both(x, t), slope(x, t, speed=c), value_and_slopes(x, t, c)

    found, xs = call(0.3, 1.2, 2.0), (0.3, 1.2, 2.0)
    assert_same(found, (blocks(*xs[:2]), both(*xs[:2]), slope(*xs), value_and_slopes(*xs)))
    (dr, dphi), _ = found[0]
    assert dr == pytest.approx(math.cos(1.2), rel=1e-15)
    assert dphi == pytest.approx(-0.3 * math.sin(1.2), rel=1e-15)


@pytest.mark.slow
def test_asked_for_inside():
    @numba.njit
    def call(f, x, t, c):
        first = nbad.grad(f)(x, t, c), nbad.grad(nbad.grad(f, 0), argnums="t")(x, t, c), nbad.value_and_grad(f, (0, 2))(x, t, c)
        return (
            first,
            nbad.jacobian(f, argnums=("speed", "x"))(x, t, c),
            nbad.hessian(f)(x, t, c),
            nbad.value_and_jacobian(f)(x, t, c),
        )

    xs = (0.3, 1.2, 2.0)
    first = nbad.grad(wave)(*xs), nbad.grad(nbad.grad(wave), "t")(*xs), nbad.value_and_grad(wave, (0, 2))(*xs)
    wanted = first, nbad.jacobian(wave, ("speed", "x"))(*xs), curvature(*xs), nbad.value_and_jacobian(wave)(*xs)
    assert_same(call(wave, *xs), wanted)
    assert calling(curvature, 3)(*xs)[0][1] == curvature(*xs)[0, 1]


@pytest.mark.slow
def test_tangents():
    @numba.njit
    def call(x, y, a):
        return nbad.jvp(polar, (x, y), (1.0, 0.5)), nbad.jvp(shear, (a, x), (a, 2.0)), nbad.jvp(polar, (a, y), (1.0, 2.0))

    a = np.array([0.5, 1.5])
    wanted = nbad.jvp(polar, (0.3, 1.2), (1.0, 0.5)), nbad.jvp(shear, (a, 0.3), (a, 2.0)), nbad.jvp(polar, (a, 1.2), (1.0, 2.0))
    assert_same(call(0.3, 1.2, a), wanted)


@pytest.mark.slow
def test_rows_are_filled():
    @numba.njit
    def fill(r, phi, y, rows):
        for i in range(r.size):
            both(r[i], phi[i], out=((y[i, :1], y[i, 1:]), rows[i]))

    r, phi, y, rows = np.linspace(0.5, 2, 11), np.linspace(0, 3, 11), np.empty((11, 2)), np.empty((11, 2, 2))
    fill(r, phi, y, rows)
    (x0, x1), wanted = both(r, phi)
    assert_same((y[:, 0].copy(), y[:, 1].copy(), rows), (x0, x1, wanted))


@pytest.mark.slow
def test_over_arrays_they_are_blocks():
    x, t = np.linspace(-1, 1, 7)[:, None], np.linspace(0, 2, 5)
    assert_same(calling(curvature, 3)(x, t, 2.0), curvature(x, t, 2.0))
    assert_same(calling(both, 2)(x, t), both(x, t))
    assert_same(calling(nbad.jacobian(shear), 2)(np.random.default_rng(0).normal(size=(7, 2)), 0.5), shear_blocks())
    assert_same(calling(value_and_slopes, 3)(x, t, 2.0), value_and_slopes(x, t, 2.0))


def shear_blocks():
    return nbad.jacobian(shear)(np.random.default_rng(0).normal(size=(7, 2)), 0.5)


@pytest.mark.slow
def test_arrays_of_integers_have_no_derivative():
    """As outside; the numbers of compiled code are Python's, which do."""
    f, k = nbad.jacobian(product), np.arange(1, 4)
    assert_same(calling(f, 3)(np.ones(3), k, np.full(3, 2.0)), f(np.ones(3), k, np.full(3, 2.0)))
    assert calling(f, 3)(1.0, 2, 3.0) == ((6.0, 3.0, 2.0),)
    for wrong in (nbad.jacobian(product, "b"), nbad.grad(product, "b"), nbad.value_and_grad(product, "b")):
        with pytest.raises((TypingError, nbad.NbadError), match="has no derivative"):
            calling(wrong, 3)(np.ones(3), k, 2.0)
    with pytest.raises((TypingError, nbad.NbadError), match="has no derivative"):
        numba.njit(lambda x: nbad.jvp(product, (x, 1.0, 1.0), (0.0, 1.0, 1.0)))(k)
    assert_same(calling(nbad.grad(product), 3)(np.ones(3), k, 2.0), nbad.grad(product)(np.ones(3), k, 2.0))


@pytest.mark.slow
def test_newtons_implied_volatility_converges():
    @nbad.kernel
    def price(s, k, t, r, sigma):
        deviation = sigma * math.sqrt(t)
        d1 = (math.log(s / k) + (r + 0.5 * sigma * sigma) * t) / deviation
        n1, n2 = (0.5 * math.erfc(-d * math.sqrt(0.5)) for d in (d1, d1 - deviation))
        return s * n1 - k * math.exp(-r * t) * n2

    with_vega = nbad.value_and_grad(price, "sigma")

    @numba.njit
    def implied(target, s, k, t, r):
        sigma, passes = 0.3, 0
        while passes < 50:
            passes += 1
            y, vega = with_vega(s, k, t, r, sigma)
            step = (y - target) / vega
            sigma -= step
            if abs(step) < 1e-14:
                break
        return sigma, passes

    for wanted in (0.05, 0.37, 1.5):
        found, passes = implied(price(100.0, 95.0, 0.5, 0.02, wanted), 100.0, 95.0, 0.5, 0.02)
        assert found == pytest.approx(wanted, rel=1e-9)
        assert passes < 12


def test_a_verb_takes_kernels_only():
    with pytest.raises(TypingError, match="expected a kernel"):
        numba.njit(lambda x: nbad.grad(blocks)(x, x))(1.0)


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda x: nbad.vjp(polar, x, x), "value_and_jacobian"),
        (lambda x: nbad.hvp(wave, (x, x, x), (x, x, x)), "nbad.grad"),
        (lambda x: nbad.linearize(polar, x, x), "value_and_jacobian"),
    ],
)
def test_verbs_that_compiled_code_has_not(call, instead):
    with pytest.raises(TypingError, match=rf"compiled code has no such thing; use nbad\..*{instead}"):
        numba.njit(call)(1.0)
