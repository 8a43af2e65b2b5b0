"""Loops on data through the calls that users make: the harness, every verb, threads and tails, what is told of them."""

import numpy as np
import pytest
from helpers import nested_duals as duals
from helpers.loops import EXAMPLES, kepler, kernel_of, nested, oscillator, untaken

import nbad
from nbad.errors import TraceError


def swing(x, v):
    """Of the oscillator, by what it begins with."""
    return oscillator(x, v, 2.0, 0.5)


SAMPLES = {
    kepler: lambda rng: (rng.uniform(-3, 3, 40), rng.uniform(0, 0.9, 40)),
    swing: lambda rng: rng.uniform(0.25, 1.0, (2, 30)),
    nested: lambda rng: (rng.uniform(0.5, 3, 30), rng.uniform(2, 9, 30)),
    untaken: lambda rng: (rng.uniform(-3, 3, 40), rng.uniform(-4, 4, 40)),
}


def columns(function):
    return SAMPLES[function](np.random.default_rng(5))


@pytest.mark.slow
@pytest.mark.parametrize("function", SAMPLES)
def test_the_harness_finds_nothing(function):
    nbad.testing.check_kernel(kernel_of(function), *columns(function))


def test_the_harness_finds_nothing_in_a_loop_that_some_elements_take():
    nbad.testing.check_kernel(kernel_of(untaken), *(x[::5] for x in columns(untaken)))


@pytest.mark.parametrize("policy", ["partials", "mincut", "recompute", "auto"])
@pytest.mark.parametrize("name", ["kepler", "oscillator"])
def test_pullbacks_of_all_policies(name, policy):
    function, points = EXAMPLES[name]
    columns = [np.resize(np.array(column), 1003) for column in zip(*points, strict=True)]
    y, pullback = nbad.vjp(kernel_of(function), *columns, residuals=policy)
    cotangents = np.array(pullback((1.0, 2.0) if isinstance(y, tuple) else 1.0)).T
    for k, point in enumerate(points):
        rows = duals.jacobian(function, point)
        expected = np.broadcast_to(np.arange(1.0, len(rows) + 1.0) @ rows, cotangents[k :: len(points)].shape)
        np.testing.assert_allclose(cotangents[k :: len(points)], expected, rtol=1e-12, atol=1e-13)


def test_second_and_third_derivatives():
    f = kernel_of(kepler)
    second = nbad.grad(nbad.grad(f, 0), 1)
    third = nbad.grad(second, 0)
    plain = duals.derivative(duals.derivative(kepler, 0), 1)
    for point in [(1.0, 0.5), (2.0, 0.8)]:
        assert second(*point) == pytest.approx(plain(*point)[0], rel=1e-12)
        assert third(*point) == pytest.approx(duals.derivative(plain, 0)(*point)[0], rel=1e-11)


def test_tangents_and_jacobians():
    f, point = kernel_of(oscillator), EXAMPLES["oscillator"][1][0]
    expected = duals.jacobian(oscillator, point)
    np.testing.assert_allclose(nbad.jacobian(f)(*point), expected, rtol=1e-12, atol=1e-15)
    _, tangents = nbad.jvp(f, point, (1.0, 2.0, 3.0, 4.0))
    np.testing.assert_allclose(tangents, expected @ [1.0, 2.0, 3.0, 4.0], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("count", [1, 5, 100, 1025, 70_001])
def test_tails_never_run_away(count, dtype):
    """A loop of a billion passes where x is not positive: what pads a vector or a tile must be none of these."""
    x, y = np.full(count, 2.0, dtype), np.full(count, 3.0, dtype)
    f = kernel_of(untaken)
    np.testing.assert_array_equal(f(x, y), 6.0)
    np.testing.assert_array_equal(f(x[:, None], y[:, None])[::2, 0], 6.0)
    (dx, dy) = nbad.vjp(f, x, y)[1](np.ones(count, dtype))
    np.testing.assert_array_equal(dx, 3.0)
    np.testing.assert_array_equal(dy, 2.0)


def test_bits_do_not_depend_on_which_call_computes_them():
    f = kernel_of(kepler)
    m, e = np.linspace(-3, 3, 5000), np.linspace(0, 0.9, 5000)
    value = f(m, e)
    np.testing.assert_array_equal(nbad.vjp(f, m, e)[0], value)
    np.testing.assert_array_equal(nbad.value_and_jacobian(f)(m, e)[0], value)
    np.testing.assert_array_equal([f(a, b) for a, b in zip(m[:50], e[:50], strict=True)], value[:50])


def test_numbers_that_all_elements_share_loop_once():
    f = kernel_of(lambda x, m, e: x * kepler(m, e))
    x = np.linspace(0, 1, 10_000)
    np.testing.assert_array_equal(f(x, 1.0, 0.5), x * kernel_of(kepler)(1.0, 0.5))


@pytest.mark.parametrize("stage", ["graph", "partials", "plan", "source", "llvm"])
def test_every_stage_is_shown(stage):
    assert nbad.show(kernel_of(kepler), stage).count("loop") + nbad.show(kernel_of(kepler), stage).count("while") > 0


def test_what_loops_cost_is_told():
    told = nbad.explain(kernel_of(kepler), np.ones(10), 0.5)
    assert told.policies[0].forward.flops > 8 * 60
    told = nbad.explain(kernel_of(lambda m, e: kepler(m, e) * e), np.ones(10), 0.5)
    assert "`loop` is too expensive to repeat" in [residual.reason for residual in told.policies[2].residuals]


@pytest.mark.parametrize("method", ["sympy", "latex"])
def test_loops_have_no_formula(method):
    f = kernel_of(kepler)
    with pytest.raises(TraceError, match=r"kepler.*a loop whose passes depend on traced values has no formula") as caught:
        getattr(f, method)()
    assert "fix: nbad.show(kepler, 'graph')" in str(caught.value)


def test_a_check_names_a_loop_in_which_numbers_are_lost():
    f = kernel_of(lambda x, limit: nested(x, limit))
    with nbad.debugging(), pytest.raises(FloatingPointError, match="first in `loop`"):
        f(np.array([1.0, -3.0]), 5.0)
