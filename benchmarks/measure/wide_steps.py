"""One contestant of the command `wide` in a process of its own: `python -m benchmarks.measure.wide_steps`.

Kernels of many outputs and inputs, each written once for NumPy's names, which nbad traces and JAX has, too. The rates of
reactions are sums over a list: JAX gathers and scatters them, which compiles in a second and not in minutes.
"""

import os
import sys
import tempfile
import time

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


def _nbad(task, width, x):
    import nbad

    outputs = "" if task == "log_sum_exp" else width
    f = nbad.kernel(TASKS[task](np, width), signature=f"({width})->({outputs})", max_operations=1_000_000)

    def forward():
        y, _calls["pullback"] = nbad.vjp(f, x)
        return y

    def facts():
        operations = sum(node.op not in ("input", "const") for node in f.whole_program().graph.nodes)
        return {"residual": _calls["pullback"].residuals.bytes_per_element, "operations": operations}

    return forward, lambda s: _calls["pullback"](s)[0], lambda s: _calls["pullback"].batched(s)[0], facts


def _jax(task, width, x):
    import jax

    jax.config.update("jax_enable_x64", True)
    f = jax.vmap(TASKS[task](jax.numpy, width))
    both = jax.jit(lambda x: jax.vjp(f, x))
    one, many = jax.jit(lambda pullback, s: pullback(s)), jax.jit(lambda pullback, s: jax.vmap(pullback)(s))
    given = jax.numpy.asarray(x)

    def forward():
        y, _calls["pullback"] = jax.block_until_ready(both(given))
        return y

    def reverse(run):
        return lambda s: jax.block_until_ready(run(_calls["pullback"], s))[0]

    def facts():
        kept = jax.tree_util.tree_leaves(_calls["pullback"])
        return {"residual": sum(leaf.nbytes for leaf in kept) / len(x), "operations": 0}

    return forward, reverse(one), reverse(many), facts


CONTESTANTS = {"nbad": _nbad, "jax": _jax}


def prepare(task, width, contestant, n, seeds):
    """Run all sweeps once; answers with the seconds of the first forward and reverse sweep, and with a sample of cotangents."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["NBAD_CACHE_DIR"] = folder
        _first(task, 5, contestant, _inputs(5, 100))  # what all kernels share
        x = _inputs(width, n)
        start = time.perf_counter()
        forward, reverse, batched, facts, y = _first(task, width, contestant, x)
        first = time.perf_counter() - start
    rng = np.random.default_rng(2)
    seed, many = rng.standard_normal(y.shape), rng.standard_normal((seeds, *y.shape))
    if contestant == "jax":
        import jax

        seed, many = jax.numpy.asarray(seed), jax.numpy.asarray(many)
    _calls["sweeps"] = [forward, lambda: reverse(seed), lambda: batched(many)]
    sample = np.asarray(batched(many))[:, :2].ravel()
    return {"first": first, "sample": [float(v) for v in sample], **facts()}


def _first(task, width, contestant, x):
    forward, reverse, batched, facts = CONTESTANTS[contestant](task, width, x)
    y = np.asarray(forward())
    reverse(np.ones(y.shape))
    return forward, reverse, batched, facts, y


def measure(times=3):
    """Seconds of each sweep, the least of some calls."""
    return [min(_seconds(sweep) for _ in range(times)) for sweep in _calls["sweeps"]]


def _seconds(call):
    time.sleep(0.005)
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    serve(sys.modules[__name__])
