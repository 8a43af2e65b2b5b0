"""nbad: elementwise kernels with one forward sweep and many independent pullbacks.

A kernel is written as a plain function of numbers, and called with whole arrays; so are its derivatives. `help(nbad.kernel)`
tells how it is made, `help(nbad.vjp)` what its sweeps keep, and the names below what else there is.

Examples
--------
>>> import nbad
>>> square = nbad.kernel(lambda x: x * x)
>>> y, pullback = nbad.vjp(square, [1.0, 2.0])
>>> pullback(1.0), pullback(10.0)
((array([2., 4.]),), (array([20., 40.]),))
"""

import importlib
import sys
from typing import TYPE_CHECKING

from nbad import renamed
from nbad.api.decorate import kernel
from nbad.api.kernel import Kernel
from nbad.errors import NbadError, NotConvergedError, unknown_name
from nbad.forks import IMPORTS
from nbad.version import VERSION

if TYPE_CHECKING:
    from nbad import integrations as integrations
    from nbad import special
    from nbad import testing as testing
    from nbad.api.primitives import primitive
    from nbad.indexing.indexed import indexed
    from nbad.language.special_functions import stop_gradient
    from nbad.runtime.memory import release_memory
    from nbad.runtime.nonfinite import NonFiniteError, debugging
    from nbad.tools.explain import explain
    from nbad.tools.export import export
    from nbad.tools.profiled import profile
    from nbad.tools.show import show
    from nbad.tracing.roots import solve
    from nbad.verbs.bind import bind
    from nbad.verbs.gradients import grad, hessian, hvp, value_and_grad
    from nbad.verbs.jacobians import jacobian, value_and_jacobian
    from nbad.verbs.normal_equations import normal_equations
    from nbad.verbs.pushforward import jvp, linearize
    from nbad.verbs.sparse import sparse_hessian, sparse_jacobian
    from nbad.verbs.sympy_kernels import from_sympy
    from nbad.verbs.vjp import vjp

# fmt: off
__all__ = [
    "Kernel", "NbadError", "NonFiniteError", "NotConvergedError", "bind", "debugging", "explain", "export", "from_sympy", "grad",
    "hessian", "hvp", "indexed", "jacobian", "jvp", "kernel", "linearize", "normal_equations", "primitive", "profile",
    "release_memory", "show", "solve", "sparse_hessian", "sparse_jacobian", "special", "stop_gradient", "value_and_grad",
    "value_and_jacobian", "vjp",
]

__version__ = VERSION

_MODULES = ("integrations", "special", "testing")
_HOMES = {
    "NonFiniteError": "runtime.nonfinite", "bind": "verbs.bind", "debugging": "runtime.nonfinite", "explain": "tools.explain",
    "export": "tools.export",
    "from_sympy": "verbs.sympy_kernels", "grad": "verbs.gradients", "hessian": "verbs.gradients", "hvp": "verbs.gradients",
    "indexed": "indexing.indexed",
    "jacobian": "verbs.jacobians", "jvp": "verbs.pushforward", "linearize": "verbs.pushforward",
    "normal_equations": "verbs.normal_equations", "primitive": "api.primitives", "profile": "tools.profiled",
    "release_memory": "runtime.memory", "show": "tools.show", "solve": "tracing.roots",
    "sparse_hessian": "verbs.sparse", "sparse_jacobian": "verbs.sparse", "stop_gradient": "language.special_functions",
    "value_and_grad": "verbs.gradients", "value_and_jacobian": "verbs.jacobians", "vjp": "verbs.vjp",
}
# fmt: on

renamed.install()


def __getattr__(name):
    """Load what not every program needs when it is first asked for."""
    if name not in _MODULES and name not in _HOMES:
        raise unknown_name("nbad", name, [*__all__, *_MODULES])
    with IMPORTS:
        module = importlib.import_module(f"nbad.{_HOMES.get(name, name)}")
    if "nbad.njit.extension" in sys.modules:  # Numba asked what kernels are, perhaps before there were verbs
        sys.modules["nbad.njit.extension"].learn()
    globals()[name] = found = module if name in _MODULES else getattr(module, name)
    return found


def __dir__():
    """What is public, and what Python gives every module."""
    return sorted({*__all__, *_MODULES, *(name for name in globals() if name.startswith("__"))})
