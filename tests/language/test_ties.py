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


def test_nested_calls_stay_half_and_half():
    partials = nbad.grad(nbad.kernel(lambda a, b, c: max(max(a, b), c)), (0, 1, 2))(1.0, 1.0, 1.0)
    assert partials == (0.25, 0.25, 0.5)


def test_constants_take_part():
    assert nbad.grad(nbad.kernel(lambda x: max(x, 1.0, 0.0, 1.0)))(1.0) == pytest.approx(1 / 3, rel=1e-15)
    assert np.isnan(nbad.kernel(lambda x, y, z: max(x, y, z))(np.nan, 1.0, 2.0))
