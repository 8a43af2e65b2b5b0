"""What an entry knows of arrays, its table, and how it refuses and gives up; how arrays are laid out, and new ones made."""

from llvmlite import ir

from nbad.codegen.host import host
from nbad.native import cpython as py
from nbad.native import entry_table as t
from nbad.native.block_sum import block_sum_function
from nbad.native.builder import I32, I64, Int
from nbad.native.convert import FLOATS
from nbad.native.launch_table import LANES


class Arrays:
    """The code of an entry for one dtype, where nothing is checked yet."""

    def __init__(self, name, dtype):
        self.code, self.table, self.call, given = py.new_function(name)
        self.item, self.kind = dtype.itemsize, FLOATS[dtype.itemsize]
        self.register = host().width(dtype.name)  # items in one
        self.from_rows = self.field(t.FROM_ROWS)
        self.inputs, self.results, self.primals = (self.field(f) for f in (t.INPUTS, t.RESULTS, t.PRIMALS))
        self.lead, self.count, self.seeds = (self.code.variable(k) for k in (0, 1, 1))
        self.batched = self.field(t.BATCHED)  # 1 where all but residual rows have an axis of seeds in front
        most = 2 * t.MOST_DIMENSIONS + 1
        self.lengths, self.shape, self.steps, self.order = (self.code.stack(8 * most) for _ in range(4))
        stacks = [self.code.stack(8 * t.MOST_ARGUMENTS) for _ in range(8)]
        self.args, self.things, self.data, self.values, self.sizes, self.kinds, self.starts, self.ends = stacks
        self.block_sum, self.lanes = block_sum_function(self.code.function.module), self.code.stack(8 * LANES)
        self.numbers = self.code.variable(0)  # which inputs are numbers, one bit each
        self.is_usual = self.code.variable(1)  # whether arrays are as a kernel reads them
        self.copies = self.code.variable(0)  # whether some were laid out anew, which `things` has
        self.is_turned = self.code.variable(self.field(t.ORDERED))  # not 0 where axes of elements lie in `order`, not in C order
        self.asked = self.code.variable(0)  # who may share the work
        self.held = [self.code.variable(0) for _ in range(2)]  # tuples under construction
        self.refused = self.code.function.append_basic_block("refused")
        self.demand(given.equals(self.from_rows * 2 + 2))
        self.out = self.code.field(self.call, self.from_rows * 2 + 1)
        self.has_out = self.out.differs(self.field(t.NONE))
        self.given = self.inputs + self.code.select(self.has_out, self.results, 0)

    # --- small words

    def field(self, index):
        """A field of the table."""
        return self.code.field(self.table, index)

    def argument(self, k, field):
        """A field of an argument there."""
        return self.field(k * t.ARGUMENT + (t.HEADER + field))

    def refuse(self):
        """Answer "not mine" where something is demanded in vain; nothing was done then."""
        with self.code.builder.goto_block(self.refused):
            self.let_go_of_copies()
            self.code.builder.ret(self.code.call(self.field(t.ANSWER), 0).value)

    def let_go_of_copies(self):
        code = self.code
        with code.when(self.copies.differs(0)), code.loop(0, self.inputs) as k:
            code.call(self.field(t.RELEASE), code.field(self.things, k))

    def demand(self, condition):
        """Go on where a condition holds: no chain of conditions waits in memory, so that calls of one element are faster."""
        following = self.code.function.append_basic_block()
        self.code.builder.cbranch(condition.value, following, self.refused)
        self.code.builder.position_at_end(following)

    def demand_no_error(self, error):
        """What Python or NumPy could not do the general way tells."""
        with self.code.when(error.differs(0)):
            self.code.call(self.field(t.FORGET))
        self.demand(error.equals(0))

    def note(self, k, kind):
        """One value for all elements: a number, or an array of one item."""
        self.code.put(self.kinds, k, kind)
        self.numbers.set(self.numbers | self.code.int(1) << k)

    def is_a(self, k, kind):
        return self.code.field(self.kinds, k).equals(kind)

    def work(self):
        """Elements of all seeds."""
        return self.count * self.seeds

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

    # --- what an array is

    def is_array(self, thing):
        return py.type_of(self.code, thing).equals(self.field(t.ARRAY))

    def axes(self, array):
        """How many axes it has."""
        return py.short(self.code, array + py.NDIM)

    def dtype_of(self, array):
        """The number of its dtype."""
        return self.code.load(self.code.load(array + py.DESCR) + py.KIND) >> 32

    def has_items(self, thing):
        """Whether an array has items as a kernel reads them."""
        kind = self.code.load(self.code.load(thing + py.DESCR) + py.KIND)  # not the object: that of an unpickled array is another
        return kind.equals(self.field(t.ITEM_TYPE))

    def has_flags(self, thing, flags):
        return (py.short(self.code, thing + py.FLAGS) & flags).equals(flags)

    def is_whole(self, k, thing):
        """Whether an array has the shape that an argument or a result has where nothing is broadcast."""
        code, ndim, same = self.code, self.lay_shape_out(k), self.code.variable(0)
        with code.when(self.axes(thing).equals(ndim)):
            same.set(1)
            with code.loop(0, ndim) as d:
                same.set(code.select(py.length(code, thing, d).equals(code.field(self.shape, d)), same, 0))
        return same.differs(0)

    def is_in_order(self, k, thing, flags):
        """Whether a whole array lies in memory as a kernel reads it, or writes it, and has these flags where that is C order."""
        code, in_c_order = self.code, self.is_turned.equals(0)
        same = code.variable(code.select(self.has_flags(thing, code.select(in_c_order, flags, flags & ~py.CONTIGUOUS)), 1, 0))
        with code.when(~in_c_order):
            self.lay_steps_out(k)
            with code.loop(0, self.axes(thing)) as d:
                step = code.field(code.load(thing + py.STRIDES), d)
                is_alike = step.equals(code.field(self.steps, d)) | code.field(self.shape, d).equals(1)
                same.set(code.select(is_alike, same, 0))
        return same.differs(0)

    def lay_shape_out(self, k):
        """The shape that an argument has where nothing is broadcast, in the table `shape`; how many axes these are."""
        code, depth, shared = self.code, self.argument(k, t.DEPTH), self.argument(k, t.SHARED)
        lead = self.batched + code.select(shared.differs(0), shared - 1, self.lead)
        code.store(self.shape, self.seeds)  # written over where there is one seed only
        with code.loop(self.batched, lead) as d:
            code.put(self.shape, d, code.select(shared.differs(0), 1, code.field(self.lengths, d - self.batched)))
        with code.loop(0, depth) as d:
            code.put(self.shape, lead + d, self.field(self.argument(k, t.CORE) + d))
        return lead + depth

    def bytes_of(self, k):
        """What all seeds have of an argument; what one has is noted in `sizes`."""
        elements = self.code.select(self.argument(k, t.SHARED).differs(0), 1, self.count)
        size = elements * self.argument(k, t.CORE_SIZE) * self.item
        self.code.put(self.sizes, k, size)
        return size * self.seeds

    # --- new arrays

    def make(self, k, ndim, nbytes):
        """A new array of the shape in `shape`, in memory that was used before where it is big."""
        code, made = self.code, self.code.variable(0)
        self.lay_steps_out(k)
        is_big = nbytes >= self.field(t.FRESH_FROM)
        with code.when(is_big):
            made.set(self.recycled_array(k, ndim, nbytes))
        with code.when(~is_big):
            made.set(self.new_array(k, ndim))
        self.give_up_without(made)
        code.put(self.things, k, made)
        code.put(self.data, k, code.load(made + py.DATA))

    def lay_steps_out(self, k):
        """The strides to the shape in `shape`, in the table `steps`; in C order NumPy knows them."""
        code, depth, ahead, size = self.code, self.argument(k, t.DEPTH), self.batched + self.lead, self.code.variable(self.item)
        with code.when(self.is_turned.differs(0)), code.loop(0, ahead + depth) as i:
            axis = code.variable(ahead + depth - 1 - i)
            with code.when((axis < ahead) & (axis >= self.batched)):
                axis.set(self.batched + code.field(self.order, axis - self.batched))
            code.put(self.steps, axis, size)
            size.set(size * code.field(self.shape, axis))

    def new_array(self, k, ndim, data=0, flags=0):
        builder = self.code.builder
        kind = ir.FunctionType(I64, [I64, I32, I64, I32, I64, I64, I32, I32, I64])
        call = builder.inttoptr(self.field(t.NEW).value, kind.as_pointer())
        steps = self.code.select(self.is_turned.differs(0) & self.argument(k, t.IS_ROWS).equals(0), self.steps, 0)
        ndim, number = (builder.trunc(x.value, I32) for x in (ndim, self.field(t.TYPE_NUMBER)))
        kind, data = self.field(t.ARRAY).value, (self.code.int(0) + data).value
        given = [kind, ndim, self.shape.value, number, steps.value, data, I32(0), I32(flags), I64(0)]
        return Int(builder, builder.call(call, given))

    def recycled_array(self, k, ndim, nbytes):
        """One in memory that Python leases, above an array that stays writeable: else NumPy makes it writeable no second time."""
        code = self.code
        number = code.call(self.field(t.FROM_SIZE), nbytes)
        self.give_up_without(number)
        lease = code.call(self.field(t.CALL_WITH), self.field(t.LEASED), number)
        code.call(self.field(t.RELEASE), number)
        self.give_up_without(lease)
        owner = code.variable(lease)
        for _ in range(2):
            made = self.new_array(k, ndim, code.load(code.load(lease + py.BLOCK) + py.DATA), py.USUAL | py.WRITEABLE)
            with code.when(made.equals(0)):
                code.call(self.field(t.RELEASE), owner)
            self.give_up_without(made)
            code.call(self.field(t.OWN), made, owner)  # and lets go of it where that fails
            owner.set(made)
        return owner.now()

    def give_up_without(self, made):
        """Where memory is out, which Python knows then, let go of all that was made."""
        code = self.code
        with code.when(made.equals(0)):
            with code.loop(0, self.inputs + self.results) as k:
                code.call(self.field(t.RELEASE), code.field(self.things, k))
            for held in self.held:
                code.call(self.field(t.RELEASE), held)
            code.builder.ret(I64(0))
