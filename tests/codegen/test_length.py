"""Vectors of several registers: how many, and that they change no bit."""

import numpy as np
import pytest
from helpers.gallery import load
from helpers.tiles_by_hand import compile_tile, edges, graph_of, pairs, run_tile, same_bits

from nbad.codegen.host import Host, host
from nbad.codegen.length import length
from nbad.codegen.lower import lower
from nbad.graphs.graph import GraphBuilder
from nbad.operations.table import TABLE

SQRT_OF_2 = 2.0**0.5
OFFERED = Host("x86_64-linux", "x", "+avx2", 32, "d", frozenset({"_ZGVdN4v_exp", "_ZGVdN4v_sin"}))
CALLED = [name for name, row in TABLE.items() if row.libm and not row.scipy and len(row.operands) < 3]


def chain(calls, operations, results=1):
    """A graph of some calls and some other operations."""
    builder = GraphBuilder("chain", ["x"])
    k, factor = 0, builder.constant(SQRT_OF_2)
    for _ in range(calls):
        k = builder.add("exp", k)
    for _ in range(operations):
        k = builder.add("mul", k, factor)
    return lower(builder.build([k] * results))


@pytest.mark.parametrize(
    ("oplist", "registers"),
    [
        (chain(1, 0), 4),
        (chain(2, 30), 4),
        (chain(2, 31), 2),
        (chain(1, 63), 2),
        (chain(1, 1023), 2),
        (chain(1, 1024), 1),
        (chain(0, 5), 1),
        (chain(0, 24), 2),
        (chain(0, 24, results=13), 1),
        (chain(1, 0, results=12), 4),
        (chain(1, 0, results=13), 2),
        (chain(2, 14, results=13), 2),
        (chain(2, 15, results=13), 1),
        (lower(graph_of("exp"), math="libm"), 1),
        (lower(graph_of("log")), 1),  # not offered: called lane by lane
        (lower(graph_of("sqrt")), 1),  # an instruction
    ],
)
def test_calls_of_vector_functions_make_vectors_longer(oplist, registers):
    assert length(oplist, OFFERED) == registers


def test_sums_of_a_few_products_are_short_however_many():
    builder = GraphBuilder("products", [f"x{k}" for k in range(8)])
    products = [builder.add("mul", j, k) for j in range(8) for k in range(8)]
    sums = [builder.add("add", *products[k : k + 2]) for k in range(0, 8, 2)]
    chained = builder.add("add", builder.add("add", *sums[:2]), builder.add("add", *sums[2:]))
    for product in products[8:]:
        chained = builder.add("add", chained, product)
    assert length(lower(builder.build(sums + products[8:16])), OFFERED) == 1
    assert length(lower(builder.build([chained])), OFFERED) == 2


def test_a_constant_alone_is_short():
    builder = GraphBuilder("one", ["x"])
    assert length(lower(builder.build([builder.constant(1.0)])), OFFERED) == 1


def test_what_a_loop_calls_counts_but_its_vectors_stay_shorter():
    kepler = load("kepler").eccentric_anomaly.whole_program()
    assert length(lower(kepler.simple), OFFERED) == 2


def test_with_32_registers_some_calls_make_vectors_long_but_for_many_inputs():
    roomy = OFFERED._replace(letter="e", nbytes=64, offered=frozenset({"_ZGVeN8v_exp", "_ZGVeN8v_sin"}))
    kepler = lower(load("kepler").eccentric_anomaly.whole_program().simple)
    assert [length(oplist, roomy) for oplist in (kepler, chain(1, 63), chain(1, 64), chain(0, 5))] == [4, 4, 2, 1]
    assert [length(sum_of(inputs), roomy) for inputs in (12, 13)] == [4, 2]


def sum_of(inputs):
    """A graph of many inputs, many operations and one call."""
    builder = GraphBuilder("sum", [f"x{k}" for k in range(inputs)])
    total = builder.add("exp", 0)
    for k in range(2 * inputs):
        total = builder.add("add", total, k % inputs)
    return lower(builder.build([total]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("registers", [2, 4])
def test_lengths_have_the_same_bits(dtype, registers, monkeypatch):
    oplist = lower(graph_of(*CALLED, "sqrt", "abs"), dtype)
    operands = pairs(edges(np.dtype(dtype).type))
    short = compiled(oplist, 1, monkeypatch)
    long = compiled(oplist, registers, monkeypatch)
    assert long.width == registers * short.width == registers * host().width(dtype)
    for k, (a, b) in enumerate(zip(run_tile(short, *operands), run_tile(long, *operands), strict=True)):
        assert same_bits(a, b), oplist.nodes[oplist.outputs[k]].op


def compiled(oplist, registers, monkeypatch):
    for module in ("vector_ir", "length"):
        monkeypatch.setattr(f"nbad.codegen.{module}.length", lambda oplist, host: registers)
    return compile_tile(oplist)
