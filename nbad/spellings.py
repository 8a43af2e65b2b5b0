"""What the functions of `math`, `numpy`, `scipy.special` and the builtins mean on traced values.

Most of it is the `spellings` column of `nbad.ops.TABLE`; the rest are the functions below, which take the trace first.
"""

import difflib
import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbad.ops import TABLE

REWRITES = {
    "math.dist": "np.sqrt((x0 - y0)**2 + (x1 - y1)**2)",
    "math.fsum": "x + y + z",
    "math.isnan": "x != x",
    "math.prod": "x * y * z",
    "numpy.array": "write the kernel for one element: nbad applies it to whole arrays",
    "numpy.asarray": "write the kernel for one element: nbad applies it to whole arrays",
    "numpy.clip": "np.minimum(np.maximum(x, low), high)",
    "numpy.dot": "x0 * y0 + x1 * y1",
    "numpy.float32": "call the kernel with float32 arrays",
    "numpy.heaviside": "np.where(x > 0, 1.0, 0.0)",
    "numpy.isnan": "x != x",
    "numpy.linalg.norm": "np.sqrt(x * x + y * y)",
    "numpy.mean": "(x + y) / 2",
    "numpy.prod": "x * y * z",
    "numpy.sum": "x + y + z",
}


@dataclass(frozen=True)
class Meaning:
    """How a function acts on traced values: `act(trace, *operands)`, with `arity` operands (None: any number)."""

    original: Any
    path: str
    act: Callable[..., Any]
    arity: int | None


def find(function) -> Meaning | None:
    """The meaning of a library function, however it was imported; None if nbad does not know it."""
    meaning = _meanings("scipy.special" in sys.modules, len(TABLE)).get(id(function))
    return meaning if meaning is not None and meaning.original is function else None


def call(trace, function, args, options, path=None):
    """Apply a library function to operands of which at least one is traced."""
    meaning = find(function)
    if meaning is None:
        raise unknown(trace, path or path_of(function))
    if options:
        raise trace.refusal(f"passes `{next(iter(options))}=` to `{meaning.path}`", f"{meaning.path}(x)")
    if meaning.arity not in (None, len(args)):
        raise trace.refusal(f"calls `{meaning.path}` with {len(args)} arguments", expected=f"{meaning.arity}")
    return meaning.act(trace, *args)


def unknown(trace, path):
    """The error for a library function that has no meaning on traced values."""
    what = f"calls `{path}` on a traced value, which nbad does not know"
    if path in REWRITES:
        return trace.refusal(what, REWRITES[path])
    module, _, name = path.rpartition(".")
    offered = sorted({p.rpartition(".")[2] for p in _paths() if p.rpartition(".")[0] == module})
    close = difflib.get_close_matches(name, offered, 1, cutoff=0.75)
    if close:
        return trace.refusal(what, f"{module}.{close[0]}")
    return trace.refusal(what, expected=f"one of {module}: {', '.join(offered)}" if offered else "a function of math or numpy")


def path_of(value) -> str:
    """Module and name of a function, as in "numpy.linalg.norm"."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__name__
    special = sys.modules.get("scipy.special")  # its functions do not say where they come from
    module = "scipy.special" if getattr(special, name, None) is value else module_of(value)
    return f"{module}.{name}" if module else name


def module_of(value) -> str:
    """Name of the module that a function or object belongs to."""
    owner = getattr(value, "__self__", None)
    module = getattr(value, "__module__", None)
    if module is None and owner is not None:
        module = type(owner).__module__
    return module if isinstance(module, str) else type(value).__module__


@functools.cache
def _meanings(scipy_is_loaded, rows):
    """All meanings by the identity of the function; built anew when scipy is loaded or the table grows."""
    known = {}
    for path, (act, arity) in _paths().items():
        module, _, name = path.rpartition(".")
        original = getattr(sys.modules.get(module), name, None)
        if original is not None:
            known[id(original)] = Meaning(original, path, act, arity)
    return known


def _paths():
    paths = {path: (_action(row.name), len(row.operands)) for row in TABLE.values() for path in row.spellings}
    return paths | _COMPOSITES


def _action(op):
    return lambda trace, *operands: trace.apply(op, operands)


_COMPOSITES: dict[str, tuple[Callable[..., Any], int | None]] = {}


def _means(*paths):
    """Decorator: the function is what these library functions do."""
    def register(function):
        specification = inspect.getfullargspec(function)
        is_open = specification.varargs or specification.defaults
        _COMPOSITES.update(dict.fromkeys(paths, (function, None if is_open else len(specification.args) - 1)))
        return function

    return register


@_means("numpy.where")
def _where(trace, condition, x, y):
    condition = trace.condition(condition)
    if all(trace.is_condition(value) for value in (x, y)):
        return (condition & x) | (~condition & y)
    return trace.apply("select", (condition, x, y))


@_means("builtins.float", "numpy.float64", "numpy.positive")
def _float(trace, x):
    return trace.real(x)


@_means("math.log")
def _log(trace, x, *base):
    logarithms = [trace.apply("log", (value,)) for value in (x, *base)]
    return functools.reduce(lambda x, y: x / y, logarithms)


@_means("numpy.bitwise_and")
def _bitwise_and(trace, x, y):
    return trace.logic("and", x, y)


@_means("numpy.bitwise_or")
def _bitwise_or(trace, x, y):
    return trace.logic("or", x, y)


@_means("numpy.bitwise_xor")
def _bitwise_xor(trace, x, y):
    return trace.exclusive(x, y)


@_means("numpy.logical_xor")
def _logical_xor(trace, x, y):
    return trace.exclusive(trace.condition(x), trace.condition(y))


@_means("numpy.invert")
def _invert(trace, x):
    return trace.logic("not", x)


@_means("builtins.max")
def _max(trace, *values):
    return _fold(trace, "pymax", values)


@_means("builtins.min")
def _min(trace, *values):
    return _fold(trace, "pymin", values)


def _fold(trace, op, values):
    if len(values) == 1:
        values = tuple(values[0])
    return functools.reduce(lambda x, y: trace.apply(op, (x, y)), values)
