"""What is made once and kept."""

from collections.abc import Callable, Hashable
from typing import Any

from nbad.forks import Lock

MANY = 1000  # values in one place that are remembered
MISSING = object()


class Memo:
    """Values under keys, each made at the first asking by one thread at a time; one of too many starts anew.

    To drop the least recently used one instead would cost every look-up a note of its use; what is found here is made in
    microseconds to milliseconds.

    Examples
    --------
    >>> memo = Memo()
    >>> memo("key", lambda: 3), memo("key", lambda: 4)
    (3, 3)
    """

    __slots__ = ("_lock", "_most", "known")

    def __init__(self, most: int = MANY):
        self.known: dict[Hashable, Any] = {}
        self._lock, self._most = Lock(), most

    def __call__(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value under `key`."""
        found = self.known.get(key, MISSING)
        if found is not MISSING:
            return found
        with self._lock.current:
            found = self.known.get(key, MISSING)
            if found is MISSING:
                found = make()
                if len(self.known) >= self._most:
                    self.known.clear()
                self.known[key] = found
        return found
