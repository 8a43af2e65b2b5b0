"""The rows of special functions: error, logistic and gamma functions, normal distribution, entropies, products, Lambert's W."""

import functools
import math
import operator
from typing import Any

import numpy as np

from nbad.operations import scipy_link
from nbad.operations.row import INSIDE, PAIR, call, composite, of_scipy, scalar, special
from nbad.operations.series import exprel_slope, ierfcx, jn_pi, lambert_w, lower_lambert_w, polygamma

SIGMOID = ((-40.0,), (-1e-8,), (0.3,), (2.5,), (50.0,))
NORMAL = ((-8.0,), (-5.0,), (-0.9,), (1e-8,), (2.5,))
SCALED = ((-3.0,), (-0.3,), (1e-8,), (0.7,), (3.0,))
RIGHT = ((1e-8,), (0.3,), (2.5,), (20.0,))
LOGARITHMIC = ((2.0, 0.3), (0.5, 1e-8), (2.0, 1e-12), (3.0, 25.0))
INSIDE_0_1 = ((1e-8,), (0.3,), (0.5000001,), (0.999,))
HALF = math.sqrt(0.5)
AS_ERF = "as erf; where it needs the square of x, relative errors grow as x**2 ulp"


def _softplus(g: Any, x: Any) -> Any:
    # the exponential of no positive number: it cannot overflow
    return g.where(x > 0.0, x, 0.0) + g.log1p(g.exp(-g.abs(x)))


def _logit(g: Any, x: Any) -> Any:
    """Near 1/2, where the logarithm would cancel, the quotient less 1."""
    return g.where(x < 0.25, g.log(x / (1.0 - x)), g.log1p((2.0 * x - 1.0) / (1.0 - x)))


def _log_ndtr(g: Any, x: Any) -> Any:
    # left of -1 erfc would underflow, and right of it the logarithm of a number near 1 would cancel
    return g.where(x < -1.0, g.log(g.erfcx(-HALF * x) * 0.5) - x * x * 0.5, g.log1p(g.erfc(HALF * x) * -0.5))


def _sinc(g: Any, x: Any) -> Any:
    """As NumPy does it."""
    return g.where(g.eq(x, 0.0), 1.0, g.sin(math.pi * x) / (math.pi * x))


def _gamma(x: float) -> float:
    """Python's, which raises near 0, where it is 1/x."""
    return math.copysign(math.inf, x) if abs(x) < 1e-308 else math.gamma(x)


def _product(g: Any, x: Any, y: Any, logarithm: Any) -> Any:
    """`x * logarithm`, 0 where x is."""
    return g.where(g.eq(x, 0.0) & g.eq(y, y), 0.0, x * logarithm)


def _entropy(g: Any, x: Any) -> Any:
    return g.where(x < 0.0, -math.inf, -_product(g, x, x, g.log(x)))


def _log_ratio(g: Any, x: Any, y: Any) -> Any:
    near = (x > 0.5 * y) & (x < 2.0 * y)
    return g.where(near, g.log1p((x - y) / y), g.log(x) - g.log(y))


def _rel_entr(g: Any, x: Any, y: Any) -> Any:
    return _relative(g, x, y, x * _log_ratio(g, x, y), 0.0)


def _kl_div(g: Any, x: Any, y: Any) -> Any:
    return _relative(g, x, y, x * _log_ratio(g, x, y) - (x - y), y)


def _relative(g: Any, x: Any, y: Any, inside: Any, at_zero: Any) -> Any:
    """As SciPy has it at the edges."""
    edge = g.where(g.eq(x, 0.0) & (y >= 0.0), at_zero, math.inf)
    return g.where(g.ne(x, x) | g.ne(y, y), x + y, g.where((x > 0.0) & (y > 0.0), inside, edge))


def _exprel(g: Any, x: Any) -> Any:
    return g.where(g.eq(x, 0.0), 1.0, g.where(g.eq(x, math.inf), x, g.expm1(x) / x))


def _box_cox(g: Any, x: Any, y: Any) -> Any:
    """As SciPy does it."""
    logarithm = g.log(x)
    return g.where(g.abs(y) < 1e-19, logarithm, g.expm1(y * logarithm) / y)


def _box_cox_slope(g: Any, x: Any, y: Any, n: int) -> Any:
    """The n-th derivative by the exponent; that of -1/y where the power is 0."""
    logarithm = g.log(x)
    exponent = g.where(g.eq(y, 0.0), 0.0, y * logarithm)
    power, divisor = functools.reduce(operator.mul, [logarithm] * (n + 1)), functools.reduce(operator.mul, [-y] * (n + 1))
    return g.where(g.eq(exponent, -math.inf), math.factorial(n) / divisor, power * exprel_slope(g, exponent, n))


def _huber(g: Any, x: Any, y: Any) -> Any:
    size = g.abs(y)
    return g.where(x < 0.0, math.inf, g.where(size <= x, 0.5 * y * y, x * (size - 0.5 * x)))


# a table reads best with a row a line
# fmt: off
EXPONENTS = ((-30.0,), (-0.4,), (1e-8,), (0.9,), (7.5,), (40.0,))
BOXES = ((2.0, 0.3), (0.5, 1e-8), (2.0, -1e-12), (3.0, 2.5))
LOSSES = ((1.0, 0.3), (1.0, -2.5), (0.5, 1e-6), (3.0, 40.0))
SPECIAL = (
    call("erf", "erf(x)", "2/sqrt(pi)*exp_neg_square(1, x)", function=scalar(math.erf),
         spellings=("math.erf", "scipy.special.erf"), domain=((-5.5, 5.5),), cost=33.0,
         kink="relative error of the partial grows as x**2/2 ulp: half of what half an ulp in x makes"),
    call("erfc", "erfc(x)", "-2/sqrt(pi)*exp_neg_square(1, x)", function=scalar(math.erfc),
         spellings=("math.erfc", "scipy.special.erfc"), domain=((-5.5, 26.0),), cost=42.0, kink="as erf"),
    # logistic functions
    composite("logit", "log(x/(1 - x))", _logit, "reciprocal(parabola(x))", cost=90.0, spellings=special("logit"),
              samples=((1e-8,), (0.3,), (0.5000001,), (0.999,)), domain=((0.0, 1.0),), kink="inf at 0 and 1"),
    composite("parabola", "x*(1 - x)", lambda g, x: x * (1.0 - x), "1 - 2*x", cost=2.0, samples=INSIDE),
    composite("softplus", "log(1 + exp(x))", _softplus, "logistic(x)", function=lambda x: np.logaddexp(x, 0.0), cost=54.0,
              spellings=special("softplus"), samples=SIGMOID, domain=((-700.0, 700.0),)),
    composite("log_expit", "-log(1 + exp(-x))", lambda g, x: -_softplus(g, -x), "logistic(-x)",
              function=lambda x: -np.logaddexp(-x, 0.0), cost=54.0, spellings=special("log_expit"), samples=SIGMOID,
              domain=((-700.0, 700.0),)),
    # the normal distribution
    composite("ndtr", "erfc(-x/sqrt(2))/2", lambda g, x: g.erfc(-HALF * x) * 0.5, "exp_neg_square(2, x)/sqrt(2*pi)", cost=44.0,
              function=np.vectorize(lambda x: math.erfc(-HALF * x) * 0.5, otypes=[float]), spellings=special("ndtr"),
              samples=((-3.0,), (-0.9,), (1e-8,), (2.5,)), domain=((-8.0, 8.0),), kink=AS_ERF),
    composite("log_ndtr", "log(erfc(-x/sqrt(2))/2)", _log_ndtr, "mills(x)", function=scipy_link.reference("log_ndtr"),
              spellings=special("log_ndtr"), samples=NORMAL, domain=((-1e5, 8.0),), cost=400.0, kink=AS_ERF),
    # far left the square would leave the range, where the slope is -1 to the last digit
    composite("mills", "exp(-x**2/2)*sqrt(2/pi)/erfc(-x/sqrt(2))", lambda g, x: math.sqrt(2.0 / math.pi) / g.erfcx(-HALF * x),
              "Piecewise((0, Eq(v, 0)), (-v*(x + v), x > -1), (-1, x < -1e17), (-sqrt(pi)*v**2*ierfcx(1, -x/sqrt(2)), True))",
              samples=NORMAL, cost=316.0),
    of_scipy("ndtri", "sqrt(2)*erfinv(2*x - 1)", "sqrt(2*pi)*exp(v**2/2)", samples=INSIDE_0_1, domain=((0.0, 1.0),),
             kink="inf at 0 and 1; as erf"),
    of_scipy("erfcinv", "erfinv(1 - x)", "-sqrt(pi)/2*exp(v**2)", samples=((1e-8,), (0.4,), (0.9,), (1.7,)), domain=((0.0, 2.0),),
             kink="-inf at 0 and 2; as erf"),
    of_scipy("erfinv", "erfinv(x)", "sqrt(pi)/2*exp(v**2)", samples=INSIDE, domain=((-1.0, 1.0),),
             kink="inf at -1 and 1; as erf"),
    of_scipy("erfcx", "exp(x**2)*erfc(x)", "-2*ierfcx(1, x)", samples=SCALED, domain=((-5.0, 1e8),),
             kink="for negative x as erf"),
    composite("ierfcx",
              "hyper([(n + 1)/2], [1/2], x**2)/(2**n*gamma(n/2 + 1)) - "
              "x*hyper([n/2 + 1], [3/2], x**2)/(2**(n - 1)*gamma((n + 1)/2))",
              ierfcx, "-2*(n + 1)*ierfcx(n + 1, x)", payload=2, samples=SCALED, cost=150.0),
    # gamma functions
    call("gamma", "gamma(x)", "v*digamma(x)", function=scalar(_gamma), spellings=("math.gamma", *special("gamma")), libm="tgamma",
         cost=300.0, samples=(*RIGHT, (-1.5,)), domain=((1e-8, 170.0),), kink="-inf at 0, nan at the other poles"),
    call("lgamma", "log(Abs(gamma(x)))", "digamma(x)", function=scalar(math.lgamma, math.inf), cost=250.0,
         spellings=("math.lgamma", *special("gammaln")), samples=((0.01,), (0.3,), (5.0,), (20.0,), (-1.5,)),
         domain=((1e-8, 1e100),), kink="-inf at 0, nan at the other poles"),
    composite("loggamma", "log(gamma(x))", lambda g, x: g.where(x < 0.0, math.nan, g.lgamma(x)),
              "Piecewise((digamma(x), x >= 0), (unknown(x), True))", cost=250.0, spellings=special("loggamma"), samples=RIGHT,
              domain=((1e-8, 1e100),), kink="-inf at 0, nan to the left"),
    of_scipy("digamma", "digamma(x)", "polygamma(1, x)", own="psi", spellings=special("digamma", "psi"), samples=RIGHT,
             domain=((1e-8, 1e100),), kink="inf at the poles"),
    composite("polygamma", "polygamma(n, x)", polygamma, "polygamma(n + 1, x)", payload=2, samples=(*RIGHT, (-1.3,)), cost=400.0),
    # entropies
    composite("entr", "-x*log(x)", _entropy, "-(log(x) + 1)", cost=30.0, spellings=special("entr"),
              samples=((1e-8,), (0.3,), (2.5,), (20.0,)), domain=((1e-100, 1e100),),
              kink="inf at 0; nan for negative x, where the value is -inf"),
    composite("rel_entr", "x*log(x/y)", _rel_entr, "log_ratio(x, y) + 1", "-over(x, y, reciprocal(y))", operands=PAIR, cost=70.0,
              spellings=special("rel_entr"), samples=LOGARITHMIC, domain=((1e-100, 1e100),) * 2,
              kink="by x: -inf at x = 0, nan at (0, 0); by y: 0 at (0, 0)"),
    composite("kl_div", "x*log(x/y) - x + y", _kl_div, "log_ratio(x, y)", "shortfall(x, y)", operands=PAIR, cost=72.0,
              spellings=special("kl_div"), samples=LOGARITHMIC, domain=((1e-100, 1e100),) * 2,
              kink="by x: -inf at x = 0; nan at (0, 0)"),
    composite("shortfall", "1 - x/y", lambda g, x, y: (y - x) / y, "-reciprocal(y)",
              "over(over(x, y, reciprocal(y)), y, reciprocal(y))", operands=PAIR, cost=17.0, samples=LOGARITHMIC),
    # near 1 from the difference, which is exact
    composite("log_ratio", "log(x/y)", _log_ratio, "reciprocal(x)", "-reciprocal(y)", operands=PAIR, cost=66.0,
              samples=LOGARITHMIC),
    # a loss
    composite("huber", "Piecewise((y**2/2, Abs(y) <= x), (x*(Abs(y) - x/2), True))", _huber,
              "Piecewise((0, Abs(y) <= x), (Abs(y) - x, x >= 0), (unknown(x + y), True))",
              "Piecewise((y, Abs(y) <= x), (x*sign(y), x >= 0), (unknown(x + y), True))", operands=PAIR,
              spellings=special("huber"), samples=LOSSES, cost=5.0,
              kink="that of the square at abs(y) = x; nan for negative x, where the value is inf"),
    # what is left of an exponential, over its exponent
    composite("exprel", "(exp(x) - 1)/x", _exprel, "exprel_slope(1, x)", spellings=special("exprel"), cost=40.0,
              samples=EXPONENTS, domain=((-1e5, 700.0),)),
    composite("exprel_slope", "hyper([n + 1], [n + 2], x)/(n + 1)", exprel_slope, "exprel_slope(n + 1, x)", payload=2, cost=130.0,
              samples=EXPONENTS),
    composite("boxcox", "(x**y - 1)/y", _box_cox, "x**(y - 1)", "boxcox_slope(1, x, y)", operands=PAIR,
              spellings=special("boxcox"), cost=62.0, samples=BOXES, domain=((1e-3, 30.0), (-5.0, 5.0))),
    composite("boxcox_slope", "log(x)**(n + 1)*hyper([n + 1], [n + 2], y*log(x))/(n + 1)", _box_cox_slope,
              "power_log(n, x, y - 1, x**(y - 1))", "boxcox_slope(n + 1, x, y)", payload=1, operands=PAIR, cost=170.0,
              samples=BOXES),
    # products
    composite("xlogy", "x*log(y)", lambda g, x, y: _product(g, x, y, g.log(y)), "log(y)", "quotient(x, y)", operands=PAIR,
              spellings=special("xlogy"), samples=LOGARITHMIC, domain=((-20.0, 20.0), (1e-100, 1e100)), cost=30.0,
              kink="by x: log(y), so -inf at (0, 0); by y: 0 at (0, 0)"),
    composite("xlog1py", "x*log(1 + y)", lambda g, x, y: _product(g, x, y, g.log1p(y)), "log1p(y)", "quotient(x, 1 + y)",
              operands=PAIR, spellings=special("xlog1py"), samples=LOGARITHMIC, domain=((-20.0, 20.0), (-0.999, 1e100)),
              cost=34.0, kink="by x: log1p(y), so -inf at (0, -1); by y: 0 at (0, -1)"),
    composite("cosm1", "cos(x) - 1", lambda g, x: -2.0 * g.sin(0.5 * x) * g.sin(0.5 * x), "-sin(x)", cost=24.0,
              spellings=special("cosm1"), samples=((-2.5,), (1e-8,), (0.3,), (2.5,)), domain=((-1e3, 1e3),)),
    composite("sinc", "sinc(pi*x)", _sinc, "-pi*jn_pi(1, x)", cost=44.0, spellings=("numpy.sinc", "nbad.special.sinc"),
              samples=((1e-8,), (0.1,), (1.3,), (2.6,)), domain=((-8.0, 8.0),),
              kink="smooth; near its zeros the error is that of the rounded pi*x, as in NumPy"),
    composite("jn_pi", "jn(n, pi*x)", jn_pi,
              "-pi*jn_pi(1, x) if n == 0 else pi*(n*jn_pi(n - 1, x) - (n + 1)*jn_pi(n + 1, x))/(2*n + 1)", payload=2,
              samples=((1e-3,), (0.3,), (2.0,), (9.0,)), cost=90.0),
    # Lambert's W
    composite("lambertw", "LambertW(x)", lambert_w, "exp(-v)/(1 + v)", spellings=special("lambertw"), cost=250.0,
              samples=((-0.3678,), (-0.3,), (1e-9,), (2.5,), (1e5,)), domain=((-0.367, 1e100),),
              kink="inf at -1/e; nan to the left, where the value is complex"),
    composite("lambertw_lower", "LambertW(x, -1)", lower_lambert_w, "exp(-v)/(1 + v)", cost=250.0,
              samples=((-0.3678,), (-0.3,), (-0.1,), (-1e-9,)), domain=((-0.367, -1e-100),),
              kink="-inf at -1/e; nan where the value is complex"),
)
# fmt: on
