"""Sums by segments: rows that belong to one entry are added in a fixed order, by all threads."""

import numpy as np

from nbad.assembly import native as t
from nbad.indexing.index import BLOCK, Segments
from nbad.memo import Recent
from nbad.plans.work import BYTES_PER_NS
from nbad.runtime import memory
from nbad.runtime.threads import Driver

SCRATCH = 64  # bytes
BLOCK_NS = 5.0  # nanoseconds that a block costs beside its terms

_drivers = Recent()


def add_segments(segments: Segments, source: np.ndarray, result: np.ndarray, accumulate: bool = False) -> None:
    """Sums of rows, in blocks of 256 terms and in float64.

    Parameters
    ----------
    segments : Segments
        Which rows are the terms of each sum.
    source : array (S, rows, values), C-contiguous
        float64 or float32.
    result : array (S, sums, values), C-contiguous
        Filled; of the same dtype.
    accumulate : bool
        Whether to add to what it holds.

    Examples
    --------
    >>> segments = Segments.of(np.array([2, 0, 1]), np.array([0, 2, 2, 3]))
    >>> result = np.empty((1, 3, 1))
    >>> add_segments(segments, np.array([[[1.0], [2.0], [4.0]]]), result)
    >>> result.ravel()
    array([5., 0., 2.])
    """
    if result.size:
        parts = memory.empty((len(source), int(segments.long_bounds[-1]), source.shape[2]), np.dtype(np.float64))
        bounds, targets = segments.bounds, segments.targets
        _launch((source, segments.order, bounds, targets, result, parts), accumulate)
        if len(segments.long):
            _launch((parts, None, segments.long_bounds, segments.long, result, parts), accumulate)


def most_parts(terms: int) -> int:
    """The most blocks that are not the whole of a sum, where all sums have so many terms.

    Examples
    --------
    >>> most_parts(256), most_parts(257), most_parts(514)
    (0, 2, 4)
    """
    return 2 * terms // (BLOCK + 1) if terms > BLOCK else 0


def _launch(arrays, accumulate):
    source, order, _, targets, result, parts = arrays
    n_seeds, rows, values = source.shape
    seeds = source.strides[0], 0 if n_seeds < 2 else result.strides[0], parts.strides[0]
    code, fields = (values, source.itemsize, order is not None), (len(targets), *seeds, result.itemsize, int(accumulate))
    work = rows * values * source.itemsize / BYTES_PER_NS + len(targets) * BLOCK_NS

    def make():
        return Driver(np.array(fields, np.int64), len(targets), work, SCRATCH, t.adder(*code))

    _drivers((code, fields, rows), make)([targets if a is None else a for a in arrays], n_seeds)
