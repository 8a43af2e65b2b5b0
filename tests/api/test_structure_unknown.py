"""Kernels of dicts and namedtuples, shown without arguments: a kernel of numbers that can be shown is the fix."""

from typing import NamedTuple

import numpy as np
import pytest
import sympy

import nbad
from nbad.errors import ArgumentTypeError, TraceError


class Gas(NamedTuple):
    density: float
    speeds: dict


@nbad.kernel
def pressure(gas, /, x, n=2, *, scale):
    return gas.density * gas.speeds["c"] ** n * x * scale["k"]


CALL = pressure, Gas(2.0, {"c": 3.0}), np.array([1.0, 2.0])


def fix_of(call):
    with pytest.raises(ArgumentTypeError, match="gas has a structure, which only calls tell") as caught:
        call()
    return str(caught.value).partition("fix: ")[2]


def test_the_fix_is_a_kernel_that_can_be_shown():
    with pytest.raises(TraceError, match=r"reads the attribute `density` of `gas`[\s\S]*use gas itself"):
        nbad.show(pressure)
    value = pressure(*CALL[1:], scale={"k": 0.5})
    fixes = {fix_of(call) for call in (lambda: nbad.show(pressure), lambda: nbad.export(pressure), pressure.sympy)}
    (fix,) = fixes
    flat = eval(fix, {"nbad": nbad, "pressure": pressure, "Gas": Gas})
    np.testing.assert_array_equal(flat(2.0, 3.0, CALL[2], 2.0, 0.5), value)
    density, c, x, n, k = sympy.symbols("gas_density gas_speeds_c x n scale_k")
    assert sympy.simplify(flat.sympy() - density * c**n * x * k) == 0
    assert "gas_density" in nbad.show(flat)
    assert "gas_density" in nbad.export(flat)
