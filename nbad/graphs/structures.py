"""How kernels take and return numbers and arrays: alone, in tuples, namedtuples, dicts or dataclasses, one within the other."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
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


class Structure(NamedTuple):
    """How a kernel returns its outputs: the only one as it is, or all of them in a tuple, a namedtuple or a dict.

    Attributes
    ----------
    kind : type or None
    keys : tuple
        Of a dict, in the order in which the kernel inserts them.

    Examples
    --------
    >>> structure, leaves = Structure.of({"b": 1.0, "a": 2.0})
    >>> leaves, structure.build([3.0, 4.0]), structure.leaves({"a": 4.0, "b": 3.0})
    ((1.0, 2.0), {'b': 3.0, 'a': 4.0}, (3.0, 4.0))
    """

    kind: Any = None
    keys: tuple[Hashable, ...] = ()

    @classmethod
    def of(cls, returned: Any) -> "tuple[Structure, tuple[Any, ...]]":
        """The structure of what a kernel returns, and what is in it."""
        if isinstance(returned, dict):  # of other classes nobody knows how they are made
            return cls(OrderedDict if type(returned) is OrderedDict else dict, tuple(returned)), tuple(returned.values())
        if isinstance(returned, tuple):
            return cls(type(returned) if hasattr(returned, "_make") else tuple), tuple(returned)
        return cls(), (returned,)

    @property
    def is_tuple(self) -> bool:
        """Whether there is something around the outputs, be it a tuple, a namedtuple or a dict."""
        return self.kind is not None

    @property
    def is_usual(self) -> bool:
        """Whether the outputs come alone or in a plain tuple."""
        return self.kind is None or self.kind is tuple

    def build(self, leaves: Sequence[Any]) -> Any:
        """Outputs, or seeds of them, in this structure."""
        if self.kind is None:
            return leaves[0]
        if self.kind is tuple:
            return tuple(leaves)
        return self.kind(zip(self.keys, leaves, strict=True)) if self.keys else self.kind._make(leaves)

    def leaves(self, given: Any) -> Any:
        """What is in a value of this structure, or in a tuple in its place, as a tuple; all else as it is, to be refused."""
        if self.kind is None:
            return (given,)
        if self.keys and isinstance(given, dict) and given.keys() == set(self.keys):
            return tuple(given[key] for key in self.keys)
        return tuple(given) if type(given) is self.kind and isinstance(given, tuple) else given

    def spelled(self, name: str, count: int) -> list[str]:
        """How code names each of so many outputs of a value."""
        if self.kind is None:
            return [name]
        fields = getattr(self.kind, "_fields", ())
        return [f"{name}.{field}" for field in fields] or [f"{name}[{key!r}]" for key in self.keys or range(count)]

    def described(self, count: int) -> str:
        """What messages call it."""
        if self.keys:
            return f"a dict with the keys {', '.join(map(repr, self.keys))}, or a tuple of {count}"
        return f"a tuple of {count}" if self.is_usual else f"a {self.kind.__name__}, or a tuple of {count}"


ALONE, TUPLE = Structure(), Structure(tuple)


@dataclass(frozen=True)
class Fixed:
    """What is no number in a tree; `key` tells it from others."""

    value: Any = field(compare=False)
    key: Hashable


class Tree(NamedTuple):
    """How numbers and arrays are put together in dicts, namedtuples, dataclasses and tuples, one within the other.

    Attributes
    ----------
    kind : type
    keys : tuple
        Of a dict, in order; the names of fields; the places of a tuple.
    parts : tuple of Tree, Fixed or None
        For each key; None is a number or an array, the leaves of the tree.

    Examples
    --------
    >>> tree = Tree(dict, ("a", "b"), (None, Tree(dict, ("c",), (None,))))
    >>> tree.build([1.0, 2.0]), tree.leaves({"b": {"c": 4.0}, "a": 3.0})
    ({'a': 1.0, 'b': {'c': 2.0}}, (3.0, 4.0))
    """

    kind: Any
    keys: tuple[Hashable, ...]
    parts: tuple[Any, ...]

    @property
    def is_tuple(self) -> bool:
        """As of a `Structure`, in whose place it may stand."""
        return True

    @property
    def is_usual(self) -> bool:
        """Likewise."""
        return False

    def build(self, leaves: Iterable[Any], fixed: Callable[[Any], Any] = lambda value: None) -> Any:
        """Values in this structure; `fixed` says what stands where there is no number, of what stood there."""
        return self._built(iter(leaves), fixed)

    def _built(self, leaves: Iterator[Any], fixed: Callable[[Any], Any]) -> Any:
        parts = []
        for part in self.parts:
            if isinstance(part, Tree):
                parts.append(part._built(leaves, fixed))
            else:
                parts.append(fixed(part.value) if isinstance(part, Fixed) else next(leaves))
        return self._joined(parts)

    def _joined(self, parts: list[Any]) -> Any:
        if self.kind is tuple:
            return tuple(parts)
        if issubclass(self.kind, dict):
            return self.kind(zip(self.keys, parts, strict=True))
        if issubclass(self.kind, tuple):
            return self.kind._make(parts)
        made = object.__new__(self.kind)  # `__init__` may check or change what it is given
        for name, value in zip(self.keys, parts, strict=True):
            object.__setattr__(made, str(name), value)
        return made

    def leaves(self, given: Any) -> Any:
        """What is in a value of this structure as a tuple; all else as it is, to be refused."""
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
            elif isinstance(part, Tree) and not part._gather(values[key], found):
                return False
        return True

    def spelled(self, name: str, count: int | None = None) -> list[str]:
        """How code names each leaf of a value."""
        names = []
        for key, part in zip(self.keys, self.parts, strict=True):
            own = f"{name}[{key!r}]" if self.kind is tuple or issubclass(self.kind, dict) else f"{name}.{key}"
            names += part.spelled(own) if isinstance(part, Tree) else [own] if part is None else []
        return names

    def written(self, leaf: str) -> str:
        """Code of a value in which all leaves are the same.

        Examples
        --------
        >>> Tree(dict, ("a", "b"), (None, Tree(dict, ("c",), (None,)))).written("1.0")
        "{'a': 1.0, 'b': {'c': 1.0}}"
        """
        return self.written_of(repeat(leaf))

    def written_of(self, leaves: Iterator[str]) -> str:
        """The same of leaves that differ."""
        texts = [
            p.written_of(leaves) if isinstance(p, Tree) else next(leaves) if p is None else repr(p.value) for p in self.parts
        ]
        if self.kind is tuple:
            return in_tuple(texts)
        pairs = list(zip(self.keys, texts, strict=True))
        if issubclass(self.kind, dict):
            return "{" + ", ".join(f"{key!r}: {text}" for key, text in pairs) + "}"
        return f"{self.kind.__name__}({', '.join(f'{key}={text}' for key, text in pairs)})"

    def described(self, count: int | None = None) -> str:
        """What messages call it."""
        if self.kind is tuple:
            return f"a tuple of {len(self.parts)}"
        listing = ", ".join(map(repr if issubclass(self.kind, dict) else str, self.keys))
        return f"a dict with the keys {listing}" if issubclass(self.kind, dict) else f"a {self.kind.__name__} of {listing}"


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
