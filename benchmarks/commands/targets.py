"""The command `targets`: the figures that nbad promises, each measured with its contestant in one run.

A target is a row of data: a ratio of two best times, and its bound. `vector` is the plain kernel written by hand that reads and
writes the same bytes; see `benchmarks.by_hand.vector_loops`.
"""

from dataclasses import dataclass, replace

from benchmarks import peers
from benchmarks.cases.task import Case
from benchmarks.cases.workloads import workloads
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.schedule import Outcome, run
from benchmarks.report import files
from benchmarks.report.pages import grid, head
from benchmarks.report.results import Results
from benchmarks.report.tables import seconds

MILLION, FEWER = 1_000_000, 100_000
DIFFERENTIATORS = ("jax", "torch", "torch.compile", "ddx")
TITLES = ["target", "bound", "ratio", "", "nbad", "other", "the other is"]


@dataclass(frozen=True)
class Pick:
    """The best record of some peers in one case; `reuses` and `contestant` narrow the choice."""

    case: Case
    peers: tuple[str, ...] = ("nbad",)
    reuses: bool | None = None
    contestant: str | None = None

    def best(self, records):
        """The record, or None where none was made."""
        return min((r for r in records if self._fits(r)), key=lambda r: r.best, default=None)

    def _fits(self, record):
        wanted = self.reuses in (None, record.reuses) and self.contestant in (None, record.contestant)
        return wanted and record.case == self.case and record.peer in self.peers


@dataclass(frozen=True)
class Target:
    """nbad should be `bound` times as fast as the other, or more: the ratio is the other's time over nbad's."""

    what: str
    ours: Pick
    other: Pick
    bound: float


def targets(cores):
    """All targets on a machine of so many cores.

    Parameters
    ----------
    cores : int

    Returns
    -------
    list of Target
    """
    return [*_by_hand(cores), *_differentiators(cores), *_forms_of_nbad(cores)]


def _case(cores, workload, sweep, n=MILLION, **more):
    return Case(workload, sweep, n, **{"threads": cores, "seeds": 8 if sweep == "reverse" else 0, **more})


def _beside(what, bound, case, others, **narrow):
    """nbad and others in one case."""
    return Target(what, Pick(case, reuses=narrow.get("reuses")), Pick(case, others, **narrow), bound)


def _by_hand(cores):
    forward, reverse = _case(cores, "call_price", "forward"), _case(cores, "call_price", "reverse")
    hand, text = ("vector",), "reverse of 8 seeds into out=, beside the loop by hand"
    yield _beside("one price: forward, fresh results, beside the loop by hand", 1 / 1.25, forward, hand, reuses=False)
    yield _beside(f"one price: {text}", 1 / 1.15, reverse, hand, reuses=True)
    for name in (name for name, workload in workloads().items() if not workload.has_vectors):  # those lie otherwise in memory
        yield _beside(f"{name}: {text}", 0.85, _case(cores, name, "reverse"), hand, reuses=True)


def _differentiators(cores):
    forward, reverse = _case(cores, "black_scholes", "forward"), _case(cores, "black_scholes", "reverse")
    blocks, alone = (_case(threads, "bundle_adjustment", "jacobian", FEWER) for threads in (cores, 1))
    vmap = dict(contestant="jit(vmap(pullback))")
    yield _beside("black_scholes: forward, beside JAX's jit(vjp)", 3.5, forward, ("jax",), contestant="jit(vjp)")
    yield _beside("black_scholes: reverse of 8 seeds, beside JAX's jit(vmap(pullback))", 8.0, reverse, ("jax",), **vmap)
    yield _beside("black_scholes: reverse of 8 seeds, beside the best of all differentiators", 6.0, reverse, DIFFERENTIATORS)
    yield _beside("bundle_adjustment: Jacobian into out=, beside ddx into its buffer", 1.8, blocks, ("ddx",), reuses=True)
    yield _beside("the same on one thread", 0.95, alone, ("ddx",), reuses=True)
    yield _beside("bundle_adjustment: Jacobian, beside the best of JAX", 5.0, blocks, ("jax",))


def _forms_of_nbad(cores):
    for sweep in ("forward", "reverse"):
        single, double = (Pick(_case(cores, "black_scholes", sweep, dtype=t), reuses=False) for t in ("float32", "float64"))
        yield Target(f"black_scholes: {sweep} in float32, beside float64", single, double, 1.7)
    for sweep in ("value", "reverse", "jacobian"):
        fresh, reused = (Pick(_case(cores, "black_scholes", sweep), reuses=reuses) for reuses in (False, True))
        yield Target(f"black_scholes: {sweep} with fresh results, beside out=", fresh, reused, 1 / 1.2)


def add_options(parser):
    """Options of the command."""
    options.add_peers(parser)
    options.add_effort(parser, rounds=20)
    options.add_output(parser)


def command(given):
    """Measure, print, and write targets.json."""
    chosen, before = targets(machine.cores()), machine.describe()
    results = measure(chosen, given.peers or peers.installed(), options.settings(given))
    results.machine = {**before, "load after the run": machine.load()}
    given.out.mkdir(parents=True, exist_ok=True)
    results.save(given.out / "targets.json", kind="targets", cores=machine.cores())
    options.show(TITLES, [row(target, results.records) for target in chosen])
    for entry in results.failures + results.left_out:
        options.console().print(entry, highlight=False)
    return 0


def measure(chosen, available, settings):
    """Run the cases that the targets need, each with the peers that it needs; those that differ in the dtype alone together.

    Parameters
    ----------
    chosen : list of Target
    available : list of str
        Peers.
    settings : Settings

    Returns
    -------
    Results
    """
    batches, needs = {}, {}
    for pick in (pick for target in chosen for pick in (target.ours, target.other)):
        key = replace(pick.case, dtype="any")
        batches.setdefault(key, {})[pick.case] = None
        needs.setdefault(key, set()).update(set(pick.peers) & set(available))
    total = Outcome()
    with options.progress(len(batches)) as step:
        for team in dict.fromkeys(map(frozenset, needs.values())):
            keys = sorted((key for key in batches if needs[key] == team), key=lambda key: key.threads)
            names = [name for name in peers.PEERS if name in team]
            total.add(run([list(batches[key]) for key in keys], names, settings, step))
    return Results(total.records, {}, {"rounds": settings.rounds}, total.versions, total.failures, total.left_out)


def row(target, records):
    """One line of a table: bound, ratio and whether it is met, both times, and who the other is."""
    ours, other = target.ours.best(records), target.other.best(records)
    if not ours or not other:
        return target.what, f"{target.bound:.2f}", "", "not measured", "", "", ""
    found = other.best / ours.best
    verdict = "met" if found >= target.bound else "missed"
    return (
        target.what,
        f"{target.bound:.2f}",
        f"{found:.2f}",
        verdict,
        seconds(ours.best),
        seconds(other.best),
        f"{other.peer} {other.contestant}",
    )


def markdown(path):
    """Markdown from targets.json."""
    results, cores = Results.load(path), files.read(path)["cores"]
    text = "The ratio is the other's best time over nbad's; the target is met where it reaches the bound."
    rows = [row(target, results.records) for target in targets(cores)]
    return "\n\n".join([head({**results.machine, **results.settings}), text, grid(TITLES, rows)]) + "\n"
