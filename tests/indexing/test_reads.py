"""Reads by an index: the bits of gathered arrays, whatever numbers are side by side and however elements are walked."""

import numpy as np
import pytest

import nbad


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 9])
def test_neighbours_are_read_as_gathered_arrays_are(rng, width, dtype):
    weighted = nbad.kernel(lambda x, s: sum(x[k] * (k + s) for k in range(width)), signature=f"({width}),()->()")
    a = rng.normal(size=(50, width)).astype(dtype)
    for shape in ((1,), (7,), (8,), (9,), (255,), (256,), (601,), (5, 37), (3, 1)):
        i, s = rng.integers(0, 50, shape), rng.normal(size=shape[-1:]).astype(dtype)
        value = weighted(nbad.indexed(a, i), s)
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, weighted(a[i], s))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_corners_are_read_as_gathered_arrays_are(rng, dtype):
    """Of several positions of an element each is a read, which walks the index by steps."""
    volume = nbad.kernel(lambda p: np.dot(p[0], np.cross(p[1], p[2])), signature="(3,3)->()")
    points = rng.normal(size=(90, 3)).astype(dtype)
    for count in (1, 8, 300):
        for i in (rng.integers(0, 90, (count, 3)), rng.integers(0, 90, (3, count)).T, rng.integers(0, 90, (4, count, 3))):
            np.testing.assert_array_equal(volume(nbad.indexed(points, i)), volume(points[i]))


def test_the_last_entry_is_read_and_nothing_behind_it(rng):
    """Three numbers at the end of an array: what a vector would read behind them is another's nan."""
    whole = np.append(rng.normal(size=30), np.nan)
    points, i = whole[:30].reshape(10, 3), np.full(20, 9)
    total = nbad.kernel(lambda p: p[0] + p[1] + p[2], signature="(3)->()")
    assert np.array_equal(total(nbad.indexed(points, i)), np.full(20, (points[9, 0] + points[9, 1]) + points[9, 2]))
    _, pullback = nbad.vjp(total, nbad.indexed(points, i))
    assert np.array_equal(pullback(1.0)[0], np.outer(np.arange(10) == 9, [20.0, 20.0, 20.0]))
