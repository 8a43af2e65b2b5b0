"""The machine code of the gallery: vector code of one width, in every sweep and under every policy."""

import re

import numpy as np
import pytest
from helpers.gallery import GALLERY, load

import nbad
from nbad.codegen.host import host
from nbad.codegen.length import width
from nbad.plans.policies import POLICIES

REGISTERS = {"e": "zmm", "d": "ymm", "c": "ymm", "b": "xmm", "n": "v"}
OTHERS = {"zmm": ("ymm",), "ymm": ("zmm",), "xmm": ("ymm", "zmm")}
ARITHMETIC = re.compile(r"\tv?(?:add|sub|mul|div|sqrt|min|max)(p[ds]|s[ds])\t")
KERNELS = {f"{name}.{k.__name__}": k for name in GALLERY for k in vars(load(name)).values() if isinstance(k, nbad.Kernel)}


def tile_kernels(program, dtype):
    """Those of the value, of a tangent, and of both sweeps under every policy, equal ones once."""
    wrt = tuple(range(len(program.graph.inputs)))
    plans = [program.plan(wrt, policy) for policy in POLICIES]
    made = [program.value(dtype), program.jvp(wrt, dtype)]
    made += [make(plan, dtype) for plan in plans for make in (program.forward, program.prologue, program.reverse)]
    return {kernel.address: kernel for kernel in made if kernel}.values()


def cases():
    """Every kernel in both precisions; most of them wait for the night."""
    for k, (name, kernel) in enumerate(KERNELS.items()):
        for dtype, step in (("float64", 3), ("float32", 6)):
            yield pytest.param(kernel, dtype, id=f"{name}-{dtype}", marks=[pytest.mark.slow] * (k % step > 0))


@pytest.mark.parametrize(("kernel", "dtype"), list(cases()))
def test_the_code_is_vector_code_of_one_width(kernel, dtype):
    wide, dtype = REGISTERS[host().letter], np.dtype(dtype)
    for tile in tile_kernels(kernel.whole_program(), dtype):
        asm = tile.asm
        assert wide in asm
        assert not [register for register in OTHERS.get(wide, ()) if register in asm]
        assert set(ARITHMETIC.findall(asm)) <= {"pd" if dtype == np.float64 else "ps"}
        assert tile.width == width(tile.oplist, host())
