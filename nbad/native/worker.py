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
  the addresses of a call, are loaded together; see `nbad.native.interleave`.

The element space has one or more dimensions in C order; a tile is 256 consecutive elements of it. Where the kernel stores past
the caches, which takes whole cache lines, the first tile is shorter, so that all others begin at lines, and is staged. Whole
tiles without scratch are computed at once: pointing to their rows anew, and beginning anew, took up to half of a forward sweep's
time (bundle adjustment of 1e5 elements on two threads 1.16 -> 0.49 ms, Black-Scholes of 1e6 on one 6.3 -> 4.5). All of this is
compiled once for all kernels, printed as LLVM IR like the kernels themselves.
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
from nbad.native.convert import FLOATS, address_function, base, load_function, locate, own_kind, stage_function
from nbad.native.cpython import DATA, DIGIT, api, function, new_function, short
from nbad.native.interleave import copy_function, fetch_function, separate_function, stream_function


@functools.cache
def worker():
    """Address of `work(launch, ids, scratch, tile, last tile, seed, last seed)`: one worker's share of a launch.

    Examples
    --------
    >>> worker() != 0
    True
    """
    return compile_lasting(text_of(f"worker {DATA} {host().nbytes}", _print_worker), "work")


def _print_worker():
    module = ir.Module("worker")
    functions = _Functions(module)
    code = Code(module, "work", 7, internal=False)
    _Share(code, functions).work()
    return code.text()


class _Functions:
    """The functions that the worker calls."""

    def __init__(self, module):
        self.stage, self.block_sum = stage_function(module), block_sum_function(module)
        self.load, self.address = load_function(module, self.stage), address_function(module)
        self.stream, self.copy = stream_function(module), copy_function(module)
        self.separate, self.fetch = separate_function(module), fetch_function(module)


class _Share:
    """The body of the worker; `first`, `count`, `padded` and `now` are the tile and the seed that are computed."""

    def __init__(self, code, functions):
        self.code, self.functions = code, functions
        self.launch, self.ids, self.scratch, self.tile, self.last_tile, self.seed, self.last_seed = code.parameters
        self.rows, self.itemsize = self.field(t.ROW_COUNT), self.field(t.ITEMSIZE)
        self.parts = self.scratch + self.rows * t.PITCH
        self.table = self.parts + self.field(t.BLOCK_BYTES)
        self.lanes = self.table + self.rows * 8
        self.targets = self.lanes + 8 * t.LANES

    def field(self, index):
        return self.code.field(self.launch, index)

    def work(self):
        code, width, following = self.code, self.field(t.WIDTH), self.code.variable(self.tile)
        with code.repeat(lambda: following < self.last_tile):
            tile = following.now()
            start = tile * t.TILE - self.field(t.LEAD)
            following.set(tile + self.tiles_from(tile, start))
            self.first = code.select(start < 0, 0, start)
            self.count = code.smaller(start + (following - tile) * t.TILE, self.field(t.COUNT)) - self.first
            self.padded = code.select(start < 0, t.TILE, (self.count + width - 1) // width * width)
            self.is_whole, self.now = self.count.equals(self.padded), self.seed
            self.loads(0, tile.equals(self.tile))
            with code.when(self.field(t.PROLOGUE).differs(0)):
                self.point()
                code.call(self.field(t.PROLOGUE), self.table, self.padded)
            with code.loop(self.seed, self.last_seed) as self.now:
                self.one_seed(tile)
        code.builder.fence("seq_cst")  # what was streamed is in memory before anybody is told that the work is done

    def tiles_from(self, tile, start):
        """How many tiles are computed at once: all whole ones without scratch; one for several seeds, of which each reads it."""
        code = self.code
        whole = code.smaller((self.field(t.COUNT) - start) // t.TILE, self.last_tile - tile)
        is_alone = self.field(t.ALL_DIRECT).equals(0) | (start < 0) | whole.equals(0) | (self.last_seed - self.seed).differs(1)
        return code.select(is_alone, 1, whole)

    def one_seed(self, tile):
        """Point, stage, compute, write and sum for one seed."""
        code = self.code
        self.point()
        self.loads(t.PER_SEED, tile >= 0)
        self.compute()
        number = code.select(self.is_whole, self.field(t.STAGED_STORES), self.field(t.STORE_COUNT))
        with code.when(number.differs(0)):
            self.scatter(number)
        with code.loop(0, self.field(t.SUM_COUNT)) as k:
            move = self.field(t.SUMS) + k * t.M_SIZE
            code.call(self.functions.block_sum, self.row(move), self.itemsize, self.count, self.lanes, self.base(move) + tile * 8)

    def base(self, move):
        """Address of the first element that a move touches for this seed."""
        return base(self.code, self.launch, self.ids, move, self.now)

    def row(self, move):
        """Address of the scratch row of a move."""
        return self.scratch + self.field(move + t.M_ROW) * t.PITCH

    # --- where rows are

    def point(self):
        """Fill the kernel's table: direct rows point into arrays, all others into scratch."""
        code = self.code
        with code.loop(0, self.rows) as r:
            code.put(self.table, r, self.scratch + r * t.PITCH)
            row = self.field(t.ROWS) + r * t.R_SIZE
            array, is_direct = self.field(row + t.R_ARRAY), self.is_whole | self.field(row + t.R_PADDED).differs(0)
            with code.when((array >= 0) & is_direct):
                data = code.load(code.field(self.ids, array) + DATA) + self.field(row + t.R_OFFSET)
                data = data + self.now * self.field(row + t.R_SEED_STRIDE)
                code.put(self.table, r, data + self.first * self.pitch_of(r))

    def pitch_of(self, r):
        """Bytes of an element in a row."""
        return self.field(self.field(t.ROWS) + r * t.R_SIZE + t.R_ITEMS) * self.itemsize

    # --- loads

    def loads(self, per_seed, fresh):
        """Stage the loads of one kind; a uniform operand fills its row once, when the worker or the seed is fresh: no later tile
        is longer than that one.
        """
        code, size = self.code, self.field(t.NDIM) + t.M_SIZE
        with code.loop(0, code.select(self.is_whole, self.field(t.STAGED_LOADS), self.field(t.LOAD_COUNT))) as k:
            move = self.field(t.LOADS) + k * size
            is_uniform = (self.field(move + t.M_MODE) & t.UNIFORM).differs(0)
            with code.when(self.is_of(move, per_seed)):
                with code.when(~is_uniform):
                    self.load(move, self.first, self.count)
                with code.when(is_uniform & fresh):
                    self.load(move, 0, 1)
        with self.each_group(t.GATHERS) as group, code.when(self.is_of(group + t.G_SIZE, per_seed)):
            self.gather(group)
        with self.each_group(t.INDEXED) as group, code.when(self.is_of(self.moves_by_index(group), per_seed)):
            self.fetch(group)

    def is_of(self, move, per_seed):
        """Whether a load is one of each seed, or of all."""
        return (self.field(move + t.M_MODE) & t.PER_SEED).equals(per_seed)

    def load(self, move, first, count):
        """Stage one load."""
        self.code.call(self.functions.load, self.launch, self.ids, self.scratch, first, count, self.padded, self.now, move)

    @contextmanager
    def each_group(self, section):
        """Where the gathers, or the loads by an index, are told: their first field is how many fields they have."""
        at = self.code.variable(self.field(section))
        with self.code.loop(0, self.field(section + 1)):
            group = at.now()
            yield group
            at.set(group + self.field(group))

    def moves_by_index(self, group):
        return group + t.X_SIZE + 2 * self.field(t.NDIM)

    def fetch(self, group):
        """Stage loads by an index."""
        code, moves, number = self.code, self.moves_by_index(group), self.field(group + t.X_NUMBER)
        addresses = self.scratch + self.field(group + t.X_ROW) * t.PITCH
        span = self.first, self.count, self.padded
        code.call(self.functions.address, self.launch, self.ids, addresses, *span, self.now, group)
        rows = self.name_rows(number, moves, t.M_SIZE)
        kind, same = self.field(moves + t.M_MODE) >> t.MODE_SHIFT, own_kind(code, self.itemsize)
        with code.when(kind.equals(same)):
            code.call(self.functions.fetch, rows, addresses, number, self.padded, self.itemsize)
        with code.when(kind.differs(same)), code.loop(0, self.padded) as k:  # one by one
            target = code.field(rows, 0) + k * self.itemsize
            code.call(self.functions.stage, target, code.field(addresses, k), 0, 1, kind, self.itemsize)

    def name_rows(self, number, moves, size):
        """The table of the scratch rows of some moves."""
        with self.code.loop(0, number) as k:
            self.code.put(self.targets, k, self.row(moves + k * size))
        return self.targets

    def gather(self, group):
        """Stage a gather, one run of neighbours after the other."""
        code, size, done = self.code, self.field(t.NDIM) + t.M_SIZE, self.code.variable(0)
        number, pitch, moves = self.field(group + t.G_NUMBER), self.field(group + t.G_PITCH), group + t.G_SIZE
        with code.repeat(lambda: done < number):
            run, move = code.variable(1), moves + done * size
            memory = self.base(move)

            def goes_on():
                following = done + run
                other = self.base(moves + code.smaller(following, number - 1) * size)
                return (following < number) & other.equals(memory + run * self.itemsize)

            with code.repeat(goes_on):
                run.set(run + 1)
            self.stage(run.now(), move, memory, pitch)
            done.set(done + run)

    def stage(self, number, moves, memory, pitch):
        """Stage some neighbours: a full tile by vectors."""
        code, size = self.code, self.field(t.NDIM) + t.M_SIZE
        is_fast = self.count.equals(t.TILE) & (code.int(1) < number)
        with code.when(is_fast):
            rows, place = self.name_rows(number, moves, size), memory + self.first * pitch
            code.call(self.functions.separate, rows, place, number, pitch, t.TILE, self.itemsize)
        with code.when(~is_fast), code.loop(0, number) as k:
            self.load(moves + k * size, self.first, self.count)

    # --- computing, and blocks

    def compute(self):
        """Run the body: over the whole tile, or so much of it at a time as parts of blocks have room for."""
        code, own = self.code, self.table + self.field(t.BODY_ROW) * 8
        fills = self.field(t.BLOCK_COUNT).equals(0) | (self.field(t.BLOCK_STREAMS).equals(0) & self.is_whole)
        reads = self.field(t.READ_COUNT).equals(0) | self.is_whole
        size = code.select(fills & reads, self.padded, self.field(t.PART))
        with code.loop(0, self.count, size) as start:  # not all that is padded: a short first tile is, to a whole one
            left = code.smaller(size, self.count - start)
            for section, is_direct in ((t.BLOCKS, fills), (t.READS, reads)):
                with self.each_block(section) as block:
                    place = code.select(is_direct, self.place(block, start), self.part(block))
                    code.put(self.table, self.field(block + t.M_ROW), place)
            with code.when(~reads), self.each_block(t.READS) as block:
                self.bring(block, self.place(block, start), left, size)
            code.call(self.field(t.BODY), own, code.smaller(size, self.padded - start))
            with code.when(~fills), self.each_block(t.BLOCKS) as block:
                self.send(self.place(block, start), self.part(block), left * self.pitch(block))
            with code.when(size < self.padded), code.loop(0, self.rows) as r:
                code.put(self.table, r, code.field(self.table, r) + size * self.pitch_of(r))

    @contextmanager
    def each_block(self, section):
        """Where the blocks are told; those that are read have the same fields."""
        with self.code.loop(0, self.field(section + 1)) as k:
            yield self.field(section) + k * t.BLOCK_SIZE

    def bring(self, block, source, number, size):
        """Copy so many elements to the room for a part of a block, and the last one over what is left of it."""
        part, pitch = self.part(block), self.pitch(block)
        self.code.call(self.functions.copy, part, source, number * pitch)
        self.code.call(self.functions.copy, part + number * pitch, part + (number - 1) * pitch, (size - number) * pitch)

    def pitch(self, block):
        """Bytes of an element in a block."""
        return self.field(block + t.COLUMNS) * self.itemsize

    def place(self, block, start):
        """Address of an element of the tile in a block."""
        return self.base(block) + (self.first + start) * self.pitch(block)

    def part(self, block):
        """Address of the room for a part of a block: BEFORE says how many items an element has in the blocks before it."""
        return self.parts + self.field(block + t.BEFORE) * self.field(t.PART) * self.itemsize

    def send(self, target, source, size):
        """Copy a part of a block to its place, past the caches or not."""
        with self.code.when(self.field(t.BLOCK_STREAMS).differs(0)):
            self.code.call(self.functions.stream, target, source, size)
        with self.code.when(self.field(t.BLOCK_STREAMS).equals(0)):
            self.code.call(self.functions.copy, target, source, size)

    # --- stores

    def scatter(self, number):
        """Write some staged results, element by element: blocks of neighbouring results are written in order."""
        code, size, done, left = self.code, self.field(t.NDIM) + t.M_SIZE, self.code.variable(0), self.code.variable(0)
        with code.repeat(lambda: done < self.count):
            with code.loop(0, number) as k:
                move = self.field(t.STORES) + k * size
                offset, along = locate(code, self.launch, move + t.M_SIZE, self.first + done)
                left.set(along)
                source, target = self.row(move) + done * self.itemsize, self.base(move) + offset
                for f, value in enumerate((source, target, self.field(move + size - 1), self.field(move + t.M_MODE))):
                    code.put(self.targets, k * t.TARGET + f, value)
            run = code.smaller(left, self.count - done)
            for itemsize, kind in FLOATS.items():
                with code.when(self.itemsize.equals(itemsize)), code.loop(0, run) as i, code.loop(0, number) as k:
                    self.write(i, k, itemsize, kind)
            done.set(done + run)

    def write(self, i, k, itemsize, kind):
        """Write one element of one store, or add it to what is there."""
        code, bits = self.code, ir.IntType(8 * itemsize)
        source, target, stride, mode = (code.field(self.targets, k * t.TARGET + f) for f in range(t.TARGET))
        source, target = source + i * itemsize, target + i * stride
        with code.when(mode.equals(0)):
            code.store(target, code.load(source, bits), bits)
        with code.when(mode.differs(0)):
            total = code.builder.fadd(code.load(target, kind), code.load(source, kind))
            code.store(target, total, kind)


def launcher(work, launch, scratch, tiles):
    """A function `run(*arrays, n_seeds)` that runs a launch in its caller's thread and keeps the interpreter's lock.

    For where threads do not pay: by `ctypes`, with scratch from the pool, calls of up to 1,000 elements took 1.4 times as long.
    `work` and `launch` are addresses, of the worker and of its table; scratch, at most `LARGEST` bytes, is on the stack.
    """
    return function("launcher", _print_launcher, [work, launch, scratch, tiles, api("PyBool_FromLong")])


def _print_launcher():
    """The arguments are the worker's array objects, and behind them the number of seeds."""
    code, table, args, count = new_function("launcher")
    work, launch, size, tiles, done = (code.field(table, k) for k in range(5))
    seeds = short(code, code.field(args, count - 1) + DIGIT)
    code.call(work, launch, args, code.stack(size), 0, tiles, 0, seeds)
    code.finish(code.call(done, 1))
    return str(code.function.module)
