"""The command `indexed`: picked arguments and sparse results, of bundle adjustment and of energies of nets, beside others.

Every contestant has a process of its own, and rounds are interleaved. All numbers of the results are compared before anything is
timed.
"""

import contextlib
import itertools
import os
import tempfile
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.cases.nets import NETS
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.contestants import in_turn
from benchmarks.measure.process import Child
from benchmarks.report import files
from benchmarks.report.tables import seconds

TITLES = ["task", "elements", "threads", "bound", "ratio", "", "nbad", "other", "the other is"]
OTHERS = {
    "gathered": "nbad's vjp of arrays that were gathered before, cotangents in their shapes",
    "add.at": "np.add.at",
    "segment_sum": "jax.ops.segment_sum",
    "coo": "the same blocks through SciPy's COO format",
    "serial": "a serial loop by hand, in Numba",
    "parallel": "a parallel loop by hand, in Numba",
    "jax": "JAX: jit of vmap, grad, hessian and segment_sum",
}


@dataclass
class Row:
    """nbad beside another: their seconds in each round, and the least ratio of the best ones, the other's over nbad's."""

    task: str
    elements: int
    other: str
    bound: float | None
    threads: int
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
        best = [seconds(min(self.times[who])) for who in ("nbad", self.other)]
        return [self.task, self.elements, self.threads, bound, f"{self.ratio:.2f}", verdict, *best, OTHERS[self.other]]


def rows(observations, elements, threads):
    """What is measured, where the other can run: nets on one thread, too, without the loop that is for several."""
    every = [
        Row("bundle, vjp", observations, "gathered", 1 / 1.3, threads),
        Row("bundle, scatter", observations, "add.at", 5.0, threads),
        Row("bundle, scatter", observations, "segment_sum", 1.0, threads),
        Row("bundle, Jacobian", observations, "coo", 1.0, threads),
    ]
    for net, what, count in itertools.product(NETS, ("value", "gradient", "hessian"), sorted({1, threads})):
        others = ["serial", *(["parallel"] if count > 1 else []), "jax"]
        every += [Row(f"{net}, {what}", elements, other, None, count) for other in others]
    return [row for row in every if row.other not in ("segment_sum", "jax") or find_spec("jax")]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each contestant; default 10")
    parser.add_argument("--observations", type=options.whole, default=1_000_000, help="of bundle adjustment; default 1e6")
    parser.add_argument("--elements", type=options.whole, default=100_000, help="springs, and triangles; default 1e5")
    parser.add_argument("--threads", type=options.whole, default=os.cpu_count(), help="of each contestant; default all")
    options.add_output(parser)


def command(given):
    """Measure, print, and write indexed.json."""
    before, found = machine.describe(), rows(given.observations, given.elements, given.threads)
    with options.progress(len(found)) as step:
        for row in found:
            step(f"{row.task} beside {row.other}, threads: {row.threads}")
            measure(row, given.rounds)
    files.write(given.out, "indexed", before, rows=[vars(row) for row in found])
    options.show(TITLES, [row.cells for row in found])
    return 0


def measure(row, rounds):
    """Compare results, then time both in turn."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        children = {who: stack.enter_context(_child(row.threads)) for who in ("nbad", row.other)}
        for who, child in children.items():
            child.ask("prepare", task=row.task, contestant=who, n=row.elements, file=str(folder / f"{who}.npz"))
        compare(*(folder / f"{who}.npz" for who in children))
        row.times = in_turn({who: partial(child.ask, "measure") for who, child in children.items()}, rounds)


def _child(threads):
    """On so many cores: JAX has as many threads."""
    child = Child("indexed_steps", **dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(threads)))
    machine.keep_to(threads, child.process.pid)
    return child


def compare(*files):
    """Results in two files must agree, each number beside the largest of its array."""
    with np.load(files[0]) as one, np.load(files[1]) as other:
        for name, expected in other.items():
            np.testing.assert_allclose(one[name], expected, rtol=1e-8, atol=1e-10 * np.max(np.abs(expected), initial=0.0))


def markdown(path):
    """Markdown from indexed.json."""
    return files.page(path, TITLES, Row)
