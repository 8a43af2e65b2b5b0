"""Every kernel of kernels/, vector signatures and broadcast arguments included: what the sweeps of nbad alone are timed on.

The matrix beside other tools has a table of its own (`benchmarks.cases.workloads`). A new file of the gallery is found by itself.
"""

import functools
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

import nbad

FOLDER = Path(__file__).parents[2] / "kernels"
BY_PARAMETERS = "nonlinear_regression"  # its kernels are models, differentiated by everything behind x
CHOSEN = {"lennard_jones": (0, 1, 2), "reprojection": (0, 1, 2)}  # by position: the force; camera, point and weight
BROADCAST = "seawater_enthalpy", "seawater_enthalpy on a grid"  # there, pressure varies along one axis only


@dataclass(frozen=True)
class Subject:
    """A kernel of the gallery, the module that it stands in, and the arguments to differentiate, None for all."""

    name: str
    kernel: nbad.Kernel
    module: ModuleType
    argnums: tuple[int, ...] | None = None

    def inputs(self, n, dtype="float64"):
        """The same inputs in every process, of n elements or, on a grid, of nearly so many."""
        rng, sample = np.random.default_rng(0), self.module.sample_inputs
        if self.name == BROADCAST[1]:
            return tuple(x.astype(dtype) for x in self.module.benchmark_inputs(n))
        told_apart = "name" in inspect.signature(sample).parameters
        return sample(rng, n, np.dtype(dtype), **({"name": self.kernel.__name__} if told_apart else {}))


@functools.cache
def module_of(name):
    """A module of kernels/."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def subjects():
    """All subjects by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        module = module_of(path.stem)
        kernels = [value for value in vars(module).values() if isinstance(value, nbad.Kernel)]
        for kernel in kernels:
            name = path.stem if len(kernels) == 1 else kernel.__name__
            found[name] = Subject(name, kernel, module, _argnums(path.stem, kernel))
    plain, broadcast = BROADCAST
    return found | {broadcast: Subject(broadcast, found[plain].kernel, found[plain].module)}


def _argnums(file, kernel):
    if file == BY_PARAMETERS:
        return tuple(range(1, len(kernel.parameters)))
    return CHOSEN.get(kernel.__name__)
