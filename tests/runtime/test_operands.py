"""What arguments may be: up to 64 axes, subclasses without a meaning of their own; what is asked of types, and what is not."""

import numpy as np
import pytest

import nbad
from kernels import product, square
from nbad.runtime.operands import broadcast


@pytest.mark.parametrize("axes", [31, 32, 33, 40, 64])
def test_many_axes(axes):
    shape = [1] * axes
    shape[0], shape[axes // 2], shape[-1] = 2, 5, 3
    a, b = np.random.default_rng(1).random(shape), np.arange(1.0, 4.0)
    c = np.full([2] + [1] * (axes - 1), 0.5)
    flat = a.reshape(2, 5, 3), b, c.reshape(2, 1, 1)
    for got, expected in ((product(a, b, c), product(*flat)), (nbad.grad(product)(a, b, c), nbad.grad(product)(*flat))):
        assert got.shape == tuple(shape)
        np.testing.assert_array_equal(got.reshape(2, 5, 3), expected)
    seed = np.random.default_rng(2).random(shape)
    cotangents = nbad.vjp(product, a, b, c)[1](seed)
    for got, expected in zip(cotangents, nbad.vjp(product, *flat)[1](seed.reshape(2, 5, 3)), strict=True):
        np.testing.assert_allclose(got.ravel(), expected.ravel(), rtol=1e-15)
    assert [ct.shape for ct in cotangents] == [a.shape, b.shape, c.shape]
    y_dot = nbad.jvp(product, (a, b, c), (1.0, 0.0, 0.0))[1]
    np.testing.assert_array_equal(y_dot.reshape(2, 5, 3), np.broadcast_to(flat[1] * flat[2], (2, 5, 3)))


def test_broadcasting_is_numpys():
    rng = np.random.default_rng(3)
    for _ in range(2000):
        shapes = [tuple(rng.integers(0, 4, size=rng.integers(4)).tolist()) for _ in range(rng.integers(1, 4))]
        try:
            expected = np.broadcast_shapes(*shapes)
        except ValueError:
            expected = None
        assert broadcast(shapes) == expected, shapes


class Plain(np.ndarray):
    """A subclass that computes as arrays do."""


@pytest.mark.parametrize("kind", [Plain, np.recarray])
def test_subclasses_without_a_meaning_of_their_own_are_arrays(kind):
    x = np.linspace(0.0, 1.0, 5)
    assert type(square(x.view(kind))) is np.ndarray
    np.testing.assert_array_equal(square(x.view(kind)), square(x))


def test_files_in_memory_are_arrays(tmp_path):
    x = np.memmap(tmp_path / "x", float, "w+", shape=5)
    x[:] = np.arange(5.0)
    np.testing.assert_array_equal(nbad.vjp(square, x)[1](1.0)[0], 2 * np.arange(5.0))
    square(np.ones(5), out=x)
    np.testing.assert_array_equal(x, np.ones(5))


def test_nothing_is_asked_or_written_before_the_refusal():
    class Labelled(np.ndarray):
        def __array_ufunc__(self, *args, **options):
            raise AssertionError("asked")

    out, labelled = np.zeros(3), np.ones(3).view(Labelled)
    for call in (lambda: square(labelled, out=out), lambda: square(np.ones(3), out=labelled)):
        with pytest.raises(TypeError, match=r"is a \w+\.Labelled|is not an array"):
            call()
    assert not out.any()
    assert np.all(np.asarray(labelled) == 1.0)


def test_a_refusal_imports_nothing(run_python):
    program = """
import sys, numpy as np, nbad
Series = type("Series", (), {"__module__": "pandas.core.series", "__array_ufunc__": None, "to_numpy": lambda self: np.ones(3)})
try:
    nbad.kernel(lambda x: x * x)(Series())
except nbad.NbadError as error:
    print(str(error).splitlines()[0], "pandas" in sys.modules)
"""
    assert run_python(program) == "`<lambda>(x)`: x is a pandas.Series False\n"
