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


def add_blocks(blocks):
    """Reduce each row of block sums to one total.

    Parameters
    ----------
    blocks : float64 array (rows, number of blocks)

    Returns
    -------
    float64 array (rows,)

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


def sum_to(source, region, own):
    """Sum full-size rows to the shape of a broadcast argument.

    Parameters
    ----------
    source : array (rows, elements), C-contiguous
    region : Region
        The elements.
    own : tuple of int
        The argument's shape; broadcasts to that of the region.

    Returns
    -------
    float64 array (rows, prod(own))

    Examples
    --------
    >>> import numpy as np
    >>> from nbad.runtime.slabs import Region
    >>> sum_to(np.arange(6.0).reshape(1, 6), Region.whole((2, 3)), (3,))
    array([[3., 5., 7.]])
    """
    targets = np.zeros((source.shape[0], math.prod(own)))
    if source.size and targets.size:
        sizes, steps, summed = _axes(region, own)
        kept, summed = (sizes[~summed], steps[:, ~summed]), (sizes[summed], steps[:, summed])
        _add_axes(source, region.start, *kept, *summed, targets)
    return targets


@functools.lru_cache(MANY)
def _axes(region, own):
    """Sizes of the region's axes, their steps in it and in the whole space, and which are summed; like neighbours as one."""
    ends = strides_over(View(own, contiguous_strides(own, 1)), 0, region.shape)  # 0 along what is summed
    sizes, (*steps, targets) = collapse(region.shape, [contiguous_strides(region.shape, 1), region.steps, ends])
    if not any(targets):  # a slab of one index keeps no axis: it gets one of one place
        sizes, steps, targets = [1, *sizes], [[0, *step] for step in steps], [1, *targets]
    return np.array(sizes), np.array(steps), np.array(targets) == 0
