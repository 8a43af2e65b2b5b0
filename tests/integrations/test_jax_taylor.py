"""Taylor series through kernels: `jax.experimental.jet`, beside derivatives of polynomials by hand and JAX's own series."""

import importlib
import math

import numpy as np
import pytest
from helpers.late import Late

import nbad

jax, jnp = Late("jax"), Late("jax.numpy")


def jet(*args):
    return importlib.import_module("jax.experimental.jet").jet(*args)


@nbad.kernel(signature="(2)->(),(2)")
def products(v):
    return v[0] * v[0] * v[1], v * v[1]


@nbad.kernel
def wave(a, b):
    return a * math.sin(b)


def function(f):
    return nbad.integrations.jax.function(f)


def test_series_of_polynomials():
    """Along `v = (2 + t, 3 + t**2)`: 12 + 12 t + 7 t**2 + 4 t**3 + t**4, and products of the second component."""
    v, rates = np.array([2.0, 3.0]), [np.array([1.0, 0.0]), np.array([0.0, 2.0]), np.zeros(2), np.zeros(2)]
    (y, z), (by_y, by_z) = jet(function(products), (v,), (rates,))
    assert (y, z.tolist()) == (12.0, [6.0, 9.0])
    np.testing.assert_allclose(by_y, [12.0, 7.0 * 2, 4.0 * 6, 24.0], rtol=1e-5)
    np.testing.assert_allclose(by_z, [[3.0, 0.0], [2.0 * 2, 6.0 * 2], [6.0, 0.0], [0.0, 24.0]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", [lambda h: h, lambda h: jax.jit(h), lambda h: jax.grad(lambda a, b: h(a, b).sum(), (0, 1))])
def test_series_are_those_of_jax(way):
    primals, series = (jnp.array([0.3, 0.7]), 1.2), ([jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0])], [0.4, 2.0])
    found = jet(way(function(wave)), primals, series)
    expected = jet(way(lambda a, b: a * jnp.sin(b)), primals, series)
    for got, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-5)


def test_what_does_not_change_has_no_rates():
    _, rates = jet(lambda t: function(wave)(2.0, 0.5) + t, (1.0,), ([1.0, 0.0],))
    assert [float(rate) for rate in rates] == [1.0, 0.0]
