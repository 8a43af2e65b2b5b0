"""Factors that move behind inner vertices: the Jacobian stays what it is, and weights become those of others."""

import numpy as np
import pytest

from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate


def softmax(width):
    """Exponentials over their sum."""
    builder = GraphBuilder("softmax", [f"x{k}" for k in range(width)])
    each = [builder.add("exp", k) for k in range(width)]
    total = each[0]
    for k in each[1:]:
        total = builder.add("add", total, k)
    return builder.build([builder.add("div", k, total) for k in each])


def whole(joint, inputs, xs):
    """The Jacobian: entries of outputs and vertices by inputs and vertices, along all ways."""
    values = evaluate(joint.graph, *xs)[joint.n_outputs :]
    rows, columns = joint.n_outputs + joint.inner, inputs + joint.inner
    entries = np.zeros((rows, columns))
    for (m, n), value in zip(joint.positions, values, strict=False):
        entries[m, n] = value
    by_vertices, by_inputs = entries[:, inputs:], entries[:, :inputs].copy()
    for j in range(joint.inner):  # a vertex has entries by those before it only
        m = joint.n_outputs + j
        by_inputs[m] += by_vertices[m] @ by_inputs[joint.n_outputs :]
    return by_inputs[: joint.n_outputs] + by_vertices[: joint.n_outputs] @ by_inputs[joint.n_outputs :]


@pytest.mark.parametrize("width", [10, 17])
def test_softmax_has_as_many_weights_as_outputs(width):
    graph, xs = softmax(width), np.random.default_rng(0).uniform(-2.0, 2.0, width)
    joint = jacobian(graph, tuple(range(width)), elimination="auto")
    nodes = {joint.graph.nodes[k].args[0] if joint.graph.nodes[k].op == "neg" else k for k in joint.entries}
    assert nodes == set(graph.outputs)
    assert (joint.inner, joint.scaled) == (1, {0})
    y = np.exp(xs) / np.exp(xs).sum()
    np.testing.assert_allclose(whole(joint, width, xs), y[:, None] * (np.eye(width) - y), rtol=1e-13, atol=1e-16)


def test_a_factor_that_makes_nothing_the_same_stays():
    """Quotients of other numbers than lead into the divisor."""
    builder = GraphBuilder("f", [f"x{k}" for k in range(12)])
    total = 0
    for k in range(1, 12):
        total = builder.add("add", total, builder.add("mul", k, k))
    graph = builder.build([builder.add("div", builder.constant(1.0 + k), total) for k in range(12)])
    joint, xs = jacobian(graph, tuple(range(12)), elimination="plain"), np.random.default_rng(0).uniform(0.5, 2.0, 12)
    slope, t = np.where(np.arange(12) > 0, 2 * xs, 1.0), xs[0] + (xs[1:] ** 2).sum()
    expected = -(1.0 + np.arange(12))[:, None] / t**2 * slope
    np.testing.assert_allclose(whole(joint, 12, xs), expected, rtol=1e-13)


def test_a_factor_moves_on_behind_the_next_vertex():
    """Into the root of a sum of squares, and that sum, of a layer norm: what leads out of it is twice the outputs then."""
    width = 12
    builder = GraphBuilder("norm", [f"x{k}" for k in range(width)])
    total = builder.constant(1e-3)
    for k in range(width):
        total = builder.add("add", total, builder.add("mul", k, k))
    root = builder.add("sqrt", total)
    graph = builder.build([builder.add("div", k, root) for k in range(width)])
    joint, xs = jacobian(graph, tuple(range(width)), elimination="greedy"), np.random.default_rng(0).uniform(0.5, 2.0, width)
    assert len(joint.scaled) == joint.inner > 0
    assert not any(joint.graph.nodes[k].op == "scaled" for k in joint.entries)
    length = np.sqrt(1e-3 + (xs**2).sum())
    expected = np.eye(width) / length - np.outer(xs, xs) / length**3
    np.testing.assert_allclose(whole(joint, width, xs), expected, rtol=1e-13, atol=1e-16)


SUMS = [("sum", 1e-310, -1.0), ("squares", 1e-155, -4.0), ("root", 1e-155, -(2**0.5))]


@pytest.mark.parametrize(("kind", "small", "slope"), SUMS)
def test_zero_over_a_subnormal_sum_is_flat_in_it(kind, small, slope):
    """16 zeros over a sum of two numbers, of their squares, or its root: quotients of the slopes of that sum are nowhere else."""
    builder = GraphBuilder("over", [*(f"x{k}" for k in range(16)), "a", "b"])
    total = builder.add("add", *(k if kind == "sum" else builder.add("mul", k, k) for k in (16, 17)))
    divisor = builder.add("sqrt", total) if kind == "root" else total
    graph = builder.build([builder.add("div", k, divisor) for k in range(16)])
    joint, x = jacobian(graph, tuple(range(18)), elimination="greedy"), np.arange(1.0, 17.0)
    assert joint.inner == 1
    np.testing.assert_array_equal(whole(joint, 18, [*np.zeros(16), small, small])[:, 16:], 0.0)
    np.testing.assert_allclose(whole(joint, 18, [*x, 0.5, 0.5])[:, 16:], np.outer(x, [slope, slope]), rtol=1e-13)
