"""The primitive table: one row is all that an operation needs.

Expressions are text that both SymPy and mpmath read, in the operands `x`, `y`, the payload `n` and, in partials, the value `v` of
the operation itself. Where a partial is None, SymPy's own derivative of `expression` is used; a text is a stable form of it,
computed in the order written, which a test proves equal. It may call operations by their names in this table. Where the first
case of a `Piecewise` is 0, the operand counts as an untaken branch: nothing that happens in it can spoil a derivative.
An operation with an `expansion` is lowered to other operations; one with a `libm` name calls that function of the C library
or its vector variant; the rest are single machine instructions.

An expansion is called as `expansion(g, *operands)`, the payload last where there is one. `g.<name>(...)` applies an operation of
the table and `g.where(c, a, b)` a select. Operands overload `+ - * /`, unary minus and `< <= > >=`, conditions `& | ~`; equality
is `g.eq` and `g.ne`. Python floats stand for constants everywhere, as the result too.

Some operations have no spelling: kernels cannot name them, they are there for partials. `tanh` has the partial `sech(x)**2`,
whose own derivative neither cancels nor overflows, so that derivatives of every order stay accurate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

REAL, BOOL = "real", "bool"
PAIR = (REAL, REAL)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One primitive.

    Attributes
    ----------
    name : str
    numpy : callable
        Reference implementation on NumPy values, used by the interpreter and by the tests.
    spellings : tuple of str
        Where a kernel finds it: "math.sin", "numpy.sin".
    operands, kind : kinds of the operands and of the value, "real" or "bool".
    expression : str or None
        The value as SymPy text; None where it has no derivative (comparisons, logic).
    partials : tuple of (str or None), or None
        One per real operand.
    expansion : callable or None
        `expansion(g, *operands)` builds the value from other operations; `g` offers them by name, operands overload operators.
    libm : str or None
        Name of the C function in float64; float32 adds an `f`.
    cost : float
        Rough cost of one element in units of one multiplication, as vector code on AVX-512.
    samples : tuple of tuples
        Points of the domain at which tests check values and partials.
    kink : str
        The convention where the derivative is not unique, and where a partial is less accurate than 8 ulp.
    """

    name: str
    numpy: Callable[..., Any]
    spellings: tuple[str, ...] = ()
    operands: tuple[str, ...] = (REAL,)
    kind: str = REAL
    expression: str | None = None
    partials: tuple[str | None, ...] | None = None
    expansion: Callable[..., Any] | None = None
    libm: str | None = None
    cost: float = 1.0
    samples: tuple[tuple[float, ...], ...] = ((-0.8,), (0.3,), (2.5,))
    kink: str = ""


_PAIRS = ((0.3, 0.7), (1.3, -0.4), (-2.5, -0.6), (-0.9, 3.0))
_POSITIVE = ((0.01,), (0.7,), (25.0,))
_INSIDE = ((-0.999,), (-0.3,), (1e-6,), (0.8,))


def _both(name, *others):
    return f"math.{name}", f"numpy.{name}", *(f"numpy.{other}" for other in others)


def _scalar(function):
    """A NumPy-like version of a scalar function that NumPy lacks."""
    return np.vectorize(function, otypes=[float])


def _machine(name, expression, *partials, function=None, operands=(REAL,), **more):
    """A single instruction."""
    return Operation(name=name, numpy=function or getattr(np, name), operands=operands, expression=expression,
                     partials=partials or None, **more)


def _call(name, expression, *partials, function=None, spellings=None, cost=20.0, **more):
    """A function of the C library."""
    return Operation(name=name, numpy=function or getattr(np, name), spellings=spellings or _both(name), expression=expression,
                     partials=partials or None, libm=name, cost=cost, **more)


def _inverse(name, expression, partial, **more):
    """An inverse function, which NumPy spells in two ways."""
    long = name.replace("a", "arc", 1)
    return _call(name, expression, partial, function=getattr(np, long), spellings=_both(name, long), **more)


def _composite(name, expression, expansion, *partials, function=None, operands=(REAL,), **more):
    """An operation made of others."""
    return Operation(name=name, numpy=function or getattr(np, name), operands=operands, expression=expression,
                     expansion=expansion, partials=partials or None, **more)


def _extremum(name, expression, spellings, function, expansion):
    """A choice between two operands; a tie goes half and half."""
    x, y = (f"Piecewise((0, Ne(v, {operand})), (1/2, Eq(x, y)), (1, True))" for operand in "xy")
    return _composite(name, expression, expansion, x, y, function=function, spellings=spellings, operands=PAIR, cost=2.0,
                      samples=_PAIRS, kink="ties half and half")


def _comparison(name, function):
    return Operation(name=name, numpy=function, spellings=(f"numpy.{function.__name__}",), operands=PAIR, kind=BOOL)


def _logic(name, arity=2):
    function = getattr(np, f"logical_{name}")
    return Operation(name=name, numpy=function, spellings=(f"numpy.logical_{name}",), operands=(BOOL,) * arity, kind=BOOL)


def _power(x, n):
    """Integer power by repeated squaring, in the order of Numba's own lowering."""
    result, square, left = None, x, abs(n)
    while left:
        if left & 1:
            result = square if result is None else result * square
        left >>= 1
        if left:
            square = square * square
    result = 1.0 if result is None else result
    return 1.0 / result if n < 0 else result


def _logaddexp(g, x, y, tie, log1p_exp):
    """As npymath does it; equal operands include equal infinities."""
    larger = g.where(x > y, x, y)
    return g.where(g.eq(x, y), x + tie, larger + log1p_exp(-g.abs(x - y)))


def _sign(g, x):
    return g.where(x > 0.0, 1.0, g.where(x < 0.0, -1.0, x + 0.0))


def _choose(g, first, x, y, lone):
    """`x` where it comes first, else `y`; where `lone` is nan, `x` in any case."""
    return g.where(first, x, g.where(g.ne(lone, lone), x, y))


ARITHMETIC = (
    _machine("add", "x + y", function=np.add, spellings=("numpy.add",), operands=PAIR, samples=_PAIRS),
    _machine("sub", "x - y", function=np.subtract, spellings=("numpy.subtract",), operands=PAIR, samples=_PAIRS),
    _machine("mul", "x * y", function=np.multiply, spellings=("numpy.multiply",), operands=PAIR, samples=_PAIRS),
    _machine("div", "x / y", "reciprocal(y)", "-v*reciprocal(y)", function=np.divide,
             spellings=("numpy.divide", "numpy.true_divide"), operands=PAIR, samples=_PAIRS, cost=16.0),
    _machine("neg", "-x", function=np.negative, spellings=("numpy.negative",)),
    _composite("powi", "x**n", lambda g, x, n: _power(x, n), function=_power, cost=2.0),
    _call("pow", "x**y", "Piecewise((0, Eq(x, 0) & Eq(y, 0)), (y*x**(y - 1), True))",
          "Piecewise((0, Eq(x, 0) & (y > 0)), (v*log(x), True))", function=np.power, operands=PAIR, cost=75.0,
          spellings=_both("pow", "power", "float_power"), samples=((0.3, 0.7), (2.5, -1.4), (10.0, 0.0), (1e-8, 3.2)),
          kink="by the exponent: 0 at base 0 where the exponent is positive, nan for negative bases; by the base: 0 at (0, 0)"),
    _composite("square", "x**2", lambda g, x: x * x, spellings=("numpy.square",)),
    _composite("reciprocal", "1/x", lambda g, x: 1.0 / x, "-v**2", spellings=("numpy.reciprocal",), cost=16.0),
    _composite("deg2rad", "x*pi/180", lambda g, x: x * (math.pi / 180.0),
               spellings=("math.radians", "numpy.deg2rad", "numpy.radians")),
    _composite("rad2deg", "x*180/pi", lambda g, x: x * (180.0 / math.pi),
               spellings=("math.degrees", "numpy.rad2deg", "numpy.degrees")),
)

LOGIC = (
    _comparison("lt", np.less),
    _comparison("le", np.less_equal),
    _comparison("gt", np.greater),
    _comparison("ge", np.greater_equal),
    _comparison("eq", np.equal),
    _comparison("ne", np.not_equal),
    _logic("and"),
    _logic("or"),
    _logic("not", arity=1),
    Operation(name="select", numpy=np.where, spellings=("numpy.where",), operands=(BOOL, REAL, REAL),
              expression="Piecewise((x, c), (y, True))", samples=()),
)

ROUNDING = (
    _machine("abs", "Abs(x)", "sign(x)", spellings=("builtins.abs", "math.fabs", "numpy.abs", "numpy.absolute", "numpy.fabs"),
             kink="0 at 0"),
    _machine("floor", "floor(x)", "0", spellings=_both("floor"), kink="0 everywhere"),
    _machine("ceil", "ceiling(x)", "0", spellings=_both("ceil"), kink="0 everywhere"),
    _machine("trunc", "sign(x)*floor(Abs(x))", "0", spellings=_both("trunc"), kink="0 everywhere"),
    _machine("copysign", "Abs(x)*sign(sign(y) + 1/2)", "sign(x)*copysign(1, y)", "0", operands=PAIR, spellings=_both("copysign"),
             samples=_PAIRS, kink="0 at x = 0, 0 by the sign"),
    _composite("sign", "sign(x)", _sign, "0", spellings=("numpy.sign",), cost=2.0, kink="0 everywhere"),
    _extremum("maximum", "Max(x, y)", ("numpy.maximum",), np.maximum, lambda g, x, y: _choose(g, x >= y, x, y, x)),
    _extremum("minimum", "Min(x, y)", ("numpy.minimum",), np.minimum, lambda g, x, y: _choose(g, x <= y, x, y, x)),
    _extremum("fmax", "Max(x, y)", ("numpy.fmax",), np.fmax, lambda g, x, y: _choose(g, x >= y, x, y, y)),
    _extremum("fmin", "Min(x, y)", ("numpy.fmin",), np.fmin, lambda g, x, y: _choose(g, x <= y, x, y, y)),
    _extremum("pymax", "Max(x, y)", ("builtins.max",), lambda x, y: np.where(y > x, y, x), lambda g, x, y: g.where(y > x, y, x)),
    _extremum("pymin", "Min(x, y)", ("builtins.min",), lambda x, y: np.where(y < x, y, x), lambda g, x, y: g.where(y < x, y, x)),
)

EXPONENTIAL = (
    _machine("sqrt", "sqrt(x)", spellings=_both("sqrt"), cost=25.0, samples=_POSITIVE, kink="inf at 0, -inf at -0.0"),
    _composite("norm_root", "sqrt(x)", lambda g, x: g.sqrt(x), "Piecewise((0, Eq(v, 0)), (1/(2*v), True))", function=np.sqrt,
               cost=25.0, samples=_POSITIVE, kink="0 at 0: the root of a sum of squares, for `np.linalg.norm`"),
    _call("cbrt", "cbrt(x)", "1/(3*v**2)", cost=30.0, kink="inf at 0"),
    _call("exp", "exp(x)"),
    _call("exp2", "2**x", "v*log(2)"),
    _call("expm1", "exp(x) - 1", samples=((-40.0,), (-1e-12,), (0.3,), (2.5,))),
    _call("log", "log(x)", cost=26.0, samples=_POSITIVE),
    _call("log2", "log(x)/log(2)", cost=23.0, samples=_POSITIVE),
    _call("log10", "log(x)/log(10)", cost=22.0, samples=_POSITIVE),
    _call("log1p", "log(1 + x)", cost=30.0, samples=((-0.999,), (-1e-12,), (0.3,), (2.5,))),
    _composite("logistic", "1/(1 + exp(-x))", lambda g, x: 1.0 / (1.0 + g.exp(-x)), "v*logistic(-x)",
               function=lambda x: 1.0 / (1.0 + np.exp(-x)), cost=33.0, samples=((-40.0,), (0.3,), (40.0,))),
    _composite("logistic2", "1/(1 + 2**(-x))", lambda g, x: 1.0 / (1.0 + g.exp2(-x)), "v*logistic2(-x)*log(2)",
               function=lambda x: 1.0 / (1.0 + np.exp2(-x)), cost=33.0, samples=((-40.0,), (0.3,), (40.0,))),
    _composite("logaddexp", "log(exp(x) + exp(y))",
               lambda g, x, y: _logaddexp(g, x, y, math.log(2.0), lambda d: g.log1p(g.exp(d))),
               "logistic(x - y)", "logistic(y - x)", operands=PAIR, spellings=("numpy.logaddexp",), cost=60.0,
               samples=(*_PAIRS, (-1000.0, -1001.0), (30.0, -20.0)), kink="nan where both operands are the same infinity"),
    _composite("logaddexp2", "log(2**x + 2**y)/log(2)",
               lambda g, x, y: _logaddexp(g, x, y, 1.0, lambda d: math.log2(math.e) * g.log1p(g.exp2(d))),
               "logistic2(x - y)", "logistic2(y - x)", operands=PAIR, spellings=("numpy.logaddexp2",), cost=60.0,
               samples=(*_PAIRS, (-1000.0, -1001.0), (30.0, -20.0)), kink="nan where both operands are the same infinity"),
)

TRIGONOMETRIC = (
    _call("sin", "sin(x)"),
    _call("cos", "cos(x)"),
    _call("tan", "tan(x)", cost=28.0),
    _inverse("asin", "asin(x)", "1/sqrt(cosquare(x))", cost=31.0, samples=_INSIDE, kink="inf at -1 and 1"),
    _inverse("acos", "acos(x)", "-1/sqrt(cosquare(x))", cost=33.0, samples=_INSIDE, kink="-inf at -1 and 1"),
    _inverse("atan", "atan(x)", "1/(1 + x**2)", cost=34.0),
    _call("sinh", "sinh(x)", cost=32.0),
    _call("cosh", "cosh(x)"),
    _call("tanh", "tanh(x)", "sech(x)**2", cost=48.0, samples=((-20.0,), (0.3,), (2.5,))),
    _inverse("asinh", "asinh(x)", "1/hypot(1, x)", cost=60.0, samples=((-1e8,), (0.3,), (2.5,))),
    _inverse("acosh", "acosh(x)", None, cost=60.0, samples=((1.0001,), (2.5,), (1e8,)), kink="inf at 1"),
    _inverse("atanh", "atanh(x)", "1/cosquare(x)", cost=44.0, samples=_INSIDE, kink="inf at -1 and 1"),
    _composite("sech", "sech(x)", lambda g, x: 1.0 / g.cosh(x), function=lambda x: 1.0 / np.cosh(x), cost=40.0),
    _composite("cosquare", "1 - x**2", lambda g, x: (1.0 - x) * (1.0 + x), function=lambda x: (1.0 - x) * (1.0 + x), cost=3.0,
               samples=_INSIDE),
    _call("atan2", "atan2(x, y)", "y*reciprocal(hypot(x, y))*reciprocal(hypot(x, y))",
          "-x*reciprocal(hypot(x, y))*reciprocal(hypot(x, y))", function=np.arctan2, spellings=_both("atan2", "arctan2"),
          operands=PAIR, cost=45.0, samples=(*_PAIRS, (1e200, -1e200)),
          kink="nan at (0, 0), where the value jumps in every direction"),
    _call("hypot", "sqrt(x**2 + y**2)", *(f"Piecewise((0, Eq(v, 0)), ({operand}/v, True))" for operand in "xy"), operands=PAIR,
          cost=14.0, samples=(*_PAIRS, (1e200, -1e200)), kink="0 at (0, 0)"),
    _call("erf", "erf(x)", "2/sqrt(pi)*exp(-x**2)", function=_scalar(math.erf), spellings=("math.erf", "scipy.special.erf"),
          cost=33.0, kink="relative error of the partial grows as x**2/2 ulp: half of what half an ulp in x makes"),
    _call("erfc", "erfc(x)", "-2/sqrt(pi)*exp(-x**2)", function=_scalar(math.erfc), spellings=("math.erfc", "scipy.special.erfc"),
          cost=42.0, kink="as erf"),
)

ROWS = ARITHMETIC + LOGIC + ROUNDING + EXPONENTIAL + TRIGONOMETRIC
TABLE = {row.name: row for row in ROWS}
