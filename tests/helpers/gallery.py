"""The gallery: its modules by path, its kernels by name, and inputs for each."""

import functools
import importlib.util
import inspect
from pathlib import Path

import numpy as np

import nbad

FOLDER = Path(__file__).parents[2] / "kernels"
GALLERY = sorted(path.stem for path in FOLDER.glob("*.py"))


@functools.cache
def load(name):
    """The gallery module `name`, loaded by path."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernels_of(module):
    return [value for value in vars(module).values() if isinstance(value, nbad.Kernel)]


def kernels():
    """Every kernel of the gallery with its module, by name."""
    return {f"{name}.{kernel.__name__}": (load(name), kernel) for name in GALLERY for kernel in kernels_of(load(name))}


def random(seed=0):
    return np.random.default_rng(seed)


def sample(module, kernel, n, dtype=np.float64):
    """Inputs of one kernel; a file whose kernels take different ones tells them apart by a parameter `name`."""
    told_apart = "name" in inspect.signature(module.sample_inputs).parameters
    return module.sample_inputs(random(3), n, dtype, **({"name": kernel.__name__} if told_apart else {}))


def whole_sample(module, kernel, n):
    """Inputs of one kernel, defaults included, each with its core axes."""
    given = sample(module, kernel, n)
    defaults = [p.default for p in inspect.signature(kernel.__wrapped__).parameters.values()][len(given) :]
    return (*given, *map(np.asarray, defaults))
