"""Random programs with long loops: what is accepted has the values of plain Python."""

import numpy as np
import pytest
from helpers.random_passes import SETTING, Writer, items
from helpers.tracing import function_of, tally

import nbad
from nbad.errors import TraceError

POINTS = np.array([[0.1, 0.45, 0.6, 0.9, 1.3, 2.0], [0.3, -0.2, 1.0, 0.8, -1.1, 0.5]])


def compare(seed):
    """Whether a program is accepted; if so, it must be right."""
    text = Writer(seed).program()
    f = function_of(text, f"<passes {seed}>", items=items, **SETTING)
    try:
        found = nbad.kernel(f)(*POINTS)
    except TraceError:
        return False
    wanted = [f(*map(float, point)) for point in POINTS.T]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12, err_msg=f"{seed}:\n{text}")
    return True


def test_accepted_long_loops_are_right():
    accepted, refused = tally(compare, range(4))
    assert accepted > refused


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1400, 100))
def test_hundreds_of_accepted_long_loops_are_right(first):
    accepted, refused = tally(compare, range(first, first + 100))
    assert accepted > refused
