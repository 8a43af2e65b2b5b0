"""`match` whose guards and numbers are of traced values: as in plain Python, element by element."""

import enum
import math

import numpy as np
import pytest

import nbad

XS = [0.3, -1.0, 2.0, 0.0, 1.0, -0.6, 5.0]


class Kind(enum.Enum):
    LINEAR = 1
    SQUARE = 2


class Point:
    __match_args__ = ("u", "v")

    def __init__(self, u, v):
        self.u, self.v = u, v


def guards(x):
    match x:
        case _ if x < 0:
            f = -x
        case _ if 0 <= x < 1:
            f = x * x
        case r if r > 1.5:
            f = math.sqrt(r)
        case _:
            f = 7.0 * x
    return f


def returns(x):
    match x:
        case v if v <= 0:
            return v * 2
        case v if v <= 1:
            return v * 3
        case _:
            return 1.0


def numbers(x):
    match x:
        case 0 | 1:
            return 5.0
        case -1.0:
            return 6.0
        case 2:
            return x * x
    return x


def captures(x):
    match Point(x, 1.0):
        case Point(u, v) if u > v:
            z = u - v
        case Point(u=w) if w < -0.7:
            z = 3 * w
        case [a, _]:
            z = a
        case other:
            z = other.u * 5
    return z


def sequences(x):
    match (x, 2.0, "s"):
        case (a, b, "t") if a > b:
            z = 1.0
        case (a, b, "s") if a < 0.5:
            z = a * b
        case (a, *rest):
            z = a * rest[0] + 1
    return z


def a_name_that_failed_to_match_is_bound(x):
    match x:
        case y if x > 100:
            pass
        case _ if x > 0:
            y = y + 1
    return y


def structures(x):
    total = 0.0
    for kind in ("a", Kind.LINEAR, Kind.SQUARE, 3, None, [1, 2], {"k": x}):
        match kind:
            case "a":
                total += x
            case Kind.LINEAR:
                total += 2 * x
            case 3 if x > 0:
                total += 3
            case 3:
                total -= 3
            case None:
                total *= 2
            case [a, b] if a < b:
                total += a * x
            case {"k": v} if v > 1:
                total += v
            case {"k": v}:
                total -= v
            case _:
                total += 100
    return total


def jumps(x):
    total = 0.0
    for k in range(6):
        match k:
            case 1:
                continue
            case n if n > 4:
                break
            case n if n * x > 2:
                total += 1
                if total > 2.5:
                    break
            case n:
                total += n * x
        total += 0.1
    return total


def a_loop_until_a_case(x):
    n = 0
    while True:
        match x:
            case _ if x > 3:
                break
            case _ if x < 0:
                x = x + 1.5
                n += 1
                continue
            case _:
                x = x * 1.3 + 0.1
        n += 1
    return x + n


def many_cases(x):
    y = 10 * x
    match y:
        case a if a < 0:
            z = a
        case 0.0:
            z = 1.0
        case b if b < 2:
            z = b * b
        case c if c < 4:
            z = c * c
        case d if d < 6:
            z = d + 1
        case e if e < 8:
            z = e + 2
        case 10 | 12:
            z = 3.0
        case f if f < 14:
            z = f + 4
        case g if g < 18:
            z = g + 5
        case 20.0:
            z = 6.0
        case h:
            z = h
    return z


KERNELS = [
    guards, returns, numbers, captures, sequences, a_name_that_failed_to_match_is_bound, structures, jumps, a_loop_until_a_case,
    many_cases,
]  # fmt: skip


@pytest.mark.parametrize("function", KERNELS)
def test_as_in_plain_python(function):
    np.testing.assert_array_equal(nbad.kernel(function)(XS), [function(x) for x in XS])


def test_derivatives_are_those_of_the_case():
    np.testing.assert_allclose(nbad.grad(nbad.kernel(guards))([-1.0, 0.3, 4.0, 1.2]), [-1.0, 0.6, 0.25, 7.0], rtol=1e-15)
