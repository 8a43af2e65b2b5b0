"""Powers and roots: the cube root, `x**y` by a logarithm in more digits than a number has, and the hypotenuse."""

import math

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.constants import LOG_2_E, ONE, parts
from nbad.functions.exponentials import reduced_2, scaled
from nbad.functions.lines import Lines, Value, fast_sum
from nbad.functions.logarithms import split


def cbrt(e: Lines, x: Value) -> Value:
    """The cube root."""
    a = e.abs(x)
    f, k = split(e, a)
    magic = 1.5 * 2.0**e.fraction
    shifted = e.fma(k, 1 / 3, magic)
    third = shifted - magic
    left = e.fma(third, -3.0, k)  # -1, 0 or 1
    m = (f + 1.0) * e.where(left > 0.0, 2.0, e.where(left < 0.0, 0.5, 1.0))
    root = e.where(left > 0.0, 0.5 ** (1 / 3), e.where(left < 0.0, 2.0 ** (1 / 3), 1.0))
    root = root * e.polynomial(COEFFICIENTS["cbrt"][e.dtype], f)  # 1 by the cube root, improved by a step of third order
    error = e.fma(-m * root, root * root, 1.0)
    root = e.fma(root * error, e.fma(error, 2 / 9, 1 / 3), root)
    y = m * (root * root)
    square = y * y
    rest = e.fma(-square, y, m) - e.fma(y, y, -square) * y
    y = e.fma(rest * (1 / 3), root * root, y)
    y = y * e.from_bits((e.to_bits(shifted) + e.bias) << e.fraction)
    return e.where((a > 0.0) & (a < math.inf), e.copysign(y, x), x)


def pow(e: Lines, x: Value, y: Value) -> Value:
    """`x**y`."""
    a = e.abs(x)
    high, low = _log2(e, a)
    product = y * high
    more = e.fma(y, high, -product) + y * low
    bound = e.pick(1100.0, 160.0)
    more = e.where(e.abs(product) < bound, more, 0.0)
    r = reduced_2(e, e.between(product, -bound, bound), more)
    result = scaled(e, r.high + r.low + 1.0, r)
    whole = e.trunc(y).is_equal(y)
    odd = whole & e.trunc(y * 0.5).differs(y * 0.5)
    result = e.where((x < 0.0) & ~whole & (a < math.inf), math.nan, result)
    result = e.where(a.is_equal(1.0) & (whole | (x > 0.0)), 1.0, result)
    result = e.where(odd, e.copysign(result, x), result)
    return e.where(y.is_equal(0.0) | x.is_equal(1.0), 1.0, result)


def hypot(e: Lines, x: Value, y: Value) -> Value:
    """The square root of `x*x + y*y`."""
    a, b = e.abs(x), e.abs(y)
    longer, shorter = e.where(a < b, b, a), e.where(a < b, a, b)
    huge, tiny, up = e.pick((2.0**510, 2.0**-450, 2.0**600), (2.0**62, 2.0**-50, 2.0**80))
    factor = e.where(longer > huge, 1.0 / up, e.where(longer < tiny, up, 1.0))
    back = e.where(longer > huge, up, e.where(longer < tiny, 1.0 / up, 1.0))
    p, q = longer * factor, shorter * factor
    square, other = p * p, q * q
    total, lost = fast_sum(square, other)
    root = e.sqrt(total)
    lost = lost + (e.fma(p, p, -square) + e.fma(q, q, -other)) + e.fma(-root, root, total)
    result = (root + e.where(total > 0.0, lost / (root + root), 0.0)) * back
    return e.where(a.is_equal(math.inf) | b.is_equal(math.inf), math.inf, result)


def _log2(e: Lines, x: Value) -> tuple[Value, Value]:
    """The logarithm of a positive number to base 2, as the sum of two: 11 bits more than y times it needs."""
    f, k = split(e, x)
    m, lost = fast_sum(e.constant(2.0), f)
    inverse = 1.0 / m
    s = f * inverse
    t = (e.fma(-s, m, f) - s * lost) * inverse
    z = s * s
    z_low = e.fma(s, s, -z) + (s + s) * t
    third, third_low = parts(ONE, e.dtype, 2, "1/3")
    c, c_low = fast_sum(e.constant(third), z * e.polynomial(COEFFICIENTS["pow"][e.dtype], z))
    w = z * c
    w_low = e.fma(z, c, -w) + (z * (c_low + third_low) + z_low * c)
    cube = s * w
    cube_low = e.fma(s, w, -cube) + (s * w_low + t * w)
    high, low = fast_sum(s, cube)
    low = low + (cube_low + t)
    a, b = parts(LOG_2_E, e.dtype, 2, "2")
    product = high * a
    product_low = e.fma(high, a, -product) + e.fma(high, b, low * a)
    total, lost = fast_sum(k, product)
    total = e.where(x < math.inf, e.where(x.is_equal(0.0), -math.inf, total), x)
    return total, lost + product_low
