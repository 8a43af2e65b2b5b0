"""What this machine offers to nbad, and what each lack costs: the findings of `nbad doctor`.

Every number of time is measured while it looks.
"""

import ctypes
import functools
import importlib
import math
import mmap
import multiprocessing
import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata

import numba
import numpy as np
from llvmlite import binding
from numba.core import codegen

from nbad import config
from nbad.api.decorate import kernel
from nbad.api.kernel import Kernel
from nbad.codegen import disk
from nbad.codegen import host as vector_math
from nbad.codegen.compile import TileKernel
from nbad.graphs.graph import GraphBuilder
from nbad.operations.table import TABLE
from nbad.profiles.timing import best, seconds
from nbad.runtime import memory
from nbad.verbs.vjp import vjp
from nbad.version import VERSION

PARTNERS = ("numba", "llvmlite", "numpy", "sympy", "scipy")
LAYERS = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}
ENOUGH, FEWEST = 0.01, 5  # seconds of one measurement, and its fewest calls
TILE, MANY = 4096, 1 << 18  # elements of a measurement by one thread, and by all
VECTOR_FEATURES = re.compile(r"\+(avx|fma|neon|sve|sse4|fp-armv8)")
BLOCK = 8 << 20  # bytes of memory whose first use is timed
CLEARLY = 1.2  # times as long: less is noise


@dataclass(frozen=True)
class Finding:
    """One line: a topic, what was found, and what is lacking there with what that costs; "" where nothing is."""

    topic: str
    found: str
    lack: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, and the verdict on them."""

    findings: tuple[Finding, ...]

    @property
    def lacks(self) -> tuple[str, ...]:
        """The topics in which something is lacking."""
        return tuple(finding.topic for finding in self.findings if finding.lack)

    @property
    def verdict(self) -> str:
        """One line."""
        if not self.lacks:
            return "Nothing is lacking."
        return f"{len(self.lacks)} of {len(self.findings)} topics lack something: {'; '.join(self.lacks)}."


def examine() -> Diagnosis:
    """Look at everything that decides whether nbad runs, and how fast.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> [finding.topic for finding in examine().findings][:3]
    ['versions', 'system', 'CPU']
    """
    return Diagnosis(tuple(probe() for probe in PROBES))


def versions() -> Finding:
    """nbad, Python, and the libraries below."""
    partners = [f"{name} {_version(name)}" for name in PARTNERS]
    return Finding("versions", ", ".join([f"nbad {VERSION}", f"Python {platform.python_version()}", *partners]))


def system() -> Finding:
    """Operating system and C library."""
    library = " ".join(platform.libc_ver()).strip() or "its own C library"
    slowed = f"; other work, at load {_others():.1f}, slows what is timed here" if _others() >= 1 else ""
    return Finding("system", f"{platform.system()} {platform.release()} on {platform.machine()}, {library}{slowed}")


def cpu() -> Finding:
    """The CPU, and what code is compiled for."""
    host, own = vector_math.host(), _own_host()
    enabled = [name[1:] for name in host.features.split(",") if VECTOR_FEATURES.match(name)]
    found = f"{processor()}; code for {host.cpu} with {host.instructions} ({' '.join(enabled) or 'no features beyond'})"
    variables = [name for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES") if name in os.environ]
    if host.nbytes >= own.nbytes:
        return Finding("CPU", found)
    fewer = f"{8 * host.nbytes} bits in a vector, where this CPU has {8 * own.nbytes}"
    return Finding("CPU", found, f"{fewer}: unset {' and '.join(variables) or 'what restricts Numba'}")


def disk_cache() -> Finding:
    """Where compiled code is kept, and why not."""
    report, kind = disk.info(), "NBAD_CACHE_DIR" if os.environ.get("NBAD_CACHE_DIR") else "the user's cache folder"
    first = f"the first vjp of a kernel of one exp took {_first_use():.2f} s in this process"
    if report.folder is None:
        return Finding("disk cache", f"off ({kind})", f"{report.problem}. Every process compiles its kernels anew: {first}")
    lack = f"{report.problem}: new kernels are compiled anew in every process" if report.problem else ""
    return Finding("disk cache", f"{kind}, private: {_held(report)}; {first}", lack)


def float64_vectors() -> Finding:
    """Width and functions in float64."""
    return _vectors("float64")


def float32_vectors() -> Finding:
    """Width and functions in float32."""
    return _vectors("float32")


def threads() -> Finding:
    """How many threads a big call uses, and what they bring."""
    every, number = cores(), numba.get_num_threads()
    lack = f"big calls use {number} of {every} cores: NUMBA_NUM_THREADS or numba.set_num_threads" if number < every else ""
    if number == 1:
        return Finding("threads", f"1, of {every} cores", lack)
    gain = _seconds_on(1) / _seconds_on(number)
    return Finding("threads", f"{number}, of {every} cores; exp of {MANY:,} elements {gain:.2g} times as fast as on one", lack)


def load() -> Finding:
    """What else runs, and what becomes of several threads then."""
    number, found = numba.get_num_threads(), f"{_others():.1f}, on {cores()} cores"
    if number == 1:
        return Finding("load", found)
    ratio = _seconds_on(number) / _seconds_on(1)
    slower = f"exp of {MANY:,} elements takes {ratio:.1f} times as long on {number} threads as on one"
    return Finding("load", found, f"{slower}: export NUMBA_NUM_THREADS=1 while other work runs" if ratio >= CLEARLY else "")


def threading_layer() -> Finding:
    """Numba's threading layer."""
    offered = [name for name, module in LAYERS.items() if _can_import(f"numba.np.ufunc.{module}")]
    numba.get_num_threads()  # starts it
    used = numba.threading_layer()
    lack = "long calls from several Python threads wait for one another: install tbb" if used == "workqueue" else ""
    return Finding("threading layer", f"{used}; available: {', '.join(offered) or 'none'}", lack)


def forks() -> Finding:
    """What becomes of a forked child."""
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    found = "a forked child is safe, and uses threads of its own"
    return Finding("fork", f"{found}; multiprocessing's default here is {method}")


def memory_pool() -> Finding:
    """How much memory waits for reuse."""
    limit = memory.bound()
    kind = " (NBAD_POOL_BYTES)" if os.environ.get("NBAD_POOL_BYTES") else ""
    found = f"keeps at most {limit / 2**20:,.0f} MiB for reuse{kind}"
    if limit >= BLOCK:
        return Finding("memory pool", found)
    fresh, again = _memory()
    lack = f"big results lie in fresh memory: {BLOCK >> 20} MiB are filled in {fresh:.1f} ms, reused ones in {again:.1f} ms"
    return Finding("memory pool", found, lack)


def switches() -> Finding:
    """Settings that slow everything down."""
    on = {
        "NUMBA_DISABLE_JIT": (numba.config.DISABLE_JIT, "no threads of Numba's, and sums over broadcast axes in Python"),
        "NBAD_DEBUG": (config.debug.get(), "every value and derivative is checked for nan and inf"),
    }
    found = ", ".join(f"{name} {'on' if is_on else 'off'}" for name, (is_on, _) in on.items())
    return Finding("switches", found, "; ".join(f"{name}: {cost}" for name, (is_on, cost) in on.items() if is_on))


# the disk cache before anything that uses a kernel, because it times the first use of one
PROBES = (
    versions,
    system,
    cpu,
    disk_cache,
    float64_vectors,
    float32_vectors,
    threads,
    load,
    threading_layer,
    forks,
    memory_pool,
    switches,
)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def processor() -> str:
    """What the processor is called."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _others() -> float:
    """The load by other work; 0 where the machine does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _own_host() -> vector_math.Host:
    """The host without what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say."""
    return vector_math.host_like(binding.get_process_triple(), binding.get_host_cpu_name(), codegen.get_host_cpu_features())


def _vectors(dtype: str) -> Finding:
    host, topic = vector_math.host(), f"vectors, {dtype}"
    functions = {row.libm: len(row.operands) for row in TABLE.values() if row.libm}
    own = {name for name, arity in functions.items() if host.has_own(name, arity, dtype)}
    lanes = [name for name, arity in functions.items() if name not in own and host.vector_function(name, arity, dtype) is None]
    count, alone = len(functions) - len(lanes), _nanoseconds(dtype, "libm")
    found = f"{host.width(dtype)} at a time, of {len(functions)} functions {len(own)} of nbad's own"
    found += f" and {count - len(own)} from {vector_math.LIBRARY}"
    missing = f"called lane by lane: {', '.join(lanes) if count else 'all'}"
    if "exp" in lanes:
        absent = "" if _has_library() else f"{vector_math.LIBRARY} is not here, so functions are "
        return Finding(topic, f"{found}; exp takes {alone:.2f} ns for an element", absent + missing)
    together = _nanoseconds(dtype, "simd")
    found += f"; exp takes {together:.2f} ns for an element, lane by lane {alone:.2f} ns"
    return Finding(topic, found, f"{missing}; exp would take {alone / together:.1f} times as long" if lanes else "")


def _nanoseconds(dtype: str, library: str) -> float:
    """Time of exp for one element of a tile, on one thread."""
    builder = GraphBuilder("exp", ["x"])
    tile = TileKernel(builder.build([builder.add("exp", 0)]), np.dtype(dtype), library)
    x, y = np.linspace(-1.0, 1.0, TILE, dtype=dtype), np.empty(TILE, dtype)
    table = np.array([x.ctypes.data, y.ctypes.data])
    entry = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(tile.address)
    return best(lambda: entry(table.ctypes.data, TILE), FEWEST, ENOUGH) / TILE * 1e9


@functools.cache
def _exponential() -> Kernel:
    return kernel(lambda x: math.exp(x))


def _seconds_on(number: int) -> float:
    """Time of exp of many elements on some of the threads."""
    before, f, x, y = numba.get_num_threads(), _exponential(), np.linspace(-1.0, 1.0, MANY), np.empty(MANY)
    numba.set_num_threads(number)
    try:
        return best(lambda: f(x, out=y), FEWEST, ENOUGH)
    finally:
        numba.set_num_threads(before)


def _first_use() -> float:
    """Time of tracing, deriving, and compiling or loading a small kernel, and what all kernels share."""
    return seconds(lambda: vjp(_exponential(), np.linspace(-1.0, 1.0, 8)))


def _memory() -> list[float]:
    """Milliseconds to fill a block of fresh memory, and to fill it again."""
    with mmap.mmap(-1, BLOCK) as block:
        array = np.frombuffer(block, np.uint8)
        times = [seconds(functools.partial(array.fill, 1)) * 1e3 for _ in range(2)]
        del array
    return times


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_library() -> bool:
    try:
        binding.load_library_permanently(vector_math.LIBRARY)
    except RuntimeError:
        return False
    return True


def _can_import(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _held(report: disk.CacheInfo) -> str:
    return str(report).partition("; ")[0]
