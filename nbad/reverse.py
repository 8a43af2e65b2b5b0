"""The reverse sweep: where each cotangent goes, and the sums over broadcast axes after the launch."""

import math
from dataclasses import replace

import numpy as np

from nbad import pool
from nbad.broadcast import contiguous_strides
from nbad.dispatch import array_slots, launch_for, numbered, residual_slots
from nbad.launch import Launch, Routes, Slot
from nbad.reduction import add_blocks, sum_to
from nbad.tiles import TILE


def is_repeated(own, shape):
    """Whether an argument of batch shape `own` is used by several elements of `shape`."""
    return math.prod(own) != math.prod(shape)


class Reverse:
    """The reverse sweeps of one pullback.

    `batches` are the argument shapes without core dimensions. A cotangent of an argument that is not repeated is written in
    place; that of a wholly repeated one leaves a sum for each block; any other is written in full and summed afterwards.
    """

    def __init__(self, program, plan, arguments, batches, shape, dtype):
        self.program, self.plan, self.arguments = program, plan, arguments
        self.batches, self.shape, self.dtype = batches, shape, dtype

    def __call__(self, rows, seeds, results, count, accumulate, at_once):
        """Fill `results`, one array per argument, from the residual rows and the seed arrays.

        `count` is None for a single seed without a leading axis; `at_once` is how many seeds may have temporaries at a time.
        """
        for low in range(0, count or 1, at_once or count or 1):
            part = slice(low, low + at_once if at_once else None)
            given = seeds if count is None else [seed[part] if seed.ndim else seed for seed in seeds]
            taken = results if count is None else [result[part] for result in results]
            self._sweep(rows, given, taken, count is not None, accumulate)

    @property
    def temporary_bytes(self):
        """Bytes of the temporaries of one seed."""
        return sum(self._temporary_bytes(k) for k in range(len(self.arguments)))

    def _temporary_bytes(self, k):
        own, values, elements = self.batches[k], math.prod(self.program.cores[self.arguments[k]]), math.prod(self.shape)
        if not is_repeated(own, self.shape):
            return 0
        return 8 * values * -(-elements // TILE) if math.prod(own) == 1 else self.dtype.itemsize * values * elements

    def _sweep(self, rows, seeds, results, batched, accumulate):
        n_seeds = results[0].shape[0] if batched and results else 1
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
        prologue = self.program.prologue(self.plan, self.dtype)
        residuals, given = residual_slots(0, rows, self.shape), []
        for k, (seed, core) in enumerate(zip(seeds, self.program.leaves, strict=True), 1):
            given += self._seed_slots(k, seed, core, batched)
        first = len(residuals) + (prologue.results if prologue else 0)
        row, writes, sums = first + len(given), [], []
        for k, temporary in enumerate(temporaries):
            slots = self._result_slots(k, 1 + len(seeds) + k, results[k], temporary, batched)
            if accumulate and temporary is results[k]:
                slots = [replace(slot, accumulate=True) for slot in slots]
            target = sums if temporary is not results[k] and math.prod(self.batches[k]) == 1 else writes
            target += numbered(slots, row)
            row += len(slots)
        routes = Routes(numbered(residuals) + numbered(given, first), tuple(writes), tuple(sums))
        return Launch(self.program.reverse(self.plan, self.dtype), self.shape, routes, prologue)

    def _seed_slots(self, number, seed, core, batched):
        """Slots of one seed leaf; a scalar stands for all its values."""
        if seed.ndim == 0:
            return [Slot(number, seed.dtype, (0,) * len(self.shape), 0)] * math.prod(core)
        step = seed.strides[0] if batched else None
        body = seed[0, ...] if batched else seed
        return array_slots(number, body, core, self.shape, step)

    def _result_slots(self, k, number, result, temporary, batched):
        core = self.program.cores[self.arguments[k]]
        if temporary is not result:
            strides = contiguous_strides(self.shape, self.dtype.itemsize)
            step, width = temporary.strides[:2]
            return [Slot(number, self.dtype, strides, v * width, step) for v in range(math.prod(core))]
        step = result.strides[0] if batched else 0
        body = result[0, ...] if batched else result
        return array_slots(number, body, core, self.shape, step)

    def _finish(self, k, result, temporary, accumulate):
        """Sum a temporary to the argument's shape."""
        own, core = self.batches[k], self.program.cores[self.arguments[k]]
        with np.errstate(all="ignore"):  # as in the launch: infinities and overflow are values
            self._sum(own, core, result, temporary, accumulate)

    def _sum(self, own, core, result, temporary, accumulate):
        rows = temporary.reshape(temporary.shape[0] * temporary.shape[1], temporary.shape[2])
        if math.prod(own) == 1:
            totals = add_blocks(rows)
        else:
            totals = sum_to(rows, self.shape, own)
        totals = np.moveaxis(totals.reshape(-1, *core, *own), range(1, 1 + len(core)), range(-len(core), 0)) if core else totals
        totals = totals.reshape(result.shape)
        result[...] = result + totals if accumulate else totals

