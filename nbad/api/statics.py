"""Static values: which arguments are no numbers, what tells one value from another, and copies that nobody else changes."""

import dataclasses
import enum
import pickle
import re
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from nbad.errors import ArgumentTypeError
from nbad.graphs.kernels import is_kernel
from nbad.language.arrays import TracedArray
from nbad.language.values import Tracer, first_traced

_EXACT = frozenset({int, bool, str, bytes, type(None), type(Ellipsis)})  # equal values of one of these types are the same
_ITSELF = (type, FunctionType, BuiltinFunctionType, ModuleType, np.ufunc)
# what most arguments are, of the types that may be numbers of an array
USUAL = frozenset({np.ndarray, float, int, np.float64, np.float32, np.int64, bool, list, tuple})
_ARRAY_LIKE = ("__array__", "__array_ufunc__", "__array_interface__", "__dlpack__", "__float__", "__len__")


def is_setting(value: Any) -> bool:
    """Whether a value is static by itself: no number and no array, but text, None, an enum member, a function or settings.

    A dict or a namedtuple is settings where it holds nothing else.

    Examples
    --------
    >>> [is_setting(value) for value in ("linear", None, abs, 2.0, [1.0], {"a": 1.0}, {"rule": "linear"})]
    [True, True, True, False, False, False, True]
    """
    if type(value) in USUAL or isinstance(value, Tracer):
        return False
    if value is None or isinstance(value, (str, enum.Enum)):
        return True
    if isinstance(value, dict) or (isinstance(value, tuple) and hasattr(type(value), "_fields")):
        return _are_settings(value.values() if isinstance(value, dict) else value)
    if any(hasattr(type(value), name) for name in _ARRAY_LIKE):
        return False
    return callable(value) or (dataclasses.is_dataclass(value) and (_is_plain(value) or _are_settings(_fields_of(value))))


def _are_settings(values: Iterable[Any]) -> bool:
    try:
        return all(map(is_setting, values))
    except RecursionError:  # what holds itself
        return False


def _fields_of(value: Any) -> list[Any]:
    """What the fields of a dataclass hold, None where one was never set."""
    return [getattr(value, field.name, None) for field in dataclasses.fields(value)]


def _is_plain(value: Any) -> bool:
    """Whether a value is made of numbers, text, None, enum members, and of containers and dataclasses of these."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if dataclasses.is_dataclass(value):
        return all(map(_is_plain, _fields_of(value)))
    return value is None or isinstance(value, (int, float, complex, str, bytes, enum.Enum, np.generic))


def is_to_blame(value: Any, error: TypeError) -> bool:
    """Whether Python's error says that it cannot compute with a value.

    Examples
    --------
    >>> is_to_blame(None, TypeError("unsupported operand type(s) for *: 'NoneType' and 'float'"))
    True
    """
    names = rf"\b({re.escape(type(value).__name__)}|StandIn)\b|uses None|multiply sequence|ufunc '\w+' not supported"
    return re.search(names, str(error)) is not None


def copied(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """A copy of lists, dicts, sets and arrays, and of those in them and in tuples, one for each; all else as it is."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, TracedArray):  # of plain numbers, made in another kernel
        copy: Any = value.view(np.ndarray).astype(float)
    elif isinstance(value, np.ndarray):
        copy = value.copy()
    elif type(value) is list:
        copy = seen[id(value)] = []
        copy += (copied(item, seen) for item in value)
    elif type(value) is dict:
        copy = seen[id(value)] = {}
        copy |= {key: copied(item, seen) for key, item in value.items()}
    elif type(value) is tuple:
        copy = tuple(copied(item, seen) for item in value)
    else:
        copy = set(value) if type(value) is set else value
    seen[id(value)] = copy
    return copy


def identity(kernel: str, name: str, value: Any) -> Any:
    """What tells one static value from another: contents with their types, for 2, 2.0 and True are not the same exponent."""
    try:
        return _contents(value, {})
    except _Found as found:
        what = f"passes a traced value for `{name}`, a static argument of `{kernel}`"
        expected = "a value that is known when the kernel is traced"
        raise found.value._trace.refusal(what, f"{name}=2", expected=expected) from None
    except (_Opaque, RecursionError) as opaque:
        raise ArgumentTypeError(
            f"`{kernel}`: the contents of the static argument {name} cannot be seen, so that a change would go unnoticed",
            got=f"{type(value).__name__} in which {opaque}",
            expected="numbers, text, functions, arrays, and containers and objects of these",
            fix=f"a tuple of what {kernel} needs of {name}",
        ) from None


class _Opaque(Exception):
    """A value that Python cannot take apart."""


class _Found(Exception):
    """A traced value."""

    def __init__(self, value: Tracer):
        super().__init__()
        self.value = value


def _contents(value: Any, seen: dict[int, tuple[int, Any]]) -> Any:
    """A key by type and contents, all the way down; an object that was `seen` before is its number there."""
    kind = type(value)
    if kind in _EXACT:
        return kind, value
    if kind in (float, complex) or isinstance(value, np.generic):
        return kind, repr(value)  # as text 0.0 and -0.0 differ, and nan equals itself
    if isinstance(value, Tracer):
        raise _Found(value)
    if isinstance(value, _ITSELF) or is_kernel(value) or kind.__module__.startswith("numba."):
        return kind, value
    if kind is tuple:
        return kind, tuple(_contents(item, seen) for item in value)
    if kind in (set, frozenset):  # in any order
        return kind, frozenset(_contents(item, dict(seen)) for item in value)
    if id(value) in seen:
        return kind, seen[id(value)][0]
    seen[id(value)] = len(seen), value
    if kind in (list, dict):
        return kind, tuple(_contents(item, seen) for item in (value.items() if kind is dict else value))
    if kind is np.ndarray and value.dtype != object:
        return kind, value.dtype.str, value.shape, value.tobytes()
    return _parts(value, seen)


def _parts(value: Any, seen: dict[int, tuple[int, Any]]) -> Any:
    """The same for what pickle takes apart."""
    kind = type(value)
    if isinstance(value, np.ndarray) and (traced := first_traced((value,))) is not None:
        raise _Found(traced)
    try:
        parts = value.__reduce_ex__(4)  # what pickle would write
    except (TypeError, ValueError, AttributeError, pickle.PicklingError) as error:
        raise _Opaque(f"{kind.__name__}: {error}") from None
    if isinstance(parts, str):  # the name of something global
        return kind, value
    # where an object is equal to itself only, it may be told from its like
    itself = value if kind.__hash__ is object.__hash__ else None
    constructor, arguments, state, *items = (*parts, None, None, None)[:5]
    return kind, itself, constructor, *(_contents(part, seen) for part in (arguments, state, *(i and list(i) for i in items)))
