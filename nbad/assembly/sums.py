"""Sums by segments: rows that belong to one entry are added in a fixed order, by all threads."""

import numpy as np

from nbad.assembly import native as t
from nbad.indexing.index import BLOCK, Segments
from nbad.plans.work import BYTES_PER_NS
from nbad.runtime import memory
from nbad.runtime.threads import Driver

SCRATCH = 64  # bytes
BLOCK_NS = 5.0  # nanoseconds that a block costs beside its terms


def add_segments(segments: Segments, source: np.ndarray, result: np.ndarray, accumulate: bool = False) -> None:
    """Sums of rows, in blocks of 256 terms and in float64.

    Parameters
    ----------
    segments : Segments
        Which rows are the terms of each sum.
    source : array (S, rows, values), float64 or float32
        Contiguous for each seed.
    result : array (S, sums, values), float64 or float32
        Filled where there are terms; contiguous for each seed.
    accumulate : bool
        Whether to add to what it holds.

    Examples
    --------
    >>> result = np.zeros((1, 3, 1))
    >>> add_segments(Segments.of(np.array([2, 0, 0])), np.array([[[1.0], [2.0], [4.0]]]), result)
    >>> result.ravel()
    array([6., 0., 1.])
    """
    if source.size:
        parts = memory.empty((len(source), int(segments.long_bounds[-1]), source.shape[2]), np.dtype(np.float64))
        bounds, targets = segments.bounds, segments.targets
        _launch(segments, (source, segments.order, bounds, targets, result, parts), accumulate)
        if len(segments.long):
            _launch(segments, (parts, None, segments.long_bounds, segments.long, result, parts), accumulate)


def most_parts(terms: int) -> int:
    """The most blocks that are not the whole of a sum, where all sums have so many terms.

    Examples
    --------
    >>> most_parts(256), most_parts(257), most_parts(514)
    (0, 2, 4)
    """
    return 2 * terms // (BLOCK + 1) if terms > BLOCK else 0


def _launch(segments, arrays, accumulate):
    source, order, bounds, targets, result, parts = arrays
    n_seeds, _, values = source.shape
    seeds = (0, 0, 0) if n_seeds < 2 else (source.strides[0], result.strides[0], parts.strides[0])
    code, fields = (values, source.itemsize, order is not None), (len(targets), *seeds, result.itemsize, int(accumulate))

    def make():
        work = int(bounds[-1]) * values * source.itemsize / BYTES_PER_NS + len(targets) * BLOCK_NS
        return Driver(np.array(fields, np.int64), len(targets), work, SCRATCH, t.adder(*code))

    driver = segments.remember((targets is segments.targets, code, fields), make)
    driver([targets if a is None else a for a in arrays], n_seeds)
