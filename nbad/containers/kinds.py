"""What can change, and how that is read: a kind for every container and object.

The rule is that a value can change unless it is known that it cannot. What Python's own means read in full (attributes, slots,
items) needs no row here; memory that only C code sees is read as bytes or by pickling, or it is never what it was.
"""

import contextlib
import ctypes
import functools
import gc
import io
import operator
import pickle
import re
import sys
import threading
import warnings
import weakref
from array import array
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, ValuesView
from contextvars import Context, ContextVar
from queue import SimpleQueue
from random import Random, SystemRandom
from struct import Struct
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    TracebackType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

import numpy as np

from nbad.containers.attributes import ATOMS, attributes_of, is_foreign, members_of, own_attributes, slots_of
from nbad.language import arrays, objects
from nbad.language.masks import Masked
from nbad.language.merging import Keys


class Contents(NamedTuple):
    """What a container holds: items, compared by identity, and all else, compared by value."""

    rest: Any
    items: list[Any]


class Kind(NamedTuple):
    """A kind of container; `write` sets its contents, if they differ in the items from what it holds."""

    noun: str
    read: Callable[[Any], Contents]
    write: Callable[[Any, Contents], None] | None = None


class Globals:
    """Variables of a module that code mentions: a function that is called as it is may set them.

    Examples
    --------
    >>> module = {"table": None}
    >>> names = Globals(module, ["table"])
    >>> before = names.version()
    >>> module["table"] = [1.0]
    >>> names.version() == before
    False
    """

    def __init__(self, module: dict[str, Any], names: Iterable[str]) -> None:
        self._module, self._names, self._changes = module, tuple(names), 0
        self._seen = self._now()

    def version(self) -> int:
        """A number that is another one once a variable has been set."""
        now = self._now()
        if any(old is not new for old, new in zip(self._seen, now, strict=True)):
            self._seen, self._changes = now, self._changes + 1
        return self._changes

    def _now(self) -> list[Any]:
        return [self._module.get(name, _UNSET) for name in self._names]


def kind_of(value: Any) -> Kind | None:
    """The kind of a container; None for what cannot be changed."""
    if isinstance(value, np.ndarray):
        return _array_kind(value)
    if type(value) is dict:
        return _DICT
    is_users = not is_foreign(type(value))  # type: ignore[arg-type]  # a class is hashable
    for types, kind in _KINDS if _has_row(type(value)) else ():  # type: ignore[arg-type]  # a class is hashable
        if isinstance(value, types) and not (kind is _ITERATOR and (is_users or not _hides(type(value)))):  # type: ignore[arg-type]
            return _with_attributes(kind) if is_users and any(slots_of(value)) else kind
    if isinstance(value, type):
        return None if is_foreign(value) else _CLASS
    if isinstance(value, _CARRIERS):
        return None
    if _hides(type(value)):  # type: ignore[arg-type]  # a class is hashable
        return _OPAQUE
    if is_users and not carried(value):
        return _OWN_OBJECT
    return _OBJECT if is_users or type(value).__dictoffset__ or any(slots_of(value)) else None


@functools.lru_cache(maxsize=1024)
def _has_row(cls: type) -> bool:
    return any(issubclass(cls, types) for types, _ in _KINDS)


def leads_on(value: Any) -> bool:
    """Whether a value can be changed, or leads to what can."""
    atom = is_atom(type(value))  # type: ignore[arg-type]  # a class is hashable
    return not atom and (kind_of(value) is not None or bool(carried(value)))


def same(a: Contents, b: Contents) -> bool:
    """Whether a container holds the same things."""
    # by identity: `==` of traced values would be an operation of the graph
    return len(a.items) == len(b.items) and all(x is y for x, y in zip(a.items, b.items, strict=True)) and a.rest == b.rest


def settings() -> tuple[Any, ...]:
    """What one call sets for all code that follows, without a variable that leads to it."""
    decimal, logging = sys.modules.get("decimal"), sys.modules.get("logging")
    context = decimal and decimal.getcontext()
    digits = context and (context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp)
    disabled = logging and logging.root.manager.disable
    return np.geterr(), np.get_printoptions(), sys.getrecursionlimit(), digits, disabled


def is_unreadable(contents: Contents) -> bool:
    """Whether what a container held could not be read, so that it seems to have changed whatever happened."""
    return type(contents.rest) is object


def carried(value: Any) -> list[Any]:
    """What a value leads to beside what it is compared by."""
    if isinstance(value, (tuple, frozenset)):
        return list(value)
    if isinstance(value, (KeysView, ValuesView, ItemsView, MappingProxyType)):
        return gc.get_referents(value)
    if isinstance(value, FunctionType):
        return [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, _WRAPPERS):
        return [getattr(value, "__wrapped__", None) or value.func]  # type: ignore[union-attr]
    if isinstance(value, slice):
        return [value.start, value.stop, value.step]
    if isinstance(value, BaseException):
        return [*value.args, value.__cause__]
    if isinstance(value, _C_DATA):
        return [value._objects]  # type: ignore[attr-defined]  # what a pointer points to
    is_bound = isinstance(value, (BuiltinMethodType, MethodWrapperType)) and not isinstance(value.__self__, ModuleType)
    return [value.__self__] if is_bound else []


def leads(value: Any, kind: Kind | None) -> list[Any]:
    """What a value leads to, itself and by what a user's subclass of a built-in container adds."""
    if kind is _DICT:
        return list(value)
    if kind in (_OBJECT, _OWN_OBJECT, _CLASS, _THREAD) or type(value) in (list, set, Globals):
        return []
    if kind is _OPAQUE:
        return gc.get_referents(value)
    cls = type(value)
    added = [vars(value)] if cls.__dictoffset__ and kind and not isinstance(value, FunctionType) else []
    return [*carried(value), *([] if is_foreign(cls) else [cls]), *added]  # type: ignore[arg-type]  # a class is hashable


@functools.lru_cache(maxsize=1024)
def is_atom(cls: type) -> bool:
    """Whether values of this class lead nowhere: plain values, and what nbad itself puts into a kernel, arrays apart."""
    if issubclass(cls, np.generic):
        return cls.__module__ == "numpy" and cls is not np.void
    return cls in ATOMS or (
        str(cls.__module__).startswith("nbad.") and not issubclass(cls, np.ndarray | arrays.Flat | Globals | Masked)
    )


@functools.lru_cache(maxsize=1024)
def _hides(cls: type) -> bool:
    """Whether instances have memory that is no attribute, so that only C code sees it."""
    base = cls.__base__
    if cls in _PLAIN_BASES or cls.__name__ in _POINTERS or base is None:
        return False
    shown = sum(isinstance(member, MemberDescriptorType) or name in _PLACES for name, member in vars(cls).items())
    hidden = cls.__basicsize__ - base.__basicsize__ - shown * _POINTER
    return hidden > 0 or cls.__itemsize__ > base.__itemsize__ or _hides(base)


def _read_opaque(value: Any) -> Contents:
    """The state of an object of C code, if it gives that as bytes, and its attributes."""
    attributes = attributes_of(value)
    for read in _READINGS:
        with contextlib.suppress(Exception):  # it may say in any way that it cannot
            return Contents((bytes(read(value)), list(attributes)), list(attributes.values()))
    return _unreadable(value)


def _pickled(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    """Takes the values of a trace as what they are."""

    def persistent_id(self, value: Any) -> int | None:
        return id(value) if str(type(value).__module__).startswith("nbad.") else None


def _with_attributes(kind: Kind) -> Kind:
    """The kind of a built-in container that has slots beside its items: a change is noticed."""
    return Kind(
        kind.noun, lambda value: Contents(kind.read(value).rest, [*kind.read(value).items, *dict(slots_of(value)).values()])
    )


def _array_kind(value: Any) -> Kind:
    if not value.flags.writeable:
        return _READ_ONLY
    return _OBJECTS if arrays.holds_objects(value) else _NUMBERS


def _read_objects(value: Any) -> Contents:
    return Contents((value.shape, value.flags.writeable), list(value.view(np.ndarray).flat))


def _write_objects(value: Any, contents: Contents) -> None:
    if value.flags.writeable:  # else the branch has made it read-only, which is refused
        value.view(np.ndarray)[...] = objects.filled(contents.items, value.shape)


def _write_list(value: Any, contents: Contents) -> None:
    list.__setitem__(value, slice(None), contents.items)


def _write_dict(value: dict[Any, Any], contents: Contents) -> None:
    if list(value) != contents.rest:  # else it is never empty in between
        value.clear()
    value.update(zip(contents.rest, contents.items, strict=True))


def _write_object(value: Any, contents: Contents) -> None:
    slots = {name: member for name, member, _ in members_of(type(value))}  # type: ignore[arg-type]  # a class is hashable
    attributes = dict(zip(contents.rest, contents.items, strict=False))  # of which the last is its class
    for name in slots.keys() & attributes.keys():
        slots[name].__set__(value, attributes.pop(name))
    _write_dict(own_attributes(value), Contents(list(attributes), list(attributes.values())))


def _read_dict(value: Any) -> Contents:
    return Contents(None, [*value.keys(), *value.values()])


def _read_bytes(value: Any) -> Contents:
    try:
        return Contents(bytes(value), [])
    except ValueError:  # a view that was released
        return Contents(None, [])


def _read_generator(value: Any) -> Contents:
    frame = value.gi_frame
    return Contents(None, []) if frame is None else Contents(frame.f_lasti, list(frame.f_locals.values()))


def _read_iterator(value: Any) -> Contents:
    """How far an iterator is, and what it runs over, if it says so."""
    left = operator.length_hint(value)
    if type(value).__name__.startswith(("dict", "set")):  # they tell by emptying a copy
        return Contents(left, [])
    try:
        with warnings.catch_warnings():  # Python 3.14 has no such method for those of itertools, and 3.12 warns of that
            warnings.simplefilter("ignore", DeprecationWarning)
            state = value.__reduce__()[1:]
    except TypeError:
        within = gc.get_referents(value)
        return Contents(left, within) if within else _unreadable(value)
    parts = [part for group in state for part in (group if isinstance(group, tuple) else (group,))]
    plain = [part for part in parts if type(part) in ATOMS]
    return Contents((left, plain), [part for part in parts if type(part) not in ATOMS])


def _unreadable(value: Any) -> Contents:
    """Never the same: see `is_unreadable`."""
    return Contents(object(), [])


def _read_text(value: Any) -> Contents:
    return Contents(None if value.closed else (value.getvalue(), value.tell()), [])


def _read_file(value: Any) -> Contents:
    """How far it is read; what is written into one is not for the kernel to read."""
    with contextlib.suppress(OSError, ValueError):
        return Contents(value.tell() if value.readable() and value.seekable() else None, [])
    return Contents(None, [])


def _read_object(value: Any) -> Contents:
    rest, items = _read_own_object(value)
    return Contents(rest, [*items, *carried(value)])


def _read_own_object(value: Any) -> Contents:
    attributes = attributes_of(value)
    return Contents(list(attributes), [*attributes.values(), type(value)])


def _read_class(value: Any) -> Contents:
    return Contents(list(vars(value)), [*vars(value).values(), *value.__bases__, type(value)])


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


_UNSET = object()
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_POINTERS = ("PyCapsule", "CThunkObject")  # types without a public name, whose values do not change
_PLACES = ("__dict__", "__weakref__")
_C_DATA: type = ctypes.Structure.__mro__[-2]  # the base of all values and arrays of ctypes, which has no public name
_PLAIN_BASES = (int, float, complex, str, bytes, tuple, frozenset, BaseException)  # nothing hidden there changes
_READINGS = (memoryview, _pickled, lambda value: value.digest())
_WRAPPERS = type(functools.cache(len)), functools.cached_property, functools.partialmethod
_CARRIERS = (
    slice, ModuleType, MethodType, BuiltinMethodType, staticmethod, classmethod, property, *_WRAPPERS, CodeType,
    FrameType, TracebackType, GetSetDescriptorType, MemberDescriptorType, MethodWrapperType, MethodDescriptorType,
    WrapperDescriptorType, re.Match, Struct, KeysView, ValuesView, ItemsView, MappingProxyType, np.ufunc,
)  # fmt: skip
_OBJECTS = Kind("array", _read_objects, _write_objects)
_READ_ONLY = Kind("array", lambda value: Contents((value.shape, value.flags.writeable), []))
# bytes, not `==`: a nan is what it was
_NUMBERS = Kind("array", lambda value: Contents((value.shape, value.flags.writeable, value.tobytes()), []))
_DICT = Kind("dict", lambda value: Contents(Keys(value), list(value.values())), _write_dict)
_OBJECT = Kind("object", _read_object)
_OWN_OBJECT = Kind("object", _read_own_object, _write_object)  # it carries nothing
_OPAQUE = Kind("object", _read_opaque)
_CLASS = Kind("class", _read_class)
_THREAD = Kind("thread", lambda value: Contents(None, []))  # it goes its own ways
_ITERATOR = Kind("iterator", _read_iterator)
# the first that applies counts: generators are iterators too
_KINDS = (
    (Globals, Kind("variable", lambda value: Contents(value.version(), []))),
    (Masked, Kind("array", lambda value: Contents(None, [value.values]))),
    (list, Kind("list", lambda value: Contents(None, list(value)), _write_list)),
    (dict, Kind("dict", _read_dict)),
    (set, Kind("set", lambda value: Contents(None, list(value)))),
    (deque, Kind("deque", lambda value: Contents(None, list(value)))),
    (FunctionType, Kind("function", lambda f: Contents(None, [f.__code__, f.__defaults__, f.__kwdefaults__, f.__dict__]))),
    (functools.partial, Kind("partial", lambda p: Contents(list(p.keywords), [p.func, *p.args, *p.keywords.values()]))),
    ((bytearray, array, memoryview), Kind("array", _read_bytes)),
    (_C_DATA, Kind("C value", lambda value: Contents(bytes(value), []))),
    (SystemRandom, Kind("generator of random numbers", lambda value: Contents(None, []))),  # it has no state
    (Random, Kind("generator of random numbers", lambda value: Contents(value.getstate(), []))),
    (GeneratorType, Kind("generator", _read_generator)),
    (np.nditer, Kind("iterator", lambda value: Contents(None if value.finished else value.iterindex, []))),
    ((arrays.Flat, np.flatiter), Kind("iterator", lambda value: Contents(value.index, [value.base]))),
    (type(re.compile("").scanner("")), Kind("iterator", _unreadable)),  # type: ignore[attr-defined]  # of `re.finditer`
    ((io.StringIO, io.BytesIO), Kind("text", _read_text)),
    (io.IOBase, Kind("file", _read_file)),
    (weakref.ref, Kind("reference", lambda value: Contents(None, [value()]))),
    (CellType, Kind("variable", lambda value: Contents(None, [value.cell_contents] if _is_filled(value) else []))),
    (ContextVar, Kind("context variable", lambda value: Contents(None, [value.get(_UNSET)]))),
    (Context, Kind("context", lambda value: Contents(None, list(value.values())))),
    (threading.Thread, _THREAD),
    (type(Iterator.__dict__["_abc_impl"]), Kind("object", lambda value: Contents(None, []))),  # a cache of an abstract class
    (threading.local, Kind("object", lambda value: Contents(list(value.__dict__), list(value.__dict__.values())))),
    ((type(threading.Lock()), type(threading.RLock())), Kind("lock", lambda value: Contents(repr(value), []))),
    (SimpleQueue, Kind("queue", lambda value: Contents(value.qsize(), gc.get_referents(value)))),
    (Iterator, _ITERATOR),
)
