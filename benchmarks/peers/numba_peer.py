"""Numba by hand: a plain serial loop, and parallel loops with the adjoint derived by hand (`benchmarks.by_hand.adjoint`).

Functions are those of Numba's `math`, options those of its documentation; no tricks. `vector_peer` shows what tricks give.
"""

import functools
import math

import numba
import numpy as np

from benchmarks.by_hand.adjoint import FUNCTIONS
from benchmarks.by_hand.loops import BLOCK, define, function, loops
from benchmarks.cases.task import Contestant

PACKAGES = ("numba", "llvmlite")
SCOPE = {**{name: getattr(math, name) for name in FUNCTIONS}, "prange": numba.prange}


def contestants(task):
    """The plain loop and the parallel one, each with fresh results and into memory that is used again."""
    shapes, normal = results_of(task)
    out, given = [np.empty(shape, task.dtype) for shape in shapes], _given(task)
    for name, is_parallel in (("plain loop", False), ("parallel loop", True)):
        run = _compiled(task.workload.name, task.sweep, is_parallel)
        yield Contestant(name, _fresh(run, given, shapes, task.dtype), normal)
        yield Contestant(f"{name}, reused", _into(run, given, out), normal, reuses=True)


def _fresh(run, given, shapes, dtype):
    def call():
        out = [np.empty(shape, dtype) for shape in shapes]
        run(*given, *out)
        return out

    return call


def _into(run, given, out):
    def call():
        run(*given, *out)
        return out

    return call


def _given(task):
    """What a loop reads: its size, and arguments or seeds and residuals."""
    if task.sweep != "reverse":
        return [task.n, *(x if x.ndim else x[()] for x in task.inputs)]
    forward = _compiled(task.workload.name, "forward", False)
    lines = loops(task.workload.name)
    rows = [np.empty(task.n, task.dtype) for _ in [*lines.outputs, *lines.residuals]]
    forward(task.n, *(x if x.ndim else x[()] for x in task.inputs), *rows)
    return [task.n, task.case.seeds, *task.seeds, *rows[len(lines.outputs) :]]


def results_of(task):
    """Shapes of what a loop writes, and how it becomes the normal form."""
    lines, n = loops(task.workload.name), task.n
    outputs, columns = len(lines.outputs), len(lines.cotangents)

    def rows(blocks):
        return [list(row) for row in np.moveaxis(blocks, 0, -1)]

    return {
        "value": ([(n,)] * outputs, list),
        "forward": ([(n,)] * (outputs + len(lines.residuals)), lambda rows: rows[:outputs]),
        "reverse": ([(task.case.seeds, n)] * columns, list),
        "jacobian": ([(n, outputs, columns)], lambda out: rows(out[0])),
        "value_and_jacobian": ([(n,)] * outputs + [(n, outputs, columns)], lambda out: [*out[:-1], *rows(out[-1])]),
        "hessian": ([(n, columns, columns)], lambda out: rows(out[0])),
    }[task.sweep]


@functools.cache
def _compiled(name, sweep, is_parallel):
    text = (_reverse if sweep == "reverse" else _pointwise)(loops(name), sweep, is_parallel)
    return numba.njit(parallel=is_parallel, error_model="numpy")(define(text, SCOPE))


def _pointwise(lines, sweep, is_parallel):
    written = {"value": lines.outputs, "forward": lines.outputs + lines.residuals, "jacobian": ["j"], "hessian": ["h"]}
    written["value_and_jacobian"] = [*lines.outputs, "j"]
    header = f"for i in {'prange' if is_parallel else 'range'}(n):"
    return function(["n", *lines.arguments, *written[sweep]], header, lines.body(getattr(lines, sweep)()))


def _reverse(lines, sweep, is_parallel):
    parameters = ["n", "seeds", *lines.seeds, *lines.residuals, *lines.cotangents]
    products = lines.products("[q, i]")
    if not is_parallel:
        return function(parameters, "for q in range(seeds):", "for i in range(n):", products)
    inner = [line for product in products for line in ("for i in range(low, high):", f"    {product}")]
    bounds = [f"low = block * {BLOCK}", f"high = min(n, low + {BLOCK})"]
    return function(parameters, f"for block in prange((n + {BLOCK - 1}) // {BLOCK}):", bounds, "for q in range(seeds):", inner)
