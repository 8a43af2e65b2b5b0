"""What the functions of `math`, `numpy`, `scipy.special` and the builtins mean on traced values.

Most of it is the `spellings` column of `nbad.operations.table.TABLE`; the rest are the functions below, which take the trace
first.
"""

import difflib
import functools
import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nbad.language import arrays
from nbad.operations.table import TABLE

SHOWN = 400  # characters of a list of functions in a message
REWRITES = {
    "math.dist": "np.sqrt((x0 - y0)**2 + (x1 - y1)**2)",
    "math.fsum": "x + y + z",
    "math.hypot": "math.hypot(math.hypot(x, y), z)",
    "math.prod": "x * y * z",
    "numpy.add.reduce": "np.sum(x)",
    "numpy.argmax": "np.max(x)  # the place of an item is not known when a kernel is traced",
    "numpy.argmin": "np.min(x)  # the place of an item is not known when a kernel is traced",
    "numpy.argsort": "np.minimum(a, b), np.maximum(a, b)  # two by two",
    "numpy.average": "np.dot(w, x) / np.sum(w)",
    "numpy.count_nonzero": "np.sum(np.where(x > 0, 1.0, 0.0))",
    "numpy.divmod": "x // y, x % y",
    "numpy.float32": "call the kernel with float32 arrays",
    "numpy.maximum.reduce": "np.max(x)",
    "numpy.median": "np.minimum(a, b), np.maximum(a, b)  # two by two",
    "numpy.minimum.reduce": "np.min(x)",
    "numpy.modf": "x - np.trunc(x), np.trunc(x)",
    "numpy.multiply.reduce": "np.prod(x)",
    "numpy.nan_to_num": "np.where(np.isfinite(x), x, 0.0)",
    "numpy.piecewise": "np.where(x < 0, -x, x * x)",
    "numpy.ptp": "np.max(x) - np.min(x)",
    "numpy.sort": "np.minimum(a, b), np.maximum(a, b)  # two by two",
    "numpy.std": "np.sqrt(np.mean((x - np.mean(x)) ** 2))",
    "numpy.tensordot": "np.einsum('ij,j->i', a, b)",
    "numpy.var": "np.mean((x - np.mean(x)) ** 2)",
}


class Meaning(NamedTuple):
    """How a function acts on traced values: `act(trace, *operands, **options)`.

    `arity` is the number of operands; None leaves it to `act`. The operands at positions `each` may be arrays, on whose items the
    function acts one by one; None stands for all. `always` is set where it acts on plain values too.
    """

    original: Any
    path: str
    act: Callable[..., Any]
    arity: int | None
    each: tuple[int, ...] | None = None
    always: bool = False

    @property
    def takes_plain_arrays(self):
        """Whether it acts on the kernel's arrays of plain numbers too: views must stay views. Linear algebra makes new arrays."""
        return not self.path.startswith("numpy.linalg.")


def find(function) -> Meaning | None:
    """The meaning of a library function, however it was imported; None if nbad does not know it."""
    meaning = _meanings("scipy.special" in sys.modules, len(TABLE)).get(id(function))
    return meaning if meaning is not None and meaning.original is function else None


def call(trace, function, args, options, path=None):
    """Apply a library function to operands of which at least one is traced."""
    meaning = find(function)
    if meaning is None:
        raise unknown(trace, path or path_of(function))
    _check_call(trace, meaning, args, options)
    places = [k for k in range(len(args)) if meaning.each is None or k in meaning.each]
    if any(map(_is_array, map(args.__getitem__, places))):
        return _each(trace, meaning, args, options, places)
    return meaning.act(trace, *args, **options)


def _is_array(value):
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _each(trace, meaning, args, options, places):
    """Act on the items of the operands at `places`."""
    if meaning.path.startswith("math.") or meaning.original is float:
        raise trace.refusal(f"calls `{meaning.path}` on an array", f"[{meaning.path.replace('builtins.', '')}(v) for v in x]")

    def with_others(function):
        def act(*values):
            operands = list(args)
            for k, value in zip(places, values, strict=True):
                operands[k] = value
            return function(*operands, **options)

        return act

    def act(trace, *values):
        return with_others(functools.partial(meaning.act, trace))(*values)

    return arrays.each(trace, act, with_others(meaning.original), [args[k] for k in places])


def _check_call(trace, meaning, args, options):
    """Refuse a call with the wrong number of operands, or with options that mean nothing here."""
    for name in options:
        if not _takes(meaning.act, name):
            raise trace.refusal(f"passes `{name}=` to `{meaning.path}`", _example(meaning))
    if meaning.arity is not None and meaning.arity != len(args):
        what = f"calls `{meaning.path}` with {len(args)} arguments"
        raise trace.refusal(what, REWRITES.get(meaning.path, _example(meaning)), expected=f"{meaning.arity}")
    if meaning.arity is None:
        try:
            inspect.signature(meaning.act).bind(trace, *args, **options)
        except TypeError as error:
            what = f"calls `{meaning.path}` in a way that nbad does not know"
            raise trace.refusal(what, _example(meaning), expected=str(error)) from None


def _example(meaning):
    """A call that nbad knows."""
    if meaning.arity is None:
        operands = [str(p) for p in inspect.signature(meaning.act).parameters.values()][1:]
    else:
        operands = ["x", "y", "z"][: meaning.arity]
    return f"{meaning.path.removeprefix('builtins.')}({', '.join(operands)})"


@functools.cache
def _takes(act, name):
    """Whether `act` has an operand that may be passed by this keyword."""
    specification = inspect.getfullargspec(act)
    return bool(specification.varkw) or name in (*specification.args, *specification.kwonlyargs)


def unknown(trace, path):
    """The error for a library function that has no meaning on traced values."""
    what = f"calls `{path}` on a traced value, which nbad does not know"
    module, _, name = path.rpartition(".")
    offered = sorted({p.rpartition(".")[2] for p in _paths() if p.rpartition(".")[0] == module})
    close = [f"{module}.{each}" for each in difflib.get_close_matches(name, offered, 1, cutoff=0.75)]
    if path in REWRITES or close:
        return trace.refusal(what, REWRITES.get(path, *close))
    known = textwrap.shorten(f"one of {module}: {', '.join(offered)}", SHOWN, placeholder=" ...")
    fix = f"{name} = nbad.primitive({name!r}, function, partials)  # an operation of your own, outside the kernel"
    return trace.refusal(what, fix, expected=known if offered else "a function of math or numpy")


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
    for path, meaning in _paths().items():
        module, _, name = path.rpartition(".")
        original = getattr(sys.modules.get(module), name, None)
        if original is not None:
            known[id(original)] = Meaning(original, path, *meaning)
    return known


def _paths():
    paths = {path: (_action(row.name), len(row.operands)) for row in TABLE.values() for path in row.spellings}
    return paths | _COMPOSITES


def _action(op):
    return lambda trace, *operands: trace.apply(op, operands)


_COMPOSITES: dict[str, tuple[Any, ...]] = {}


def means(*paths, each=None, always=False):
    """Decorator: the function is what these library functions do; see `Meaning` for `each` and `always`."""

    def register(function):
        specification = inspect.getfullargspec(function)
        is_open = specification.varargs or specification.varkw or specification.defaults or specification.kwonlyargs
        arity = None if is_open else len(specification.args) - 1
        _COMPOSITES.update(dict.fromkeys(paths, (function, arity, each, always)))
        return function

    return register


@means("numpy.where")
def _where(trace, condition, x, y):
    condition = trace.condition(condition)
    if all(trace.is_condition(value) for value in (x, y)):
        return (condition & x) | (~condition & y)
    return trace.apply("select", (condition, x, y))


@means("builtins.float", "numpy.float64", "numpy.positive")
def _float(trace, x):
    return trace.real(x)


@means("math.log")
def _log(trace, x, *base):
    logarithms = [trace.apply("log", (value,)) for value in (x, *base)]
    return functools.reduce(lambda x, y: x / y, logarithms)


@means("numpy.bitwise_and")
def _bitwise_and(trace, x, y):
    return trace.logic("and", x, y)


@means("numpy.bitwise_or")
def _bitwise_or(trace, x, y):
    return trace.logic("or", x, y)


@means("numpy.bitwise_xor")
def _bitwise_xor(trace, x, y):
    return trace.exclusive(x, y)


@means("numpy.logical_xor")
def _logical_xor(trace, x, y):
    return trace.exclusive(trace.condition(x), trace.condition(y))


@means("numpy.invert")
def _invert(trace, x):
    return trace.logic("not", x)
