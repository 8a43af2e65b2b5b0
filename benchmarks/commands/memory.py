"""The command `memory`: what sweeps hold at most, measured in fresh processes, beside what `nbad.explain` and `max_bytes=` say.

A process counts pages of 4096 bytes that it touched (huge pages are off), what malloc has given back goes to the system at once.
"""

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.cases.gallery import BROADCAST
from benchmarks.cases.task import plural, short
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.process import Child
from benchmarks.report import files
from benchmarks.report.pages import grid, head

SEEDS = (1, 16, 1000)
ELEMENTS, TIMES_SEEDS = 2_000_000, 8_000_000  # of a case, and these times its seeds, at most
KERNELS = {  # kernels and policies; why they are here
    ("black_scholes", "partials"): "nothing summed",
    ("black_scholes", "recompute"): "nothing summed",
    ("rat43", "partials"): "sums over all elements",
    (BROADCAST[1], "partials"): "sums along some axes",
}
BOUNDED = (
    dict(kernel="rat43", elements=10_000_000, seeds=64, max_bytes=400_000_000),
    dict(kernel="rat43", elements=10_000_000, seeds=64, max_bytes=330_000_000),
    dict(kernel=BROADCAST[1], elements=10_000_000, seeds=64, max_bytes=200_000_000, argnums=[2]),
)
SLACK = 64 << 10  # bytes a thread: a tile of all its rows
OWN = 128 << 10  # bytes of Python objects that a call leaves, launches and pages half used
ENVIRONMENT = {"NUMPY_MADVISE_HUGEPAGE": "0", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
TITLES = ["kernel", "policy", "what is summed", "elements", "seeds", "measured", "explain says", "more", ""]
BOUNDED_TITLES = ["kernel", "elements", "seeds", "measured", "max_bytes", "left", ""]


@dataclass(frozen=True)
class Peak:
    """One measurement: bytes that were held at most, and bytes that were told, or allowed."""

    kernel: str
    elements: int
    seeds: int
    measured: int
    told: int
    threads: int
    policy: str | None = None

    @property
    def more(self):
        """Measured bytes beyond those that were told."""
        return self.measured - self.told

    @property
    def is_met(self):
        """Whether a bound is kept, or the measured peak is within a tile for each thread of what was told."""
        return self.more <= 0 if self.policy is None else abs(self.more) <= OWN + self.threads * SLACK

    @property
    def cells(self):
        """Text for tables."""
        verdict = "met" if self.is_met else "missed"
        size = [self.elements, self.seeds, f"{self.measured:,}", f"{self.told:,}"]
        if self.policy is None:
            return [self.kernel, *size, f"{-self.more:,}", verdict]
        return [self.kernel, self.policy, KERNELS[self.kernel, self.policy], *size, f"{self.more:,}", verdict]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--seeds", type=options.numbers, default=SEEDS, metavar="NUMBERS", help="default 1,16,1000")
    options.add_output(parser)


def command(given):
    """Measure, print, and write memory.json."""
    if not Path("/proc/self/clear_refs").exists():
        raise SystemExit("`memory` reads what Linux says of a process in /proc; there is no such thing here")
    requests, peaks = [*_requests(given.seeds), *(dict(do="bounded", **case) for case in BOUNDED)], []
    with options.progress(len(requests)) as step:
        for request in requests:
            step(f"{request['kernel']}, {plural(request['seeds'], 'seed')}")
            peaks.append(measure(request))
    files.write(given.out, "memory", machine.describe(), peaks=[asdict(peak) for peak in peaks])
    for titles, chosen in _tables(peaks):
        options.show(titles, [peak.cells for peak in chosen])
    return 0


def _requests(counts):
    for (kernel, policy), seeds in itertools.product(KERNELS, counts):
        elements = min(ELEMENTS, TIMES_SEEDS // seeds)
        yield dict(do="reverse", kernel=kernel, policy=policy, seeds=seeds, elements=elements)


def measure(request):
    """Run one case in a fresh process.

    Parameters
    ----------
    request : dict
        The name of a function of `benchmarks.measure.memory_case` under "do", and its arguments.

    Returns
    -------
    Peak
    """
    with Child("memory_case", **ENVIRONMENT) as child:
        found = child.ask(**request)
    return Peak(request["kernel"], seeds=request["seeds"], policy=request.get("policy"), **found)


def markdown(path):
    """Markdown from memory.json."""
    body = files.read(path)
    tables = [grid(titles, [peak.cells for peak in chosen]) for titles, chosen in _tables([Peak(**p) for p in body["peaks"]])]
    threads = body["peaks"][0]["threads"]
    first = f"Bytes of residuals, seeds, cotangents and what is summed, {plural(threads, 'thread')}; met within a tile a thread:"
    second = f"Working sets under `max_bytes=`, beside arguments, seeds and results; n = {short(BOUNDED[0]['elements'])}:"
    return "\n\n".join([head(body["machine"]), first, tables[0], second, tables[1]]) + "\n"


def _tables(peaks):
    """Headings and the peaks below them."""
    return (TITLES, [p for p in peaks if p.policy]), (BOUNDED_TITLES, [p for p in peaks if not p.policy])
