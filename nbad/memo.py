"""What is made once and kept, and locks that a forked child can take."""

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any

MANY = 1000  # values in one place that are remembered
MISSING = object()


class Lock:
    """Holds a lock that may be taken again by the thread that has it, `current`; a forked child gets a new one.

    One that another thread of its parent held would never be released there.

    Examples
    --------
    >>> lock = Lock()
    >>> with lock.current, lock.current:
    ...     pass
    """

    def __init__(self):
        self.renew()
        _LOCKS.add(self)

    def renew(self):
        """Forget who holds it."""
        self.current = threading.RLock()


def _renew_all():
    FORKED.set()
    for lock in list(_LOCKS):
        lock.renew()


FORKED = threading.Event()  # set in a child that was forked after `import nbad`
_LOCKS: weakref.WeakSet = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


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
