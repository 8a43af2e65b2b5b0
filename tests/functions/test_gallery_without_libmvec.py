"""The gallery on a host whose C library has no vector functions: values and derivatives by nbad's own."""

import re

import numpy as np
import pytest
from helpers.gallery import kernels, load, sample
from helpers.own_functions import hide_library
from helpers.same_bits import leaves
from numpy.testing import assert_allclose

import nbad
import nbad.testing
from nbad.functions.library import FUNCTIONS

NAMES = list(kernels())
# those with elementary functions of many kinds; the others wait for the night
DAILY = {"activations.mish", "arc_distance.arc_distance", "black_scholes.price", "reprojection.reprojection"}


def anew(name):
    """A kernel of the gallery that was not compiled before, and its module."""
    module = load.__wrapped__(name.partition(".")[0])
    return module, getattr(module, name.partition(".")[2])


def value_and_derivatives(name):
    module, kernel = anew(name)
    value, jacobian = nbad.value_and_jacobian(kernel)(*sample(module, kernel, 37))
    return [*leaves(value), jacobian]


def daily(names):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in names)) for name in NAMES]


@pytest.mark.parametrize("name", daily(DAILY))
def test_results_are_those_of_the_library_to_rounding(monkeypatch, name):
    expected = value_and_derivatives(name)
    hide_library(monkeypatch)
    for ours, theirs in zip(value_and_derivatives(name), expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12 * np.max(np.abs(theirs), initial=0.0))


@pytest.mark.parametrize("name", daily({"activations.mish"}))
def test_harness(monkeypatch, name):
    hide_library(monkeypatch)
    module, kernel = anew(name)
    nbad.testing.check_kernel(kernel, *sample(module, kernel, 37))
    ir = kernel.whole_program().value(np.dtype(float)).llvm
    assert "_ZGV" not in ir
    assert not set(re.findall(r"@lanes_(\w+)", ir)) & set(FUNCTIONS)
