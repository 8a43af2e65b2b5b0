"""Vectors of one register for what is less than a vector of several: the same bits, and code for it where it is run only."""

import math

import numpy as np
import pytest

import nbad
from nbad.codegen.compile import TileKernel
from nbad.codegen.host import host
from nbad.graphs.graph import GraphBuilder
from nbad.native.entry import Rows, narrow_of
from nbad.runtime.operands import DOUBLE, SINGLE


@nbad.kernel
def decay(x, y):
    return math.exp(-x * x) * math.log(y), math.sin(x) / y


@nbad.kernel
def root(x, y):
    r = y
    for _ in range(40):
        step = (math.exp(r) - x) / math.exp(r)
        r = r - step
        if abs(step) < 1e-9:
            break
    return r


@nbad.kernel(signature="(3),()->(2)")
def lengths(v, s):
    return np.array([math.exp(-np.dot(v, v)) * s, math.log(s) + math.sin(v[0])])


def exponential(dtype, lines=0):
    builder = GraphBuilder("exponential", ["x"])
    kernel = TileKernel(builder.build([builder.add("exp", 0)] * max(lines, 1)), dtype, "simd")
    return kernel.in_lines("written", lines) if lines else kernel


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE])
def test_what_a_narrow_kernel_is(dtype):
    kernel = exponential(dtype)
    narrow = kernel.narrow()
    assert kernel.width > narrow.width == host().width(dtype.name)
    assert narrow.narrow() is narrow
    assert [narrow_of(kernel, inputs) for inputs in (((),), (Rows(1), ()))] == [narrow, kernel]
    assert exponential(dtype, 20).narrow().lines  # lines are whole


def leaves(made):
    return [leaf for each in made for leaf in leaves(each)] if isinstance(made, tuple) else [made]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kernel", [decay, root, lengths])
def test_the_bits_of_an_element_do_not_depend_on_how_many_there_are(kernel, dtype, rng):
    most = 8 * host().width(dtype) + 3
    x, y = (rng.uniform(0.5, 2.0, (2 * most, *core)).astype(dtype) for core in (((3,), ()) if kernel is lengths else ((), ())))
    for verb in (kernel, nbad.value_and_jacobian(kernel), lambda *xs: nbad.jvp(kernel, xs, xs)):
        whole = leaves(verb(x, y))
        verb(x[:1], y[:1])  # entries are made at the second call
        for n in range(1, most):
            for part, all_of_it in zip(leaves(verb(x[n : 2 * n], y[n : 2 * n])), whole, strict=True):
                np.testing.assert_array_equal(part, all_of_it[n : 2 * n])


@pytest.mark.parametrize("faulty", [0, 8, 20, 35])
def test_errors_are_found_in_narrow_vectors(faulty):
    @nbad.kernel
    def damped(x):
        if x <= 0.0:
            raise ValueError("not positive")
        return math.log(x) * math.exp(x) * math.exp(-x * x)

    x = np.linspace(1.0, 2.0, 36)
    for _ in range(2):
        np.testing.assert_allclose(damped(x), np.log(x) * np.exp(x - x * x), rtol=1e-13)
    x[faulty] = 0.0
    with pytest.raises(ValueError, match="not positive"):
        damped(x)
