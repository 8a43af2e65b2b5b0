"""What bounds every sweep on this machine: bytes from memory and operations in a second, measured with nbad's own code."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbad.api.decorate import kernel
from nbad.plans.work import total
from nbad.tools.timing import best

CHAINS, STEPS = 8, 48  # independent chains of multiplications and additions, which memory does not slow down
ELEMENTS = 1 << 18
STREAM = 1 << 21  # elements of each array whose sum measures the bandwidth
REPEATS = 7


@dataclass(frozen=True)
class Roofs:
    """The limits: bytes, and operations in units of one multiplication or addition, in a second of all threads."""

    bandwidth: float
    rate: float

    def at(self, intensity: float) -> float:
        """The most operations per second of a sweep that does `intensity` operations for each byte it moves."""
        return min(self.rate, self.bandwidth * intensity)


@functools.cache
def measure(dtype: str) -> Roofs:
    """The roofs of this machine in one dtype.

    Parameters
    ----------
    dtype : str

    Returns
    -------
    Roofs

    Examples
    --------
    >>> Roofs(bandwidth=10e9, rate=40e9).at(2.0)
    20000000000.0
    """
    x, f = np.linspace(0.0, 1.0, ELEMENTS, dtype=dtype), kernel(_chains)
    operations = total(f.bind((x,), {})[0].simple)
    out = f(x)
    return Roofs(memory_bandwidth() * 1e9, ELEMENTS * operations / best(lambda: f(x, out=out), REPEATS))


@functools.cache
def memory_bandwidth() -> float:
    """Bytes in a nanosecond that this machine moves, with nbad's own driver and threads: two arrays read, one written."""
    add = kernel(lambda x, y: x + y)
    x, y, out = np.ones(STREAM), np.ones(STREAM), np.ones(STREAM)
    return 3 * x.nbytes / best(lambda: add(x, y, out=out), REPEATS) / 1e9


def _chains(x: Any) -> Any:
    values = [x * ((k + 1) / CHAINS) for k in range(CHAINS)]
    for _ in range(STEPS):
        values = [value * 0.75 + 0.25 for value in values]
    return sum(values)
