"""nbad: fresh results, and results in memory that the caller uses again."""

import numpy as np

import nbad
from benchmarks.task import Contestant

PACKAGES = ("nbad", "numba", "llvmlite", "numpy")


def contestants(task):
    """Calls with and without `out=`; a forward sweep keeps residuals, so it has no `out=`."""
    return {"value": _value, "forward": _forward, "reverse": _reverse, "jacobian": _jacobian}[task.sweep](task)


def _argnums(task):
    """Nothing where all arguments are differentiated: that is the default."""
    return task.workload.wrt if task.passive else None


def _value(task):
    f, xs = task.workload.kernel, task.inputs
    normal = list if task.workload.is_tuple else lambda y: [y]
    out = f(*xs)
    yield Contestant("fresh", lambda: f(*xs), normal)
    yield Contestant("out=", lambda: f(*xs, out=out), normal, reuses=True)


def _forward(task):
    f, xs, argnums = task.workload.kernel, task.inputs, _argnums(task)
    normal = (lambda r: list(r[0])) if task.workload.is_tuple else lambda r: [r[0]]
    yield Contestant("vjp", lambda: nbad.vjp(f, *xs, argnums=argnums), normal)


def _reverse(task):
    _, pullback = nbad.vjp(task.workload.kernel, *task.inputs, argnums=_argnums(task), seeds=task.case.seeds)
    seeds = task.seeds if task.workload.is_tuple else task.seeds[0]
    out = pullback.batched(seeds)
    yield Contestant("batched", lambda: pullback.batched(seeds), list)
    yield Contestant("batched out=", lambda: pullback.batched(seeds, out=out), list, reuses=True)


def _jacobian(task):
    compute, xs = nbad.jacobian(task.workload.kernel, argnums=_argnums(task)), task.inputs
    out = compute(*xs)
    yield Contestant("(n, M, N)", lambda: compute(*xs), _rows)
    yield Contestant("(n, M, N) out=", lambda: compute(*xs, out=out), _rows, reuses=True)


def _rows(blocks):
    return [list(row) for row in np.moveaxis(blocks, 0, -1)]
