"""The functions that a kernel calls: declared under the names that the linker knows, or defined beside the kernel.

nbad's own functions take whole vectors, variants of the C library's one register: vectors of more are given to them in parts. A
C function with neither becomes a small function that calls it lane by lane, and so does a function of SciPy's or of the user's,
which takes doubles whatever the dtype is.
"""

from collections.abc import Iterable

from nbad.codegen.host import COUNT, ITEMSIZE, Host, foreign_function, scalar_function
from nbad.functions.library import SINCOS, returned, symbol
from nbad.operations.row import Operation
from nbad.operations.table import TABLE

INTRINSICS = {
    "sqrt": "sqrt",
    "abs": "fabs",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "round": "rint",
    "copysign": "copysign",
}
PARTS = """\
define internal {vector} @parts_{function}({parameters}) noinline #0 {{
{lines}
  ret {vector} {last}
}}"""
LANES = """\
declare {own} @{function}({types}) #1
define internal {vector} @lanes_{function}({parameters}) noinline #0 {{
entry:
{spills}
  %results = alloca {vector}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{lanes}
  %own = call {own} @{function}({arguments})
  %value = {result} {own} %own to {scalar}
  %target = getelementptr {scalar}, ptr %results, i64 %i
  store {scalar} %value, ptr %target
  %next = add nuw nsw i64 %i, 1
  %more = icmp ult i64 %next, {width}
  br i1 %more, label %loop, label %done
done:
  %result = load {vector}, ptr %results
  ret {vector} %result
}}"""
SPILL = """\
  %p{k} = alloca {vector}
  store {vector} %x{k}, ptr %p{k}"""
LANE = """\
  %q{k} = getelementptr {scalar}, ptr %p{k}, i64 %i
  %s{k} = load {scalar}, ptr %q{k}
  %l{k} = {operand} {scalar} %s{k} to {own}"""


class Functions:
    """What the kernel of one module calls, and how its values are written.

    Attributes
    ----------
    lanes, width : int
        Elements in a register, and in a vector.
    scalar, vector, mask : str
        Types of an element, of a value and of a condition.
    texts : dict of str to str
        The declaration or definition of each function.
    """

    def __init__(self, host: Host, dtype: str, math: str, registers: int):
        self.lanes = host.width(dtype)
        self.width = self.lanes * registers
        self.scalar = "double" if dtype == "float64" else "float"
        self.vector, self.mask = f"<{self.width} x {self.scalar}>", f"<{self.width} x i1>"
        self.texts: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._host, self._dtype, self._math, self._registers = host, dtype, math, registers

    def call(self, op: str, operands: Iterable[str]) -> str:
        """How the call of an operation's function is written."""
        return f"call {self.vector} @{self.find(op)}({', '.join(f'{self.vector} {operand}' for operand in operands)})"

    def find(self, op: str) -> str:
        """The name of the function of an operation."""
        if op not in self._names:
            self._names[op] = self._find(op, TABLE[op])
        return self._names[op]

    def _find(self, op: str, row: Operation) -> str:
        if op in INTRINSICS:
            vector = "" if self.width == 1 else f"v{self.width}"
            return self._declared(f"llvm.{INTRINSICS[op]}.{vector}f{8 * ITEMSIZE[self._dtype]}", self.vector, row)
        if row.libm:
            return self._of_library(row.libm, row)
        return self._lanes(foreign_function(row.name), row, "double")  # of doubles, in no C library

    def _of_library(self, function: str, row: Operation) -> str:
        """nbad's own form of a function that the C library has, or that of the library."""
        arity, has_vectors = len(row.operands), self._math == "simd"
        if has_vectors and self._host.has_own(function, arity, self._dtype):
            return self._declared(symbol(function, self._dtype, self.width), self.vector, row)
        variant = self._host.vector_function(function, arity, self._dtype) if has_vectors else None
        if variant is None:
            return self._lanes(scalar_function(function, self._dtype), row, self.scalar)
        return self._declared(variant, self.vector, row) if self._registers == 1 else self._parts(variant, row)

    def of_both(self) -> tuple[str, str] | None:
        """The name of the function that gives sine and cosine of one operand, and the type of the two; None where there is none.

        Where these are nbad's own: their bits are the same.
        """
        if self._math != "simd" or not all(self._host.has_own(name, 1, self._dtype) for name in ("sin", "cos")):
            return None
        name, kind = symbol(SINCOS, self._dtype, self.width), returned(self.vector, 2)
        self.texts[name] = f"declare {kind} @{name}({self.vector}) #1"
        return name, kind

    def counting(self) -> str:
        """The name of the function that counts."""
        self.texts[COUNT] = f"declare void @{COUNT}() nounwind"
        return COUNT

    def _declared(self, name: str, kind: str, row: Operation) -> str:
        self.texts[name] = f"declare {kind} @{name}({', '.join([kind] * len(row.operands))}) #1"
        return name

    def _parts(self, function: str, row: Operation) -> str:
        """The name of a helper that gives a vector to a function in parts of one register."""
        size = self.width // self._registers
        kind = f"<{size} x {self.scalar}>"
        self._declared(function, kind, row)
        lines, results = [], []
        for part in range(self._registers):
            for k in range(len(row.operands)):
                lines.append(shuffle(f"%x{k}.{part}", self.vector, (f"%x{k}", "poison"), range(part * size, (part + 1) * size)))
            arguments = ", ".join(f"{kind} %x{k}.{part}" for k in range(len(row.operands)))
            results.append(f"%y{size}.{part}")
            lines.append(f"  {results[-1]} = call {kind} @{function}({arguments})")
        while len(results) > 1:  # two by two
            kind, size, pairs = f"<{size} x {self.scalar}>", 2 * size, zip(results[::2], results[1::2], strict=True)
            results = []
            for k, pair in enumerate(pairs):
                results.append(f"%y{size}.{k}")
                lines.append(shuffle(results[-1], kind, pair, range(size)))
        parameters = ", ".join(f"{self.vector} %x{k}" for k in range(len(row.operands)))
        names = dict(vector=self.vector, function=function, parameters=parameters, lines="\n".join(lines), last=results[0])
        self.texts[f"parts_{function}"] = PARTS.format(**names)
        return f"parts_{function}"

    def _lanes(self, function: str, row: Operation, own: str) -> str:
        """The name of a helper that calls a scalar function lane by lane, with operands of the function's own type."""
        each, last = range(len(row.operands)), [] if row.scipy is None else ["i32"]
        names = dict(scalar=self.scalar, vector=self.vector, own=own, function=function, width=self.width)
        casts = dict(operand="bitcast", result="bitcast") if own == self.scalar else dict(operand="fpext", result="fptrunc")
        self.texts[f"lanes_{function}"] = LANES.format(
            **names,
            **casts,
            types=", ".join([own] * len(each) + last),
            parameters=", ".join(f"{self.vector} %x{k}" for k in each),
            arguments=", ".join([*(f"{own} %l{k}" for k in each), *(f"{kind} 0" for kind in last)]),
            spills="\n".join(SPILL.format(k=k, **names) for k in each),
            lanes="\n".join(LANE.format(k=k, **names, **casts) for k in each),
        )
        return f"lanes_{function}"


def shuffle(name: str, kind: str, operands: tuple[str, str], places: Iterable[int]) -> str:
    """Lanes of two vectors, counted through both, as one vector."""
    first, second = operands
    mask = [f"i32 {k}" for k in places]
    return f"  {name} = shufflevector {kind} {first}, {kind} {second}, <{len(mask)} x i32> <{', '.join(mask)}>"
