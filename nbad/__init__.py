"""nbad: elementwise kernels with one forward sweep and many independent pullbacks."""

import importlib
from typing import TYPE_CHECKING

from nbad.decorate import Kernel, kernel
from nbad.errors import NbadError
from nbad.jacobians import jacobian, value_and_jacobian
from nbad.transforms import jvp, vjp
from nbad.version import VERSION as __version__

if TYPE_CHECKING:
    from nbad import special, testing
    from nbad.explanation import explain
    from nbad.gradients import grad, hessian, hvp, value_and_grad
    from nbad.linearization import linearize
    from nbad.nonfinite import NonFiniteError, debugging
    from nbad.primitives import primitive, stop_gradient
    from nbad.showing import show
    from nbad.sympy_bridge import from_sympy

__all__ = [
    "Kernel", "NbadError", "NonFiniteError", "debugging", "explain", "from_sympy", "grad", "hessian", "hvp", "jacobian",
    "jvp", "kernel", "linearize", "primitive", "show", "special", "stop_gradient", "value_and_grad", "value_and_jacobian", "vjp",
]

_MODULES = ("special", "testing")
_HOMES = {
    "NonFiniteError": "nonfinite", "debugging": "nonfinite", "explain": "explanation", "from_sympy": "sympy_bridge",
    "grad": "gradients", "hessian": "gradients", "hvp": "gradients", "linearize": "linearization", "primitive": "primitives",
    "show": "showing", "stop_gradient": "primitives", "value_and_grad": "gradients",
}


def __getattr__(name):
    """Load what not every program needs when it is first asked for."""
    if name in _MODULES:
        return importlib.import_module(f"nbad.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'nbad' has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(f"nbad.{_HOMES[name]}"), name)
    return found


def __dir__():
    return sorted({*globals(), *_MODULES, *_HOMES})
