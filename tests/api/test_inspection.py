"""What kernels have in common with Numba's dispatchers, and kernels of functions that Numba compiled."""

import math

import numba
import numpy as np
import pytest

import nbad


def plain(x, y):
    return math.exp(x) * y


def test_the_plain_function():
    f = nbad.kernel(plain)
    assert f.py_func is plain
    assert nbad.grad(f).py_func(0.0, 3.0) == 3.0


def test_signatures_are_those_that_were_called():
    f = nbad.kernel(plain)
    assert f.signatures == []
    f(np.ones(3), 2.0), f(np.ones(3, np.float32), np.float32(2.0))
    assert f.signatures == [(numba.float64,) * 2, (numba.float32,) * 2]
    dot = nbad.kernel(lambda v, a: a * (v @ v), signature="(3),()->()")
    dot(np.ones((4, 3)), 2.0)
    assert dot.signatures == [(numba.float64[::1], numba.float64)]


def test_what_was_compiled_can_be_read():
    f = nbad.kernel(plain)
    f(np.ones(3), 2.0)
    (signature,) = f.signatures
    assert "fmul <" in f.inspect_llvm(signature)
    assert f.inspect_llvm() == {signature: f.inspect_llvm(signature)}
    assert "mulpd" in f.inspect_asm()[signature] or "fmul" in f.inspect_asm()[signature]
    with pytest.raises(nbad.NbadError, match="nothing was compiled for these types"):
        f.inspect_asm((numba.float32,) * 2)


def test_functions_that_numba_compiled_are_traced_as_they_were_written():
    helper = numba.njit(lambda x: math.exp(-x))
    whole = numba.njit(lambda x, scale=2.0: scale * helper(x))
    assert nbad.kernel(whole)(1.0) == nbad.kernel(lambda x: 2.0 * math.exp(-x))(1.0)
    assert nbad.grad(nbad.kernel(whole))(1.0) == pytest.approx(-2.0 * math.exp(-1.0), rel=1e-15)
    assert nbad.kernel(lambda x: helper(x) + 1.0)(0.0) == 2.0
