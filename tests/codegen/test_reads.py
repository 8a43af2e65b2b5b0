"""Inputs side by side: what is loaded together, and that it changes no bit."""

import numpy as np
import pytest
from helpers.tiles_by_hand import ENTRY, compile_tile, run_tile

from nbad.codegen import spills
from nbad.codegen.host import host
from nbad.codegen.lower import lower
from nbad.codegen.reads import may_read, part_of
from nbad.graphs.graph import GraphBuilder


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_every_column_is_in_its_part(lanes):
    for number in (n for n in range(1, 40) if may_read(n, lanes)):
        for column in range(number):
            start, count = part_of(column, number, lanes)
            assert start <= column < start + count <= number
            assert count in (1, 2, 4, 8) or (count, number) == (3, 3)
            assert count <= lanes


def weighed(number, dtype):
    """A row, so many columns, and a row again: the columns by weights of their own, from the last on, and two of them."""
    names = ["a", *(f"v{k}" for k in range(number)), "b"]
    builder = GraphBuilder("weighed", names)
    total = builder.add("mul", 0, number + 1)
    for k in range(number, 0, -1):
        total = builder.add("add", total, builder.add("mul", k, builder.constant(k + 0.5)))
    return lower(builder.build([total, 1, builder.add("sub", number, 1)]), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("registers", [1, 2, 4])
@pytest.mark.parametrize("is_long", [False, True])
def test_columns_have_the_bits_of_rows(dtype, registers, is_long, rng, monkeypatch):
    for module in ("vector_ir", "length"):
        monkeypatch.setattr(f"nbad.codegen.{module}.length", lambda oplist, host: registers)
    if is_long:
        for module in ("vector_ir", "spills"):
            monkeypatch.setattr(f"nbad.codegen.{module}.LONG", 2)
        monkeypatch.setattr("nbad.codegen.vector_ir.PART", 20)
    assert (2 if is_long else 1000) == spills.LONG
    every = (2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 19, 31)
    for number in every if registers == 1 else every[1::3]:  # parts are the same for each register
        assert_same_bits(number, dtype, host().width(dtype), rng)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("nbytes", [16, 32, 64])
def test_other_registers(dtype, nbytes, rng, monkeypatch):
    """Those of SSE2, NEON, AVX2 and AVX-512, which LLVM makes of what this host has."""
    other = host()._replace(nbytes=nbytes)
    monkeypatch.setattr("nbad.codegen.compile.host", lambda: other)
    for number in (2, 3, 4, 6, 7, 9, 17):
        assert_same_bits(number, dtype, other.width(dtype), rng)


def assert_same_bits(number, dtype, lanes, rng):
    """Of a kernel that reads so many columns, and of the same with rows."""
    rows = compile_tile(weighed(number, dtype))
    columns = rows.reading([1, number, 1])
    n = 3 * rows.width
    block = rng.uniform(0.5, 2.0, (n, number)).astype(dtype)
    a, b = rng.uniform(0.5, 2.0, (2, n)).astype(dtype)
    results = np.full((3, n), 7.0, dtype)
    table = np.array([x.ctypes.data for x in (a, block, b, *results)], np.intp)
    ENTRY(columns.address)(table.ctypes.data, n)
    np.testing.assert_array_equal(results, run_tile(rows, a, *np.ascontiguousarray(block.T), b))
