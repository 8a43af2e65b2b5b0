"""The containers that code can reach, and what they held at one moment: what was written since, and how to undo it.

Lists and arrays of traced values can be set back; of everything else that Python can change, a change is only noticed.
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
import weakref
from array import array
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, ValuesView
from contextvars import ContextVar
from random import Random, SystemRandom
from types import (
    BuiltinMethodType,
    CellType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)  # fmt: skip
from typing import Any, NamedTuple

import numpy as np

from nbad import lines
from nbad.errors import InternalError
from nbad.language import arrays
from nbad.language.arrays import owner

_BUSY = ("asyncio", "functools", "logging", "threading")  # their objects change when they are merely used
_ATOMS = frozenset((int, float, bool, complex, str, bytes, type(None), np.float64, np.bool_, range, slice))


class Contents(NamedTuple):
    """What a container holds: items, compared by identity, and all else, compared by value."""

    rest: Any
    items: list[Any]


class Kind(NamedTuple):
    """A kind of container; `write` sets its items back."""

    noun: str
    read: Callable[[Any], Contents]
    write: Callable[[Any, list[Any]], None] | None = None


class Entry(NamedTuple):
    """A container, the variable that leads to it, and what it held."""

    container: Any
    name: str
    is_outer: bool
    kind: Kind
    contents: Contents

    def read(self) -> Contents:
        """What it holds now."""
        return self.kind.read(self.container)

    def write(self, items: list[Any]) -> None:
        """Set its items, where its kind allows that."""
        if self.kind.write is None:
            raise InternalError(f"the items of a {self.kind.noun} are written")
        self.kind.write(self.container, items)


class Heap:
    """All containers within reach of some variables, and what they hold now.

    Parameters
    ----------
    variables : iterable of (str, object)
    outer : iterable of (str, object)
        Variables of code outside the kernel.

    Attributes
    ----------
    entries : dict
        By the identity of the container.
    seen : dict
        Everything that the variables lead to, by identity, also what cannot be changed.

    Examples
    --------
    >>> items = [1.0, 2.0]
    >>> heap = Heap([("items", items)])
    >>> items[0] = 3.0
    >>> [(entry.name, contents.items) for entry, contents in heap.changes()]
    [('items', [3.0, 2.0])]
    """

    def __init__(self, variables: Iterable[tuple[str, Any]], outer: Iterable[tuple[str, Any]] = ()) -> None:
        self.entries: dict[int, Entry] = {}
        self.seen: dict[int, Any] = {}
        self.add(outer, is_outer=True)
        self.add(variables)

    def add(self, variables: Iterable[tuple[str, Any]], is_outer: bool = False) -> None:
        """Take in all that these variables lead to."""
        # no recursion: data may be nested deeper than Python's stack
        stack: list[tuple[str, object]] = list(variables)
        while stack:
            name, value = stack.pop()
            if _is_atom(type(value)) or id(value) in self.seen:  # type: ignore[arg-type]  # a class is hashable
                continue
            self.seen[id(value)] = value
            kind = kind_of(value)
            contents = kind.read(value) if kind else Contents(None, carried(value))
            if kind:
                self.entries[id(value)] = Entry(value, name, is_outer, kind, contents)
            items = contents.items if kind in (_OBJECT, _CLASS) else [*contents.items, *_of_subclass(value)]
            if not _ATOMS.issuperset(map(type, items)):
                stack += ((name, item) for item in items)

    def holds(self, value: Any) -> bool:
        """Whether a container was within reach; a view of an array counts as the array."""
        return id(value) in self.seen or id(owner(value)) in {id(owner(seen)) for seen in self.seen.values()}

    def changes(self) -> list[tuple[Entry, Contents]]:
        """The containers that hold something else now, and what."""
        now = ((entry, entry.read()) for entry in self.entries.values())
        return [(entry, contents) for entry, contents in now if not same(entry.contents, contents)]


def kind_of(value: Any) -> Kind | None:
    """The kind of a container; None for what cannot be changed."""
    if isinstance(value, np.ndarray):
        return _array_kind(value)
    is_users = not _is_foreign(type(value))
    for types, kind in _KINDS:
        if isinstance(value, types) and not (kind is _ITERATOR and is_users):
            return _slotted(kind) if is_users and any(_slots(value)) else kind
    if isinstance(value, type):
        return None if _is_foreign(value) else _CLASS
    return _OBJECT if _attributes(value) is not None else None


def leads_on(value: Any) -> bool:
    """Whether a value can be changed, or leads to what can."""
    is_atom = _is_atom(type(value))  # type: ignore[arg-type]  # a class is hashable
    return not is_atom and (kind_of(value) is not None or bool(carried(value)))


def same(a: Contents, b: Contents) -> bool:
    """Whether a container holds the same things."""
    # by identity: `==` of traced values would be an operation of the graph
    return len(a.items) == len(b.items) and all(x is y for x, y in zip(a.items, b.items, strict=True)) and a.rest == b.rest


def _slotted(kind: Kind) -> Kind:
    """The kind of a built-in container that has slots beside its items: a change is noticed."""
    return Kind(
        kind.noun, lambda value: Contents(kind.read(value).rest, [*kind.read(value).items, *dict(_slots(value)).values()])
    )


def _array_kind(value: Any) -> Kind | None:
    if not value.flags.writeable:
        return None
    return _OBJECTS if value.dtype == object else _NUMBERS


def _read_objects(value: Any) -> Contents:
    return Contents(value.shape, list(value.view(np.ndarray).flat))


def _write_objects(value: Any, items: list[Any]) -> None:
    value.view(np.ndarray)[...] = arrays.filled(items, value.shape)


def _write_list(value: Any, items: list[Any]) -> None:
    list.__setitem__(value, slice(None), items)


def _read_dict(value: Any) -> Contents:
    return Contents(None, [*value.keys(), *value.values()])


def _read_generator(value: Any) -> Contents:
    frame = value.gi_frame
    return Contents(None, []) if frame is None else Contents(frame.f_lasti, list(frame.f_locals.values()))


def _read_iterator(value: Any) -> Contents:
    """How far an iterator is, and what it runs over, if it says so; one that does not is never what it was."""
    left = operator.length_hint(value)
    if type(value).__name__.startswith(("dict", "set")):  # they tell by emptying a copy
        return Contents(left, [])
    try:
        state = value.__reduce__()[1:]
    except TypeError:
        within = gc.get_referents(value)
        return Contents(left, within) if within else _unknown(value)
    parts = [part for group in state for part in (group if isinstance(group, tuple) else (group,))]
    plain = [part for part in parts if type(part) in _ATOMS]
    return Contents((left, plain), [part for part in parts if type(part) not in _ATOMS])


def _unknown(value: Any) -> Contents:
    """Never the same: how far this is cannot be read."""
    return Contents(object(), [])


def _read_text(value: Any) -> Contents:
    return Contents(None if value.closed else (value.getvalue(), value.tell()), [])


def _read_object(value: Any) -> Contents:
    attributes = _attributes(value) or {}
    return Contents(list(attributes), [*attributes.values(), *carried(value), type(value)])


def _read_class(value: Any) -> Contents:
    return Contents(list(vars(value)), list(vars(value).values()))


def _attributes(value: Any) -> dict[str, Any] | None:
    """The attributes of an object, its own ones; None where it can have none, or where they are a library's business."""
    cls = type(value)
    if issubclass(cls, _CARRIERS) or (_is_foreign(cls) and not (cls.__dictoffset__ and _is_pythons(cls))):
        return None
    own = object.__getattribute__(value, "__dict__") if cls.__dictoffset__ else {}  # nobody's `__getattr__` is asked
    return own | dict(_slots(value))


def _slots(value: Any) -> Iterator[tuple[str, Any]]:
    """The slots of an object that are filled, private and inherited ones too."""
    for base in type(value).__mro__[:-1]:
        for name, member in vars(base).items() if not _is_foreign(base) else ():
            if isinstance(member, MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # it is empty
                    yield f"{base.__name__}.{name}", member.__get__(value)


def _of_subclass(value: Any) -> list[Any]:
    """What an instance of a user's subclass of a built-in container leads to beside its items."""
    cls = type(value)
    return [] if _is_foreign(cls) else [cls, *([vars(value)] if cls.__dictoffset__ else [])]


def _is_foreign(cls: type) -> bool:
    """Whether a class belongs to Python, to nbad or to a library."""
    return _top(cls) in lines.LIBRARIES or _top(cls) == "nbad"


def _is_pythons(cls: type) -> bool:
    return _top(cls) in sys.stdlib_module_names and _top(cls) not in _BUSY


def _top(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]


@functools.lru_cache(maxsize=1024)
def _is_atom(cls: type) -> bool:
    """Whether values of this class lead nowhere: plain values, and what nbad itself puts into a kernel, arrays apart."""
    return cls in _ATOMS or (str(cls.__module__).startswith("nbad.") and not issubclass(cls, np.ndarray))


def carried(value: Any) -> list[Any]:
    """What an unchangeable value leads to, and a function."""
    if isinstance(value, (tuple, frozenset)):
        return list(value)
    if isinstance(value, (KeysView, ValuesView, ItemsView, MappingProxyType)):
        return gc.get_referents(value)
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), value.__dict__]
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    is_bound = isinstance(value, (BuiltinMethodType, MethodWrapperType)) and not isinstance(value.__self__, ModuleType)
    return [value.__self__] if is_bound else []


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


_OBJECTS = Kind("array", _read_objects, _write_objects)
# bytes, not `==`: a nan is what it was
_NUMBERS = Kind("array", lambda value: Contents((value.shape, value.tobytes()), []))
_OBJECT = Kind("object", _read_object)
_CLASS = Kind("class", _read_class)
_ITERATOR = Kind("iterator", _read_iterator)
_UNSET = object()
_C_DATA: type = ctypes.Structure.__mro__[-2]  # the base of all values and arrays of ctypes, which has no public name
_CARRIERS = (ModuleType, FunctionType, MethodType, BuiltinMethodType, functools.partial, staticmethod, classmethod, property)
# the first that applies counts: generators are iterators too
_KINDS = (
    (list, Kind("list", lambda value: Contents(None, list(value)), _write_list)),
    (dict, Kind("dict", _read_dict)),
    (set, Kind("set", lambda value: Contents(None, list(value)))),
    (deque, Kind("deque", lambda value: Contents(None, list(value)))),
    ((bytearray, array, memoryview), Kind("array", lambda value: Contents(bytes(value), []))),
    (_C_DATA, Kind("C value", lambda value: Contents(bytes(value), []))),
    (SystemRandom, Kind("generator of random numbers", lambda value: Contents(None, []))),  # it has no state
    (Random, Kind("generator of random numbers", lambda value: Contents(value.getstate(), []))),
    (np.random.RandomState, Kind("generator of random numbers", lambda value: Contents(pickle.dumps(value), []))),
    (GeneratorType, Kind("generator", _read_generator)),
    (np.flatiter, Kind("iterator", lambda value: Contents(value.index, [value.base]))),
    (type(re.compile("").scanner("")), Kind("iterator", _unknown)),  # type: ignore[attr-defined]  # of `re.finditer`
    ((io.StringIO, io.BytesIO), Kind("text", _read_text)),
    (io.IOBase, Kind("file", lambda value: Contents(None, []))),  # what is written into one is not for the kernel to read
    (weakref.ref, Kind("reference", lambda value: Contents(None, [value()]))),
    (ContextVar, Kind("context variable", lambda value: Contents(None, [value.get(_UNSET)]))),
    (threading.local, Kind("object", lambda value: Contents(list(value.__dict__), list(value.__dict__.values())))),
    (Iterator, _ITERATOR),
)
