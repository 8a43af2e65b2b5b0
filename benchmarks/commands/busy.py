"""The command `busy`: calls with pauses between them, on one thread and on all, idle and beside other processes that compute.

A call on several threads that waits for each of them takes as long as the slowest needs to get a core. The bound is on medians.
"""

import itertools
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager

import numba

import nbad
from benchmarks.cases.gallery import subjects
from benchmarks.cases.task import short
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.report import files
from benchmarks.report.pages import grid, head

KERNEL, SIZES, CALLS, PAUSE = "black_scholes", (10_000, 100_000, 1_000_000), 200, 0.02
BOUND = 1.5  # beside busy processes: the median on all threads over that on one
TITLES = ["elements", "beside", "sweep", "one thread", "all threads", "ratio", ""]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--calls", type=options.whole, default=CALLS, metavar="N", help=f"of each kind; default {CALLS}")
    options.add_output(parser)


def command(given):
    """Measure, print, and write busy.json."""
    cores, rows = machine.cores(), []
    with options.progress(2 * len(SIZES)) as step:
        for number, size in itertools.product((0, cores), SIZES):
            step(f"{short(size)} elements beside {number} processes")
            with _processes(number):
                rows += [dict(size=size, processes=number, sweep=name, **found) for name, found in _measure(size, given.calls)]
    files.write(given.out, "busy", machine.describe(), threads=numba.get_num_threads(), calls=given.calls, rows=rows)
    options.show(TITLES, list(map(_cells, rows)))
    return 0


@contextmanager
def _processes(number):
    """So many processes that do nothing but compute."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _measure(size, calls):
    """Median seconds of calls of each sweep on one thread and on all, one after the other."""
    subject, most = subjects()[KERNEL], numba.get_num_threads()
    xs = subject.inputs(size)
    out = subject.kernel(*xs)
    _, pullback = nbad.vjp(subject.kernel, *xs)
    cotangents = pullback(out)
    sweeps = {"value": lambda: subject.kernel(*xs, out=out), "reverse": lambda: pullback(out, out=cotangents)}
    for name, call in sweeps.items():
        times = {1: [], most: []}
        for _, threads in itertools.product(range(calls), times):
            numba.set_num_threads(threads)
            time.sleep(PAUSE)
            start = time.perf_counter()
            call()
            times[threads].append(time.perf_counter() - start)
        numba.set_num_threads(most)
        yield name, {"one": statistics.median(times[1]), "all": statistics.median(times[most])}


def markdown(path):
    """Markdown from busy.json."""
    body = files.read(path)
    about = f"Medians of {body['calls']} calls, {PAUSE * 1e3:.0f} ms apart, of `{KERNEL}`; all threads: {body['threads']}."
    return "\n\n".join([head(body["machine"]), about, grid(TITLES, list(map(_cells, body["rows"])))]) + "\n"


def _cells(row):
    ratio = row["all"] / row["one"]
    beside = f"{row['processes']} busy processes" if row["processes"] else "nothing"
    verdict = ("met" if ratio <= BOUND else "missed") if row["processes"] else ""
    times = [f"{row[key] * 1e6:,.0f} us" for key in ("one", "all")]
    return [f"{row['size']:,}", beside, row["sweep"], *times, f"{ratio:.2f}", verdict]
