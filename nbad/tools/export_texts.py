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
OPTIONS = {"error_model": "numpy", "cache": "__file__" in globals(), "nogil": True}
TILE = 512  # elements that are computed at a time
REVERSE_TILE = REVERSE_STEP  # the same of a reverse sweep
SHORT_TILE
CORES = CORE_SHAPES  # of each argument, for one element
LEAVES = LEAF_SHAPES  # of each result
'''

FORWARD_TILE = '''\
@numba.njit(**OPTIONS)
def _forward_tile(x, y, residualsMORE, start, stop):
    """The elements of one tile."""
STATEMENTS
    for i in range(stop - start):
ELEMENT
TOGETHER
'''
FORWARD_STAGES = '''\
@numba.njit(**OPTIONS)
def _forward_tile(x, y, residualsMORE, start, stop):
    """The elements of one tile: loops run pass by pass, until all elements are done."""
STATEMENTS
STAGES
'''
PASSES = """\
    passes, last, more = 0, 0.0, 1
    while more:
        more = 0
        for i in range(stop - start):
ELEMENT
            more += GOING[i] != 0.0
        if last:
            break
        passes += 1
        last = 1.0 if passes == MAX else 0.0
"""
REVERSE_TILE = '''\
@numba.njit(**OPTIONS)
def _reverse_tile(residuals, seeds, cotangents, start, stop):
    """All seeds for the elements of one tile."""
STATEMENTS
    for s in range(seeds.shape[0]):
EACH
        for i in range(stop - start):
ELEMENT
'''
PARTIALS = """\
    for i in range(stop - start):
ELEMENT
"""
# Functions wait for one another where the compiler takes one vector at a time.
SIDE_BY_SIDE = '''\
@intrinsic(prefer_literal=True)
def _side_by_side(context, vectors):
    """Tell the compiler to take so many vectors at a time in the loops above."""

    def codegen(context, builder, signature, args):
        metadata, blocks = builder.module.add_metadata, builder.function.blocks
        count = metadata(["llvm.loop.interleave.count", ir.IntType(32)(signature.args[0].literal_value)])
        for k, block in enumerate(blocks):
            if any(target in blocks[: k + 1] for target in getattr(block.terminator, "operands", [])):
                loop = metadata([block.name, count])
                loop.operands = loop, count  # a node that names itself is that of one loop
                block.terminator.set_metadata("llvm.loop", loop)
        return context.get_dummy_value()

    return numba.void(vectors), codegen


if config.DISABLE_JIT:

    def _side_by_side(vectors):
        pass
'''
# Of many rows LLVM would not check that none overlap: it is told.
ROW_ACCESS = '''\
# Elements of rows that do not overlap, which of so many the compiler would not check. What one loop reads and writes is a group,
# in which each row that is written to has a number.


def _access(context, builder, signature, args, number):
    """Read an element, or write it."""
    group, row, i = args[:3]
    place = builder.gep(context.make_array(signature.args[1])(context, builder, row).data, [i])
    access = builder.load(place) if number is None else builder.store(args[4], place)
    metadata, group = builder.module.add_metadata, signature.args[0].literal_value
    domain = metadata([f"rows {group}"])
    scopes = [metadata([f"row {k} of {group}", domain]) for k in range(WRITTEN)]
    access.set_metadata("noalias", metadata([scope for k, scope in enumerate(scopes) if k != number]))
    if number is not None:
        access.set_metadata("alias.scope", metadata([scopes[number]]))
    return access if number is None else context.get_dummy_value()


@intrinsic(prefer_literal=True)
def _get(context, group, row, i):
    def codegen(context, builder, signature, args):
        return _access(context, builder, signature, args, None)

    return row.dtype(group, row, i), codegen


@intrinsic(prefer_literal=True)
def _put(context, group, row, i, number, value):
    def codegen(context, builder, signature, args):
        return _access(context, builder, signature, args, signature.args[3].literal_value)

    return numba.void(group, row, i, number, value), codegen


if config.DISABLE_JIT:

    def _get(group, row, i):
        return row[i]

    def _put(group, row, i, number, value):
        row[i] = value
'''
FORWARD = '''\
@numba.njit(parallel=True, **OPTIONS)
def forward(x, y, residualsMORE):
    """Inputs x (slots, n) to outputs y (slots, n) and the residual buffer (rows, n): apart in memory.LONG"""
    n = x.shape[1]
    for tile in numba.prange((n + STEP - 1) // STEP):
        _forward_tile(x, y, residualsMORE, tile * STEP, min(n, tile * STEP + STEP))
'''
REVERSE = '''\
@numba.njit(parallel=True, **OPTIONS)
def reverse(residuals, seeds, cotangents):
    """The residual buffer and seeds (S, outputs, n) to cotangents (S, inputs, n): apart in memory."""
    n = seeds.shape[2]
    for tile in numba.prange((n + REVERSE_TILE - 1) // REVERSE_TILE):
        start = tile * REVERSE_TILE
        _reverse_tile(residuals, seeds, cotangents, start, min(n, start + REVERSE_TILE))
'''
ADD_UP = '''\
@numba.njit(**OPTIONS)
def _add_up(rows):
    """The total of each row: float64 sums of 256 elements from left to right, then a fixed binary tree over these."""
    totals = np.zeros(rows.shape[0])
    for k in range(rows.shape[0]):
        row, count = rows[k], (rows.shape[1] + 255) // 256
        sums = np.zeros(max(count, 1))
        for block in range(count):
            for i in range(256 * block, min(256 * block + 256, row.size)):
                sums[block] += np.float64(row[i])
        while count > 1:
            for pair in range(count // 2):
                sums[pair] = sums[2 * pair] + sums[2 * pair + 1]
            if count % 2:
                sums[count // 2] = sums[count - 1]
            count = (count + 1) // 2
        totals[k] = sums[0]
    return totals
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
    rows = np.empty((sum(slots), n), DTYPE)
    start = 0
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
        shapes = [(*self._shape, *core) for core in LEAVES]
        leaves = [_seed(s, shape)[None] for s, shape in zip(SEED, shapes, strict=True)]
        return tuple(ct[0] if ct.ndim > 1 else ct[0][()] for ct in self._sweep(leaves, 1))

    def batched(self, seeds):
        """The same for many seeds, which have a leading axis."""
        counts = {np.shape(s)[0] for s in SEEDS if np.ndim(s)}
        if len(counts) != 1:
            raise ValueError(f"the number of seeds is not known from leading axes {sorted(counts)}")
        count = counts.pop()
        shapes = [(count, *self._shape, *core) for core in LEAVES]
        return self._sweep([_seed(s, shape) for s, shape in zip(SEEDS, shapes, strict=True)], count)

    def _sweep(self, leaves, count):
        n = math.prod(self._shape)
        seeds, out = np.empty((count, OUTPUTS, n), DTYPE), np.empty((count, INPUTS, n), DTYPE)
        for k in range(count):
            seeds[k] = _rows([leaf[k] for leaf in leaves], LEAVES, self._shape)
        with np.errstate(all="ignore"):
            reverse(self.residuals, seeds, out)
        each = zip(_arrays(out, CORES, self._shape), CORES, self._shapes, strict=True)
        return tuple(_summed(ct, len(core), shape) for ct, core, shape in each)


def _summed(ct, depth, shape):
    """Sums over the axes that an argument was broadcast along; the first axis counts seeds."""
    missing = ct.ndim - 1 - len(shape)
    full = (1,) * missing + shape
    axes = [k for k in range(ct.ndim - 1 - depth) if full[k] == 1 and (k < missing or ct.shape[k + 1] != 1)]
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
    _, residuals, shape, _ = SWEPT(ARGUMENTS)
    return BLOCKED(residuals, shape)


def BLOCKED(residuals, shape):
    """The cotangents of one seed for each output."""
    n = math.prod(shape)
    seeds, out = np.zeros((OUTPUTS, OUTPUTS, n), DTYPE), np.empty((OUTPUTS, INPUTS, n), DTYPE)
    for k in range(OUTPUTS):
        seeds[k, k] = 1.0
    with np.errstate(all="ignore"):
        reverse(residuals, seeds, out)
    return np.ascontiguousarray(np.moveaxis(out, -1, 0)).reshape((*shape, OUTPUTS, INPUTS))
'''
CAUSES = '''\
# why elements have no value: the exception, and what raises it
CAUSES = CAUSE_LIST


def _fail(codes, shape):
    """Raise what the first element in C order that has no value asks for."""
    place = np.unravel_index(np.argmax(codes != 0), shape)
    error, text = CAUSES[int(codes[np.argmax(codes != 0)]) - 1]
    raise error(f"`NAME`: element {tuple(map(int, place))}, one of {np.count_nonzero(codes)}: {text}")
'''
RUN = """\
    with np.errstate(all="ignore"):
        forward(x, y, residuals)
"""
RUN_CODES = """\
    codes = np.zeros((1, x.shape[1]), DTYPE)
    with np.errstate(all="ignore"):
        forward(x, y, residuals, codes)
    if codes.any():
        _fail(codes[0], shape)
"""
LONG = """

    Elements without a value have the number of the cause in `codes` (1, n).
    """
SHORT = """\
SHORT = 32  # the same, where loops run until all of them are done
"""
