"""What threads share: locks that a forked child can take, and one bounded `remember`.

A lock that another thread of the parent held would never be released in the child.
"""

import os
import threading
import weakref


class Lock:
    """Holds a lock that may be taken again by the thread that has it, `current`; a forked child gets a new one.

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
    for lock in list(_LOCKS):
        lock.renew()


_LOCKS: weakref.WeakSet = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


MANY = 1000  # values in one place that are remembered


def remember(known, key, make):
    """The value under a key, made at the first asking; a dict of too many starts anew."""
    found = known.get(key)
    if found is None:
        if len(known) > MANY:
            known.clear()
        found = known.setdefault(key, make())
    return found
