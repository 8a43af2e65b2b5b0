"""Random programs that note what happens: what is accepted has happened for each element as in plain Python."""

import math

import numpy as np
import pytest
from helpers.random_events import Writer
from helpers.tracing import function_of, tally

import nbad
from nbad.errors import NbadError

XS = np.array([-1.3, -0.5, 0.0, 0.3, 1.0, 2.5])
POINTS = np.array([(x, y) for x in XS for y in (-0.7, 0.0, 0.5, 1.0, 2.0)]).T
UNCAUGHT = ZeroDivisionError, OverflowError, ValueError  # where compiled code has nan or infinity, if nobody catches them


def compare(seed):
    """Whether a program is accepted; if so, it must be right."""
    text = Writer(seed).program()
    f = function_of(text, f"<events {seed}>")
    try:
        found = np.transpose(nbad.kernel(f, errors="nan", math="libm")(*POINTS))
    except (NbadError, NameError, *UNCAUGHT):  # which Python raises, too, on every path
        return False
    except (LookupError, TypeError):
        for point in POINTS.T.tolist():
            with pytest.raises((LookupError, TypeError, NameError, *UNCAUGHT), match=r"\A"):
                f(*point)
        return False
    for point, values in zip(POINTS.T.tolist(), found, strict=True):
        try:
            wanted = f(*point)
        except UNCAUGHT:
            continue
        except (LookupError, TypeError, NameError):
            wanted = (math.nan,) * 4
        np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=1e-12, err_msg=f"{seed} at {point}:\n{text}")
    return True


def test_what_happens_in_accepted_programs_is_right():
    accepted, refused = tally(compare, range(8))
    assert accepted > refused


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1200, 50))
def test_what_happens_in_many_accepted_programs_is_right(first):
    accepted, refused = tally(compare, range(first, first + 50))
    assert accepted > refused
