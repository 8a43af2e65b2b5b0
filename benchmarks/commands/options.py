"""Options that commands share: what to run, how long, where to write; and the progress bar."""

import argparse
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import peers
from benchmarks.cases.task import SWEEPS
from benchmarks.cases.workloads import workloads
from benchmarks.measure import machine
from benchmarks.measure.schedule import Settings

DTYPES = ("float64", "float32")
ROUNDS = 10
WIDTH = 160


def whole(text):
    """A positive whole number; 1e6 is one."""
    value = float(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text}")
    return int(value)


def numbers(text):
    """Whole numbers between commas."""
    return [whole(part) for part in text.split(",")]


def names(known):
    """What parses names between commas, each one of `known`."""

    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown name {name!r}; known are {', '.join(known)}")
        return chosen

    return parse


def add_axes(parser):
    """Options that choose a part of the matrix."""
    listed = "between commas"
    parser.add_argument("--workloads", type=names(list(workloads())), metavar="NAMES", help=f"{listed}; default all")
    parser.add_argument("--sweeps", type=names(SWEEPS), metavar="NAMES", help=f"{', '.join(SWEEPS)}; default all")
    parser.add_argument("--sizes", type=numbers, metavar="NUMBERS", help=f"elements, {listed}; default 1,30,300,3e3,3e4,3e5,3e6")
    parser.add_argument("--seeds", type=numbers, metavar="NUMBERS", help="of reverse sweeps; default 1,8,64")
    parser.add_argument("--dtypes", type=names(DTYPES), metavar="NAMES", help="default float64,float32")
    parser.add_argument("--threads", type=numbers, metavar="NUMBERS", help="default 1 and all cores")


def add_peers(parser):
    """The option that chooses peers."""
    found = ", ".join(peers.installed())
    parser.add_argument("--peers", type=names(peers.installed()), metavar="NAMES", help=f"default all that can run here: {found}")


def add_effort(parser, rounds=ROUNDS):
    """Options that say how long to measure."""
    parser.add_argument("--rounds", type=whole, default=rounds, help=f"timings of each contestant; default {rounds}")
    parser.add_argument("--seconds", type=float, default=3.0, help="that one contestant may take in a case; default 3")
    parser.add_argument("--minutes", type=float, help="after which no further case begins; default none")
    gib = machine.memory() / 6 / 2**30
    parser.add_argument("--gib", type=float, default=gib, help=f"of the largest case; default a sixth of the memory: {gib:.1f}")


def settings(given):
    """The effort that was asked for."""
    deadline = float("inf") if given.minutes is None else 60 * given.minutes
    return Settings(given.rounds, given.seconds, int(given.gib * 2**30), deadline)


def add_output(parser):
    """The option that says where results go."""
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"), help="folder; default benchmark-results")


def console():
    """Prints to stdout; wide tables stay whole in a file or a pipe."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


def show(titles, rows):
    """Print a table."""
    table = Table(*titles)
    for row in rows:
        table.add_row(*map(str, row))
    console().print(table)


@contextmanager
def progress(total):
    """A bar on stderr; yields what moves it. It draws between steps, not while something is timed."""
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, auto_refresh=False, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("start", total=total)
        done = iter(range(total + 1))
        yield lambda what: bar.update(task, description=str(what), completed=next(done), refresh=True)
