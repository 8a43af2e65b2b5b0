"""The workloads as a table: a kernel, what makes its inputs, and the arguments that are differentiated.

Every peer gets the kernel's own Python function, with the functions of `math` and `numpy` in it replaced by its own
(`benchmarks.rebinding`). A new kernel of the gallery is a new row.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nbad
from benchmarks import own_kernels

GALLERY = Path(__file__).parents[1] / "kernels"


@dataclass(frozen=True)
class Workload:
    """A kernel of scalars, its inputs, the positions of the differentiated arguments, and the number of its outputs."""

    name: str
    kernel: nbad.Kernel
    sample: Callable
    wrt: tuple[int, ...]
    outputs: int = 1

    @property
    def function(self):
        """The kernel's Python function."""
        return self.kernel.__wrapped__

    @property
    def is_tuple(self):
        """Whether the function returns a tuple."""
        return self.outputs > 1

    def inputs(self, n, dtype):
        """The same inputs in every process: arrays of n elements, or of none where all elements share the value."""
        return self.sample(np.random.default_rng(0), n, np.dtype(dtype))

    def seeds(self, count, n, dtype):
        """One array of shape (count, n) for each output."""
        rng = np.random.default_rng(1)
        return tuple(rng.standard_normal((count, n)).astype(dtype) for _ in range(self.outputs))


@functools.cache
def gallery(name):
    """A module of kernels/."""
    spec = importlib.util.spec_from_file_location(name, GALLERY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _from_gallery(name, kernel, count, outputs=1):
    module = gallery(name)
    return Workload(name, getattr(module, kernel), module.sample_inputs, tuple(range(count)), outputs)


@functools.cache
def workloads():
    """All workloads by name."""
    own = own_kernels
    table = (
        _from_gallery("black_scholes", "price", 5, outputs=2),
        Workload("call_price", own.call_price, gallery("black_scholes").sample_inputs, tuple(range(5))),
        _from_gallery("arc_distance", "arc_distance", 4),
        _from_gallery("specific_volume", "specific_volume", 3),
        _from_gallery("lennard_jones", "lennard_jones", 3),  # by x, y, z: minus the force; epsilon and sigma are shared
        Workload("bundle_adjustment", own.bundle_adjustment, own.sample_bundle_adjustment, tuple(range(15)), outputs=2),
        Workload("one_operation", own.one_operation, own.sample_pair, (0, 1)),
        Workload("chain_500", own.many_operations(500), own.sample_pair, (0, 1)),
    )
    return {workload.name: workload for workload in table}
