"""How kernels travel: by name, as what they were made from, or by value; what tells a function from others in every process."""

import hashlib
import importlib
import io
import linecache
import marshal
import pickle
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

from nbad.errors import ArgumentTypeError

_PLAIN = (int, float, complex, str, bytes, type(None))
PICKLERS = ("cloudpickle", "joblib.externals.cloudpickle")  # joblib brings its own


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
    cloudpickle = next(filter(None, map(sys.modules.get, PICKLERS)), None)
    is_named = _found(kernel) is kernel
    if is_named and (cloudpickle is None or kernel.__module__ != "__main__"):
        return kernel.__qualname__
    if made_from is not None:
        return _made_again, made_from
    if cloudpickle is None:
        raise ArgumentTypeError(
            f"kernel `{kernel.__name__}` cannot be pickled: it is not found by a name",
            got=f"{kernel.__module__}.{kernel.__qualname__}",
            expected="a kernel at the top level of a module",
            fix="import cloudpickle, which pickles kernels by value, or define it with `def` at the top level",
        )
    kind, function, tracer, *options = parts
    return _unpickled, (kind, *_by_value(cloudpickle, (function, tracer)), *options)


def by_name(value: Any) -> bytes | None:
    """Bytes that hold of kernels and functions their names only, so that where they are read what was edited is found; or None.

    Examples
    --------
    >>> by_name((len, 3)) is None, by_name(lambda x: x) is None
    (False, True)
    """
    buffer = io.BytesIO()
    try:
        _ByName(buffer).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None
    return buffer.getvalue()


class _ByName(pickle.Pickler):
    """What has no name, and was not derived from what has one, is refused."""

    def reducer_override(self, obj: Any) -> Any:
        made_from = getattr(obj, "_made_from", None)
        is_numbas = type(obj).__module__.startswith("numba.")  # which travel by value
        if made_from is None and not is_numbas and not hasattr(type(obj), "bind_traced"):
            return NotImplemented
        if _found(obj) is obj:
            return _named, (obj.__module__, obj.__qualname__)
        if made_from is None or made_from[1] != "derived":
            raise pickle.PicklingError(f"{obj!r} has no name")
        return _made_again, made_from


def _named(module, path):
    """What a name leads to in a module, which is imported."""
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _found(kernel):
    """What a kernel's name leads to."""
    found = sys.modules.get(getattr(kernel, "__module__", ""))
    for part in getattr(kernel, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return found


def _made_again(base, method, arguments):
    return getattr(base, method)(*arguments)


def _by_value(cloudpickle: Any, value: Any) -> tuple[bytes, dict[str, list[str]]]:
    """Bytes of functions and all that they use, and the text of the files that their code was read from.

    Code travels as Python marshals it, with the name of its file: cloudpickle would write one name for all. Another process may
    not find a script's file or a notebook's cell.
    """
    files: dict[str, list[str]] = {}

    class Pickler(cloudpickle.CloudPickler):
        def reducer_override(self, item):
            if not isinstance(item, CodeType):
                return super().reducer_override(item)
            files[item.co_filename] = linecache.getlines(item.co_filename)
            return _code, (marshal.dumps(item), item.co_filename, _digest(files[item.co_filename]))

    buffer = io.BytesIO()
    Pickler(buffer).dump(value)
    return buffer.getvalue(), files


def _digest(lines):
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def _code(marshalled, file, digest):
    """Code from another process, under the name by which its text is found here."""
    return _renamed(marshal.loads(marshalled), _name_here(file, digest))


def _name_here(file, digest):
    """The file's name, or one of its own where that name means another text in this process."""
    return file if _digest(linecache.getlines(file)) == digest else f"{file} [{digest}]"


def _renamed(code, file):
    if code.co_filename == file:
        return code
    constants = tuple(_renamed(c, file) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_filename=file, co_consts=constants)


def _unpickled(kind, made_of, files, *options):
    """The kernel of the function and the tracer that were pickled by value."""
    for file, lines in files.items():
        name = _name_here(file, _digest(lines))
        if name != file and lines:
            linecache.cache[name] = sum(map(len, lines)), None, lines, name
    function, tracer = pickle.loads(made_of)
    return kind(function, *options, tracer=tracer)


def version_of(function: Any) -> str:
    """What tells the code of a function, and of what it calls, from other code in every process: not where its lines stand.

    Examples
    --------
    >>> versions = [version_of(function) for function in (lambda x: x + 1, lambda x: x + 1, lambda x: x + 2)]
    >>> versions[0] == versions[1], versions[0] == versions[2]
    (True, False)
    """
    return hashlib.sha256(repr(_meaning(function, {})).encode()).hexdigest()[:32]


def _meaning(value: Any, seen: dict[int, int]) -> Any:
    value = getattr(value, "py_func", getattr(value, "_pyfunc", value))  # of what Numba made
    kind = type(value).__name__
    if isinstance(value, _PLAIN):
        return kind, repr(value)
    if isinstance(value, tuple | list):
        return kind, [_meaning(item, seen) for item in value]
    if isinstance(value, frozenset):
        return kind, sorted(repr(_meaning(item, seen)) for item in value)
    if isinstance(value, CodeType):
        return kind, value.co_code, value.co_names, [_meaning(item, seen) for item in value.co_consts]
    if isinstance(value, FunctionType):
        if id(value) in seen:
            return kind, seen[id(value)]
        seen[id(value)] = len(seen)
        used = [value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__]
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return kind, [_meaning(part, seen) for part in (value.__code__, *(value.__defaults__ or ()), *used, *cells)]
    if isinstance(value, ModuleType):
        return kind, value.__name__
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):  # an array, whose numbers Numba compiles in
        return kind, str(value.dtype), getattr(value, "shape", ()), value.tobytes()
    return kind, getattr(value, "__module__", None), getattr(value, "__qualname__", None)


def _names(code: CodeType) -> list[str]:
    """All that code, and code in it, may ask for by name."""
    inner = [name for item in code.co_consts if isinstance(item, CodeType) for name in _names(item)]
    return [*code.co_names, *inner]
