"""Sums of rows that belong together: in a fixed order, in float64, by all threads."""

import numpy as np

from nbad.assembly import compiled_sums as t
from nbad.indexing.index import PART, Index, Sums
from nbad.memo import Memo
from nbad.native.launch_table import TILE
from nbad.plans.work import BYTES_PER_NS
from nbad.runtime import memory
from nbad.runtime.threads import Driver

SCRATCH = 64  # bytes
SUM_NS = 3.0  # nanoseconds that a sum costs beside its terms
NEAR = 1 << 23  # bytes of rows that caches hold: to ask for these before they are needed takes longer than they do
SMALL_SUMS = 1 << 18  # bytes of the sums of a part that a thread's cache holds
FEWEST = 6  # sums: of fewer each term waits for the one before it, and pullbacks of 1e5 elements took 1.1 to 2 times as long


def add(sums: Sums, source: np.ndarray, result: np.ndarray, is_chained: bool = False) -> None:
    """Sums of rows, run by run.

    Parameters
    ----------
    sums : Sums
        Which rows are the terms of each; those of a block are counted by its first ones.
    source : array (S, rows, values), float64 or float32
        Contiguous for each seed.
    result : array (S, sums, values), float64 or float32
        Filled where there are terms; contiguous for each seed.
    is_chained : bool
        Whether to begin with what it holds, which is then float64.

    Examples
    --------
    >>> result = np.zeros((1, 3, 1))
    >>> add(Sums.of(np.array([2, 0, 0]), 3), np.array([[[1.0], [2.0], [4.0]]]), result)
    >>> result.ravel()
    array([6., 0., 1.])
    """
    if not source.size:
        return
    n_seeds, rows, values = source.shape
    is_ordered, has_runs, has_targets = (array is not None for array in (sums.order, sums.firsts, sums.targets))
    is_far, height = rows * values * source.itemsize > NEAR, sums.height.rows if sums.height else 1
    number = sums.bounds.itemsize
    kind = t.Kind(values, source.itemsize, number, is_ordered, has_runs, has_targets, is_chained, is_far, height)
    fields = sums.count, *_steps(source, result), result.itemsize

    def make():
        work = int(sums.bounds[-1]) * height * values * source.itemsize / BYTES_PER_NS + sums.count * SUM_NS
        return Driver(np.array(fields, np.int64), sums.count, work, SCRATCH, t.adder(kind))

    arrays = source, result, sums.order, sums.bounds, sums.firsts, sums.targets, sums.height and sums.height.steps
    sums.remember((kind, fields), make)([sums.bounds if a is None else a for a in arrays], n_seeds)


def are_few(index: Index, each: int, values: int) -> bool:
    """Whether rows may be added as they lie, each part to sums of its own: where these are few, beside its rows and in bytes."""
    return index.size >= FEWEST and index.size * values * 8 <= SMALL_SUMS and 4 * index.size <= PART * each


def scatter(index: Index, part: slice, each: int, source: np.ndarray, result: np.ndarray) -> None:
    """Add rows to the sums that an index names, part by part, as `add` does with the sums of `index.parts`.

    Parameters
    ----------
    index : Index
        Of which `are_few`.
    part : slice
        The positions of the rows; it begins where a part begins.
    each : int
        Positions of an element.
    source : array (S, rows, values)
    result : array (S, sums, values), float64

    Examples
    --------
    >>> result = np.zeros((1, 3, 1))
    >>> scatter(Index.of([2, 0, 0], 3), slice(0, 3), 1, np.array([[[1.0], [2.0], [4.0]]]), result)
    >>> result.ravel()
    array([6., 0., 1.])
    """
    if not source.size:
        return
    (n_seeds, rows, values), step = source.shape, PART * each
    parts = -(-rows // step)
    own = memory.empty((n_seeds, parts, index.size, values), np.dtype(np.float64))
    positions = index.flat[part]
    code = values, source.itemsize, positions.itemsize
    fields = rows, step, *_steps(source, own), index.size

    def make():
        work = rows * values * (source.itemsize / BYTES_PER_NS + 1.0)
        return Driver(np.array(fields, np.int64), parts * TILE, work, SCRATCH, t.scatterer(*code))

    _scatterers((code, fields), make)([source, own, positions], n_seeds)
    for number in range(parts):
        result += own[:, number]


def _steps(source, result):
    """Bytes from seed to seed."""
    return (source.strides[0], result.strides[0]) if len(source) > 1 else (0, 0)


_scatterers = Memo()
