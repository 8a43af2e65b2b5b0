"""The command `wide`: kernels of many outputs and inputs beside JAX, by their width, on one thread or on all.

Forward sweep, reverse sweep of one seed and of 8, what is kept for them, and the first forward and reverse sweep, cold. Each
contestant has a process of its own, and rounds are interleaved. Results are compared before anything is timed.
"""

import contextlib
import os
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec

import numpy as np

from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.contestants import in_turn
from benchmarks.measure.process import Child
from benchmarks.report import files
from benchmarks.report.pages import grid, head
from benchmarks.report.tables import seconds

VALUES, SEEDS = 200_000, 8
WIDTHS, SPECIES = (8, 16, 32, 64, 128, 256), (10, 20, 40)
SWEEPS = ("forward", "reverse, 1 seed", f"reverse, {SEEDS} seeds")
RATIOS = ["kernel", "width", *(f"JAX's {sweep}" for sweep in SWEEPS), "kept, nbad", "kept, JAX", "first, nbad", "first, JAX"]
COSTS = ["kernel", "width", *(f"{sweep}, ns" for sweep in SWEEPS), "operations", "compile an operation, ms"]


@dataclass
class Row:
    """One kernel of one width: for each contestant what was told of it, and seconds of its sweeps."""

    task: str
    width: int
    told: dict = field(default_factory=dict)
    times: dict = field(default_factory=dict)

    @property
    def elements(self):
        """About as many values in each case."""
        return VALUES // self.width

    def best(self, who):
        """Seconds of each sweep."""
        return [min(times) for times in zip(*self.times[who], strict=True)]

    @property
    def costs(self):
        """Nanoseconds of nbad's sweeps for one value, and milliseconds of compiling for one operation."""
        told = self.told["nbad"]
        return [1e9 * t / self.elements / self.width for t in self.best("nbad")], 1e3 * told["first"] / told["operations"]

    @property
    def ratios(self):
        """Text for the table beside JAX."""
        cells = [self.task, self.width]
        if "jax" not in self.times:
            return [*cells, *[""] * (len(RATIOS) - 2)]
        times = [f"{theirs / ours:.2f}" for ours, theirs in zip(self.best("nbad"), self.best("jax"), strict=True)]
        kept = [f"{self.told[who]['residual']:.0f} B" for who in ("nbad", "jax")]
        return [*cells, *times, *kept, *(seconds(self.told[who]["first"]) for who in ("nbad", "jax"))]

    @property
    def cells(self):
        """Text for the table of nbad's own costs."""
        sweeps, compiling = self.costs
        return [self.task, self.width, *(f"{t:.2f}" for t in sweeps), self.told["nbad"]["operations"], f"{compiling:.2f}"]


def rows(widths, tasks=None):
    """What is measured: dense layers only as far as their matrices are small."""
    every = [Row(task, width) for task in ("softmax", "stable_softmax", "layer_norm", "log_sum_exp") for width in widths]
    every += [Row("dense", 16), *(Row("kinetics", species) for species in SPECIES)]
    return [row for row in every if tasks is None or row.task in tasks]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=5, help="rounds of timings; default 5")
    parser.add_argument("--threads", type=options.whole, default=1, help="threads of each contestant; default 1")
    parser.add_argument("--widths", type=lambda text: tuple(map(int, text.split(","))), default=WIDTHS, help="of vectors")
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=None, help="kernels, by name; default all")
    options.add_output(parser)


def command(given):
    """Measure, print, and write wide.json and wide.png."""
    before, found = machine.describe(), rows(given.widths, given.tasks)
    with options.progress(len(found)) as step:
        for row in found:
            step(f"{row.task} {row.width}")
            measure(row, given.rounds, given.threads)
    files.write(given.out, "wide", before, threads=given.threads, rows=[vars(row) for row in found])
    options.show(RATIOS, [row.ratios for row in found])
    options.show(COSTS, [row.cells for row in found])
    if find_spec("matplotlib"):
        picture(found).savefig(given.out / "wide.png", dpi=110, bbox_inches="tight")
    return 0


def measure(row, rounds, threads):
    """Compare results, then time the contestants in turn."""
    who = ["nbad", *(["jax"] if find_spec("jax") else [])]
    with contextlib.ExitStack() as stack:
        children = {name: stack.enter_context(_child(threads)) for name in who}
        for name, child in children.items():
            row.told[name] = child.ask("prepare", task=row.task, width=row.width, contestant=name, n=row.elements, seeds=SEEDS)
        samples = [row.told[name].pop("sample") for name in who]
        np.testing.assert_allclose(samples[0], samples[-1], rtol=1e-9, atol=1e-12)
        row.times = in_turn({name: partial(child.ask, "measure") for name, child in children.items()}, rounds)


def _child(threads):
    """On some threads; with one, on one core."""
    counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(min(threads, os.cpu_count() or 1)))
    alone = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if threads == 1 else ""
    child = Child("wide_steps", **counts, XLA_FLAGS=alone)
    if threads == 1:
        machine.keep_to(1, child.process.pid)
    return child


def picture(found):
    """Time of each value, and of compiling each operation, against the width."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    tasks = [task for task in dict.fromkeys(row.task for row in found) if sum(row.task == task for row in found) > 1]
    figure, panels = plt.subplots(1, 4, figsize=(16, 4))
    for task in tasks:
        of_task = [row for row in found if row.task == task]
        widths = [row.width for row in of_task]
        for k, axes in enumerate(panels):
            axes.plot(widths, [row.costs[0][k] if k < 3 else row.costs[1] for row in of_task], "o-", label=task)
    for axes, title in zip(
        panels, (*(f"{sweep}: ns for a value" for sweep in SWEEPS), "ms to compile an operation"), strict=True
    ):
        axes.set(xscale="log", xlabel="width", title=title, ylim=(0, None))
    panels[0].legend()
    return figure


def markdown(path):
    """Markdown from wide.json."""
    body = files.read(path)
    found = [Row(**row) for row in body["rows"]]
    threads = f"{body['threads']} thread{'s' * (body['threads'] > 1)}; JAX's time over nbad's."
    tables = [grid(RATIOS, [row.ratios for row in found]), grid(COSTS, [row.cells for row in found])]
    return "\n\n".join([head(body["machine"]), threads, *tables]) + "\n"
