"""Random programs in the language of kernels: values and first derivatives against dual numbers on the same source."""

import contextlib
import math

import numpy as np
import pytest
from helpers import random_aliases, random_programs
from helpers.duals import MATH, NUMPY, value_and_partials
from helpers.tracing import function_of, of_graph, tally, traced

from nbad.errors import TraceError
from nbad.graphs.interpreter import evaluate

POINTS = np.random.default_rng(5).uniform(-2.0, 2.0, (24, 2))


def expected(text):
    """Value and partials at each point, by its number; points where Python itself fails have none."""
    oracle, found = function_of(text, "<oracle>", math=MATH, np=NUMPY), {}
    for k, point in enumerate(POINTS):
        with contextlib.suppress(UnboundLocalError):
            found[k] = value_and_partials(oracle, *point)
    return found


def compare(text, seed):
    """Whether a program is accepted; if so, it must be right."""
    wanted = expected(text)
    try:
        kernel = traced(function_of(text, f"<program {seed}>", math=math, np=np), "x y")
    except (TraceError, UnboundLocalError):  # the latter where an arm fails that Python may never enter
        return False
    places = list(wanted)
    for k, (got, tolerance) in enumerate(zip(of_graph(kernel.graph, *POINTS.T), (1e-9, 1e-7), strict=True)):
        right = np.array([pair[k] for pair in wanted.values()]).reshape(-1, *got.shape[1:])
        np.testing.assert_allclose(got[places], right, rtol=tolerance, atol=tolerance, err_msg=text)
    # an element without a value is one where Python fails; not the other way round, where nobody uses what it fails to read
    if kernel.flags is not None:
        flags = evaluate(kernel.flags.graph, *POINTS.T)
        assert not any(np.broadcast_to(flags[k], len(POINTS))[places].any() for k in kernel.flags.numbers), text
    return True


def run(seeds, writer=random_programs.Writer):
    return tally(lambda seed: compare(writer(seed).program(), seed), seeds)


def test_accepted_programs_are_right():
    accepted, refused = run(range(30))
    assert accepted > 3 * refused


def test_programs_that_alias_or_swallow_errors_are_right_or_refused():
    accepted, refused = run(range(30), random_aliases.Writer)
    assert accepted > 3
    assert refused > 3


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 4000, 500))
def test_thousands_of_accepted_programs_are_right(first):
    accepted, refused = run(range(first, first + 500))
    assert accepted > 3 * refused


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 4000, 500))
def test_thousands_of_programs_that_alias_or_swallow_errors(first):
    accepted, _ = run(range(first, first + 500), random_aliases.Writer)
    assert accepted > 50
