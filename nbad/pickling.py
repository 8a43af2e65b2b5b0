"""How kernels travel: by name, as what they were made from, or by value through cloudpickle."""

import inspect
import linecache
import pickle
import sys
from types import FunctionType

from nbad.errors import ArgumentTypeError, message, user_line


def reduced(kernel, made_from, parts):
    """What `Kernel.__reduce__` returns.

    Parameters
    ----------
    kernel : Kernel
    made_from : tuple or None
        The kernel that this one was made from, the method that made it, and what that was given.
    parts : tuple
        Its class, function, tracer and options, to make it again by value.
    """
    cloudpickle = sys.modules.get("cloudpickle")
    is_named = _found(kernel) is kernel
    if is_named and (cloudpickle is None or kernel.__module__ != "__main__"):
        return kernel.__qualname__
    if made_from is not None:
        return _made_again, made_from
    if cloudpickle is None:
        raise ArgumentTypeError(message(
            f"kernel `{kernel.__name__}` cannot be pickled: it is not found by a name", source=user_line(),
            got=f"{kernel.__module__}.{kernel.__qualname__}", expected="a kernel at the top level of a module",
            fix="import cloudpickle, which pickles kernels by value, or define it with `def` at the top level",
        ))
    kind, function, tracer, *options = parts
    return _unpickled, (kind, cloudpickle.dumps((function, tracer)), _sources(function), *options)


def _found(kernel):
    """What a kernel's name leads to."""
    found = sys.modules.get(kernel.__module__)
    for part in kernel.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def _made_again(base, method, arguments):
    return getattr(base, method)(*arguments)


def _sources(function):
    """The lines of the files of a function and its helpers of `__main__`: another process may not find a notebook's cells."""
    files, waiting, seen = {}, [function], set()
    while waiting:
        f = waiting.pop()
        if not isinstance(f, FunctionType) or f in seen or f.__module__ != "__main__":
            continue
        seen.add(f)
        files[f.__code__.co_filename] = linecache.getlines(f.__code__.co_filename)
        waiting += (f.__globals__.get(name) for name in f.__code__.co_names)
        waiting += inspect.getclosurevars(f).nonlocals.values()
    return files


def _unpickled(kind, made_of, sources, *options):
    """The kernel of the function and the tracer that cloudpickle wrote."""
    for file, lines in sources.items():
        if lines and not linecache.getlines(file):
            linecache.cache[file] = sum(map(len, lines)), None, lines, file
    function, tracer = pickle.loads(made_of)
    return kind(function, *options, tracer=tracer)
