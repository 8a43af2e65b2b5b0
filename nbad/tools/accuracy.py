"""How exact values and derivatives of each operation are, in ulp: `python -m nbad.tools.accuracy` writes the table of its README.

Every function of the primitive table is compiled as a kernel that returns its value, its partials and its second partials. At
random points of its domain and at its hard points they are compared with differences of its definition in 420 digits.
"""

import argparse
import functools
import itertools
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nbad.api.kernel import Kernel
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.kernels import Traced
from nbad.graphs.simplify import simplify
from nbad.graphs.structures import in_places
from nbad.operations.row import UNKNOWN, Operation
from nbad.operations.table import ROWS, TABLE
from nbad.testing.exact import exact

README = Path(__file__).parents[1] / "operations" / "README.md"
POINTS, SEED = 300, 1
DIGITS, STEP_DIGITS = 420, 30  # of the arithmetic and of a relative step: what is 1e-304 beside 1 keeps 20 digits
FEWER_DIGITS = 100, 20  # of functions that take long in many digits, and need none
SLOW = re.compile(r"bessel|zeta|(?<!/)\b(?:gamma|digamma|beta)\(")
WIDE = (-20.0, 20.0)  # where a row names no domain
EVEN = 1e3  # beyond it, points are spread over magnitudes only
MARGIN = 16  # from the ends of the range of a dtype: products on the way overflow earlier
WORTHWHILE = 14.0  # cost of an operation that may round more than once
STEPS = (0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)  # measured errors are published rounded up to these
MATHS = ("simd", "libm")
COLUMNS = ("operation", "domain", "value", "first partials", "second partials", "value in float32")
HEAD = f"| {' | '.join(COLUMNS)} |\n| {' | '.join('---' for _ in COLUMNS)} |\n"
Order = tuple[int, ...]  # the operands by which a partial is taken, one after the other
REFERENCES: dict[int, Callable[..., Any]] = {1: lambda x: x, 2: lambda x, y: x, 3: lambda x, y, z: x}


@dataclass(frozen=True)
class Errors:
    """The worst errors of one operation with one kind of math, in units in the last place."""

    value: float
    first: float
    second: float
    single: float

    def __iter__(self) -> Iterator[float]:
        return iter((self.value, self.first, self.second, self.single))


def rows() -> list[Operation]:
    """The operations that a kernel can name and that may round more than once."""
    return [row for row in ROWS if row.spellings and row.partials and row.kind == "real" and row.cost >= WORTHWHILE]


def measure(row: Operation, math: str = "simd", count: int = POINTS) -> Errors:
    """The worst errors of an operation, at `count` random points of its domain and at its hard points.

    Parameters
    ----------
    row : Operation
    math : "simd" or "libm"
    count : int

    Returns
    -------
    Errors

    Examples
    --------
    >>> from nbad.operations.table import TABLE
    >>> measure(TABLE["div"], count=5).value <= 0.5
    True
    """
    points = np.array([*row.samples, *_random_points(row, count)])
    graph, orders = _derivatives(row)
    worst = [0.0, 0.0, 0.0]
    for order, error in _errors(row, graph, orders, points, math):
        worst[order] = max(worst[order], error)
    with np.errstate(over="ignore"):
        narrow = points.astype(np.float32)
    single = [error for _, error in _errors(row, _operation(row), [()], narrow, math)]
    value, first, second = worst
    return Errors(value, first, second, max(single))


def _errors(row: Operation, graph: Graph, orders: Sequence[Order], points: np.ndarray, math: str) -> Iterator[tuple[int, float]]:
    """Order and error of every result at every point, in the dtype of the points."""
    traced = Traced(simplify(graph), ((),) * len(orders), in_places(len(orders)))
    kernel = Kernel(REFERENCES[len(row.operands)], math=math, tracer=lambda arguments, constants: traced)
    results = kernel(*points.T)
    for k, point in enumerate(points):
        for order, got, true in zip(orders, results, _truth(row.name, tuple(point), tuple(orders)), strict=True):
            error = _ulps(got[k], true)
            if error is not None:
                yield len(order), error


def _operation(row: Operation) -> Graph:
    builder = GraphBuilder(row.name, "xyz"[: len(row.operands)])
    return builder.build([builder.add(row.name, *range(len(row.operands)))])


def _derivatives(row: Operation) -> tuple[Graph, list[Order]]:
    """A graph of the value and all partials to second order that are not zero by structure, and by which operands each is."""
    graph, slots = _operation(row), tuple(range(len(row.operands)))
    nodes = graph.nodes
    outputs: dict[Order, int] = {(): graph.outputs[0]}
    for length in (0, 1):
        known = [order for order in outputs if len(order) == length]
        joint = jacobian(Graph(row.name, graph.inputs, nodes, tuple(outputs[order] for order in known)), slots)
        nodes = joint.graph.nodes
        for (m, n), node in zip(joint.positions, joint.graph.outputs[len(known) :], strict=True):
            if (not known[m] or n >= known[m][-1]) and (row.partials or ())[n] not in UNKNOWN:
                outputs[(*known[m], n)] = node
    return Graph(row.name, graph.inputs, nodes, tuple(outputs.values())), list(outputs)


def _random_points(row: Operation, count: int) -> list[tuple[float, ...]]:
    rng = np.random.default_rng([SEED, zlib.crc32(row.name.encode())])  # the same points whatever rows are added
    intervals = row.domain or (WIDE,) * len(row.operands)
    return list(zip(*(_numbers(rng, low, high, count) for low, high in intervals), strict=True))


def _numbers(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """Numbers of an interval: evenly spread, over all magnitudes, and close to an end that is 1 or -1."""
    even = rng.uniform(max(low, -EVEN), min(high, EVEN), count)
    smallest = math.log10(low) if low > 0 else -12.0
    signs = rng.choice([-1.0, 1.0], count) if low < 0 else np.ones(count)
    sizes = signs * 10.0 ** rng.uniform(smallest, math.log10(max(-low, high)), count)
    ends = [end for end in (low, high) if abs(end) == 1.0]
    close = [end * (1.0 + side * 10.0 ** rng.uniform(-14, -1, count)) for end in ends for side in (-1, 1)]
    candidates = np.concatenate([even, sizes, *close])
    return rng.permutation(candidates[(candidates > low) & (candidates < high)])[:count]


@functools.cache  # the same for each kind of math
def _truth(op: str, point: tuple[float, ...], orders: tuple[Order, ...]) -> list[Any]:
    """Value and partials by differences in many digits; nan where they are not finite numbers."""
    import mpmath

    graph = _operation(TABLE[op])
    digits, step_digits = FEWER_DIGITS if SLOW.search(str(TABLE[op].expression)) else (DIGITS, STEP_DIGITS)
    with mpmath.workdps(digits):
        center = [mpmath.mpf(float(x)) for x in point]
        steps = [(abs(x) or 1) / mpmath.mpf(10) ** step_digits for x in center]
        known = {}

        def moved(*shifts: int) -> Any:
            if shifts not in known:
                known[shifts] = exact(graph, [x + s * h for x, s, h in zip(center, shifts, steps, strict=True)], digits)[0]
            return known[shifts]

        return [_difference(moved, order, steps) for order in orders]


def _difference(moved: Callable[..., Any], order: Order, steps: Sequence[Any]) -> Any:
    """The central difference by these operands; `moved` takes one whole number of steps for each."""
    zero = [0] * len(steps)
    total = 0
    for signs in itertools.product((1, -1), repeat=len(order)):
        shifts = list(zero)
        for n, sign in zip(order, signs, strict=True):
            shifts[n] += sign
        total += math.prod(signs) * moved(*shifts)
    return total / math.prod(2 * steps[n] for n in order)


def _ulps(got: np.floating, true: Any) -> float | None:
    """The error in units in the last place; None where the true value is close to no normal number of the dtype."""
    import mpmath

    info = np.finfo(got.dtype)
    if not mpmath.isfinite(true) or not MARGIN * float(info.tiny) <= abs(true) <= float(info.max) / MARGIN:
        return None
    unit = mpmath.mpf(float(np.spacing(np.abs(got.dtype.type(float(true))))))
    return float(abs(mpmath.mpf(float(got)) - true) / unit) if np.isfinite(got) else math.inf


def line(row: Operation, measured: Sequence[Errors]) -> str:
    """The line of one operation in the table, from its errors with each kind of math."""
    domain = " x ".join(f"({low:g}, {high:g})" for low, high in row.domain or (WIDE,) * len(row.operands))
    cells = [" / ".join(published(error) for error in errors) for errors in zip(*measured, strict=True)]
    return f"| {' | '.join([f'`{row.name}`', domain, *cells])} |\n"


def published(error: float) -> str:
    """An error, rounded up."""
    return f"{next((step for step in STEPS if error <= step), math.inf):g}"


def read_table() -> dict[str, list[Errors]]:
    """The published errors of each operation, for each kind of math."""
    lines = README.read_text(encoding="utf-8").partition(HEAD)[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in text.strip("|").split("|")] for text in lines]
    return {
        name.strip("`"): [Errors(*map(float, found)) for found in zip(*(c.split(" / ") for c in rest), strict=True)]
        for name, _, *rest in cells
    }


def _worst(measured: list[Errors], known: list[Errors] | None) -> list[Errors]:
    pairs = zip(measured, known or measured, strict=True)
    return [Errors(*map(max, ours, theirs)) for ours, theirs in pairs]


def write_table(count: int = POINTS) -> None:
    """Measure everything, and put the worst of it and of what is published into the README of `nbad/operations`: hosts differ."""
    known = read_table()
    lines = [line(row, _worst([measure(row, math, count) for math in MATHS], known.get(row.name))) for row in rows()]
    before, _, after = README.read_text(encoding="utf-8").partition(HEAD)
    README.write_text("".join([before, HEAD, *lines, "\n", after.partition("\n\n")[2]]), encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # `--help` tells what this writes, and writes nothing
    write_table()
