"""An index into the first axis of an array: checked, copied, and sorted once."""

from typing import Any, NamedTuple

import numpy as np

from nbad.errors import IndexRangeError, IndexTypeError
from nbad.foreign import part_of, shown
from nbad.memo import cached_property

BLOCK = 256  # terms of a sum that are added one after the other; sums of such blocks are added likewise
CALL = "`nbad.indexed(a, i)`"


class Segments(NamedTuple):
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
    """

    order: np.ndarray | None
    bounds: np.ndarray
    targets: np.ndarray
    long: np.ndarray
    long_bounds: np.ndarray

    @property
    def terms(self) -> int:
        """How many terms all sums have."""
        return int(self.bounds[-1])

    @classmethod
    def of(cls, order: np.ndarray | None, starts: np.ndarray) -> "Segments":
        """The sums whose terms are `order[starts[k]:starts[k + 1]]`.

        Examples
        --------
        >>> Segments.of(None, np.array([0, 300, 300])).bounds, Segments.of(None, np.array([0, 300, 300])).targets
        (array([  0, 256, 300, 300]), array([-1, -2,  1]))
        """
        lengths = np.diff(starts)
        blocks = np.maximum(1, -(-lengths // BLOCK))
        first = np.concatenate([[0], np.cumsum(blocks)])
        owner = np.repeat(np.arange(len(lengths)), blocks)
        bounds = np.append(starts[owner] + (np.arange(first[-1]) - first[owner]) * BLOCK, starts[-1])
        is_long = blocks > 1
        targets, parts = owner.copy(), is_long[owner]
        targets[parts] = -1 - np.arange(np.count_nonzero(parts))
        long_bounds = np.concatenate([[0], np.cumsum(blocks[is_long])])
        return cls(order, bounds, targets, np.flatnonzero(is_long), long_bounds)


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
        self.positions, self.size = positions, size

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

    @cached_property
    def segments(self) -> Segments:
        """For each entry of the axis, which positions mean it, in C order."""
        flat = self.positions.ravel()
        is_sorted = bool(np.all(flat[:-1] <= flat[1:]))
        starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=self.size))]).astype(np.int64)
        return Segments.of(None if is_sorted else np.argsort(flat, kind="stable"), starts)

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
