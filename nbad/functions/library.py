"""The functions of this wing by name: their symbols and text, lanes that are far off and done one by one, and where they serve.

A kernel declares the symbol and calls it with whole vectors; the text is compiled once for each length and dtype that is used.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from nbad.functions import error_functions, exponentials, inverse_trigonometric, logarithms, powers, remainders, trigonometric
from nbad.functions.lines import FLOAT, MASK, REAL, Lines, Value


class Function(NamedTuple):
    """A formula, of how many operands, and which functions its results are where it has two of them."""

    formula: Callable[..., Any]
    arity: int = 1
    results: tuple[str, ...] = ()


# by the name that the C library has
FUNCTIONS = {
    "exp": Function(exponentials.exp),
    "exp2": Function(exponentials.exp2),
    "expm1": Function(exponentials.expm1),
    "sinh": Function(exponentials.sinh),
    "cosh": Function(exponentials.cosh),
    "tanh": Function(exponentials.tanh),
    "log": Function(logarithms.log),
    "log2": Function(logarithms.log2),
    "log10": Function(logarithms.log10),
    "log1p": Function(logarithms.log1p),
    "asinh": Function(logarithms.asinh),
    "acosh": Function(logarithms.acosh),
    "atanh": Function(logarithms.atanh),
    "sin": Function(trigonometric.sin),
    "cos": Function(trigonometric.cos),
    "tan": Function(trigonometric.tan),
    "asin": Function(inverse_trigonometric.asin),
    "acos": Function(inverse_trigonometric.acos),
    "atan": Function(inverse_trigonometric.atan),
    "atan2": Function(inverse_trigonometric.atan2, 2),
    "pow": Function(powers.pow, 2),
    "cbrt": Function(powers.cbrt),
    "erf": Function(error_functions.erf),
    "erfc": Function(error_functions.erfc),
    "hypot": Function(powers.hypot, 2),
    "fmod": Function(remainders.fmod, 2),
}
SINCOS = "sincos"
PAIRS = {SINCOS: Function(trigonometric.sincos, results=("sin", "cos"))}  # what one function computes for several operations
# Where the C library has a vector function, too, ours serves if it is not slower, and the more exact one if both are as fast: how
# many times faster ours are, by the letter of the instruction set in the vector ABI, for vectors of four registers of independent
# elements. AVX-512: Zen 5, where ours have caught up in vectors of two registers; AVX2: Zen 4; glibc 2.36. Others are slower.
# With AVX2 the logarithm is as fast alone, but makes seawater's enthalpy, in vectors of one register, 1.14 times slower.
FASTER: dict[tuple[str, str], dict[str, float]] = {
    ("e", "float64"): {
        "exp": 1.5, "exp2": 1.25, "expm1": 1.1, "sinh": 1.4, "cosh": 1.3, "tanh": 1.4, "log": 1.4, "acosh": 1.2, "sin": 1.15,
        "cos": 1.2, "asin": 1.2, "acos": 1.65, "atan": 1.05, "pow": 1.1, "erf": 1.4
    },
    ("e", "float32"): {
        "exp": 1.4, "exp2": 1.15, "expm1": 1.05, "sinh": 1.05, "cosh": 1.2, "log": 1.3, "log1p": 1.2, "acosh": 1.25, "sin": 1.4,
        "cos": 1.4, "asin": 1.15, "acos": 1.15, "atan": 1.15, "pow": 1.25, "erf": 1.4, "erfc": 2.0
    },
    ("d", "float64"): {
        "exp": 1.1, "log1p": 1.0, "cosh": 1.15, "tanh": 1.25, "asinh": 1.4, "acosh": 1.65, "atanh": 1.8
    },
    ("d", "float32"): {
        "exp": 1.15, "exp2": 1.05, "expm1": 1.05, "tanh": 1.15, "asinh": 1.1, "acosh": 1.0, "atanh": 1.2, "cbrt": 1.3,
        "pow": 1.15
    },
}  # fmt: skip
SYMBOL = re.compile(r"nbad_(\w+)_x(\d+)f(64|32)")
TEXT = """\
{declarations}
define {kind} @{symbol}({parameters}) #0 {{
entry:
{lines}
  ret {kind} {result}
}}
attributes #0 = {{ nounwind {attributes} "min-legal-vector-width"="{bits}" }}
attributes #1 = {{ nounwind willreturn memory(none) }}
attributes #2 = {{ nounwind noinline cold alignstack=64 "min-legal-vector-width"="{bits}" }}
!0 = !{{!"branch_weights", i32 1, i32 100000}}
"""
# alignstack: else what is put aside may meet the constants at the same place of another page, and a pass takes twice as long, in
# one process of three
ANY = "declare i1 @llvm.vector.reduce.or.v{width}i1({mask}) #1"
BRANCH = """\
  %any = call i1 @llvm.vector.reduce.or.v{width}i1({mask} {far})
  br i1 %any, label %far, label %done, !prof !0
far:
{slow}
  br label %done
done:
{results}"""
SLOW = "  %far.{name} = call {vector} @far_{name}({parameters}, {vector} {near}, {mask} {far})"
EITHER = "  %{name} = phi {vector} [ {near}, %entry ], [ %far.{name}, %far ]"
FAR = """\
declare double @{name}({doubles}) #1
define internal {vector} @far_{name}({parameters}, {vector} %near, {mask} %far) #2 {{
entry:
  %results = alloca {vector}
  %lanes = alloca <{width} x i8>
  store {vector} %near, ptr %results
  %bytes = zext {mask} %far to <{width} x i8>
  store <{width} x i8> %bytes, ptr %lanes
{spills}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %skip ]
  %place = getelementptr i8, ptr %lanes, i64 %i
  %byte = load i8, ptr %place
  %is = icmp ne i8 %byte, 0
  br i1 %is, label %lane, label %skip
lane:
{loads}
  %double = call double @{name}({arguments})
  %value = {narrow} double %double to {scalar}
  %target = getelementptr {scalar}, ptr %results, i64 %i
  store {scalar} %value, ptr %target
  br label %skip
skip:
  %next = add nuw nsw i64 %i, 1
  %more = icmp ult i64 %next, {width}
  br i1 %more, label %loop, label %done
done:
  %result = load {vector}, ptr %results
  ret {vector} %result
}}"""


def serves(name: str, dtype: str, rival: str) -> bool:
    """Whether a function is taken into use.

    Parameters
    ----------
    name : str
    dtype : "float64" or "float32"
    rival : str
        The instruction set, as the vector ABI has it, for which the C library has a vector function; "" where it has none.

    Examples
    --------
    >>> serves("exp", "float64", ""), serves("jn", "float64", "")
    (True, False)
    """
    return name in FUNCTIONS and (not rival or name in FASTER.get((rival, dtype), ()))


def symbol(name: str, dtype: str, width: int) -> str:
    """The symbol of a function for vectors of so many elements.

    Examples
    --------
    >>> symbol("exp", "float64", 16)
    'nbad_exp_x16f64'
    """
    return f"nbad_{name}_x{width}f{dtype.removeprefix('float')}"


def text(symbol: str, letter: str = "", attributes: str = "alignstack=64") -> str:
    """The LLVM module that defines a symbol, for an instruction set as the vector ABI has it, or for any.

    Examples
    --------
    >>> "define <4 x double> @nbad_exp_x4f64(<4 x double> %x0)" in text("nbad_exp_x4f64")
    True
    """
    name, width, bits = SYMBOL.fullmatch(symbol).groups()  # type: ignore[union-attr]
    formula, arity, names = (FUNCTIONS | PAIRS)[name]
    lines = Lines(f"float{bits}", int(width), letter)
    vector = lines.types[REAL]
    operands = [Value(lines, REAL, f"%x{k}") for k in range(arity)]
    computed = formula(lines, *operands)
    results = dict(zip(names, computed, strict=True)) if names else {name: computed}
    parameters = ", ".join(f"{vector} {operand.text}" for operand in operands)
    near = {each: value.text for each, value in results.items()}
    if lines.far is not None:
        near = _with_far_lanes(lines, near, parameters)
    kind, last = returned(vector, len(near)), next(iter(near.values()))
    if len(near) > 1:
        last = "zeroinitializer"
        for k, result in enumerate(near.values()):
            last = lines.add(REAL, f"insertvalue {kind} {last}, {vector} {result}, {k}").text
    return TEXT.format(
        declarations="\n".join(lines.declared.values()),
        kind=kind,
        symbol=symbol,
        parameters=parameters,
        lines="\n".join(lines.printed),
        result=last,
        attributes=attributes,
        bits=int(width) * int(bits),
    )


def returned(vector: str, count: int) -> str:
    """The type of the results of a function.

    Examples
    --------
    >>> returned("<4 x double>", 2)
    '{ <4 x double>, <4 x double> }'
    """
    return vector if count == 1 else f"{{ {', '.join([vector] * count)} }}"


def _with_far_lanes(lines: Lines, near: dict[str, str], parameters: str) -> dict[str, str]:
    """Add the branch that computes the lanes that are far out; the names of the results behind it."""
    assert lines.far is not None
    names = dict(vector=lines.types[REAL], mask=lines.types[MASK], width=lines.width, far=lines.far.text, parameters=parameters)
    slow = [SLOW.format(name=name, near=value, **names) for name, value in near.items()]
    either = [EITHER.format(name=name, near=value, **names) for name, value in near.items()]
    lines.printed.append(BRANCH.format(slow="\n".join(slow), results="\n".join(either), **names))
    lines.declared["any"] = ANY.format(**names)
    for name in near:
        lines.declared[f"far_{name}"] = _far(name, lines, parameters)
    return {name: f"%{name}" for name in near}


def _far(name: str, lines: Lines, parameters: str) -> str:
    """The helper that calls the scalar C function, of doubles, for the lanes that are far out."""
    scalar, vector, arity = FLOAT[lines.dtype], lines.types[REAL], parameters.count("%")
    widen, narrow = ("bitcast", "bitcast") if lines.double else ("fpext", "fptrunc")
    spills, loads = [], []
    for k in range(arity):
        spills += [f"  %p{k} = alloca {vector}", f"  store {vector} %x{k}, ptr %p{k}"]
        loads += [f"  %q{k} = getelementptr {scalar}, ptr %p{k}, i64 %i", f"  %s{k} = load {scalar}, ptr %q{k}"]
        loads.append(f"  %d{k} = {widen} {scalar} %s{k} to double")
    return FAR.format(
        scalar=scalar,
        name=name,
        narrow=narrow,
        doubles=", ".join(["double"] * arity),
        vector=vector,
        mask=lines.types[MASK],
        width=lines.width,
        parameters=parameters,
        spills="\n".join(spills),
        loads="\n".join(loads),
        arguments=", ".join(f"double %d{k}" for k in range(arity)),
    )
