"""Numba with every trick (`benchmarks.by_hand.vector_loops`): the same hand-derived loops as vector code, parallel; float64 only.

This is what nbad's generated code is measured against: it reads and writes the same bytes.
"""

import functools
import math

import numba
import numpy as np
from numba.core import types

from benchmarks.by_hand.loops import BLOCK, define, function, loops
from benchmarks.by_hand.vector_loops import ROW, functions, is_offered, pointer, tile
from benchmarks.cases.task import Case, Contestant, Task
from benchmarks.peers.numba_peer import results_of

PACKAGES = ("numba", "llvmlite")


def contestants(task):
    """Fresh results, and results in memory that is used again. Blocks of derivatives are not contiguous rows: none there."""
    if task.dtype == np.float64 and task.sweep in ("value", "forward", "reverse") and is_offered():
        shapes, normal = results_of(task)
        out, given = [np.empty(shape) for shape in shapes], _given(task)
        run = _compiled(task.workload.name, task.sweep)
        yield Contestant("fresh", lambda: _call(run, given, [np.empty(shape) for shape in shapes]), normal)
        yield Contestant("reused", lambda: _call(run, given, out), normal, reuses=True)


def _call(run, given, out):
    """Arrays go in as addresses."""
    run(*[x.ctypes.data if isinstance(x, np.ndarray) else x for x in given], *[row.ctypes.data for row in out])
    return out


def _given(task):
    """Sizes, then arrays, or values of what all elements share."""
    if task.sweep != "reverse":
        return [task.n, *(x if x.ndim else float(x) for x in task.inputs)]
    return [task.n, task.case.seeds, *task.seeds, *_residuals(task.workload.name, task.n)]


@functools.lru_cache(maxsize=1)
def _residuals(name, n):
    """The rows that a forward sweep keeps, not a multiple of 4096 bytes apart."""
    lines, task = loops(name), Task(Case(name, "forward", n))
    rows = np.empty((len(lines.outputs) + len(lines.residuals), n + 16 - n % 8))[:, :n]
    _call(_compiled(name, "forward"), _given(task), rows)
    return rows[len(lines.outputs) :]


@functools.cache
def _compiled(name, sweep):
    lines = loops(name)
    if sweep == "reverse":
        return _reverse(lines)
    written = lines.outputs if sweep == "value" else lines.outputs + lines.residuals
    return _pointwise(lines, written, lines.body(getattr(lines, sweep)()))


def _pointwise(lines, written, body):
    names = lines.arguments + written
    shared = [f"x{k}" for k in lines.scalars]
    places = [name if name in shared else f"pointer({name} + start)" for name in names]
    return _driver(["n", *names], _tile(names, body, shared), [f"tile(size, {', '.join(places)})"])


def _reverse(lines):
    of_seed, names = lines.seeds + lines.cotangents, lines.seeds + lines.residuals + lines.cotangents
    places = [f"pointer({name} + start{' + 8 * q * n' if name in of_seed else ''})" for name in names]
    body = ["for q in range(seeds):", f"    tile(size, {', '.join(places)})"]
    return _driver(["n", "seeds", *names], _tile(names, lines.products("[i]"), []), body)


def _tile(names, body, shared):
    """The loop over one block."""
    scope = {"sqrt": math.sqrt, **functions()}
    kinds = [types.float64 if name in shared else ROW for name in names]
    return tile(define(function(["n", *names], "for i in range(n):", body), scope), [types.intp, *kinds])


def _driver(parameters, compiled_tile, body):
    """The parallel loop over blocks."""
    bounds = [f"start = {8 * BLOCK} * block", f"size = min({BLOCK}, n - {BLOCK} * block)"]
    text = function(parameters, f"for block in prange((n + {BLOCK - 1}) // {BLOCK}):", bounds + body)
    return numba.njit(parallel=True)(define(text, {"prange": numba.prange, "pointer": pointer, "tile": compiled_tile}))
