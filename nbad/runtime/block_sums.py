"""Sums over broadcast axes: blocks of 256 elements in C order, then a fixed binary tree over the blocks, in float64.

The tree is aligned: block `2k` meets block `2k + 1`, and so on upwards, so the bits depend on neither threads nor chunks.
"""

import functools
import math

import numpy as np

from nbad.codegen.numba_cache import cached_njit
from nbad.memo import MANY
from nbad.native.launch_table import TILE
from nbad.runtime.strides import View, collapse, contiguous_strides, strides_over

OPTIONS = dict(error_model="numpy", nogil=True)
AT_ONCE = 1 << 18  # bytes of block sums that are added at a time
WIDTH = 2 * TILE  # neighbouring targets that are summed together: what waits for them is in the nearest cache
NEIGHBOURS = 64  # that there are at least: sums along columns take 0.9 ns an element then instead of 4, of 1,000 and of 1,001


def add_blocks(blocks):
    """The total of each row of block sums.

    Examples
    --------
    >>> import numpy as np
    >>> add_blocks(np.ones((1, 5)))
    array([5.])
    """
    rows, count = blocks.shape
    many = max(1, AT_ONCE // max(1, 8 * count))
    if rows > many:
        return np.concatenate([add_blocks(blocks[k : k + many]) for k in range(0, rows, many)])
    while count > 1:
        half, odd = divmod(count, 2)
        pairs = np.empty((rows, half + odd))
        np.add(blocks[:, : 2 * half : 2], blocks[:, 1 : 2 * half : 2], out=pairs[:, :half])
        pairs[:, half:] = blocks[:, 2 * half :]
        blocks, count = pairs, half + odd
    return blocks[:, 0] if count else np.zeros(rows)


@cached_njit(**OPTIONS)
def _position(number, sizes, steps):
    """Flat element number of the `number`-th combination of the given axes."""
    element = 0
    for d in range(sizes.size - 1, -1, -1):
        element += number % sizes[d] * steps[d]
        number //= sizes[d]
    return element


@cached_njit(**OPTIONS)
def _meeting(left, right):
    """Level of the tree at which two blocks meet."""
    different, level = left ^ right, 0
    while different >= 16:
        different >>= 4
        level += 4
    while different:
        different >>= 1
        level += 1
    return level


@cached_njit(**OPTIONS)
def _add_axes(source, start, kept_sizes, kept_steps, summed_sizes, summed_steps, targets):
    """The sums of all targets: the elements of each in C order, a block at a time.

    `kept_steps[0]` and `summed_steps[0]` are places in a row; `start` and the other steps are element numbers in the whole space,
    which decide where blocks end. Sums of blocks wait until all is there that they meet in the tree before the next one does.
    All in one: a function that is called for each target, with arrays, took 35 ns of the 40 for one of few elements.
    """
    values, levels = np.empty(66), np.empty(66, np.int64)
    sizes, steps, inner, outer, side = summed_sizes[:-1], summed_steps[:, :-1], summed_sizes[-1], 1, kept_sizes[-1]
    for size in sizes:
        outer *= size
    for number in range(targets.shape[0]):
        row = source[number]
        for k in range(targets.shape[1]):
            if k % side == 0:
                first = _position(k // side, kept_sizes[:-1], kept_steps[0])
                element = start + _position(k // side, kept_sizes[:-1], kept_steps[1])
            depth, total, block = 0, 0.0, element // TILE
            for run in range(outer):
                place, at = first, element
                if run:
                    place, at = place + _position(run, sizes, steps[0]), at + _position(run, sizes, steps[1])
                for _ in range(inner):
                    if at // TILE != block:
                        level = _meeting(block, at // TILE)
                        while depth and levels[depth - 1] < level:
                            depth -= 1
                            total += values[depth]
                        values[depth], levels[depth] = total, level
                        depth, total, block = depth + 1, 0.0, at // TILE
                    total += float(row[place])  # in the interpreter too
                    place += summed_steps[0, -1]
                    at += summed_steps[1, -1]
            while depth:
                depth -= 1
                total += values[depth]
            targets[number, k] = total
            first += kept_steps[0, -1]
            element += kept_steps[1, -1]


@cached_njit(**OPTIONS)
def _add_rows(source, start, kept_sizes, kept_steps, summed_sizes, summed_steps, targets):
    """The same where neighbouring targets have neighbours for elements: one of each at a time, so that these are vectors.

    From one element to the next, most neighbours meet in the tree at the same level. What waits has the number of its level, and
    is -0.0 where nothing does, which changes no sum.
    """
    side, outer, last = kept_sizes[-1], 1, start
    for k in range(summed_sizes.size):
        outer *= summed_sizes[k]
        last += (summed_sizes[k] - 1) * summed_steps[1, k]
    for k in range(kept_sizes.size):
        last += (kept_sizes[k] - 1) * kept_steps[1, k]
    waiting, totals = np.empty((_meeting(0, last // TILE) + 1, WIDTH)), np.empty(WIDTH)
    for number in range(targets.shape[0]):
        row = source[number]
        for k in range(0, targets.shape[1], side):
            for low in range(0, side, WIDTH):
                width = min(side - low, WIDTH)
                first = low + _position(k // side, kept_sizes[:-1], kept_steps[0])
                element = start + low + _position(k // side, kept_sizes[:-1], kept_steps[1])
                waiting[:, :width], totals[:width] = -0.0, 0.0
                before, lowest = element, waiting.shape[0]
                for run in range(outer):
                    place = first + _position(run, summed_sizes, summed_steps[0])
                    at, end = element + _position(run, summed_sizes, summed_steps[1]), 0
                    while end < width:
                        begin, left, block = end, (before + end) // TILE, (at + end) // TILE
                        end = min(width, (left + 1) * TILE - before, (block + 1) * TILE - at)
                        if left != block:
                            level = _meeting(left, block)
                            for below in range(lowest, level):
                                _add(totals[begin:end], waiting[below, begin:end])
                                waiting[below, begin:end] = -0.0
                            waiting[level, begin:end], lowest = totals[begin:end], min(lowest, level)
                            totals[begin:end] = 0.0
                        _add(totals[begin:end], row[place + begin : place + end])
                    before = at
                for level in range(waiting.shape[0]):
                    _add(totals[:width], waiting[level, :width])
                targets[number, k + low : k + low + width] = totals[:width]


@cached_njit(**OPTIONS)
def _add(totals, terms):
    """Add terms to totals, one to each: as a function of views it is compiled to vectors."""
    for k in range(totals.size):
        totals[k] += terms[k]


def sum_to(source, region, own):
    """Sum rows of all elements of a region, C-contiguous, to the shape `own` of a broadcast argument: float64 rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nbad.runtime.slabs import Region
    >>> sum_to(np.arange(6.0).reshape(1, 6), Region.whole((2, 3)), (3,))
    array([[3., 5., 7.]])
    """
    targets = np.zeros((source.shape[0], math.prod(own)))
    if source.size and targets.size:
        are_rows, kept, summed = _axes(region, own)
        (_add_rows if are_rows else _add_axes)(source, region.start, *kept, *summed, targets)
    return targets


@functools.lru_cache(MANY)
def _axes(region, own):
    """Sizes of the axes that are kept, and their steps in the region and in the whole space; the same of those that are summed.

    Like neighbours are one. Before all that: whether many neighbours are kept, which are neighbours in the whole space, too.
    """
    ends = strides_over(View(own, contiguous_strides(own, 1)), 0, region.shape)  # 0 along what is summed
    sizes, (*steps, targets) = collapse(region.shape, [contiguous_strides(region.shape, 1), region.steps, ends])
    if not any(targets):  # a slab of one index keeps no axis: it gets one of one place
        sizes, steps, targets = [1, *sizes], [[0, *step] for step in steps], [1, *targets]
    are_rows = targets[-1] and sizes[-1] >= NEIGHBOURS and steps[1][-1] == 1
    kept, summed = ([k for k, target in enumerate(targets) if bool(target) == is_kept] for is_kept in (True, False))
    # all in C order, for which the sums are compiled: an index makes F order of two axes
    return are_rows, *((np.array(sizes)[axes], np.ascontiguousarray(np.array(steps)[:, axes])) for axes in (kept, summed))
