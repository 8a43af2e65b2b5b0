"""The stations of all sweeps over elements but those of pullbacks: each made once for a program, its options and a layout.

A station owns its launches, and knows the shapes of its results and their bytes. Called with arrays it runs; what depends on
strides of results is analysed at the first call that has them, and packed into a launch.
"""

import functools
import math
from itertools import chain

import numpy as np

from nbad.memo import Memo
from nbad.native.launch_table import GAP, GAP_EVERY, TILE
from nbad.plans.plan import are_lined, with_partials, with_products
from nbad.plans.plan import normal as normal_graphs
from nbad.runtime import memory, plain
from nbad.runtime.failures import Computed, Given, watched
from nbad.runtime.launch import Launch, Routes, numbered
from nbad.runtime.operands import DOUBLE
from nbad.runtime.pack import Places, Slot
from nbad.runtime.strides import contiguous_strides, core_offsets, picking, strides_over, turning

ROWS = None  # in place of a core shape
ADVICE = "out= with arrays of your own, or a part of the arguments at a time"


def scalars(arrays):
    """Results as users get them: 0-d arrays become NumPy scalars."""
    return [a if a.ndim else a[()] for a in arrays]


def structured(program, leaves):
    """Results in the structure that the kernel returns."""
    return program.structure.build(scalars(leaves))


# slots


def array_slots(number, array, core, shape, seed_stride=None, pick=None):
    """One slot for each core value of an array, or of what an index picks from it, whose number `pick` tells."""
    depth, walked = len(core), array
    places: list[Places | None] = [None] * math.prod(core)
    if pick is not None:
        by_index, walked = picking(pick.positions, array)
        by, pitch = strides_over(by_index, depth, shape), array.strides[0]
        places = [Places(pick.number, by, pitch, offset) for offset in core_offsets(by_index.strides, core)]
    strides, offsets = strides_over(walked, depth, shape), core_offsets(walked.strides, core)
    each = zip(offsets, places, strict=True)
    return [Slot(number, array.dtype, strides, offset, seed_stride, places=place) for offset, place in each]


def arrays_slots(arrays, cores, shape, first=0, order=None):
    """The slots of arrays that are numbered from `first`, in the order of a kernel's rows.

    A core of `ROWS` are residual rows, in which axes lie in this order.
    """
    each, steps = enumerate(zip(arrays, cores, strict=True), first), contiguous_strides(shape, 1, order)
    parts = (residual_slots(k, a, steps) if core is ROWS else array_slots(k, a, core, shape) for k, (a, core) in each)
    return list(chain.from_iterable(parts))


def argument_slots(program, layout, arrays):
    """The slots of a kernel's arguments, which come first among the arrays."""
    each = enumerate(zip(arrays, program.cores, strict=False))
    parts = (array_slots(k, array, core, layout.shape, pick=layout.pick(k)) for k, (array, core) in each)
    return list(chain.from_iterable(parts))


def residual_slots(number, rows, steps, padded=True):
    """The slots of the residual buffer's rows, one where these lie in lines; `steps` are those of the axes in a row."""
    strides, count = tuple([step * rows.itemsize for step in steps]), len(rows)
    if are_lined(count):
        return [Slot(number, rows.dtype, strides, padded=True, lines=count)]
    return [Slot(number, rows.dtype, strides, k * rows.strides[0], padded=padded) for k in range(count)]


def tangent_slots(core, number, tangent, shape, batched, pick=None):
    """The slots of a tangent, a seed, or what is made of them: broadcast or picked as its primal is; a scalar stands for all."""
    if tangent.ndim == 0:
        return [Slot(number, tangent.dtype, (0,) * len(shape))] * math.prod(core)
    body, step = (tangent[0, ...], tangent.strides[0]) if batched else (tangent, None)
    return array_slots(number, body, core, shape, step, pick)


def row_length(elements, dtype):
    """Elements in a residual row, padding included."""
    pitch = -(-elements // TILE) * TILE
    return pitch + GAP // dtype.itemsize if pitch * dtype.itemsize % GAP_EVERY == 0 else pitch


def order_of_rows(program, layout, arguments):
    """The order in which the axes of the elements lie in residual rows: that of the arguments; None where it is C order.

    So it is where cotangents are summed, which is done in C order.
    """
    if layout.order is None or layout.picks:
        return None
    are_whole = all(layout.shapes[a] == layout.shape + program.cores[a] for a in arguments)
    return layout.order if are_whole else None


def order_of_results(order, rows, given, is_batched):
    """The order of results of a linear map, that of its rows; of many that are given in C order, and would be gathered, C order.

    Rows in lines are walked as they lie, whatever else there is.
    """
    is_gathered = is_batched and not are_lined(len(rows)) and any(a.ndim and a.flags.c_contiguous for a in given)
    return None if is_gathered else order


def new(shape, dtype, order=None, lead=0):
    """A new array: behind so many axes the axes of the elements lie in memory in this order."""
    if order is None:
        return memory.empty(shape, dtype)
    axes, back = turning(order, lead, len(shape))
    return memory.empty(tuple([shape[k] for k in axes]), dtype).transpose(back)


def residual_shape(plan, layout):
    """Shape of the residual buffer: one padded row for each residual; where these are many, they lie in lines in that memory."""
    return len(plan.residuals), row_length(math.prod(layout.shape), layout.dtype)


class Sweep:
    """A sweep over the elements of one layout, or over those of residual rows, to results of these shapes.

    So many `more` of them, the last, are not over the elements, and are exact where they take not a byte more than they need; all
    others lie in memory as the arguments do, in this order.
    """

    def __init__(self, call, dtype, order, shapes, build, advice=ADVICE, more=0, is_exact=False):
        self.call, self.dtype, self.shapes, self.advice = call, dtype, tuple(shapes), advice
        self._order, self._leaves, self._is_exact = order, len(self.shapes) - more, is_exact
        self.nbytes = dtype.itemsize * sum(map(math.prod, self.shapes))
        self._build, self._fresh, self._launches = build, None, Memo()

    def __call__(self, arrays):
        """Results in new arrays."""
        if self.nbytes > memory.CAREFUL:
            memory.require(self.call, self.nbytes, self.advice)
        results = self.new()
        if self._fresh is None:  # new arrays have the same strides every time, so their launch is found without a key
            self._fresh = self._build(arrays, results)
        self._fresh([*arrays, *results])
        return results

    def new(self):
        """Arrays for the results."""
        more = (memory.empty(shape, self.dtype, self._is_exact) for shape in self.shapes[self._leaves :])
        return [*(new(shape, self.dtype, self._order) for shape in self.shapes[: self._leaves]), *more]

    def into(self, arrays, results):
        """Fill arrays of any strides."""
        key = tuple([a.strides for a in results])
        self._launches(key, lambda: self._build(arrays, results))([*arrays, *results])


def value(program, layout):
    """The station of the value."""

    def make():
        build = _builder(program, layout, program.leaves, Computed("value", program.simple))
        return Sweep(program.call, layout.dtype, layout.order, layout.leaf_shapes, build)

    return layout.remember("value", make)


def forward(program, plan, layout, order, advice, is_exact=False):
    """The station of the value and the residuals, which come last among its results, and may be bounded in memory.

    `order` is that of the axes in rows, and of values.
    """
    computed = Computed(program.forward_key(plan), plan.forward, lambda: with_partials(plan))
    build = _builder(program, layout, (*program.leaves, ROWS), computed, order)
    shapes = *layout.leaf_shapes, residual_shape(plan, layout)
    return Sweep(program.call, layout.dtype, order, shapes, build, advice, 1, is_exact)


def jacobian(program, plan, layout, with_value, chosen=None):
    """The station of the Jacobian's blocks of shape (*B, M, N), which come last, behind the outputs if these are asked for.

    Of chosen entries blocks are of shape (*B, 1, entries).
    """
    key = program.jacobian_key(plan, with_value, chosen)

    def make():
        computed = Computed(key, program.jacobian_graph(plan, with_value, chosen), lambda: with_partials(plan))
        block = (plan.outputs, len(plan.wrt)) if chosen is None else (1, len(chosen))
        cores = (*program.leaves, block) if with_value else (block,)
        build, shapes = _builder(program, layout, cores, computed), [(*layout.shape, *core) for core in cores]
        advice = "the Jacobian of a part of the arguments, out= another"
        return Sweep(f"jacobian of {program.call}", layout.dtype, layout.order, shapes, build, advice)

    return layout.remember(key, make)


def _builder(program, layout, cores, computed, order=None):
    """What makes the launches of a station; its results, of these core shapes, are the last that are computed."""

    def build(arrays, results):
        writes = arrays_slots(results, cores, layout.shape, len(arrays), order)
        return _element_launch(program, computed, layout, (arrays, results), writes)

    return build


def jvp(program, by, layout, tangents):
    """The station of outputs and output tangents; `tangents` are arrays that broadcast as their primals do.

    `by` are the differentiated arguments and their slots.
    """
    arguments, wrt = by
    cores = [program.cores[a] for a in arguments]

    def build(arrays, results):
        shape, count = layout.shape, len(arrays) - len(arguments)
        reads = argument_slots(program, layout, arrays)
        for k, (a, core, tangent) in enumerate(zip(arguments, cores, arrays[count:], strict=True), count):
            reads += tangent_slots(core, k, tangent, shape, False, layout.pick(a))
        writes = arrays_slots(results, program.leaves * 2, shape, len(arrays))
        graph = program.jvp_graph(wrt)
        launch = Launch(program.jvp(wrt, layout.dtype), shape, Routes.of(graph, reads, writes))
        # partials are computed whatever the tangents are, as in every sweep: one that fails raises
        computed = Computed(("jvp", wrt), graph, lambda: with_products(graph, len(program.graph.inputs)))
        return watched(launch, program, computed, layout.dtype, Given(shape, reads, len(arrays)))

    key = "jvp", wrt, tuple([(t.shape, t.strides, t.dtype) for t in tangents])
    return layout.remember(key, lambda: Sweep(program.call, layout.dtype, layout.order, layout.leaf_shapes * 2, build))


def normal(program, plan, layout):
    """The stations of what `J'J` and `J'r` are sums of: float64 sums of blocks of elements, a row for each number."""
    key = "normal", program.forward_key(plan)

    def make():
        graphs = program.remember(key, lambda: normal_graphs(plan))
        return [_block_sums(program, layout, (*key, k), *graph) for k, graph in enumerate(graphs)]

    return layout.remember(key, make)


def _block_sums(program, layout, key, graph, count):
    """The station of the sums of blocks, for the numbers that a graph computes last of the arguments, so many."""
    computed = Computed(key, graph)  # all that it computes is used
    strides = contiguous_strides(layout.shape, layout.dtype.itemsize)

    def build(arrays, results):
        slots = [Slot(len(arrays), layout.dtype, strides, k * results[0].strides[0], is_sum=True) for k in range(count)]
        return _element_launch(program, computed, layout, (arrays, results), slots)

    return Sweep(program.call, DOUBLE, None, [(count, -(-math.prod(layout.shape) // TILE))], build)


class Pushing:
    """The linear map of one forward sweep, from tangents to output tangents: made once for a program, a plan and a layout.

    `order` is that of the axes in rows.
    """

    def __init__(self, program, plan, arguments, layout, order):
        self.program, self.plan, self.layout, self.arguments, self.order = program, plan, layout, arguments, order
        self._cores, self._launches = [program.cores[a] for a in arguments], Memo()
        self.names, self.shapes = ([each[a] for a in arguments] for each in (program.names, layout.shapes))
        is_plain = layout.is_small and self.shapes == [layout.shape + core for core in self._cores]
        make = functools.partial(plain.pushforward, program, plan, arguments, layout.dtype, order)
        self.plain = plain.Map(make) if is_plain else None

    def __call__(self, rows, tangents, dots, count, indices=()):
        """Fill `dots`, one array per output leaf; `count` is the number of tangents, None for a single one.

        `indices` are those of all arguments that are picked.
        """
        key = count is None, *[(t.strides, t.dtype) for t in tangents], *[d.strides for d in dots]
        launch = self._launches(key, lambda: self._build(rows, tangents, dots, count is not None))
        launch([rows, *tangents, *dots, *indices], 1 if count is None else count)

    def _build(self, rows, tangents, dots, batched):
        shape, writes = self.layout.shape, []
        reads = residual_slots(0, rows, contiguous_strides(shape, 1, self.order))
        first = 1 + len(tangents) + len(dots) - len(self.program.cores)  # indices are numbered behind the arguments
        for k, (a, core, tangent) in enumerate(zip(self.arguments, self._cores, tangents, strict=True), 1):
            pick = self.layout.pick(a)
            reads += tangent_slots(core, k, tangent, shape, batched, pick and pick._replace(number=pick.number + first))
        for k, (dot, core) in enumerate(zip(dots, self.program.leaves, strict=True), 1 + len(tangents)):
            writes += tangent_slots(core, k, dot, shape, batched)
        kernel = self.program.pushforward(self.plan, self.layout.dtype)
        return Launch(kernel, shape, Routes.of(kernel.graph, reads, writes))


def blocks(program, plan, shape, order, dtype):
    """The station of the Jacobian's blocks from the residual rows of sweeps over one element space, whichever plan made them.

    `order` is that of the axes in rows.
    """
    block = plan.outputs, len(plan.wrt)

    def build(arrays, results):
        kernel, reads = program.blocks(plan, dtype), residual_slots(0, arrays[0], contiguous_strides(shape, 1, order))
        launch = Launch(kernel, shape, Routes.of(kernel.graph, reads, array_slots(1, results[0], block, shape)))
        computed = Computed(("blocks", *plan.key), kernel.graph)  # all that it computes is used
        return watched(launch, program, computed, dtype, Given(shape, reads, 1))

    advice = "pullback.jacobian(out=) with an array of your own"
    return Sweep("`pullback.jacobian`", dtype, order, [(*shape, *block)], build, advice)


def _element_launch(program, computed, layout, given, writes):
    """The launch of what is computed of arguments; `given` are their arrays and those of the results."""
    arrays, results = given
    reads, number = argument_slots(program, layout, arrays), len(arrays) + len(results)
    launch = _split_launch(program, computed, layout, (reads, writes), number)
    if launch is None:
        kernel = program.kernel(computed.key, computed.graph, layout.dtype)
        launch = Launch(kernel, layout.shape, Routes.of(computed.graph, reads, writes))
    return watched(launch, program, computed, layout.dtype, Given(layout.shape, reads, number))


def _split_launch(program, computed, layout, slots, number):
    """The same where what broadcast scalars alone decide is computed once, before it; None where that is not worth it.

    The uniform values are one array more, behind all others.
    """
    (reads, writes), shape, dtype = slots, layout.shape, layout.dtype
    uniform = frozenset(row for row, slot in enumerate(reads) if slot.is_uniform)
    is_worth = uniform and math.prod(shape) >= plain.MANY
    parts = program.parts(computed.key, computed.graph, uniform, dtype) if is_worth else None
    if parts is None:
        return None
    head, body = parts
    own = [(row, reads[row].repeated(0)) for row in sorted(uniform)]
    values = [Slot(number, dtype, (), k * dtype.itemsize) for k in range(head.results)]
    before = Launch(head, (), Routes(tuple(own), numbered(values, len(reads))))
    given = [value.repeated(len(shape)) for value in values]
    rest = Launch(body, shape, Routes.of(body.graph, [*reads, *given], writes))

    def run(arrays):
        arrays = [*arrays, np.empty(head.results, dtype)]
        before(arrays)
        rest(arrays)

    return run
