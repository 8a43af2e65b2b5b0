"""Cotangents of arguments that are picked: how many parts of the elements are swept at a time changes no bit."""

import numpy as np
import pytest

import nbad
from nbad.assembly import scatter
from nbad.indexing.index import PART


@pytest.mark.parametrize("sizes", [(500, 40), (30_000, 40), (30_000, 9_000)])
def test_bits_do_not_depend_on_how_many_parts_are_swept_at_a_time(rng, monkeypatch, sizes):
    product = nbad.kernel(lambda x, y, w, s: x[0] * x[1] * y * w + s * x[0], signature="(2),(),(),()->()")
    elements = 4 * PART + 77
    x, y = (rng.normal(size=size) for size in sizes)
    i, j, w, s = rng.integers(0, sizes[0], (elements, 2)), rng.integers(0, sizes[1], elements), rng.normal(size=elements), 0.5
    made = []
    for near in (1, 6 * PART * 8, 1 << 30):
        monkeypatch.setattr(scatter, "NEAR", near)
        _, pullback = nbad.vjp(product, nbad.indexed(x, i), nbad.indexed(y, j), w, s)
        made.append(pullback(1.0))
    for cts in made[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(cts, made[0], strict=True))
    expected = np.zeros(sizes[0])
    np.add.at(expected, i[:, 0], x[i[:, 1]] * y[j] * w + s)
    np.add.at(expected, i[:, 1], x[i[:, 0]] * y[j] * w)
    np.testing.assert_allclose(made[0][0], expected, atol=1e-9)


@pytest.mark.parametrize("elements", [4 * PART, 7 * PART + 9])
def test_a_sum_over_all_elements_has_the_bits_of_one_tree_whatever_is_picked_beside_it(rng, elements):
    """As many parts are swept at a time as the seeds leave room for: three of them would be no part of an aligned tree."""
    product = nbad.kernel(lambda x, q: x[0] * q + x[1] * q * q, signature="(2),()->()")
    x, i, q = rng.normal(size=300), rng.integers(0, 300, (elements, 2)), 0.7
    (_, pullback), (_, dense) = (nbad.vjp(product, given, q, argnums=("x", "q")) for given in (nbad.indexed(x, i), x[i]))
    seeds = rng.normal(size=(9, elements))
    expected = [dense(seed)[1] for seed in seeds]
    for count in range(1, 10):
        np.testing.assert_array_equal(pullback.batched(seeds[:count])[1], expected[:count])


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_entries_that_nobody_picks_have_cotangents_of_0(rng, dtype):
    """Many entries, of which all, or all but one, are picked: results are memory that was used before."""
    square = nbad.kernel(lambda x: 0.5 * x * x)
    x = rng.normal(size=9_000).astype(dtype)
    for i in (rng.permutation(9_000), np.delete(np.arange(9_000), 77)):
        for out in (None, (np.full(9_000, np.nan, dtype),)):
            _, pullback = nbad.vjp(square, nbad.indexed(x, i))
            expected = x.copy()
            expected[np.setdiff1d(np.arange(9_000), i)] = 0.0
            np.testing.assert_array_equal(pullback(1.0, out=out)[0], expected)


@pytest.mark.parametrize(("seed", "expected"), [(np.where(np.arange(3 * PART) < PART, np.inf, -np.inf), np.nan), (3e304, np.inf)])
def test_sums_of_parts_that_leave_the_range_are_values(seed, expected):
    """Of one part after the other, and of all at a time: without a warning, as in a sweep."""
    product = nbad.kernel(lambda x, q: x * q)
    i = np.arange(3 * PART) % 8
    for q in (1.0, np.ones(3 * PART), np.ones((2, 1))):
        _, pullback = nbad.vjp(product, nbad.indexed(np.ones(8), i), q)
        seeds = np.broadcast_to(seed, pullback.shape)
        for ct in (pullback(seeds)[0], pullback.batched(seeds[None])[0][0]):
            np.testing.assert_array_equal(ct, np.full(8, expected))
