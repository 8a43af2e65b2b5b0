"""Run the compiled kernels of a program on arrays: results, residuals, cotangents, Jacobians.

Every function here analyses a combination of shapes, strides and dtypes once, and remembers the packed launch in the program.
"""

import math
from dataclasses import replace

import numpy as np

from nbad import pool
from nbad.broadcast import DOUBLE, contiguous_strides, core_offsets, strides_over
from nbad.tiles import TILE
from nbad.launch import Launch, Routes, Slot
from nbad.reduction import add_blocks, sum_to

ROW_GAP = 64  # residual rows a multiple of 4096 bytes apart would share cache sets


def scalars(arrays):
    """Results as users get them: 0-d arrays become NumPy scalars."""
    return [a[()] if a.ndim == 0 else a for a in arrays]


def launch_for(program, tag, arrays, build):
    """The packed launch of these shapes, strides and dtypes, built at the first meeting."""
    key = (tag, *[(a.shape, a.strides, a.dtype) for a in arrays])
    launch = program.launches.get(key)
    if launch is None:
        if len(program.launches) > 1000:
            program.launches.clear()
        launch = program.launches[key] = build()
    return launch


def array_slots(number, array, core, shape, seed_stride=None):
    """One slot for each core value of an array."""
    strides = strides_over(array, len(core), shape)
    return [Slot(number, array.dtype, strides, offset, seed_stride) for offset in core_offsets(array.strides, core)]


def numbered(slots, start=0):
    """Slots with the numbers of their rows."""
    return tuple(enumerate(slots, start))


def input_slots(program, operands):
    """The slots of all arguments, in the order of the kernel's inputs."""
    each = (array_slots(k, a, c, operands.shape) for k, (a, c) in enumerate(zip(operands.arrays, program.cores, strict=True)))
    return [slot for slots in each for slot in slots]


def new_leaves(program, operands):
    """Fresh arrays for the outputs."""
    return [pool.empty((*operands.shape, *core), operands.dtype) for core in program.leaves]


def leaf_slots(program, leaves, shape, first):
    """The slots of the outputs; their arrays are numbered from `first`."""
    each = (array_slots(first + k, a, c, shape) for k, (a, c) in enumerate(zip(leaves, program.leaves, strict=True)))
    return [slot for slots in each for slot in slots]


def value(program, operands, leaves):
    """Compute the outputs into `leaves`."""
    arrays = [*operands.arrays, *leaves]

    def build():
        reads = input_slots(program, operands)
        writes = leaf_slots(program, leaves, operands.shape, len(operands.arrays))
        routes = Routes(numbered(reads), numbered(writes, len(reads)))
        return Launch(program.value(operands.dtype), operands.shape, routes)

    launch_for(program, (value, operands.dtype), arrays, build)(arrays)


def residual_rows(count, shape, dtype):
    """The residual buffer: one padded row for each residual."""
    elements = math.prod(shape)
    pitch = -(-elements // TILE) * TILE
    if pitch * dtype.itemsize % 4096 == 0:
        pitch += ROW_GAP // dtype.itemsize
    return pool.empty((count, pitch), dtype)


def residual_slots(number, rows, shape):
    """The slots of the residual buffer's rows."""
    strides = contiguous_strides(shape, rows.itemsize)
    return [Slot(number, rows.dtype, strides, k * rows.strides[0], padded=True) for k in range(rows.shape[0])]


def forward(program, plan, operands, leaves, rows):
    """Compute the outputs into `leaves` and the residuals into `rows`."""
    arrays = [*operands.arrays, *leaves, rows]

    def build():
        reads = input_slots(program, operands)
        writes = leaf_slots(program, leaves, operands.shape, len(operands.arrays))
        writes += residual_slots(len(arrays) - 1, rows, operands.shape)
        routes = Routes(numbered(reads), numbered(writes, len(reads)))
        return Launch(program.forward(plan, operands.dtype), operands.shape, routes)

    launch_for(program, (forward, plan.wrt, plan.policy, operands.dtype), arrays, build)(arrays)


def jacobian(program, plan, operands, leaves, blocks):
    """Compute the outputs into `leaves`, if there are any, and the Jacobian into `blocks` of shape (*B, M, N)."""
    kernel = program.forward(plan, operands.dtype)
    constants = np.array([0.0, *(e.constant for e in plan.entries if e.residual is None)], operands.dtype)
    arrays = [*operands.arrays, *leaves, blocks, constants]

    def build():
        reads = input_slots(program, operands)
        writes = leaf_slots(program, leaves, operands.shape, len(operands.arrays)) if leaves else []
        entries = _entry_rows(plan, len(reads), len(reads) + plan.outputs + len(plan.residuals))
        nothing = (0,) * len(operands.shape)
        fixed = [Slot(len(arrays) - 1, constants.dtype, nothing, k * constants.itemsize) for k in range(constants.size)]
        reads = numbered(reads) + numbered(fixed, len(reads) + plan.outputs + len(plan.residuals))
        writes = numbered(writes, len(program.graph.inputs))
        targets = array_slots(len(arrays) - 2, blocks, blocks.shape[-2:], operands.shape)
        return Launch(kernel, operands.shape, Routes(reads, (*writes, *zip(entries, targets, strict=True))))

    tag = (jacobian, plan.wrt, plan.policy, bool(leaves), operands.dtype)
    launch_for(program, tag, arrays, build)(arrays)


def _entry_rows(plan, first, fixed):
    """The scratch row of every entry of the full Jacobian, in C order; row `fixed` holds 0, those behind it the constants."""
    rows = {}
    constants = iter(range(fixed + 1, fixed + 1 + len(plan.entries)))
    for e in plan.entries:
        rows[e.output, e.input] = next(constants) if e.residual is None else first + plan.outputs + e.residual
    return [rows.get((m, n), fixed) for m in range(plan.outputs) for n in plan.wrt]


def jvp(program, wrt, operands, tangents, leaves, dots):
    """Compute the outputs and the output tangents; `tangents` are arrays that broadcast as their primals do."""
    arrays = [*operands.arrays, *tangents, *leaves, *dots]

    def build():
        count, shape = len(operands.arrays), operands.shape
        reads = input_slots(program, operands)
        for k, (a, t) in enumerate(zip(_arguments_of(program, wrt), tangents, strict=True)):
            core = program.cores[a] if t.ndim else ()
            slots = array_slots(count + k, t, core, shape)
            reads += slots if t.ndim or not program.cores[a] else slots * len(program.slots[a])
        count += len(tangents)
        writes = leaf_slots(program, leaves, shape, count) + leaf_slots(program, dots, shape, count + len(leaves))
        return Launch(program.jvp(wrt, operands.dtype), shape, Routes(numbered(reads), numbered(writes, len(reads))))

    launch_for(program, (jvp, wrt, operands.dtype), arrays, build)(arrays)


def _arguments_of(program, wrt):
    """The arguments whose slots are differentiated."""
    return [k for k, slots in enumerate(program.slots) if slots and slots[0] in wrt]


def is_repeated(own, shape):
    """Whether an argument of batch shape `own` is used by several elements of `shape`."""
    return math.prod(own) != math.prod(shape)


class Reverse:
    """One reverse sweep: where each cotangent goes, and the sums over broadcast axes after the launch.

    `batches` are the argument shapes without core dimensions. A cotangent of an argument that is not repeated is written in
    place; that of a wholly repeated one leaves a sum for each block; any other is written in full and summed afterwards.
    """

    def __init__(self, program, plan, arguments, batches, shape, dtype):
        self.program, self.plan, self.arguments = program, plan, arguments
        self.batches, self.shape, self.dtype = batches, shape, dtype

    def __call__(self, rows, seeds, results, n_seeds, batched, accumulate):
        """Fill `results`, one array per argument, from the residual rows and the seed arrays."""
        temporaries = [self._temporary(k, result, n_seeds) for k, result in enumerate(results)]
        arrays = [rows, *seeds, *temporaries]
        tag = (Reverse, self.plan.wrt, self.plan.policy, self.dtype, self.shape, batched, accumulate, *self.batches)

        def build():
            return self._build(rows, seeds, results, temporaries, batched, accumulate)

        launch_for(self.program, tag, arrays, build)(arrays, n_seeds)
        for k, (result, temporary) in enumerate(zip(results, temporaries, strict=True)):
            if temporary is not result:
                self._finish(k, result, temporary, accumulate)

    def _temporary(self, k, result, n_seeds):
        """The result itself; or block sums; or full-size rows."""
        own, core = self.batches[k], self.program.cores[self.arguments[k]]
        if not is_repeated(own, self.shape):
            return result
        elements, values = math.prod(self.shape), math.prod(core)
        if math.prod(own) == 1:
            return np.empty((n_seeds, values, -(-elements // TILE)))
        return pool.empty((n_seeds, values, elements), self.dtype)

    def _build(self, rows, seeds, results, temporaries, batched, accumulate):
        reads = residual_slots(0, rows, self.shape)
        for k, (seed, core) in enumerate(zip(seeds, self.program.leaves, strict=True), 1):
            reads += self._seed_slots(k, seed, core, batched)
        row, writes, sums = len(reads), [], []
        for k, temporary in enumerate(temporaries):
            slots = self._result_slots(k, 1 + len(seeds) + k, results[k], temporary, batched)
            if accumulate and temporary is results[k]:
                slots = [replace(slot, accumulate=True) for slot in slots]
            target = sums if temporary is not results[k] and math.prod(self.batches[k]) == 1 else writes
            target += numbered(slots, row)
            row += len(slots)
        routes = Routes(numbered(reads), tuple(writes), tuple(sums))
        return Launch(self.program.reverse(self.plan, self.dtype), self.shape, routes)

    def _seed_slots(self, number, seed, core, batched):
        """Slots of one seed leaf; a scalar stands for all its values."""
        if seed.ndim == 0:
            return [Slot(number, seed.dtype, (0,) * len(self.shape), 0)] * math.prod(core)
        step = seed.strides[0] if batched else None
        body = seed[0] if batched else seed
        return array_slots(number, body, core, self.shape, step)

    def _result_slots(self, k, number, result, temporary, batched):
        core = self.program.cores[self.arguments[k]]
        if temporary is not result:
            strides = contiguous_strides(self.shape, self.dtype.itemsize)
            step, width = temporary.strides[:2]
            return [Slot(number, self.dtype, strides, v * width, step) for v in range(math.prod(core))]
        step = result.strides[0] if batched else 0
        body = result[0] if batched else result
        return array_slots(number, body, core, self.shape, step)

    def _finish(self, k, result, temporary, accumulate):
        """Sum a temporary to the argument's shape."""
        own, core = self.batches[k], self.program.cores[self.arguments[k]]
        rows = temporary.reshape(temporary.shape[0] * temporary.shape[1], temporary.shape[2])
        if math.prod(own) == 1:
            totals = add_blocks(rows)
        else:
            totals = sum_to(rows, self.shape, own)
        totals = np.moveaxis(totals.reshape(-1, *core, *own), range(1, 1 + len(core)), range(-len(core), 0)) if core else totals
        totals = totals.reshape(result.shape)
        result[...] = result + totals if accumulate else totals


__all__ = ["DOUBLE", "Reverse", "forward", "jacobian", "jvp", "new_leaves", "residual_rows", "scalars", "value"]
