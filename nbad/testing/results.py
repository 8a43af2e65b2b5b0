"""Checks of where results go and what they may take: `out=`, `accumulate=`, `max_bytes=`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nbad.errors import ArgumentValueError
from nbad.testing.case import ELEMENTS, Case, leaves
from nbad.testing.comparisons import Findings, same
from nbad.verbs import jacobians

SEEDS = 3
CHUNKED = ((24, 1), (1, 30), (24, 30))  # shapes of arguments: each of the first two is shared along one axis
LARGEST_BOUND = 1 << 40


def accumulation(case: Case) -> Findings:
    """`out=` receives the bits of fresh results, `accumulate=True` adds them to what is there; the pullback stays as it was."""
    shared = [c[:1] if k == 0 and len(case.columns) > 1 else c for k, c in enumerate(case.columns)]
    for what, xs in (("no argument shared", case.columns), ("first argument shared", shared)):
        pullback = case.vjp(*xs)[1]
        for call, seeds in ((pullback, case.seeds(ELEMENTS)), (pullback.batched, case.seeds(SEEDS, ELEMENTS))):
            yield from _accumulated(f"{what}, {np.ndim(seeds[0]) - np.ndim(case.seeds(ELEMENTS)[0])} axes of seeds", call, seeds)
    yield from _filled(case)


def _accumulated(what: str, call: Callable[..., Any], seeds: Any) -> Findings:
    """One call into memory of its own: overwriting, adding, and afterwards the call as it was."""
    expected = [ct.copy() for ct in call(seeds)]
    out = tuple(np.full_like(ct, np.nan) for ct in expected)
    yield from same(f"{what}, returned by out=, cotangent", call(seeds, out=out), expected)
    yield from same(f"{what}, out= of cotangent", out, expected)
    for times in (2, 3):
        total = [a + ct for a, ct in zip(out, expected, strict=True)]
        call(seeds, out=out, accumulate=True)
        yield from same(f"{what}, {times} times accumulated, cotangent", out, total)
    yield from same(f"{what}, after accumulating, cotangent", call(seeds), expected)


def _filled(case: Case) -> Findings:
    """`out=` of the kernel and of its Jacobian."""
    y = [np.full_like(leaf, np.nan) for leaf in case.outputs(*case.columns)]
    case.kernel(*case.columns, out=case.pack(y))
    yield from same("out= of output", y, case.outputs(*case.columns))
    both = jacobians.value_and_jacobian(case.kernel, tuple(case.names))
    values, blocks = both(*case.columns)
    out = case.pack([np.full_like(leaf, np.nan) for leaf in leaves(values)]), np.full_like(blocks, np.nan)
    both(*case.columns, out=out)
    yield from same("out= of value_and_jacobian,", [*leaves(out[0]), out[1]], [*leaves(values), blocks])


def chunking(case: Case) -> Findings:
    """A bound on the working set does not show in the bits, be it the least that is accepted or twice that."""
    shapes = [CHUNKED[k % len(CHUNKED)] for k in range(len(case.columns))]
    xs = [np.resize(c, (*shape, *c.shape[1:])) for c, shape in zip(case.columns, shapes, strict=True)]
    y, free = case.vjp(*xs, residuals="partials")
    seeds = case.seeds(SEEDS, *np.broadcast_shapes(*shapes))
    expected = free.batched(seeds)
    least = _least_bound(case, xs)
    for bound in (least, 2 * least):
        values, pullback = case.vjp(*xs, residuals="partials", max_bytes=bound)
        yield from same("output under a bound,", values, y)
        yield from same("one seed under a bound, cotangent", pullback([w[1] for w in seeds]), [ct[1] for ct in expected])
        yield from same("many seeds under a bound, cotangent", pullback.batched(seeds), expected)
        out = tuple(np.ones_like(ct) for ct in expected)
        pullback.batched(seeds, out=out, accumulate=True)
        yield from same("accumulated under a bound, cotangent", out, [1.0 + ct for ct in expected])


def _least_bound(case: Case, xs: list[Any]) -> int:
    """The smallest `max_bytes=` that is accepted, to one part in 64."""
    low, high = 0, 1
    while high < LARGEST_BOUND and not _fits(case, xs, high):
        low, high = high, 2 * high
    while high - low > 1 + high // 64:
        middle = (low + high) // 2
        low, high = (low, middle) if _fits(case, xs, middle) else (middle, high)
    return high


def _fits(case: Case, xs: list[Any], bound: int) -> bool:
    try:
        case.vjp(*xs, residuals="partials", max_bytes=bound)
    except ArgumentValueError:
        return False
    return True
