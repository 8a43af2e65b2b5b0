"""Exponentials and hyperbolic functions: `x = k*log(2) + r`, a polynomial in r, and 2**k by its bits (after Cody and Waite)."""

from typing import NamedTuple

from nbad.functions.coefficients import COEFFICIENTS
from nbad.functions.constants import LN_2, LOG_2_E, parts
from nbad.functions.exponents import scaled_by
from nbad.functions.lines import Lines, Value, fast_sum


class Reduced(NamedTuple):
    """`2**k * exp(r)`: `exp(r) - 1` as the sum of two, k, and k plus twice the bias of exponents as the low bits of a number."""

    high: Value
    low: Value
    k: Value
    bits: Value


def exp(e: Lines, x: Value) -> Value:
    """exp(x)."""
    return _whole(e, reduced(e, e.between(x, *e.pick((-746.0, 710.0), (-104.0, 89.0)))))


def exp2(e: Lines, x: Value) -> Value:
    """2**x."""
    return _whole(e, reduced_2(e, e.between(x, *e.pick((-1076.0, 1025.0), (-151.0, 129.0)))))


def expm1(e: Lines, x: Value) -> Value:
    """exp(x) - 1."""
    exact, rest, _, shifted = _reduced(e, e.between(x, *e.pick((-40.0, 710.0), (-20.0, 89.0))))
    r, lost = fast_sum(exact, rest)
    square = r * 0.5 * r  # half of it
    cube = r * square * e.polynomial(COEFFICIENTS["expm1"][e.dtype], r)
    high, low = fast_sum(r, square)
    low = low + (e.fma(r * 0.5, r, -square) + (cube + e.fma(lost, r, lost)))
    power = power_of_2(e, e.to_bits(shifted), -1)  # half of 2**k, which may overflow
    less = power - 0.5
    total, lost = fast_sum(less, power * high)
    result = (total + (lost + e.fma(power, low, (power - less) - 0.5))) * 2.0
    return e.where(e.abs(x) < e.pick(2.0**-54, 2.0**-25), x, result)


def sinh(e: Lines, x: Value) -> Value:
    """sinh(x)."""
    square = x * x
    near = e.fma(x * square, e.polynomial(COEFFICIENTS["sinh"][e.dtype], square), x)
    high, low = _quarter_of_exp(e, x)
    far = e.copysign((high + (low - 0.0625 / high)) * 2.0, x)
    return e.where(e.abs(x) < 1.0, near, far)


def cosh(e: Lines, x: Value) -> Value:
    """cosh(x)."""
    high, low = _quarter_of_exp(e, x)
    return (high + (low + 0.0625 / high)) * 2.0


def tanh(e: Lines, x: Value) -> Value:
    """tanh(x)."""
    a, square = e.abs(x), x * x
    near = e.fma(a * square, e.polynomial(COEFFICIENTS["tanh"][e.dtype], square), a)
    r = reduced(e, e.between(a, 0.0, e.pick(20.0, 10.0)) * 2.0)
    power = (r.high + r.low + 1.0) * power_of_2(e, r.bits, 0)
    far = 1.0 - 2.0 / (power + 1.0)
    return e.copysign(e.where(a < 0.625, near, far), x)


def reduced(e: Lines, x: Value, low: Value | None = None) -> Reduced:
    """exp(x), or that of `x + low`, by a polynomial in r."""
    exact, rest, k, shifted = _reduced(e, x)
    return _polynomial(e, exact, rest if low is None else rest + low, k, shifted)


def _reduced(e: Lines, x: Value) -> tuple[Value, Value, Value, Value]:
    """r as the sum of two, the first exact; k, and k as the low bits of a number."""
    high, low = parts(LN_2, e.dtype, 2)
    shifted = e.fma(x, parts(LOG_2_E, e.dtype, 1)[0], _magic(e))
    k = shifted - _magic(e)
    return e.fma(k, -high, x), k * -low, k, shifted


def reduced_2(e: Lines, x: Value, low: Value | None = None) -> Reduced:
    """2**x, or that of `x + low`."""
    high_2, low_2 = parts(LN_2, e.dtype, 2)
    shifted = x + _magic(e)
    k = shifted - _magic(e)
    fraction = x - k
    high = fraction * high_2
    rest = e.fma(fraction, low_2, e.fma(fraction, high_2, -high))
    return _polynomial(e, high, rest if low is None else e.fma(low, high_2, rest), k, shifted)


def scaled(e: Lines, x: Value, r: Reduced) -> Value:
    """`x * 2**k` in two steps, unless there is one for it: the last one rounds, or overflows."""
    if e.has_exponents:
        return scaled_by(e, x, r.k)
    half = r.bits >> 1
    first, second = (e.from_bits(part << e.fraction) for part in (half, r.bits - half))
    return x * first * second


def _magic(e: Lines) -> float:
    """A sum with it has whole numbers as its low bits, and k + 2*bias there is positive."""
    return 1.5 * 2.0**e.fraction + 2 * e.bias


def _polynomial(e: Lines, exact: Value, rest: Value, k: Value, shifted: Value) -> Reduced:
    r = exact + rest
    low = e.fma(r * r, e.polynomial(COEFFICIENTS["exp"][e.dtype], r), rest)
    return Reduced(exact, low, k, e.to_bits(shifted))


def _whole(e: Lines, r: Reduced) -> Value:
    return scaled(e, r.high + r.low + 1.0, r)


def power_of_2(e: Lines, bits: Value, more: int) -> Value:
    """2**(k + more)."""
    return e.from_bits((bits << e.fraction) + (more - e.bias << e.fraction))


def _quarter_of_exp(e: Lines, x: Value) -> tuple[Value, Value]:
    """A quarter of `exp(abs(x))`, half of the greater part of sinh and cosh, as the sum of two."""
    r = reduced(e, e.between(e.abs(x), 0.0, e.pick(710.5, 89.5)))
    high, low = fast_sum(e.constant(1.0), r.high)
    quarter = power_of_2(e, r.bits, -2)
    high, low = fast_sum(high, low + r.low)
    return high * quarter, low * quarter
