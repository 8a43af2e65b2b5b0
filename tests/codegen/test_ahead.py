"""What kernels ask for ahead: the next vector's lines, of wide elements and of many rows, and nothing of others."""

import re

import numpy as np
import pytest

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
