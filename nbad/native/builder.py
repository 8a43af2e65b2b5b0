"""Structured code for the worker and the ways into it: integers with operators, loops and conditions, printed as LLVM IR.

Numba would type and optimize the same hundred lines for seconds; printed, they compile in a tenth of one. Everything is an int64,
a condition, or a value in memory at an address.
"""

from contextlib import contextmanager

from llvmlite import ir

I64, I32, VOID = ir.IntType(64), ir.IntType(32), ir.VoidType()


def _raw(value):
    """An integer as LLVM has it."""
    return value.value if isinstance(value, Int) else I64(value)


def _operator(name):
    return lambda self, other: Int(self.builder, getattr(self.builder, name)(self.value, _raw(other)))


def _swapped(name):
    return lambda self, other: Int(self.builder, getattr(self.builder, name)(_raw(other), self.value))


def _comparison(sign):
    return lambda self, other: Int(self.builder, self.builder.icmp_signed(sign, self.value, _raw(other)))


class Int:
    """An int64 under construction, or a condition, as comparisons give, with Python's operators; division is unsigned."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    __add__, __sub__, __mul__, __floordiv__ = map(_operator, ("add", "sub", "mul", "udiv"))
    __and__, __or__, __rshift__, __lshift__ = map(_operator, ("and_", "or_", "lshr", "shl"))
    __radd__, __rmul__ = map(_swapped, ("add", "mul"))
    __lt__, __le__, __ge__ = map(_comparison, ("<", "<=", ">="))
    equals, differs = map(_comparison, ("==", "!="))

    def __invert__(self):
        return Int(self.builder, self.builder.not_(self.value))


class Variable(Int):
    """An integer in memory that changes: what it holds is read wherever it is used."""

    def __init__(self, builder, value):
        self.builder = builder
        with builder.goto_entry_block():
            self._slot = builder.alloca(I64)
        self.set(value)

    @property
    def value(self):
        return self.builder.load(self._slot)

    def set(self, value):
        """Change it."""
        self.builder.store(_raw(value), self._slot)

    def now(self):
        """What it holds here, whatever it is changed to."""
        return Int(self.builder, self.value)


class Code:
    """A function of integers under construction; it returns nothing, or an integer."""

    def __init__(self, module, name, parameters, internal=True, returns=VOID):
        function = ir.Function(module, ir.FunctionType(returns, [I64] * parameters), name)
        if internal:
            function.linkage = "internal"
        self.function = function
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.parameters = [Int(self.builder, a) for a in function.args]

    def int(self, value):
        """A constant."""
        return Int(self.builder, I64(value))

    def load(self, address, kind=I64):
        """What lies at an address, aligned to nothing: an Int, or the raw value of another type."""
        value = self.builder.load(self.pointer(address, kind), align=1)
        return Int(self.builder, value) if kind is I64 else value

    def store(self, address, value, kind=I64):
        """Put an integer, or a raw value, at an address."""
        self.builder.store(_raw(value) if isinstance(value, Int | int) else value, self.pointer(address, kind), align=1)

    def store_line(self, address, value):
        """Put a vector at an address that it fills a cache line at, past the caches."""
        store = self.builder.store(value, self.pointer(address, value.type), align=64)
        store.set_metadata("nontemporal", self.function.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))

    def pointer(self, address, kind=I64):
        """An address as LLVM has it."""
        return self.builder.inttoptr(address.value, kind.as_pointer())

    def shared(self, address):
        """What lies at an address that other threads write to: what they wrote before is there, too."""
        return Int(self.builder, self.builder.load_atomic(self.pointer(address), "acquire", 8))

    def add(self, address, value):
        """What was there before something was added to it, by one thread at a time."""
        return Int(self.builder, self.builder.atomic_rmw("add", self.pointer(address), I64(value), "acq_rel"))

    def field(self, table, index):
        """Entry `index` of a table of int64."""
        return self.load(table + index * 8)

    def put(self, table, index, value):
        """Change it."""
        self.store(table + index * 8, value)

    def select(self, condition, yes, no):
        """One of two integers."""
        return Int(self.builder, self.builder.select(_raw(condition), _raw(yes), _raw(no)))

    def whole(self, number, step):
        """The greatest multiple of a power of two that is not above a number; a division would take ten times as long."""
        return number & (self.int(0) - step)

    def splat(self, value, lanes):
        """A vector of one raw value."""
        one = self.builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, I32(0))
        return self.builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))

    def smaller(self, a, b):
        """The smaller of two integers."""
        return self.select(a < b, a, b)

    def call(self, function, *args):
        """Call another function under construction, or an address: what is there returns an integer, or nothing that is used."""
        raw = [_raw(a) for a in args]
        if isinstance(function, Code):
            return Int(self.builder, self.builder.call(function.function, raw))
        return Int(self.builder, self.builder.call(self.pointer(function, ir.FunctionType(I64, [I64] * len(raw))), raw))

    def intrinsic(self, name, returns, *args):
        """Call a function of LLVM's own, of raw values."""
        module = self.function.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(returns, [a.type for a in args]), name)
        return self.builder.call(function, args)

    def stack(self, size):
        """Address of `size` bytes on the stack."""
        room = self.builder.alloca(ir.IntType(8), size=_raw(size))
        room.align = 64
        return Int(self.builder, self.builder.ptrtoint(room, I64))

    def listed(self, values, zeros=0):
        """A table on the stack: these values, and behind them so many zeros."""
        count = self.int(len(values)) + zeros
        table = self.stack(count * 8)
        for k, value in enumerate(values):
            self.put(table, k, value)
        if zeros:
            with self.loop(len(values), count) as k:
                self.put(table, k, 0)
        return table

    def variable(self, value):
        """Memory for an integer that changes."""
        return Variable(self.builder, value)

    @contextmanager
    def when(self, condition):
        """Do the body if a condition holds."""
        with self.builder.if_then(_raw(condition)):
            yield

    @contextmanager
    def loop(self, start, stop, step=1):
        """Do the body for each integer from `start` to `stop`, or every so manyth; the counter lives in a register."""
        with self.fold(start, stop, [], step) as (counter, _):
            yield counter

    @contextmanager
    def fold(self, start, stop, values, step=1):
        """The same with raw values that live in registers, too: the body gets a list of them, in which it puts the next ones.

        Behind it the list holds the last ones. What is kept in a `variable` goes through memory in each pass: sums of six terms
        took 1.35 times as long so.
        """
        before, (test, body, done) = self.builder.block, self._blocks()
        first, end = _raw(start), _raw(stop)
        self.builder.branch(test)
        self.builder.position_at_end(test)
        phi = self.builder.phi(I64)
        phi.add_incoming(first, before)
        counter, kept = Int(self.builder, phi), [self.builder.phi(value.type) for value in values]
        for own, value in zip(kept, values, strict=True):
            own.add_incoming(value, before)
        self.builder.cbranch(self.builder.icmp_signed("<", phi, end), body, done)
        self.builder.position_at_end(body)
        changed = list(kept)
        yield counter, changed
        phi.add_incoming((counter + step).value, self.builder.block)
        for own, value in zip(kept, changed, strict=True):
            own.add_incoming(value, self.builder.block)
        changed[:] = kept
        self.builder.branch(test)
        self.builder.position_at_end(done)

    def _blocks(self):
        """Blocks for a loop's test and body, and for what follows."""
        return [self.builder.append_basic_block() for _ in range(3)]

    @contextmanager
    def repeat(self, condition):
        """Do the body while a condition, computed anew each time, holds."""
        test, body, done = self._blocks()
        self.builder.branch(test)
        self.builder.position_at_end(test)
        self.builder.cbranch(condition().value, body, done)
        self.builder.position_at_end(body)
        yield
        self.builder.branch(test)
        self.builder.position_at_end(done)

    def finish(self, value=None):
        """Return from the function."""
        if value is None:
            self.builder.ret_void()
        else:
            self.builder.ret(value.value)
        return self

    def text(self, value=None):
        """Return from the function, and print its module."""
        return str(self.finish(value).function.module)
