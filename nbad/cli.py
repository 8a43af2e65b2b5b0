"""The command `nbad`: measure a kernel and print the result as a table."""

import argparse
import sys
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nbad import profiling
from nbad.errors import NbadError
from nbad.version import VERSION

STEPS = 7  # load, compile, four sweeps, check


def main(arguments=None) -> int:
    """Run the command line; errors of the caller's go to stderr in a few lines, with exit code 2.

    Parameters
    ----------
    arguments : list of str, optional
        In place of `sys.argv[1:]`.

    Returns
    -------
    int
        0, 1 where the harness found a wrong result, 2 after an error in what was asked for.

    Examples
    --------
    >>> main(["profile", "missing.py"])  # stderr: `nbad profile missing.py`: no file missing.py
    2
    """
    options = _parser().parse_args(arguments)
    try:
        return _profile(options)
    except NbadError as error:
        print(error, file=sys.stderr)
        return 2


def _parser():
    parser = argparse.ArgumentParser(prog="nbad", description="Derivatives of elementwise numeric kernels.")
    parser.add_argument("--version", action="version", version=f"nbad {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    profile = commands.add_parser("profile", help="time a kernel, its reverse sweep and its Jacobian, and check them")
    profile.add_argument("target", metavar="FILE[:NAME]", help="Python file with a kernel and sample_inputs(rng, n, dtype)")
    profile.add_argument("--n", type=_count, default=1_000_000, help="elements (default 1e6)")
    profile.add_argument("--seeds", type=_count, default=8, help="seeds of the reverse sweep (default 8)")
    profile.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default float64")
    profile.add_argument("--repeats", type=_count, default=7, help="the best of so many runs is shown (default 7)")
    return parser


def _count(text):
    """A positive whole number; 1e6 is one."""
    value = float(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text}")
    return int(value)


def _profile(options):
    subject = profiling.load(options.target)
    run = profiling.Options(options.n, options.seeds, options.dtype, options.repeats)
    try:
        with _progress() as step:
            report = profiling.profile(subject, run, step)
    except AssertionError as error:
        print(f"check failed: {error}", file=sys.stderr)
        return 1
    _print(report, Console())
    return 0


@contextmanager
def _progress():
    """A bar on stderr, where that is a terminal; yields what moves it. It draws between steps, not while one is timed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda name: None
        return
    columns = TextColumn("{task.description:<18}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("load", total=STEPS)
        yield lambda name: bar.update(task, description=name, advance=1, refresh=True)


def _print(report, console):
    subject, options = report.subject, report.options
    console.print(f"kernel {subject.name} of {subject.path}, {options.n:,} elements, {options.dtype}", highlight=False)
    console.print(_table(report))
    facts = {
        "residuals": f"{report.residual_bytes / options.n:.1f} bytes per element",
        "compile time": f"{report.compile_seconds:.2f} s, the sum of first uses",
        **profiling.machine(),
        "checked": report.checked,
    }
    for name, text in facts.items():
        console.print(f"{name}: {text}", highlight=False, markup=False, soft_wrap=True)


def _table(report):
    table = Table()
    table.add_column("sweep")
    for column in ("best time", "ns per element", "GB/s", "first use"):
        table.add_column(column, justify="right")
    for sweep in report.sweeps:
        time = f"{sweep.seconds * 1e3:.2f} ms", f"{sweep.seconds * 1e9 / report.options.n:.2f}"
        table.add_row(sweep.name, *time, f"{sweep.bytes_moved / sweep.seconds / 1e9:.1f}", f"{sweep.first_use:.2f} s")
    return table
