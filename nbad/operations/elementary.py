"""The rows of arithmetic, logic, comparison, extrema, rounding, exponentials, logarithms, trigonometric functions and kin."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nbad.operations.row import BOOL, INSIDE, PAIR, PAIRS, POSITIVE, REAL, Operation, both, call, composite, machine, special

ROOT_SQUARED = ("Piecewise((1, x >= 0), (v, True))",)  # nan where the root is


def _inverse(name: str, expression: str, partial: str, **more: Any) -> Operation:
    """An inverse function, which NumPy spells in two ways."""
    long = name.replace("a", "arc", 1)
    return call(name, expression, partial, function=getattr(np, long), spellings=both(name, long), **more)


def _extremum(name: str, expression: str, spelling: str, expansion: Callable[..., Any]) -> Operation:
    """A choice between two operands; a tie goes half and half."""
    x, y = (f"Piecewise((0, Ne(v, {operand})), (1/2, Eq(x, y)), (1, True))" for operand in "xy")
    more: dict[str, Any] = dict(spellings=(spelling,), operands=PAIR, cost=2.0, samples=PAIRS, kink="ties half and half")
    return composite(name, expression, expansion, x, y, **more)


def _comparison(name: str, function: Callable[..., Any]) -> Operation:
    return Operation(name=name, numpy=function, spellings=(f"numpy.{function.__name__}",), operands=PAIR, kind=BOOL)


def _logic(name: str, arity: int = 2) -> Operation:
    function = getattr(np, f"logical_{name}")
    return Operation(name=name, numpy=function, spellings=(f"numpy.logical_{name}",), operands=(BOOL,) * arity, kind=BOOL)


def _power(x: Any, n: int) -> Any:
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


def _half_power(g: Any, x: Any, n: int) -> Any:
    """A negative power, n + 1/2: products and a square root are cheap, and of use but at 0, a pole here."""
    return 1.0 / (_power(x, -n - 1) * g.sqrt(x) if n < -1 else g.sqrt(x))


def _scaled(g: Any, x: Any, y: Any) -> Any:
    return g.where(g.eq(x, 0.0), x, x * y)


def _over(g: Any, x: Any, y: Any, r: Any) -> Any:
    """`x/y` as a product with `r = 1/y`."""
    return _scaled(g, x, r)


def _quotient(g: Any, x: Any, y: Any) -> Any:
    """`x/y`, 0 where both are."""
    return g.where(g.eq(x, 0.0) & g.eq(y, 0.0), 0.0, x / y)


def _power_log(g: Any, x: Any, y: Any, z: Any, n: int) -> Any:
    """`z*log(x)**n` for z = x**y, 0 where the power is 0 at the pole of the logarithm."""
    return g.where(g.eq(x, 0.0) & (y > 0.0), 0.0, z * _power(g.log(x), n))


def _mod(g: Any, x: Any, y: Any) -> Any:
    """As npymath does it: the sign of the divisor, as in Python."""
    # an exact multiple leaves a zero with the sign of the divisor
    rest = g.fmod(x, y)
    return g.where(g.ne(rest, 0.0), g.where(_differ(rest < 0.0, y < 0.0), rest + y, rest), g.copysign(0.0, y))


def _floordiv(g: Any, x: Any, y: Any) -> Any:
    rest = g.fmod(x, y)
    quotient = (x - rest) / y
    quotient = g.where(g.ne(rest, 0.0) & _differ(rest < 0.0, y < 0.0), quotient - 1.0, quotient)
    # the quotient is whole but for rounding, to either side: `floor` alone could lose 1
    below = g.floor(quotient)
    nearest = g.where(quotient - below > 0.5, below + 1.0, below)
    return g.where(g.eq(y, 0.0), x / y, g.where(g.ne(quotient, 0.0), nearest, g.copysign(0.0, x / y)))


def _differ(p: Any, q: Any) -> Any:
    return (p & ~q) | (~p & q)


def _heaviside(g: Any, x: Any, y: Any) -> Any:
    return g.where(x < 0.0, 0.0, g.where(x > 0.0, 1.0, g.where(g.eq(x, 0.0), y, x)))


def _logaddexp(g: Any, x: Any, y: Any, tie: Any, log1p_exp: Any) -> Any:
    """As npymath does it; equal operands include equal infinities."""
    larger = g.where(x > y, x, y)
    return g.where(g.eq(x, y), x + tie, larger + log1p_exp(-g.abs(x - y)))


def _shares(logistic: str) -> Iterator[str]:
    """Partials of a logarithm of a sum, half and half where both operands are the same infinity, whose difference is nan."""
    for difference in ("x - y", "y - x"):
        yield f"Piecewise((1/2, Eq(x, y) & Ne({difference}, {difference})), ({logistic}({difference}), True))"


def _logistic(g: Any, x: Any, e: Any) -> Any:
    """With `e = exp(-abs(x))`, which does not overflow."""
    return g.where(x < 0.0, e, 1.0) / (1.0 + e)


def _logistic_slope(e: Any) -> Any:
    """The slope of the logistic function."""
    return e / ((1.0 + e) * (1.0 + e))  # even in x: `exp(-abs(x))` serves both signs


def _exp_neg_square(g: Any, x: Any, n: int) -> Any:
    square = x * x
    return g.exp(-square if n == 1 else square * (-1.0 / n))


def _over_square(g: Any, x: Any, y: Any, z: Any) -> Any:
    return g.where(g.eq(z, math.inf), 0.0, x * (1.0 / z) * (1.0 / z))


def _over_hypot(g: Any, x: Any, y: Any, z: Any) -> Any:
    # 0 at 0 is a choice: its own partials are nan there
    return g.where(g.eq(g.abs(x), math.inf) & (g.abs(y) < math.inf), g.copysign(1.0, x), g.where(g.eq(z, 0.0), 0.0, x / z))


def _half_over(g: Any, x: Any) -> Any:
    return g.where(g.eq(x, 0.0), 0.0, 0.5 / x)


def _sign(g: Any, x: Any) -> Any:
    return g.where(x > 0.0, 1.0, g.where(x < 0.0, -1.0, x + 0.0))  # nan stays, -0.0 becomes 0.0


def _choose(g: Any, first: Any, x: Any, y: Any, lone: Any) -> Any:
    """`x` where it comes first, else `y`; where `lone` is nan, `x` in any case."""
    return g.where(first, x, g.where(g.ne(lone, lone), x, y))


# a table reads best with a row a line
# fmt: off
ABOVE_0 = ((1e-300, 1e300),)
INTERVAL = ((-1.0, 1.0),)
TAILS = ((-40.0,), (0.3,), (40.0,))
FAR = (*PAIRS, (1e200, -1e200))
TRIANGLES = ((3.0, -4.0, 5.0), (15.0, -20.0, 25.0))
MULTIPLES = ((13.7, 5.2), (0.3, 7.0), (1e10, 0.3), (-13.7, 5.2), (-1e-20, 1.0), (13.7, -5.2))
SAME_INFINITY = "half and half where both operands are the same infinity"
REMAINDER = "1 by x, minus the quotient in whole numbers by y, at the jumps too"
ARITHMETIC = (
    machine("add", "x + y", function=np.add, spellings=("numpy.add",), operands=PAIR, samples=PAIRS),
    machine("sub", "x - y", function=np.subtract, spellings=("numpy.subtract",), operands=PAIR, samples=PAIRS),
    machine("mul", "x * y", function=np.multiply, spellings=("numpy.multiply",), operands=PAIR, samples=PAIRS),
    # Both partials of a quotient use its reciprocal, so that they share one division; where that overflows, 0/y is flat in y.
    machine("div", "x / y", "reciprocal(y)", "-over(v, y, reciprocal(y))", function=np.divide,
            spellings=("numpy.divide", "numpy.true_divide"), operands=PAIR, samples=PAIRS, cost=16.0),
    machine("neg", "-x", function=np.negative, spellings=("numpy.negative",)),
    composite("powi", "x**n", lambda g, x, n: _power(x, n), "n*x**(n - 1)", payload=5, cost=2.0),
    composite("half_power", "x**(n + 1/2)", _half_power, "(n + 1/2)*half_power(n - 1, x)", payload=-3,
              cost=27.0, samples=POSITIVE),
    call("pow", "x**y", "scaled(y, x**(y - 1))", "power_log(1, x, y, v)", function=np.power, operands=PAIR, cost=75.0,
         square=("Piecewise((v, Ne(v, v)), (scaled(2*y, x**(2*y - 1)), True))", "2*power_log(1, x, 2*y, v*v)"),
         spellings=both("pow", "power", "float_power"), samples=((0.3, 0.7), (2.5, -1.4), (10.0, 0.0), (1e-8, 3.2)),
         domain=((1e-3, 30.0), (-5.0, 5.0)),
         kink="by the exponent: 0 at base 0 where the exponent is positive, nan for negative bases; by the base: 0 at (0, 0)"),
    # Of these two products the first factor, where it is 0, makes 0 of an infinite one. Where that is infinite, or may be in the
    # next orders, this is an untaken branch; everywhere would be wrong, for the factor has a slope where it is 0, too.
    composite("scaled", "x*y", _scaled, "y", "Piecewise((0, Eq(x, 0) & Ne(y**4 - y**4, 0)), (x, True))",
              operands=PAIR, cost=3.0, samples=PAIRS),
    # The partial of a quotient, with the divisor's reciprocal behind it: its own are products with that, one after the other, for
    # its square overflows, and is infinite beside 0, where `x/y**3` is not.
    composite("over", "x/y", _over, "z", "-over(v, y, z)", "0", operands=(REAL,) * 3, cost=3.0,
              samples=((0.3, 0.5, 2.0), (-2.5, 0.5, 2.0))),
    composite("quotient", "x/y", _quotient, "reciprocal(y)", "-over(v, y, reciprocal(y))",
              operands=PAIR, cost=19.0, samples=PAIRS),
    # z is x**y
    composite("power_log", "x**y*log(x)**n", _power_log,
              "scaled(y, power_log(n, x, y - 1, x**(y - 1))) + "
              "(x**(y - 1) if n == 1 else n*power_log(n - 1, x, y - 1, x**(y - 1)))",
              "power_log(n + 1, x, y, z)", "0", payload=1, operands=(REAL,) * 3, cost=30.0, samples=((2.25, 1.5, 3.375),)),
    composite("square", "x**2", lambda g, x: x * x, spellings=("numpy.square",)),
    composite("reciprocal", "1/x", lambda g, x: 1.0 / x, "-v**2", spellings=("numpy.reciprocal",), cost=16.0),
    composite("deg2rad", "x*pi/180", lambda g, x: x * (math.pi / 180.0),
              spellings=("math.radians", "numpy.deg2rad", "numpy.radians")),
    composite("rad2deg", "x*180/pi", lambda g, x: x * (180.0 / math.pi),
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
    # what a variable holds where it has no value; it is never left in the graph of a kernel
    Operation(name="unbound", numpy=lambda number: np.float64(math.nan), operands=(), payload=0, samples=(),
              expansion=lambda g, number: math.nan),
    # its second operand; where the first one holds, compiled code counts that: see `nbad.graphs.failures`
    Operation(name="alarm", numpy=lambda rings, x: np.where(rings, x, x), operands=(BOOL, REAL), samples=()),
)
EXTREMA = (
    _extremum("maximum", "Max(x, y)", "numpy.maximum", lambda g, x, y: _choose(g, x >= y, x, y, x)),
    _extremum("minimum", "Min(x, y)", "numpy.minimum", lambda g, x, y: _choose(g, x <= y, x, y, x)),
    _extremum("pymax", "Max(x, y)", "builtins.max", lambda g, x, y: g.where(y > x, y, x)),
    _extremum("pymin", "Min(x, y)", "builtins.min", lambda g, x, y: g.where(y < x, y, x)),
)
ROUNDING = (
    machine("abs", "Abs(x)", "sign(x)", square=("2*x",),
            spellings=("builtins.abs", "math.fabs", "numpy.abs", "numpy.absolute", "numpy.fabs"), kink="0 at 0"),
    machine("floor", "floor(x)", "0", spellings=both("floor"), kink="0 everywhere"),
    machine("ceil", "ceiling(x)", "0", spellings=both("ceil"), kink="0 everywhere"),
    machine("trunc", "sign(x)*floor(Abs(x))", "0", spellings=both("trunc"), kink="0 everywhere"),
    machine("copysign", "Abs(x)*sign(sign(y) + 1/2)", "sign(x)*copysign(1, y)", "0", square=("2*x", "0"), operands=PAIR,
            spellings=both("copysign"), samples=PAIRS, kink="0 at x = 0, 0 by the sign"),
    composite("sign", "sign(x)", _sign, "0", spellings=("numpy.sign",), cost=2.0, kink="0 everywhere"),
    *EXTREMA,
    _extremum("fmax", "Max(x, y)", "numpy.fmax", lambda g, x, y: _choose(g, x >= y, x, y, y)),
    _extremum("fmin", "Min(x, y)", "numpy.fmin", lambda g, x, y: _choose(g, x <= y, x, y, y)),
    machine("round", "floor(x/2 + 1/4) + ceiling(x/2 - 1/4)", "0", function=np.rint, spellings=("numpy.rint",),
            samples=((-0.8,), (0.3,), (2.4,)),
            kink="0 everywhere; halves go to even numbers"),
    call("fmod", "x - y*sign(x/y)*floor(Abs(x/y))", "1", "-round((x - v)/y)", operands=PAIR, samples=MULTIPLES, cost=100.0,
         kink=REMAINDER),
    composite("mod", "x - y*floor(x/y)", _mod, "1", "-round((x - v)/y)", operands=PAIR,
              spellings=("numpy.remainder", "numpy.mod"), samples=MULTIPLES, cost=108.0, kink=REMAINDER),
    composite("floordiv", "floor(x/y)", _floordiv, "0", "0", function=np.floor_divide, operands=PAIR,
              spellings=("numpy.floor_divide",), samples=MULTIPLES, cost=140.0, kink="0 everywhere"),
    composite("heaviside", "Piecewise((0, x < 0), (y, Eq(x, 0)), (1, True))", _heaviside, "0",
              "Piecewise((0, Ne(x, 0)), (1, True))", operands=PAIR, spellings=("numpy.heaviside",), samples=PAIRS, cost=4.0,
              kink="0 by the first operand, also at the step; by the second 1 at the step"),
    # a partial that nbad does not know depends on the operands all the same: its own partials are not 0
    composite("unknown", "nan", lambda g, x: math.nan, "unknown(x)", function=lambda x: np.full(np.shape(x), math.nan)[()],
              cost=0.0, samples=()),
    composite("stop_gradient", "x", lambda g, x: x, "0", function=np.positive, spellings=("nbad.stop_gradient",), cost=0.0,
              kink="0 everywhere: that is its purpose"),
)
EXPONENTIAL = (
    machine("sqrt", "sqrt(x)", "1/2/v", square=ROOT_SQUARED, spellings=both("sqrt"), cost=25.0, samples=POSITIVE, domain=ABOVE_0,
            kink="inf at 0, -inf at -0.0"),
    composite("norm_root", "sqrt(x)", lambda g, x: g.sqrt(x), "half_over(v)", square=("1",),
              cost=25.0, samples=POSITIVE,
              kink="0 at 0, and nan of second order: the root of a sum of squares, for `np.linalg.norm`"),
    # chosen at 0, and so without a derivative there
    composite("half_over", "1/(2*x)", _half_over, "-v*reciprocal(x)", cost=19.0),
    call("cbrt", "cbrt(x)", "1/3*v**(-2)", spellings=(*both("cbrt"), "scipy.special.cbrt"), cost=30.0, kink="inf at 0"),
    call("exp", "exp(x)", "v", domain=((-700.0, 700.0),)),
    call("exp2", "2**x", "v*log(2)", spellings=(*both("exp2"), "scipy.special.exp2"), domain=((-1000.0, 1000.0),)),
    composite("exp10", "10**x", lambda g, x: g.pow(10.0, x), "v*log(10)", spellings=special("exp10"), cost=75.0,
              domain=((-300.0, 300.0),)),
    call("expm1", "exp(x) - 1", spellings=(*both("expm1"), "scipy.special.expm1"),
         samples=((-40.0,), (-1e-12,), (0.3,), (2.5,)), domain=((-700.0, 700.0),)),
    call("log", "log(x)", cost=26.0, samples=POSITIVE, domain=ABOVE_0),
    call("log2", "log(x)/log(2)", cost=23.0, samples=POSITIVE, domain=ABOVE_0),
    call("log10", "log(x)/log(10)", cost=22.0, samples=POSITIVE, domain=ABOVE_0),
    call("log1p", "log(1 + x)", spellings=(*both("log1p"), "scipy.special.log1p"), cost=30.0,
         samples=((-0.999,), (-1e-12,), (0.3,), (2.5,)), domain=((-0.999999, 1e100),)),
    composite("logistic", "1/(1 + exp(-x))", lambda g, x: _logistic(g, x, g.exp(-g.abs(x))), "logistic_slope(x)",
              spellings=special("expit"), cost=37.0, samples=TAILS, domain=((-700.0, 700.0),)),
    composite("logistic_slope", "exp(-x)/(1 + exp(-x))**2", lambda g, x: _logistic_slope(g.exp(-g.abs(x))), "-v*tanh(x/2)",
              cost=38.0, samples=TAILS),
    # in powers of 2, the partials of `logaddexp2`
    composite("logistic2", "1/(1 + 2**(-x))", lambda g, x: _logistic(g, x, g.exp2(-g.abs(x))), "logistic2_slope(x)*log(2)",
              cost=37.0, samples=TAILS),
    composite("logistic2_slope", "2**(-x)/(1 + 2**(-x))**2", lambda g, x: _logistic_slope(g.exp2(-g.abs(x))),
              "-v*tanh(x*(log(2)/2))*log(2)", cost=38.0, samples=TAILS),
    composite("logaddexp", "log(exp(x) + exp(y))",
              lambda g, x, y: _logaddexp(g, x, y, math.log(2.0), lambda d: g.log1p(g.exp(d))),
              *_shares("logistic"), operands=PAIR, spellings=("numpy.logaddexp",), cost=60.0,
              samples=(*PAIRS, (-1000.0, -1001.0), (30.0, -20.0)), kink=SAME_INFINITY),
    composite("logaddexp2", "log(2**x + 2**y)/log(2)",
              lambda g, x, y: _logaddexp(g, x, y, 1.0, lambda d: math.log2(math.e) * g.log1p(g.exp2(d))),
              *_shares("logistic2"), operands=PAIR, spellings=("numpy.logaddexp2",), cost=60.0,
              samples=(*PAIRS, (-1000.0, -1001.0), (30.0, -20.0)), kink=SAME_INFINITY),
)
TRIGONOMETRIC = (
    call("sin", "sin(x)", domain=((-1e5, 1e5),)),
    call("cos", "cos(x)", domain=((-1e5, 1e5),)),
    call("tan", "tan(x)", "1 + v**2", cost=28.0, domain=((-1e5, 1e5),)),
    _inverse("asin", "asin(x)", "1/sqrt(cosquare(x))", cost=31.0, samples=INSIDE, domain=INTERVAL, kink="inf at -1 and 1"),
    _inverse("acos", "acos(x)", "-1/sqrt(cosquare(x))", cost=33.0, samples=INSIDE, domain=INTERVAL, kink="-inf at -1 and 1"),
    _inverse("atan", "atan(x)", "atan_slope(x)", cost=34.0, domain=((-1e8, 1e8),)),
    call("sinh", "sinh(x)", cost=32.0, domain=((-700.0, 700.0),)),
    call("cosh", "cosh(x)", domain=((-700.0, 700.0),)),
    call("tanh", "tanh(x)", "sech(x)**2", cost=48.0, samples=((-20.0,), (0.3,), (2.5,)), domain=((-350.0, 350.0),)),
    _inverse("asinh", "asinh(x)", "1/hypot(1, x)", cost=60.0, samples=((-1e8,), (0.3,), (2.5,)), domain=((-1e100, 1e100),)),
    _inverse("acosh", "acosh(x)", "acosh_slope(x)", cost=60.0, samples=((1.0001,), (2.5,), (1e8,)),
             domain=((1.0, 1e100),), kink="inf at 1"),
    _inverse("atanh", "atanh(x)", "1/cosquare(x)", cost=44.0, samples=INSIDE, domain=INTERVAL, kink="inf at -1 and 1"),
    # Each vanishes at infinity faster than x grows there, as all its derivatives do: no product inf * 0 is asked.
    composite("atan_slope", "1/(1 + x**2)", lambda g, x: 1.0 / (1.0 + x * x), "Piecewise((0, Eq(v, 0)), (-2*(x*v)*v, True))",
              cost=18.0),
    composite("acosh_slope", "1/sqrt(x**2 - 1)", lambda g, x: 1.0 / (g.sqrt(x - 1.0) * g.sqrt(x + 1.0)),
              "Piecewise((0, Eq(v, 0)), (-(x*v)*v**2, True))", cost=69.0, samples=((1.0001,), (2.5,), (1e8,))),
    composite("exp_neg_square", "exp(-x**2/n)", _exp_neg_square, "Piecewise((0, Eq(v, 0)), (-2/n*x*v, True))",
              payload=2, cost=22.0),
    # not 1 - tanh(x)**2, which cancels: see `nbad.operations.table`
    composite("sech", "sech(x)", lambda g, x: 1.0 / g.cosh(x), "-v*tanh(x)", cost=40.0),
    # factored: 1 - x**2 would cancel near 1 and -1
    composite("cosquare", "1 - x**2", lambda g, x: (1.0 - x) * (1.0 + x), "-2*x", cost=3.0, samples=INSIDE),
    call("atan2", "atan2(x, y)", "over_square(y, x, hypot(x, y))", "-over_square(x, y, hypot(x, y))", function=np.arctan2,
         spellings=both("atan2", "arctan2"), operands=PAIR, cost=45.0, samples=FAR,
         kink="nan at (0, 0), where the value jumps in every direction"),
    call("hypot", "sqrt(x**2 + y**2)", "over_hypot(x, y, v)", "over_hypot(y, x, v)", square=("2*x", "2*y"),
         operands=PAIR, cost=14.0, samples=FAR, kink="0 at (0, 0), and nan of second order"),
    # Partials of these two, where z is hypot(x, y): their own partials do not cancel, as those of plain quotients would.
    composite("over_square", "x/(x**2 + y**2)", _over_square,
              "Piecewise((0, Eq(reciprocal(z), 0)), "
              "(gap(y, x, reciprocal(z))*reciprocal(z)*reciprocal(z), True))",
              "Piecewise((0, Eq(reciprocal(z), 0)), "
              "(-2*(x*reciprocal(z))*(y*reciprocal(z))*reciprocal(z)*reciprocal(z), True))", "0",
              operands=(REAL,) * 3, cost=20.0, samples=TRIANGLES),
    # of two squares, factored: its own partials do not, for those of the factors would cancel where one operand is small
    composite("gap", "(x**2 - y**2)*z**2", lambda g, x, y, z: (x - y) * z * ((x + y) * z), "2*(x*z)*z", "-2*(y*z)*z",
              "2*(x - y)*((x + y)*z)", operands=(REAL,) * 3, cost=6.0, samples=TRIANGLES),
    composite("over_hypot", "x/sqrt(x**2 + y**2)", _over_hypot, "over_hypot(y, x, z)*(over_hypot(y, x, z)*reciprocal(z))",
              "-v*over_hypot(y, x, z)*reciprocal(z)", "0", operands=(REAL,) * 3, cost=22.0, samples=TRIANGLES),
)
# fmt: on
