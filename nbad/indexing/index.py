"""An index into the first axis of an array: checked, copied, sorted once; the terms of sums over what picks the same entry."""

from typing import Any, NamedTuple

import numpy as np

from nbad.errors import ArgumentTypeError, IndexRangeError, IndexTypeError
from nbad.foreign import conversion, line_for, named, part_of, shown
from nbad.memo import Memo, cached_property

BLOCK = 256  # terms of a sum over all elements of a matrix that are a run
PART = 1 << 15  # elements whose terms are runs of their own, so that they may be swept and added before the next ones are
LARGEST = np.iinfo(np.int32).max
CALL = "`nbad.indexed(a, i)`"


class Height(NamedTuple):
    """Terms and sums that are blocks of rows.

    Attributes
    ----------
    rows : int
        Of a block.
    steps : int array
        How many rows after one of a sum the next one is; those of a term follow one another.
    """

    rows: int
    steps: np.ndarray


class Sums:
    """The terms of many sums: what `nbad.assembly.sums` adds, and in which order.

    The terms of a run are added one after the other, and then so are the runs of a sum. Numbers are int32 where that suffices: to
    read them takes time.

    Attributes
    ----------
    order : int array or None
        Which row each term is; None where term `k` is row `k`.
    bounds : int array
        Where each run of terms begins, and where the last one ends.
    firsts : int array or None
        Where the runs of each sum begin among all, and where the last ones end; None where each sum has one.
    targets : int array or None
        The number of each sum; None where these are all, in order.
    count : int
        How many there are.
    height : Height or None
        Of how many rows a term and a sum are, where these are blocks of rows.
    remember : Memo
        What is made for them, by whoever adds.

    Parameters
    ----------
    order : int array or None
    starts : int array
        Where each run begins, and where the last one ends.
    numbers : int array
        The sum of each run, in ascending order.
    targets : int array, optional
        Where the sums are, if their numbers do not tell; the complement of a place, which is below 0, where a chained sum begins
        with 0 rather than with what is there.
    height : Height, optional

    Examples
    --------
    >>> sums = Sums(None, np.array([0, 2, 3]), np.array([5, 5]))
    >>> sums.bounds, sums.firsts, sums.targets
    (array([0, 2, 3], dtype=int32), array([0, 2], dtype=int32), array([5], dtype=int32))
    """

    def __init__(
        self,
        order: np.ndarray | None,
        starts: np.ndarray,
        numbers: np.ndarray,
        targets: np.ndarray | None = None,
        height: Height | None = None,
    ):
        firsts = np.append(_changes(numbers), numbers.size)
        self.count, self.remember = firsts.size - 1, Memo()
        targets = numbers[firsts[:-1]] if targets is None else targets
        is_every = np.array_equal(targets, np.arange(self.count))
        given = order, starts, None if self.count == numbers.size else firsts, None if is_every else targets
        largest = max(int(np.abs(array).max(initial=0)) for array in given if array is not None)
        dtype = np.dtype(np.int32 if largest <= LARGEST else np.int64)
        self.bounds: np.ndarray = starts.astype(dtype)
        self.order, _, self.firsts, self.targets = [None if array is None else array.astype(dtype) for array in given]
        self.height = height and Height(height.rows, height.steps.astype(dtype))

    @classmethod
    def of(cls, numbers: np.ndarray, part: int) -> "Sums":
        """The sums of terms that each belong to the sum of a number; a run has terms of one part of so many.

        Examples
        --------
        >>> sums = Sums.of(np.array([4, 2, 4]), 3)
        >>> sums.order, sums.bounds, sums.targets
        (array([1, 0, 2], dtype=int32), array([0, 1, 3], dtype=int32), array([2, 4], dtype=int32))
        """
        is_sorted = bool(np.all(numbers[:-1] <= numbers[1:]))
        order = None if is_sorted else np.argsort(numbers, kind="stable")
        ordered = numbers if order is None else numbers[order]
        starts = _changes(ordered, (np.arange(numbers.size) if order is None else order) // part)
        return cls(order, np.append(starts, numbers.size), ordered[starts])

    @classmethod
    def in_blocks(
        cls, order: np.ndarray, starts: np.ndarray, targets: np.ndarray | None = None, height: Height | None = None
    ) -> "Sums":
        """The sums of the terms from one start to the next, in runs of at most 256.

        Examples
        --------
        >>> Sums.in_blocks(np.arange(300), np.array([0, 300])).bounds
        array([  0, 256, 300], dtype=int32)
        """
        blocks = -(-np.diff(starts) // BLOCK)
        first = np.concatenate([[0], np.cumsum(blocks)])
        owner = np.repeat(np.arange(blocks.size), blocks)
        bounds = np.append(starts[owner] + (np.arange(owner.size) - first[owner]) * BLOCK, starts[-1])
        return cls(order, bounds, owner, targets, height)


def _changes(*arrays: np.ndarray) -> np.ndarray:
    """Where any of these arrays has another number than before, the start included."""
    is_new = np.ones(arrays[0].size, bool)
    if arrays[0].size:
        is_new[1:] = np.logical_or.reduce([a[1:] != a[:-1] for a in arrays])
    return np.flatnonzero(is_new)


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
        positions.flags.writeable = False  # those that were pickled come back writeable

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
        given = as_array("i", i) if part_of(i) is None and not isinstance(i, tuple) else None
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
                fix=f"nbad.indexed(a, np.clip(i, 0, {size - 1}))  # or a of more entries" if size else "np.zeros(1)",
            )
        positions = np.array(given, np.int64, order="C")
        positions[positions < 0] += size
        return cls(positions, size)

    @cached_property
    def flat(self) -> np.ndarray:
        """The positions in C order, as int32 where that suffices."""
        return self.positions.ravel().astype(np.int32 if self.size <= LARGEST else np.int64)

    def parts(self, each: int, together: int) -> list[Sums]:
        """Which entry of the axis each position means, for so many parts together, each of `PART` elements with `each` positions.

        How many are together changes no sum: runs are those of parts, and in their order.
        """
        part = PART * each
        step = part * together
        return self._parts((part, step), lambda: [Sums.of(self.flat[k : k + step], part) for k in range(0, self.flat.size, step)])

    def __reduce__(self):
        return Index, (self.positions, self.size)

    def __repr__(self) -> str:
        return f"<index of shape {self.positions.shape} into {self.size} entries>"


def as_array(name: str, value: Any) -> np.ndarray:
    """What a user gives, as NumPy makes an array of it."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ArgumentTypeError(
            f"{CALL}: {name} is not an array of numbers",
            got=f"{named(value)}: {error}",
            expected="a number, an array, or nested lists of equal lengths",
            fix=conversion(value, name, name),
        ) from None


def _to_integers(i, given):
    """The line that makes an index of what is none."""
    if (part := part_of(i)) is not None and not isinstance(part, np.ma.MaskedArray):
        return f"nbad.indexed(a, {line_for(i, part, 'i').partition('  #')[0]})"
    if isinstance(i, tuple):
        return "nbad.indexed(a, np.array(i))  # numbers of entries; for several axes: np.ravel_multi_index(i, shape)"
    if given is not None and given.dtype.kind == "b":
        return "nbad.indexed(a, np.flatnonzero(i))"
    if given is not None and given.dtype.kind == "f":
        return "nbad.indexed(a, np.asarray(i, int))"
    return "nbad.indexed(a, np.array([0, 1]))"
