"""Whole tiles without scratch are computed at once: the same values and bits as tile by tile, whatever is beside them."""

import numpy as np
import pytest

import nbad
from nbad.native import launch_table as t
from nbad.native.launch_table import TILE
from nbad.runtime import launch, plain

SIZES = [TILE, 5 * TILE, 5 * TILE + 220, 9 * TILE + 1]


def products(x, y):
    return x * y, x - y * y


@pytest.fixture
def tables(monkeypatch):
    """What was packed; no sweep is too small for a launch."""
    found, make = [], launch.Launch._new_driver

    def noting(self, *key):
        driver = make(self, *key)
        found.append(driver._table)
        return driver

    monkeypatch.setattr(launch.Launch, "_new_driver", noting)
    monkeypatch.setattr(plain, "_entry", lambda *_: plain.never)
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("streams", [False, True])
def test_rows_in_place(tables, monkeypatch, rng, size, dtype, streams):
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1 if streams else 1 << 60)
    x, y = rng.standard_normal((2, size)).astype(dtype)
    for found, expected in zip(nbad.kernel(products)(x, y), (x * y, x - y * y), strict=True):
        assert np.array_equal(found, expected)
    assert [table[t.ALL_DIRECT] for table in tables] == [1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("other", ["column", "number", "reversed", "float32"])
def test_rows_that_are_staged(tables, rng, size, other):
    x, wide = rng.standard_normal(size), rng.standard_normal((size, 3))
    rows = {"column": wide[:, 1], "number": 1.5, "reversed": wide[:, 0].copy()[::-1], "float32": wide[:, 2].astype(np.float32)}
    y = rows[other]
    for found, expected in zip(nbad.kernel(products)(x, y), (x * y, x - np.float64(y) * y), strict=True):
        assert np.array_equal(found, expected)
    assert [table[t.ALL_DIRECT] for table in tables] == [0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("own", [(1, 301), (40, 1), (1, 1, 7), (301,)])
def test_rows_in_place_beside_one_that_is_broadcast_along_an_axis(tables, rng, own, dtype):
    """That one alone is staged."""
    shape = (3, 40, 7) if len(own) == 3 else (40, 301)
    x, y = rng.standard_normal(shape).astype(dtype), rng.standard_normal(own).astype(dtype)
    for found, expected in zip(nbad.kernel(products)(x, y), (x * y, x - y * y), strict=True):
        assert np.array_equal(found, expected)
    assert [(table[t.STAGED_LOADS], table[t.STAGED_STORES]) for table in tables] == [(1, 0)]


@pytest.mark.parametrize("size", SIZES)
def test_a_result_that_is_summed(tables, rng, size):
    """Where a cotangent is summed it takes scratch, a tile at a time."""
    x, y, seed = rng.standard_normal(size), rng.standard_normal(1), rng.standard_normal((2, size))
    _, pullback = nbad.vjp(nbad.kernel(products), x, y, residuals="partials")
    dx, dy = pullback(tuple(seed))
    assert np.allclose(dx, seed[0] * y + seed[1], rtol=1e-15)
    assert np.allclose(dy, (seed[0] * x - 2 * y * seed[1]).sum(), rtol=1e-13)
    assert tables[-1][t.ALL_DIRECT] == 0


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("size", SIZES)
def test_seeds(tables, rng, size, count):
    x, y, seeds = rng.standard_normal(size), rng.standard_normal(size), rng.standard_normal((2, count, size))
    _, pullback = nbad.vjp(nbad.kernel(products), x, y, residuals="partials")
    dx, dy = pullback.batched(tuple(seeds))
    assert np.allclose(dx, seeds[0] * y + seeds[1], rtol=1e-15)
    assert np.allclose(dy, seeds[0] * x - 2 * y * seeds[1], rtol=1e-13, atol=1e-15)
    for k in range(count):
        assert all(np.array_equal(one, many[k]) for one, many in zip(pullback(tuple(seeds[:, k])), (dx, dy), strict=True))
