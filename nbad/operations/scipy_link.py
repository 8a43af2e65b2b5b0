"""SciPy's special functions, where SciPy is installed: for NumPy values, and as addresses for compiled code."""

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from nbad.errors import MissingExtraError
from nbad.forks import IMPORTS

SIGNATURE = "double ({}, int"  # the last number is one that Cython's own callers pass
# Cython keeps the addresses of its C functions in capsules, whose names are the signatures
get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))


def reference(name: str) -> Callable[..., Any]:
    """A function of `scipy.special` on NumPy values as doubles, which compiled code calls it with; imported when it is called.

    Examples
    --------
    >>> reference("erfinv")(0.0)
    np.float64(0.0)
    """
    return lambda *operands: getattr(_special(name), name)(*(np.asarray(x, np.float64)[()] for x in operands))


def address(name: str, arity: int) -> int:
    """Address of `double name(double..., int)` in `scipy.special.cython_special`."""
    _special(name)
    with IMPORTS:
        from scipy.special import cython_special

    # a function of several types has one capsule for each: `fuse_0`, `fuse_1`; the signature tells which is for doubles
    capsules = [cython_special.__pyx_capi__.get(key) for key in (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}")]
    signature = SIGNATURE.format(", ".join(["double"] * arity)).encode()
    found = next(c for c in capsules if c is not None and get_name(c).startswith(signature))
    return get_pointer(found, get_name(found))


def _special(name: str) -> ModuleType:
    try:
        with IMPORTS:
            import scipy.special
    except ImportError:
        raise MissingExtraError(
            f"`{name}` takes its values from SciPy, which is not installed",
            expected="the extra `scipy`",
            fix='pip install "nbad[scipy]"',
        ) from None
    return scipy.special
