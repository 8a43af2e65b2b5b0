"""Loops on data in graphs: what they mean, what a graph may hold of them, and how they print."""

import numpy as np
import pytest
from helpers.loops import EXAMPLES, NEWTON, Number, Steps, graph_of, kepler

from nbad.errors import InternalError
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.graphs.loops import Carried, Loop
from nbad.graphs.simplify import simplify

examples = pytest.mark.parametrize("name", EXAMPLES)


def columns(points):
    return [np.array(column) for column in zip(*points, strict=True)]


@examples
def test_each_element_does_as_many_passes_as_it_asks_for(name):
    function, points = EXAMPLES[name]
    got = evaluate(graph_of(len(points[0]), function), *columns(points))
    expected = [np.atleast_1d(function(*point)) for point in points]
    np.testing.assert_array_equal(np.array(got).T, expected)


@examples
def test_simplified_loops_have_the_same_bits(name):
    function, points = EXAMPLES[name]
    graph = graph_of(len(points[0]), function)
    for got, expected in zip(evaluate(simplify(graph), *columns(points)), evaluate(graph, *columns(points)), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_float32_stays_float32():
    got = evaluate(graph_of(2, kepler), np.float32([0.5, 1.0]), np.float32([0.1, 0.2]))[0]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [kepler(0.5, 0.1), kepler(1.0, 0.2)], rtol=1e-6)


def test_where_a_loop_is_not_active_it_keeps_what_it_was_given():
    steps = Steps(lambda y: (y > -1.0, (y + 1.0,)), 1, 0, max_passes=5)
    graph = graph_of(2, lambda x, y: steps([y], [], x > 0.0))
    value, unfinished = evaluate(graph, np.array([1.0, -1.0, 1.0]), np.array([2.0, 3.0, -4.0]))
    np.testing.assert_array_equal(value, [7.0, 3.0, -4.0])
    np.testing.assert_array_equal(unfinished, [1.0, 0.0, 0.0])


def test_nodes_of_one_loop_are_one_by_what_the_step_computes():
    first, second = NEWTON.loop, NEWTON.loop
    assert first is not second
    assert first == second
    assert hash(first) == hash(second)
    assert first != NEWTON._replace(max_passes=99).loop
    builder = GraphBuilder("f", ["m", "e"])
    operands = builder.constant(True), [0, 0], [0, 1]
    assert builder.loop(*operands, first) == builder.loop(*operands, second)


def test_the_source_is_no_part_of_what_a_loop_is():
    builders = [GraphBuilder("step", ["z"], source=source) for source in ("a.py:1", "b.py:2")]
    graphs = [b.build([b.add("lt", 0, b.constant(1.0)), b.add("neg", 0)]) for b in builders]
    assert Loop(graphs[0], 1, 5) == Loop(graphs[1], 1, 5)


FAULTS = [
    (lambda b: [b.add("neg", 0), 0], 1, 5, "1 states, 5 passes and a step that returns"),
    (lambda b: [b.constant(True), b.constant(True)], 1, 5, r"\['bool', 'bool'\]"),
    (lambda b: [b.constant(True)], 0, 5, "0 states"),
    (lambda b: [b.constant(True), 0], 2, 5, "2 states"),
    (lambda b: [b.constant(True), 0], 1, 0, "0 passes"),
]


@pytest.mark.parametrize(("outputs", "states", "max_passes", "said"), FAULTS)
def test_a_step_that_is_none_is_refused(outputs, states, max_passes, said):
    builder = GraphBuilder("step", ["x"])
    with pytest.raises(InternalError, match=said):
        Loop(builder.build(outputs(builder)), states, max_passes)


def test_operands_of_a_loop_are_checked():
    builder = GraphBuilder("f", ["m", "e"])
    with pytest.raises(InternalError, match="takes operands"):
        builder.loop(0, [0, 0], [0, 1], NEWTON.loop)  # whether it is active is no number
    with pytest.raises(InternalError, match="takes operands"):
        builder.loop(builder.constant(True), [0, 0], [0], NEWTON.loop)


def test_no_graph_may_hold_what_stands_for_a_state():
    builder = GraphBuilder("f", ["x"])
    first, second = builder.state(), builder.state()
    assert first != second
    with pytest.raises(InternalError, match="`state`, is no operation"):
        builder.build([builder.add("mul", first, second)])


def test_a_loop_that_is_never_active_is_none():
    graph = simplify(graph_of(2, lambda m, e: NEWTON([m, 1.0], [m, e], active=False)))
    assert graph.outputs[0] == 0
    assert [graph.nodes[k].payload for k in graph.outputs[1:]] == [1.0, 0.0]


def test_loops_of_constants_are_not_run_while_they_are_simplified():
    steps = Steps(lambda y: (y > -1.0, (y + 1.0,)), 1, 0, max_passes=10**9)
    graph = simplify(graph_of(1, lambda x: x * steps([Number(x.builder, x.builder.constant(2.0))], [])[0]))
    assert any(node.op == "loop" for node in graph.nodes)


def test_a_loop_that_is_repeated_in_an_arm_is_active_there_only():
    endless = graph_of(1, lambda x: Steps(lambda y: (y > -1.0, (y + 1.0,)), 1, 0, max_passes=10**9)([x], [])[0])
    builder = GraphBuilder("f", ["x"])
    taken = builder.add("lt", 0, builder.constant(0.0))
    (end,) = builder.splice(endless, [0], active=taken)
    graph = builder.build([builder.add("select", taken, end, 0)])
    np.testing.assert_array_equal(evaluate(graph, np.array([1.0, -2.0])), [[1.0, -2.0]])


def test_a_loop_is_printed_where_it_is_first_used():
    text = str(graph_of(1, lambda x: Steps(lambda y, x: (y < x, (y * x,)), 1, 1, max_passes=7)([x], [x])))
    name = Steps(lambda y, x: (y < x, (y * x,)), 1, 1, max_passes=7).loop.digest[:6]
    assert text.splitlines() == [
        "f(x0):",
        f"  loop {name}, at most 7 passes:",
        "    step(z0, c0):",
        "      %2 = lt(z0, c0)",
        "      %3 = mul(z0, c0)",
        "      return %2, %3",
        f"  %2 = loop(True, x0, x0, state 0 of loop {name})",
        f"  %3 = loop(True, x0, x0, unfinished of loop {name})",
        "  return %2, %3",
    ]


def test_the_price_of_a_loop_is_that_of_its_passes():
    steps = Steps(lambda y, x: (y < x, (y * x,)), 1, 1)
    assert steps._replace(passes=4.0).loop.row.cost == 4 * (1 + 2)
    assert steps._replace(passes=100.0).loop.row.cost == 100 * (1 + 2)
    assert Carried(steps.loop, 0).row.operands == ("bool", "real", "real")
