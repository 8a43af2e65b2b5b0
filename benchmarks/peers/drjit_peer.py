"""Dr.Jit: arrays that record what is done to them, compiled by LLVM; frozen, so that a call does not record again.

It needs a shared library of LLVM: `DRJIT_LIBLLVM_PATH`, or the newest of the system's. Results come from a pool of its own, so
fresh arrays are memory that was used before, and constants are not stored. Fast math is on, as it is unless one turns it off. A
reverse sweep multiplies partials, which the forward sweep made, with the seeds.
"""

import functools
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmarks import peers
from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Contestant, from_rows
from benchmarks.cases.workloads import workloads

os.environ.setdefault("DRJIT_LIBLLVM_PATH", str(peers.shared_library("LLVM")))

import drjit as dr  # it looks for LLVM when it is imported
from drjit import llvm

PACKAGES = ("drjit",)
VERSIONS = {"LLVM": Path(os.environ["DRJIT_LIBLLVM_PATH"]).name}
NAMES = "sqrt exp log sin cos atan2 erf".split()
LIBRARY = accepting_numbers({name: getattr(dr, name) for name in NAMES}) | {"where": dr.select}
TYPES = {"float64": llvm.ad.Float64, "float32": llvm.ad.Float}
ONCE_MORE = dr.ADFlag.ClearInterior | dr.ADFlag.AllowNoGrad  # what was recorded stays for the next output


def contestants(task):
    """The frozen function. There are no second derivatives."""
    if task.sweep == "hessian":
        return
    dr.set_thread_count(task.case.threads)
    functions, inputs = _functions(task.workload.name), _arrays(task, task.inputs)
    if task.sweep == "reverse":
        rows = _done(functions.jacobian, inputs)
        seeds = _arrays(task, [seed for seeds in task.seeds for seed in seeds])
        call = functools.partial(_done, functions.products, seeds, rows)
    else:
        call = functools.partial(_done, getattr(functions, task.sweep), inputs)
    yield Contestant("frozen", call, lambda results: from_rows(task, [np.broadcast_to(r.numpy(), task.n) for r in results]))


def _arrays(task, arrays):
    """Arrays in memory of Dr.Jit's own, which is aligned."""
    found = [TYPES[task.dtype.name](np.atleast_1d(x)) + 0 for x in arrays]
    dr.eval(found)
    return found


def _done(function, *arrays):
    results = function(*arrays)
    dr.eval(results)
    dr.sync_thread()
    return results


@functools.cache
def _functions(name):
    """The frozen functions of a workload."""
    workload = workloads()[name]
    f = rebound(workload.function, LIBRARY)

    def value(xs):
        y = f(*xs)
        return list(y) if workload.is_tuple else [y]

    def value_and_jacobian(xs):
        xs = [type(x)(x) for x in xs]
        active = [xs[k] for k in workload.wrt]
        dr.enable_grad(active)
        outputs = value(xs)
        return [*map(dr.detach, outputs), *(entry for y in outputs for entry in _partials(y, active))]

    def jacobian(xs):
        return value_and_jacobian(xs)[workload.outputs :]

    def products(seeds, rows):
        count, columns = len(seeds) // workload.outputs, len(workload.wrt)
        return [
            sum(seeds[m * count + q] * rows[m * columns + k] for m in range(workload.outputs))
            for k in range(columns)
            for q in range(count)
        ]

    every = dict(value=value, jacobian=jacobian, value_and_jacobian=value_and_jacobian, products=products)
    every["forward"] = value_and_jacobian
    return SimpleNamespace(**{name: dr.freeze(function) for name, function in every.items()})


def _partials(y, active):
    """Derivatives of one output."""
    dr.clear_grad(active)
    dr.backward_from(y, flags=ONCE_MORE)
    return [dr.detach(dr.grad(x)) for x in active]
