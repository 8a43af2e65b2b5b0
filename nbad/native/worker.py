"""One worker's share of a launch: stage, compute, scatter and sum, tile by tile.

A launch is one table of int64 that `nbad.runtime.launch` packs: a header and seven sections.

* rows: where the kernel's table points. A direct row points into an array, any other into the worker's scratch. Rows in lines are
  one entry, which is direct, with several items an element.
* loads: arrays to stage into scratch rows, once per tile, or per seed where they depend on it.
* stores: scratch rows to write to arrays.
* sums: scratch rows to add up, one float64 per block of 256 elements.
* blocks: results that the kernel itself puts side by side for each element, as those of a Jacobian, into memory that is
  contiguous over all elements. Where it may not, past the caches or at the end, they go there through scratch, a few elements at
  a time.
* reads: elements of several items that the kernel itself reads, from memory that is contiguous over all of them. Where it may
  not, at the end, they come to it through scratch.
* indexed: loads of arrays by an index into their first axis. The addresses of a tile's elements come first, then the loads of
  neighbours together; what is converted goes one by one.
* gathers: loads with the same strides, as those of a vector argument, or of columns of one array. Those that read neighbours, by
  the addresses of a call, are loaded together; see `nbad.native.interleave`. A gather is the number of its loads, the bytes from
  an element to the next, and the loads.

The element space has one or more dimensions in C order; a tile is 256 consecutive elements of it. Where the kernel stores past
the caches, which takes whole cache lines, the first tile is shorter, so that all others begin at lines, and is staged. All of
this is compiled once for all kernels, printed as LLVM IR like the kernels themselves.
"""

import functools
from contextlib import contextmanager

from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.codegen.host import host
from nbad.native import launch_table as t
from nbad.native.block_sum import block_sum_function
from nbad.native.builder import Code
from nbad.native.convert import (
    DATA_FIELD,
    FLOATS,
    address_function,
    base,
    convert_function,
    load_function,
    locate,
    own_kind,
    stage_function,
)
from nbad.native.interleave import copy_function, fetch_function, separate_function, stream_function


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
        self.load = load_function(module, self.stages)
        self.scatter = _scatter(Code(module, "scatter", 9))
        self.block_sum = block_sum_function(module)
        self.stream, self.copy = stream_function(module), copy_function(module)
        self.separate, self.fetch = separate_function(module), fetch_function(module)
        self.address = address_function(module)
        self.convert = convert_function(module, self.stages)


def _scatter(code):
    """Write the staged results of one tile and seed, element by element: blocks of neighbouring results are written in order."""
    launch, ids, scratch, targets, moves, first, count, number, seed = code.parameters
    size, done, left = code.field(launch, t.NDIM) + t.M_SIZE, code.variable(0), code.variable(0)
    with code.repeat(lambda: done < count):
        start = done.now()
        with code.loop(0, number) as k:
            move = moves + k * size
            offset, along = locate(code, launch, move + t.M_SIZE, first + start)
            left.set(along)
            source = scratch + code.field(launch, move + t.M_ROW) * t.PITCH + start * code.field(launch, t.ITEMSIZE)
            stride, mode = code.field(launch, move + size - 1), code.field(launch, move + t.M_MODE)
            fields = source, base(code, launch, ids, move, seed) + offset, stride, mode
            for f, value in enumerate(fields):
                code.store(targets + (k * t.TARGET + f) * 8, value)
        run = code.smaller(left, count - start)
        for itemsize, kind in FLOATS.items():
            with code.when(code.field(launch, t.ITEMSIZE).equals(itemsize)):
                _write(code, targets, number, run, itemsize, kind)
        done.set(start + run)
    return code.finish()


def _write(code, targets, number, run, itemsize, kind):
    bits = ir.IntType(8 * itemsize)
    with code.loop(0, run) as i, code.loop(0, number) as k:
        source, target, stride, mode = (code.field(targets, k * t.TARGET + f) for f in range(t.TARGET))
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
        self.rows = self.field(t.ROW_COUNT)
        self.parts = self.scratch + self.rows * t.PITCH
        self.table = self.parts + self.columns() * self.field(t.PART) * self.field(t.ITEMSIZE)
        self.lanes = self.table + self.rows * 8
        self.targets = self.lanes + 8 * t.LANES
        self.body = code.variable(0)

    def field(self, index):
        return self.code.field(self.launch, index)

    def work(self):
        code = self.code
        kept = self.tile + (self.last_tile - self.tile) * self.field(t.KEPT) // t.PARTS
        with code.loop(self.tile, self.last_tile) as tile:
            self.body.set(code.select(tile < kept, self.field(t.KEEPER), self.field(t.BODY)))
            start, width = tile * t.TILE - self.field(t.LEAD), self.field(t.WIDTH)
            first = code.select(start < 0, 0, start)
            count = code.smaller(start + t.TILE, self.field(t.COUNT)) - first
            padded = code.select(start < 0, t.TILE, (count + width - 1) // width * width)
            span = first, count, padded
            self.loads(span, code.int(0), 0, tile.equals(self.tile))
            with code.when(self.field(t.PROLOGUE).differs(0)):
                self.point(span, self.seed)
                code.call(self.field(t.PROLOGUE), self.table, padded)
            with code.loop(self.seed, self.last_seed) as seed:
                self.one_seed(span, seed, tile)
        code.builder.fence("seq_cst")  # what was streamed is in memory before anybody is told that the work is done

    def one_seed(self, span, seed, tile):
        """Point, stage, compute, write and sum for one seed."""
        _, count, padded = span
        code = self.code
        self.point(span, seed)
        self.loads(span, seed, t.PER_SEED, code.int(0).equals(0))
        self.compute(span, seed)
        number = code.select(count.equals(padded), self.field(t.STAGED_STORES), self.field(t.STORE_COUNT))
        with code.when(number.differs(0)):
            self.scatter(self.field(t.STORES), number, span, seed)
        with code.loop(0, self.field(t.SUM_COUNT)) as k:
            move = self.field(t.SUMS) + k * t.M_SIZE
            row = self.scratch + self.field(move + t.M_ROW) * t.PITCH
            target = base(code, self.launch, self.ids, move, seed) + tile * 8
            code.call(self.functions.block_sum, row, self.field(t.ITEMSIZE), count, self.lanes, target)

    def scatter(self, moves, number, span, seed):
        """Write some stores element by element."""
        first, count, _ = span
        given = self.launch, self.ids, self.scratch, self.targets
        self.code.call(self.functions.scatter, *given, moves, first, count, number, seed)

    def columns(self):
        """How many items an element has in all blocks."""
        total = self.code.variable(0)
        for section in map(self.each_block, (t.BLOCKS, t.READS)):
            with section as block:
                total.set(total + self.field(block + t.COLUMNS))
        return total

    @contextmanager
    def each_block(self, section=t.BLOCKS):
        """Where the blocks are told; those that are read have the same fields."""
        with self.code.loop(0, self.field(section + 1)) as k:
            yield self.field(section) + k * t.BLOCK_SIZE

    def compute(self, span, seed):
        """Run the body: over the whole tile, or so much of it at a time as parts of blocks have room for."""
        first, count, padded = span
        code, own, is_whole = self.code, self.table + self.field(t.BODY_ROW) * 8, count.equals(padded)
        fills = self.field(t.BLOCK_COUNT).equals(0) | (self.field(t.BLOCK_STREAMS).equals(0) & is_whole)
        reads = self.field(t.READ_COUNT).equals(0) | is_whole
        size = code.select(fills & reads, padded, self.field(t.PART))
        with code.loop(0, (count + size - 1) // size) as k:  # not all that is padded: a short first tile is, to a whole one
            start = k * size
            left = code.smaller(size, count - start)
            for section, is_direct in ((t.BLOCKS, fills), (t.READS, reads)):
                with self.each_block(section) as block:
                    place = code.select(is_direct, self.place(block, first + start, seed), self.part(block))
                    code.store(self.table + self.field(block + t.M_ROW) * 8, place)
            with code.when(~reads), self.each_block(t.READS) as block:
                self.bring(block, self.place(block, first + start, seed), left, size)
            code.call(self.body, own, code.smaller(size, padded - start))
            with code.when(~fills), self.each_block() as block:
                self.send(self.place(block, first + start, seed), self.part(block), left * self.pitch(block))
            with code.when(size < padded), code.loop(0, self.rows) as r:
                code.store(self.table + r * 8, code.field(self.table, r) + size * self.pitch_of(r))

    def bring(self, block, source, number, size):
        """Copy so many elements to the room for a part of a block, and the last one over what is left of it."""
        part, pitch = self.part(block), self.pitch(block)
        self.code.call(self.functions.copy, part, source, number * pitch)
        self.code.call(self.functions.copy, part + number * pitch, part + (number - 1) * pitch, (size - number) * pitch)

    def pitch(self, block):
        """Bytes of an element in a block."""
        return self.field(block + t.COLUMNS) * self.field(t.ITEMSIZE)

    def place(self, block, first, seed):
        """Address of an element in a block."""
        return base(self.code, self.launch, self.ids, block, seed) + first * self.pitch(block)

    def part(self, block):
        """Address of the room for a part of a block: BEFORE says how many items an element has in the blocks before it."""
        return self.parts + self.field(block + t.BEFORE) * self.field(t.PART) * self.field(t.ITEMSIZE)

    def send(self, target, source, size):
        """Copy a part of a block to its place, past the caches or not."""
        with self.code.when(self.field(t.BLOCK_STREAMS).differs(0)):
            self.code.call(self.functions.stream, target, source, size)
        with self.code.when(self.field(t.BLOCK_STREAMS).equals(0)):
            self.code.call(self.functions.copy, target, source, size)

    @contextmanager
    def each_gather(self):
        """The gathers: how many moves each has, the bytes from one element to the next, and where the moves are."""
        code, at = self.code, self.code.variable(self.field(t.GATHERS))
        with code.loop(0, self.field(t.GATHERS + 1)):
            number, pitch, moves = self.field(at), self.field(at + 1), at + 2
            yield number, pitch, moves
            at.set(moves + number * (self.field(t.NDIM) + t.M_SIZE))

    @contextmanager
    def each_indexed(self):
        """The loads by an index that are neighbours: where they begin, how many they are, and where the moves are."""
        code, at = self.code, self.code.variable(self.field(t.INDEXED))
        with code.loop(0, self.field(t.INDEXED + 1)):
            group = at.now()
            number, moves = self.field(group + t.X_NUMBER), group + t.X_SIZE + 2 * self.field(t.NDIM)
            yield group, number, moves
            at.set(moves + number * t.M_SIZE)

    def fetch(self, span, seed, group, number, moves):
        """Stage loads by an index."""
        (first, count, padded), code = span, self.code
        addresses = self.scratch + self.field(group + t.X_ROW) * t.PITCH
        code.call(self.functions.address, self.launch, self.ids, addresses, first, count, padded, seed, group)
        rows, itemsize = self.name_rows(number, moves, t.M_SIZE), self.field(t.ITEMSIZE)
        kind, same = self.field(moves + t.M_MODE) >> t.MODE_SHIFT, own_kind(code, itemsize)
        with code.when(kind.equals(same)):
            code.call(self.functions.fetch, rows, addresses, number, padded, itemsize)
        with code.when(kind.differs(same)):
            code.call(self.functions.convert, code.field(rows, 0), addresses, padded, itemsize, kind)

    def name_rows(self, number, moves, size):
        """The table of the scratch rows of some moves."""
        code = self.code
        with code.loop(0, number) as k:
            row = self.field(moves + k * size + t.M_ROW)
            code.store(self.targets + k * 8, self.scratch + row * t.PITCH)
        return self.targets

    def gather(self, span, seed, number, pitch, moves):
        """Stage a gather, one run of neighbours after the other."""
        code, size, done = self.code, self.field(t.NDIM) + t.M_SIZE, self.code.variable(0)
        with code.repeat(lambda: done < number):
            run = code.variable(1)
            start, move = done.now(), moves + done * size
            memory = base(code, self.launch, self.ids, move, seed)

            def goes_on():
                following = start + run
                other = base(code, self.launch, self.ids, moves + code.smaller(following, number - 1) * size, seed)
                return (following < number) & other.equals(memory + run * self.field(t.ITEMSIZE))

            with code.repeat(goes_on):
                run.set(run + 1)
            self.stage(span, seed, (run, move), (memory, pitch))
            done.set(start + run)

    def stage(self, span, seed, run, source):
        """Stage some neighbours: a full tile by vectors."""
        (first, count, padded), (number, moves), (memory, pitch) = span, run, source
        code = self.code
        is_fast = count.equals(t.TILE) & (code.int(1) < number)
        with code.when(is_fast):
            rows = self.name_rows(number, moves, self.field(t.NDIM) + t.M_SIZE)
            code.call(self.functions.separate, rows, memory + first * pitch, number, pitch, t.TILE, self.field(t.ITEMSIZE))
        with code.when(~is_fast), code.loop(0, number) as k:
            move = moves + k * (self.field(t.NDIM) + t.M_SIZE)
            code.call(self.functions.load, self.launch, self.ids, self.scratch, first, count, padded, seed, move)

    def loads(self, span, seed, per_seed, fresh):
        """Stage the loads of one kind; a uniform operand fills its row once, when the worker or the seed is fresh: no later tile
        is longer than that one.
        """
        first, count, padded = span
        code = self.code
        number = code.select(count.equals(padded), self.field(t.STAGED_LOADS), self.field(t.LOAD_COUNT))
        with code.loop(0, number) as k:
            move = self.field(t.LOADS) + k * (self.field(t.NDIM) + t.M_SIZE)
            mode = self.field(move + t.M_MODE)
            with code.when((mode & t.PER_SEED).equals(per_seed)):
                with code.when((mode & t.UNIFORM).equals(0)):
                    code.call(self.functions.load, self.launch, self.ids, self.scratch, first, count, padded, seed, move)
                with code.when((mode & t.UNIFORM).differs(0) & fresh):
                    code.call(self.functions.load, self.launch, self.ids, self.scratch, 0, 1, padded, seed, move)
        with self.each_gather() as gather, code.when((self.field(gather[-1] + t.M_MODE) & t.PER_SEED).equals(per_seed)):
            self.gather(span, seed, *gather)
        with self.each_indexed() as loads, code.when((self.field(loads[-1] + t.M_MODE) & t.PER_SEED).equals(per_seed)):
            self.fetch(span, seed, *loads)

    def point(self, span, seed):
        """Fill the kernel's table: direct rows point into arrays, all others into scratch."""
        first, count, padded = span
        code = self.code
        with code.loop(0, self.rows) as r:
            code.store(self.table + r * 8, self.scratch + r * t.PITCH)
            row = self.field(t.ROWS) + r * t.R_SIZE
            array, whole = self.field(row + t.R_ARRAY), count.equals(padded)
            direct = whole | self.field(row + t.R_PADDED).differs(0)
            with code.when((array >= 0) & direct):
                data = code.load(code.field(self.ids, array) + DATA_FIELD) + self.field(row + t.R_OFFSET)
                code.store(self.table + r * 8, data + seed * self.field(row + t.R_SEED_STRIDE) + first * self.pitch_of(r))

    def pitch_of(self, r):
        """Bytes of an element in a row."""
        return self.field(self.field(t.ROWS) + r * t.R_SIZE + t.R_ITEMS) * self.field(t.ITEMSIZE)
