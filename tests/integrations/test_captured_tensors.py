"""Kernels that compute with tensors which are no arguments: refused by name, whichever side of an operator asks."""

import numpy as np
import pytest
from helpers.late import Late

import nbad
from nbad.errors import TraceError

jax, jnp, torch = Late("jax"), Late("jax.numpy"), Late("torch")

MAKERS = {
    "jax.jit": lambda run: jax.jit(run)(3.0),
    "jax.grad": lambda run: jax.grad(run)(3.0),
    "jax": lambda run: run(jnp.ones(2)),
    "torch": lambda run: run(torch.ones(2, requires_grad=True)),
}
USES = {
    "on the right": lambda c: lambda x: x * c,
    "on the left": lambda c: lambda x: c * x,
    "as an exponent": lambda c: lambda x: x**c,
    "compared": lambda c: lambda x: 1.0 if x == c else 2.0,
    "chosen": lambda c: lambda x: np.where(x > 0, c, x),
}


@pytest.mark.parametrize("signature", ["()->()", "(2)->(2)"])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("maker", [pytest.param(name, marks=[pytest.mark.slow] * (name == "torch")) for name in MAKERS])
def test_captured_tensors_are_refused_by_name(maker, use, signature):
    def run(c):
        f = nbad.kernel(USES[use](c), signature=signature)
        return nbad.jacobian(f)(np.ones(2 * ("2" in signature) or ()))

    words = r"an array of JAX's, which is no argument of the kernel|a value of type (jax|jaxlib|torch)\.\w+ where a real number"
    with pytest.raises(TraceError, match=words) as caught:
        MAKERS[maker](run)
    assert "fix: def f(x, c): ...  # c as an argument" in str(caught.value)


def test_the_fixes_are_right():
    f = nbad.integrations.jax.function(nbad.kernel(lambda x, c: x * c))
    assert jax.grad(lambda c: f(2.0, c))(3.0) == 2.0
    c = np.asarray(jnp.float32(3.0))
    assert nbad.grad(nbad.kernel(lambda x: x * c))(2.0) == 3.0
