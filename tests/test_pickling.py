"""Kernels travel: by name through pickle, by value through cloudpickle, and multiprocessing works with them."""

import copy
import multiprocessing
import pickle
import sys

import cloudpickle
import numpy as np
import pytest

import nbad


@nbad.kernel
def square(x):
    return x * x


def slope(x):
    _, pullback = nbad.vjp(square, x)
    return pullback(1.0)[0]


def test_by_name():
    assert pickle.loads(pickle.dumps(square)) is square
    assert b"square" in pickle.dumps(square)


def test_copies_are_the_same_kernel():
    assert copy.deepcopy(square)(3.0) == 9.0


def test_what_has_no_name_is_refused_by_pickle(monkeypatch):
    monkeypatch.delitem(sys.modules, "cloudpickle")
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(nbad.kernel(lambda x: x + 1.0))


def test_by_value_through_cloudpickle():
    rate = 3.0
    f = nbad.kernel(lambda x: rate * x, math="libm")
    again = pickle.loads(cloudpickle.dumps(f))
    assert again is not f
    assert again(2.0) == 6.0
    assert again._math == "libm"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method):
    with multiprocessing.get_context(method).Pool(2) as workers:
        assert workers.map(slope, [1.0, 2.0, 3.0]) == [2.0, 4.0, 6.0]
        assert workers.map(square, [np.array([2.0])])[0].tolist() == [4.0]


def test_precompile_refuses_other_dtypes():
    with pytest.raises(TypeError, match=r"`square.precompile\(int64\)`: not a working dtype"):
        square.precompile("int64")


def test_precompiled_kernels_do_not_compile_again(monkeypatch):
    f = nbad.kernel(lambda x: x**4 + 0.25).precompile(np.float64, np.float32)
    monkeypatch.setattr("nbad.programs.compile_tile", None)
    for dtype in (np.float64, np.float32):
        y, pullback = nbad.vjp(f, np.array([2.0], dtype), residuals="partials")
        assert y.dtype == dtype
        assert pullback(1.0)[0].tolist() == [32.0]
        assert nbad.jacobian(f)(np.array([2.0], dtype)).tolist() == [[[32.0]]]
