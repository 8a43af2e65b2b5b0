"""The command `compiled`: a kernel in a user's own `njit` loop, beside plain Numba and nbad's array calls; on one thread.

Both of a pair are timed in turn, in this process. Plain Numba runs the kernel's own Python function, for derivatives the source
that nbad prints of the same operations. Results are compared before anything is timed.
"""

import functools
import math
from dataclasses import dataclass, field

import numba
import numpy as np

import nbad
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.measure.contestants import in_turn
from benchmarks.report import files
from benchmarks.report.tables import seconds
from nbad.codegen.python_source import print_python
from nbad.njit import extension
from nbad.njit.callees import callee_of
from nbad.njit.elements import Asked, element
from nbad.profiles import timing

TITLES = ["loop", "elements", "beside", "at most", "share", "", "nbad in njit", "other", "first call", "its first call"]
PLAIN, ARRAYS = "plain njit", "nbad's array call"


@nbad.kernel
def call_price(s, k, t, r, sigma):
    """Black-Scholes, by the error function."""
    deviation = sigma * math.sqrt(t)
    d1 = (math.log(s / k) + (r + 0.5 * sigma * sigma) * t) / deviation
    n1, n2 = 0.5 + 0.5 * math.erf(d1 * math.sqrt(0.5)), 0.5 + 0.5 * math.erf((d1 - deviation) * math.sqrt(0.5))
    return s * n1 - k * math.exp(-r * t) * n2


with_partials = nbad.value_and_grad(call_price, ("s", "k", "t", "r", "sigma"))


@dataclass
class Row:
    """nbad in compiled code beside another: seconds of each round, and the share of the other's time that it may take."""

    loop: str
    elements: int
    other: str
    bound: float
    first: dict = field(default_factory=dict)
    times: dict = field(default_factory=dict)

    @property
    def share(self):
        """Of the other's best time."""
        return min(self.times["nbad"]) / min(self.times["other"])

    @property
    def cells(self):
        """Text for tables."""
        verdict = "met" if self.share <= self.bound else "missed"
        best, first = ([seconds(min(found[who])) for who in ("nbad", "other")] for found in (self.times, self.first))
        return [self.loop, self.elements, self.other, f"{self.bound:.2f}", f"{self.share:.2f}", verdict, *best, *first]


def values(price):
    """A serial loop that writes one value for each element."""

    @numba.njit(error_model="numpy")
    def loop(s, k, t, r, sigma, out):
        for i in range(s.size):
            out[0, i] = price(s[i], k[i], t[i], r[i], sigma[i])

    return loop


def partials_in_rows():
    """The same that writes a value and five partials, into a row each."""

    @numba.njit
    def loop(s, k, t, r, sigma, out):
        for i in range(s.size):
            out[0, i], (out[1, i], out[2, i], out[3, i], out[4, i], out[5, i]) = with_partials(s[i], k[i], t[i], r[i], sigma[i])

    return loop


def plain_partials_in_rows():
    """The same by plain Numba, from the source of the operations that nbad computes."""
    asked = Asked(call_price.parameters, (), "float64")
    oplist = element(callee_of(with_partials), asked).oplist
    scope = {}
    exec(print_python(oplist), scope)
    derivative = numba.njit(error_model="numpy")(scope[oplist.name])

    @numba.njit(error_model="numpy")
    def loop(s, k, t, r, sigma, out):
        for i in range(s.size):
            out[0, i], out[1, i], out[2, i], out[3, i], out[4, i], out[5, i] = derivative(s[i], k[i], t[i], r[i], sigma[i])

    return loop


def contestants():
    """Each pair of calls, with what they are and the share that is allowed."""
    plain, ours = values(numba.njit(error_model="numpy")(call_price.__wrapped__)), values(call_price)

    def call(*arguments):
        *xs, out = arguments
        call_price(*xs, out=out[0])

    def both(*arguments):
        *xs, out = arguments
        with_partials(*xs, out=(out[0], tuple(out[1:])))

    rows, plain_rows = partials_in_rows(), plain_partials_in_rows()
    yield "value", PLAIN, 0.25, ours, plain
    yield "value", ARRAYS, 1.1, ours, call
    yield "value and 5 partials", PLAIN, 0.3, rows, plain_rows
    yield "value and 5 partials", ARRAYS, 1.1, rows, both


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=30, help="timings of each contestant; default 30")
    parser.add_argument("--elements", type=options.whole, default=10_000, help="default 1e4")
    options.add_output(parser)


def command(given):
    """Measure, print, and write compiled.json."""
    extension.init()
    numba.set_num_threads(1)
    before, found = machine.describe(), list(measured(given.elements, given.rounds))
    files.write(given.out, "compiled", before, rows=[vars(row) for row in found])
    options.show(TITLES, [row.cells for row in found])
    return 0


def measured(elements, rounds):
    """Compare results, then time both in turn."""
    rng = np.random.default_rng(0)
    xs = [rng.uniform(a, b, elements) for a, b in ((80, 120), (80, 120), (0.1, 2.0), (0.0, 0.06), (0.1, 0.6))]
    for loop, other, bound, ours, theirs in contestants():
        row, results = Row(loop, elements, other, bound), {who: np.zeros((6, elements)) for who in ("nbad", "other")}
        calls = {"nbad": functools.partial(ours, *xs, results["nbad"]), "other": functools.partial(theirs, *xs, results["other"])}
        row.first = {who: [timing.seconds(call)] for who, call in calls.items()}
        np.testing.assert_allclose(*results.values(), rtol=1e-9, atol=1e-9)
        row.times = in_turn({who: functools.partial(timing.seconds, call) for who, call in calls.items()}, rounds)
        yield row


def markdown(path):
    """Markdown from compiled.json."""
    return files.page(path, TITLES, Row)
