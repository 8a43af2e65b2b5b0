"""The working set: bounded by `max_bytes=` with the same bits, given back by `close`, and refused before it is taken."""

import math
import tracemalloc

import numpy as np
import pytest

import nbad
from nbad.plans.plan import are_lined
from nbad.runtime import memory, reverse


@nbad.kernel
def curve(x, a, b):
    return a * math.exp(-b * x) + math.sin(a * x)


@pytest.fixture
def sweep(rng):
    x, a, b = rng.uniform(0.1, 1.0, (40, 300)), rng.uniform(0.5, 1.0, 300), 0.7
    return (x, a, b), rng.standard_normal((6, 40, 300))


def bounded_by(free, temporaries):
    """The bound that leaves so many bytes for temporaries, beside the residuals of a pullback."""
    return free.rows.nbytes + temporaries


@pytest.mark.parametrize("seeds_at_once", [0.01, 0.4, 1, 2.5])
def test_fewer_seeds_or_elements_at_once_give_the_same_bits(sweep, seeds_at_once):
    xs, seeds = sweep
    _, free = nbad.vjp(curve, *xs, residuals="partials")
    bound = bounded_by(free, max(int(seeds_at_once * free._sweeps.temporary_bytes), free._sweeps.least_bytes))
    _, bounded = nbad.vjp(curve, *xs, residuals="partials", max_bytes=bound)
    assert (bounded._room() < bounded._sweeps.temporary_bytes) == (seeds_at_once < 1)
    expected = free.batched(seeds)
    assert all(np.array_equal(a, b) for a, b in zip(bounded.batched(seeds), expected, strict=True))
    assert all(np.array_equal(a, b[2]) for a, b in zip(bounded(seeds[2]), expected, strict=True))
    out = tuple(c.copy() for c in expected)
    bounded.batched(seeds, out=out, accumulate=True)
    assert all(np.array_equal(a, 2 * b) for a, b in zip(out, expected, strict=True))


def test_temporaries_are_told_as_they_are_taken(sweep, monkeypatch):
    """Those of a few seeds at a time are summed along some axes before the next ones come."""
    xs, seeds = sweep
    _, pullback = nbad.vjp(curve, *xs, residuals="partials", max_bytes=1 << 30)
    sweeps, taken = pullback._sweeps, []
    monkeypatch.setattr(reverse, "NEAR", 2 * sweeps.temporary_bytes + 1)
    monkeypatch.setattr(sweeps, "_sum_up", lambda results, given, _: taken.append((results, given)))
    pullback.batched(seeds)
    sizes = [sum(a.nbytes for result, a in zip(*each, strict=True) if a is not result) for each in taken]
    assert sizes == [sweeps.temporaries(6, memory.TEMPORARY)] * 3


SHAPES = [
    ((7, 1, 5), (300, 1), ()),
    ((1, 260, 3), (7, 1, 3), (7, 260, 3)),
    ((9,), (400, 9), (400, 1)),
    ((400, 1), (1, 9), (1, 1)),
]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_slabs_along_any_axis_give_the_same_bits(rng, shapes, dtype):
    xs = [rng.uniform(0.5, 1.0, shape).astype(dtype) for shape in shapes]
    y, free = nbad.vjp(curve, *xs)
    seed = rng.standard_normal((2, *y.shape[::-1])).astype(dtype).transpose(0, *range(y.ndim, 0, -1))  # in no usual order
    _, bounded = nbad.vjp(curve, *xs, max_bytes=bounded_by(free, free._sweeps.least_bytes))
    assert bounded._room() < bounded._sweeps.temporary_bytes
    assert all(np.array_equal(a, b) for a, b in zip(bounded.batched(seed), free.batched(seed), strict=True))


def test_slabs_of_a_kernel_with_vectors(rng):
    @nbad.kernel(signature="(2),(3)->(2)")
    def f(a, b):
        return np.array([a[0] * b[0] + b[1], np.sin(a[1]) * b[2]])

    a, b = rng.uniform(0.5, 1.0, (50, 30, 2)), rng.uniform(0.5, 1.0, (30, 3))
    _, free = nbad.vjp(f, a, b)
    _, bounded = nbad.vjp(f, a, b, max_bytes=bounded_by(free, free._sweeps.least_bytes))
    seed = rng.standard_normal((4, 50, 30, 2))
    assert all(np.array_equal(x, y) for x, y in zip(bounded.batched(seed), free.batched(seed), strict=True))


@pytest.mark.parametrize("own", [(7,), (50, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_slabs_of_rows_in_lines_give_the_same_bits(rng, own, dtype):
    f = nbad.kernel(lambda v, q: np.sin(v) * q, signature="(40),()->(40)")
    v, q = rng.uniform(0.5, 1.0, (*own, 40)).astype(dtype), rng.uniform(0.5, 1.0, (50, 7)).astype(dtype)
    y, free = nbad.vjp(f, v, q, residuals="partials")
    _, bounded = nbad.vjp(f, v, q, residuals="partials", max_bytes=bounded_by(free, free._sweeps.least_bytes))
    assert are_lined(len(free.rows))
    assert bounded._room() < bounded._sweeps.temporary_bytes
    seeds = rng.standard_normal((3, *y.shape)).astype(dtype)
    cts = bounded.batched(seeds)
    assert all(np.array_equal(a, b) for a, b in zip(cts, free.batched(seeds), strict=True))
    axes, q = (1,) if len(own) == 1 else (2,), q[..., None].astype(float)
    expected = np.sum(seeds * np.cos(v.astype(float)) * q, axis=axes).reshape(3, *v.shape)
    np.testing.assert_allclose(
        cts[0], expected, rtol=1e-12 if dtype is np.float64 else 1e-5, atol=1e-12 if dtype is np.float64 else 1e-5
    )


def test_temporaries_stay_under_the_bound(monkeypatch, rng):
    monkeypatch.setattr(memory, "SMALLEST", 1 << 60)  # so that tracemalloc sees every array
    x, a = rng.uniform(0.1, 1.0, (50, 4000)), rng.uniform(0.5, 1.0, 4000)
    seeds = np.broadcast_to(rng.standard_normal((50, 4000)), (64, 50, 4000))
    _, pullback = nbad.vjp(curve, x, a, 0.7, argnums=("a", "b"), residuals="partials", max_bytes=8_000_000)
    expected = pullback(seeds[0])
    tracemalloc.start()
    found = pullback.batched(seeds)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - sum(c.nbytes for c in found) + pullback.rows.nbytes < 8_000_000
    assert all(np.array_equal(many[63], one) for many, one in zip(found, expected, strict=True))


def test_auto_keeps_less_where_the_bound_asks_for_it():
    @nbad.kernel
    def wide(x):
        return x * x, math.exp(x), math.sin(x), math.cos(x) * x

    x = np.linspace(0.0, 1.0, 10_000)
    _, plenty = nbad.vjp(wide, x, seeds=1000)
    _, little = nbad.vjp(wide, x, seeds=1000, max_bytes=90_000)
    assert little.residuals.nbytes == 80_000 < plenty.residuals.nbytes
    assert np.allclose(little((1.0, 1.0, 1.0, 1.0)), plenty((1.0, 1.0, 1.0, 1.0)), rtol=1e-14)


def test_a_bound_below_the_least_working_set_is_refused(sweep):
    xs, _ = sweep
    what = r"max_bytes=1000 is too small for the residuals and sums over broadcast axes\n.*\n  got: 1,000 bytes"
    with pytest.raises(ValueError, match=what):
        nbad.vjp(curve, *xs, max_bytes=1000)
    _, free = nbad.vjp(curve, *xs, residuals="partials")
    with pytest.raises(ValueError, match="too small for the residuals and sums over broadcast axes"):
        nbad.vjp(curve, *xs, residuals="partials", max_bytes=free.rows.nbytes)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1GB", True])
def test_what_is_not_a_number_of_bytes(wrong):
    with pytest.raises(ValueError, match="is not a number of bytes"):
        nbad.vjp(curve, 1.0, 2.0, 3.0, max_bytes=wrong)


def test_more_than_the_machine_has_is_refused_before_anything_is_taken(monkeypatch):
    nbad.release_memory()  # what waits would do
    monkeypatch.setattr(memory, "CAREFUL", 1000)
    monkeypatch.setattr(memory, "available", lambda: 70_000)
    f, x = nbad.kernel(curve.__wrapped__), np.ones(10_000)  # of its own: one that was called twice takes less than is asked about
    monkeypatch.setattr(memory, "empty", None)
    tangents = 1.0, 0.0, 0.0
    verbs = lambda *xs: nbad.vjp(f, *xs), lambda *xs: nbad.jvp(f, xs, tangents), lambda *xs: nbad.linearize(f, *xs)
    for call in (f, *verbs):
        with pytest.raises(MemoryError, match=r"`curve\(x, a, b\)` needs [\d,]+ bytes"):
            call(x, 1.0, 2.0)
    with pytest.raises(MemoryError, match=r"jacobian of `curve\(x, a, b\)` needs 240,000 bytes"):
        nbad.jacobian(f)(x, 1.0, 2.0)


def test_many_seeds_of_a_pullback_are_refused_too(monkeypatch):
    _, pullback = nbad.vjp(curve, np.ones(100), 1.0, 2.0)
    nbad.release_memory()
    monkeypatch.setattr(memory, "CAREFUL", 1000)
    monkeypatch.setattr(memory, "available", lambda: 100_000)
    with pytest.raises(MemoryError, match=r"`pullback` needs [\d,]+ bytes"):
        pullback.batched(np.ones((20_000, 100)))  # more than an entry takes


def test_available_memory_is_a_sensible_number():
    assert 1 << 20 < memory.available() < 1 << 50


def test_closed_pullbacks_give_back_and_refuse():
    with nbad.vjp(curve, np.ones(50_000), 1.0, 2.0)[1] as pullback:
        before = memory.POOL.waiting
        assert pullback(1.0)[1] != 0.0
    assert memory.POOL.waiting > before
    for call in (pullback, pullback.batched):
        with pytest.raises(ValueError, match="`pullback` is closed"):
            call(np.ones((1, 50_000)) if call is not pullback else 1.0)
    small = nbad.vjp(nbad.kernel(lambda x: x * x), 2.0)[1]
    small.close()
    with pytest.raises(ValueError, match="`pullback` is closed"):
        small(1.0)
