"""Which functions kernels may call with traced values, in one table of what every room says; and what is said of all others.

Most of it is the `spellings` column of `nbad.operations.table`; the rest are the `MEANINGS` of the rooms beside this one. It is a
value: nothing can be added to it, and it does not matter what was imported before.
"""

import bisect
import builtins
import functools
import math
import sys
import textwrap
import traceback
from collections.abc import Callable
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.errors import TraceError, closest
from nbad.language import array_functions, lookup, masks, matrices, number_functions, refusals, special_functions
from nbad.language.meanings import LibraryFunction, Meaning, means
from nbad.language.special_functions import REWRITES, stop_gradient
from nbad.language.values import TraceAttributeError
from nbad.operations.table import ROWS

if TYPE_CHECKING:
    from nbad.language.trace import Trace

_ARRAYS = "numpy.", "scipy.linalg."  # their functions are of whole arrays, but for ufuncs
SHOWN = 400  # characters of a list of functions in a message
SCIPY, NORM = ("scipy.special", "scipy.interpolate", "scipy.sparse"), "scipy.stats.norm"
_MODULES: dict[str, ModuleType] = {module.__name__: module for module in (builtins, math, bisect, sys, traceback, np, np.linalg)}
_OWN: dict[str, Any] = {
    "nbad.stop_gradient": stop_gradient,
    **{f"{special_functions.MODULE}.{name}": function for name, function in special_functions.FUNCTIONS.items()},
    **special_functions.SERIES,
}


def _applying(op: str) -> Callable[..., Any]:
    return lambda trace, *operands: trace.apply(op, operands)


def _of_handled(function: Callable[..., Any]) -> Meaning:
    """The meaning of a function that asks which error is handled, or how it came about."""

    def act(trace: "Trace", *args: Any, **kwargs: Any) -> Any:
        trace.before_handled()
        return function(*args, **kwargs)

    return means(act, each=(), always=True)


_OF_TRACEBACK = traceback.format_exc, traceback.format_exception, traceback.print_exc, traceback.print_exception
_HANDLED = sys.exc_info, sys.exception, *_OF_TRACEBACK
_SPELLED = {path: Meaning(_applying(row.name), len(row.operands)) for row in ROWS for path in row.spellings}
# a room has the last word: `numpy.where` is the operation `select` only where its operands are numbers
MEANINGS: dict[str, Meaning] = (
    _SPELLED
    | {f"{function.__module__}.{function.__name__}": _of_handled(function) for function in _HANDLED}
    | number_functions.MEANINGS
    | array_functions.MEANINGS
    | lookup.MEANINGS
    | masks.MEANINGS
    | matrices.MEANINGS
    | special_functions.MEANINGS
)


def find(function: Any) -> LibraryFunction | None:
    """A library function with its meaning, however it was imported; None if nbad does not know it."""
    return _known().get(id(function)) or _of_scipy(function)


@functools.cache
def _known() -> dict[int, LibraryFunction]:
    """All but SciPy's by identity, which is theirs alone as long as this table holds them."""
    found = ((path, meaning, _original(path)) for path, meaning in MEANINGS.items())
    return {id(original): LibraryFunction(original, path, meaning) for path, meaning, original in found if original is not None}


def _original(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return _OWN.get(path) or getattr(_MODULES.get(module), name, None)


def _of_scipy(function: Any) -> LibraryFunction | None:
    """Looked up anew each time: SciPy may be loaded at any moment, and by another thread only in part so far."""
    if not callable(function):
        return None
    if isinstance(function, MethodType):  # of a distribution
        owner = getattr(sys.modules.get("scipy.stats"), "norm", None)
        path = f"{NORM}.{function.__name__}" if function.__self__ is owner else None
    else:
        path = next((f"{place}.{name}" for place in SCIPY for name in _names_in(place) if _is_named(place, name, function)), None)
    return LibraryFunction(function, path, MEANINGS[path]) if path in MEANINGS else made(function)


def made(value: Any) -> LibraryFunction | None:
    """The meaning of a function that a library made: a spline or polynomial; None for all other values."""
    return special_functions.spline(value) or special_functions.polynomial(value)


def makes(cls: type) -> bool:
    """Whether a class is one of splines or polynomials."""
    return special_functions.is_spline(cls) or cls in special_functions.POLYNOMIALS


def _is_named(place: str, name: str, function: Any) -> bool:
    return getattr(sys.modules.get(place), name, None) is function


@functools.cache
def _names_in(place: str) -> tuple[str, ...]:
    return tuple(name for module, _, name in (path.rpartition(".") for path in MEANINGS) if module == place)


def unknown(trace: "Trace", path: str) -> TraceError:
    """The error for a library function that has no meaning on traced values."""
    what = f"calls `{path}` on a traced value, which nbad does not know"
    module, _, name = path.rpartition(".")
    offered = sorted({p.rpartition(".")[2] for p in MEANINGS if p.rpartition(".")[0] == module})
    rewrite, ufunc = refusals.LIBRARY.get(path, REWRITES.get(path)), getattr(np, module.removeprefix("numpy."), None)
    if rewrite is None and isinstance(ufunc, np.ufunc) and name in refusals.METHODS:
        rewrite = refusals.METHODS[name].format(ufunc=ufunc.__name__)
    if rewrite is not None:
        return trace.refusal(what, rewrite)
    known = textwrap.shorten(f"one of {module}: {', '.join(offered)}", SHOWN, placeholder=" ...")
    is_scalar = not path.startswith(_ARRAYS) or isinstance(getattr(np, name, None), np.ufunc)
    fix = next((p for p in (f"math.{name}", f"numpy.{name}") if p in MEANINGS), "the same, written in loops over items")
    if is_scalar and fix not in MEANINGS:
        fix = f"an operation of your own, made by nbad.primitive({name!r}, ...)"
    return trace.refusal(what, fix, expected=known if offered else "a function of math or numpy")


def missing(trace: "Trace", module: ModuleType, name: str) -> TraceAttributeError:
    """The error for a name that a module does not have; `hasattr` says so too."""
    names = [each for each in dir(module) if not each.startswith("_")]
    meant = closest(name, [each for each in names if f"{module.__name__}.{each}" in MEANINGS]) or closest(name, names)
    what, short = f"uses `{module.__name__}.{name}`", module.__name__.replace("numpy", "np")
    fix = f"{short}.{meant}" if meant else f"help({short})"
    text, got = f"kernel `{trace.name}` {what}:", "a name that the module does not have"
    return TraceAttributeError(text, source=trace.line(), got=got, meant=meant, fix=fix)  # who asks may go on without it


def path_of(value: Any) -> str:
    """Module and name of a function, as in "numpy.linalg.norm"."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__name__
    # some functions of SciPy's do not say where users find them
    module = next((place for place in SCIPY if _is_named(place, name, value)), None) or module_of(value)
    return f"{module}.{name}" if module else name


def module_of(value: Any) -> str:
    """Name of the module that a function or object belongs to."""
    owner = getattr(value, "__self__", None)
    module = getattr(value, "__module__", None)
    if module is None and owner is not None:
        module = type(owner).__module__
    return module if isinstance(module, str) else type(value).__module__
