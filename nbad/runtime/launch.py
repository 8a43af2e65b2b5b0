"""Pack one analysed call into the table of int64 that the worker reads, and run it.

A slot says how one row of a tile kernel meets an array: which array of the call, where in it, and how far apart neighbours along
each dimension of the element space lie. The packing is done once per combination of shapes, strides and dtypes.
"""

import math
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

from nbad.native import launch_table as d
from nbad.native.convert import CODES
from nbad.native.interleave import block_bytes
from nbad.plans.cost import BYTES_PER_NS, FLOPS_PER_NS, WORD, Work, total
from nbad.runtime.threads import Driver

STREAM_ABOVE = 1 << 22  # bytes of results: beyond what the caches keep, stores that pass them by save reading every line first


class Slot(NamedTuple):
    """One row's place in an array.

    `strides` are in bytes, one per dimension of the element space. `seed_stride` is None where nothing depends on the seed.
    `padded` memory is ours, contiguous, and may be written up to the next multiple of a tile. `accumulate` adds to what is there.
    """

    array: int
    dtype: np.dtype
    strides: tuple[int, ...]
    offset: int = 0
    seed_stride: int | None = None
    padded: bool = False
    accumulate: bool = False


class Routes(NamedTuple):
    """Where the rows of a kernel come from and go to; `sums` rows leave one float64 per block of 256 elements."""

    reads: tuple[tuple[int, Slot], ...]
    writes: tuple[tuple[int, Slot], ...]
    sums: tuple[tuple[int, Slot], ...] = ()


def collapse(shape, strides):
    """Merge dimensions that every slot walks as one.

    Parameters
    ----------
    shape : tuple of int
        The element space, without empty dimensions.
    strides : sequence of tuples
        Strides of each slot over it.

    Returns
    -------
    shape : list of int
        At least one dimension.
    strides : list of list of int

    Examples
    --------
    >>> collapse((2, 3), [(24, 8), (0, 0)])
    ([6], [[8], [0]])
    """
    sizes: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for k, size in enumerate(shape):
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


def flops(kernel):
    """Operations of a kernel for one element, in units of a float64 multiplication."""
    return total(kernel.oplist) * kernel.dtype.itemsize / WORD if kernel else 0.0


class Launch:
    """A packed call: give it the arrays, in the order that its slots number them, and it runs."""

    def __init__(self, kernel, shape, routes, prologue=None):
        moves = [slot for _, slot in (*routes.reads, *routes.writes)]
        sizes, strides = collapse(shape, [slot.strides for slot in moves])
        reads = list(zip(routes.reads, strides, strict=False))
        writes = list(zip(routes.writes, strides[len(reads) :], strict=True))
        self.kernels = kernel, prologue
        self.elements = math.prod(sizes)
        self.rows = kernel.rows + (prologue.rows - prologue.results if prologue else 0)
        self.rows = max([self.rows, *(row + 1 for row, _ in (*routes.reads, *routes.writes))])
        self.gathers, loads = _blocks(reads, kernel.dtype)
        self.blocks, stores = _blocks(writes, kernel.dtype)
        self.scratch = d.worker_bytes(self.rows, max([len(writes), *map(len, self.gathers)]), _room(self.blocks))
        moved = sum(move.dtype.itemsize for move in moves if any(move.strides))
        self.spare = moved / BYTES_PER_NS - flops(kernel) / FLOPS_PER_NS  # nanoseconds in which a kernel waits for memory
        self.once = flops(prologue) / FLOPS_PER_NS
        self.nanoseconds = self.elements * (Work(moved, flops(kernel)).nanoseconds + self.once)
        self.written = self.elements * len(writes) * kernel.dtype.itemsize
        self._pack = lambda streams: _pack(self, kernel, prologue, sizes, loads, stores, routes, streams)
        self._drivers = {}

    def __call__(self, arrays, n_seeds=1):
        """Run over `n_seeds` seeds; every array is one that a slot names, in order."""
        if self.elements and n_seeds:
            is_big = self.written * n_seeds > STREAM_ABOVE
            streams = is_big, is_big and self.spare * n_seeds > self.once
            driver = self._drivers.get(streams) or self._new_driver(streams)
            driver(arrays, n_seeds)

    def _new_driver(self, streams):
        driver = self._drivers[streams] = Driver(self._pack(streams), self.elements, self.nanoseconds, self.scratch)
        return driver


class Preceded:
    """A launch that needs uniform values, and the launch over one element that computes them."""

    def __init__(self, head, body, values):
        self.head, self.body, self.values = head, body, values

    def __call__(self, arrays, n_seeds=1):
        """Compute the uniform values, then run; they follow the other arrays."""
        uniform = np.empty(self.values, self.body.kernels[0].dtype)
        arrays = [*arrays, uniform]
        self.head(arrays)
        self.body(arrays, n_seeds)


def _pack(launch, kernel, prologue, sizes, reads, writes, routes, streams):
    """The header and the sections, in the order that `nbad.native.worker` states.

    `streams` says whether a block passes the caches, and whether rows do, which else are written in place. Both do where they are
    big, but rows only of a kernel that waits for memory: one that computes for longer has its plain stores done meanwhile.
    """
    itemsize, ndim = kernel.dtype.itemsize, len(sizes)
    used = Counter(row for row, _ in (*routes.reads, *routes.writes))
    direct = {
        row: slot
        for (row, slot), strides in (*reads, *writes)
        if slot.dtype == kernel.dtype and used[row] < 2 and not slot.accumulate and (strides == [itemsize] or slot.padded)
    }
    streamed = {row: direct.pop(row) for row, _ in routes.writes if streams[1] and row in direct}
    writes = [move for move in writes if move[0][0] not in streamed]
    loads = _moves(reads, direct, ndim, _load_mode)
    stores = _moves(writes, direct, ndim, lambda slot, strides: int(slot.accumulate))
    sums, lines = ([_contiguous(*move) for move in part] for part in (routes.sums, streamed.items()))
    rows = [_row(direct.get(row)) for row in range(launch.rows)]
    header = np.zeros(d.HEADER + ndim - 1, np.int64)
    header[d.BODY], header[d.PROLOGUE] = kernel.address, prologue.address if prologue else 0
    header[d.BODY_ROW] = prologue.rows - prologue.results if prologue else 0
    header[d.COUNT], header[d.NDIM], header[d.WIDTH] = math.prod(sizes), ndim, kernel.width
    header[d.ITEMSIZE], header[d.BLOCK_STREAMS] = itemsize, streams[0]
    header[d.BLOCK_BYTES] = _room(launch.blocks)
    header[d.SHAPE : d.SHAPE + ndim] = sizes
    blocks = [_block(moves, ndim, lambda slot, strides: 0) for moves in launch.blocks]
    gathers = [_block(moves, ndim, _load_mode) for moves in launch.gathers]
    contiguous = (d.SUMS, sums), (d.STREAMS, lines), (d.BLOCKS, blocks), (d.GATHERS, gathers)
    return _concatenate(header, ((d.ROWS, rows), (d.LOADS, loads), (d.STORES, stores), *contiguous))


def _blocks(moves, dtype):
    """The moves that together meet contiguous memory, an element after another: one list for each block; and all others."""
    together, blocks = defaultdict(list), []
    for move in moves:
        slot, strides = move[0][1], move[1]
        if slot.dtype == dtype and not slot.accumulate and not slot.padded and len(strides) == 1:
            together[slot.array, slot.seed_stride, strides[0]].append(move)
    for (_, _, stride), members in together.items():
        members.sort(key=lambda move: move[0][1].offset)
        first = members[0][0][1].offset
        if len(members) > 1 and [m[0][1].offset for m in members] == list(range(first, first + stride, dtype.itemsize)):
            blocks.append(members)
    taken = {id(move) for members in blocks for move in members}
    return blocks, [move for move in moves if id(move) not in taken]


def _room(blocks):
    """Bytes for the part of a block that is gathered at a time: a narrow one may need more than a wide one."""
    return max((block_bytes(len(moves)) for moves in blocks), default=0)


def _block(moves, ndim, mode):
    """Fields of a block: the number of its moves, and these."""
    return [len(moves), *(field for _, fields in _moves(moves, {}, ndim, mode) for field in fields)]


def _concatenate(header, sections):
    """Lay the sections behind the header and note there where they start and what they hold."""
    position, flat = header.size, []
    for place, section in sections:
        header[place] = position
        if place in (d.LOADS, d.STORES):
            header[place + 1] = sum(not is_direct for is_direct, _ in section)
            header[place + 2] = len(section)
            section = [fields for _, fields in sorted(section, key=lambda move: move[0])]
        else:
            header[place + 1] = len(section)
        flat += [field for fields in section for field in fields]
        position = header.size + len(flat)
    return np.concatenate([header, np.array(flat, np.int64)])


def _contiguous(row, slot):
    """Fields of a sum or a stream."""
    return [row, slot.array, slot.offset, slot.seed_stride or 0, 0]


def _row(slot):
    if slot is None:
        return [-1, 0, 0, 0]
    return [slot.array, slot.offset, slot.seed_stride or 0, int(slot.padded)]


def _moves(moves, direct, ndim, mode):
    """Fields of loads or stores, each with whether a full tile can do without it."""
    result = []
    for (row, slot), strides in moves:
        if slot.padded and row in direct:
            continue
        fields = [row, slot.array, slot.offset, slot.seed_stride or 0, mode(slot, strides), *strides[:ndim]]
        result.append((row in direct, fields))
    return result


def _load_mode(slot, strides):
    flags = (d.PER_SEED if slot.seed_stride is not None else 0) | (d.UNIFORM if not any(strides) else 0)
    return CODES[slot.dtype] << d.MODE_SHIFT | flags
