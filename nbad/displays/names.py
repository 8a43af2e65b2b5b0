"""What `dir` lists of an object: what is public, and what Python gives every object."""

from collections.abc import Collection, Iterable


class Public:
    """A class whose objects list no private names, and none of those in `internal`, which only nbad uses."""

    internal: Collection[str] = ()

    def __dir__(self) -> list[str]:
        return public(super().__dir__(), {*self.internal, "internal"})


def public(names: Iterable[str], internal: Collection[str]) -> list[str]:
    """The names among some that have no underscore before them and are not internal; protocols stay.

    Examples
    --------
    >>> public(["__len__", "_rows", "batched", "rows"], {"rows"})
    ['__len__', 'batched']
    """
    return sorted([name for name in names if name.startswith("__") or not (name.startswith("_") or name in internal)])
