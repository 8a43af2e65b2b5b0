"""`nbad.normal_equations`: `J'J` and `J'r` of shared parameters, summed over all elements in the sweep."""

import math
import tracemalloc

import numba
import numpy as np
import pytest
from helpers.gallery_reference import NIST
from helpers.same_bits import bits
from numpy.testing import assert_allclose, assert_array_equal

import nbad


@nbad.kernel
def decay(t, y, size, rate, offset):
    return size * np.exp(-rate * t) + offset - y


def expected(t, y, size, rate, offset):
    t, y = np.broadcast_arrays(t, y)
    e = np.exp(-rate * t)
    J = np.stack([e, -size * t * e, np.ones_like(t)], -1).reshape(-1, 3)
    r = (size * e + offset - y).ravel()
    return J.T @ J, J.T @ r


NAMES = ("size", "rate", "offset")


@pytest.mark.parametrize("shape", [(), (1,), (7,), (0,), (257,), (40, 130), (6000,)])
def test_sums_over_all_elements(shape, rng):
    t, y = rng.uniform(0.0, 3.0, shape), rng.normal(size=shape)
    found = nbad.normal_equations(decay, NAMES)(t, y, 2.0, 0.5, 0.25)
    for one, other in zip(found, expected(t, y, 2.0, 0.5, 0.25), strict=True):
        assert one.shape == other.shape
        assert one.dtype == np.float64
        assert_allclose(one, other, rtol=1e-12, atol=1e-13 * max(1, t.size))
    assert_array_equal(found[0], found[0].T)


def test_broadcast_data_and_strides(rng):
    t, y = rng.uniform(0.0, 3.0, (1, 90))[:, ::-1], np.asfortranarray(rng.normal(size=(70, 90)))
    found = nbad.normal_equations(decay, NAMES)(t, y, np.array([2.0]), 0.5, np.float64(0.25))
    for one, other in zip(found, expected(t, y, 2.0, 0.5, 0.25), strict=True):
        assert_allclose(one, other, rtol=1e-12)


def test_data_that_an_index_picks(rng):
    t, of = rng.uniform(0.0, 3.0, 20), rng.integers(0, 20, 5000)
    found = nbad.normal_equations(decay, NAMES)(nbad.indexed(t, of), 1.0, 2.0, 0.5, 0.25)
    assert bits(found) == bits(nbad.normal_equations(decay, NAMES)(t[of], 1.0, 2.0, 0.5, 0.25))


def test_parameters_of_several_numbers_and_residuals_of_several(rng):
    @nbad.kernel(signature="(2),(3),(2)->(2),()")
    def f(x, p, q):
        return np.array([p[0] * x[0] - q[0], p[1] * x[1] * q[1]]), p[2] * p[2]

    x, p, q = rng.normal(size=(500, 2)), rng.normal(size=3), rng.normal(size=2)
    J = nbad.jacobian(f, ("q", "p"))(x, p, q).reshape(-1, 5)
    a, b = f(x, p, q)
    r = np.concatenate([a, b[:, None]], 1).ravel()
    found = nbad.normal_equations(f, ("q", "p"))(x, p, q)
    assert_allclose(found[0], J.T @ J, rtol=1e-12, atol=1e-12)
    assert_allclose(found[1], J.T @ r, rtol=1e-11, atol=1e-12)


def test_more_sums_than_one_kernel_leaves(rng):
    f = nbad.kernel(lambda x, y, c: math.sin(x) * sum(c[k] * x**k for k in range(18)) - y, signature="(),(),(18)->()")
    x, y, c = rng.uniform(-1.0, 1.0, 3000), rng.normal(size=3000), rng.normal(size=18)
    J = np.sin(x)[:, None] * x[:, None] ** np.arange(18)
    JtJ, Jtr = nbad.normal_equations(f, "c")(x, y, c)
    assert_allclose(JtJ, J.T @ J, rtol=1e-12, atol=1e-12)
    assert_allclose(Jtr, J.T @ (J @ c - y), rtol=1e-10, atol=1e-11)


def test_bits_do_not_depend_on_threads_nor_on_blocks_of_memory(rng):
    t, y = rng.uniform(0.0, 3.0, 200_000), rng.normal(size=200_000)
    sums = nbad.normal_equations(decay, NAMES)
    before, threads = bits(sums(t, y, 2.0, 0.5, 0.25)), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert bits(sums(t, y, 2.0, 0.5, 0.25)) == before
    finally:
        numba.set_num_threads(threads)
    assert bits(sums(np.stack([t, t])[0], y[::-1].copy()[::-1], 2.0, 0.5, 0.25)) == before


def test_no_jacobian_of_all_elements_is_made(rng):
    t, y = rng.uniform(0.0, 3.0, 100_000), rng.normal(size=100_000)
    sums = nbad.normal_equations(decay, NAMES)
    sums(t, y, 2.0, 0.5, 0.25)
    tracemalloc.start()
    sums(t, y, 2.0, 0.5, 0.25)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < t.nbytes / 4  # of 9 sums, one number for 256 elements


def test_float32_is_summed_in_float64():
    ones = np.ones(1 << 20, np.float32)
    f = nbad.kernel(lambda x, p: p * x)
    p = np.float32(1 + 2**-20)
    JtJ, Jtr = nbad.normal_equations(f, "p")(ones, p)
    assert JtJ.dtype == np.float64
    assert JtJ[0, 0] == 2**20
    assert Jtr[0] == 2**20 * float(p)  # which no float32 sum gives


def test_a_fit_reaches_the_certified_parameters():
    known = NIST["misra1a"]
    step = nbad.normal_equations(nbad.kernel(lambda x, y, b1, b2: b1 * (1 - np.exp(-b2 * x)) - y), ("b1", "b2"))
    b = known.parameters * 1.05
    for _ in range(20):
        b = b - np.linalg.solve(*step(known.x, known.y, *b))
    assert_allclose(b, known.parameters, rtol=1e-8)


def test_structures_and_settings():
    f = nbad.kernel(lambda x, p, n: p["a"] * x**n + p["b"], static="n")
    JtJ, Jtr = nbad.normal_equations(f, "p")(np.array([1.0, 2.0]), {"a": 2.0, "b": 1.0}, 2)
    assert_array_equal(JtJ, [[17.0, 5.0], [5.0, 2.0]])
    assert_array_equal(Jtr, [39.0, 12.0])


def test_elements_that_raise(rng):
    @nbad.kernel
    def careful(x, p):
        if x < 0:
            raise ValueError("negative")
        return p * x

    for count in (3, 5000):
        x = np.ones(count)
        x[-1] = -1.0
        with pytest.raises(ValueError, match="negative"):
            nbad.normal_equations(careful, "p")(x, 2.0)
    silent = nbad.kernel(careful.__wrapped__, errors="nan")
    assert np.isnan(nbad.normal_equations(silent, "p")(np.array([1.0, -1.0]), 2.0)[0]).all()


def test_what_elements_do_not_share_is_refused():
    with pytest.raises(ValueError, match=r"elements do not share t, y[\s\S]*fix: argnums=\('size', 'rate', 'offset'\)"):
        nbad.normal_equations(decay)(np.ones(3), np.ones(3), 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"elements do not share size[\s\S]*fix: nbad.jacobian\(decay\)"):
        nbad.normal_equations(decay, "size")(1.0, 1.0, np.ones(3), 1.0, 1.0)
    with pytest.raises(ValueError, match="elements do not share size"):  # of what it is picked from there are more
        nbad.normal_equations(decay, "size")(np.ones(2), 1.0, nbad.indexed(np.ones(3), 0), 1.0, 1.0)
    with pytest.raises(TypeError, match="is not a kernel"):
        nbad.normal_equations(abs)
