"""The command `partners`: a kernel as a function of PyTorch's or JAX's, beside their own code, forwards and backwards.

Every contestant has a process of its own, and rounds are interleaved. Results are compared before anything is timed.
"""

import contextlib
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

TITLES = [
    "partner",
    "elements",
    "threads",
    "at least",
    "ratio",
    "",
    "nbad's kernel",
    "its own code",
    "first call",
    "its first call",
]
BOUNDS = {"torch": 1.0, "jax": 1.0, "jax, calls of Python": None}


@dataclass
class Row:
    """nbad's kernel beside the partner's own code: seconds of each round, and the least ratio, that of the other over nbad's."""

    partner: str
    elements: int
    threads: int
    first: dict = field(default_factory=dict)
    times: dict = field(default_factory=dict)

    @property
    def ratio(self):
        """The partner's best time over nbad's."""
        return min(self.times["native"]) / min(self.times["nbad"])

    @property
    def cells(self):
        """Text for tables."""
        bound = BOUNDS[self.partner] if self.elements >= 100_000 else None
        verdict = "" if bound is None else "met" if self.ratio >= bound else "missed"
        best, first = ([found[who] for who in ("nbad", "native")] for found in (self.times, self.first))
        shown = [*(seconds(min(times)) for times in best), *map(seconds, first)]
        return [
            self.partner,
            self.elements,
            self.threads,
            "" if bound is None else f"{bound:.2f}",
            f"{self.ratio:.2f}",
            verdict,
            *shown,
        ]


def add_options(parser):
    """Options of the command."""
    default = sorted({1, machine.cores()})
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each contestant; default 10")
    parser.add_argument("--elements", type=options.numbers, default=[1_000, 100_000], help="between commas; default 1e3,1e5")
    parser.add_argument("--threads", type=options.numbers, default=default, help="between commas; default 1 and all cores")
    options.add_output(parser)


def command(given):
    """Measure, print, and write partners.json."""
    before = machine.describe()
    here = [partner for partner in BOUNDS if find_spec(partner.partition(",")[0])]
    found = [Row(partner, n, threads) for partner in here for n in given.elements for threads in given.threads]
    with options.progress(len(found)) as step:
        for row in found:
            step(f"{row.partner}, {row.elements} elements, threads: {row.threads}")
            measure(row, given.rounds)
    files.write(given.out, "partners", before, rows=[vars(row) for row in found])
    options.show(TITLES, [row.cells for row in found])
    return 0


def measure(row, rounds):
    """Compare results, then time both in turn."""
    with contextlib.ExitStack() as stack:
        children = {who: stack.enter_context(_child(row.threads)) for who in ("nbad", "native")}
        answers = {who: child.ask("prepare", task=row.partner, contestant=who, n=row.elements) for who, child in children.items()}
        row.first = {who: answer["first"] for who, answer in answers.items()}
        for part, other in zip(*(answer["sample"] for answer in answers.values()), strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-8, atol=1e-10)
        row.times = in_turn({who: partial(child.ask, "measure") for who, child in children.items()}, rounds)


def _child(threads):
    counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    return Child("partner_steps", **counts)


def markdown(path):
    """Markdown from partners.json."""
    return files.page(path, TITLES, Row)
