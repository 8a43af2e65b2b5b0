"""What a sweep must do for one element at least: operations, and numbers that it reads or writes.

Operations are those of the hand-derived program (`benchmarks.by_hand.adjoint`), a call of `exp` or `erf` counted as one.
"""

import numpy as np

from benchmarks.by_hand.loops import loops


def operations(case):
    """Operations for one element."""
    lines = loops(case.workload)
    if case.sweep == "reverse":
        return case.seeds * (2 * len(lines.outputs) - 1) * len(lines.cotangents)
    return lines.derivation.count([result for _, result in getattr(lines, case.sweep)()])


def nbytes(case):
    """Bytes for one element; arguments that all elements share cost nothing."""
    lines = loops(case.workload)
    read, outputs, columns = len(lines.arguments) - len(lines.scalars), len(lines.outputs), len(lines.cotangents)
    numbers = {
        "value": read + outputs,
        "forward": read + outputs + len(lines.stored),
        "reverse": len(lines.stored) + case.seeds * (outputs + columns),
        "jacobian": read + outputs * columns,
        "value_and_jacobian": read + outputs * (1 + columns),
        "hessian": read + columns**2,
    }[case.sweep]
    return numbers * np.dtype(case.dtype).itemsize
