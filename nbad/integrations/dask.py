"""nbad's verbs on dask arrays: lazy, block by block, with residuals that stay where their blocks were computed.

`nbad.integrations.dask.vjp(f, *xs)` gives a lazy value and a `Pullback` whose cotangents are lazy; `jacobian` and its kin are
likewise those of `nbad`, on dask arrays. A plain call `f(*xs)` and kernels such as `nbad.grad(f)` take dask arrays themselves.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import dask.base
import numpy as np

from nbad.api.calls import check_kernel, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, Mode, Residuals, check_bound, check_policy, check_seeds
from nbad.api.trees import flattened
from nbad.errors import fitting
from nbad.graphs.structures import outputs_of
from nbad.partners.dask_blocks import Block, Cut, Kept, Place, blocks_of, cut, fitted, picked, stand_in
from nbad.partners.dask_pullback import Pullback, block_shape
from nbad.partners.made import OfPartner, PartialsOfPartner, vjp_by_flat
from nbad.partners.named import leaves_in
from nbad.verbs import gradients, jacobians, pushforward
from nbad.verbs.vjp import vjp as vjp_of_arrays

__all__ = ["Pullback", "hessian", "jacobian", "jvp", "value_and_grad", "value_and_jacobian", "vjp"]


@fitting("nbad.integrations.dask.vjp({f}, {xs})")
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
    """The lazy value of a kernel on dask arrays, and its pullback, which gives lazy cotangents.

    With dask's schedulers for one machine nothing is computed by the call. What first asks for something of a block runs its
    forward sweep, and what that leaves is kept in this process for all that is asked for later: as long as the pullback lives,
    and of as many blocks as half of the free memory holds; the others run theirs again, so data may be larger than memory.

    Where dask computes with a client of `dask.distributed`, its workers begin with the forward sweeps at once, in the background,
    as with `persist`, and keep what these leave; pullbacks are applied where that is. What was on a worker that is lost, another
    one computes anew.

    Parameters
    ----------
    f : Kernel
    *xs, **kwargs : dask.array.Array or array_like
        The kernel's arguments, of which one at least is a dask array; the finest common chunks cut all of them.
    argnums : int, str or tuple of these, optional
        As for `nbad.vjp`.
    residuals, seeds, max_bytes : optional
        As for `nbad.vjp`, of each block.

    Returns
    -------
    y : dask.array.Array or tuple of these
        The value.
    pullback : Pullback
        Takes seeds to cotangents, any number of times.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit; also without any dask array, and for chunks of unknown sizes.

    Examples
    --------
    >>> import dask.array as da, nbad
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> y, pullback = nbad.integrations.dask.vjp(area, da.arange(6.0, chunks=2), 5.0)
    >>> y.compute(scheduler="synchronous")
    array([ 0.,  5., 10., 15., 20., 25.])
    >>> a_bar, b_bar = pullback(1.0)
    >>> float(b_bar.compute(scheduler="synchronous"))
    15.0
    """
    check_kernel(f)
    argnums, given = selection(argnums), dict[str, Any](residuals=residuals, seeds=seeds, max_bytes=max_bytes)
    by_flat = vjp_by_flat(vjp, f, xs, kwargs, argnums, given)
    if by_flat is not None:
        return by_flat
    made = cut("vjp", f, xs, kwargs, argnums)
    options = dict(given, argnums=made.call.names)
    _check(made, options)
    client, kept = _client(), Kept()
    run = functools.partial(_forward, bound=made.bound, options=options)
    if client is None:
        run = functools.partial(_kept, run=run, place=Place(kept))
        blocks = blocks_of(run, "forward", made.space, [*_numbers(made), *made.pairs], made.chunks)
    else:
        blocks = blocks_of(run, "forward", made.space, made.pairs, made.chunks)
        from nbad.partners.dask_pins import pin

        pin(client)
        blocks = client.persist(blocks)
    each = [picked(blocks, "value", made.space, k, core, made.dtype) for k, core in enumerate(made.leaf_cores)]
    return made.bound.structured(each), Pullback(made, blocks, kept)


def _client():
    """The client of `dask.distributed` that dask computes with; None without one."""
    client = getattr(dask.base.get_scheduler(), "__self__", None)
    return client if hasattr(client, "register_plugin") else None


def _numbers(made):
    """The number of each block, as an argument of its task."""
    numbers = np.arange(math.prod(map(len, made.chunks))).reshape([len(c) for c in made.chunks])
    return da.from_array(numbers, chunks=1, name=False), made.space


def _check(made, options):
    """Refuse options that do not fit in the call, not in the first task that runs."""
    call = made.call.program.call
    seeds = check_seeds(call, 1 if options["seeds"] is None else options["seeds"])
    made.call.program.plan(made.call.wrt, check_policy(call, options["residuals"]), seeds)
    check_bound(call, options["max_bytes"])


def _forward(*values, bound, options):
    """The task of one block."""
    y, pullback = bound.call(functools.partial(vjp_of_arrays, bound.f), values, **options)
    return Block(tuple(map(np.asarray, outputs_of(y))), pullback)


def _kept(number, *values, run, place):
    """The same with the schedulers of this process, which may have the block already."""
    return place.of(int(number.item()), lambda: run(*values))


@fitting("nbad.integrations.dask.jacobian({f})({xs})")
def jacobian(f: Kernel, argnums: Argnums = None, mode: Mode = "auto") -> Callable[..., da.Array]:
    """As `nbad.jacobian`, on dask arrays: lazy, block by block; nothing is kept, so data may be larger than memory.

    Parameters
    ----------
    f, argnums, mode
        As for `nbad.jacobian`.

    Returns
    -------
    callable
        `jacobian(f)(*xs)`, a dask array of shape `(*B, M, N)`, whose last two axes are not cut.

    Examples
    --------
    >>> import dask.array as da, nbad
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> nbad.integrations.dask.jacobian(area)(da.ones(4, chunks=2), 5.0).compute(scheduler="synchronous")[0]
    array([[5., 1.]])
    """

    def run(made: Cut) -> da.Array:
        return _each(made, jacobians.jacobian(f, made.call.names, mode), [block_shape(made)])[0]

    return OfPartner(jacobians.jacobian(f, argnums, mode), functools.partial(jacobian, mode=mode), cut, run)


@fitting("nbad.integrations.dask.value_and_jacobian({f})({xs})")
def value_and_jacobian(f: Kernel, argnums: Argnums = None) -> Callable[..., tuple[Any, da.Array]]:
    """As `nbad.value_and_jacobian`, on dask arrays: lazy, one sweep per block for both.

    Parameters
    ----------
    f, argnums
        As for `nbad.value_and_jacobian`.

    Returns
    -------
    callable
        `value_and_jacobian(f)(*xs)` returns `(y, J)`.

    Examples
    --------
    >>> import dask, dask.array as da, nbad
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> y, J = nbad.integrations.dask.value_and_jacobian(area)(da.ones(4, chunks=2), 5.0)
    >>> J
    dask.array<nbad-value, shape=(4, 1, 2), dtype=float64, chunksize=(2, 1, 2), chunktype=numpy.ndarray>
    """

    def run(made: Cut) -> tuple[Any, da.Array]:
        *y, blocks = _each(made, jacobians.value_and_jacobian(f, made.call.names), [*made.leaf_cores, block_shape(made)])
        return made.bound.structured(y), blocks

    return OfPartner(jacobians.value_and_jacobian(f, argnums), value_and_jacobian, cut, run)


@fitting("nbad.integrations.dask.value_and_grad({f})({xs})")
def value_and_grad(f: Kernel, argnums: Argnums = 0) -> Callable[..., tuple[da.Array, Any]]:
    """As `nbad.value_and_grad`, on dask arrays: lazy, one sweep per block for both.

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
    >>> import dask.array as da, nbad
    >>> y, slope = nbad.integrations.dask.value_and_grad(nbad.kernel(lambda x: x**3))(da.ones(4, chunks=2))
    >>> slope.compute(scheduler="synchronous")
    array([3., 3., 3., 3.])
    """

    def run(made: Cut) -> tuple[da.Array, tuple[da.Array, ...]]:
        gradients.check_is_number(f, made.call.program.structure, made.call.program.leaves)
        function = gradients.value_and_grad(f, made.call.names)
        y, *partials = _each(made, function, [(), *(made.call.program.cores[a] for a in made.call.arguments)])
        return y, tuple(partials)

    return PartialsOfPartner(gradients.value_and_grad(f, argnums), value_and_grad, cut, run)


@fitting("nbad.integrations.dask.hessian({f})({xs})")
def hessian(f: Kernel, argnums: Argnums = None) -> Callable[..., da.Array]:
    """As `nbad.hessian`, on dask arrays: lazy, block by block.

    Parameters
    ----------
    f, argnums
        As for `nbad.hessian`.

    Returns
    -------
    callable
        `hessian(f)(*xs)`, a dask array of shape `(*B, N, N)`.

    Examples
    --------
    >>> import dask.array as da, nbad
    >>> area = nbad.kernel(lambda a, b: a * b * b)
    >>> nbad.integrations.dask.hessian(area)(da.full(4, 2.0, chunks=2), 3.0).compute(scheduler="synchronous")[0]
    array([[0., 6.],
           [6., 4.]])
    """

    def run(made: Cut) -> da.Array:
        gradients.check_is_number(f, made.call.program.structure, made.call.program.leaves)
        return _each(made, gradients.hessian(f, made.call.names), [(len(made.call.wrt),) * 2])[0]

    return OfPartner(gradients.hessian(f, argnums), hessian, cut, run)


@fitting("nbad.integrations.dask.jvp({f}, ({xs},), ({xs},))")
def jvp(f: Kernel, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """As `nbad.jvp`, on dask arrays: lazy, block by block.

    Parameters
    ----------
    f : Kernel
    primals : tuple of dask.array.Array or array_like
        The kernel's arguments.
    tangents : tuple of dask.array.Array or array_like
        One per argument, in its shape; a number may stand for one, and None for that of an argument without derivative.

    Returns
    -------
    y, y_dot : dask.array.Array or tuple of these

    Examples
    --------
    >>> import dask.array as da, nbad
    >>> y, y_dot = nbad.integrations.dask.jvp(nbad.kernel(lambda x: x * x), (da.arange(4.0, chunks=2),), (1.0,))
    >>> y_dot.compute(scheduler="synchronous")
    array([0., 2., 4., 6.])
    """
    primals, tangents = pushforward.as_tuples(f, primals, tangents)
    flat = flattened(f, primals, {})
    if flat is not None:
        return jvp(flat.kernel, flat.args, flat.along(f, primals, tangents))
    made = cut("jvp", f, primals, {}, None)
    names, call = f.parameters[: len(primals)], made.call
    pushforward.check_count(f, names, tangents, call.names)
    given = dict(zip(call.names, pushforward.tangents_of(call, names, tuple(map(stand_in, tangents))), strict=True))
    lazy = dict(zip(names, tangents, strict=True))
    pairs, order = list(made.pairs), []
    for k, name in zip(call.arguments, call.names, strict=True):
        labels = made.pairs[2 * k + 1] if given[name].ndim else None
        value = lazy[name] if isinstance(lazy[name], da.Array) or labels is None else given[name]
        pairs += [fitted(value, labels, made.chunks), labels]
        order.append(name)
    run = functools.partial(_pushed, bound=made.bound, order=tuple(order))
    found = blocks_of(run, "jvp", made.space, pairs, made.chunks)
    each = [picked(found, "value", made.space, k, core, made.dtype) for k, core in enumerate(made.leaf_cores * 2)]
    count = len(made.leaf_cores)
    return made.bound.structured(each[:count]), made.bound.structured(each[count:])


def _pushed(*values, bound, order):
    """The task of one block: outputs, and behind them their tangents."""
    count = len(bound.names)
    dots = dict(zip(order, values[count:], strict=True))
    y, y_dot = pushforward.jvp(bound.without_statics(), tuple(values[:count]), tuple(dots.get(name) for name in bound.names))
    return [*outputs_of(y), *outputs_of(y_dot)]


def _each(made, function, tails):
    """Arrays of what a verb's function returns."""
    return made.each(functools.partial(leaves_in, function, made.bound), tails)
