"""What a kernel has in common with Numba's dispatchers: its plain function, and what was compiled for it, as text."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.errors import ArgumentValueError

if TYPE_CHECKING:
    from nbad.memo import Memo

DTYPES = ("float64", "float32")
Signature = tuple[Any, ...]  # of Numba's types


class Inspected:
    """The attributes and methods of Numba's dispatchers, for `Kernel`."""

    __name__: str
    __wrapped__: Callable[..., Any]
    _programs: "Memo"

    @property
    def py_func(self) -> Callable[..., Any]:
        """The function as it was written."""
        return self.__wrapped__

    @property
    def signatures(self) -> list[Signature]:
        """The types of one element's arguments for which values were compiled.

        Examples
        --------
        >>> import nbad
        >>> f = nbad.kernel(lambda x, y: x * y)
        >>> f.signatures, f(1.0, 2.0), f.signatures
        ([], np.float64(2.0), [(float64, float64)])
        """
        return list(self._compiled())

    def inspect_llvm(self, signature: Iterable[Any] | None = None) -> Any:
        """The LLVM IR of the value for one of `signatures`, or of all in a dict.

        Examples
        --------
        >>> import nbad
        >>> f = nbad.kernel(lambda x: x + x)
        >>> f(1.0), "fadd" in f.inspect_llvm(f.signatures[0])
        (np.float64(2.0), True)
        """
        return self._texts("inspect_llvm", signature, lambda compiled: compiled.llvm)

    def inspect_asm(self, signature: Iterable[Any] | None = None) -> Any:
        """The assembly, likewise."""
        return self._texts("inspect_asm", signature, lambda compiled: compiled.asm)

    def _texts(self, method: str, signature: Iterable[Any] | None, text: Callable[[Any], str]) -> Any:
        known = self._compiled()
        if signature is None:
            return {each: text(compiled) for each, compiled in known.items()}
        wanted = tuple(signature)
        if wanted not in known:
            raise ArgumentValueError(
                f"`{self.__name__}.{method}(signature)`: nothing was compiled for these types",
                got=str(wanted),
                expected=" or ".join(map(str, known)) or "one of those for which it was called: none so far",
                fix=f"{method}()  # of all",
            )
        return text(known[wanted])

    def _compiled(self) -> dict[Signature, Any]:
        """The kernels of values by signature, of all arguments and statics of which there were calls."""
        from numba import from_dtype, types

        found: dict[Signature, Any] = {}
        for program in list(self._programs.known.values()):
            for dtype in map(np.dtype, DTYPES):
                compiled = program.remember.known.get(("value", dtype))
                if compiled is not None:
                    number = from_dtype(dtype)
                    cores = [types.Array(number, len(core), "C") if core else number for core in program.cores]
                    found[tuple(cores)] = compiled
        return found
