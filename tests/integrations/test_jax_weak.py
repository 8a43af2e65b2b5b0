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

    def in_all_ways(f):
        """One program of all but the first: JAX compiles each of these ways for a quarter of a second, and all together too."""

        @jax.jit
        def compiled(*given):
            made = {
                "compiled": f(*given),
                "of a constant": of_first(f)(given[0]),
                "mapped": jax.vmap(lambda _: f(*xs))(jnp.arange(2)),
            }
            if jnp.issubdtype(jnp.result_type(xs[0]), jnp.floating):
                made["tangents"] = jax.jvp(of_first(f), given[:1], (jnp.ones_like(given[0]),))[1]
                made["derivative"] = jax.grad(lambda a: f(a, xs[1]).sum())(given[0])
            return made

        return {"eager": f(*xs), **compiled(*xs)}

    wanted = in_all_ways(theirs)
    for way, found in in_all_ways(ours()).items():
        assert (found.dtype, found.weak_type) == (wanted[way].dtype, wanted[way].weak_type), way
        assert jnp.array_equal(found, wanted[way]), way


def test_a_float32_result_stays_one_behind_numbers(wide):
    """Within a compiled function a factor of Python's numbers made it float64 where that is on."""

    @jax.jit
    def scaled(x):
        return x * ours()(2.0, 3.0)

    y = scaled(jnp.ones(4, "float32"))
    assert y.dtype == "float32"
    assert y.tolist() == [8.0] * 4


def test_numbers_that_jax_hands_on_to_a_rule_stay_weak(wide):
    """It hands on floats of a class of its own, of which the results were strong: float32 became float64."""
    rule = jax.custom_jvp(lambda a: ours()(a, 2.0))
    rule.defjvp(lambda primals, tangents: (ours()(primals[0], 2.0), 3.0 * tangents[0]))
    for found in (rule(2.0), jax.jvp(rule, (2.0,), (1.0,))[0], jax.jit(rule)(2.0)):
        assert found.weak_type
        assert found == 6.0
    assert (rule(2.0) * jnp.ones(3, "float32")).dtype == "float32"
