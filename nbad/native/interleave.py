"""Rows and interleaved memory: the columns of a Jacobian, or the values of a vector argument, one element after another.

A block of `number` values an element is moved by squares: so many vectors of neighbouring elements are loaded, transposed in
registers, and stored. The last square overlaps the one before it where the number is not a multiple of the vector's length.
Blocks of three, the most usual ones that no square fits, are moved three vectors at a time.
"""

from contextlib import contextmanager

from llvmlite import ir

from nbad.codegen.host import host
from nbad.native.builder import Code

LENGTHS = (8, 4, 2)  # of the vectors; the largest one that fits a register, and that the block has columns for
NARROW = 64  # columns
PART = {True: 64, False: 8}  # elements of a narrow or wide block that are gathered at a time: they stay in the first cache


def block_bytes(number):
    """Room for the elements of a block that are gathered at a time.

    Examples
    --------
    >>> block_bytes(30) == 64 * 30 * 8
    True
    """
    return PART[number <= NARROW] * number * 8


def part_of_tile(code, number):
    """How many elements are gathered at a time."""
    return code.select(number < NARROW + 1, PART[True], PART[False])


def interleave_function(module):
    """`interleave(rows, target, number, elements, shift, itemsize)`: fill `elements` elements, from byte `shift` of each row.

    `rows` is a table of addresses, one for each of the `number` columns.
    """
    return _by_length(module, "interleave", _to_memory, _three_to_memory)


def separate_function(module):
    """`separate(rows, source, number, elements, shift, itemsize)`: the way back."""
    return _by_length(module, "separate", _to_rows, _three_to_rows)


def _by_length(module, name, squares, triples):
    """The function that leaves its work to one for each length of vectors and size of items, and for blocks of three columns.

    Squares of two registers a row take more shuffles: with AVX2, blocks of 30 columns took 1.09 to 1.2 times as long with them.
    """
    code = Code(module, name, 6)
    *given, itemsize = code.parameters
    number = given[2]
    for bits in (64, 32):
        most = max(min(LENGTHS), min(max(LENGTHS), 8 * host().nbytes // bits))
        for length in (length for length in LENGTHS if length <= most):
            fits = code.builder.and_(number >= length, (number < 2 * length) if length < most else number >= 0)
            fits = code.builder.and_(fits, number.differs(3))
            function = squares(Code(module, f"{name}_{length}_{bits}", 5), length, ir.IntType(bits))
            with code.when(code.builder.and_(fits, itemsize.equals(bits // 8))):
                code.call(function, *given)
        three = triples(Code(module, f"{name}_of_3_{bits}", 5), most, ir.IntType(bits))
        with code.when(code.builder.and_(number.equals(3), itemsize.equals(bits // 8))):
            code.call(three, *given)
    return code.finish()


@contextmanager
def _squares(code, length, size):
    """All squares of `length` columns and elements: the places in rows, and those in memory of its vectors."""
    rows, memory, number, elements, shift = code.parameters
    with code.loop(0, (number + (length - 1)) // length) as k:
        column = code.smaller(k * length, number - length)
        starts = [code.field(rows, column + j) + shift for j in range(length)]
        with code.loop(0, elements // length) as i:
            first = i * length
            yield [s + first * size for s in starts], [memory + ((first + j) * number + column) * size for j in range(length)]


def _to_memory(code, length, item):
    kind, size = ir.VectorType(item, length), item.width // 8
    with _squares(code, length, size) as (rows, places):
        for place, vector in zip(places, _transposed(code.builder, [code.load(row, kind) for row in rows]), strict=True):
            code.store(place, vector, kind)
    return code.finish()


def _to_rows(code, length, item):
    kind, size = ir.VectorType(item, length), item.width // 8
    with _squares(code, length, size) as (rows, places):
        for row, vector in zip(rows, _transposed(code.builder, [code.load(place, kind) for place in places]), strict=True):
            code.store(row, vector, kind)
    return code.finish()


@contextmanager
def _triples(code, length, size):
    """Blocks of three columns, as many elements at a time as a vector has: the places in rows, and those in memory."""
    rows, memory, _, elements, shift = code.parameters
    starts = [code.field(rows, j) + shift for j in range(3)]
    with code.loop(0, elements // length) as i:
        first = i * length
        yield [s + first * size for s in starts], [memory + (first * 3 + j * length) * size for j in range(3)]


def _three_to_memory(code, length, item):
    kind, size = ir.VectorType(item, length), item.width // 8
    with _triples(code, length, size) as (rows, places):
        order = [column * length + element for element in range(length) for column in range(3)]
        for place, vector in zip(places, _picked(code.builder, [code.load(row, kind) for row in rows], order), strict=True):
            code.store(place, vector, kind)
    return code.finish()


def _three_to_rows(code, length, item):
    kind, size = ir.VectorType(item, length), item.width // 8
    with _triples(code, length, size) as (rows, places):
        order = [element * 3 + column for column in range(3) for element in range(length)]
        for row, vector in zip(rows, _picked(code.builder, [code.load(place, kind) for place in places], order), strict=True):
            code.store(row, vector, kind)
    return code.finish()


def _picked(builder, vectors, order):
    """Three vectors of the items of three, counted through, in another order."""
    length = len(order) // 3
    i32 = ir.IntType(32)

    def shuffled(a, b, items):
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(i32, len(items)), items))

    front, back = (shuffled(a, b, list(range(2 * length))) for a, b in (vectors[:2], [vectors[2]] * 2))
    return [shuffled(front, back, order[k * length : (k + 1) * length]) for k in range(3)]


def _transposed(builder, rows):
    """The columns of a square of vectors: each round interleaves the first half of them with the second."""
    length = len(rows)
    low = [k // 2 + length * (k % 2) for k in range(length)]
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), length), [k + shift for k in low]) for shift in (0, length // 2)]
    for _ in range(length.bit_length() - 1):
        pairs = zip(rows[: length // 2], rows[length // 2 :], strict=True)
        rows = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in masks]
    return rows
