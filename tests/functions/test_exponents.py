"""What AVX-512 has instructions for is what other hosts compute from bits."""

import ctypes

import numpy as np
import pytest
from helpers.own_functions import random_points, special_points
from helpers.tiles_by_hand import pairs, same_bits
from llvmlite import binding

from nbad.codegen.compile import compile_lasting
from nbad.codegen.host import ITEMSIZE, host
from nbad.functions.library import FUNCTIONS, symbol, text
from nbad.functions.lines import FLOAT

LOOP = """
define void @run(ptr %x0, ptr %x1, ptr %y, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{loads}
  %value = call {vector} @own({arguments})
  %target = getelementptr {scalar}, ptr %y, i64 %i
  store {vector} %value, ptr %target, align 4
  %next = add i64 %i, {width}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""
LOAD = """\
  %p{k} = getelementptr {scalar}, ptr %x{k}, i64 %i
  %v{k} = load {vector}, ptr %p{k}, align 4"""
WITH_EXPONENTS = ("exp", "exp2", "log", "log2", "log10", "log1p", "cbrt", "pow", "erfc")


def results(name, dtype, letter, points):
    """The results of a function that is printed for an instruction set."""
    width, scalar, each = 128 // ITEMSIZE[dtype], FLOAT[dtype], range(FUNCTIONS[name].arity)
    names = {"scalar": scalar, "vector": f"<{width} x {scalar}>", "width": width}
    loads = "\n".join(LOAD.format(k=k, **names) for k in each)
    arguments = ", ".join(f"{names['vector']} %v{k}" for k in each)
    own = symbol(name, dtype, width)
    ir = text(own, letter).replace(f"@{own}(", "@own(") + LOOP.format(loads=loads, arguments=arguments, **names)
    ir = ir.replace("define <", "define internal <")
    padded = [np.resize(x, -(-len(x) // width) * width) for x in points]
    found = np.empty_like(padded[0])
    addresses = [array.ctypes.data for array in (padded[0], padded[-1], found)]
    ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 4)(compile_lasting(ir, "run"))(*addresses, len(found))
    return found


def operands(name, dtype):
    """Points of the domain and its ends, subnormal numbers, and neighbours of where the power of 2 of a logarithm changes."""
    roots, ends = np.array([0.5**0.5 * 2.0**k for k in range(-140, 100)], dtype), np.array([0.0, 9e30], dtype)
    tiny = np.arange(1, 200).astype(dtype) * np.finfo(dtype).smallest_subnormal
    points = np.concatenate([special_points(dtype), roots, roots - 1, *(np.nextafter(roots, end) for end in ends), tiny, -tiny])
    columns = [points] if FUNCTIONS[name].arity == 1 else pairs(points[::7])
    return [np.concatenate(both) for both in zip(columns, random_points(name, dtype, 200), strict=True)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_instructions_of_this_host_give_the_same_bits(name, dtype):
    points = operands(name, dtype)
    assert same_bits(results(name, dtype, host().letter, points), results(name, dtype, "", points))


@pytest.mark.parametrize("name", WITH_EXPONENTS)
def test_they_are_in_whole_registers_only(name):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine(cpu="skylake-avx512", opt=2)
    for dtype, width in (("float64", 16), ("float32", 64)):
        printed = text(symbol(name, dtype, width), "e")
        instructions = {"scalef", "getexp", "getmant", "fixupimm"}
        found = {each for each in instructions if f"v{each}p" in machine.emit_assembly(binding.parse_assembly(printed))}
        assert found
        assert all(f"llvm.x86.avx512.mask.{each}." in printed for each in found)
    assert "avx512" not in text(symbol(name, "float64", 4), "e")
    assert "avx512" not in text(symbol(name, "float64", 16), "d")
