"""The sum of one block of elements, which the worker and the entries of small calls share: the same bits from both."""

from llvmlite import ir

from nbad.native.builder import Code
from nbad.native.convert import DOUBLE, FLOATS
from nbad.native.launch_table import LANES


def block_sum_function(module):
    """`block_sum(row, itemsize, count, lanes, target)`: the sum of `count` items, a float64, at `target`.

    Its order depends on nothing: `LANES` lanes first, for which `lanes` is room, then across them.
    """
    code = Code(module, "block_sum", 5)
    row, itemsize, count, lanes, target = code.parameters
    builder, vector = code.builder, ir.VectorType(DOUBLE, LANES)
    whole = code.whole(count, LANES)
    for size, kind in FLOATS.items():

        def read(k, kind, wide, size=size):
            value = code.load(row + k * size, kind)
            return value if size == 8 else builder.fpext(value, wide)

        with code.when(itemsize.equals(size)):
            with code.fold(0, whole, [ir.Constant(vector, [0.0] * LANES)], LANES) as (k, sums):
                sums[0] = builder.fadd(sums[0], read(k, ir.VectorType(kind, LANES), vector))
            code.store(lanes, sums[0], vector)
            with code.loop(whole, count) as k:
                lane = lanes + (k - whole) * 8
                code.store(lane, builder.fadd(code.load(lane, DOUBLE), read(k, kind, DOUBLE)), DOUBLE)
    total = code.load(lanes, DOUBLE)
    for j in range(1, LANES):
        total = builder.fadd(total, code.load(lanes + j * 8, DOUBLE))
    code.store(target, total, DOUBLE)
    return code.finish()
