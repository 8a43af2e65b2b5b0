"""The error function and its complement: a polynomial next to 0, exponentials beyond."""

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.exponentials import power_of_2, reduced, scaled
from nbad.functions.lines import Lines, Value, fast_sum


def erf(e: Lines, x: Value) -> Value:
    """erf(x)."""
    a, square = e.abs(x), x * x
    near = e.fma(x, e.polynomial(COEFFICIENTS["erf"][e.dtype], square), x)
    logarithm = e.polynomial(COEFFICIENTS["erf_far"][e.dtype], e.between(a - 1.0, 0.0, 4.95))  # that of 1 - erf(a)
    r = reduced(e, logarithm)
    far = 1.0 - (r.high + r.low + 1.0) * power_of_2(e, r.bits, 0)
    return e.where(a < 1.0, near, e.copysign(far, x))


def erfc(e: Lines, x: Value) -> Value:
    """1 - erf(x)."""
    a = e.abs(x)
    less, lost = fast_sum(e.constant(1.0), -x)
    near = less + (lost - x * e.polynomial(COEFFICIENTS["erf"][e.dtype], x * x))
    far = _far(e, e.between(a, 0.75, e.pick(28.0, 11.0)))
    return e.where(a < 0.75, near, e.where(x < 0.0, 2.0 - far, far))


def _far(e: Lines, x: Value) -> Value:
    """From 3/4 on: `exp(-x*x)/(2*x + 1)`, in more digits, times a polynomial in `1/(x + 3)` that is hardly more than 1."""
    square = x * x
    r = reduced(e, -square, -e.fma(x, x, -square))
    power, low = fast_sum(e.constant(1.0), r.high)
    power, low = fast_sum(power, low + r.low)
    first, *others = COEFFICIENTS["erfc"][e.dtype]
    u = 1.0 / (x + 3.0) - 0.125
    factor, factor_low = fast_sum(e.constant(first), u * e.polynomial(others, u))
    above = power * factor
    above_low = e.fma(power, factor, -above) + e.fma(power, factor_low, low * factor)
    below, below_low = fast_sum(x + x, e.constant(1.0))
    inverse = 1.0 / below
    quotient = above * inverse
    rest = e.fma(-quotient, below, above) + (above_low - quotient * below_low)
    return scaled(e, e.fma(rest, inverse, quotient), r.bits)
