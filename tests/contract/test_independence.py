"""Independent and reproducible results: a pullback is a value, and bits depend on nothing but the numbers."""

import math

import numba
import numpy as np
import pytest
from helpers.same_bits import bits, leaves

import nbad
from kernels import copy, polar, product, scaled_decay, square

N = 1000
RNG = np.random.default_rng(2)
X = RNG.uniform(0.5, 2.0, N)
Y = RNG.uniform(-1.0, 1.0, N)
W = RNG.standard_normal(N)
V = RNG.standard_normal(N)


# kernel, its arguments, seeds of the value's structure
SCENARIOS = {
    "copy": (copy, (X,), W),
    "square": (square, (X,), W),
    "two outputs": (polar, (X, Y), (W, V)),
    "broadcast parameter": (scaled_decay, (X, 0.7), W),
}
scenarios = pytest.mark.parametrize(("f", "xs", "seed"), SCENARIOS.values(), ids=SCENARIOS)


def each(function, structure):
    return tuple(map(function, structure)) if isinstance(structure, tuple) else function(structure)


def copies(xs):
    return [np.copy(x) for x in xs]


def overwrite(arrays):
    for a in arrays:
        np.asarray(a)[...] = -99.0


# independent results


@pytest.mark.parametrize(("f", "expected"), [(copy, 1.0), (square, 6.0)])
def test_three_calls_with_seed_one_give_one_answer(f, expected):
    """The failure that nbad answers: 1, 3, 6 for the identity, an index error for the square."""
    _, pullback = nbad.vjp(f, 3.0)
    assert [pullback(1.0) for _ in range(3)] == [(expected,)] * 3


@scenarios
def test_same_seed_three_times_gives_the_same_bits(f, xs, seed):
    _, pullback = nbad.vjp(f, *xs)
    first, second, third = (bits(pullback(seed)) for _ in range(3))
    assert first == second == third


@scenarios
def test_interleaved_pullbacks_do_not_disturb_each_other(f, xs, seed):
    others = [np.asarray(x)[::-1].copy() if np.ndim(x) else x + 1 for x in xs]
    expected = [bits(nbad.vjp(f, *args)[1](seed)) for args in (xs, others)]
    one, two = nbad.vjp(f, *xs)[1], nbad.vjp(f, *others)[1]
    assert [bits(pullback(seed)) for pullback in (one, two, one, one, two)] == [expected[k] for k in (0, 1, 0, 0, 1)]


@scenarios
def test_writing_in_place_between_calls_changes_nothing(f, xs, seed):
    expected = bits(nbad.vjp(f, *xs)[1](seed))
    inputs, given = copies(xs), each(np.copy, seed)
    y, pullback = nbad.vjp(f, *inputs)
    overwrite([*inputs, *(leaf for leaf in leaves(y) if leaf.ndim)])
    first = pullback(given)
    assert bits(first) == expected
    overwrite(leaves(given))
    assert bits(first) == expected
    overwrite([ct for ct in first if ct.ndim])
    assert bits(pullback(seed)) == expected


@scenarios
def test_results_are_fresh_memory(f, xs, seed):
    y, pullback = nbad.vjp(f, *xs)
    first, second = pullback(seed), pullback(seed)
    everything = [a for a in (*xs, *leaves(y), *leaves(seed), *first, *second) if np.ndim(a)]
    shared = [np.shares_memory(a, b) for k, a in enumerate(everything) for b in everything[:k]]
    assert not any(shared)


@scenarios
def test_a_result_outlives_its_pullback_and_many_later_calls(f, xs, seed):
    y, pullback = nbad.vjp(f, *xs)
    first, expected = pullback(seed), bits(pullback(seed))
    value = bits(y)
    del pullback
    for k in range(5):
        f(*xs)
        nbad.vjp(f, *(x + k for x in xs))[1](seed)
    assert (bits(first), bits(y)) == (expected, value)


@scenarios
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_batched_equals_the_loop_bit_for_bit(f, xs, seed, count):
    _, pullback = nbad.vjp(f, *xs)
    seeds = each(lambda w: np.stack([w * (s - 2.5) for s in range(count)]) if count else np.empty((0, N)), seed)
    many = pullback.batched(seeds)
    assert [ct.shape for ct in many] == [(count, *np.shape(x)) for x in xs]
    for s in range(count):
        assert bits(tuple(ct[s] for ct in many)) == bits(pullback(each(lambda w, s=s: w[s], seeds)))


@scenarios
def test_bits_do_not_depend_on_the_number_of_seeds(f, xs, seed):
    _, pullback = nbad.vjp(f, *xs)
    expected = bits(pullback(seed))
    for count in (1, 3, 16):
        many = pullback.batched(each(lambda w, count=count: np.broadcast_to(w, (count, N)), seed))
        assert all(bits(tuple(ct[s] for ct in many)) == expected for s in range(count))


def test_views_of_results_outlive_everything():
    """Large results come from recycled memory; whoever holds a view of one holds all of it."""
    x = np.resize(X, 400_000)
    y, pullback = nbad.vjp(scaled_decay, x, 0.7)
    value, cotangent, memory = y[5:9], pullback(1.0)[0][10:20], memoryview(pullback(2.0)[0])
    expected = value.copy(), cotangent.copy(), bytes(memory)
    del y, pullback
    for k in range(12):
        nbad.vjp(scaled_decay, x + k, 0.7)[1](1.0)
        scaled_decay(x * k, 0.7)
    assert bits((value, cotangent)) == bits(expected[:2])
    assert bytes(memory) == expected[2]


# reproducible


@scenarios
def test_value_is_one_whichever_call_computes_it(f, xs, seed):
    expected = bits(f(*xs))
    assert bits(nbad.vjp(f, *xs)[0]) == expected
    assert bits(nbad.value_and_jacobian(f)(*xs)[0]) == expected
    assert bits(nbad.jvp(f, xs, (1.0,) * len(xs))[0]) == expected


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 4), (1, 9), (7, 263), (255, 512), (0, 257), (999, 1000)])
def test_a_slice_has_the_bits_of_the_whole(start, stop):
    part = slice(start, stop)
    y, pullback = nbad.vjp(polar, X, Y)
    whole = (*y, *pullback((W, V)), nbad.jacobian(polar)(X, Y))
    y, pullback = nbad.vjp(polar, X[part], Y[part])
    result = (*y, *pullback((W[part], V[part])), nbad.jacobian(polar)(X[part], Y[part]))
    assert bits(result) == bits(tuple(a[part] for a in whole))


def on_threads(count, work):
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        return work()
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("rate", [0.7, np.array([0.7]), np.full((1, 1), 0.7)], ids=["scalar", "one element", "two axes"])
def test_bits_do_not_depend_on_threads(rate):
    x, w = np.resize(X, 100_003), np.resize(W, 100_003)

    def work():
        y, pullback = nbad.vjp(scaled_decay, x, rate)
        w_like_y = w.reshape(np.shape(y))
        return bits((y, *pullback(w_like_y), *pullback.batched(np.stack([w_like_y, -w_like_y]))))

    assert on_threads(1, work) == on_threads(numba.config.NUMBA_NUM_THREADS, work)


def test_sum_over_rows_does_not_depend_on_threads():
    x, rate = np.resize(X, (300, 401)), np.linspace(0.1, 0.9, 401)
    works = [
        lambda: bits(nbad.vjp(scaled_decay, x, rate)[1](1.0)),
        lambda: bits(nbad.vjp(scaled_decay, x, rate[:300, None])[1](1.0)),
    ]
    for work in works:
        assert on_threads(1, work) == on_threads(numba.config.NUMBA_NUM_THREADS, work)


def test_sums_of_float32_are_accumulated_in_float64():
    count = 300_000
    _, pullback = nbad.vjp(product, np.ones(count, np.float32), np.float32(1.0), np.float32(1.0))
    seed = np.float32(0.1)
    expected = np.float32(math.fsum([float(seed)] * count))
    assert pullback(np.full(count, seed))[1] == expected
