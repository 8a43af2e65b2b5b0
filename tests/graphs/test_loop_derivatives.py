"""Derivatives of loops on data against dual numbers, closed forms and 50 digits, to the third order."""

import math

import mpmath
import numpy as np
import pytest
from helpers import nested_duals as duals
from helpers.loops import EXAMPLES, Steps, cos, exp, gcd, graph_of, kepler, oscillator, sin, sqrt, where

from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import Graph
from nbad.graphs.interpreter import evaluate
from nbad.graphs.loops import each_once
from nbad.graphs.simplify import simplify

examples = pytest.mark.parametrize("name", EXAMPLES)
in_both_modes = pytest.mark.parametrize("mode", ["reverse", "forward"])


def dense(graph, point, mode="reverse"):
    """Outputs by inputs."""
    joint = jacobian(graph, tuple(range(len(graph.inputs))), mode)
    rows = np.zeros((joint.n_outputs, len(graph.inputs)))
    values = evaluate(simplify(joint.graph), *point)[joint.n_outputs :]
    for (m, n), value in zip(joint.positions, values, strict=True):
        rows[m, n] = value
    return rows


def derivative(graph, wrt, mode="reverse"):
    """The graph of the derivatives of all outputs by one input."""
    joint = jacobian(graph, (wrt,), mode)
    entries = dict(zip(joint.positions, joint.graph.outputs[joint.n_outputs :], strict=True))
    assert len(entries) == len(graph.outputs)
    return simplify(Graph(graph.name, graph.inputs, joint.graph.nodes, tuple(entries.values())))


def loops_of(graph):
    return [node.payload.loop for node in each_once(graph) if node.op == "loop"]


@in_both_modes
@examples
def test_first_derivatives_are_those_of_dual_numbers(name, mode):
    function, points = EXAMPLES[name]
    graph = graph_of(len(points[0]), function)
    for point in points:
        np.testing.assert_allclose(dense(graph, point, mode), duals.jacobian(function, point), rtol=1e-13, atol=1e-13)


@in_both_modes
@pytest.mark.parametrize("order", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["kepler", "oscillator", "nested"])
def test_higher_derivatives_are_those_of_dual_numbers(name, order, mode):
    function, points = EXAMPLES[name]
    slots = [0, 1] if name != "nested" else [0]
    graph, plain = graph_of(len(points[0]), function), function
    for k in range(order - 1):
        graph, plain = derivative(graph, slots[k % len(slots)], mode), duals.derivative(plain, slots[k % len(slots)])
    for point in points[:2]:
        np.testing.assert_allclose(dense(graph, point, mode), duals.jacobian(plain, point), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("m", "e"), [(1.0, 0.5), (2.0, 0.9), (-3.0, 0.3)])
def test_kepler_has_the_derivatives_of_the_root(m, e):
    graph, expected = graph_of(2, kepler), []
    with mpmath.workdps(50):
        root = lambda mean: mpmath.findroot(lambda x: x - mpmath.mpf(e) * mpmath.sin(x) - mean, kepler(m, e))  # noqa: E731
        expected = [mpmath.diff(root, mpmath.mpf(m), order) for order in range(4)]
    for order in range(4):
        assert evaluate(graph, m, e)[0] == pytest.approx(float(expected[order]), rel=1e-12 if order < 2 else 1e-9)
        graph = derivative(graph, 0)


def test_what_is_whole_has_no_slope():
    assert jacobian(graph_of(2, gcd), (0, 1)).positions == ((0, 0), (0, 1))  # a step may be whole for some operands only
    np.testing.assert_array_equal(dense(graph_of(2, gcd), (12.0, 18.0)), duals.jacobian(gcd, (12.0, 18.0)))


@in_both_modes
def test_values_and_derivatives_are_carried_by_one_loop(mode):
    joint = jacobian(graph_of(4, oscillator), (0, 1, 2, 3), mode)
    (loop,) = loops_of(joint.graph)
    assert loop.states == 3 + 2 * 4  # the loop counts its passes itself
    second = jacobian(joint.graph, (0, 1), mode)
    assert len(loops_of(second.graph)) == 1


def test_bits_of_values_do_not_depend_on_what_is_carried_beside_them():
    graph, point = graph_of(4, oscillator), EXAMPLES["oscillator"][1][0]
    joint = jacobian(graph, (0, 1, 2, 3))
    assert evaluate(joint.graph, *point)[:2] == evaluate(graph, *point)


def test_states_that_nobody_uses_are_not_carried():
    steps = Steps(lambda x, y, k, a, b: (k < 5.0, (x * a, y * b + x, k + 1.0)), 3, 2)
    graph = simplify(graph_of(4, lambda x, y, a, b: steps([x, y, 0.0], [a, b])[0]))
    (loop,) = loops_of(graph)
    assert (loop.states, len(loop.step.inputs)) == (2, 3)
    (wide,) = loops_of(jacobian(graph_of(4, lambda x, y, a, b: steps([x, y, 0.0], [a, b])[0]), (0, 1, 2, 3)).graph)
    assert wide.states == 2 + 2  # derivatives by x and a; the loop counts its passes itself


def test_states_that_are_the_same_are_one():
    steps = Steps(lambda x, y, u, v, k, a: (k < 4.0, (x * a, y * a, v * x, u * y, k + 1.0)), 5, 1)
    graph = graph_of(2, lambda x, a: tuple(steps([x, x, a, a, 0.0], [a])[:4]))
    (loop,) = loops_of(simplify(graph))
    assert loop.states == 3  # x and u; v is u, as long as y is x
    np.testing.assert_array_equal(evaluate(simplify(graph), 1.5, 2.0), evaluate(graph, 1.5, 2.0))
    unlike = graph_of(2, lambda x, a: tuple(steps([x, x, a, x, 0.0], [a])[:4]))
    assert [loop.states for loop in loops_of(simplify(unlike))] == [4]
    np.testing.assert_array_equal(evaluate(simplify(unlike), 1.5, 2.0), evaluate(unlike, 1.5, 2.0))


def test_zeros_of_both_signs_are_not_the_same():
    steps = Steps(lambda x, y, k: (k < 2.0, (x * 1.0, y * 1.0, k + 1.0)), 3, 0)
    graph = simplify(graph_of(1, lambda x: tuple(steps([0.0, -0.0, x], [])[:2])))
    assert [str(value) for value in evaluate(graph, 0.0)] == ["0.0", "-0.0"]


def test_captured_constants_and_repetitions_are_not_captured():
    steps = Steps(lambda x, a, b, c: (x < c, (x * a + b,)), 1, 3)
    graph = simplify(graph_of(2, lambda x, a: steps([x], [a, a, 9.0])[0]))
    (loop,) = loops_of(graph)
    assert len(loop.step.inputs) == 2
    np.testing.assert_array_equal(evaluate(graph, 1.0, 2.0)[0], steps([1.0], [2.0, 2.0, 9.0])[0])


def test_a_derivative_is_right_where_the_first_pass_has_none():
    """The square root at 0 has no slope, but what is under it does not depend on anything yet."""
    steps = Steps(lambda z, k, c: (k < 3.0, (sqrt(z) + c, k + 1.0)), 2, 1)
    graph = graph_of(1, lambda c: steps([0.0, 0.0], [c])[0])

    def plain(c):
        return c + mpmath.sqrt(c + mpmath.sqrt(c))

    np.testing.assert_allclose(dense(graph, (2.0,)), float(mpmath.diff(plain, 2.0)), rtol=1e-14)
    np.testing.assert_allclose(dense(derivative(graph, 0), (2.0,)), float(mpmath.diff(plain, 2.0, 2)), rtol=1e-13)


def test_a_root_of_what_depends_on_nothing_else_has_no_slope():
    steps = Steps(lambda z, k: (k < 1.0, (sqrt(z), k + 1.0)), 2, 0)
    graph = graph_of(1, lambda x: steps([x, 0.0], [])[0])
    assert dense(graph, (0.0,)) == math.inf


@in_both_modes
def test_arms_that_a_pass_does_not_take_spoil_nothing(mode):
    """Where x is not positive the root is not taken, and its slope is none; nor is a slope that was lost before, later."""
    steps = Steps(lambda z, w, k, x: (k < 4.0, (where(k < 2.0, z * x, 3.0), where(x > 0.0, sqrt(x) * w, w + x), k + 1.0)), 3, 1)
    graph = graph_of(2, lambda x, z: tuple(steps([z, 1.0, 0.0], [x])[:2]))
    np.testing.assert_array_equal(dense(graph, (0.0, 1.0), mode), [[0.0, 0.0], [4.0, 0.0]])
    np.testing.assert_allclose(dense(graph, (4.0, 1.0), mode), [[0.0, 0.0], [4 * 2.0**3 / 4.0, 0.0]])


def test_what_is_lost_on_the_way_and_not_used_any_more_is_not_seen():
    """The state grows beyond all numbers, and is then replaced."""
    steps = Steps(lambda z, k, x: (k < 5.0, (where(k < 4.0, exp(z * x), x * x), k + 1.0)), 2, 1)
    graph = graph_of(2, lambda z, x: steps([z, 0.0], [x])[0])
    np.testing.assert_array_equal(dense(graph, (5.0, 100.0)), [[0.0, 200.0]])


@in_both_modes
def test_a_loop_that_is_not_active_gives_no_slope(mode):
    def function(x, y):
        positive = x > 0.0
        ended = Steps(lambda z, a: (z < 100.0, (sqrt(a) * z * z + 2.0,)), 1, 1)
        return where(positive, ended([y], [x], positive)[0], 2.0 * y)

    graph = graph_of(2, function)
    np.testing.assert_array_equal(dense(graph, (-1.0, 3.0), mode), [[0.0, 2.0]])
    np.testing.assert_allclose(dense(graph, (2.0, 3.0), mode), duals.jacobian(function, (2.0, 3.0)), rtol=1e-14)


def test_an_element_that_does_no_pass_follows_what_it_was_given():
    steps = Steps(lambda z, a: (z < a, (z * z + a,)), 1, 1)
    graph = graph_of(2, lambda z, a: steps([z], [a]))
    np.testing.assert_array_equal(dense(graph, (5.0, 2.0)), [[1.0, 0.0], [0.0, 0.0]])


def test_one_after_the_other():
    first = Steps(lambda z, k, a: (k < 3.0, (sin(z) * a, k + 1.0)), 2, 1)
    second = Steps(lambda u, a, b: (u < 50.0, (u * a + cos(b),)), 1, 2)

    def function(x, y):
        z = first([x, 0.0], [y])[0]
        return second([z * z + 2.0], [y, z])[0] * z

    graph = graph_of(2, function)
    for point in [(0.5, 2.0), (1.0, 3.0)]:
        np.testing.assert_allclose(dense(graph, point), duals.jacobian(function, point), rtol=1e-13)
        np.testing.assert_allclose(
            dense(derivative(graph, 1), point), duals.jacobian(duals.derivative(function, 1), point), rtol=1e-12
        )


def test_by_some_inputs_only():
    joint = jacobian(graph_of(4, oscillator), (2,))
    assert joint.positions == ((0, 2), (1, 2))
    (loop,) = loops_of(joint.graph)
    assert loop.states == 3 + 2


def test_long_sums_of_choices():
    """Each of 300 terms counts for some numbers only."""

    def step(z, k, x):
        total = 0.0 * x
        for limit in range(300):
            total = total + where(z > float(limit), z * x, 0.0)
        return k < 2.0, (total, k + 1.0)

    graph = graph_of(2, lambda z, x: Steps(step, 2, 1)([z, 0.0], [x])[0])
    # z = 2.5 is above 3 limits, and 3*z*x = 3.75 above 4 of them: 4 * 3*z*x * x
    np.testing.assert_allclose(dense(graph, (2.5, 0.5)), [[12 * 0.25, 24 * 2.5 * 0.5]], rtol=1e-14)


ROOT_IN_AN_ARM = Steps(lambda z, k, y, r: (k < 3.0, (where(y > 0.0, z + r, 2.0 * z + y), k + 1.0)), 2, 2)
SWAP = Steps(lambda a, b, k, x: (k < 3.0, (b * x, sqrt(a * a + k), k + 1.0)), 3, 1)
REPLACED = Steps(lambda z, k, x: (k < 2.0, (where(k > 0.5, z * x, x), k + 1.0)), 2, 1)


@in_both_modes
@pytest.mark.parametrize(
    ("function", "point"),
    [
        # the slope of a root at 0 that is given to a loop, and used in an arm that is not taken, in no pass, or behind one
        (lambda y, z: ROOT_IN_AN_ARM([z, 0.0], [y, sqrt(y)])[0], (0.0, 2.0)),
        (lambda y, z: ROOT_IN_AN_ARM([z, 5.0], [y, sqrt(y)])[0], (0.0, 2.0)),
        (lambda y, z: REPLACED([sqrt(y), 0.0], [z])[0], (0.0, 2.0)),
        (lambda y, z: sqrt(REPLACED([y, 0.0], [z])[0] - 4.0) + y, (3.0, 2.5)),
        # what follows a value in every other pass only, and then nothing
        (lambda y, z: SWAP([z, y, 0.0], [2.0 * y])[0] + SWAP([z, y, 1.0], [z])[1], (0.0, 0.0)),
        (lambda y, z: SWAP([y, sqrt(z), 1.0], [y])[1], (1.0, 0.0)),
    ],
)
def test_what_an_element_does_not_use_spoils_nothing(function, point, mode):
    expected = duals.jacobian(function, point)
    assert np.isfinite(expected[0]).any()
    got = dense(graph_of(2, function), point, mode)
    np.testing.assert_allclose(got[np.isfinite(expected)], expected[np.isfinite(expected)], rtol=1e-14)
