"""Kernels where XLA's compiler inlines the function that calls them: it would end the process, so they are refused before."""

import pytest
from helpers.late import Late

import nbad
from nbad.errors import ArgumentTypeError

jax, jnp = Late("jax"), Late("jax.numpy")


@nbad.kernel
def both(a, b):
    return a + b + a * b


@nbad.kernel
def root(a):
    if a < 0:
        raise ValueError("negative")
    return a**0.5


def function(f):
    return nbad.integrations.jax.function(f)


def twice(x):
    """What is lowered for scalars outside is not to be taken for the reducer."""
    f = function(both)
    return f(x[0], x[1]) + jax.lax.reduce(x, x.dtype.type(0), f, (0,))


REDUCED = {
    "reduce": lambda x: jax.lax.reduce(x, 0.0, function(both), (0,)),
    "a compiled function": lambda x: jax.lax.reduce(x, 0.0, jax.jit(function(both)), (0,)),
    "within a compiled function": lambda x: jax.jit(twice)(x),
    "within vmap": lambda x: jax.vmap(lambda row: jax.lax.reduce(row, 0.0, function(both), (0,)))(x[None]),
    "windows": lambda x: jax.lax.reduce_window(x, 0.0, function(both), (2,), (1,), "VALID"),
    "some items": lambda x: x.at[jnp.array([0, 2])].apply(function(root)),
}


@pytest.mark.parametrize("case", REDUCED)
def test_kernels_are_refused_where_xla_inlines(case):
    with pytest.raises(ArgumentTypeError, match="within an operation of XLA's") as error:
        REDUCED[case](jnp.arange(1.0, 6.0))
    assert str(error.value).endswith("fix: x.at[i].set(f(x[i])), or jax.lax.associative_scan(f, x)[-1] for a reduction")


def test_the_fixes_compute():
    x, i = jnp.arange(1.0, 6.0), jnp.array([0, 2])
    assert jax.lax.associative_scan(function(both), x)[-1] == 719  # one less than 6!
    assert x.at[i].set(function(root)(x[i] * x[i])).tolist() == [1, 2, 3, 4, 5]
