"""Checks of shapes, strides, sizes, tile boundaries and threads."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from nbad.testing.case import ELEMENTS, Case, Pull, batch, flat
from nbad.testing.comparisons import Findings, Inapplicable, Near, Same, same

TILES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 511, 513)
MANY = (1 << 17) + 5  # enough elements for the parallel driver
SHAPES = ((3, 7, 53), (), (1,), (53,), (7, 1), (3, 1, 1))
SUM_ROUNDING = 256 * float(np.finfo(np.float64).eps)  # in units of the sum of magnitudes: one block, added in order


def broadcasting(case: Case) -> Findings:
    """Broadcast arguments against explicit tiling: the same values, and cotangents summed over the axes of broadcasting."""
    yield from _against_tiling(case, "shapes as given", case.given)
    for shift in range(len(SHAPES)):
        shapes = [SHAPES[(k + shift) % len(SHAPES)] for k in range(len(case.columns))]
        xs = [np.resize(c, (*shape, *c.shape[1:])) for c, shape in zip(case.columns, shapes, strict=True)]
        yield from _against_tiling(case, f"shapes {shapes}", xs)


def _against_tiling(case: Case, what: str, xs: Iterable[Any]) -> Findings:
    owns = list(map(batch, xs, case.cores))
    shape = np.broadcast_shapes(*owns)
    tiled = [np.array(np.broadcast_to(x, (*shape, *core))) for x, core in zip(xs, case.cores, strict=True)]
    (y, pullback), (expected, plain) = case.vjp(*xs), case.vjp(*tiled)
    yield from same(f"{what}, output", y, expected)
    seeds = _finite_seeds(case, plain, case.seeds(*shape))
    got, terms = pullback(seeds), plain(seeds)
    for n, k in enumerate(case.wrt):
        slots = zip(*(flat([cts[n]], [case.cores[k]]) for cts in (got, terms)), strict=True)
        for slot_got, slot_terms in slots:
            yield _summed(f"{what}, cotangent of `{case.names[n]}`", slot_got, slot_terms, owns[k])
    many = pullback.batched([np.stack([2 * w, w]) for w in seeds])
    yield from same(f"{what}, seed 1 of 2, cotangent", [ct[1] for ct in many], got)


def _finite_seeds(case: Case, pullback: Pull, seeds: list[Any]) -> list[Any]:
    """The seeds, but 0 at elements outside the domain, lest one nan hide a whole sum."""
    finite = np.all(np.isfinite(flat(pullback(seeds), case.wrt_cores)), axis=0)
    return [
        np.where(finite.reshape((*finite.shape, *(1 for _ in core))), w, 0.0)
        for w, core in zip(seeds, case.traced.outputs, strict=True)
    ]


def _summed(what: str, got: Any, terms: Any, own: tuple[int, ...]) -> Same | Near:
    """A sum over the axes along which shape `own` was broadcast; to the bit where there was none."""
    terms = np.asarray(terms)
    if own == terms.shape:
        return Same(what, got, terms)
    full = (1,) * (terms.ndim - len(own)) + own
    axes = tuple(k for k, size in enumerate(full) if size == 1)
    total, magnitude = (np.sum(a, axis=axes).reshape(own) for a in (terms.astype(np.longdouble), np.abs(terms)))
    return Near(what, got, total.astype(float), SUM_ROUNDING * magnitude)


def sizes(case: Case) -> Findings:
    """0-d, empty and one-element inputs against the first element of the full run; an empty sum is 0."""
    seeds = case.seeds(ELEMENTS)
    y, pullback = case.vjp(*case.columns)
    full = [*y, *pullback(seeds)]
    for shape in ((), (1,), (1, 1), (0,), (3, 0)):

        def cut(arrays: Iterable[Any], shape: tuple[int, ...] = shape) -> list[np.ndarray]:
            return [np.asarray(a)[: int(np.prod(shape))].reshape((*shape, *np.shape(a)[1:])) for a in arrays]

        y, pullback = case.vjp(*cut(case.columns))
        yield from same(f"shape {shape}, output", case.outputs(*cut(case.columns)), y)
        yield from same(f"shape {shape}, result", [*y, *pullback(cut(seeds))], cut(full))
    yield from _empty_sums(case)


def _empty_sums(case: Case) -> Findings:
    if len(case.columns) < 2:
        yield Inapplicable("an empty sum needs two arguments")
        return
    y, pullback = case.vjp(*(c[0] for c in case.columns[:-1]), case.columns[-1][:0])
    yield Same("output of one element with an empty array", y[0].shape, (0, *case.traced.outputs[0]))
    for k, ct in zip(case.wrt, pullback(case.seeds(0)), strict=True):
        own = () if k < len(case.columns) - 1 else (0,)
        yield Near("cotangent of one element with an empty array", ct, np.zeros((*own, *case.cores[k])), 0.0)


def _unaligned(a: np.ndarray) -> np.ndarray:
    """The same values, one byte off their alignment."""
    raw = np.empty(a.nbytes + 1, np.uint8)[1:]
    moved = raw.view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


def _field(a: np.ndarray) -> np.ndarray:
    """A field of an array of structures."""
    structures = np.zeros(a.shape[:2], [("before", "i1"), ("x", a.dtype, a.shape[2:])])
    structures["x"] = a
    return structures["x"]


def _read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS: dict[str, Callable] = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "every other element": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "field of structures": _field,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "unaligned": _unaligned,
    "read-only": _read_only,
}


def layouts(case: Case) -> Findings:
    """Memory layout and byte order of inputs and seeds do not show in the bits."""
    columns, seeds = ([a[:1026].reshape(19, 54, *a.shape[1:]) for a in arrays] for arrays in (case.columns, case.seeds(ELEMENTS)))
    y, pullback = case.vjp(*columns)
    expected = [*y, *pullback(seeds)]
    for what, layout in LAYOUTS.items():
        y, pullback = case.vjp(*map(layout, columns))
        yield from same(f"{what}, result", [*y, *pullback([layout(w) for w in seeds])], expected)


def tiles(case: Case) -> Findings:
    """Any slice of the input gives the bits of the same elements of the whole."""
    seeds, (y, pullback) = case.seeds(ELEMENTS), case.vjp(*case.columns)
    whole = [*y, *pullback(seeds)]
    for count in TILES:
        for part in (slice(0, count), slice(ELEMENTS - count, ELEMENTS)):
            y, pullback = case.vjp(*(c[part] for c in case.columns))
            yield from same(f"{count} elements, result", [*y, *pullback([w[part] for w in seeds])], [a[part] for a in whole])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def threads(case: Case) -> Findings:
    """One thread and all threads give the same bits, sums over broadcast axes included."""
    most = numba.config.NUMBA_NUM_THREADS
    if most == 1:
        yield Inapplicable("NUMBA_NUM_THREADS is 1")
    with _threads(1):
        alone = _many(case)
    with _threads(most):
        yield from same("one thread and all, result", _many(case), alone)


def _many(case: Case) -> list[Any]:
    """Every kind of result over more elements than one thread is given; the first argument is broadcast in the second half."""
    columns, seeds = ([np.resize(a, (MANY, *a.shape[1:])) for a in arrays] for arrays in (case.columns, case.seeds(ELEMENTS)))
    y, pullback = case.vjp(*columns)
    results = [*case.outputs(*columns), *y, *pullback(seeds), *pullback.batched([np.stack([w, -w]) for w in seeds])]
    y, pullback = case.vjp(*(c[:1] for c in columns[:1]), *columns[1:])
    return [*results, *y, *pullback([np.resize(w, leaf.shape) for w, leaf in zip(seeds, y, strict=True)])]
