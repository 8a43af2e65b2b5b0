"""The plain case of each sweep as one call: what `nbad.native.entry` needs to know of a program's kernels.

Each function makes the entry of one sweep. Where this interpreter's objects cannot be read, an entry answers False always.
"""

import math

from nbad.codegen.compile import reads_beside
from nbad.graphs.hoist import deciding
from nbad.memo import cached_property
from nbad.native import cpython
from nbad.native.cpython import repeated as repeated
from nbad.native.cpython import settle as settle
from nbad.native.entry import Bounds, Means, Move, Plain, Rows, entry
from nbad.native.launch_table import TILE
from nbad.plans.plan import are_lined
from nbad.plans.work import WORD, Work, total
from nbad.runtime import launch, memory
from nbad.runtime.failures import cautious
from nbad.runtime.threads import LONG, SMALL, asked

# estimated nanoseconds from which on helpers share a call: those that listen, as launches come one after another, and those that
# sleep; to wake one takes its caller up to 60 us
SHARED, WOKEN = 10_000, 300_000
# Elements from which it pays to compute what numbers among the arguments decide once, by a kernel of its own: with numbers for
# all arguments but one Black-Scholes of 1,000,000 is 1.2 times faster so, of 5,000 up to 3 times slower.
MANY = 1 << 17
# Where a reverse sweep is no plain case any more: one that sums is alone, and two threads of the general way are faster; that has
# the partials of all seeds once, this for each seed anew. With 3 numbers 8 seeds of 6,000 prices take 32 us here, 95 there.
SUMS, HEAVY = 400_000, 2  # estimated nanoseconds; work for partials over that for a seed
# Items of an argument up to which NumPy lays it out anew where it has strides, another dtype or is broadcast: of 20,000 a value
# takes 0.4 to 0.7 of the general way's time so, of 100,000 0.45 to 0.9, and on two threads up to 1.5.
COPIED = 1 << 16


def value(program, dtype):
    """`entry(xs, out)`: the value."""
    floating = [program.names.index(name) for name in program.by if name in program.names]
    run = _of_inputs(program, program.value(dtype), [(program.leaves, program.structure.is_tuple)], floating)
    return _in_structure(program, run, program.structure.builder)


def forward(program, plan, dtype):
    """`entry(xs, None)`: the value, and the residual rows."""
    groups = [(program.leaves, program.structure.is_tuple), ((Rows(len(plan.residuals)),), False)]
    return _of_inputs(program, program.forward(plan, dtype), groups, _of_slots(program, plan.wrt))


def reverse(program, plan, arguments, dtype, shared, order, batched):
    """`entry(shape, rows, seeds, out)`: the cotangents; `order` is that of the axes in rows.

    Arguments have the elements of the value, or are shared by all of them, which `shared` says of each.
    """
    kernel, cores = program.fused_reverse(plan, dtype), tuple(program.cores[a] for a in arguments)
    inputs = Rows(len(plan.residuals)), *program.leaves
    most = most_of_reverse(plan, program.leaves, dtype, batched, any(shared))
    return _made(kernel, inputs, [(cores, True)], most, shared=shared, order=order or (), batched=batched)


def most_of_reverse(plan, leaves, dtype, batched, has_sums):
    """Elements, of all seeds, beyond which a reverse sweep is no plain case, as its graphs tell before anything is compiled."""
    rows = len(plan.residuals) + len(plan.reverse.inputs) - plan.partials + len(plan.reverse.outputs)
    once, each = total(plan.prologue) if plan.prologue else 0.0, total(plan.reverse)
    longest = SMALL if batched and once > HEAVY * each else SUMS if has_sums else LONG
    results = len(plan.reverse.outputs)
    nbytes = launch.spread_from(results) if batched else None  # beyond, several seeds at once are faster
    most = _most(rows, once + each, dtype.itemsize, results, longest, nbytes)
    are_in_place = all(size < 2 or reads_beside(size, dtype) for size in map(math.prod, leaves))
    return most if are_in_place else min(most, TILE)


def pushforward(program, plan, arguments, dtype, order, batched):
    """`entry(shape, rows, tangents, out)`: the output tangents; `order` is that of the axes in rows."""
    inputs = Rows(len(plan.residuals)), *(program.cores[a] for a in arguments)
    groups = [(program.leaves, program.structure.is_tuple)]
    run = _made(program.pushforward(plan, dtype), inputs, groups, order=order or (), batched=batched)
    return _in_structure(program, run, program.structure.builder)


def jvp(program, wrt, arguments, dtype):
    """`entry((*xs, *tangents), out)`: the value and the output tangents."""
    inputs = (*program.cores, *(program.cores[a] for a in arguments))
    groups = [(program.leaves, program.structure.is_tuple)] * 2
    run = _made(program.jvp(wrt, dtype), inputs, groups, primals=len(program.cores), floating=arguments)
    return _in_structure(program, run, lambda pair: tuple(map(program.structure.builder, pair)))


def jacobian(program, plan, dtype, with_value):
    """`entry(xs, out)`: the blocks, or the value and the blocks; `plan` keeps the partials."""
    kernel, block = program.jacobian(plan, dtype, with_value), (plan.outputs, len(plan.wrt))
    leaves = program.leaves if with_value else ()
    groups = [(leaves, program.structure.is_tuple)] * with_value + [((block,), False)]
    run = _of_inputs(program, kernel, groups, _of_slots(program, plan.wrt))
    return _in_structure(program, run, lambda pair: (program.structure.builder(pair[0]), pair[1])) if with_value else run


def blocks(program, plan, dtype, order):
    """`entry(shape, rows, (), out)`: the blocks of the Jacobian from residual rows; `order` is that of the axes there."""
    groups = [(((plan.outputs, len(plan.wrt)),), False)]
    return _made(program.blocks(plan, dtype), (Rows(len(plan.residuals)),), groups, order=order or ())


def precompile(program, dtype):
    """Compile what a value, a forward sweep, a pullback and a Jacobian by all arguments need; no Jacobian of wide kernels."""
    arguments = range(len(program.names))
    wrt = program.input_slots(arguments)
    usual = program.plan(wrt, "auto")
    value(program, dtype)
    reverse(program, usual, arguments, dtype, (), None, False)
    for plan in (usual, program.plan(wrt, "partials")):
        forward(program, plan, dtype)
        kept: tuple = (Rows(len(plan.residuals)),)
        if plan.prologue:
            partials = ((),) * plan.partials
            _formed(program.prologue(plan, dtype), kept, partials)
            kept = partials
        _formed(program.reverse(plan, dtype), (*kept, *program.leaves), program.cores)
    if not usual.inner:
        for with_value in (False, True):
            jacobian(program, program.jacobian_plan(wrt, "auto"), dtype, with_value)


def _in_structure(program, run, build):
    """The entry `run`, which knows tuples only, with `build` applied to its results where the kernel returns something else."""
    if program.structure.is_usual:
        return run

    def call(*given):
        made = run(*given)
        return made if made is False or given[-1] is not None else build(made)

    return call


def _of_slots(program, wrt):
    """The arguments of these slots."""
    return [k for k, slots in enumerate(program.slots) if not set(slots).isdisjoint(wrt)]


def _of_inputs(program, kernel, groups, floating):
    """The entry of a kernel from inputs on: what numbers alone decide the general way takes out, as `sweeps` does."""
    bits = {slots.start: 1 << k for k, (slots, core) in enumerate(zip(program.slots, program.cores, strict=True)) if not core}
    return _made(kernel, program.cores, groups, deciding=tuple(deciding(kernel.graph, bits)), floating=floating)


def _made(kernel, inputs, groups, most=None, shared=(), **more):
    """The entry of a kernel whose rows are those of the inputs, and behind them those of the results, which come last.

    A result of several values an element is a block of the kernel, and so is an argument where it may be. Beyond `most` elements,
    which by default its work tells, it is no plain case.
    """
    results = tuple([result for group, _ in groups for result in group])
    kernel, read, written = _formed(kernel, inputs, results, shared)
    return _entry(Plain(kernel, tuple(inputs), tuple(groups), read, written, shared=shared, **more), most)


def _formed(kernel, inputs, results, shared=()):
    """The same kernel with its values side by side as they lie in memory, compiled, and the moves of its first and last rows."""
    for side, values in (("read", inputs[:1]), ("written", results[-1:])):
        for rows in values:
            kernel = kernel.in_lines(side, rows.number) if isinstance(rows, Rows) and are_lined(rows.number) else kernel
    given, made = enumerate(inputs), enumerate(zip(results, shared or (0,) * len(results), strict=True), len(inputs))
    read = [move for k, argument in given for move in _moves(k, argument, reads_beside(_items(argument), kernel.dtype))]
    written = [move for k, (result, is_shared) in made for move in _moves(k, result, not is_shared)]
    return kernel.beside([move.items for move in written]).reading([move.items for move in read]).load(), read, written


def _items(argument):
    """Values of an element in an argument or a result."""
    return argument.number if isinstance(argument, Rows) else math.prod(argument)


def _moves(number, argument, is_block):
    """The moves of the rows of an argument or a result, or of its only block: of residual rows lines are one."""
    items, are_rows = _items(argument), isinstance(argument, Rows)
    if are_lined(items) if are_rows else is_block:
        return [Move(number, 0, items, items)]
    return [Move(number, k, 0 if are_rows else items) for k in range(items)]


class Map:
    """A linear map of few elements, in one call: from the element space, the rows, the leaves that it is given, and `out`."""

    def __init__(self, make, takes_many=True):
        self._make, self._takes_many = make, takes_many

    @cached_property
    def one(self):
        """That of one seed, or one tangent of each argument."""
        return self._make(False)

    @cached_property
    def many(self):
        """The same of many, which have one more axis in front."""
        return self._make(True) if self._takes_many else never


def never(*_):
    """The entry of what is no plain case."""
    return False


def _most(rows, flops, size, results, longest=LONG, nbytes=None):
    """Elements of so many rows and operations that take at most so many estimated nanoseconds, with so many bytes of results.

    By default these are as many as the caches keep.
    """
    nbytes = launch.STREAM_ABOVE if nbytes is None else nbytes
    return min(int(longest / _nanoseconds(rows, flops, size)), nbytes // (size * max(results, 1)))


def _nanoseconds(rows, flops, size):
    return Work(size * max(rows, 1), flops * size / WORD).cached_nanoseconds  # time to divide by


def _entry(sweep, most):
    if not cpython.is_available():
        return never
    kernel, size = sweep.kernel, sweep.kernel.dtype.itemsize
    results = sum(_items(result) for group, _ in sweep.groups for result in group)
    work = kernel.rows, total(kernel.graph), size
    most = _most(*work, results) if most is None else most
    shared, small, woken = (int(time / _nanoseconds(*work)) for time in (SHARED, SMALL, WOKEN))
    bounds = Bounds(most, MANY - 1, shared, small, woken, COPIED)
    run = entry(sweep, bounds, Means(asked, memory.SMALLEST, memory.POOL.lend))
    return cautious(run or never, kernel.graph)
