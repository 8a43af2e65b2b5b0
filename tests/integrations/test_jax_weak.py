"""Weak dtypes of JAX's: results of Python's numbers give way to the dtype of what they meet, as those of JAX's own functions."""

import pytest
from helpers.late import Late

import nbad

jax, jnp = Late("jax"), Late("jax.numpy")


@pytest.fixture(params=[False, True], ids=["float32", "float64"])
def wide(request):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", request.param)
    yield request.param
    jax.config.update("jax_enable_x64", before)


def ours():
    return nbad.integrations.jax.function(nbad.kernel(lambda a, b: a * b + a))


def theirs(a, b):
    return jnp.multiply(a, b) + a


CASES = {
    "an array and a number": lambda: (jnp.arange(3, dtype="float32"), 2.0),
    "half precision and a number": lambda: (jnp.arange(3, dtype="bfloat16"), 2.0),
    "an array and a weak one": lambda: (jnp.arange(3, dtype="float32"), jnp.asarray(2.0)),
    "a number and an array of none": lambda: (2.0, jnp.float32(3.0)),
    "a weak array and one that is not": lambda: (jnp.asarray(2.0), jnp.arange(3, dtype="float32")),
    "a number and half precision": lambda: (2.0, jnp.bfloat16(3.0)),
    "numbers": lambda: (2.0, 3.0),
    "integers and a number": lambda: (jnp.arange(3), 2.0),
    "a weak array and an integer": lambda: (jnp.asarray(2.0), 3),
}


@pytest.mark.parametrize("case", CASES)
def test_results_are_as_weak_as_those_of_jax(case, wide):
    xs = CASES[case]()

    def of_first(f):
        return lambda a: f(a, xs[1])

    ways = {
        "eager": lambda f: f(*xs),
        "compiled": lambda f: jax.jit(f)(*xs),
        "of a constant": lambda f: jax.jit(of_first(f))(xs[0]),
        "mapped": lambda f: jax.vmap(lambda _: f(*xs))(jnp.arange(2)),
    }
    if jnp.issubdtype(jnp.result_type(xs[0]), jnp.floating):
        ways["tangents"] = lambda f: jax.jvp(of_first(f), xs[:1], (jnp.ones_like(xs[0]),))[1]
        ways["derivative"] = lambda f: jax.grad(lambda a: f(a, xs[1]).sum())(xs[0])
    for way, run in ways.items():
        found, expected = run(ours()), run(theirs)
        assert (found.dtype, found.weak_type) == (expected.dtype, expected.weak_type), way
        assert jnp.array_equal(found, expected), way


def test_a_float32_result_stays_one_behind_numbers(wide):
    """Within a compiled function a factor of Python's numbers made it float64 where that is on."""

    @jax.jit
    def scaled(x):
        return x * ours()(2.0, 3.0)

    y = scaled(jnp.ones(4, "float32"))
    assert y.dtype == "float32"
    assert y.tolist() == [8.0] * 4
