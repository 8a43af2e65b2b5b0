"""Rows to interleaved memory: the columns of a Jacobian, each computed as a row, to blocks of one element after another.

A block of `number` values an element is written by squares: so many vectors of neighbouring elements are loaded, transposed in
registers, and stored. The last square overlaps the one before it where the number is not a multiple of the vector's length.
"""

from llvmlite import ir

from nbad.structured import Code

LENGTHS = (8, 4, 2)  # of the vectors; the largest one that the block has columns for
PART = {True: 64, False: 8}  # elements that are gathered at a time, so that they stay in the first cache, by whether a block is narrow
NARROW = 64  # columns


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
    """`interleave(sources, target, number, elements, shift, itemsize)`: fill `elements` elements from byte `shift` of each source.

    `sources` is a table of addresses, one for each of the `number` columns.
    """
    squares = {(length, bits): _squares(Code(module, f"squares_{length}_{bits}", 5), length, bits)
               for length in LENGTHS for bits in (64, 32)}
    code = Code(module, "interleave", 6)
    *given, itemsize = code.parameters
    number = given[2]
    for (length, bits), function in squares.items():
        fits = code.builder.and_(number >= length, (number < 2 * length) if length < max(LENGTHS) else number >= 0)
        with code.when(code.builder.and_(fits, itemsize.equals(bits // 8))):
            code.call(function, *given)
    return code.finish()


def _squares(code, length, bits):
    """Fill all columns, a square of `length` columns and elements at a time."""
    sources, target, number, elements, shift = code.parameters
    size, kind = bits // 8, ir.VectorType(ir.IntType(bits), length)
    with code.loop(0, (number + (length - 1)) // length) as k:
        column = code.smaller(k * length, number - length)
        rows = [code.field(sources, column + j) + shift for j in range(length)]
        with code.loop(0, elements // length) as i:
            square = [code.load(row + i * (length * size), kind) for row in rows]
            for j, vector in enumerate(_transposed(code.builder, square)):
                code.store(target + ((i * length + j) * number + column) * size, vector, kind)
    return code.finish()


def _transposed(builder, rows):
    """The columns of a square of vectors: each round interleaves the first half of them with the second."""
    length = len(rows)
    low = [k // 2 + length * (k % 2) for k in range(length)]
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), length), [k + shift for k in low]) for shift in (0, length // 2)]
    for _ in range(length.bit_length() - 1):
        pairs = zip(rows[: length // 2], rows[length // 2 :], strict=True)
        rows = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in masks]
    return rows
