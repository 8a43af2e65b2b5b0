"""The stations of all sweeps over elements but those of pullbacks: each made once for a program, its options and a layout.

A station owns its launches, and knows the shapes of its results and their bytes. Called with arrays it runs; what depends on
strides of results is analysed at the first call that has them, and packed into a launch.
"""

import math

import numpy as np

from nbad.codegen.host import LINE
from nbad.memo import Memo, cached_property
from nbad.native.launch_table import GAP, GAP_EVERY, TILE
from nbad.plans.plan import normal as normal_graphs
from nbad.plans.plan import with_partials, with_products
from nbad.runtime import memory, plain
from nbad.runtime.block_sums import add_blocks
from nbad.runtime.failures import Computed, Given, watched
from nbad.runtime.launch import Launch, Preceded, Routes
from nbad.runtime.pack import Places, Slot
from nbad.runtime.strides import are_lined, contiguous_strides, core_offsets, picking, strides_over

ADVICE = "out= with arrays of your own, or a part of the arguments at a time"


def scalars(arrays):
    """Results as users get them: 0-d arrays become NumPy scalars."""
    return [a if a.ndim else a[()] for a in arrays]


def structured(program, leaves):
    """Results in the structure that the kernel returns."""
    return program.structure.build(scalars(leaves))


# slots


def array_slots(number, array, core, shape, seed_stride=None):
    """One slot for each core value of an array."""
    strides = strides_over(array, len(core), shape)
    return [Slot(number, array.dtype, strides, offset, seed_stride) for offset in core_offsets(array.strides, core)]


def numbered(slots, start=0):
    """Slots with the numbers of their rows."""
    return tuple(enumerate(slots, start))


def arrays_slots(arrays, cores, shape, first=0):
    """The slots of arrays that are numbered from `first`, in the order of a kernel's rows."""
    each = (array_slots(k, a, c, shape) for k, (a, c) in enumerate(zip(arrays, cores, strict=True), first))
    return [slot for slots in each for slot in slots]


def picked_slots(number, array, core, shape, pick, seed_stride=None):
    """The same of what an index picks from an array; `pick.number` is the number of the index."""
    (by_index, own), depth = picking(pick.positions, array), len(core)
    places = [
        Places(pick.number, strides_over(by_index, depth, shape), array.strides[0], offset)
        for offset in core_offsets(by_index.strides, core)
    ]
    strides, offsets = strides_over(own, depth, shape), core_offsets(own.strides, core)
    each = zip(offsets, places, strict=True)
    return [Slot(number, array.dtype, strides, offset, seed_stride, places=place) for offset, place in each]


def argument_slots(program, layout, arrays):
    """The slots of a kernel's arguments, which come first among the arrays."""
    slots = []
    for k, core in enumerate(program.cores):
        pick = layout.pick(k)
        slots += picked_slots(k, arrays[k], core, layout.shape, pick) if pick else array_slots(k, arrays[k], core, layout.shape)
    return slots


def residual_slots(number, rows, shape):
    """The slots of the residual buffer's rows."""
    strides, count = contiguous_strides(shape, rows.itemsize), rows.shape[0]
    lines, pitch = (count, LINE) if are_lined(count) else (0, rows.strides[0])
    return [Slot(number, rows.dtype, strides, k * pitch, padded=True, lines=lines) for k in range(count)]


def tangent_slots(core, number, tangent, shape, batched, pick=None):
    """The slots of one tangent or seed array, which broadcasts, or is picked, as its primal is; a scalar stands for all."""
    if tangent.ndim == 0:
        return [Slot(number, tangent.dtype, (0,) * len(shape))] * math.prod(core)
    body, step = (tangent[0, ...], tangent.strides[0]) if batched else (tangent, None)
    return picked_slots(number, body, core, shape, pick, step) if pick else array_slots(number, body, core, shape, step)


def row_length(elements, dtype):
    """Elements in a residual row, padding included."""
    pitch = -(-elements // TILE) * TILE
    return pitch + GAP // dtype.itemsize if pitch * dtype.itemsize % GAP_EVERY == 0 else pitch


def residual_shape(plan, layout):
    """Shape of the residual buffer: one padded row for each residual; where these are many, they lie in lines in that memory."""
    return len(plan.residuals), row_length(math.prod(layout.shape), layout.dtype)


class Sweep:
    """A sweep over the elements of one layout.

    Attributes
    ----------
    shapes : tuple of tuples
        Of the results.
    nbytes : int
        Bytes of the results.

    Parameters
    ----------
    more : int
        How many results, the last, are not over the elements; all others lie in memory as the arguments do.
    """

    def __init__(self, call, layout, shapes, build, advice=ADVICE, more=0):
        self.call, self.dtype, self.shapes, self.advice = call, layout.dtype, tuple(shapes), advice
        self._order, self._leaves = layout.order, len(self.shapes) - more
        self.nbytes = layout.dtype.itemsize * sum(map(math.prod, self.shapes))
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
        return [*self._new_leaves(), *(memory.empty(shape, self.dtype) for shape in self.shapes[self._leaves :])]

    def _new_leaves(self):
        shapes = self.shapes[: self._leaves]
        if self._order is None:
            return [memory.empty(shape, self.dtype) for shape in shapes]
        depth, places = len(self._order), np.argsort(self._order)
        axes = [(*self._order, *range(depth, len(shape))) for shape in shapes]
        each = zip(shapes, axes, strict=True)
        arrays = [memory.empty(tuple([shape[k] for k in own]), self.dtype) for shape, own in each]
        return [array.transpose(*places, *range(depth, array.ndim)) for array in arrays]

    def into(self, arrays, results):
        """Fill arrays of any strides."""
        key = tuple([a.strides for a in results])
        self._launches(key, lambda: self._build(arrays, results))([*arrays, *results])


class Bounded(Sweep):
    """A forward sweep whose residual buffer, the last of its results, takes not a byte more than it needs."""

    def new(self):
        """Arrays for the results."""
        return [*self._new_leaves(), memory.exact(self.shapes[-1], self.dtype)]


def value(program, layout):
    """The station of the value."""

    def build(arrays, leaves):
        reads = argument_slots(program, layout, arrays)
        writes = arrays_slots(leaves, program.leaves, layout.shape, len(arrays))
        routes = Routes(numbered(reads), numbered(writes, len(reads)))
        computed = Computed("value", program.simple, lambda: program.simple)
        return _element_launch(program, computed, layout, routes, len(arrays) + len(leaves))

    return layout.remember("value", lambda: Sweep(program.call, layout, layout.leaf_shapes, build))


def forward(program, plan, layout, advice, kind=Sweep):
    """The station of the value and the residuals, which come last among its results."""

    def build(arrays, results):
        *leaves, rows = results
        reads = argument_slots(program, layout, arrays)
        writes = arrays_slots(leaves, program.leaves, layout.shape, len(arrays))
        writes += residual_slots(len(arrays) + len(leaves), rows, layout.shape)
        routes = Routes(numbered(reads), numbered(writes, len(reads)))
        return _element_launch(program, _computed_forward(program, plan), layout, routes, len(arrays) + len(results))

    return kind(program.call, layout, (*layout.leaf_shapes, residual_shape(plan, layout)), build, advice, 1)


def jacobian(program, plan, layout, with_value, chosen=None):
    """The station of the Jacobian's blocks of shape (*B, M, N), which come last, behind the outputs if these are asked for.

    Of chosen entries blocks are of shape (*B, 1, entries).
    """
    key, shapes = program.jacobian_key(plan, with_value, chosen), layout.leaf_shapes if with_value else ()

    def build(arrays, results):
        *leaves, blocks = results
        graph = program.jacobian_graph(plan, with_value, chosen)
        reads = argument_slots(program, layout, arrays)
        writes = arrays_slots(leaves, program.leaves, layout.shape, len(arrays)) if leaves else []
        number = len(arrays) + len(leaves)
        entries = array_slots(number, blocks, blocks.shape[-2:], layout.shape)
        first, end = len(reads), len(reads) + len(graph.outputs)
        routes = Routes(numbered(reads), (*numbered(writes, first), *numbered(entries, end - len(entries))))
        computed = Computed(key, graph, lambda: with_partials(plan))
        return _element_launch(program, computed, layout, routes, number + 1)

    block = (*layout.shape, *((plan.outputs, len(plan.wrt)) if chosen is None else (1, len(chosen))))
    headline = f"jacobian of {program.call}"
    advice = "the Jacobian of a part of the arguments, out= another"
    return layout.remember(key, lambda: Sweep(headline, layout, (*shapes, block), build, advice, 1))


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
        launch = Launch(program.jvp(wrt, layout.dtype), shape, Routes(numbered(reads), numbered(writes, len(reads))))
        graph = program.jvp_graph(wrt)
        # partials are computed whatever the tangents are, as in every sweep: one that fails raises
        computed = Computed(("jvp", wrt), graph, lambda: with_products(graph, len(program.graph.inputs)))
        return watched(launch, program, computed, layout.dtype, Given(shape, reads, len(arrays)))

    key = "jvp", wrt, tuple([(t.shape, t.strides, t.dtype) for t in tangents])
    return layout.remember(key, lambda: Sweep(program.call, layout, layout.leaf_shapes * 2, build))


class Sums:
    """The station of sums over all elements, in float64, of what a graph computes last of the arguments, so many numbers."""

    def __init__(self, program, layout, key, graph, count):
        self.program, self.layout, self.count = program, layout, count
        self._computed, self._launch = Computed(key, graph, lambda: graph), None  # all that it computes is used

    def __call__(self, arrays):
        """One total for each number."""
        blocks = np.empty((self.count, -(-math.prod(self.layout.shape) // TILE)))
        if self._launch is None:
            self._launch = self._build(arrays, blocks)
        self._launch([*arrays, blocks])
        with np.errstate(all="ignore"):  # as in the launch: infinities and overflow are values
            return add_blocks(blocks)

    def _build(self, arrays, blocks):
        program, shape, dtype, number = self.program, self.layout.shape, self.layout.dtype, len(arrays)
        reads = argument_slots(program, self.layout, arrays)
        strides, width = contiguous_strides(shape, dtype.itemsize), blocks.strides[0]
        slots = [Slot(number, dtype, strides, k * width) for k in range(self.count)]
        first = len(reads) + len(self._computed.graph.outputs) - self.count
        routes = Routes(numbered(reads), (), numbered(slots, first))
        return _element_launch(program, self._computed, self.layout, routes, number + 1)


def normal(program, plan, layout):
    """The stations of the sums of `J'J` and `J'r`."""
    key = "normal", program.forward_key(plan)

    def make():
        graphs = program.remember(key, lambda: normal_graphs(plan))
        return [Sums(program, layout, (*key, k), *graph) for k, graph in enumerate(graphs)]

    return layout.remember(key, make)


class Pushing:
    """The linear map of one forward sweep, from tangents to output tangents: made once for a program, a plan and a layout."""

    def __init__(self, program, plan, arguments, layout):
        self.program, self.plan, self.layout, self.arguments = program, plan, layout, arguments
        self._cores, self._launches = [program.cores[a] for a in arguments], Memo()
        own = [layout.shapes[a] for a in arguments]
        self.is_plain = layout.is_small and own == [layout.shape + core for core in self._cores]

    @cached_property
    def one(self):
        """The plain case for one tangent of each argument, from the element space, the rows and the tangents."""
        return plain.pushforward(self.program, self.plan, self.arguments, self.layout.dtype, False)

    @cached_property
    def many(self):
        """The same of many tangents, which have one more axis in front."""
        return plain.pushforward(self.program, self.plan, self.arguments, self.layout.dtype, True)

    def __call__(self, rows, tangents, dots, count, indices=()):
        """Fill `dots`, one array per output leaf; `count` is the number of tangents, None for a single one.

        `indices` are those of all arguments that are picked.
        """
        key = count is None, *[(t.strides, t.dtype) for t in tangents], *[d.strides for d in dots]
        launch = self._launches(key, lambda: self._build(rows, tangents, dots, count is not None))
        launch([rows, *tangents, *dots, *indices], 1 if count is None else count)

    def _build(self, rows, tangents, dots, batched):
        shape, reads, writes = self.layout.shape, residual_slots(0, rows, self.layout.shape), []
        first = 1 + len(tangents) + len(dots) - len(self.program.cores)  # indices are numbered behind the arguments
        for k, (a, core, tangent) in enumerate(zip(self.arguments, self._cores, tangents, strict=True), 1):
            pick = self.layout.pick(a)
            reads += tangent_slots(core, k, tangent, shape, batched, pick and pick._replace(number=pick.number + first))
        for k, (dot, core) in enumerate(zip(dots, self.program.leaves, strict=True), 1 + len(tangents)):
            body, step = (dot[0, ...], dot.strides[0]) if batched else (dot, 0)
            writes += array_slots(k, body, core, shape, step)
        kernel = self.program.pushforward(self.plan, self.layout.dtype)
        return Launch(kernel, shape, Routes(numbered(reads), numbered(writes, len(reads))))


class Blocks:
    """The Jacobian's blocks from the residual rows of sweeps over one element space, whichever plan made them."""

    def __init__(self, program, plan, shape, dtype):
        self.program, self.plan, self.dtype, self._space, self._launches = program, plan, dtype, shape, Memo()
        self.shape = (*shape, plan.outputs, len(plan.wrt))

    def __call__(self, rows, blocks):
        """Fill `blocks`, an array of any strides."""
        self._launches((rows.strides, blocks.strides), lambda: self._build(rows, blocks))([rows, blocks])

    def _build(self, rows, blocks):
        kernel = self.program.blocks(self.plan, self.dtype)
        reads = residual_slots(0, rows, self._space)
        entries = array_slots(1, blocks, self.shape[-2:], self._space)
        launch = Launch(kernel, self._space, Routes(numbered(reads), numbered(entries, len(reads))))
        computed = Computed(("blocks", *self.plan.key), kernel.graph, lambda: kernel.graph)  # all that it computes is used
        return watched(launch, self.program, computed, self.dtype, Given(self._space, reads, 1))


def _computed_forward(program, plan):
    return Computed(program.forward_key(plan), plan.forward, lambda: with_partials(plan))


def _element_launch(program, computed, layout, routes, number):
    """The launch of what is computed from inputs on; `number` is how many arrays the routes name."""
    launch = _split_launch(program, computed, layout, routes, number)
    if launch is None:
        launch = Launch(program.kernel(computed.key, computed.graph, layout.dtype), layout.shape, routes)
    slots = [slot for row, slot in routes.reads if row < len(program.graph.inputs)]
    return watched(launch, program, computed, layout.dtype, Given(layout.shape, slots, number))


def _split_launch(program, computed, layout, routes, number):
    """The same where what broadcast scalars alone decide is computed once, before it; None where that is not worth it.

    The uniform values are one array more.
    """
    key, graph, _ = computed
    shape, dtype, inputs = layout.shape, layout.dtype, len(program.graph.inputs)
    uniform = [row for row, slot in routes.reads if row < inputs and slot.is_uniform]
    parts = program.parts(key, graph, frozenset(uniform), dtype) if uniform and math.prod(shape) >= plain.MANY else None
    if parts is None:
        return None
    head, body = parts
    own = [(row, slot.repeated(0)) for row, slot in routes.reads if row in uniform]
    values = [Slot(number, dtype, (), k * dtype.itemsize) for k in range(head.results)]
    before = Launch(head, (), Routes(tuple(own), numbered(values, inputs)))
    given = numbered([v.repeated(len(shape)) for v in values], inputs)
    reads, writes, sums = (tuple(_behind(inputs, head.results, side)) for side in routes)
    return Preceded(before, Launch(body, shape, Routes((*reads, *given), writes, sums)), head.results)


def _behind(inputs, more, moves):
    """The same moves where `more` rows stand behind the inputs."""
    return [(row + more if row >= inputs else row, slot) for row, slot in moves]
