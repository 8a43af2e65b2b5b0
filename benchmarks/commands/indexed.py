"""The command `indexed`: picked arguments and sparse results, of bundle adjustment and of a net of springs, beside others.

Every contestant has a process of its own, and rounds are interleaved. Sums of the results are compared before anything is timed.
"""

import contextlib
import json
import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.process import Child
from benchmarks.report.pages import grid, head
from benchmarks.report.tables import seconds

TITLES = ["task", "elements", "bound", "ratio", "", "nbad", "other", "the other is"]
OTHERS = {
    "gathered": "nbad's vjp of arrays that were gathered before, cotangents in their shapes",
    "add.at": "np.add.at",
    "segment_sum": "jax.ops.segment_sum",
    "coo": "the same blocks through SciPy's COO format",
    "numba": "a serial loop by hand",
}


@dataclass
class Row:
    """nbad beside another: their seconds in each round, and the least ratio of the best ones, the other's over nbad's."""

    task: str
    elements: int
    other: str
    bound: float | None
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
        return [self.task, self.elements, bound, f"{self.ratio:.2f}", verdict, *best, OTHERS[self.other]]


def rows(observations, springs):
    """What is measured, where the other can run."""
    every = [
        Row("bundle, vjp", observations, "gathered", 1 / 1.3),
        Row("bundle, scatter", observations, "add.at", 5.0),
        Row("bundle, scatter", observations, "segment_sum", 1.0),
        Row("bundle, Jacobian", observations, "coo", 1.0),
        *(Row(f"springs, {what}", springs, "numba", None) for what in ("value", "gradient", "hessian")),
    ]
    return [row for row in every if row.other != "segment_sum" or find_spec("jax")]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each contestant; default 10")
    parser.add_argument("--observations", type=options.whole, default=1_000_000, help="of bundle adjustment; default 1e6")
    parser.add_argument("--springs", type=options.whole, default=100_000, help="default 1e5")
    parser.add_argument("--threads", type=options.whole, default=os.cpu_count(), help="of each contestant; default all")
    options.add_output(parser)


def command(given):
    """Measure, print, and write indexed.json."""
    before, found = machine.describe(), rows(given.observations, given.springs)
    with options.progress(len(found)) as step:
        for row in found:
            step(f"{row.task} beside {row.other}")
            measure(row, given.rounds, given.threads)
    body = {"kind": "indexed", "machine": before, "threads": given.threads, "rows": [vars(row) for row in found]}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "indexed.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    options.show(TITLES, [row.cells for row in found])
    return 0


def measure(row, rounds, threads):
    """Compare results, then time both in turn."""
    with contextlib.ExitStack() as stack:
        counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
        children = {who: stack.enter_context(Child("indexed_steps", **counts)) for who in ("nbad", row.other)}
        answers = {who: child.ask("prepare", task=row.task, contestant=who, n=row.elements) for who, child in children.items()}
        for part, other in zip(*(answers[who]["sample"] for who in ("nbad", row.other)), strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-6, atol=1e-6)
        row.times = {who: [] for who in children}
        for turn in range(rounds):
            for who in sorted(children, reverse=bool(turn % 2)):
                row.times[who].append(children[who].ask("measure"))


def markdown(path):
    """Markdown from indexed.json."""
    body = json.loads(Path(path).read_text(encoding="utf-8"))
    threads = f"{body['threads']} thread{'s' * (body['threads'] != 1)} each."
    return "\n\n".join([head(body["machine"]), threads, grid(TITLES, [Row(**row).cells for row in body["rows"]])]) + "\n"
