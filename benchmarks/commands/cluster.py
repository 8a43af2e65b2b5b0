"""The command `cluster`: `nbad.integrations.dask.vjp` over processes of this machine; what grows with data, workers and seeds.

A fit's sweeps: a curve of four parameters over many points, differentiated by the parameters, so that sums come to the client.
Points lie on the workers before anything is timed; seeds are ones, which dask makes without memory.
"""

import math
import statistics
import time
from contextlib import nullcontext

import numpy as np

import nbad
from benchmarks.cases.task import plural, short
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.report import files
from benchmarks.report.pages import grid, head

BLOCK, PARAMETERS, ROUNDS = 1 << 18, (700.0, 5.28, 0.76, 1.28), 5
# what grows: cases of workers, blocks, elements of a block, seeds; without workers it is nbad alone, on all threads
CASES = {
    "data": [(2, blocks, BLOCK, 8) for blocks in (2, 4, 8, 16, 32, 64)],
    "workers": [(workers, 64, BLOCK, 16) for workers in (0, 1, 2)],
    "seeds": [(2, 16, BLOCK, seeds) for seeds in (1, 4, 16, 64)],
    "blocks": [(2, blocks, 256, 1) for blocks in (16, 64, 256, 1024)],
}
NAMES = "grows", "workers", "blocks", "block", "seeds"
TITLES = ["grows", "workers", "blocks", "elements", "seeds", "forward", "reverse", "tasks", "graph", "between workers"]


@nbad.kernel
def growth(x, b1, b2, b3, b4):
    """Richards' curve, NIST's rat43."""
    return b1 / (1 + math.exp(b2 - b3 * x)) ** (1 / b4)


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--rounds", type=options.whole, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--grows", type=options.names(list(CASES)), metavar="NAMES", help="between commas; default all")
    options.add_output(parser)


def command(given):
    """Measure, print, write cluster.json and, where matplotlib is installed, cluster.png."""
    chosen = [(name, case) for name in given.grows or CASES for case in CASES[name]]
    rows = []
    with options.progress(len(chosen)) as step:
        for workers in sorted({case[0] for _, case in chosen}):
            with _cluster(workers) if workers else nullcontext() as client:
                for name, case in chosen:
                    if case[0] == workers:
                        step(f"{name}: {plural(case[1], 'block')} of {short(case[2])}, {plural(case[3], 'seed')}")
                        found = _measure(client, *case[1:], given.rounds) if client else _alone(*case[1:], given.rounds)
                        rows.append(
                            dict(zip(("grows", "workers", "blocks", "block", "seeds"), (name, *case), strict=True)) | found
                        )
    rows.sort(key=lambda row: list(CASES).index(row["grows"]))
    files.write(given.out, "cluster", machine.describe(), rounds=given.rounds, rows=rows)
    options.show(TITLES, list(map(_cells, rows)))
    draw(rows, given.out / "cluster.png")
    return 0


def _cluster(workers):
    """A client of so many processes, each of one thread."""
    import distributed

    settings = dict(threads_per_worker=1, processes=True, dashboard_address=":0", env={"NUMBA_NUM_THREADS": "1"})
    return distributed.Client(distributed.LocalCluster(n_workers=workers, **settings), set_as_default=True)


def _measure(client, blocks, block, seeds, rounds):
    """Median seconds of the forward and of the reverse sweep, and what they cost beside time."""
    import dask
    import dask.array as da
    import distributed

    n = blocks * block
    x = da.linspace(0.5, 15.0, n, chunks=block).persist()
    distributed.wait(x)
    forward, reverse, before = [], [], _sent(client)
    for number in range(rounds + 1):
        start = time.perf_counter()
        _, pullback = nbad.integrations.dask.vjp(growth, x, *PARAMETERS, argnums=(1, 2, 3, 4))
        distributed.wait(pullback._blocks)
        middle = time.perf_counter()
        bars = pullback.batched(da.ones((seeds, n), chunks=(seeds, block)))
        found = dask.compute(*bars)
        end = time.perf_counter()
        if number:  # the first one compiles
            forward.append(middle - start)
            reverse.append(end - middle)
    _check(found, n, seeds)
    layers = dask.highlevelgraph.HighLevelGraph.merge(*(bar.__dask_graph__() for bar in bars))
    tasks, graph = len(layers), len(distributed.protocol.pickle.dumps(layers))
    moved = (_sent(client) - before) / (rounds + 1)
    times = {"forward": statistics.median(forward), "reverse": statistics.median(reverse)}
    return times | {"tasks": tasks, "graph": graph, "moved": moved}


def _alone(blocks, block, seeds, rounds):
    """The same in this process, without dask."""
    n, forward, reverse = blocks * block, [], []
    x, ones = np.linspace(0.5, 15.0, n), np.broadcast_to(1.0, (seeds, n))
    for _ in range(rounds + 1):
        start = time.perf_counter()
        _, pullback = nbad.vjp(growth, x, *PARAMETERS, argnums=(1, 2, 3, 4))
        middle = time.perf_counter()
        found = pullback.batched(ones)
        forward.append(middle - start)
        reverse.append(time.perf_counter() - middle)
    _check(found, n, seeds)
    times = {"forward": statistics.median(forward[1:]), "reverse": statistics.median(reverse[1:])}
    return times | {"tasks": 0, "graph": 0, "moved": 0}


def _sent(client):
    """Bytes that workers have sent to one another, or to the client."""
    return sum(client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total).values())


def _check(found, n, seeds):
    """The derivative by b1 is the curve over b1: its sum, in NumPy, for each seed."""
    _, b2, b3, b4 = PARAMETERS
    expected = np.sum((1 + np.exp(b2 - b3 * np.linspace(0.5, 15.0, n))) ** (-1 / b4))
    if found[0].shape != (seeds,) or not np.allclose(found[0], expected, rtol=1e-10):
        raise SystemExit(f"wrong: {found[0]}, not {expected}")


def draw(rows, path):
    """The picture: a panel for each thing that grows."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib import ticker

    axis = {"data": "blocks", "workers": "workers", "seeds": "seeds", "blocks": "blocks"}
    names = [name for name in axis if any(row["grows"] == name for row in rows)]
    figure, panels = plt.subplots(
        1, len(names), figsize=(3.4 * len(names), 3.2), squeeze=False, sharey=True, layout="constrained"
    )
    for panel, name in zip(panels[0], names, strict=True):
        found = [row for row in rows if row["grows"] == name]
        ticks = [row[axis[name]] for row in found]
        for sweep, mark in (("forward", "s-"), ("reverse", "o-")):
            panel.plot(ticks, [row[sweep] * 1e3 for row in found], mark, label=sweep)
        panel.set(xscale="linear" if name == "workers" else "log", yscale="log", xlabel=axis[name])
        panel.set_title(f"{name}: blocks of {short(found[0]['block'])}", fontsize="medium")
        panel.set_xticks(ticks, [str(tick) if tick else "no dask" for tick in ticks], minor=False)
        panel.xaxis.set_minor_locator(ticker.NullLocator())
        panel.yaxis.set_major_formatter("{x:g}")
    panels[0][0].set_ylabel("milliseconds")
    panels[0][0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def markdown(path):
    """Markdown from cluster.json."""
    body = files.read(path)
    about = (
        f"Medians of {plural(body['rounds'], 'round')}; each worker is a process of one thread; graph: bytes sent for one sweep."
    )
    return "\n\n".join([head(body["machine"]), about, grid(TITLES, list(map(_cells, body["rows"])))]) + "\n"


def _cells(row):
    n = row["blocks"] * row["block"]
    times = [f"{row[key] * 1e3:,.0f} ms" for key in ("forward", "reverse")]
    return [
        row["grows"],
        row["workers"],
        f"{row['blocks']} x {short(row['block'])}",
        short(n),
        row["seeds"],
        *times,
        row["tasks"],
        f"{row['graph']:,}",
        f"{row['moved']:,.0f}",
    ]
