"""What an entry asks of its arguments: one dtype, one element space, and memory of its own for each result.

A kernel reads what is contiguous in the order of the call. Of few elements NumPy lays out anew what is not, be it by strides, by
its dtype or by axes that it lacks: the general way takes up to 15 times as long.
"""

from contextlib import contextmanager

from nbad.native import entry_table as t
from nbad.native.apart import bounds
from nbad.native.convert import DOUBLE
from nbad.native.cpython import CONTIGUOUS, DATA, FLAGS, HEAD, ITEMS, STRIDES, USUAL, WRITEABLE, length, short, type_of
from nbad.native.entry_arrays import Arrays

SINGLES, DOUBLES = 11, 12  # numbers of dtypes; before them are those of bools and integers
SPREAD = 4  # of vectors that are broadcast one sixteenth of the items is laid out anew


class Arguments(Arrays):
    """The first part of an entry's code, for one dtype: it demands what makes a call a plain case, and notes what it found."""

    def unpack(self):
        """Lay out what is given: inputs, and behind them results, of which each group is a tuple or a single one."""
        code = self.code
        code.store(self.args, code.field(self.call, 1))  # residual rows, where there are any
        self.lay_out(code.field(self.call, self.from_rows * 2), self.inputs - self.from_rows, self.from_rows)
        with code.when(self.has_out):
            at, groups, groups_at = code.variable(self.inputs), self.field(t.GROUPS), self.field(t.GROUPS_AT)
            with code.when(groups.differs(1)):
                self.demand_tuple(self.out, groups)
            with code.loop(0, groups) as g:
                group, count = code.variable(self.out), self.field(groups_at + g * t.GROUP + t.COUNT)
                with code.when(groups.differs(1)):
                    group.set(code.field(self.out + ITEMS, g))
                is_tuple = self.field(groups_at + g * t.GROUP + t.IS_TUPLE).differs(0)
                with code.when(is_tuple):
                    self.lay_out(group, count, at)
                with code.when(~is_tuple):
                    code.put(self.args, at, group)
                at.set(at + count)

    def lay_out(self, thing, number, at):
        """The items of a tuple of so many."""
        self.demand_tuple(thing, number)
        with self.code.loop(0, number) as k:
            self.code.put(self.args, at + k, self.code.field(thing + ITEMS, k))

    def demand_tuple(self, thing, number):
        self.demand(type_of(self.code, thing).equals(self.field(t.TUPLE)))
        self.demand(self.code.load(thing + HEAD).equals(number))

    def check_types(self):
        """Fields of an object may be read only when its type is known."""
        code = self.code
        with code.loop(self.from_rows, self.inputs) as k:
            thing, is_scalar = code.field(self.args, k), self.argument(k, t.DEPTH).equals(0)
            kind = type_of(code, thing)
            with code.when(kind.differs(self.field(t.ARRAY))):
                is_whole = kind.equals(self.field(t.INTEGER))
                self.demand((kind.equals(self.field(t.FLOAT)) | kind.equals(self.field(t.NUMBER)) | is_whole) & is_scalar)
                self.note(k, t.A_NUMBER)
                code.put(self.data, k, thing + HEAD)
                with code.when(is_whole):
                    self.read_whole_number(k, thing)
            may_be = is_scalar & self.from_rows.equals(0) & kind.equals(self.field(t.ARRAY))
            with code.when(may_be), code.when(self.axes(thing).equals(0)):
                self.note(k, t.ONE_ITEM)
        if self.item == 4:
            self.demand_a_strong_one()
        with code.loop(self.inputs, self.given) as k:
            self.demand(self.is_array(code.field(self.args, k)))

    def read_whole_number(self, k, thing):
        """A double of it."""
        code, value = self.code, self.code.call(self.field(t.AS_SIZE), thing)
        with code.when(value.equals(-1)):
            self.demand_no_error(code.call(self.field(t.FAILED)))
        code.put(self.data, k, self.values + k * 8)
        code.store(self.values + k * 8, code.builder.sitofp(value.value, DOUBLE), DOUBLE)

    def demand_a_strong_one(self):
        """Numbers are weak, and alone they are float64; arrays of float32 are float64 beside others alone."""
        code, found = self.code, self.code.variable(0)
        with code.loop(0, self.arguments()) as k:
            thing = code.field(self.args, k)
            with code.when(~self.is_a(k, t.A_NUMBER)):
                found.set(1 if self.item == 4 else code.select(self.dtype_of(thing).equals(SINGLES), found, 1))
            if self.item == 8:
                found.set(code.select(type_of(code, thing).equals(self.field(t.NUMBER)), 1, found))
        self.demand(found.differs(0) | self.from_rows.differs(0))

    # --- the element space

    def find_shape(self):
        """The element space: the one that is given, or what arrays broadcast to; of numbers alone it is empty."""
        code = self.code
        with code.when(self.from_rows.differs(0)):
            shape = code.field(self.call, 0)
            self.lead.set(code.load(shape + HEAD))
            self.demand(self.lead <= t.MOST_DIMENSIONS)
            with code.loop(0, self.lead) as d:
                number = code.field(shape + ITEMS, d)
                code.put(self.lengths, d, code.call(self.field(t.AS_SIZE), number))
            with code.loop(0, self.field(t.ORDERED)) as d:
                code.put(self.order, d, self.field(self.field(t.ORDER_AT) + d))
        with code.when(self.from_rows.equals(0)):
            self.take_first_shape()
        with code.when(self.batched.differs(0)):
            self.find_seeds()
        self.count_elements()

    def count_elements(self):
        self.count.set(1)
        with self.code.loop(0, self.lead) as d:
            self.count.set(self.count * self.code.field(self.lengths, d))
        self.demand(self.count >= 1)
        self.demand(self.field(t.LIMIT) >= self.work())

    def take_first_shape(self):
        """That of the first array."""
        code, found = self.code, self.code.variable(0)
        with self.each_array() as (_, thing, own), code.when(found.equals(0)):
            found.set(1)
            self.demand(own >= 0)
            self.demand(own <= t.MOST_DIMENSIONS)
            self.lead.set(own)
            with code.loop(0, own) as d:
                code.put(self.lengths, d, length(code, thing, d))

    def find_common_shape(self):
        """That to which arrays are broadcast; where lengths disagree, NumPy will not lay one of them out anew."""
        code = self.code
        with self.each_array() as (_, _, own):
            self.demand(own >= 0)
            self.lead.set(code.select(self.lead < own, own, self.lead))
        self.demand(self.lead <= t.MOST_DIMENSIONS)
        with code.loop(0, self.lead) as d:
            code.put(self.lengths, d, 1)
        with self.each_array() as (_, thing, own), code.loop(0, own) as d:
            size = length(code, thing, d)
            with code.when(size.differs(1)):
                code.put(self.lengths, self.lead - own + d, size)
        with code.when(self.lead >= 2):
            self.find_order()

    def arguments(self):
        """How many of the inputs are arguments of the kernel, which decide its dtype and its order: tangents follow these."""
        return self.code.select(self.primals.equals(0), self.inputs, self.primals)

    @contextmanager
    def each_array(self, inputs=None):
        """The inputs that have axes: each one's number, the array, and how many of its axes are those of elements."""
        code = self.code
        with code.loop(0, inputs or self.inputs) as k, code.when(self.is_a(k, t.AN_ARRAY)):
            thing = code.field(self.args, k)
            yield k, thing, self.axes(thing) - self.argument(k, t.DEPTH)

    def find_order(self):
        """The order of axes in memory, as `nbad.runtime.strides.memory_order` says it: C order or Fortran's, others are refused.

        What a pullback sums is summed in C order, so that is the order of its rows; and that of `out` is the caller's choice.
        """
        code, (rises, falls, is_shared, sums, before, is_c_order) = self.code, (self.code.variable(0) for _ in range(6))
        with code.loop(0, self.inputs) as k:
            sums.set(sums + self.argument(k, t.FLOATING))
        with self.each_array(self.arguments()) as (k, thing, own):
            is_whole = self.is_whole(k, thing)
            is_shared.set(code.select(is_whole, is_shared, 1))
            sums.set(sums - code.select(is_whole, self.argument(k, t.FLOATING), 0))
            before.set(0)
            with code.loop(0, own) as d:
                step = self.step(thing, d)
                rises.set(code.select(before.differs(0) & (before < step), 1, rises))
                falls.set(code.select(step.differs(0) & (before >= step), 1, falls))
                before.set(code.select(step.equals(0), before, step))
        self.demand(self.lead.equals(2) | rises.equals(0) | (falls | is_shared).equals(0))
        with code.when(self.argument(self.inputs + self.results - 1, t.IS_ROWS).differs(0)):
            is_c_order.set(sums)
        with code.when(self.has_out):
            is_c_order.set(short(code, code.field(self.args, self.inputs) + FLAGS) & CONTIGUOUS)
        with code.when(rises.differs(0) & (falls | is_c_order).equals(0)), code.loop(0, self.lead) as d:
            self.is_turned.set(1)
            code.put(self.order, d, self.lead - 1 - d)

    def step(self, array, axis):
        """Bytes from one item to the next along an axis, without sign; 0 where there is no next one."""
        code, step = self.code, self.code.field(self.code.load(array + STRIDES), axis)
        step = code.select(step < 0, code.int(0) - step, step)
        return code.select(length(code, array, axis).equals(1), 0, step)

    def demand_no_deciding(self):
        """The numbers decide no work that is better done once."""
        code, numbers = self.code, self.numbers
        with code.loop(0, self.field(t.DECIDING)) as k:
            some = self.field(self.field(t.DECIDING_AT) + k)
            self.demand((numbers & some).differs(some))

    def find_seeds(self):
        """Their number, from the first array among them."""
        code = self.code
        self.seeds.set(0)
        with code.loop(self.from_rows, self.inputs) as k:
            thing = code.field(self.args, k)
            with code.when(self.seeds.equals(0) & self.is_a(k, t.AN_ARRAY) & self.axes(thing).differs(0)):
                self.seeds.set(length(code, thing, 0))
        self.demand(self.seeds >= 1)

    # --- each argument

    def check_inputs(self):
        """Note where their values lie."""
        code = self.code
        with code.loop(0, self.inputs) as k:
            thing = code.field(self.args, k)
            with code.when(~self.is_a(k, t.A_NUMBER)):
                code.put(self.data, k, code.load(thing + DATA))
                self.bytes_of(k)
            with code.when(self.is_a(k, t.ONE_ITEM)):
                self.demand(self.has_items(thing) & self.has_flags(thing, USUAL))
            is_input = self.is_a(k, t.AN_ARRAY) & self.argument(k, t.IS_ROWS).equals(0)
            with code.when(is_input), code.when(~self.is_as_read(k, thing)):
                self.check_dtype(k, thing)
                self.is_usual.set(0)
        with code.when(self.is_usual.equals(0)):
            self.lay_arrays_out()
        with code.when(self.primals.differs(0)), code.loop(self.primals, self.inputs) as k:
            self.check_tangent(k, k - self.primals)
        with code.when(self.field(t.FEW) < self.work()):
            self.demand_no_deciding()

    def lay_arrays_out(self):
        """They are broadcast, and are as a kernel reads them, or have one item for all elements, or are laid out anew."""
        with self.code.when(self.from_rows.equals(0)):
            self.find_common_shape()
            self.count_elements()
        with self.each_array() as (k, thing, _), self.code.when(self.argument(k, t.IS_ROWS).equals(0)):
            self.bytes_of(k)
            with self.code.when(~self.is_as_read(k, thing)):
                self.lay_array_out(k, thing)

    def check_dtype(self, k, thing):
        """Of an array that may be laid out anew: before anything is done, for that of another dtype may be the next entry's."""
        dtype = self.dtype_of(thing)
        self.demand(dtype <= DOUBLES if self.item == 8 else dtype.equals(SINGLES))
        self.demand((dtype >= SINGLES) | self.argument(k, t.FLOATING).equals(0))
        with self.code.when(dtype.equals(SINGLES)):
            self.demand_a_strong_one()

    def is_as_read(self, k, thing, flags=USUAL):
        """Whether an array is as a kernel reads it, or writes it."""
        return self.has_items(thing) & self.is_whole(k, thing) & self.is_in_order(k, thing, flags)

    def lay_array_out(self, k, thing):
        """It has one item for all elements, or is laid out anew."""
        code, is_whole, items = self.code, self.is_whole(k, thing), self.code.variable(self.argument(k, t.CORE_SIZE))
        self.demand(is_whole | self.from_rows.equals(0))  # seeds and tangents of a sweep have its shape
        with code.loop(0, self.axes(thing)) as d:
            items.set(items * length(code, thing, d))
        is_one = ~is_whole & items.equals(1) & self.has_items(thing) & self.has_flags(thing, USUAL)
        with code.when(is_one):
            self.note(k, t.ONE_ITEM)
        with code.when(~is_one):
            self.lay_out_anew(k, thing, is_whole)

    def lay_out_anew(self, k, thing, is_whole):
        """Let NumPy convert and broadcast an array, which it would do along axes of a core shape, too."""
        code, depth = self.code, self.argument(k, t.DEPTH)
        is_spread = depth.differs(0) & ~is_whole  # which the general way reads where it is
        self.demand(self.work() * self.argument(k, t.CORE_SIZE) <= self.field(t.COPIED) >> code.select(is_spread, SPREAD, 0))
        with code.loop(0, depth) as d:
            own = length(code, thing, self.axes(thing) - depth + d)
            self.demand(own.equals(self.field(self.argument(k, t.CORE) + d)))
        self.copies.set(1)
        self.make(k, self.lay_shape_out(k), self.bytes_of(k))
        self.demand_no_error(code.call(self.field(t.ENTER), self.field(t.UNWATCHED)) & 0xFFFFFFFF)  # where no other thread is
        made = code.call(self.field(t.COPY), code.field(self.things, k), thing)
        code.call(self.field(t.EXIT), self.field(t.UNWATCHED))
        self.demand_no_error(made & 0xFFFFFFFF)

    def check_tangent(self, k, primal):
        """It has the shape of its primal; a number stands for any."""
        code, thing, other = self.code, *(self.code.field(self.args, place) for place in (k, primal))
        with code.when(~self.is_a(k, t.A_NUMBER)):
            own = code.variable(0)
            with code.when(~self.is_a(primal, t.A_NUMBER)):
                own.set(self.axes(other))
            self.demand(self.axes(thing).equals(own))
            with code.loop(0, own) as d:
                self.demand(length(code, thing, d).equals(length(code, other, d)))

    def check_out(self):
        """They must have memory of their own. Where each array ends is told once: of each pair, calls took 1.1 times as long."""
        code = self.code
        with code.loop(self.from_rows, self.inputs) as k:
            thing = code.field(self.args, k)
            self.lies(k, code.int(0), code.int(0))
            with code.when(self.is_array(thing)):
                self.lies(k, *bounds(code, thing))
        with code.loop(self.inputs, self.given) as k:
            thing = code.field(self.args, k)
            start = code.load(thing + DATA)
            end = start + self.bytes_of(k)
            code.put(self.things, k, thing)
            code.put(self.data, k, start)
            self.demand(self.is_as_read(k, thing, USUAL | WRITEABLE))
            with code.loop(self.from_rows, k) as other:
                self.demand((end <= code.field(self.starts, other)) | (start >= code.field(self.ends, other)))
            self.lies(k, start, end)

    def lies(self, k, start, end):
        """Note the memory of an array; a number has none that a result could have."""
        self.code.put(self.starts, k, start)
        self.code.put(self.ends, k, end)
