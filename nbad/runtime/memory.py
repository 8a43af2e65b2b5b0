"""Memory: asked about before it is taken, and recycled where it is big.

Fresh memory costs a page fault for every 4096 bytes, which doubles the time of a reverse sweep. Here an array's memory is leased:
when the array and all of its views are gone, the block returns to a bounded store, and the next array of about that size gets it.
What waits there goes back to the system where memory gets scarce, by the machine, the container (control groups) or the process's
own limits: NumPy does not know of it, and would fail.
"""

import ctypes
import functools
import itertools
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nbad import config
from nbad.errors import ArgumentValueError, NbadError, fitting
from nbad.forks import Lock
from nbad.memo import cached_property
from nbad.native import cpython

try:
    import resource  # here: a lease may end while its thread imports what another one holds `nbad.forks.IMPORTS` for
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

CAREFUL = 1 << 28  # bytes; asking the system costs more than a smaller array
TEMPORARY = 1 << 28  # bytes of temporaries that a sweep takes at once where the user sets no bound
# bytes; smaller ones malloc recycles well enough by itself. Of larger ones it gives what lies at the heap's end back to the
# system, at each call: a value and 5 partials of 16,000 elements took 4.5 times as long
SMALLEST = 1 << 15
PAGE = 4096
STAGGER = 13 * 64  # bytes: from one block's start in a page to the next one's
# the pool looks how much is left, which takes 0.3 ms, when so many bytes more wait or are taken than before, or when so many in a
# second may have taken what was left
MUCH, FASTEST = 1 << 28, 1 << 34
TRIMMED = 1 << 24  # bytes of freed blocks for which malloc is asked to let go of them, which looks through all that it has
PROC, CONTROL_GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
BOUNDLESS = 1 << 60  # bytes: what the older control groups say where there is no limit is more
VERSIONS = (  # of control groups: folder, controller, files of the limit and of what is used, cached files that may be dropped
    ("", "", "memory.max", "memory.current", "inactive_file"),
    ("unified", "", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class Limit(NamedTuple):
    """Bytes that may be used in all, and that are free."""

    total: int
    free: int


def limits() -> Iterator[Limit]:
    """All limits of this process's memory that the system tells: of the machine, of control groups, and its own.

    Examples
    --------
    >>> all(limit.free <= limit.total for limit in limits())
    True
    """
    try:
        lines = (line.split() for line in (PROC / "meminfo").read_text(encoding="ascii").splitlines())
        sizes = {line[0]: int(line[1]) << 10 for line in lines}
        yield Limit(sizes["MemTotal:"], sizes["MemAvailable:"])
    except (OSError, KeyError):
        pass
    yield from filter(None, (group.limit() for group in _groups()))
    yield from _own()


class _Group(NamedTuple):
    """A control group: its folder, names of files there, and the entry of those cached files that may be dropped."""

    folder: Path
    total: str
    used: str
    cached: str

    def limit(self) -> Limit | None:
        """None where it has none."""
        try:
            total = int((self.folder / self.total).read_text(encoding="ascii"))
            if total >= BOUNDLESS:
                return None
            used = int((self.folder / self.used).read_text(encoding="ascii"))
            lines = (line.split() for line in (self.folder / "memory.stat").read_text(encoding="ascii").splitlines())
            return Limit(total, max(total - used + next((int(line[1]) for line in lines if line[0] == self.cached), 0), 0))
        except (OSError, ValueError):  # not there, or "max"
            return None


@functools.cache
def _groups() -> tuple[_Group, ...]:
    """The control groups of this process that have a limit; inside a container the outer part of their path is not there."""
    try:
        lines = (PROC / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    found = []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        place = Path(path.lstrip("/"))
        for folder, controller, *names in VERSIONS:
            if controller in controllers.split(","):
                found += [_Group(CONTROL_GROUPS / folder / group, *names) for group in (place, *place.parents)]
    return tuple(group for group in found if group.limit())


def _own() -> Iterator[Limit]:
    """Limits of the process: address space and data."""
    if resource is None:
        return
    try:
        pages = [int(count) for count in (PROC / "self/statm").read_text(encoding="ascii").split()]
    except OSError:
        return
    for kind, place in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
        total = resource.getrlimit(kind)[0]
        if total != resource.RLIM_INFINITY:
            yield Limit(total, max(total - pages[place] * resource.getpagesize(), 0))


class Pool:
    """Blocks that wait for reuse, by size; the oldest go first when there are too many bytes. Some wait near `lend`."""

    def __init__(self, limit):
        self.limit = limit
        self._due, self._most = 0.0, 0  # when to look at what is left: from a time on, from so many bytes on
        self._about = 0  # how many bytes wait here, but for what interrupts may have made wrong since they were counted
        self.blocks: dict[int, list[np.ndarray]] = {}
        self._room = min(limit, MUCH) // 2
        self._turns = itertools.count()
        self._lock = Lock()  # a lease may end inside a locked section, when the collector runs there

    @property
    def lend(self):
        """`lend(size)`, for compiled code: take and give in 0.07 us where a block waits near it; in Python these take 1.3."""
        return self._lender[0]

    @cached_property
    def _lender(self):
        """That and its table, as one: two threads may make them, and one pair is kept."""
        return cpython.lender(self.take, functools.partial(_give, self.give), self._room)

    @property
    def _lends(self):
        """The table; None where nothing was lent yet."""
        return self.__dict__.get("_lender", (None, None))[1]

    @property
    def waiting(self):
        """How many bytes wait."""
        return self._near() + self._here()

    def _near(self):
        table = self._lends
        return self._room - int(table[cpython.ROOM]) if table is not None else 0

    def _here(self):
        """Counted anew, so that no interrupt can make it wrong."""
        return sum(size * len(kept) for size, kept in list(self.blocks.items()))

    def _gather(self):
        """Bring here what waits near `lend`, and tell whether anything does."""
        table = self._lends
        found = cpython.emptied(table) if table is not None else []
        for block in found:
            self.give(block)
        return bool(found)

    def take(self, size):
        """A block of exactly `size` bytes, 64-byte aligned; its contents are arbitrary.

        No two neighbours start at the same place of a page: stores to one would wait for loads from the other, and a batched
        pullback of 1e4 elements took 1.35 times as long.
        """
        with self._lock.current:
            if size in self.blocks:
                return self._pop(size)
        if self._gather():
            return self.take(size)
        self._look(size)
        try:
            raw = np.empty(size + PAGE, np.uint8)
        except MemoryError:  # what waits in other sizes may make room
            self.clear()
            raw = np.empty(size + PAGE, np.uint8)
        start = (next(self._turns) * STAGGER - raw.ctypes.data) % PAGE
        return raw[start : start + size]

    def give(self, block):
        """Take a block back, if it is one and there is room."""
        size, alone, limit = block.nbytes if block is not None else 0, [block], max(self.limit - self._near(), 0)
        with self._lock.current:
            if 0 < size <= limit:
                kept = self.blocks.setdefault(size, alone)  # never an empty list, which an interrupt might leave
                if kept is not alone:
                    kept.append(block)
                self._about += size
            if self._about > limit:
                self._about = self._here()
                while self._about > limit:
                    self._pop(next(iter(list(self.blocks))))  # a list: a lease may end here
        self._look(0)

    def _look(self, needed):
        """Now and then give back what waits, where it is more than what would be left."""
        now = time.monotonic()
        if (now >= self._due or self._about + needed >= self._most) and not sys.is_finalizing():
            self._about = self._here()
            spare = left() - self._about - self._near()
            self._due, self._most = now + max(spare, 0) / FASTEST, max(self._most, self._about + MUCH)
            if spare < needed:
                self.clear()

    def _pop(self, size):
        """Remove a block; sizes in recent use come last."""
        kept = self.blocks.pop(size)
        block = kept.pop()
        if kept:
            self.blocks[size] = kept
        self._about -= size
        return block

    def clear(self):
        """Free all that waits; what lies in malloc's heap before anything in use, too, which it would keep."""
        self._gather()
        with self._lock.current:
            freed = self._here()
            self.blocks.clear()
            self._about = 0
        if freed >= TRIMMED and (trim := _trim()):
            trim(0)


@functools.cache
def _trim():
    """The function by which glibc's malloc gives back what nobody uses; None in other C libraries."""
    return None if resource is None else getattr(ctypes.CDLL(None), "malloc_trim", None)


@fitting("nbad.release_memory()")
def release_memory() -> int:
    """Give the memory that nbad keeps for reuse back to the system; tells how many bytes that were.

    Examples
    --------
    >>> import nbad
    >>> nbad.release_memory() >= 0, nbad.release_memory()
    (True, 0)
    """
    waiting = POOL.waiting
    POOL.clear()
    return waiting


def left() -> int:
    """Bytes that the system can give without swapping, and that no limit forbids."""
    return min((limit.free for limit in limits()), default=8 * POOL.limit)


def bound() -> int:
    """How many bytes may wait for reuse."""
    return config.pool_bytes(min((limit.total for limit in limits()), default=8 * config.POOL_BYTES) // 8)


POOL = Pool(bound())


def _give(give, block, *, is_over=sys.is_finalizing):
    if not is_over():  # names of modules are gone then
        give(block)


class Lease:
    """Owner of a block: NumPy keeps it alive for as long as an array or a view of it lives."""

    block: Any = None  # until there is one: an interrupt may end `__init__` before

    def __init__(self, size: int) -> None:
        self.block = POOL.take(size)

    def __del__(self, give=POOL.give, *, end=_give):
        if self.block is not None:
            end(give, self.block)


def rounded(size):
    """Sizes in steps of an eighth, so that a block serves arrays of about its size."""
    step = max(1 << (size.bit_length() - 4), 4096)
    return (size + step - 1) // step * step


def empty(shape, dtype, is_exact=False):
    """An uninitialized array, like `numpy.empty`; memory of a big one is recycled.

    An exact one takes not a byte more than it needs, for what is bounded; only arrays of its size meet its memory again.

    Examples
    --------
    >>> import numpy as np
    >>> empty((2, 3), np.dtype(float)).shape
    (2, 3)
    """
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    lease: Any = Lease(size if is_exact else rounded(size))
    lease.__array_interface__ = {
        "version": 3,
        "shape": shape,
        "typestr": dtype.str,
        "data": (cpython.address_of(lease.block), False),
    }
    return np.asarray(lease).view()  # of an array: NumPy makes none writeable again that has no writeable one below it


class NotEnoughMemoryError(NbadError, MemoryError):
    """A call would need more memory than there is; nothing has been allocated."""


def available() -> int:
    """Bytes that a call may take: what is left, and what waits in the pool."""
    return left() + POOL.waiting


def require(call, needed, fix):
    """Raise where a call needs more bytes than there are; the fix is a text, or a function that makes it of the bytes available.

    Examples
    --------
    >>> require("`f(x)`", 1000, "")
    """
    if needed > CAREFUL and needed > POOL.waiting and needed > (free := available()):
        raise NotEnoughMemoryError(
            f"{call} needs {needed:,} bytes",
            got=f"{free:,} bytes available",
            expected="less than that",
            fix=fix if isinstance(fix, str) else fix(free),
        )


def check_fits(call, needed, max_bytes, what):
    """Raise where even the least working set is larger than the user allows."""
    if max_bytes is not None and needed > max_bytes:
        raise ArgumentValueError(
            f"{call}: max_bytes={max_bytes} is too small for {what}",
            got=f"{max_bytes:,} bytes",
            expected=f"at least {needed:,} bytes",
            fix=f"max_bytes={needed}",
        )
