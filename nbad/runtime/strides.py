"""Strides of arrays over the element space."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nbad.codegen.host import LINE
from nbad.memo import MANY
from nbad.plans.plan import are_lined

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

    Strides are those of each array over the element space, 0 where it is broadcast.

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
    """The element space and the strides of each slot over it, with dimensions merged that every slot walks as one.

    At least one is left. They are walked in this order, the last of them first.

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


def contiguous_strides(shape: Shape, itemsize: int, order: Sequence[int] | None = None) -> Shape:
    """Strides of an array without gaps: its axes lie in this order in memory, by default in C order.

    Examples
    --------
    >>> contiguous_strides((2, 3, 4), 8), contiguous_strides((2, 3, 4), 8, (2, 0, 1))
    ((96, 32, 8), (24, 8, 48))
    """
    strides = [0] * len(shape)
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = itemsize
        itemsize *= shape[axis]
    return tuple(strides)


@functools.lru_cache(MANY)
def turning(order: Shape, lead: int, ndim: int) -> tuple[Shape, Shape]:
    """How to transpose arrays whose axes of elements, behind so many others, lie in memory in this order, so that they are in C
    order, and how to turn such arrays back.

    Examples
    --------
    >>> turning((2, 0, 1), 1, 5)
    ((0, 3, 1, 2, 4), (0, 2, 3, 1, 4))
    """
    axes = (*range(lead), *(lead + k for k in order), *range(lead + len(order), ndim))
    return axes, tuple(map(axes.index, range(ndim)))


def core_offsets(strides: Shape, core: Shape) -> list[int]:
    """Byte offset of each core value, in C order."""
    offsets = [0]
    for size, stride in zip(core, strides[len(strides) - len(core) :], strict=True):
        offsets = [offset + k * stride for offset in offsets for k in range(size)]
    return offsets


def _by_lines(buffer: np.ndarray) -> np.ndarray:
    """A buffer as (lines of a row, rows, elements of a line), a view; rows that are not in lines are one line each."""
    return buffer.reshape(-1, len(buffer), LINE // buffer.itemsize) if are_lined(len(buffer)) else buffer[None]


def put_rows(buffer: np.ndarray, rows: np.ndarray) -> None:
    """Write residual rows, each whole, to their buffer.

    Examples
    --------
    >>> buffer = np.zeros((40, 256))
    >>> put_rows(buffer, np.arange(400.0).reshape(40, 10))
    >>> buffer[0, :10].tolist(), buffer.ravel()[320:323].tolist()
    ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 10.0, 11.0], [8.0, 9.0, 0.0])
    """
    (count, elements), lines = rows.shape, _by_lines(buffer)
    number, rest = divmod(elements, lines.shape[2])
    lines[:number] = rows[:, : elements - rest].reshape(count, number, lines.shape[2]).transpose(1, 0, 2)
    if rest:
        lines[number, :, :rest] = rows[:, elements - rest :]


def whole_rows(buffer: np.ndarray, elements: int | np.ndarray) -> np.ndarray:
    """The residual rows of a buffer, each whole: of so many elements, or of some, by their numbers.

    Examples
    --------
    >>> put_rows(buffer := np.zeros((40, 256)), np.arange(400.0).reshape(40, 10))
    >>> whole_rows(buffer, 10)[39].tolist() == list(range(390, 400)), whole_rows(buffer, np.array([9, 0]))[1].tolist()
    (True, [19.0, 10.0])
    """
    if not are_lined(len(buffer)):
        return buffer[:, elements] if isinstance(elements, np.ndarray) else buffer[:, :elements]
    numbers, lines = elements if isinstance(elements, np.ndarray) else np.arange(elements), _by_lines(buffer)
    return np.ascontiguousarray(lines[numbers // lines.shape[2], :, numbers % lines.shape[2]].T)


def rows_between(buffer: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The residual rows of some elements, of which the first begins a line: a view that is a buffer, too.

    Examples
    --------
    >>> put_rows(buffer := np.zeros((40, 256)), np.arange(4000.0).reshape(40, 100))
    >>> whole_rows(rows_between(buffer, 16, 26), 10)[39].tolist() == list(range(3916, 3926))
    True
    """
    if not are_lined(len(buffer)):
        return buffer[:, start:stop]
    items = LINE // buffer.itemsize
    return _by_lines(buffer)[start // items : -(-stop // items)].reshape(len(buffer), -1)


def blank_behind(buffer: np.ndarray, elements: int) -> None:
    """Write zeros where residual rows of so many elements have no number."""
    lines = _by_lines(buffer)
    number, rest = divmod(elements, lines.shape[2])
    lines[number : number + 1, :, rest:] = 0.0
    lines[number + 1 :] = 0.0
