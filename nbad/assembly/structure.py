"""Where the blocks of all elements stand in one sparse matrix: built once, in NumPy, for all calls with the same indices."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nbad.indexing.index import Height, Index, Sums

LARGEST = np.iinfo(np.int32).max  # of the numbers that SciPy keeps as int32
WIDEST = 16  # numbers of a square that registers add at once


class Structure(NamedTuple):
    """A matrix in CSR form without its data: columns ascend in each row, and none comes twice.

    Attributes
    ----------
    shape : tuple of int
    indptr, indices : arrays of int32, or of int64 where the matrix is large
        As SciPy's; read-only, for all matrices of this structure share them.
    sums : sequence of Sums, or None
        Which numbers of the blocks of each part of the elements are added to which entries; None where the entries are the
        numbers of the blocks as they lie.
    width : int
        How many numbers that follow one another are added together.
    part : int
        How many elements a part has.
    """

    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    sums: Sequence[Sums] | None
    width: int
    part: int

    @classmethod
    def of(cls, shape, indptr, indices, sums=None, width=1, part=1):
        """The same of arrays of any integers."""
        dtype = np.int32 if max(*shape, indices.size) <= LARGEST else np.int64
        indptr, indices = (np.ascontiguousarray(a, dtype) for a in (indptr, indices))
        for array in (indptr, indices):
            array.flags.writeable = False
        return cls(shape, indptr, indices, sums, width, max(1, part))


class Columns(NamedTuple):
    """The column of each value that the elements are differentiated by.

    Attributes
    ----------
    numbers : int array (elements, values)
    total : int
        How many columns the matrix has.
    width : int
        How many columns there are always side by side: each so many values have columns that follow one another, from a multiple
        of it on.
    """

    numbers: np.ndarray
    total: int
    width: int = 1

    @property
    def are_apart(self) -> bool:
        """Whether no element takes columns that are side by side twice."""
        groups = np.sort(self.numbers[:, :: self.width], axis=1)
        return not np.any(groups[:, 1:] == groups[:, :-1])

    @classmethod
    def of(cls, shape, shapes, cores, indices):
        """Columns that are the arguments one after the other, each in C order.

        Parameters
        ----------
        shape : tuple of int
            The element space.
        shapes, cores : sequence of tuples
            Of each argument: its whole shape, and its core shape.
        indices : sequence of Index or None
            By which they are picked.

        Examples
        --------
        >>> Columns.of((2,), [(2,), (3,)], [(), (3,)], [None, None])
        Columns(numbers=array([[0, 2, 3, 4],
               [1, 2, 3, 4]], dtype=int32), total=5, width=1)
        """
        start, parts = 0, []
        given = zip(shapes, cores, indices, strict=True)
        runs = [math.prod(core[max(0, len(core) - len(own) + 1) :] if by is not None else core) for own, core, by in given]
        dtype = np.int32 if sum(map(math.prod, shapes)) <= LARGEST else np.int64
        for own, core, index in zip(shapes, cores, indices, strict=True):
            parts.append(_numbers(start, own, index, (*shape, *core), dtype).reshape(math.prod(shape), math.prod(core)))
            start += math.prod(own)
        return cls(
            np.concatenate(parts, axis=1) if parts else np.zeros((math.prod(shape), 0), int), start, max(1, math.gcd(*runs))
        )


def _numbers(start: int, own: tuple[int, ...], index: Index | None, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    numbers: np.ndarray = np.arange(start, start + math.prod(own), dtype=dtype).reshape(own)
    return np.broadcast_to(numbers if index is None else numbers[index.positions], shape)


def of_jacobian(columns: Columns, outputs: int) -> Structure:
    """The Jacobian of all elements: for each of them `outputs` rows, in which its values are.

    Examples
    --------
    >>> of_jacobian(Columns(np.array([[2, 0], [1, 1]]), 3), 1).indices
    array([0, 2, 1], dtype=int32)
    """
    numbers, (elements, values) = columns.numbers, columns.numbers.shape
    shape = elements * outputs, columns.total
    if np.all(numbers[:, 1:] > numbers[:, :-1]):
        return Structure.of(shape, np.arange(shape[0] + 1) * values, np.repeat(numbers[:, None], outputs, axis=1).ravel())
    places = np.argsort(numbers, axis=1, kind="stable")
    ordered = np.take_along_axis(numbers, places, axis=1)
    is_new = np.ones(numbers.shape, bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=is_new[:, 1:])
    rows = np.arange(shape[0]).reshape(elements, outputs, 1)
    order = (rows * values + places[:, None]).ravel()
    starts, ascending = (np.repeat(a[:, None], outputs, axis=1).ravel() for a in (is_new, ordered))
    starts = np.flatnonzero(starts)
    indptr = np.searchsorted(starts, np.arange(shape[0] + 1) * values)
    sums = Sums.in_blocks(order, np.append(starts, order.size))
    return Structure.of(shape, indptr, ascending[starts], [sums], part=elements)


class Squares(NamedTuple):
    """What an element leaves of a symmetric block: squares of it, of neighbouring rows and columns.

    Attributes
    ----------
    height, width : int
        Rows and columns of each.
    up, along : int arrays
        Where each square stands in the block, counted in squares.
    places : int array
        Where it lies in what an element leaves, counted in rows of squares, which follow one another.
    size : int
        How many rows of squares an element leaves.
    entries : tuple of int
        What it leaves: places in the block, in C order.
    """

    height: int
    width: int
    up: np.ndarray
    along: np.ndarray
    places: np.ndarray
    size: int
    entries: tuple[int, ...]

    @classmethod
    def whole(cls, pattern):
        """All entries, of which the upper triangle is read; `pattern` tells which of them may differ from 0.

        Examples
        --------
        >>> Squares.whole(np.ones((2, 2), bool)).places
        array([0, 1, 1, 3])
        """
        size = len(pattern)
        up, along = _by_triangle(pattern | pattern.T)
        return cls(1, 1, up, along, np.minimum(up, along) * size + np.maximum(up, along), size**2, tuple(range(size**2)))

    @classmethod
    def distinct(cls, columns, pattern, nodes):
        """Those that may differ from 0, each once: of `nodes`, which are the entries in C order, equal ones are the same number.

        They are as wide as the columns, if none of them is there in part, and no element takes one twice: each then leaves at
        most one number for an entry, and what an entry and its mirror image are sums of comes in the same order.

        Examples
        --------
        >>> found = Squares.distinct(Columns(np.array([[0, 1]]), 2), np.ones((2, 2), bool), [3, 4, 5, 3])
        >>> found.places, found.entries
        (array([0, 1, 1, 0]), (0, 1))
        """
        size, width, pattern = len(pattern), columns.width, pattern | pattern.T
        cut = pattern.reshape(size // width, width, size // width, width)
        is_whole = np.array_equal(cut.all(axis=(1, 3)), cut.any(axis=(1, 3)))
        width = width if is_whole and columns.are_apart else 1
        height = width if width**2 <= WIDEST else 1
        rows, others = np.indices((size, size))
        upper = np.minimum(rows, others) * size + np.maximum(rows, others)
        up, along = _by_triangle(pattern[::height, ::width])
        known: dict[tuple, tuple[int, list[int]]] = {}
        places = []
        for k, m in zip(up.tolist(), along.tolist(), strict=True):
            entries = upper[k * height : (k + 1) * height, m * width : (m + 1) * width].ravel().tolist()
            places.append(known.setdefault(tuple(nodes[e] for e in entries), (len(known), entries))[0])
        found = tuple([e for _, entries in known.values() for e in entries])
        return cls(height, width, up, along, np.array(places, np.int64) * height, len(known) * height, found)


def _by_triangle(pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a pattern holds: each place beside its mirror image."""
    up, along = np.nonzero(pattern)
    order = np.lexsort((up, np.maximum(up, along), np.minimum(up, along)))
    return up[order], along[order]


def of_hessian(columns: Columns, squares: Squares, part: int | None = None) -> Structure:
    """The Hessian of the sum over all elements, from the squares that they leave.

    An entry and its mirror image are sums of the same numbers in the same order: those of a part of so many elements, one after
    the other, and then the parts.

    Examples
    --------
    >>> of_hessian(Columns(np.array([[0, 1], [1, 2]]), 3), Squares.whole(np.ones((2, 2), bool))).indices
    array([0, 1, 0, 1, 2, 1, 2], dtype=int32)
    """
    elements, (height, width) = len(columns.numbers), squares[:2]
    part, across = max(1, part or elements), columns.total // width
    keys = [_keys(columns, squares, slice(first, first + part)) for first in range(0, elements, part)]
    orders = [np.argsort(each, kind="stable") for each in keys]
    ordered = [each[order] for each, order in zip(keys, orders, strict=True)]
    starts = [np.flatnonzero(np.append(True, each[1:] != each[:-1])[: each.size]) for each in ordered]
    found = np.unique(np.concatenate([np.zeros(0, np.int64), *(each[s] for each, s in zip(ordered, starts, strict=True))]))
    firsts = np.searchsorted(found, np.arange(columns.total // height + 1) * across)  # of each row of squares
    sums, is_new = [], np.ones(found.size, bool)
    for each, order, start in zip(ordered, orders, starts, strict=True):
        number = np.searchsorted(found, each[start])
        row = found[number] // max(1, across)
        target = number + (height - 1) * firsts[row]
        target = np.where(is_new[number], ~target, target) if len(keys) > 1 else target
        is_new[number] = False
        element, square = np.divmod(order, max(1, squares.places.size))
        tall = Height(height, np.diff(firsts)[row]) if height > 1 else None
        sources = element * squares.size + squares.places[square]
        sums.append(Sums.in_blocks(sources, np.append(start, each.size), target, tall))
    shape, (indptr, indices) = (columns.total, columns.total), _unfolded(found, firsts, across, height, width)
    return Structure.of(shape, indptr, indices, sums, width, part)


def _keys(columns: Columns, squares: Squares, part: slice) -> np.ndarray:
    """Where the squares of a part of the elements stand in the matrix: numbers in its order."""
    numbers, (height, width) = columns.numbers[part], squares[:2]
    rows, along = numbers[:, ::height] // height, numbers[:, ::width] // width
    return (rows[:, squares.up].astype(np.int64) * (columns.total // width) + along[:, squares.along]).ravel()


def _unfolded(found, firsts, across, height, width):
    """Where rows begin, and the columns of all entries, of squares that are there: those of a row of squares from `firsts` on."""
    row = np.repeat(np.arange(len(firsts) - 1), height)
    counts = np.diff(firsts)[row]
    ends = np.cumsum(counts)
    squares = np.arange(counts.sum()) + np.repeat(firsts[row] - ends + counts, counts)
    columns = found[squares] % max(1, across)
    return np.append(0, ends) * width, (columns[:, None] * width + np.arange(width)).ravel()
