"""Families of special functions as straight-line code: what derivatives of `digamma`, `sinc` and `erfcx` need.

Each takes the operand and a whole number n, and is made of operations only, so that it is vector code and needs no library.
An expansion runs on whatever overloads the operators: on values of `nbad.codegen.lower`, and through `by_expansion` on NumPy
arrays.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nbad.operations import scipy_link

BERNOULLI = (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510)  # even ones, as fractions
TERMS = 10  # of a sum before its remainder is taken
POWERS = 12  # of a series

# Polynomials in 1 - 6/(x + 3) for sqrt(pi)*(2*x + 2)**n*(x + 1)*ierfcx(n, x), x >= 0: truncated Chebyshev series, 2e-17 left out
HALF_LINE = {
    1: (
        1.5419571461143926, -0.7797570093099042, 0.19236368896902517, 0.19323320172945893, -0.24631861980515193,
        0.11665979955730879, -0.00037065044929605976, -0.031107434695587542, 0.014797114167621486, 0.000691307460314283,
        -0.0028402957567483407, 0.00036423471946856893, 0.0004894046252143545, -0.00010001453220045273, -9.46132335176596e-05,
        1.78560977130880e-05, 2.0702043224342236e-05, -1.8107110846889078e-06, -4.737532648569037e-06, -3.202524690464037e-07,
        1.0257185096130385e-06, 2.6349785467088656e-07, -1.8819300153790917e-07, -9.03764587350292e-08, 2.510336819729655e-08,
        1.8678397679625876e-08, -1.7709916411643847e-09, -1.862811355636995e-09,
    ),
    2: (
        1.801876149217694, -1.0379589701742387, -0.06670778465573829, 0.6823958586574325, -0.5083474314063431,
        0.05040518688229206, 0.16905921303038768, -0.10722906338098005, -0.003839329915818258, 0.030925406506993408,
        -0.007872687175280847, -0.005659445008548616, 0.0025693686620474614, 0.0011036193404188918, -0.0006213371486565963,
        -0.00026866300571888255, 0.00013076019583376007, 7.665908356564709e-05, -2.1965809854202668e-05, -2.234419527184865e-05,
        1.4777296507611817e-06, 5.947575269926997e-06, 8.302118161022307e-07, -1.3056199690238837e-06, -4.290297655588828e-07,
        2.0463377995944703e-07, 1.0248572964521793e-07, -1.6747783387900736e-08, -1.0938944552361087e-08,
    ),
}  # fmt: skip


def polygamma(g: Any, x: Any, n: int) -> Any:
    """The n-th derivative of digamma, n >= 1; left of 0 by reflection."""
    right = _polygamma_right(g.where(x > 0.0, x, 1.0 - x), n)
    # the whole part of x is taken off, exactly, before pi rounds: the cotangent has that period
    cotangent = 1.0 / g.tan(math.pi * (x - g.round(x)))
    return g.where(x > 0.0, right, (-1.0) ** n * right - math.pi ** (n + 1) * _polynomial(cotangent, _cotangent_slope(n)))


def _polygamma_right(x: Any, n: int) -> Any:
    """For positive x: terms of the sum, smallest first, and the series of what they leave."""
    count = TERMS + n
    inverse = 1.0 / (x + float(count))
    series = [1.0 / n, *(_remainder_term(k, n) for k in range(1, len(BERNOULLI) + 1))]
    total = inverse**n * (_polynomial(inverse * inverse, series) + 0.5 * inverse)
    for k in reversed(range(count)):
        total = total + (1.0 / (x + float(k))) ** (n + 1)
    return (-1.0) ** (n + 1) * math.factorial(n) * total


def _remainder_term(k: int, n: int) -> float:
    """Euler and Maclaurin: the k-th Bernoulli number, over a factorial; whole numbers until they are divided."""
    above, below = BERNOULLI[k - 1]
    return above * math.factorial(2 * k + n - 1) / (below * math.factorial(2 * k) * math.factorial(n))


def _cotangent_slope(n: int) -> list[float]:
    """The n-th derivative of cot as a polynomial in cot."""
    coefficients = [0.0, 1.0]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        coefficients = [-(a + b) for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
    return coefficients


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's scheme, coefficients from the constant up."""
    *rest, result = coefficients
    for coefficient in reversed(rest):
        result = result * x + coefficient
    return result


def jn_pi(g: Any, x: Any, n: int) -> Any:
    """The spherical Bessel function of pi*x: a series about 0, the recurrence in n beyond."""
    whole, angle = g.round(x), math.pi * x
    # 1 where x is next to an even number, -1 next to an odd one
    sign = 1.0 - 2.0 * g.abs(whole - 2.0 * g.round(0.5 * whole))
    sine, cosine = sign * g.sin(math.pi * (x - whole)), sign * g.cos(math.pi * (x - whole))
    previous, value = cosine / angle, sine / angle
    for k in range(n):
        previous, value = value, (2 * k + 1.0) / angle * value - previous
    # upwards, the recurrence is stable beyond n only
    return g.where(g.abs(angle) < n + 1.0, _bessel_series(angle, n), value)


def _bessel_series(x: Any, n: int) -> Any:
    coefficients = [1.0 / math.prod(range(1, 2 * n + 2, 2))]
    for k in range(1, POWERS + 2 * n):
        coefficients.append(coefficients[-1] * -0.5 / (k * (2 * n + 2 * k + 1)))
    return x**n * _polynomial(x * x, coefficients)


def ierfcx(g: Any, x: Any, n: int) -> Any:
    """exp(x**2) times the n-th repeated integral of erfc.

    For negative x the recurrence in n adds positive terms; for positive x it would cancel.
    """
    if n < 1:
        return g.erfcx(x) if n == 0 else 2.0 / math.sqrt(math.pi)
    raised = (ierfcx(g, x, n - 2) - 2.0 * x * ierfcx(g, x, n - 1)) / (2.0 * n)
    return g.where(x < 0.0, raised, _half_line(x, n)) if n in HALF_LINE else raised


def _half_line(x: Any, n: int) -> Any:
    inverse = 1.0 / (x + 1.0)
    return _polynomial(1.0 - 6.0 / (x + 3.0), HALF_LINE[n]) * inverse ** (n + 1) * (1.0 / (math.sqrt(math.pi) * 2.0**n))


class _NumPy:
    """What an expansion is given, on NumPy's values."""

    eq, abs, round = np.equal, np.abs, np.rint

    def __getattr__(self, name: str) -> Any:
        return scipy_link.reference(name) if name == "erfcx" else getattr(np, name)


NUMPY = _NumPy()


def by_expansion(expansion: Callable[..., Any]) -> Callable[..., Any]:
    """The reference implementation of an operation that only its expansion defines."""

    def reference(x: Any, n: int) -> Any:
        with np.errstate(all="ignore"):  # in the branch that is not taken
            return expansion(NUMPY, np.asarray(x)[()], n)

    return reference
