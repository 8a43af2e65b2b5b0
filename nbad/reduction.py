"""Sums over broadcast axes: blocks of 256 elements in C order, then a fixed binary tree over the blocks, in float64.

The tree is aligned: block `2k` meets block `2k + 1`, and so on upwards, so the bits depend on neither threads nor chunks.
"""

import math

import numpy as np

from nbad.compile import cached_njit
from nbad.tiles import TILE

OPTIONS = dict(error_model="numpy", nogil=True)


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
    while blocks.shape[1] > 1:
        even = blocks.shape[1] // 2 * 2
        pairs = blocks[:, 0:even:2] + blocks[:, 1:even:2]
        blocks = np.concatenate([pairs, blocks[:, even:]], axis=1)
    return blocks[:, 0] if blocks.shape[1] else np.zeros(blocks.shape[0])


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
    while different:
        different >>= 1
        level += 1
    return level


@cached_njit(**OPTIONS)
def _push(values, levels, depth, value, level):
    """Put a block's sum on the stack, after joining what meets below `level`; return the new depth."""
    while depth > 1 and levels[depth - 1] < level:
        values[depth - 2] += values[depth - 1]
        depth -= 1
    values[depth], levels[depth] = value, level
    return depth + 1


@cached_njit(**OPTIONS)
def _add_one(row, start, outer, sizes, steps, inner, step, values, levels):
    """Sum of one target: its elements in C order, a block at a time; the last summed axis is the inner loop."""
    depth, total, block, level = 0, 0.0, start // TILE, 64
    for k in range(outer):
        element = start + _position(k, sizes, steps)
        for _ in range(inner):
            if element // TILE != block:
                depth = _push(values, levels, depth, total, level)
                level, block, total = _meeting(block, element // TILE), element // TILE, 0.0
            total += row[element]
            element += step
    depth = _push(values, levels, depth, total, level)
    while depth > 1:
        values[depth - 2] += values[depth - 1]
        depth -= 1
    return values[0]


@cached_njit(**OPTIONS)
def _add_axes(source, kept_sizes, kept_steps, summed_sizes, summed_steps, targets):
    values, levels, outer = np.empty(65), np.empty(65, np.int64), 1
    sizes, steps, inner, step = summed_sizes[:-1], summed_steps[:-1], summed_sizes[-1], summed_steps[-1]
    for size in sizes:
        outer *= size
    for number in range(targets.shape[0]):
        row = source[number]
        for k in range(targets.shape[1]):
            start = _position(k, kept_sizes, kept_steps)
            targets[number, k] = _add_one(row, start, outer, sizes, steps, inner, step, values, levels)


def sum_to(source, shape, own):
    """Sum full-size rows to the shape of a broadcast argument.

    Parameters
    ----------
    source : array (rows, elements), C-contiguous
    shape : tuple of int
        The element space.
    own : tuple of int
        The argument's shape; broadcasts to `shape`.

    Returns
    -------
    float64 array (rows, prod(own))

    Examples
    --------
    >>> import numpy as np
    >>> sum_to(np.arange(6.0).reshape(1, 6), (2, 3), (3,))
    array([[3., 5., 7.]])
    """
    sizes, steps, summed = _axes(shape, (1,) * (len(shape) - len(own)) + own)
    targets = np.zeros((source.shape[0], math.prod(own)))
    if source.size and targets.size:
        _add_axes(source, sizes[~summed], steps[~summed], sizes[summed], steps[summed], targets)
    return targets


def _axes(shape, full):
    """Sizes and steps of the element space's axes, neighbours of one kind as one, and which of them are summed over."""
    axes, step = [], 1
    for size, kept in zip(reversed(shape), reversed(full), strict=True):
        is_summed = kept == 1
        if axes and axes[-1][2] == is_summed:
            axes[-1][0] *= size
        else:
            axes.append([size, step, is_summed])
        step *= size
    sizes, steps, summed = zip(*reversed(axes), strict=True)
    return np.array(sizes), np.array(steps), np.array(summed)
