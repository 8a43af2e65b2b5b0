"""`pullback.jacobian`: the per-element blocks, from the residuals of a sweep that is done."""

import math

import numpy as np
import pytest
from helpers.same_bits import bits
from helpers.wide_kernels import softmax
from numpy.testing import assert_allclose, assert_array_equal

import kernels
import nbad
from nbad.plans.policies import POLICIES


@nbad.kernel(signature="(2),()->(2),()")
def mixed(v, t):
    """Vectors in and out; entries that are constant, zero, equal to others, and inputs."""
    return np.array([v[0] * math.exp(t), 3.0 * v[1]]), v[0] * v[1]


def mixed_blocks(v, t):
    """Its Jacobian, by hand."""
    v, t = np.broadcast_arrays(v, np.asarray(t)[..., None])
    a, b, t = v[..., 0], v[..., 1], t[..., 0]
    zero, e = np.zeros_like(a), np.exp(t)
    rows = [[e, zero, a * e], [zero, zero + 3.0, zero], [b, a, zero]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


@pytest.mark.parametrize("policy", [*POLICIES, "auto", ("t",)])
def test_blocks_of_every_policy(policy, rng):
    v, t = rng.normal(size=(7, 2)), rng.normal(size=7)
    _, pullback = nbad.vjp(mixed, v, t, residuals=policy)
    assert_allclose(pullback.jacobian(), mixed_blocks(v, t), rtol=1e-15)
    assert bits(pullback.jacobian()) == bits(pullback.jacobian())
    if policy == "partials":
        assert bits(pullback.jacobian()) == bits(nbad.jacobian(mixed)(v, t))


@pytest.mark.parametrize("shapes", [((), ()), ((1,), (3, 1)), ((2, 1), (3,)), ((3,), (0,)[:0]), ((0,), ()), ((600, 9), (9,))])
def test_broadcast_arguments_have_columns_in_each_block(shapes, rng):
    """Whether the sweep is one call for few elements or not."""
    v, t = rng.normal(size=(*shapes[0], 2)), rng.normal(size=shapes[1])
    y, pullback = nbad.vjp(mixed, v, t)
    J = pullback.jacobian()
    assert J.shape == (*np.shape(y[1]), 3, 3)
    assert_allclose(J, mixed_blocks(v, t), rtol=1e-15)


@pytest.mark.parametrize("has_out", [False, True])
def test_few_elements_are_one_call(has_out, rng, monkeypatch):
    v, t = rng.normal(size=(7, 2)), rng.normal(size=7)
    _, pullback = nbad.vjp(mixed, v, t)
    monkeypatch.setattr("nbad.runtime.reverse.Reverse.blocks", None)
    out = np.empty((7, 3, 3)) if has_out else None
    blocks = pullback.jacobian(out)
    assert blocks is out or not has_out
    assert_allclose(blocks, mixed_blocks(v, t), rtol=1e-15)


def test_columns_are_those_of_the_chosen_arguments():
    v, t = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.0, 1.0])
    _, pullback = nbad.vjp(mixed, v, t, argnums=("t", "v"))
    assert_allclose(pullback.jacobian(), mixed_blocks(v, t)[..., [2, 0, 1]], rtol=1e-15)
    _, pullback = nbad.vjp(mixed, v, t, argnums="t")
    assert_allclose(pullback.jacobian(), mixed_blocks(v, t)[..., [2]], rtol=1e-15)


@pytest.mark.parametrize("count", [5, 5000])
def test_out_of_any_strides_is_filled_and_returned(count, rng):
    v, t = rng.normal(size=(count, 2)), rng.normal(size=count)
    _, pullback = nbad.vjp(mixed, v, t)
    expected = mixed_blocks(v, t)
    for out in (np.empty((count, 3, 3)), np.empty((3, 3, count)).T, np.empty((2 * count, 3, 3))[::-2]):
        assert pullback.jacobian(out) is out
        assert_allclose(out, expected, rtol=1e-15)
        out[...] = 0.0
    assert_allclose(pullback.jacobian(out=None), expected, rtol=1e-15)


def test_out_that_does_not_fit_is_refused():
    _, pullback = nbad.vjp(kernels.square, np.ones(4))
    with pytest.raises(ValueError, match=r"`pullback.jacobian`: out= for out has a wrong shape"):
        pullback.jacobian(out=np.empty((4, 1)))
    with pytest.raises(TypeError, match="never cast"):
        pullback.jacobian(np.empty((4, 1, 1), np.float32))
    with pytest.raises(TypeError, match=r"pullback\.jacobian\(\)"):
        pullback.jacobian(None, True)


def test_float32_stays_float32():
    x = np.linspace(0.5, 2.0, 5, dtype=np.float32)
    J = nbad.vjp(kernels.square, x)[1].jacobian()
    assert J.dtype == np.float32
    assert_array_equal(J[:, 0, 0], 2 * x)


@pytest.mark.parametrize("count", [1, 3000])
def test_constant_blocks_need_no_residual(count):
    f = nbad.kernel(lambda x, y: (3.0 * x - y, x))
    _, pullback = nbad.vjp(f, np.ones(count), 2.0)
    assert pullback.residuals.nbytes == 0
    assert_array_equal(pullback.jacobian(), np.broadcast_to([[3.0, -1.0], [1.0, 0.0]], (count, 2, 2)))


@pytest.mark.parametrize("seeds", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_blocks_of_a_map_that_keeps_inner_vertices(seeds, rng):
    """softmax: y_m (1 if m is n else 0, less y_n)."""
    f, x = softmax(8), rng.normal(size=(300, 8))
    y, pullback = nbad.vjp(f, x, seeds=seeds)
    (y,) = y if isinstance(y, tuple) else (y,)
    expected = y[..., :, None] * (np.eye(8) - y[..., None, :])
    assert_allclose(pullback.jacobian(), expected, rtol=1e-13, atol=1e-16)
    assert_allclose(pullback.jacobian(), nbad.jacobian(f)(x), rtol=1e-13, atol=1e-16)


def test_blocks_under_a_bound_of_memory(rng):
    v, t = rng.normal(size=(3000, 2)), rng.normal(size=3000)
    _, pullback = nbad.vjp(mixed, v, t, max_bytes=100_000)
    assert_allclose(pullback.jacobian(), mixed_blocks(v, t), rtol=1e-15)


def test_arms_that_are_not_taken_leave_no_trace():
    f = nbad.kernel(lambda x: math.sqrt(x) if x > 0 else 2.0 * x)
    for policy in POLICIES:
        _, pullback = nbad.vjp(f, np.array([-1.0, 0.0, 4.0]), residuals=policy)
        assert_array_equal(pullback.jacobian()[:, 0, 0], [2.0, 2.0, 0.25])


@pytest.mark.parametrize("policy", POLICIES)
def test_bits_do_not_depend_on_how_many_elements_there_are(policy, rng):
    v, t = rng.normal(size=(3000, 2)), rng.normal(size=3000)
    J = nbad.vjp(mixed, v, t, residuals=policy)[1].jacobian()
    for part in (slice(7, 8), slice(100, 171), slice(2990, 3000)):
        assert bits(nbad.vjp(mixed, v[part], t[part], residuals=policy)[1].jacobian()) == bits(J[part])


def test_a_closed_pullback_is_refused():
    _, pullback = nbad.vjp(kernels.square, 3.0)
    pullback.close()
    with pytest.raises(ValueError, match="`pullback` is closed"):
        pullback.jacobian()


def test_seeds_and_blocks_do_not_see_one_another(rng):
    v, t = rng.normal(size=(40, 2)), rng.normal(size=40)
    _, pullback = nbad.vjp(mixed, v, t)
    before = pullback((1.0, 1.0))
    pullback.jacobian()[...] = np.nan
    for one, other in zip(before, pullback((1.0, 1.0)), strict=True):
        assert bits(one) == bits(other)
