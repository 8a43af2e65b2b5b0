"""Arguments that are columns of one array: read together where they are neighbours, by the addresses of each call."""

import numpy as np
import pytest

import nbad
from nbad.native.launch_table import TILE


@nbad.kernel
def mixed(a, b, c, d):
    return a - 2.0 * b + 4.0 * c - 8.0 * d


def expected(a, b, c, d):
    return a - a.dtype.type(2) * b + a.dtype.type(4) * c - a.dtype.type(8) * d


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [(0, 1, 2, 3), (2, 3, 4, 6), (3, 2, 1, 0), (6, 0, 1, 4), (1, 1, 2, 2), (5, 6, 0, 1)])
def test_columns_in_any_order(rng, dtype, columns):
    for n in (2, TILE - 1, TILE, 2 * TILE + 37):
        table = rng.integers(-99, 99, (n, 7)).astype(dtype)
        own = [table[:, k] for k in columns]
        np.testing.assert_array_equal(mixed(*own), expected(*own))
        np.testing.assert_array_equal(mixed(*(x[::-1] for x in own)), expected(*own)[::-1])


@pytest.mark.parametrize("width", [4, 5, 8, 16])
def test_one_launch_serves_columns_and_arrays_of_the_same_strides(rng, width):
    """Which are neighbours another call need not have."""
    n = 3 * TILE + 5
    first, second = rng.integers(-99, 99, (2, n, width)).astype(float)
    for own in ([first[:, k] for k in range(4)], [first[:, 0], second[:, 1], second[:, 2], first[:, 1]], [second[:, 0]] * 4):
        np.testing.assert_array_equal(mixed(*own), expected(*own))


def test_windows_that_overlap(rng):
    x = rng.integers(-99, 99, 8 * TILE).astype(float)
    own = [x[k : k + 6 * TILE : 2] for k in range(4)]
    np.testing.assert_array_equal(mixed(*own), expected(*own))


def test_some_values_of_wide_vectors_and_columns_beside_them(rng):
    f = nbad.kernel(lambda v, s, w: v * s + w, signature="(3),(),(3)->(3)")
    table = rng.integers(-99, 99, (2 * TILE + 9, 8)).astype(float)
    v, s, w = table[:, :3], table[:, 3], table[:, 4:7]
    np.testing.assert_array_equal(f(v, s, w), v * s[:, None] + w)
    _, pullback = nbad.vjp(f, v, s, w)
    by_v, by_s, by_w = pullback(w)
    np.testing.assert_array_equal(by_v, w * s[:, None])
    np.testing.assert_array_equal(by_s, (w * v).sum(axis=1))
    np.testing.assert_array_equal(by_w, w)
