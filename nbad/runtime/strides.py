"""Strides of arrays over the element space."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


class View(NamedTuple):
    """Shape and strides of an array that need not be there."""

    shape: Shape
    strides: Shape


def batch(shape: Shape, core: int) -> Shape:
    """A shape without its last `core` dimensions."""
    return shape[: len(shape) - core]


def strides_over(array: np.ndarray | View, core: int, shape: Shape) -> Shape:
    """Strides in bytes over the element space; 0 along the axes that the array is broadcast along."""
    own = batch(array.shape, core)
    missing = len(shape) - len(own)
    kept = (0 if size == 1 else stride for size, stride in zip(own, array.strides, strict=False))
    return (0,) * missing + tuple(kept)


def picking(index: Shape, array: np.ndarray) -> tuple[View, View]:
    """`array[i]` for a contiguous int64 index of this shape, as two views: how one walks the index, and how an entry."""
    shape, rest = (*index, *array.shape[1:]), array.ndim - 1
    return View(shape, (*contiguous_strides(index, 8), *(0,) * rest)), View(shape, (*(0,) * len(index), *array.strides[1:]))


def memory_order(strides: Sequence[Shape]) -> list[int]:
    """The axes from the longest strides to the shortest, as NumPy's ufuncs order them: where arrays disagree, in C order.

    Parameters
    ----------
    strides : sequence of tuples
        Of each array over the element space; 0 where it is broadcast.

    Examples
    --------
    >>> memory_order([(8, 80), (0, 8)]), memory_order([(8, 80), (80, 8)])
    ([1, 0], [0, 1])
    """
    order: list[int] = []  # from the shortest
    for axis in reversed(range(len(strides[0]) if strides else 0)):
        place = len(order)
        for k in reversed(range(len(order))):
            pairs = [(abs(s[axis]), abs(s[order[k]])) for s in strides if s[axis] and s[order[k]]]
            if pairs and any(other <= own for own, other in pairs):
                break
            place = k if pairs else place
        order.insert(place, axis)
    return order[::-1]


def collapse(
    shape: Shape, strides: Sequence[Sequence[int]], order: Sequence[int] | None = None
) -> tuple[list[int], list[list[int]]]:
    """Merge dimensions that every slot walks as one.

    Parameters
    ----------
    shape : tuple of int
        The element space, without empty dimensions.
    strides : sequence of tuples
        Strides of each slot over it.
    order : sequence of int, optional
        The dimensions as they are to be walked, the last of them first.

    Returns
    -------
    shape : list of int
        At least one dimension.
    strides : list of list of int

    Examples
    --------
    >>> collapse((2, 3), [(24, 8), (0, 0)])
    ([6], [[8], [0]])
    >>> collapse((2, 3), [(8, 16), (8, 16)], order=[1, 0])
    ([6], [[8], [8]])
    """
    sizes: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for k in range(len(shape)) if order is None else order:
        size = shape[k]
        if size == 1:
            continue
        if sizes and all(m[-1] == size * s[k] for m, s in zip(merged, strides, strict=True)):
            sizes[-1] *= size
            for m, s in zip(merged, strides, strict=True):
                m[-1] = s[k]
        else:
            sizes.append(size)
            for m, s in zip(merged, strides, strict=True):
                m.append(s[k])
    return (sizes, merged) if sizes else ([1], [[0] for _ in strides])


def contiguous_strides(shape: Shape, itemsize: int) -> Shape:
    """Strides of a C-contiguous array."""
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= size
    return tuple(reversed(strides))


def core_offsets(strides: Shape, core: Shape) -> list[int]:
    """Byte offset of each core value, in C order."""
    offsets = [0]
    for size, stride in zip(core, strides[len(strides) - len(core) :], strict=True):
        offsets = [offset + k * stride for offset in offsets for k in range(size)]
    return offsets
