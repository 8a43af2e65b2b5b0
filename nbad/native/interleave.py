"""Interleaved memory: to rows, as the values of a vector argument or columns of an array; and copied, past the caches or not.

So many vectors of neighbouring values, one an element, are loaded, transposed in registers, and stored. The last square overlaps
the one before it where the number of values is not a multiple of the vector's length. Elements of three values, the most usual
ones that no square fits, are taken three vectors at a time where they lie close.
"""

from llvmlite import ir

from nbad.codegen.host import LINE, host
from nbad.native.builder import I64, Code

FETCHED = 8  # elements
LENGTHS = (8, 4, 2)  # of the vectors; the largest one that fits a register, and that the elements have values for


def separate_function(module):
    """`separate(rows, memory, number, pitch, elements, itemsize)`: `number` values of each of `elements` elements to rows.

    `rows` is a table of addresses, one for each row; elements begin every `pitch` bytes. Squares of two registers a row take more
    shuffles: with AVX2, 30 values took 1.09 to 1.2 times as long with them.
    """
    code = Code(module, "separate", 6)
    *given, itemsize = code.parameters
    _, _, number, pitch, _ = given
    is_close = code.builder.and_(number.equals(3), pitch.equals(itemsize * 3))
    for bits in (64, 32):
        most, item, is_its = (
            max(min(LENGTHS), min(max(LENGTHS), 8 * host().nbytes // bits)),
            ir.IntType(bits),
            itemsize.equals(bits // 8),
        )
        for length in (length for length in LENGTHS if length <= most):
            fits = code.builder.and_(number >= length, (number < 2 * length) if length < most else number >= 0)
            function = _squares(Code(module, f"separate_{length}_{bits}", 5), length, item)
            with code.when(code.builder.and_(code.builder.and_(fits, code.builder.not_(is_close)), is_its)):
                code.call(function, *given)
        three = _three(Code(module, f"separate_3_{bits}", 5), most, item)
        with code.when(code.builder.and_(is_close, is_its)):
            code.call(three, *given)
    return code.finish()


def _squares(code, length, item):
    """Squares of `length` values and elements."""
    rows, memory, number, pitch, elements = code.parameters
    return _in_squares(code, length, item, (rows, number, elements), lambda element: memory + element * pitch)


def _in_squares(code, length, item, given, place_of):
    """The same, where `place_of` tells where an element begins."""
    kind, size = ir.VectorType(item, length), item.width // 8
    rows, number, elements = given
    with code.loop(0, (number + (length - 1)) // length) as k:
        column = code.smaller(k * length, number - length)
        starts = [code.field(rows, column + j) for j in range(length)]
        with code.loop(0, elements // length) as i:
            first = i * length
            places = [place_of(first + j) + column * size for j in range(length)]
            vectors = _transposed(code.builder, [code.load(place, kind) for place in places])
            for start, vector in zip(starts, vectors, strict=True):
                code.store(start + first * size, vector, kind)
    return code.finish()


def fetch_function(module):
    """`fetch(rows, addresses, number, elements, itemsize)`: the same, where a table says at which address an element begins.

    So many elements at a time as a square has are read: there must be addresses for the next multiple of `FETCHED`.
    """
    code = Code(module, "fetch", 5)
    rows, addresses, number, elements, itemsize = code.parameters
    for bits in (64, 32):
        most = min(FETCHED, 8 * host().nbytes // bits)
        lengths = [length for length in (*LENGTHS, 1) if length <= most]
        for length in lengths:
            fits = code.builder.and_(number >= length, (number < 2 * length) if length < lengths[0] else number >= 0)
            function = _squares_at(Code(module, f"fetch_{length}_{bits}", 4), length, ir.IntType(bits))
            with code.when(code.builder.and_(fits, itemsize.equals(bits // 8))):
                code.call(function, rows, addresses, number, (elements + (FETCHED - 1)) // FETCHED * FETCHED)
    return code.finish()


def _squares_at(code, length, item):
    """Squares of elements whose addresses are given."""
    rows, addresses, number, elements = code.parameters
    return _in_squares(code, length, item, (rows, number, elements), lambda element: code.field(addresses, element))


def _three(code, length, item):
    """Elements of three values, as many at a time as a vector has items."""
    kind, size = ir.VectorType(item, length), item.width // 8
    rows, memory, _, _, elements = code.parameters
    starts = [code.field(rows, j) for j in range(3)]
    order = [element * 3 + column for column in range(3) for element in range(length)]
    with code.loop(0, elements // length) as i:
        first = i * length
        vectors = [code.load(memory + (first * 3 + j * length) * size, kind) for j in range(3)]
        for start, vector in zip(starts, _picked(code.builder, vectors, order), strict=True):
            code.store(start + first * size, vector, kind)
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


def stream_function(module):
    """`stream(target, source, size)`: past the caches, a line at a time; what does not fill a line goes the usual way."""
    code = Code(module, "stream", 3)
    target, source, size = code.parameters
    lines = ir.VectorType(I64, LINE // 8)
    to_line = code.select((target & 3).equals(0), (code.int(0) - target) & (LINE - 1), size)  # odd addresses never meet a line
    head = code.smaller(to_line, size)
    body = (size - head) // LINE

    _plainly(code, code.int(0), head)
    with code.loop(0, body) as k:
        place = head + k * LINE
        code.store_line(target + place, code.load(source + place, lines))
    _plainly(code, head + body * LINE, size)
    return code.finish()


def copy_function(module):
    """`copy(target, source, size)`."""
    code = Code(module, "copy", 3)
    _plainly(code, code.int(0), code.parameters[2])
    return code.finish()


def _plainly(code, start, stop):
    target, source, _ = code.parameters
    half = ir.IntType(32)
    with code.loop(start // 4, stop // 4) as i:
        code.store(target + i * 4, code.load(source + i * 4, half), half)
