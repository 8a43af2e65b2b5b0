"""Memory: asked about before it is taken, and recycled where it is big.

Fresh memory costs a page fault for every 4096 bytes, which doubles the time of a reverse sweep. Here an array's memory is leased:
when the array and all of its views are gone, the block returns to a bounded store, and the next array of about that size gets it.
"""

import itertools
import math
from pathlib import Path

import numpy as np

from nbad import config
from nbad.errors import ArgumentValueError, NbadError
from nbad.forks import Lock

CAREFUL = 1 << 28  # bytes; asking the system costs more than a smaller array
TEMPORARY = 1 << 28  # bytes of temporaries that a sweep takes at once where the user sets no bound
SMALLEST = 1 << 18  # bytes; below this malloc recycles well enough by itself
PAGE = 4096
STAGGER = 13 * 64  # bytes: from one block's start in a page to the next one's


class Pool:
    """Blocks that wait for reuse, by size; the oldest go first when there are too many bytes."""

    def __init__(self, limit):
        self.limit = limit
        self.blocks: dict[int, list[np.ndarray]] = {}
        self._turns = itertools.count()
        self._lock = Lock()  # a lease may end inside a locked section, when the collector runs there

    @property
    def waiting(self):
        """How many bytes wait: counted anew, so that no interrupt can make it wrong."""
        return sum(size * len(kept) for size, kept in list(self.blocks.items()))

    def take(self, size):
        """A block of exactly `size` bytes, 64-byte aligned; its contents are arbitrary.

        No two neighbours start at the same place of a page: stores to one would wait for loads from the other, and a batched
        pullback of 1e4 elements took 1.35 times as long.
        """
        with self._lock.current:
            if size in self.blocks:
                return self._pop(size)
        try:
            raw = np.empty(size + PAGE, np.uint8)
        except MemoryError:  # what waits in other sizes may make room
            self.clear()
            raw = np.empty(size + PAGE, np.uint8)
        start = (next(self._turns) * STAGGER - raw.ctypes.data) % PAGE
        return raw[start : start + size]

    def give(self, block):
        """Take a block back, if there is room."""
        size = block.size
        with self._lock.current:
            if size <= self.limit:
                self.blocks.setdefault(size, []).append(block)
            while self.waiting > self.limit:
                self._pop(next(iter(list(self.blocks))))  # a list: a lease may end here

    def _pop(self, size):
        """Remove a block; sizes in recent use come last."""
        kept = self.blocks.pop(size)
        block = kept.pop()
        if kept:
            self.blocks[size] = kept
        return block

    def clear(self):
        """Free all that waits."""
        with self._lock.current:
            self.blocks.clear()


POOL = Pool(config.pool_bytes())


class _Lease:
    """Owner of a block: NumPy keeps it alive for as long as an array or a view of it lives."""

    block = None  # until there is one: an interrupt may end `__init__` before

    def __init__(self, shape, dtype, size):
        self.block = POOL.take(size)
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": (self.block.ctypes.data, False)}

    def __del__(self, give=POOL.give):
        if self.block is not None:
            give(self.block)


def _rounded(size):
    """Sizes in steps of an eighth, so that a block serves arrays of about its size."""
    step = max(1 << (size.bit_length() - 4), 4096)
    return (size + step - 1) // step * step


def empty(shape, dtype):
    """An uninitialized array, like `numpy.empty`; memory of a big one is recycled.

    Examples
    --------
    >>> import numpy as np
    >>> empty((2, 3), np.dtype(float)).shape
    (2, 3)
    """
    size = math.prod(shape) * dtype.itemsize
    return np.empty(shape, dtype) if size < SMALLEST else np.asarray(_Lease(shape, dtype, _rounded(size)))


def exact(shape, dtype):
    """The same, and not a byte more than the array needs: for what is bounded; only arrays of its size meet its memory again.

    Examples
    --------
    >>> import numpy as np
    >>> exact((2, 3), np.dtype(float)).shape
    (2, 3)
    """
    size = math.prod(shape) * dtype.itemsize
    return np.empty(shape, dtype) if size < SMALLEST else np.asarray(_Lease(shape, dtype, size))


class NotEnoughMemoryError(NbadError, MemoryError):
    """A call would need more memory than the machine has; nothing has been allocated."""


def available():
    """Bytes that the machine can give without swapping: what the system reports, and what waits in the pool."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free = next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = 8 * config.pool_bytes()
    return free + POOL.waiting


def require(call, needed, fix):
    """Raise where a call needs more than the machine has.

    Parameters
    ----------
    call : str
    needed : int
        Bytes.
    fix : str or callable
        Text, or a function that makes it of the bytes available.

    Raises
    ------
    NotEnoughMemoryError

    Examples
    --------
    >>> require("`f(x)`", 1000, "")
    """
    if needed > CAREFUL and needed > (free := available()):
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
