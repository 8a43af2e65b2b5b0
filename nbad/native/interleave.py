"""Interleaved memory: to rows, as the values of a vector argument or columns of an array; and copied, past the caches or not.

So many vectors of neighbouring values, one an element, are loaded, transposed in registers, and stored. The last square overlaps
the one before it where the number of values is not a multiple of the vector's length. Elements of three values, the most usual
ones that no square fits, are taken three vectors at a time where they lie close.
"""

from llvmlite import ir

from nbad.codegen.host import LINE, host
from nbad.native.builder import I64, Code

FETCHED = 8  # elements
MASKED = "llvm.masked.load.v4{}.p0"
LENGTHS = (8, 4, 2, 1)  # of the vectors; the largest one that fits a register, and that the elements have values for


def separate_function(module):
    """`separate(rows, memory, number, pitch, elements, itemsize)`: `number` values of each of `elements` elements to rows.

    `rows` is a table of addresses, one for each row; elements begin every `pitch` bytes. Squares of two registers a row take more
    shuffles: with AVX2, 30 values took 1.09 to 1.2 times as long with them.
    """
    code = Code(module, "separate", 6)
    *given, itemsize = code.parameters
    _, _, number, pitch, _ = given
    is_close = number.equals(3) & pitch.equals(itemsize * 3)
    _by_number(code, given, itemsize, (_squares, _three, is_close))
    return code.finish()


def _by_number(code, given, itemsize, ways):
    """Call what suits the number of values: the largest squares that it fills; or, on a condition, what serves three values."""
    squares, three, is_three = ways
    number, module, name = given[2], code.function.module, code.function.name
    for bits in (64, 32):
        most, item, is_its = min(FETCHED, 8 * host().nbytes // bits), ir.IntType(bits), itemsize.equals(bits // 8)
        for length in (length for length in LENGTHS if length <= most):
            fits = (number >= length) & (number < 2 * length) if length < most else number >= length
            function = squares(Code(module, f"{name}_{length}_{bits}", len(given)), length, item)
            with code.when(is_its & fits & ~is_three):
                code.call(function, *given)
        function = three(Code(module, f"{name}_3_{bits}", len(given)), most, item)
        with code.when(is_its & is_three):
            code.call(function, *given)


def _squares(code, length, item):
    """Squares of `length` values and elements, which begin every pitch, or where a table says."""
    kind, size = ir.VectorType(item, length), item.width // 8
    rows, memory, number, *pitch, elements = code.parameters

    def place_of(element):
        return memory + element * pitch[0] if pitch else code.field(memory, element)

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
    given = rows, addresses, number, (elements + (FETCHED - 1)) // FETCHED * FETCHED
    _by_number(code, given, itemsize, (_squares, _three_at, number.equals(3)))
    return code.finish()


def _three_at(code, length, item):
    """Elements of three values whose addresses are given: four or eight at a time, nothing behind them being read.

    Values of a net of 1e5 springs took 0.26 ms with squares of two, 0.21 so, of which the arithmetic is 0.12.
    """
    if length == 2:
        return _squares(code, length, item)
    rows, addresses, _, elements = code.parameters
    starts, kind = [code.field(rows, j) for j in range(3)], ir.VectorType(item, length)
    with code.loop(0, elements // length) as i:
        first = i * length
        vectors = [load_three(code, code.field(addresses, first + j), item) for j in range(length)]
        if length == 8:  # elements four apart are the halves of a register
            vectors = [_shuffled(code.builder, vectors[k], vectors[k + 4], range(8)) for k in range(4)]
        a, b, c, d = vectors
        for column, start in enumerate(starts):
            parity, behind = column % 2, column - column % 2  # steps within halves of registers first
            mask = _within_fours(length, [parity, length + parity, parity + 2, length + parity + 2])
            front, back = _shuffled(code.builder, a, b, mask), _shuffled(code.builder, c, d, mask)
            mask = _within_fours(length, [behind, behind + 1, length + behind, length + behind + 1])
            code.store(start + first * (item.width // 8), _shuffled(code.builder, front, back, mask), kind)
    return code.finish()


def _within_fours(length, four):
    """The same items of each four of two vectors."""
    return [first + item for first in range(0, length, 4) for item in four]


def load_three(code, address, item):
    """Three items, and 0, as a vector: nothing behind them is read."""
    vector, mask = ir.VectorType(item, 4), ir.Constant(ir.VectorType(ir.IntType(1), 4), [1, 1, 1, 0])
    name = MASKED.format({"double": "f64", "float": "f32"}.get(str(item), item))
    return code.intrinsic(name, vector, code.pointer(address, vector), ir.IntType(32)(1), mask, ir.Constant(vector, None))


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
    front, back = (_shuffled(builder, a, b, range(2 * length)) for a, b in (vectors[:2], [vectors[2]] * 2))
    return [_shuffled(builder, front, back, order[k * length : (k + 1) * length]) for k in range(3)]


def _shuffled(builder, a, b, items):
    """Items of two vectors, counted through both."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(items)), list(items)))


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
