"""Derivatives of the gallery to fourth order against mpmath, which differences the same source text in 60 digits."""

import itertools
import math

import numpy as np
import pytest
from helpers.gallery import kernels, random, whole_sample
from helpers.gallery_mpmath import arguments_of, cores_of, exact, exact_along, outputs_of, slots_of
from numpy.testing import assert_allclose

import nbad

POINTS = 3
KERNELS = kernels()
LOSES_DIGITS = {"seawater_enthalpy.seawater_enthalpy": 1e-10}  # its closed form cancels
LONG = {"implied_volatility.implied_volatility", "reprojection.reprojection", "rigid_transform.rigid_transform"}
of_one_number = [name for name, (_, kernel) in KERNELS.items() if kernel.whole_program().leaves == ((),)]
of_one_number = [name for name in of_one_number if not KERNELS[name][1].whole_program().structure.is_tuple]


def by_name(names):
    """As a parameter; kernels whose higher derivatives take seconds wait for the night."""
    return pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in names])


def assert_exact(found, expected, name):
    """Equal to a few units of the last place, or to as many digits as the kernel itself has."""
    assert_allclose(found, expected, rtol=LOSES_DIGITS.get(name, 1e-12), atol=1e-40)


def points_of(name):
    """A kernel, its arguments, and all slots of these as one row for each point."""
    module, kernel = KERNELS[name]
    xs = whole_sample(module, kernel, POINTS)
    return kernel, xs, slots_of(kernel, xs, POINTS)


def orders_of(slots, *chosen):
    """How often to differentiate by each slot."""
    return tuple(chosen.count(k) for k in range(slots.shape[1]))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_jacobian(name, mode):
    kernel, xs, slots = points_of(name)
    found = nbad.jacobian(kernel, mode=mode)(*xs)
    places = itertools.product(range(found.shape[1]), range(found.shape[2]))
    expected = [[exact(kernel, point, orders_of(slots, n), m) for point in slots] for m, n in places]
    scale = np.max(np.abs(found), axis=(0, 1), keepdims=True)  # an entry in which terms cancel has the digits of its column
    tolerance = LOSES_DIGITS.get(name, 1e-13)
    assert np.all(np.abs(found - np.reshape(np.transpose(expected), found.shape)) <= tolerance * scale)


@by_name(of_one_number)
def test_hessian(name):
    kernel, xs, slots = points_of(name)
    found = nbad.hessian(kernel)(*xs)
    for m, n in itertools.combinations_with_replacement(range(slots.shape[1]), 2):
        expected = [exact(kernel, point, orders_of(slots, m, n)) for point in slots]
        assert_exact(found[:, m, n], expected, name)
        assert_exact(found[:, n, m], expected, name)


@by_name(of_one_number)
def test_third_partials(name):
    """Thrice by the first argument, by three different ones, and twice by the last."""
    kernel, xs, slots = points_of(name)
    last = slots.shape[1] - 1
    for chosen in dict.fromkeys([(0, 0, 0), (0, last // 2, last), (last, 0, last)]):
        derivative = kernel
        for k in chosen:
            derivative = nbad.grad(derivative, k)
        assert_exact(derivative(*xs), [exact(kernel, point, orders_of(slots, *chosen)) for point in slots], name)


@pytest.mark.parametrize("orders", [(4, 0, 0, 0, 0), (2, 2, 0, 0, 0), (1, 1, 1, 0, 1), (0, 0, 2, 1, 1)])
def test_fourth_partials_of_lennard_jones(orders):
    kernel, xs, slots = points_of("lennard_jones.lennard_jones")
    derivative = kernel
    for k in itertools.chain.from_iterable([k] * times for k, times in enumerate(orders)):
        derivative = nbad.grad(derivative, k)
    assert_exact(derivative(*xs), [exact(kernel, point, orders) for point in slots], "lennard_jones.lennard_jones")


def line(kernel, order):
    """The derivative by t of a kernel along a line through its slots: a kernel of one number, whatever the first one is."""
    slots, outputs = sum(map(math.prod, cores_of(kernel))), len(kernel.whole_program().graph.outputs)

    def along(t, start, direction, weights):
        values = outputs_of(kernel(*arguments_of(kernel, start + t * direction)))
        return sum(w * value for w, value in zip(weights, values, strict=True))

    found = nbad.kernel(along, signature=f"(),({slots}),({slots}),({outputs})->()", max_operations=20_000)
    for _ in range(order):
        found = nbad.grad(found, "t")
    return found


def check_line(name, order):
    kernel, _, slots = points_of(name)
    direction = 0.1 * np.abs(slots) * random(1).standard_normal(slots.shape)
    weights = random(2).standard_normal(len(kernel.whole_program().graph.outputs))
    found = line(kernel, order)(0.0, slots, direction, weights)
    assert_exact(found, [exact_along(kernel, *at, weights, order) for at in zip(slots, direction, strict=True)], name)


@by_name(KERNELS)
@pytest.mark.parametrize("order", [2, 3])
def test_derivatives_along_a_line(name, order):
    """Every partial of that order takes part, those of vectors and of several outputs too."""
    check_line(name, order)


@pytest.mark.parametrize("name", ["black_scholes.price", "reprojection.reprojection", "nonlinear_regression.rat43"])
def test_fourth_derivatives_along_a_line(name):
    check_line(name, 4)


@pytest.mark.parametrize("name", of_one_number)
def test_hessian_of_chosen_arguments_in_any_order(name):
    kernel, xs, _ = points_of(name)
    names = kernel.parameters[: len(xs)][::-2]
    places = [kernel.parameters.index(each) for each in names]
    whole = nbad.hessian(kernel)(*xs)
    chosen = nbad.hessian(kernel, argnums=names)(*xs)
    assert_allclose(chosen, whole[:, places][:, :, places], rtol=LOSES_DIGITS.get(name, 1e-12), atol=1e-40)


@pytest.mark.parametrize("name", of_one_number)
def test_hessian_times_many_directions(name):
    """Over one forward sweep, one at a time, and by the Hessian itself."""
    kernel, xs, slots = points_of(name)
    names = kernel.parameters
    directions = random(4).standard_normal((5, POINTS, slots.shape[1])) * (1 + np.abs(slots))
    columns = [np.array(np.broadcast_to(x, POINTS)) for x in xs]
    hessian = nbad.hessian(kernel)(*columns)
    expected = np.einsum("nij,snj->sin", hessian, directions)
    _, pushforward = nbad.linearize(nbad.grad(kernel, names), *columns)
    many = np.stack(pushforward.batched(tuple(np.moveaxis(directions, -1, 0))), axis=1)
    bounds = LOSES_DIGITS.get(name, 1e-13) * np.einsum("nij,snj->sin", np.abs(hessian), np.abs(directions)) + 1e-300
    assert np.all(np.abs(many - expected) <= bounds)
    for direction, found, bound in zip(directions, many, bounds, strict=True):
        one = np.stack(nbad.hvp(kernel, tuple(columns), tuple(direction.T)))
        assert np.all(np.abs(one - found) <= bound)


@pytest.mark.parametrize("name", of_one_number)
def test_second_order_fills_out(name):
    """With the bits of fresh results."""
    kernel, xs, _ = points_of(name)
    names, v = kernel.parameters, tuple(0.5 for _ in xs)

    def hvp(*xs, out=None):
        return nbad.hvp(kernel, xs, v, out=out)

    for call in (nbad.hessian(kernel), nbad.grad(kernel, names), nbad.value_and_grad(kernel, names), hvp):
        fresh = call(*xs)
        out = empty_like(fresh)
        assert call(*xs, out=out) is out
        assert bits(*flattened(out)) == bits(*flattened(fresh))


def empty_like(result):
    return tuple(map(empty_like, result)) if isinstance(result, tuple) else np.full_like(result, np.nan)


def flattened(result):
    return [leaf for part in result for leaf in flattened(part)] if isinstance(result, tuple) else [result]


def bits(*arrays):
    return [(a.dtype, a.shape, a.tobytes()) for a in arrays]
