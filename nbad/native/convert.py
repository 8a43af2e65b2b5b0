"""Compiled loads: one strided run of any real dtype and byte order into a contiguous row of the working dtype.

Half precision is decoded by integer
arithmetic, because not every CPU has the instruction.
"""

import numpy as np
from llvmlite import ir

from nbad.native.builder import I64, Code

I32 = ir.IntType(32)
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
NAMES = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")


def _codes():
    codes = {}
    for number, name in enumerate(NAMES):
        dtype = np.dtype(name)
        codes[dtype] = 2 * number
        codes.setdefault(dtype.newbyteorder(), 2 * number + 1)
    return codes


CODES = _codes()


def stage_function(module, itemsize):
    """`stage(target, source, stride, count, code)`: convert `count` elements, `stride` bytes apart, to a row of floats.

    Parameters
    ----------
    module : llvmlite.ir.Module
        Gets the function: a switch over `CODES`, each case a loop.
    itemsize : int
        8 or 4, of the row's dtype.

    Returns
    -------
    Code
    """
    code = Code(module, f"stage{itemsize}", 5)
    function, target = code.function, DOUBLE if itemsize == 8 else FLOAT
    done = function.append_basic_block("done")
    switch = code.builder.switch(function.args[4], done)
    for number in sorted(CODES.values()):
        block = function.append_basic_block(f"code{number}")
        switch.add_case(I64(number), block)
        _loop(ir.IRBuilder(block), function.args, NAMES[number // 2], bool(number % 2), target, done)
    code.builder.position_at_end(done)
    return code.finish()


def convert_function(module, stages):
    """`convert(row, addresses, elements, itemsize, code)`: one value from each address of a table to a row of floats.

    `stages` are the functions above by the bytes of a float.
    """
    code = Code(module, "convert", 5)
    row, addresses, elements, itemsize, kind = code.parameters
    for size, function in stages.items():
        with code.when(itemsize.equals(size)), code.loop(0, elements) as k:
            code.call(function, row + k * size, code.field(addresses, k), 0, 1, kind)
    return code.finish()


def _loop(builder, args, name, swapped, target, done):
    destination, source, stride, count, _ = args
    start = builder.block
    loop = builder.append_basic_block()
    builder.cbranch(builder.icmp_signed(">", count, I64(0)), loop, done)
    builder.position_at_end(loop)
    index = builder.phi(I64)
    index.add_incoming(I64(0), start)
    value = _load(builder, builder.add(source, builder.mul(index, stride)), name, swapped, target)
    pointer = builder.inttoptr(destination, target.as_pointer())
    builder.store(value, builder.gep(pointer, [index]))
    following = builder.add(index, I64(1))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, done)


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
