"""nbad's own vector functions: run alone, on points of their whole domain, against mpmath."""

import math
import re
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
from helpers.tiles_by_hand import compile_tile, graph_of, run_tile

import nbad.functions
from nbad.codegen import compile as compile_module
from nbad.codegen import length, vector_ir
from nbad.codegen.host import host
from nbad.codegen.lower import lower
from nbad.functions.library import FUNCTIONS
from nbad.operations.table import TABLE

OPERATIONS = {row.libm: name for name, row in TABLE.items() if row.libm}
README = Path(nbad.functions.__file__).with_name("README.md").read_text(encoding="utf-8")
# in units in the last place, as published for each dtype
BOUNDS = {
    name: {"float64": float(double), "float32": float(single)}
    for name, double, single in re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|", README, re.MULTILINE)
}
LAYOUT = {"float64": (53, -1074, 1024), "float32": (24, -149, 128)}  # bits, exponents of the least and of what is too large
DIGITS, FAR = 40, 5000  # beyond, exponentials overflow all the same
TRUTH = {
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "log10": lambda x: mpmath.log(x, 10),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "pow": lambda x, y: _power(x, y),
    "fmod": lambda x, y: mpmath.sign(x) * _remainder(Fraction(abs(float(x))), Fraction(abs(float(y)))),
}
# where most of the interesting points lie: an interval in float64, and one in float32
INTERVALS = {
    "exp": ((-750, 711), (-106, 90)),
    "exp2": ((-1080, 1025), (-152, 129)),
    "expm1": ((-45, 711), (-20, 90)),
    "sinh": ((-712, 712), (-90, 90)),
    "cosh": ((-712, 712), (-90, 90)),
    "tanh": ((-22, 22), (-11, 11)),
    "sin": ((-1e6, 1e6), (-1e5, 1e5)),
    "cos": ((-1e6, 1e6), (-1e5, 1e5)),
    "tan": ((-1e6, 1e6), (-1e5, 1e5)),
    "asin": ((-1, 1), (-1, 1)),
    "acos": ((-1, 1), (-1, 1)),
    "acosh": ((0.9, 10), (0.9, 10)),
    "atanh": ((-1, 1), (-1, 1)),
    "erf": ((-6, 6), (-4, 4)),
    "erfc": ((-6, 28), (-4, 10.5)),
}
EVERYWHERE = (-10, 10)
ABOVE = {"log": 0.0, "log2": 0.0, "log10": 0.0, "log1p": -1.0, "acosh": 1.0}
SPECIAL = (0.0, 5e-324, 1e-310, 2.2250738585072014e-308, 1e-45, 1e-40, 1.1754943508222875e-38, 1e-8, 0.5, 1.0, 1.5, 2.0, 3.0,
           10.0, 88.7, 89.0, 104.0, 127.0, 128.0, 150.0, 709.7, 710.4, 745.0, 745.2, 1023.0, 1024.0, 1074.0, 1075.0, 2.0**24,
           2.0**53, 1e22, 3.4e38, 1.7e308, math.inf, math.nan)  # fmt: skip


def hide_library(monkeypatch):
    """Compile for this host as if its C library had no vector functions."""
    hidden = host()._replace(offered=frozenset())
    monkeypatch.setattr(compile_module, "host", lambda: hidden)
    return hidden


def evaluate(monkeypatch, name, dtype, *operands, registers=4):
    """One of nbad's own functions, for vectors of some registers."""
    hide_library(monkeypatch)
    for module in (length, vector_ir):
        monkeypatch.setattr(module, "length", lambda oplist, host: registers)
    kernel = compile_tile(lower(graph_of(OPERATIONS[name]), dtype))
    assert f"@nbad_{name}_x{kernel.width}" in kernel.llvm
    return run_tile(kernel, *operands, *operands[:1])[0] if len(operands) == 1 else run_tile(kernel, *operands)[0]


def special_points(dtype):
    """Zeros, the ends of the range, and numbers next to which functions go wrong, of either sign."""
    with np.errstate(over="ignore"):
        positive = np.array(SPECIAL).astype(dtype)
    return np.concatenate([positive, -positive])


def random_points(name, dtype, count, seed=0):
    """The operands of a function: `count` points of each kind, as one array an operand."""
    rng = np.random.default_rng(seed)
    columns = [_numbers(name, dtype, count, rng) for _ in range(FUNCTIONS[name].arity)]
    return [rng.permutation(column) for column in columns] if len(columns) > 1 else columns


def _numbers(name, dtype, count, rng):
    """Over all magnitudes, in the interval of interest, next to 0, 1 and -1, and next to multiples of pi/2 and of log(2)/2."""
    low, high = INTERVALS.get(name, (EVERYWHERE, EVERYWHERE))[dtype == "float32"]
    bits = rng.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), count, dtype=dtype.replace("float", "uint")).view(dtype)
    whole = rng.integers(-1000, 1000, count)
    kinds = (
        np.where(np.isfinite(bits), bits, 0.5),
        rng.uniform(low, high, count),
        rng.uniform(-1.5, 1.5, count),
        10.0 ** rng.uniform(-17, 3, count) * rng.choice([-1, 1], count),
        1.0 + 10.0 ** rng.uniform(-16, -1, count) * rng.choice([-1, 1], count),
        -1.0 + 10.0 ** rng.uniform(-16, -1, count) * rng.choice([-1, 1], count),
        whole * (math.pi / 4),
        whole * (math.log(2) / 2),
    )
    return np.concatenate([np.asarray(kind).astype(dtype) for kind in kinds])


def errors(name, dtype, results, *operands):
    """Of each result in units in the last place of the truth; of those outside of the domain, infinite unless nan."""
    with mpmath.workdps(DIGITS):
        points = zip(results, *operands, strict=True)
        return np.array([_error(dtype, float(y), _truth(name, [float(x) for x in point])) for y, *point in points])


def _truth(name, point):
    if point[0] < ABOVE.get(name, -math.inf) or (name in ("asin", "acos", "atanh") and abs(point[0]) > 1):
        return mpmath.nan
    if name in ("exp", "exp2", "expm1", "sinh", "cosh", "tanh", "erf", "erfc") and abs(point[0]) > FAR:
        point = [math.copysign(FAR, point[0])]
    return TRUTH.get(name, getattr(mpmath, name, None))(*map(mpmath.mpf, point))


def _power(x, y):
    if x < 0 and y != int(y):
        return mpmath.nan
    if x == 0 or y == 0:
        return mpmath.mpf(math.pow(x, y)) if x or y >= 0 else mpmath.inf
    size = y * mpmath.log(abs(x))
    return mpmath.exp(max(-FAR, min(FAR, size))) * (-1 if x < 0 and int(y) % 2 else 1)


def _remainder(x, y):
    return mpmath.mpf((x % y).numerator) / (x % y).denominator if y else mpmath.nan


def _error(dtype, got, true):
    bits, least, top = LAYOUT[dtype]
    if mpmath.isnan(true) or math.isnan(got):
        return 0.0 if mpmath.isnan(true) and math.isnan(got) else math.inf
    if not mpmath.isfinite(true):
        return 0.0 if got == true else math.inf
    if abs(true) >= mpmath.mpf(2) ** top:
        return 0.0 if got == math.copysign(math.inf, true) else math.inf
    exponent = mpmath.frexp(true)[1] if true else least
    near = mpmath.mpf(2) ** top * mpmath.sign(true) if math.isinf(got) else mpmath.mpf(got)
    return float(abs(near - true) / mpmath.mpf(2) ** max(exponent - bits, least))
