"""Compiled loads: where elements lie, and strided runs of any real dtype and byte order as contiguous rows of the working dtype.

Half precision is decoded by integer arithmetic, because not every CPU has the instruction.
"""

import numpy as np
from llvmlite import ir

from nbad.codegen.host import host
from nbad.native import launch_table as t
from nbad.native.builder import I32, I64, Code
from nbad.native.cpython import DATA
from nbad.native.interleave import FETCHED

FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
FLOATS = {8: DOUBLE, 4: FLOAT}
EVERY = (1, 2, 3, 4)  # positions that an element has in an index whose addresses are computed as vectors
NAMES = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")


def _codes():
    codes = {}
    for number, name in enumerate(NAMES):
        dtype = np.dtype(name)
        codes[dtype] = 2 * number
        codes.setdefault(dtype.newbyteorder(), 2 * number + 1)
    return codes


CODES = _codes()


def stage_function(module):
    """`stage(target, source, stride, count, code, itemsize)`: convert `count` elements, `stride` bytes apart, to a row of floats.

    For each dtype of the row it is a switch over `CODES`, each case a loop.
    """
    code = Code(module, "stage", 6)
    *given, itemsize = code.parameters
    for size in FLOATS:
        function = _stage(Code(module, f"stage{size}", 5), size)
        with code.when(itemsize.equals(size)):
            code.call(function, *given)
    return code.finish()


def _stage(code, itemsize):
    target, source, stride, count, kind = code.parameters
    own, done = FLOATS[itemsize], code.function.append_basic_block("done")
    switch = code.builder.switch(kind.value, done)
    for number in sorted(CODES.values()):
        block = code.function.append_basic_block(f"code{number}")
        switch.add_case(I64(number), block)
        code.builder.position_at_end(block)
        first = _by_vectors(code, itemsize) if NAMES[number // 2] == f"f{itemsize}" and not number % 2 else 0
        with code.loop(first, count) as k:
            value = _load(code.builder, (source + k * stride).value, NAMES[number // 2], bool(number % 2), own)
            code.store(target + k * itemsize, value, own)
        code.builder.branch(done)
    code.builder.position_at_end(done)
    return code.finish()


def _by_vectors(code, itemsize):
    """Copy what needs no conversion by vectors, neighbours or one item for all, and tell how many items were: most arguments that
    are broadcast along an axis are runs. Beside an array, one of them takes 0.25 ns an element so, and 0.6 item by item.
    """
    target, source, stride, count, _ = code.parameters
    own, lanes, done = FLOATS[itemsize], host().nbytes // itemsize, code.variable(0)
    vector, whole = ir.VectorType(own, lanes), code.whole(count, lanes)
    with code.when(stride.equals(itemsize)):
        done.set(whole)
        with code.loop(0, whole, lanes) as k:
            code.store(target + k * itemsize, code.load(source + k * itemsize, vector), vector)
    with code.when(stride.equals(0) & (code.int(0) < whole)):
        done.set(whole)
        value = code.splat(code.load(source, own), lanes)
        with code.loop(0, whole, lanes) as k:
            code.store(target + k * itemsize, value, vector)
    return done.now()


def _load(builder, address, name, swapped, target):
    """One element as `target`; loads are unaligned, as NumPy's may be."""
    bits = ir.IntType(8 * int(name[1:]))
    raw = builder.load(builder.inttoptr(address, bits.as_pointer()), align=1)
    if swapped:
        raw = builder.bswap(raw)
    kind = name[0]
    if kind == "b":
        return builder.uitofp(builder.icmp_unsigned("!=", raw, bits(0)), target)
    if kind in "iu":
        return (builder.sitofp if kind == "i" else builder.uitofp)(raw, target)
    value = _half(builder, raw) if name == "f2" else builder.bitcast(raw, DOUBLE if name == "f8" else FLOAT)
    if value.type == target:
        return value
    return builder.fpext(value, target) if target == DOUBLE else builder.fptrunc(value, target)


def _half(builder, raw):
    """Bits of a half as a float: shift into place, rescale the exponent, restore inf, nan and the sign."""
    wide = builder.zext(raw, I32)
    magnitude = builder.and_(wide, I32(0x7FFF))
    scaled = builder.fmul(builder.bitcast(builder.shl(magnitude, I32(13)), FLOAT), ir.Constant(FLOAT, 2.0**112))
    special = builder.or_(builder.shl(magnitude, I32(13)), I32(0x7F800000))
    is_special = builder.icmp_unsigned(">=", magnitude, I32(0x7C00))
    positive = builder.select(is_special, special, builder.bitcast(scaled, I32))
    sign = builder.shl(builder.and_(wide, I32(0x8000)), I32(16))
    return builder.bitcast(builder.or_(positive, sign), FLOAT)


def own_kind(code, itemsize):
    """The code of the working dtype, which needs no conversion."""
    return code.select(itemsize.equals(8), CODES[np.dtype("f8")], CODES[np.dtype("f4")])


def base(code, launch, ids, move, seed):
    """Address of the first element that a load, store or sum touches for one seed."""
    data = code.load(code.field(ids, code.field(launch, move + t.M_ARRAY)) + DATA)
    return data + code.field(launch, move + t.M_OFFSET) + seed * code.field(launch, move + t.M_SEED_STRIDE)


def locate(code, launch, strides, element):
    """Byte offset of an element, and how many elements from it on lie along the innermost dimension."""
    last = code.field(launch, t.NDIM) - 1
    size = code.field(launch, t.SHAPE + last)
    position = element - element // size * size
    rest, dimension = code.variable(element // size), code.variable(last)
    offset = code.variable(position * code.field(launch, strides + last))
    with code.repeat(lambda: code.int(0) < dimension):
        dimension.set(dimension - 1)
        d = dimension.now()
        above = rest // code.field(launch, t.SHAPE + d)
        index = rest - above * code.field(launch, t.SHAPE + d)
        offset.set(offset + index * code.field(launch, strides + d))
        rest.set(above)
    return offset.now(), size - position


def load_function(module, stage):
    """`load`: stage one load, `count` elements from number `first` on, the last repeated up to `padded`.

    Padding must not meet a slow path that the data does not.
    """
    code = Code(module, "load", 8)
    launch, ids, scratch, first, count, padded, seed, move = code.parameters
    itemsize, kind = code.field(launch, t.ITEMSIZE), code.field(launch, move + t.M_MODE) >> t.MODE_SHIFT
    row = scratch + code.field(launch, move + t.M_ROW) * t.PITCH
    source, strides = base(code, launch, ids, move, seed), move + t.M_SIZE
    stride = code.field(launch, strides + code.field(launch, t.NDIM) - 1)
    done = code.variable(0)
    with code.repeat(lambda: done < count):
        offset, left = locate(code, launch, strides, first + done)
        run = code.smaller(left, count - done)
        code.call(stage, row + done * itemsize, source + offset, stride, run, kind, itemsize)
        done.set(done + run)
    last = row + (count - 1) * itemsize
    code.call(stage, row + count * itemsize, last, 0, padded - count, own_kind(code, itemsize), itemsize)
    return code.finish()


def _every(code, place, step):
    """Every so manyth of the integers from a place on, as a vector."""
    lanes = [divmod(j * step, FETCHED) for j in range(FETCHED)]
    loaded = [code.load(place + k * (8 * FETCHED), ir.VectorType(I64, FETCHED)) for k in range(step)]
    taken = loaded[0]
    for k, vector in enumerate(loaded):
        mask = [FETCHED + lane if number == k else j for j, (number, lane) in enumerate(lanes)]
        taken = code.builder.shuffle_vector(taken, vector, ir.Constant(ir.VectorType(I32, FETCHED), mask))
    return taken


def address_function(module):
    """The addresses of `count` elements from number `first` on, by an index, the last repeated as often as `fetch` needs it.

    Where an index has few positions for each element, they are computed as vectors, but for the last ones, so that nothing behind
    the index is read: of 1e5 springs in 0.02 ms instead of 0.08.
    """
    code = Code(module, "address", 8)
    launch, ids, addresses, first, count, padded, seed, group = code.parameters
    by_index, ndim, done = group + t.X_SIZE, code.field(launch, t.NDIM), code.variable(0)
    origin = base(code, launch, ids, by_index + 2 * ndim, seed)
    index = code.load(code.field(ids, code.field(launch, group + t.X_ARRAY)) + DATA)
    index = index + code.field(launch, group + t.X_OFFSET)
    step, stride = (code.field(launch, by_index + k * ndim - 1) for k in (1, 2))
    pitch = code.field(launch, group + t.X_PITCH)
    with code.repeat(lambda: done < count):
        place, left = locate(code, launch, by_index, first + done)
        offset, _ = locate(code, launch, by_index + ndim, first + done)
        run, own = code.smaller(left, count - done), addresses + done * 8
        vectors = code.variable(0)
        for every in EVERY:
            with code.when(step.equals(8 * every) & stride.equals(0)):
                vectors.set((run - 1) // FETCHED)
                with code.loop(0, vectors) as k:
                    numbers = _every(code, index + place + k * (FETCHED * 8 * every), every)
                    found = code.builder.mul(numbers, code.splat(pitch.value, FETCHED))
                    found = code.builder.add(found, code.splat((origin + offset).value, FETCHED))
                    code.store(own + k * (FETCHED * 8), found, found.type)
        with code.loop(vectors * FETCHED, run) as k:
            number = code.load(index + place + k * step)
            code.put(own, k, origin + offset + k * stride + number * pitch)
        done.set(done + run)
    last = code.field(addresses, count - 1)
    with code.loop(count, (padded + (FETCHED - 1)) // FETCHED * FETCHED) as k:
        code.put(addresses, k, last)
    return code.finish()
