"""Readable Python and vector IR of the same op list: their text, and their bits under Numba and in vector code."""

import re

import numba
import numpy as np
import pytest
from helpers.tiles_by_hand import compile_tile, edges, graph_of, pairs, run_tile, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from nbad.codegen.host import Host, host, host_like
from nbad.codegen.lower import lower
from nbad.codegen.python_source import print_python
from nbad.codegen.vector_ir import print_ir
from nbad.errors import InternalError
from nbad.graphs.graph import GraphBuilder
from nbad.operations.table import ROWS, TABLE

REAL = [row.name for row in ROWS if row.kind == "real"]
FOREIGN = {row.name for row in ROWS if row.scipy} | {"gamma", "lgamma"}  # Numba lacks them, or has others
MIXED = (
    "add",
    "sub",
    "mul",
    "mul",
    "div",
    "neg",
    "abs",
    "exp",
    "log",
    "sin",
    "cos",
    "tanh",
    "erf",
    "sqrt",
    "atan2",
    "hypot",
    "maximum",
    "floor",
    "copysign",
    "expm1",
    "cbrt",
    "exp2",
    "log2",
    "pow",
    "powi",
    "choose",
)


def under_numba(oplist, *inputs):
    """Run the printed Python under plain Numba, element by element."""
    namespace = {}
    exec(print_python(oplist), namespace)
    scalar = numba.njit(error_model="numpy")(namespace[oplist.name])
    results = [np.empty_like(inputs[0]) for _ in oplist.outputs]

    @numba.njit(error_model="numpy")
    def each(inputs, results):
        for i in range(inputs[0].size):
            value = scalar(inputs[0][i], inputs[1][i])
            for k in range(len(results)):
                results[k][i] = value[k]

    each(tuple(inputs), tuple(results))
    return results


def check_bits(graph, *inputs):
    oplist = lower(graph, inputs[0].dtype.name, "libm")
    for printed, vector in zip(under_numba(oplist, *inputs), run_tile(compile_tile(oplist), *inputs), strict=True):
        assert same_bits(printed, vector)


@st.composite
def graphs(draw):
    """Random graphs in x and y, with selects, powers and constants."""
    builder = GraphBuilder("random", ["x", "y"])
    values = [0, 1, *(builder.constant(c) for c in draw(st.lists(st.sampled_from([0.0, -0.0, 0.5, 2.0, 3.7]), max_size=3)))]
    operand = st.integers(0, 40).map(lambda k: values[-1 - k % len(values)])
    for name in draw(st.lists(st.sampled_from(MIXED), min_size=2, max_size=25)):
        if name == "choose":
            condition = builder.add(draw(st.sampled_from(["lt", "le", "gt", "ge", "eq", "ne"])), draw(operand), draw(operand))
            values.append(builder.add("select", condition, draw(operand), draw(operand)))
        else:
            payload = draw(st.integers(-6, 9)) if name == "powi" else None
            operands = [draw(operand) for _ in TABLE[name].operands]
            values.append(builder.add(name, *operands, payload=payload))
    return builder.build([values[-1], values[len(values) // 2], *values[-3:-1]])


def check_random(graph):
    rng = np.random.default_rng(1)
    x, y = pairs(np.concatenate([rng.normal(size=20), rng.normal(size=6) * 50, [0.0, -0.0, np.inf, np.nan]]))
    check_bits(graph, x, y)


@settings(max_examples=3)
@given(graphs())
def test_printed_python_has_the_bits_of_the_vector_code(graph):
    check_random(graph)


@pytest.mark.slow
@settings(max_examples=30)
@given(graphs())
def test_printed_python_of_many_graphs_has_the_bits_of_the_vector_code(graph):
    check_random(graph)


def check_functions(dtype, step):
    names = [name for name in REAL if not FOREIGN & {node.op for node in lower(graph_of(name)).nodes}]
    names = [name for name in names if dtype == np.float64 or name != "cbrt"][::step]
    x, y = pairs(edges(dtype)[::2] if dtype == np.float32 else edges(dtype))
    check_bits(graph_of(*names), x, y)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_function_has_the_bits_of_numba(dtype):
    check_functions(dtype, 1)


def test_every_eighth_function_has_the_bits_of_numba():
    check_functions(np.float64, 8)


@pytest.mark.parametrize("exponent", [0.5, -0.5, 2.0, -1.0, 1 / 3, 0.0, 2.5])
def test_constant_powers_have_the_bits_of_the_users_own_function(exponent):
    """Numba compiles `x ** c` and `c ** x` as LLVM reduces them; so must we. Its negative integer powers raise at 0."""

    @numba.njit(error_model="numpy")
    def own(x):
        return x**exponent, (exponent * 8.0) ** x, x**3, x**9, x**-5 if x**5 != 0.0 else 1.0 / x**5

    builder = GraphBuilder("powers", ["x"])
    powers = [builder.add("pow", 0, builder.constant(exponent)), builder.add("pow", builder.constant(exponent * 8.0), 0)]
    powers += [builder.add("powi", 0, payload=n) for n in (3, 9, -5)]
    x = np.concatenate([edges(np.float64), np.random.default_rng(0).uniform(-30, 30, 500)])
    expected = np.array([own(value) for value in x]).T
    for vector, scalar in zip(run_tile(compile_tile(lower(builder.build(powers), math="libm")), x), expected, strict=True):
        assert same_bits(vector, scalar)


def test_text_of_the_python_source():
    builder = GraphBuilder("<lambda>", ["r[0]", "m[0,1]", "np", "v6"])
    less = builder.add("lt", 0, 1, source="f.py:3")
    inside = builder.add("and", less, builder.add("not", builder.constant(True)), source="f.py:3")
    root = builder.add("sqrt", 2, source="f.py:4")
    root = builder.add("select", inside, root, builder.constant(float("-inf")), source="f.py:4")
    text = print_python(lower(builder.build([root, builder.add("pow", 3, 0, source="f.py:5")])))
    assert (
        text
        == """\
import math

import numpy as np


def lambda_(r_0, m_0_1, np_, v6):
    v4 = r_0 < m_0_1                                              # f.py:3
    v6_ = not True
    v7 = v4 and v6_                                               # f.py:3
    v8 = math.sqrt(np_)                                           # f.py:4
    v10 = v8 if v7 else -math.inf
    v11 = math.pow(v6, r_0)                                       # f.py:5
    return v10, v11
"""
    )


def test_float32_constants_are_typed():
    builder = GraphBuilder("f", ["x"])
    text = print_python(lower(builder.build([builder.add("mul", 0, builder.constant(0.1))]), "float32"))
    assert "x * np.float32(0.10000000149011612)" in text


@pytest.mark.parametrize("math", ["simd", "libm"])
def test_ir_has_no_fast_math_flag(math):
    ir = print_ir(lower(graph_of(*REAL), math=math), host())
    assert not re.search(r"\b(fast|nnan|ninf|nsz|arcp|contract|afn|reassoc)\b", ir)


def test_ir_calls_vector_functions_where_there_are_any():
    letters = Host("x86_64-linux", "x", "+avx2", 32, "d", frozenset({"_ZGVdN4v_exp"}))
    ir = print_ir(lower(graph_of("exp", "log")), letters)
    assert "call <16 x double> @parts__ZGVdN4v_exp(<16 x double> %v0)" in ir
    assert ir.count("call <4 x double> @_ZGVdN4v_exp(<4 x double> %x0") == 4
    assert "call <16 x double> @lanes_log(<16 x double> %v0)" in ir
    assert "_ZGV" not in print_ir(lower(graph_of("exp"), math="libm"), letters)


def test_ir_for_neon_names_its_own_functions():
    neon = Host("aarch64-unknown-linux-gnu", "generic", "+neon", 16, "n", frozenset({"_ZGVnN4v_expf"}))
    ir = print_ir(lower(graph_of("exp"), "float32"), neon)
    assert "call <4 x float> @_ZGVnN4v_expf(<4 x float> %x0.3)" in ir


@pytest.mark.parametrize(("features", "width"), [("+avx512f", 8), ("+avx2", 4), ("+avx", 4), ("", 2)])
def test_ir_has_one_width(features, width):
    ir = print_ir(lower(graph_of(*REAL)), host_like("x86_64-linux", "any", features))
    assert {int(found) for found in re.findall(r"<(\d+) x (?:double|float|i1)>", ir)} == {width}


def test_inputs_are_loaded_once_and_only_if_used():
    builder = GraphBuilder("f", ["x", "unused"])
    ir = print_ir(lower(builder.build([builder.add("mul", 0, 0), 0])), host())
    assert len(re.findall(r"load <", ir)) == 1
    assert len(re.findall(r"store <", ir)) == 2


def test_a_bool_output_is_our_bug():
    builder = GraphBuilder("f", ["x"])
    graph = builder.build([builder.add("lt", 0, builder.constant(1.0))])
    with pytest.raises(InternalError, match="output 1 of `f` is a bool"):
        print_ir(lower(graph), host())


@pytest.mark.slow
def test_long_bodies_come_in_blocks():
    builder = GraphBuilder("long", ["x", "y"])
    values = [0, 1]
    for k in range(1, 990):
        values.append(builder.add(("mul", "add", "sub")[k % 3], values[-1], values[k // 2]))
    graph = builder.build([values[-1], values[300], 0])
    assert re.findall(r"^part\d+:", print_ir(lower(graph), host()), re.M) == ["part1:", "part2:"]
    x, y = np.random.default_rng(2).uniform(-0.1, 0.1, (2, 40))
    check_bits(graph, x, y)
