"""The command `policies`: what each residual policy costs for 1, 8 and 64 seeds, and whether "auto" takes the right one.

A timing is one forward sweep and one batched reverse sweep of all seeds, into memory that is used again: a policy that spares the
first may load the second. The rounds go over all policies of a case, so that whatever else the machine does meets all alike.

On one thread a time is that of the thread on its core, so that waiting for a busy machine does not count.
"""

import itertools
import math
import time
from dataclasses import asdict, dataclass, field

import numba
import numpy as np

import nbad
from benchmarks.cases.gallery import subjects
from benchmarks.cases.task import plural
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.report import files
from benchmarks.report.pages import grid, head
from benchmarks.report.tables import seconds

FIXED = ("partials", "mincut", "recompute")
SEEDS = (1, 8, 64)
ELEMENTS = 200_000
ALLOWED = 1.10  # time of "auto" over that of the best fixed policy
LEAST, QUIET = 12, 8  # rounds at least; rounds in a row in which no policy gets faster, after which a case is done
SHORTEST = 0.3  # seconds of a case at least
FASTER, ALIKE = 0.99, 1.03
EXAMPLES = {"black_scholes", "kirby2", "reprojection", "rigid_transform", "specific_volume"}  # shown beside the cost model
TITLES = ["kernel", "elements", "seeds", *FIXED, "auto", "auto takes", "over the best", ""]
MODEL_TITLES = ["kernel", "policy", "residuals", "forward", "model", "reverse of 1 seed", "model", "each further seed", "model"]


@dataclass
class Trial:
    """One kernel and number of seeds: seconds of the forward and of the reverse sweep by policy, a pair for each round.

    `chosen` is the policy that "auto" takes; `model` has, for each fixed policy, the number of residuals, and the nanoseconds for
    one element that the cost model expects of the forward sweep, of a reverse sweep, and of each of its seeds.
    """

    kernel: str
    elements: int
    seeds: int
    chosen: str
    model: dict
    times: dict = field(default_factory=dict)

    def best(self, policy):
        """Seconds of both sweeps in the best round."""
        return min(map(sum, self.times[policy]))

    def sweep(self, policy, which):
        """Seconds of the forward (0) or of the reverse sweep (1) in its best round."""
        return min(pair[which] for pair in self.times[policy])

    @property
    def ratio(self):
        """Time of "auto" over that of the best fixed policy."""
        return self.best("auto") / min(map(self.best, FIXED))

    @property
    def cells(self):
        """Text for tables."""
        times = [seconds(self.best(policy)) for policy in (*FIXED, "auto")]
        verdict = "met" if self.ratio <= ALLOWED else "missed"
        return [self.kernel, self.elements, self.seeds, *times, self.chosen, f"{self.ratio:.2f}", verdict]


def add_options(parser):
    """Options of the command."""
    known = list(subjects())
    parser.add_argument("--kernels", type=options.names(known), default=known, metavar="NAMES", help="default the whole gallery")
    parser.add_argument("--seeds", type=options.numbers, default=SEEDS, metavar="NUMBERS", help="default 1,8,64")
    parser.add_argument("--elements", type=options.whole, default=ELEMENTS, help=f"at most; default {ELEMENTS}")
    parser.add_argument("--threads", type=options.whole, default=machine.cores(), help="default all")
    parser.add_argument("--seconds", type=float, default=8.0, help=f"for a case, which has at least {LEAST} rounds; default 8")
    parser.add_argument("--gib", type=float, default=0.5, help="of seeds and results; default 0.5")
    options.add_output(parser)


def command(given):
    """Measure, print, and write policies.json."""
    numba.set_num_threads(given.threads)
    facts, trials = {**machine.describe(), "threads": given.threads}, []
    with options.progress(len(given.kernels)) as step:
        for name in given.kernels:
            step(name)
            trials += measure(subjects()[name], given)
    facts["load after the run"] = machine.load()
    files.write(given.out, "policies", facts, trials=[asdict(t) for t in trials])
    options.show(TITLES, [trial.cells for trial in trials])
    options.show(MODEL_TITLES, model_rows(trials))
    return 0


def measure(subject, given):
    """Time one kernel for every number of seeds.

    Parameters
    ----------
    subject : Subject
    given : options of the command

    Returns
    -------
    list of Trial
    """
    case = _Case(subject, _elements(subject, given), time.thread_time if given.threads == 1 else time.perf_counter)
    return [case.trial(seeds, given.seconds) for seeds in given.seeds]


class _Case:
    """A kernel with its inputs; seeds and results for the number of seeds that is being timed."""

    def __init__(self, subject, n, clock):
        self.subject, self.inputs, self.clock = subject, subject.inputs(n), clock
        self.value = subject.kernel(*self.inputs)

    def trial(self, count, allotted):
        seeds, out = self._seeds(count), None
        told = nbad.explain(self.subject.kernel, *self.inputs, seeds=count, argnums=self.subject.argnums)
        model = {
            a.policy: (len(a.residuals), a.forward.nanoseconds, a.call.nanoseconds, a.seed.nanoseconds) for a in told.policies
        }
        found = Trial(self.subject.name, told.elements, count, told.policy, model, {p: [] for p in (*FIXED, "auto")})
        for policy in found.times:
            *_, out = self._sweeps(policy, count, seeds, out)
        for policy in _turns(found, allotted):
            forward, reverse, _ = self._sweeps(policy, count, seeds, out)
            found.times[policy].append((forward, reverse))
        return found

    def _sweeps(self, policy, count, seeds, out):
        """Seconds of both sweeps, and the results."""
        start = self.clock()
        _, pullback = nbad.vjp(self.subject.kernel, *self.inputs, argnums=self.subject.argnums, residuals=policy, seeds=count)
        middle = self.clock()
        out = pullback.batched(seeds, out=out)
        return middle - start, self.clock() - middle, out

    def _seeds(self, count):
        rng = np.random.default_rng(1)
        leaves = self.value if isinstance(self.value, tuple) else (self.value,)
        seeds = tuple(rng.standard_normal((count, *leaf.shape)) for leaf in leaves)
        return seeds if isinstance(self.value, tuple) else seeds[0]


def _turns(trial, allotted):
    """The policies round after round, each round in another order, until times have settled or the allotted ones have passed."""
    policies, start = list(trial.times), time.monotonic()
    for number in itertools.count():
        passed = time.monotonic() - start
        if number >= LEAST and (passed > allotted or (passed > SHORTEST and _is_settled(trial))):
            return
        turn = number % len(policies)
        yield from policies[turn:] + policies[:turn]


def _is_settled(trial):
    """Whether no policy got faster in the last rounds, and "auto" is as fast as the policy that it takes: it is the same code."""
    totals = [[sum(pair) for pair in times] for times in trial.times.values()]
    improves = any(min(rounds[-QUIET:]) < FASTER * min(rounds[:-QUIET]) for rounds in totals)
    low, high = sorted(map(trial.best, ("auto", trial.chosen)))
    return not improves and high <= ALIKE * low


def _elements(subject, given):
    """As many as seeds and results of the largest batch leave room for."""
    told = nbad.explain(subject.kernel, *subject.inputs(1000), argnums=subject.argnums)
    return min(given.elements, int(given.gib * 2**30 / max(given.seeds) / told.policies[0].seed.bytes))


def model_rows(trials):
    """For each kernel and policy: nanoseconds for one element, measured beside the model's."""
    rows = []
    for name, group in itertools.groupby(trials, key=lambda trial: trial.kernel):
        first, *_, last = list(group) * 2
        rows += [[name, policy, first.model[policy][0], *_beside(first, last, policy)] for policy in FIXED]
    return rows


def _beside(first, last, policy):
    """Pairs of measured and expected nanoseconds: forward, reverse with one seed, each further seed."""
    _, forward, call, seed = first.model[policy]
    scale, more = 1e9 / first.elements, last.seeds - first.seeds
    one, many = first.sweep(policy, 1), last.sweep(policy, 1)
    further = (many - one) / more if more else math.nan
    pairs = (first.sweep(policy, 0), forward), (one, call + seed), (further, seed)
    return [text for measured, expected in pairs for text in (f"{measured * scale:.2f}", f"{expected:.2f}")]


def markdown(path):
    """Markdown from policies.json."""
    body = files.read(path)
    trials = [Trial(**fields) for fields in body["trials"]]
    missed = [t for t in trials if t.ratio > ALLOWED]
    text = f'"auto" is within 10 % of the best fixed policy in {len(trials) - len(missed)} of {plural(len(trials), "case")}.'
    parts = [head(body["machine"]), text, grid(TITLES, [t.cells for t in trials])]
    shown = [t for t in trials if t.kernel in {other.kernel for other in missed} | EXAMPLES]
    model = "Nanoseconds for one element, measured beside the cost model's (`nbad/plans/cost.py`), for some kernels:"
    return "\n\n".join([*parts, model, grid(MODEL_TITLES, model_rows(shown))]) + "\n"
