"""`out=` and `accumulate=`: filled, never cast, never overlapping."""

import math

import numpy as np
import pytest

import nbad
from kernels import decay, polar

N = 700
RNG = np.random.default_rng(4)
X, Y, W, V = RNG.uniform(0.5, 2.0, (4, N))


def same(got, expected):
    return got.dtype == expected.dtype and got.shape == expected.shape and got.tobytes() == np.asarray(expected).tobytes()


MEMORY = {
    "contiguous": lambda shape: np.full(shape, np.nan),
    "reversed": lambda shape: np.full(shape, np.nan)[::-1],
    "Fortran order": lambda shape: np.full(shape, np.nan, order="F"),
    "every third": lambda shape: np.full((*shape[:-1], 3 * shape[-1]), np.nan)[..., ::3],
    "unaligned": lambda shape: np.full(8 * math.prod(shape) + 1, 255, np.uint8)[1:].view(float).reshape(shape),
}
memory = pytest.mark.parametrize("empty", MEMORY.values(), ids=MEMORY)


@memory
def test_call_fills_out_and_returns_it(empty):
    shape = (7, 100)
    x = X.reshape(shape)
    out = empty(shape)
    assert decay(x, 0.5, out=out) is out
    assert same(out, decay(x, 0.5))


def test_tuple_outputs_take_a_tuple():
    out = np.empty(N), np.empty(2 * N)[::2]
    result = polar(X, Y, out=out)
    assert result is out
    assert all(same(a, b) for a, b in zip(result, polar(X, Y), strict=True))


def test_zero_dimensional_out():
    out = np.empty(())
    assert decay(1.0, 0.5, out=out) is out
    assert out[()] == decay(1.0, 0.5)


@memory
def test_pullback_fills_out(empty):
    x = X.reshape(7, 100)
    _, pullback = nbad.vjp(decay, x, 0.5)
    expected = pullback(W.reshape(7, 100))
    out = empty((7, 100)), np.empty(())
    result = pullback(W.reshape(7, 100), out=out)
    assert result[0] is out[0]
    assert result[1] is out[1]
    assert all(same(a, np.asarray(b)) for a, b in zip(out, expected, strict=True))


@memory
def test_accumulate_adds(empty):
    x, w = X.reshape(7, 100), W.reshape(7, 100)
    _, pullback = nbad.vjp(decay, x, 0.5)
    ct_x, ct_rate = pullback(w)
    out = empty((7, 100)), np.array(3.0)
    out[0][...] = x
    for count in (1, 2):
        before = out[0].copy(), out[1].copy()
        pullback(w, out=out, accumulate=True)
        assert same(out[0], before[0] + ct_x), count
        assert same(out[1], np.asarray(before[1] + ct_rate)), count


def test_accumulate_does_not_change_the_pullback():
    _, pullback = nbad.vjp(decay, X, 0.5)
    expected = pullback(1.0)[0]
    out = np.ones(N), np.ones(())
    pullback(1.0, out=out, accumulate=True)
    assert same(pullback(1.0)[0], expected)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_batched_out(accumulate, count):
    _, pullback = nbad.vjp(polar, X, Y[0])
    seeds = np.random.default_rng(0).standard_normal((2, count, N))
    expected = pullback.batched(tuple(seeds))
    out = np.ones((count, N)), np.ones(count)
    result = pullback.batched(tuple(seeds), out=out, accumulate=accumulate)
    assert result[0] is out[0]
    start = 1.0 if accumulate else 0.0
    assert all(same(a, start + b) for a, b in zip(out, expected, strict=True))


def test_batched_out_with_strided_seed_axis():
    _, pullback = nbad.vjp(decay, X, 0.5, argnums="x")
    seeds = np.stack([W, V])
    out = (np.empty((N, 2)).T,)
    pullback.batched(seeds, out=out)
    assert same(np.ascontiguousarray(out[0]), pullback.batched(seeds)[0])


def test_accumulate_over_partly_broadcast_arguments():
    x, rate = X.reshape(7, 100), Y[:7, None].copy()
    _, pullback = nbad.vjp(decay, x, rate)
    expected = pullback(1.0)
    out = np.full((7, 100), 2.0), np.full((7, 1), 2.0)
    pullback(1.0, out=out, accumulate=True)
    assert same(out[0], 2.0 + expected[0])
    assert same(out[1], 2.0 + expected[1])


def test_jacobian_out():
    expected = nbad.jacobian(polar)(X, Y)
    out = np.empty((N, 2, 2))
    assert nbad.jacobian(polar)(X, Y, out=out) is out
    assert same(out, expected)
    components_first = np.moveaxis(np.empty((2, 2, N)), -1, 0)
    assert same(np.ascontiguousarray(nbad.jacobian(polar)(X, Y, out=components_first)), expected)


def test_neighbouring_memory_is_left_alone():
    frame = np.full(N + 2, 7.0)
    decay(X, 0.5, out=frame[1:-1])
    assert frame[[0, -1]].tolist() == [7.0, 7.0]
    assert same(frame[1:-1], decay(X, 0.5))


def test_interleaved_columns_of_one_array_do_not_overlap():
    out = np.empty((N, 2))
    polar(X, Y, out=(out[:, 0], out[:, 1]))
    assert same(out[:, 0].copy(), polar(X, Y)[0])
    assert same(out[:, 1].copy(), polar(X, Y)[1])


@pytest.mark.parametrize("n", [1, 3, 255, 256, 257, 700])
def test_out_of_every_length_is_filled_to_its_end(n):
    out = np.full(n, np.nan)
    decay(X[:n], 0.5, out=out)
    assert same(out, decay(X[:n].copy(), 0.5))
