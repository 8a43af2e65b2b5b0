"""nbad beside another, each in a process of its own: rounds are interleaved, and all results are compared before.

What the commands `loops`, `partners` and `indexed` share.
"""

import contextlib
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.contestants import in_turn
from benchmarks.measure.process import Child
from benchmarks.report import files
from benchmarks.report.tables import seconds

TITLES = ["task", "elements", "threads", "bound", "ratio", "", "nbad", "other", "the other is", "first call", "its first call"]


@dataclass
class Row:
    """nbad beside another: their seconds in each round, and the least ratio of the best ones, the other's over nbad's."""

    task: str
    elements: int
    threads: int
    other: str
    what: str  # the other is
    bound: float | None
    first: dict = field(default_factory=dict)
    times: dict = field(default_factory=dict)

    @property
    def ratio(self):
        """The other's best time over nbad's."""
        return min(self.times[self.other]) / min(self.times["nbad"])

    @property
    def cells(self):
        """Text for tables."""
        bound = "" if self.bound is None else f"{self.bound:.2f}"
        verdict = "" if self.bound is None else "met" if self.ratio >= self.bound else "missed"
        best, first = ([seconds(found[who]) for who in ("nbad", self.other)] for found in (self._best, self.first))
        return [self.task, self.elements, self.threads, bound, f"{self.ratio:.2f}", verdict, *best, self.what, *first]

    @property
    def _best(self):
        return {who: min(times) for who, times in self.times.items()}


def run(given, kind, rows, **variables):
    """Measure some rows, with processes of the module of this kind, print them, and write a file."""
    before = machine.describe()
    with options.progress(len(rows)) as step:
        for row in rows:
            step(f"{row.task} beside {row.other}, threads: {row.threads}")
            _measure(row, given.rounds, f"{kind}_steps", variables)
    files.write(given.out, kind, before, rows=[vars(row) for row in rows])
    options.show(TITLES, [row.cells for row in rows])
    return 0


def _measure(row, rounds, module, variables):
    """Compare results, then time both in turn."""
    counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(row.threads))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        children = {who: stack.enter_context(Child(module, **counts, **variables)) for who in ("nbad", row.other)}
        for who, child in children.items():
            machine.keep_to(row.threads, child.process.pid)  # XLA has as many threads as there are cores
            row.first[who] = child.ask("begin", task=row.task, contestant=who, n=row.elements, file=str(folder / f"{who}.npz"))
        compare(*(folder / f"{who}.npz" for who in children))
        row.times = in_turn({who: partial(child.ask, "measure") for who, child in children.items()}, rounds)


def compare(*files):
    """Results in two files must agree, each number beside the largest of its array."""
    with np.load(files[0]) as one, np.load(files[1]) as other:
        assert set(one) == set(other) != set(), f"{files[0]} has {sorted(one)}, {files[1]} {sorted(other)}"
        for name, expected in other.items():
            largest = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
            np.testing.assert_allclose(one[name], expected, rtol=1e-8, atol=1e-10 * largest)


def markdown(path):
    """Markdown from the file of one of the commands."""
    return files.page(path, TITLES, Row)
