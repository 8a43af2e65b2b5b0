"""Kernels without arguments, and calls that pass no number: there is nothing to differentiate by, in every verb alike."""

import functools
import sys

import numba
import numpy as np
import pytest

import nbad
from kernels import square
from nbad.errors import ArgumentTypeError
from nbad.testing import check_kernel
from nbad.tools import cli

OF_KERNELS = nbad.vjp, nbad.linearize, nbad.explain, nbad.profile, check_kernel
MAKERS = (
    nbad.jacobian,
    nbad.value_and_jacobian,
    nbad.grad,
    nbad.value_and_grad,
    nbad.hessian,
    nbad.sparse_jacobian,
    nbad.normal_equations,
)


@nbad.kernel
def constant():
    return 3.0


@nbad.kernel(static="n")
def shifted(n, x=1.0):
    return x + n


def test_a_kernel_without_arguments():
    assert constant() == 3.0
    calls = [functools.partial(verb, constant) for verb in OF_KERNELS]
    calls += [lambda maker=maker: maker(constant)() for maker in MAKERS]
    calls += [lambda: nbad.vjp(constant, argnums=0), lambda: nbad.jvp(constant, (), ())]
    for call in calls:
        with pytest.raises(
            ArgumentTypeError, match=r"nothing to differentiate by[\s\S]*got: no number\n[\s\S]*fix: constant\(\)  #"
        ):
            call()


def test_a_call_that_passes_no_number():
    assert shifted(3) == 4.0
    with pytest.raises(ArgumentTypeError, match=r"nothing to differentiate by[\s\S]*fix: nbad\.vjp\(shifted, n, x\)"):
        nbad.vjp(shifted, 3)
    with pytest.raises(
        ArgumentTypeError, match=r"nothing to differentiate by[\s\S]*fix: nbad\.jacobian\(shifted, \('x',\)\)\(n, x\)"
    ):
        nbad.jacobian(shifted, "x")(3)


def test_who_asks_for_nothing_gets_nothing():
    assert nbad.vjp(constant, argnums=())[1](1.0) == ()
    assert nbad.jacobian(constant, argnums=())().shape == (1, 0)


def test_in_compiled_code():
    steep, of_constant = nbad.jacobian(square), nbad.jacobian(constant)
    with pytest.raises(ArgumentTypeError, match=r"nothing to differentiate by[\s\S]*fix: x\.astype"):
        numba.njit(lambda x: steep(x))(np.arange(3))
    with pytest.raises(ArgumentTypeError, match=r"nothing to differentiate by[\s\S]*fix: constant\(\)"):
        numba.njit(lambda: of_constant())()


def test_profile(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import nbad\n\n@nbad.kernel\ndef constant():\n    return 3.0\n\ndef sample_inputs(rng, n, dtype):\n    return ()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", sys.path[:])
    assert cli.main(["profile", "mine.py"]) == 2
    assert "nothing to differentiate by" in capsys.readouterr().err
