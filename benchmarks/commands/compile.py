"""The command `compile`: how long the first result takes, in fresh processes with a cache folder of their own.

nbad is copied to a temporary folder with its bytecode, as pip installs it, so that imports cost what they cost a user.
"""

import compileall
import math
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbad
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.process import Child
from benchmarks.report import files
from benchmarks.report.pages import grid, head
from benchmarks.report.tables import seconds

ROOT = Path(__file__).parents[2]
COUNTS = (50, 100, 200, 500, 1000, 2000, 5000)
VALUE, PULLBACK = 5e-6, 12e-6  # limits of small calls, seconds
TITLES = ["what", "best", "median", "limit", ""]
STEPS = 8  # fresh processes for one repeat


@dataclass(frozen=True)
class Row:
    """One figure: best and median seconds over fresh processes, and the limit where there is one."""

    what: str
    best: float
    median: float
    limit: float | None = None

    @property
    def cells(self):
        """Text for tables; the best time is held against the limit."""
        verdict = "" if self.limit is None else "met" if self.best <= self.limit else "missed"
        return self.what, seconds(self.best), seconds(self.median), seconds(self.limit) if self.limit else "", verdict


class Laboratory:
    """Fresh processes on an installed copy of nbad, each with the cache folder that it is given."""

    def __init__(self, folder, step):
        self.folder, self.step, self.count = Path(folder), step, 0
        shutil.copytree(Path(nbad.__file__).parent, self.folder / "nbad", ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(self.folder / "nbad", quiet=1)

    def cache(self, original=None):
        """A new cache folder: empty, or a copy of another."""
        self.count += 1
        path = self.folder / f"cache{self.count}"
        if original:
            shutil.copytree(original, path)
        else:
            path.mkdir(mode=0o700)
        return path

    def run(self, name, cache, **arguments):
        """What a step answers."""
        self.step(f"{name} {cache.name}")
        with Child("compile_steps", paths=(self.folder, ROOT), NBAD_CACHE_DIR=str(cache)) as child:
            return child.ask(name, **arguments)


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--repeats", type=options.whole, default=3, help="fresh processes for each figure; default 3")
    parser.add_argument("--operations", type=options.numbers, default=COUNTS, metavar="NUMBERS", help="default 50 to 5000")
    options.add_output(parser)


def command(given):
    """Measure, print, and write compile.json."""
    before = machine.describe()
    with options.progress(STEPS * given.repeats + 1) as step, tempfile.TemporaryDirectory() as folder:
        rows, growth = measure(Laboratory(folder, step), given.repeats, given.operations)
    files.write(given.out, "compile", before, rows=[vars(row) for row in rows], growth=growth)
    options.show(TITLES, [row.cells for row in rows])
    options.console().print(_growth_grid(growth), highlight=False)
    return 0


def measure(laboratory, repeats, counts):
    """All figures.

    Parameters
    ----------
    laboratory : Laboratory
    repeats : int
    counts : sequence of int
        Operations of the kernels whose compile times are compared.

    Returns
    -------
    rows : list of Row
    growth : dict
        Best seconds by number of operations.
    """
    known, run = laboratory.cache(), laboratory.run
    run("drivers", known)

    def times(name, original, **arguments):
        return [run(name, laboratory.cache(original), **arguments) for _ in range(repeats)]

    imports = times("imports", known)
    caches = [laboratory.cache(known) for _ in range(repeats)]
    cold, warm = ([run(name, cache) for cache in caches] for name in ("vjp_black_scholes", "second_process"))
    rows = [
        _row("import numba", imports, "import numba"),
        _row("import nbad, beside numba", imports, "import nbad", 0.05),
        _row("import sympy, at the first trace", imports, "import sympy"),
        _row("first use on a machine: black_scholes, vjp and pullback", times("vjp_black_scholes", None), "seconds", 2.0),
        _row("cold: black_scholes, vjp and pullback", cold, "seconds", 0.6),
        _row("cold: the same, Numba started before", times("vjp_after_start", known), "seconds"),
        _row("cold: bundle_adjustment, value and Jacobian", times("jacobian_bundle_adjustment", known), "seconds", 1.2),
        _row("second process: black_scholes, vjp and pullback", warm, "seconds", 0.1),
        _row("second process: Numba's own start", warm, "Numba's start"),
    ]
    rows += _small_calls(times("small_calls", known))
    growth = times("growth", known, counts=counts)
    return rows, {count: min(one[str(count)] for one in growth) for count in counts}


def slope(growth):
    """Growth of the time with the number of operations, from the middle size to the largest: 1 is linear.

    Examples
    --------
    >>> slope({10: 1.0, 100: 2.0, 1000: 20.0})
    1.0
    """
    counts = sorted(growth, key=int)
    low, high = counts[len(counts) // 2], counts[-1]
    return math.log(growth[high] / growth[low]) / math.log(int(high) / int(low)) if low != high else math.nan


def markdown(path):
    """Markdown from compile.json."""
    body = files.read(path)
    rows = [Row(**row) for row in body["rows"]]
    parts = [head(body["machine"]), grid(TITLES, [row.cells for row in rows]), _growth_grid(body["growth"])]
    return "\n\n".join(parts) + "\n"


def _row(what, answers, key, limit=None):
    values = [answer[key] for answer in answers]
    return Row(what, min(values), statistics.median(values), limit)


def _small_calls(answers):
    limits = {"value": VALUE, "vjp and pullback": PULLBACK}
    return [_row(what, answers, what, limits.get(what.rsplit(": ", 1)[1])) for what in answers[0]]


def _growth_grid(growth):
    rows = [[count, seconds(time), seconds(time / int(count))] for count, time in growth.items()]
    text = f"The time grows as the operations to the power {slope(growth):.2f} in the upper half of the table."
    return grid(["operations", "vjp and pullback", "an operation"], rows) + "\n\n" + text
