"""Simplification keeps every bit: rule by rule, and on random graphs at zeros, infinities and nan."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.graphs.simplify import SimplifyingBuilder, simplify

HARD = (0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 1e-310, 1e300, np.inf, -np.inf, np.nan)
# What each expression becomes, in prefix notation; `x`, `y` are inputs and `c`, `d` conditions.
RULES = """
    neg neg x                   | x
    add x -0.0                  | x
    add -0.0 x                  | x
    add x neg y                 | sub x y
    add neg x y                 | sub y x
    sub x 0.0                   | x
    sub -0.0 x                  | neg x
    sub x neg y                 | add x y
    mul x 1.0                   | x
    mul 1.0 x                   | x
    mul x -1.0                  | neg x
    div x 1.0                   | x
    div x -1.0                  | neg x
    mul neg x neg y             | mul x y
    mul neg x y                 | neg mul x y
    div x neg y                 | neg div x y
    abs neg x                   | abs x
    square x                    | mul x x
    reciprocal x                | div 1.0 x
    select True x y             | x
    select False x y            | y
    select c x x                | x
    select not c x y            | select c y x
    select c select c x y y     | select c x y
    select c y select c x y     | y
    not not c                   | c
    and c True                  | c
    and False c                 | False
    and c c                     | c
    and c not c                 | False
    and c and c d               | and c d
    and and c d not c           | False
    and or c d c                | c
    or c False                  | c
    or True c                   | True
    or c not c                  | True
    or c and d c                | c
    or or c d not d             | True
    or and c d and c not d      | c
    or and d c and not d c      | c
"""
# Nothing here may change: the identity fails for a zero, an infinity or a nan, or the order of evaluation is the user's.
KEPT = """
    add x 0.0
    sub 0.0 x
    sub x -0.0
    sub x x
    div x x
    mul x 0.0
    neg sub x y
    add add x 1.0 2.0
    mul mul x 2.0 3.0
    div mul x y y
    sqrt mul x x
    exp log x
    eq x x
"""
ARITY = {"neg": 1, "abs": 1, "square": 1, "reciprocal": 1, "not": 1, "sqrt": 1, "exp": 1, "log": 1, "select": 3}


def lines(text):
    return [line.strip() for line in text.strip().splitlines()]


def parsed(text, builder):
    """The node of a line in prefix notation."""
    words = iter(text.split())
    names = {"x": 0, "y": 1, "c": builder.add("lt", 0, 1), "d": builder.add("lt", 0, builder.constant(0.0))}

    def node():
        word = next(words)
        if word in names:
            return names[word]
        if word in ("True", "False"):
            return builder.constant(word == "True")
        if word.lstrip("-")[0].isdigit():
            return builder.constant(float(word))
        return builder.add(word, *[node() for _ in range(ARITY.get(word, 2))])

    return node()


def graph_of(text, kind=GraphBuilder):
    """A bool is made visible by a select between the inputs."""
    builder = kind("f", ["x", "y"])
    node = parsed(text, builder)
    if builder.nodes[node].kind == "bool":
        node = builder.add("select", node, 0, 1)
    return builder.build([node])


def same_bits(a, b):
    signs = [np.signbit(v) & ~np.isnan(v) for v in (a, b)]
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(*signs)


def hard_points(dtype=np.float64):
    with np.errstate(over="ignore", under="ignore"):
        return np.array(list(itertools.product(HARD, repeat=2))).T.astype(dtype)


@pytest.mark.parametrize("rule", lines(RULES))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rule(rule, dtype):
    before, after = (graph_of(text) for text in rule.split("|"))
    simpler = simplify(before)
    points = hard_points(dtype)
    assert str(simpler) == str(simplify(after))
    assert same_bits(evaluate(simpler, *points)[0], evaluate(before, *points)[0])


def test_a_rule_is_applied_as_nodes_are_added():
    builder = SimplifyingBuilder("f", ["x", "y"])
    assert builder.add("sub", 0, builder.add("neg", 1)) == builder.add("add", 0, 1)


@pytest.mark.parametrize("text", lines(KEPT))
def test_what_is_not_exact_is_kept(text):
    graph = graph_of(text)
    operations = [node.op for node in graph.nodes]
    kept = [node.op for node in simplify(graph).nodes]
    assert [op for op in operations if op in text.split()] == [op for op in kept if op in text.split()]


@pytest.mark.parametrize(("n", "ops"), [(0, []), (1, []), (2, ["mul"]), (3, ["powi"]), (-1, ["powi"])])
def test_small_powers(n, ops):
    builder = GraphBuilder("f", ["x"])
    graph = builder.build([builder.add("powi", 0, payload=n)])
    assert [node.op for node in simplify(graph).nodes if node.op not in ("input", "const")] == ops
    assert same_bits(evaluate(simplify(graph), HARD)[0], evaluate(graph, HARD)[0])


@pytest.mark.parametrize(
    ("op", "operands", "value"),
    [
        ("add", (0.1, 0.2), 0.1 + 0.2),
        ("mul", (-1.0, 0.0), -0.0),
        ("div", (1.0, -0.0), -math.inf),
        ("div", (0.0, 0.0), math.nan),
        ("sin", (0.3,), math.sin(0.3)),
        ("exp", (1e4,), math.inf),
        ("log", (0.0,), -math.inf),
        ("log", (-1.0,), math.nan),
        ("pow", (0.0, -1.0), math.inf),
        ("floor", (-0.0,), -0.0),
        ("erfc", (2.0,), math.erfc(2.0)),
        ("logaddexp", (0.0, 0.0), math.log(2.0)),
        ("maximum", (math.nan, 1.0), math.nan),
        ("lt", (1.0, 2.0), True),
    ],
)
def test_constants_are_folded(op, operands, value):
    builder = SimplifyingBuilder("f", [])
    folded = builder.nodes[builder.add(op, *map(builder.constant, operands))]
    assert folded.op == "const"
    assert repr(folded.payload) == repr(value)


def test_mirrored_operations_are_merged_and_keep_the_written_order():
    builder = SimplifyingBuilder("f", ["x", "y"])
    assert builder.add("mul", 1, 0) == builder.add("mul", 0, 1)
    assert builder.add("gt", 1, 0) == builder.add("lt", 0, 1)
    assert builder.nodes[builder.add("mul", 0, 1)].args == (1, 0)


def test_dead_nodes_go_and_inputs_stay():
    builder = GraphBuilder("f", ["x", "y", "z"])
    builder.add("exp", 0)
    graph = simplify(builder.build([2, builder.add("neg", builder.add("neg", 1)), 2]))
    assert [node.op for node in graph.nodes] == ["input"] * 3
    assert graph.inputs == ("x", "y", "z")
    assert graph.outputs == (2, 1, 2)


def test_an_extended_graph_may_hold_what_simplification_would_not_make():
    graph = graph_of("or and c c and c d")
    builder = SimplifyingBuilder.extending(graph)
    p, q = (k for k, node in enumerate(graph.nodes) if node.op == "and")
    assert builder.nodes[builder.add("or", p, q)].op == "or"
    assert len(simplify(graph).nodes) < len(graph.nodes)


def test_source_lines_survive():
    builder = GraphBuilder("f", ["x", "y"])
    negative = builder.add("neg", 1, source="k.py:1")
    graph = simplify(builder.build([builder.add("add", 0, negative, source="k.py:2")]))
    assert [node.source for node in graph.nodes if node.op == "sub"] == ["k.py:2"]


UNARY = ("neg", "abs", "square", "reciprocal", "sqrt", "floor", "sign")
BINARY = ("add", "sub", "mul", "div", "maximum", "pymin", "copysign")


@st.composite
def graphs(draw):
    """Random graphs in which identities abound: few nodes, units and zeros as constants, conditions on everything."""
    builder = GraphBuilder("f", ["x", "y"])
    reals = [0, 1, *map(builder.constant, draw(st.lists(st.sampled_from(HARD), max_size=4)))]
    bools = [builder.add("lt", 0, 1), builder.constant(draw(st.booleans()))]
    real, condition = st.deferred(lambda: st.sampled_from(reals)), st.deferred(lambda: st.sampled_from(bools))
    for _ in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(("unary", "binary", "binary", "power", "select", "compare", "logic", "not")))
        if kind == "unary":
            reals.append(builder.add(draw(st.sampled_from(UNARY)), draw(real)))
        elif kind == "binary":
            reals.append(builder.add(draw(st.sampled_from(BINARY)), draw(real), draw(real)))
        elif kind == "power":
            reals.append(builder.add("powi", draw(real), payload=draw(st.integers(-2, 3))))
        elif kind == "select":
            reals.append(builder.add("select", draw(condition), draw(real), draw(real)))
        elif kind == "compare":
            bools.append(builder.add(draw(st.sampled_from(("lt", "le", "gt", "ge", "eq", "ne"))), draw(real), draw(real)))
        elif kind == "logic":
            bools.append(builder.add(draw(st.sampled_from(("and", "or"))), draw(condition), draw(condition)))
        else:
            bools.append(builder.add("not", draw(condition)))
    return builder.build([*reals[-4:], builder.add("select", bools[-1], 0, 1)])


@given(graphs())
def test_random_graphs_keep_every_bit(graph):
    simpler = simplify(graph)
    assert len(simpler.nodes) <= len(graph.nodes) + len(graph.outputs)
    for got, expected in zip(evaluate(simpler, *hard_points()), evaluate(graph, *hard_points()), strict=True):
        assert same_bits(got, expected), simpler


@given(graphs())
def test_simplifying_twice_changes_nothing(graph):
    once = simplify(graph)
    assert str(simplify(once)) == str(once)
