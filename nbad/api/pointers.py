"""C functions of others, by their addresses, as implementations of primitives."""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numba.core import sigutils, types

from nbad.api.compiled import Function
from nbad.errors import ArgumentTypeError

NAMES = ("x", "y", "z")  # of parameters; where there are more, they are numbered
CALLBACK = "CThunkObject"  # what ctypes holds of a Python function


class Pointer(NamedTuple):
    """A C function of doubles, with what keeps its code alive.

    Attributes
    ----------
    address, arity : int
    owner : object
    """

    address: int
    arity: int
    owner: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Those of its parameters."""
        return NAMES[: self.arity] if self.arity <= len(NAMES) else tuple(f"x{k}" for k in range(self.arity))

    @property
    def value(self) -> Function:
        """The function."""
        return Function(ctypes.CFUNCTYPE(*[ctypes.c_double] * (1 + self.arity))(self.address), self.address, self.owner)

    def of_arrays(self, *operands: Any) -> np.ndarray:
        """Values on arrays."""
        return np.vectorize(self.value.call, otypes=[float])(*operands)


def pointer_to(call: str, implementation: Any) -> Pointer | None:
    """The C function that an implementation is: one of ctypes, or a pair of address and signature; None for anything else.

    Raises
    ------
    ArgumentTypeError
        If it is one, but not of doubles alone; or a Python function behind an address.
    """
    if isinstance(implementation, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        return _of_ctypes(call, implementation)
    if isinstance(implementation, tuple) and len(implementation) == 2 and isinstance(implementation[0], int):
        return _of_pair(call, *implementation)
    return None


def _of_ctypes(call: str, function: Any) -> Pointer:
    if any(type(held).__name__ == CALLBACK for held in (function._objects or {}).values()):
        raise ArgumentTypeError(
            f"{call}: ctypes made this C function of a Python one, whose errors would be lost",
            got=repr(function),
            expected="the Python function itself",
            fix="lambda x: x * x  # in its place, whatever it is",
        )
    given = function.argtypes
    if function.restype is not ctypes.c_double or not given or any(kind is not ctypes.c_double for kind in given):
        raise ArgumentTypeError(
            f"{call}: ctypes does not say that this C function is one of doubles",
            got=f"argtypes={_listed(given)}, restype={getattr(function.restype, '__name__', None)}",
            expected="argtypes that are all ctypes.c_double, and such a restype",
            fix="function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double",
        )
    return Pointer(ctypes.cast(function, ctypes.c_void_p).value or 0, len(given), function)


def _listed(kinds: Any) -> str:
    return f"[{', '.join(kind.__name__ for kind in kinds)}]" if kinds else repr(kinds)


def _of_pair(call: str, address: int, signature: Any) -> Pointer:
    try:
        given, returned = sigutils.normalize_signature(signature)
    except (NameError, SyntaxError, TypeError, AttributeError):
        given, returned = (), None
    if not given or any(kind != types.float64 for kind in (*given, returned)):
        raise ArgumentTypeError(
            f"{call}: the signature is not that of a function of doubles",
            got=repr(signature),
            expected="text like 'float64(float64, float64)', or such a signature of Numba's",
            fix=f"({address}, 'float64(float64)')",
        )
    return Pointer(address, len(given), None)
