"""The pullback of `nbad.integrations.dask.vjp`: seeds are cut like the value, and what each block gives is summed."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from nbad.errors import fitting
from nbad.partners.dask_blocks import (
    LEAD,
    Chunks,
    Cut,
    Kept,
    blocks_of,
    chosen,
    core_labels,
    cut,
    fitted,
    picked,
    stand_in,
    unique,
)
from nbad.partners.made import PullbackOfPartner
from nbad.runtime.block_sums import TILE
from nbad.runtime.strides import batch
from nbad.verbs.pullback import MANY, ONE
from nbad.verbs.seeds import Given, as_given, count_of, example, leaves_of

FAN = 16  # parts that a task adds at most


class Pullback(PullbackOfPartner):
    """Apply the transposed Jacobian to seeds, block by block, where the residuals are; made by `vjp`.

    Calling it takes one seed in the structure and shape of the value; `batched` takes many.
    """

    def __init__(self, made: Cut, blocks: da.Array, kept: Kept):
        self._made, self._blocks, self._kept = made, blocks, kept

    @property
    def names(self) -> tuple[str, ...]:
        """The differentiated arguments."""
        return tuple(self._made.call.names)

    def __repr__(self) -> str:
        call = self._made.call
        return f"<nbad.integrations.dask.Pullback of {call.program.call}, {self._blocks.npartitions} blocks>"

    def __reduce__(self) -> tuple[Any, ...]:
        """As lazy arrays travel: elsewhere nothing is kept of the blocks, and what asks for one runs its forward sweep."""
        return _again, (self._made.bound, tuple(self._made.pairs[::2]), self.names, self._blocks, self._groups)

    @fitting("pullback(y)", "pullback")
    def __call__(self, ct: Any) -> tuple[da.Array, ...]:
        """Lazy cotangents of the differentiated arguments for one seed.

        Parameters
        ----------
        ct : dask.array.Array, array_like, or tuple of these
            The seed, in the structure and shape of the value; a number may stand for any leaf.

        Returns
        -------
        tuple of dask.array.Array
            One per differentiated argument, in that argument's shape: summed over the axes it was broadcast along, by the tree by
            which `nbad.vjp` sums. Where each chunk is `256 * 2**k` elements in C order, all but the last, its bits are those of
            one call on all elements.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            If the seed's structure, shape or dtype does not fit.

        Examples
        --------
        >>> import dask, dask.array as da, nbad
        >>> square = nbad.kernel(lambda x: x * x)
        >>> y, pullback = nbad.integrations.dask.vjp(square, da.arange(4.0, chunks=2))
        >>> dask.compute(*pullback(1.0), scheduler="synchronous")
        (array([0., 2., 4., 6.]),)
        """
        return self._apply(ct, False)

    @fitting("pullback(y)  # for one seed, such as the value", "pullback.batched")
    def batched(self, cts: Any) -> tuple[da.Array, ...]:
        """Lazy cotangents for many seeds: every seed array and every result has one leading axis.

        Parameters
        ----------
        cts : dask.array.Array, array_like, or tuple of these
            Seeds of shape `(S, *shape of the leaf)`; a number stands for a leaf of all seeds. A chunk along the leading axis is
            a sweep of its own.

        Returns
        -------
        tuple of dask.array.Array
            Shape `(S, *shape of the argument)`.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            As for one seed; also if no leaf is an array, for then the number of seeds is not known.

        Examples
        --------
        >>> import dask.array as da, nbad
        >>> square = nbad.kernel(lambda x: x * x)
        >>> y, pullback = nbad.integrations.dask.vjp(square, da.arange(4.0, chunks=2))
        >>> pullback.batched(da.eye(4, chunks=2))
        (dask.array<nbad-cotangent, shape=(4, 4), dtype=float64, chunksize=(2, 2), chunktype=numpy.ndarray>,)
        """
        return self._apply(cts, True)

    @fitting("pullback.jacobian()", "pullback.jacobian")
    def jacobian(self) -> da.Array:
        """The lazy blocks `(*B, M, N)` of the Jacobian, from what the forward sweeps left.

        Examples
        --------
        >>> import dask.array as da, nbad
        >>> square = nbad.kernel(lambda x: x * x)
        >>> nbad.integrations.dask.vjp(square, da.arange(4.0, chunks=2))[1].jacobian()
        dask.array<nbad-jacobian, shape=(4, 1, 1), dtype=float64, chunksize=(2, 1, 1), chunktype=numpy.ndarray>
        """
        made = self._made
        found = blocks_of(_jacobian_of, "jacobian", made.space, [self._blocks, made.space], made.chunks)
        return picked(found, "jacobian", made.space, 0, block_shape(made), made.dtype)

    def _apply(self, ct, is_batched):
        made, lead = self._made, (LEAD,) if is_batched else ()
        pairs, count = self._seeds(ct, is_batched)
        labels = (*lead, *made.space)
        chunks = (count, *made.chunks) if is_batched else made.chunks
        run = functools.partial(_cotangents, is_batched=is_batched, is_tuple=made.call.program.structure.is_tuple)
        found = blocks_of(run, "pullback", labels, [self._blocks, made.space, *pairs], chunks)
        bars = dict(self._summed(found, labels))
        for k, argument in enumerate(made.call.arguments):
            if k not in bars:
                bars[k] = picked(found, "cotangent", labels, k, made.call.program.cores[argument], made.dtype)
        return self._built(bars[k] for k in range(len(bars)))

    def _summed(self, found, labels):
        """The cotangents of arguments that are broadcast, by their numbers."""
        made, lead = self._made, len(labels) - self._made.depth
        owns = [batch(made.call.layout.shapes[a], len(made.call.program.cores[a])) for a in made.call.arguments]
        groups: dict[tuple[bool, ...], list[int]] = {}
        for k, own in enumerate(owns):
            full = (1,) * (made.depth - len(own)) + own
            kept = tuple(size == whole for size, whole in zip(full, made.call.layout.shape, strict=True))
            if own != made.call.layout.shape:
                groups.setdefault(kept, []).append(k)
        for kept, numbers in groups.items():
            parts = found if len(numbers) == len(owns) else chosen(found, labels, numbers)
            sums = Sums(parts, made.chunks, kept, lead)
            for place, k in enumerate(numbers):
                yield k, sums.of(place, owns[k], made.call.program.cores[made.call.arguments[k]], made.dtype)

    def _seeds(self, ct, is_batched):
        """The leaves of a seed, cut like the value, each with its labels; and the chunks of the leading axis."""
        made, program, layout = self._made, self._made.call.program, self._made.call.layout
        given = Given(f"`pullback{'.batched' * is_batched}`", layout.dtype, is_batched)
        leaves = leaves_of(given, program, ct, layout.leaf_shapes)
        named = list(zip(program.seed_names, leaves, layout.leaf_shapes, strict=True))
        arrays = [as_given(given, name, stand_in(leaf, name), shape, name) for name, leaf, shape in named]
        fitting_call = functools.partial(example, given, program, layout.leaf_shapes)
        count = count_of(given, arrays, "seed", fitting_call) if is_batched else None
        cut_seeds, labels = [], []
        for leaf, array, core in zip(leaves, arrays, made.leaf_cores, strict=True):
            labels.append(((LEAD,) * is_batched + made.space + core_labels(core)) if array.ndim else None)
            value = leaf if isinstance(leaf, da.Array) or not array.ndim else array
            cut_seeds.append(fitted(value, labels[-1], made.chunks))
        return _with_common_lead(cut_seeds, labels, count)


def _again(bound, values, names, blocks, groups):
    """A pullback in another process."""
    made = bound.call(lambda *xs, **kwargs: cut("vjp", bound.f, xs, kwargs, names), values)
    return Pullback(made, blocks, Kept()).in_groups(groups)


def _with_common_lead(seeds, labels, count):
    """Seeds with the same chunks along the leading axis; and these chunks."""
    leads = {seed.chunks[0] for seed, own in zip(seeds, labels, strict=True) if own and own[0] == LEAD}
    chunks = next(iter(leads)) if len(leads) == 1 else (count,)
    if len(leads) > 1:
        seeds = [seed.rechunk({0: chunks}) if own else seed for seed, own in zip(seeds, labels, strict=True)]
    return [part for pair in zip(seeds, labels, strict=True) for part in pair], chunks


def _cotangents(block, *seeds, is_batched, is_tuple):
    """The task of one block and one seed, or many: a cotangent per argument, with all axes of the element space."""
    pullback = block.pullback
    found = unrounded(pullback, seeds if is_tuple else seeds[0], is_batched)
    return [_with_axes(ct, core, pullback, is_batched) for ct, core in zip(found, pullback._reverse.cores, strict=True)]


def unrounded(pullback: Any, ct: Any, is_batched: bool) -> Any:
    """The cotangents of a block; those that are sums stay in double precision, for they are to be summed further."""
    apply = pullback.batched if is_batched else pullback
    if pullback._reverse.dtype.itemsize == 8:
        return apply(ct)
    given = (MANY if is_batched else ONE)[4]
    seeds, targets = pullback._seeds(given, ct), pullback._sweeps.targets
    count = next(seed.shape[0] for seed in seeds if seed.ndim) if is_batched else None
    lead = () if count is None else (count,)
    each = zip(pullback._shapes, targets, strict=True)
    results = [np.empty(lead + shape, np.float64 if target.is_shared else np.float32) for shape, target in each]
    if count != 0:
        pullback._sweeps(pullback.rows, seeds, results, count, False, pullback._room())
    return results


def _with_axes(ct, core, pullback, is_batched):
    shape = np.shape(ct)
    own = shape[is_batched : len(shape) - len(core)]
    axes = (1,) * (len(pullback._shape) - len(own)) + own
    return np.reshape(ct, shape[:is_batched] + axes + core)


def _jacobian_of(block):
    return [block.pullback.jacobian()]


def block_shape(made: Cut) -> tuple[int, int]:
    """The two axes of the Jacobian."""
    return sum(map(math.prod, made.leaf_cores)), len(made.call.wrt)


class Sums:
    """Sums of what each block brought for arguments that are broadcast along the same axes: one machine's tree, continued.

    nbad sums blocks of 256 elements in C order; block `2k` meets block `2k + 1`, and so on upwards. Here each chunk brings the
    sum of its own blocks, and chunks meet where one machine's blocks meet. Where a chunk is a whole subtree, such as `256 * 2**k`
    elements in C order from a multiple of as many on, the bits are those of one machine. A task adds FAN parts at most.

    Parameters
    ----------
    parts : dask.array.Array
        In name: for each block a list of arrays, one per argument, with all axes of the element space, of size 1 where one is
        summed.
    chunks : tuple of tuples
        Of the element space.
    kept : sequence of bool
        Which of its axes are not summed.
    lead : int
        How many axes `parts` has before them.
    """

    def __init__(self, parts: da.Array, chunks: Chunks, kept: Sequence[bool], lead: int):
        self._kept, self._lead = kept, lead
        name = unique("tree")
        graph: dict[Any, Any] = {}
        space = [c if keep else (1,) for keep, c in zip(kept, chunks, strict=True)]
        firsts = _first_blocks(chunks)
        for head in _places(parts.numblocks[:lead]):
            for target in _places(map(len, space)):
                summed = ([t] if keep else range(len(c)) for t, keep, c in zip(target, kept, chunks, strict=True))
                places = list(itertools.product(*summed))
                keys = [(parts.name, *head, *place) for place in places]
                _emit((name, *head, *target), _tree([firsts[place] for place in places]), keys, graph)
        layers = HighLevelGraph.from_collections(name, graph, dependencies=[parts])
        self._totals = da.Array(layers, name, (*parts.chunks[:lead], *space), meta=parts._meta)

    def of(self, k: int, own: tuple[int, ...], core: tuple[int, ...], dtype: Any) -> da.Array:
        """The sums of the argument number `k`, in its shape `(*own, *core)`, rounded to a dtype."""
        totals, lead = self._totals, self._lead
        missing, name = totals.ndim - lead - len(own), unique("sum")
        chunks = totals.chunks[:lead] + totals.chunks[lead + missing :] + tuple((size,) for size in core)
        finish, tails = functools.partial(_finished, k=k, lead=lead, missing=missing, dtype=np.dtype(dtype)), (0,) * len(core)
        graph = {
            (name, *place[:lead], *place[lead + missing :], *tails): (finish, (totals.name, *place))
            for place in _places(totals.numblocks)
        }
        layers = HighLevelGraph.from_collections(name, graph, dependencies=[totals])
        return da.Array(layers, name, chunks, meta=np.empty((0,) * len(chunks), dtype))


def _places(counts: Iterable[int]) -> Any:
    return itertools.product(*map(range, counts))


def _first_blocks(chunks: Chunks) -> dict[tuple[int, ...], int]:
    """In which block of 256 elements each chunk begins."""
    sizes = [sum(c) for c in chunks]
    starts = [[0, *itertools.accumulate(c)][:-1] for c in chunks]
    steps = [math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
    return {
        place: sum(s[k] * step for s, k, step in zip(starts, place, steps, strict=True)) // TILE
        for place in _places(map(len, chunks))
    }


def _tree(numbers: Sequence[int]) -> Any:
    """The tree in which parts meet, by the numbers of their first blocks: pairs of pairs of places.

    Neighbours join at the lower level first.

    Examples
    --------
    >>> _tree([0, 4, 8, 12]), _tree([0, 4, 8])
    (((0, 1), (2, 3)), ((0, 1), 2))
    """
    stack: list[tuple[Any, tuple[int, int]]] = []  # and the level at which each meets what stands before it

    def join():
        (left, level), (right, _) = stack.pop(-2), stack.pop()
        stack.append(((left, right), level))

    for place, (before, number) in enumerate(zip([numbers[0], *numbers], numbers, strict=False)):
        level = (before ^ number).bit_length(), (place ^ (place - 1)).bit_length() if number == before else 0
        while len(stack) > 1 and stack[-1][1] < level:
            join()
        stack.append((place, level))
    while len(stack) > 1:
        join()
    return stack[0][0]


def _emit(key: Any, tree: Any, keys: Sequence[Any], graph: dict[Any, Any]) -> None:
    """The tasks of a tree: each adds up to FAN parts or sums of others, and the last one is that of `key`."""
    counter = itertools.count()

    def task(side, key):
        order, below = side
        graph[key] = (functools.partial(_added, order), below)
        return 0, [key]

    def front(node):
        """What is to be added yet for a node, by its order and keys."""
        if isinstance(node, int):
            return 0, [keys[node]]
        sides = [front(side) for side in node]
        if sum(len(below) for _, below in sides) > FAN:
            sides = [task(s, (f"{key[0]}-part", *key[1:], next(counter))) if len(s[1]) > 1 else s for s in sides]
        (left, first), (right, second) = sides
        return (left, _shifted(right, len(first))), first + second

    task(front(tree), key)


def _shifted(order, by):
    return order + by if isinstance(order, int) else tuple(_shifted(side, by) for side in order)


def _added(order, parts):
    """Sums, in the order of a tree, of as many arrays as each part has."""
    if isinstance(order, int):
        return [np.asarray(part, np.float64) for part in parts[order]]
    left, right = (_added(side, parts) for side in order)
    with np.errstate(all="ignore"):  # as in a sweep: infinities and overflow are values
        return [a + b for a, b in zip(left, right, strict=True)]


def _finished(totals, k, lead, missing, dtype):
    """A sum in the argument's shape and dtype."""
    with np.errstate(all="ignore"):
        return totals[k][(slice(None),) * lead + (0,) * missing].astype(dtype)
