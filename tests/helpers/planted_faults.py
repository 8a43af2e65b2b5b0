"""Pullbacks that are wrong in one way each, the check of the harness that should find it, and how to plant them."""

import math

import numba
import numpy as np
import pytest

from kernels import polar
from nbad.testing import CHECKS, CheckFailure, check_kernel
from nbad.testing.case import Case
from nbad.testing.comparisons import Inapplicable, compare
from nbad.verbs import vjp as transforms

X = np.linspace(0.3, 1.7, 40)
Y = np.linspace(-1.0, 1.0, 40)


class Faulty:
    """A pullback that does its work rightly, and then `spoil`s it; `state` lives as long as the pullback does."""

    def __init__(self, real, xs, spoil):
        self.real, self.xs, self.spoil, self.state = real, xs, spoil, {}

    def __call__(self, ct, **options):
        return self.spoil(self, self.real(ct, **options), ct)

    def batched(self, cts, **options):
        return self.real.batched(cts, **options)

    @property
    def residuals(self):
        return self.real.residuals


def plant(monkeypatch, spoil, kind=Faulty):
    """Make every pullback a spoiled one."""
    real = transforms.vjp

    def vjp(f, *xs, **options):
        y, pullback = real(f, *xs, **options)
        return y, kind(pullback, xs, spoil)

    monkeypatch.setattr(transforms, "vjp", vjp)


def run(name, f=polar, xs=(X, Y)):
    """One check alone."""
    check = next(check for check in CHECKS if check.__name__ == name)
    findings = check(Case.of(f, xs))
    return sum(compare(f.__name__, name, finding) for finding in findings if not isinstance(finding, Inapplicable))


def caught(name, **case):
    """The failure that the check finds; the whole harness must fail too."""
    with pytest.raises(CheckFailure, match=f"{name} fails: ") as failure:
        run(name, **case)
    with pytest.raises(AssertionError, match="fails: "):
        check_kernel(case.get("f", polar), *case.get("xs", (X, Y)))
    return failure.value


def changed(cts, function):
    """Cotangents with the first one changed."""
    return (function(cts[0]), *cts[1:])


def accumulates(pullback, cts, ct):
    total = pullback.state.get("total", 0.0)
    pullback.state["total"] = total + cts[0]
    return changed(cts, lambda a: total + a)


def writes_input(pullback, cts, ct):
    x = pullback.xs[0]
    if x.ndim and x.flags.writeable:
        x[...] = 0.0
    return cts


def writes_seed(pullback, cts, ct):
    seed = ct[0] if isinstance(ct, tuple) else ct
    if np.ndim(seed) and seed.flags.writeable:
        seed *= 2.0
    return cts


def returns_one_buffer(pullback, cts, ct):
    buffer = pullback.state.setdefault("buffer", np.empty_like(cts[0]))
    buffer[...] = cts[0]
    return buffer, *cts[1:]


def returns_its_residual(pullback, cts, ct):
    return pullback.state.setdefault("first", cts)


def reads_input_late(pullback, cts, ct):
    """As a pullback that kept a reference to its input instead of a copy."""
    x = pullback.xs[0]
    if "x" not in pullback.state:
        pullback.state["x"] = np.copy(x)
    return changed(cts, lambda a: a + (x - pullback.state["x"]))


def depends_on_threads(pullback, cts, ct):
    many = np.size(cts[0]) > 50_000 and numba.get_num_threads() > 1
    return changed(cts, lambda a: np.nextafter(a, math.inf) if many else a)


def sums_by_threads(pullback, cts, ct):
    odd = np.ndim(cts[0]) == 1 and np.size(cts[0]) == 1 and numba.get_num_threads() > 1 and np.size(pullback.xs[1]) > 50_000
    return changed(cts, lambda a: np.nextafter(a, math.inf) if odd else a)


def wrong_at_tile_boundary(pullback, cts, ct):
    if np.ndim(cts[0]) == 1 and cts[0].size > 256:
        cts[0][256] = np.nextafter(cts[0][256], math.inf)
    return cts


def wrong_in_the_tail(pullback, cts, ct):
    if np.ndim(cts[0]) == 1 and cts[0].size % 8:
        cts[0][-1] = np.nextafter(cts[0][-1], math.inf)
    return cts


def shape_of_elements(pullback):
    return np.broadcast_shapes(*map(np.shape, pullback.xs))


def averages_instead_of_sum(pullback, cts, ct):
    count = math.prod(shape_of_elements(pullback)) / max(1, np.size(cts[0]))
    return changed(cts, lambda a: a / max(count, 1))


def sums_the_wrong_axes(pullback, cts, ct):
    return changed(cts, lambda a: a[::-1] if np.shape(a) != shape_of_elements(pullback) and np.ndim(a) else a)


def nan_for_zero_seed(pullback, cts, ct):
    seed = ct[0] if isinstance(ct, tuple) else ct
    return changed(cts, lambda a: np.where(np.equal(seed, 0.0) & np.equal(a, 0.0), np.nan, a))


def loses_float32(pullback, cts, ct):
    return changed(cts, lambda a: a.astype(np.float16).astype(np.float32) if a.dtype == np.float32 else a)


def widens_float32(pullback, cts, ct):
    return changed(cts, lambda a: a.astype(np.float64))


def wrong_partial(pullback, cts, ct):
    return changed(cts, lambda a: a * (1 + 1e-12))


def forgets_an_output(pullback, cts, ct):
    return pullback.real((ct[0], 0.0))


def swaps_arguments(pullback, cts, ct):
    return (cts[1], cts[0]) if np.shape(cts[0]) == np.shape(cts[1]) else cts


def ignores_strides(pullback, cts, ct):
    seed = ct[0] if isinstance(ct, tuple) else ct
    if np.ndim(seed) != 2 or seed.flags.c_contiguous:
        return cts
    flat = np.lib.stride_tricks.as_strided(seed, (seed.size,), (seed.itemsize if min(seed.strides) > 0 else -seed.itemsize,))
    return pullback.real((flat.reshape(seed.shape), *ct[1:]))


def mistakes_empty_sums(pullback, cts, ct):
    return changed(cts, lambda a: a + math.nan if 0 in shape_of_elements(pullback) and np.size(a) else a)


SPOILS = {
    wrong_partial: "cotangents",
    forgets_an_output: "cotangents",
    swaps_arguments: "cotangents",
    accumulates: "repeatable",
    writes_input: "repeatable",
    writes_seed: "repeatable",
    returns_one_buffer: "repeatable",
    returns_its_residual: "repeatable",
    reads_input_late: "repeatable",
    depends_on_threads: "threads",
    sums_by_threads: "threads",
    wrong_at_tile_boundary: "tiles",
    wrong_in_the_tail: "tiles",
    averages_instead_of_sum: "broadcasting",
    sums_the_wrong_axes: "broadcasting",
    nan_for_zero_seed: "zero_seed",
    loses_float32: "single_precision",
    widens_float32: "single_precision",
    ignores_strides: "layouts",
    mistakes_empty_sums: "sizes",
}


class SpoiledBatch(Faulty):
    """A pullback whose batch is wrong."""

    def __call__(self, ct, **options):
        return self.real(ct, **options)

    def batched(self, cts, **options):
        return self.spoil(self, self.real.batched(cts, **options), cts)


def repeats_the_first_seed(pullback, cts, ct):
    return changed(cts, lambda a: np.repeat(a[:1], len(a), axis=0) if len(a) else a)


def stops_after_four_seeds(pullback, cts, ct):
    cts[0][4:] = 0.0
    return cts


def rounds_in_a_batch(pullback, cts, ct):
    return changed(cts, lambda a: np.nextafter(a, 0.0) if len(a) > 1 else a)


def drops_the_axis_of_one_seed(pullback, cts, ct):
    return changed(cts, lambda a: a[0] if len(a) == 1 else a)


def no_seed_is_one_seed(pullback, cts, ct):
    return changed(cts, lambda a: a if len(a) else np.zeros((1, *a.shape[1:])))


BATCH_SPOILS = (
    repeats_the_first_seed,
    stops_after_four_seeds,
    rounds_in_a_batch,
    drops_the_axis_of_one_seed,
    no_seed_is_one_seed,
)
