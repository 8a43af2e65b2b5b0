"""Texts of partials to graphs: what is computed, in which order, and what is refused."""

import numpy as np
import pytest

from nbad.graphs.interpreter import evaluate
from nbad.graphs.recipes import read_partial
from nbad.operations.table import ROWS

INPUTS = ("x", "y", "v")


def nested(graph, k):
    """A node as a nested call."""
    node = graph.nodes[k]
    if node.op in ("input", "const"):
        return graph.label(k)
    operands = [nested(graph, a) for a in node.args] + ([] if node.payload is None else [str(node.payload)])
    return f"{node.op}({', '.join(operands)})"


@pytest.mark.parametrize(
    ("text", "numbers", "expected"),
    [
        ("x + y - v", {}, ["sub(add(x, y), v)"]),
        ("-x*y", {}, ["neg(mul(x, y))"]),
        ("-x**2", {}, ["neg(mul(x, x))"]),
        ("1/2/v", {}, ["div(0.5, v)"]),
        ("1/3*x", {}, ["mul(0.3333333333333333, x)"]),
        ("x**5", {}, ["powi(x, 5)"]),
        ("x**(-2)", {}, ["powi(x, -2)"]),
        ("y*x**(-1/2)", {}, ["mul(y, half_power(x, -1))"]),
        ("x**(-3/2)", {}, ["half_power(x, -2)"]),
        ("y*x**(3/2)", {}, ["mul(y, pow(x, 1.5))"]),
        ("n*x**(n - 1)", {"n": 3}, ["mul(3.0, mul(x, x))"]),
        ("n*x**(n - 1)", {"n": -2}, ["mul(-2.0, powi(x, -3))"]),
        ("n*x**(n - 1)", {"n": 0}, ["0.0"]),
        ("x**1.7", {}, ["pow(x, 1.7)"]),
        ("x**y", {}, ["pow(x, y)"]),
        ("2/sqrt(pi)*x", {}, ["mul(1.1283791670955126, x)"]),
        ("Abs(x) + ceiling(y)", {}, ["add(abs(x), ceil(y))"]),
        ("polygamma(n + 1, x)", {"n": 1}, ["polygamma(x, 2)"]),
        ("x if n == 0 else y", {"n": 0}, ["x"]),
        ("x if n == 0 else y", {"n": 1}, ["y"]),
        ("Piecewise((0, Ne(v, x)), (1/2, Eq(x, y)), (y, True))", {}, ["not(eq(v, x))", "0.0", "eq(x, y)", "0.5", "y"]),
        ("Piecewise((x, (x > 0) & (y <= 1)), (y, True))", {}, ["and(gt(x, 0.0), le(y, 1.0))", "x", "y"]),
    ],
)
def test_text(text, numbers, expected):
    graph = read_partial(text, INPUTS, numbers)
    assert [nested(graph, k) for k in graph.outputs] == expected


def test_a_choice_at_the_root_becomes_cases():
    graph = read_partial("Piecewise((0, x < 0), (y, x > 1), (v, True))", INPUTS)
    assert [float(value) for value in evaluate(graph, 0.5, 2.0, 3.0)] == [0.0, 0.0, 0.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("z + 1", "z"),
        ("hyper(0, x)", "hyper"),
        ("x.real", "x.real"),
        ("[x]", "[x]"),
        ("sin(x, y)", r"sin\(x, y\)"),
        ("x % 2", "x % 2"),
        ("~x", "~x"),
        ("(lambda: x)()", r"\(lambda: x\)\(\)"),
        ("__import__('os')", "__import__"),
    ],
)
def test_other_text_is_refused(text, part):
    with pytest.raises(ValueError, match=part):
        read_partial(text, INPUTS)


CONSTANTS = {
    "2/sqrt(pi)": 1.1283791670955126,
    "sqrt(pi)/2": 0.8862269254527580,
    "1/sqrt(2*pi)": 0.3989422804014327,
    "sqrt(2/pi)": 0.7978845608028654,
    "log(2)": 0.6931471805599453,
    "pi/180": 0.017453292519943295,
}


@pytest.mark.parametrize("text", CONSTANTS)
def test_constants_are_exact_to_an_ulp(text):
    (value,) = evaluate(read_partial(text, INPUTS), 1.0, 1.0, 1.0)
    assert abs(value - CONSTANTS[text]) <= np.spacing(CONSTANTS[text])


def test_every_text_of_the_table_is_read():
    count = 0
    for row in ROWS:
        for text in filter(None, row.partials or ()):
            numbers = {} if row.payload is None else {"n": row.payload}
            assert read_partial(text, (*"xyz"[: len(row.operands)], "v"), numbers).outputs
            count += 1
    assert count > 60
