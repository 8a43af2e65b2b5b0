"""The code of an entry, which serves the plain case of every kernel of one dtype: check, allocate, compute, make results.

What is contiguous the kernel reads and writes in place, over all elements of a thread at once, the last vector overlapping the
one before it; else tiles pass through scratch on the stack. Bits do not depend on that: a lane's do not depend on its place. What
takes long is shared with helpers, in chunks that all claim.
"""

from contextlib import contextmanager

from nbad.native import entry_table as t
from nbad.native import sharing
from nbad.native.builder import I64, Code, Int
from nbad.native.convert import DOUBLE
from nbad.native.cpython import length
from nbad.native.entry_arguments import Arguments
from nbad.native.launch_table import GAP, GAP_EVERY, TILE


def text(name, dtype):
    """The IR of the function `name`."""
    return _Printer(name, dtype).text()


def _place(code, places, row, start, seed):
    """Address of an element in what a row of the kernel is; `places` has three fields for each, as `_Printer.places` says."""
    first, by_element, by_seed = (code.field(places, row * 3 + k) for k in range(3))
    return first + start * by_element + seed * by_seed


class _Part:
    """What one thread does in place: some tiles, as `nbad.native.sharing` gives them to work, for all seeds.

    Its frame has the entry's table, where the rows are, how many elements and seeds there are, and how many elements are swept at
    once.
    """

    def __init__(self, module):
        self.code = Code(module, "part", 7)
        frame, _, _, self.tile, self.last_tile, _, _ = self.code.parameters
        table, self.places, self.count, self.seeds, self.at_once = (self.code.field(frame, k) for k in range(5))
        named = (t.KERNEL, t.WIDTH, t.NARROW, t.NARROW_WIDTH, t.ROWS)
        *kernels, self.number = (self.code.field(table, k) for k in named)
        self.wide, self.narrow = kernels[:2], kernels[2:]
        self.rows = self.code.stack(self.number * 8)

    def text(self):
        """The function."""
        code, size = self.code, self.at_once
        start, end = self.tile * TILE, code.smaller(self.last_tile * TILE, self.count)
        with code.loop(start, end, size) as first, code.loop(0, self.seeds) as seed:
            self.compute(seed, first, code.smaller(first + size, end))
        return code.finish()

    def compute(self, seed, start, end):
        """Whole vectors, what is left in narrow ones, and what these leave by one that overlaps the last of them."""
        code, (wide, width), (narrow, least) = self.code, self.wide, self.narrow
        whole = code.whole(end - start, width)
        with code.when(whole.differs(0)):
            self.run(wide, seed, start, whole)
        rest = start + whole
        with code.when(end.differs(rest)):
            at = code.variable(rest)
            with code.repeat(lambda: at < end):
                count = code.whole(end - at, least)
                overlaps = count.equals(0)
                self.run(narrow, seed, code.select(overlaps, end - least, at), code.select(overlaps, least, count))
                at.set(code.select(overlaps, end, at + count))

    def run(self, kernel, seed, start, count):
        code = self.code
        with code.loop(0, self.number) as r:
            code.put(self.rows, r, _place(code, self.places, r, start, seed))
        code.call(kernel, self.rows, count)


class _Printer(Arguments):
    """The code of an entry for one dtype."""

    def text(self):
        """The IR."""
        code = self.code
        with code.loop(0, self.inputs + self.results) as k:
            code.put(self.kinds, k, t.AN_ARRAY)
            code.put(self.things, k, 0)
        self.unpack()
        self.check_types()
        self.find_shape()
        self.check_inputs()
        self.ask()
        with code.when(self.has_out):
            self.check_out()
        with code.loop(self.given, self.inputs + self.results) as k:
            self.new_result(k)
        self.run()
        with code.when(self.has_out):
            code.call(self.field(t.RETAIN), self.out)
            self.let_go_of_copies()
            code.builder.ret(self.out.value)
        made = self.assembled()
        self.let_go_of_copies()
        code.finish(made)
        self.refuse()
        return str(code.function.module)

    # --- results

    def new_result(self, k):
        """A new array, in memory that was used before where it is big."""
        code = self.code
        ndim, nbytes = code.variable(self.lay_shape_out(k)), code.variable(self.bytes_of(k))
        with code.when(self.argument(k, t.IS_ROWS).differs(0)):
            code.put(self.shape, 0, self.argument(k, t.CORE_SIZE))
            code.put(self.shape, 1, self.pitch())
            ndim.set(2)
            nbytes.set(self.argument(k, t.CORE_SIZE) * self.pitch() * self.item)
        self.make(k, ndim, nbytes)

    def pitch(self):
        """Items in a residual row: whole tiles."""
        code = self.code
        whole = code.whole(self.count + (TILE - 1), TILE)
        is_even = (whole * self.item & (GAP_EVERY - 1)).equals(0)
        return code.select(is_even, whole + GAP // self.item, whole)

    def assembled(self):
        """The groups of results: each a tuple, or a single one; 0-d arrays become NumPy scalars."""
        code, groups, at = self.code, self.field(t.GROUPS), self.code.variable(self.inputs)
        whole, found = self.held
        with code.when(groups.differs(1)):
            self.hold(whole, code.call(self.field(t.TUPLE_NEW), groups))
        with code.loop(0, groups) as g:
            count = self.field(self.field(t.GROUPS_AT) + g * t.GROUP + t.COUNT)
            is_tuple = self.field(self.field(t.GROUPS_AT) + g * t.GROUP + t.IS_TUPLE).differs(0)
            with code.when(is_tuple):
                self.hold(found, code.call(self.field(t.TUPLE_NEW), count))
            with code.loop(0, count) as k:
                self.place_result(found, k, at, is_tuple)
            with code.when(groups.differs(1)):
                code.call(self.field(t.TUPLE_SET), whole, g, found)
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
        result = code.call(self.field(t.RETURN), array)
        self.give_up_without(result)
        with code.when(is_tuple):
            code.call(self.field(t.TUPLE_SET), group, k, result)
        with code.when(~is_tuple):
            group.set(result)
        at.set(at + 1)

    # --- the work

    def ask(self):
        """Who may share what is long enough: Python knows how many threads are wanted, and starts them."""
        code = self.code
        with code.when(self.is_in_place() & (self.work() >= self.field(t.SHARED_FROM))):
            answer = code.call(self.field(t.CALL), self.field(t.ASKED))
            self.give_up_without(answer)
            self.asked.set(code.call(self.field(t.AS_SIZE), answer))
            code.call(self.field(t.RELEASE), answer)

    def is_in_place(self):
        """Whether nothing is to be staged."""
        fills = (self.count >= self.field(t.NARROW_WIDTH)) & (self.count >= self.field(t.WHOLE))
        return fills & self.field(t.IN_PLACE).differs(0)

    def run(self):
        """All seeds, one after the other. Vectors of rows in lines do not overlap: what a last one lacks is staged."""
        code, staged_from = self.code, self.code.variable(0)
        self.spread_numbers()
        places = self.places()
        with code.when(self.is_in_place()):
            whole = self.count // self.field(t.WHOLE) * self.field(t.WHOLE)
            self.run_in_place(places, whole)
            staged_from.set(whole)
        with code.when(staged_from < self.count):
            self.run_staged(places, staged_from.now())

    # --- where rows of the kernel meet arguments

    def spread_numbers(self):
        """A row of each number, as long as what is swept at once, and there for all parts, tiles and seeds."""
        code, length = self.code, self.code.smaller(self.field(t.AT_ONCE), self.padded(self.count))
        with code.when(self.numbers.differs(0)):
            rows = code.stack(self.inputs * length * self.item)
            with code.loop(self.from_rows, self.inputs) as k, code.when(~self.is_a(k, t.AN_ARRAY)):
                row, address = rows + k * length * self.item, code.field(self.data, k)
                with code.when(self.is_a(k, t.ONE_ITEM)):
                    self.fill(row, code.load(address, self.kind), length)
                with code.when(self.is_a(k, t.A_NUMBER)):  # a double, whatever the dtype
                    value = code.load(address, DOUBLE)
                    self.fill(row, value if self.item == 8 else code.builder.fptrunc(value, self.kind), length)
                code.put(self.data, k, row)

    def places(self):
        """A table: for each row of the kernel where it begins, and the bytes to the next element and the next seed."""
        code, table = self.code, self.code.stack(self.field(t.ROWS) * (3 * 8))
        with self.each_move(0) as (_, move):
            k, step, place = (self.field(move + f) for f in (t.OF, t.STEP, t.ROW))
            offset, place, is_array = code.variable(self.field(move + t.OFFSET)), place * 3, self.is_a(k, t.AN_ARRAY)
            with code.when(step.equals(0)):  # a residual row: only then are there two dimensions to read
                offset.set(offset * length(code, code.field(code.select(k < self.from_rows, self.args, self.things), k), 1))
            by_element = code.select(step.equals(0), 1, step) * self.item
            by_seed = code.select(k < self.from_rows, 0, code.field(self.sizes, k))
            code.put(table, place, code.field(self.data, k) + offset * self.item)
            code.put(table, place + 1, code.select(is_array, by_element, 0))
            code.put(table, place + 2, code.select(is_array, by_seed, 0))
        return table

    @contextmanager
    def each_move(self, first):
        """The moves from one on: their number, and where their fields are."""
        with self.code.loop(first, self.field(t.MOVES)) as m:
            yield m, self.field(t.MOVES_AT) + m * t.MOVE

    def padded(self, count):
        """So many elements as whole vectors: narrow ones where they are less than one."""
        _, width = self.kernel_for(count)
        return self.code.whole(count + width - 1, width)

    def kernel_for(self, count):
        """The address and the width of the kernel for so many elements through scratch."""
        is_wide = count >= self.field(t.WIDTH)
        return [self.code.select(is_wide, *map(self.field, pair)) for pair in ((t.KERNEL, t.NARROW), (t.WIDTH, t.NARROW_WIDTH))]

    # --- in place

    def run_in_place(self, places, count):
        """So many elements, alone or with helpers; the interpreter's lock is given away where that takes long."""
        code, is_long, kept = self.code, self.work() >= self.field(t.LONG_FROM), self.code.variable(0)
        in_parts = self.numbers.differs(0) | self.seeds.differs(1)
        frame = code.listed([self.table, places, count, self.seeds, code.select(in_parts, self.field(t.AT_ONCE), count)])
        with code.when(is_long):
            kept.set(code.call(self.field(t.SAVE)))
        self.compute(_Part(code.function.module).text(), frame, (count + (TILE - 1)) // TILE)
        with code.when(is_long):
            code.call(self.field(t.RESTORE), kept)

    def compute(self, part, frame, tiles):
        """All tiles, with helpers that listen, or are woken, where there is enough to do."""
        code, team, threads = self.code, self.asked & ((1 << t.TEAM_BITS) - 1), self.asked >> t.TEAM_BITS
        shares = code.variable(0)
        with code.when(team.differs(0)):
            wakes, listen = self.work() >= self.field(t.WOKEN_FROM), code.field(team, sharing.LISTENS).differs(1)
            shares.set(code.select(wakes | listen, 1, 0))
        with code.when(shares.differs(0)):
            address = Int(code.builder, code.builder.ptrtoint(part.function, I64))
            chunks = code.smaller(threads * sharing.CHUNKS_EACH, tiles)
            launch = code.listed([address, frame, 0, tiles, 1, 0, chunks, 0, 0, threads, 0], threads)
            code.call(self.field(t.TOGETHER), launch, team)
        with code.when(shares.equals(0)):
            code.call(part, frame, 0, 0, 0, tiles, 0, 1)

    # --- through scratch

    def run_staged(self, places, first):
        """Tile by tile, from an element on, and what is summed block by block; memory on the stack is taken once."""
        code, size = self.code, self.code.smaller(self.field(t.TILE_SIZE), self.padded(self.count - first))
        rows, scratch = code.stack(self.field(t.ROWS) * 8), code.stack(self.field(t.ROOMS) * size * self.item)
        first_result = self.field(t.ROWS) - self.field(t.MOVES) + self.field(t.LOADS)
        with code.loop(self.field(t.LOADS), first_result) as r:  # nobody asks for these
            code.put(rows, r, self.room(scratch, r, size))
        blocks = (self.count + (TILE - 1)) // TILE
        sums = code.stack(self.field(t.SUMS) * blocks * 8)
        with code.loop(0, self.seeds) as seed:
            with code.loop(first, self.count, size) as start:
                self.tile(places, rows, (scratch, size), (start, seed), code.smaller(size, self.count - start))
                self.sum_tile(rows, sums, blocks, start)
            self.add_up(places, sums, blocks, seed)

    def room(self, scratch, r, size):
        """Address of a row of so many elements in scratch."""
        return scratch + self.field(self.field(t.ROOMS_AT) + r) * size * self.item

    def tile(self, places, rows, scratch, at, count):
        """Stage what is not in place, compute, and write back."""
        code, padded, (scratch, size) = self.code, self.padded(count), scratch
        with self.each_move(0) as (m, move):
            r = self.field(move + t.ROW)
            is_direct, place, own = (
                self.is_direct(move, padded.equals(count)),
                _place(code, places, r, *at),
                self.room(scratch, r, size),
            )
            code.put(rows, r, code.select(is_direct, place, own))
            with code.when(~is_direct & (m < self.field(t.LOADS))):
                self.bring(own, move, place, count, padded)
        code.call(self.kernel_for(count)[0], rows, padded)
        with self.each_move(self.field(t.LOADS)) as (_, move):
            r = self.field(move + t.ROW)
            own, place = code.field(rows, r), _place(code, places, r, *at)
            with code.when(own.differs(place) & ~self.is_summed(move)):
                self.take(own, move, place, count)

    # --- sums over all elements

    def is_summed(self, move):
        """Whether a result is; of one element it is that as it is, with its sign where it is 0."""
        return self.argument(self.field(move + t.OF), t.SHARED).differs(0) & self.count.differs(1)

    @contextmanager
    def each_sum(self, sums, blocks):
        """The moves of results that are summed, and where each has the sums of its blocks, one after another."""
        code, place = self.code, self.code.variable(sums)
        with (
            code.when(self.field(t.SUMS).differs(0)),
            self.each_move(self.field(t.LOADS)) as (_, move),
            code.when(self.is_summed(move)),
        ):
            yield move, place.now()
            place.set(place + blocks * 8)

    def sum_tile(self, rows, sums, blocks, start):
        """The sums of a tile, which is a block, as the worker leaves them."""
        code = self.code
        with self.each_sum(sums, blocks) as (move, first):
            row, count = code.field(rows, self.field(move + t.ROW)), code.smaller(self.count - start, TILE)
            code.call(self.block_sum, row, self.item, count, self.lanes, first + start // TILE * 8)

    def add_up(self, places, sums, blocks, seed):
        """The sums of all blocks, by the tree of `nbad.runtime.block_sums`; a level of it is laid over the one before."""
        code = self.code
        with self.each_sum(sums, blocks) as (move, first):
            left = code.variable(blocks)
            with code.repeat(lambda: code.int(1) < left):
                half = left // 2
                with code.loop(0, half) as k:
                    pair = first + k * 16
                    both = code.builder.fadd(code.load(pair, DOUBLE), code.load(pair + 8, DOUBLE))
                    code.store(first + k * 8, both, DOUBLE)
                with code.when(left.differs(half * 2)):
                    code.put(first, half, code.field(first, left - 1))
                left.set(left - half)
            total, place = code.load(first, DOUBLE), _place(code, places, self.field(move + t.ROW), code.int(0), seed)
            code.store(place, total if self.item == 8 else code.builder.fptrunc(total, self.kind), self.kind)

    def is_direct(self, move, is_whole):
        """Whether the kernel has a row where it is: numbers have rows with room for whole vectors, too."""
        how, is_number = self.field(move + t.DIRECT), ~self.is_a(self.field(move + t.OF), t.AN_ARRAY)
        return (how.equals(t.OFTEN) & is_whole) | how.equals(t.ALWAYS) | is_number

    def bring(self, row, move, place, count, padded):
        """Stage so many elements, and the last one over the rest of the row, where single items come first."""
        code, items, step = self.code, self.field(move + t.ITEMS), self.field(move + t.STEP)
        with code.when(items.equals(1)):
            first = code.whole(count - 1, self.register)
            last = code.load(place + (count - 1) * step * self.item, self.kind)
            self.fill(row + first * self.item, last, padded - first)
            self.copy((row, 1), (place, step), count - 1)
        with code.when(items.differs(1)):
            end, pitch = row + count * items * self.item, items * self.item
            self.copy((row, 1), (place, 1), count * items)
            self.copy((end, 1), (end - pitch, 1), (padded - count) * items)

    def take(self, row, move, place, count):
        """Write a result of so many elements back; of a block all items lie side by side."""
        items = self.field(move + t.ITEMS)
        step = self.code.select(items.equals(1), self.field(move + t.STEP), 1)
        self.copy((place, step), (row, 1), count * items)
