"""JAX's settings, as they change how code is run and what may meet, beside kernels."""

import math

import numpy as np
import pytest
from helpers.late import Late

import nbad

jax, jnp, export = Late("jax"), Late("jax.numpy"), Late("jax.export")


@nbad.kernel
def steep(a, b):
    return math.sqrt(a) * b


@pytest.fixture
def f():
    return nbad.integrations.jax.function(steep)


@pytest.fixture
def ab():
    return jnp.array([4.0, 9.0]), jnp.array([2.0, 3.0])


def total(h):
    return lambda *xs: h(*xs).sum()


def test_code_that_is_not_compiled(f, ab):
    with jax.disable_jit():
        np.testing.assert_array_equal(f(*ab), [4.0, 9.0])
        np.testing.assert_array_equal(jax.jit(jax.grad(total(f)))(*ab), [0.5, 0.5])


@pytest.mark.parametrize("way", [lambda f: f, lambda f: jax.jit(f), lambda f: jax.jit(jax.grad(total(f)))])
def test_what_is_no_number_is_found(f, ab, way):
    with jax.debug_nans(True):
        way(f)(*ab)
        with pytest.raises(FloatingPointError, match=r"invalid value.*steep"):
            way(f)(-ab[0], ab[1])


def test_dtypes_are_not_mixed_unless_they_are(f, ab):
    a, b = ab
    with jax.numpy_dtype_promotion("strict"):
        np.testing.assert_array_equal(f(a, 2.0), [4.0, 6.0])
        np.testing.assert_array_equal(jax.grad(total(f))(a, b), [0.5, 0.5])
        with pytest.raises(jax.dtypes.TypePromotionError, match="promotion=strict"):
            f(a, b.astype("bfloat16"))


def test_shapes_without_numbers_are_refused(f):
    x = jax.ShapeDtypeStruct(export.symbolic_shape("n"), "float32")
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"(?s)a shape that is no numbers.*\(n,\)"):
        export.export(jax.jit(f))(x, x)
