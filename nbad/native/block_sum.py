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
    zero = ir.Constant(DOUBLE, 0.0)
    with code.loop(0, LANES) as j:
        code.store(lanes + j * 8, zero, DOUBLE)
    for size, kind in FLOATS.items():
        with code.when(itemsize.equals(size)), code.loop(0, count) as i:
            value, lane = code.load(row + i * size, kind), lanes + (i & (LANES - 1)) * 8
            wide = value if kind is DOUBLE else code.builder.fpext(value, DOUBLE)
            code.store(lane, code.builder.fadd(code.load(lane, DOUBLE), wide), DOUBLE)
    with code.loop(1, LANES) as j:
        code.store(lanes, code.builder.fadd(code.load(lanes, DOUBLE), code.load(lanes + j * 8, DOUBLE)), DOUBLE)
    code.store(target, code.load(lanes, DOUBLE), DOUBLE)
    return code.finish()
