"""The workloads as a table: a kernel, what makes its inputs, and the arguments that are differentiated.

Every peer gets the kernel's own Python function, with the functions of `math` and `numpy` in it replaced by its own
(`rebinding`); where it has branches or vectors, a function of scalars without them (`portable`). A new kernel of the gallery is a
new row.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import nbad
from benchmarks.cases import own_kernels, portable
from benchmarks.cases.gallery import module_of


@dataclass(frozen=True)
class Workload:
    """A kernel and its inputs.

    Attributes
    ----------
    name : str
    kernel : Kernel
    sample : callable
        Makes the kernel's arguments from a generator, a number of elements and a dtype.
    wrt : tuple of int
        The differentiated ones of its scalar inputs, vectors counted by their values.
    outputs : int
        Its scalar outputs.
    plain : function, optional
        What other tools run where they cannot run the kernel's own function.
    """

    name: str
    kernel: nbad.Kernel
    sample: Callable
    wrt: tuple[int, ...]
    outputs: int = 1
    plain: Callable | None = None

    @property
    def function(self):
        """A Python function of scalars without branches: the kernel's own, or what stands for it."""
        return self.plain or self.kernel.__wrapped__

    @property
    def is_tuple(self):
        """Whether the function returns a tuple."""
        return self.outputs > 1

    @property
    def has_vectors(self):
        """Whether an argument has a core axis."""
        return any(array.ndim > 1 for array in self.arrays(1, "float64"))

    def arrays(self, n, dtype):
        """The kernel's arguments, the same in every process; of no axis where all elements share the value."""
        return self.sample(np.random.default_rng(0), n, np.dtype(dtype))

    def inputs(self, n, dtype):
        """The function's arguments: the same numbers, each vector as arrays of n elements."""
        return tuple(column for array in self.arrays(n, dtype) for column in _columns(array))

    @property
    def argnums(self):
        """The differentiated ones of the kernel's arguments, by position."""
        sizes = [len(_columns(array)) for array in self.arrays(1, "float64")]
        ends = np.cumsum(sizes)
        return tuple(k for k, end in enumerate(ends) if end - 1 in self.wrt)

    def seeds(self, count, n, dtype):
        """One array of shape (count, n) for each output."""
        rng = np.random.default_rng(1)
        return tuple(rng.standard_normal((count, n)).astype(dtype) for _ in range(self.outputs))

    def products(self, symbol, seeds):
        """Symbols of the seeds and of the partials, and the cotangents of all seeds; `symbol` makes one of a name."""
        outputs, columns = range(self.outputs), range(len(self.wrt))
        weights = [[symbol(f"w{m}_{q}") for q in range(seeds)] for m in outputs]
        rows = [[symbol(f"r{m}_{k}") for k in columns] for m in outputs]
        results = [sum(weights[m][q] * rows[m][k] for m in outputs) for k in columns for q in range(seeds)]
        return [x for row in (*weights, *rows) for x in row], results


def _columns(array):
    """A vector argument's values, each as a contiguous array of its own."""
    return [array] if array.ndim < 2 else list(np.ascontiguousarray(array.T))


def _from_gallery(name, kernel, count, outputs=1, plain=None, file=None):
    module = module_of(file or name)
    return Workload(name, getattr(module, kernel), module.sample_inputs, tuple(range(count)), outputs, plain)


@functools.cache
def workloads():
    """All workloads by name."""
    own = own_kernels
    table = (
        _from_gallery("black_scholes", "price", 5, outputs=2),
        Workload("call_price", own.call_price, module_of("black_scholes").sample_inputs, tuple(range(5))),
        _from_gallery("black_scholes_rational", "price", 3, 2, portable.black_scholes_rational),  # rate and volatility are shared
        _from_gallery("arc_distance", "arc_distance", 4),
        _from_gallery("specific_volume", "specific_volume", 3),
        _from_gallery("lennard_jones", "lennard_jones", 3),  # by x, y, z: minus the force; epsilon and sigma are shared
        _from_gallery("seawater_enthalpy", "seawater_enthalpy", 3),
        _from_gallery("arrhenius", "arrhenius", 4),
        _from_gallery("silu", "silu", 1, plain=portable.silu, file="activations"),
        _from_gallery("rigid_transform", "rigid_transform", 9, 3, portable.rigid_transform),
        _from_gallery("reprojection", "reprojection", 15, 2, own.bundle_adjustment.__wrapped__),
        Workload("bundle_adjustment", own.bundle_adjustment, own.sample_bundle_adjustment, tuple(range(15)), outputs=2),
        Workload("one_operation", own.one_operation, own.sample_pair, (0, 1)),
        Workload("chain_500", own.many_operations(500), own.sample_pair, (0, 1)),
    )
    return {workload.name: workload for workload in table}
