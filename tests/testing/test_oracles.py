"""The oracles of the harness: each against what it must not depend on."""

import math

import mpmath
import numpy as np
import pytest

from nbad.graphs.graph import GraphBuilder
from nbad.operations.table import TABLE
from nbad.testing.exact import exact, exact_jacobian
from nbad.testing.oracles import bounded, undecorated


def graph_of(*steps, inputs=("x",)):
    """A chain of operations: each step is an operation and its operands; ints are nodes, floats constants."""
    builder = GraphBuilder("f", inputs)
    node = None
    for op, *args in steps:
        node = builder.add(op, *(builder.constant(a) if isinstance(a, float) else (node if a is None else a) for a in args))
    return builder.build([node])


def test_bound_grows_with_cancellation():
    graph = graph_of(("exp", 0), ("sub", None, 1.0))
    result = bounded(graph, [np.array([1.0, 1e-10])])[0]
    relative = result.error / result.value
    assert relative[0] < 1e-14
    assert 1e-7 < relative[1] < 1e-4


def test_bound_holds_what_float32_does():
    x = np.linspace(0.1, 3.0, 200).astype(np.float32)
    graph = graph_of(("sin", 0), ("mul", None, 0.1), ("add", None, 0))
    result = bounded(graph, [x], np.float32)[0]
    actual = np.sin(x) * np.float32(0.1) + x
    assert actual.dtype == np.float32
    assert np.all(np.abs(actual - result.value) <= result.error)
    assert np.all(result.error < 1e-5)


def test_bound_of_an_uncertain_branch_spans_both_sides():
    builder = GraphBuilder("f", ["x"])
    third = builder.add("mul", 0, builder.constant(0.1))
    graph = builder.build([builder.add("select", builder.add("gt", third, builder.constant(0.3)), 0, builder.constant(7.0))])
    result = bounded(graph, [np.array([3.0, 2.0])])[0]
    assert result.error[0] >= 4.0
    assert result.error[1] == 0.0


def test_bound_is_lost_at_a_pole():
    with np.errstate(all="raise"):
        result = bounded(graph_of(("div", 1.0, 0)), [np.array([0.0, 2.0])])[0]
    assert not np.isfinite(result.error[0])
    assert result.error[1] < 1e-15


REAL = [name for name, row in TABLE.items() if row.expression and name != "select" and "bool" not in row.operands]


@pytest.mark.parametrize("name", REAL)
def test_sixty_digits_agree_with_numpy_on_every_operation(name):
    row = TABLE[name]
    builder = GraphBuilder("f", "xyz"[: len(row.operands)])
    payload = {} if row.payload is None else {"payload": row.payload}
    graph = builder.build([builder.add(name, *range(len(row.operands)), **payload)])
    for point in row.samples:
        value = exact(graph, point)[0]
        assert float(value) == pytest.approx(float(row.numpy(*point, *payload.values())), rel=1e-14)


def test_exact_jacobian_is_exact():
    graph = graph_of(("tanh", 0))
    with mpmath.workdps(50):
        expected = float(1 / mpmath.cosh(20) ** 2)
    assert exact_jacobian(graph, [20.0], [0])[0, 0] == expected


def test_exact_jacobian_takes_steps_of_the_size_of_the_point():
    tiny = 5e-324
    graph = graph_of(("cbrt", 0), ("add", None, 1.0))
    assert exact_jacobian(graph, [tiny], [0])[0, 0] == pytest.approx(np.cbrt(tiny) / (3 * tiny), rel=1e-12)


@pytest.mark.parametrize(
    ("op", "point"),
    [("abs", (0.0,)), ("sqrt", (0.0,)), ("log", (-1.0,)), ("maximum", (1.0, 1.0)), ("floor", (2.0,)), ("floor", (1e25,))],
)
def test_exact_jacobian_says_nothing_at_kinks_and_outside_the_domain(op, point):
    graph = graph_of((op, *range(len(point))), inputs=tuple("xy"[: len(point)]))
    assert np.isnan(exact_jacobian(graph, point, [0])[0, 0])


def test_exact_jacobian_takes_the_branch_that_is_taken():
    builder = GraphBuilder("f", ["x"])
    condition = builder.add("gt", 0, builder.constant(0.0))
    double = builder.add("mul", 0, builder.constant(2.0))
    graph = builder.build([builder.add("select", condition, builder.add("sqrt", 0), double)])
    assert [exact_jacobian(graph, [x], [0])[0, 0] for x in (4.0, -1.0)] == [0.25, 2.0]


def test_undecorated_errors_are_unknown():
    def f(x):
        return math.log(x), 1.0 / x

    with np.errstate(all="raise"):
        values = undecorated(f, [np.array([1.0, 0.0, -1.0])])
    np.testing.assert_array_equal(values, [[0.0, np.nan, np.nan], [1.0, np.nan, np.nan]])
