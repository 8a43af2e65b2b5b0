"""`dir` of the package and of its objects: what is public and nothing else."""

import runpy
import sys

import numpy as np
import pytest

import nbad

PUBLIC = set(
    "errors inspect_asm inspect_llvm latex max_operations max_passes nargs nin nout outer parameters precompile py_func "
    "signature signatures sized static stats sympy types".split()
)


def shown(value):
    """What `dir` lists, without the protocols."""
    return {name for name in dir(value) if not name.startswith("__")}


def wave(x):
    return x * np.sin(x)


wave.unit = "m"
WAVE = nbad.kernel(wave)


def test_dir_of_the_package():
    nbad.explain  # noqa: B018, which loads a module
    assert shown(nbad) == {*nbad.__all__, "special", "testing", "integrations"}
    assert {"__all__", "__doc__", "__version__"} <= set(dir(nbad))
    assert shown(nbad.integrations) == {*nbad.integrations.PARTNERS}


def test_dir_of_a_kernel_lists_the_users_own_attributes_too():
    WAVE.note = "mine"
    assert shown(WAVE) == {*PUBLIC, "unit", "note"}
    assert {"__call__", "__wrapped__", "__name__"} <= set(dir(WAVE))
    assert all(hasattr(type(WAVE), name) or name in vars(WAVE) for name in dir(WAVE))
    assert shown(nbad.grad(WAVE)) >= PUBLIC


def test_dir_of_what_verbs_return():
    _, pullback = nbad.vjp(WAVE, 1.0)
    assert shown(pullback) == {"batched", "close", "jacobian", "residuals", "shape"}
    assert shown(nbad.linearize(WAVE, 1.0)[1]) == {"batched"}
    assert shown(nbad.jacobian(WAVE)) == {"sparsity"}
    assert shown(nbad.value_and_jacobian(WAVE)) == {"sparsity"}
    assert shown(nbad.hessian(WAVE)) == shown(nbad.value_and_grad(WAVE)) == shown(nbad.bind(WAVE, 1.0)) == set()


def test_the_command_line_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["nbad", "--version"])
    monkeypatch.delitem(sys.modules, "nbad.__main__", raising=False)  # which another test imported
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("nbad", run_name="__main__")
    assert capsys.readouterr().out == f"nbad {nbad.__version__}\n"
