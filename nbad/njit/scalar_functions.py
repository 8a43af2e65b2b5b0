"""The functions that scalar code calls: of one number, and beside each the vector variants of it that a loop may take instead.

A call carries LLVM's attribute `vector-function-abi-variant`: it tells the vectorizer of a loop that the kernel was inlined into
which function computes a whole vector. What the loop leaves over calls the same formula with one lane, so that bits do not depend
on which of them it was. Modules that define nbad's own functions are linked into the caller, so that nothing need be registered
for them; libmvec's are called by name.
"""

import functools
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from nbad.codegen.functions import Functions
from nbad.codegen.host import ITEMSIZE, Host, foreign_function, scalar_function
from nbad.functions.library import symbol, text
from nbad.operations.row import Operation

PURE = "nounwind willreturn memory(none)"
SCALAR = """\
define {scalar} @{name}({parameters}) noinline {pure} {{
{packed}
  %all = call {vector} @{function}({arguments})
  %one = extractelement {vector} %all, i64 0
  ret {scalar} %one
}}
{declared}"""
PART = """\
define {part} @{name}({parameters}) noinline {pure} {{
{widened}
  %all = call {vector} @{function}({arguments})
  %some = shufflevector {vector} %all, {vector} poison, <{size} x i32> <{places}>
  ret {part} %some
}}"""
FOREIGN = """\
define internal {scalar} @{name}({parameters}) alwaysinline {{
{widened}
  %own = call double @"{function}"({arguments}) {pure}
  %value = {narrow} double %own to {scalar}
  ret {scalar} %value
}}
declare double @"{function}"({types}) {pure}"""


class ScalarFunctions(Functions):
    """What the scalar code of one module calls.

    Attributes
    ----------
    modules : dict of str to tuple of str
        The modules that define functions elsewhere, by the function's name.
    """

    def __init__(self, host: Host, dtype: str, math: str):
        super().__init__(host, dtype, math, 1)
        self.width, self.vector, self.mask = 1, self.scalar, "i1"
        self.modules: dict[str, tuple[str, ...]] = {}
        self._told: dict[str, str] = {}  # what calls of a function tell of it

    def call(self, op: str, operands: Iterable[str]) -> str:
        """How the call of an operation's function is written, with what it tells of that."""
        return f"{super().call(op, operands)} {PURE}{self._told.get(self.find(op), '')}"

    def of_both(self) -> None:
        """No function gives sine and cosine of a number."""

    def _of_library(self, function: str, row: Operation) -> str:
        found = widenable(function, len(row.operands), self._dtype, self._host) if self._math == "simd" else None
        if found is None:
            name = scalar_function(function, self._dtype)
            # else a caller's constant might make another function of it, as of a power
            self._told[name] = " nobuiltin"
        else:
            name = found.name
            self.modules[name], self._told[name] = found.modules, f' "vector-function-abi-variant"="{found.variants}"'
        return self._declared(name, self.scalar, row)

    def _foreign(self, row: Operation) -> str:
        """A function of doubles that is in no C library, by the name under which the linker knows it."""
        each, last = range(len(row.operands)), [] if row.scipy is None else ["i32"]
        widen, narrow = ("bitcast", "bitcast") if self.scalar == "double" else ("fpext", "fptrunc")
        name = f'"own.{row.name}"'
        self.texts[name] = FOREIGN.format(
            name=name,
            scalar=self.scalar,
            function=foreign_function(row.name),
            parameters=", ".join(f"{self.scalar} %x{k}" for k in each),
            widened="\n".join(f"  %w{k} = {widen} {self.scalar} %x{k} to double" for k in each),
            arguments=", ".join([*(f"double %w{k}" for k in each), *(f"{kind} 0" for kind in last)]),
            types=", ".join(["double" for _ in each] + last),
            narrow=narrow,
            pure=PURE,
        )
        return name


class Widenable(NamedTuple):
    """A function of numbers that has vector variants: its name, what tells of these, and the modules that define all."""

    name: str
    variants: str
    modules: tuple[str, ...]


@functools.cache
def widenable(function: str, arity: int, dtype: str, host: Host) -> Widenable | None:
    """The scalar form of a function that nbad's kernels compute with vectors; None where they call it lane by lane."""
    widths = _widths(dtype, host)
    own = {width: symbol(function, dtype, width) for width in (1, *widths)}
    kind, scalar = _Kind(dtype, arity), f"nbad_{function}_f{8 * ITEMSIZE[dtype]}"
    if host.has_own(function, arity, dtype):
        variants = {width: own[width] for width in widths}
        modules = [text(own[1], attributes="alwaysinline"), *(text(each, host.letter) for each in variants.values())]
        lines = [kind.declared(name, width) for width, name in variants.items()]
        lines.append(kind.scalar_form(scalar, own[1], 1))
    else:
        whole = host.vector_function(function, arity, dtype)
        if whole is None:
            return None
        variants, modules = {width: own[width] for width in widths} | {widths[0]: whole}, []
        lines = [kind.part(own[width], width, whole, widths[0]) for width in widths[1:]]
        lines.append(kind.scalar_form(scalar, whole, widths[0]))
    used = ", ".join(f"ptr @{variant}" for variant in variants.values())
    lines.append(f'@llvm.compiler.used = appending global [{len(variants)} x ptr] [{used}], section "llvm.metadata"')
    told = ",".join(f"_ZGV_LLVM_N{width}{'v' * arity}_@{scalar}(@{variant})" for width, variant in variants.items())
    told, *modules = _with_digest([scalar, *own.values()], [told, *modules, "\n".join(lines)])
    return Widenable(told.partition("_@")[2].partition("(")[0], told.replace("@", ""), tuple(modules))


def _widths(dtype: str, host: Host) -> list[int]:
    """Elements of the vectors for which there are variants: one register, and half of one where LLVM may prefer that."""
    width = host.width(dtype)
    return [width, width // 2] if host.nbytes == 64 else [width]


def _with_digest(names: list[str], texts: list[str]) -> list[str]:
    """The texts with the hash of all of them behind each name: code of another version may be loaded beside."""
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    pattern = re.compile(rf"@({'|'.join(names)})(?=[(,)\]\s])")
    return [pattern.sub(rf"@\1_{digest}", each) for each in texts]


class _Kind:
    """How functions of so many operands of a dtype are written."""

    def __init__(self, dtype: str, arity: int):
        self.scalar, self.each = "double" if dtype == "float64" else "float", range(arity)

    def vector(self, width: int) -> str:
        return f"<{width} x {self.scalar}>"

    def _typed(self, kind: str, letter: str = "") -> str:
        return ", ".join(f"{kind} %{letter}{k}" if letter else kind for k in self.each)

    def declared(self, name: str, width: int) -> str:
        """The declaration of a function of vectors."""
        vector = self.vector(width)
        return f"declare {vector} @{name}({self._typed(vector)}) {PURE}"

    def scalar_form(self, name: str, function: str, width: int) -> str:
        """A function of numbers by one of vectors; 1.0 in the lanes that nobody asks for costs nothing anywhere."""
        vector = self.vector(width)
        filled = "poison" if width == 1 else f"splat ({self.scalar} 1.0)"
        return SCALAR.format(
            name=name,
            scalar=self.scalar,
            vector=vector,
            function=function,
            pure=PURE,
            parameters=self._typed(self.scalar, "x"),
            packed="\n".join(f"  %w{k} = insertelement {vector} {filled}, {self.scalar} %x{k}, i64 0" for k in self.each),
            arguments=self._typed(vector, "w"),
            declared=self.declared(function, width),
        )

    def part(self, name: str, size: int, function: str, width: int) -> str:
        """A function of vectors by one of longer ones."""
        part, vector = self.vector(size), self.vector(width)
        places = ", ".join(f"i32 {k}" for k in [*range(size), *[size] * (width - size)])
        ones = f"{part} splat ({self.scalar} 1.0)"
        return PART.format(
            name=name,
            part=part,
            vector=vector,
            function=function,
            width=width,
            size=size,
            pure=PURE,
            parameters=self._typed(part, "x"),
            widened="\n".join(f"  %w{k} = shufflevector {part} %x{k}, {ones}, <{width} x i32> <{places}>" for k in self.each),
            arguments=self._typed(vector, "w"),
            places=", ".join(f"i32 {k}" for k in range(size)),
        )
