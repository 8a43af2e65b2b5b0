"""The containers that code can reach, and what they held at one moment: what was written since, and how to undo it.

Lists, dicts, arrays of traced values and objects of the user's classes can be set back; of everything else that Python can
change, a change is only noticed.
"""

import threading
from collections.abc import Iterable
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple, Self

from nbad import lines
from nbad.containers.attributes import ATOMS
from nbad.containers.kinds import Contents, Kind, is_atom, kind_of, leads, same
from nbad.errors import InternalError
from nbad.language.arrays import owner


class Entry(NamedTuple):
    """A container, the variable that leads to it, and what it held."""

    container: Any
    name: str
    is_outer: bool
    kind: Kind
    contents: Contents

    @property
    def case(self) -> str:
        """Which refusal tells of a write to it, if it is of code outside the kernel."""
        return "outer variable" if self.kind.noun == "variable" else "outer call" if type(self.name) is Distant else "outer"

    def read(self) -> Contents:
        """What it holds now."""
        return self.kind.read(self.container)

    def write(self, items: list[Any], rest: Any = None) -> None:
        """Set its items, where its kind allows that; all else becomes what it was, or the given."""
        if self.kind.write is None:
            raise InternalError(f"the items of a {self.kind.noun} are written")
        self.kind.write(self.container, Contents(self.contents.rest if rest is None else rest, items))


class Distant(str):
    """The name of what only code of a package leads to that runs as it is."""

    __slots__ = ("home",)
    home: str

    def __new__(cls, name: str, home: str) -> Self:
        """The name, and the package."""
        new = super().__new__(cls, name)
        new.home = home
        return new

    def passes_by(self, value: Any, kind: Kind | None) -> bool:
        """Whether a value is none of that code's: objects of libraries change when they are asked, and lead everywhere."""
        owner = _owner(value)
        is_code = owner is value or (kind is not None and kind.noun == "object" and owner not in _OPEN)
        return is_code and lines.is_installed(str(owner.__module__)) and home_of(value) != self.home


def _owner(value: Any) -> Any:
    return value if isinstance(value, (type, FunctionType)) else type(value)


def home_of(value: Any) -> str:
    """The package whose code a class or function is, or whose class an object is of."""
    return str(_owner(value).__module__).partition(".")[0]


_OPEN = (SimpleNamespace, threading.local)


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
        # no recursion: data may be nested deeper than Python's stack; and what a variable holds itself goes by its name first
        found = [*variables][::-1]
        closed: list[tuple[str, Any]] = []  # within what cannot be written to, if no other way leads there
        for is_open, queue in ((True, found), (False, closed)):
            for name, value in queue:
                if is_atom(type(value)) or id(value) in self.seen:  # type: ignore[arg-type]  # a class is hashable
                    continue
                kind = kind_of(value)
                if type(name) is Distant and name.passes_by(value, kind):
                    continue
                self.seen[id(value)] = value
                items, onward = leads(value, kind), queue
                if kind:
                    # what is in an object of a library may not be all that changes when it does
                    if not is_open and kind.noun in ("dict", "object"):
                        kind = kind._replace(write=None)
                    if isinstance(value, FunctionType):  # the variables of functions around it
                        queue += [(name, item) for item in items]
                        items = []
                    onward = queue if kind.write is not None else closed
                    entry = self.entries[id(value)] = Entry(value, name, is_outer, kind, kind.read(value))
                    items += entry.contents.items
                if not ATOMS.issuperset(map(type, items)):
                    onward += [(name, item) for item in items]

    def holds(self, value: Any) -> bool:
        """Whether a container was within reach; a view of an array counts as the array."""
        return id(value) in self.seen or id(owner(value)) in {id(owner(seen)) for seen in self.seen.values()}

    def changes(self) -> list[tuple[Entry, Contents]]:
        """The containers that hold something else now, and what."""
        now = ((entry, entry.read()) for entry in self.entries.values())
        return [(entry, contents) for entry, contents in now if not same(entry.contents, contents)]
