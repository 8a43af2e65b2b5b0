"""The code of an entry, which serves the plain case of every kernel of one dtype: check, allocate, compute, make results.

What is contiguous the kernel reads and writes in place, over all elements of a thread at once, the last vector overlapping the
one before it; else tiles pass through scratch on the stack. Bits do not depend on that: a lane's do not depend on its place. What
takes long is shared with helpers, in chunks that all claim.
"""

from llvmlite import ir

from nbad.native import entry_table as t
from nbad.native import sharing
from nbad.native.builder import I32, I64, Code, Int
from nbad.native.convert import DOUBLE
from nbad.native.cpython import DATA, USUAL, WRITEABLE, length
from nbad.native.entry_arguments import Arguments
from nbad.native.launch_table import GAP, GAP_EVERY, TILE


def text(name, dtype):
    """The IR of the function `name`."""
    return _Printer(name, dtype).text()


class _Part:
    """What one thread does in place: some tiles, as `nbad.native.sharing` gives them to work, for all seeds.

    Its frame has the kernel, its width and its number of rows, how many elements and seeds there are and how many elements are
    swept at once, and a table: for each row where it begins, and the bytes from an element and from a seed to the next.
    """

    def __init__(self, module):
        self.code = Code(module, "part", 7)
        frame, _, _, self.tile, self.last_tile, _, _ = self.code.parameters
        given = [self.code.field(frame, k) for k in range(7)]
        self.kernel, self.width, self.number, self.count, self.seeds, self.at_once, self.places = given
        self.rows = self.code.stack(self.number * 8)

    def text(self):
        """The function."""
        code, size = self.code, self.at_once
        start, end = self.tile * TILE, code.smaller(self.last_tile * TILE, self.count)
        with code.loop(start, end, size) as first, code.loop(0, self.seeds) as seed:
            self.compute(seed, first, code.smaller(first + size, end))
        return code.finish()

    def compute(self, seed, start, end):
        whole = self.code.whole(end - start, self.width)
        with self.code.when(whole.differs(0)):
            self.run(seed, start, whole)
        with self.code.when(end.differs(start + whole)):
            self.run(seed, end - self.width, self.width)

    def run(self, seed, start, count):
        code = self.code
        with code.loop(0, self.number) as r:
            first, by_element, by_seed = (code.field(self.places, r * 3 + k) for k in range(3))
            code.store(self.rows + r * 8, first + start * by_element + seed * by_seed)
        code.call(self.kernel, self.rows, count)


class _Printer(Arguments):
    """The code of an entry for one dtype."""

    def text(self):
        """The IR."""
        code = self.code
        with code.loop(0, self.inputs + self.results) as k:
            code.store(self.kinds + k * 8, code.int(t.AN_ARRAY))
            code.store(self.things + k * 8, code.int(0))
        self.unpack()
        self.check_types()
        self.find_shape()
        self.ask()
        with code.loop(0, self.inputs) as k:
            self.check_input(k)
        with code.loop(self.inputs, self.given) as k:
            self.check_out(k)
        with code.loop(self.given, self.inputs + self.results) as k:
            self.new_result(k)
        self.run()
        with code.when(self.has_out):
            code.call(self.field(t.RETAIN), self.out)
            code.builder.ret(self.out.value)
        code.finish(self.assembled())
        return str(code.function.module)

    # --- results

    def new_result(self, k):
        code, is_rows, lead = self.code, self.argument(k, t.IS_ROWS), self.lead_of(k)
        lengths, depth = self.new_lengths, self.argument(k, t.DEPTH)
        code.store(lengths, self.seeds)  # written over where there is one seed only
        with code.loop(0, lead) as d:
            code.store(lengths + (self.batched + d) * 8, code.field(self.lengths, d))
        ndim = code.variable(self.batched + lead + depth)
        with code.when(is_rows.equals(0)), code.loop(0, depth) as d:
            code.store(lengths + (self.batched + lead + d) * 8, self.field(self.argument(k, t.CORE) + d))
        with code.when(is_rows.differs(0)):
            code.store(lengths, depth)
            code.store(lengths + 8, self.pitch())
            ndim.set(2)
        is_big, found = self.result_bytes(k) >= self.field(t.FRESH_FROM), code.variable(0)
        with code.when(is_big):
            found.set(self.recycled_array(k, ndim, lengths))
        with code.when(~is_big):
            found.set(self.new_array(ndim, lengths))
        made = found
        self.give_up_without(made)
        code.store(self.things + k * 8, made)
        code.store(self.data + k * 8, code.load(made + DATA))

    def pitch(self):
        """Items in a residual row: whole tiles."""
        code = self.code
        whole = code.whole(self.count + (TILE - 1), TILE)
        is_even = (whole * self.item & (GAP_EVERY - 1)).equals(0)
        return code.select(is_even, whole + GAP // self.item, whole)

    def new_array(self, ndim, lengths, data=0, flags=0):
        builder = self.code.builder
        kind = ir.FunctionType(I64, [I64, I32, I64, I32, I64, I64, I32, I32, I64])
        call = builder.inttoptr(self.field(t.NEW).value, kind.as_pointer())
        ndim, number = (builder.trunc(x.value, I32) for x in (ndim, self.field(t.TYPE_NUMBER)))
        kind, data = self.field(t.ARRAY).value, (self.code.int(0) + data).value
        return Int(builder, builder.call(call, [kind, ndim, lengths.value, number, I64(0), data, I32(0), I32(flags), I64(0)]))

    def result_bytes(self, k):
        rows = self.argument(k, t.DEPTH) * self.pitch() * self.item
        return self.code.select(self.argument(k, t.IS_ROWS).differs(0), rows, self.seeds * self.bytes_of(k))

    def recycled_array(self, k, ndim, lengths):
        """One in memory that was used before, which Python leases; 0 where there is no room for it."""
        code = self.code
        number = code.call(self.field(t.FROM_SIZE), self.result_bytes(k), returns=I64)
        self.give_up_without(number)
        lease = code.call(self.field(t.CALL_WITH), self.field(t.LEASED), number, returns=I64)
        code.call(self.field(t.RELEASE), number)
        self.give_up_without(lease)
        address = code.call(self.field(t.AS_INDEX), lease, 0, returns=I64)
        made = self.new_array(ndim, lengths, address, USUAL | WRITEABLE)
        with code.when(made.equals(0)):
            code.call(self.field(t.RELEASE), lease)
        with code.when(made.differs(0)):
            code.call(self.field(t.OWN), made, lease)  # and lets go of it where that fails
        return made

    def give_up_without(self, made):
        """Where memory is out, which Python knows then, let go of all that was made."""
        code = self.code
        with code.when(made.equals(0)):
            with code.loop(self.inputs, self.inputs + self.results) as k:
                code.call(self.field(t.RELEASE), code.field(self.things, k))
            for held in self.held:
                code.call(self.field(t.RELEASE), held)
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
                code.call(self.field(t.TUPLE_SET), whole, g, found, returns=I64)
                found.set(0)
        return code.select(groups.equals(1), found, whole)

    def hold(self, slot, made):
        self.give_up_without(made)
        slot.set(made)

    def place_result(self, group, k, at, is_tuple):
        """Put the next result into its group; it is owned there, and not here any more."""
        code, place = self.code, self.things + at * 8
        array = code.load(place)
        code.store(place, code.int(0))
        result = code.call(self.field(t.RETURN), array, returns=I64)
        self.give_up_without(result)
        with code.when(is_tuple):
            code.call(self.field(t.TUPLE_SET), group, k, result, returns=I64)
        with code.when(~is_tuple):
            group.set(result)
        at.set(at + 1)

    # --- where rows of the kernel meet arguments

    def move(self, m, field):
        return self.field(self.field(t.MOVES_AT) + m * t.MOVE + field)

    def place(self, m, start):
        """Address of an element in what a move names."""
        code, of, step = self.code, self.move(m, t.OF), self.move(m, t.STEP)
        data, offset = code.field(self.data, of), self.move(m, t.OFFSET)
        found = code.variable(data + (start * step + offset) * self.item)
        with code.when(step.equals(0)):  # only then are there two dimensions to read
            pitch = length(code, code.field(self.things, of), 1)
            found.set(data + (offset * pitch + start) * self.item)
        return found

    # --- the work

    def ask(self):
        """Who may share what is long enough: Python knows how many threads are wanted, and starts them."""
        code = self.code
        with code.when(self.is_in_place() & (self.work() >= self.field(t.SHARED_FROM))):
            answer = code.call(self.field(t.CALL), self.field(t.ASKED), returns=I64)
            self.give_up_without(answer)
            self.asked.set(code.call(self.field(t.AS_SIZE), answer, returns=I64))
            code.call(self.field(t.RELEASE), answer)

    def work(self):
        """Elements of all seeds."""
        return self.count * self.seeds

    def is_in_place(self):
        """Whether nothing is to be staged."""
        fills = (self.count >= self.field(t.WIDTH)) & (self.count >= self.field(t.WHOLE))
        return fills & self.field(t.IN_PLACE).differs(0)

    def run(self):
        """All seeds, one after the other. Vectors of rows in lines do not overlap: what a last one lacks is staged."""
        code, count, staged_from = self.code, self.count, self.code.variable(0)
        with code.when(self.is_in_place()):
            whole = count // self.field(t.WHOLE) * self.field(t.WHOLE)
            self.run_in_place(whole)
            staged_from.set(whole)
        with code.when(staged_from < count):
            self.run_staged(staged_from)

    def run_in_place(self, count):
        """So many elements, alone, or with helpers that listen, or are woken.

        The interpreter's lock is given away where that takes long.
        """
        code, is_long = self.code, self.work() >= self.field(t.LONG_FROM)
        at_once, kept = code.variable(count), code.variable(0)
        with code.when(self.numbers.differs(0) | self.seeds.differs(1)):
            at_once.set(self.field(t.AT_ONCE))
        self.spread_numbers(code.smaller(at_once, count))
        kernel = [self.field(f) for f in (t.KERNEL, t.WIDTH, t.MOVES)]
        frame = self.listed([*kernel, count, self.seeds, at_once, self.places()])
        part, tiles = _Part(code.function.module).text(), (count + (TILE - 1)) // TILE
        team, threads = self.asked & ((1 << t.TEAM_BITS) - 1), self.asked >> t.TEAM_BITS
        shares = code.variable(0)
        with code.when(team.differs(0)):
            wakes, listen = self.work() >= self.field(t.WOKEN_FROM), code.field(team, sharing.LISTENS).differs(1)
            shares.set(code.select(wakes | listen, 1, 0))
        with code.when(is_long):
            kept.set(code.call(self.field(t.SAVE), returns=I64))
        with code.when(shares.differs(0)):
            address = Int(code.builder, code.builder.ptrtoint(part.function, I64))
            chunks = code.smaller(threads * sharing.CHUNKS_EACH, tiles)
            launch = self.listed([address, frame, 0, tiles, 1, 0, chunks, 0, 0, threads, 0], threads)
            code.call(self.field(t.TOGETHER), launch, team)
        with code.when(shares.equals(0)):
            code.call(part, frame, 0, 0, 0, tiles, 0, 1)
        with code.when(is_long):
            code.call(self.field(t.RESTORE), kept)

    def spread_numbers(self, count):
        """A row of each number, so long; no row is longer than what is swept at once, so they stay where they are."""
        code, lanes = self.code, self.register
        size = code.whole(count + (lanes - 1), lanes)
        with code.when(self.numbers.differs(0)):
            rows = code.stack(self.inputs * size * self.item)
            with code.loop(self.from_rows, self.inputs) as k, code.when(~self.is_a(k, t.AN_ARRAY)):
                row = rows + k * size * self.item
                self.fill_number(row, k, size)
                code.store(self.data + k * 8, row)
                code.store(self.kinds + k * 8, code.int(t.WITHOUT_AXES))  # of the dtype now

    def places(self):
        """The table of a part: for each row where it begins, and the bytes to the next element and the next seed."""
        code = self.code
        table = code.stack(self.field(t.MOVES) * (3 * 8))
        with code.loop(0, self.field(t.MOVES)) as m:
            k, step = self.move(m, t.OF), self.move(m, t.STEP)
            is_array, place = self.is_a(k, t.AN_ARRAY), table + self.move(m, t.ROW) * (3 * 8)
            by_element = code.select(step.equals(0), 1, step) * self.item
            by_seed = code.select(k < self.from_rows, 0, self.bytes_of(k))
            code.store(place, self.place(m, code.int(0)))
            code.store(place + 8, code.select(is_array, by_element, 0))
            code.store(place + 16, code.select(is_array, by_seed, 0))
        return table

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
        code, width, count, rows = self.code, self.field(t.WIDTH), self.count, self.field(t.ROWS)
        size = code.smaller(self.field(t.TILE_SIZE), code.whole(count - first + width - 1, width))
        table, scratch = code.stack(rows * 8), code.stack(rows * size * self.item)
        with code.loop(0, self.seeds):
            with code.loop(first, count, size) as start:
                self.tile(table, scratch, size, start)
            with code.loop(self.from_rows, self.inputs + self.results) as k, code.when(self.is_a(k, t.AN_ARRAY)):
                code.store(self.data + k * 8, code.field(self.data, k) + self.bytes_of(k))

    def tile(self, table, scratch, size, start):
        """Stage what is not in place, compute, and write back."""
        code, width = self.code, self.field(t.WIDTH)
        count = code.smaller(size, self.count - start)
        padded = code.whole(count + width - 1, width)
        with code.loop(0, self.field(t.ROWS)) as r:
            code.store(table + r * 8, scratch + r * size * self.item)
        with self.code.loop(0, self.field(t.MOVES)) as m:
            own, is_load = scratch + self.move(m, t.ROOM) * size * self.item, m < self.field(t.LOADS)
            code.store(table + self.move(m, t.ROW) * 8, own)
            is_number = ~self.is_a(self.move(m, t.OF), t.AN_ARRAY)
            fits = padded.equals(count) | self.move(m, t.STEP).equals(0) | self.move(m, t.ALONE).equals(t.ALWAYS)
            direct = fits & self.move(m, t.ALONE).differs(0) & ~is_number
            with code.when(direct):
                code.store(table + self.move(m, t.ROW) * 8, self.place(m, start))
            with code.when(is_number & is_load):
                self.fill_number(own, self.move(m, t.OF), padded)
            with code.when(is_load & ~is_number & ~direct):
                self.bring(own, m, start, count, padded)
        code.call(self.field(t.KERNEL), table, padded)
        with self.code.loop(self.field(t.LOADS), self.field(t.MOVES)) as m:
            own, items = scratch + self.move(m, t.ROOM) * size * self.item, self.move(m, t.ITEMS)
            with code.when(code.field(table, self.move(m, t.ROW)).equals(own)):
                is_summed = self.argument(self.move(m, t.OF), t.SHARED).differs(0) & count.differs(1)
                with code.when(is_summed):
                    self.sum(self.place(m, start), own, count)
                with code.when(~is_summed):
                    self.copy((self.place(m, start), self.step(m)), (own, 1), count * items)

    def bring(self, row, m, start, count, padded):
        """Stage so many elements, and the last one over the rest of the row, where single items come first."""
        code, items, place = self.code, self.move(m, t.ITEMS), self.place(m, start)
        with code.when(items.equals(1)):
            first, step = code.whole(count - 1, self.register), self.move(m, t.STEP)
            last = code.load(place + (count - 1) * step * self.item, self.kind)
            self.fill(row + first * self.item, last, padded - first)
            self.copy((row, 1), (place, step), count - 1)
        with code.when(items.differs(1)):
            end, pitch = row + count * items * self.item, items * self.item
            self.copy((row, 1), (place, 1), count * items)
            self.copy((end, 1), (end - pitch, 1), (padded - count) * items)

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
        """A number is a double, whatever the dtype; an array without axes has that of all. `count` is one of whole registers."""
        code, address = self.code, self.code.field(self.data, k)
        with code.when(self.is_a(k, t.WITHOUT_AXES)):
            self.fill(row, code.load(address, self.kind), count)
        with code.when(self.is_a(k, t.A_NUMBER)):
            value = code.load(address, DOUBLE)
            self.fill(row, value if self.item == 8 else code.builder.fptrunc(value, self.kind), count)

    def fill(self, row, value, count):
        """Store a value as often, by registers: what is stored by items is slow to load as a vector."""
        code, vector = self.code, self.code.splat(value, self.register)
        with code.loop(0, count, self.register) as i:
            code.store(row + i * self.item, vector, vector.type)

    def copy(self, target, source, count):
        """Copy `count` items; target and source are addresses, each with how many items lie between neighbours."""
        (target, into), (source, step) = target, source
        with self.code.loop(0, count) as i:
            item = self.code.load(source + i * self.item * step, self.kind)
            self.code.store(target + i * self.item * into, item, self.kind)
