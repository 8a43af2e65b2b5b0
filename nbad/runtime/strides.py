"""Strides of arrays over the element space."""

import numpy as np

Shape = tuple[int, ...]


def batch(shape: Shape, core: int) -> Shape:
    """A shape without its last `core` dimensions."""
    return shape[: len(shape) - core]


def strides_over(array: np.ndarray, core: int, shape: Shape) -> Shape:
    """Strides in bytes over the element space; 0 along the axes that the array is broadcast along."""
    own = batch(array.shape, core)
    missing = len(shape) - len(own)
    kept = (0 if size == 1 else stride for size, stride in zip(own, array.strides, strict=False))
    return (0,) * missing + tuple(kept)


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
