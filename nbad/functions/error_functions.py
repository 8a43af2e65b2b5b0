"""The error function by a polynomial next to 0, and by one to the power of 8 beyond; its complement by an exponential."""

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.exponentials import reduced, scaled
from nbad.functions.lines import Lines, Value, fast_sum

NEAR = 1.375  # below, erf(x) is an odd polynomial; beyond, the root of its complement is a short one
MIDDLE = NEAR * NEAR / 2  # of the squares there
FAR = 4.575  # beyond NEAR, where 1 - erf(x) is less than a quarter of an ulp of 1
SLOPE, START = 97 / 64, 17 / 16  # erfc(x)*exp(x*x) times this line is 1 within a fifth
SHIFT, CENTRE = 3.5, 15 / 32  # and the rest a polynomial in x/(x + SHIFT), whose error is least for small x, less its middle


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
    """1 - erf(x): for positive x `exp(-x*x)`, in more digits, by a line, and times 1 and a little."""
    a, most = e.abs(x), e.pick(27.5, 11.0)
    a = e.where(a > most, most, a)
    square = a * a
    r = reduced(e, -square, -e.fma(a, a, -square))
    power, low = fast_sum(e.constant(1.0), r.high)
    low = low + r.low
    below = e.fma(a, SLOPE, START)
    below_low = e.fma(a, SLOPE, START - below)
    more = e.polynomial(COEFFICIENTS["erfc"][e.dtype], a / (a + SHIFT) - CENTRE)  # than 1
    inverse = 1.0 / below
    quotient = power * inverse
    rest = e.fma(-quotient, below, power) + e.fma(-quotient, below_low, e.fma(power + low, more, low))
    far = scaled(e, e.fma(rest, inverse, quotient), r)
    return e.where(x < 0.0, 2.0 - far, far)
