"""What a traced kernel is to others: its graph, the core shapes of its outputs, and the structure in which it returns them."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from nbad.graphs.flags import Flags
from nbad.graphs.graph import Graph

Core = tuple[int, ...]


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


def outputs_of(returned: Any) -> tuple[Any, ...]:
    """The outputs in what a kernel or its plain function returned, in whatever structure.

    Examples
    --------
    >>> outputs_of({"u": 1.0, "v": 2.0}), outputs_of(3.0)
    ((1.0, 2.0), (3.0,))
    """
    return Structure.of(returned)[1]


class Traced(NamedTuple):
    """The graph of a kernel, the core shape of each output, how the kernel returns them, and its flags, if it has any."""

    graph: Graph
    outputs: tuple[Core, ...]
    structure: Structure = ALONE
    flags: Flags | None = None


class BoundKernel(NamedTuple):
    """A call of a kernel within another one: its graph, the operand for each of its arguments, and their core shapes."""

    traced: Traced
    operands: list[Any]
    cores: list[Core]


class KernelLike(Protocol):
    """What `nbad.kernel` and `nbad.primitive` make."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def bind_traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Traced, list[Any], list[Core]]:
        """The parts of a `BoundKernel`."""


def is_kernel(value: object) -> TypeGuard[KernelLike]:
    """Whether a value can be called so. Its class is asked: objects of users may claim to have any attribute.

    Examples
    --------
    >>> import nbad
    >>> is_kernel(nbad.kernel(abs)), is_kernel(abs)
    (True, False)
    """
    return hasattr(type(value), "bind_traced")
