"""Pullbacks of picked arguments travel with their index, and give the blocks of what is picked."""

import copy
import pickle

import numpy as np
import pytest

import nbad


@nbad.kernel(signature="(2,2),()->()")
def spring(x, k):
    return 0.5 * k * ((x[0][0] - x[1][0]) ** 2 + (x[0][1] - x[1][1]) ** 2)


@pytest.mark.parametrize("copied", [lambda p: pickle.loads(pickle.dumps(p)), copy.copy, copy.deepcopy])
def test_pullbacks_travel_with_their_index(copied, rng):
    a, i, k = rng.normal(size=(7, 2)), rng.integers(0, 7, (50, 2)), rng.uniform(size=50)
    _, pullback = nbad.vjp(spring, nbad.indexed(a, i), k)
    ct = rng.normal(size=50)
    by_ends = (a[i][:, 0] - a[i][:, 1]) * (ct * k)[:, None]
    expected = np.zeros_like(a)
    np.add.at(expected, i, np.stack([by_ends, -by_ends], axis=1))
    other = copied(pullback)
    np.testing.assert_allclose(other(ct)[0], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(other(ct)[0], pullback(ct)[0])
    np.testing.assert_array_equal(other.jacobian()[:, 0, -1], 0.5 * ((a[i][:, 0] - a[i][:, 1]) ** 2).sum(axis=1))


def test_an_index_stays_read_only_where_it_is_loaded():
    """Positions are checked against the array once: to change them would read and write beside it."""
    picked = nbad.indexed(np.arange(3.0), [0, -1])
    for other in (pickle.loads(pickle.dumps(picked)), copy.deepcopy(picked), picked):
        with pytest.raises(ValueError, match="read-only"):
            other.index.positions[0] = 10**9
