"""The command `loops`: loops on data, and long ones, beside the same loop by hand and beside JAX's `scan`; on one thread.

Every contestant has a process of its own, and rounds are interleaved. Results are compared before anything is timed.
"""

import contextlib
import shutil
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec

import numpy as np

from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.contestants import in_turn
from benchmarks.measure.process import Child
from benchmarks.report import files
from benchmarks.report.tables import seconds

TITLES = ["loop", "elements", "bound", "ratio", "", "nbad", "other", "the other is", "first call", "its first call"]
OTHERS = {
    "c": "the same loop by hand in C, with the same vector functions",
    "njit": "a plain njit loop",
    "jax": "jit(vmap(jacfwd(scan)))",
}
NEEDS = {"c": lambda: shutil.which("gcc"), "njit": lambda: True, "jax": lambda: find_spec("jax")}


@dataclass
class Row:
    """nbad beside another: their seconds in each round, and the least ratio of the best ones, the other's over nbad's."""

    loop: str
    elements: int
    other: str
    bound: float
    first: dict = field(default_factory=dict)
    times: dict = field(default_factory=dict)

    @property
    def ratio(self):
        """The other's best time over nbad's."""
        return min(self.times[self.other]) / min(self.times["nbad"])

    @property
    def cells(self):
        """Text for tables."""
        verdict = "met" if self.ratio >= self.bound else "missed"
        best = [seconds(min(self.times[who])) for who in ("nbad", self.other)]
        first = [seconds(self.first[who]) for who in ("nbad", self.other)]
        return [self.loop, self.elements, f"{self.bound:.2f}", f"{self.ratio:.2f}", verdict, *best, OTHERS[self.other], *first]


def rows():
    """What is measured, where the other can run."""
    every = [
        Row("kepler", 1_000_000, "c", 1 / 1.2),
        Row("kepler", 1_000_000, "njit", 5.0),
        Row("integration", 10_000, "jax", 2.0),
    ]
    return [row for row in every if NEEDS[row.other]()]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each contestant; default 10")
    options.add_output(parser)


def command(given):
    """Measure, print, and write loops.json."""
    before, found = machine.describe(), rows()
    with options.progress(len(found)) as step:
        for row in found:
            step(f"{row.loop} beside {row.other}")
            measure(row, given.rounds)
    files.write(given.out, "loops", before, rows=[vars(row) for row in found])
    options.show(TITLES, [row.cells for row in found])
    return 0


def measure(row, rounds):
    """Compare results, then time both in turn."""
    with contextlib.ExitStack() as stack:
        children = {who: stack.enter_context(_child()) for who in ("nbad", row.other)}
        answers = {who: child.ask("prepare", task=row.loop, contestant=who, n=row.elements) for who, child in children.items()}
        row.first = {who: answer["first"] for who, answer in answers.items()}
        ours, theirs = (answers[who]["sample"] for who in ("nbad", row.other))
        for part, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-9, atol=1e-12)
        row.times = in_turn({who: partial(child.ask, "measure") for who, child in children.items()}, rounds)


def _child():
    """On one thread of one core."""
    counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    return Child("loop_steps", **counts, XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")


def markdown(path):
    """Markdown from loops.json."""
    return files.page(path, TITLES, Row)
