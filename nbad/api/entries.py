"""Where a kernel keeps the entries of its plain cases, compiled calls for each number of arguments and dtype met."""

import functools

from nbad import config
from nbad.forks import Lock
from nbad.memo import MANY

VALUE = ("value",)  # the kind of calls for the value
MOST = 100  # entries for calls of a kind, one for each size that vectors have: to try all takes 6 us, the general way 12


class Entries:
    """What serves the plain case of one kernel's calls, by their kind: an entry for each number of arguments and dtype met.

    It is made at the second call of a kind: a method's kernel is made anew wherever it is written, and used once.
    """

    def __init__(self, is_careful):
        self._is_careful = is_careful
        self._entries: dict[tuple, list] = {VALUE: []}
        self._met: dict[tuple, bool] = {}  # kind, number of arguments and dtype: whether there is an entry
        self._lock = Lock()

    def runs(self, kind):
        """The entries for calls of a kind, until these are too many; for values always this list."""
        return self._entries.get(kind, ())

    def __call__(self, kind, args, out):
        """What the entry for calls of a kind makes of the arguments; False where there is none, or this is not its case."""
        if config.debug.get():
            return False
        for run in self.runs(kind):
            made = run(args, out)
            if made is not False:
                return made
        return False

    def bound(self, kind, args, out):
        """The entry that takes these arguments, with them: a function without arguments; None where there is none."""
        entries = (run for run in self.runs(kind) if run(args, out) is not False)
        return next((functools.partial(run, args, out) for run in entries), None)

    def keep(self, kind, form, make):
        """Keep what `make` makes for calls of a kind and a form, from the second on, as long as there are not too many."""
        mark = kind, form
        if self._met.get(mark):
            return
        with self._lock.current:
            kept = self._entries.setdefault(kind, [])
            if mark in self._met and not self._met[mark] and len(kept) < MOST:
                kept.append(_careful(make()) if self._is_careful else make())
            if len(self._met) >= MANY:
                self._met.clear()
                self._entries[VALUE].clear()
                self._entries = {VALUE: self._entries[VALUE]}
            self._met[mark] = mark in self._met


def _careful(run):
    """The entry of a kernel that leaves nan: it steps aside where that is run for a kernel around it that raises."""
    return lambda args, out: False if config.raising.get() else run(args, out)
