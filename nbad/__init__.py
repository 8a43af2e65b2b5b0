"""nbad: elementwise kernels with one forward sweep and many independent pullbacks."""

import importlib

from nbad import special
from nbad.decorate import Kernel, kernel
from nbad.errors import NbadError
from nbad.explanation import explain
from nbad.gradients import grad, hessian, hvp, value_and_grad
from nbad.jacobians import jacobian, value_and_jacobian
from nbad.linearization import linearize
from nbad.nonfinite import NonFiniteError, debugging
from nbad.primitives import primitive, stop_gradient
from nbad.showing import show
from nbad.sympy_bridge import from_sympy
from nbad.transforms import jvp, vjp
from nbad.version import VERSION as __version__

__all__ = [
    "Kernel", "NbadError", "NonFiniteError", "debugging", "explain", "from_sympy", "grad", "hessian", "hvp", "jacobian",
    "jvp", "kernel", "linearize", "primitive", "show", "special", "stop_gradient", "value_and_grad", "value_and_jacobian", "vjp",
]


def __getattr__(name):
    """Load `nbad.testing` when it is first asked for: it needs what only tests have."""
    if name == "testing":
        return importlib.import_module("nbad.testing")
    raise AttributeError(f"module 'nbad' has no attribute {name!r}")
