"""Lowering: the vocabulary, the powers, dead nodes, constants."""

import math

import numpy as np
import pytest
from helpers.tiles_by_hand import graph_of

from nbad.codegen.lower import INSTRUCTIONS, OpList, lower
from nbad.errors import InternalError
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.operations.row import Operation
from nbad.operations.table import TABLE


def lowered_power(base, exponent, mode):
    """Operations of `base ** exponent`, where a string is an input."""
    builder = GraphBuilder("power", ["x"])
    nodes = [0 if isinstance(v, str) else builder.constant(v) for v in (base, exponent)]
    oplist = lower(builder.build([builder.add("pow", *nodes)]), math=mode)
    return [node.op for node in oplist.nodes if node.op not in ("input", "const")]


@pytest.mark.parametrize("name", TABLE)
def test_every_operation_reduces_to_the_vocabulary(name):
    oplist = lower(graph_of(name))
    assert all(node.op in INSTRUCTIONS or TABLE[node.op].is_call for node in oplist.nodes)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.kind == "real" and row.samples])
def test_expansion_has_the_value_of_the_row(name):
    graph, row = graph_of(name), TABLE[name]
    samples = np.array([(*point, 0.0)[:2] for point in row.samples]).T
    np.testing.assert_allclose(evaluate(lower(graph), *samples), evaluate(graph, *samples), rtol=4e-15)


def test_text_of_an_oplist():
    builder = GraphBuilder("f", ["x", "y"])
    power = builder.add("powi", 0, payload=-3, source="f.py:2")
    oplist = lower(builder.build([builder.add("add", power, 1, source="f.py:3")]), "float32", "libm")
    assert str(oplist) == "\n".join(
        [
            "float32, math='libm'",
            "f(x, y):",
            "  %2 = mul(x, x)                               # f.py:2",
            "  %3 = mul(x, %2)                              # f.py:2",
            "  %5 = div(1.0, %3)                            # f.py:2",
            "  %6 = add(%5, y)                              # f.py:3",
            "  return %6",
        ]
    )


def test_dead_nodes_go_and_inputs_stay():
    builder = GraphBuilder("f", ["x", "unused", "y"])
    builder.add("exp", 1)
    oplist = lower(builder.build([builder.add("mul", 0, 2), 2]))
    assert [node.op for node in oplist.nodes] == ["input"] * 3 + ["mul"]
    assert oplist.outputs == (3, 2)


@pytest.mark.parametrize(
    ("exponent", "operations"),
    [(0.0, []), (-0.0, []), (1.0, []), (2.0, ["mul"]), (-1.0, ["div"]), (3.0, ["pow"]), (-0.5, ["pow"]), (math.nan, ["pow"])],
)
@pytest.mark.parametrize("mode", ["simd", "libm"])
def test_constant_exponents_as_llvm_reduces_them(mode, exponent, operations):
    assert lowered_power("x", exponent, mode) == operations


@pytest.mark.parametrize("mode", ["simd", "libm"])
def test_square_root_written_as_a_power(mode):
    """The power differs from `sqrt` at -0.0 and -inf."""
    builder = GraphBuilder("root", ["x"])
    oplist = lower(builder.build([builder.add("pow", 0, builder.constant(0.5))]), math=mode)
    assert not any(node.op == "pow" for node in oplist.nodes)
    x = np.array([4.0, 0.0, -0.0, np.inf, -np.inf, np.nan, -1.0])
    (root,) = evaluate(oplist, x)
    np.testing.assert_array_equal(root, [2.0, 0.0, 0.0, np.inf, np.inf, np.nan, np.nan])
    assert not np.signbit(root[:5]).any()


@pytest.mark.parametrize(
    ("base", "operations"),
    [
        (1.0, []),
        (2.0, ["mul", "exp2"]),
        (0.125, ["mul", "exp2"]),
        (2.0**62, ["mul", "exp2"]),
        (2.0**63, ["pow"]),
        (2.0**-63, ["pow"]),
        (10.0, ["pow"]),
        (-2.0, ["pow"]),
        (0.0, ["pow"]),
        (math.inf, ["pow"]),
    ],
)
def test_constant_bases_as_llvm_reduces_them(base, operations):
    assert lowered_power(base, "x", "libm") == operations
    assert lowered_power(base, "x", "simd") == ["pow"]


def test_power_of_two_constants_is_left_alone():
    assert lowered_power(2.0, 0.5, "libm") == ["pow"]


@pytest.mark.parametrize("n", [0x10001, -0x10001])
def test_great_integer_powers_are_calls(n):
    builder = GraphBuilder("f", ["x"])
    oplist = lower(builder.build([builder.add("powi", 0, payload=n)]))
    assert [(node.op, node.payload) for node in oplist.nodes[1:]] == [("const", float(n)), ("pow", None)]


def test_constants_are_rounded_to_the_dtype():
    builder = GraphBuilder("f", ["x"])
    graph = builder.build([builder.add("mul", 0, builder.constant(0.1)), builder.constant(1e300), builder.constant(-0.0)])
    rounded = [node.payload for node in lower(graph, "float32").nodes if node.op == "const"]
    assert [*map(repr, rounded)] == [repr(float(np.float32(0.1))), "inf", "-0.0"]
    assert next(node.payload for node in lower(graph).nodes if node.op == "const") == 0.1


def test_logic_and_comparisons_in_an_expansion(monkeypatch):
    def expansion(g, x, y):
        return g.where(((x < y) & ~(x <= 0.0)) | (x >= 2.0) & (x != y) | (x == 7.0), abs(-x) ** 2, 3.0 - y**0.5)

    row = Operation(name="odd", numpy=np.add, operands=("real", "real"), expansion=expansion)
    monkeypatch.setitem(TABLE, "odd", row)
    x, y = np.array([1.0, 5.0, -1.0, 7.0]), np.array([4.0, 4.0, 4.0, 7.0])
    (value,) = evaluate(lower(graph_of("odd")), x, y)
    np.testing.assert_array_equal(value, [1.0, 25.0, 1.0, 49.0])


def test_a_row_without_an_implementation_is_our_bug(monkeypatch):
    monkeypatch.setitem(TABLE, "mystery", Operation(name="mystery", numpy=np.sin))
    with pytest.raises(InternalError, match="`mystery` has neither an expansion nor a C function"):
        lower(graph_of("mystery"))


def test_an_unknown_name_in_an_expansion(monkeypatch):
    monkeypatch.setitem(TABLE, "odd", Operation(name="odd", numpy=np.sin, expansion=lambda g, x: g.mistyped(x)))
    with pytest.raises(AttributeError, match="mistyped"):
        lower(graph_of("odd"))


def test_an_oplist_is_a_graph():
    oplist = lower(graph_of("add"))
    assert isinstance(oplist, OpList)
    np.testing.assert_array_equal(evaluate(oplist, [1.0], [2.0]), [[3.0]])
