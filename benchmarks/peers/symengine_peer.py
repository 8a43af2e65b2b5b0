"""SymEngine: expressions compiled by LLVM, one element after the other, on one thread; an element's numbers lie side by side.

Derivatives are symbolic, common subexpressions shared; a reverse sweep multiplies partials, made by the forward sweep, with the
seeds.
"""

import functools

import numpy as np
import symengine as se

from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Contestant, from_rows
from benchmarks.cases.workloads import workloads

PACKAGES = ("symengine",)
NAMES = "sqrt exp log sin cos atan2 erf".split()
LIBRARY = accepting_numbers({name: getattr(se, name) for name in NAMES})
LIBRARY["where"] = lambda test, x, y: se.Piecewise((x, test), (y, True))
LIBRARY["abs"] = lambda x: se.Piecewise((x, x > 0), (-x, True))


def contestants(task):
    """The compiled function, with fresh results and into memory that is used again."""
    run, given = _compiled(task.workload.name, task.sweep, task.dtype.name, task.case.seeds), _given(task)
    out = np.empty_like(run(given))

    def normal(found):
        return from_rows(task, list(found.reshape(task.n, -1).T))

    yield Contestant("LLVM", lambda: run(given), normal)
    yield Contestant("LLVM, out=", lambda: run(given, out=out), lambda _: normal(out), reuses=True)


def _given(task):
    """Everything that is read, an element after the other."""
    rows = [np.broadcast_to(x, task.n) for x in task.inputs]
    if task.sweep == "reverse":
        partials = _compiled(task.workload.name, "jacobian", task.dtype.name, 0)(np.stack(rows, axis=1))
        rows = [*(seed for seeds in task.seeds for seed in seeds), *partials.reshape(task.n, -1).T]
    return np.stack(rows, axis=1)


@functools.lru_cache(maxsize=32)
def _compiled(name, sweep, dtype, seeds):
    workload = workloads()[name]
    arguments, results = workload.products(se.Symbol, seeds) if sweep == "reverse" else _derived(workload, sweep)
    return se.Lambdify(arguments, results, backend="llvm", cse=True, order="C", dtype=np.dtype(dtype))


def _derived(workload, sweep):
    """Arguments and results of a sweep as expressions."""
    arguments = se.symbols(f"x:{len(workload.inputs(1, 'float64'))}")
    y = rebound(workload.function, LIBRARY)(*arguments)
    outputs, active = list(y) if workload.is_tuple else [y], [arguments[k] for k in workload.wrt]
    if sweep == "value":
        return arguments, outputs
    rows = [[y.diff(x) for x in active] for y in outputs]
    if sweep == "hessian":
        return arguments, [entry.diff(x) for entry in rows[0] for x in active]
    return arguments, [*(outputs if sweep != "jacobian" else []), *(entry for row in rows for entry in row)]
