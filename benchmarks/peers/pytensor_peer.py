"""PyTensor: a graph of array operations, merged into one loop and compiled by a C++ compiler.

Its gradient of a sum over elements is the derivative of each. A reverse sweep multiplies partials, made by the forward sweep,
with the seeds. Loops use OpenMP where there is more than one thread.
"""

import functools

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Contestant, from_rows
from benchmarks.cases.workloads import workloads

PACKAGES = ("pytensor",)
NAMES = {name: name for name in "sqrt exp log sin cos erf".split()} | {"atan2": "arctan2"}
LIBRARY = accepting_numbers({name: getattr(pt, theirs) for name, theirs in NAMES.items()}) | {"where": pt.switch}


def contestants(task):
    """The compiled function."""
    pytensor.config.openmp = task.case.threads > 1
    axes = tuple(x.ndim for x in task.inputs)
    run, given = _compiled(task.workload.name, task.sweep, task.dtype.name, axes, task.case.seeds), list(task.inputs)
    if task.sweep == "reverse":
        partials = _compiled(task.workload.name, "jacobian", task.dtype.name, axes, 0)(*given)
        given = [*(seed for seeds in task.seeds for seed in seeds), *(np.array(np.broadcast_to(p, task.n)) for p in partials)]
    yield Contestant("function", lambda: run(*given), lambda rows: from_rows(task, [np.broadcast_to(r, task.n) for r in rows]))


@functools.lru_cache(maxsize=32)
def _compiled(name, sweep, dtype, axes, seeds):
    workload, symbol = workloads()[name], functools.partial(pt.vector, dtype=dtype)
    arguments, results = workload.products(symbol, seeds) if sweep == "reverse" else _derived(workload, sweep, dtype, axes)
    run = pytensor.function(arguments, results)
    run.trust_input = True  # arguments are arrays of the right type
    return run


def _derived(workload, sweep, dtype, axes):
    """Arguments and results of a sweep as variables; arguments that all elements share have no axis."""
    arguments = [pt.vector(dtype=dtype) if count else pt.scalar(dtype=dtype) for count in axes]
    y = rebound(workload.function, LIBRARY)(*arguments)
    outputs, active = list(y) if workload.is_tuple else [y], [arguments[k] for k in workload.wrt]
    rows = [_partials(y, active) for y in outputs] if sweep != "value" else []
    if sweep == "hessian":
        return arguments, [entry for partial in rows[0] for entry in _partials(partial, active)]
    return arguments, [*(outputs if sweep != "jacobian" else []), *(entry for row in rows for entry in row)]


def _partials(y, active):
    return pytensor.grad(y.sum(), active, disconnected_inputs="ignore")
