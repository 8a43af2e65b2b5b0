"""Run the compiled kernels of a program on arrays: results, residuals, cotangents, Jacobians.

Every function here analyses a combination of shapes, strides and dtypes once, and remembers the packed launch in the layout of
the arguments.
"""

import math

import numpy as np

from nbad.native.launch_table import TILE
from nbad.runtime import memory
from nbad.runtime.budget import require
from nbad.runtime.launch import Launch, Preceded, Routes, Slot
from nbad.runtime.strides import contiguous_strides, core_offsets, strides_over

MANY = 1 << 12  # elements from which it pays to compile uniform work apart
ROW_GAP = 64  # residual rows a multiple of 4096 bytes apart would share cache sets


def scalars(arrays):
    """Results as users get them: 0-d arrays become NumPy scalars."""
    return [a[()] if a.ndim == 0 else a for a in arrays]


def structured(program, leaves):
    """Results in the structure that the kernel returns."""
    results = scalars(leaves)
    return tuple(results) if program.is_tuple else results[0]


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
    layout = operands.layout
    nbytes = layout.dtype.itemsize * math.prod(layout.shape) * len(program.graph.outputs)
    require(program.call, nbytes, "out= with arrays of your own, or a part of the arguments at a time")
    return [memory.empty(shape, layout.dtype) for shape in layout.leaf_shapes]


def leaf_slots(program, leaves, shape, first):
    """The slots of the outputs; their arrays are numbered from `first`."""
    each = (array_slots(first + k, a, c, shape) for k, (a, c) in enumerate(zip(leaves, program.leaves, strict=True)))
    return [slot for slots in each for slot in slots]


def element_launch(program, key, graph, operands, routes, number):
    """The launch of a graph from inputs on; what broadcast scalars alone decide is computed once, before it.

    `number` is how many arrays the routes name; the uniform values are one more.
    """
    shape, dtype, inputs = operands.shape, operands.dtype, len(program.graph.inputs)
    uniform = [row for row, slot in routes.reads if row < inputs and not any(slot.strides)]
    parts = program.parts(key, graph, frozenset(uniform), dtype) if uniform and math.prod(shape) >= MANY else None
    if parts is None:
        return Launch(program.kernel(key, graph, dtype), shape, routes)
    head, body = parts
    own = [(row, slot._replace(strides=())) for row, slot in routes.reads if row in uniform]
    values = [Slot(number, dtype, (), k * dtype.itemsize) for k in range(head.results)]
    before = Launch(head, (), Routes(tuple(own), numbered(values, inputs)))
    given = numbered([v._replace(strides=(0,) * len(shape)) for v in values], inputs)
    reads, writes = (_behind(inputs, head.results, side) for side in (routes.reads, routes.writes))
    return Preceded(before, Launch(body, shape, Routes((*reads, *given), tuple(writes))), head.results)


def _behind(inputs, more, moves):
    """The same moves where `more` rows stand behind the inputs."""
    return [(row + more if row >= inputs else row, slot) for row, slot in moves]


def strides(arrays):
    """Strides of results: all that a launch must know of them beside the layout."""
    return [a.strides for a in arrays]


def value(program, operands, leaves):
    """Compute the outputs into `leaves`."""
    arrays = [*operands.arrays, *leaves]

    def build():
        reads = input_slots(program, operands)
        writes = leaf_slots(program, leaves, operands.shape, len(operands.arrays))
        routes = Routes(numbered(reads), numbered(writes, len(reads)))
        return element_launch(program, "value", program.simple, operands, routes, len(arrays))

    operands.layout.remember(("value", *strides(leaves)), build)(arrays)


def residual_rows(plan, operands, empty=memory.empty):
    """The residual buffer, which `empty` makes: one padded row for each residual."""
    layout = operands.layout
    pitch = layout.remember("pitch", lambda: row_length(math.prod(layout.shape), layout.dtype))
    return empty((len(plan.residuals), pitch), layout.dtype)


def row_length(elements, dtype):
    """Elements in a residual row, padding included."""
    pitch = -(-elements // TILE) * TILE
    return pitch + ROW_GAP // dtype.itemsize if pitch * dtype.itemsize % 4096 == 0 else pitch


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
        return element_launch(program, program.forward_key(plan), plan.forward, operands, routes, len(arrays))

    operands.layout.remember((program.forward_key(plan), *strides(leaves)), build)(arrays)


def jacobian(program, plan, operands, leaves, blocks):
    """Compute the outputs into `leaves`, if there are any, and the Jacobian into `blocks` of shape (*B, M, N)."""
    arrays = [*operands.arrays, *leaves, blocks]

    def build():
        constants = np.array([0.0, *(e.constant for e in plan.entries if e.partial is None)], operands.dtype)
        reads = input_slots(program, operands)
        writes = leaf_slots(program, leaves, operands.shape, len(operands.arrays)) if leaves else []
        entries = _entry_rows(plan, len(reads), len(reads) + plan.outputs + len(plan.residuals))
        nothing = (0,) * len(operands.shape)
        fixed = [Slot(len(arrays), constants.dtype, nothing, k * constants.itemsize) for k in range(constants.size)]
        reads = numbered(reads) + numbered(fixed, len(reads) + plan.outputs + len(plan.residuals))
        writes = numbered(writes, len(program.graph.inputs))
        targets = array_slots(len(arrays) - 1, blocks, blocks.shape[-2:], operands.shape)
        routes = Routes(reads, (*writes, *zip(entries, targets, strict=True)))
        return element_launch(program, program.forward_key(plan), plan.forward, operands, routes, len(arrays) + 1), constants

    key = "jacobian", program.forward_key(plan), blocks.strides, *strides(leaves)
    launch, constants = operands.layout.remember(key, build)
    launch([*arrays, constants])


def _entry_rows(plan, first, fixed):
    """The scratch row of every entry of the full Jacobian, in C order; row `fixed` holds 0, those behind it the constants."""
    rows = {}
    constants = iter(range(fixed + 1, fixed + 1 + len(plan.entries)))
    for e in plan.entries:
        rows[e.output, e.input] = next(constants) if e.partial is None else first + plan.outputs + e.partial
    return [rows.get((m, n), fixed) for m in range(plan.outputs) for n in plan.wrt]


def jvp(program, wrt, operands, tangents, leaves, dots):
    """Compute the outputs and the output tangents; `tangents` are arrays that broadcast as their primals do."""
    arrays = [*operands.arrays, *tangents, *leaves, *dots]

    def build():
        count, shape = len(operands.arrays), operands.shape
        reads = input_slots(program, operands)
        for k, (a, t) in enumerate(zip(_arguments_of(program, wrt), tangents, strict=True), count):
            reads += tangent_slots(program, a, k, t, shape, False)
        count += len(tangents)
        writes = leaf_slots(program, leaves, shape, count) + leaf_slots(program, dots, shape, count + len(leaves))
        return Launch(program.jvp(wrt, operands.dtype), shape, Routes(numbered(reads), numbered(writes, len(reads))))

    key = "jvp", wrt, *[(t.shape, t.strides, t.dtype) for t in tangents], *strides(leaves), *strides(dots)
    operands.layout.remember(key, build)(arrays)


def tangent_slots(program, argument, number, tangent, shape, batched):
    """The slots of one tangent array, which broadcasts as its primal does; a scalar stands for all its values."""
    core = program.cores[argument]
    if tangent.ndim == 0:
        return [Slot(number, tangent.dtype, (0,) * len(shape))] * len(program.slots[argument])
    body, step = (tangent[0, ...], tangent.strides[0]) if batched else (tangent, None)
    return array_slots(number, body, core, shape, step)


def pushforward(program, layout, plan, rows, tangents, dots, count):
    """Fill `dots`, one array per output leaf, from the residual rows and the tangents; `count` is None for a single one."""
    shape, dtype = layout.shape, layout.dtype
    batched, arrays = count is not None, [rows, *tangents, *dots]

    def build():
        reads = residual_slots(0, rows, shape)
        for k, (argument, tangent) in enumerate(zip(_arguments_of(program, plan.wrt), tangents, strict=True), 1):
            reads += tangent_slots(program, argument, k, tangent, shape, batched)
        writes, number = [], 1 + len(tangents)
        for k, (dot, core) in enumerate(zip(dots, program.leaves, strict=True), number):
            body, step = (dot[0, ...], dot.strides[0]) if batched else (dot, 0)
            writes += array_slots(k, body, core, shape, step)
        return Launch(program.pushforward(plan, dtype), shape, Routes(numbered(reads), numbered(writes, len(reads))))

    key = "pushforward", plan.wrt, batched, *[(t.strides, t.dtype) for t in tangents], *strides(dots)
    layout.remember(key, build)(arrays, 1 if count is None else count)


def _arguments_of(program, wrt):
    """The arguments whose slots are differentiated, in the order of these."""
    numbers = {slots[0]: k for k, slots in enumerate(program.slots) if slots}
    return [numbers[slot] for slot in wrt if slot in numbers]
