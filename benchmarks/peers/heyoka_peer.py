"""heyoka: expressions compiled by LLVM for batches of elements, with the vector functions of SLEEF; multiply and add are fused.

Derivatives are those of its own reverse sweep over expressions. A reverse sweep multiplies partials, made by the forward sweep,
with the seeds. Arguments that all elements share are rows like the others: a compiled function takes one array.
"""

import functools

import heyoka as hy
import numpy as np

from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Contestant, from_rows
from benchmarks.cases.workloads import workloads

PACKAGES = ("heyoka",)
NAMES = "sqrt exp log sin cos atan2 erf".split()
LIBRARY = accepting_numbers({name: getattr(hy, name) for name in NAMES})
LIBRARY |= {"where": hy.select, "abs": lambda x: hy.select(hy.gte(x, 0.0), x, -x)}
TYPES = {"float64": float, "float32": np.float32}

# It compares by functions, kernels by operators.
hy.expression.__gt__ = lambda x, y: hy.gt(x, float(y))
hy.expression.__ge__ = lambda x, y: hy.gte(x, float(y))


def contestants(task):
    """The compiled function, with fresh results and into memory that is used again."""
    hy.set_nthreads(task.case.threads)
    run, given = _compiled(task.workload.name, task.sweep, task.dtype.name, task.case.seeds), _given(task)
    out = run(given)
    yield Contestant("cfunc", lambda: run(given), functools.partial(from_rows, task))
    yield Contestant("cfunc, outputs=", lambda: run(given, outputs=out), functools.partial(from_rows, task), reuses=True)


def _given(task):
    """Everything that is read, as rows of one array."""
    rows = [np.broadcast_to(x, task.n) for x in task.inputs]
    if task.sweep == "reverse":
        partials = _compiled(task.workload.name, "jacobian", task.dtype.name, 0)(np.stack(rows))
        rows = [*(seed for seeds in task.seeds for seed in seeds), *partials]
    return np.stack(rows)


@functools.lru_cache(maxsize=32)
def _compiled(name, sweep, dtype, seeds):
    arguments, outputs, tensors = _derived(name)
    count, columns = len(outputs), len(workloads()[name].wrt)
    if sweep == "reverse":
        arguments, results = _products(count, columns, seeds)
    else:
        entries = list(tensors.jacobian.ravel()) if sweep in ("forward", "jacobian", "value_and_jacobian") else []
        values = outputs if sweep in ("value", "forward", "value_and_jacobian") else []
        results = list(tensors.hessian(0).ravel()) if sweep == "hessian" else [*values, *entries]
    return hy.cfunc(results, vars=arguments, fp_type=TYPES[dtype], force_avx512=True)


@functools.cache
def _derived(name):
    """Arguments, outputs and derivatives as expressions."""
    workload = workloads()[name]
    arguments = hy.make_vars(*(f"x{k}" for k in range(len(workload.inputs(1, "float64")))))
    arguments = arguments if isinstance(arguments, list) else [arguments]
    y = rebound(workload.function, LIBRARY)(*arguments)
    outputs = list(y) if workload.is_tuple else [y]
    order = 2 if workload.outputs == 1 else 1
    tensors = hy.diff_tensors(outputs, diff_args=[arguments[k] for k in workload.wrt], diff_order=order)
    return arguments, outputs, tensors


def _products(outputs, columns, seeds):
    """Variables, seeds then partials, and the cotangents of all seeds."""
    weights = [[hy.make_vars(f"w{m}_{q}") for q in range(seeds)] for m in range(outputs)]
    rows = [[hy.make_vars(f"r{m}_{k}") for k in range(columns)] for m in range(outputs)]
    results = [hy.sum([weights[m][q] * rows[m][k] for m in range(outputs)]) for k in range(columns) for q in range(seeds)]
    return [x for row in (*weights, *rows) for x in row], results
