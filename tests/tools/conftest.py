"""What the tests of tools share."""

import types

import numba
import pytest

import nbad


@pytest.fixture
def interpreted(monkeypatch):
    """Export a kernel, and run the module in plain Python."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)

    def run(kernel):
        module = types.ModuleType("exported")
        exec(nbad.export(kernel), vars(module))
        return module

    return run
