"""One contestant of the command `loops` in a process of its own: `python -m benchmarks.measure.loops_steps`.

Kepler's equation is a loop whose number of passes depends on the data, by Newton's steps. The integration is one of a fixed
length: the Lotka-Volterra equations of two preys and two predators, 1,000 steps of Runge-Kutta, four
states from given starts with six parameters; its value and its Jacobian by all ten.
"""

import ctypes
import functools
import math
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure.contestants import Contestants
from benchmarks.measure.process import serve

STEPS, STEP = 1000, 0.01
HAND = Path(__file__).parents[1] / "by_hand" / "kepler.c"


def anomaly(m, e):
    x, step = m, 1.0
    while abs(step) > 1e-12:
        step = (x - e * math.sin(x) - m) / (1.0 - e * math.cos(x))
        x = x - step
    return x


def slope(u, v, w, z, a, b, c, d, f, g):
    """Two preys, u and v, and their predators, w and z, which compete."""
    return u * (a - b * w), v * (c - d * z), w * (b * u - f - g * z), z * (d * v - f - g * w)


def integrated(u, v, w, z, a, b, c, d, f, g):
    h = STEP
    for _ in range(STEPS):
        k1, l1, m1, n1 = slope(u, v, w, z, a, b, c, d, f, g)
        k2, l2, m2, n2 = slope(u + h / 2 * k1, v + h / 2 * l1, w + h / 2 * m1, z + h / 2 * n1, a, b, c, d, f, g)
        k3, l3, m3, n3 = slope(u + h / 2 * k2, v + h / 2 * l2, w + h / 2 * m2, z + h / 2 * n2, a, b, c, d, f, g)
        k4, l4, m4, n4 = slope(u + h * k3, v + h * l3, w + h * m3, z + h * n3, a, b, c, d, f, g)
        u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        v = v + h / 6 * (l1 + 2 * l2 + 2 * l3 + l4)
        w = w + h / 6 * (m1 + 2 * m2 + 2 * m3 + m4)
        z = z + h / 6 * (n1 + 2 * n2 + 2 * n3 + n4)
    return u, v, w, z


def orbits(n):
    rng = np.random.default_rng(0)
    return rng.uniform(0.1, 3.0, n), rng.uniform(0.0, 0.9, n)


def populations(n):
    rng = np.random.default_rng(0)
    return *rng.uniform(0.5, 1.5, (4, n)), *rng.uniform(0.4, 0.9, (6, n))


def nbad_kepler(n):
    import nbad

    kernel, (m, e), out = nbad.kernel(anomaly), orbits(n), np.empty(n)
    return lambda: kernel(m, e, out=out)


def c_kepler(n):
    """By hand, with the vector functions that nbad calls."""
    folder, (m, e), out = Path(tempfile.mkdtemp()), orbits(n), np.empty(n)
    width, letter, flag = (8, "e", "-mavx512f") if "avx512f" in _flags() else (4, "d", "-mavx2")
    names = [f"-D{name.upper()}=_ZGV{letter}N{width}v_{name}" for name in ("sin", "cos")]
    command = ["gcc", "-O3", flag, "-ffp-contract=off", f"-DWIDTH={width}", *names, "-shared", "-fPIC", str(HAND)]
    subprocess.run([*command, "-o", str(folder / "kepler.so"), "-lmvec", "-lm"], check=True)
    function = ctypes.CDLL(str(folder / "kepler.so")).kepler
    shutil.rmtree(folder)
    addresses = [ctypes.c_void_p(a.ctypes.data) for a in (m, e, out)]

    def call(m=m, e=e):
        function(*addresses, ctypes.c_int64(n))
        return out

    return call


def njit_kepler(n):
    """By hand, without tricks."""
    import numba

    one, (m, e), out = numba.njit(anomaly), orbits(n), np.empty(n)

    @numba.njit
    def loop(m, e, out):
        for k in range(m.size):
            out[k] = one(m[k], e[k])
        return out

    return lambda: loop(m, e, out)


def nbad_integrated(n):
    import nbad

    kernel, xs = nbad.kernel(integrated), populations(n)
    return functools.partial(nbad.value_and_jacobian(kernel), *xs)


def jax_integrated(n):
    """Both derivatives that JAX offers for a `scan`: forward mode, as there are more outputs than a few, and fewer arguments."""
    import jax

    jax.config.update("jax_enable_x64", True)

    def one(xs):
        def step(states, _):
            return _one_step(states, xs[4:]), None

        return jax.numpy.stack(jax.lax.scan(step, tuple(xs[:4]), length=STEPS)[0])

    both = jax.jit(jax.vmap(lambda xs: (one(xs), jax.jacfwd(one)(xs))))
    given = jax.numpy.stack(populations(n), axis=-1)
    return lambda: jax.block_until_ready(both(given))


def _one_step(states, parameters):
    h = STEP
    k1 = slope(*states, *parameters)
    k2 = slope(*(s + h / 2 * k for s, k in zip(states, k1, strict=True)), *parameters)
    k3 = slope(*(s + h / 2 * k for s, k in zip(states, k2, strict=True)), *parameters)
    k4 = slope(*(s + h * k for s, k in zip(states, k3, strict=True)), *parameters)
    return tuple(s + h / 6 * (a + 2 * b + 2 * c + d) for s, a, b, c, d in zip(states, k1, k2, k3, k4, strict=True))


def _flags():
    return Path("/proc/cpuinfo").read_text() if platform.system() == "Linux" else ""


CONTESTANTS = {
    "kepler": {"nbad": nbad_kepler, "c": c_kepler, "njit": njit_kepler},
    "integration": {"nbad": nbad_integrated, "jax": jax_integrated},
}


def parts(contestant, n, result):
    """Values and blocks, the values of each element together."""
    if not isinstance(result, tuple):
        return [result]
    values, blocks = result
    return [np.stack(values, axis=-1) if isinstance(values, tuple) else values, blocks]


if __name__ == "__main__":
    serve(Contestants(CONTESTANTS, parts))
