"""What kernels ask for ahead: the next vector's lines, of wide elements and of many rows, and nothing of others."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nbad.codegen.ahead import SLACK, Ask, paced
from nbad.codegen.compile import TileKernel
from nbad.codegen.host import ITEMSIZE, LINE, host
from nbad.codegen.lower import lower
from nbad.codegen.vector_ir import print_ir
from nbad.graphs.graph import GraphBuilder

ASKED = re.compile(r"call void @llvm\.prefetch\.p0\(ptr [^,]*, i32 (\d), i32 3, i32 1\)")


def doubled(number, dtype="float64"):
    """So many inputs, each with itself."""
    builder = GraphBuilder("doubled", [f"x{k}" for k in range(number)])
    return lower(builder.build([builder.add("add", k, k) for k in range(number)]), dtype)


def asked_for(kernel):
    """How many lines a pass asks for, to be read and to be written."""
    found = ASKED.findall(print_ir(kernel.oplist, host()))
    return found.count("0"), found.count("1")


def kernel(number, dtype="float64"):
    return TileKernel(doubled(number, dtype), np.dtype(dtype), "simd")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_elements_as_long_as_lines_are_asked_for(dtype):
    in_line = LINE // ITEMSIZE[dtype]
    for number in (in_line, 2 * in_line, 5 * in_line):
        wide = kernel(number, dtype).beside([number]).reading([number])
        lines = wide.width * number // in_line
        assert asked_for(wide) == (lines, lines)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_shorter_elements_are_not(dtype):
    number = LINE // ITEMSIZE[dtype] - 1
    assert asked_for(kernel(number, dtype).beside([number]).reading([number])) == (0, 0)


def test_many_rows_are_asked_for_where_they_are_written():
    assert asked_for(kernel(12)) == (0, 0)
    many = kernel(13)
    assert asked_for(many) == (0, 13 * max(1, many.width * 8 // LINE))


def test_rows_that_pass_the_caches_are_not():
    assert asked_for(kernel(13).past_caches()) == (0, 0)


def test_lines_are_asked_for_at_an_even_pace():
    """As many between any two calls of the exponential, whose results are needed before anything is stored."""
    builder = GraphBuilder("normalized", [f"x{k}" for k in range(64)])
    calls = [builder.add("exp", k) for k in range(64)]
    total = calls[0]
    for k in calls[1:]:
        total = builder.add("add", total, k)
    plain = TileKernel(lower(builder.build([builder.add("div", k, total) for k in calls])), np.dtype(float), "simd")
    wide = plain.beside([64]).reading([64])
    parts = re.split(r"call <[^>]*> @(?!llvm)", print_ir(wide.oplist, host()))[2:-1]
    number = sum(asked_for(wide)) / 64
    assert all(len(ASKED.findall(part)) <= 3 * number + 1 for part in parts)
    assert sum(len(ASKED.findall(part)) > 0 for part in parts) > 50


def test_each_line_is_asked_for_long_before_it_is_used():
    asks = [Ask(float(time), row, place) for row, time in enumerate((0, 10, 900, 950)) for place in range(0, 640, 64)]
    found = paced(asks, 1000.0)
    assert sorted(ask for *_, ask in found) == sorted(asks)
    assert all(ask.time + 1000.0 * vectors - moment >= SLACK - 1e-9 for moment, vectors, ask in found)
    moments = [moment for moment, *_ in found]
    assert_allclose(np.diff(moments), 1000.0 / len(asks))
