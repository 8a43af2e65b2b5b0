"""Random programs that write to objects and dicts: what is accepted has the values of plain Python."""

import numpy as np
import pytest
from helpers.random_objects import SETTING, Writer
from helpers.tracing import function_of, tally

import nbad
from nbad.errors import TraceError

POINTS = np.array([[0.3, -1.2, 2.0, 0.0, 0.9, -0.4], [-0.7, 0.4, 1.5, 0.0, 0.9, -2.0]])


def compare(seed):
    """Whether a program is accepted; if so, it must be right."""
    text = Writer(seed).program()
    f = function_of(text, f"<objects {seed}>", **SETTING)
    wanted = [value(f, *map(float, point)) for point in POINTS.T]
    if wanted.count(None) == len(wanted):  # a trace may raise where Python does for every element
        return False
    try:
        found = nbad.kernel(f, math="libm", errors="nan", max_operations=20_000)(*POINTS)
    except (TraceError, AttributeError):  # of an attribute that an arm reads before it is set
        return False
    found = np.where([each is None for each in wanted], None, found)
    np.testing.assert_array_equal(found, wanted, err_msg=f"{seed}:\n{text}")
    return True


def value(f, x, y):
    """What Python gives, or None where it raises: arithmetic that nobody catches is inf or nan in a kernel."""
    try:
        return f(x, y)
    except (ArithmeticError, ValueError):
        return None


def test_accepted_programs_with_objects_are_right():
    accepted, refused = tally(compare, range(12))
    assert accepted > refused / 2


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1400, 100))
def test_hundreds_of_accepted_programs_with_objects_are_right(first):
    accepted, refused = tally(compare, range(first, first + 100))
    assert accepted > refused / 2
