"""Uniform work is taken out of a graph, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbad.graphs.graph import GraphBuilder
from nbad.graphs.hoist import deciding, split
from nbad.graphs.interpreter import evaluate
from nbad.graphs.simplify import simplify


def build(make):
    builder = GraphBuilder("f", ["x", "a", "b"])
    return builder.build(make(builder.add, builder.constant))


def test_expensive_uniform_work_becomes_an_input():
    graph = build(lambda add, const: [add("add", add("mul", 0, add("exp", 1)), add("div", 1, 2))])
    head, body = split(graph, frozenset({1, 2}))
    assert [n.op for n in head.nodes if n.op != "input"] == ["exp", "div"]
    assert [n.op for n in body.nodes if n.op != "input"] == ["mul", "add"]
    assert body.inputs == ("x", "a", "b", "u0", "u1")


def test_cheap_work_and_varying_work_stay():
    graph = build(lambda add, const: [add("mul", 0, add("mul", 1, 2)), add("exp", 0)])
    assert split(graph, frozenset({1, 2})) is None
    assert split(build(lambda add, const: [add("exp", 0)]), frozenset({1})) is None


@pytest.mark.parametrize(("length", "is_taken"), [(1, True), (100, False)])
def test_little_beside_much_stays(length, is_taken):
    """What is saved is held against all that there is."""

    def chain(add, const):
        k = add("mul", 0, add("exp", 1))
        for _ in range(length):
            k = add("sin", k)
        return [k]

    assert (split(build(chain), frozenset({1, 2})) is not None) == is_taken
    assert deciding(build(chain), {1: 1, 2: 2}) == [1] * is_taken


def test_what_no_input_decides_alone_all_of_them_may():
    def sums(add, const):
        k = add("mul", 0, 0)
        for _ in range(14):
            k = add("sin", k)
        return [add("mul", add("mul", k, add("exp", 1)), add("exp", 2))]

    assert deciding(build(sums), {1: 1, 2: 2}) == [3]


def test_conditions_are_computed_again():
    graph = build(lambda add, const: [add("select", add("lt", add("exp", 1), 2), 0, const(0.0))])
    head, body = split(graph, frozenset({1, 2}))
    assert [n.op for n in head.nodes if n.op not in ("input", "const")] == ["exp"]
    assert [n.op for n in body.nodes if n.op not in ("input", "const")] == ["lt", "select"]


STEP = st.tuples(st.sampled_from(["add", "mul", "div", "exp", "sin", "sqrt"]), st.integers(0, 99), st.integers(0, 99))


@given(st.lists(STEP, max_size=15))
def test_what_decides_has_something_to_take_out(steps):
    """Whatever else is uniform; and where nothing decides, nothing is taken out where all inputs are."""
    builder = GraphBuilder("f", ["x", "a", "b"])
    for op, i, j in steps:
        number = len(builder.nodes)
        builder.add(op, *(i % number, j % number)[: 2 if op in ("add", "mul", "div") else 1])
    graph = simplify(builder.build([len(builder.nodes) - 1, len(builder.nodes) // 2]))  # no node is dead
    sets = deciding(graph, {0: 1, 1: 2, 2: 4})
    for chosen in range(1, 8):
        found = split(graph, frozenset(k for k in range(3) if chosen >> k & 1))
        assert found is not None or not any(chosen & least == least for least in sets)
    assert (found is not None) == bool(sets)


@given(st.lists(STEP, max_size=15))
def test_bits_stay(steps):
    builder = GraphBuilder("f", ["x", "a", "b"])
    known = [0, 1, 2]
    for op, i, j in steps:
        operands = (known[i % len(known)], known[j % len(known)])[: 2 if op in ("add", "mul", "div") else 1]
        known.append(builder.add(op, *operands))
    graph = builder.build(known[-3:])
    x, a, b = np.linspace(-2.0, 2.0, 5), np.float64(0.7), np.float64(-1.3)
    parts = split(graph, frozenset({1, 2}))
    if parts is not None:
        head, body = parts
        uniform = [np.ravel(u)[0] for u in evaluate(head, np.float64(0.0), a, b)]
        expected, found = evaluate(graph, x, a, b), evaluate(body, x, a, b, *uniform)
        assert all(np.array_equal(e, f, equal_nan=True) for e, f in zip(expected, found, strict=True))
