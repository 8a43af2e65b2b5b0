"""Exponents and mantissas by instructions of AVX-512, in whole registers: what is computed from bits elsewhere, bit for bit.

With them exp is 1.06 times faster, and log 1.2 times.
"""

from collections.abc import Sequence

from nbad.functions.lines import FLOAT, INT, REAL, Lines, Value

REGISTER = 512  # bits
ZERO = REAL, "zeroinitializer"  # what lanes would be that are not asked for
ENDS_OF_LOG = 0x03530422  # what becomes of quiet and other nans, 0, 1, -inf, inf, and of what is negative or positive


def scaled_by(e: Lines, x: Value, k: Value) -> Value:
    """`x * 2**k` for whole k, rounded once."""
    return _each(e, "scalef", [x, k], [ZERO])


def exponent(e: Lines, x: Value) -> Value:
    """k, where `2**k` is the greatest power of 2 up to a positive number."""
    return _each(e, "getexp", [x], [ZERO])


def mantissa(e: Lines, x: Value) -> Value:
    """A number by that power of 2."""
    return _each(e, "getmant", [x], [("i32", "0"), ZERO])


def with_ends_of_log(e: Lines, result: Value, x: Value) -> Value:
    """A result; but -inf where x is 0, inf where it is, and nan where it is negative or nan."""
    return _each(e, "fixupimm", [result, x], [(INT, e.text(ENDS_OF_LOG, INT)), ("i32", "0")])


def _each(e: Lines, name: str, operands: Sequence[Value], constants: Sequence[tuple[str, str]]) -> Value:
    """An instruction for each register of a vector, with all lanes and as rounding is set."""
    size = REGISTER // e.bits
    types = Lines(e.dtype, size).types
    kind, whole = types[REAL], e.types[REAL]
    last = [(types.get(of, of), text) for of, text in (*constants, (f"i{size}", "-1"), ("i32", "4"))]
    function = f"llvm.x86.avx512.mask.{name}.p{e.pick('d', 's')}.{REGISTER}"
    e.declared[function] = f"declare {kind} @{function}({', '.join([kind] * len(operands) + [of for of, _ in last])}) #1"
    parts = []
    for first in range(0, e.width, size):
        given = [(kind, _shuffled(e, whole, (x.text, "poison"), range(first, first + size)).text) for x in operands]
        parts.append(e.add(REAL, f"call {kind} @{function}({', '.join(f'{of} {text}' for of, text in (*given, *last))})"))
    while len(parts) > 1:  # two by two
        kind, size, pairs = f"<{size} x {FLOAT[e.dtype]}>", 2 * size, zip(parts[::2], parts[1::2], strict=True)
        parts = [_shuffled(e, kind, (a.text, b.text), range(size)) for a, b in pairs]
    return parts[0]


def _shuffled(e: Lines, kind: str, operands: tuple[str, str], places: range) -> Value:
    """Lanes of two vectors, counted through both, as one vector."""
    mask = ", ".join(f"i32 {k}" for k in places)
    return e.add(REAL, f"shufflevector {kind} {operands[0]}, {kind} {operands[1]}, <{len(places)} x i32> <{mask}>")
