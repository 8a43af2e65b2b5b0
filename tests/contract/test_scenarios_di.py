"""The default scenarios of DifferentiationInterfaceTest (JuliaDiff/DifferentiationInterface.jl), mapped to kernels.

A function of a number is a kernel on one element; a function to or from an array is a kernel broadcast over its elements,
or one with several arguments or outputs. Every scenario runs pushforward, pullback and Jacobian, with one seed and with
several, into fresh memory and in place, at first use and after other uses.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from kernels import sine, sine_of_multiple

X, DX, DY = 0.42, 3.14, -1 / 12
X6, DX6 = np.arange(1.0, 7.0), -np.arange(1.0, 7.0)
DY6, DY12 = np.arange(-5.0, 6.0, 2.0), np.arange(-11.0, 12.0, 2.0)
A6 = np.arange(1.0, 7.0)


def matrix(vector, *shape):
    return vector.reshape(shape, order="F")


@nbad.kernel
def two_sines(x):
    return math.sin(x), math.sin(2 * x)


@nbad.kernel
def six_sines(x):
    return math.sin(x), math.sin(2 * x), math.sin(3 * x), math.sin(4 * x), math.sin(5 * x), math.sin(6 * x)


@nbad.kernel
def sine_and_cosine(x):
    return math.sin(x), math.cos(x)


@nbad.kernel
def fourth_times_sixth_powers(a, b, c, d, e, f):
    return (a**4 + b**4 + c**4 + d**4 + e**4 + f**4) * (a**6 + b**6 + c**6 + d**6 + e**6 + f**6)


@dataclass(frozen=True)
class Scenario:
    """A kernel at a point, one tangent and one cotangent, and what must come out."""

    kernel: Any
    primals: tuple
    tangents: tuple
    cotangent: Any
    value: Any
    pushed: Any
    pulled: tuple
    jacobian: Any
    argnums: Any = None


def of_number(kernel, multiples, cotangent):
    """`multiples` of x under a sine, each an output."""
    value, slope = np.sin(multiples * X), multiples * np.cos(multiples * X)
    pulled = (slope @ cotangent,)
    return Scenario(kernel, (X,), (DX,), tuple(cotangent), tuple(value), tuple(slope * DX), pulled, slope[:, None])


def number_to_array(a, cotangent):
    """The same by broadcasting: x is one number, a constant array holds the multiples."""
    slope = a * np.cos(a * X)
    return Scenario(
        sine_of_multiple,
        (X, a),
        (DX, 0.0),
        cotangent,
        np.sin(a * X),
        slope * DX,
        (np.sum(slope * cotangent),),
        slope[..., None, None],
        argnums="x",
    )


def elementwise(x, dx, first, second):
    """Sine and cosine of every element; the two halves of the published seed are the seeds of the two outputs."""
    sin, cos = np.sin(x), np.cos(x)
    jacobian = np.stack([cos, -sin], axis=-1)[..., None]
    pulled = (cos * first - sin * second,)
    return Scenario(sine_and_cosine, (x,), (dx,), (first, second), (sin, cos), (cos * dx, -sin * dx), pulled, jacobian)


def array_to_number():
    gradient = 4 * X6**3 * np.sum(X6**6) + 6 * X6**5 * np.sum(X6**4)
    return Scenario(
        fourth_times_sixth_powers,
        tuple(X6),
        tuple(DX6),
        DY,
        np.sum(X6**4) * np.sum(X6**6),
        gradient @ DX6,
        tuple(gradient * DY),
        gradient[None, :],
    )


SCENARIOS = {
    "num_to_num": Scenario(sine, (X,), (DX,), DY, math.sin(X), math.cos(X) * DX, (math.cos(X) * DY,), np.array([[math.cos(X)]])),
    "num_to_num of size one": Scenario(
        sine,
        (np.array([X]),),
        (np.array([DX]),),
        np.array([DY]),
        np.sin([X]),
        np.cos([X]) * DX,
        (np.cos([X]) * DY,),
        np.cos([[[X]]]),
    ),
    "num_to_vec, two outputs": of_number(two_sines, A6[:2], np.array([-3.0, 4.0])),
    "num_to_vec, six outputs": of_number(six_sines, A6, DY6),
    "num_to_vec, broadcast": number_to_array(A6, DY6),
    "num_to_mat, broadcast": number_to_array(matrix(A6, 2, 3), matrix(DY6, 2, 3)),
    "arr_to_num": array_to_number(),
    "vec_to_vec": elementwise(X6, DX6, DY12[:6], DY12[6:]),
    "vec_to_mat": elementwise(X6, DX6, *matrix(DY12, 6, 2).T),
    "mat_to_vec": elementwise(matrix(X6, 2, 3), matrix(DX6, 2, 3), matrix(DY12[:6], 2, 3), matrix(DY12[6:], 2, 3)),
    "mat_to_mat": elementwise(matrix(X6, 2, 3), matrix(DX6, 2, 3), *(matrix(c, 2, 3) for c in matrix(DY12, 6, 2).T)),
}
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())


def leaves(tree):
    return tree if isinstance(tree, tuple) else (tree,)


def assert_close(computed, expected):
    """Same structure, same shapes, equal to a few units in the last place of float64."""
    assert isinstance(computed, tuple) == isinstance(expected, tuple)
    for a, b in zip(leaves(computed), leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        assert_allclose(a, b, rtol=1e-14, atol=1e-14)


def assert_same(computed, expected):
    for a, b in zip(leaves(computed), leaves(expected), strict=True):
        assert_array_equal(a, b)


def seeds_of(scenario, factors):
    """The cotangent times each factor, stacked along a leading axis."""
    stacked = tuple(np.multiply.outer(factors, np.asarray(leaf)) for leaf in leaves(scenario.cotangent))
    return stacked if isinstance(scenario.cotangent, tuple) else stacked[0]


def seed(seeds, number):
    return tuple(leaf[number] for leaf in seeds) if isinstance(seeds, tuple) else seeds[number]


def vjp(scenario):
    return nbad.vjp(scenario.kernel, *scenario.primals, argnums=scenario.argnums)


def nan_like(tree):
    """Memory to fill, in the structure of `tree`; nan shows what was not written."""
    filled = tuple(np.full(np.shape(leaf), np.nan) for leaf in leaves(tree))
    return filled if isinstance(tree, tuple) else filled[0]


@every_scenario
def test_pushforward(scenario):
    value, pushed = nbad.jvp(scenario.kernel, scenario.primals, scenario.tangents)
    assert_close(value, scenario.value)
    assert_close(pushed, scenario.pushed)


@every_scenario
def test_pullback(scenario):
    value, pullback = vjp(scenario)
    assert_close(value, scenario.value)
    assert_close(pullback(scenario.cotangent), scenario.pulled)


@every_scenario
def test_jacobian(scenario):
    value, jacobian = nbad.value_and_jacobian(scenario.kernel, scenario.argnums)(*scenario.primals)
    assert_close(value, scenario.value)
    assert_close(jacobian, scenario.jacobian)
    assert_same(nbad.jacobian(scenario.kernel, scenario.argnums)(*scenario.primals), jacobian)


@every_scenario
def test_many_seeds(scenario):
    _, pullback = vjp(scenario)
    factors = np.array([1.0, -2.0, 0.5, 0.0, 3.25])
    seeds = seeds_of(scenario, factors)
    many = pullback.batched(seeds)
    assert_close(many, tuple(np.multiply.outer(factors, leaf) for leaf in scenario.pulled))
    for number in range(factors.size):
        assert_same(tuple(leaf[number] for leaf in many), pullback(seed(seeds, number)))


@every_scenario
@pytest.mark.parametrize("count", [0, 1])
def test_no_seed_and_one_seed(scenario, count):
    _, pullback = vjp(scenario)
    many = pullback.batched(seeds_of(scenario, np.ones(count)))
    assert [np.shape(leaf) for leaf in many] == [(count, *np.shape(leaf)) for leaf in scenario.pulled]
    assert_close(many, tuple(np.multiply.outer(np.ones(count), leaf) for leaf in scenario.pulled))


@every_scenario
def test_in_place(scenario):
    value, pullback = vjp(scenario)
    into = nan_like(scenario.value)
    scenario.kernel(*scenario.primals, out=into)
    assert_same(into, value)
    into = nan_like(scenario.pulled)
    pullback(scenario.cotangent, out=into)
    assert_same(into, pullback(scenario.cotangent))
    into = nan_like(scenario.jacobian)
    nbad.jacobian(scenario.kernel, scenario.argnums)(*scenario.primals, out=into)
    assert_close(into, scenario.jacobian)


@every_scenario
def test_many_seeds_in_place(scenario):
    _, pullback = vjp(scenario)
    seeds = seeds_of(scenario, np.array([2.0, -1.0, 7.0]))
    into = tuple(np.full((3, *np.shape(leaf)), np.nan) for leaf in scenario.pulled)
    pullback.batched(seeds, out=into)
    assert_same(into, pullback.batched(seeds))


@every_scenario
def test_preparation_is_reused(scenario):
    """A second pullback of the same kernel elsewhere, and calls of both in turn, change no bit of the first one's answers."""
    _, pullback = vjp(scenario)
    first = pullback(scenario.cotangent)
    elsewhere = tuple(2.0 * np.asarray(x) for x in scenario.primals)
    _, other = nbad.vjp(scenario.kernel, *elsewhere, argnums=scenario.argnums)
    for _ in range(3):
        other(scenario.cotangent)
        assert_same(pullback(scenario.cotangent), first)
    assert_close(first, scenario.pulled)


def test_all_scenarios_at_once():
    """Every pullback is kept, then all are called, last one first."""
    kept = [(vjp(scenario)[1], scenario) for scenario in SCENARIOS.values()]
    for pullback, scenario in reversed(kept):
        assert_close(pullback(scenario.cotangent), scenario.pulled)
