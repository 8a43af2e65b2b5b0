"""The error function and its complement: polynomials next to 0, a polynomial to the power of 8, or an exponential, beyond."""

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.exponentials import reduced, scaled
from nbad.functions.lines import Lines, Value, fast_sum

NEAR = 1.375  # below, erf(x) is an odd polynomial; beyond, the root of its complement is a short one
MIDDLE = NEAR * NEAR / 2  # of the squares there
FAR = 4.575  # beyond NEAR, where 1 - erf(x) is less than a quarter of an ulp of 1


def erf(e: Lines, x: Value) -> Value:
    """erf(x)."""
    a = e.abs(x)
    near = e.fma(x, e.polynomial(COEFFICIENTS["erf"][e.dtype], e.fma(x, x, -MIDDLE)), x)
    beyond = a - NEAR
    root = e.polynomial(COEFFICIENTS["erf_far"][e.dtype], e.where(beyond > FAR, FAR, beyond))  # the 8th of 1 - erf(a)
    square = root * root
    quarter = square * square
    return e.where(a < NEAR, near, e.copysign(e.fma(-quarter, quarter, 1.0), x))


def erfc(e: Lines, x: Value) -> Value:
    """1 - erf(x)."""
    a = e.abs(x)
    less, lost = fast_sum(e.constant(1.0), -x)
    near = less + (lost - x * e.polynomial(COEFFICIENTS["erfc_near"][e.dtype], x * x))
    far = _far(e, e.between(a, 0.625, e.pick(28.0, 11.0)))
    return e.where(a < 0.625, near, e.where(x < 0.0, 2.0 - far, far))


def _far(e: Lines, x: Value) -> Value:
    """From 5/8 on: `exp(-x*x)/(2*x + 1)`, in more digits, times a polynomial in `1/(x + 3)` that is hardly more than 1."""
    square = x * x
    r = reduced(e, -square, -e.fma(x, x, -square))
    power, low = fast_sum(e.constant(1.0), r.high)
    low = low + r.low
    first, *others = COEFFICIENTS["erfc"][e.dtype]
    u = 1.0 / (x + 3.0) - 0.125
    more = u * e.polynomial(others, u)  # than the first
    above = power * first
    above_low = e.fma(power, more, e.fma(low, more + first, e.fma(power, first, -above)))
    below, below_low = fast_sum(x + x, e.constant(1.0))
    inverse = 1.0 / below
    quotient = above * inverse
    rest = e.fma(-quotient, below, above) + (above_low - quotient * below_low)
    return scaled(e, e.fma(rest, inverse, quotient), r.bits)
