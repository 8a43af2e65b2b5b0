"""Blocks of a Jacobian: columns computed as rows come out interleaved, whatever their number, dtype, place and size."""

import numpy as np
import pytest

import nbad
from nbad import launch
from nbad.interleave import NARROW
from nbad.tiles import TILE


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
@pytest.mark.parametrize("columns", [2, 3, 4, 7, 8, 9, 15, 30, NARROW + 1])
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


def test_value_beside_the_block(rng):
    xs = [rng.uniform(size=4 * TILE) for _ in range(3)]
    y, J = nbad.value_and_jacobian(linear(3))(*xs)
    np.testing.assert_array_equal(J, expected(xs))
    np.testing.assert_array_equal(y, linear(3)(*xs))
