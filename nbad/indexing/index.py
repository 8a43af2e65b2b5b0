"""An index into the first axis of an array: checked, copied, and sorted once."""

from typing import Any

import numpy as np

from nbad.errors import IndexRangeError, IndexTypeError
from nbad.foreign import part_of, shown
from nbad.memo import Memo

BLOCK = 256  # terms of a sum that are added one after the other; sums of such blocks are added likewise
PART = 1 << 15  # elements whose terms are added up before those of the next: what sweeps leave for them stays in a cache
CALL = "`nbad.indexed(a, i)`"


class Segments:
    """The terms of many sums, cut into blocks: what `nbad.assembly.sums` adds, and in which order.

    Attributes
    ----------
    order : int64 array or None
        Which row each term is, sum by sum; None where term `k` is row `k`.
    bounds : int64 array
        Where each block of terms begins, and where the last one ends.
    targets : int64 array
        The number of the sum that a block is all of; of others -1 minus the number of the block among those.
    long : int64 array
        The numbers of the sums that have several blocks.
    long_bounds : int64 array
        Where the blocks of each of these begin among such blocks, and where the last ones end.
    remember : Memo
        What is made for them, by whoever adds.

    Parameters
    ----------
    order
    starts : int array
        Where the terms of each sum begin, and where the last ones end.
    numbers : int array
        Of the sums.

    Examples
    --------
    >>> segments = Segments(None, np.array([0, 300, 301]), np.array([5, 7]))
    >>> segments.bounds, segments.targets, segments.long
    (array([  0, 256, 300, 301]), array([-1, -2,  7]), array([5]))
    """

    def __init__(self, order: np.ndarray | None, starts: np.ndarray, numbers: np.ndarray):
        blocks = -(-np.diff(starts) // BLOCK)
        first = np.concatenate([[0], np.cumsum(blocks)])
        owner = np.repeat(np.arange(len(numbers)), blocks)
        self.order, self.remember, is_long = order, Memo(), blocks > 1
        self.bounds = np.append(starts[owner] + (np.arange(first[-1]) - first[owner]) * BLOCK, starts[-1])
        self.targets, parts = numbers[owner], is_long[owner]
        self.targets[parts] = -1 - np.arange(np.count_nonzero(parts))
        self.long, self.long_bounds = numbers[is_long], np.concatenate([[0], np.cumsum(blocks[is_long])])

    @classmethod
    def of(cls, numbers: np.ndarray) -> "Segments":
        """The sums of terms that each belong to the sum of a number.

        Examples
        --------
        >>> segments = Segments.of(np.array([4, 2, 4]))
        >>> segments.order, segments.bounds, segments.targets
        (array([1, 0, 2]), array([0, 1, 3]), array([2, 4]))
        """
        is_sorted = bool(np.all(numbers[:-1] <= numbers[1:]))
        order = None if is_sorted else np.argsort(numbers, kind="stable")
        ordered = numbers if order is None else numbers[order]
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: ordered.size])
        return cls(order, np.append(starts, ordered.size), ordered[starts])


class Index:
    """Which entries of an array's first axis are meant: a copy that nobody changes, sorted when a sum first needs it.

    Parameters
    ----------
    positions : int64 array
        From 0 on, C-contiguous, of any shape.
    size : int
        Length of the axis.
    """

    def __init__(self, positions: np.ndarray, size: int):
        self.positions, self.size, self._parts = positions, size, Memo()

    @classmethod
    def of(cls, i: Any, size: int) -> "Index":
        """The index that a user gives, for an axis of this length.

        Examples
        --------
        >>> Index.of([0, -1], 3).positions
        array([0, 2])
        """
        if isinstance(i, Index):
            return i if i.size == size else cls.of(i.positions, size)
        given = np.asarray(i) if part_of(i) is None and not isinstance(i, tuple) else None
        if given is not None and given.size == 0 and isinstance(i, list):
            given = given.astype(np.int64)
        if given is None or given.dtype.kind not in "iu":
            raise IndexTypeError(
                f"{CALL}: i is no index",
                got=shown(i) if given is None else f"dtype {given.dtype}",
                expected="integers: one number, or an array of any shape, into the first axis of a",
                fix=_to_integers(i, given),
            )
        if given.size and (given.min() < -size or given.max() >= size):
            where = np.argwhere((given < -size) | (given >= size))[0]
            at = f"i[{', '.join(map(str, where))}]" if given.ndim else "i"
            raise IndexRangeError(
                f"{CALL}: {at} is out of range",
                got=str(given[tuple(where)]),
                expected=f"-{size} to {size - 1}, for a has {size} entries along its first axis"
                if size
                else "an array that has entries",
                fix=f"nbad.indexed(a, np.clip(i, 0, {size - 1}))  # or a of more entries" if size else "np.zeros((1, ...))",
            )
        positions = np.array(given, np.int64, order="C")
        positions[positions < 0] += size
        positions.flags.writeable = False
        return cls(positions, size)

    def parts(self, each: int) -> list[Segments]:
        """Which entry of the axis each position means, in parts of `PART` elements, which have `each` positions."""
        flat, step = self.positions.ravel(), PART * each
        return self._parts(each, lambda: [Segments.of(flat[low : low + step]) for low in range(0, flat.size, step)])

    def __reduce__(self):
        return Index, (self.positions, self.size)

    def __repr__(self) -> str:
        return f"<index of shape {self.positions.shape} into {self.size} entries>"


def _to_integers(i, given):
    """The line that makes an index of what is none."""
    if isinstance(i, tuple):
        return "nbad.indexed(a, np.array(i))  # numbers of entries; for several axes: np.ravel_multi_index(i, shape)"
    if given is not None and given.dtype.kind == "b":
        return "nbad.indexed(a, np.flatnonzero(i))"
    if given is not None and given.dtype.kind == "f":
        return "nbad.indexed(a, i.astype(int))"
    return "nbad.indexed(a, np.array([0, 1]))"
