"""Random programs with loops on data: what is accepted has the values and the slopes of the same source on dual numbers."""

import math

import numpy as np
import pytest
from helpers.duals import MATH, NUMPY, value_and_partials
from helpers.random_loop_programs import Writer
from helpers.tracing import function_of, tally, traced

from nbad.derivatives.differentiate import jacobian
from nbad.errors import TraceError
from nbad.graphs.interpreter import evaluate

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
    places, joint = list(wanted), jacobian(graph, (0, 1))
    columns = [np.broadcast_to(column, len(POINTS)) for column in evaluate(joint.graph, *POINTS.T)]
    values = np.array(columns[: joint.n_outputs]).T
    partials = np.zeros((len(POINTS), joint.n_outputs, 2))
    for (m, n), column in zip(joint.positions, columns[joint.n_outputs :], strict=True):
        partials[:, m, n] = column
    for got, pairs in ((values, 0), (partials, 1)):
        right = np.array([pair[pairs] for pair in wanted.values()]).reshape(-1, *got.shape[1:])
        np.testing.assert_allclose(got[places], right, rtol=1e-7, atol=1e-7, err_msg=f"{seed}:\n{text}")
    return True


def test_accepted_programs_are_right():
    accepted, refused = tally(compare, range(12))
    assert accepted > refused


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 5000, 250))
def test_thousands_of_accepted_programs_are_right(first):
    accepted, refused = tally(compare, range(first, first + 250))
    assert accepted > refused
