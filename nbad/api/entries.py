"""Where a kernel keeps the entries of its plain cases."""

import functools

from nbad import config
from nbad.forks import Lock
from nbad.memo import MANY


class Entries:
    """What serves the plain case of one kernel's calls, by their kind: an entry for each working dtype that was met.

    It is made at the second call of a kind: a method's kernel is made anew wherever it is written, and used once.
    """

    def __init__(self):
        self._entries: dict[tuple, tuple] = {}
        self._met: dict[tuple, bool] = {}  # kind and dtype: whether there is an entry
        self._lock = Lock()

    def __call__(self, key, args):
        """What the entry for calls of a kind makes of the arguments; False where there is none, or this is not its case."""
        if config.debug.get():
            return False
        for run in self._entries.get(key, ()):
            made = run(*args)
            if made is not False:
                return made
        return False

    def bound(self, key, args):
        """The entry that takes these arguments, with them: a function without arguments; None where there is none."""
        entries = (run for run in self._entries.get(key, ()) if run(*args) is not False)
        return next((functools.partial(run, *args) for run in entries), None)

    def keep(self, keys, dtype, make):
        """Keep what `make` makes under keys, from the second call on; too many are forgotten."""
        mark = keys[0], dtype
        if self._met.get(mark):
            return
        with self._lock.current:
            if mark in self._met and not self._met[mark]:
                run = make()
                for key in keys:
                    self._entries[key] = (*self._entries.get(key, ()), run)
            if len(self._met) >= MANY:
                self._met.clear()
                self._entries.clear()
            self._met[mark] = mark in self._met


class Careful(Entries):
    """Those of a kernel that leaves nan, and raises while it is run for a kernel around it that does."""

    def __call__(self, key, args):
        """As of any kernel, but for that."""
        return False if config.raising.get() else super().__call__(key, args)
