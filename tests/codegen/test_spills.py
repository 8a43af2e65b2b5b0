"""Long bodies: values that lie in memory between blocks are those that were computed, whatever uses them, and where."""

import random
import re

import numpy as np
import pytest
from helpers.tiles_by_hand import compile_tile, run_tile
from helpers.wide_kernels import layer_norm

import nbad
from nbad.codegen.host import host
from nbad.codegen.lower import lower
from nbad.codegen.spills import LONG
from nbad.codegen.vector_ir import print_ir
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate

WIDE = 200


def long_graph(seed, nodes):
    """Operations with the same bits in NumPy, on operands near and far, some of them outputs at once."""
    r, builder = random.Random(seed), GraphBuilder("long", [f"x{k}" for k in range(40)])
    reals, conditions, outputs = list(range(40)), [], []
    while len(builder.nodes) < nodes:
        x, y = r.choice(reals), r.choice(reals[-30:])
        kind = r.choice(("sub", "mul", "add", "neg", "abs", "select", "lt", "and", "output"))
        if kind in ("sub", "mul", "add"):
            half = builder.add("mul", builder.constant(0.5), builder.add(kind, x, y))
            reals.append(half)
        elif kind in ("neg", "abs"):
            reals.append(builder.add(kind, x))
        elif kind == "select" and conditions:
            reals.append(builder.add("select", r.choice(conditions), x, y))
        elif kind == "and" and conditions:
            conditions.append(builder.add("and", r.choice(conditions), builder.add("not", r.choice(conditions))))
        elif kind == "output":
            outputs.append(y)
        else:
            conditions.append(builder.add("lt", x, y))
    return builder.build([*outputs, *reals[-20:]])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_long_bodies_have_the_bits_of_numpy(dtype):
    graph = long_graph(3, 2 * LONG)
    columns = [np.random.default_rng(k).standard_normal(64).astype(dtype) for k in range(40)]
    found = run_tile(compile_tile(lower(graph, dtype)), *columns)
    for a, b in zip(found, evaluate(graph, *columns), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_value_is_alive_across_blocks_but_conditions():
    """What LLVM has to look at are single blocks."""
    text = print_ir(lower(long_graph(5, 2 * LONG)), host())
    blocks = re.split(r"^\w+:$", text[text.index("\nloop:") :], flags=re.M)[1:]
    known = [set(re.findall(r"^  (%[\w.]+) = (?!.*\bi1\b)", block, re.M)) for block in blocks]
    assert len(blocks) > 3
    for before, block in zip(known, blocks[1:], strict=False):
        operands = set(re.findall(r"%[vs][\w.]+", block))
        assert len(operands & before) <= 3  # a line may begin a block of its own behind its operands
    assert "alloca" in text


def test_slots_are_used_again():
    text = print_ir(lower(long_graph(7, 6 * LONG)), host())
    assert text.count("alloca") < text.count(", ptr %spill") / 4


def test_squares_are_summed_where_they_are_known():
    """Of the values of a layer norm only the differences wait, whose squares' sum divides them all."""
    program = layer_norm(WIDE).whole_program()
    plan = program.plan(program.input_slots((0,)), "auto")
    text = program.forward(plan, np.dtype(float)).llvm
    assert WIDE <= len(re.findall(r"store .*, ptr %spill", text)) <= 1.1 * WIDE


@pytest.mark.slow
def test_loops_alarms_and_pairs_in_long_bodies():
    """Inside long bodies there are loops of their own, what is counted, and functions with two results."""

    def long(x):
        found = []
        for k in range(200):
            v = x[k % 3] + 0.01 * k
            found.append(np.sin(v) * np.cos(v) + found[k // 2] * 0.5 if k else v)
        total = found[0]
        while total > 1.0:
            total = 0.5 * total + 0.1 * found[7]
        if x[0] > 10.0:
            raise ValueError("large")
        return total, sum(found), *found[::10]

    f = nbad.kernel(long, signature="(3)->" + ",".join(["()"] * 22), max_operations=10_000)
    x = np.random.default_rng(0).uniform(0.1, 1.0, (100, 3))
    assert len(lower(f.whole_program().simple).nodes) > LONG
    expected = np.array([long(row) for row in x]).T
    y, pullback = nbad.vjp(f, x)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(f(x), expected, rtol=1e-12, atol=1e-14)
    seeds = tuple(np.random.default_rng(1).standard_normal((22, 100)))
    step = 1e-6
    for k in range(3):
        moved = [np.array(f(x + side * step * np.eye(3)[k])) for side in (1, -1)]
        slope = np.einsum("mb,mb->b", np.array(seeds), (moved[0] - moved[1]) / (2 * step))
        np.testing.assert_allclose(pullback(seeds)[0][:, k], slope, rtol=1e-5, atol=1e-5)
    x[3, 0] = 11.0
    with pytest.raises(ValueError, match="large"):
        f(x)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_results_side_by_side_in_long_bodies(seed):
    """Columns of a block are stored late, one of them behind the test for elements that raise."""

    def long(x):
        if x[0] > 10.0:
            raise ValueError("large")
        rows = [x[k] for k in range(40)]
        for a, b in pairs:
            rows[a] = 0.5 * (rows[a] * rows[b] - rows[(a + 7) % 40])
        return np.array(rows)

    pairs = np.random.default_rng(seed).integers(0, 40, (500, 2)).tolist()
    f = nbad.kernel(long, signature="(40)->(40)", max_operations=10_000)
    assert len(lower(f.whole_program().simple).nodes) > LONG
    x = np.random.default_rng(seed).uniform(-1.0, 1.0, (300, 40))
    expected = np.array([long(row) for row in x])
    np.testing.assert_array_equal(f(x), expected)
    np.testing.assert_array_equal(nbad.vjp(f, x)[0], expected)
    y, dot = nbad.jvp(f, (x,), (np.eye(300, 40),))
    np.testing.assert_array_equal(y, expected)
    moved = [f(x + side * 1e-6 * np.eye(300, 40)) for side in (1, -1)]
    np.testing.assert_allclose(dot, (moved[0] - moved[1]) / 2e-6, rtol=1e-5, atol=1e-6)
