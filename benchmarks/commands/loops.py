"""The command `loops`: loops on data, and long ones, beside the same loop by hand and beside JAX's `scan`; on one thread."""

import shutil
from importlib.util import find_spec

from benchmarks.commands import beside, options

FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def rows():
    """What is measured, where the other can run."""
    by_hand = "the same loop by hand in C, with the same vector functions"
    every = [
        (shutil.which("gcc"), beside.Row("kepler", 1_000_000, 1, "c", by_hand, 1 / 1.2)),
        (True, beside.Row("kepler", 1_000_000, 1, "njit", "a plain njit loop", 5.0)),
        (find_spec("jax"), beside.Row("integration", 10_000, 1, "jax", "jit(vmap(jacfwd(scan)))", 2.0)),
    ]
    return [row for is_here, row in every if is_here]


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each contestant; default 10")
    options.add_output(parser)


def command(given):
    """Measure, print, and write loops.json."""
    return beside.run(given, "loops", rows(), XLA_FLAGS=FLAGS)
