"""The code of an entry, which serves the plain case of every kernel of one dtype: check, allocate, compute, make results.

What is contiguous the kernel reads and writes in place, over all elements of a thread at once, the last vector overlapping the
one before it; else tiles pass through scratch on the stack. Bits do not depend on that: a lane's do not depend on its place. What
takes long is shared with helpers, in chunks that all claim.
"""

from llvmlite import ir

from nbad.native import entry_table as t
from nbad.native import sharing
from nbad.native.builder import I64, Code, Int
from nbad.native.convert import DOUBLE
from nbad.native.cpython import DATA, I32, length
from nbad.native.entry_arguments import Arguments, Fields
from nbad.native.launch_table import GAP, GAP_EVERY, TILE

# elements that are swept at once where there are many seeds: what residuals they have is in the nearest cache for the next seed;
# 8 seeds of 20,000 elements take 92 us, and 124 us in parts of 1,024
AT_ONCE = 2 * TILE


def text(name, dtype):
    """The IR of the function `name`."""
    return _Printer(name, dtype).text()


class _Moves(Fields):
    """Where rows of the kernel meet arguments, for code that has tables of where their values and objects are, too."""

    item: int
    data: Int
    things: Int

    def move(self, m, field):
        return self.field(self.field(t.MOVES_AT) + m * t.MOVE + field)

    def place(self, m, start):
        """Address of an element in what a move names."""
        code, of, step = self.code, self.move(m, t.OF), self.move(m, t.STEP)
        data, offset = code.field(self.data, of), self.move(m, t.OFFSET)
        found = code.variable(data + (start * step + offset) * self.item)
        with code.when(step.equals(0)):  # only then are there two dimensions to read
            pitch = length(code, code.field(self.things, of), 1)
            code.assign(found, data + (offset * pitch + start) * self.item)
        return code.read(found)

    def call_kernel(self, rows, count):
        self.code.call(self.field(t.KERNEL), rows, count)


class _Part(_Moves):
    """What one thread does in place: some tiles, as `nbad.native.sharing` gives them to work, for all seeds."""

    def __init__(self, module, item):
        self.code, self.item = Code(module, "part", 7), item
        frame, _, _, self.tile, self.last_tile, _, _ = self.code.parameters
        given = [self.code.field(frame, k) for k in range(6)]
        self.table, self.first_data, self.things, self.steps, self.count, self.seeds = given
        self.data = self.code.stack(self.code.int(8 * t.MOST_ARGUMENTS))

    def text(self):
        """The function."""
        code, rows = self.code, self.code.stack(self.field(t.ROWS) * 8)
        start, end = self.tile * TILE, code.smaller(self.last_tile * TILE, self.count)
        size = code.select(self.seeds.equals(1), end - start, AT_ONCE)
        with code.loop(0, (end - start + size - 1) // size) as block, code.loop(0, self.seeds) as seed:
            with code.loop(0, self.field(t.INPUTS) + self.field(t.RESULTS)) as k:
                code.store(self.data + k * 8, code.field(self.first_data, k) + seed * code.field(self.steps, k))
            first = start + block * size
            self.compute(rows, first, code.smaller(first + size, end))
        return code.finish()

    def compute(self, rows, start, end):
        width = self.field(t.WIDTH)
        whole = (end - start) // width * width
        with self.code.when(whole.differs(0)):
            self.run(rows, start, whole)
        with self.code.when(end.differs(start + whole)):
            self.run(rows, end - width, width)

    def run(self, rows, start, count):
        with self.code.loop(0, self.field(t.MOVES)) as m:
            self.code.store(rows + self.move(m, t.ROW) * 8, self.place(m, start))
        self.call_kernel(rows, count)


class _Printer(Arguments, _Moves):
    """The code of an entry for one dtype."""

    def text(self):
        """The IR."""
        code = self.code
        with code.loop(0, self.inputs + self.results) as k:
            code.store(self.kinds + k * 8, code.int(t.AN_ARRAY))
            code.store(self.things + k * 8, code.int(0))
        self.unpack()
        with self.so_far():
            self.check_types()
        with self.so_far():
            self.find_shape()
        with self.so_far():
            self.ask()
        with self.so_far(), code.loop(0, self.inputs) as k:
            self.check_input(k)
        with self.so_far(), code.loop(self.inputs, self.given) as k:
            self.check_out(k)
        with self.so_far():
            with code.loop(self.given, self.inputs + self.results) as k:
                self.new_result(k)
            self.run()
            with code.when(self.has_out):
                code.call(self.field(t.RETAIN), self.out)
                code.builder.ret(self.out.value)
            code.builder.ret(self.assembled().value)
        code.finish(code.call(self.field(t.ANSWER), 0, returns=I64))
        return str(code.function.module)

    # --- results

    def new_result(self, k):
        code, is_rows, lead = self.code, self.argument(k, t.IS_ROWS), self.lead_of(k)
        lengths, depth = self.new_lengths, self.argument(k, t.DEPTH)
        code.store(lengths, code.read(self.seeds))  # written over where there is one seed only
        with code.loop(0, lead) as d:
            code.store(lengths + (self.batched + d) * 8, code.field(self.lengths, d))
        ndim = code.variable(self.batched + lead + depth)
        with code.when(is_rows.equals(0)), code.loop(0, depth) as d:
            code.store(lengths + (self.batched + lead + d) * 8, self.field(self.argument(k, t.CORE) + d))
        with code.when(is_rows.differs(0)):
            code.store(lengths, depth)
            code.store(lengths + 8, self.pitch())
            code.assign(ndim, 2)
        is_big, found = self.result_bytes(k) >= self.field(t.FRESH_FROM), code.variable(0)
        with code.when(is_big):
            code.assign(found, self.recycled_array(code.read(ndim), lengths))
        with code.when(code.builder.not_(is_big)):
            code.assign(found, self.new_array(code.read(ndim), lengths))
        made = code.read(found)
        self.give_up_without(made)
        code.store(self.things + k * 8, made)
        code.store(self.data + k * 8, code.load(made + DATA))

    def pitch(self):
        """Items in a residual row: whole tiles."""
        code = self.code
        whole = (code.read(self.count) + (TILE - 1)) // TILE * TILE
        is_even = (whole * self.item & (GAP_EVERY - 1)).equals(0)
        return code.select(is_even, whole + GAP // self.item, whole)

    def new_array(self, ndim, lengths):
        builder = self.code.builder
        kind = ir.FunctionType(I64, [I64, I32, I64, I32, I64, I64, I32, I32, I64])
        call = builder.inttoptr(self.field(t.NEW).value, kind.as_pointer())
        ndim, number = (builder.trunc(x.value, I32) for x in (ndim, self.field(t.TYPE_NUMBER)))
        zero, none = I64(0), I32(0)
        kind = self.field(t.ARRAY).value
        return Int(builder, builder.call(call, [kind, ndim, lengths.value, number, zero, zero, none, none, zero]))

    def result_bytes(self, k):
        rows = self.argument(k, t.DEPTH) * self.pitch() * self.item
        return self.code.select(self.argument(k, t.IS_ROWS).differs(0), rows, self.code.read(self.seeds) * self.bytes_of(k))

    def recycled_array(self, ndim, lengths):
        """One in memory that was used before, from Python; 0 where that raises."""
        code = self.code
        shape = code.call(self.field(t.TUPLE_NEW), ndim, returns=I64)
        self.give_up_without(shape)
        with code.loop(0, ndim) as d:
            number = code.call(self.field(t.FROM_SIZE), code.field(lengths, d), returns=I64)
            self.give_up_without(number)
            code.call(self.field(t.TUPLE_SET), shape, d, number, returns=I64)
        made = code.call(self.field(t.CALL_ALL), self.field(t.FRESH), shape, 0, returns=I64)
        code.call(self.field(t.RELEASE), shape)
        return made

    def give_up_without(self, made):
        """Where memory is out, which Python knows then, let go of all that was made."""
        code = self.code
        with code.when(made.equals(0)):
            with code.loop(self.inputs, self.inputs + self.results) as k:
                code.call(self.field(t.RELEASE), code.field(self.things, k))
            for held in self.held:
                code.call(self.field(t.RELEASE), code.read(held))
            code.builder.ret(I64(0))

    def assembled(self):
        """The groups of results: each a tuple, or a single one; 0-d arrays become NumPy scalars."""
        code, groups, at = self.code, self.field(t.GROUPS), self.code.variable(self.inputs)
        whole, found = self.held
        with code.when(groups.differs(1)):
            self.hold(whole, code.call(self.field(t.TUPLE_NEW), groups, returns=I64))
        with code.loop(0, groups) as g:
            count = self.field(self.field(t.GROUPS_AT) + g * t.GROUP + t.COUNT)
            is_tuple = self.field(self.field(t.GROUPS_AT) + g * t.GROUP + t.IS_TUPLE).differs(0)
            with code.when(is_tuple):
                self.hold(found, code.call(self.field(t.TUPLE_NEW), count, returns=I64))
            with code.loop(0, count) as k:
                self.place_result(found, k, at, is_tuple)
            with code.when(groups.differs(1)):
                code.call(self.field(t.TUPLE_SET), code.read(whole), g, code.read(found), returns=I64)
                code.assign(found, 0)
        return code.select(groups.equals(1), code.read(found), code.read(whole))

    def hold(self, slot, made):
        self.give_up_without(made)
        self.code.assign(slot, made)

    def place_result(self, group, k, at, is_tuple):
        """Put the next result into its group; it is owned there, and not here any more."""
        code, place = self.code, self.things + self.code.read(at) * 8
        array = code.load(place)
        code.store(place, code.int(0))
        result = code.call(self.field(t.RETURN), array, returns=I64)
        self.give_up_without(result)
        with code.when(is_tuple):
            code.call(self.field(t.TUPLE_SET), code.read(group), k, result, returns=I64)
        with code.when(code.builder.not_(is_tuple)):
            code.assign(group, result)
        code.assign(at, code.read(at) + 1)

    # --- the work

    def ask(self):
        """Who may share what is long enough: Python knows how many threads are wanted, and starts them."""
        code = self.code
        with code.when(code.builder.and_(self.is_in_place(), self.work() >= self.field(t.SHARED_FROM))):
            answer = code.call(self.field(t.CALL), self.field(t.ASKED), returns=I64)
            self.give_up_without(answer)
            code.assign(self.asked, code.call(self.field(t.AS_SIZE), answer, returns=I64))
            code.call(self.field(t.RELEASE), answer)

    def work(self):
        """Elements of all seeds."""
        return self.code.read(self.count) * self.code.read(self.seeds)

    def is_in_place(self):
        """Whether nothing is to be staged."""
        both, count = self.code.builder.and_, self.code.read(self.count)
        fills = both(count >= self.field(t.WIDTH), count >= self.field(t.WHOLE))
        return both(both(fills, self.code.read(self.numbers).equals(0)), self.field(t.IN_PLACE).differs(0))

    def run(self):
        """All seeds, one after the other. Vectors of rows in lines do not overlap: what a last one lacks is staged."""
        code, count, staged_from = self.code, self.code.read(self.count), self.code.variable(0)
        with code.when(self.is_in_place()):
            whole = count // self.field(t.WHOLE) * self.field(t.WHOLE)
            self.run_in_place(whole)
            code.assign(staged_from, whole)
        with code.when(code.read(staged_from) < count):
            self.run_staged(code.read(staged_from))

    def run_in_place(self, count):
        """So many elements, alone, or with helpers that listen, or are woken.

        The interpreter's lock is given away where that takes long.
        """
        code, is_long = self.code, self.work() >= self.field(t.LONG_FROM)
        steps, kept = code.stack(code.int(8 * t.MOST_ARGUMENTS)), code.variable(0)
        with code.loop(0, self.inputs + self.results) as k:
            code.store(steps + k * 8, code.select(k < self.from_rows, 0, self.bytes_of(k)))
        frame = self.listed([self.table, self.data, self.things, steps, count, code.read(self.seeds)])
        part, tiles = _Part(code.function.module, self.item).text(), (count + (TILE - 1)) // TILE
        team, threads = code.read(self.asked) & ((1 << t.TEAM_BITS) - 1), code.read(self.asked) >> t.TEAM_BITS
        shares = code.variable(0)
        with code.when(team.differs(0)):
            wakes, listen = self.work() >= self.field(t.WOKEN_FROM), code.field(team, sharing.LISTENS).differs(1)
            code.assign(shares, code.select(code.builder.or_(wakes, listen), 1, 0))
        with code.when(is_long):
            code.assign(kept, code.call(self.field(t.SAVE), returns=I64))
        with code.when(code.read(shares).differs(0)):
            address = Int(code.builder, code.builder.ptrtoint(part.function, I64))
            chunks = code.smaller(threads * sharing.CHUNKS_EACH, tiles)
            launch = self.listed([address, frame, 0, tiles, 1, 0, chunks, 0, 0, threads, 0], threads)
            code.call(self.field(t.TOGETHER), launch, team)
        with code.when(code.read(shares).equals(0)):
            code.call(part, frame, 0, 0, 0, tiles, 0, 1)
        with code.when(is_long):
            code.call(self.field(t.RESTORE), code.read(kept))

    def listed(self, values, zeros=0):
        """A table on the stack: these values, and behind them some zeros."""
        code, first = self.code, len(values)
        table = code.stack((code.int(0) + zeros + first) * 8)
        for k, value in enumerate(values):
            code.store(table + k * 8, code.int(0) + value)
        with code.loop(first, code.int(first) + zeros) as k:
            code.store(table + k * 8, code.int(0))
        return table

    def run_staged(self, first):
        """Tile by tile, from an element on; memory on the stack is taken once."""
        code, width, count, rows = self.code, self.field(t.WIDTH), self.code.read(self.count), self.field(t.ROWS)
        size = code.smaller(self.field(t.TILE_SIZE), (count - first + width - 1) // width * width)
        table, scratch = code.stack(rows * 8), code.stack(rows * size * self.item)
        with code.loop(0, code.read(self.seeds)):
            with code.loop(0, (count - first + size - 1) // size) as part:
                self.tile(table, scratch, size, first + part * size)
            with code.loop(self.from_rows, self.inputs + self.results) as k, code.when(self.is_a(k, t.AN_ARRAY)):
                code.store(self.data + k * 8, code.field(self.data, k) + self.bytes_of(k))

    def tile(self, table, scratch, size, start):
        """Stage what is not in place, compute, and write back."""
        code, width = self.code, self.field(t.WIDTH)
        count = code.smaller(size, code.read(self.count) - start)
        padded = (count + width - 1) // width * width
        with code.loop(0, self.field(t.ROWS)) as r:
            code.store(table + r * 8, scratch + r * size * self.item)
        with self.code.loop(0, self.field(t.MOVES)) as m:
            own, is_load = scratch + self.move(m, t.ROOM) * size * self.item, m < self.field(t.LOADS)
            code.store(table + self.move(m, t.ROW) * 8, own)
            is_number = code.builder.not_(self.is_a(self.move(m, t.OF), t.AN_ARRAY))
            fits = code.builder.or_(padded.equals(count), self.move(m, t.STEP).equals(0))
            fits = code.builder.or_(fits, self.move(m, t.ALONE).equals(t.ALWAYS))
            direct = code.builder.and_(code.builder.and_(fits, self.move(m, t.ALONE).differs(0)), code.builder.not_(is_number))
            with code.when(direct):
                code.store(table + self.move(m, t.ROW) * 8, self.place(m, start))
            with code.when(code.builder.and_(is_number, is_load)):
                self.fill_number(own, self.move(m, t.OF), padded)
            staged = code.builder.not_(code.builder.or_(direct, is_number))
            with code.when(code.builder.and_(staged, is_load)):
                items, end = self.move(m, t.ITEMS), own + count * self.item * self.move(m, t.ITEMS)
                self.copy((own, 1), (self.place(m, start), self.step(m)), count * items)
                again = code.select(items.equals(1), 0, 1)  # a single item from where it is: what was just stored is slow to load
                self.copy((end, 1), (end - items * self.item, again), (padded - count) * items)
        self.call_kernel(table, padded)
        with self.code.loop(self.field(t.LOADS), self.field(t.MOVES)) as m:
            own, items = scratch + self.move(m, t.ROOM) * size * self.item, self.move(m, t.ITEMS)
            with code.when(code.field(table, self.move(m, t.ROW)).equals(own)):
                is_summed = code.builder.and_(self.argument(self.move(m, t.OF), t.SHARED).differs(0), count.differs(1))
                with code.when(is_summed):
                    self.sum(self.place(m, start), own, count)
                with code.when(code.builder.not_(is_summed)):
                    self.copy((self.place(m, start), self.step(m)), (own, 1), count * items)

    def step(self, m):
        """Items from one that is staged to the next: the whole block is."""
        return self.code.select(self.move(m, t.ITEMS).equals(1), self.move(m, t.STEP), 1)

    def sum(self, target, row, count):
        """What the worker leaves of one block."""
        code = self.code
        code.call(self.block_sum, row, self.item, count, self.lanes, self.lanes)
        total = code.load(self.lanes, DOUBLE)
        code.store(target, total if self.item == 8 else code.builder.fptrunc(total, self.kind), self.kind)

    def fill_number(self, row, k, count):
        """A number is a double, whatever the dtype; an array without axes has that of all."""
        code, address = self.code, self.code.field(self.data, k)
        with code.when(self.is_a(k, t.WITHOUT_AXES)):
            self.copy((row, 1), (address, 0), count)
        with code.when(self.is_a(k, t.A_NUMBER)):
            value = code.load(address, ir.DoubleType())
            value = value if self.item == 8 else code.builder.fptrunc(value, self.kind)
            with code.loop(0, count) as i:
                code.store(row + i * self.item, value, self.kind)

    def copy(self, target, source, count):
        """Copy `count` items; target and source are addresses, each with how many items lie between neighbours."""
        (target, into), (source, step) = target, source
        with self.code.loop(0, count) as i:
            item = self.code.load(source + i * self.item * step, self.kind)
            self.code.store(target + i * self.item * into, item, self.kind)
