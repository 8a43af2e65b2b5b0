"""nbad: fresh results, and results in memory that the caller uses again.

Vectors have their core axis last, in arguments, seeds and cotangents alike; other tools get an array for each of their values.
"""

import numpy as np

import nbad
from benchmarks.cases.task import Contestant

PACKAGES = ("nbad", "numba", "llvmlite", "numpy")


def contestants(task):
    """Calls with and without `out=`; a forward sweep keeps residuals, so it has no `out=`."""
    sweeps = {"value": _value, "forward": _forward, "reverse": _reverse, "jacobian": _jacobian}
    sweeps |= {"value_and_jacobian": _value_and_jacobian, "hessian": _hessian}
    return sweeps[task.sweep](task)


def _argnums(task):
    """Nothing where all arguments are differentiated: that is the default."""
    return task.workload.argnums if task.passive else None


def _value(task):
    f, xs = task.workload.kernel, task.arrays
    out = f(*xs)
    yield Contestant("fresh", lambda: f(*xs), _of_scalars)
    yield Contestant("out=", lambda: f(*xs, out=out), _of_scalars, reuses=True)


def _forward(task):
    f, xs, argnums = task.workload.kernel, task.arrays, _argnums(task)
    yield Contestant("vjp", lambda: nbad.vjp(f, *xs, argnums=argnums), lambda result: _of_scalars(result[0]))


def _reverse(task):
    y, pullback = nbad.vjp(task.workload.kernel, *task.arrays, argnums=_argnums(task), seeds=task.case.seeds)
    is_vector = not isinstance(y, tuple) and y.ndim > 1
    seeds = np.stack(task.seeds, axis=-1) if is_vector else task.seeds if isinstance(y, tuple) else task.seeds[0]
    out = pullback.batched(seeds)
    yield Contestant("batched", lambda: pullback.batched(seeds), _of_seeds)
    yield Contestant("batched out=", lambda: pullback.batched(seeds, out=out), _of_seeds, reuses=True)


def _jacobian(task):
    yield from _blocks(nbad.jacobian(task.workload.kernel, argnums=_argnums(task)), task.arrays)


def _hessian(task):
    yield from _blocks(nbad.hessian(task.workload.kernel, argnums=_argnums(task)), task.arrays)


def _blocks(compute, xs):
    """Blocks of an element side by side, or, in memory that is given, each entry's elements."""
    out = compute(*xs)
    straight = _straight(out)
    yield Contestant("(n, M, N)", lambda: compute(*xs), _rows)
    yield Contestant("(n, M, N) out=", lambda: compute(*xs, out=out), _rows, reuses=True)
    yield Contestant("(M, N, n) out=", lambda: compute(*xs, out=straight), _rows, reuses=True)


def _value_and_jacobian(task):
    if task.workload.outputs == 1 and not task.workload.has_vectors:
        yield from _value_and_grad(task)
    compute, xs = nbad.value_and_jacobian(task.workload.kernel, argnums=_argnums(task)), task.arrays
    y, blocks = compute(*xs)
    straight, normal = _straight(blocks), _value_and_rows
    yield Contestant("(n, M, N)", lambda: compute(*xs), normal)
    yield Contestant("(n, M, N) out=", lambda: compute(*xs, out=(y, blocks)), normal, reuses=True)
    yield Contestant("(M, N, n) out=", lambda: compute(*xs, out=(y, straight)), normal, reuses=True)


def _value_and_grad(task):
    """An array for each partial derivative of the only output."""
    compute, xs = nbad.value_and_grad(task.workload.kernel, argnums=task.workload.argnums), task.arrays
    out = compute(*xs)
    yield Contestant("value_and_grad", lambda: compute(*xs), _value_and_partials)
    yield Contestant("value_and_grad out=", lambda: compute(*xs, out=out), _value_and_partials, reuses=True)


def _straight(blocks):
    """Memory for the same blocks that lies as (M, N, n)."""
    return np.moveaxis(np.empty((*blocks.shape[1:], len(blocks)), blocks.dtype), -1, 0)


def _value_and_partials(result):
    y, partials = result
    return [y, list(partials)]


def _value_and_rows(result):
    y, blocks = result
    return [*_of_scalars(y), *_rows(blocks)]


def _rows(blocks):
    return [list(row) for row in np.moveaxis(blocks, 0, -1)]


def _of_scalars(result, axes=1):
    """The normal form: one array for each scalar; vectors have an axis more than `axes`."""
    leaves = result if isinstance(result, tuple) else (result,)
    return [column for leaf in leaves for column in (np.moveaxis(leaf, -1, 0) if leaf.ndim > axes else [leaf])]


def _of_seeds(result):
    return _of_scalars(result, axes=2)
