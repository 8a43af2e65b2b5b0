"""Big results are stored past the caches from registers, several seeds at once: the same bits, and nothing beside them."""

import math

import numpy as np
import pytest

import nbad
from nbad.native.launch_table import TILE
from nbad.runtime import launch, memory, plain, reverse

SIZES = [1, 7, 16, TILE - 1, TILE, TILE + 1, 2 * TILE + 48, 2 * TILE + 61]
GUARD = 3.5


def kernel(x, y, z):
    return math.exp(x) * y + z, x / (1.0 + y * y)


def room(shape, dtype, lead, rng):
    """An array that begins `lead` elements behind a cache line, and the memory around it."""
    size = math.prod(shape)
    memory = np.full(size + 300, GUARD, dtype)
    start = 128 // memory.itemsize - memory.ctypes.data % 64 // memory.itemsize + lead
    array = memory[start : start + size].reshape(shape)
    assert array.ctypes.data % 64 == lead * memory.itemsize
    array[...] = rng.uniform(size=shape)
    return array, memory


def are_guarded(array, memory):
    before = (array.ctypes.data - memory.ctypes.data) // memory.itemsize
    return (memory[:before] == GUARD).all() and (memory[before + array.size :] == GUARD).all()


def plain_and_streamed(monkeypatch, function):
    monkeypatch.setattr(launch, "STREAM_ABOVE", 1 << 60)
    plain = function()
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1)
    return plain, function()


@pytest.fixture
def streaming(monkeypatch):
    """Counts the drivers that store past the caches, by their lead."""
    leads, make = [], launch.Launch._new_driver

    def noting(self, is_big, lead):
        leads.append(lead)
        return make(self, is_big, lead)

    monkeypatch.setattr(launch.Launch, "_new_driver", noting)
    monkeypatch.setattr(launch, "BYTES_PER_NS", 1e-9)  # every kernel waits for memory
    monkeypatch.setattr(plain, "_entry", lambda *_: plain.never)  # no sweep is too small for a launch
    monkeypatch.setattr(memory, "SMALLEST", 64)  # results begin at cache lines, as big ones do; of malloc nothing is known
    return leads


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("count", [1, 2, 13, 20])
def test_cotangents_at_any_place_have_the_same_bits(monkeypatch, rng, streaming, dtype, accumulate, count):
    f = nbad.kernel(kernel)
    leads = range(64 // np.dtype(dtype).itemsize)
    for n, lead in [(n, lead) for n in SIZES for lead in leads if n == SIZES[-2] or lead < 3]:
        xs = rng.uniform(size=(3, n)).astype(dtype)
        seeds = tuple(rng.uniform(size=(2, count, n)).astype(dtype))

        def cotangents(xs=xs, seeds=seeds, lead=lead):
            _, pullback = nbad.vjp(f, *xs)
            rooms = [room(seeds[0].shape, dtype, lead, np.random.default_rng(k)) for k in range(3)]
            out = pullback.batched(seeds, out=tuple(array for array, _ in rooms), accumulate=accumulate)
            assert all(are_guarded(*pair) for pair in rooms)
            return out

        plain, streamed = plain_and_streamed(monkeypatch, cotangents)
        np.testing.assert_array_equal(streamed, plain)
    assert accumulate or set(leads) <= set(streaming)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_residuals_and_tangents_have_the_same_bits(monkeypatch, rng, streaming, dtype):
    for n in SIZES:
        xs, tangents = rng.uniform(size=(2, 3, n)).astype(dtype)

        def results(xs=xs, tangents=tangents):
            f = nbad.kernel(kernel)
            y, pullback = nbad.vjp(f, *xs)
            return [*f(*xs), *y, *pullback((xs[0], xs[1])), *nbad.jvp(f, tuple(xs), tuple(tangents))[1]]

        plain, streamed = plain_and_streamed(monkeypatch, results)
        np.testing.assert_array_equal(streamed, plain)
    assert any(lead is not None for lead in streaming)


def test_places_that_differ_are_written_in_place(monkeypatch, rng, streaming):
    """Where one cache line is not the other's, nothing is streamed."""
    f, x = nbad.kernel(kernel), rng.uniform(size=1000)
    _, pullback = nbad.vjp(f, x, x, x)
    rooms = [room((4, 1000), float, lead, rng) for lead in (0, 1, 2)]
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1)
    streaming.clear()
    found = pullback.batched(2 * (np.ones((4, 1000)),), out=tuple(array for array, _ in rooms))
    np.testing.assert_array_equal(found, pullback.batched(2 * (np.ones((4, 1000)),)))
    assert streaming[0] is None
    assert all(are_guarded(*pair) for pair in rooms)


@pytest.mark.parametrize(("longer", "streams"), [(0.5, True), (2, True), (10, False)])
def test_kernels_that_compute_for_longer_than_memory_takes(monkeypatch, rng, streaming, longer, streams):
    """They pass the caches, too, unless they compute for so much longer that memory does not matter."""
    launches, run = [], launch.Launch.__call__
    monkeypatch.setattr(launch.Launch, "__call__", lambda self, *given: launches.append(self) or run(self, *given))
    xs = rng.uniform(size=(3, 1024))
    ys = nbad.kernel(kernel)(*xs)
    launches[0]._moves, launches[0]._computes = 1.0, longer
    assert launches[0]._lead_past_caches([*xs, *ys], 1) == (0 if streams else None)


@pytest.mark.parametrize("shape", [(3, 1000), (1000, 8), (5, 7, 16)])
def test_arrays_of_several_axes_and_seeds_that_are_broadcast(monkeypatch, rng, streaming, shape):
    f, xs = nbad.kernel(kernel), rng.uniform(size=(3, *shape))
    seeds = rng.uniform(size=(9, *shape))
    given = [(seeds, 1.0), (seeds[:, ::-1], seeds), (seeds.swapaxes(0, 1).copy().swapaxes(0, 1), seeds)]

    def cotangents():
        _, pullback = nbad.vjp(f, *xs)
        return [pullback.batched(pair, out=out) for pair, out in zip(given, places(), strict=True)]

    def places():
        return [tuple(room(seeds.shape, float, lead, rng)[0] for _ in range(3)) for lead in (0, 2, 5)]

    plain, streamed = plain_and_streamed(monkeypatch, cotangents)
    np.testing.assert_array_equal(streamed, plain)
    _, pullback = nbad.vjp(f, *xs)
    for k in (0, 8):
        np.testing.assert_array_equal([ct[k] for ct in streamed[1]], pullback((given[1][0][k], seeds[k])))
    assert any(lead is not None for lead in streaming)


@pytest.mark.parametrize("count", [1, 5])
def test_rows_that_begin_at_lines_alone_are_swept_seed_by_seed(monkeypatch, rng, streaming, count):
    x, y = rng.uniform(size=(2, 1001))
    _, pullback = nbad.vjp(nbad.kernel(lambda x, y: x * y), x, y)
    streaming.clear()
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1)
    seeds, rooms = rng.uniform(size=(count, 1001)), [room((count, 1001), float, 3, rng) for _ in range(2)]
    by_x, by_y = pullback.batched(seeds, out=tuple(array for array, _ in rooms))
    np.testing.assert_array_equal(by_x, seeds * y)
    np.testing.assert_array_equal(by_y, seeds * x)
    assert streaming == [(3 + k) % 8 for k in range(count)]
    assert all(are_guarded(*pair) for pair in rooms)


def test_what_is_shared_or_has_core_axes_goes_its_usual_way(monkeypatch, rng, streaming):
    f = nbad.kernel(lambda a, b, s: a * b[0] + s * b[1], signature="(),(2),()->()")
    a, b = rng.uniform(size=700), rng.uniform(size=(700, 2))

    def cotangents():
        _, pullback = nbad.vjp(f, a, b, 0.5)
        return pullback.batched(np.arange(2100.0).reshape(3, 700))

    plain, streamed = plain_and_streamed(monkeypatch, cotangents)
    for one, other in zip(plain, streamed, strict=True):
        np.testing.assert_array_equal(one, other)


def test_seeds_that_are_swept_at_once_read_what_one_seed_reads(monkeypatch, rng, streaming):
    """40 results are the most for one pass."""
    f, x = nbad.kernel(kernel), rng.uniform(size=496)
    _, pullback = nbad.vjp(f, x, x + 1, x)
    sizes, build = [], reverse.ReverseSweeps._build
    monkeypatch.setattr(reverse.ReverseSweeps, "_build", lambda self, *a: sizes.append(a[-1].size) or build(self, *a))
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1)
    seeds = rng.uniform(size=(2, 30, 496))
    found = pullback.batched(tuple(seeds), out=tuple(room((30, 496), float, 1, rng)[0] for _ in range(3)))
    assert sizes == [13, 1]
    assert set(streaming) >= {1}
    by_x, by_y, by_z = found
    down = 1.0 + (x + 1) ** 2
    np.testing.assert_allclose(by_z, seeds[0], rtol=0)
    np.testing.assert_allclose(by_x, seeds[0] * np.exp(x) * (x + 1) + seeds[1] / down, rtol=1e-13)
    np.testing.assert_allclose(by_y, seeds[0] * np.exp(x) - seeds[1] * x * 2 * (x + 1) / down**2, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shift", [0, 1, 4, 8, 16, 60])
def test_streamed_results_at_any_address(monkeypatch, rng, streaming, dtype, shift):
    monkeypatch.setattr(launch, "STREAM_ABOVE", 0)
    fresh = nbad.kernel(lambda x: x * 1.5)
    x = rng.standard_normal(1000).astype(dtype)
    room = np.full(x.nbytes + 256, 7, np.uint8)
    start = 64 - room.ctypes.data % 64 + shift
    out = room[start : start + x.nbytes].view(dtype)
    fresh(x, out=out)
    assert np.array_equal(out, x * dtype(1.5))
    assert (room[:start] == 7).all()
    assert (room[start + x.nbytes :] == 7).all()


def test_streamed_and_plain_results_have_the_same_bits(monkeypatch, rng, streaming):
    x, seeds = rng.standard_normal((3, 700)), rng.standard_normal((4, 3, 700))

    def results():
        f = nbad.kernel(lambda x, a: (x * a, math.exp(x) - a))
        y, pullback = nbad.vjp(f, x, 0.5)
        return [*y, *pullback.batched((seeds, seeds)), nbad.jacobian(f)(x, 0.5)]

    plain = results()
    monkeypatch.setattr(launch, "STREAM_ABOVE", 0)
    assert all(np.array_equal(a, b) for a, b in zip(results(), plain, strict=True))


@pytest.mark.parametrize(("threads", "most"), [(1, 16 << 20), (2, 20 << 20), (64, 20 << 20)])
def test_several_threads_keep_more_results_in_the_caches(threads, most, monkeypatch):
    """Two hide each other's waits for memory."""
    monkeypatch.setattr(launch, "threads_wanted", lambda: threads)
    assert not launch.leaves_caches(most)
    assert launch.leaves_caches(most + 1)


@pytest.mark.parametrize(("results", "kept", "streamed"), [(0, 8, 40), (1, 8, 40), (2, 4, 20), (3, 1, 13), (5, 1, 8), (41, 1, 1)])
def test_seeds_are_swept_at_once_where_that_pays(results, kept, streamed):
    assert launch.seeds_at_once(results, streams=False) == kept
    assert launch.seeds_at_once(results, streams=True) == streamed
    assert launch.spread_from(results) == (10 << 20 if kept > 1 else 16 << 20)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("lead", [0, 1, 5])
@pytest.mark.parametrize("n", [1, 16, 31, 48, 112, 208, 250, 304])
def test_first_tiles_that_read_side_by_side_read_no_further_than_there_are_elements(monkeypatch, rng, streaming, n, lead, dtype):
    """A shorter first tile is padded to a whole one, and what it reads is brought in parts."""
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1)
    f = nbad.kernel(lambda x, y: np.stack([x * y, x + y, x - y, x]), signature="(),()->(4)")
    x, y = rng.uniform(1.0, 2.0, (2, n)).astype(dtype)
    seeds, rooms = rng.normal(size=(3, n, 4)).astype(dtype), [room((3, n), dtype, lead, rng) for _ in range(2)]
    _, pullback = nbad.vjp(f, x, y)
    by_x, by_y = pullback.batched(seeds, out=tuple(array for array, _ in rooms))
    close = dict(rtol=0.0, atol=1e-14 if dtype is np.float64 else 5e-6)
    np.testing.assert_allclose(by_x, seeds[..., 0] * y + seeds[..., 1] + seeds[..., 2] + seeds[..., 3], **close)
    np.testing.assert_allclose(by_y, seeds[..., 0] * x + seeds[..., 1] - seeds[..., 2], **close)
    assert lead in streaming or n * np.dtype(dtype).itemsize % 64
    assert all(are_guarded(*pair) for pair in rooms)
