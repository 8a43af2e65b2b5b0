"""The attributes of objects, slots among them, and whose classes these are of."""

import contextlib
import functools
from collections.abc import Iterator
from types import MemberDescriptorType
from typing import Any

import numpy as np

from nbad import lines

ATOMS = frozenset((int, float, bool, complex, str, bytes, type(None), np.float64, np.bool_, range))
_BUSY = ("asyncio", "functools", "logging")  # their objects change when they are merely used


@functools.lru_cache(maxsize=1024)
def is_foreign(cls: type) -> bool:
    """Whether a class belongs to Python, to nbad or to a library."""
    return _top(cls) in lines.LIBRARIES or _top(cls) == "nbad"


def attributes_of(value: Any) -> dict[Any, Any]:
    """The attributes of an object, its own ones."""
    cls = type(value)
    own = own_attributes(value)
    if _top(cls) in _BUSY:
        return {name: attribute for name, attribute in own.items() if type(attribute) in ATOMS}
    return own | dict(slots_of(value))


def own_attributes(value: Any) -> dict[str, Any]:
    """Those in its dict, which may be written to."""
    return object.__getattribute__(value, "__dict__") if type(value).__dictoffset__ else {}  # nobody's `__getattr__` is asked


def slots_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """The slots of an object that are filled, private and inherited ones too."""
    for name, member, is_users in members_of(type(value)):  # type: ignore[arg-type]  # a class is hashable
        with contextlib.suppress(AttributeError):  # it is empty
            found = member.__get__(value)
            # a number in a field of C code is made anew each time: it goes by its text
            yield (name, found) if is_users or type(found) not in ATOMS else ((name, repr(found)), None)


@functools.lru_cache(maxsize=1024)
def members_of(cls: type) -> tuple[tuple[Any, Any, bool], ...]:
    """The slots of a class and its bases: names, each with its class, descriptors, and whether they are of the user's."""
    return tuple(
        ((base, name), member, not is_foreign(base))
        for base in cls.__mro__[:-1]
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    )


def _top(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]
