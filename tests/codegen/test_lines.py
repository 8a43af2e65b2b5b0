"""Rows in lines: kernels find each element where it lies, and no bit depends on that; wide kernels of any number of elements."""

import pickle

import cloudpickle
import numpy as np
import pytest
from helpers.same_bits import bits
from helpers.tiles_by_hand import ENTRY
from helpers.wide_kernels import softmax
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.codegen.compile import TileKernel
from nbad.codegen.host import ITEMSIZE, LINE
from nbad.codegen.lower import lower
from nbad.graphs.graph import GraphBuilder
from nbad.indexing.index import PART
from nbad.plans.plan import LINED
from nbad.runtime import launch
from nbad.runtime.strides import blank_behind, put_rows, rows_between, whole_rows


def lined(rows):
    """By hand: a cache line of each row after the other."""
    items = LINE // rows.itemsize
    return np.concatenate([row[k : k + items] for k in range(0, rows.shape[1], items) for row in rows])


def kernel(number, dtype):
    """Inputs as they are, doubled, times the next one, and a constant."""
    builder = GraphBuilder("all_kinds", [f"x{k}" for k in range(number)])
    outputs = [builder.constant(3.0), *range(number // 2)]
    outputs += [builder.add("add", k, k) if k % 2 else builder.add("mul", k, (k + 1) % number) for k in range(number)]
    return TileKernel(lower(builder.build(outputs), dtype), np.dtype(dtype), "simd")


def run(made, n, *arrays):
    table = np.array([a.ctypes.data for a in arrays], np.intp)
    ENTRY(made.address)(table.ctypes.data, n)


@pytest.mark.parametrize("registers", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("number", [5, 40])
def test_kernels_read_and_write_rows_in_lines(number, dtype, registers, rng, monkeypatch):
    for module in ("vector_ir", "length"):
        monkeypatch.setattr(f"nbad.codegen.{module}.length", lambda oplist, host: registers)
    plain = kernel(number, dtype)
    outputs = len(plain.graph.outputs)
    n = 4 * max(plain.width, LINE // ITEMSIZE[dtype])
    x = rng.uniform(0.5, 2.0, (number, n)).astype(dtype)
    doubled = [x[k] + x[k] if k % 2 else x[k] * x[(k + 1) % number] for k in range(number)]
    expected = np.stack([np.full(n, 3.0, dtype), *x[: number // 2], *doubled])
    results = np.zeros((outputs, n), dtype)
    run(plain.in_lines("read", number), n, lined(x), *results)
    assert_array_equal(results, expected)
    in_lines = np.zeros(outputs * n, dtype)
    run(plain.in_lines("written", outputs), n, *x, in_lines)
    assert_array_equal(in_lines, lined(expected))


def closed(x, seeds):
    """Softmax and its cotangents."""
    e = np.exp(x)
    y = e / e.sum(-1, keepdims=True)
    return y, y * (seeds - (y * seeds).sum(-1, keepdims=True))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 5, 7, 8, 9, 17, 31, 255, 256, 257, 1000, 9001])
def test_wide_kernels_of_any_number_of_elements(n, dtype, rng):
    f, x, seeds = (
        softmax(LINED + 1),
        rng.normal(size=(n, LINED + 1)).astype(dtype),
        rng.normal(size=(3, n, LINED + 1)).astype(dtype),
    )
    y, pullback = nbad.vjp(f, x)
    tolerance = dict(rtol=1e-12, atol=1e-13) if dtype is np.float64 else dict(rtol=1e-4, atol=1e-6)
    for seed, found in zip(seeds, pullback.batched(np.stack(seeds))[0], strict=True):
        for ours, true in zip((y, pullback(seed)[0], found), (*closed(x, seed), closed(x, seed)[1]), strict=True):
            assert_allclose(ours, true, **tolerance)
    part, at = nbad.vjp(f, x[n // 2 :]), n // 2
    assert bits((part[0], part[1](seeds[0][at:]))) == bits((y[at:], (pullback(seeds[0])[0][at:],)))
    _, push = nbad.linearize(f, x)
    tangent = rng.normal(size=x.shape).astype(dtype)
    assert_allclose(push((tangent,)), closed(x, tangent)[1], **tolerance)  # the Jacobian is symmetric
    few = slice(max(n - 3, 0), n)
    assert_allclose(np.einsum("nij,ni->nj", pullback.jacobian()[few], seeds[0][few]), pullback(seeds[0])[0][few], **tolerance)


def scaled():
    return nbad.kernel(lambda x, a: np.exp(x * a) / np.sum(np.exp(x * a)), signature=f"({LINED + 3}),()->({LINED + 3})")


@pytest.mark.parametrize("axes", [(40, 1), (30,), (), (40, 30)])
def test_cotangents_of_shared_arguments_in_slabs_and_saved(axes, rng):
    f, x, a = scaled(), rng.normal(size=(40, 30, LINED + 3)), rng.uniform(0.5, 1.5, axes)
    y, pullback = nbad.vjp(f, x, a)
    seed = rng.normal(size=y.shape)
    inner = closed(x * np.broadcast_to(a, (40, 30))[..., None], seed)[1]
    by_x, by_a = pullback(seed)
    assert_allclose(by_x, inner * np.broadcast_to(a, (40, 30))[..., None], rtol=1e-11, atol=1e-13)
    every = (inner * x).sum(-1)
    shared = tuple(k for k, size in enumerate((1,) * (2 - len(axes)) + axes) if size == 1)
    assert_allclose(by_a, every.sum(shared, keepdims=True).reshape(axes), rtol=1e-9, atol=1e-12)
    _, bounded = nbad.vjp(f, x, a, max_bytes=pullback.rows.nbytes + 60_000)
    assert bits(bounded(seed)) == bits(pickle.loads(cloudpickle.dumps(pullback))(seed)) == bits((by_x, by_a))


def test_padding_of_saved_rows_is_blank(rng):
    _, pullback = nbad.vjp(softmax(LINED), rng.normal(size=(3, LINED)))
    pullback.rows[...] = np.where(pullback.rows == 0.0, 7.0, pullback.rows)
    buffers = []
    pickle.dumps(pullback, protocol=5, buffer_callback=buffers.append)
    kept = np.frombuffer(buffers[0], float)
    count = len(pullback.rows)
    assert np.count_nonzero(kept) == 3 * count
    assert (np.count_nonzero(kept[: 8 * count].reshape(count, 8), axis=1) == 3).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("elements", [0, 1, 7, 8, 15, 16, 100, 256])
def test_whole_rows_come_out_of_a_buffer_as_they_were_put(elements, dtype, rng):
    rows, buffer = rng.normal(size=(LINED, elements)).astype(dtype), np.full((LINED, 256), 7.0, dtype)
    put_rows(buffer, rows)
    assert_array_equal(whole_rows(buffer, elements), rows)
    assert_array_equal(whole_rows(buffer, np.arange(elements)[::-3]), rows[:, ::-3])
    blank_behind(buffer, elements)
    assert_array_equal(buffer.ravel(), lined(np.pad(rows, ((0, 0), (0, 256 - elements)))))


@pytest.mark.parametrize("n", [1003, 5000])
@pytest.mark.parametrize("number", [0, 0.3])
def test_results_that_pass_the_caches_come_from_rows_in_lines(n, number, rng, monkeypatch):
    """Cotangents of numbers lie in rows, which may begin anywhere in a cache line; partials by lines do not."""
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1)

    @nbad.kernel
    def products(a, b, c, d, e, f):
        return tuple([(a + k) * (b + k) * (c + k) * (d + k) * (e + k) * (f + k) for k in range(6)])

    x = rng.uniform(0.5, 2.0, (6, n)) if not number else [number, *rng.uniform(0.5, 2.0, (5, n))]
    _, pullback = nbad.vjp(products, *x, residuals="partials")
    assert len(pullback.rows) >= LINED
    seeds, whole = rng.normal(size=(6, 3, n)), [np.broadcast_to(value, n) for value in x]
    terms = [[seeds[k] * np.prod([v + k for v in (*whole[:i], *whole[i + 1 :])], axis=0) for k in range(6)] for i in range(6)]
    memory = np.zeros(18 * (n // 8 + 3) * 8 + 8)
    ahead = (3 - memory.ctypes.data // 8) % 8  # each row begins at the same place of a cache line, which is not its first
    rows = memory[ahead : ahead + memory.size - 8].reshape(6, 3, -1)
    given = tuple(own[:, :n] if np.ndim(value) else np.zeros(3) for value, own in zip(x, rows, strict=True))
    alone = [np.stack(own) for own in zip(*(pullback(tuple(seed)) for seed in seeds.swapaxes(0, 1)), strict=True)]
    for found in (alone, pullback.batched(tuple(seeds)), pullback.batched(tuple(seeds), out=given)):
        for value, ours, true in zip(x, found, np.sum(terms, axis=1), strict=True):
            assert_allclose(ours, true if np.ndim(value) else true.sum(-1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("axes", [True, False])
@pytest.mark.parametrize("n", [PART - 1, 2 * PART + 13])
def test_cotangents_of_picked_arguments_in_parts(n, axes, accumulate, rng):
    """Each part's rows begin where the one's before it end."""
    f, nodes, at = scaled(), rng.normal(size=(7, LINED + 3)), rng.integers(0, 7, n)
    a = rng.uniform(0.5, 1.5, n if axes else ())
    by = np.broadcast_to(a, n)[:, None]
    _, pullback = nbad.vjp(f, nbad.indexed(nodes, at), a)
    assert len(pullback.rows) >= LINED
    seed, before = rng.normal(size=(n, LINED + 3)), rng.normal(size=nodes.shape)
    inner, expected = closed(nodes[at] * by, seed)[1], np.zeros(nodes.shape)
    np.add.at(expected, at, inner * by)
    along = (inner * nodes[at]).sum(-1)
    out = (before.copy() if accumulate else np.empty(nodes.shape)), np.zeros(a.shape)
    by_nodes, by_a = pullback(seed, out=out, accumulate=accumulate)
    assert_allclose(by_nodes, expected + before * accumulate, rtol=1e-10, atol=1e-11)
    assert_allclose(by_a, along if axes else along.sum(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_of_some_elements_are_a_view(dtype, rng):
    rows, buffer = rng.normal(size=(LINED, 200)).astype(dtype), np.zeros((LINED, 256), dtype)
    put_rows(buffer, rows)
    for start, stop in ((0, 200), (16, 17), (32, 199), (192, 200)):
        part = rows_between(buffer, start, stop)
        assert np.shares_memory(part, buffer)
        assert_array_equal(whole_rows(part, stop - start), rows[:, start:stop])
