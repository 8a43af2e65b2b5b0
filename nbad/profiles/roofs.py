"""What bounds every sweep on this machine: bytes from memory and operations in a second, measured with nbad's own code."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbad.api.decorate import kernel
from nbad.plans.work import total
from nbad.profiles.timing import best

CHAINS, STEPS = 8, 48  # independent chains of multiplications and additions, which memory does not slow down
ELEMENTS = 1 << 18
STREAM = 1 << 21  # elements of each array whose sum measures the bandwidth
REPEATS = 7


@dataclass(frozen=True)
class Roofs:
    """The limits: bytes, and operations in units of one multiplication or addition, in a second of all threads.

    Examples
    --------
    >>> Roofs(bandwidth=10e9, rate=40e9).at(2.0)
    20000000000.0
    """

    bandwidth: float
    rate: float

    def at(self, intensity: float) -> float:
        """The most operations per second of a sweep that does `intensity` operations for each byte it moves."""
        return min(self.rate, self.bandwidth * intensity)


@functools.cache
def memory_bandwidth() -> float:
    """Bytes in a nanosecond that this machine moves, with nbad's own driver and threads: two arrays read, one written."""
    stream, nbytes = _streaming()
    return nbytes / best(stream, REPEATS) / 1e9


def probes(dtype: str) -> dict[str, tuple[Callable[[], object], float]]:
    """The calls that measure the roofs, for timings among others, each with the bytes or operations that it does.

    Examples
    --------
    >>> list(probes("float64"))
    ['bandwidth', 'rate']
    """
    return {"bandwidth": _streaming(), "rate": _computing(dtype)}


def _streaming() -> tuple[Callable[[], object], float]:
    add = kernel(lambda x, y: x + y)
    x, y, out = np.ones(STREAM), np.ones(STREAM), np.ones(STREAM)
    return lambda: add(x, y, out=out), 3.0 * x.nbytes


def _computing(dtype: str) -> tuple[Callable[[], object], float]:
    x, f = np.linspace(0.0, 1.0, ELEMENTS, dtype=dtype), kernel(_chains)
    out = f(x)
    return lambda: f(x, out=out), ELEMENTS * total(f.bind((x,), {})[0].simple)


def _chains(x: Any) -> Any:
    values = [x * ((k + 1) / CHAINS) for k in range(CHAINS)]
    for _ in range(STEPS):
        values = [value * 0.75 + 0.25 for value in values]
    return sum(values)
