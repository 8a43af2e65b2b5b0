"""The quick path for few elements: the same bits as the general one, and it steps aside for everything else."""

import importlib.util
import math
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.same_bits import bits
from helpers.tiles_by_hand import compile_tile

import nbad
from nbad.codegen import compile
from nbad.codegen.compile import Shelf
from nbad.codegen.lower import lower
from nbad.graphs.graph import GraphBuilder
from nbad.native import cpython
from nbad.native.apart import are_apart
from nbad.native.entry import Bounds, Means, Move, Plain, entry
from nbad.runtime import plain, sweeps
from nbad.runtime.launch import Launch
from nbad.runtime.operands import DOUBLE
from nbad.runtime.threads import asked

NEVER = 1 << 60


@nbad.kernel
def wave(x, y):
    return math.sin(x) * math.exp(-y), x / y


@nbad.kernel
def ratio(x, y):
    return x / (1.0 + y * y)


@nbad.kernel(signature="(2,3),(),(3)->(2),()")
def moved(m, s, v):
    return m @ v * s, np.dot(v, v) / s


def product(limit=256, dtype="float64"):
    builder = GraphBuilder("product", ["a", "b"])
    kernel = compile_tile(lower(builder.build([builder.add("mul", 0, 1)]), dtype))
    loads, stores = (Move(0), Move(1)), (Move(2),)
    bounds, means = Bounds(limit, limit, NEVER, NEVER, NEVER), Means(asked, NEVER, asked)
    return entry(Plain(kernel, ((), ()), ((((),), False),), loads, stores), bounds, means)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 100, 255, 256, 257, 300])
def test_the_same_bits_as_the_general_path(n, rng):
    x, y = rng.uniform(0.5, 2.0, (2, n))
    general = wave(x[::-1][::-1], y), wave(np.repeat(x, 2)[::2], np.repeat(y, 2)[::2])
    for _ in range(3):
        quick = wave(x, y)
        for result in general:
            assert all(np.array_equal(a, b) for a, b in zip(quick, result, strict=True))


def vectors(shape, rng):
    return rng.uniform(0.5, 2.0, (*shape, 2, 3)), rng.uniform(0.5, 2.0, shape), rng.uniform(0.5, 2.0, (*shape, 3))


def not_contiguous(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


@pytest.mark.parametrize("shape", [(), (1,), (7,), (8,), (2, 3), (1, 1, 1), (255,), (256,), (257,), (1023,), (20, 301)])
def test_vectors_and_matrices(shape, rng):
    xs, seeds = vectors(shape, rng), (rng.standard_normal((*shape, 2)), rng.standard_normal(shape))
    apart = [not_contiguous(x) if x.ndim else x for x in xs]
    value, cotangents = moved(*apart), nbad.vjp(moved, *apart)[1](seeds)
    for _ in range(3):
        found, pullback = nbad.vjp(moved, *xs)
        assert bits(moved(*xs)) == bits(value)
        assert bits(found) == bits(value)
        assert bits(pullback(seeds)) == bits(cotangents)
        assert bits(pullback(seeds, out=tuple(map(np.zeros_like, xs)))) == bits(cotangents)


def test_a_number_among_vectors(rng):
    m, _, v = vectors((), rng)
    for _ in range(3):
        assert np.array_equal(moved(m, 2.0, v)[0], m @ v * 2.0)
    assert type(moved(m, 2.0, v)[1]) is np.float64


@pytest.mark.parametrize("mode", ["reverse", "forward", "auto"])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (256,), (257,), (1023,)])
def test_jacobians_of_vectors(shape, mode, rng):
    xs = vectors(shape, rng)
    value, expected = nbad.value_and_jacobian(moved)(*[not_contiguous(x) if x.ndim else x for x in xs])
    for _ in range(3):
        assert np.allclose(nbad.jacobian(moved, mode=mode)(*xs), expected, rtol=1e-14, atol=0.0)
        y, blocks = nbad.value_and_jacobian(moved)(*xs)
        assert bits((*y, blocks)) == bits((*value, expected))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (256,), (2001,)])
@pytest.mark.parametrize("argnums", [None, 1, ("y", "x"), (0,)])
def test_jacobians_of_scalars(shape, argnums, rng):
    x, y = rng.uniform(0.5, 2.0, (2, *shape))
    for f in (wave, ratio, nbad.kernel(lambda x, y: (x + y, 3.0 * x)), nbad.kernel(lambda x, y: x * x + y * y + 2.0 * x * y)):
        expected = nbad.jacobian(f, argnums)(np.repeat(x, 2)[::2].reshape(shape), y)
        for _ in range(3):
            found = nbad.jacobian(f, argnums)(x, y)
            assert bits(found) == bits(expected)
            found[...] = 0.0


@pytest.mark.parametrize("slope", [1.0, -2.5])
def test_jacobians_that_are_one_constant_are_written(slope):
    program = nbad.kernel(lambda x: slope * x).whole_program()
    run = plain.jacobian(program, program.jacobian_plan((0,), "auto"), DOUBLE, False)
    for n in range(1, 34):  # whole vectors, too
        blocks = np.full((n, 1, 1), np.nan)
        assert run((np.ones(n),), blocks) is blocks
        assert np.array_equal(blocks, np.full((n, 1, 1), slope))


@pytest.mark.parametrize("wrong", [
    lambda m, s, v: (m.T, s, v), lambda m, s, v: (m, s, v[:2]), lambda m, s, v: (m[0], s, v), lambda m, s, v: (m, s, 1.0),
])  # fmt: skip
def test_a_wrong_core_is_explained(wrong, rng):
    xs = vectors((), rng)
    assert moved(*xs)[0].shape == (2,)
    with pytest.raises(ValueError, match="does not end in its core shape"):
        moved(*wrong(*xs))


def test_few_vectors_broadcast_as_ever(rng):
    m, s, v = vectors((4,), rng)
    for _ in range(3):
        assert np.allclose(moved(m, s, v[0])[0], m @ v[0] * s[:, None], rtol=1e-14)
        assert np.allclose(nbad.vjp(moved, m, s, v[0])[1]((0.0, 1.0))[2], np.sum(2.0 / s) * v[0], rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3), (16,), (17,), (255,), (256,), (257,)])
def test_cotangents_of_what_all_elements_share(shape, dtype, rng):
    """They are sums, with the bits of every other way, and those of a float64 sum to rounding."""
    m, s, v = (a.astype(dtype) for a in vectors(shape, rng))
    xs = m, s[(0,) * s.ndim], v[(0,) * len(shape)]
    seeds = tuple(rng.standard_normal((3, *each)).astype(dtype) for each in ((*shape, 2), shape))
    whole = m, *(np.broadcast_to(x, (*shape, *x.shape)).copy() for x in xs[1:])
    each = nbad.vjp(moved, *whole)[1].batched(seeds)
    axes = tuple(range(1, 1 + len(shape)))
    exact = each[0], *(ct.sum(axes, dtype="float64") for ct in each[1:])
    _, pullback = nbad.vjp(moved, *xs)
    general = pullback.batched(tuple(map(not_contiguous, seeds)))
    for _ in range(2):
        found = pullback.batched(seeds)
        assert bits(found) == bits(general)
        assert bits(pullback.batched(seeds, out=tuple(map(np.full_like, found, (7.0,) * 3)))) == bits(general)
        for k in range(3):
            one = tuple(ct[k] for ct in found)
            assert bits(pullback(tuple(seed[k] for seed in seeds))) == bits(one)
        for ct, expected in zip(found, exact, strict=True):
            np.testing.assert_allclose(ct, expected, rtol=50 * np.finfo(dtype).eps, atol=300 * np.finfo(dtype).eps)


@pytest.mark.parametrize("n", [255, 256, 257, 512, 5 * 256, 7 * 256 + 1, 11 * 256 + 100, 12_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sums_of_many_blocks_have_the_bits_of_the_general_way(n, dtype, rng, monkeypatch):
    """The same tree of the same blocks, whoever adds; the general way meets seeds with gaps."""
    f = nbad.kernel(lambda x, k, v: (k * x * v[0], np.exp(k) - x * v[1]), signature="(),(),(2)->(),()")
    x, k, v = rng.standard_normal(n).astype(dtype), dtype(0.7), rng.standard_normal(2).astype(dtype)
    _, pullback = nbad.vjp(f, x, k, v)
    seeds = tuple(rng.standard_normal((2, 3, n)).astype(dtype))
    general = pullback.batched(tuple(np.repeat(seed, 2, 1)[:, ::2] for seed in seeds))
    monkeypatch.setattr(Launch, "__call__", None)  # an entry of its own does all the rest
    few = 3 if n < 10_000 else 1
    found = pullback.batched(tuple(seed[:few] for seed in seeds)) if few > 1 else None
    for number in range(3):
        one = tuple(ct[number] for ct in general)
        assert bits(pullback(tuple(seed[number] for seed in seeds))) == bits(one)
        assert found is None or bits(tuple(ct[number] for ct in found)) == bits(one)
    exact = math.fsum(np.float64(seeds[0][0]) * x * v[0] + np.float64(seeds[1][0]) * math.exp(k))
    assert abs(general[1][0] - exact) <= 1e-12 * n if dtype is np.float64 else 1e-3 * n


def test_a_shared_number_of_one_element_keeps_its_zero():
    _, pullback = nbad.vjp(nbad.kernel(lambda x, k: x * k), np.array([-0.0]), 3.0)
    assert math.copysign(1.0, pullback(np.array([1.0]))[1]) == -1.0


def test_a_shared_result_has_memory_of_its_own():
    _, pullback = nbad.vjp(nbad.kernel(lambda x, k: x * k), np.arange(4.0), 3.0)
    room = np.zeros(5)
    with pytest.raises(ValueError, match="overlaps an input or another result"):
        pullback(np.ones(4), out=(room[:4], room[3:4].reshape(())))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (1, 1, 1)])
def test_pullbacks_of_the_quick_path(shape, rng):
    x, y = rng.uniform(0.5, 2.0, (2, *shape))
    seeds = tuple(rng.standard_normal((2, *shape)))
    value, pullback = nbad.vjp(wave, np.float64(x), np.float64(y), residuals="partials")
    expected = pullback(seeds)
    for _ in range(3):
        found, quick = nbad.vjp(wave, x, y)
        assert all(np.array_equal(a, b) for a, b in zip(found, value, strict=True))
        cotangents = quick(seeds)
        assert [c.shape for c in cotangents] == [shape, shape]
        assert np.allclose(cotangents, expected, rtol=1e-14)
        assert all(np.array_equal(a, b) for a, b in zip(quick(seeds), cotangents, strict=True))
        batched = quick.batched(tuple(np.stack([s, s]) for s in seeds))
        assert all(np.array_equal(many[1], one) for many, one in zip(batched, cotangents, strict=True))


def test_scalars_among_arrays_and_their_cotangents():
    x = np.array([1.0, 2.0, 4.0])
    for _ in range(3):
        assert np.array_equal(ratio(x, 2.0), x / 5.0)
        _, pullback = nbad.vjp(ratio, x, 2.0)
        assert pullback(1.0)[1] == pytest.approx(np.sum(-x * 4.0 / 25.0))


def test_results_are_independent_of_each_other():
    x = np.array([1.0, 2.0])
    ratio(x, x)
    first, second = ratio(x, x), ratio(x, x)
    first[:] = 0.0
    assert second[0] == 0.5
    assert ratio(x, x)[0] == 0.5


@pytest.mark.parametrize("refused", [
    lambda a: a.astype(np.float32), lambda a: a.astype(int), lambda a: a[::-1], lambda a: a[:2], lambda a: a[None],
    lambda a: a.tolist(),
    lambda a: a.astype(">f8"), lambda a: 1 << 70, lambda a: None, lambda a: np.float32(1.0), lambda a: np.zeros(257),
    lambda a: a[:0],
])  # fmt: skip
def test_an_entry_steps_aside_and_does_nothing(refused):
    run, a, out = product(), np.arange(1.0, 4.0), np.full(3, 9.0)
    assert run((a, a), out) is out
    out[:] = 9.0
    assert run((a, refused(a)), out) is False
    assert (out == 9.0).all()


@pytest.mark.parametrize("wrong", [
    lambda a, out: out[::-1], lambda a, out: a, lambda a, out: a[:2], lambda a, out: out.astype(np.float32), lambda a, out: 1.0,
    lambda a, out: np.frombuffer(out.tobytes()), lambda a, out: out[None], lambda a, out: out[:2], lambda a, out: out.tolist(),
])  # fmt: skip
def test_an_entry_writes_to_memory_of_its_own_only(wrong):
    run, a, out = product(), np.arange(1.0, 4.0), np.full(3, 9.0)
    assert run((a, a), wrong(a, out)) is False
    assert a.tolist() == [1.0, 2.0, 3.0]
    assert out.tolist() == [9.0, 9.0, 9.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_entry_in_every_size_and_dtype(dtype, rng):
    run = product(1000, dtype)
    for n in (*range(1, 70), 255, 256, 257, 511, 513, 999, 1000, 1001):
        a, b = rng.standard_normal((2, n)).astype(dtype)
        made, out = run((a, b), None), np.empty(n, dtype)
        if n > 1000:
            assert made is False
            continue
        assert made.dtype == dtype
        assert np.array_equal(made, a * b)
        assert run((a, b), out) is out
        assert np.array_equal(out, made)
        assert np.array_equal(run((a, 2.5), None), a * np.dtype(dtype).type(2.5))
    assert run((a[:4].reshape(2, 2), b[:4].reshape(2, 2)), None).shape == (2, 2)
    assert run((a[:4].reshape(2, 2), b[:4]), None) is False


def test_arrays_without_axes_are_numbers_of_a_forward_sweep_only(rng):
    x, seed = rng.uniform(0.5, 2.0, 5), rng.standard_normal(5)
    scale = np.array(2.0)
    for _ in range(3):
        y, pullback = nbad.vjp(ratio, x, scale)
        assert np.array_equal(y, x / 5.0)
        assert pullback(seed)[1] == pytest.approx(np.sum(-seed * x * 4.0 / 25.0))
        assert ratio(x.astype(np.float32), scale.astype(np.float32)).dtype == np.float32
        assert ratio(x.astype(np.float32), scale).dtype == np.float64
        _, pullback = nbad.vjp(ratio, x, x)
        assert np.array_equal(pullback(2.0)[0], pullback(np.full(5, 2.0))[0])
        with pytest.raises(ValueError, match="ct has a wrong shape"):
            pullback(scale)


@pytest.mark.parametrize("tangent", [np.ones(5), np.ones(1), np.ones((2, 5))], ids=str)
def test_a_tangent_has_the_axes_of_its_primal(tangent):
    x = np.ones(5)
    for _ in range(3):
        assert np.allclose(nbad.jvp(ratio, (x, 2.0), (x, 1.0))[1], 1.0 / 5.0 - 4.0 / 25.0, rtol=1e-15)
        nbad.jvp(ratio, (x, x), (x, x)), nbad.jvp(ratio, (x, np.array(2.0)), (1.0, np.array(1.0)))
        with pytest.raises(ValueError, match="the tangent of y has a wrong shape"):
            nbad.jvp(ratio, (x, 2.0), (x, tangent))
        with pytest.raises(ValueError, match="the tangent of x has a wrong shape"):
            nbad.jvp(ratio, (x, x), (np.array(1.0), x))


def test_kernels_of_very_many_arguments():
    names = [f"x{k}" for k in range(90)]
    f = nbad.kernel(eval(f"lambda {', '.join(names)}: {' + '.join(names)}"))
    for _ in range(3):
        assert f(*range(90)) == f(*map(float, range(90))) == sum(range(90))
        assert nbad.vjp(f, *map(float, range(90)))[1](1.0) == (1.0,) * 90


def test_an_entry_counts_its_arguments():
    run, a = product(), np.ones(3)
    assert run() is run((a, a)) is run((a, a), None, None) is False
    assert run((), None) is run((a,), None) is run((a, a, a), None) is run([a, a], None) is run(a, None) is False


@pytest.mark.parametrize("out", [
    lambda y, z, j: (y, z), lambda y, z, j: ((y, z),), lambda y, z, j: ((y, z), j, j), lambda y, z, j: ((y,), j),
    lambda y, z, j: (y, j), lambda y, z, j: ((y, z, z), j), lambda y, z, j: [(y, z), j], lambda y, z, j: ([y, z], j),
    lambda y, z, j: ((y, z), (j,)), lambda y, z, j: ((y, z), None), lambda y, z, j: j, lambda y, z, j: (), lambda y, z, j: 1.0,
])  # fmt: skip
def test_an_entry_takes_results_in_their_structure_only(out, rng):
    program = wave.whole_program()
    run = plain.jacobian(program, program.jacobian_plan((0, 1), "auto"), DOUBLE, True)
    xs = rng.uniform(1.0, 2.0, (2, 5))
    room = np.full(5, 9.0), np.full(5, 9.0), np.full((5, 2, 2), 9.0)
    assert run(tuple(xs), out(*room)) is False
    assert all((part == 9.0).all() for part in room)
    whole = room[:2], room[2]
    count = sys.getrefcount(whole)
    assert run(tuple(xs), whole) is whole
    assert sys.getrefcount(whole) == count
    assert np.array_equal(room[1], xs[0] / xs[1])


def test_numbers_alone_give_a_number():
    found = product()((2.0, np.float64(3.0)), None)
    assert type(found) is np.float64
    assert found == 6.0
    assert product()((np.array(2.0), np.array(3.0)), None) == 6.0
    assert type(product()((np.array(2.0), 3.0), None)) is np.float64


def test_entries_of_both_dtypes_serve_one_kernel(rng):
    x, y = rng.uniform(0.5, 2.0, (2, 5))
    for _ in range(3):
        for dtype in (np.float64, np.float32):
            a, b = x.astype(dtype), y.astype(dtype)
            (found, _), pullback = nbad.vjp(wave, a, b)
            assert found.dtype == pullback((a, b))[0].dtype == nbad.jacobian(wave)(a, b).dtype == dtype
            assert np.array_equal(found, wave(a, np.repeat(b, 2)[::2])[0])


def test_results_and_arguments_are_counted(rng):
    """What an entry makes belongs to its caller alone, and it keeps nothing of what it got."""
    x, y = rng.uniform(0.5, 2.0, (2, 5))
    seeds, out = (x, y), (np.empty(5), np.empty(5))
    verbs = [
        lambda: wave(x, y), lambda: wave(x, y, out=out), lambda: nbad.vjp(wave, x, y)[1](seeds),
        lambda: nbad.jacobian(wave)(x, y),
        lambda: nbad.vjp(wave, x, y)[1](seeds, out=out), lambda: nbad.jvp(wave, (x, y), (x, 1.0)), lambda: wave(1.0, 2.0),
    ]  # fmt: skip
    for verb in verbs:
        verb(), verb()
        before = [sys.getrefcount(thing) for thing in (x, y, *out, seeds, out, np.ndarray, x.dtype)]
        results = [verb() for _ in range(100)]
        del results
        after = [sys.getrefcount(thing) for thing in (x, y, *out, seeds, out, np.ndarray, x.dtype)]
        assert after == before
    fresh, plain = wave(x, y), (np.empty(5), np.empty(5))
    counts = [(sys.getrefcount(pair), sys.getrefcount(pair[0])) for pair in (fresh, plain)]
    assert counts[0] == counts[1]


def test_the_general_path_still_explains():
    assert ratio(1.0, 2.0) == 0.2
    with pytest.raises(ValueError, match="do not broadcast"):
        ratio(np.ones(2), np.ones(3))
    with pytest.raises(TypeError, match="is complex"):
        ratio(1j, 2.0)


def test_layout_of_objects_is_as_entries_expect():
    assert cpython.is_available()
    assert DOUBLE is np.dtype(float)


@nbad.kernel(signature="(3),()->(3),()")
def scaled(v, s):
    return v * s / np.sqrt(np.dot(v, v)), s * s


def verbs(v, s):
    """What the verbs give for one kernel of vectors, flat."""
    seeds = np.stack([v, -v]), np.stack([s, 2.0 * s])
    _, pullback = nbad.vjp(scaled, v, s)
    _, pushforward = nbad.linearize(scaled, v, s)
    results = scaled(v, s), nbad.value_and_jacobian(scaled)(v, s), nbad.jvp(scaled, (v, s), (v, s)), pushforward((v, s))
    return flat((results, pullback((v, s)), pullback.batched(seeds), pushforward.batched(seeds)))


def flat(results):
    return [leaf for r in results for leaf in flat(r)] if isinstance(results, tuple) else [results]


@pytest.mark.parametrize("n", [0, 1, 5, 300])
def test_launchers_and_drivers_give_the_same_bits(n, rng, monkeypatch):
    v, s = rng.uniform(0.5, 2.0, (n, 3)), rng.uniform(0.5, 2.0, n)
    held = verbs(v, s)
    monkeypatch.setattr(cpython, "is_available", lambda: False)
    monkeypatch.setitem(globals(), "scaled", nbad.kernel(scaled.__wrapped__, signature=scaled.signature))
    assert all(a.shape == b.shape and np.array_equal(a, b) for a, b in zip(held, verbs(v, s), strict=True))


def test_a_launcher_counts_its_seeds(rng):
    _, pullback = nbad.vjp(scaled, np.ones(3), 2.0)
    for count in (1, 2, 255, 3000):
        cts = rng.standard_normal((count, 3)), rng.standard_normal(count)
        many, last = pullback.batched(cts), pullback(tuple(ct[-1] for ct in cts))
        assert all(np.array_equal(a[-1], b) for a, b in zip(many, last, strict=True))


def test_threads_do_not_meet_in_a_launcher(rng):
    inputs = rng.uniform(0.5, 2.0, (8, 4, 3))
    jacobian = nbad.jacobian(scaled)
    expected = [jacobian(v, 1.5) for v in inputs]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda k: jacobian(inputs[k % 8], 1.5), range(800)))
    assert all(np.array_equal(j, expected[k % 8]) for k, j in enumerate(found))


def test_what_is_apart_shares_nothing(rng):
    memory, known = np.zeros(40), 0
    for _ in range(300):
        a, b = (memory[slice(*sorted(rng.integers(0, 41, 2)), rng.integers(1, 3))] for _ in range(2))
        is_apart = are_apart((a,), (b, np.ones((2, 2)).T))
        assert not (is_apart and np.shares_memory(a, b))
        known += is_apart
    assert known > 20
    assert not are_apart((memory, np.ones(2), memory[3:5]), ())
    assert not are_apart((memory,), (np.zeros(1).view(np.recarray),))
    assert not are_apart((memory,), (1.0,))


def test_layouts_tell_types_apart():
    half = nbad.kernel(lambda x, y: 0.5 * x + y)
    x = np.ones(3, np.float32)
    others = (2.0, np.float64(2.0), 2, np.float32(2.0), np.array(2.0), np.array(2), np.int64(2), True, [2.0, 2.0, 2.0])
    kinds = [half(x, y).dtype.name for y in others]
    assert kinds == ["float32", "float64", "float32", "float32", *["float64"] * 3, "float32", "float64"]
    assert [half(x, y).dtype.name for y in others] == kinds
    assert [half(x, y)[0] for y in others] == [2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 1.5, 2.5]


def test_numbers_of_a_known_layout_are_still_checked():
    half = nbad.kernel(lambda x, y: 0.5 * x + y)
    out = np.empty(3)
    half(np.ones(3), 2, out=out)
    with pytest.raises(TypeError, match="y is not an array of numbers"):
        half(np.ones(3), 10**400, out=out)


@pytest.mark.parametrize("wrong", [True, 1.0, (True,), "z", (1, 1)])
def test_argnums_of_a_known_layout_are_still_checked(wrong):
    x = np.ones(2)
    for argnums in (1, "y", (1,), (1, 0)):
        for _ in range(2):
            assert nbad.vjp(ratio, x, x, argnums=argnums)[1](1.0)[0][0] == -0.5
    with pytest.raises(ValueError, match="does not select arguments"):
        nbad.vjp(ratio, x, x, argnums=wrong)


def test_argnums_beside_static_arguments():
    power = nbad.kernel(lambda x, order: x**order, static="order")
    for _ in range(2):
        assert [nbad.vjp(power, 3.0, order, argnums=0)[1](1.0)[0] for order in (2, 3)] == [6.0, 27.0]


@pytest.mark.parametrize("argnums", [0, 1, "y", (0,), (1, 0), [0, 1]])
def test_argnums_of_the_quick_path(argnums, rng):
    x, y, ct = rng.uniform(0.5, 2.0, (3, 5))
    expected = nbad.vjp(ratio, np.repeat(x, 2)[::2], y, argnums=argnums)[1](ct)
    for _ in range(3):
        found = nbad.vjp(ratio, x, y, argnums=argnums)[1](ct)
        assert len(found) == len(expected)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_pushforwards_take_tangents_in_the_order_of_argnums(rng):
    x, y, s, t = rng.uniform(0.5, 2.0, (4, 5))
    _, swapped = nbad.linearize(ratio, x, y, argnums=("y", "x"))
    _, usual = nbad.linearize(ratio, x, y)
    assert np.allclose(swapped((t, s)), usual((s, t)), rtol=1e-15)


def test_out_of_the_quick_path(rng):
    x, y = rng.uniform(0.5, 2.0, (2, 5))
    expected, cotangents = wave(x, y), nbad.vjp(wave, x, y)[1]((x, y))
    for _ in range(3):
        out = np.full(5, np.nan), np.full(5, np.nan)
        assert wave(x, y, out=out) is out
        assert all(np.array_equal(a, b) for a, b in zip(out, expected, strict=True))
        out = np.full(5, np.nan), np.full(5, np.nan)
        assert nbad.vjp(wave, x, y)[1]((x, y), out=out) is out
        assert all(np.array_equal(a, b) for a, b in zip(out, cotangents, strict=True))
        single = np.full(5, np.nan)
        assert ratio(x, 2.0, out=single) is single
        assert np.array_equal(single, x / 5.0)


def read_only(n):
    array = np.empty(n)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(("wrong", "text"), [
    (lambda x: (x, np.empty(5)), "overlaps an input"), (lambda x: (np.empty(5),), "structure"),
    (lambda x: np.empty(5), "structure"), (lambda x: [np.empty(5)] * 2, "structure"),
    (lambda x: (np.empty(5), np.empty(4)), "wrong shape"), (lambda x: (np.empty(5), read_only(5)), "read-only"),
    (lambda x: (np.empty(5), np.empty(5, np.float32)), "wrong dtype"),
    (lambda x: (np.empty(5), None), "not an array"), (lambda x: (out := np.empty(5), out), "overlaps"),
])  # fmt: skip
def test_out_of_the_quick_path_is_checked(wrong, text):
    x, y = np.ones(5), np.ones(5)
    for _ in range(2):
        _, pullback = nbad.vjp(wave, x, y)
        pullback((x, y)), wave(x, y)
    with pytest.raises((TypeError, ValueError), match=text):
        wave(x, y, out=wrong(x))
    with pytest.raises((TypeError, ValueError), match=text):
        pullback((x, y), out=wrong(x))
    assert (x == 1.0).all()


@pytest.mark.parametrize("verb", [
    lambda f, *xs: f(*xs), lambda f, *xs: nbad.vjp(f, *xs)[1](1.0)[0], lambda f, *xs: nbad.jacobian(f)(*xs),
    lambda f, *xs: nbad.value_and_jacobian(f)(*xs)[1], lambda f, *xs: nbad.jvp(f, xs, (1.0,) * len(xs))[1],
])  # fmt: skip
def test_numbers_alone_are_double_whatever_came_before(verb):
    f = nbad.kernel(lambda x, y: x * y + 0.1)
    for _ in range(3):
        assert verb(f, np.ones(3, np.float32), np.ones(3, np.float32)).dtype == np.float32
    for _ in range(3):
        assert verb(f, 0.1, 0.2).dtype == np.float64
        assert verb(f, np.float32(0.5), 0.2).dtype == verb(f, np.array(0.5, np.float32), 0.2).dtype == np.float32
    assert f(0.1, 0.2) == 0.1 * 0.2 + 0.1


def test_argnums_from_iterators_are_told_apart():
    f, x, y = nbad.kernel(lambda x, y: x * x * y), np.array([2.0, 3.0]), np.array([5.0, 7.0])
    expected = {(0,): 2 * x * y, (1,): x * x}
    for chosen in ((0,), (1,), (0,), (1,), (1,), (0,), (0,)):
        for make in (iter, lambda c: map(int, c), list):
            assert np.array_equal(nbad.vjp(f, x, y, argnums=make(chosen))[1](1.0)[0], expected[chosen])


def test_memory_that_runs_out_raises_and_loses_nothing():
    if importlib.util.find_spec("_testcapi") is None:  # some distributions leave it out
        return
    testcapi = importlib.import_module("_testcapi")
    held = [(k, k, k) for k in range(9000)]  # the store of free tuples is empty now
    f = nbad.kernel(lambda x, y: (x * y, x + y, x - y))
    for args in ((np.ones(300), np.ones(300)), (1.0, 2.0)):
        f(*args), f(*args)
        (run,) = f.plain._entries["value",]
        raised = 0
        for k in range(1, 30):
            testcapi.set_nomemory(k, k + 1)
            try:
                run(args, None)
            except MemoryError:
                raised += 1
            finally:
                testcapi.remove_mem_hooks()
        assert raised > 0
    del held


def test_entries_are_bounded(monkeypatch):
    monkeypatch.setattr("nbad.api.entries.MANY", 20)
    f, x = nbad.kernel(lambda x, y: x * x * y), np.ones(3)
    for seeds in range(1, 100):
        for _ in range(2):
            nbad.vjp(f, x, x, seeds=seeds)
    assert len(f.plain._entries) <= 20


def test_unpickled_arrays_are_plain(rng):
    run, x = product(), rng.standard_normal(5)
    again = pickle.loads(pickle.dumps(x))
    assert np.array_equal(run((again, x), None), x * x)
    assert np.array_equal(run((again, again), None), x * x)
    assert run((again.astype(">f8"), x), None) is False


def test_a_big_pullback_compiles_what_it_runs_only(monkeypatch):
    f, x = nbad.kernel(lambda x, y: math.exp(x * y) / (1.0 + x * x + y)), np.ones(100_000)
    _, pullback = nbad.vjp(f, x, x, residuals="recompute")
    compiled, real = [], compile._shelves.find
    monkeypatch.setattr(compile._shelves, "find", lambda *code: compiled.append(code) or real(*code))
    pullback(x)
    one = pullback.batched(x[None])
    assert len(compiled) == 1
    many = pullback.batched(np.ones((2, 100_000)))
    assert len(compiled) == 3  # the partials are computed once for all seeds, by a kernel of their own
    assert all(np.array_equal(a[0], b[1]) for a, b in zip(one, many, strict=True))


@pytest.mark.parametrize("residuals", ["partials", "recompute"])
def test_a_pullback_with_sums_over_many_elements_is_no_plain_case(residuals, monkeypatch):
    """An entry sums alone: what takes it much longer than helpers would never gets one, of one seed or of many."""
    made = []
    monkeypatch.setattr(plain, "_entry", lambda *given: made.append(given) or plain.never)
    for n, entries in ((10_000, 2), (2_000_000, 0)):
        _, pullback = nbad.vjp(nbad.kernel(lambda x, k: k * np.sin(x)), np.full(n, 0.5), 2.0, residuals=residuals)
        made.clear()
        assert pullback(np.ones(n))[1] == pytest.approx(n * math.sin(0.5), rel=1e-12)
        assert pullback.batched(np.ones((2, n)))[1] == pytest.approx([n * math.sin(0.5)] * 2, rel=1e-12)
        assert len(made) == entries


def test_output_tangents_go_into_out_without_a_step_of_pythons(monkeypatch, rng):
    x, y, a, b = rng.uniform(0.5, 2.0, (4, 300))
    expected = np.exp(-y) * (np.cos(x) * a - np.sin(x) * b), a / y - x * b / (y * y)
    _, pushforward = nbad.linearize(wave, x, y)
    values, dots, many = (tuple(np.empty((2, *shape))) for shape in ((300,), (300,), (3, 300)))
    for _ in range(2):
        nbad.jvp(wave, (x, y), (a, b))
    monkeypatch.setattr(sweeps.Pushing, "__call__", None)
    monkeypatch.setattr(sweeps, "jvp", None)
    assert pushforward((a, b), out=dots) is dots
    assert pushforward.batched((np.stack([a] * 3), np.stack([b] * 3)), out=many) is many
    for dot, batch, wanted in zip(dots, many, expected, strict=True):
        np.testing.assert_allclose(dot, wanted, rtol=1e-13)
        assert np.array_equal(batch, [dot] * 3)
    before, pair = [dot.copy() for dot in dots], (values, dots)
    assert nbad.jvp(wave, (x, y), (a, b), out=pair) is pair
    assert np.array_equal(values[1], x / y)
    assert all(np.allclose(dot, wanted, rtol=1e-13) for dot, wanted in zip(dots, before, strict=True))


def test_derivatives_of_what_may_raise_are_plain_cases_of_many_elements():
    """They compute a value that nobody asks for, tile by tile into the same scratch."""

    @nbad.kernel
    def square(x):
        if x < 0:
            raise ValueError("negative")
        return x * x

    program, x = square.whole_program(), np.linspace(1.0, 2.0, 20_001)
    run = plain.jacobian(program, program.jacobian_plan((0,), "auto"), x.dtype, False)
    assert np.array_equal(run((x,), None)[:, 0, 0], 2 * x)


def test_the_definition_of_a_function_is_never_freed(run_python):
    """At exit, what a kernel holds may go after the module that defines it."""
    program = """
import sys, nbad
from nbad.native import cpython
f = nbad.kernel(lambda x: x * x)
f(2.0), f(2.0)
method = next(iter(cpython._methods.values()))
print(sys.getrefcount(method))
"""
    assert int(run_python(program)) == 4  # the table, the name, the argument of `getrefcount`, and the one that keeps it


def test_an_entry_keeps_the_code_that_it_calls(collect):
    run = product()
    collect()
    assert all(isinstance(shelf, Shelf) for shelf in run.__module__)
    assert run((3.0, 4.0), None) == 12.0
