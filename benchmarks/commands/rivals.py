"""The command `rivals`: nbad beside the strongest of its peers, task by task, fresh beside fresh and reused beside reused.

Bounds hold the ratio, the peer's best time over nbad's: against C without contraction and Dr.Jit nearly 1 or more; against
heyoka, which contracts, no further behind than contraction brings C forward in the same run; against all peers 1 where nbad
should lead. A call of one element is held by its time. Dr.Jit and JAX have memory of their own, used again in every call: one
time of theirs meets fresh and reused results of nbad.
"""

from dataclasses import dataclass, replace

from rich.table import Table

from benchmarks import peers
from benchmarks.cases.task import Case, plural, short
from benchmarks.commands import options
from benchmarks.commands.targets import Pick, Target, measure
from benchmarks.measure import machine
from benchmarks.report import files
from benchmarks.report.pages import grid, head
from benchmarks.report.results import Results
from benchmarks.report.tables import seconds

RIVALS = ("c", "c.fma", "heyoka", "drjit", "jax")
POOLED = ("drjit", "jax")
LEVEL = {"c": 0.97, "drjit": 0.97}
LONG = 20_000  # elements from which on reverse sweeps should lead
SHORTEST = 0.9e-6  # seconds that a call of one element into memory that is used again may take
TITLES = ["task", "threads", "results", "peer", "bound", "found"]


@dataclass(frozen=True)
class Job:
    """A task in words, and its case on one thread."""

    what: str
    case: Case

    def bound(self, peer, contraction):
        """What the ratio should reach, or None; `contraction` is the time of C with it over that without."""
        if self.case.n == 1:
            return None
        if self.case.n == 1000 or (self.case.sweep == "reverse" and self.case.n >= LONG):
            return 1.0
        return min(1.0, contraction) if peer == "heyoka" and contraction else LEVEL.get(peer)


@dataclass(frozen=True)
class Line:
    """One line of the table: a job on so many threads, with fresh results or reused ones."""

    job: Job
    threads: int
    reuses: bool

    @property
    def place(self):
        """Words for the place of the results."""
        return "reused" if self.reuses else "fresh"

    def pick(self, peer):
        """The best record of nbad or a peer."""
        return Pick(replace(self.job.case, threads=self.threads), (peer,), None if peer in POOLED else self.reuses)

    def ratios(self, records):
        """nbad's time, and the ratio to every peer that has one."""
        ours, theirs = self.pick("nbad").best(records), {peer: self.pick(peer).best(records) for peer in RIVALS}
        return ours and ours.best, {peer: record.best / ours.best for peer, record in theirs.items() if record and ours}

    def verdicts(self, records):
        """What was promised: (peer, bound, what was found, whether it holds), in words."""
        ours, found = self.ratios(records)
        contraction = found["c.fma"] / found["c"] if {"c", "c.fma"} <= set(found) else None
        for peer, value in found.items():
            bound = self.job.bound(peer, contraction)
            if bound is not None:
                yield peer, f"{bound:.2f}", f"{value:.2f}", value >= bound
        if ours and self.job.case.n == 1 and self.reuses:
            yield "", f"at most {seconds(SHORTEST)}", seconds(ours), ours <= SHORTEST


def _jobs():
    both = "value_and_jacobian"
    table = [
        ("Black-Scholes, value", "call_price", "value", 100_000),
        ("Black-Scholes, reverse of 8 seeds", "call_price", "reverse", 20_000),
        ("Black-Scholes, reverse of 8 seeds", "call_price", "reverse", 100_000),
        ("Black-Scholes, reverse of 8 seeds", "call_price", "reverse", 1_000_000),
        ("Black-Scholes, value and 5 partials", "call_price", both, 1),
        ("Black-Scholes, value and 5 partials", "call_price", both, 1_000),
        ("Black-Scholes, value and 5 partials", "call_price", both, 100_000),
        ("the same in float32", "call_price", both, 1),
        ("the same in float32", "call_price", both, 100_000),
        ("bundle adjustment, value and Jacobian", "bundle_adjustment", both, 10_000),
        ("Lennard-Jones, value and gradient", "lennard_jones", both, 100_000),
        ("TEOS-10 volume, value and gradient", "specific_volume", both, 10_000),
        ("500 operations, value", "chain_500", "value", 10_000),
        ("500 operations, value and gradient", "chain_500", both, 10_000),
        ("Black-Scholes, Hessian", "call_price", "hessian", 10_000),
    ]
    for what, workload, sweep, n in table:
        dtype = "float32" if "float32" in what else "float64"
        yield Job(f"{what}, n = {short(n)}", Case(workload, sweep, n, dtype, 1, 8 if sweep == "reverse" else 0))


JOBS = tuple(_jobs())


def lines(cores):
    """The table of a machine of so many cores."""
    return [Line(job, threads, reuses) for threads in sorted({1, cores}) for job in JOBS for reuses in (False, True)]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--threads", type=options.numbers, metavar="NUMBERS", help="default 1 and all cores")
    options.add_peers(parser)
    options.add_effort(parser)
    options.add_output(parser)


def command(given):
    """Measure, print, and write rivals.json."""
    before, cores = machine.describe(), max(given.threads or [machine.cores()])
    chosen = [line for line in lines(cores) if line.threads in (given.threads or (1, cores))]
    targets = [Target(line.job.what, line.pick("nbad"), line.pick(peer), 0.0) for line in chosen for peer in RIVALS]
    results = measure(targets, [*(given.peers or peers.installed()), "nbad"], options.settings(given))
    results.machine = {**before, "load after the run": machine.load()}
    given.out.mkdir(parents=True, exist_ok=True)
    results.save(given.out / "rivals.json", kind="rivals", cores=cores)
    _show(chosen, results)
    return 0


def _show(chosen, results):
    console = options.console()
    for title, titles, rows in _tables(chosen, results.records, "[red]{:.2f}[/red]"):
        table = Table(*titles, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for entry in results.failures + results.left_out:
        console.print(entry, highlight=False)


def _tables(chosen, records, behind):
    """Title, heads and rows: the ratios on every number of threads, and what was missed; `behind` formats ratios below 1."""
    for threads in sorted({line.threads for line in chosen}):
        rows = [_row(line, records, behind) for line in chosen if line.threads == threads]
        yield f"Time over nbad's, {plural(threads, 'thread')}", ["task", "results", "nbad", *RIVALS], rows
    verdicts = [(line, verdict) for line in chosen for verdict in line.verdicts(records)]
    missed = [[line.job.what, str(line.threads), line.place, *verdict[:3]] for line, verdict in verdicts if not verdict[3]]
    yield f"Missed: {len(missed)} of {len(verdicts)} bounds", TITLES, missed


def _row(line, records, behind):
    ours, found = line.ratios(records)
    cells = [(behind if found[peer] < 1 else "{:.2f}").format(found[peer]) if peer in found else "" for peer in RIVALS]
    return [line.job.what, line.place, seconds(ours) if ours else "", *cells]


def markdown(path):
    """Markdown from rivals.json."""
    results, cores = Results.load(path), files.read(path)["cores"]
    measured = {record.case.threads for record in results.records}
    chosen = [line for line in lines(cores) if line.threads in measured]
    parts = [f"### {title}\n\n{grid(titles, rows)}" for title, titles, rows in _tables(chosen, results.records, "**{:.2f}**")]
    return "\n\n".join([head({**results.machine, **results.settings}), *parts]) + "\n"
