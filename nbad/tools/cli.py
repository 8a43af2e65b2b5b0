"""The command `nbad`: measure a kernel, look at the machine, see to the disk cache; results are printed as tables."""

import argparse
import io
import math
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from nbad import config
from nbad.api.kernel import Kernel
from nbad.codegen import disk
from nbad.displays.text import aligned
from nbad.errors import ArgumentValueError, NbadError
from nbad.plans.policies import POLICIES
from nbad.testing.comparisons import CheckFailure
from nbad.tools import doctor, kernel_files, plots, profiled, profiling
from nbad.tools.export import export
from nbad.tools.progress import bar
from nbad.version import VERSION

SWEEP_HEADINGS = [*profiled.HEADINGS[:3], "GB/s", "first use", *profiled.HEADINGS[3:]]
STEPS = 4  # load, first use, compile, check; rounds and policies come on top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; errors of the caller's and of the system's go to stderr in a few lines, with exit code 2.

    Parameters
    ----------
    arguments : list of str, optional
        In place of `sys.argv[1:]`.

    Returns
    -------
    int
        0, 1 where a check found a wrong result or a command could not do its work, 2 after an error in what was asked for or
        where the result could not be written, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["profile", "missing.py"])  # stderr: `nbad profile missing.py`: no file missing.py
    2
    """
    options = _parser().parse_args(arguments)
    try:
        status = options.run(options)
        print(end="", flush=True)
    except NbadError as error:
        if config.shows_frames():
            traceback.print_exception(error)
        else:
            print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"`nbad {options.command}`: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # as shells say it
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nbad", description="Derivatives of elementwise numeric kernels.")
    parser.add_argument("--version", action="version", version=f"nbad {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    _profile_parser(commands)
    _export_parser(commands)
    what = "what this machine offers to nbad, and what each lack costs"
    commands.add_parser("doctor", help=what, description=f"Print {what}.").set_defaults(run=_doctor)
    kept = commands.add_parser("cache", help="the disk cache of compiled kernels")
    kept.add_argument("action", choices=("info", "clear"), help="info: where it is and what it holds; clear: remove all files")
    kept.set_defaults(run=lambda options: {"info": _cache_info, "clear": _cache_clear}[options.action]())
    return parser


def _profile_parser(commands: Any) -> None:
    profile = commands.add_parser("profile", help="time a kernel, its reverse sweep and its Jacobian, and check them")
    profile.add_argument("target", metavar="FILE[:NAME]", help="Python file with a kernel and sample_inputs(rng, n, dtype)")
    profile.add_argument("-n", "--n", type=_count, default=1_000_000, help="elements (default 1e6)")
    profile.add_argument("--seeds", type=_count, default=8, help="seeds of the reverse sweep (default 8)")
    profile.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default float64")
    profile.add_argument("--repeats", type=_count, default=7, help="the best of so many runs is shown (default 7)")
    profile.add_argument("--policies", action="store_true", help="compare the residual policies")
    profile.add_argument("--plot", metavar="FILE.png", help="draw the sweeps under the roofline of this machine")
    profile.set_defaults(run=_profile)


def _export_parser(commands: Any) -> None:
    what = "write a kernel and its derivatives as a module that needs numba and numpy only"
    parser = commands.add_parser("export", help=what, description=f"{what.capitalize()}.")
    parser.add_argument("target", metavar="FILE[:NAME]", help="Python file with a kernel")
    parser.add_argument("-o", "--output", metavar="MODULE.py", help="where to write it (default: stdout)")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="what it computes in (default float64)"
    )
    parser.add_argument("--residuals", choices=("auto", *POLICIES), default="auto", help="what is kept (default auto)")
    parser.add_argument("--seeds", type=_count, default=8, help="expected number of seeds, a hint for auto (default 8)")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    kernel, _, path = kernel_files.find(options.target, "export")
    if options.output is not None and Path(options.output).is_file() and path.samefile(options.output):
        raise ArgumentValueError(
            f"`nbad export {options.target} -o {options.output}`: the module would take the place of the kernel's own file",
            source=None,
            expected="another file",
            fix=f"-o {shlex.quote(str(path.with_stem(f'{path.stem}_exported')))}",
        )
    with _running(kernel, path, f"export {options.target}"):
        text = export(kernel, options.dtype, options.residuals, options.seeds)
    if options.output is not None:
        Path(options.output).write_text(text, encoding="utf-8")
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a module's text is, whatever a terminal's is
    print(text, end="")
    return 0


def _running(kernel: Kernel, path: Path, command: str) -> kernel_files.Running:
    return kernel_files.Running(f"`{kernel.__name__}` of {path}", path, command, is_all=False)


def _count(text: str) -> int:
    """A positive whole number; 1e6 is one."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (1 <= value < math.inf and value == int(value)):
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text}")
    return int(value)


def _profile(options: argparse.Namespace) -> int:
    picture = plots.check_target(options.plot) if options.plot else None
    subject = kernel_files.load(options.target)
    run = profiling.Options(options.n, options.seeds, options.dtype, options.repeats)
    try:
        with _running(subject.kernel, subject.path, f"profile {options.target}"), bar(_steps(options)) as step:
            report = profiling.profile(subject, run, step)
            costs = profiling.compare_policies(subject, run, step) if options.policies else ()
    except CheckFailure as error:
        print(f"check failed: {error}", file=sys.stderr)
        return 1
    print("\n".join([*_told(report), *_policies(costs, run)]))
    if picture:
        plots.roofline(report, picture)
        print(f"roofline: {picture}")
    return 0


def _steps(options: argparse.Namespace) -> int:
    return STEPS + options.repeats + options.policies * (len(POLICIES) + 1)


def _told(report: profiling.Report) -> Iterator[str]:
    """A report as lines: a table of the sweeps, and facts."""
    options, seed = report.options, report.seconds_per_seed
    yield f"kernel {report.subject.name} of {report.subject.path}, {options.n:,} elements, {options.dtype}"
    yield from aligned([SWEEP_HEADINGS, *(_row(sweep, options.n) for sweep in report.sweeps)])
    yield profiled.conditions(report.roofs, report.load)
    per_seed = f"{profiled.time(seed)}, {seed * 1e9 / options.n:.3g} ns per element"
    yield f"reverse per seed: {per_seed}, in a batch of {options.seeds}"
    yield f"residuals: {report.residual_bytes / options.n:.1f} bytes per element"
    yield f"compile time: {report.compile_seconds:.2f} s, the sum of first uses"
    yield from (f"{name}: {text}" for name, text in profiling.machine().items())
    yield f"checked: {report.checked}"


def _row(sweep: profiling.Sweep, n: int) -> list[str]:
    name, time, each, *fractions = profiled.row(sweep.share, n)
    return [name, time, each, f"{sweep.bytes_moved / sweep.seconds / 1e9:.1f}", f"{sweep.first_use:.2f} s", *fractions]


def _policies(costs: Sequence[profiling.PolicyCost], options: profiling.Options) -> Iterator[str]:
    """What residual policies cost, as lines."""
    if not costs:
        return
    rows = [["policy", "values", "bytes", "forward", "1 seed", f"{options.seeds} seeds", "in all"]]
    for cost in costs:
        name = cost.policy if cost.policy == cost.chosen else f"{cost.policy} = {cost.chosen}"
        times = map(profiled.time, (cost.forward, cost.one_seed, cost.all_seeds, cost.seconds))
        rows.append([name, str(cost.residuals), f"{cost.residual_bytes / options.n:.1f}", *times])
    yield from ["", "residual policies: what each element keeps, and best times", *aligned(rows)]


def _doctor(options: argparse.Namespace) -> int:
    diagnosis, console = doctor.examine(), Console()
    table = Table("topic", Column("found", overflow="fold"), show_lines=True)
    for finding in diagnosis.findings:
        table.add_row(Text(finding.topic), _found(finding))
    console.print(table)
    console.print(diagnosis.verdict, highlight=False, markup=False, soft_wrap=True)
    return 0


def _found(finding: doctor.Finding) -> Text:
    lines = Text(finding.found)
    return lines.append(f"\nlacking: {finding.lack}", style="bold yellow") if finding.lack else lines


def _cache_info() -> int:
    print(disk.info())
    return 0


def _cache_clear() -> int:
    report = disk.info()
    if report.folder is None:
        print(report)
        return 1
    print(f"{report.folder}: {disk.clear()} of {report.files} files removed")
    return 0
