"""The rows of special functions. See `nbad.operations.table` for what a row says."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nbad.operations import scipy_link
from nbad.operations.row import INSIDE, PAIR, Operation, call, composite, scalar, special
from nbad.operations.series import NUMPY, by_expansion, ierfcx, jn_pi, polygamma

SIGMOID = ((-40.0,), (-1e-8,), (0.3,), (2.5,), (50.0,))
NORMAL = ((-8.0,), (-5.0,), (-0.9,), (1e-8,), (2.5,))
SCALED = ((-3.0,), (-0.3,), (1e-8,), (0.7,), (3.0,))
RIGHT = ((1e-8,), (0.3,), (2.5,), (20.0,))
LOGARITHMIC = ((2.0, 0.3), (0.5, 1e-8), (2.0, 1e-12), (3.0, 25.0))
HALF = math.sqrt(0.5)
AS_ERF = "as erf; where it needs the square of x, relative errors grow as x**2 ulp"


def _scipy(
    name: str,
    expression: str,
    *partials: str | None,
    own: str | None = None,
    spellings: tuple[str, ...] | None = None,
    **more: Any,
) -> Operation:
    """A function of SciPy's, called `own` in its compiled module."""
    return Operation(
        name=name,
        numpy=scipy_link.reference(name),
        spellings=special(name) if spellings is None else spellings,
        expression=expression,
        partials=partials,
        scipy=own or name,
        # a call for each lane
        cost=300.0,
        **more,
    )


def _family(name: str, expression: str, expansion: Callable[..., Any], partial: str, **more: Any) -> Operation:
    """A family with a whole number n, defined by its expansion."""
    return Operation(
        name=name,
        numpy=by_expansion(expansion),
        payload=2,
        expression=expression,
        partials=(partial,),
        expansion=expansion,
        **more,
    )


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


LOGISTIC = (
    composite(
        "logit",
        "log(x/(1 - x))",
        _logit,
        "reciprocal(parabola(x))",
        function=lambda x: _logit(NUMPY, x),
        cost=90.0,
        spellings=special("logit"),
        samples=((1e-8,), (0.3,), (0.5000001,), (0.999,)),
        domain=((0.0, 1.0),),
        kink="inf at 0 and 1",
    ),
    composite(
        "parabola", "x*(1 - x)", lambda g, x: x * (1.0 - x), "1 - 2*x", function=lambda x: x * (1.0 - x), cost=2.0, samples=INSIDE
    ),
    composite(
        "softplus",
        "log(1 + exp(x))",
        _softplus,
        "logistic(x)",
        function=lambda x: np.logaddexp(x, 0.0),
        cost=54.0,
        spellings=special("softplus"),
        samples=SIGMOID,
        domain=((-700.0, 700.0),),
    ),
    composite(
        "log_expit",
        "-log(1 + exp(-x))",
        lambda g, x: -_softplus(g, -x),
        "logistic(-x)",
        function=lambda x: -np.logaddexp(-x, 0.0),
        cost=54.0,
        spellings=special("log_expit"),
        samples=SIGMOID,
        domain=((-700.0, 700.0),),
    ),
)

NORMAL_DISTRIBUTION = (
    composite(
        "ndtr",
        "erfc(-x/sqrt(2))/2",
        lambda g, x: g.erfc(-HALF * x) * 0.5,
        "exp_neg_square(2, x)/sqrt(2*pi)",
        cost=44.0,
        function=np.vectorize(lambda x: math.erfc(-HALF * x) * 0.5, otypes=[float]),
        spellings=special("ndtr"),
        samples=((-3.0,), (-0.9,), (1e-8,), (2.5,)),
        domain=((-8.0, 8.0),),
        kink=AS_ERF,
    ),
    composite(
        "log_ndtr",
        "log(erfc(-x/sqrt(2))/2)",
        _log_ndtr,
        "mills(x)",
        function=scipy_link.reference("log_ndtr"),
        spellings=special("log_ndtr"),
        samples=NORMAL,
        domain=((-1e5, 8.0),),
        cost=400.0,
        kink=AS_ERF,
    ),
    composite(
        "mills",
        "exp(-x**2/2)*sqrt(2/pi)/erfc(-x/sqrt(2))",
        lambda g, x: math.sqrt(2.0 / math.pi) / g.erfcx(-HALF * x),
        # far left the square would leave the range, where the slope is -1 to the last digit
        "Piecewise((0, Eq(v, 0)), (-v*(x + v), x > -1), (-1, x < -1e17), (-sqrt(pi)*v**2*ierfcx(1, -x/sqrt(2)), True))",
        samples=NORMAL,
        cost=316.0,
        function=lambda x: math.sqrt(2.0 / math.pi) / scipy_link.reference("erfcx")(-HALF * x),
    ),
    _scipy("erfinv", "erfinv(x)", "sqrt(pi)/2*exp(v**2)", samples=INSIDE, domain=((-1.0, 1.0),), kink="inf at -1 and 1; as erf"),
    _scipy("erfcx", "exp(x**2)*erfc(x)", "-2*ierfcx(1, x)", samples=SCALED, domain=((-5.0, 1e8),), kink="for negative x as erf"),
    _family(
        "ierfcx",
        "hyper([(n + 1)/2], [1/2], x**2)/(2**n*gamma(n/2 + 1)) - x*hyper([n/2 + 1], [3/2], x**2)/(2**(n - 1)*gamma((n + 1)/2))",
        ierfcx,
        "-2*(n + 1)*ierfcx(n + 1, x)",
        samples=SCALED,
        cost=150.0,
    ),
)

GAMMA = (
    call(
        "gamma",
        "gamma(x)",
        "v*digamma(x)",
        function=scalar(_gamma),
        spellings=("math.gamma", *special("gamma")),
        libm="tgamma",
        cost=300.0,
        samples=(*RIGHT, (-1.5,)),
        domain=((1e-8, 170.0),),
        kink="-inf at 0, nan at the other poles",
    ),
    call(
        "lgamma",
        "log(Abs(gamma(x)))",
        "digamma(x)",
        function=scalar(math.lgamma, math.inf),
        cost=250.0,
        spellings=("math.lgamma", *special("gammaln")),
        samples=((0.01,), (0.3,), (5.0,), (20.0,), (-1.5,)),
        domain=((1e-8, 1e100),),
        kink="-inf at 0, nan at the other poles",
    ),
    _scipy(
        "digamma",
        "digamma(x)",
        "polygamma(1, x)",
        own="psi",
        spellings=special("digamma", "psi"),
        samples=RIGHT,
        domain=((1e-8, 1e100),),
        kink="inf at the poles",
    ),
    _family("polygamma", "polygamma(n, x)", polygamma, "polygamma(n + 1, x)", samples=(*RIGHT, (-1.3,)), cost=400.0),
)

PRODUCTS = (
    composite(
        "xlogy",
        "x*log(y)",
        lambda g, x, y: _product(g, x, y, g.log(y)),
        "log(y)",
        "quotient(x, y)",
        function=lambda x, y: _product(NUMPY, x, y, np.log(y)),
        operands=PAIR,
        spellings=special("xlogy"),
        samples=LOGARITHMIC,
        domain=((-20.0, 20.0), (1e-100, 1e100)),
        cost=30.0,
        kink="by x: log(y), so -inf at (0, 0); by y: 0 at (0, 0)",
    ),
    composite(
        "xlog1py",
        "x*log(1 + y)",
        lambda g, x, y: _product(g, x, y, g.log1p(y)),
        "log1p(y)",
        "quotient(x, 1 + y)",
        function=lambda x, y: _product(NUMPY, x, y, np.log1p(y)),
        operands=PAIR,
        spellings=special("xlog1py"),
        samples=LOGARITHMIC,
        domain=((-20.0, 20.0), (-0.999, 1e100)),
        cost=34.0,
        kink="by x: log1p(y), so -inf at (0, -1); by y: 0 at (0, -1)",
    ),
    composite(
        "sinc",
        "sinc(pi*x)",
        _sinc,
        "-pi*jn_pi(1, x)",
        cost=44.0,
        spellings=("numpy.sinc", "nbad.special.sinc"),
        samples=((1e-8,), (0.1,), (1.3,), (2.6,)),
        domain=((-8.0, 8.0),),
        kink="smooth; near its zeros the error is that of the rounded pi*x, as in NumPy",
    ),
    _family(
        "jn_pi",
        "jn(n, pi*x)",
        jn_pi,
        "-pi*jn_pi(1, x) if n == 0 else pi*(n*jn_pi(n - 1, x) - (n + 1)*jn_pi(n + 1, x))/(2*n + 1)",
        samples=((1e-3,), (0.3,), (2.0,), (9.0,)),
        cost=90.0,
    ),
)

SPECIAL = LOGISTIC + NORMAL_DISTRIBUTION + GAMMA + PRODUCTS
