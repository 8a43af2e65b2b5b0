"""The station of pullbacks: reverse sweeps in passes and slabs, where cotangents go, and sums over broadcast axes."""

import functools
import math
from typing import NamedTuple

import numpy as np

from nbad.codegen.host import LINE
from nbad.memo import MISSING, Memo
from nbad.native.launch_table import TILE
from nbad.plans.plan import are_lined
from nbad.runtime import memory, plain
from nbad.runtime.block_sums import add_blocks, sum_to
from nbad.runtime.failures import Given, Search, may_fail, noted
from nbad.runtime.launch import Launch, Routes, lead_of, leaves_caches, numbered, seeds_at_once, spread_from
from nbad.runtime.pack import Slot
from nbad.runtime.slabs import Region, Target, part_of
from nbad.runtime.strides import batch, contiguous_strides, put_rows, rows_between, whole_rows
from nbad.runtime.sweeps import blocks, residual_slots, row_length, tangent_slots

NEAR = 1 << 22  # bytes of cotangents that wait to be summed along some axes: with those of all seeds there are none in the caches


class Group(NamedTuple):
    """How many seeds are swept at once, whether seeds have an axis of their own, and whether cotangents are added to."""

    size: int
    is_batched: bool
    accumulates: bool

    def of(self, slots, k):
        """The slots of the seed number k of each group, from those of the first seed."""
        if self.size == 1:
            return slots
        return [
            s if s.seed_stride is None else s._replace(offset=s.offset + k * s.seed_stride, seed_stride=self.size * s.seed_stride)
            for s in slots
        ]


class Reverse:
    """From residual rows and seeds to cotangents: made once for a program, a plan, the differentiated arguments and a dtype."""

    def __init__(self, program, plan, arguments, dtype):
        self.program, self.plan, self.arguments, self.dtype = program, plan, arguments, dtype
        self.names, self.cores = [program.names[a] for a in arguments], [program.cores[a] for a in arguments]
        self._over, self._cases = Memo(), Memo()  # by shapes, of which there may be many: code is not forgotten with these
        self._plain = Memo()

    def _most(self, has_sums):
        """Elements beyond which nothing is a plain case, of one seed and of many, and no kernel is compiled for it."""
        of, given = plain.most_of_reverse, (self.plan, self.program.leaves, self.dtype)
        return self._plain(("most", has_sums), lambda: [of(*given, batched, has_sums) for batched in (False, True)])

    def _plain_case(self, shape, shapes, order, is_bounded):
        """The sweeps of few elements; None for all others, and where sums along axes are of vectors, or bounded in memory."""
        shared, elements = tuple(map(_shared, shapes, self.cores, [shape] * len(shapes))), math.prod(shape)
        along = [own if number is None else None for own, number in zip(shapes, shared, strict=True)]
        shared = tuple([number or 0 for number in shared])
        most, most_of_many = self._most(any(shared))
        is_simple = not (is_bounded or any(self.cores)) and self.dtype.itemsize == 8 and elements <= plain.COPIED
        if elements > most or (any(along) and not is_simple):
            return None
        are_few = elements <= most_of_many
        make = functools.partial(plain.reverse, self.program, self.plan, self.arguments, self.dtype, shared, order)
        case = self._plain((shared, are_few, order), lambda: plain.Map(make, are_few))
        if not any(along):
            return case
        region = Region.whole(shape)
        return plain.Map(lambda batched: _summing(case.many if batched else case.one, along, region), are_few)

    def over(self, shape, shapes, order=None):
        """The sweeps over an element space, for arguments of these shapes; `order` is that of the axes in rows."""
        return self._over((shape, shapes, order), lambda: self._sweeps(shape, shapes, order))

    def plain_case(self, *given):
        """That, which takes a third of a small `vjp` to tell, as it was told before."""
        case = self._cases.known.get(given, MISSING)
        return self._cases(given, lambda: self._plain_case(*given)) if case is MISSING else case

    def blocks(self, shape, order):
        """The sweep from residual rows to the blocks of the Jacobian over an element space."""
        return self._over((shape, "blocks", order), lambda: blocks(self.program, self.plan, shape, order, self.dtype))

    def plain_blocks(self, shape, order):
        """The same of few elements in one call, as `nbad.runtime.plain.blocks` says; None for all others."""
        if math.prod(shape) > self._most(False)[0]:
            return None
        return self._plain(order, lambda: plain.blocks(self.program, self.plan, self.dtype, order))

    def _sweeps(self, shape, shapes, order):
        targets, row = [], 0
        for argument, own in zip(self.arguments, shapes, strict=True):
            core = self.program.cores[argument]
            targets.append(Target.of(batch(own, len(core)), core, row, shape))
            row += targets[-1].values
        return ReverseSweeps(self.program, self.plan, targets, Region.whole(shape, order), self.dtype)


def _shared(own, core, shape):
    """0 where an argument has these elements; where all share it one more than its axes of length 1; None in other cases."""
    if own == shape + core:
        return 0
    axes = len(own) - len(core)
    return 1 + axes if own == (1,) * axes + core and axes <= len(shape) else None


def _summing(entry, along, region):
    """The entry, without `out`, where cotangents are summed along axes afterwards, to these shapes; all others have None."""

    def total(ct, own):
        lead, elements = ct.shape[: ct.ndim - len(region.shape)], region.elements
        is_sum = math.prod(own) != elements  # else it lacks axes of one element
        return (sum_to(ct.reshape(-1, elements), region, own) if is_sum else ct).reshape(lead + own)

    def call(*given):
        made = given[-1] is None and entry(*given)
        return made and tuple([ct if own is None else total(ct, own) for ct, own in zip(made, along, strict=True)])

    return call


def reverse_of(program, plan, arguments, dtype):
    """The station of a program's pullbacks."""
    key = "reverse of", plan.key, arguments, dtype
    return program.remember(key, lambda: Reverse(program, plan, arguments, dtype))


class ReverseSweeps:
    """The reverse sweeps of pullbacks of one plan, over a region of the elements and for some of the differentiated arguments.

    `result_bytes` and `temporary_bytes` are those of one seed.
    """

    def __init__(self, program, plan, targets, region, dtype):
        self.program, self.plan, self.targets, self.region, self.dtype = program, plan, tuple(targets), region, dtype
        self.leaf_shapes = [(*region.shape, *core) for core in program.leaves]
        self.result_bytes = dtype.itemsize * sum(math.prod(t.own) * t.values for t in self.targets)
        self.temporary_bytes = sum(t.temporary_bytes(region, dtype.itemsize) for t in self.targets)
        self._has_sums, self._has_partial = any(t.is_shared for t in self.targets), any(t.is_partial for t in self.targets)
        self._launches, self._parts = Memo(), Memo()

    def __call__(self, rows, seeds, results, count, accumulate, room):
        """Fill `results`, one array per target, from the residual rows and the seed arrays.

        `count` is None for a single seed without a leading axis; `room` is how many bytes temporaries may take at a time.
        """
        before = noted.value
        self.fill(rows, seeds, results, count, accumulate, room)
        if noted.value != before:
            self.find_failures(rows)

    def find_failures(self, rows):
        """Raise where partials of some element failed, and are asked to raise."""
        prologue, shape = self.plan.prologue, self.region.shape
        if self.program.errors == "raise" and prologue and (nodes := may_fail(prologue)):
            search = Search(self.program, ("prologue", *self.plan.key), prologue, nodes, self.dtype)
            search.check(Given(shape, residual_slots(0, rows, self.region.steps), 1), [rows])

    def fill(self, rows, seeds, results, count, accumulate, room):
        """The same, unwatched."""
        if count == 1:
            seeds, results = ([part_of(a, 0, 0) for a in arrays] for arrays in (seeds, results))
            return self.fill(rows, seeds, results, None, accumulate, room)
        at_once = self._at_once(count or 1, room)
        if count is None and not at_once:
            return self._sweep_in_slabs(rows, seeds, results, accumulate, room)
        if count is None or count <= at_once:
            return self.sweep(rows, seeds, results, count is not None, accumulate)
        for low in range(0, count, at_once or 1):
            part = slice(low, min(low + (at_once or 1), count))
            given, taken = ([part_of(a, 0, part) for a in arrays] for arrays in (seeds, results))
            self.fill(rows, given, taken, part.stop - low, accumulate, room)

    def _at_once(self, count, room):
        """How many of these seeds may be swept at a time; 0 where even one leaves too much, and is swept in slabs."""
        each = self.temporary_bytes
        if not each:
            return count
        return min(room // each, max(NEAR // each, 1)) if self._has_partial else room // each

    @property
    def least_bytes(self):
        """Bytes of temporaries without which no seed can be swept."""
        whole = sum(t.temporary_bytes(self.region, self.dtype.itemsize) for t in self.targets if not t.is_partial)
        return max([whole, *(self._slab_bytes(t) for t in self.targets if t.is_partial)])

    def temporaries(self, count, room):
        """Bytes that the temporaries of `count` seeds take at a time."""
        each, at_once = self.temporary_bytes, self._at_once(count, room)
        return min(count, at_once) * each if at_once else min(each, max(room, self.least_bytes))

    def _sweep_in_slabs(self, rows, seeds, results, accumulate, room):
        """A sweep of one seed: first all that is not written in full, then each other target, a slab of elements at a time."""
        if others := [k for k, target in enumerate(self.targets) if not target.is_partial]:
            self.of([self.targets[k] for k in others]).sweep(rows, seeds, [results[k] for k in others], False, accumulate)
        for target, result in zip(self.targets, results, strict=True):
            if target.is_partial:
                axis, many = target.axis(self.region), max(1, room // self._slab_bytes(target))
                for low in range(0, self.region.shape[axis], many):
                    part = slice(low, min(low + many, self.region.shape[axis]))
                    region, given = self.region.slab(axis, part), [part_of(seed, axis, part) for seed in seeds]
                    taken = part_of(result, axis - len(region.shape) + len(target.own), part)
                    self.of([target.cut(region, axis)], region).sweep(rows, given, [taken], False, accumulate)

    def _slab_bytes(self, target):
        """Bytes that an index along the axis of slabs takes: temporaries, and twice its residuals where these lie in lines."""
        count, size = len(self.plan.residuals), self.region.shape[target.axis(self.region)]
        index = target.temporary_bytes(self.region, self.dtype.itemsize) // size
        return index + 2 * count * index // target.values if are_lined(count) else index

    def of(self, targets, region=None):
        """The sweeps for these targets, over these elements."""
        key = tuple(targets), region or self.region
        return self._parts(key, lambda: ReverseSweeps(self.program, self.plan, *key, self.dtype))

    def sweep(self, rows, seeds, results, batched, accumulate):
        """One sweep of all these seeds, whatever memory it takes."""
        n_seeds = results[0].shape[0] if batched and results else 1
        named = zip(self.targets, results, strict=True)
        temporaries = [self._temporary(t, result, n_seeds) for t, result in named] if self._has_sums else results
        rows, steps = self._rows_of_region(rows)
        arrays, whole = [*seeds, *temporaries], slice(0, n_seeds)
        layout = *[(a.strides, a.dtype) for a in seeds], *[a.strides for a in (rows, *temporaries)]
        for at_once, part in self._passes(results, n_seeds, accumulate):
            group = Group(at_once, batched, accumulate)
            key = group, layout
            launch = self._launches.known.get(key) or self._launches(
                key, functools.partial(self._build, rows, steps, seeds, results, temporaries, group)
            )
            given = arrays if part == whole else [part_of(a, 0, part) for a in arrays]
            launch([rows, *given], (part.stop - part.start) // at_once)
        if self._has_sums:
            self._sum_up(results, temporaries, accumulate)

    def _passes(self, results, n_seeds, accumulate):
        """How many seeds each pass over the elements serves, and the part of the seeds that is swept so.

        Several at once read the partials once. Where results that pass the caches cannot begin at cache lines together, each
        seed's may: it is then a sweep of its own, unless all would compute the partials.
        """
        whole, nbytes = slice(0, n_seeds), self.result_bytes * n_seeds
        if n_seeds < 2 or accumulate or self._has_sums or nbytes < spread_from(len(results)):
            return [(1, whole)]
        if any(target.core for target in self.targets) or not all(map(_is_row, results)):
            return [(1, whole)]
        streams = leaves_caches(nbytes)
        if streams and lead_of(results, [a.strides[0] for a in results]) is None:
            if not self.plan.prologue and leaves_caches(self.result_bytes):
                return [(1, slice(k, k + 1)) for k in range(n_seeds)]
            streams = False
        at_once = min(n_seeds, seeds_at_once(len(results), streams))
        together = n_seeds // at_once * at_once
        parts = (at_once, slice(0, together)), (1, slice(together, n_seeds))
        return [(size, part) for size, part in parts if part.stop > part.start]

    def _sum_up(self, results, temporaries, accumulate):
        with np.errstate(all="ignore"):  # as in the launch: infinities and overflow are values
            for target, result, temporary in zip(self.targets, results, temporaries, strict=True):
                if temporary is not result:
                    totals = self._totals(target, temporary).reshape(result.shape)
                    result[...] = result + totals if accumulate else totals

    def _totals(self, target, temporary):
        """A temporary, summed over the axes that the argument lacks."""
        core, own = target.core, target.own
        rows = temporary.reshape(temporary.shape[0] * temporary.shape[1], temporary.shape[2])
        totals = sum_to(rows, self.region, own) if target.is_partial else add_blocks(rows)
        return np.moveaxis(totals.reshape(-1, *core, *own), range(1, 1 + len(core)), range(-len(core), 0)) if core else totals

    def _temporary(self, target, result, n_seeds):
        """The result itself; or block sums; or full-size rows."""
        if not target.is_shared:
            return result
        if target.is_partial:
            return memory.empty((n_seeds, target.values, self.region.elements), self.dtype, is_exact=True)
        return np.empty((n_seeds, target.values, -(-self.region.elements // TILE)))

    def _build(self, rows, steps, seeds, results, temporaries, group):
        residuals, prologue = residual_slots(0, rows, steps, padded=self.region.is_whole), None
        if group.is_batched:
            prologue = self.program.prologue(self.plan, self.dtype)
            kernel = self.program.reverse(self.plan, self.dtype, group.size)
        else:  # one for both: rows between them took up to half the time
            kernel = self.program.fused_reverse(self.plan, self.dtype)
        given: list[Slot] = []
        written: list[tuple[Target, list[Slot]]] = []
        for k, (seed, core) in enumerate(zip(seeds, self.program.leaves, strict=True), 1):
            given += tangent_slots(core, k, seed, self.region.shape, group.is_batched)
        for k, (target, temporary) in enumerate(zip(self.targets, temporaries, strict=True)):
            slots = self._result_slots(target, 1 + len(seeds) + k, results[k], temporary, group.is_batched)
            if group.accumulates and temporary is results[k]:
                slots = [slot._replace(accumulate=True) for slot in slots]
            written.append((target, slots))
        first = len(residuals) + (prologue.results if prologue else 0)
        reads = [slot for k in range(group.size) for slot in group.of(given, k)]
        row = first + len(reads)
        writes: list[tuple[int, Slot]] = []
        for k in range(group.size):
            for target, slots in written:
                writes += numbered(group.of(slots, k), row + target.row)
            row += len(self.plan.wrt)
        routes = Routes(numbered(residuals) + numbered(reads, first), tuple(writes))
        return Launch(kernel, self.region.shape, routes, prologue)

    def _rows_of_region(self, rows):
        """Rows that begin with the first element of the region, and the steps of its axes there.

        Of rows in lines it has its own, unless it is a run of lines.
        """
        region = self.region
        if region.is_whole:
            return rows, region.steps
        if not are_lined(len(rows)):
            return rows[:, region.start : region.start + 1], region.steps
        steps = contiguous_strides(region.shape, 1)
        if region.steps == steps and region.start * rows.itemsize % LINE == 0:
            return rows_between(rows, region.start, region.start + region.elements), steps
        own = memory.empty((len(rows), row_length(region.elements, self.dtype)), self.dtype, is_exact=True)
        put_rows(own, whole_rows(rows, region.numbers))
        return own, steps

    def _result_slots(self, target, number, result, temporary, batched):
        if temporary is not result:
            strides = contiguous_strides(self.region.shape, self.dtype.itemsize)
            step, width = temporary.strides[:2]
            is_sum = not target.is_partial
            return [Slot(number, self.dtype, strides, v * width, step, is_sum=is_sum) for v in range(target.values)]
        return tangent_slots(target.core, number, result, self.region.shape, batched)


def _is_row(result):
    """Whether the elements of each seed lie one behind the other, in some order of the axes."""
    if result.flags.carray:
        return True
    along = sorted(zip(result.strides[1:], result.shape[1:], strict=True), reverse=True)
    return tuple([step for step, _ in along]) == contiguous_strides(tuple([size for _, size in along]), result.itemsize)
