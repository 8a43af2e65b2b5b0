"""A launch as the array of int64 that the worker reads; `nbad.native.worker` states what each section means."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from nbad.codegen.compile import TileKernel, reads_beside
from nbad.codegen.host import LINE
from nbad.native import launch_table as d
from nbad.native.convert import CODES
from nbad.runtime.strides import Shape, contiguous_strides

PART = 32  # elements


class Places(NamedTuple):
    """An index that says for each element how many pitches of bytes its value lies away: its array, its strides, its start."""

    array: int
    strides: Shape
    pitch: int
    offset: int = 0


class Slot(NamedTuple):
    """One row's place in an array, or that of rows in lines.

    `strides` are in bytes, one per dimension of the element space. `seed_stride` is None where nothing depends on the seed.
    `padded` memory is ours, contiguous in some order of the axes, and may be written up to the next multiple of a tile.
    `accumulate` adds to what is there. Where an index has `places`, they add to what the strides say. So many rows in `lines` are
    one; 0 where it is a row alone. A row that is a sum leaves one float64 per block of 256 elements.
    """

    array: int
    dtype: np.dtype
    strides: Shape
    offset: int = 0
    seed_stride: int | None = None
    padded: bool = False
    accumulate: bool = False
    places: Places | None = None
    lines: int = 0
    is_sum: bool = False

    @property
    def walks(self) -> list[Shape]:
        """The strides by which it is walked: its own, and those of its index."""
        return [self.strides] if self.places is None else [self.strides, self.places.strides]

    @property
    def is_uniform(self) -> bool:
        """Whether all elements have the same value."""
        return not any(map(any, self.walks))

    @property
    def values(self) -> int:
        """How many values of an element are there."""
        return max(self.lines, 1)

    @property
    def nbytes(self) -> int:
        """Bytes of an element that are there; none of its own has what is one value for all."""
        return 0 if self.is_uniform else self.dtype.itemsize * self.values

    def at(self, element: Shape) -> "list[Slot]":
        """The slots of one element, one for each value."""
        ahead, *by_index = [sum(i * stride for i, stride in zip(element, own, strict=True)) for own in self.walks]
        places = self.places and self.places._replace(strides=(), offset=self.places.offset + by_index[0])
        start = self.offset + ahead + ahead // LINE * (self.values - 1) * LINE
        slot = self._replace(strides=(), padded=False, places=places, lines=0)
        return [slot._replace(offset=start + k * LINE) for k in range(self.values)]

    def repeated(self, dimensions: int) -> "Slot":
        """The slot of one element, for as many dimensions of elements, all of which have its value."""
        none = (0,) * dimensions
        return self._replace(strides=none, places=self.places and self.places._replace(strides=none))


Numbered = tuple[tuple[int, Slot], ...]  # slots with the numbers of their rows


class Move(NamedTuple):
    """A row, its slot, and the strides of that and of its index over the collapsed dimensions."""

    row: int
    slot: Slot
    strides: list[int]
    places: list[int] | None = None


class Moves(NamedTuple):
    """Moves one by one, and those that together meet contiguous memory, an element after another: a list for each block.

    The rows of a block are one, which the kernel itself reads or fills. `gathers` are loads that may be staged together, and
    `indexed` those by an index, in lists of neighbours.
    """

    single: list[Move]
    blocks: list[list[Move]]
    gathers: Sequence[list[Move]] = ()
    indexed: Sequence[list[Move]] = ()

    def placed(self, places: dict[int, int]) -> "Moves":
        """The same of rows that are numbered anew."""

        def anew(moves: list[Move]) -> list[Move]:
            return [move._replace(row=places.get(move.row, move.row)) for move in moves]

        return Moves(anew(self.single), *(list(map(anew, groups)) for groups in (self.blocks, self.gathers, self.indexed)))


class Kernels(NamedTuple):
    """The kernel of a tile and a seed, and the one that runs before it, once for each tile."""

    body: TileKernel
    prologue: TileKernel | None

    @property
    def first_row(self) -> int:
        """The row at which the body's begin: its inputs are the prologue's results."""
        return self.prologue.rows - self.prologue.results if self.prologue else 0


def arranged(reads: list[Move], writes: list[Move], sizes: list[int], kernels: Kernels) -> tuple[Moves, Moves]:
    """Find what is loaded or stored together; the body reads blocks itself whose rows are its own, behind the prologue's."""
    dtype, first = kernels.body.dtype, kernels.prologue.rows if kernels.prologue else 0
    others = [move for move in reads if move.places is None]
    blocks = [b for b in _blocks_of(others, sizes, dtype) if reads_beside(len(b), dtype) and _is_read(b, first)]
    others = _without(others, blocks)
    gathers = _blocks_of(others, sizes, dtype) if len(sizes) > 1 else _alike_strides(others, dtype)
    indexed = _neighbours([move for move in reads if move.places is not None], dtype)
    stored = _blocks_of(writes, sizes, dtype)
    return Moves(_without(others, gathers), blocks, gathers, indexed), Moves(_without(writes, stored), stored)


def _blocks_of(moves: list[Move], sizes: list[int], dtype: np.dtype) -> list[list[Move]]:
    """Moves that together meet contiguous memory."""
    moves = [m for m in moves if m.slot.dtype == dtype and not m.slot.accumulate and not m.slot.padded]
    alike = _together(moves, lambda move: (move.slot.array, move.slot.seed_stride, *move.strides))
    runs = [run for members in alike for run in _runs(members, dtype.itemsize) if len(run) > 1]
    return [run for run in runs if _is_run(run[0].strides, sizes, len(run) * dtype.itemsize)]


def _is_run(strides: Sequence[int], sizes: Sequence[int], nbytes: int) -> bool:
    """Whether items of so many bytes lie one behind the other, over all axes: other rows may be broadcast along some."""
    return math.prod(sizes) == 1 or tuple(strides) == contiguous_strides(tuple(sizes), nbytes)


def _is_read(block: list[Move], first: int) -> bool:
    """Whether its rows follow one another, as the inputs of a kernel do."""
    start = block[0].row
    return start >= first and [move.row for move in block] == list(range(start, start + len(block)))


def _alike_strides(moves: list[Move], dtype: np.dtype) -> list[list[Move]]:
    """Loads that may read neighbours: those of a vector argument, and of arguments with the same strides.

    Whether these are columns of one array the addresses tell, which are another call's another time.
    """
    moves = [m for m in moves if m.slot.dtype == dtype and not m.slot.padded and m.strides[0] not in (0, dtype.itemsize)]
    alike = _together(moves, lambda move: (move.slot.seed_stride, *move.strides))
    return [sorted(members, key=lambda move: (move.slot.array, move.slot.offset)) for members in alike if len(members) > 1]


def _neighbours(moves: list[Move], dtype: np.dtype) -> list[list[Move]]:
    """Loads by an index: those of neighbours together, where nothing is converted."""

    def key(move: Move) -> Hashable:
        slot, alone = move.slot, () if move.slot.dtype == dtype else (move.row,)
        return slot.array, slot.seed_stride, slot.places, *move.strides, *alone

    return [run for members in _together(moves, key) for run in _runs(members, dtype.itemsize)]


def _together(moves: list[Move], key: Callable[[Move], Hashable]) -> Iterable[list[Move]]:
    """Moves of the same key."""
    found: dict[Hashable, list[Move]] = defaultdict(list)
    for move in moves:
        found[key(move)].append(move)
    return found.values()


def _without(moves: list[Move], groups: Iterable[list[Move]]) -> list[Move]:
    """The moves that are in no group."""
    taken = {id(move) for members in groups for move in members}
    return [move for move in moves if id(move) not in taken]


def _runs(moves: list[Move], step: int) -> list[list[Move]]:
    """Moves that meet neighbours in memory, in order: several seeds at once leave a gap from one to the next."""
    runs: list[list[Move]] = []
    for move in sorted(moves, key=lambda move: move.slot.offset):
        if runs and move.slot.offset == runs[-1][-1].slot.offset + step:
            runs[-1].append(move)
        else:
            runs.append([move])
    return runs


class Table(NamedTuple):
    """What a launch is.

    `sums` are rows that leave one float64 per block of 256 elements; the first tile is shorter by `lead` elements.
    """

    kernels: Kernels
    sizes: list[int]
    loads: Moves
    stores: Moves
    sums: Numbered
    lead: int = 0

    def in_blocks(self) -> "Table":
        """The same with a body that reads and fills the blocks itself."""
        blocks = [*self.loads.blocks, *self.stores.blocks]
        if not blocks:
            return self
        (kernel, _), first_row = self.kernels, self.kernels.first_row
        together = {move.row: tuple([other.row for other in block]) for block in blocks for move in block}

        def groups(start: int, number: int) -> list[tuple[int, ...]]:
            """Rows, those of which become one together."""
            return list(dict.fromkeys([together.get(row, (row,)) for row in range(start, start + number)]))

        first = first_row + len(kernel.reads)
        inputs, results = groups(first_row, len(kernel.reads)), groups(first, kernel.results)
        places = {row: place for place, rows in enumerate([*inputs, *results], first_row) for row in rows}
        widths = [sum(kernel.widths[row - first] for row in rows) for rows in results]
        outputs = tuple([k for rows in results for row in rows for k in kernel.outputs_of(row - first)])
        kernels = self.kernels._replace(body=kernel.beside(widths, outputs).reading(map(len, inputs)))
        sums = tuple((places[row], slot) for row, slot in self.sums)
        return Table(kernels, self.sizes, self.loads.placed(places), self.stores.placed(places), sums)

    @property
    def rows(self) -> int:
        """How many rows of scratch there are; the last one is for addresses, where there are loads by an index."""
        return self.kernels.body.rows + self.kernels.first_row + bool(self.loads.indexed)

    def pack(self, blocks_stream: bool) -> np.ndarray:
        """The header, and behind it the sections; blocks of results may pass the caches."""
        kernel, prologue = self.kernels
        itemsize, ndim = kernel.dtype.itemsize, len(self.sizes)
        direct, blocks = self.in_place(), _blocks([*self.stores.blocks, *self.loads.blocks])
        loads, stores = (_needed(side.single, direct) for side in (self.loads, self.stores))
        sections = {
            d.ROWS: [_row(direct.get(row)) for row in range(self.rows)],
            d.LOADS: [[*_place(m.row, m.slot), _load_mode(m), *m.strides] for m in loads],
            d.STORES: [[*_place(m.row, m.slot), m.slot.accumulate, *m.strides] for m in stores],
            d.SUMS: [[*_place(row, slot), 0] for row, slot in self.sums],
            d.BLOCKS: blocks[: len(self.stores.blocks)],
            d.READS: blocks[len(self.stores.blocks) :],
            d.GATHERS: [_gather(moves) for moves in self.loads.gathers],
            d.INDEXED: [_indexed(moves, self.rows - 1) for moves in self.loads.indexed],
        }
        header = np.zeros(d.HEADER + ndim - 1, np.int64)
        header[d.STAGED_LOADS], header[d.STAGED_STORES] = (sum(m.row not in direct for m in side) for side in (loads, stores))
        header[d.BODY], header[d.PROLOGUE] = kernel.address, prologue.address if prologue else 0
        header[d.BODY_ROW], header[d.BLOCK_STREAMS], header[d.PART] = self.kernels.first_row, blocks_stream, self.part
        header[d.BLOCK_BYTES], header[d.LEAD] = self.block_bytes, self.lead
        header[d.COUNT], header[d.NDIM] = math.prod(self.sizes), ndim
        header[d.WIDTH], header[d.ITEMSIZE] = self.width, itemsize
        found = {*direct, *(moves[0].row for moves in (*self.stores.blocks, *self.loads.blocks))}
        header[d.ALL_DIRECT] = len(found) == self.rows  # what is staged or summed, or that nobody wants, has a row of scratch
        header[d.SHAPE : d.SHAPE + ndim] = self.sizes
        return _concatenated(header, sections)

    @property
    def part(self) -> int:
        """How many elements of a block are computed at a time where it is not in place: they stay in the first cache."""
        return max(PART, self.width)

    @property
    def width(self) -> int:
        """Elements in the longest vector of its kernels."""
        return max(kernel.width for kernel in self.kernels if kernel)

    @property
    def block_bytes(self) -> int:
        """Room for such parts of all blocks."""
        return self.part * sum(map(len, (*self.stores.blocks, *self.loads.blocks))) * self.kernels.body.dtype.itemsize

    @property
    def may_stream(self) -> bool:
        """Whether every result of the kernel is a row in place, and nothing is summed."""
        direct, stores = self.in_place(), self.stores.single
        if any(move.slot.lines for move in (*self.loads.single, *stores)):
            return False  # their tiles begin with a line of theirs, which one of the results need not do
        are_rows = all(move.row in direct for move in stores)
        return are_rows and len(stores) == self.kernels.body.results and not self.sums

    def streaming(self, lead: int) -> "Table":
        """The same launch with results that pass the caches, from the first whole cache line on."""
        # tiles do not end where padding would be
        loads, stores = (m._replace(single=[_unpadded(move) for move in m.single]) for m in (self.loads, self.stores))
        kernels = self.kernels._replace(body=self.kernels.body.past_caches())
        return self._replace(kernels=kernels, loads=loads, stores=stores, lead=lead)

    def in_place(self) -> dict[int, Slot]:
        """The rows that the kernel may read or write where they are."""
        dtype = self.kernels.body.dtype
        plain = [m for m in (*self.loads.single, *self.stores.single) if m.slot.dtype == dtype and not m.slot.accumulate]
        return {move.row: move.slot for move in plain if _is_run(move.strides, self.sizes, dtype.itemsize)}


def _unpadded(move: Move) -> Move:
    return move._replace(slot=move.slot._replace(padded=False))


def _concatenated(header: np.ndarray, sections: dict[int, list[list[int]]]) -> np.ndarray:
    """Lay the sections behind the header and note there where they start and what they hold."""
    flat: list[int] = []
    for place, section in sections.items():
        header[place], header[place + 1] = header.size + len(flat), len(section)
        flat += [field for fields in section for field in fields]
    return np.concatenate([header, np.array(flat, np.int64)])


def _blocks(blocks: list[list[Move]]) -> list[list[int]]:
    """Fields of the blocks."""
    before = accumulate(map(len, blocks), initial=0)
    return [[*_place(moves[0].row, moves[0].slot), columns, len(moves)] for moves, columns in zip(blocks, before, strict=False)]


def _place(row: int, slot: Slot) -> list[int]:
    return [row, slot.array, slot.offset, slot.seed_stride or 0]


def _row(slot: Slot | None) -> list[int]:
    if slot is None:
        return [-1, 0, 0, 0, 1]
    return [slot.array, slot.offset, slot.seed_stride or 0, int(slot.padded), slot.values]


def _needed(moves: list[Move], direct: dict[int, Slot]) -> list[Move]:
    """All but padded memory in place, which needs no move; what a full tile needs, too, comes first."""
    needed = [move for move in moves if not (move.slot.padded and move.row in direct)]
    return sorted(needed, key=lambda move: move.row in direct)


def _gather(moves: list[Move]) -> list[int]:
    """Fields of a gather."""
    rest = [field for move in moves for field in (*_place(move.row, move.slot), _load_mode(move), *move.strides)]
    return [d.G_SIZE + len(rest), len(moves), moves[0].strides[-1], *rest]


def _indexed(moves: list[Move], row: int) -> list[int]:
    """Fields of loads of neighbours by an index; `row` is scratch for the address of each element."""
    slot, strides, places = moves[0].slot, moves[0].strides, moves[0].places
    assert slot.places is not None
    assert places is not None
    rest = [*places, *strides, *(field for move in moves for field in (*_place(move.row, move.slot), _load_mode(move)))]
    return [d.X_SIZE + len(rest), len(moves), row, slot.places.array, slot.places.offset, slot.places.pitch, *rest]


def _load_mode(move: Move) -> int:
    flags = (d.PER_SEED if move.slot.seed_stride is not None else 0) | (d.UNIFORM if not any(move.strides) else 0)
    return CODES[move.slot.dtype] << d.MODE_SHIFT | flags
