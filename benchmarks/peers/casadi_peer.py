"""CasADi: the C code that it generates for one element, inlined into a loop over elements, which the compiler makes vector code.

Its virtual machine and its own `map` take an element at a time, which is slower. Derivatives are its own; a reverse sweep
multiplies partials, made by the forward sweep, with the seeds. The code has no form in float32.
"""

import functools

import casadi as ca
import numpy as np

from benchmarks.by_hand.c_loops import Printer, loop
from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Case, Task
from benchmarks.cases.workloads import workloads
from benchmarks.peers import c_peer

PACKAGES = ("casadi",)
NAMES = "sqrt exp log sin cos atan2 erf".split()
ELEMENT = "casadi_f0"  # the generated function
INLINE = "static inline __attribute__((always_inline))"
ONE = """\
{element}
{inline} void one(long i, long n, {pointers}, real *out) {{
    const real read[] = {{{read}}}, *arg[] = {{{arg}}};
    real made[{count}], *res[] = {{{res}}};
    casadi_f0(arg, res, 0, 0, 0);
{stores}
}}
"""
LIBRARY = accepting_numbers({name: getattr(ca, name) for name in NAMES}) | {"where": ca.if_else}


def contestants(task):
    """The generated code with one thread and with all; fused multiply-add is allowed, as compilers have it by default."""
    if task.dtype == np.float64:
        text, rows = _program(task.workload.name, task.sweep, task.case.seeds)
        yield from c_peer.calls(task, _given(task), "generated C", text, rows, "fast")


def _given(task):
    """Arguments that all elements share are rows like the others."""
    rows = [np.ascontiguousarray(np.broadcast_to(x, task.n)) for x in task.inputs]
    if task.sweep != "reverse":
        return rows
    jacobian = Task(Case(task.workload.name, "jacobian", task.n))
    call = next(contestants(jacobian)).call
    return [*(seed for seeds in task.seeds for seed in seeds), *call().reshape(-1, task.n)]


@functools.lru_cache(maxsize=32)
def _program(name, sweep, seeds):
    """The program, the generated function of one element inlined into the loop, and the number of results."""
    workload = workloads()[name]
    arguments, results = workload.products(ca.SX.sym, seeds) if sweep == "reverse" else _derived(workload, sweep)
    generator = ca.CodeGenerator("element.c")
    generator.add(ca.Function("element", arguments, results, {"cse": True}))
    rows = [f"x{k}" for k in range(len(arguments))]
    one = ONE.format(
        inline=INLINE,
        element=generator.dump().replace(f"static int {ELEMENT}(", f"{INLINE} int {ELEMENT}("),
        pointers=", ".join(f"const real *{row}" for row in rows),
        read=", ".join(f"{row}[i]" for row in rows),
        arg=", ".join(f"&read[{k}]" for k in range(len(arguments))),
        count=len(results),
        res=", ".join(f"&made[{k}]" for k in range(len(results))),
        stores="\n".join(f"    out[{k} * n + i] = made[{k}];" for k in range(len(results))),
    )
    return Printer("d").program(rows, loop("low", "high", [f"one(i, n, {', '.join(rows)}, out);"]), one), len(results)


def _derived(workload, sweep):
    """Arguments and results of a sweep as expressions."""
    arguments = [ca.SX.sym(f"x{k}") for k in range(len(workload.inputs(1, "float64")))]
    y = rebound(workload.function, LIBRARY)(*arguments)
    outputs, active = list(y) if workload.is_tuple else [y], ca.vertcat(*(arguments[k] for k in workload.wrt))
    if sweep == "hessian":
        return arguments, _entries(ca.hessian(outputs[0], active)[0])
    values = outputs if sweep != "jacobian" else []
    return arguments, [*values, *(_entries(ca.jacobian(ca.vertcat(*outputs), active)) if sweep != "value" else [])]


def _entries(matrix):
    """Row by row, zeros too."""
    return ca.vertsplit(ca.densify(ca.vec(matrix.T)))
