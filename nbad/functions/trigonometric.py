"""Trigonometric functions: `x = k*pi/2 + r` with three parts of pi/2 (after Cody and Waite), and polynomials in r.

Sine and cosine share all but the last steps, so that the bits of one do not depend on whether the other is wanted, too.
"""

from typing import NamedTuple

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.constants import PI, parts
from nbad.functions.lines import Lines, Value, fast_sum


class Quadrant(NamedTuple):
    """Sine and cosine of r, each as the sum of two, and k as the low bits of a number; where it is odd."""

    sine: tuple[Value, Value]
    cosine: tuple[Value, Value]
    bits: Value
    odd: Value


def sin(e: Lines, x: Value) -> Value:
    """sin(x)."""
    return sincos(e, x)[0]


def cos(e: Lines, x: Value) -> Value:
    """cos(x)."""
    return sincos(e, x)[1]


def sincos(e: Lines, x: Value) -> tuple[Value, Value]:
    """sin(x) and cos(x)."""
    q = _quadrant(e, x)
    sine, cosine = q.sine[0] - q.sine[1], q.cosine[0] + q.cosine[1]
    return (_with_sign(e, e.where(q.odd, cosine, sine), q.bits), _with_sign(e, e.where(q.odd, sine, cosine), q.bits + 1))


def tan(e: Lines, x: Value) -> Value:
    """tan(x)."""
    q = _quadrant(e, x)
    r = q.sine[0]
    lost = e.fma(r, r, -(r * r))  # which the cosine alone can spare
    pairs = zip(fast_sum(r, -q.sine[1]), fast_sum(q.cosine[0], e.fma(lost, -0.5, q.cosine[1])), strict=True)
    (high, over_high), (low, over_low) = ((e.where(q.odd, -c, s), e.where(q.odd, s, c)) for s, c in pairs)
    inverse = 1.0 / over_high
    quotient = high * inverse
    rest = e.fma(-quotient, over_high, high) + e.fma(-quotient, over_low, low)
    return e.where(x.is_equal(0.0), x, e.fma(rest, inverse, quotient))


def _quadrant(e: Lines, x: Value) -> Quadrant:
    e.far = ~(e.abs(x) < e.pick(2.0**20, 2.0**17))
    magic = 1.5 * 2.0**e.fraction
    shifted = e.fma(x, 1 / parts(PI, e.dtype, 1, "0.5")[0], magic)
    k = shifted - magic
    r, low = _rest(e, x, k)
    s = r * r
    w = s * s
    sine = r, e.fma(r * s, e.polynomial(COEFFICIENTS["sin"][e.dtype], s), e.fma(s * low, -0.5, low))
    one = e.fma(s, -0.5, 1.0)
    lost = e.fma(s, -0.5, 1.0 - one)
    cosine = one, e.fma(w, e.polynomial(COEFFICIENTS["cos"][e.dtype], s), e.fma(r, low, lost))
    bits = e.to_bits(shifted)
    return Quadrant(sine, cosine, bits, (bits & 1).differs(0))


def _rest(e: Lines, x: Value, k: Value) -> tuple[Value, Value]:
    """r as a difference of two: what is taken from it is positive for x = -0.0, whose sign so stays."""
    a, b, c = parts(PI, e.dtype, 3, "0.5", e.pick((53, 33), (24, 24)))
    first = e.fma(k, -a, x)
    if e.double:  # the product of 33 bits with k is exact
        r = e.fma(k, -b, first)
        return r, e.fma(k, c, e.fma(k, b, r - first))
    product = k * b
    r = first - product
    return r, ((r - first) + product) + e.fma(k, c, e.fma(k, b, -product))


def _with_sign(e: Lines, x: Value, bits: Value) -> Value:
    """Negative where the second of these bits is set."""
    return e.from_bits(e.to_bits(x) ^ ((bits & 2) << (e.bits - 2)))
