"""Derivatives on dask arrays: closed forms, the bits of one machine, one forward sweep, on threads and on several processes."""

import copy
import os
import signal

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest

import nbad
from kernels import polar, product
from nbad.integrations import dask as lazy
from nbad.partners import dask_blocks

N = 256 * 16


@pytest.fixture(autouse=True)
def _scheduler():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def ends():
    return nbad.kernel(lambda r, s: ([r[0] * s, r[2] * r[2] * s], s * s), signature="(3),()->(2),()")


@pytest.fixture
def made(monkeypatch):
    """How many forward sweeps ran."""
    runs = []
    whole = lazy.vjp_of_arrays
    monkeypatch.setattr(lazy, "vjp_of_arrays", lambda *args, **options: runs.append(1) or whole(*args, **options))
    return runs


def polar_cotangents(r, phi, x_bar, y_bar):
    return x_bar * np.cos(phi) + y_bar * np.sin(phi), r * (y_bar * np.cos(phi) - x_bar * np.sin(phi))


def same_bits(found, expected):
    found = dask.compute(*found)
    for a, b in zip(found, expected, strict=True):
        assert (np.shape(a), a.dtype) == (np.shape(b), b.dtype)
        np.testing.assert_array_equal(a, b)


def test_value_and_cotangents_are_those_of_the_closed_form(rng):
    r, phi, x_bar, y_bar = rng.uniform(1, 2, size=(4, 1000))
    (x, y), pullback = lazy.vjp(polar, da.from_array(r, chunks=300), da.from_array(phi, chunks=170))
    assert x.chunks == y.chunks == da.from_array(r, chunks=300).rechunk(x.chunks).chunks
    for found, expected in ((x, r * np.cos(phi)), (y, r * np.sin(phi))):
        np.testing.assert_allclose(found.compute(), expected, rtol=1e-14)
    for seeds in ((x_bar, y_bar), (da.from_array(x_bar, chunks=90), y_bar)):
        for found, expected in zip(pullback(seeds), polar_cotangents(r, phi, x_bar, y_bar), strict=True):
            np.testing.assert_allclose(found.compute(), expected, rtol=1e-13, atol=1e-15)
    many = pullback.batched((np.stack([x_bar, y_bar]), 2.0))
    assert [m.shape for m in many] == [(2, 1000), (2, 1000)]
    expected = polar_cotangents(r, phi, y_bar, 2.0)
    np.testing.assert_allclose(many[1][1].compute(), expected[1], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("chunks", [256, 1024, (2048, 1024, 512, 512), N])  # as many as one task adds, and more below
def test_sums_of_shared_arguments_have_the_bits_of_one_machine(rng, chunks, dtype):
    r, x_bars, y_bars = rng.uniform(1, 2, N).astype(dtype), *rng.normal(size=(2, 3, N)).astype(dtype)
    y, whole = nbad.vjp(polar, r, 0.3)
    z, pullback = lazy.vjp(polar, da.from_array(r, chunks=chunks), 0.3)
    same_bits(z, y)
    same_bits(pullback((x_bars[0], y_bars[0])), whole((x_bars[0], y_bars[0])))
    seeds = da.from_array(x_bars, chunks=(2, 1000)), y_bars
    same_bits(pullback.batched(seeds), whole.batched((x_bars, y_bars)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "chunks", [((4, 1, 256), (8, 256)), ((1, 1, 256), (2, 256)), ((16, 1, 256), (1, 256)), ((1, 1, 128), (4, 128))]
)
def test_arguments_that_are_broadcast_along_some_axes(rng, chunks, dtype):
    a, b, c, seed = (rng.normal(size=shape).astype(dtype) for shape in ((16, 1, 256), (8, 256), (16, 8, 1), (16, 8, 256)))
    found, pullback = lazy.vjp(product, da.from_array(a, chunks=chunks[0]), da.from_array(b, chunks=chunks[1]), c)
    value, whole = nbad.vjp(product, a, b, c)
    same_bits([found], [value])
    wholes = whole(seed)
    expected = (seed * b * c).sum(1, keepdims=True), (seed * a * c).sum(0), (seed * a * b).sum(2, keepdims=True)
    for bar, own, one in zip(dask.compute(*pullback(seed)), expected, wholes, strict=True):
        assert bar.shape == own.shape
        np.testing.assert_allclose(bar, own, rtol=0, atol=1e3 * np.finfo(dtype).eps)
        if chunks[0][2] == 256:  # in C order, elements of a chunk are neighbours
            np.testing.assert_array_equal(bar, one)


@pytest.mark.parametrize("count", [1, 2, 17, pytest.param(100, marks=pytest.mark.slow)])
def test_a_tree_of_any_number_of_chunks_adds_each_once(count):
    for chunk in (1, 100, 256):
        _, pullback = lazy.vjp(polar, da.ones(count * chunk, chunks=chunk), 0.3)
        seed = da.arange(count * chunk, chunks=chunk, dtype=float)
        (phi_bar,) = dask.compute(pullback((0.0, seed))[1])
        np.testing.assert_allclose(phi_bar, np.cos(0.3) * np.arange(count * chunk).sum(), rtol=1e-13)
        tasks = [key for key in pullback((0.0, 1.0))[1].__dask_graph__() if "tree" in key[0]]
        assert len(tasks) <= max(1, count // 4)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_sums_of_chunks_that_leave_the_range_are_values(dtype):
    """Without a warning, as on one machine."""
    scale = nbad.kernel(lambda x, k: x * k)
    x, k = np.full(300, np.finfo(dtype).max / 150, dtype), np.array(2.0, dtype)
    _, pullback = lazy.vjp(scale, da.from_array(x, chunks=100), k)
    for seed, expected in ((np.ones(300), np.inf), (np.where(np.arange(300) < 100, np.inf, -np.inf), np.nan)):
        np.testing.assert_array_equal(pullback(da.from_array(seed.astype(dtype), chunks=100))[1].compute(), expected)


def test_vector_arguments(rng, ends):
    r, s = rng.normal(size=(1000, 3)), rng.normal(size=1000)
    pair_bar, square_bar = rng.normal(size=(1000, 2)), rng.normal(size=1000)
    (pair, square), pullback = lazy.vjp(ends, da.from_array(r, chunks=(256, 2)), da.from_array(s, chunks=512))
    assert pair.chunks[1] == (2,)
    np.testing.assert_allclose(pair.compute(), np.stack([r[:, 0] * s, r[:, 2] ** 2 * s], 1), rtol=1e-15)
    np.testing.assert_allclose(square.compute(), s * s, rtol=1e-15)
    r_bar, s_bar = dask.compute(*pullback((pair_bar, square_bar)))
    zero = np.zeros(1000)
    np.testing.assert_allclose(r_bar, np.stack([pair_bar[:, 0] * s, zero, 2 * pair_bar[:, 1] * r[:, 2] * s], 1), rtol=1e-14)
    expected = pair_bar[:, 0] * r[:, 0] + pair_bar[:, 1] * r[:, 2] ** 2 + 2 * s * square_bar
    np.testing.assert_allclose(s_bar, expected, rtol=1e-12, atol=1e-14)
    shared = lazy.vjp(ends, r[0], da.from_array(s, chunks=256))[1]((pair_bar, 1.0))[0]
    same_bits([shared], [nbad.vjp(ends, r[0], s)[1]((pair_bar, 1.0))[0]])


def test_nothing_is_computed_until_it_is_asked_for_and_each_block_is_swept_forward_once(made):
    loaded = []

    def load(block):
        loaded.append(block.size)
        return block

    r = da.from_array(np.linspace(1.0, 2.0, 400), chunks=100).map_blocks(load, dtype=float, meta=np.empty(0))
    (x, _), pullback = lazy.vjp(polar, r, 0.3)
    seeds = [pullback((float(k), 1.0)) for k in range(5)]
    assert (loaded, made) == ([], [])
    assert all(isinstance(part, da.Array) for pair in seeds for part in pair)
    for pair in seeds:
        dask.compute(*pair, scheduler="threads")
    x.compute()
    assert len(made) == 4
    np.testing.assert_allclose(pullback((1.0, 0.0))[1].compute(), np.sum(-np.linspace(1, 2, 400) * np.sin(0.3)), rtol=1e-13)
    assert len(made) == 4


def test_what_is_kept_goes_with_the_pullback_and_fills_half_of_the_memory_at_most(made, monkeypatch, collect):
    r = da.from_array(np.linspace(1.0, 2.0, 400), chunks=100)
    (x, _), pullback = lazy.vjp(polar, r, 0.3)
    x.compute()
    del pullback
    collect()
    expected = np.linspace(1.0, 2.0, 400) * np.cos(0.3)
    np.testing.assert_allclose(x.compute(), expected, rtol=1e-15)
    assert len(made) == 8
    monkeypatch.setattr(dask_blocks.memory, "available", lambda: 0)
    x_bar, _ = lazy.vjp(polar, r, 0.3)[1]((1.0, 0.0))
    for _ in range(2):
        np.testing.assert_allclose(x_bar.compute(), np.full(400, np.cos(0.3)), rtol=1e-15)
    assert len(made) == 16


def test_jacobians_and_their_kin(rng):
    r, phi = rng.uniform(1, 2, size=(2, 500))
    lazy_r, lazy_phi = da.from_array(r, chunks=200), da.from_array(phi, chunks=90)
    cos, sin = np.cos(phi), np.sin(phi)
    expected = np.stack([np.stack([cos, -r * sin], 1), np.stack([sin, r * cos], 1)], 1)
    blocks = lazy.jacobian(polar)(lazy_r, lazy_phi)
    assert blocks.chunks[1:] == ((2,), (2,))
    np.testing.assert_allclose(blocks.compute(), expected, rtol=1e-14)
    np.testing.assert_allclose(lazy.jacobian(polar, "phi")(lazy_r, phi=lazy_phi).compute(), expected[..., 1:], rtol=1e-14)
    (x, _), blocks = lazy.value_and_jacobian(polar)(lazy_r, lazy_phi)
    np.testing.assert_allclose(x.compute(), r * cos, rtol=1e-14)
    np.testing.assert_allclose(blocks.compute(), expected, rtol=1e-14)
    np.testing.assert_allclose(lazy.vjp(polar, lazy_r, lazy_phi)[1].jacobian().compute(), expected, rtol=1e-14)
    (_, y), (x_dot, _) = lazy.jvp(polar, (lazy_r, lazy_phi), (1.0, da.from_array(r, chunks=100)))
    np.testing.assert_allclose(y.compute(), r * sin, rtol=1e-14)
    np.testing.assert_allclose(x_dot.compute(), cos - r * r * sin, rtol=1e-13, atol=1e-15)


def test_gradients_and_hessians_with_static_arguments(rng):
    power = nbad.kernel(lambda x, n, a: a * x**n, static=("n",))
    x = rng.uniform(1, 2, 300)
    lazy_x = da.from_array(x, chunks=100)
    y, (a_bar, x_bar) = lazy.value_and_grad(power, ("a", "x"))(lazy_x, 3, 2.0)
    for found, expected in ((y, 2 * x**3), (a_bar, x**3), (x_bar, 6 * x**2)):
        np.testing.assert_allclose(found.compute(), expected, rtol=1e-14)
    blocks = lazy.hessian(power)(lazy_x, 3, 2.0).compute()
    zero = np.zeros_like(x)
    expected = np.stack([np.stack([12 * x, 3 * x**2], 1), np.stack([3 * x**2, zero], 1)], 1)
    np.testing.assert_allclose(blocks, expected, rtol=1e-14)
    _, y_dot = lazy.jvp(power, (lazy_x, 3, 2.0), (1.0, None, 0.5))
    np.testing.assert_allclose(y_dot.compute(), 6 * x**2 + 0.5 * x**3, rtol=1e-13)
    np.testing.assert_allclose(lazy.vjp(power, lazy_x, n=3, a=2.0)[1](1.0)[0].compute(), 6 * x**2, rtol=1e-14)


def test_value_and_gradient_of_a_kernel_with_letters_for_sizes(rng):
    weighed = nbad.kernel(lambda a, b: np.dot(a, b) * b[0], signature="(n),(n)->()")
    a, b = rng.uniform(1, 2, (2, 6, 3))
    y, (by_b, by_a) = lazy.value_and_grad(weighed, ("b", "a"))(da.from_array(a, chunks=(2, 3)), da.from_array(b, chunks=(4, 3)))
    first = np.array([1.0, 0.0, 0.0])
    dot = np.sum(a * b, -1)[:, None]
    for found, expected in ((y, dot[:, 0] * b[:, 0]), (by_b, a * b[:, :1] + dot * first), (by_a, b * b[:, :1])):
        np.testing.assert_allclose(found.compute(), expected, rtol=1e-14)


def test_kernels_with_letters_for_sizes_travel_to_other_processes(rng):
    """There each argument was taken for a number, which has no size."""
    weighed = nbad.kernel(lambda a, b: np.sum(a * b), signature="(n),(n)->()")
    a, b = rng.uniform(1, 2, (2, 6, 3))
    lazy_a = da.from_array(a, chunks=(2, 3))
    y, pullback = lazy.vjp(weighed, lazy_a, b)
    found = {
        "value": (y, np.sum(a * b, -1)),
        "pullback": (pullback(1.0)[0], b),
        "gradient": (lazy.value_and_grad(weighed)(lazy_a, b)[1], b),
        "blocks": (lazy.jacobian(weighed, 0)(lazy_a, b), b[:, None]),
        "tangents": (lazy.jvp(weighed, (lazy_a, b), (np.ones((6, 3)), np.zeros((6, 3))))[1], np.sum(b, -1)),
    }
    for what, (made, expected) in found.items():
        there = cloudpickle.loads(cloudpickle.dumps(made))
        np.testing.assert_allclose(there.compute(), expected, rtol=1e-14, err_msg=what)


def test_pullbacks_travel(rng):
    """As those of arrays: with static values, arguments of numbers and arrays, and structure."""
    power = nbad.kernel(lambda a, p, n: (a * p["b"]) ** n, static=("n",))
    a, b = rng.uniform(1, 2, (6, 3)), rng.uniform(1, 2, 3)
    _, pullback = lazy.vjp(power, da.from_array(a, chunks=(2, 3)), {"b": b}, n=2)
    for there in (cloudpickle.loads(cloudpickle.dumps(pullback)), copy.deepcopy(pullback)):
        a_bar, p_bar = there(a)
        np.testing.assert_allclose(a_bar.compute(), 2 * a * b**2 * a, rtol=1e-14)
        np.testing.assert_allclose(p_bar["b"].compute(), np.sum(2 * a**2 * b * a, 0), rtol=1e-14)
        assert there.jacobian().shape == (6, 3, 1, 2)


def test_one_element_and_no_elements():
    y, pullback = lazy.vjp(product, da.from_array(np.array(2.0)), 3.0, 4.0)
    assert [float(v) for v in dask.compute(y, *pullback(1.0))] == [24.0, 12.0, 8.0, 6.0]
    y, pullback = lazy.vjp(product, da.zeros((0,), chunks=1), 3.0, 4.0)
    assert [v.tolist() for v in dask.compute(y, *pullback(1.0))] == [[], [], 0.0, 0.0]
    y, pullback = lazy.vjp(product, da.ones(3, chunks=2), np.ones((0, 3)), 4.0)  # along an axis that no dask array has
    assert [v.tolist() for v in dask.compute(y, *pullback(1.0))] == [[], [0.0, 0.0, 0.0], [], 0.0]
    y, pullback = lazy.vjp(product, da.ones(4, chunks=2), 3.0, 4.0)
    assert [v.shape for v in dask.compute(*pullback.batched(np.ones((0, 4))))] == [(0, 4), (0,), (0,)]


def test_lists_are_arrays_of_floats():
    _, pullback = lazy.vjp(product, da.arange(3.0, chunks=2), [1, 2, 3], 2)
    assert [v.tolist() for v in dask.compute(*pullback(1.0))] == [[2.0, 4.0, 6.0], [0.0, 2.0, 4.0], 8.0]


def test_integers_have_no_cotangent():
    y, pullback = lazy.vjp(product, da.arange(4, chunks=2), da.ones(4, chunks=4), 2.0)
    np.testing.assert_array_equal(y.compute(), [0.0, 2.0, 4.0, 6.0])
    assert [v.tolist() for v in dask.compute(*pullback(1.0))] == [[0.0, 2.0, 4.0, 6.0], 6.0]


def test_arguments_with_structure(rng):
    decay = nbad.kernel(lambda p, t: p["a"] * np.exp(-p["b"] * t))
    t, b = rng.uniform(0, 1, size=(2, 512))
    lazy_t, lazy_b = da.from_array(t, chunks=256), da.from_array(b, chunks=128)
    p_bar, t_bar = lazy.vjp(decay, {"a": 2.0, "b": lazy_b}, lazy_t)[1](1.0)
    expected = {"a": np.exp(-b * t).sum(), "b": -2.0 * t * np.exp(-b * t)}
    for name, value in expected.items():
        np.testing.assert_allclose(p_bar[name].compute(), value, rtol=1e-12)
    np.testing.assert_allclose(t_bar.compute(), -2.0 * b * np.exp(-b * t), rtol=1e-13)
    _, partials = lazy.value_and_grad(decay)({"a": 2.0, "b": lazy_b}, lazy_t)
    np.testing.assert_allclose(partials["b"].compute(), expected["b"], rtol=1e-13)
    blocks = lazy.jacobian(decay, "p")({"a": 2.0, "b": lazy_b}, lazy_t)
    np.testing.assert_allclose(blocks.compute()[:, 0, 1], expected["b"], rtol=1e-13)
    _, y_dot = lazy.jvp(decay, ({"a": 2.0, "b": lazy_b}, lazy_t), ({"a": 1.0, "b": 0.0}, 0.0))
    np.testing.assert_allclose(y_dot.compute(), np.exp(-b * t), rtol=1e-13)
    whole = {"a": 2.0, "b": da.arange(512, chunks=256)}  # integers have no derivative
    assert lazy.vjp(decay, whole, lazy_t)[1](1.0)[0]["b"] is None


X = da.ones(6, chunks=2)
WRONG = {
    "no dask array": (lambda: lazy.vjp(product, np.ones(3), 1.0, 1.0), "no argument is a dask array"),
    "unknown sizes": (lambda: lazy.vjp(product, X[X > 0], 1.0, 1.0), "sizes of the chunks of a are not known"),
    "masked blocks": (lambda: lazy.vjp(product, da.ma.masked_invalid(X), 1.0, 1.0), "blocks of a are no NumPy arrays"),
    "complex": (lambda: lazy.vjp(product, X.astype(complex), 1.0, 1.0), "a is complex"),
    "picked": (lambda: lazy.vjp(product, X, nbad.indexed(np.ones(3), [0, 0, 1, 1, 2, 2]), 1.0), "b is picked by an index"),
    "shapes": (lambda: lazy.vjp(product, X, X[:5], 1.0), "do not broadcast"),
    "no kernel": (lambda: lazy.vjp(np.sin, X), "not a kernel"),
    "argnums": (lambda: lazy.jacobian(product, "z")(X, 1.0, 1.0), "does not select"),
    "residuals": (lambda: lazy.vjp(product, X, 1.0, 1.0, residuals="no"), "unknown residual policy"),
    "seed of unknown size": (lambda: lazy.vjp(product, X, 1.0, 1.0)[1](X[X > 0]), "chunks of ct are not known"),
    "seed's shape": (lambda: lazy.vjp(product, X, 1.0, 1.0)[1](X[:5]), "ct has a wrong shape"),
    "seed's structure": (lambda: lazy.vjp(polar, X, 1.0)[1](X), "does not have the structure"),
    "seeds unknown": (lambda: lazy.vjp(product, X, 1.0, 1.0)[1].batched(1.0), "number of seeds is not known"),
    "tangents": (lambda: lazy.jvp(product, (X, 1.0, 1.0), (1.0,)), "one tangent per argument"),
    "gradient of a pair": (lambda: lazy.value_and_grad(polar)(X, 1.0), "take kernels with one number as output"),
    "Hessian of a pair": (lambda: lazy.hessian(polar)(X, 1.0), "take kernels with one number as output"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_in_the_call(name):
    call, says = WRONG[name]
    with pytest.raises(nbad.NbadError, match=says):
        call()


@pytest.mark.parametrize("dtype", [float, int])
def test_masked_blocks_become_missing_values_by_the_line_that_the_error_tells(dtype):
    x = da.ma.masked_equal(da.arange(4, chunks=2).astype(dtype), 2)
    with pytest.raises(nbad.NbadError, match="no NumPy arrays") as caught:
        lazy.vjp(product, x, 2.0, 1.0)
    y, pullback = lazy.vjp(product, eval(str(caught.value).partition("fix: ")[2], {"a": x, "da": da, "np": np}), 2.0, 1.0)
    np.testing.assert_array_equal(y, [0.0, 2.0, np.nan, 6.0])
    np.testing.assert_array_equal(pullback(1.0)[0], [2.0] * 4)


def test_errors_of_the_kernel_are_raised_when_it_is_computed():
    @nbad.kernel
    def picky(x):
        if x < 0:
            raise ValueError("negative")
        return x * x

    y, pullback = lazy.vjp(picky, da.from_array(np.array([1.0, 2.0, -1.0]), chunks=2))
    assert y[:2].compute().tolist() == [1.0, 4.0]
    with pytest.raises(ValueError, match="negative"):
        pullback(1.0)[0].compute()


def count():
    """Blocks that this process made and pickled, counted from the first call on."""
    kind = dask_blocks.Block
    if not hasattr(kind, "counts"):
        kind.counts, init, reduce = {"made": 0, "pickled": 0}, kind.__init__, kind.__reduce__

        def counted(name, method):
            def call(self, *args):
                kind.counts[name] += 1
                return method(self, *args)

            return call

        kind.__init__, kind.__reduce__ = counted("made", init), counted("pickled", reduce)
    return kind.counts


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_processes_have_the_bits_of_one_machine_and_move_no_residuals(rng, processes):
    from distributed import Client, LocalCluster

    n, chunk = 256 * 64, 256 * 4
    r, x_bars, y_bars = rng.uniform(1, 2, n), *rng.normal(size=(2, 3, n))
    value, whole = nbad.vjp(polar, r, 0.3)
    setting = dict(n_workers=processes, threads_per_worker=1, dashboard_address=":0")
    with dask.config.set(scheduler=None), LocalCluster(**setting) as cluster, Client(cluster) as client:
        client.run(count)
        before = dict(count())
        y, pullback = lazy.vjp(polar, da.from_array(r, chunks=chunk), 0.3)
        same_bits(y, value)
        for _ in range(4):
            same_bits(pullback((x_bars[0], da.from_array(y_bars[0], chunks=700))), whole((x_bars[0], y_bars[0])))
        same_bits(pullback.batched((x_bars, y_bars)), whole.batched((x_bars, y_bars)))
        total = (pullback((1.0, 1.0))[0] * 2).sum()  # what dask makes one task of
        np.testing.assert_allclose(total.compute(), 2 * n * (np.cos(0.3) + np.sin(0.3)), rtol=1e-12)
        counts = client.run(count).values()
        assert sum(c["made"] for c in counts) == n // chunk
        assert sum(c["pickled"] for c in counts) == 0
        assert count() == before  # the client neither made nor received one
        assert len({c["made"] > 0 for c in counts}) == 1  # all processes have some
        if processes == 2:  # blocks of a worker that leaves move to another, and stay what they are
            client.retire_workers([next(iter(client.scheduler_info()["workers"]))])
            same_bits(pullback.batched((x_bars, y_bars)), whole.batched((x_bars, y_bars)))
            assert sum(c["made"] + c["pickled"] for c in client.run(count).values()) > 0


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(rng):
    from distributed import Client, LocalCluster

    n, chunk = 256 * 64, 256 * 4
    r, x_bars, y_bars = rng.uniform(1, 2, n), *rng.normal(size=(2, 3, n))
    whole = nbad.vjp(polar, r, 0.3)[1].batched((x_bars, y_bars))
    setting = dict(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with dask.config.set(scheduler=None), LocalCluster(**setting) as cluster, Client(cluster) as client:
        _, pullback = lazy.vjp(polar, da.from_array(r, chunks=chunk), 0.3)
        same_bits(pullback.batched((x_bars, y_bars)), whole)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        for _ in range(2):
            same_bits(pullback.batched((x_bars, y_bars)), whole)


def test_dtypes_that_kernels_do_not_take_are_refused_before_anything_is_computed():
    area = nbad.kernel(lambda a, b=2.0: a * b)
    for dtype, fix in (("complex128", r"a\.real"), ("M8[s]", r"\(a - np\.datetime64"), ("longdouble", r"a\.astype\(np\.float64")):
        for call in (area, nbad.grad(area), lazy.jacobian(area)):
            with pytest.raises(TypeError, match=rf"`: a (is|holds) [\s\S]*fix: {fix}"):
                call(da.ones(3, dtype=dtype))
    assert area(da.ones(3, dtype="f2")).compute().dtype == np.float64
