"""One contestant of the command `wide` in a process of its own: `python -m benchmarks.measure.wide_steps`.

Kernels of many outputs and inputs, each written once for NumPy's names, which nbad traces and JAX has, too. The rates of
reactions are sums over a list: JAX gathers and scatters them, which compiles in a second and not in minutes.
"""

import os
import sys
import tempfile
import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure.process import serve

_calls = {}


def softmax(np_, width):
    def softmax(x):
        e = np_.exp(x)
        return e / np_.sum(e)

    return softmax


def stable_softmax(np_, width):
    def stable_softmax(x):
        e = np_.exp(x - np_.max(x))
        return e / np_.sum(e)

    return stable_softmax


def layer_norm(np_, width):
    def layer_norm(x):
        c = x - np_.sum(x) / width
        return c / np_.sqrt(np_.sum(c * c) / width + 1e-5)

    return layer_norm


def log_sum_exp(np_, width):
    def log_sum_exp(x):
        top = np_.max(x)
        return top + np_.log(np_.sum(np_.exp(x - top)))

    return log_sum_exp


def dense(np_, width):
    first, second = np.random.default_rng(0).standard_normal((2, width, width)) / width**0.5

    def dense(x):
        return np_.tanh(second @ np_.tanh(first @ x))

    return dense


def kinetics(np_, species):
    """Three reactions a species, of two species to two others; the rate constants are those of one temperature."""
    rng = np.random.default_rng(0)
    i, j, k, m = rng.integers(0, species, (4, 3 * species))
    constants = np.exp(-rng.uniform(0.5, 4.0, 3 * species))

    def rates(c):
        r = constants * c[i] * c[j]
        return np_.zeros(species).at[np_.stack([i, j, k, m])].add(np_.stack([-r, -r, r, r]))

    def by_lists(c):
        found = [0.0] * species
        for n in range(3 * species):
            r = constants[n] * c[i[n]] * c[j[n]]
            for place, change in ((i, -r), (j, -r), (k, r), (m, r)):
                found[place[n]] = found[place[n]] + change
        return np.array(found)

    return by_lists if np_ is np else rates


TASKS = {f.__name__: f for f in (softmax, stable_softmax, layer_norm, log_sum_exp, dense, kinetics)}


def _inputs(width, n):
    return np.random.default_rng(1).uniform(0.1, 1.5, (n, width))


class Contestant(NamedTuple):
    """Its forward sweep, and reverse ones for one seed and for many, of arrays of its own; what makes these; and its facts."""

    sweeps: tuple[Any, Any, Any]
    own: Any
    facts: Any


def _nbad(task, width):
    import nbad

    outputs = "" if task == "log_sum_exp" else width
    f = nbad.kernel(TASKS[task](np, width), signature=f"({width})->({outputs})", max_operations=1_000_000)

    def forward(x):
        y, _calls["pullback"] = nbad.vjp(f, x)
        return y

    def facts(n):
        operations = sum(node.op not in ("input", "const") for node in f.whole_program().graph.nodes)
        return {"residual": _calls["pullback"].residuals.bytes_per_element, "operations": operations}

    sweeps = forward, lambda s: _calls["pullback"](s)[0], lambda s: _calls["pullback"].batched(s)[0]
    return Contestant(sweeps, np.array, facts)


def _jax(task, width):
    import jax

    jax.config.update("jax_enable_x64", True)
    f = jax.vmap(TASKS[task](jax.numpy, width))
    both = jax.jit(lambda x: jax.vjp(f, x))
    one, many = jax.jit(lambda pullback, s: pullback(s)), jax.jit(lambda pullback, s: jax.vmap(pullback)(s))

    def forward(x):
        y, _calls["pullback"] = jax.block_until_ready(both(x))
        return y

    def reverse(run):
        return lambda s: jax.block_until_ready(run(_calls["pullback"], s))[0]

    def facts(n):
        kept = jax.tree_util.tree_leaves(_calls["pullback"])
        return {"residual": sum(leaf.nbytes for leaf in kept) / n, "operations": 0}

    return Contestant((forward, reverse(one), reverse(many)), jax.numpy.array, facts)


CONTESTANTS = {"nbad": _nbad, "jax": _jax}


def prepare(task, width, contestant, n, seeds):
    """Run all sweeps once; answers with the seconds of the first forward and reverse sweep, and with a sample of cotangents."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["NBAD_CACHE_DIR"] = folder
        _first(task, 5, contestant, _inputs(5, 100))  # what all kernels share
        x = _inputs(width, n)
        start = time.perf_counter()
        made, y = _first(task, width, contestant, x)
        first = time.perf_counter() - start
    rng = np.random.default_rng(2)
    given = x, rng.standard_normal(y.shape), rng.standard_normal((seeds, *y.shape))
    _calls.update(made=made, given=given, placed=[])
    sample = np.asarray(made.sweeps[2](made.own(given[2])))[:, :2].ravel()
    return {"first": first, "sample": [float(v) for v in sample], **made.facts(n)}


def _first(task, width, contestant, x):
    made = CONTESTANTS[contestant](task, width)
    forward, reverse, _ = made.sweeps
    y = np.asarray(forward(made.own(x)))
    reverse(made.own(np.ones(y.shape)))
    return made, y


def measure(times=3):
    """Seconds of each sweep, the least of some calls, on arrays that lie elsewhere each time.

    By where they lie a sweep of few bytes takes up to twice as long, whatever the code.
    """
    made = _calls["made"]
    _calls["placed"].append([made.own(array) for array in _calls["given"]])  # which keeps the room of earlier ones
    pairs = zip(made.sweeps, _calls["placed"][-1], strict=True)
    return [min(_seconds(sweep, array) for _ in range(times)) for sweep, array in pairs]


def _seconds(sweep, array):
    time.sleep(0.005)
    start = time.perf_counter()
    sweep(array)
    return time.perf_counter() - start


if __name__ == "__main__":
    serve(sys.modules[__name__])
