"""The pullback of `nbad.integrations.xarray.vjp`: seeds and cotangents with labels."""

from typing import Any

import numpy as np
import xarray as xr

from nbad import foreign
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.integrations.labelled import ARGUMENT, OUTPUT, Labelled


class Pullback:
    """Apply the transposed Jacobian to labelled seeds; made by `vjp`. Calling it takes one seed, `batched` many."""

    def __init__(self, made: Labelled, pullback: Any, y: list[xr.DataArray]):
        self._made, self._pullback, self._y = made, pullback, y

    def __repr__(self) -> str:
        return f"<nbad.integrations.xarray.Pullback of {self._made.bound.program.call}, dims {self._y[0].dims}>"

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
        return self._apply(ct, self._leaves(ct, "pullback"), None)

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
        leaves = self._leaves(cts, "pullback.batched")
        extra = {d for leaf in leaves if isinstance(leaf, xr.DataArray) for d in leaf.dims if d not in self._y[0].dims}
        if len(extra) != 1:
            raise ArgumentValueError(
                "`pullback.batched(cts)`: the dimension of the seeds is not known",
                got=f"dimensions {', '.join(sorted(map(str, extra)))}" if extra else "no dimension beside those of the value",
                expected="one dimension that the value has not",
                fix="pullback(ct)" if not extra else "cts.stack(seed=[...])",
            )
        lead = extra.pop()
        return self._apply(cts, leaves, next(leaf for leaf in leaves if lead in getattr(leaf, "dims", ()))[lead])

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

    def _leaves(self, ct, code):
        structure = self._made.bound.program.structure
        leaves = structure.leaves(ct)
        if type(leaves) is tuple and len(leaves) == len(self._y) and tuple not in map(type, leaves):
            return leaves
        raise ArgumentValueError(
            f"`{code}`: the seed does not have the structure of the value",
            got=f"a tuple of {len(ct)}" if isinstance(ct, tuple) else foreign.named(ct),
            expected=structure.described(len(self._y)) if structure.is_tuple else "one DataArray or number",
            fix=f"{code}({self._example()})",
        )

    def _example(self):
        return f"({'1.0, ' * len(self._y)})" if self._made.bound.program.structure.is_tuple else "1.0"

    def _apply(self, ct, leaves, lead):
        """The cotangents; `lead` is the coordinate of the seeds, if there are many."""
        made = self._made
        named = zip(made.bound.program.seed_names, leaves, self._y, strict=True)
        seeds = tuple(_seed(name, leaf, y, lead) for name, leaf, y in named)
        apply = self._pullback if lead is None else self._pullback.batched
        found = apply(seeds if made.bound.program.structure.is_tuple else seeds[0])
        return tuple(made.cotangent(name, bar, self._y[0].dims, lead) for name, bar in zip(made.names, found, strict=True))


def _seed(name, seed, y, lead):
    """A seed as an array of the value's shape, behind a leading axis where there are many."""
    if not isinstance(seed, xr.DataArray):
        return as_number(seed, name, y)
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
    return seed.expand_dims({d: sizes[d] for d in wanted if d not in seed.dims}).transpose(*wanted).data


def as_number(value: Any, name: str, y: Any) -> Any:
    """A seed or tangent without labels: a number."""
    if np.ndim(value) == 0:
        return value
    raise ArgumentTypeError(
        f"`pullback`: {name} has no labels, and nothing is paired by position",
        got=foreign.shown(value),
        expected="a DataArray or a number",
        fix=f"y.copy(data={name})",
    )


def as_labelled(array: xr.DataArray, other: xr.DataArray, call: str, name: str) -> xr.DataArray:
    """An array, if its labels along common dimensions are those of another one."""
    try:
        return xr.align(other, array, join="exact", copy=False)[1]
    except ValueError as error:
        raise ArgumentValueError(
            f"`{call}`: the labels of {name} are others than those of what it belongs to",
            got=str(error).splitlines()[0],
            expected="the same labels along common dimensions",
            fix=f"{name}.reindex_like(y, fill_value=0.0)",
        ) from None
