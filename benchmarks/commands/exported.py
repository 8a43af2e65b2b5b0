"""The command `exported`: the sweeps of exported modules, for every kernel of the gallery, beside nbad's own; on one thread.

Both work on the same memory: arguments, seeds and cotangents as rows of elements, of which nbad is given views; what either keeps
for itself begins at cache lines. They are timed in turns, forward sweeps apart from reverse ones: neither finds in the caches
what it has just written itself. Which pages an array gets decides up to a third of a sweep's time: all arrays are made anew,
several times. Values must have the same bits before anything is timed. The first run compiles for minutes.
"""

import functools
import importlib.util
import math
import sys
from dataclasses import dataclass, field

import numba
import numpy as np

import nbad
from benchmarks.cases.gallery import BROADCAST, subjects
from benchmarks.commands import options
from benchmarks.measure import machine
from benchmarks.report import files
from benchmarks.report.pages import grid, head
from benchmarks.report.tables import seconds
from nbad.profiles import timing
from nbad.runtime import memory
from nbad.tools.export import Module

SEEDS, BOUND = 8, 1.1  # of a reverse sweep; time of an exported sweep over that of nbad's
SWEEPS, WHOSE = ("forward", "reverse"), ("exported", "own")
TITLES = ["kernel", "elements", "at most", "forward", "", "reverse", "", "forward", "nbad's", "reverse", "nbad's"]
KNOWN = [name for name in subjects() if name != BROADCAST[1]]


@dataclass
class Row:
    """One kernel: seconds of each round, by the sweep, and whose it is."""

    kernel: str
    elements: int
    times: dict = field(default_factory=lambda: {f"{whose} {sweep}": [] for sweep in SWEEPS for whose in WHOSE})

    def add(self, calls, rounds):
        """Time the sweeps on one set of arrays."""
        for sweep in SWEEPS:
            for turn in range(rounds):
                for whose in WHOSE[:: -1 if turn % 2 else 1]:
                    self.times[f"{whose} {sweep}"].append(timing.seconds(calls[f"{whose} {sweep}"]))

    def share(self, sweep):
        """Of the time of nbad's own sweep, each at its best."""
        return min(self.times[f"exported {sweep}"]) / min(self.times[f"own {sweep}"])

    @property
    def cells(self):
        """Text for tables."""
        shares = [self.share(sweep) for sweep in SWEEPS]
        told = [text for share in shares for text in (f"{share:.2f}", "met" if share <= BOUND else "missed")]
        best = [seconds(min(self.times[f"{whose} {sweep}"])) for sweep in SWEEPS for whose in WHOSE]
        return [self.kernel, self.elements, f"{BOUND:.2f}", *told, *best]


def sweeps(subject, made, exported, n):
    """The four sweeps of a kernel as calls on new arrays, once their results were compared."""
    kernel, program = subject.kernel, made.program
    x, seeds = _rows(kernel, program, subject.inputs(n), n), _new(SEEDS, made.outputs, n)
    seeds[...] = np.random.default_rng(1).standard_normal(seeds.shape)
    y, kept, cotangents = _new(made.outputs, n), _new(made.residuals, n), _new(SEEDS, made.inputs, n)
    codes = [_new(1, n)] * bool(made.causes)
    arguments, names = dict(zip(program.names, _views(x, program.cores), strict=True)), tuple(program.names)
    given, out = program.structure.build(_views(seeds, program.leaves)), tuple(_views(cotangents, program.cores))
    forward = functools.partial(nbad.vjp, kernel, argnums=names, seeds=SEEDS, **arguments)
    value, pullback = forward()
    calls = {
        "own forward": forward,
        "exported forward": functools.partial(exported.forward, x, y, kept, *codes),
        "own reverse": functools.partial(pullback.batched, given, out=out),
        "exported reverse": functools.partial(exported.reverse, kept, seeds, cotangents),
    }
    calls["exported forward"]()
    for leaf, row in zip(program.structure.leaves(value), _views(y, program.leaves), strict=True):
        np.testing.assert_array_equal(leaf, row)
    calls["own reverse"]()
    own = cotangents.copy()
    calls["exported reverse"]()
    np.testing.assert_allclose(cotangents, own, rtol=1e-9, atol=1e-12)
    return calls


def _new(*shape):
    """An array as nbad makes its own: rows begin at cache lines, and no two arrays at the same place of a page."""
    return memory.empty(shape, np.dtype(float))


def _loaded(name, text, folder):
    """The module of a text, which is kept, and with it what Numba makes of it."""
    path = folder / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where cached code looks for its module
    spec.loader.exec_module(module)
    return module


def _rows(kernel, program, inputs, n):
    """Arguments as rows of elements (slots, n), defaults and what all elements share included."""
    given = dict(zip(kernel.parameters, inputs, strict=False))
    arrays = [np.asarray(given.get(name, kernel.default(name)), float) for name in program.names]
    full = (np.broadcast_to(a, (n, *core)).reshape(n, -1).T for a, core in zip(arrays, program.cores, strict=True))
    return np.concatenate(list(full), out=_new(sum(map(math.prod, program.cores)), n))


def _views(rows, cores):
    """Rows (..., slots, n) as arrays (..., n, *core) of the same memory."""
    views, start = [], 0
    for core in cores:
        part = rows[..., start : start + math.prod(core), :]
        start += math.prod(core)
        views.append(np.moveaxis(part.reshape(*rows.shape[:-2], *core, rows.shape[-1]), -1, rows.ndim - 2))
    return views


def add_options(parser):
    """Options of the command."""
    parser.add_argument("--kernels", type=options.names(KNOWN), default=KNOWN, metavar="NAMES", help="default the whole gallery")
    parser.add_argument("--elements", type=options.whole, default=100_000, help="default 1e5")
    parser.add_argument("--rounds", type=options.whole, default=10, help="timings of each sweep on a set of arrays; default 10")
    parser.add_argument("--places", type=options.whole, default=4, help="sets of arrays; default 4")
    options.add_output(parser)


def command(given):
    """Measure, print, and write exported.json."""
    numba.set_num_threads(1)
    folder, facts, rows = given.out / "exported", machine.describe(), []
    folder.mkdir(parents=True, exist_ok=True)
    with options.progress(len(given.kernels)) as step:
        for name in given.kernels:
            step(name)
            subject, row = subjects()[name], Row(name, given.elements)
            made = Module(subject.kernel, np.dtype(float), "auto", SEEDS)
            exported = _loaded(f"exported_{name}", made.text(), folder)
            places = []  # all are kept, so that each is another one
            for _ in range(given.places):
                places.append(sweeps(subject, made, exported, given.elements))
                row.add(places[-1], given.rounds)
            rows.append(row)
    files.write(given.out, "exported", facts, rows=[vars(row) for row in rows])
    options.show(TITLES, [row.cells for row in rows])
    return 0


def markdown(path):
    """Markdown from exported.json."""
    body = files.read(path)
    rows = [Row(**fields) for fields in body["rows"]]
    met = sum(row.share(sweep) <= BOUND for row in rows for sweep in ("forward", "reverse"))
    text = f"The share is the exported sweep's best time over nbad's: {met} of {2 * len(rows)} are at most {BOUND:.2f}."
    return "\n\n".join([head(body["machine"]), text, grid(TITLES, [row.cells for row in rows])]) + "\n"
