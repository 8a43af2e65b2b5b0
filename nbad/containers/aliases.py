"""Lists and arrays that are one another for some elements only: nobody may write to them any more.

After `v = a if x > 0 else b` the name `v` stands for a copy that holds selects. That is right as long as neither `v` nor `a` nor
`b` is written to. Arrays of traced values tell of a write before it happens; all else is compared with what it held.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from nbad.containers.kinds import Contents, kind_of, same
from nbad.language.arrays import TracedArray, owner
from nbad.lines import Line


class Shared:
    """A merged list or array, and those that it may be.

    Attributes
    ----------
    line : Line
        Where they were merged.
    case : str
        What is said of a write to them, in `refusals.FLOW`.
    """

    def __init__(self, merged: Any, sources: Iterable[Any], line: Line | None, case: str = "shared") -> None:
        self.line, self.case = line, case
        # lists cannot be held weakly: they are watched to the end of the trace, and so are arrays that do not tell of writes
        self._merged: Callable[[], Any] = weakref.ref(owner(merged)) if isinstance(merged, TracedArray) else lambda: merged
        self._new = owner(merged)  # it may be written to in the statement that makes it, and be gone thereafter
        self._merged_contents = _read(self._merged())
        self._sources = [(value, contents) for value in sources if (contents := _read(value)) is not None]

    def is_alive(self) -> bool:
        """Whether the merged one is still in use, as far as one can know."""
        return self._merged() is not None

    def release(self) -> None:
        """The statement that made it has ended."""
        self._new = None

    def is_merged(self, value: Any) -> bool:
        """Whether a value is the merged one, or a view of it."""
        return self.is_alive() and owner(value) is owner(self._merged())

    def holds(self, value: Any) -> bool:
        """Whether a list or array is one of them."""
        return any(owner(value) is owner(other) for other in (self._merged(), *(source for source, _ in self._sources)))

    def is_written(self) -> bool:
        """Whether any of them holds something else than when they were merged."""
        merged = self._merged()
        if merged is None:  # it may go at any time
            return False
        now = [(merged, self._merged_contents), *self._sources]
        return any(contents is not None and not _holds_still(value, contents) for value, contents in now)


def _holds_still(value: Any, contents: Contents) -> bool:
    now = _read(value)
    return now is not None and same(now, contents)


def _read(value: Any) -> Contents | None:
    kind = kind_of(value)
    return None if kind is None else kind.read(value)
