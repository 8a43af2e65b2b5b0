"""A call on dask arrays, analysed without computing anything: its element space cut into blocks, and functions of each block.

An axis of a dask array has a label here: 0, 1, ... are the axes of the element space, LEAD is the axis of many seeds, and each
core axis has one of its own.
"""

import functools
import itertools
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np

from nbad.api.calls import Call, check_kernel
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.forks import Lock
from nbad.partners.named import Bound, without_checks, without_partner
from nbad.runtime import memory
from nbad.runtime.strides import batch

LEAD = -1
_CORES = 1 << 10  # the first label of a core axis

Chunks = tuple[tuple[int, ...], ...]


class Cut(NamedTuple):
    """A call whose element space is cut into blocks.

    Attributes
    ----------
    bound : Bound
    call : nbad.api.calls.Call
        What it is on arrays of these shapes and dtypes.
    chunks : tuple of tuples
        Sizes of the blocks along each axis of the element space.
    pairs : list
        Each argument, cut, and behind it the labels of its axes, as `dask.array.blockwise` takes them.
    """

    bound: Bound
    call: Call
    chunks: Chunks
    pairs: list[Any]

    @property
    def depth(self) -> int:
        """How many axes the element space has."""
        return len(self.chunks)

    @property
    def dtype(self) -> np.dtype:
        """The working dtype."""
        return self.call.layout.dtype

    @property
    def space(self) -> tuple[int, ...]:
        """The labels of the element space."""
        return tuple(range(self.depth))

    @property
    def leaf_cores(self) -> list[tuple[int, ...]]:
        """The core shape of each output."""
        return list(self.call.program.leaves)

    def each(self, function: Callable[..., Any], tails: Sequence[tuple[int, ...]]) -> list[da.Array]:
        """Arrays over the element space, with these axes behind it, of a function that returns as many for the block of each.

        The function is given the arguments.
        """
        found = blocks_of(function, "each", self.space, self.pairs, self.chunks)
        return [picked(found, "value", self.space, k, tail, self.dtype) for k, tail in enumerate(tails)]


def stand_in(value: Any, name: str = "x") -> Any:
    """An array of no memory in place of a dask array; anything else itself."""
    if not isinstance(value, da.Array):
        return value
    if any(np.isnan(n) for n in value.shape):
        raise ArgumentValueError(
            f"the sizes of the chunks of {name} are not known",
            got=f"a dask array of shape {value.shape}",
            expected="known sizes",
            fix=f"{name}.compute_chunk_sizes()",
        )
    is_masked = isinstance(value._meta, np.ma.MaskedArray)
    if is_masked or not isinstance(value._meta, np.ndarray):
        raise ArgumentTypeError(
            f"the blocks of {name} are no NumPy arrays",
            got=f"a dask array of {type(value._meta).__name__}",
            expected="blocks of NumPy arrays",
            fix=f"da.ma.filled({name}.astype(float), np.nan)" if is_masked else f"{name}.map_blocks(np.asarray)",
        )
    return np.broadcast_to(np.ones((), value.dtype), value.shape)


def cut(verb: str, f: Any, xs: Sequence[Any], kwargs: dict[str, Any], argnums: Any) -> Cut:
    """The call of a verb, analysed and cut into blocks.

    Parameters
    ----------
    verb : str
        For messages.
    f : Kernel
    xs, kwargs
        The arguments; one of them is a dask array.
    argnums
        As of the verb.
    """
    check_kernel(f)
    if not any(isinstance(x, da.Array) for x in (*xs, *kwargs.values())):
        expected = "a dask array, whose chunks say how the elements are cut"
        raise without_partner(f"nbad.integrations.dask.{verb}", f, (*xs, *kwargs.values()), "dask array", expected)
    named = zip(f.parameters, xs, strict=False)
    given = [stand_in(x, name) for name, x in named] + [stand_in(x) for x in xs[len(f.parameters) :]]
    call = without_checks(f, given, {name: stand_in(x, name) for name, x in kwargs.items()}, argnums)
    bound, values = Bound.of(f, xs, kwargs)
    labels = list(argument_labels(call))
    chunks, values = _common_blocks(call, values, labels)
    return Cut(bound, call, chunks, [part for pair in zip(values, labels, strict=True) for part in pair])


def argument_labels(call: Call) -> Iterator[tuple[int, ...] | None]:
    """The labels of the axes of each argument; None for numbers."""
    depth, core_labels = len(call.layout.shape), itertools.count(_CORES)
    for shape, core in zip(call.layout.shapes, call.program.cores, strict=True):
        own = len(batch(shape, len(core)))
        yield (*range(depth - own, depth), *itertools.islice(core_labels, len(core))) if shape else None


def core_labels(core: tuple[int, ...]) -> tuple[int, ...]:
    """Labels for the axes behind the element space."""
    return tuple(range(_CORES, _CORES + len(core)))


def _common_blocks(call, values, labels):
    """The chunks of the element space, and the arguments cut accordingly."""
    cores, arrays = [len(core) for core in call.program.cores], call.arrays
    values = [_whole(x, array, depth) for x, array, depth in zip(values, arrays, cores, strict=True)]
    lazy = [k for k, x in enumerate(values) if isinstance(x, da.Array) and x.ndim]
    found, unified = da.core.unify_chunks(*(part for k in lazy for part in (values[k], labels[k])))
    for k, x in zip(lazy, unified, strict=True):
        values[k] = x
    sizes = dict(enumerate(call.layout.shape))
    chunks = tuple(found[k] if k in found and sum(found[k]) == size else (size,) for k, size in sizes.items())
    return chunks, [fitted(x, own, chunks) for x, own in zip(values, labels, strict=True)]


def _whole(x, array, depth):
    """A dask array whose last axes are not cut; of anything else the array that the kernel reads, but numbers as they are."""
    if isinstance(x, da.Array):
        return x.rechunk({x.ndim - 1 - k: -1 for k in range(depth)}) if depth else x
    return array if array.ndim else x


def fitted(x: Any, labels: tuple[int, ...] | None, chunks: Chunks) -> Any:
    """An argument or a seed with the blocks of the element space; numbers as they are."""
    if labels is None:
        return x
    own = [chunks[k] if 0 <= k < len(chunks) and n == sum(chunks[k]) else (n,) for k, n in zip(labels, x.shape, strict=True)]
    if not isinstance(x, da.Array):
        return da.from_array(x, chunks=tuple(own), name=False)
    own = [x.chunks[axis] if k == LEAD else c for axis, (k, c) in enumerate(zip(labels, own, strict=True))]
    return x.rechunk(tuple(own))


def unique(kind: str) -> str:
    """A name of an array; `dask.utils.key_split` makes "nbad-kind" of it. Not a hash: an edited kernel keeps its name."""
    return f"nbad-{kind}-{uuid.uuid4().hex}"


def blocks_of(function: Callable[..., Any], kind: str, labels: Sequence[int], pairs: Sequence[Any], chunks: Chunks) -> da.Array:
    """An array in name: of what a function returns for each block, which may be anything."""
    meta = np.empty((0,) * len(labels))
    options: dict[str, Any] = dict(name=unique(kind), meta=meta, dtype=meta.dtype, concatenate=True, align_arrays=False)
    made = da.blockwise(function, tuple(labels), *pairs, **options)
    return da.Array(made.dask, made.name, chunks, meta=meta)


def picked(found: da.Array, kind: str, labels: Sequence[int], k: int, tail: tuple[int, ...], dtype: Any) -> da.Array:
    """The array number `k` that each block returned: behind the labels it has these axes."""
    out, new_axes = (*labels, *core_labels(tail)), dict(zip(core_labels(tail), tail, strict=True))
    options: dict[str, Any] = dict(name=unique(kind), dtype=dtype, meta=np.empty((0,) * len(out), dtype), align_arrays=False)
    return da.blockwise(_pick, out, found, tuple(labels), k=k, new_axes=new_axes, **options)


def chosen(found: da.Array, labels: Sequence[int], numbers: Sequence[int]) -> da.Array:
    """An array in name: of some of the arrays that each block returned."""
    return blocks_of(functools.partial(_choose, tuple(numbers)), "part", labels, [found, tuple(labels)], found.chunks)


def _pick(found, k):
    return found.leaves[k] if hasattr(found, "leaves") else np.asarray(found[k])


def _choose(numbers, found):
    return [found[k] for k in numbers]


class Block:
    """The value of one block, and its pullback."""

    def __init__(self, leaves: tuple[Any, ...], pullback: Any):
        self.leaves, self.pullback = leaves, pullback

    def __sizeof__(self) -> int:
        """What dask takes it to weigh."""
        return sum(leaf.nbytes for leaf in self.leaves) + self.pullback.rows.nbytes

    def __reduce__(self) -> tuple[Any, ...]:
        return Block, (self.leaves, self.pullback)


class Kept:
    """Blocks by their numbers, as many as half of the memory holds that is free when the first one comes.

    Examples
    --------
    >>> kept = Kept()
    >>> kept.of(0, lambda: "made"), Place(kept).of(0, lambda: "made again"), Place(Kept()).of(0, lambda: "made again")
    ('made', 'made', 'made again')
    """

    def __init__(self) -> None:
        self._blocks: dict[int, Any] = {}
        self._room: int | None = None
        self._lock = Lock()

    def of(self, number: int, make: Callable[[], Any]) -> Any:
        """The block of a number, made where it is not kept."""
        if number in self._blocks:
            return self._blocks[number]
        block = make()
        with self._lock.current:
            self._room = memory.available() // 2 if self._room is None else self._room
            size = block.__sizeof__()
            if size <= self._room:
                self._room -= size
                self._blocks[number] = block
        return block


class Place:
    """What tasks know of a `Kept`: they do not keep it alive, and in another process it is not there."""

    def __init__(self, kept: Kept | None):
        self._kept = (lambda: None) if kept is None else weakref.ref(kept)

    def of(self, number: int, make: Callable[[], Any]) -> Any:
        """As of what is kept, if that is still there."""
        kept = self._kept()
        return make() if kept is None else kept.of(number, make)

    def __reduce__(self) -> tuple[Any, ...]:
        return Place, (None,)
