"""What is timed: one sweep of one workload at one size; and the matrix of them.

A contestant is one way to do a task. Its result has a normal form, whatever the library returns:
value and forward: a list of the outputs; reverse: a list of the cotangents, each of shape (seeds, n);
jacobian: a list of rows, one for each output, of the entries of shape (n,); value_and_jacobian: the outputs, then those rows;
hessian, of workloads with one output of scalars: rows of entries, one for each differentiated argument.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.cases.workloads import workloads

SWEEPS = ("value", "forward", "reverse", "jacobian", "value_and_jacobian", "hessian")


def plural(count, noun):
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def short(count):
    """A size such as 1e6, where that is shorter.

    Examples
    --------
    >>> short(1), short(300), short(1_000_000)
    ('1', '300', '1e6')
    """
    text = f"{count:.0e}".replace("e+0", "e")
    return text if len(text) < len(str(count)) and float(text) == count else str(count)


@dataclass(frozen=True)
class Case:
    """A cell of the matrix, as it goes to other processes and into files; `seeds` is 0 for sweeps without seeds."""

    workload: str
    sweep: str
    n: int
    dtype: str = "float64"
    threads: int = 1
    seeds: int = 0

    def __str__(self):
        return f"{self.workload} {self.title}, n = {short(self.n)}, {self.dtype}, {plural(self.threads, 'thread')}"

    @property
    def title(self):
        """The sweep, with its seeds where it has any."""
        name = self.sweep.replace("_", " ")
        return f"{name} of {plural(self.seeds, 'seed')}" if self.seeds else name

    def as_dict(self):
        """For JSON."""
        return asdict(self)

    @property
    def numbers(self):
        """Numbers per element that the task holds: arguments, outputs, the Jacobian, and seeds with their cotangents."""
        workload = workloads()[self.workload]
        arguments, outputs, columns = len(self._inputs), workload.outputs, len(workload.wrt)
        rows = columns if self.sweep == "hessian" else outputs
        return arguments + outputs + rows * columns + self.seeds * (outputs + columns)

    @property
    def nbytes(self):
        """Bytes of the working set: arguments, results, seeds."""
        return self.numbers * self.n * np.dtype(self.dtype).itemsize

    @property
    def exists(self):
        """Whether the workload has this sweep: only one output of scalars has a Hessian."""
        workload = workloads()[self.workload]
        return self.sweep != "hessian" or (workload.outputs == 1 and not workload.has_vectors)

    @property
    def _inputs(self):
        return workloads()[self.workload].inputs(1, self.dtype)


@dataclass(frozen=True)
class Contestant:
    """One way to do a task.

    Attributes
    ----------
    name : str
    call : callable
        Does the work once; when it returns, the result is there.
    normal : callable
        Takes what `call` returned to the normal form.
    reuses : bool
        Whether results go to memory that is used again; otherwise each call makes fresh arrays.
    """

    name: str
    call: Callable
    normal: Callable
    reuses: bool = False


class Task:
    """A case with its data."""

    def __init__(self, case):
        self.case, self.workload = case, workloads()[case.workload]
        self.sweep, self.n, self.dtype = case.sweep, case.n, np.dtype(case.dtype)
        self.inputs = _inputs(case.workload, case.n, case.dtype)
        self.seeds = self.workload.seeds(case.seeds, case.n, case.dtype) if case.seeds else ()

    @functools.cached_property
    def arrays(self):
        """The inputs as the kernel takes them: vectors whole."""
        return self.workload.arrays(self.n, self.dtype)

    @property
    def active(self):
        """The inputs that are differentiated."""
        return [self.inputs[k] for k in self.workload.wrt]

    @property
    def passive(self):
        """The others, by position."""
        return {k: x for k, x in enumerate(self.inputs) if k not in self.workload.wrt}


@functools.lru_cache(maxsize=1)
def _inputs(name, n, dtype):
    return workloads()[name].inputs(n, dtype)


def merged(active, passive):
    """All inputs in order, from those that are differentiated and the others by position."""
    rest = iter(active)
    return [passive[k] if k in passive else next(rest) for k in range(len(active) + len(passive))]


def from_rows(task, rows):
    """The normal form of rows of n elements: outputs and entries (or residuals) as a sweep has them; cotangents seed by seed."""
    outputs, columns = task.workload.outputs, len(task.workload.wrt)
    if task.sweep == "reverse":
        return list(np.reshape(rows, (columns, task.case.seeds, task.n)))
    if task.sweep in ("value", "forward"):
        return list(rows[:outputs])
    values = outputs if task.sweep == "value_and_jacobian" else 0
    return [*rows[:values], *(list(rows[k : k + columns]) for k in range(values, len(rows), columns))]


def matrix(choice):
    """The cases of a choice, those without seeds once for each size.

    Parameters
    ----------
    choice : dict
        Lists under "workloads", "sweeps", "sizes", "dtypes", "threads", "seeds".

    Returns
    -------
    list of Case
        Cases of one number of threads together, those of one workload together.

    Examples
    --------
    >>> choice = dict(workloads=["one_operation"], sweeps=["value", "reverse"], sizes=[1], dtypes=["float64"],
    ...               threads=[1], seeds=[1, 8])
    >>> [str(case) for case in matrix(choice)]  # doctest: +NORMALIZE_WHITESPACE
    ['one_operation value, n = 1, float64, 1 thread', 'one_operation reverse of 1 seed, n = 1, float64, 1 thread',
     'one_operation reverse of 8 seeds, n = 1, float64, 1 thread']
    """
    axes = (choice[axis] for axis in ("threads", "workloads", "dtypes", "sizes", "sweeps"))
    cases = [
        Case(workload, sweep, n, dtype, threads, seeds)
        for threads, workload, dtype, n, sweep in itertools.product(*axes)
        for seeds in (choice["seeds"] if sweep == "reverse" else [0])
    ]
    return [case for case in cases if case.exists]
