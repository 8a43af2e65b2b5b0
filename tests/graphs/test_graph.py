"""What a graph promises: each way to break it is refused by name, and graphs are repeated in others by one function."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from helpers.random_graphs import graphs
from helpers.wide_kernels import layer_norm
from hypothesis import given
from hypothesis import strategies as st

from nbad.derivatives.differentiate import jacobian
from nbad.errors import InternalError
from nbad.graphs.graph import LONG, Graph, GraphBuilder, Node, in_order, needed
from nbad.graphs.interpreter import evaluate

X, Y = Node("input", (), 0), Node("input", (), 1)
TWO = Node("const", (), 2.0)
FAULTS = [
    ("node 0, `const`, stands in the place of input 0, `x`", (TWO, X, Y, Node("mul", (1, 2))), (3,)),
    ("node 0, `input`, stands in the place of input 0, `x`", (Y, X), (0,)),
    ("node 1, `input`, stands in the place of input 1, `y`", (X, X), (0,)),
    ("node 1, `input`, stands in the place of input 1, `y`", (X, Node("input", (), 1, "bool")), (0,)),
    ("node 1, `input`, stands in the place of input 1, `y`", (X, Node("input", (0,), 1)), (0,)),
    ("node 2, `input`, comes after the 2 inputs", (X, Y, Node("input", (), 2)), (0,)),
    ("has 2 inputs, but 1 nodes", (X,), (0,)),
    ("node 2, `tap`, is no operation", (X, Y, Node("tap", (0,))), (2,)),
    (r"node 2, `neg`, uses \(3,\), of which some do not come before it", (X, Y, Node("neg", (3,)), TWO), (2,)),
    (r"node 2, `neg`, uses \(2,\), of which some do not come before it", (X, Y, Node("neg", (2,))), (2,)),
    (r"node 2, `neg`, uses \(-1,\), of which some do not come before it", (X, Y, Node("neg", (-1,))), (2,)),
    (r"node 2, `add`, takes operands \('real', 'real'\) and is real, got \('real',\)", (X, Y, Node("add", (0,))), (2,)),
    (r"node 2, `not`, takes operands \('bool',\) and is bool, got \('real',\)", (X, Y, Node("not", (0,), None, "bool")), (2,)),
    (r"node 2, `lt`, takes .* and is bool, got .* and real", (X, Y, Node("lt", (0, 1))), (2,)),
    ("node 2, `powi`, has the payload None", (X, Y, Node("powi", (0,))), (2,)),
    ("node 2, `neg`, has the payload 2", (X, Y, Node("neg", (0,), 2)), (2,)),
    ("node 2, `const`, is bool, but its value is 1.0", (X, Y, Node("const", (), 1.0, "bool")), (2,)),
    ("node 2, `const`, is real, but its value is True", (X, Y, Node("const", (), True)), (2,)),
    ("node 2, `const`, has operands", (X, Y, Node("const", (0,), 1.0)), (2,)),
    ("output 2 is none of its 2 nodes", (X, Y), (2,)),
    ("output -1 is none of its 2 nodes", (X, Y), (-1,)),
]


@pytest.mark.parametrize(("fault", "nodes", "outputs"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_a_broken_graph_is_refused_by_every_way_to_make_one(fault, nodes, outputs):
    with pytest.raises(InternalError, match=f"graph `f`.* {fault}"):
        Graph("f", ("x", "y"), nodes, outputs)
    builder = GraphBuilder("f", ["x", "y"])
    builder.nodes[:] = nodes
    with pytest.raises(InternalError, match=fault):
        builder.build(outputs)
    with pytest.raises(InternalError, match=fault):
        replace(Graph("f", ("x", "y"), (X, Y), (0,)), nodes=nodes, outputs=outputs)


def test_a_graph_that_was_broken_later_fails_its_check():
    graph = Graph("f", ("x", "y"), (X, Y, Node("mul", (0, 1))), (2,))
    graph.check()
    object.__setattr__(graph, "nodes", (TWO, X, Y, Node("mul", (1, 2))))
    with pytest.raises(InternalError, match="in the place of input 0"):
        graph.check()
    with pytest.raises(InternalError, match="in the place of input 0"):  # it used to give the partials of other nodes
        jacobian(graph, (0, 1))


@given(graphs())
def test_a_graph_is_repeated_in_another_one(graph):
    """On other operands, and from a cut on: what only the cut needs is left out."""
    slots = [f"p{k}" for k in range(len(graph.inputs))]
    builder = GraphBuilder("g", ["unused", *slots])
    same = builder.build(builder.splice(graph, range(1, len(slots) + 1)))
    xs = [0.3 + k for k in range(len(slots))]
    assert repr(evaluate(same, 9.0, *xs)) == repr(evaluate(graph, *xs))
    assert [node.op for node in same.nodes].count("input") == len(slots) + 1


@given(graphs(), st.data())
def test_a_graph_is_rebuilt_from_values_that_are_known(graph, data):
    known = data.draw(st.sampled_from([k for k, node in enumerate(graph.nodes) if node.kind == "real"]))
    inputs = range(len(graph.inputs))
    builder = GraphBuilder("g", [*graph.inputs, "u"])
    rest = builder.build(builder.rebuild(graph, {**dict(zip(inputs, inputs, strict=True)), known: len(inputs)}, graph.outputs))
    xs = [0.3 + k for k in inputs]
    value = evaluate(replace(graph, outputs=(known,)), *xs)[0]
    assert repr(evaluate(rest, *xs, value)) == repr(evaluate(graph, *xs))
    assert len(rest.nodes) <= len(needed(graph, graph.outputs)) + len(inputs) + 1


def test_repeated_nodes_keep_their_lines_and_others_take_the_builders():
    inner = GraphBuilder("inner", ["x"])
    recipe = inner.build([inner.add("neg", inner.add("sin", 0, source="k.py:2"))])
    builder = GraphBuilder("outer", ["x"], source="f.py:7")
    graph = builder.build(builder.splice(recipe, [0]))
    assert [node.source for node in graph.nodes[1:]] == ["k.py:2", "f.py:7"]
    assert builder.source == "f.py:7"


def _chain(builder, count):
    """Differences of each input from their sum, all squared and then all added: in this order every one of them waits."""
    total = functools.reduce(lambda a, b: builder.add("add", a, b), range(count))
    apart = [builder.add("sub", k, total) for k in range(count)]
    return [builder.add("mul", k, k) for k in apart], total


def test_long_graphs_are_in_the_order_by_demand_where_that_brings_operands_nearer():
    """The values are the same; a short graph, and one that is in that order already, stay what they are."""
    builder = GraphBuilder("far", [f"x{k}" for k in range(150)])
    graph = builder.build(_chain(builder, 150)[0])
    ordered, x = in_order(graph), np.arange(150.0)
    assert len(graph.nodes) >= LONG
    assert ordered.nodes != graph.nodes
    assert sorted(node.op for node in ordered.nodes) == sorted(node.op for node in graph.nodes)
    np.testing.assert_array_equal(evaluate(ordered, *x), (x - x.sum()) ** 2)
    assert in_order(ordered) is ordered
    short = GraphBuilder("short", ["x0", "x1"])
    graph = short.build(_chain(short, 2)[0])
    assert in_order(graph) is graph


def test_calls_run_long_kernels_in_that_order():
    """The order was for what is precompiled alone: a call made the kernel before, of the graph as it was."""
    f, x = layer_norm.__wrapped__(128), np.ones((4, 128))
    f(x)
    program, _ = f.bind((x,), {})
    called = program.remember.known["value", np.dtype(float)].graph
    assert called.nodes == in_order(program.simple).nodes
    assert called.nodes != program.simple.nodes
