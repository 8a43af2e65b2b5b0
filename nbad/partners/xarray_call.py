"""A call on xarray's DataArrays: aligned, applied as xarray applies functions, what comes of it labelled, and its pullback."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from nbad import foreign, labels
from nbad.api.signatures import name_in_code
from nbad.errors import ArgumentTypeError, ArgumentValueError, fitting
from nbad.partners.made import PullbackOfPartner
from nbad.partners.named import Bound, by_name, output_names, refuse_unlabelled, refuse_vectors, without_partner

OUTPUT, ARGUMENT, OTHER = "output", "argument", "other_argument"


class Labelled:
    """A call on DataArrays and numbers.

    Attributes
    ----------
    bound : Bound
    names : tuple of str
        The differentiated arguments.
    originals, values : list
        The arguments, as they were passed and aligned.
    is_lazy : bool
        Whether one of them holds a dask array.
    """

    def __init__(self, verb: str, bound: Bound, values: list[Any], names: tuple[str, ...]):
        self.bound, self.names, self._verb = bound, names, verb
        self.originals = values = [_own(x) for x in values]
        aligned = iter(_aligned(verb, bound, values))
        self.values = [next(aligned) if isinstance(x, xr.DataArray) else x for x in values]
        self.is_lazy = any(map(labels.is_lazy, values))

    @classmethod
    def of(cls, verb: str, f: Any, xs: Sequence[Any], kwargs: dict[str, Any], argnums: Any = None) -> "Labelled":
        """The call of a verb, read and checked."""
        call = f"nbad.integrations.xarray.{verb}"
        if len(xs) == 1 and isinstance(xs[0], xr.Dataset):
            (table,), xs = xs, ()
            kwargs = by_name(call, f, table, list(table.variables), kwargs)
        bound, values = Bound.of(f, xs, kwargs)
        for name, value in zip(bound.names, values, strict=True):
            if not isinstance(value, xr.DataArray):
                refuse_unlabelled(call, f, name, value, "DataArrays", xr.Dataset, functools.partial(_as_array, name, value))
        if not any(isinstance(value, xr.DataArray) for value in values):
            raise without_partner(call, f, values, "DataArray", "a DataArray")
        refuse_vectors(call, bound, lambda: _by_apply_ufunc(bound, values))
        return cls(verb, bound, values, bound.differentiated(values, argnums))

    @property
    def outputs(self) -> int:
        """How many outputs the kernel has."""
        return len(self.bound.program.leaves)

    def apply(self, function: Callable[..., Any], tails: Sequence[Sequence[str]], more: Sequence[Any] = ()) -> list[Any]:
        """DataArrays of what a function of arrays returns, each with these dimensions behind those of the arguments."""

        def run(*arrays):
            found = tuple(function(*arrays))
            return found if len(tails) > 1 else found[0]

        keep = xr.get_options()["keep_attrs"]
        made = xr.apply_ufunc(
            run,
            *self.values,
            *more,
            output_core_dims=[list(tail) for tail in tails],
            dask="allowed",
            join="exact",
            keep_attrs=True if keep == "default" else keep,
        )
        return list(made) if len(tails) > 1 else [made]

    def check_dims(self, *new: str) -> tuple[str, ...]:
        """Names of new dimensions, which the arguments must not have."""
        taken = {d for x in self.values if isinstance(x, xr.DataArray) for d in (*x.dims, *x.coords)} & set(new)
        if taken:
            name = sorted(map(str, taken))[0]
            named = zip(self.bound.names, self.values, strict=True)
            argument = next(a for a, x in named if isinstance(x, xr.DataArray) and name in map(str, (*x.dims, *x.coords)))
            raise ArgumentValueError(
                f"`nbad.integrations.xarray.{self._verb}` of `{name_in_code(self.bound.f)}`: arguments have a dimension {name!r}",
                got=name,
                expected=f"other names than {', '.join(map(repr, new))}, which are those of the result",
                fix=f"{argument}.rename({{{name!r}: {f'{name}_'!r}}})",
            )
        return new

    def named_blocks(self, blocks: xr.DataArray) -> xr.DataArray:
        """The Jacobian with the names of outputs and arguments."""
        return blocks.assign_coords({OUTPUT: output_names(self.bound), ARGUMENT: list(self.names)}).rename(None)

    def cotangent(self, name: str, bar: Any, dims: Sequence[Any], lead: xr.DataArray | None) -> Any:
        """A cotangent with the labels of its argument."""
        k = self.bound.names.index(name)
        original, aligned = self.originals[k], self.values[k]
        first = () if lead is None else (lead.name,)
        if not isinstance(original, xr.DataArray):
            return bar if lead is None else _of_lead(bar, lead)
        own = [d for d in dims if d in aligned.dims]
        depth = next((len(dims) - axis for axis, d in enumerate(dims) if d in aligned.dims), 0)
        places = tuple(slice(None) if d in aligned.dims else 0 for d in dims[len(dims) - depth :])
        bar = bar[(slice(None),) * len(first) + places] if places else bar
        found = xr.DataArray(bar, dims=(*first, *own), coords=aligned.coords).transpose(*first, *aligned.dims)
        if aligned.sizes != original.sizes or not all(aligned.indexes[d].equals(original.indexes[d]) for d in original.indexes):
            found = found.reindex_like(original, fill_value=0.0).assign_coords(original.coords)
        if others := found.coords.keys() - original.coords.keys():  # which alignment gave it
            found = found.drop_vars(others)
        if lead is not None and lead.name in lead.coords:
            found = found.assign_coords({lead.name: lead.coords[lead.name]})
        if xr.get_options()["keep_attrs"] in ("default", True):
            found.attrs.update(original.attrs)
        return found.rename(original.name)


def _own(x):
    """A DataArray on the same memory: the user may set labels, names and attributes of the other one."""
    return x.copy(deep=False) if isinstance(x, xr.DataArray) else x


def _aligned(verb, bound, values):
    """DataArrays with the same labels along the dimensions that they share."""
    try:
        return xr.align(*(x for x in values if isinstance(x, xr.DataArray)), join=xr.get_options()["arithmetic_join"], copy=False)
    except (TypeError, ValueError) as error:  # TypeErrors tell of labels of unlike kinds
        raise ArgumentValueError(
            f"`nbad.integrations.xarray.{verb}` of `{name_in_code(bound.f)}`: the arguments cannot be aligned",
            got=str(error).splitlines()[0],
            expected="along common dimensions labels that are there once, or none and the same size",
            fix=labels.aligning(dict(zip(bound.names, values, strict=True))),
        ) from None


def _of_lead(bar, lead):
    coords = {lead.name: lead.coords[lead.name]} if lead.name in lead.coords else None
    return xr.DataArray(bar, dims=(lead.name,), coords=coords)


def _as_array(name, value):
    """The line that makes a DataArray of what has no labels, or those of pandas."""
    line = labels.for_xarray(name, value)
    dims = [f"dim_{k}" for k in range(foreign.axes_of(value))]
    return line if line.startswith("xr.") else f"xr.DataArray({name}, dims={dims})"


def _by_apply_ufunc(bound, values):
    """The line that says which dimensions are those of vectors: the last ones."""
    named, results = dict(zip(bound.names, values, strict=True)), [[OUTPUT, ARGUMENT]]
    sizes = {OUTPUT: len(bound.program.graph.outputs), ARGUMENT: sum(map(math.prod, bound.program.cores))}
    return labels.by_apply_ufunc(f"nbad.jacobian({name_in_code(bound.f)})", named, bound.program.cores, results, sizes)


class Pullback(PullbackOfPartner):
    """Apply the transposed Jacobian to labelled seeds; made by `vjp`. Calling it takes one seed, `batched` many."""

    def __init__(self, made: Labelled, pullback: Any, y: list[xr.DataArray]):
        self._made, self._pullback, self._y = made, pullback, [_own(leaf) for leaf in y]

    def __repr__(self) -> str:
        return f"<nbad.integrations.xarray.Pullback of {self._made.bound.program.call}, dims {self._y[0].dims}>"

    @fitting("pullback(y)", "pullback")
    def __call__(self, ct: Any) -> tuple[Any, ...]:
        """Cotangents of the differentiated arguments for one seed.

        Parameters
        ----------
        ct : DataArray, number, or tuple of these
            The seed, in the structure of the value: with its labels and its dimensions, in any order. A dimension that it has not
            it is broadcast along.

        Returns
        -------
        tuple of DataArray
            One per differentiated argument, with that argument's dimensions, labels and name: summed over the dimensions that it
            was broadcast along, and 0 where alignment dropped a label of it. Of a number it is a number.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            If the seed's structure, dimensions or labels are not the value's, or it has none.

        Examples
        --------
        >>> import nbad, xarray as xr
        >>> x = xr.DataArray([1.0, 2.0], dims="i", coords={"i": [10, 20]})
        >>> y, pullback = nbad.integrations.xarray.vjp(nbad.kernel(lambda x: x * x), x)
        >>> pullback(y)[0].values
        array([ 2., 16.])
        """
        return self._apply(self._leaves(ct), None)

    @fitting("pullback(y)  # for one seed, such as the value", "pullback.batched")
    def batched(self, cts: Any) -> tuple[Any, ...]:
        """Cotangents for many seeds: every result has one dimension more, which comes first.

        Parameters
        ----------
        cts : DataArray, number, or tuple of these
            Seeds with one dimension that the value has not, the same in all. A leaf without it stands for all seeds.

        Returns
        -------
        tuple of DataArray

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            As for one seed; also if no seed has such a dimension, or there are several.

        Examples
        --------
        >>> import nbad, xarray as xr
        >>> x = xr.DataArray([1.0, 2.0], dims="i")
        >>> y, pullback = nbad.integrations.xarray.vjp(nbad.kernel(lambda x: x * x), x)
        >>> pullback.batched(xr.DataArray([1.0, 10.0, 100.0], dims="seed"))[0].sizes
        Frozen({'seed': 3, 'i': 2})
        """
        leaves = self._leaves(cts, is_batched=True)
        extra = {d for leaf in leaves if isinstance(leaf, xr.DataArray) for d in leaf.dims if d not in self._y[0].dims}
        if len(extra) != 1:
            raise ArgumentValueError(
                "`pullback.batched(cts)`: the dimension of the seeds is not known",
                got=f"dimensions {', '.join(sorted(map(str, extra)))}" if extra else "no dimension beside those of the value",
                expected="one dimension that the value has not",
                fix="pullback(ct)" if not extra else "cts.stack(seed=[...])",
            )
        lead = extra.pop()
        many = {name: leaf for name, leaf in zip(self._names, leaves, strict=True) if lead in getattr(leaf, "dims", ())}
        first = next((name for name, leaf in many.items() if lead in leaf.coords), next(iter(many)))
        seeds = many[first][lead]
        many = {name: as_labelled(leaf, seeds, "pullback.batched", name, first) for name, leaf in many.items()}
        leaves = tuple(many.get(name, leaf) for name, leaf in zip(self._names, leaves, strict=True))
        return self._apply(leaves, seeds)

    @fitting("pullback.jacobian()", "pullback.jacobian")
    def jacobian(self) -> xr.DataArray:
        """The Jacobian from what the forward sweep left, as `nbad.integrations.xarray.jacobian` returns it.

        Examples
        --------
        >>> import nbad, xarray as xr
        >>> x = xr.DataArray([1.0, 2.0], dims="i")
        >>> y, pullback = nbad.integrations.xarray.vjp(nbad.kernel(lambda x: x * x), x)
        >>> pullback.jacobian().dims
        ('i', 'output', 'argument')
        """
        made = self._made
        (blocks,) = made.apply(lambda *values: (self._pullback.jacobian(),), [made.check_dims(OUTPUT, ARGUMENT)])
        return made.named_blocks(blocks)

    @property
    def _names(self):
        return self._made.bound.program.seed_names

    def _apply(self, leaves, lead):
        """The cotangents; `lead` is the coordinate of the seeds, if there are many."""
        made = self._made
        named = zip(self._names, leaves, self._y, strict=True)
        seeds = tuple(_seed(name, leaf, y, lead) for name, leaf, y in named)
        apply = self._pullback if lead is None else self._pullback.batched
        found = apply(seeds if made.bound.program.structure.is_tuple else seeds[0])
        each = zip(made.names, found, strict=True)
        return self._built(made.cotangent(name, bar, self._y[0].dims, lead) for name, bar in each)


def _seed(name, seed, y, lead):
    """A seed as an array of the value's shape, behind a leading axis where there are many."""
    if not isinstance(seed, xr.DataArray):
        return as_number(seed, "pullback", name)
    wanted = y.dims if lead is None else (lead.name, *y.dims)
    unknown = [d for d in seed.dims if d not in wanted]
    if unknown:
        raise ArgumentValueError(
            f"`pullback`: {name} has a dimension that the value has not",
            got=", ".join(map(str, seed.dims)),
            expected=", ".join(map(str, wanted)),
            fix=f"pullback.batched({name})  # for many seeds",
        )
    seed = as_labelled(seed, y, "pullback", name)
    sizes = {**y.sizes, **({} if lead is None else {lead.name: lead.size})}
    return seed.variable.set_dims({d: sizes[d] for d in wanted}).transpose(*wanted).data


def as_number(value: Any, call: str, name: str, of: str | None = "y") -> Any:
    """A seed or tangent without labels: a number, which stands for what code calls `of`; None where that is a number, too."""
    is_table = isinstance(value, xr.Dataset)
    if not is_table and foreign.axes_of(value) == 0:
        return value[()] if isinstance(value, np.ndarray) else value
    line = f"{name}[{next(iter(value), of)!r}]" if is_table else f"{of}.copy(data={name})"
    raise ArgumentTypeError(
        f"`{call}`: {name} has no labels, and nothing is paired by position",
        got=foreign.shown(value),
        expected="a DataArray or a number" if of else "a number, as that which it belongs to",
        fix=line if of else "1.0",
    )


def as_labelled(array: xr.DataArray, other: xr.DataArray, call: str, name: str, of: str = "y") -> xr.DataArray:
    """An array, if its labels along common dimensions are those of another one, which code calls `of`; in the order of those."""
    unlike = {d: (array.indexes[d], other.indexes[d]) for d in array.dims if d in array.indexes and d in other.indexes}
    unlike = {d: pair for d, pair in unlike.items() if not pair[0].equals(pair[1])}
    if all(_are_same(*pair) for pair in unlike.values()):
        array = array.isel({d: labels.get_indexer_for(others) for d, (labels, others) in unlike.items()})
    try:
        return xr.align(other, array, join="exact", copy=False)[1]
    except ValueError as error:
        raise ArgumentValueError(
            f"`{call}`: the labels of {name} are others than those of what it belongs to",
            got=str(error).splitlines()[0],
            expected="the same labels along common dimensions",
            fix=_like(array, other, name, of),
        ) from None


def _like(array, other, name, of):
    """The line that gives an array the labels of another one, and 0 where it has none; or one that has them, for other sizes."""
    sizes, both = other.sizes, array.indexes.keys() & other.indexes.keys()
    if any(n != sizes.get(d, n) and d not in both for d, n in array.sizes.items()):
        return f"xr.ones_like({of})"
    doubles = [d for d, index in array.indexes.items() if not index.is_unique]
    return f"{name}{f'.drop_duplicates({doubles})' if doubles else ''}.reindex_like({of}, fill_value=0.0)"


def _are_same(labels, others):
    """Whether these are the same labels, each there once, in any order; levels of other names are other labels."""
    is_alike = len(labels) == len(others) and (labels.nlevels == 1 or labels.names == others.names)
    return is_alike and labels.is_unique and labels.isin(others).all()
