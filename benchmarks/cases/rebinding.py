"""A kernel's Python function in terms of another library: the same source, with that library's `sqrt`, `erf`, ...

Functions are found by value, not by name, so that `math.sin`, `np.sin` and `from math import sin` are all replaced,
and helper functions are rebound as well; `abs`, a builtin, by its name. Nothing is patched: the result is a copy.
"""

import builtins
import math
import types

import numpy as np

ALIASES = {"arctan2": "atan2"}


def rebound(function, library):
    """A copy of a function that uses the functions of a library.

    Parameters
    ----------
    function : function
        Plain Python with functions of `math` and `numpy`; globals and closures may hold helper functions.
    library : dict of str to callable
        By the names of `math`.

    Returns
    -------
    function

    Examples
    --------
    >>> rebound(lambda x: math.sqrt(x) + np.sqrt(x), {"sqrt": lambda x: 100})(4.0)
    200
    """
    names = {name: _replace(value, library) for name, value in _globals_of(function).items()}
    names |= {name: library[name] for name in function.__code__.co_names if name in library and hasattr(builtins, name)}
    cells = tuple(types.CellType(_replace(cell.cell_contents, library)) for cell in function.__closure__ or ())
    scope = {**function.__globals__, **names}
    scope.pop("__name__")  # or `torch.compile` would look names up in the module instead
    return types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)


def accepting_numbers(library):
    """A library whose functions leave Python numbers to `math`: `sqrt(0.5)` in a kernel is a constant."""
    return {name: _choosing(getattr(math, name), function) for name, function in library.items()}


def _globals_of(function):
    return {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}


def _replace(value, library):
    if value is math or value is np:
        replaced = {name: library[_spelled(name)] for name in vars(value) if _spelled(name) in library}
        return types.SimpleNamespace(**{**vars(value), **replaced})
    if isinstance(value, types.FunctionType):
        return rebound(value, library)
    is_theirs = isinstance(value, np.ufunc) or getattr(value, "__module__", None) == "math"
    return library[_spelled(value.__name__)] if is_theirs else value


def _spelled(name):
    return ALIASES.get(name, name)


def _choosing(for_numbers, for_arrays):
    return lambda *args: (for_numbers if all(isinstance(a, float | int) for a in args) else for_arrays)(*args)
