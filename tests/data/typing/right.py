"""A user's script in which all is right: both checkers accept every line, and it runs."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nbad

Vector = NDArray[np.float64]


@nbad.kernel
def decay(a: float, t: float) -> float:
    """Written for numbers, called with arrays."""
    return a * math.exp(-t) if t > 0 else a


@nbad.kernel(math="libm", static=("order",))
def power(x: float, order: int = 2) -> float:
    return x**order


@nbad.kernel(signature="(2),()->(2)")
def scaled(v: Vector, factor: float) -> Any:
    return factor * v


def plain(x: float) -> float:
    return x * x


a, t = np.array([2.0, 3.0, 4.0]), np.linspace(-1.0, 1.0, 3)
total: Vector = decay(a, t)
decay(2.0, t=t)
decay([2.0, 3.0, 4.0], 1, out=np.empty(3))
power(a, 3)
power(a, order=3)
scaled(np.ones((3, 2)), a)
picked = nbad.indexed(a, [0, 2, 2])
decay(picked, t)
nbad.bind(decay, picked, t=t)()
nbad.vjp(decay, picked, t)[1](1.0)
nbad.jvp(decay, (picked, 1.0), (a, 0.0))
nbad.sparse_jacobian(decay)(picked, t).toarray()
nbad.sparse_jacobian(decay).operator(picked, t) @ np.ones(6)
nbad.sparse_hessian(decay).operator(picked, t) @ np.ones(6)
square: nbad.Kernel = nbad.kernel(plain)
print(square.__name__, square(a), decay.precompile("float64", np.float32).__doc__)

y, pullback = nbad.vjp(decay, a, t, residuals="mincut")
by_a, by_t = pullback(1.0)
pullback(np.ones(3), out=(by_a, by_t), accumulate=True)
many = pullback.batched(np.ones((8, 3)))
print(many[0].shape, pullback.residuals.nbytes, pullback.residuals.names, len(pullback.residuals))
nbad.vjp(decay, a, t, argnums="t", residuals=("a", "t"), seeds=8, max_bytes=1 << 20)

y, y_dot = nbad.jvp(decay, (a, t), (1.0, 0.0))
y, pushforward = nbad.linearize(decay, a, t, argnums=(0, 1))
print(pushforward((1.0, t)), pushforward.batched((np.ones((8, 3)), np.ones((8, 3)))))

blocks: Vector = nbad.jacobian(decay, argnums=("a", "t"), mode="forward")(a, t)
nbad.jacobian(decay)(a, t, out=blocks)
y, blocks = nbad.value_and_jacobian(decay, argnums=0)(a, t)

bend: nbad.Kernel = nbad.grad(nbad.grad(decay, "t"), 1)
y, partials = nbad.value_and_grad(decay, (0, 1))(a, t)
print(bend(a, t), partials, nbad.hessian(decay)(a, t).shape, nbad.hvp(decay, (a, t), (1.0, 0.0)))

print(nbad.show(decay, "plan"), nbad.show(decay, stage="source", dtype="float32"), nbad.explain(decay, a, t, seeds=8).policy)
with nbad.debugging():
    decay(a, t)

print(nbad.__version__, nbad.testing.check_kernel, nbad.special.expit(0.5), nbad.integrations.scipy.Problem)
