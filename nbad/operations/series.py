"""Special functions as straight-line code: families that derivatives of others need, and what no library has.

A family takes its operands and a whole number n. All are made of operations, most of them of vector code alone.
An expansion runs on whatever overloads the operators: on values of `nbad.codegen.lower`, and through `by_expansion` on NumPy
arrays.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nbad.operations import scipy_link

BERNOULLI = (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510)  # even ones, as fractions
STIRLING = [a / (b * 2 * k * (2 * k - 1)) for k, (a, b) in enumerate(BERNOULLI, 1)]
BRANCH, BRANCH_REST = 0.36787944117144233, -1.2428753672788363e-17  # 1/e
# of the Lambert function about its branch point, in powers of the root of 2*(e*x + 1)
BRANCH_SERIES = (
    -1.0, 1.0, -1 / 3, 11 / 72, -43 / 540, 769 / 17280, -221 / 8505, 680863 / 43545600, -1963 / 204120, 226287557 / 37623398400,
)  # fmt: skip
BRANCH_REACH = 0.02  # of that series alone
DECAY_REACH, DECAY_TERMS = 40.0, 130  # of twice the operand, in the series of scaled Bessel functions
ELLIPTIC_TERMS = 50  # beyond, powers of 1/2 are too small
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


def polygamma_gap(g: Any, x: Any, y: Any, n: int) -> Any:
    """The difference of the n-th derivatives of digamma at x + y and at x, n >= 0; for positive ones term by term."""
    count, total = TERMS + n, x + y
    coefficients = [*[0.0] * n, 1.0 / n if n else 0.0, 0.5]
    for k in range(1, len(BERNOULLI) + 1):
        coefficients += [_remainder_term(k, n), 0.0]
    power = [*[0.0] * (n + 1), 1.0]
    gap = _difference(coefficients, 1.0 / (total + float(count)), 1.0 / (x + float(count)), y)
    for k in reversed(range(count)):
        gap = gap + _difference(power, 1.0 / (total + float(k)), 1.0 / (x + float(k)), y)
    right = (-1.0) ** (n + 1) * math.factorial(n) * gap
    if n == 0:
        right = right + g.log1p(y / (x + float(count)))
    plain = g.polygamma(total, n) - g.polygamma(x, n) if n else g.digamma(total) - g.digamma(x)
    return g.where((x > 0.0) & (total > 0.0), right, plain)


def _difference(coefficients: Sequence[float], q: Any, p: Any, step: Any) -> Any:
    """A polynomial at q less that at p, where 1/q - 1/p is the step: the factor q - p is taken out, and nothing cancels."""
    *rest, value = coefficients
    slope: Any = 0.0
    for coefficient in reversed(rest):
        slope, value = slope * p + value, value * q + coefficient
    return -(step * p * q) * slope


def stirling_error(g: Any, x: Any) -> Any:
    """What the logarithm of the gamma function is beyond Stirling's formula, for positive x."""
    inverse = 1.0 / x
    series = inverse * _polynomial(inverse * inverse, STIRLING)
    return g.where(x > 10.0, series, g.lgamma(x) - ((x - 0.5) * g.log(x) - x + 0.5 * math.log(2.0 * math.pi)))


def zeta(g: Any, x: Any, y: Any) -> Any:
    """Hurwitz's zeta function for x > 1 and y > 0: terms of the sum, and Euler and Maclaurin's series of what they leave."""
    far = y + float(TERMS)
    power, inverse = g.pow(far, -x), 1.0 / far
    factor, series = x * inverse, []
    for k, (above, below) in enumerate(BERNOULLI, 1):
        series.append(factor * (above / below / math.factorial(2 * k)))
        factor = factor * ((x + (2.0 * k - 1.0)) * inverse) * ((x + 2.0 * k) * inverse)
    total: Any = 0.0
    for term in reversed(series):
        total = total + term
    total = g.where(g.eq(power, 0.0), 0.0, power * (total + 0.5 + far / (x - 1.0)))
    for k in reversed(range(TERMS)):
        total = total + g.pow(y + float(k), -x)
    pole = g.eq(x, 1.0) | ((x > 1.0) & g.eq(y, 0.0))
    return g.where((x > 1.0) & (y > 0.0), total, g.where(pole, math.inf, math.nan))


def exprel_slope(g: Any, x: Any, n: int) -> Any:
    """The n-th derivative of (exp(x) - 1)/x, n >= 1: of either sign a series about 0, and the recurrence in n beyond."""
    size, reach = g.abs(x), 2.0 * n + 2.0
    power = g.exp(-size)
    grown = fallen = (1.0 - power) / size
    for k in range(1, n + 1):
        grown, fallen = (1.0 - k * grown) / size, (k * fallen - power) / size
    right, left = [1.0 / (n + 1)], [1.0 / (n + 1)]
    for k in range(1, int(3 * reach) + 16):
        right.append(1.0 / (math.factorial(k) * (n + 1 + k)))
        left.append(left[-1] / (n + 1 + k))
    near = g.where(size < reach, size, 0.0)
    by_series = g.where(x < 0.0, power * _polynomial(near, left), _polynomial(near, right))
    beyond = g.where(x < 0.0, fallen, g.where(g.eq(x, math.inf), x, g.exp(x) * grown))
    return g.where(size < reach, by_series, beyond)


def expint(g: Any, x: Any, n: int) -> Any:
    """The exponential integral of order n >= -1."""
    if n < 1:
        return g.exp(-x) / x if n == 0 else g.exp(-x) / x * (1.0 + 1.0 / x)
    return g.exp1(x) if n == 1 else g.expn_of_two(float(n), x)


def elliptic_slope(g: Any, x: Any, n: int, is_first: bool) -> Any:
    """The n-th derivative of the complete elliptic integral of the first or second kind by its parameter, n >= 1.

    Up to a power of 1 - x it is Gauss's hypergeometric function of 1/2, 1/2 or 3/2, and n + 1: a series about 0, and beyond from
    the integrals by the recurrence in n.
    """
    other = 0.5 if is_first else 1.5
    first, second = g.ellipk(x), g.ellipe(x)
    previous = 2.0 / math.pi * (first if is_first else second / (1.0 - x))
    product = g.where(g.eq(x, 1.0), 0.0, (1.0 - x) * first)
    value = 4.0 / math.pi * (second - product if is_first else first - second) / x
    for c in range(2, n + 1):
        back = c * (c - 1.0) * (x - 1.0) * previous + c * (c - 1.0 - (2.0 * c - 1.5 - other) * x) * value
        previous, value = value, -back / ((c - 0.5) * (c - other) * x)
    coefficients = [1.0]
    for k in range(ELLIPTIC_TERMS):
        coefficients.append(coefficients[-1] * (k + 0.5) * (k + other) / ((k + n + 1.0) * (k + 1.0)))
    near = g.where(g.abs(x) < 0.5, x, 0.0)
    scale = math.gamma(n + 0.5) ** 2 / (2.0 * math.factorial(n))
    if not is_first:
        scale = -math.gamma(n - 0.5) * math.gamma(n + 0.5) / (4.0 * math.factorial(n))
    power = (1.0 - x) ** -n if is_first else (1.0 - x) ** (1 - n) if n > 1 else 1.0
    return g.where(g.abs(x) < 0.5, _polynomial(near, coefficients), value) * (scale * power)


def lambert_w(g: Any, x: Any) -> Any:
    """The principal real branch of w*exp(w) = x."""
    root = _root_at_branch(g, x)
    series, one = _polynomial(root, BRANCH_SERIES), g.log1p(x)
    start = g.where(x < -0.2, series, one * (1.0 - g.log1p(one) / (2.0 + one)))
    w = g.where(root < BRANCH_REACH, series, _improved(g, x, start))
    return g.where(g.eq(x, 0.0) | g.eq(x, math.inf), x, w)


def lower_lambert_w(g: Any, x: Any) -> Any:
    """The other real branch, for x from -1/e to 0."""
    root = _root_at_branch(g, x)
    series, one = _polynomial(-root, BRANCH_SERIES), g.log(-x)
    two = g.log(-one)
    start = g.where(x < -0.25, series, one - two + two / one)
    w = g.where(root < BRANCH_REACH, series, _improved(g, x, start))
    return g.where(g.eq(x, 0.0), -math.inf, w)


def i0e_slope(g: Any, x: Any, n: int) -> Any:
    """The n-th derivative of `i0e`; at 0, where that has a kink, the mean of both sides."""
    slope = _decay(g, g.abs(x), n)
    return slope if n % 2 == 0 else g.sign(x) * slope


def i1e_slope(g: Any, x: Any, n: int) -> Any:
    """The n-th derivative of `i1e`, which is the sum of `i0e` and of its slope to the right."""
    slope = _decay(g, g.abs(x), n) + _decay(g, g.abs(x), n + 1)
    return slope if n % 2 else g.sign(x) * slope


def _decay(g: Any, x: Any, n: int) -> Any:
    """The n-th derivative of exp(-x) times the Bessel function, for x >= 0: a series of one sign, and the asymptotic one."""
    z, near, far, unit = 2.0 * x, [1.0], [1.0], 32.0  # of the powers of z and 1/z: those of 1 have coefficients beyond float32
    for k in range(DECAY_TERMS):
        near.append(near[-1] * (k + 0.5) * unit / ((n + 1.0 + k) * (k + 1.0)))
    for k in range(int(DECAY_REACH) - 2):
        far.append(far[-1] * (n + 0.5 + k) * (k + 0.5) / ((k + 1.0) * unit))
    inside = g.where(z < DECAY_REACH, z, 0.0)
    inverse = 1.0 / g.where(z < DECAY_REACH, DECAY_REACH, z)
    series = g.exp(-inside) * _polynomial(inside * (1.0 / unit), near)
    beyond = _polynomial(inverse * unit, far) * g.sqrt(inverse) * inverse**n * (math.factorial(n) / math.sqrt(math.pi))
    scale = (-2.0) ** n * math.gamma(n + 0.5) / (math.sqrt(math.pi) * math.factorial(n))
    return scale * g.where(z < DECAY_REACH, series, beyond)


def _root_at_branch(g: Any, x: Any) -> Any:
    # 1/e has two parts: what is left of x next to it is exact
    return g.sqrt(2.0 * math.e * ((x + BRANCH) + BRANCH_REST))


def _improved(g: Any, x: Any, w: Any) -> Any:
    """Fritsch's iteration, of fourth order; at the branch point it divides by 0."""
    for _ in range(2):
        rest, ahead = g.log(x / w) - w, 1.0 + w
        twice = 2.0 * ahead * (ahead + (2.0 / 3.0) * rest)
        w = w * (1.0 + rest / ahead * ((twice - rest) / (twice - 2.0 * rest)))
    return w


SCIPY = {"lgamma": "gammaln", "expn_of_two": "expn"}  # where an operation has another name there


class _NumPy:
    """What an expansion is given, on NumPy's values."""

    eq, ne, abs, round, pow = np.equal, np.not_equal, np.abs, np.rint, np.power

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name) if hasattr(np, name) else scipy_link.reference(SCIPY.get(name, name))

    def polygamma(self, x: Any, n: int) -> Any:
        """The operand first, as in an expansion."""
        return polygamma(self, x, n)


NUMPY = _NumPy()


def by_expansion(expansion: Callable[..., Any]) -> Callable[..., Any]:
    """The reference implementation of an operation that only its expansion defines; a payload comes last."""

    def reference(*operands: Any) -> Any:
        with np.errstate(all="ignore"):  # in the branch that is not taken
            return expansion(NUMPY, *(x if isinstance(x, int) else np.asarray(x)[()] for x in operands))

    return reference
