"""The compiled part of sums by segments: one worker's share, with the parameters that a sweep's worker has.

A block of terms is added one term after the other, in float64, all columns of a row at once as far as registers go. The order of
the terms of a column is that of the block, whatever else is added, and by whom.
"""

import functools

from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.native.block_sum import FLOATS
from nbad.native.builder import Code
from nbad.native.convert import DOUBLE, FLOAT
from nbad.native.launch_table import TILE
from nbad.native.worker import DATA_FIELD

# the table: how many blocks; bytes from seed to seed of what is added, of the result, and of the sums of blocks; bytes of an item
# of the result, and whether it is added to
COUNT, SEED, RESULT_SEED, PART_SEED, RESULT_ITEM, ACCUMULATES, FIELDS = range(7)
SOURCE, ORDER, BOUNDS, TARGETS, RESULT, PARTS = range(6)  # the arrays
WIDEST = 16  # columns at once


@functools.cache
def adder(values, itemsize, is_ordered):
    """Address of `add(table, ids, scratch, tile, last tile, seed, last seed)` for rows of so many values; a tile is 256 blocks.

    Examples
    --------
    >>> adder(3, 8, True) != 0
    True
    """
    key = values, itemsize, is_ordered
    return compile_lasting(text_of(f"adder {DATA_FIELD} {key}", lambda: _print_adder(*key)), "add")


def _print_adder(values, itemsize, is_ordered):
    code = Code(ir.Module("adder"), "add", 7, internal=False)
    table, ids, _, tile, last_tile, first_seed, last_seed = code.parameters
    source, order, bounds, targets, result, parts = (code.load(code.field(ids, k) + DATA_FIELD) for k in range(PARTS + 1))
    last, row = code.smaller(last_tile * TILE, code.field(table, COUNT)), values * itemsize
    size, adds = code.field(table, RESULT_ITEM), code.field(table, ACCUMULATES)
    with code.loop(first_seed, last_seed) as seed, code.loop(tile * TILE, last) as block:
        span, target = (code.field(bounds, block), code.field(bounds, block + 1)), code.field(targets, block)
        whole = result + seed * code.field(table, RESULT_SEED) + target * values * size
        part = parts + seed * code.field(table, PART_SEED) + (code.int(-1) - target) * (values * 8)
        is_part = target < 0
        place, own = code.select(is_part, part, whole), code.select(is_part, 8, size)
        start, adds_now = source + seed * code.field(table, SEED), code.select(is_part, 0, adds)

        def add(first, columns):
            """Some columns of the block."""

            def place_of(k):
                return start + (code.field(order, k) if is_ordered else k) * row + first * itemsize

            for column, total in _totals(code, span, columns, place_of, FLOATS[itemsize]):
                _put(code, total, (place + (first + column) * own, own), adds_now)

        whole_columns = values // WIDEST * WIDEST
        if whole_columns:
            with code.loop(0, values // WIDEST) as k:
                add(k * WIDEST, WIDEST)
        if values > whole_columns:
            add(code.int(whole_columns), values - whole_columns)
    code.finish()
    return str(code.function.module)


def _pieces(columns):
    """Columns as vectors that registers hold: the first of each, and how many it has.

    Examples
    --------
    >>> _pieces(11)
    [(0, 4), (4, 4), (8, 2), (10, 1)]
    """
    pieces, column = [], 0
    for width in (4, 2, 1):
        while columns - column >= width:
            pieces.append((column, width))
            column += width
    return pieces


def _totals(code, span, columns, place_of, kind):
    """The sums of some columns of the terms of one block; `place_of` tells where a term begins."""
    builder, totals = code.builder, []
    for column, width in _pieces(columns):
        wide = ir.VectorType(DOUBLE, width)
        with builder.goto_entry_block():
            totals.append((column, builder.alloca(wide)))
        builder.store(ir.Constant(wide, [0.0] * width), totals[-1][1])
    with code.loop(*span) as k:
        term = place_of(k)
        for column, total in totals:
            wide = total.type.pointee
            part = code.load(term + column * (8 if kind is DOUBLE else 4), ir.VectorType(kind, wide.count))
            part = part if kind is DOUBLE else builder.fpext(part, wide)
            builder.store(builder.fadd(builder.load(total), part), total)
    return [(column, builder.load(total)) for column, total in totals]


def _put(code, total, place, adds):
    """A sum to its place, or added to what is there, in float64."""
    (target, itemsize), builder = place, code.builder
    for size, kind in FLOATS.items():
        own = ir.VectorType(kind, total.type.count)
        with code.when(itemsize.equals(size)):
            with code.when(adds.equals(0)):
                code.store(target, builder.fptrunc(total, own) if kind is FLOAT else total, own)
            with code.when(adds.differs(0)):
                before = code.load(target, own)
                both = builder.fadd(builder.fpext(before, total.type) if kind is FLOAT else before, total)
                code.store(target, builder.fptrunc(both, own) if kind is FLOAT else both, own)
