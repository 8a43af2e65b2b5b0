"""Pack one analysed call into the table of int64 that the worker reads, and run it.

A slot says how one row of a tile kernel meets an array: which array of the call, where in it, and how far apart neighbours along
each dimension of the element space lie. The packing is done once per combination of shapes, strides and dtypes.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nbad.codegen.compile import TileKernel
from nbad.codegen.host import LINE
from nbad.graphs.graph import Graph
from nbad.native.cpython import phase_of
from nbad.native.launch_table import worker_bytes
from nbad.plans.work import BYTES_PER_NS, FLOPS_PER_NS, WORD, Work, total
from nbad.runtime.pack import Kernels, Move, Numbered, Slot, Table, arranged
from nbad.runtime.strides import Shape, collapse, memory_order
from nbad.runtime.threads import Driver, threads_wanted

# Bytes of one thread's results beyond what the caches keep: stores that pass them by save reading every line first. With a last
# cache of 32 MiB, 8 seeds and 5 arguments they are twice as fast with 30 MiB, even with 17, and 1.5 times slower with 12. Two
# threads hide each other's waits, and fill the memory together: up to 20 MiB they store as ever.
STREAM_ABOVE = 1 << 24
# How many times as long as memory takes a kernel may compute and still store past the caches: one that computes for yet longer
# has its plain stores done meanwhile. Forward sweeps of Black-Scholes of 1e6, which compute for 1.4 times as long, are 1.5 to
# 2.4 times faster so.
BUSY = 4
# Results that a kernel of several seeds writes at most, into the caches and past them; into them each row costs more, and fewer
# than so many seeds do not pay. With 13 MiB 8 seeds of one result take 0.5 to 0.6 of the time so, of 2 results 0.8; of 3 and 4 as
# much on one thread, and 1.2 times as long on two; of 5 results 1.1 to 1.5 times.
ROWS_AT_ONCE, LEAST_AT_ONCE = (8, 40), 4


class Routes(NamedTuple):
    """Where the rows of a kernel come from and go to."""

    reads: Numbered
    writes: Numbered

    @classmethod
    def of(cls, graph: Graph, reads: Sequence[Slot], writes: Sequence[Slot]) -> "Routes":
        """Those of a kernel that reads its inputs in order, and whose last results go somewhere."""
        first = len(reads) + len(graph.outputs) - sum(slot.values for slot in writes)
        return cls(numbered(reads), numbered(writes, first))

    def in_lines(self, kernels: Kernels) -> Kernels:
        """The kernels for rows in lines: the first that is read, or the last result."""
        (kernel, prologue), (reads, writes) = kernels, self
        if reads and (number := reads[0][1].lines):
            reader = (prologue or kernel).in_lines("read", number)
            return Kernels(kernel, reader) if prologue else Kernels(reader, None)
        if writes and (number := writes[-1][1].lines):
            return Kernels(kernel.in_lines("written", number), prologue)
        return kernels


def numbered(slots: Sequence[Slot], start: int = 0) -> Numbered:
    """Slots with the numbers of their rows."""
    return tuple(enumerate(slots, start))


def flops(kernel: TileKernel | None) -> float:
    """Operations of a kernel for one element, in units of a float64 multiplication."""
    return total(kernel.graph) * kernel.dtype.itemsize / WORD if kernel else 0.0


def leaves_caches(nbytes: int) -> bool:
    """Whether so many bytes of results are better stored past the caches, by as many threads as are wanted."""
    return nbytes > STREAM_ABOVE and (nbytes > STREAM_ABOVE * 5 // 4 or threads_wanted() == 1)


def seeds_at_once(results: int, streams: bool) -> int:
    """How many seeds with so many rows of results one pass serves at most, past the caches or into them."""
    most = max(1, ROWS_AT_ONCE[streams] // max(1, results))
    return most if streams or most >= LEAST_AT_ONCE else 1


def spread_from(results: int) -> int:
    """Bytes of results from which on several seeds may be swept at once: below, the next seed finds the residuals in a cache."""
    return STREAM_ABOVE * 5 // 8 if seeds_at_once(results, streams=False) > 1 else STREAM_ABOVE


def lead_of(arrays: Iterable[np.ndarray], steps: Iterable[int], offset: int = 0) -> int | None:
    """How many elements a cache line has before rows so many bytes behind these arrays' begins, and at steps from there, begin.

    None where not all agree.

    Examples
    --------
    >>> a = np.zeros(80)
    >>> to_line = -a.ctypes.data % LINE // 8
    >>> lead_of([a[to_line:]], [640], 16), lead_of([a, a[1:]], [])
    (2, None)
    """
    array, *others = arrays
    phase = phase_of(array, *others)
    if phase < 0 or any(step % LINE for step in steps):
        return None
    lead, rest = divmod((phase + offset) % LINE, array.itemsize)
    return None if rest else lead


def _laid_out(kernels: Kernels, shape: Shape, routes: Routes) -> Table:
    """The table of a call: elements are walked as arrays lie in memory, and axes that all walk as one are one."""
    sums = tuple((row, slot) for row, slot in routes.writes if slot.is_sum)
    pairs = [*routes.reads, *((row, slot) for row, slot in routes.writes if not slot.is_sum)]
    slots = [slot for _, slot in pairs]
    own = [strides for slot in slots for strides in slot.walks]
    is_batched = any(slot.seed_stride is not None for slot in slots)
    # residuals are walked as they lie, in lines always; sums want elements in C order
    residuals = [slot.strides for slot in slots if slot.lines or (slot.padded and not is_batched)]
    order = None if sums or len(shape) < 2 else memory_order(residuals or own)
    sizes, strides = collapse(shape, own, order)
    walks = iter(strides)
    moves = [Move(row, slot, next(walks), next(walks) if slot.places else None) for row, slot in pairs]
    loads, stores = arranged(moves[: len(routes.reads)], moves[len(routes.reads) :], sizes, kernels)
    return Table(kernels, sizes, loads, stores, sums).in_blocks()


class Launch:
    """A packed call: give it the arrays, in the order that its slots number them, and it runs."""

    def __init__(self, kernel: TileKernel, shape: Shape, routes: Routes, prologue: TileKernel | None = None):
        self._table = table = _laid_out(routes.in_lines(Kernels(kernel, prologue)), shape, routes)
        reads, writes = ([slot for _, slot in side if not slot.is_sum] for side in routes)
        self.elements, (kernel, prologue) = math.prod(table.sizes), table.kernels
        at_once = max([len(writes), *map(len, (*table.loads.gathers, *table.loads.indexed))])
        self._scratch = worker_bytes(table.rows, at_once, table.block_bytes)
        moved = sum(slot.nbytes for slot in (*reads, *writes))
        computed, self._once = flops(kernel), flops(prologue) / FLOPS_PER_NS
        self._moves, self._computes = moved / BYTES_PER_NS, computed / FLOPS_PER_NS  # nanoseconds of an element and a seed
        self.nanoseconds = self.elements * (Work(moved, computed).cached_nanoseconds + self._once)
        self._written = self.elements * sum(slot.values for slot in writes) * kernel.dtype.itemsize
        results = writes if table.may_stream else []
        self._written_to, self._offsets = sorted({slot.array for slot in results}), {slot.offset % LINE for slot in results}
        self._steps = {slot.seed_stride or 0 for slot in results}
        self._drivers: dict[tuple[bool, int | None], Driver] = {}

    def __call__(self, arrays: Sequence[np.ndarray], n_seeds: int = 1) -> None:
        """Run over `n_seeds` seeds; every array is one that a slot names, in order."""
        if self.elements and n_seeds:
            is_big = leaves_caches(self._written * n_seeds)
            key = is_big, self._lead_past_caches(arrays, n_seeds) if is_big else None
            driver = self._drivers.get(key) or self._drivers.setdefault(key, self._new_driver(*key))
            driver(arrays, n_seeds)

    def packed(self) -> tuple[np.ndarray, int]:
        """The table for a worker that is called without Python, and the bytes of scratch that it needs."""
        return self._table.pack(leaves_caches(self._written)), self._scratch

    def _lead_past_caches(self, arrays: Sequence[np.ndarray], n_seeds: int) -> int | None:
        """What `lead_of` says where results pass the caches; None where they do not."""
        if len(self._offsets) != 1 or self._computes * n_seeds + self._once > BUSY * self._moves * n_seeds:
            return None
        return lead_of([arrays[k] for k in self._written_to], self._steps if n_seeds > 1 else (), *self._offsets)

    def _new_driver(self, is_big: bool, lead: int | None) -> Driver:
        table = self._table if lead is None else self._table.streaming(lead)
        return Driver(table.pack(is_big), self.elements + table.lead, self.nanoseconds, self._scratch)
