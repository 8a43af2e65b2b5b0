"""The lines of one function in LLVM IR: values with operators, and what formulas need beside them.

A formula is written once, for vectors of any length and both dtypes. Each step is the same for every lane, so that a lane's bits
depend on its own operand only. Nothing is contracted: what is fused is written `fma`.
"""

import ctypes
import struct
from collections.abc import Sequence
from typing import Any, Union

REAL, INT, MASK = "real", "int", "mask"
FLOAT = {"float64": "double", "float32": "float"}
BITS = {"float64": 64, "float32": 32}
FRACTION = {"float64": 52, "float32": 23}  # bits of the fraction

Operand = Union["Value", float]


def rounded(value: Any, dtype: str) -> float:
    """A number, rounded to a dtype.

    Examples
    --------
    >>> rounded(0.1, "float32")
    0.10000000149011612
    """
    return float(value) if dtype == "float64" else ctypes.c_float(float(value)).value


class Value:
    """A vector of reals, of whole numbers as wide, or of conditions."""

    def __init__(self, lines: "Lines", kind: str, text: str):
        self.lines, self.kind, self.text = lines, kind, text

    def _two(self, real: str, whole: str, other: Operand, swapped: bool = False) -> "Value":
        a, b = (self.lines.text(operand, self.kind) for operand in ((other, self) if swapped else (self, other)))
        return self.lines.add(self.kind, f"{real if self.kind == REAL else whole} {self.lines.types[self.kind]} {a}, {b}")

    def _compare(self, how: str, other: Operand) -> "Value":
        real, whole = f"fcmp {'une' if how == 'ne' else f'o{how}'}", f"icmp {how if how in ('eq', 'ne') else f's{how}'}"
        instruction = real if self.kind == REAL else whole
        return self.lines.add(
            MASK, f"{instruction} {self.lines.types[self.kind]} {self.text}, {self.lines.text(other, self.kind)}"
        )

    def __add__(self, other: Operand) -> "Value":
        return self._two("fadd", "add", other)

    def __radd__(self, other: Operand) -> "Value":
        return self._two("fadd", "add", other, swapped=True)

    def __sub__(self, other: Operand) -> "Value":
        return self._two("fsub", "sub", other)

    def __rsub__(self, other: Operand) -> "Value":
        return self._two("fsub", "sub", other, swapped=True)

    def __mul__(self, other: Operand) -> "Value":
        return self._two("fmul", "mul", other)

    def __rmul__(self, other: Operand) -> "Value":
        return self._two("fmul", "mul", other, swapped=True)

    def __truediv__(self, other: Operand) -> "Value":
        return self._two("fdiv", "", other)

    def __rtruediv__(self, other: Operand) -> "Value":
        return self._two("fdiv", "", other, swapped=True)

    def __and__(self, other: Operand) -> "Value":
        return self._two("", "and", other)

    def __or__(self, other: Operand) -> "Value":
        return self._two("", "or", other)

    def __xor__(self, other: Operand) -> "Value":
        return self._two("", "xor", other)

    def __lshift__(self, count: int) -> "Value":
        return self._two("", "shl", count)

    def __rshift__(self, count: int) -> "Value":
        """Zeros come in from above."""
        return self._two("", "lshr", count)

    def __neg__(self) -> "Value":
        return self.lines.add(REAL, f"fneg {self.lines.types[REAL]} {self.text}")

    def __invert__(self) -> "Value":
        return self.lines.add(MASK, f"xor {self.lines.types[MASK]} {self.text}, splat (i1 true)")

    def __lt__(self, other: Operand) -> "Value":
        return self._compare("lt", other)

    def __le__(self, other: Operand) -> "Value":
        return self._compare("le", other)

    def __gt__(self, other: Operand) -> "Value":
        return self._compare("gt", other)

    def __ge__(self, other: Operand) -> "Value":
        return self._compare("ge", other)

    def is_equal(self, other: Operand) -> "Value":
        """Where both are equal."""
        return self._compare("eq", other)

    def differs(self, other: Operand) -> "Value":
        """Where they are not equal; a nan differs from all."""
        return self._compare("ne", other)


class Lines:
    """The lines of a function, and how the steps of its formula are printed.

    Attributes
    ----------
    dtype : str
    width : int
        Elements in a vector.
    has_exponents : bool
        Whether `nbad.functions.exponents` has instructions for it.
    types : dict of str to str
        Type of each kind of value.
    printed : list of str
    declared : dict of str to str
        The declarations of what is called, by name.
    far : Value or None
        Lanes for which the scalar C function is called: those far out, for which the formula does not hold.
    """

    def __init__(self, dtype: str, width: int, letter: str = ""):
        self.dtype, self.width, self.bits, self.fraction = dtype, width, BITS[dtype], FRACTION[dtype]
        self.double = dtype == "float64"
        self.bias = (1 << (self.bits - self.fraction - 2)) - 1  # of an exponent
        self.sign = 1 << (self.bits - 1)
        self.types = {REAL: f"<{width} x {FLOAT[dtype]}>", INT: f"<{width} x i{self.bits}>", MASK: f"<{width} x i1>"}
        self.has_exponents = letter == "e" and width * self.bits % 512 == 0
        self.printed: list[str] = []
        self.declared: dict[str, str] = {}
        self.far: Value | None = None

    def pick(self, double: Any, single: Any) -> Any:
        """What holds for the dtype."""
        return double if self.double else single

    def add(self, kind: str, instruction: str) -> Value:
        """A new line, and its value."""
        name = f"%v{len(self.printed)}"
        self.printed.append(f"  {name} = {instruction}")
        return Value(self, kind, name)

    def constant(self, number: float) -> Value:
        """A number as a value."""
        return Value(self, REAL, self.text(number, REAL))

    def text(self, operand: Operand, kind: str) -> str:
        """How an operand is written; a number stands for a vector of it."""
        if isinstance(operand, Value):
            return operand.text
        if kind == INT:
            return f"splat (i{self.bits} {(int(operand) + self.sign) % (2 * self.sign) - self.sign})"
        (bits,) = struct.unpack("<Q", struct.pack("<d", rounded(operand, self.dtype)))
        return f"splat ({FLOAT[self.dtype]} 0x{bits:016X})"

    def _intrinsic(self, name: str, *operands: Operand) -> Value:
        function, kind = f"llvm.{name}.v{self.width}f{self.bits}", self.types[REAL]
        self.declared[function] = f"declare {kind} @{function}({', '.join([kind] * len(operands))}) #1"
        return self.add(REAL, f"call {kind} @{function}({', '.join(f'{kind} {self.text(x, REAL)}' for x in operands)})")

    def fma(self, x: Operand, y: Operand, z: Operand) -> Value:
        """`x*y + z`, rounded once."""
        return self._intrinsic("fma", x, y, z)

    def abs(self, x: Value) -> Value:
        """The absolute value."""
        return self._intrinsic("fabs", x)

    def sqrt(self, x: Value) -> Value:
        """The square root."""
        return self._intrinsic("sqrt", x)

    def trunc(self, x: Value) -> Value:
        """The whole part."""
        return self._intrinsic("trunc", x)

    def copysign(self, x: Operand, y: Value) -> Value:
        """`x` with the sign of `y`."""
        return self._intrinsic("copysign", x, y)

    def where(self, condition: Value, x: Operand, y: Operand) -> Value:
        """`x` where the condition holds, else `y`."""
        kind = next((operand.kind for operand in (x, y) if isinstance(operand, Value)), REAL)
        a, b = (f"{self.types[kind]} {self.text(operand, kind)}" for operand in (x, y))
        return self.add(kind, f"select {self.types[MASK]} {condition.text}, {a}, {b}")

    def between(self, x: Value, low: float, high: float) -> Value:
        """`x`, or the bound that it is beyond; a nan stays."""
        x = self.where(self.constant(high) < x, high, x)
        return self.where(self.constant(low) > x, low, x)

    def to_bits(self, x: Value) -> Value:
        """The bits of a real as a whole number."""
        return self.add(INT, f"bitcast {self.types[REAL]} {x.text} to {self.types[INT]}")

    def from_bits(self, x: Value) -> Value:
        """The real with these bits."""
        return self.add(REAL, f"bitcast {self.types[INT]} {x.text} to {self.types[REAL]}")

    def constant_bits(self, x: float) -> int:
        """The bits of a number of the dtype."""
        layout = self.pick(("<q", "<d"), ("<i", "<f"))
        return struct.unpack(layout[0], struct.pack(layout[1], x))[0]

    def polynomial(self, coefficients: Sequence[float], x: Value) -> Value:
        """A polynomial, the lowest coefficient first, after Horner; a long one's even and odd powers side by side."""
        if len(coefficients) < 6:
            return self._horner(coefficients, x)
        square = x * x
        return self.fma(self._horner(coefficients[1::2], square), x, self._horner(coefficients[::2], square))

    def _horner(self, coefficients: Sequence[float], x: Value) -> Value:
        *rest, last = coefficients
        result = self.constant(last)
        for coefficient in reversed(rest):
            result = self.fma(result, x, coefficient)
        return result


def fast_sum(x: Value, y: Value) -> tuple[Value, Value]:
    """`x + y`, and what rounding it lost, where x is 0 or not the smaller (Dekker)."""
    total = x + y
    return total, (x - total) + y
