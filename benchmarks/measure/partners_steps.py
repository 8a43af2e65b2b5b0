"""One contestant of the command `partners` in a process of its own: `python -m benchmarks.measure.partners_steps`.

Call and put prices by Black and Scholes, and the cotangents of all five arguments for one seed: forwards and backwards, as a
partner differentiates its own functions, and a kernel of nbad's that became one of them.
"""

import math

import numpy as np

import nbad
from benchmarks.cases.rebinding import rebound
from benchmarks.measure.contestants import Contestants
from benchmarks.measure.process import serve

RANGES = ((80, 120), (80, 120), (0.1, 2.0), (0.01, 0.06), (0.1, 0.6))


def call_put(s, k, t, r, sigma):
    deviation = sigma * math.sqrt(t)
    d1 = (math.log(s / k) + (r + 0.5 * sigma * sigma) * t) / deviation
    n1, n2 = 0.5 + 0.5 * math.erf(d1 * 0.7071067811865476), 0.5 + 0.5 * math.erf((d1 - deviation) * 0.7071067811865476)
    discounted = k * math.exp(-r * t)
    return s * n1 - discounted * n2, discounted * (1.0 - n2) - s * (1.0 - n1)


def arguments(n):
    rng = np.random.default_rng(0)
    return [rng.uniform(*bounds, n) for bounds in RANGES]


def by_torch(make):
    """What runs forwards and backwards a function that is made with PyTorch at hand."""

    def prepare(n):
        import torch

        torch.set_num_threads(nbad_threads())
        f, xs = make(torch), [torch.from_numpy(x).requires_grad_() for x in arguments(n)]
        seeds = (torch.ones(n, dtype=torch.float64),) * 2
        return lambda: torch.autograd.grad(f(*xs), xs, seeds)

    return prepare


def by_jax(make):
    """The same by JAX, compiled."""

    def prepare(n):
        import jax

        jax.config.update("jax_enable_x64", True)
        f, xs = make(jax), [jax.numpy.asarray(x) for x in arguments(n)]
        seeds = (jax.numpy.ones(n),) * 2
        both = jax.jit(lambda *xs: jax.vjp(f, *xs)[1](seeds))
        return lambda: jax.block_until_ready(both(*xs))

    return prepare


def nbad_threads():
    import numba

    return numba.config.NUMBA_NUM_THREADS


def torch_native(torch):
    from benchmarks.peers.torch_peer import LIBRARY

    return rebound(call_put, LIBRARY)


def jax_native(jax):
    from benchmarks.peers.jax_peer import LIBRARY

    return rebound(call_put, LIBRARY)


def torch_nbad(torch):
    return nbad.integrations.torch.function(nbad.kernel(call_put))


def jax_nbad(jax):
    return nbad.integrations.jax.function(nbad.kernel(call_put))


def jax_by_python(jax):
    """As where the version of XLA's interface is not known."""
    from nbad.partners import jax_ffi

    jax_ffi.KNOWN.clear()
    return jax_nbad(jax)


CONTESTANTS = {
    "torch": {"nbad": by_torch(torch_nbad), "native": by_torch(torch_native)},
    "jax": {"nbad": by_jax(jax_nbad), "native": by_jax(jax_native)},
    "jax, calls of Python": {"nbad": by_jax(jax_by_python), "native": by_jax(jax_native)},
}


if __name__ == "__main__":
    serve(Contestants(CONTESTANTS))
