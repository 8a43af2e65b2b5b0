"""The rows of exponential and elliptic integrals, of incomplete gamma and beta functions, and of the zeta function.

Derivatives by their parameters are not known; those of densities are.
"""

import math
from typing import Any

from nbad.operations.row import PAIR, REAL, UNKNOWN, composite, of_scipy, special
from nbad.operations.series import elliptic_slope, expint, polygamma_gap, stirling_error, zeta

RIGHT = ((0.01,), (0.3,), (2.5,), (20.0,))
SHAPES = ((0.5, 0.3), (2.0, 1.9), (12.0, 9.5), (250.0, 260.0))
PAIR_OF_SHAPES = ((2.0, 0.3), (0.5, 4.5), (30.0, 12.0))
FRACTIONS = ((0.5, 2.0, 0.3), (3.0, 1.5, 0.9), (60.0, 45.0, 0.6))
MODULI = ((-7.5,), (-0.3,), (1e-9,), (0.4,), (0.96,))
BY_PARAMETER = "by the parameters: not known, nan"


def _gamma_density(g: Any, a: Any, x: Any) -> Any:
    """By powers where these are small, else by how far x is from a, which does not overflow and loses no digits."""
    half = g.exp(-0.5 * x)
    small = g.pow(x, a - 1.0) * half * half / g.gamma(a)
    large = g.exp(-stirling_error(g, a) - _deviance(g, a, x)) * g.sqrt(a / (2.0 * math.pi)) / x
    return g.where(_is_pole(g, a) | g.eq(x, math.inf), 0.0, g.where((a > 10.0) & (x > 0.0), large, small))


def _beta_density(g: Any, a: Any, b: Any, x: Any) -> Any:
    total = a + b
    small = g.pow(x, a - 1.0) * g.exp(_times_log1p(g, b - 1.0, -x)) / g.beta(a, b)
    error = stirling_error(g, total) - stirling_error(g, a) - stirling_error(g, b)
    distance = _deviance(g, a, total * x) + _deviance(g, b, total * (1.0 - x))
    large = g.exp(error - distance) * g.sqrt(a / (2.0 * math.pi) * (b / total)) / (x * (1.0 - x))
    is_large = (a > 0.0) & (b > 0.0) & (total > 50.0) & (x > 0.0) & (x < 1.0)
    return g.where(_is_pole(g, a) | _is_pole(g, b), 0.0, g.where(is_large, large, small))


def _is_pole(g: Any, a: Any) -> Any:
    """Where the gamma function has a pole, densities vanish: derivatives of those of small whole parameters lead there."""
    return (a <= 0.0) & g.eq(a, g.floor(a))


def _deviance(g: Any, a: Any, x: Any) -> Any:
    """a*log(a/x) + x - a."""
    step = (x - a) / a
    return a * (step - g.where(g.abs(step) < 0.5, g.log1p(step), g.log(x / a)))


def _times_log1p(g: Any, x: Any, y: Any) -> Any:
    return g.where(g.eq(x, 0.0), 0.0, x * g.log1p(y))


# a table reads best with a row a line
# fmt: off
INTEGRALS = (
    of_scipy("exp1", "expint(1, x)", None, samples=RIGHT, domain=((1e-8, 600.0),), kink="-inf at 0"),
    of_scipy("expi", "Ei(x)", None, samples=((-3.0,), (0.9,), (2.5,), (20.0,)), domain=((-50.0, 50.0),), kink="inf at 0"),
    # of a whole number and a number; for the family below, which has its partials
    of_scipy("expn_of_two", None, own="expn", spellings=(), operands=PAIR, samples=((2.0, 0.3), (4.0, 4.5))),
    composite("expint", "expint(n, x)", expint, "-expint(n - 1, x) if n > 0 else -v*(1 + reciprocal(x))", payload=2,
              samples=RIGHT, cost=300.0),
    of_scipy("ellipk", "elliptic_k(x)", "ellipk_slope(1, x)", samples=MODULI, domain=((-1e3, 1.0),), kink="inf at 1"),
    of_scipy("ellipe", "elliptic_e(x)", "ellipe_slope(1, x)", samples=MODULI, domain=((-1e3, 1.0),), kink="-inf at 1"),
    composite("ellipk_slope", "gamma(n + 1/2)**2/(2*gamma(n + 1))*hyper([n + 1/2, n + 1/2], [n + 1], x)",
              lambda g, x, n: elliptic_slope(g, x, n, is_first=True), "ellipk_slope(n + 1, x)", payload=2, samples=MODULI,
              cost=600.0),
    composite("ellipe_slope", "-gamma(n - 1/2)*gamma(n + 1/2)/(4*gamma(n + 1))*hyper([n - 1/2, n + 1/2], [n + 1], x)",
              lambda g, x, n: elliptic_slope(g, x, n, is_first=False), "ellipe_slope(n + 1, x)", payload=2, samples=MODULI,
              cost=600.0),
    of_scipy("beta", "beta(x, y)", "-v*polygamma_gap(0, x, y)", "-v*polygamma_gap(0, y, x)", operands=PAIR,
             samples=PAIR_OF_SHAPES, domain=((0.1, 30.0), (0.1, 30.0)), kink="nan at the poles"),
    of_scipy("betaln", "log(Abs(beta(x, y)))", "-polygamma_gap(0, x, y)", "-polygamma_gap(0, y, x)", operands=PAIR,
             samples=PAIR_OF_SHAPES, domain=((2.0, 1e6), (2.0, 1e6)), kink="nan at the poles"),
    # a difference of two that are close: its terms are differences, of one sign
    composite("polygamma_gap", "polygamma(n, x + y) - polygamma(n, x)", polygamma_gap, "polygamma_gap(n + 1, x, y)",
              "polygamma(n + 1, x + y)", payload=1, operands=PAIR, samples=PAIR_OF_SHAPES, cost=400.0),
    of_scipy("gammainc", "lowergamma(x, y)/gamma(x)", UNKNOWN[0], "gamma_density(x, y)", operands=PAIR, samples=SHAPES,
             domain=((0.1, 60.0), (1e-3, 120.0)), kink=BY_PARAMETER),
    of_scipy("gammaincc", "uppergamma(x, y)/gamma(x)", UNKNOWN[0], "-gamma_density(x, y)", operands=PAIR, samples=SHAPES,
             domain=((0.1, 60.0), (1e-3, 120.0)), kink=BY_PARAMETER),
    of_scipy("betainc", "betainc_regularized(x, y, 0, z)", UNKNOWN[1], UNKNOWN[1], "beta_density(x, y, z)", operands=(REAL,) * 3,
             samples=FRACTIONS, domain=((0.1, 40.0), (0.1, 40.0), (0.0, 1.0)), kink=BY_PARAMETER),
    composite("gamma_density", "y**(x - 1)*exp(-y)/gamma(x)", _gamma_density, "v*(log(y) - digamma(x))",
              "gamma_density(x - 1, y) - v", operands=PAIR, samples=SHAPES, cost=700.0),
    composite("beta_density", "z**(x - 1)*(1 - z)**(y - 1)/beta(x, y)", _beta_density, "v*(log(z) + polygamma_gap(0, x, y))",
              "v*(log1p(-z) + polygamma_gap(0, y, x))", "(x + y - 1)*(beta_density(x - 1, y, z) - beta_density(x, y - 1, z))",
              operands=(REAL,) * 3, samples=FRACTIONS, cost=1000.0),
    composite("zeta", "zeta(x, y)", zeta, UNKNOWN[0], "-x*zeta(x + 1, y)", spellings=special("zeta"), operands=PAIR,
              samples=((2.0, 1.0), (1.1, 0.3), (4.5, 30.0)), domain=((1.01, 30.0), (0.01, 1e3)), cost=900.0,
              kink="by x: not known, nan; nan for y below 0"),
)
# fmt: on
