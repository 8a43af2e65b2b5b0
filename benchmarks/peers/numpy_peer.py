"""NumPy: the kernel on whole arrays, value only; one temporary array for each operation."""

import importlib.util
import math

import numpy as np

from benchmarks.cases.rebinding import rebound
from benchmarks.cases.task import Contestant

PACKAGES = ("numpy", "scipy")


def _erf():
    """NumPy has none: SciPy's where it is installed, else the one of `math`, element by element."""
    if importlib.util.find_spec("scipy"):
        from scipy.special import erf

        return erf
    return np.vectorize(math.erf, otypes=[float])


def contestants(task):
    """The kernel's function with NumPy's functions."""
    if task.sweep == "value":
        names = {name: getattr(np, name) for name in ("sqrt", "exp", "log", "sin", "cos", "where")}
        f, xs = rebound(task.workload.function, {**names, "atan2": np.arctan2, "erf": _erf()}), task.inputs
        yield Contestant("array operations", lambda: f(*xs), list if task.workload.is_tuple else lambda y: [y])
