"""ddx-ad: an expression graph compiled by LLVM; float64 only. A vector-Jacobian product evaluates the kernel again."""

import functools

import ddx
import numpy as np

from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Contestant, merged
from benchmarks.cases.workloads import workloads

PACKAGES = ("ddx-ad",)
NAMES = "sqrt exp log sin cos atan2 erf".split()
LIBRARY = accepting_numbers({name: getattr(ddx, name) for name in NAMES}) | {"where": ddx.select}


def contestants(task):
    """Calls that allocate, and calls bound to buffers; seeds one by one, or as products with the Jacobian in NumPy."""
    if task.dtype == np.float64:
        equation = _equation(task.workload.name, task.n)
        columns = [*task.active, *task.passive.values()]
        points = np.stack([np.broadcast_to(x, (task.n,)) for x in columns])
        sweeps = {"value": _value, "forward": _forward, "reverse": _reverse, "jacobian": _jacobian}
        sweeps["value_and_jacobian"] = _value_and_jacobian
        if task.sweep in sweeps:
            yield from sweeps[task.sweep](equation, points, task)


@functools.lru_cache(maxsize=16)
def _equation(name, points):
    workload = workloads()[name]
    f = rebound(workload.function, LIBRARY)
    count = len(workload.inputs(1, "float64"))

    def model():
        active = [ddx.var(f"x{k}") for k in workload.wrt]
        passive = {k: ddx.param(f"x{k}") for k in range(count) if k not in workload.wrt}
        return f(*merged(active, passive))

    return ddx.equation(model).compile(points=points, veclib=ddx.VecLib.AUTO, cache_dir="")


def _outputs(value):
    return list(np.atleast_2d(value))


def _rows(jacobian, task):
    outputs, columns = task.workload.outputs, len(task.workload.wrt)
    return [list(row) for row in np.reshape(jacobian, (outputs, columns, task.n))]


def _columns(each):
    return list(np.stack(each, axis=1))


def _value(equation, points, task):
    buffer = equation.buffer(points, want=ddx.Want.VALUE)
    yield Contestant("evaluate", lambda: equation.evaluate(points), _outputs)
    yield Contestant("buffer", buffer, lambda _: _outputs(buffer.value), reuses=True)


def _forward(equation, points, task):
    yield Contestant("jacobian", lambda: equation.jacobian(points), lambda result: _outputs(result[0]))


def _reverse(equation, points, task):
    seeds = np.stack(task.seeds, axis=1)  # (S, M, n)
    rows = np.reshape(equation.jacobian(points)[1], (task.workload.outputs, -1, task.n))
    yield Contestant("vjp for each seed", lambda: [equation.vjp(w, points)[1] for w in seeds], _columns)
    yield Contestant("einsum with the Jacobian", lambda: np.einsum("smn,mkn->ksn", seeds, rows), list)


def _jacobian(equation, points, task):
    buffer = equation.buffer(points, want=ddx.Want.GRADIENT)
    yield Contestant("(M, N, n)", lambda: equation.gradient(points), lambda jacobian: _rows(jacobian, task))
    yield Contestant("(M, N, n) buffer", buffer, lambda _: _rows(buffer.jacobian, task), reuses=True)


def _value_and_jacobian(equation, points, task):
    def normal(result):
        value, jacobian = result
        return [*_outputs(value), *_rows(jacobian, task)]

    yield Contestant("(M, N, n)", lambda: equation.jacobian(points), normal)
