"""The quick path for few elements: the same bits as the general one, and it steps aside for everything else."""

import math

import numpy as np
import pytest

import nbad
from nbad import thunk
from nbad.broadcast import DOUBLE
from nbad.compile import compile_tile
from nbad.graph import GraphBuilder
from nbad.lower import lower


@nbad.kernel
def wave(x, y):
    return math.sin(x) * math.exp(-y), x / y


@nbad.kernel
def ratio(x, y):
    return x / (1.0 + y * y)


def product():
    builder = GraphBuilder("product", ["a", "b"])
    kernel = compile_tile(lower(builder.build([builder.add("mul", 0, 1)])))
    return thunk.bind(kernel, [(0, 0, False), (1, 0, False), (2, 0, False)], 3, 2, 256)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 100, 255, 256, 257, 300])
def test_the_same_bits_as_the_general_path(n, rng):
    x, y = rng.uniform(0.5, 2.0, (2, n))
    general = wave(x[::-1][::-1], y), wave(np.repeat(x, 2)[::2], np.repeat(y, 2)[::2])
    for _ in range(3):
        quick = wave(x, y)
        for result in general:
            assert all(np.array_equal(a, b) for a, b in zip(quick, result, strict=True))


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
    lambda a: a.astype(">f8"), lambda a: 1, lambda a: None, lambda a: np.float32(1.0), lambda a: np.zeros(257), lambda a: a[:0],
])  # fmt: skip
def test_the_thunk_steps_aside_and_does_nothing(refused):
    run, a, out = product(), np.arange(1.0, 4.0), np.full(3, 9.0)
    assert run(a, a, out) is True
    out[:] = 9.0
    assert run(a, refused(a), out) is False
    assert (out == 9.0).all()


def test_the_general_path_still_explains():
    assert ratio(1.0, 2.0) == 0.2
    with pytest.raises(ValueError, match="do not broadcast"):
        ratio(np.ones(2), np.ones(3))
    with pytest.raises(TypeError, match="is complex"):
        ratio(1j, 2.0)


def test_layout_of_objects_is_as_the_thunk_expects():
    assert thunk.is_available()
    assert DOUBLE is np.dtype(float)
