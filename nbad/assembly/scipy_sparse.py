"""Matrices and linear operators as SciPy has them, where SciPy is installed."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from nbad.assembly.structure import Structure
from nbad.assembly.sums import add
from nbad.errors import MissingExtraError
from nbad.forks import IMPORTS
from nbad.runtime import memory


def check_scipy(call: str) -> ModuleType:
    """SciPy's sparse matrices, imported; the call is for the message where they are not installed."""
    try:
        with IMPORTS:
            import scipy.sparse.linalg
    except ImportError:
        raise MissingExtraError(
            f"{call} needs SciPy, which is not installed", expected="the extra `scipy`", fix='pip install "nbad[scipy]"'
        ) from None
    return scipy.sparse


def csr(structure: Structure, blocks: np.ndarray) -> Any:
    """The matrix of a structure: its data are the blocks themselves where each of their numbers is an entry of its own."""
    flat = blocks.reshape(math.prod(blocks.shape[:-2]), *blocks.shape[-2:])
    return csr_of_parts(structure, blocks.dtype, lambda part: flat[part])


def csr_of_parts(structure: Structure, dtype: np.dtype, blocks_of: Callable[[slice], np.ndarray]) -> Any:
    """The same of blocks that are made when they are added, those of a part of the elements at a time.

    `blocks_of` makes the blocks of a slice of the elements.
    """
    import scipy.sparse

    if structure.sums is None:
        data = blocks_of(slice(None)).reshape(-1)
    else:
        is_chained, size = len(structure.sums) > 1, structure.indices.size
        data = memory.empty((size,), np.dtype(np.float64) if is_chained else dtype)
        for number, sums in enumerate(structure.sums):
            blocks = blocks_of(slice(number * structure.part, (number + 1) * structure.part))
            source, result = (array.reshape(1, -1, structure.width) for array in (blocks, data))
            add(sums, source, result, is_chained)
        with np.errstate(all="ignore"):  # as in the sweeps: overflow is a value
            data = data.astype(dtype, copy=False)
    matrix = scipy.sparse.csr_array((data, structure.indices, structure.indptr), shape=structure.shape, copy=False)
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def operator(shape: tuple[int, int], dtype: np.dtype, push: Any, pull: Any) -> Any:
    """A linear operator: `push` takes an array `(S, columns)` to one `(S, rows)`, and `pull` the other way."""
    from scipy.sparse.linalg import LinearOperator

    if not all(shape):  # sweeps that have nothing to read do not know how many columns there are
        push, pull = (_zero(size, dtype) for size in shape)

    def rows(apply, v):
        return apply(np.ascontiguousarray(v, dtype))

    def one(apply):
        return _linear(lambda v: rows(apply, v.reshape(1, -1))[0])

    def many(apply):
        return _linear(lambda v: rows(apply, v.T).T)

    return LinearOperator(shape, matvec=one(push), rmatvec=one(pull), matmat=many(push), rmatmat=many(pull), dtype=dtype)


def _zero(size: int, dtype: np.dtype) -> Any:
    """The map to rows of so many zeros."""
    return lambda rows: np.zeros((len(rows), size), dtype)


def _linear(apply: Any) -> Any:
    """A real linear map, applied to complex numbers by their parts."""

    def call(v: Any) -> Any:
        v = np.asarray(v)
        return apply(v.real) + 1j * apply(v.imag) if v.dtype.kind == "c" else apply(v)

    return call
