"""Masks and writes in place, for numbers that stand for elements and for arrays; right is what NumPy makes of arrays of one."""

import linecache
import re

import numpy as np
import pytest
from helpers.random_masks import Writer
from numpy.testing import assert_allclose

import nbad
from nbad.errors import TraceError
from nbad.graphs.interpreter import evaluate
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace

POINTS = np.array([[-1.3, 0.4], [0.15, 0.8], [0.9, -0.6], [2.1, 2.0], [0.0, 0.3]])


def program(seed):
    source, name = Writer(seed).program(), f"<masks {seed}>"
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    scope = {"np": np}
    exec(compile(source, name, "exec"), scope)
    return scope["kernel"], source


def plain(kernel, point, make):
    """What NumPy makes of arrays of one element, or without axes; None where it raises."""
    try:
        return float(np.ravel(kernel(*map(make, point)))[0])
    except (TypeError, IndexError, ValueError):
        return None


def run_program(seed):
    """Compare one program's graph with NumPy; the text of the error where it is refused."""
    kernel, source = program(seed)
    try:
        graph = trace(kernel, [Argument("x"), Argument("y")], {}).graph
    except TraceError as error:
        return str(error)
    for point in POINTS:
        (found,) = evaluate(graph, *point)
        for make in (lambda v: np.array([v]), np.array):
            expected = plain(kernel, point, make)
            if expected is not None:
                assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=f"{source}{point}")
    return ""


KNOWN = (
    "uses a number after its array was written to under another name|writes to a list or array that has several names|"
    "returns on a traced value, and changes what outlives the call|combines items that different conditions pick|"
    "writes real numbers among|writes into .*, which nobody can write to"
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("first", range(0, 400, 100))
def test_random_programs(first):
    """Refused is what another name could see, and nothing else; nothing is accepted wrongly."""
    refusals = [text for seed in range(first, first + 100) if (text := run_program(seed))]
    assert [text for text in refusals if not re.search(KNOWN, text)] == []
    assert len(refusals) < 60


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("first", range(1000, 6000, 500))
def test_many_random_programs(first):
    refusals = [text for seed in range(first, first + 500) if (text := run_program(seed))]
    assert [text for text in refusals if not re.search(KNOWN, text)] == []


def test_kernels_compute_as_graphs_do():
    """The same through compiled code, with the derivative."""
    found = 0
    for seed in range(12):
        kernel, source = program(seed)
        f = nbad.kernel(kernel)
        try:
            y = f(*POINTS.T)
        except TraceError:
            continue
        expected = [plain(kernel, point, lambda v: np.array([v])) for point in POINTS]
        assert_allclose(y, expected, rtol=1e-12, err_msg=source)
        found += 1
    assert found > 3
