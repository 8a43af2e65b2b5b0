"""Logarithms: `x = 2**k * m` with m next to 1, and `log(m)` by a polynomial in the square of `s = (m - 1)/(m + 1)`."""

import math

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.constants import LN_2, LOG_2_E, LOG_10_2, LOG_10_E, parts
from nbad.functions.exponents import exponent, mantissa, with_ends_of_log
from nbad.functions.lines import Lines, Value, fast_sum, rounded


def log(e: Lines, x: Value) -> Value:
    """log(x)."""
    high, low = parts(LN_2, e.dtype, 2)
    f, k = split(e, x)
    half, inner = _log_1p(e, f, k * low)
    return _at_ends(e, x, e.fma(k, high, f - (half - inner)))


def log2(e: Lines, x: Value) -> Value:
    """The logarithm to base 2."""
    return _of_base(e, x, LOG_2_E, "1")


def log10(e: Lines, x: Value) -> Value:
    """The logarithm to base 10."""
    return _of_base(e, x, LOG_10_E, LOG_10_2)


def log1p(e: Lines, x: Value) -> Value:
    """log(1 + x)."""
    return _at_ends(e, x + 1.0, e.copysign(_log1p_of_sum(e, x), x))


def asinh(e: Lines, x: Value) -> Value:
    """asinh(x): the logarithm of `1 + a + (s - 1)` with the square root s of `1 + a*a`."""
    a = e.abs(x)
    square = a * a
    square_low = e.fma(a, a, -square)
    total, lost = _two_sum(square, 1.0)
    root = e.sqrt(total)
    root_low = (e.fma(-root, root, total) + (lost + square_low)) / (root + root)
    below, below_low = fast_sum(root, e.constant(1.0))
    high, low = _quotient(e, square, square_low, below, below_low + root_low)
    high, lost = fast_sum(a, high)
    return e.where(a < math.inf, e.copysign(_log1p_of_large(e, a, high, lost + low), x), x)


def acosh(e: Lines, x: Value) -> Value:
    """acosh(x): the logarithm of `1 + d + s` with `d = x - 1` and the square root s of `d*(d + 2)`."""
    d = x - 1.0
    square = e.fma(d, d, d + d)
    lost = e.fma(d, d, (d + d) - square)
    root = e.sqrt(square)
    root_low = e.where(square > 0.0, (e.fma(-root, root, square) + lost) / (root + root), 0.0)
    high, lost = fast_sum(root, d)
    result = _log1p_of_large(e, x, high, lost + root_low)
    return e.where(x < math.inf, e.where(x < 1.0, math.nan, result), x)


def atanh(e: Lines, x: Value) -> Value:
    """atanh(x): half the logarithm of `1 + 2*a/(1 - a)`."""
    a = e.abs(x)
    high, low = _quotient(e, a + a, None, *fast_sum(e.constant(1.0), -a))
    result = e.where(a.is_equal(1.0), math.inf, _log1p_of_sum(e, high, low) * 0.5)
    return e.where(a > 1.0, math.nan, e.copysign(result, x))


def split(e: Lines, x: Value) -> tuple[Value, Value]:
    """A positive number as `2**k * (1 + f)`, f from -0.293 to 0.414: f and k; any numbers of others."""
    if e.has_exponents:
        m, k = mantissa(e, x), exponent(e, x)
        above = m >= 2.0 * rounded(0.5**0.5, e.dtype)
        return e.where(above, m * 0.5, m) - 1.0, e.where(above, k + 1.0, k)
    tiny, shift = e.pick((2.0**-1022, 54), (2.0**-126, 25))
    small = x < tiny
    bits = e.to_bits(e.where(small, x * 2.0**shift, x))
    k, power = _nearest_power(e, bits)
    return e.from_bits(bits - power) - 1.0, k + e.where(small, float(-shift), 0.0)


def _nearest_power(e: Lines, bits: Value) -> tuple[Value, Value]:
    """k, and what is to be subtracted from the bits of a normal number to divide it by `2**k`."""
    moved = bits - e.constant_bits(0.5**0.5)
    up = (moved + (e.bias + 1 << e.fraction)) >> e.fraction  # no CPU before AVX-512 converts whole numbers of 64 bits:
    zero = 2.0**e.fraction  # they become the low bits of a number
    return e.from_bits(up | e.constant_bits(zero)) - (zero + e.bias + 1), moved & -(1 << e.fraction)


def _log1p_of_large(e: Lines, x: Value, high: Value, low: Value) -> Value:
    """`log(1 + high + low)`; `log(2*x)`, which is the same, where x is large."""
    large = x > 2.0**60
    high, low = e.where(large, x, high), e.where(large, 0.0, low)
    return _log1p_of_sum(e, high, low, e.where(large, 1.0, 0.0))


def _log1p_of_sum(e: Lines, x: Value, low: Value | None = None, doublings: Value | None = None) -> Value:
    """`log(1 + x + low)`, and log(2) for each doubling.

    Of `f = x/2**k + (1/2**k - 1)` both parts are exact, and the sum, too, but for k = 1 and f next to -1/4.
    """
    k, power = _nearest_power(e, e.to_bits(x + 1.0))
    scale = e.from_bits((e.bias + 2 << e.fraction) - power)  # 4/2**k, for 1/2**k may be too small
    scaled, less = x * scale, e.fma(scale, 0.25, -1.0)
    f = e.fma(scaled, 0.25, less)
    lost = e.fma(scaled, 0.25, less - f)
    if low is None:
        rest = lost * (4.0 / 3.0)
    else:
        rest = e.fma(low * scale, 0.25, lost) * e.polynomial(COEFFICIENTS["inverse"][e.dtype], f)
    k = k if doublings is None else k + doublings
    unit, unit_low = parts(LN_2, e.dtype, 2)
    half, inner = _log_1p(e, f, e.fma(k, unit_low, rest))
    return e.fma(k, unit, f - (half - inner))


def _two_sum(x: Value, y: float) -> tuple[Value, Value]:
    """`x + y`, and what rounding it lost, whichever is smaller (Knuth)."""
    total = x + y
    other = total - y
    return total, (y - (total - other)) + (x - other)


def _quotient(e: Lines, x: Value, x_low: Value | None, y: Value, y_low: Value) -> tuple[Value, Value]:
    """The quotient of two sums as the sum of two."""
    inverse = 1.0 / y
    quotient = x * inverse
    rest = e.fma(-quotient, y, x) - quotient * y_low
    return quotient, (rest if x_low is None else rest + x_low) * inverse


def _log_1p(e: Lines, f: Value, more: Value | None = None) -> tuple[Value, Value]:
    """`log(1 + f) + more` as `f - (half - inner)`: the first two of these."""
    s = f / (f + 2.0)
    z = s * s
    half = f * 0.5 * f
    inside = e.fma(z, e.polynomial(COEFFICIENTS["log"][e.dtype], z), half)
    return half, s * inside if more is None else e.fma(s, inside, more)


def _of_base(e: Lines, x: Value, factor: str, unit: str) -> Value:
    """A logarithm to another base, of which 2 has the logarithm `unit`."""
    f, k = split(e, x)
    half, inner = _log_1p(e, f)
    first = f - half
    last = ((f - first) - half) + inner
    a, b = parts(factor, e.dtype, 2)
    c, d = parts(unit, e.dtype, 2, bits=e.pick((42,), (16,))) if unit != "1" else (1.0, 0.0)  # k times the first is exact
    product, whole = first * a, k * c
    low = e.fma(first, a, -product) + e.fma(first, b, last * a)
    total, lost = fast_sum(whole, product)
    return _at_ends(e, x, total + (lost + e.fma(k, d, low)))


def _at_ends(e: Lines, x: Value, result: Value) -> Value:
    """The logarithm of any x, given that of those between 0 and inf."""
    if e.has_exponents:
        return with_ends_of_log(e, result, x)
    result = e.where(x < math.inf, result, x)
    return e.where(x > 0.0, result, e.where(x.is_equal(0.0), -math.inf, math.nan))
