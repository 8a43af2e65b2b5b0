"""C by hand: the hand-derived straight-line program, compiled with the vector functions of glibc and threads of OpenMP.

Every operation rounds by itself: no fast math, no fused multiply-add. `c_fma_peer` allows the latter. Rows are read in place;
results are one array. The compiler is `CC`, GCC unless that says otherwise.
"""

import ctypes
import functools
import os
import platform
import subprocess
import tempfile

import numpy as np

from benchmarks.by_hand.c_loops import Printer
from benchmarks.by_hand.loops import loops
from benchmarks.cases.task import Case, Contestant, Task, from_rows
from benchmarks.peers import CC

PACKAGES = ()
VERSIONS = {CC: subprocess.run([CC, "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()}
ON_X86 = ["-mprefer-vector-width=512"] if platform.machine() == "x86_64" else []
FLAGS = ["-O3", "-march=native", *ON_X86, "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC"]
# Both of one angle would become one function, which has no form for vectors.
FLAGS += [f"-fno-builtin-{name}" for name in ("sin", "cos", "sinf", "cosf")]
FLAGS += ["-fno-semantic-interposition"]  # functions are inlined though a library offers them
AT_ONCE = 16  # seeds at most that one loop serves


def contestants(task, contract="off"):
    """Every layout of the results, or every order of the loops."""
    given = _given(task)
    for name, text in _texts(task):
        yield from calls(task, given, name, text, _rows(task), contract)


def calls(task, given, name, text, rows, contract):
    """The calls of one program, which makes so many rows: with one thread and with all, with fresh results and reused ones."""
    run, normal = _compiled(text, contract), _normal(task, is_blocks=name == "blocks")
    for threads in sorted({1, task.case.threads}):
        named, program = name if threads == 1 else f"{name}, OpenMP", Program(run, task.n, threads, given, rows * task.n)
        yield Contestant(named, program.fresh, normal)
        yield Contestant(f"{named}, reused", program.reused, normal, reuses=True)


def _texts(task):
    """Programs in C, by what they are called."""
    lines, printer, case = loops(task.workload.name), Printer(task.dtype.char), task.case
    if task.sweep == "reverse":
        if case.seeds <= AT_ONCE:
            yield "seeds at once", printer.reverse(lines, case.seeds, True)
        yield "seed by seed", printer.reverse(lines, case.seeds, False)
        return
    yield "rows", printer.pointwise(lines, task.sweep, False)
    if task.sweep in ("jacobian", "value_and_jacobian", "hessian"):
        yield "blocks", printer.pointwise(lines, task.sweep, True)


@functools.lru_cache(maxsize=64)
def _compiled(text, contract):
    """The function `run` of a program."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = os.path.join(folder, "run.c"), os.path.join(folder, "run.so")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        command = [CC, *FLAGS, f"-ffp-contract={contract}", source, "-o", library, "-lmvec", "-lm"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        run = ctypes.CDLL(library).run
    run.restype = None
    return run


def _rows(task):
    """Numbers that an element has as results."""
    lines = loops(task.workload.name)
    return task.case.seeds * len(lines.cotangents) if task.sweep == "reverse" else len(getattr(lines, task.sweep)())


def _given(task):
    """The rows that a program reads: arguments, or seeds and residuals."""
    if task.sweep != "reverse":
        return list(task.inputs)
    forward = Task(Case(task.workload.name, "forward", task.n, task.case.dtype))
    (_, text), outputs = next(_texts(forward)), task.workload.outputs
    program = Program(_compiled(text, "off"), task.n, 1, list(forward.inputs), _rows(forward) * task.n)
    return [*task.seeds, *program.fresh().reshape(-1, task.n)[outputs:]]


class Program:
    """A compiled program with what it reads: arguments are converted once."""

    def __init__(self, run, n, threads, given, count):
        self.run, self.given, self.count, self.dtype = run, given, count, given[0].dtype  # addresses alone would not keep `given`
        self.n, self.threads = ctypes.c_long(n), ctypes.c_long(threads)
        self.rows = (ctypes.c_void_p * len(given))(*[row.ctypes.data for row in given])

    def fresh(self):
        """A call that makes its results."""
        out = np.empty(self.count, self.dtype)
        self.run(self.n, self.threads, self.rows, ctypes.c_void_p(out.__array_interface__["data"][0]))
        return out

    @property
    def reused(self):
        """A call that has its results' memory."""
        out = np.empty(self.count, self.dtype)
        run, arguments = self.run, (self.n, self.threads, self.rows, ctypes.c_void_p(out.ctypes.data))

        def call():
            run(*arguments)
            return out

        return call


def _normal(task, is_blocks):
    n = task.n
    values = n * task.workload.outputs if is_blocks and task.sweep == "value_and_jacobian" else 0

    def normal(out):
        entries = out[values:].reshape(n, -1).T if is_blocks else out.reshape(-1, n)
        return from_rows(task, [*out[:values].reshape(-1, n), *entries])

    return normal
