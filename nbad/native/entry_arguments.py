"""What an entry asks of its arguments: one dtype, one element space, contiguous memory, and room of its own for each result."""

from nbad.codegen.host import host
from nbad.native import entry_table as t
from nbad.native.block_sum import block_sum_function
from nbad.native.convert import FLOATS
from nbad.native.cpython import (
    DATA,
    DESCR,
    FLAGS,
    HEAD,
    ITEMS,
    KIND,
    NDIM,
    USUAL,
    WRITEABLE,
    length,
    new_function,
    short,
    type_of,
)
from nbad.native.launch_table import LANES


class Arguments:
    """The first part of an entry's code, for one dtype: it demands what makes a call a plain case, and notes what it found."""

    def __init__(self, name, dtype):
        self.code, self.table, self.call, given = new_function(name)
        self.item, self.kind = dtype.itemsize, FLOATS[dtype.itemsize]
        self.register = host().width(dtype.name)  # items in one
        self.from_rows = self.field(t.FROM_ROWS)
        self.refused = self.refusal()
        self.demand(given.equals(self.from_rows * 2 + 2))
        self.inputs, self.results = self.field(t.INPUTS), self.field(t.RESULTS)
        self.out = self.code.field(self.call, self.from_rows * 2 + 1)
        self.has_out = self.out.differs(self.field(t.NONE))
        self.given = self.inputs + self.code.select(self.has_out, self.results, 0)
        self.lead, self.count, self.seeds = (self.code.variable(k) for k in (0, 1, 1))
        self.batched = self.field(t.BATCHED)  # 1 where all but residual rows have an axis of seeds in front
        self.lengths, self.shape = (self.code.stack(8 * n) for n in (t.MOST_DIMENSIONS, 2 * t.MOST_DIMENSIONS + 1))
        stacks = [self.code.stack(8 * t.MOST_ARGUMENTS) for _ in range(6)]
        self.args, self.things, self.data, self.ends, self.sizes, self.kinds = stacks
        self.block_sum, self.lanes = block_sum_function(self.code.function.module), self.code.stack(8 * LANES)
        self.numbers = self.code.variable(0)  # which inputs are numbers, one bit each
        self.asked = self.code.variable(0)  # who may share the work
        self.held = [self.code.variable(0) for _ in range(2)]  # tuples under construction

    # --- small words

    def field(self, index):
        """A field of the table."""
        return self.code.field(self.table, index)

    def argument(self, k, field):
        """A field of an argument there."""
        return self.field(k * t.ARGUMENT + (t.HEADER + field))

    def refusal(self):
        """The block that answers "not mine"; nothing was done then."""
        builder, block = self.code.builder, self.code.function.append_basic_block("refused")
        with builder.goto_block(block):
            builder.ret(self.code.call(self.field(t.ANSWER), 0).value)
        return block

    def demand(self, condition):
        """Go on where a condition holds: no chain of conditions waits in memory, so that calls of one element are faster."""
        following = self.code.function.append_basic_block()
        self.code.builder.cbranch(condition.value, following, self.refused)
        self.code.builder.position_at_end(following)

    def is_array(self, thing):
        return type_of(self.code, thing).equals(self.field(t.ARRAY))

    def fill(self, row, value, count):
        """Store a value as often, by whole registers: what is stored by items is slow to load as a vector."""
        code, vector = self.code, self.code.splat(value, self.register)
        with code.loop(0, count, self.register) as i:
            code.store(row + i * self.item, vector, vector.type)

    def copy(self, target, source, count):
        """Copy `count` items; target and source are addresses, each with how many items lie between neighbours."""
        (target, into), (source, step) = target, source
        with self.code.loop(0, count) as i:
            item = self.code.load(source + i * self.item * step, self.kind)
            self.code.store(target + i * self.item * into, item, self.kind)

    # --- what is given

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
                self.demand((kind.equals(self.field(t.FLOAT)) | kind.equals(self.field(t.NUMBER))) & is_scalar)
                self.note(k, t.A_NUMBER)
            may_be = is_scalar & self.from_rows.equals(0) & kind.equals(self.field(t.ARRAY))
            with code.when(may_be), code.when(short(code, thing + NDIM).equals(0)):
                self.note(k, t.WITHOUT_AXES)
        primals = self.field(t.PRIMALS)
        with code.when(primals.differs(0)), code.loop(primals, self.inputs) as k:
            self.check_tangent(k, k - primals)
        if self.item == 4:
            self.demand_an_array()
        with code.loop(self.inputs, self.given) as k:
            self.demand(self.is_array(code.field(self.args, k)))

    def demand_an_array(self):
        """Numbers are weak, and alone they are float64."""
        code, primals = self.code, self.field(t.PRIMALS)
        found = code.variable(self.from_rows)
        with code.loop(0, code.select(primals.equals(0), self.inputs, primals)) as k:
            found.set(code.select(self.is_a(k, t.A_NUMBER), found, 1))
        self.demand(found.differs(0))

    def check_tangent(self, k, primal):
        """It has axes if its primal has; a number stands for any."""
        is_alike = self.is_a(primal, t.AN_ARRAY).equals(self.is_a(k, t.AN_ARRAY))
        self.demand(is_alike | self.is_a(k, t.A_NUMBER))

    def note(self, k, kind):
        """One value for all elements: a number, or an array without axes."""
        self.code.put(self.kinds, k, kind)
        self.numbers.set(self.numbers | self.code.int(1) << k)

    def is_a(self, k, kind):
        return self.code.field(self.kinds, k).equals(kind)

    def find_shape(self):
        """The element space: the one that is given, or that of the first array; of numbers alone it is empty."""
        code, found = self.code, self.code.variable(0)
        with code.when(self.from_rows.differs(0)):
            shape = code.field(self.call, 0)
            self.lead.set(code.load(shape + HEAD))
            self.demand(self.lead <= t.MOST_DIMENSIONS)
            with code.loop(0, self.lead) as d:
                number = code.field(shape + ITEMS, d)
                code.put(self.lengths, d, code.call(self.field(t.AS_SIZE), number))
        with code.when(self.from_rows.equals(0)), code.loop(0, self.inputs) as k:
            thing = code.field(self.args, k)
            with code.when(found.equals(0) & self.is_a(k, t.AN_ARRAY)):
                lead = short(code, thing + NDIM) - self.argument(k, t.DEPTH)
                found.set(1)
                self.lead.set(lead)
                self.demand(lead >= 0)
                self.demand(lead <= t.MOST_DIMENSIONS)
                with code.loop(0, lead) as d:
                    code.put(self.lengths, d, length(code, thing, d))
        with code.loop(0, self.lead) as d:
            self.count.set(self.count * code.field(self.lengths, d))
        self.demand(self.count >= 1)
        with code.when(self.batched.differs(0)):
            self.find_seeds()
        elements = self.count * self.seeds
        self.demand(self.field(t.LIMIT) >= elements)
        with code.when(self.field(t.FEW) < elements):
            self.demand_no_deciding()

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
            with code.when(self.seeds.equals(0) & self.is_a(k, t.AN_ARRAY) & short(code, thing + NDIM).differs(0)):
                self.seeds.set(length(code, thing, 0))
        self.demand(self.seeds >= 1)

    def check_input(self, k):
        """Note where an argument's values lie."""
        code, thing = self.code, self.code.field(self.args, k)
        code.put(self.things, k, thing)
        with code.when(self.is_a(k, t.A_NUMBER)):
            self.lies(k, thing + HEAD, code.int(8))
        with code.when(~self.is_a(k, t.A_NUMBER)):
            self.lies(k, code.load(thing + DATA), self.bytes_of(k))
        with code.when(self.is_a(k, t.WITHOUT_AXES)):
            self.check_items(thing, USUAL)
        with code.when(self.is_a(k, t.AN_ARRAY) & self.argument(k, t.IS_ROWS).equals(0)):
            self.check_array(k, thing, USUAL)

    def check_items(self, thing, flags):
        kind = self.code.load(self.code.load(thing + DESCR) + KIND)  # not the object: that of an unpickled array is another
        self.demand(kind.equals(self.field(t.ITEM_TYPE)))
        self.demand((short(self.code, thing + FLAGS) & flags).equals(flags))

    def check_array(self, k, thing, flags):
        self.check_items(thing, flags)
        code, ndim = self.code, self.lay_shape_out(k)
        self.demand(short(code, thing + NDIM).equals(ndim))
        with code.loop(0, ndim) as d:
            self.demand(length(code, thing, d).equals(code.field(self.shape, d)))

    def lay_shape_out(self, k):
        """The shape that an argument has to have, in the table `shape`; how many axes these are."""
        code, depth = self.code, self.argument(k, t.DEPTH)
        lead = self.batched + code.select(self.argument(k, t.SHARED).differs(0), 0, self.lead)
        code.store(self.shape, self.seeds)  # written over where there is one seed only
        with code.loop(self.batched, lead) as d:
            code.put(self.shape, d, code.field(self.lengths, d - self.batched))
        with code.loop(0, depth) as d:
            code.put(self.shape, lead + d, self.field(self.argument(k, t.CORE) + d))
        return lead + depth

    def check_out(self, k):
        """It must have memory of its own."""
        code, thing = self.code, self.code.field(self.args, k)
        code.put(self.things, k, thing)
        start = code.load(thing + DATA)
        end = self.lies(k, start, self.bytes_of(k))
        self.check_array(k, thing, USUAL | WRITEABLE)
        with code.loop(self.from_rows, k) as other:
            self.demand((end <= code.field(self.data, other)) | (start >= code.field(self.ends, other)))

    def lies(self, k, start, size):
        """Note the memory of an argument; its end."""
        self.code.put(self.data, k, start)
        self.code.put(self.ends, k, start + size)
        return start + size

    def bytes_of(self, k):
        """What all seeds have of an argument; what one has is noted in `sizes`."""
        elements = self.code.select(self.argument(k, t.SHARED).differs(0), 1, self.count)
        size = elements * self.argument(k, t.CORE_SIZE) * self.item
        self.code.put(self.sizes, k, size)
        return size * self.seeds
