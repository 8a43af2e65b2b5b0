"""`nbad.show`: the text of one stage of the pipeline."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from nbad.api.calls import check_kernel
from nbad.api.kernel import Kernel
from nbad.api.options import working_dtype
from nbad.api.signatures import name_in_code
from nbad.codegen.compile import TileKernel
from nbad.codegen.lower import lower
from nbad.codegen.python_source import print_python
from nbad.errors import ArgumentValueError, closest, fitting
from nbad.pipeline import Program
from nbad.plans.plan import Plan
from nbad.tools.export import Module

Stage = Literal["graph", "partials", "plan", "source", "numba", "llvm", "asm"]


@fitting("nbad.show({f}, 'source')")
def show(f: Kernel, stage: Stage = "source", dtype: DTypeLike = np.float64) -> str:
    """The text of one stage, for the specialization in which every argument is passed and every one differentiated.

    Parameters
    ----------
    f : Kernel
    stage : {"graph", "partials", "plan", "source", "numba", "llvm", "asm"}
        The traced graph; the graph with the entries of the Jacobian; what is stored and what is computed from it; readable
        Python of the forward and the reverse kernel; the same as the sweeps that `nbad.export` writes; their LLVM IR; their
        assembly on this machine.
    dtype : dtype
        Working dtype of the last four.

    Returns
    -------
    str

    Raises
    ------
    ArgumentValueError
        For an unknown stage.

    Examples
    --------
    >>> import nbad
    >>> print(nbad.show(nbad.kernel(lambda x: x * x), "graph"))  # doctest: +ELLIPSIS
    <lambda>(x):
      %1 = mul(x, x) ...
      return %1
    """
    check_kernel(f)
    stages = list(get_args(Stage))
    if not isinstance(stage, str) or stage not in stages:
        meant = closest(stage, stages)
        raise ArgumentValueError(
            f"`nbad.show(f, {stage!r})`: unknown stage",
            got=repr(stage),
            expected=", ".join(stages),
            meant=meant and repr(meant),
            fix=f"nbad.show({name_in_code(f)}, {meant or 'source'!r})",
        )
    dtype = working_dtype(f"`nbad.show(f, {stage!r}, {dtype!r})`", dtype, f"nbad.show({name_in_code(f)}, {stage!r}, {{0!r}})")
    return Module(f, dtype).kernels() if stage == "numba" else STAGES[stage](f.whole_program(), dtype)


def _plan(program: Program) -> Plan:
    return program.plan(program.input_slots(range(len(program.names))), "partials")


def _graph(program: Program, dtype: np.dtype) -> str:
    return _without_columns(str(program.graph))


def _partials(program: Program, dtype: np.dtype) -> str:
    return _without_columns(str(program.joint(_plan(program).wrt, "reverse").graph))


def _plan_text(program: Program, dtype: np.dtype) -> str:
    return _without_columns(str(_plan(program)))


def _source(program: Program, dtype: np.dtype) -> str:
    plan = _plan(program)
    lowered = (lower(graph, dtype.name, program.math) for graph in (plan.forward, plan.reverse))
    return "\n\n".join(print_python(oplist) for oplist in lowered)


def _kernels(program: Program, dtype: np.dtype) -> tuple[TileKernel, TileKernel]:
    plan = _plan(program)
    return program.forward(plan, dtype), program.reverse(plan, dtype)


def _llvm(program: Program, dtype: np.dtype) -> str:
    return "\n".join(kernel.llvm for kernel in _kernels(program, dtype))


def _asm(program: Program, dtype: np.dtype) -> str:
    return "\n".join(kernel.asm for kernel in _kernels(program, dtype))


def _without_columns(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


STAGES: dict[str, Callable[[Program, np.dtype], str]] = {
    "graph": _graph,
    "partials": _partials,
    "plan": _plan_text,
    "source": _source,
    "llvm": _llvm,
    "asm": _asm,
}
