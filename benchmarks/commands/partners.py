"""The command `partners`: a kernel as a function of PyTorch's or JAX's, beside their own code, forwards and backwards."""

import itertools
from importlib.util import find_spec

from benchmarks.commands import beside, options
from benchmarks.measure import machine

BOUNDS = {"torch": 1.0, "jax": 1.0, "jax, calls of Python": None}
LARGE = 100_000  # elements from which on bounds hold


def rows(elements, threads):
    """What is measured, where the partner is installed."""
    here = [partner for partner in BOUNDS if find_spec(partner.partition(",")[0])]
    return [
        beside.Row(partner, n, count, "native", "its own code", BOUNDS[partner] if n >= LARGE else None)
        for partner, n, count in itertools.product(here, elements, threads)
    ]


def add_options(parser):
    """Options of the command."""
    default = sorted({1, machine.cores()})
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each contestant; default 10")
    parser.add_argument("--elements", type=options.numbers, default=[1_000, 100_000], help="between commas; default 1e3,1e5")
    parser.add_argument("--threads", type=options.numbers, default=default, help="between commas; default 1 and all cores")
    options.add_output(parser)


def command(given):
    """Measure, print, and write partners.json."""
    return beside.run(given, "partners", rows(given.elements, given.threads))
