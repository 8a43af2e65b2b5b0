"""Slabs of the element space, for sweeps in parts under `max_bytes=`, and what the cotangent of one argument needs there."""

import math
from typing import NamedTuple

import numpy as np

from nbad.native.launch_table import TILE
from nbad.runtime.strides import contiguous_strides


class Region(NamedTuple):
    """A part of the element space: its shape, the steps of its axes in rows of the whole space, and its first element there."""

    shape: tuple[int, ...]
    steps: tuple[int, ...]
    start: int = 0
    is_whole: bool = False

    @classmethod
    def whole(cls, shape, order=None):
        """All of the space; axes lie in rows in this order, by default in C order."""
        return cls(shape, contiguous_strides(shape, 1, order), is_whole=True)

    @property
    def elements(self):
        """How many there are in it."""
        return math.prod(self.shape)

    @property
    def numbers(self):
        """Which elements of the whole space they are, in C order."""
        places = np.indices(self.shape).reshape(len(self.shape), -1)
        return self.start + np.dot(self.steps, places)

    def slab(self, axis, part):
        """The elements whose index along one axis lies in the slice `part`.

        Examples
        --------
        >>> Region.whole((4, 3)).slab(1, slice(1, 3))
        Region(shape=(4, 2), steps=(3, 1), start=1, is_whole=False)
        """
        shape = (*self.shape[:axis], part.stop - part.start, *self.shape[axis + 1 :])
        return Region(shape, self.steps, self.start + part.start * self.steps[axis])


class Target(NamedTuple):
    """A differentiated argument: its batch shape, its core shape, its first row among all cotangents, and how it is shared.

    Where several elements share the argument, its cotangent is a sum. A wholly shared one leaves a partial sum for each block of
    elements; one that is shared along some axes only is written in full, and summed afterwards.
    """

    own: tuple[int, ...]
    core: tuple[int, ...]
    row: int
    is_shared: bool
    is_partial: bool

    @classmethod
    def of(cls, own, core, row, shape):
        """An argument in an element space of this shape.

        Examples
        --------
        >>> Target.of((3, 1), (), 0, (4, 3, 2)).is_partial
        True
        """
        is_shared = math.prod(own) != math.prod(shape)
        return cls(own, core, row, is_shared, is_shared and math.prod(own) != 1)

    @property
    def values(self):
        """How many core values it has."""
        return math.prod(self.core)

    def temporary_bytes(self, region, itemsize):
        """Bytes of what one seed leaves to be summed."""
        if self.is_partial:
            return itemsize * self.values * region.elements
        return 8 * self.values * -(-region.elements // TILE) if self.is_shared else 0

    def axis(self, region):
        """The longest axis of the region along which it has values of its own.

        Examples
        --------
        >>> Target.of((3, 1), (), 0, (4, 3, 2)).axis(Region.whole((4, 3, 2)))
        1
        """
        longest = max(range(len(self.own)), key=lambda axis: self.own[axis])
        return longest + len(region.shape) - len(self.own)

    def cut(self, region, axis):
        """The same argument in a slab along an axis of its own."""
        at = axis - len(region.shape) + len(self.own)
        return self._replace(own=(*self.own[:at], region.shape[axis], *self.own[at + 1 :]))


def part_of(array, axis, part):
    """A view: the slice or index `part` of one axis, counted from the first axis; a scalar stays what it is."""
    return array[(slice(None),) * axis + (part, ...)] if array.ndim else array
