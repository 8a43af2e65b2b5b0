"""Constants of more bits than a number has, as sums of two or three: each is given in 60 digits."""

from collections.abc import Sequence
from fractions import Fraction

ONE = "1"
LN_2 = "0.693147180559945309417232121458176568075500134360255254120680"
LOG_2_E = "1.44269504088896340735992468100189213742664595415298593413545"
LOG_10_E = "0.434294481903251827651128918916605082294397005803666566114454"
LOG_10_2 = "0.301029995663981195213738894724493026768189881462108541310427"
PI = "3.14159265358979323846264338327950288419716939937510582097494"
ATAN_HALF = "0.463647609000806116214256231461214402028537054286120263810933"
ATAN_3_HALVES = "0.982793723247329067985710611014666014496877453631628556761425"


def parts(digits: str, dtype: str, count: int, factor: str = "1", bits: Sequence[int] = ()) -> list[float]:
    """A positive number as the sum of numbers of a dtype, each cut off, so that all are positive or 0: signs of zeros stay right.

    Parameters
    ----------
    digits : str
    dtype : "float64" or "float32"
    count : int
    factor : str
        The number is multiplied by it.
    bits : sequence of int
        Bits of each part but the last; all that fit where it is empty.

    Examples
    --------
    >>> parts(PI, "float64", 2)
    [3.141592653589793, 1.224646799147353e-16]
    """
    pieces, left = [], Fraction(digits) * Fraction(factor)
    whole = 53 if dtype == "float64" else 24
    for length in bits or (whole,) * (count - 1):
        pieces.append(_cut(left, length))
        left -= Fraction(pieces[-1])
    return [*pieces, _cut(left, whole)]


def _cut(number: Fraction, bits: int) -> float:
    """The greatest number of so many bits that is not above a positive one."""
    unit = Fraction(2) ** (number.numerator.bit_length() - number.denominator.bit_length() - bits)
    while number >= unit * 2**bits:
        unit *= 2
    return float(number // unit * unit)
