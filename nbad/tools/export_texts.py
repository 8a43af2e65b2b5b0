"""The texts of an exported module: Python, and Numba intrinsics, around the operations of a kernel, with words to fill in."""

HEAD = '''\
"""The kernel `NAME`, its pullback and its Jacobian.

DOC
    y = value(NAMES)  # arrays, scalars, anything that NumPy broadcasts
    y, pullback = vjp(NAMES)  # one forward sweep
    cotangents = pullback(seed)  # any number of times, from any thread; for every argument, in its shape
    many = pullback.batched(seeds)  # every seed array has one more axis in front
    blocks = jacobian(NAMES)  # (*B, OUTPUTS, INPUTS)

The residual buffer has ROWS rows:

ROW_NAMES

Computes in WORKING, with Numba and NumPy only. Exported from ORIGIN by nbad VERSION.
"""

IMPORTS
DTYPE = np.dtype(np.WORKING)
IS_FOUND = "__file__" in globals() and "<" not in __name__ and vars(sys.modules.get(__name__, math)) is globals()
OPTIONS = {"error_model": "numpy", "cache": IS_FOUND, "nogil": True}  # what Numba has cached asks for its module by name
TILE = 512  # elements that are computed at a time
REVERSE_TILE = REVERSE_STEP  # the same of a reverse sweep whose results stay in the caches
LINE = 64 // DTYPE.itemsize  # elements of a cache line
VECTORS_HERE
LANES = BY_HOST  # elements of a vector here
WIDE = SIDE_BY_SIDE  # elements that are computed side by side
PAST = 1 << 24  # bytes of cotangents beyond which they are stored past the caches
CORES = CORE_SHAPES  # of each argument, for one element
LEAVES = LEAF_SHAPES  # of each result
'''

FORWARD_TILE = '''\
@numba.njit(**OPTIONS, forceinline=True)
def _forward_lines(x, y, residualsMORE, start, stop):
    """Elements, WIDE at a timeLOOPS."""
ROOM
    for k in range(np.uintp(start), np.uintp(stop), np.uintp(WIDE)):
PARTS
STORES
TOGETHER


@numba.njit(**OPTIONS)
def _forward_tile(x, y, residualsMORE, start, stop):
    """The elements of one tile: once made of vectors, the loop goes through the compiler again, which puts functions into it."""
    _forward_lines(x, y, residualsMORE, start, stop)
TOGETHER
'''
PART = """\
        for i in range(np.uintp(WIDE)):
ELEMENT
"""
PASSES = """\
        passes = 0
        while True:
            more = 0
            for i in range(np.uintp(WIDE)):
TEST
                more += GOING[i] != 0.0
            if more == 0 or passes == MAX:
                break
            passes += 1
            for i in range(np.uintp(WIDE)):
STEP
"""
REVERSE_TILE = '''\
@numba.njit(**OPTIONS)
def _reverse_tile(residuals, seeds, cotangents, start, stop, past):
    """All seeds for the elements of one tile; `past` says whether cotangents are stored past the caches."""
ROOM
PARTIALS
    for s in range(seeds.shape[0]):
        seed, target = seeds[s], cotangents[s]
        for k in range(np.uintp(start), np.uintp(stop), np.uintp(WIDE)):
NEAR
            for i in range(np.uintp(WIDE)):
ELEMENT
            _store(target, k, cs, past)
    if past:
        _settle()
TOGETHER
'''
PARTIALS = """\
    ps = _rows_of(COUNT)
    p, first = np.empty((COUNT, TILE + LINE), np.WORKING), np.uintp(start)  # a line more: rows share no set of the cache
    for k in range(np.uintp(start), np.uintp(stop), np.uintp(WIDE)):
        for i in range(np.uintp(WIDE)):
ELEMENT
        _store(p, k - first, ps, False)
"""
LINES = '''\
# What a loop over WIDE elements computes lies in rows of its own. They overlap nothing, so that the compiler makes vectors of the
# loop, and keeps the rows in registers. Indices are without sign: else it would ask of each whether it counts from the end.


@intrinsic(prefer_literal=True)
def _rows_of(context, count):
    """So many rows of WIDE numbers, for one call."""
    row = numba.types.Array(numba.from_dtype(DTYPE), 1, "C")
    kind = numba.types.UniTuple(row, count.literal_value)

    def codegen(context, builder, signature, args):
        width, size = context.get_constant(numba.intp, WIDE), context.get_constant(numba.intp, DTYPE.itemsize)
        rows = []
        for _ in range(len(kind)):
            data = cgutils.alloca_once(builder, context.get_value_type(row.dtype), size=width)
            data.align = 64
            array = context.make_array(row)(context, builder)
            populate_array(array, data, [width], [size], size, None)
            rows.append(array._getvalue())
        return context.make_tuple(builder, kind, rows)

    return kind(count), codegen


@intrinsic
def _store(context, target, k, rows, past):
    """Put rows of WIDE numbers into an array from column `k` on: as whole cache lines past the caches, or anywhere."""
    if target.layout != "C" or target.ndim != 2 or target.dtype != rows.dtype.dtype or not target.mutable:
        raise numba.TypingError(f"results are C-contiguous arrays of {rows.dtype.dtype} that can be written to")

    def codegen(context, builder, signature, args):
        array = context.make_array(target)(context, builder, args[0])
        whole, line = context.get_constant, ir.VectorType(context.get_value_type(target.dtype), LINE).as_pointer()
        moves = []
        for number, row in enumerate(cgutils.unpack_tuple(builder, args[2])):
            data = context.make_array(rows.dtype)(context, builder, row).data
            place = cgutils.get_item_pointer(context, builder, target, array, [whole(numba.intp, number), args[1]])
            for start in range(0, WIDE, LINE):
                source, to = (builder.bitcast(builder.gep(p, [whole(numba.intp, start)]), line) for p in (data, place))
                moves.append((builder.load(source, align=64), to))
        with builder.if_else(args[3]) as (passing, usual):
            with passing:
                for numbers, to in moves:
                    store = builder.store(numbers, to, align=64)
                    store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
            with usual:
                for numbers, to in moves:
                    builder.store(numbers, to, align=DTYPE.itemsize)
        return context.get_dummy_value()

    return numba.void(target, k, rows, past), codegen


def _loops(blocks):
    """Where each loop begins and ends in Python's code, which names of blocks tell, and the block that leads back."""
    place = {block: int(f"0{block.name.partition('.')[0][1:]}") for block in blocks if block.name.startswith("B")}
    for block, own in place.items():
        for target in block.terminator.operands if block.terminator else []:
            if isinstance(target, ir.Block) and "." not in target.name and place.get(target, math.inf) <= own:
                yield place[target], own, block


@intrinsic
def _side_by_side(context, one, other):
    """Tell the compiler to compute all elements of the innermost loops above at once, where they read contiguous arrays."""
    if {one.dtype, other.dtype} != {numba.from_dtype(DTYPE)}:
        raise numba.TypingError(f"what is read is arrays of {DTYPE}")
    is_dense = one.layout == other.layout == "C"

    def codegen(context, builder, signature, args):
        function, metadata = builder.function, builder.module.add_metadata
        function.attributes.add("nounwind")
        function.attributes.alignstack = 64  # registers that are put aside lie within cache lines
        number, loops = ir.IntType(32), list(_loops(function.blocks)) if is_dense else []
        inner = [["vectorize.width", number(WIDE)], ["interleave.count", number(1)], ["unroll.disable"]]
        for start, end, block in loops:
            is_inner = not any(start < other <= end for other, _, _ in loops)
            hints = inner if is_inner else [["isvectorized", number(1)]]  # of others nothing is to be asked
            told = [metadata([f"llvm.loop.{what}", *count]) for what, *count in hints]
            loop = metadata([block.name, *told])
            loop.operands = loop, *told  # a node that names itself is that of one loop
            block.terminator.set_metadata("llvm.loop", loop)
        return context.get_dummy_value()

    return numba.void(one, other), codegen


@intrinsic
def _settle(context):
    """Wait until what was stored past the caches is in memory."""

    def codegen(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return numba.void(), codegen


if config.DISABLE_JIT:

    def _rows_of(count):
        return tuple(np.empty((count, WIDE), DTYPE))

    def _store(target, k, rows, past):
        target[:, k : k + WIDE] = rows

    def _side_by_side(one, other):
        pass

    def _settle():
        pass
'''
FORWARD = '''\
@numba.njit(**OPTIONS)
def _forward_rest(x, y, residualsMORE, start):
    """The last elements, fewer than WIDE: among copies of themselves."""
    count = x.shape[1] - start
    each = start + np.arange(WIDE) % count
WIDENED
    _forward_tile(x[:, each], WIDE_ONES, 0, WIDE)
NARROWED


@numba.njit(parallel=True, **OPTIONS)
def forward(x, y, residualsMORE):
    """Inputs x (slots, n) to outputs y (slots, n) and the residual buffer (rows, n): C-contiguous, apart in memory.LONG"""
    n = x.shape[1]
    if x.shape[0] != INPUTS or y.shape != (OUTPUTS, n) or residuals.shape != (ROWS, n)CODES_TOO:
        raise ValueError("`NAME`: x has the shape (INPUTS, n), y (OUTPUTS, n), residuals (ROWS, n)CODES_SHAPE")
    whole = n // WIDE * WIDE
    for tile in numba.prange((whole + TILE - 1) // TILE):
        _forward_tile(x, y, residualsMORE, tile * TILE, min(whole, tile * TILE + TILE))
    if whole < n:
        _forward_rest(x, y, residualsMORE, whole)
'''
REVERSE = '''\
@numba.njit(**OPTIONS)
def _lead(rows):
    """How many elements precede the first whole cache line of all rows; -1 if rows differ, or the caches keep them."""
    size, address = rows.itemsize, rows.ctypes.data
    return -1 if rows.nbytes <= PAST or address % size or rows.shape[2] % LINE else -address % 64 // size


@numba.njit(**OPTIONS)
def _reverse_rest(residuals, seeds, cotangents, start, stop):
    """The first or last elements, fewer than WIDE: among copies of themselves."""
    each = start + np.arange(WIDE) % (stop - start)
    wide = np.empty((*cotangents.shape[:2], WIDE), np.WORKING)
    _reverse_tile(residuals[:, each], seeds[:, :, each], wide, 0, WIDE, False)
    for s, k in np.ndindex(wide.shape[:2]):  # Numba compiles this soon, and an assignment to a slice in seconds
        for i in range(np.uintp(stop - start)):
            cotangents[s, k, np.uintp(start) + i] = wide[s, k, i]


@numba.njit(parallel=True, **OPTIONS)
def reverse(residuals, seeds, cotangents):
    """The residual buffer and seeds (S, outputs, n) to cotangents (S, inputs, n): C-contiguous, apart in memory."""
    n, lead = seeds.shape[2], _lead(cotangents)
    if residuals.shape != (ROWS, n) or seeds.shape[1] != OUTPUTS or cotangents.shape != (seeds.shape[0], INPUTS, n):
        raise ValueError("`NAME`: residuals have the shape (ROWS, n), seeds (S, OUTPUTS, n), cotangents (S, INPUTS, n)")
    first = min(max(lead, 0), n)
    last = first + (n - first) // WIDE * WIDE
    step = REVERSE_TILE if lead < 0 else TILE  # where memory bounds it, what is kept is read once, and stays near for all seeds
    for tile in numba.prange((last - first + step - 1) // step):
        start = first + tile * step
        _reverse_tile(residuals, seeds, cotangents, start, min(last, start + step), lead >= 0)
    for start, stop in ((0, first), (last, n)):
        if start < stop:
            _reverse_rest(residuals, seeds, cotangents, start, stop)
'''
ARRAYS = '''\
def _array(name, x):
    """A number or an array as one of the working dtype."""
    plain = np.ndarray.__array_ufunc__
    if isinstance(x, np.ma.MaskedArray) or getattr(type(x), "__array_ufunc__", plain) is not plain:
        raise TypeError(f"`NAME`: {name} is a {type(x).__name__}, whose labels, units or mask would be lost")
    array = np.asarray(x)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise TypeError(f"`NAME`: {name} has the dtype {array.dtype}")
    return array.astype(DTYPE, copy=False)


def _rows(arrays, cores, shape):
    """Arrays of shape (*B, *core) as rows (slots, n)."""
    n, slots = math.prod(shape), [math.prod(core) for core in cores]
    rows, start = np.empty((sum(slots), n), DTYPE), 0
    for array, core, count in zip(arrays, cores, slots, strict=True):
        full = np.broadcast_to(array, (*shape, *core))
        target = rows[start : start + count].reshape((*core, *shape))
        target[...] = np.moveaxis(full, range(len(shape), full.ndim), range(len(core)))
        start += count
    return rows


def _arrays(rows, cores, shape):
    """Rows (..., slots, n) as arrays (..., *B, *core)."""
    arrays, start, lead = [], 0, rows.shape[:-2]
    for core in cores:
        count = math.prod(core)
        part = rows[..., start : start + count, :].reshape((*lead, *core, *shape))
        behind = range(len(lead), len(lead) + len(core))
        arrays.append(np.ascontiguousarray(np.moveaxis(part, behind, range(-len(core), 0))) if core else part)
        start += count
    return arrays


def SWEPT(xs):
    """One forward sweep: the results, the residual buffer, the shape of B and those of the arguments."""
    arrays = [_array(name, x) for name, x in zip(PARAMETERS, xs, strict=True)]
    for name, array, core in zip(PARAMETERS, arrays, CORES, strict=True):
        if core != array.shape[array.ndim - len(core) :]:
            raise ValueError(f"`NAME`: {name} of shape {array.shape} does not end in {core}")
    shape = np.broadcast_shapes(*(a.shape[: a.ndim - len(core)] for a, core in zip(arrays, CORES, strict=True)))
    x = _rows(arrays, CORES, shape)
    y, residuals = np.empty((OUTPUTS, x.shape[1]), DTYPE), np.empty((ROWS, x.shape[1]), DTYPE)
RUN
    leaves = [leaf if leaf.ndim else leaf[()] for leaf in _arrays(y, LEAVES, shape)]
    return BUILT, residuals, shape, [a.shape for a in arrays]


def _leaves(seed):
    """What is in a seed, or in seeds, which have the structure of the value."""
KEYED
    if IS_OTHER:
        raise ValueError("`NAME`: a seed has the structure of the value, " DESCRIBED f", and this is {seed!r:.60}")
    return EACH


def _seed(seed, shape):
    """A seed of this shape; a number stands for an array of it."""
    array = _array("a seed", seed)
    if array.ndim and array.shape != shape:
        raise ValueError(f"`NAME`: a seed has the shape {array.shape}, not {shape}")
    return np.broadcast_to(array, shape)


class PULLBACK:
    """Applies the transposed Jacobian of one forward sweep to seeds; it is never used up.

    A seed has the structure and the shapes of the value, and a number stands for an array of it.
    """

    def __init__(self, residuals, shape, shapes):
        self.residuals, self._shape, self._shapes = residuals, shape, shapes

    def __call__(self, seed):
        """One cotangent for each argument, summed over the axes that it was broadcast along."""
        return tuple(ct[0] if ct.ndim > 1 else ct[0][()] for ct in self._sweep(_leaves(seed), ()))

    def batched(self, seeds):
        """The same for many seeds, which have a leading axis."""
        leaves = _leaves(seeds)
        lead = sorted({np.shape(s)[0] for s in leaves if np.ndim(s)})
        if len(lead) != 1:
            raise ValueError(f"`NAME`: seeds have one more axis in front, as long in all; here {lead or 'none has one'}")
        return self._sweep(leaves, tuple(lead))

    def _sweep(self, leaves, lead):
        n, count = math.prod(self._shape), math.prod(lead)
        leaves = [_seed(s, (*lead, *self._shape, *core)) for s, core in zip(leaves, LEAVES, strict=True)]
        seeds, out = np.empty((count, OUTPUTS, n), DTYPE), np.empty((count, INPUTS, n), DTYPE)
        for k in range(count):
            seeds[k] = _rows([leaf[k] if lead else leaf for leaf in leaves], LEAVES, self._shape)
        with np.errstate(all="ignore"):
            reverse(self.residuals, seeds, out)
        each = zip(_arrays(out, CORES, self._shape), CORES, self._shapes, strict=True)
        return tuple(_summed(ct, len(core), shape) for ct, core, shape in each)


def _summed(ct, depth, shape):
    """Sums over the axes that an argument was broadcast along; the first axis counts seeds."""
    missing = ct.ndim - 1 - len(shape)
    axes = [k for k in range(ct.ndim - 1 - depth) if k < missing or shape[k - missing] == 1 != ct.shape[k + 1]]
    if not axes:
        return ct
    kept = [k for k in range(ct.ndim) if k - 1 not in axes]
    totals, terms = (math.prod(ct.shape[k] for k in some) for some in (kept, [k + 1 for k in axes]))
    rows = ct.transpose(*kept, *(k + 1 for k in axes)).reshape(totals, terms)
    return _add_up(np.ascontiguousarray(rows)).astype(DTYPE).reshape((ct.shape[0], *shape))


def value(CALL):
    """The value, in the broadcast shape of the arguments."""
    return SWEPT(ARGUMENTS)[0]


def vjp(CALL):
    """The value and its pullback."""
    y, *kept = SWEPT(ARGUMENTS)
    return y, PULLBACK(*kept)


def jacobian(CALL):
    """The Jacobian of each element, (*B, OUTPUTS, INPUTS): core values in C order."""
    return BLOCKED(*SWEPT(ARGUMENTS)[1:3])


def BLOCKED(residuals, shape):
    """The cotangents of one seed for each output."""
    n = math.prod(shape)
    seeds, out = np.zeros((OUTPUTS, OUTPUTS, n), DTYPE), np.empty((OUTPUTS, INPUTS, n), DTYPE)
    seeds[range(OUTPUTS), range(OUTPUTS)] = 1.0
    with np.errstate(all="ignore"):
        reverse(residuals, seeds, out)
    return np.ascontiguousarray(np.moveaxis(out, -1, 0)).reshape((*shape, OUTPUTS, INPUTS))
'''
