"""Inverse trigonometric functions: angles of a few points, and polynomials in how far an operand is from the next of these."""

import math

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.constants import ATAN_3_HALVES, ATAN_HALF, PI, parts
from nbad.functions.lines import Lines, Value, fast_sum


def atan(e: Lines, x: Value) -> Value:
    """atan(x)."""
    a = e.abs(x)
    middle, far = a >= 19 / 16, a >= 39 / 16
    point, angle = _next_point(e, a >= 7 / 16, a >= 11 / 16)
    point = e.where(middle, 1.5, point)
    angle = [e.where(middle, c, b) for b, c in zip(angle, parts(ATAN_3_HALVES, e.dtype, 2), strict=True)]
    angle = [e.where(far, c, b) for b, c in zip(angle, parts(PI, e.dtype, 2, "0.5"), strict=True)]
    t = e.where(far, -1.0, a - point) / e.where(far, a, e.fma(a, point, 1.0))
    return e.copysign(angle[0] + (t + _beside(e, t, angle[1])), x)


def atan2(e: Lines, y: Value, x: Value) -> Value:
    """The angle of the point (x, y)."""
    a, b = e.abs(y), e.abs(x)
    steep = a > b
    less, more = e.where(steep, b, a), e.where(steep, a, b)
    less, more = _in_range(e, less, more)
    point, angle = _next_point(e, less >= more * (7 / 16), less >= more * (11 / 16))
    above, below = e.fma(-point, more, less), e.fma(point, less, more)
    inverse = 1.0 / below
    t = above * inverse
    lost = e.fma(-t, below, above) * inverse
    turned = e.copysign(1.0, e.from_bits(e.to_bits(x) ^ e.where(steep, e.to_bits(e.constant(-0.0)), 0)))  # -1: from there back
    backwards = e.to_bits(x) < 0
    half, whole = parts(PI, e.dtype, 2, "0.5"), parts(PI, e.dtype, 2)
    base = [e.where(steep, h, e.where(backwards, w, 0.0)) for h, w in zip(half, whole, strict=True)]
    small = angle[0] + (t + _beside(e, t, angle[1] + lost))
    return e.copysign(base[0] + e.fma(turned, small, base[1]), y)


def asin(e: Lines, x: Value) -> Value:
    """asin(x)."""
    main, rest, near = _arc(e, x)
    base = parts(PI, e.dtype, 2, "0.5")
    total, lost = fast_sum(e.constant(base[0]), -main)
    far = total + (lost + (base[1] - rest))
    return e.where(near, x + e.copysign(rest, x), e.copysign(far, x))


def acos(e: Lines, x: Value) -> Value:
    """acos(x)."""
    main, rest, near = _arc(e, x)
    back = x < 0.0
    half, whole = parts(PI, e.dtype, 2, "0.5"), parts(PI, e.dtype, 2)
    base = [e.where(near, h, e.where(back, w, 0.0)) for h, w in zip(half, whole, strict=True)]
    minus = near ^ back  # whether it is taken from there, as are both parts of a positive x next to 0
    total, lost = fast_sum(base[0], e.where(minus, -main, main))
    return total + (lost + (base[1] + e.where(minus, -rest, rest)))


def _next_point(e: Lines, second: Value, third: Value) -> tuple[Value, list[Value]]:
    """0, 1/2 or 1, and its angle as the sum of two."""
    point = e.where(third, 1.0, e.where(second, 0.5, 0.0))
    angles = zip(parts(ATAN_HALF, e.dtype, 2), parts(PI, e.dtype, 2, "0.25"), strict=True)
    return point, [e.where(third, b, e.where(second, a, 0.0)) for a, b in angles]


def _beside(e: Lines, t: Value, low: Value) -> Value:
    """`atan(t) - t + low`."""
    square = t * t
    return e.fma(t * square, e.polynomial(COEFFICIENTS["atan"][e.dtype], square), low)


def _in_range(e: Lines, less: Value, more: Value) -> tuple[Value, Value]:
    """Two numbers of the same ratio whose sums do not overflow, and whose differences are exact; of infinities, too."""
    huge, tiny, up = e.pick((2.0**1020, 2.0**-900, 2.0**120), (2.0**124, 2.0**-90, 2.0**30))
    factor = e.where(more > huge, 0.25, e.where(more < tiny, up, 1.0))
    infinite = more.is_equal(math.inf)
    ratio = e.where(less.is_equal(math.inf), 1.0, less * 0.0)  # a nan stays
    return e.where(infinite, ratio, less * factor), e.where(infinite | more.is_equal(0.0), 1.0, more * factor)


def _arc(e: Lines, x: Value) -> tuple[Value, Value, Value]:
    """Up to 1/2 `abs(x)` and the rest of its arcsine; beyond, the arccosine of `abs(x)` as the sum of two. Which it is."""
    a = e.abs(x)
    near = a < 0.5
    z = e.where(near, x * x, (1.0 - a) * 0.5)
    root = e.sqrt(z)
    lost = e.where(z > 0.0, e.fma(-root, root, z) / (root + root), 0.0)
    series = z * e.polynomial(COEFFICIENTS["asin"][e.dtype], z)
    main = e.where(near, a, root + root)
    return main, e.where(near, a * series, e.fma(root + root, series, lost + lost)), near
