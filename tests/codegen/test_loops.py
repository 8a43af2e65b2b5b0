"""Loops on data as machine code: the interpreter's bits, tails of vectors, loops in loops, blocks of any length."""

import time

import numba
import numpy as np
import pytest
from helpers.loops import EXAMPLES, Steps, graph_of, kepler, nested, oscillator, untaken, where
from helpers.tiles_by_hand import compile_tile, run_tile

from nbad.codegen.lower import lower
from nbad.codegen.python_source import print_python
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.interpreter import evaluate
from nbad.graphs.simplify import simplify

examples = pytest.mark.parametrize("name", EXAMPLES)
dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])
EXACT = ("oscillator", "gcd", "nested", "untaken", "collatz")  # no function of the C library


def columns(points, dtype="float64", count=None):
    """The points as inputs, repeated up to a number of elements."""
    return [np.resize(np.array(column, dtype), count or len(points)) for column in zip(*points, strict=True)]


def compiled(graph, inputs, math="simd"):
    return run_tile(compile_tile(lower(graph, inputs[0].dtype.name, math)), *inputs)


@dtypes
@pytest.mark.parametrize("name", EXACT)
def test_vector_code_has_the_bits_of_the_interpreter(name, dtype):
    function, points = EXAMPLES[name]
    graph, inputs = graph_of(len(points[0]), function), columns(points, dtype, 37)
    for got, expected in zip(compiled(graph, inputs), evaluate(graph, *inputs), strict=True):
        np.testing.assert_array_equal(got, expected)


@dtypes
def test_newton_steps_of_each_lane_end_where_its_own_step_is_small(dtype):
    graph, inputs = graph_of(2, kepler), columns(EXAMPLES["kepler"][1], dtype)
    expected = [kepler(float(m), float(e)) for m, e in zip(*inputs, strict=True)]
    np.testing.assert_allclose(compiled(graph, inputs)[0], expected, rtol=4 * np.finfo(dtype).eps, atol=0)


@dtypes
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 17, 31])
def test_an_element_has_the_same_bits_wherever_it_stands(count, dtype):
    graph, inputs = graph_of(2, kepler), columns(EXAMPLES["kepler"][1], dtype, 40)
    (whole,) = compiled(graph, inputs)
    np.testing.assert_array_equal(compiled(graph, [x[:count] for x in inputs])[0], whole[:count])
    np.testing.assert_array_equal(compiled(graph, [x[3 : 3 + count] for x in inputs])[0], whole[3 : 3 + count])


def test_a_loop_in_an_arm_that_is_not_taken_never_runs_away():
    x, y = np.full(9, 2.0), np.full(9, 3.0)
    np.testing.assert_array_equal(compiled(graph_of(2, untaken), [x, y])[0], 6.0)


def unrolled(step, passes):
    """The same passes as straight-line code, one after the other, for all elements."""

    def call(*inputs):
        states, captured = inputs[: step.states], inputs[step.states :]
        for _ in range(passes):
            goes_on, following = step.step(*states, *captured)
            states = [goes_on.apply("select", new, old) for new, old in zip(following, states, strict=True)]
        return states

    return call


@dtypes
@pytest.mark.parametrize("math", ["simd", "libm"])
def test_a_pass_has_the_bits_of_straight_line_code(dtype, math):
    def step(x, v, a):
        force = -a * x.apply("sin") + (x * v).apply("exp") / (v * v + a)
        return v * v < 9.0, (x + 0.125 * v, v + 0.125 * force)

    loop = Steps(step, 2, 1, max_passes=12)
    x, v, a = np.random.default_rng(3).uniform(-1, 1, (3, 50)).astype(dtype)
    inputs = [x, v, abs(a)]
    got = compiled(graph_of(3, lambda x, v, a: loop([x, v], [a])[:2]), inputs, math)
    for value, expected in zip(got, compiled(graph_of(3, unrolled(loop, 12)), inputs, math), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_conditions_may_need_the_whole_step_and_states_may_be_swapped():
    steps = Steps(lambda a, b, n: ((c := a + b) < n, (b, c)), 2, 1)
    graph = graph_of(1, lambda n: steps([n * 0.0, n * 0.0 + 1.0], [n]))
    first, second, unfinished = compiled(graph, [np.array([2.0, 10.0, 100.0, -1.0])])
    np.testing.assert_array_equal(first, [0.0 + 1, 5, 55, 0])
    np.testing.assert_array_equal(second, [1, 8, 89, 1])
    np.testing.assert_array_equal(unfinished, 0.0)


def test_inputs_and_results_may_be_states_and_constants():
    steps = Steps(lambda a, b: (b < 3.0, (a, b + 1.0)), 2, 0)
    graph = graph_of(2, lambda x, y: (steps([x, y], [])[0], x, 7.0, steps([x, y], [])[1], steps([1.0, y], [])[2]))
    got = compiled(graph, [np.arange(5.0), np.arange(5.0)])
    for value, expected in zip(got, [np.arange(5.0), np.arange(5.0), np.full(5, 7.0), [3, 3, 3, 3, 4], np.zeros(5)], strict=True):
        np.testing.assert_array_equal(value, expected)


def long_step(length):
    """A step of many operations, which are several blocks."""

    def step(y, x):
        for k in range(length):
            y = y * 0.5 + x / (k + 1.0)
        return y < 100.0, (y,)

    return Steps(step, 1, 1, max_passes=3)


@pytest.mark.parametrize("length", [10, 100, 200, 1000])
def test_steps_of_several_blocks(length):
    steps = long_step(length)
    graph, inputs = graph_of(2, lambda x, y: steps([y], [x])[0] * x), [np.linspace(0, 1, 11), np.linspace(0, 150, 11)]
    np.testing.assert_array_equal(compiled(graph, inputs)[0], evaluate(graph, *inputs)[0])


def test_two_loops_one_after_the_other_and_straight_lines_between():
    steps = long_step(150)

    def two(x, y):
        first, _ = steps([y], [x])
        for k in range(500):
            x = x * 0.25 + k
        return steps([x], [first])[0] + first

    graph, inputs = graph_of(2, two), [np.linspace(0, 1, 11), np.linspace(0, 150, 11)]
    np.testing.assert_array_equal(compiled(graph, inputs)[0], evaluate(graph, *inputs)[0])


def test_time_to_compile_does_not_depend_on_the_passes():
    def seconds(passes):
        steps = Steps(lambda y, k, x: (k < float(passes), (y + x / (k + 1.0), k + 1.0)), 2, 1, max_passes=passes)
        graph = graph_of(1, lambda x: steps([x, 0.0], [x])[0])
        start = time.perf_counter()
        kernel = compile_tile(lower(graph))
        taken = time.perf_counter() - start
        value = run_tile(kernel, np.array([1.0]))[0][0]
        assert value == pytest.approx(1.0 + np.sum(1.0 / np.arange(1.0, passes + 1.0)), rel=1e-12)
        return taken

    assert max(seconds(10), seconds(100_000)) < 1.0


def test_a_loop_is_printed_once_for_all_its_states():
    text = compile_tile(lower(graph_of(4, oscillator))).llvm
    assert text.count("icmp ne i") == 1


@pytest.mark.parametrize("name", EXACT)
def test_printed_python_has_the_same_bits(name):
    function, points = EXAMPLES[name]
    graph, namespace = simplify(graph_of(len(points[0]), function)), {}
    exec(print_python(lower(graph)), namespace)
    for point in points:
        np.testing.assert_array_equal(namespace["f"](*point), np.squeeze(evaluate(graph, *point)))


@dtypes
def test_printed_python_has_the_same_bits_under_numba(dtype):
    """Loops in loops, derivatives, functions of the C library, elements that are not active."""
    joint = jacobian(graph_of(2, lambda x, y: nested(abs(y), x) + kepler(x, 0.25 * y) + untaken(x, y)), (0, 1))
    oplist, namespace = lower(simplify(joint.graph), dtype, "libm"), {}
    exec(print_python(oplist), namespace)
    scalar = numba.njit(error_model="numpy")(namespace["f"])
    inputs = [np.array([3.0, 0.5, 1.0, -2.0], dtype), np.array([0.5, 1.5, 2.0, -3.0], dtype)]
    with np.errstate(all="ignore"):
        expected = np.array([scalar(*point) for point in zip(*inputs, strict=True)], dtype)
    np.testing.assert_array_equal(np.array(run_tile(compile_tile(oplist), *inputs)).T, expected)


def test_text_of_the_python_source():
    steps = Steps(lambda y, x: (y < x, (y * x,)), 1, 1, max_passes=7)
    lines = print_python(lower(graph_of(2, lambda x, y: steps([y], [x], x > 1.0)))).splitlines()
    assert lines[5:] == [
        "def f(x0, x1):",
        "    v3 = x0 > 1.0",
        "    passes4, z0 = 0, x1",
        "    while True:",
        "        v4_2 = z0 < x0",
        "        more4 = v4_2 and v3",
        "        if not more4 or passes4 == 7:",
        "            break",
        "        v4_3 = z0 * x0",
        "        passes4, z0 = passes4 + 1, v4_3",
        "    v5 = 1.0 if more4 else 0.0",
        "    return z0, v5",
    ]


COUNTED = (lambda x, v, k, a: (k < 9.0, (v, x - a * v, k + 1.0)), 3, 1)


def test_loops_that_only_count_need_no_selects():
    steps = Steps(*COUNTED, max_passes=7)
    inputs = [np.linspace(-1, 1, 13), np.linspace(0, 1, 13)]
    for start, selects in ((0.0, 0), (5.0, 0), (None, 3)):
        graph = graph_of(2, lambda x, a, start=start: steps([x, a, x * 0.0 if start is None else start], [a]))
        kernel = compile_tile(lower(graph))
        assert kernel.llvm.count("= select") == selects + 1  # whether it was not done
        for got, expected in zip(run_tile(kernel, *inputs), evaluate(graph, *inputs), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_elements_that_are_not_active_keep_their_states_whatever_counts():
    steps = Steps(*COUNTED)
    graph = graph_of(2, lambda x, a: steps([x, a, 0.0], [a], x > 0.0))
    inputs = [np.linspace(-1, 1, 13), np.linspace(0, 1, 13)]
    for got, expected in zip(compiled(graph, inputs), evaluate(graph, *inputs), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_count_that_depends_on_data_through_another_state_is_none():
    steps = Steps(lambda x, k, d: (k < 6.0, (x * 0.5, k + d, where(x > 1.0, 1.0, d))), 3, 0)
    graph = graph_of(1, lambda x: steps([x, 0.0, 3.0], []))
    inputs = [np.linspace(0, 9, 21)]
    for got, expected in zip(compiled(graph, inputs), evaluate(graph, *inputs), strict=True):
        np.testing.assert_array_equal(got, expected)
