"""What counts as the same bits, and what as near."""

import math

import numpy as np
import pytest

from nbad.testing.comparisons import CheckFailure, Near, Same, compare


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (0.0, -0.0),
        (1.0, np.nextafter(1.0, 2.0)),
        (np.float32(1.0), np.float64(1.0)),
        (np.ones(2), np.ones(3)),
        (np.nan, 1.0),
        ((), (0,)),
    ],
)
def test_same_means_the_same_bits(got, expected):
    with pytest.raises(CheckFailure, match="this fails: that"):
        compare("f", "this", Same("that", got, expected))


def test_same_takes_any_nan_and_any_byte_order():
    a = np.array([[1.0, np.nan, -0.0]])
    assert compare("f", "this", Same("that", a, np.copysign(a, [[1.0, -1.0, -1.0]]).astype(">f8"))) == 3


@pytest.mark.parametrize("got", [1.1, math.nan, math.inf, -1.0])
def test_near_rejects(got):
    with pytest.raises(CheckFailure, match=r"this fails: that[\s\S]*within 0\.01"):
        compare("f", "this", Near("that", got, 1.0, 0.01))


@pytest.mark.parametrize(
    ("got", "expected", "bound"),
    [(1.0, 1.01, 0.02), (math.nan, math.nan, 0.0), (math.inf, math.inf, math.nan), (1.0, 1.0 + 1e-9, math.nan), (0.0, -0.0, 0.0)],
)
def test_near_accepts(got, expected, bound):
    assert compare("f", "this", Near("that", got, expected, bound)) == 1


def test_a_lost_bound_still_compares():
    with pytest.raises(CheckFailure, match="this fails"):
        compare("f", "this", Near("that", 1.0, 1.0001, math.nan))
    assert compare("f", "this", Near("that", 1.0, 1.0001, math.nan, unknown=True)) == 1
