"""nbad: elementwise kernels with one forward sweep and many independent pullbacks."""

import importlib

from nbad.decorate import Kernel, kernel
from nbad.errors import NbadError
from nbad.gradients import grad, hessian
from nbad.showing import show
from nbad.transforms import jacobian, jvp, value_and_jacobian, vjp
from nbad.version import VERSION as __version__

__all__ = ["Kernel", "NbadError", "grad", "hessian", "jacobian", "jvp", "kernel", "show", "value_and_jacobian", "vjp"]


def __getattr__(name):
    """Load `nbad.testing` when it is first asked for: it needs what only tests have."""
    if name == "testing":
        return importlib.import_module("nbad.testing")
    raise AttributeError(f"module 'nbad' has no attribute {name!r}")
