"""What a kernel costs: time and memory traffic of each sweep, on the inputs that the kernel's own file provides.

`load` finds a kernel and its `sample_inputs` in a file, `profile` measures and returns a `Report`; printing is `nbad.cli`'s.
The bytes of a sweep are those of every array that it must read or write, each counted once: whatever a sweep moves beyond
that lowers its GB/s.
"""

import inspect
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import numba
import numpy as np

from nbad import vector_math
from nbad.decorate import Kernel
from nbad.errors import ArgumentValueError, message
from nbad.harness.comparisons import Same, compare
from nbad.testing import check_kernel
from nbad.transforms import jacobian, value_and_jacobian, vjp

SAMPLE = 64


@dataclass(frozen=True)
class Options:
    """Size of the run: elements, seeds of the reverse sweep, dtype of the inputs, and how often each sweep is timed."""

    n: int = 1_000_000
    seeds: int = 8
    dtype: str = "float64"
    repeats: int = 7


@dataclass(frozen=True)
class Subject:
    """A kernel of a file, and the function that makes inputs for it."""

    kernel: Kernel
    sample_inputs: Callable
    path: Path

    @property
    def name(self) -> str:
        return self.kernel.__name__

    def inputs(self, n: int, dtype: str) -> tuple:
        """The arguments of `n` elements; in a file of several kernels a parameter `name` tells which is meant."""
        more = {"name": self.name} if "name" in inspect.signature(self.sample_inputs).parameters else {}
        return tuple(self.sample_inputs(np.random.default_rng(0), n, np.dtype(dtype), **more))


@dataclass(frozen=True)
class Sweep:
    """One row of a report: the best time, the time of the very first call, and the bytes that have to move."""

    name: str
    seconds: float
    first_use: float
    bytes_moved: int


@dataclass(frozen=True)
class Report:
    """What `profile` measured."""

    subject: Subject
    options: Options
    sweeps: tuple[Sweep, ...]
    residual_bytes: int
    checked: str

    @property
    def compile_seconds(self) -> float:
        """Everything that the first calls did beside running: tracing, derivatives, compiling or loading from disk."""
        return sum(sweep.first_use for sweep in self.sweeps)


@dataclass(frozen=True)
class _Run:
    name: str
    call: Callable
    bytes_read: int


def load(target: str) -> Subject:
    """The kernel that `FILE` or `FILE:NAME` names.

    Parameters
    ----------
    target : str
        A Python file, and the name of the kernel in it where the file has several.

    Returns
    -------
    Subject

    Examples
    --------
    >>> load("missing.py")
    Traceback (most recent call last):
    nbad.errors.ArgumentValueError: `nbad profile missing.py`: no file missing.py
      expected: FILE.py or FILE.py:NAME
    """
    path, name = _split(target)
    module = _import(path, target)
    kernels = {key: value for key, value in vars(module).items() if isinstance(value, Kernel)}
    kernel = _choose(kernels, name, target, path)
    if not callable(getattr(module, "sample_inputs", None)):
        fix = "def sample_inputs(rng, n, dtype): return rng.uniform(0, 1, n).astype(dtype), ..."
        raise _error(target, f"no function `sample_inputs` in {path}", fix=fix)
    return Subject(kernel, module.sample_inputs, path)


def profile(subject: Subject, options: Options, step: Callable[[str], None] = lambda name: None) -> Report:
    """Run value, forward, reverse and Jacobian of a kernel, time each, and check a sample with the harness.

    Parameters
    ----------
    subject : Subject
    options : Options
    step : callable, optional
        Called with the name of each step as it begins.

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        The harness found a wrong result.

    Examples
    --------
    >>> import nbad
    >>> square = nbad.kernel(lambda x: x * x)
    >>> subject = Subject(square, lambda rng, n, dtype: (rng.random(n).astype(dtype),), Path("square.py"))
    >>> [sweep.name for sweep in profile(subject, Options(n=1000, seeds=3)).sweeps]
    ['value', 'forward', 'reverse, 3 seeds', 'Jacobian']
    """
    sample, xs = (subject.inputs(n, options.dtype) for n in (SAMPLE, options.n))
    step("compile")
    first_uses = {run.name: _seconds(run.call) for run in _runs(subject.kernel, sample, options.seeds)}
    sweeps = []
    for run in _runs(subject.kernel, xs, options.seeds):
        step(run.name)
        sweeps.append(_measure(run, first_uses[run.name], options.repeats))
    step("check")
    residual_bytes = vjp(subject.kernel, *xs, seeds=options.seeds)[1].residuals.nbytes
    return Report(subject, options, tuple(sweeps), residual_bytes, _check(subject.kernel, sample, xs))


def machine() -> dict[str, str]:
    """What decides speed beside the kernel: threads, threading layer, vector width and library.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> sorted(machine())
    ['threads', 'vectors']
    """
    return {"threads": f"{numba.get_num_threads()} ({_threading_layer()})", "vectors": str(vector_math.describe())}


def _split(target):
    file, colon, name = target.rpartition(":")
    return (Path(file), name) if colon and name.isidentifier() else (Path(target), None)


def _error(target, what, **more):
    return ArgumentValueError(message(f"`nbad profile {target}`: {what}", **more))


def _import(path, target):
    """Import a file as `python FILE` would: its own folder comes first among the places to import from."""
    if not path.is_file():
        raise _error(target, f"no file {path}", expected="FILE.py or FILE.py:NAME")
    spec = util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise _error(target, f"{path} is not a Python file", expected="FILE.py or FILE.py:NAME")
    module = util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _choose(kernels, name, target, path):
    if not kernels:
        raise _error(target, f"no kernel in {path}", fix="decorate the function with @nbad.kernel")
    first, *others = kernels
    if name in kernels or not (name or others):
        return kernels[name or first]
    what = f"no kernel `{name}`" if name else "the file has several kernels"
    raise _error(target, what, expected=f"one of {', '.join(kernels)}", fix=f"nbad profile {path}:{first}")


def _runs(kernel, xs, count) -> Iterator[_Run]:
    """The sweeps in an order in which each one's first call does its own compilation and no other's."""
    inputs = _nbytes(tuple(np.asarray(x) for x in xs))
    yield _Run("value", lambda: kernel(*xs), inputs)
    yield _Run("forward", lambda: vjp(kernel, *xs, seeds=count), inputs)
    yield _reverse_run(kernel, xs, count)
    yield _Run("Jacobian", lambda: jacobian(kernel)(*xs), inputs)


def _reverse_run(kernel, xs, count):
    y, pullback = vjp(kernel, *xs, seeds=count)
    seeds = _seeds_for(y, count)
    return _Run(f"reverse, {count} seeds", lambda: pullback.batched(seeds), pullback.residuals.nbytes + _nbytes(seeds))


def _seeds_for(y, count):
    if isinstance(y, tuple):
        return tuple(_seeds_for(leaf, count) for leaf in y)
    return np.random.default_rng(1).standard_normal((count, *np.shape(y))).astype(y.dtype)


def _measure(run, first_use, repeats):
    bytes_moved = run.bytes_read + _nbytes(run.call())
    seconds = min(_seconds(run.call) for _ in range(repeats))
    return Sweep(run.name, seconds, first_use, bytes_moved)


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _nbytes(result):
    """Bytes of arrays; of a pullback, those of its residuals."""
    if isinstance(result, tuple):
        return sum(map(_nbytes, result))
    return result.residuals.nbytes if hasattr(result, "residuals") else result.nbytes


def _check(kernel, sample, xs):
    """The harness on the sample; over the whole run, every call that computes the same thing gives the same bits."""
    checks = len(check_kernel(kernel, *sample).entries)
    y, pullback = vjp(kernel, *xs)
    seeds = _seeds_for(y, 2)
    _compare(kernel, "the value from f and from vjp", kernel(*xs), y)
    _compare(kernel, "the value from value_and_jacobian and from vjp", value_and_jacobian(kernel)(*xs)[0], y)
    _compare(kernel, "pullback and pullback.batched", pullback(_first(seeds)), _first(pullback.batched(seeds)))
    return f"{checks} checks of the harness passed on {SAMPLE} elements; repeated results have the same bits on all"


def _compare(kernel, what, got, expected):
    for a, b in zip(_leaves(got), _leaves(expected), strict=True):
        compare(kernel.__name__, "profile", Same(what, a, b))


def _first(batch):
    return tuple(leaf[0] for leaf in batch) if isinstance(batch, tuple) else batch[0]


def _leaves(result):
    return result if isinstance(result, tuple) else (result,)


def _threading_layer():
    try:
        return numba.threading_layer()
    except ValueError:
        return "not started"
