"""Where the blocks of all elements stand in one sparse matrix: built once, in NumPy, for all calls with the same indices."""

import math
from typing import NamedTuple

import numpy as np

from nbad.indexing.index import Index, Sums

LARGEST = np.iinfo(np.int32).max  # of the numbers that SciPy keeps as int32


class Structure(NamedTuple):
    """A matrix in CSR form without its data: columns ascend in each row, and none comes twice.

    Attributes
    ----------
    shape : tuple of int
    indptr, indices : arrays of int32, or of int64 where the matrix is large
        As SciPy's; read-only, for all matrices of this structure share them.
    sums : Segments or None
        Which numbers of all blocks each entry is the sum of; None where the entries are the numbers of the blocks as they lie.
    """

    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    sums: Sums | None

    @classmethod
    def of(cls, shape, indptr, indices, sums=None):
        """The same of arrays of any integers."""
        dtype = np.int32 if max(*shape, indices.size) <= LARGEST else np.int64
        indptr, indices = (np.ascontiguousarray(a, dtype) for a in (indptr, indices))
        for array in (indptr, indices):
            array.flags.writeable = False
        return cls(shape, indptr, indices, sums)


class Columns(NamedTuple):
    """The column of each value that the elements are differentiated by.

    Attributes
    ----------
    numbers : int array (elements, values)
    total : int
        How many columns the matrix has.
    """

    numbers: np.ndarray
    total: int

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
               [1, 2, 3, 4]]), total=5)
        """
        start, parts = 0, []
        for own, core, index in zip(shapes, cores, indices, strict=True):
            parts.append(_numbers(start, own, index, (*shape, *core)).reshape(math.prod(shape), math.prod(core)))
            start += math.prod(own)
        return cls(np.concatenate(parts, axis=1) if parts else np.zeros((math.prod(shape), 0), int), start)


def _numbers(start: int, own: tuple[int, ...], index: Index | None, shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.arange(start, start + math.prod(own)).reshape(own)
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
    return Structure.of(shape, indptr, ascending[starts], Sums.in_blocks(order, np.append(starts, order.size)))


def of_hessian(columns: Columns, pattern: np.ndarray) -> Structure:
    """The Hessian of the sum over all elements, from blocks of which the upper triangles are read.

    `pattern` tells which entries of a block may differ from 0. An entry and its mirror image are sums of the same numbers in the
    same order.

    Examples
    --------
    >>> of_hessian(Columns(np.array([[0, 1], [1, 2]]), 3), np.ones((2, 2), bool)).indices
    array([0, 1, 0, 1, 2, 1, 2], dtype=int32)
    """
    numbers, (elements, values) = columns.numbers, columns.numbers.shape
    upper = [(p, q) for p in range(values) for q in range(p, values) if pattern[p, q] or pattern[q, p]]
    pairs = [(row, column, p * values + q) for p, q in upper for row, column in dict.fromkeys(((p, q), (q, p)))]
    rows, others, places = np.array(pairs, np.int64).reshape(len(pairs), 3).T
    keys = (numbers[:, rows] * columns.total + numbers[:, others]).ravel()
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: keys.size])
    sources = (np.arange(elements)[:, None] * values**2 + places).ravel()[order]
    found, indices = np.divmod(keys[starts], max(1, columns.total))
    indptr = np.searchsorted(found, np.arange(columns.total + 1))
    shape = columns.total, columns.total
    return Structure.of(shape, indptr, indices, Sums.in_blocks(sources, np.append(starts, keys.size)))
