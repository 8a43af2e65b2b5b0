"""The remainder of a division, which is exact: only the quotient is rounded, and its whole part is at most one too large."""

from nbad.functions.lines import Lines, Value


def fmod(e: Lines, x: Value, y: Value) -> Value:
    """The remainder of x by y with the sign of x; where the quotient has more digits than a number, by the C function."""
    a, b = e.abs(x), e.abs(y)
    quotient = a / b
    e.far = quotient > e.pick(2.0**53, 2.0**24)
    rest = e.fma(-e.trunc(quotient), b, a)
    rest = e.where(rest < 0.0, rest + b, rest)
    return e.copysign(e.where(a < b, a, rest), x)
