"""The arguments of a part of the elements: what a sweep leaves of these is read again before it leaves the caches."""

import math

import numpy as np

from nbad.indexing.index import Index
from nbad.memo import Memo
from nbad.native.launch_table import TILE
from nbad.runtime.operands import Layout, Operands

NEAR = 1 << 22  # bytes of a part's results
SHARED, OWN, PICKED = range(3)  # whose an argument is: of all elements; an array of which each has its own part; or an index


def part_size(operands: Operands, cores: tuple[tuple[int, ...], ...], nbytes: int) -> int:
    """How many elements are a part, where each leaves so many bytes; all where they cannot be cut, for they have several axes."""
    if len(operands.shape) != 1 or None in _kinds(operands, cores):
        return math.prod(operands.shape)
    return max(1, NEAR // max(1, nbytes * TILE)) * TILE


def cut(operands: Operands, cores: tuple[tuple[int, ...], ...], part: slice) -> Operands:
    """The operands of a part of the elements, whose layout is kept by that of all."""
    layout = operands.layout
    low, high, _ = part.indices(math.prod(layout.shape))
    if high - low == math.prod(layout.shape):
        return operands
    part, kinds = slice(low, high), layout.remember("kinds of arguments", lambda: _kinds(operands, cores))
    arrays = tuple([a[part] if kind == OWN else a for a, kind in zip(operands.arrays, kinds, strict=True)])
    each = zip(operands.indices, kinds, strict=True) if operands.indices else ()
    indices = tuple([Index(by.positions[part], by.size) if by and kind == PICKED else by for by, kind in each])
    return Operands(arrays, layout.remember(("part", high - low), lambda: _layout(layout, arrays, indices, high - low)), indices)


def _layout(whole: Layout, arrays: tuple[np.ndarray, ...], indices: tuple[Index | None, ...], size: int) -> Layout:
    each = zip(whole.picks, indices, strict=True)
    picks = [pick._replace(positions=by.positions.shape) if pick and by else None for pick, by in each]
    leaves = tuple([(size, *shape[1:]) for shape in whole.leaf_shapes])
    shapes = tuple([array.shape for array in arrays])
    return whole._replace(shapes=shapes, shape=(size,), leaf_shapes=leaves, remember=Memo(), picks=tuple(picks))


def _kinds(operands: Operands, cores: tuple[tuple[int, ...], ...]) -> list[int | None]:
    """Whose each argument is; None where the elements' axis is another than the first of what is picked from."""
    (elements,), layout = operands.shape, operands.layout
    kinds: list[int | None] = []
    for k, (whole, core) in enumerate(zip(layout.whole, cores, strict=True)):
        pick = layout.pick(k)
        if whole[: len(whole) - len(core)] != (elements,):
            kinds.append(SHARED)
        elif pick is None:
            kinds.append(OWN)
        else:
            kinds.append(PICKED if pick.positions else None)
    return kinds
