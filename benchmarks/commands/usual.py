"""The command `usual`: what an element takes by how many there are, for the arrays that users have.

Calls go through an entry, a launch with one thread or with several, stores past the caches: where one of these ends and the next
begins, an element should not take much longer. So the bound is on steps from one number of elements to the next.
"""

import functools
import itertools
import math

import numba
import numpy as np

import nbad
from benchmarks.cases.task import short
from benchmarks.cases.workloads import workloads
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.report import files
from benchmarks.report.pages import grid, head
from nbad.profiles.timing import best, seconds

SIZES = (100, 300, 1_000, 2_000, 4_000, 6_000, 8_000, 12_000, 16_000, 20_000, 30_000)
BOUND = 2.0  # time of an element over that where there are fewer, up to results that the caches keep
SEEDS, ROUNDS, SHORTEST = 8, 5, 1e-3


@nbad.kernel
def decayed(x, y):
    """An exponential and a product."""
    return x * math.exp(-y)


@nbad.kernel(signature="(3),(3)->()")
def distance(a, b):
    """Of two points."""
    return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2)


def arrays(n):
    """Kernels and their arguments, of about `n` elements, by what these are like."""
    rng, side, price = np.random.default_rng(1), math.isqrt(n), workloads()["call_price"]
    prices = [np.resize(x, n) for x in price.inputs(n, "float64")]
    numbers = [x if k < 2 else float(x[0]) for k, x in enumerate(prices)]
    x, y, table, points = rng.uniform(size=n), rng.uniform(size=n), rng.uniform(size=(n, 8)), rng.uniform(size=(2, n, 3))
    return {
        "prices of arrays": (price.kernel, prices),
        "prices, 3 numbers": (price.kernel, numbers),
        "arrays": (decayed, [x, y]),
        "array, number": (decayed, [x, 0.5]),
        "columns": (decayed, [table[:, 0], table[:, 3]]),
        "column by row": (decayed, [x[:side, None], y[: n // side]]),
        "whole numbers": (decayed, [np.arange(n) % 7, y]),
        "points": (distance, list(points)),
        "points, one point": (distance, [points[0], points[1, 0]]),
    }


def sweeps(kernel, xs):
    """Calls, by name."""
    y, pullback = nbad.vjp(kernel, *xs, seeds=SEEDS)
    seeds = np.ones((SEEDS, *y.shape))
    return {
        "value": functools.partial(kernel, *xs),
        "forward": functools.partial(nbad.vjp, kernel, *xs),
        "reverse": functools.partial(pullback, seeds[0]),
        f"reverse, {SEEDS} seeds": functools.partial(pullback.batched, seeds),
        "Jacobian": functools.partial(nbad.jacobian(kernel), *xs) if xs[0].dtype.kind == "f" else None,
    }, y.size


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--threads", type=options.whole, default=machine.cores(), help="default all")
    parser.add_argument("--sizes", type=options.numbers, default=SIZES, metavar="NUMBERS", help="of elements")
    options.add_output(parser)


def command(given):
    """Measure, print, and write usual.json."""
    numba.set_num_threads(given.threads)
    rows = {}
    with options.progress(len(given.sizes)) as step:
        for n in given.sizes:
            step(f"{short(n)} elements")
            for name, (kernel, xs) in arrays(n).items():
                calls, elements = sweeps(kernel, xs)
                for sweep, call in calls.items():
                    if call is not None:
                        rows.setdefault((name, sweep), []).append(_seconds(call) * 1e9 / elements)
    body = {"sizes": list(given.sizes), "rows": [[*key, *times] for key, times in rows.items()]}
    files.write(given.out, "usual", {**machine.describe(), "threads": given.threads}, **body)
    options.show(_titles(body), list(map(_cells, body["rows"])))
    return 0


def _seconds(call):
    """Of one call, in the fastest of some rounds."""
    call()
    number = math.ceil(SHORTEST / max(seconds(call), 1e-9))

    def calls():
        for _ in range(number):
            call()

    return best(calls, ROUNDS) / number


def markdown(path):
    """Markdown from usual.json."""
    body = files.read(path)
    steps = [_steepest(times) for _, _, *times in body["rows"]]
    met = sum(step <= BOUND for step in steps)
    text = f"No step is steeper than {BOUND:g} in {met} of {len(steps)} rows; the steepest is {max(steps):.2f}."
    return "\n\n".join([head(body["machine"]), text, grid(_titles(body), list(map(_cells, body["rows"])))]) + "\n"


def _steepest(times):
    """The largest time of an element over that where there are fewer."""
    return max(after / before for before, after in itertools.pairwise(times))


def _titles(body):
    return ["arguments", "ns an element", *(f"{n:,}" for n in body["sizes"]), "steepest", ""]


def _cells(row):
    name, sweep, *times = row
    step = _steepest(times)
    return [
        name,
        sweep,
        *(f"{t:.2f}" if t < 10 else f"{t:.0f}" for t in times),
        f"{step:.2f}",
        "met" if step <= BOUND else "missed",
    ]
