"""The command `run`: the matrix, a table of ratios, a JSON file and pictures."""

import importlib.util

from benchmarks import peers
from benchmarks.cases.task import SWEEPS, matrix
from benchmarks.cases.workloads import workloads
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.schedule import run
from benchmarks.report.pages import markdown
from benchmarks.report.results import Results
from benchmarks.report.tables import ratio_tables

QUICK = dict(workloads=["black_scholes"], sizes=[10_000, 1], seeds=[1, 8], dtypes=["float64"])
QUICK_EFFORT = dict(rounds=5, minutes=0.55)
SIZES = [1, 30, 300, 3_000, 30_000, 300_000, 3_000_000]
LARGE = 10_000  # elements from which on the machine's limits matter
SLOW_TO_START = {"torch.compile", "pytensor"}


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--quick", action="store_true", help="a small part of the matrix, in a minute")
    options.add_axes(parser)
    options.add_peers(parser)
    options.add_effort(parser)
    options.add_output(parser)


def command(given):
    """Run, print, and write files."""
    choice, chosen_peers = choose(given)
    cases, description = matrix(choice), machine.describe()
    if given.quick:
        vars(given).update(QUICK_EFFORT)
    with options.progress(len(cases)) as step:
        outcome = run([[case] for case in cases], chosen_peers, options.settings(given), step)
    results = Results(
        outcome.records,
        {**description, "load after the run": machine.load()},
        {"rounds": given.rounds, **_roofs(choice)},
        outcome.versions,
        outcome.failures,
        outcome.left_out,
    )
    show(results)
    write(results, given.out)
    return 0


def _roofs(choice):
    return machine.roofs() if max(choice["sizes"]) >= LARGE else {}


def choose(given):
    """The part of the matrix, and the peers, that the options ask for; nbad is always there."""
    default = dict(workloads=list(workloads()), sizes=SIZES, seeds=[1, 8, 64], dtypes=options.DTYPES)
    default |= dict(sweeps=SWEEPS, threads=sorted({1, machine.cores()}))
    if given.quick:
        default |= QUICK | dict(threads=[machine.cores()])
    choice = {axis: getattr(given, axis) or value for axis, value in default.items()}
    everyone = [peer for peer in peers.installed() if not (given.quick and peer in SLOW_TO_START)]
    return choice, list(dict.fromkeys(["nbad", *(given.peers or everyone)]))


def show(results):
    """Print the tables and what went wrong."""
    console = options.console()
    for table in ratio_tables(results):
        console.print(table)
    for entry in results.failures:
        console.print(f"failed: {entry['peer']}, {entry['what']}: {entry['reason']}", style="red", markup=False)
    for entry in results.left_out:
        console.print(f"left out: {entry['case']} ({entry['reason']})", markup=False, highlight=False)


def write(results, folder):
    """JSON, Markdown and, where matplotlib is installed, pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder / "results.json")
    (folder / "results.md").write_text(markdown(results), encoding="utf-8")
    written = ["results.json", "results.md"]
    if importlib.util.find_spec("matplotlib"):
        from benchmarks.report.plots import draw

        written += draw(results, folder)
    options.console().print(f"written to {folder}: {', '.join(written)}", highlight=False)
