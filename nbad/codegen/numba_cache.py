"""nbad's own Numba functions, their code kept in nbad's cache folder."""

import functools
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from nbad.codegen import disk
from nbad.codegen.compile import VERSIONS
from nbad.forks import IMPORTS

PLAIN = (bool, int, float, str, tuple)  # kinds of globals that Numba compiles in as constants


def cached_njit(**options: Any) -> Callable[[Callable], Callable]:
    """`numba.njit(**options)` for nbad's own functions, compiled code kept in nbad's private cache folder.

    Numba's own cache looks at the time stamp of the function's file alone, and not at what the function uses of other files. Here
    the key holds the source of the function's module, those of nbad's compiled functions that it imports, and the constants among
    its globals.

    Examples
    --------
    >>> @cached_njit(error_model="numpy")
    ... def twice(x):
    ...     return 2 * x
    >>> twice(4.0)
    8.0
    """

    def decorate(function: Any) -> Callable:
        compiled = numba.njit(**options)(function)
        for name in {"compile", "_compilation_chain_init_hook"} & set(dir(compiled)):
            setattr(compiled, name, functools.partial(_guarded, getattr(compiled, name)))
        if hasattr(compiled, "enable_caching") and function.__closure__ is None:
            compiled._cache = _FunctionCache(function, repr(sorted(options.items())))
        return compiled

    return decorate


def _guarded(step: Callable[..., Any], *given: Any) -> Any:
    """A step of Numba's, which compiles, or loads, half of its own modules and the extensions that packages announce."""
    with IMPORTS:
        return step(*given)


class _FunctionCache(NullCache):
    """What Numba asks for a function's compiled code; backed by `nbad.codegen.disk`."""

    def __init__(self, function: Any, options: str):
        self.function, self.options = function, options

    @property
    def cache_path(self) -> str | None:
        """Where the code is kept; None where it is not."""
        folder = disk.cache_folder()
        return None if folder is None else str(folder)

    def load_overload(self, signature: Any, target_context: Any) -> CompileResult | None:
        """The compiled function for a signature; None where the disk does not have it."""
        # Numba's own caches refresh all of the compiler here, which takes 0.3 s; kept code needs the runtime alone
        rtsys.initialize(target_context)
        key = self._key(signature, target_context.codegen())
        data = disk.load(key) if key else None
        return None if data is None else CompileResult._rebuild(target_context, *pickle.loads(data))

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled function."""
        key = None if result.library.has_dynamic_globals else self._key(signature, result.codegen)
        if key:
            disk.store(key, dumps(result._reduce()))

    def _key(self, signature: Any, codegen: Any) -> str | None:
        """None where the sources cannot be read, as in a frozen application: another function might have the same key."""
        parts = "function", VERSIONS, sys.version, codegen.magic_tuple(), self.function.__qualname__, self.options, signature
        try:
            return "\n".join([*map(str, parts), *_sources(self.function.__module__, set())])
        except (AttributeError, ImportError, OSError):
            return None


def _sources(name: str, seen: set[str]) -> list[str]:
    """Text or byte code of a module, and its plain globals, and the same for modules of nbad whose compiled functions it uses."""
    seen.add(name)
    module: Any = sys.modules[name]
    texts = [repr(module.__loader__.get_data(module.__file__))]
    for key, value in sorted(vars(module).items()):
        if isinstance(value, PLAIN) and not key.startswith("__"):
            texts.append(f"{key} = {value!r}")
        owner = str(getattr(value, "__module__", ""))
        if type(value).__module__.startswith("numba.") and owner.startswith("nbad.") and owner not in seen:
            texts += _sources(owner, seen)
    return texts
