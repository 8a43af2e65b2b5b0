"""What decides speed beside the program: the machine, described and measured."""

import functools
import os
import platform
import sys

import numba
import numpy as np

from nbad.profiles.timing import best
from nbad.tools.doctor import cores, processor

CHAINS, STEPS = 64, 4000  # independent chains of multiply and add, and their length
REPEATS = 8  # the first one compiles


def describe():
    """The machine, for the head of a report.

    Returns
    -------
    dict of str to str
    """
    return {
        "processor": processor(),
        "cores": str(cores()),
        "memory": f"{memory() / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver()).strip() or platform.machine()}",
        "Python": sys.version.split()[0],
        "load before the run": load(),
    }


def keep_to(count, process=0):
    """Leave a process so many cores; by default this one."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, sorted(os.sched_getaffinity(0))[:count])


def memory():
    """Bytes of the machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return 8 << 30


def load():
    """Processes that wanted to run in the last minute: anything but 0 spoils timings."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


@functools.cache
def roofs():
    """Measured limits of this machine with all threads: bytes per second from memory, floating operations per second.

    Returns
    -------
    dict of str to float
    """
    rows = [np.ones(8_000_000) for _ in range(3)]
    bandwidth = 3 * rows[0].nbytes / best(lambda: _triad(*rows), REPEATS)
    workers = 4 * cores()
    flops = 2 * workers * CHAINS * STEPS / best(lambda: _chains(workers, STEPS), REPEATS)
    return {"bytes per second": bandwidth, "operations per second": flops}


@numba.njit(parallel=True)
def _triad(a, b, c):
    for i in numba.prange(a.size):
        a[i] = b[i] + 0.5 * c[i]


@numba.njit(parallel=True, fastmath={"contract"})
def _chains(workers, steps):
    sums = np.empty((workers, CHAINS))
    for worker in numba.prange(workers):
        x = np.full(CHAINS, 0.5)
        for _ in range(steps):
            for k in range(CHAINS):
                x[k] = x[k] * 0.999 + 0.001
        sums[worker] = x
    return sums
