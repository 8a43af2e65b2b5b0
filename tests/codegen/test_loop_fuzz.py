"""Random programs with loops on data: vector code against the interpreter, derivatives against dual numbers."""

import numpy as np
import pytest
from helpers import nested_duals as duals
from helpers.loops import graph_of
from helpers.random_loops import random_function
from helpers.tiles_by_hand import compile_tile, run_tile, same_bits

from nbad.codegen.lower import lower
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import Graph
from nbad.graphs.interpreter import evaluate
from nbad.graphs.simplify import simplify
from nbad.plans.partition import partition

POINTS = [
    np.array([-2.0, -0.75, 0.0, 0.5, 1.0, 1.25, 3.0, -0.0, 0.3]),
    np.array([0.5, 2.0, -1.0, 0.5, -0.25, 0.0, 1.5, 4.0, -3.0]),
]


def check_bits(seed):
    """Plain, simplified, joint and planned graphs as vector code have the interpreter's bits, and primal values those of all."""
    graph = graph_of(2, random_function(np.random.default_rng(seed), "exact"))
    joint = jacobian(graph, (0, 1), "forward" if seed % 2 else "reverse")
    forward = partition(joint, (0, 1), "partials").forward
    expected = evaluate(graph, *POINTS)
    for dtype in ("float64", "float32"):
        inputs = [x.astype(dtype) for x in POINTS]
        for found in (graph, simplify(graph), joint.graph, forward):
            values = evaluate(found, *inputs)
            for got, wanted in zip(run_tile(compile_tile(lower(found, dtype)), *inputs), values, strict=True):
                assert same_bits(got, np.ascontiguousarray(wanted)), (seed, dtype)
            if dtype == "float64":
                for got, wanted in zip(values, expected, strict=False):
                    assert same_bits(np.ascontiguousarray(got), np.ascontiguousarray(wanted)), seed


def derivative(graph, slot, mode):
    joint = jacobian(graph, (slot,), mode)
    entries = dict(zip(joint.positions, joint.graph.outputs[joint.n_outputs :], strict=True))
    return simplify(Graph(graph.name, graph.inputs, joint.graph.nodes, tuple(entries.values()))), [m for m, _ in entries]


@np.errstate(all="ignore")  # the oracle meets poles too, which `compare` leaves out
def check_derivatives(seed):
    """First and second derivatives at every point; every other program has poles, which some elements avoid."""
    function = random_function(np.random.default_rng(seed), "sharp" if seed % 2 else "smooth")
    graph, slot, mode = graph_of(2, function), seed // 2 % 2, "forward" if seed % 3 else "reverse"
    first, rows = derivative(graph, slot, mode)
    second, inner = derivative(first, 1 - slot, mode) if first.outputs else (first, [])
    plain = duals.derivative(function, slot)
    twice = duals.derivative(plain, 1 - slot)
    for point in zip(*POINTS, strict=True):
        compare(evaluate(first, *point), rows, plain(*point), seed)
        compare(evaluate(second, *point), [rows[m] for m in inner], twice(*point), seed)


def compare(found, rows, expected, seed):
    """Entries that are none are zero."""
    got = np.zeros(len(expected))
    got[rows] = found
    expected = np.array([float(x) for x in expected])
    sane = np.isfinite(expected) & (abs(expected) < 1e100)
    np.testing.assert_allclose(
        got[sane], expected[sane], rtol=1e-8, atol=1e-8 * max(1.0, *abs(expected[sane]), 0), err_msg=str(seed)
    )


@pytest.mark.parametrize("seed", range(12))
def test_vector_code_has_the_bits_of_the_interpreter(seed):
    check_bits(seed)


@pytest.mark.parametrize("seed", range(40))
def test_derivatives_are_those_of_dual_numbers(seed):
    check_derivatives(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_vector_code_has_the_bits_of_the_interpreter_for_many(block):
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check_bits(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_derivatives_are_those_of_dual_numbers_for_many(block):
    for seed in range(1000 + 400 * block, 1400 + 400 * block):
        check_derivatives(seed)
