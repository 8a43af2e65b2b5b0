"""The command `indexed`: picked arguments and sparse results, of bundle adjustment and of energies of nets, beside others."""

import itertools
import os
from importlib.util import find_spec

from benchmarks.cases.nets import NETS
from benchmarks.commands import beside, options

OTHERS = {
    "gathered": "nbad's vjp of arrays that were gathered before, cotangents in their shapes",
    "add.at": "np.add.at",
    "segment_sum": "jax.ops.segment_sum",
    "coo": "the same blocks through SciPy's COO format",
    "serial": "a serial loop by hand, in Numba",
    "parallel": "a parallel loop by hand, in Numba",
    "jax": "JAX: jit of vmap, grad, hessian and segment_sum",
}


def rows(observations, elements, threads):
    """What is measured, where the other can run: nets on one thread, too, without the loop that is for several."""
    every = [
        ("bundle, vjp", observations, threads, "gathered", 1 / 1.3),
        ("bundle, scatter", observations, threads, "add.at", 5.0),
        ("bundle, scatter", observations, threads, "segment_sum", 1.0),
        ("bundle, Jacobian", observations, threads, "coo", 1.0),
    ]
    for net, what, count in itertools.product(NETS, ("value", "gradient", "hessian"), sorted({1, threads})):
        others = ["serial", *(["parallel"] if count > 1 else []), "jax"]
        every += [(f"{net}, {what}", elements, count, other, None) for other in others]
    here = [row for row in every if row[3] not in ("segment_sum", "jax") or find_spec("jax")]
    return [beside.Row(*row, other, OTHERS[other], bound) for *row, other, bound in here]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each contestant; default 10")
    parser.add_argument("--observations", type=options.whole, default=1_000_000, help="of bundle adjustment; default 1e6")
    parser.add_argument("--elements", type=options.whole, default=100_000, help="springs, and triangles; default 1e5")
    parser.add_argument("--threads", type=options.whole, default=os.cpu_count(), help="of each contestant; default all")
    options.add_output(parser)


def command(given):
    """Measure, print, and write indexed.json."""
    return beside.run(given, "indexed", rows(given.observations, given.elements, given.threads))
