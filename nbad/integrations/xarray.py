"""nbad's verbs on xarray's DataArrays: dimensions are paired by name, labels and attributes kept, dask stays lazy.

A plain call `f(*xs)` and kernels such as `nbad.grad(f)` take DataArrays and Datasets themselves. The functions here take
DataArrays and numbers; one Dataset in their place stands for all parameters of whose names it has variables or coordinates.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import xarray as xr

from nbad.api.calls import check_kernel, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, Mode, Residuals
from nbad.api.trees import flattened
from nbad.errors import ArgumentValueError, fitting
from nbad.graphs.structures import outputs_of
from nbad.partners.made import OfPartner, PartialsOfPartner, vjp_by_flat
from nbad.partners.named import in_tuples, leaves_in
from nbad.partners.xarray_call import ARGUMENT, OTHER, OUTPUT, Labelled, Pullback, as_labelled, as_number
from nbad.verbs import gradients, jacobians, pushforward
from nbad.verbs.vjp import vjp as vjp_of_arrays

__all__ = ["Pullback", "hessian", "jacobian", "jvp", "value_and_grad", "value_and_jacobian", "vjp"]

_VERBS: dict[str, Any] = {
    "vjp": vjp_of_arrays,
    "jacobian": jacobians.jacobian,
    "value_and_jacobian": jacobians.value_and_jacobian,
    "value_and_grad": gradients.value_and_grad,
    "hessian": gradients.hessian,
    "jvp": pushforward.jvp,
}


@fitting("nbad.integrations.xarray.vjp({f}, {xs})")
def vjp(
    f: Kernel,
    /,
    *xs: Any,
    argnums: Argnums = None,
    residuals: Residuals = "auto",
    seeds: int | None = None,
    max_bytes: int | None = None,
    **kwargs: Any,
) -> tuple[Any, "Pullback"]:
    """As `nbad.vjp`, on DataArrays; lazy where one of them holds a dask array, as `nbad.integrations.dask.vjp` is.

    Arguments are aligned as xarray's arithmetic aligns them (`xr.set_options(arithmetic_join=...)`), and dimensions that one has
    not are those that it is broadcast along.

    Parameters
    ----------
    f : Kernel
        Of numbers, not of vectors.
    *xs, **kwargs : DataArray or number, or one Dataset
        The kernel's arguments.
    argnums, residuals, seeds, max_bytes
        As for `nbad.vjp`.

    Returns
    -------
    y : DataArray or tuple of these
        With the dimensions of all arguments, in order of appearance.
    pullback : Pullback

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit, such as arrays without labels.

    Examples
    --------
    >>> import nbad, xarray as xr
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> a, b = xr.DataArray([1.0, 2.0], dims="i", name="a"), xr.DataArray([3.0, 4.0, 5.0], dims="j", name="b")
    >>> y, pullback = nbad.integrations.xarray.vjp(area, a, b)
    >>> y.dims
    ('i', 'j')
    >>> a_bar, b_bar = pullback(1.0)
    >>> a_bar.dims, a_bar.values
    (('i',), array([12., 12.]))
    """
    check_kernel(f)
    argnums, given = selection(argnums), dict[str, Any](residuals=residuals, seeds=seeds, max_bytes=max_bytes)
    by_flat = vjp_by_flat(vjp, f, xs, kwargs, argnums, given)
    if by_flat is not None:
        return by_flat
    made = Labelled.of("vjp", f, xs, kwargs, argnums)
    options = dict(given, argnums=made.names)
    pullbacks: list[Any] = []

    def run(*values):
        y, pullback = made.bound.call(functools.partial(_verb(made, "vjp"), f), values, **options)
        pullbacks.append(pullback)
        return outputs_of(y)

    y = made.apply(run, [()] * made.outputs)
    return made.bound.structured(y), Pullback(made, pullbacks[0], y)


@fitting("nbad.integrations.xarray.jacobian({f})({xs})")
def jacobian(f: Kernel, argnums: Argnums = None, mode: Mode = "auto") -> Callable[..., xr.DataArray]:
    """As `nbad.jacobian`, on DataArrays: with the dimensions of the arguments, and behind these "output" and "argument".

    Parameters
    ----------
    f, argnums, mode
        As for `nbad.jacobian`.

    Returns
    -------
    callable
        `jacobian(f)(*xs)`, a DataArray. The coordinates of its last two dimensions are names of outputs and of arguments. Outputs
        go by the names of fields or keys, or of the variables that the kernel returns, else by "y0", "y1", ..., and the only one
        of a kernel by the kernel's name.

    Examples
    --------
    >>> import nbad, xarray as xr
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> ds = xr.Dataset({"a": ("i", [1.0, 2.0]), "b": ("j", [3.0, 4.0, 5.0])})
    >>> J = nbad.integrations.xarray.jacobian(area)(ds)
    >>> J.dims, J.sel(argument="b").squeeze("output").sel(j=0).values
    (('i', 'j', 'output', 'argument'), array([1., 2.]))
    """

    def run(made: Labelled) -> xr.DataArray:
        function = _verb(made, "jacobian")(f, made.names, mode)
        (blocks,) = _each(made, function, [made.check_dims(OUTPUT, ARGUMENT)])
        return made.named_blocks(blocks)

    return OfPartner(jacobians.jacobian(f, argnums, mode), functools.partial(jacobian, mode=mode), Labelled.of, run)


@fitting("nbad.integrations.xarray.value_and_jacobian({f})({xs})")
def value_and_jacobian(f: Kernel, argnums: Argnums = None) -> Callable[..., tuple[Any, xr.DataArray]]:
    """As `nbad.value_and_jacobian`, on DataArrays.

    Parameters
    ----------
    f, argnums
        As for `nbad.value_and_jacobian`.

    Returns
    -------
    callable
        `value_and_jacobian(f)(*xs)` returns `(y, J)`, J as `jacobian` returns it.

    Examples
    --------
    >>> import nbad, xarray as xr
    >>> y, J = nbad.integrations.xarray.value_and_jacobian(nbad.kernel(lambda a: a * a))(xr.DataArray([1.0, 2.0], dims="i"))
    >>> y.values, J.values.ravel()
    (array([1., 4.]), array([2., 4.]))
    """

    def run(made: Labelled) -> tuple[Any, xr.DataArray]:
        function = _verb(made, "value_and_jacobian")(f, made.names)
        *y, blocks = _each(made, function, [*[()] * made.outputs, made.check_dims(OUTPUT, ARGUMENT)])
        return made.bound.structured(y), made.named_blocks(blocks)

    return OfPartner(jacobians.value_and_jacobian(f, argnums), value_and_jacobian, Labelled.of, run)


@fitting("nbad.integrations.xarray.value_and_grad({f})({xs})")
def value_and_grad(f: Kernel, argnums: Argnums = 0) -> Callable[..., tuple[xr.DataArray, Any]]:
    """As `nbad.value_and_grad`, on DataArrays.

    Parameters
    ----------
    f, argnums
        As for `nbad.value_and_grad`.

    Returns
    -------
    callable
        `value_and_grad(f)(*xs)` returns `(y, partials)`; a tuple of partials where `argnums` is a tuple.

    Examples
    --------
    >>> import nbad, xarray as xr
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> y, slope = nbad.integrations.xarray.value_and_grad(cube)(xr.DataArray([1.0, 2.0], dims="i"))
    >>> slope.values
    array([ 3., 12.])
    """

    def run(made: Labelled) -> tuple[xr.DataArray, tuple[xr.DataArray, ...]]:
        function = _verb(made, "value_and_grad")(f, made.names)
        y, *partials = _each(made, function, [()] * (1 + len(made.names)))
        return y, tuple(partials)

    return PartialsOfPartner(gradients.value_and_grad(f, argnums), value_and_grad, Labelled.of, run)


@fitting("nbad.integrations.xarray.hessian({f})({xs})")
def hessian(f: Kernel, argnums: Argnums = None) -> Callable[..., xr.DataArray]:
    """As `nbad.hessian`, on DataArrays: with the dimensions of the arguments, and behind these "argument" and "other_argument".

    Parameters
    ----------
    f, argnums
        As for `nbad.hessian`.

    Returns
    -------
    callable
        `hessian(f)(*xs)`, a DataArray; the names of the arguments are the coordinates of its last two dimensions.

    Examples
    --------
    >>> import nbad, xarray as xr
    >>> area = nbad.kernel(lambda a, b: a * b * b)
    >>> H = nbad.integrations.xarray.hessian(area)(xr.DataArray([2.0], dims="i"), 3.0)
    >>> H.sel(argument="b", other_argument="a").values
    array([6.])
    """

    def run(made: Labelled) -> xr.DataArray:
        function = _verb(made, "hessian")(f, made.names)
        (blocks,) = _each(made, function, [made.check_dims(ARGUMENT, OTHER)])
        return blocks.assign_coords({ARGUMENT: list(made.names), OTHER: list(made.names)}).rename(None)

    return OfPartner(gradients.hessian(f, argnums), hessian, Labelled.of, run)


@fitting("nbad.integrations.xarray.jvp({f}, ({xs},), ({xs},))")
def jvp(f: Kernel, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """As `nbad.jvp`, on DataArrays.

    Parameters
    ----------
    f : Kernel
    primals : tuple of DataArray or number, or one Dataset
        The kernel's arguments.
    tangents : tuple of DataArray or number, or one Dataset
        One per argument, with its labels and dimensions, in any order; a number may stand for one, and None, or no variable, for
        that of an argument without derivative.

    Returns
    -------
    y, y_dot : DataArray or tuple of these

    Examples
    --------
    >>> import nbad, xarray as xr
    >>> x = xr.DataArray([1.0, 2.0], dims="i")
    >>> y, y_dot = nbad.integrations.xarray.jvp(nbad.kernel(lambda x: x * x), (x,), (1.0,))
    >>> y_dot.values
    array([2., 4.])
    """
    primals, tangents = pushforward.as_tuples(f, *in_tuples(primals, tangents, xr.Dataset))
    flat = flattened(f, primals, {})
    if flat is not None:
        return jvp(flat.kernel, flat.args, flat.along(f, primals, tangents))
    made = Labelled.of("jvp", f, primals, {})
    dots = [_tangent(made, k, dot) for k, dot in enumerate(made.bound.tangents(primals, tangents, xr.Dataset, made.names))]
    lazy = [dot for dot in dots if isinstance(dot, xr.DataArray)]
    kernel, count = made.bound.without_statics(), len(dots)

    def run(*values):
        arrays = iter(values[count:])
        given = tuple(next(arrays) if isinstance(dot, xr.DataArray) else dot for dot in dots)
        y, y_dot = _verb(made, "jvp")(kernel, tuple(values[:count]), given)
        return (*outputs_of(y), *outputs_of(y_dot))

    found = made.apply(run, [()] * (2 * made.outputs), lazy)
    return made.bound.structured(found[: made.outputs]), made.bound.structured(found[made.outputs :])


def _tangent(made, k, tangent):
    """A tangent with the labels of its primal, which alignment may have made fewer or more."""
    name, primal, aligned = made.bound.names[k], made.originals[k], made.values[k]
    if not isinstance(tangent, xr.DataArray):
        if tangent is None:
            return tangent if name in made.names else 0.0  # also where alignment made floats of whole numbers
        return as_number(tangent, "jvp", f"{name}_dot", name if isinstance(primal, xr.DataArray) else None)
    if not isinstance(primal, xr.DataArray) or set(tangent.dims) != set(primal.dims):
        raise ArgumentValueError(
            f"{made.bound.program.call}: the tangent of {name} has other dimensions",
            got=", ".join(map(str, tangent.dims)),
            expected=", ".join(map(str, getattr(primal, "dims", ()))) or "a number",
            fix=f"xr.ones_like({name})" if isinstance(primal, xr.DataArray) else "1.0",
        )
    tangent = as_labelled(tangent, primal, "jvp", f"{name}_dot", name)
    return tangent.reindex_like(aligned).transpose(*aligned.dims).reset_coords(drop=True)


def _each(made, function, tails):
    """DataArrays of what a verb's function returns."""
    return made.apply(functools.partial(leaves_in, function, made.bound), tails)


def _verb(made: Labelled, verb: str) -> Any:
    """A verb for arrays as they come: of dask, or of NumPy."""
    if not made.is_lazy:
        return _VERBS[verb]
    from nbad.integrations import dask as lazy

    return getattr(lazy, verb)
