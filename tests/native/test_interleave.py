"""Blocks of a Jacobian: columns come out side by side for each element, whatever their number, dtype, place and size."""

import numpy as np
import pytest

import nbad
from nbad.native.launch_table import TILE
from nbad.runtime import launch, plain


@pytest.fixture(autouse=True)
def no_entries(monkeypatch):
    """What is small is a plain case, which has a way of its own."""
    monkeypatch.setattr(plain, "_entry", lambda *_: plain.never)


def linear(count):
    """A kernel whose Jacobian's column k is (k + 1) times x, but for the constant last one."""
    names = [f"x{k}" for k in range(count)]
    terms = [f"{(k + 1) / 2} * {name} * {name}" for k, name in enumerate(names[:-1])]
    namespace = {}
    exec(f"def f({', '.join(names)}):\n    return {' + '.join([*terms, f'3.0 * {names[-1]}'])}\n", namespace)
    return nbad.kernel(namespace["f"])


def expected(xs):
    columns = [(k + 1) * x for k, x in enumerate(xs[:-1])]
    return np.stack([*columns, np.full_like(xs[0], 3.0)], axis=-1)[..., None, :]


@pytest.mark.parametrize("above", [0, 1 << 40], ids=["streamed", "in place"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [2, 3, 4, 7, 8, 9, 15, 30, 65])
def test_any_number_of_columns(monkeypatch, rng, columns, dtype, above):
    monkeypatch.setattr(launch, "STREAM_ABOVE", above)
    J = nbad.jacobian(linear(columns))
    for n in (1, TILE - 1, TILE, 2 * TILE + 37):
        xs = [rng.uniform(size=n).astype(dtype) for _ in range(columns)]
        np.testing.assert_array_equal(J(*xs), expected(xs))


@pytest.mark.parametrize("above", [0, 1 << 40], ids=["streamed", "in place"])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_nothing_is_written_beside_the_block(monkeypatch, rng, offset, above):
    monkeypatch.setattr(launch, "STREAM_ABOVE", above)
    xs = [rng.uniform(size=3 * TILE + 5) for _ in range(5)]
    memory = np.full(5 * xs[0].size + offset + 4, 7.0)
    out = memory[offset:-4].reshape(-1, 1, 5)
    nbad.jacobian(linear(5))(*xs, out=out)
    np.testing.assert_array_equal(out, expected(xs))
    assert (memory[:offset] == 7.0).all()
    assert (memory[-4:] == 7.0).all()


def test_blocks_in_any_other_order(rng):
    """Where columns are no neighbours, or an axis is turned, no block is made of them."""
    xs = [rng.uniform(size=(3, TILE)) for _ in range(4)]
    J, wide = nbad.jacobian(linear(4)), np.empty((3, TILE, 1, 9))
    for out in (wide[..., :4], wide[..., 8:0:-2], wide[:, ::-1, :, 2:6], np.empty((1, 4, TILE, 3)).transpose(3, 2, 0, 1)):
        np.testing.assert_array_equal(J(*xs, out=out), expected(xs))


def test_elements_of_several_axes(rng):
    """Blocks lie one after the other, whatever the arguments do: these are broadcast."""
    xs = [rng.uniform(size=(9, 1)), rng.uniform(size=TILE // 8), *rng.uniform(size=(3, 9, TILE // 8))]
    wide = np.empty((9, TILE // 8, 1, 5))
    for out in (None, wide, wide.transpose(1, 0, 2, 3).copy().transpose(1, 0, 2, 3)):
        np.testing.assert_array_equal(nbad.jacobian(linear(5))(*xs, out=out), expected(np.broadcast_arrays(*xs)))


@pytest.mark.parametrize("above", [0, 1 << 40], ids=["streamed", "in place"])
def test_blocks_of_several_seeds_and_results(monkeypatch, rng, above):
    """Scalars among the results, and a prologue before them."""
    monkeypatch.setattr(launch, "STREAM_ABOVE", above)
    f = nbad.kernel(lambda a, s, b: (np.exp(a * s) * b, s * s), signature="(3),(),(3)->(3),()")
    a, b = rng.uniform(size=(2, 2 * TILE + 41, 3))
    s, seeds = rng.uniform(size=len(a)), rng.uniform(size=(3, len(a), 3))
    (y, square), pullback = nbad.vjp(f, a, s, b, residuals="recompute")
    e = np.exp(a * s[:, None])
    np.testing.assert_allclose(y, e * b, rtol=1e-14)
    np.testing.assert_array_equal(square, s * s)
    by_a, by_s, by_b = pullback.batched((seeds, 1.0))
    np.testing.assert_allclose(by_a, seeds * e * b * s[:, None], rtol=1e-14)
    np.testing.assert_allclose(by_s, (seeds * e * b * a).sum(axis=-1) + 2 * s, rtol=1e-14)
    np.testing.assert_allclose(by_b, seeds * e, rtol=1e-14)


def test_value_beside_the_block(rng):
    xs = [rng.uniform(size=4 * TILE) for _ in range(3)]
    y, J = nbad.value_and_jacobian(linear(3))(*xs)
    np.testing.assert_array_equal(J, expected(xs))
    np.testing.assert_array_equal(y, linear(3)(*xs))


@pytest.mark.parametrize("above", [0, 1 << 40], ids=["streamed", "in place"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("length", [2, 3, 5, 8, 11, 16, 17])
def test_vector_arguments_seeds_and_cotangents(monkeypatch, rng, length, dtype, above):
    monkeypatch.setattr(launch, "STREAM_ABOVE", above)
    f = nbad.kernel(lambda a, b: a * b + 2.0 * a, signature=f"({length}),({length})->({length})")
    for n in (1, TILE - 1, TILE, 2 * TILE + 37):
        a, b = rng.uniform(size=(2, n, length)).astype(dtype)
        seeds = rng.uniform(size=(3, n, length)).astype(dtype)
        y, pullback = nbad.vjp(f, a, b)
        np.testing.assert_array_equal(y, a * b + 2 * a)
        by_a, by_b = pullback.batched(seeds)
        np.testing.assert_allclose(by_a, seeds * (b + 2), rtol=1e-6 if dtype == np.float32 else 1e-15)
        np.testing.assert_array_equal(by_b, seeds * a)


def test_vectors_in_any_other_order(rng):
    f = nbad.kernel(lambda a: a * a, signature="(4)->(4)")
    wide = rng.uniform(size=(3 * TILE, 9))
    turned = rng.uniform(size=(4, 3 * TILE)).T
    spread = np.broadcast_to(wide[:, :1], turned.shape)
    for a in (wide[:, :4], wide[:, 8:0:-2], wide[::-1, 2:6], turned, wide[:, :4].astype(int), spread):
        np.testing.assert_array_equal(f(a), np.square(a, dtype=float))


@pytest.mark.parametrize("above", [0, 1 << 40], ids=["streamed", "in place"])
def test_blocks_of_different_widths(monkeypatch, rng, above):
    monkeypatch.setattr(launch, "STREAM_ABOVE", above)
    f = nbad.kernel(lambda v: (v * 2.0, v[:20] * 3.0), signature="(70)->(70),(20)")
    v = rng.uniform(size=(3 * TILE, 70))
    whole, part = f(v)
    np.testing.assert_array_equal(whole, v * 2.0)
    np.testing.assert_array_equal(part, v[:, :20] * 3.0)
