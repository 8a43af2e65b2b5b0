"""Reverse sweeps for arguments that are picked by an index: cotangents of what is picked, and their sums for what it is from.

The terms of a sum are added in the order of the index: those of a part of the elements, one after the other, and then the parts.
Where no argument is broadcast along some axes only, parts may be swept one at a time, in little memory.
"""

import math
from typing import NamedTuple

import numpy as np

from nbad.assembly.sums import add, are_few, scatter
from nbad.indexing.index import PART, Index
from nbad.runtime import memory
from nbad.runtime.block_sums import add_blocks
from nbad.runtime.failures import noted
from nbad.runtime.slabs import Region, Target, part_of
from nbad.runtime.strides import rows_between

NEAR = 6 << 20  # bytes of cotangents
AT_ONCE = 8  # parts with sums of their own


class Picked(NamedTuple):
    """Shapes of what the differentiated arguments stand for, and the index of each by which it is picked, or None."""

    shapes: tuple[tuple[int, ...], ...]
    indices: tuple[Index | None, ...]


def sweeps_over(reverse, shape, shapes, picked, order=None):
    """The reverse sweeps over an element space, for arguments of these shapes; `picked` is None where none is.

    `order` is that of the axes in rows, which is C order where something is picked.
    """
    if picked is None:
        return reverse.over(shape, shapes, order)
    return Scattered(reverse.over(shape, picked.shapes), shapes, picked.indices)


class Source(NamedTuple):
    """A differentiated argument: its target, and where it is picked, its index.

    An element has `each` positions of the index, and a position as many `values` as an entry of the array.
    """

    target: Target
    by: Index | None = None
    each: int = 1
    values: int = 1

    @classmethod
    def of(cls, target, own, index):
        """An argument of this shape."""
        if index is None:
            return cls(target)
        values = math.prod(own[1:])
        return cls(target, index, max(1, target.values // max(1, values)), values)

    def is_apart(self, elements):
        """Whether it needs nothing of other elements than those that are swept: each has its own values, or all share them."""
        if self.by is None:
            return not self.target.is_partial
        return self.by.positions.size == elements * self.each and self.values * self.each == self.target.values

    @property
    def is_sum(self):
        """Whether all elements share it."""
        return self.by is None and self.target.is_shared

    def part(self, size):
        """Its target among so many elements."""
        return self.target._replace(own=() if self.is_sum else (size,), is_shared=self.is_sum, is_partial=False)

    @property
    def total_bytes(self):
        """Bytes of the sums."""
        return 8 * self.by.size * self.values if self.by else 0

    @property
    def has_few(self):
        """Whether each part has sums of its own."""
        return self.by is not None and are_few(self.by, self.each, self.values)

    @property
    def together(self):
        """Of how many parts terms that are all there are added at a time: what has sums for each part takes memory for these."""
        return AT_ONCE if self.by is None or self.has_few else max(1, -(-self.by.positions.size // (PART * self.each)))

    def nbytes(self, elements, itemsize, parts=1):
        """Bytes of the cotangents of what so many elements pick, and of the sums of parts of them."""
        if self.by is None:
            return 0
        terms = elements * self.each
        totals = 3 * terms if self.target.is_partial else 0  # before these become cotangents of what is picked
        return itemsize * terms * self.values + 8 * totals * self.values + self.has_few * parts * self.total_bytes

    def add(self, part, together, terms, total):
        """Add the terms of the part with this number, of so many parts together."""
        assert self.by is not None
        total = total.reshape(len(terms), self.by.size, self.values)
        if self.has_few:
            first = part * together * PART * self.each
            scatter(self.by, slice(first, first + terms.shape[1]), self.each, terms, total)
        else:
            add(self.by.parts(self.each, together)[part], terms, total, is_chained=True)


class Scattered:
    """The reverse sweeps of pullbacks whose arguments are picked: as `nbad.runtime.reverse.ReverseSweeps`, from which it is made.

    Parameters
    ----------
    sweeps : ReverseSweeps
        For arguments of the shapes that are picked.
    shapes : sequence of tuples
        Of the differentiated arguments.
    indices : sequence of Index or None
    """

    def __init__(self, sweeps, shapes, indices):
        elements, itemsize = sweeps.region.elements, sweeps.dtype.itemsize
        self._sweeps, self.leaf_shapes = sweeps, sweeps.leaf_shapes
        self._sources = [Source.of(*each) for each in zip(sweeps.targets, shapes, indices, strict=True)]
        self._in_parts = elements > PART and all(s.is_apart(elements) for s in self._sources)
        self.result_bytes, self._number = itemsize * sum(map(math.prod, shapes)), -(-elements // PART)
        self._fixed = sum(s.total_bytes for s in self._sources)
        if self._in_parts:
            self._fixed += 8 * self._number * sum(s.target.values for s in self._sources if s.is_sum)
            self._bytes = self._fixed + self._part_bytes(1)
        else:
            whole = [s.nbytes(s.by.positions.size // s.each, itemsize, s.together) for s in self._sources if s.by]
            self._bytes = self._fixed + sum(whole)

    def _part_bytes(self, parts):
        """Bytes of what one seed leaves for so many parts."""
        size, itemsize = PART * parts, self._sweeps.dtype.itemsize
        return sum(s.nbytes(size, itemsize, parts) for s in self._sources) + self._part(size).temporary_bytes

    @property
    def least_bytes(self):
        """Bytes of temporaries without which no seed can be swept."""
        return self._bytes + (0 if self._in_parts else self._sweeps.least_bytes)

    def _together(self, n_seeds, room):
        """How many parts are swept at a time: as many as caches hold, or one, for which the index is sorted once each.

        All, or a power of two: the sum of these is then one of the aligned tree, which the sums over all elements are made by.
        1e5 triangles in one sweep took 1.3 times as long on one thread, and two parts as long as one sweep on two threads.
        """
        near = max(1, NEAR // (n_seeds * self._part_bytes(1)))
        many = self._number if self._number <= near else 1 << near.bit_length() - 1
        return many if n_seeds * (self._fixed + self._part_bytes(many)) <= room else 1

    def __call__(self, rows, seeds, results, count, accumulate, room):
        """Fill `results`, one array per argument, as those sweeps do."""
        many = max(1, room // max(1, self._bytes))
        parts = [None] if count is None or count <= many else [slice(k, min(k + many, count)) for k in range(0, count, many)]
        before = noted.value
        with np.errstate(all="ignore"):  # as in the launches: infinities and overflow are values
            for part in parts:
                given, taken = ([a if part is None else part_of(a, 0, part) for a in arrays] for arrays in (seeds, results))
                self._fill(rows, given, taken, count if part is None else part.stop - part.start, accumulate, room)
        if noted.value != before:
            self._sweeps.find_failures(rows)

    def _fill(self, rows, seeds, results, count, accumulate, room):
        """The sweep of some seeds."""
        each = zip(self._sources, results, strict=True)
        totals = [_zeros(result, accumulate) if source.by else result for source, result in each]
        run = self._sweep_parts if self._in_parts else self._sweep_whole
        run(rows, seeds, totals, count, accumulate, room)
        for total, result in zip(totals, results, strict=True):
            if total is not result:
                _put(result, total, accumulate)

    def _sweep_whole(self, rows, seeds, totals, count, accumulate, room):
        """All elements at a time."""
        n_seeds, dtype, places = count or 1, self._sweeps.dtype, []
        for source, total in zip(self._sources, totals, strict=True):
            whole = (*_lead(count), *source.target.own, *source.target.core)
            places.append(memory.empty(whole, dtype, is_exact=True) if source.by else total)
            if source.by and accumulate:
                places[-1][...] = 0
        left = room - n_seeds * self._bytes
        enough = left >= self._sweeps.least_bytes  # it is, where the user sets a bound
        self._sweeps.fill(rows, seeds, places, count, accumulate, left if enough else room)
        for source, place, total in zip(self._sources, places, totals, strict=True):
            if source.by and total.size:
                terms = place.reshape(n_seeds, source.by.positions.size, source.values)
                step = PART * source.each * source.together
                for number in range(-(-terms.shape[1] // step)):
                    source.add(number, source.together, terms[:, number * step : (number + 1) * step], total)

    def _sweep_parts(self, rows, seeds, totals, count, accumulate, room):
        """All parts at a time, or one after the other, in C order."""
        n_seeds, lead, elements = count or 1, _lead(count), self._sweeps.region.elements
        axis, together = len(lead), self._together(n_seeds, room)
        step = min(PART * together, elements)
        given = [_flat(seed, (*lead, elements), self._sweeps.program.leaves[k]) for k, seed in enumerate(seeds)]
        taken = [self._taken(source, total, lead, step) for source, total in zip(self._sources, totals, strict=True)]
        for number, low in enumerate(range(0, elements, step)):
            part = slice(low, min(low + step, elements))
            size, places = part.stop - low, []
            for source, array in zip(self._sources, taken, strict=True):
                rest = slice(0, size) if source.by else part
                places.append(array[number, ...] if source.is_sum else part_of(array, axis, rest))
                if accumulate and (source.by or source.is_sum):
                    places[-1][...] = 0
            cut = [part_of(seed, axis, part) for seed in given]
            self._part(size).sweep(rows_between(rows, low, part.stop), cut, places, count is not None, accumulate)
            for source, place, total in zip(self._sources, places, totals, strict=True):
                if source.by and total.size:
                    source.add(number, together, place.reshape(n_seeds, size * source.each, source.values), total)
        for source, array, total in zip(self._sources, taken, totals, strict=True):
            self._finish(source, array, total, accumulate)

    def _taken(self, source, total, lead, step):
        """The array that the sweeps of parts fill for an argument: of a part's elements, of all, or of one sum for each part."""
        elements, core, dtype = self._sweeps.region.elements, source.target.core, self._sweeps.dtype
        if source.by is not None:
            return memory.empty((*lead, step, *core), dtype, is_exact=True)
        if source.is_sum:
            return np.empty((-(-elements // step), *lead, *core))
        flat = total if total.flags.c_contiguous else np.array(total, order="C")
        return flat.reshape(*lead, elements, *core)

    def _finish(self, source, array, total, accumulate):
        """What is left to do for arguments that are not picked."""
        if source.is_sum:
            sums = add_blocks(np.moveaxis(array, 0, -1).reshape(-1, len(array))).reshape(total.shape)
            _put(total, sums, accumulate)
        elif source.by is None and not np.may_share_memory(array, total):
            total[...] = array.reshape(total.shape)

    def _part(self, size):
        """The sweeps of so many elements, kept by those of all."""
        return self._sweeps.of([source.part(size) for source in self._sources], Region((size,), (1,)))


def _lead(count):
    """The axes before those of the elements."""
    return () if count is None else (count,)


def _zeros(result, accumulate):
    """Room for the sums of an argument: the result itself, where it may be."""
    if accumulate or result.dtype != np.float64 or not result.flags.c_contiguous:
        return np.zeros(result.shape)
    result[...] = 0
    return result


def _put(result, total, accumulate):
    """A total to its result, or added to it, in float64."""
    if accumulate:
        np.add(result, total, out=result, casting="unsafe")
    else:
        result[...] = total


def _flat(seed, lead, core):
    """A seed whose elements are one axis; a scalar stays what it is."""
    return seed.reshape(*lead, *core) if seed.ndim else seed
