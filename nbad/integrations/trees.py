"""Sums of blocks' cotangents over the axes that an argument is broadcast along: one machine's tree, continued.

nbad sums blocks of 256 elements in C order; block `2k` meets block `2k + 1`, and so on upwards. Here each chunk brings the sum of
its own blocks, and chunks meet where one machine's blocks meet. Where a chunk is a whole subtree, such as `256 * 2**k` elements
in C order from a multiple of as many on, the bits are those of one machine.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from nbad.integrations.blockwise import Chunks, unique
from nbad.runtime.block_sums import TILE


def summed(part: da.Array, chunks: Chunks, own: tuple[int, ...], lead: int, dtype: Any) -> da.Array:
    """Sum what each block brought to the shape of an argument.

    Parameters
    ----------
    part : dask.array.Array
        Leading axes, the axes of the element space, core axes: of size 1 in each block along an axis that is summed.
    chunks : tuple of tuples
        Of the element space.
    own : tuple of int
        The argument's shape, without core axes.
    lead : int
        How many leading axes there are.
    dtype : numpy.dtype
        Of the result.
    """
    depth = len(chunks)
    missing, full = depth - len(own), (1,) * (depth - len(own)) + own
    kept = [size == sum(c) for size, c in zip(full, chunks, strict=True)]
    firsts = _first_blocks(chunks)
    name = unique("sum")
    graph: dict[Any, Any] = {}
    heads, tails = _places(part.numblocks[:lead]), (0,) * (part.ndim - lead - depth)
    for head in heads:
        for target in _places([len(c) if keep else 1 for keep, c in zip(kept, chunks, strict=True)]):
            places = itertools.product(*([t] if keep else range(len(c)) for t, keep, c in zip(target, kept, chunks, strict=True)))
            parts = [(firsts[place], (part.name, *head, *place, *tails)) for place in places]
            whole = _tree(f"{name}-part", (*head, *target), parts, graph)
            graph[(name, *head, *target[missing:], *tails)] = (_finished, whole, lead, missing, np.dtype(dtype))
    space = tuple(c if keep else (1,) for keep, c in zip(kept, chunks, strict=True))[missing:]
    found = part.chunks[:lead] + space + part.chunks[lead + depth :]
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[part])
    return da.Array(layers, name, found, meta=np.empty((0,) * len(found), dtype))


def _places(numblocks: Sequence[int]) -> Any:
    return itertools.product(*map(range, numblocks))


def _first_blocks(chunks: Chunks) -> dict[tuple[int, ...], int]:
    """In which block of 256 elements each chunk begins."""
    sizes = [sum(c) for c in chunks]
    starts = [[0, *itertools.accumulate(c)][:-1] for c in chunks]
    steps = [math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
    return {
        place: sum(s[k] * step for s, k, step in zip(starts, place, steps, strict=True)) // TILE
        for place in _places([len(c) for c in chunks])
    }


def _tree(name: str, target: tuple[int, ...], parts: list[tuple[int, Any]], graph: dict[Any, Any]) -> Any:
    """The key of the sum of parts, each with the number of its first block; neighbours join at the lower level first."""
    stack: list[tuple[Any, int]] = []  # keys, and the level at which each meets what stands before it
    counter = itertools.count()

    def join():
        (left, level), (right, _) = stack.pop(-2), stack.pop()
        key = (name, *target, next(counter))
        graph[key] = (np.add, left, right)
        stack.append((key, level))

    before = parts[0][0]
    for number, key in parts:
        level = (before ^ number).bit_length()
        while len(stack) > 1 and stack[-1][1] < level:
            join()
        stack.append((key, level))
        before = number
    while len(stack) > 1:
        join()
    return stack[0][0]


def _finished(total, lead, missing, dtype):
    """A sum in the argument's shape and dtype."""
    return np.asarray(total)[(slice(None),) * lead + (0,) * missing].astype(dtype)
