"""A kernel's call on DataArrays: aligned, applied as xarray applies functions, and what comes of it labelled."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from nbad import foreign
from nbad.api.signatures import name_in_code, spelled
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.integrations.named import Bound, by_name, output_names, refuse_vectors
from nbad.verbs import gradients, jacobians, pushforward
from nbad.verbs.vjp import vjp

OUTPUT, ARGUMENT, OTHER = "output", "argument", "other_argument"
VERBS: dict[str, Any] = {
    "vjp": vjp,
    "jacobian": jacobians.jacobian,
    "value_and_jacobian": jacobians.value_and_jacobian,
    "value_and_grad": gradients.value_and_grad,
    "hessian": gradients.hessian,
    "jvp": pushforward.jvp,
}


class Labelled:
    """A call on DataArrays and numbers.

    Attributes
    ----------
    bound : Bound
    names : tuple of str
        The differentiated arguments.
    originals, values : list
        The arguments, as they were passed and aligned.
    """

    def __init__(self, verb: str, bound: Bound, values: list[Any], names: tuple[str, ...]):
        self.bound, self.names, self._verb, self.originals = bound, names, verb, values
        arrays = [x for x in values if isinstance(x, xr.DataArray)]
        aligned = iter(xr.align(*arrays, join=xr.get_options()["arithmetic_join"], copy=False))
        self.values = [next(aligned) if isinstance(x, xr.DataArray) else x for x in values]
        self._is_lazy = any(x.chunks is not None for x in arrays)

    @classmethod
    def of(cls, verb: str, f: Any, xs: Sequence[Any], kwargs: dict[str, Any], argnums: Any = None) -> "Labelled":
        """The call of a verb, read and checked."""
        if len(xs) == 1 and isinstance(xs[0], xr.Dataset):
            (table,), xs = xs, ()
            kwargs = by_name(f"nbad.integrations.xarray.{verb}", f, table, list(table.variables), kwargs)
        bound, values = Bound.of(f, xs, kwargs)
        for name, value in zip(bound.names, values, strict=True):
            _check(verb, f, name, value)
        if not any(isinstance(value, xr.DataArray) for value in values):
            raise ArgumentTypeError(
                f"`nbad.integrations.xarray.{verb}` of `{name_in_code(f)}`: no argument is a DataArray",
                got=", ".join(map(foreign.named, values)) or "nothing",
                expected="a DataArray",
                fix=spelled(f, f.parameters, verb),
            )
        refuse_vectors(f"nbad.integrations.xarray.{verb}", bound, _by_apply_ufunc(bound, values))
        return cls(verb, bound, values, bound.differentiated(values, argnums))

    @property
    def outputs(self) -> int:
        """How many outputs the kernel has."""
        return len(self.bound.program.leaves)

    def structured(self, leaves: Sequence[Any]) -> Any:
        """Outputs in the structure that the kernel returns."""
        return self.bound.program.structure.build(leaves)

    def function(self, verb: str) -> Any:
        """A verb for arrays as they come: of dask, or of NumPy."""
        if not self._is_lazy:
            return VERBS[verb]
        from nbad.integrations import dask as lazy

        return getattr(lazy, verb)

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
            raise ArgumentValueError(
                f"`nbad.integrations.xarray.{self._verb}` of `{name_in_code(self.bound.f)}`: arguments have a dimension {name!r}",
                got=name,
                expected=f"other names than {', '.join(map(repr, new))}, which are those of the result",
                fix=f"x.rename({{{name!r}: {f'{name}_'!r}}})",
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
        coords = dict(aligned.coords.items())
        found = xr.DataArray(bar, dims=(*first, *own), coords=coords).transpose(*first, *aligned.dims)
        if lead is not None and lead.name in lead.coords:
            found = found.assign_coords({lead.name: lead.coords[lead.name]})
        if aligned.sizes != original.sizes or not all(aligned.indexes[d].equals(original.indexes[d]) for d in original.indexes):
            found = found.reindex_like(original, fill_value=0.0).assign_coords(original.coords)
        if xr.get_options()["keep_attrs"] in ("default", True):
            found.attrs.update(original.attrs)
        return found.rename(original.name)


def _of_lead(bar, lead):
    coords = {lead.name: lead.coords[lead.name]} if lead.name in lead.coords else None
    return xr.DataArray(bar, dims=(lead.name,), coords=coords)


def _check(verb, f, name, value):
    """Refuse what has no labels, and Datasets beside other arguments."""
    is_dataset = isinstance(value, xr.Dataset)
    if isinstance(value, xr.DataArray) or (not is_dataset and np.ndim(value) == 0):
        return
    raise ArgumentTypeError(
        f"`nbad.integrations.xarray.{verb}` of `{name_in_code(f)}`: {name} "
        + ("is a Dataset, which stands for all arguments" if is_dataset else "has no labels, and nothing is paired by position"),
        got=foreign.named(value) if is_dataset else foreign.shown(value),
        expected="DataArrays and numbers, or one Dataset alone",
        fix=f"{name}[{next(iter(value), 'x')!r}]" if is_dataset else f"xr.DataArray({name}, dims={_dims(value)})",
    )


def _dims(value):
    return [f"dim_{k}" for k in range(np.ndim(value))]


def _by_apply_ufunc(bound, values):
    """The line that says which dimensions are those of vectors: the last ones."""
    each = zip(values, bound.program.cores, strict=True)
    inputs = [list(getattr(x, "dims", ())[-len(core) :]) if core else [] for x, core in each]
    dims = f"input_core_dims={inputs}, output_core_dims=[['{OUTPUT}', '{ARGUMENT}']]"
    return f"xr.apply_ufunc(nbad.jacobian({name_in_code(bound.f)}), {', '.join(bound.names)}, {dims})"
