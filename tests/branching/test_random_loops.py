"""Random programs with loops on data: what is accepted has the values and the slopes of the same source on dual numbers."""

import math

import numpy as np
import pytest
from helpers.duals import MATH, NUMPY, value_and_partials
from helpers.random_loop_programs import Writer
from helpers.tracing import function_of, of_graph, tally, traced

from nbad.errors import TraceError

POINTS = np.random.default_rng(7).uniform(-2.0, 2.0, (16, 2))
LARGEST = 1e8  # beyond it what is rounded differently may take other branches


@np.errstate(all="ignore")  # what overflows is beyond LARGEST
def expected(text):
    """Values and partials by point, where Python computes any of a modest size."""
    oracle, found = function_of(text, "<oracle>", math=MATH, np=NUMPY), {}
    for k, point in enumerate(POINTS):
        try:
            value, partials = value_and_partials(oracle, *point)
        except (ArithmeticError, UnboundLocalError, ValueError):
            continue
        if np.abs([*value, *partials.ravel()]).max() < LARGEST:
            found[k] = value, partials
    return found


def compare(seed):
    """Whether a program is accepted; if so, it must be right."""
    text = Writer(seed).program()
    try:
        graph = traced(function_of(text, f"<program {seed}>", math=math, np=np), "x y").graph
    except (TraceError, UnboundLocalError):
        return False
    wanted = expected(text)
    for k, got in enumerate(of_graph(graph, *POINTS.T)):
        right = np.array([pair[k] for pair in wanted.values()]).reshape(-1, *got.shape[1:])
        np.testing.assert_allclose(got[list(wanted)], right, rtol=1e-7, atol=1e-7, err_msg=f"{seed}:\n{text}")
    return True


def test_accepted_programs_are_right():
    accepted, refused = tally(compare, range(12))
    assert accepted > refused


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 5000, 250))
def test_thousands_of_accepted_programs_are_right(first):
    accepted, refused = tally(compare, range(first, first + 250))
    assert accepted > refused
