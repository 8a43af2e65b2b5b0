"""Ties of `max`, `min`, `np.max`, `np.min`: k equal items share the derivative, 1/k each, in whatever order they stand."""

import itertools

import numpy as np
import pytest

import nbad

BUILTIN = [lambda a, b, c, d: max(a, b, c, d), lambda a, b, c, d: max([a, b, c, d]), lambda a, b, c, d: -min(-a, -b, -c, -d)]
ORDERS = sorted({order for tied in range(1, 5) for order in itertools.permutations([1.5] * tied + [0.0, -1.0, 0.5][: 4 - tied])})


def shares(items):
    items = np.asarray(items)
    return (items == items.max()) / (items == items.max()).sum()


@pytest.mark.parametrize("function", BUILTIN)
def test_arguments_share_alike(function):
    kernel, columns = nbad.kernel(function), np.array(ORDERS).T
    value, partials = nbad.value_and_jacobian(kernel)(*columns)
    np.testing.assert_array_equal(value, columns.max(axis=0))
    np.testing.assert_allclose(partials[:, 0], [shares(order) for order in ORDERS], rtol=1e-15)
    assert not nbad.hessian(kernel)(*columns).any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_items_of_an_array_share_alike(sign):
    @nbad.kernel(signature="(4)->()")
    def greatest(a):
        return np.max(a) if sign > 0 else np.min(a)

    for mode in ("forward", "reverse"):
        partials = nbad.jacobian(greatest, mode=mode)(sign * np.array(ORDERS))
        np.testing.assert_allclose(partials[:, 0], [shares(order) for order in ORDERS], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_many_items_share_alike(dtype):
    rows = np.random.default_rng(0).integers(0, 6, (200, 40)).astype(dtype)
    rows[0], rows[1, 7], rows[2, 3:9], rows[3] = 0.0, np.nan, np.inf, -np.inf
    rows[0, ::2] = -0.0
    greatest = nbad.kernel(lambda a: np.max(a), signature="(40)->()")
    expected = np.array([np.zeros(40) if np.isnan(row).any() else shares(row) for row in rows])
    for mode in ("forward", "reverse"):
        np.testing.assert_array_equal(nbad.jacobian(greatest, mode=mode)(rows)[:, 0], expected.astype(dtype))
    value, pullback = nbad.vjp(greatest, rows)
    np.testing.assert_array_equal(value, rows.max(axis=1))
    np.testing.assert_array_equal(pullback(1.0)[0], expected.astype(dtype))


def test_wide_maps_share_alike():
    """Where the greatest value is a vertex of a map: what is taken off each item has no derivative in the end."""
    rows = np.random.default_rng(1).integers(0, 4, (50, 20)).astype(float)
    away = nbad.kernel(lambda a: a * np.max(a), signature="(20)->(20)")
    blocks = rows.max(axis=1)[:, None, None] * np.eye(20) + rows[:, :, None] * np.array([shares(row) for row in rows])[:, None, :]
    seeds, tangents = np.random.default_rng(2).standard_normal((2, 50, 20))
    for policy in ("partials", "mincut", "recompute"):
        cotangents = nbad.vjp(away, rows, residuals=policy)[1](seeds)[0]
        np.testing.assert_allclose(cotangents, np.einsum("bm,bmn->bn", seeds, blocks), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(nbad.jvp(away, (rows,), (tangents,))[1], np.einsum("bmn,bn->bm", blocks, tangents), atol=1e-13)
    np.testing.assert_allclose(nbad.jacobian(away)(rows), blocks, rtol=1e-14)


def test_the_greatest_of_whole_numbers_is_whole():
    table = [0.5, 1.5, 2.5, 3.5]

    @nbad.kernel
    def looked_up(x, n, m):
        return table[max(int(n), int(m), 1)] * x

    n, m = np.array([0, 3, 1]), np.array([2, 1, 0])
    np.testing.assert_array_equal(looked_up(2.0, n, m), [5.0, 7.0, 3.0])


def test_nested_calls_stay_half_and_half():
    partials = nbad.grad(nbad.kernel(lambda a, b, c: max(max(a, b), c)), (0, 1, 2))(1.0, 1.0, 1.0)
    assert partials == (0.25, 0.25, 0.5)


def test_constants_take_part():
    assert nbad.grad(nbad.kernel(lambda x: max(x, 1.0, 0.0, 1.0)))(1.0) == pytest.approx(1 / 3, rel=1e-15)
    assert np.isnan(nbad.kernel(lambda x, y, z: max(x, y, z))(np.nan, 1.0, 2.0))
