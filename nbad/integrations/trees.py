"""Sums of blocks' cotangents over the axes that arguments are broadcast along: one machine's tree, continued.

nbad sums blocks of 256 elements in C order; block `2k` meets block `2k + 1`, and so on upwards. Here each chunk brings the sum of
its own blocks, and chunks meet where one machine's blocks meet. Where a chunk is a whole subtree, such as `256 * 2**k` elements
in C order from a multiple of as many on, the bits are those of one machine. A task adds up to FAN parts, in that order.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from nbad.integrations.blockwise import Chunks, unique
from nbad.runtime.block_sums import TILE

FAN = 16


class Sums:
    """Sums of what each block brought for arguments that are broadcast along the same axes.

    Parameters
    ----------
    parts : dask.array.Array
        In name: for each block a list of arrays, one per argument, with all axes of the element space, of size 1 where one is
        summed.
    chunks : tuple of tuples
        Of the element space.
    kept : sequence of bool
        Which of its axes are not summed.
    lead : int
        How many axes `parts` has before them.
    """

    def __init__(self, parts: da.Array, chunks: Chunks, kept: Sequence[bool], lead: int):
        self._kept, self._lead = kept, lead
        name = unique("tree")
        graph: dict[Any, Any] = {}
        space = [c if keep else (1,) for keep, c in zip(kept, chunks, strict=True)]
        firsts = _first_blocks(chunks)
        for head in _places(parts.numblocks[:lead]):
            for target in _places(map(len, space)):
                summed = ([t] if keep else range(len(c)) for t, keep, c in zip(target, kept, chunks, strict=True))
                places = list(itertools.product(*summed))
                keys = [(parts.name, *head, *place) for place in places]
                _emit((name, *head, *target), _tree([firsts[place] for place in places]), keys, graph)
        layers = HighLevelGraph.from_collections(name, graph, dependencies=[parts])
        self._totals = da.Array(layers, name, (*parts.chunks[:lead], *space), meta=parts._meta)

    def of(self, k: int, own: tuple[int, ...], core: tuple[int, ...], dtype: Any) -> da.Array:
        """The sums of the argument number `k`, in its shape `(*own, *core)`, rounded to a dtype."""
        totals, lead = self._totals, self._lead
        missing, name = totals.ndim - lead - len(own), unique("sum")
        chunks = totals.chunks[:lead] + totals.chunks[lead + missing :] + tuple((size,) for size in core)
        finish, tails = functools.partial(_finished, k=k, lead=lead, missing=missing, dtype=np.dtype(dtype)), (0,) * len(core)
        graph = {
            (name, *place[:lead], *place[lead + missing :], *tails): (finish, (totals.name, *place))
            for place in _places(totals.numblocks)
        }
        layers = HighLevelGraph.from_collections(name, graph, dependencies=[totals])
        return da.Array(layers, name, chunks, meta=np.empty((0,) * len(chunks), dtype))


def _places(counts: Iterable[int]) -> Any:
    return itertools.product(*map(range, counts))


def _first_blocks(chunks: Chunks) -> dict[tuple[int, ...], int]:
    """In which block of 256 elements each chunk begins."""
    sizes = [sum(c) for c in chunks]
    starts = [[0, *itertools.accumulate(c)][:-1] for c in chunks]
    steps = [math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
    return {
        place: sum(s[k] * step for s, k, step in zip(starts, place, steps, strict=True)) // TILE
        for place in _places(map(len, chunks))
    }


def _tree(numbers: Sequence[int]) -> Any:
    """The tree in which parts meet, by the numbers of their first blocks: pairs of pairs of places.

    Neighbours join at the lower level first.

    Examples
    --------
    >>> _tree([0, 4, 8, 12]), _tree([0, 4, 8])
    (((0, 1), (2, 3)), ((0, 1), 2))
    """
    stack: list[tuple[Any, tuple[int, int]]] = []  # and the level at which each meets what stands before it

    def join():
        (left, level), (right, _) = stack.pop(-2), stack.pop()
        stack.append(((left, right), level))

    for place, (before, number) in enumerate(zip([numbers[0], *numbers], numbers, strict=False)):
        level = (before ^ number).bit_length(), (place ^ (place - 1)).bit_length() if number == before else 0
        while len(stack) > 1 and stack[-1][1] < level:
            join()
        stack.append((place, level))
    while len(stack) > 1:
        join()
    return stack[0][0]


def _emit(key: Any, tree: Any, keys: Sequence[Any], graph: dict[Any, Any]) -> None:
    """The tasks of a tree: each adds up to FAN parts or sums of others, and the last one is that of `key`."""
    counter = itertools.count()

    def task(side, key):
        order, below = side
        graph[key] = (functools.partial(_added, order), below)
        return 0, [key]

    def front(node):
        """What is to be added yet for a node, by its order and keys."""
        if isinstance(node, int):
            return 0, [keys[node]]
        sides = [front(side) for side in node]
        if sum(len(below) for _, below in sides) > FAN:
            sides = [task(s, (f"{key[0]}-part", *key[1:], next(counter))) if len(s[1]) > 1 else s for s in sides]
        (left, first), (right, second) = sides
        return (left, _shifted(right, len(first))), first + second

    task(front(tree), key)


def _shifted(order, by):
    return order + by if isinstance(order, int) else tuple(_shifted(side, by) for side in order)


def _added(order, parts):
    """Sums, in the order of a tree, of as many arrays as each part has."""
    if isinstance(order, int):
        return [np.asarray(part, np.float64) for part in parts[order]]
    left, right = (_added(side, parts) for side in order)
    return [a + b for a, b in zip(left, right, strict=True)]


def _finished(totals, k, lead, missing, dtype):
    """A sum in the argument's shape and dtype."""
    return totals[k][(slice(None),) * lead + (0,) * missing].astype(dtype)
