"""Reverse sweeps for arguments that are picked by an index: cotangents of what is picked, and their sums for what it is from."""

import math
from typing import NamedTuple

import numpy as np

from nbad.assembly.sums import add_segments, most_parts
from nbad.indexing.index import Index
from nbad.runtime import memory
from nbad.runtime.slabs import part_of


class Picked(NamedTuple):
    """Shapes of what the differentiated arguments stand for, and the index of each by which it is picked, or None."""

    shapes: tuple[tuple[int, ...], ...]
    indices: tuple[Index | None, ...]

    def nbytes(self, shapes, itemsize):
        """Bytes of the cotangents of what is picked, for one seed, and of sums of blocks; `shapes` are those of the arguments."""
        total = 0
        for own, picked, index in zip(shapes, *self, strict=True):
            if index is not None:
                values = math.prod(own[1:])
                total += itemsize * math.prod(picked) + 8 * values * most_parts(index.positions.size)
        return total


class Scattered:
    """The reverse sweeps of pullbacks whose arguments are picked: as `nbad.runtime.reverse.ReverseSweeps`, from which it is made.

    The cotangents of what is picked are temporaries.

    Parameters
    ----------
    sweeps : ReverseSweeps
        For arguments of the shapes that are picked.
    shapes : sequence of tuples
        Of the differentiated arguments.
    picked : Picked
    """

    def __init__(self, sweeps, shapes, picked):
        self._sweeps, (self._whole, self._indices), self._dtype = sweeps, picked, sweeps.dtype
        self.leaf_shapes, self.result_bytes = sweeps.leaf_shapes, sweeps.dtype.itemsize * sum(map(math.prod, shapes))
        self._bytes = picked.nbytes(shapes, sweeps.dtype.itemsize)

    def __call__(self, rows, seeds, results, count, accumulate, room):
        """Fill `results`, one array per argument, as those sweeps do."""
        many = max(1, room // max(1, self._bytes))
        if count is None or count <= many:
            self._sweep(rows, seeds, results, count, accumulate, room)
            return
        for low in range(0, count, many):
            part = slice(low, min(low + many, count))
            given, taken = ([part_of(a, 0, part) for a in arrays] for arrays in (seeds, results))
            self._sweep(rows, given, taken, part.stop - low, accumulate, room)

    def _sweep(self, rows, seeds, results, count, accumulate, room):
        lead, left = () if count is None else (count,), room - (count or 1) * self._bytes
        each = list(zip(results, self._whole, self._indices, strict=True))
        places = [memory.exact((*lead, *whole), self._dtype) if index else result for result, whole, index in each]
        for place, index in zip(places, self._indices, strict=True):
            if index and accumulate:
                place[...] = 0
        enough = left >= self._sweeps.least_bytes  # it is, where the user sets a bound
        self._sweeps(rows, seeds, places, count, accumulate, left if enough else room)
        for (result, _, index), place in zip(each, places, strict=True):
            if index:
                _add(index, place, result, (math.prod(lead), math.prod(result.shape[len(lead) + 1 :])), accumulate)


def _add(index, source, result, shape, accumulate):
    """The sums of one argument; a result of other strides takes them from an array in C order."""
    total = result if result.flags.c_contiguous else np.array(result, order="C")
    n_seeds, values = shape
    rows, sums = ((n_seeds, number, values) for number in (index.positions.size, index.size))
    add_segments(index.segments, source.reshape(rows), total.reshape(sums), accumulate)
    if total is not result:
        result[...] = total
