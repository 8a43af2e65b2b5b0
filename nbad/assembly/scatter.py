"""Reverse sweeps for arguments that are picked by an index: cotangents of what is picked, and their sums for what it is from.

The terms of a sum are added in the order of the index: those of `PART` elements, and then such sums, in float64. Where no
argument is broadcast along some axes only, so many elements are swept at a time, and no cotangent of what is picked leaves the
caches.
"""

import math
from typing import NamedTuple

import numpy as np

from nbad.assembly.sums import add_segments, most_parts
from nbad.indexing.index import PART, Index
from nbad.memo import Memo
from nbad.runtime import memory
from nbad.runtime.block_sums import add_blocks
from nbad.runtime.reverse import ReverseSweeps
from nbad.runtime.slabs import Region, Target, part_of

AT_ONCE = 1 << 25  # bytes of cotangents of what is picked, beyond which no more seeds are swept together


class Picked(NamedTuple):
    """Shapes of what the differentiated arguments stand for, and the index of each by which it is picked, or None."""

    shapes: tuple[tuple[int, ...], ...]
    indices: tuple[Index | None, ...]


def sweeps_over(reverse, shape, shapes, picked):
    """The reverse sweeps over an element space, for arguments of these shapes; `picked` is None where none is."""
    if picked is None:
        return reverse.over(shape, shapes)
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

    def part(self, size):
        """Its target among so many elements."""
        is_shared = self.by is None and self.target.is_shared
        return self.target._replace(own=() if is_shared else (size,), is_shared=is_shared, is_partial=False)

    def nbytes(self, elements, itemsize):
        """Bytes of the cotangents of what so many elements pick, of their sums, and of the sums of blocks of these."""
        if self.by is None:
            return 0
        terms, sums = elements * self.each, self.by.size + most_parts(elements * self.each)
        totals = 3 * terms if self.target.is_partial else 0  # before these become cotangents of what is picked
        return (itemsize * terms + 8 * (sums + totals)) * self.values


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
        self._in_parts, self._parts = elements > PART and all(s.is_apart(elements) for s in self._sources), Memo()
        self.result_bytes = itemsize * sum(map(math.prod, shapes))
        picked = PART if self._in_parts else 0
        self._bytes = sum(s.nbytes(picked or s.by.positions.size // s.each, itemsize) for s in self._sources if s.by)
        if self._in_parts:
            parts = -(-elements // PART)
            self._bytes += self._part(PART).temporary_bytes + 8 * parts * sum(t.values for t in sweeps.targets if t.is_shared)

    @property
    def least_bytes(self):
        """Bytes of temporaries without which no seed can be swept."""
        return self._bytes + (0 if self._in_parts else self._sweeps.least_bytes)

    def __call__(self, rows, seeds, results, count, accumulate, room):
        """Fill `results`, one array per argument, as those sweeps do."""
        many = max(1, min(room, AT_ONCE) // max(1, self._bytes))
        parts = [None] if count is None or count <= many else [slice(k, min(k + many, count)) for k in range(0, count, many)]

        def run():
            for part in parts:
                given, taken = ([a if part is None else part_of(a, 0, part) for a in arrays] for arrays in (seeds, results))
                self._fill(rows, given, taken, count if part is None else part.stop - part.start, accumulate, room)

        self._sweeps.watch(rows, run)

    def _fill(self, rows, seeds, results, count, accumulate, room):
        """The sweep of some seeds."""
        n_seeds, lead = (1, ()) if count is None else (count, (count,))
        each = list(zip(self._sources, results, strict=True))
        totals = [_zeros(result, accumulate) if source.by else result for source, result in each]
        run = self._sweep_parts if self._in_parts else self._sweep_whole
        run(rows, seeds, totals, (n_seeds, lead, count is not None), accumulate, room)
        with np.errstate(all="ignore"):  # as in the launch: overflow is a value
            for total, result in zip(totals, results, strict=True):
                if total is not result:
                    _put(result, total, accumulate)

    def _sweep_whole(self, rows, seeds, totals, batch, accumulate, room):
        """All elements at a time."""
        (n_seeds, lead, is_batched), dtype = batch, self._sweeps.dtype
        places = []
        for source, total in zip(self._sources, totals, strict=True):
            whole = (*lead, *source.target.own, *source.target.core)
            places.append(memory.exact(whole, dtype) if source.by else total)
            if source.by and accumulate:
                places[-1][...] = 0
        left = room - n_seeds * self._bytes
        enough = left >= self._sweeps.least_bytes  # it is, where the user sets a bound
        self._sweeps.fill(rows, seeds, places, n_seeds if is_batched else None, accumulate, left if enough else room)
        for source, place, total in zip(self._sources, places, totals, strict=True):
            if source.by and total.size:
                terms, step = place.reshape(n_seeds, source.by.positions.size, source.values), PART * source.each
                for number, segments in enumerate(source.by.parts(source.each)):
                    self._add(source, segments, terms[:, number * step : (number + 1) * step], total)

    def _sweep_parts(self, rows, seeds, totals, batch, accumulate, room):
        """So many elements at a time, in C order."""
        (n_seeds, lead, is_batched), elements, axis = batch, self._sweeps.region.elements, len(batch[1])
        given = [_flat(seed, (*lead, elements), self._sweeps.program.leaves[k]) for k, seed in enumerate(seeds)]
        taken = [self._taken(source, total, lead) for source, total in zip(self._sources, totals, strict=True)]
        for number, low in enumerate(range(0, elements, PART)):
            part = slice(low, min(low + PART, elements))
            size, places = part.stop - low, []
            for source, array in zip(self._sources, taken, strict=True):
                is_own = source.by is None and not source.target.is_shared
                is_sum = source.by is None and source.target.is_shared
                places.append(array[number, ...] if is_sum else part_of(array, axis, part if is_own else slice(0, size)))
                if accumulate and not is_own:
                    places[-1][...] = 0
            cut = [part_of(seed, axis, part) for seed in given]
            self._part(size).sweep(rows[:, part], cut, places, is_batched, accumulate)
            for source, place, total in zip(self._sources, places, totals, strict=True):
                if source.by and total.size:
                    terms = place.reshape(n_seeds, size * source.each, source.values)
                    self._add(source, source.by.parts(source.each)[number], terms, total)
        for source, array, total in zip(self._sources, taken, totals, strict=True):
            self._finish(source, array, total, accumulate)

    def _taken(self, source, total, lead):
        """The array that the sweeps of parts fill for an argument: of a part's elements, of all, or of one sum for each part."""
        elements, core, dtype = self._sweeps.region.elements, source.target.core, self._sweeps.dtype
        if source.by is not None:
            return memory.exact((*lead, PART, *core), dtype)
        if source.target.is_shared:
            return np.empty((-(-elements // PART), *lead, *core))
        flat = total if total.flags.c_contiguous else np.array(total, order="C")
        return flat.reshape(*lead, elements, *core)

    def _finish(self, source, array, total, accumulate):
        """What is left to do for arguments that are not picked."""
        if source.by is None and source.target.is_shared:
            sums = add_blocks(np.moveaxis(array, 0, -1).reshape(-1, len(array))).reshape(total.shape)
            with np.errstate(all="ignore"):
                _put(total, sums, accumulate)
        elif source.by is None and not np.may_share_memory(array, total):
            total[...] = array.reshape(total.shape)

    def _part(self, size):
        """The sweeps of so many elements."""
        sweeps, region = self._sweeps, Region((size,), (1,))
        targets = [source.part(size) for source in self._sources]
        return self._parts(size, lambda: ReverseSweeps(sweeps.program, sweeps.plan, targets, region, sweeps.dtype))

    def _add(self, source, segments, terms, total):
        add_segments(segments, terms, total.reshape(len(terms), source.by.size, source.values), accumulate=True)


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
