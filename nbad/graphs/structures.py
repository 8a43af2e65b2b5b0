"""How kernels take and return numbers and arrays: alone, in tuples, namedtuples, dicts or dataclasses, one within the other."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import repeat
from typing import Any, NamedTuple


def in_tuple(texts: Sequence[str]) -> str:
    """Code of a tuple of what has this code.

    Examples
    --------
    >>> in_tuple(["1.0"]), in_tuple([])
    ('(1.0,)', '()')
    """
    return f"({', '.join(texts)},)" if texts else "()"


@dataclass(frozen=True)
class Fixed:
    """What is no number in a structure; `key` tells it from others."""

    value: Any = field(compare=False)
    key: Hashable


class Structure(NamedTuple):
    """How numbers and arrays come: one alone, or in tuples, namedtuples, dicts and dataclasses, one within the other.

    Attributes
    ----------
    kind : type or None
        None for one alone.
    keys : tuple
        Of a dict, in order; the names of fields; the places of a tuple.
    parts : tuple of Structure, Fixed or None
        For each key; None is a number or an array, the leaves of the structure. Empty where all are leaves.

    Examples
    --------
    >>> structure, leaves = Structure.of({"b": 1.0, "a": 2.0})
    >>> leaves, structure.build([3.0, 4.0]), structure.leaves({"a": 4.0, "b": 3.0})
    ((1.0, 2.0), {'b': 3.0, 'a': 4.0}, (3.0, 4.0))
    >>> deep = Structure(dict, ("a", "b"), (None, Structure(dict, ("c",), (None,))))
    >>> deep.build([1.0, 2.0]), deep.leaves({"b": {"c": 4.0}, "a": 3.0})
    ({'a': 1.0, 'b': {'c': 2.0}}, (3.0, 4.0))
    """

    kind: Any = None
    keys: tuple[Hashable, ...] = ()
    parts: tuple[Any, ...] = ()

    @classmethod
    def of(cls, returned: Any) -> "tuple[Structure, tuple[Any, ...]]":
        """The structure of what a kernel returns, one level deep, and what is in it."""
        taken = taken_apart(returned) if isinstance(returned, dict | tuple) else None
        if taken is None:
            return ALONE, (returned,)
        kind, keys, leaves = taken
        if not (issubclass(kind, dict) or hasattr(kind, "_make")):
            return in_places(len(leaves)), leaves
        return cls(kind, keys), leaves

    @property
    def is_tuple(self) -> bool:
        """Whether there is something around the outputs, be it a tuple, a namedtuple or a dict."""
        return self.kind is not None

    @property
    def is_dict(self) -> bool:
        """Whether that is a dict."""
        return self.kind is not None and issubclass(self.kind, dict)

    @property
    def is_usual(self) -> bool:
        """Whether the outputs come alone or in a plain tuple."""
        return self.kind is None or (self.kind is tuple and not self.parts)

    def build(self, leaves: Any, fixed: Callable[[Any], Any] = lambda value: None) -> Any:
        """Values in this structure; `fixed` says what stands where there is no number, of what stood there."""
        kind, keys, parts = self
        if kind is None:
            return leaves[0]
        if parts:
            return self._built(iter(leaves), fixed)
        if kind is tuple:
            return tuple(leaves)
        return kind(zip(keys, leaves, strict=True)) if issubclass(kind, dict) else kind._make(leaves)

    @property
    def builder(self) -> Callable[[Any], Any]:
        """The same for leaves alone, as fast as may be."""
        return self.kind._make if not self.parts and hasattr(self.kind, "_make") else self.build

    def _built(self, leaves: Iterator[Any], fixed: Callable[[Any], Any]) -> Any:
        parts = []
        for part in self.parts:
            if isinstance(part, Structure):
                parts.append(part._built(leaves, fixed))
            else:
                parts.append(fixed(part.value) if isinstance(part, Fixed) else next(leaves))
        if self.is_dict or issubclass(self.kind, tuple):
            return self._replace(parts=()).build(parts)
        made = object.__new__(self.kind)  # `__init__` may check or change what it is given
        for name, value in zip(self.keys, parts, strict=True):
            object.__setattr__(made, str(name), value)
        return made

    def leaves(self, given: Any) -> Any:
        """What is in a value of this structure, or in a tuple in its place, as a tuple; all else as it is, to be refused."""
        if self.kind is None:
            return (given,)
        if not self.parts:
            if isinstance(given, tuple):
                return tuple(given) if type(given) is self.kind else given
            if self.is_dict and isinstance(given, dict) and given.keys() == set(self.keys):
                return tuple([given[key] for key in self.keys])
            return given
        found: list[Any] = []
        return tuple(found) if self._gather(given, found) else given

    def _gather(self, given: Any, found: list[Any]) -> bool:
        taken = taken_apart(given)
        if taken is None or not _is_like(self.kind, taken[0]) or set(taken[1]) != set(self.keys):
            return False
        values = dict(zip(taken[1], taken[2], strict=True))
        for key, part in zip(self.keys, self.parts, strict=True):
            if part is None:
                found.append(values[key])
            elif isinstance(part, Structure) and not part._gather(values[key], found):
                return False
        return True

    def spelled(self, name: str) -> list[str]:
        """How code names each leaf of a value."""
        if self.kind is None:
            return [name]
        names = []
        for key, part in zip(self.keys, self.parts or repeat(None), strict=False):
            own = f"{name}[{key!r}]" if self.kind is tuple or self.is_dict else f"{name}.{key}"
            names += part.spelled(own) if isinstance(part, Structure) else [own] if part is None else []
        return names

    def written(self, leaf: str) -> str:
        """Code of a value in which all leaves are the same.

        Examples
        --------
        >>> Structure(dict, ("a", "b"), (None, Structure(dict, ("c",), (None,)))).written("1.0")
        "{'a': 1.0, 'b': {'c': 1.0}}"
        """
        return self.written_of(repeat(leaf))

    def written_of(self, leaves: Iterator[str]) -> str:
        """The same of leaves that differ."""
        texts = [
            p.written_of(leaves) if isinstance(p, Structure) else next(leaves) if p is None else repr(p.value) for p in self.parts
        ]
        if self.kind is tuple:
            return in_tuple(texts)
        pairs = list(zip(self.keys, texts, strict=True))
        if self.is_dict:
            return "{" + ", ".join(f"{key!r}: {text}" for key, text in pairs) + "}"
        return f"{self.kind.__name__}({', '.join(f'{key}={text}' for key, text in pairs)})"

    def described(self) -> str:
        """What messages call it."""
        if self.kind is tuple:
            return f"a tuple of {len(self.keys)}"
        keys = ", ".join(map(repr if self.is_dict else str, self.keys))
        return f"a dict with the keys {keys}" if self.is_dict else f"a {self.kind.__name__} of {keys}"

    def or_tuple(self) -> str:
        """What messages call it where a tuple of its leaves may stand in its place."""
        return self.described() if self.kind is tuple else f"{self.described()}, or a tuple of {len(self.spelled(''))}"


ALONE = Structure()


def in_places(count: int) -> Structure:
    """A tuple of so many numbers or arrays."""
    return Structure(tuple, tuple(range(count)))


def taken_apart(value: Any) -> tuple[Any, tuple[Hashable, ...], tuple[Any, ...]] | None:
    """The class, the keys and the values of a dict, a tuple or a dataclass, one level deep; None for all else.

    Examples
    --------
    >>> taken_apart({"a": 1.0}), taken_apart(1.0)
    ((<class 'dict'>, ('a',), (1.0,)), None)
    """
    kind = type(value)
    if isinstance(value, dict):  # of other classes nobody knows how they are made
        return OrderedDict if kind is OrderedDict else dict, tuple(value), tuple(value[key] for key in value)
    if isinstance(value, tuple):
        return kind, getattr(kind, "_fields", tuple(range(len(value)))), tuple(value)
    if is_dataclass(kind):
        names = tuple(f.name for f in fields(kind))
        return kind, names, tuple(getattr(value, name, None) for name in names)
    return None


def _is_like(kind: Any, other: Any) -> bool:
    return kind is other or (issubclass(kind, dict) and issubclass(other, dict))


def outputs_of(returned: Any) -> tuple[Any, ...]:
    """The outputs in what a kernel or its plain function returned, in whatever structure.

    Examples
    --------
    >>> outputs_of({"u": 1.0, "v": 2.0}), outputs_of(3.0)
    ((1.0, 2.0), (3.0,))
    """
    return Structure.of(returned)[1]
