"""Hessians are symmetric: one triangle is computed, and both are filled."""

import math

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.graphs.graph import GraphBuilder
from nbad.plans import work
from nbad.plans.plan import symmetric, whole_jacobian


@nbad.kernel
def rate(a, b, t):
    return a * math.exp(-b / t) * t**b


@nbad.kernel(signature="(3),()->()")
def well(r, depth):
    s = depth * np.dot(r, r)
    return s * np.exp(-s) + r[0] * r[1] ** 2


def second(f, x, i, j):
    """A second partial in 40 digits."""
    orders = [int(k == i) + int(k == j) for k in range(len(x))]
    with mpmath.workdps(40):
        return float(mpmath.diff(f, tuple(map(mpmath.mpf, x)), tuple(orders)))


def exact_rate(a, b, t):
    return a * mpmath.exp(-b / t) * t**b


def exact_well(x, y, z, depth):
    s = depth * (x * x + y * y + z * z)
    return s * mpmath.exp(-s) + x * y**2


CASES = {"rate": (rate, exact_rate, (1.5, 0.75, 2.25)), "well": (well, exact_well, (0.5, -0.25, 0.75, 1.25))}


@pytest.mark.parametrize("name", CASES)
def test_both_triangles_are_right_and_equal_to_the_bit(name):
    kernel, exact, point = CASES[name]
    xs = (np.array(point[:3]), point[3]) if name == "well" else point
    found = nbad.hessian(kernel)(*xs)
    assert_array_equal(found, found.T)
    wanted = [[second(exact, point, i, j) for j in range(len(point))] for i in range(len(point))]
    assert_allclose(found, wanted, rtol=1e-13, atol=1e-15)


def test_elements_that_fail_still_do():
    @nbad.kernel
    def guarded(x, y):
        if x < 0:
            raise ValueError("x is negative")
        return x * x * y + math.sqrt(x) * y * y

    found = nbad.hessian(guarded)(np.array([1.0, 4.0]), 2.0)
    assert_allclose(found, [[[3.0, 4.0], [4.0, 2.0]], [[3.875, 4.0 * 2 + 1.0], [9.0, 4.0]]], rtol=1e-14)
    with pytest.raises(ValueError, match="x is negative"):
        nbad.hessian(guarded)(np.array([1.0, -1.0]), 2.0)


def test_the_cheaper_triangle_is_kept():
    builder = GraphBuilder("g", ["x", "y"])
    dear, product = builder.add("exp", 0), builder.add("mul", 0, 1)
    graph = builder.build([0, dear, product, 1])
    kept = symmetric(graph, 2)
    assert [kept.nodes[k].op for k in kept.outputs] == ["input", "mul", "mul", "input"]
    assert work.total(kept) < work.total(graph)


def test_a_jacobian_of_a_gradient_by_others_or_in_another_order_has_both():
    gradient = nbad.grad(rate, ("a", "b"))
    program = gradient.whole_program()
    for chosen, is_half in (((0, 1), True), ((1, 0), False), ((0, 2), False)):
        plan = program.jacobian_plan(program.input_slots(chosen), "auto")
        whole, taken = whole_jacobian(plan, False), program.jacobian_graph(plan, False)
        assert (work.total(taken) < work.total(whole)) == is_half
    x = np.array([1.5, 0.75, 2.25])
    found = nbad.jacobian(gradient, ("b", "a"))(*x)
    assert_allclose(found, [[second(exact_rate, x, i, j) for j in (1, 0)] for i in (0, 1)], rtol=1e-13, atol=1e-15)


def test_a_jacobian_of_value_and_gradient_has_both():
    """Of a partial by x, with its own partial by y, it has two rows for two arguments, and is no Hessian."""
    slope = nbad.grad(nbad.kernel(lambda x, y: x**2 * y**3), "x")
    both = nbad.value_and_grad(slope, "y").both
    x, y = 1.5, 2.0
    assert_allclose(nbad.jacobian(both)(x, y), [[2 * y**3, 6 * x * y**2], [6 * y**2, 12 * x * y]], rtol=1e-14)


def test_a_hessian_of_a_partial_is_one():
    slope = nbad.grad(nbad.grad(rate, "t"), ("a", "b"))
    program = slope.whole_program()
    plan = program.jacobian_plan(program.input_slots((0, 1)), "auto")
    assert work.total(program.jacobian_graph(plan, False)) < work.total(whole_jacobian(plan, False))
    x = np.array([1.5, 0.75, 2.25])
    with mpmath.workdps(40):
        point = tuple(map(mpmath.mpf, x))
        wanted = [[float(mpmath.diff(exact_rate, point, (i + k, 2 - i - k, 1))) for k in (1, 0)] for i in (1, 0)]
    assert_allclose(nbad.jacobian(slope, ("a", "b"))(*x), wanted, rtol=1e-12, atol=1e-15)
