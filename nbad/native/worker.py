"""One worker's share of a launch: stage, compute, scatter and sum, tile by tile.

A launch is one table of int64 that `nbad.runtime.launch` packs: a header and seven sections.

* rows: where the kernel's table points. A direct row points into an array, any other into the worker's scratch.
* loads: arrays to stage into scratch rows, once per tile, or per seed where they depend on it.
* stores: scratch rows to write to arrays.
* sums: scratch rows to add up, one float64 per block of 256 elements.
* blocks: results that the kernel itself puts side by side for each element, as those of a Jacobian, into memory that is
  contiguous over all elements. Where it may not, past the caches or at the end, they go there through scratch, a few elements at
  a time.
* reads: elements of several items that the kernel itself reads, from memory that is contiguous over all of them. Where it may
  not, at the end, they come to it through scratch.
* gathers: loads with the same strides, as those of a vector argument, or of columns of one array. Those that read neighbours, by
  the addresses of a call, are loaded together; see `nbad.native.interleave`. A gather is the number of its loads, the bytes from
  an element to the next, and the loads.

The element space has one or more dimensions in C order; a tile is 256 consecutive elements of it. Where the kernel stores past
the caches, which takes whole cache lines, the first tile is shorter, so that all others begin at lines, and is staged. All of
this is compiled once for all kernels, printed as LLVM IR like the kernels themselves.
"""

import functools
from contextlib import contextmanager

import numpy as np
from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.codegen.host import host
from nbad.native.block_sum import FLOATS, block_sum_function
from nbad.native.builder import Code
from nbad.native.convert import CODES, stage_function
from nbad.native.interleave import copy_function, separate_function, stream_function
from nbad.native.launch_table import (
    BEFORE,
    BLOCK_COUNT,
    BLOCK_SIZE,
    BLOCK_STREAMS,
    BLOCKS,
    BODY,
    BODY_ROW,
    COLUMNS,
    COUNT,
    GATHERS,
    ITEMSIZE,
    LANES,
    LEAD,
    LOAD_COUNT,
    LOADS,
    M_ARRAY,
    M_MODE,
    M_OFFSET,
    M_ROW,
    M_SEED_STRIDE,
    M_SIZE,
    MODE_SHIFT,
    NDIM,
    PART,
    PER_SEED,
    PITCH,
    PROLOGUE,
    R_ARRAY,
    R_OFFSET,
    R_PADDED,
    R_SEED_STRIDE,
    R_SIZE,
    READ_COUNT,
    READS,
    ROW_COUNT,
    ROWS,
    SHAPE,
    STAGED_LOADS,
    STAGED_STORES,
    STORE_COUNT,
    STORES,
    SUM_COUNT,
    SUMS,
    TARGET,
    TILE,
    UNIFORM,
    WIDTH,
)

DATA_FIELD = object.__basicsize__  # an array object's first own field is the address of its data


@functools.cache
def worker():
    """Address of `work(launch, ids, scratch, tile, last tile, seed, last seed)`: one worker's share of a launch.

    Examples
    --------
    >>> worker() != 0
    True
    """
    return compile_lasting(text_of(f"worker {DATA_FIELD} {host().nbytes}", _print_worker), "work")


def _print_worker():
    module = ir.Module("worker")
    functions = _Functions(module)
    code = Code(module, "work", 7, internal=False)
    _Share(code, functions).work()
    code.finish()
    return str(module)


class _Functions:
    """The functions that the worker calls."""

    def __init__(self, module):
        self.stages = {8: stage_function(module, 8), 4: stage_function(module, 4)}
        self.load = _load(Code(module, "load", 8), self.stages)
        self.scatter = _scatter(Code(module, "scatter", 9))
        self.block_sum = block_sum_function(module)
        self.stream, self.copy = stream_function(module), copy_function(module)
        self.separate = separate_function(module)


def _base(code, launch, ids, move, seed):
    """Address of the first element that a load, store or sum touches for one seed."""
    data = code.load(code.field(ids, code.field(launch, move + M_ARRAY)) + DATA_FIELD)
    return data + code.field(launch, move + M_OFFSET) + seed * code.field(launch, move + M_SEED_STRIDE)


def _locate(code, launch, strides, element):
    """Byte offset of an element, and how many elements from it on lie along the innermost dimension."""
    last = code.field(launch, NDIM) - 1
    size = code.field(launch, SHAPE + last)
    position = element - element // size * size
    rest, dimension = code.variable(element // size), code.variable(last)
    offset = code.variable(position * code.field(launch, strides + last))
    with code.repeat(lambda: code.int(0) < code.read(dimension)):
        code.assign(dimension, code.read(dimension) - 1)
        d, number = code.read(dimension), code.read(rest)
        above = number // code.field(launch, SHAPE + d)
        index = number - above * code.field(launch, SHAPE + d)
        code.assign(offset, code.read(offset) + index * code.field(launch, strides + d))
        code.assign(rest, above)
    return code.read(offset), size - position


def _load(code, stages):
    """Stage one load: `count` elements from number `first` on, the last repeated up to `padded`.

    Padding must not meet a slow path that the data does not.
    """
    launch, ids, scratch, first, count, padded, seed, move = code.parameters
    itemsize, kind = code.field(launch, ITEMSIZE), code.field(launch, move + M_MODE) >> MODE_SHIFT
    row = scratch + code.field(launch, move + M_ROW) * PITCH
    source, strides = _base(code, launch, ids, move, seed), move + M_SIZE
    stride = code.field(launch, strides + code.field(launch, NDIM) - 1)
    done = code.variable(0)

    def stage(*args):
        for size, function in stages.items():
            with code.when(itemsize.equals(size)):
                code.call(function, *args)

    with code.repeat(lambda: code.read(done) < count):
        start = code.read(done)
        offset, left = _locate(code, launch, strides, first + start)
        run = code.smaller(left, count - start)
        stage(row + start * itemsize, source + offset, stride, run, kind)
        code.assign(done, start + run)
    same = code.select(itemsize.equals(8), CODES[np.dtype("f8")], CODES[np.dtype("f4")])
    stage(row + count * itemsize, row + (count - 1) * itemsize, 0, padded - count, same)
    return code.finish()


def _scatter(code):
    """Write the staged results of one tile and seed, element by element: blocks of neighbouring results are written in order."""
    launch, ids, scratch, targets, moves, first, count, number, seed = code.parameters
    size, done, left = code.field(launch, NDIM) + M_SIZE, code.variable(0), code.variable(0)
    with code.repeat(lambda: code.read(done) < count):
        start = code.read(done)
        with code.loop(0, number) as k:
            move = moves + k * size
            offset, along = _locate(code, launch, move + M_SIZE, first + start)
            code.assign(left, along)
            source = scratch + code.field(launch, move + M_ROW) * PITCH + start * code.field(launch, ITEMSIZE)
            stride, mode = code.field(launch, move + size - 1), code.field(launch, move + M_MODE)
            fields = source, _base(code, launch, ids, move, seed) + offset, stride, mode
            for f, value in enumerate(fields):
                code.store(targets + (k * TARGET + f) * 8, value)
        run = code.smaller(code.read(left), count - start)
        for itemsize, kind in FLOATS.items():
            with code.when(code.field(launch, ITEMSIZE).equals(itemsize)):
                _write(code, targets, number, run, itemsize, kind)
        code.assign(done, start + run)
    return code.finish()


def _write(code, targets, number, run, itemsize, kind):
    bits = ir.IntType(8 * itemsize)
    with code.loop(0, run) as i, code.loop(0, number) as k:
        source, target, stride, mode = (code.field(targets, k * TARGET + f) for f in range(TARGET))
        source, target = source + i * itemsize, target + i * stride
        with code.when(mode.equals(0)):
            code.store(target, code.load(source, bits), bits)
        with code.when(mode.differs(0)):
            total = code.builder.fadd(code.load(target, kind), code.load(source, kind))
            code.store(target, total, kind)


class _Share:
    """The body of the worker."""

    def __init__(self, code, functions):
        self.code, self.functions = code, functions
        self.launch, self.ids, self.scratch, self.tile, self.last_tile, self.seed, self.last_seed = code.parameters
        self.rows = self.field(ROW_COUNT)
        self.parts = self.scratch + self.rows * PITCH
        self.table = self.parts + self.columns() * self.field(PART) * self.field(ITEMSIZE)
        self.lanes = self.table + self.rows * 8
        self.targets = self.lanes + 8 * LANES

    def field(self, index):
        return self.code.field(self.launch, index)

    def work(self):
        code = self.code
        with code.loop(self.tile, self.last_tile) as tile:
            start, width = tile * TILE - self.field(LEAD), self.field(WIDTH)
            first = code.select(start < 0, 0, start)
            count = code.smaller(start + TILE, self.field(COUNT)) - first
            padded = code.select(start < 0, TILE, (count + width - 1) // width * width)
            span = first, count, padded
            self.loads(span, code.int(0), 0, tile.equals(self.tile))
            with code.when(self.field(PROLOGUE).differs(0)):
                self.point(span, self.seed)
                code.call(self.field(PROLOGUE), self.table, padded)
            with code.loop(self.seed, self.last_seed) as seed:
                self.one_seed(span, seed, tile)
        code.builder.fence("seq_cst")  # what was streamed is in memory before anybody is told that the work is done

    def one_seed(self, span, seed, tile):
        """Point, stage, compute, write and sum for one seed."""
        _, count, padded = span
        code = self.code
        self.point(span, seed)
        self.loads(span, seed, PER_SEED, code.int(0).equals(0))
        self.compute(span, seed)
        number = code.select(count.equals(padded), self.field(STAGED_STORES), self.field(STORE_COUNT))
        with code.when(number.differs(0)):
            self.scatter(self.field(STORES), number, span, seed)
        with code.loop(0, self.field(SUM_COUNT)) as k:
            move = self.field(SUMS) + k * M_SIZE
            row = self.scratch + self.field(move + M_ROW) * PITCH
            target = _base(code, self.launch, self.ids, move, seed) + tile * 8
            code.call(self.functions.block_sum, row, self.field(ITEMSIZE), count, self.lanes, target)

    def scatter(self, moves, number, span, seed):
        """Write some stores element by element."""
        first, count, _ = span
        given = self.launch, self.ids, self.scratch, self.targets
        self.code.call(self.functions.scatter, *given, moves, first, count, number, seed)

    def columns(self):
        """How many items an element has in all blocks."""
        total = self.code.variable(0)
        for section in map(self.each_block, (BLOCKS, READS)):
            with section as block:
                self.code.assign(total, self.code.read(total) + self.field(block + COLUMNS))
        return self.code.read(total)

    @contextmanager
    def each_block(self, section=BLOCKS):
        """Where the blocks are told; those that are read have the same fields."""
        with self.code.loop(0, self.field(section + 1)) as k:
            yield self.field(section) + k * BLOCK_SIZE

    def compute(self, span, seed):
        """Run the body: over the whole tile, or so much of it at a time as parts of blocks have room for."""
        first, count, padded = span
        code, own, is_whole = self.code, self.table + self.field(BODY_ROW) * 8, count.equals(padded)
        both, either = code.builder.and_, code.builder.or_
        fills = either(self.field(BLOCK_COUNT).equals(0), both(self.field(BLOCK_STREAMS).equals(0), is_whole))
        reads = either(self.field(READ_COUNT).equals(0), is_whole)
        size = code.select(both(fills, reads), padded, self.field(PART))
        with code.loop(0, (padded + size - 1) // size) as k:
            start = k * size
            left = code.smaller(size, count - start)
            for section, is_direct in ((BLOCKS, fills), (READS, reads)):
                with self.each_block(section) as block:
                    place = code.select(is_direct, self.place(block, first + start, seed), self.part(block))
                    code.store(self.table + self.field(block + M_ROW) * 8, place)
            with code.when(code.builder.not_(reads)), self.each_block(READS) as block:
                self.bring(block, self.place(block, first + start, seed), left, size)
            code.call(self.field(BODY), own, code.smaller(size, padded - start))
            with code.when(code.builder.not_(fills)), self.each_block() as block:
                self.send(self.place(block, first + start, seed), self.part(block), left * self.pitch(block))
            with code.when(size < padded), code.loop(0, self.rows) as r:
                code.store(self.table + r * 8, code.field(self.table, r) + size * self.field(ITEMSIZE))

    def bring(self, block, source, number, size):
        """Copy so many elements to the room for a part of a block, and the last one over what is left of it."""
        part, pitch = self.part(block), self.pitch(block)
        self.code.call(self.functions.copy, part, source, number * pitch)
        self.code.call(self.functions.copy, part + number * pitch, part + (number - 1) * pitch, (size - number) * pitch)

    def pitch(self, block):
        """Bytes of an element in a block."""
        return self.field(block + COLUMNS) * self.field(ITEMSIZE)

    def place(self, block, first, seed):
        """Address of an element in a block."""
        return _base(self.code, self.launch, self.ids, block, seed) + first * self.pitch(block)

    def part(self, block):
        """Address of the room for a part of a block: BEFORE says how many items an element has in the blocks before it."""
        return self.parts + self.field(block + BEFORE) * self.field(PART) * self.field(ITEMSIZE)

    def send(self, target, source, size):
        """Copy a part of a block to its place, past the caches or not."""
        with self.code.when(self.field(BLOCK_STREAMS).differs(0)):
            self.code.call(self.functions.stream, target, source, size)
        with self.code.when(self.field(BLOCK_STREAMS).equals(0)):
            self.code.call(self.functions.copy, target, source, size)

    @contextmanager
    def each_gather(self):
        """The gathers: how many moves each has, the bytes from one element to the next, and where the moves are."""
        code, at = self.code, self.code.variable(self.field(GATHERS))
        with code.loop(0, self.field(GATHERS + 1)):
            number, pitch, moves = self.field(code.read(at)), self.field(code.read(at) + 1), code.read(at) + 2
            yield number, pitch, moves
            code.assign(at, moves + number * (self.field(NDIM) + M_SIZE))

    def name_rows(self, number, moves):
        """The table of the scratch rows of some moves."""
        code = self.code
        with code.loop(0, number) as k:
            row = self.field(moves + k * (self.field(NDIM) + M_SIZE) + M_ROW)
            code.store(self.targets + k * 8, self.scratch + row * PITCH)
        return self.targets

    def gather(self, span, seed, number, pitch, moves):
        """Stage a gather, one run of neighbours after the other."""
        code, size, done = self.code, self.field(NDIM) + M_SIZE, self.code.variable(0)
        with code.repeat(lambda: code.read(done) < number):
            run = code.variable(1)
            start, move = code.read(done), moves + code.read(done) * size
            memory = _base(code, self.launch, self.ids, move, seed)

            def goes_on():
                following = start + code.read(run)
                other = _base(code, self.launch, self.ids, moves + code.smaller(following, number - 1) * size, seed)
                return code.builder.and_(following < number, other.equals(memory + code.read(run) * self.field(ITEMSIZE)))

            with code.repeat(goes_on):
                code.assign(run, code.read(run) + 1)
            self.stage(span, seed, (code.read(run), move), (memory, pitch))
            code.assign(done, start + code.read(run))

    def stage(self, span, seed, run, source):
        """Stage some neighbours: a full tile by vectors."""
        (first, count, padded), (number, moves), (memory, pitch) = span, run, source
        code = self.code
        is_fast = code.builder.and_(count.equals(TILE), code.int(1) < number)
        with code.when(is_fast):
            rows = self.name_rows(number, moves)
            code.call(self.functions.separate, rows, memory + first * pitch, number, pitch, TILE, self.field(ITEMSIZE))
        with code.when(code.builder.not_(is_fast)), code.loop(0, number) as k:
            move = moves + k * (self.field(NDIM) + M_SIZE)
            code.call(self.functions.load, self.launch, self.ids, self.scratch, first, count, padded, seed, move)

    def loads(self, span, seed, per_seed, fresh):
        """Stage the loads of one kind; a uniform operand fills its row once, when the worker or the seed is fresh: no later tile
        is longer than that one.
        """
        first, count, padded = span
        code = self.code
        number = code.select(count.equals(padded), self.field(STAGED_LOADS), self.field(LOAD_COUNT))
        with code.loop(0, number) as k:
            move = self.field(LOADS) + k * (self.field(NDIM) + M_SIZE)
            mode = self.field(move + M_MODE)
            with code.when((mode & PER_SEED).equals(per_seed)):
                with code.when((mode & UNIFORM).equals(0)):
                    code.call(self.functions.load, self.launch, self.ids, self.scratch, first, count, padded, seed, move)
                with code.when(code.builder.and_((mode & UNIFORM).differs(0), fresh)):
                    code.call(self.functions.load, self.launch, self.ids, self.scratch, 0, 1, padded, seed, move)
        with self.each_gather() as gather, code.when((self.field(gather[-1] + M_MODE) & PER_SEED).equals(per_seed)):
            self.gather(span, seed, *gather)

    def point(self, span, seed):
        """Fill the kernel's table: direct rows point into arrays, all others into scratch."""
        first, count, padded = span
        code = self.code
        shift = first * self.field(ITEMSIZE)
        with code.loop(0, self.rows) as r:
            code.store(self.table + r * 8, self.scratch + r * PITCH)
            row = self.field(ROWS) + r * R_SIZE
            array, whole = self.field(row + R_ARRAY), count.equals(padded)
            direct = code.builder.or_(whole, self.field(row + R_PADDED).differs(0))
            with code.when(code.builder.and_(array >= 0, direct)):
                data = code.load(code.field(self.ids, array) + DATA_FIELD) + self.field(row + R_OFFSET)
                code.store(self.table + r * 8, data + seed * self.field(row + R_SEED_STRIDE) + shift)
