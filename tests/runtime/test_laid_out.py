"""Arguments that a kernel does not read as they are: an entry lays them out anew, with the bits of the general way."""

import math
import tracemalloc

import numpy as np
import pytest
from helpers.same_bits import bits

import nbad
from nbad.runtime import plain
from nbad.runtime.launch import Launch

SHAPES = [(12,), (3, 4), (17, 31), (5, 1), (2, 3, 4), (1, 1, 1)]


def decayed(x, y):
    return x * math.exp(-y), x - y * y


def exact(x, y):
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    return x * np.exp(-y), x - y * y


def partials(x, y):
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    rows = [np.stack([np.exp(-y), -x * np.exp(-y)], -1), np.stack([np.ones_like(x), -2 * y], -1)]
    return np.stack(rows, -2)


def spread(a):
    """The same numbers, with gaps."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]))
    wide[..., ::2] = a
    return wide[..., ::2]


def unaligned(a):
    return np.frombuffer(b"." + a.tobytes(), offset=1).reshape(a.shape)


KINDS = {
    "as it is": lambda a: a,
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "all reversed": lambda a: np.flip(np.flip(a).copy()),
    "gaps": spread,
    "Fortran": np.asfortranarray,
    "Fortran, gaps": lambda a: np.asfortranarray(np.concatenate([a, a]))[: len(a)],
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "broadcast": lambda a: np.broadcast_to(a[..., :1], a.shape),
    "other bytes": lambda a: a.astype(">f8"),
    "unaligned": unaligned,
    "float32": lambda a: a.astype(np.float32),
    "last axis": lambda a: a[(0,) * (a.ndim - 1)].copy(),
    "first axis": lambda a: a[(slice(None), *[slice(1)] * (a.ndim - 1))].copy(),
    "one": lambda a: a.ravel()[:1].copy(),
    "ones": lambda a: a.ravel()[:1].reshape((1,) * a.ndim),
    "one, Fortran's": lambda a: np.asfortranarray(a.ravel()[:1].reshape((1,) * a.ndim)),
    "no axes": lambda a: a.ravel()[0].reshape(()),
    "number": lambda a: float(a.ravel()[0]),
    "whole number": lambda a: -1,
}
VALUES = {
    "integers": lambda a: (10 * a).astype(np.int32),
    "bytes": lambda a: (10 * a).astype(np.uint8)[..., ::-1],
    "bools": lambda a: a > 1.0,
    "large integers": lambda a: (a * 2.0**60).astype(np.int64) + 1,
}


def calls(f, x, y, seeds, many):
    """What each verb gives, by its name."""
    values, pullback = nbad.vjp(f, x, y)
    first = np.ones_like(x, dtype=float) if isinstance(x, np.ndarray) else 1.0
    return {
        "value": f(x, y),
        "forward": values,
        "pullback": pullback(seeds),
        "of one number": pullback((1.0, seeds[1])),
        "batched": pullback.batched(many),
        "blocks": [pullback.jacobian()],
        "Jacobian": [nbad.jacobian(f)(x, y)],
        "jvp": [dot for pair in nbad.jvp(f, (x, y), (first, 1.0)) for dot in pair],
        "derivative": [nbad.grad(nbad.kernel(lambda x, y: x * math.exp(-y)), 1)(x, y)],
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", [False, True], ids=["second", "first"])
def test_the_bits_of_the_general_way(shape, kind, turn, rng, monkeypatch):
    a, b = rng.uniform(0.5, 1.5, (2, *shape))
    x, y = (KINDS[kind](a), b) if turn else (a, KINDS[kind](b))
    whole = np.broadcast_shapes(np.shape(x), np.shape(y))
    seeds, many = tuple(rng.standard_normal((2, *whole))), tuple(rng.standard_normal((2, 3, *whole)))
    f = nbad.kernel(decayed)
    for _ in range(3):
        found = calls(f, x, y, seeds, many)
    monkeypatch.setattr(plain, "_entry", lambda *_: plain.never)
    general = calls(nbad.kernel(decayed), x, y, seeds, many)
    for verb, results in found.items():
        assert bits(results) == bits(general[verb]), verb
        assert [np.shape(r) for r in results] == [np.shape(r) for r in general[verb]], verb
    cotangents = found["pullback"]
    assert [np.shape(ct) for ct in cotangents] == [np.shape(x), np.shape(y)]
    for value, expected in zip(found["value"], exact(x, y), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-14, atol=1e-15)
    (block,) = found["Jacobian"]
    np.testing.assert_allclose(block, partials(x, y), rtol=1e-14)
    for k, ct in enumerate(cotangents):
        full = sum(seed * block[..., row, k] for row, seed in enumerate(seeds))
        own = (1,) * (len(whole) - ct.ndim) + ct.shape
        axes = tuple(d for d, (size, all_of_it) in enumerate(zip(own, whole, strict=True)) if size != all_of_it)
        np.testing.assert_allclose(ct, full.sum(axes, keepdims=True).reshape(ct.shape), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", {**KINDS, **VALUES})
@pytest.mark.parametrize("shape", [(12,), (3, 4), (17, 31)], ids=str)
def test_entries_take_them(kind, shape, rng, monkeypatch):
    """Into results of the caller's, too."""
    a, b = rng.uniform(0.5, 1.5, (2, *shape))
    x, y = a, {**KINDS, **VALUES}[kind](b)
    f = nbad.kernel(decayed)
    for _ in range(2):
        general, out = f(x, y), tuple(np.full(shape, 7.0) for _ in range(2))
    monkeypatch.setattr(Launch, "__call__", None)
    assert bits(f(x, y)) == bits(general)
    assert f(x, y, out=out) is out
    assert bits(out) == bits(general)
    np.testing.assert_allclose(out[0], exact(x, y)[0], rtol=1e-14)


@pytest.mark.parametrize("shape", [(12,), (4, 5), (3, 3, 2)], ids=str)
@pytest.mark.parametrize("ones", [(1,), (1, 1)], ids=str)
def test_cotangents_of_one_item_have_its_shape(shape, ones, rng, monkeypatch):
    x, k, seed = rng.standard_normal(shape), np.full(ones, 2.0), rng.standard_normal(shape)
    if len(ones) > len(shape):
        shape, x, seed = (1, *shape), x[None], seed[None]
    f = nbad.kernel(lambda x, k: k * x)
    for _ in range(3):
        y, pullback = nbad.vjp(f, x, k)
        found = pullback(seed)
    monkeypatch.setattr(Launch, "__call__", None)
    y, pullback = nbad.vjp(f, x, k)
    assert y.shape == shape
    out = np.zeros(shape), np.zeros(ones)
    assert pullback(seed, out=out) is out
    assert bits(out) == bits(found) == bits(pullback(seed))
    assert out[1].shape == ones
    assert out[1].item() == pytest.approx(np.sum(seed * x), rel=1e-13)
    many = pullback.batched(np.stack([seed, 3 * seed]))
    assert many[1].shape == (2, *ones)
    assert np.array_equal(many[1][0], out[1])


@pytest.mark.parametrize("own", [(31,), (17, 1), (3, 1, 31), (3, 1, 1), (1, 31)], ids=str)
def test_sums_along_axes(own, rng, monkeypatch):
    """Behind an entry, with the bits of the general way; that has what is added to, and what is bounded in memory."""
    x, k, seeds = rng.standard_normal((3, 17, 31)), rng.standard_normal(own), rng.standard_normal((2, 3, 17, 31))
    f = nbad.kernel(lambda x, k: k * k * x)
    bounded = nbad.vjp(f, x, k, max_bytes=1 << 17)[1]
    general = bounded(seeds[0]), bounded.batched(seeds)
    for _ in range(3):
        _, pullback = nbad.vjp(f, x, k)
    out = np.zeros_like(x), np.zeros(own)
    assert bits(pullback(seeds[0], out=out)) == bits(general[0])
    monkeypatch.setattr(Launch, "__call__", None)
    assert bits(pullback(seeds[0])) == bits(general[0])
    assert bits(pullback(np.flip(seeds[0]))) != bits(general[0])
    assert bits(pullback.batched(seeds)) == bits(general[1])
    axes = tuple(d for d, size in enumerate((1,) * (3 - len(own)) + own) if size == 1)
    np.testing.assert_allclose(general[0][1], np.sum(2 * k * x * seeds[0], axes).reshape(own), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("shape", "own"), [((1, 5), (5,)), ((1, 5, 1), (5, 1)), ((1, 1, 4), (4,)), ((1, 2, 3), (2, 3))])
def test_axes_of_one_element_are_no_sums(shape, own, rng):
    x, k, seeds = rng.standard_normal(shape), rng.standard_normal(own), rng.standard_normal((2, *shape))
    f = nbad.kernel(lambda x, k: k * k * x)
    for _ in range(3):
        _, pullback = nbad.vjp(f, x, k)
        assert bits(pullback(seeds[0])) == bits((k * k * seeds[0], (2 * k * x * seeds[0]).reshape(own)))
        assert bits(pullback.batched(seeds)) == bits((k * k * seeds, (2 * k * x * seeds).reshape(2, *own)))


@pytest.mark.parametrize("shapes", [((1,), (1,)), ((1, 1), (1,)), ((1,), ()), ((), (1, 1)), ((1,), None), ((1, 1, 1), (1, 1))])
def test_nothing_but_one_item(shapes):
    xs = [2.0 if shape is None else np.full(shape, 2.0) for shape in shapes]
    f = nbad.kernel(lambda x, y: x * x * y)
    for _ in range(3):
        y, pullback = nbad.vjp(f, *xs)
        assert np.shape(y) == np.broadcast_shapes(*map(np.shape, xs))
        found = pullback(np.full(np.shape(y), 3.0))
        assert [np.shape(ct) for ct in found] == list(map(np.shape, xs))
        assert [ct.item() for ct in found] == [24.0, 12.0]
        assert nbad.jacobian(f)(*xs).shape == (*np.shape(y), 1, 2)


@pytest.mark.parametrize("order", ["C", "F"])
def test_seeds_in_any_order(order, rng, monkeypatch):
    x, y, w = rng.standard_normal((3, 6, 7))
    x, y = (np.asarray(a, order=order) for a in (x, y))
    f = nbad.kernel(lambda x, y: x * y)
    for _ in range(3):
        nbad.vjp(f, x, y)[1](w)
    monkeypatch.setattr(Launch, "__call__", None)
    value, pullback = nbad.vjp(f, x, y)
    assert value.flags[f"{order}_CONTIGUOUS"]
    for seed in (w, np.asfortranarray(w), w[::-1], w.astype(np.float32), w.astype(">f8")):
        first, second = pullback(seed)
        assert first.flags[f"{order}_CONTIGUOUS"]
        assert bits((first, second)) == bits((y * seed, x * seed))
        out = tuple(np.empty_like(a) for a in (x, y))
        assert bits(pullback(seed, out=out)) == bits((first, second))
        assert bits(pullback.batched(np.stack([seed, seed]))) == bits(tuple(np.stack([ct, ct]) for ct in (first, second)))


def test_float32_stays_float32_beside_its_like_and_numbers(rng):
    single, double = rng.uniform(size=6).astype(np.float32), rng.uniform(size=6)
    f = nbad.kernel(lambda x, y: x * y)
    cases = [
        (single[::-1], single, np.float32), (single, 2.0, np.float32), (single[::2], 2, np.float32), (single, double, np.float64),
        (single, np.arange(6), np.float64), (single, np.float64(2.0), np.float64), (double[::-1], single[::-1], np.float64),
        (single, single[:1], np.float32), (single, double[:1], np.float64), (single[:1], double, np.float64),
        (single, np.float32(2.0), np.float32), (double, np.float32(2.0), np.float64), (double, np.int8(2), np.float64),
    ]  # fmt: skip
    for _ in range(4):
        for x, y, dtype in cases:
            xs = [np.asarray(a, dtype) for a in (x, y)]
            found = f(*([a[: len(x)] if np.ndim(a) else a for a in (x, y)]))
            assert found.dtype == dtype
            assert np.array_equal(found, xs[0] * (xs[1][: len(x)] if xs[1].ndim else xs[1]))


def test_float32_that_signals_is_a_nan_in_silence(recwarn):
    """NumPy warns of a nan whose first bit is not set where it makes a float64 of it."""
    x = np.array([0x7FA00000, 0x40000000] * 300, np.uint32).view(np.float32)
    f = nbad.kernel(lambda x, y: x * y)
    for _ in range(3):
        found = f(x[::-1], np.full(600, 3.0))
        assert np.array_equal(found, [6.0, np.nan] * 300, equal_nan=True)
    assert not recwarn.list


def test_integers_are_not_differentiated(rng):
    x, n = rng.uniform(size=5), np.arange(5)
    f = nbad.kernel(lambda x, n: x * x * n)
    for _ in range(3):
        nbad.vjp(f, x, x), nbad.jacobian(f)(x, x), nbad.grad(f, 1)(x, x)
        (found,) = nbad.vjp(f, x, n)[1](1.0)
        assert np.allclose(found, 2 * x * n, rtol=1e-15)
        assert nbad.jacobian(f)(x, n).shape == (5, 1, 1)
        assert np.array_equal(nbad.vjp(f, x, n, argnums=0)[1](1.0)[0], found)
        for call in (lambda: nbad.vjp(f, x, n, argnums=1), lambda: nbad.grad(f, 1)(x, n)):
            with pytest.raises(TypeError, match="has no derivative"):
                call()


@pytest.mark.parametrize(("wrong", "error", "message"), [
    (lambda x: x[:4], ValueError, "do not broadcast"), (lambda x: x[:0], ValueError, "do not broadcast"),
    (lambda x: x.astype(complex)[::-1], TypeError, "expected"), (lambda x: np.ma.array(x), TypeError, "masked array"),
    (lambda x: x.astype(np.longdouble), TypeError, "expected"), (lambda x: x.astype(object), TypeError, "expected"),
    (lambda x: 10**400, TypeError, "not an array of numbers"),
])  # fmt: skip
def test_what_fits_nothing_is_explained_as_ever(wrong, error, message, rng):
    x = rng.uniform(size=5)
    f = nbad.kernel(lambda x, y: x * y)
    for _ in range(3):
        f(x, x)
        for xs in ((x, wrong(x)), (x[::-1], wrong(x))):
            with pytest.raises(error, match=message):
                f(*xs)
    assert f(x, 10**30)[0] == x[0] * 1e30


def test_seeds_and_tangents_are_not_broadcast(rng):
    x = rng.uniform(size=5)
    f = nbad.kernel(lambda x, y: x * y)
    wrong = [
        lambda: nbad.vjp(f, x, x)[1](x[:1]), lambda: nbad.vjp(f, x, x)[1].batched(np.ones((2, 1))),
        lambda: nbad.linearize(f, x, x)[1]((x, x[:1])), lambda: nbad.jvp(f, (x, x), (x, x[:1])),
        lambda: nbad.jvp(f, (x, x[:1]), (x, x)),
    ]  # fmt: skip
    for _ in range(3):
        nbad.vjp(f, x, x)[1](x), nbad.linearize(f, x, x)[1]((x, x)), nbad.jvp(f, (x, x), (x, x))
        for call in wrong:
            with pytest.raises(ValueError, match="wrong shape"):
                call()


def test_core_shapes_are_not_broadcast(rng):
    f = nbad.kernel(lambda a, b: a[0] * b[0] + a[1] * b[1], signature="(2),(2)->()")
    a, b = rng.uniform(size=(2, 5, 2))
    for _ in range(3):
        for x, y in [(a, b[0]), (a[::-1], b), (a[:, None], b), (np.asfortranarray(a), b), (a, b.astype(np.float32))]:
            np.testing.assert_allclose(f(x, y), np.sum(x * y, -1), rtol=1e-6)
            np.testing.assert_allclose(nbad.jacobian(f)(x, y)[..., 0, :2], np.broadcast_to(y, (*f(x, y).shape, 2)), rtol=1e-6)
        with pytest.raises(ValueError, match="does not end in its core shape"):
            f(a, b[:, :1])


@pytest.mark.parametrize("taken", [lambda room: room[1::2], lambda room: room[::-2], lambda room: room[5:0:-1]], ids=range(3))
def test_results_apart_from_all_that_is_read(taken):
    """From gaps between what is read, too, which bounds do not tell."""
    f, room = nbad.kernel(lambda x: x + 1.0), np.arange(10.0)
    for _ in range(3):
        assert np.array_equal(f(taken(room), out=np.empty(5)), taken(room) + 1.0)
        with pytest.raises(ValueError, match="overlaps an input"):
            f(taken(room), out=room[1:6])
    assert np.array_equal(room, np.arange(10.0))


def test_what_was_laid_out_is_let_go(rng):
    """Also where the entry steps aside behind it, or raises."""
    f, x = nbad.kernel(lambda x, y: x * y), rng.uniform(size=2000)
    out = np.empty(1000)
    cases = [((x[::2], x[1::2]), None), ((x[::2], x[1::2]), out), ((x[::2], x[:999]), None), ((x[::2], x[:1000]), out[::-1])]
    for _ in range(3):
        f(x[::2], x[1::2])
    (run,) = plain_entries = f.plain.runs(("value",))
    assert len(plain_entries) == 1
    assert [run(*case) is not False for case in cases] == [True, True, False, False]
    tracemalloc.start()
    for _ in range(200):
        for case in cases:
            run(*case)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 100_000
