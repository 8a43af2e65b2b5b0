"""What a sweep must do for one element at least: operations, and numbers that it reads or writes.

Operations are those of the hand-derived program (`benchmarks.by_hand.adjoint`), a call of `exp` or `erf` counted as one.
"""

import numpy as np

from benchmarks.by_hand.loops import loops


def operations(case):
    """Operations for one element."""
    lines = loops(case.workload)
    derivation, entries = lines.derivation, len(lines.outputs) * len(lines.cotangents)
    return {
        "value": derivation.count(derivation.outputs),
        "forward": derivation.count([*derivation.outputs, *lines.stored]),
        "reverse": case.seeds * (2 * entries - len(lines.cotangents)),
        "jacobian": derivation.count(lines.stored),
    }[case.sweep]


def nbytes(case):
    """Bytes for one element; arguments that all elements share cost nothing."""
    lines = loops(case.workload)
    read, outputs = len(lines.arguments) - len(lines.scalars), len(lines.outputs)
    numbers = {
        "value": read + outputs,
        "forward": read + outputs + len(lines.stored),
        "reverse": len(lines.stored) + case.seeds * (outputs + len(lines.cotangents)),
        "jacobian": read + outputs * len(lines.cotangents),
    }[case.sweep]
    return numbers * np.dtype(case.dtype).itemsize
