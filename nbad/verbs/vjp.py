"""The verb `vjp`: one forward sweep, and a pullback of what it kept."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nbad.api.calls import analyse, keep_plain, plain_name, says_what_is_missing, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, ArrayArgument, Residuals, check_bound, check_policy, check_seeds
from nbad.api.trees import flattened
from nbad.assembly.scatter import Picked, sweeps_over
from nbad.errors import cut
from nbad.plans import cost
from nbad.plans.policies import POLICIES
from nbad.runtime import memory, plain, sweeps
from nbad.runtime.reverse import Reverse, reverse_of
from nbad.runtime.sweeps import structured
from nbad.verbs.pullback import Pullback
from nbad.verbs.trees import TreePullback

AUTO: Residuals = "auto"
PLAIN = plain_name("vjp", None, AUTO, None)


@says_what_is_missing
def vjp(
    f: Kernel,
    /,
    *xs: ArrayArgument,
    argnums: Argnums = None,
    residuals: Residuals = AUTO,
    seeds: int | None = None,
    max_bytes: int | None = None,
    **kwargs: Any,
) -> tuple[Any, Pullback]:
    """Run the forward sweep once and return the value with its pullback.

    Parameters
    ----------
    f : Kernel
    *xs, **kwargs : array_like
        The kernel's arguments: numbers and arrays, or dicts, namedtuples and dataclasses of these, as their cotangents are then.
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, by position or name, in order; by default all but integer and bool arrays. Positions count all
        parameters, static ones included.
    residuals : str or tuple of str
        What to keep for the pullback: "auto", the name of a policy, or the names of values as `nbad.explain` prints them. A
        variable of the kernel names the value that it held last, `g.x` is that of a variable of a function `g` that it calls.
    seeds : int, optional
        The expected number of seeds, a hint for "auto"; 1 if not given.
    max_bytes : int, optional
        Bound of what the pullback keeps and of its temporaries, beside arguments, seeds and results.

    Returns
    -------
    y : array or tuple of arrays
        The value, in the broadcast shape of the arguments.
    pullback : Pullback
        Takes seeds to cotangents, any number of times; it needs none of the arrays that were passed here.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.
    TraceError
        For a kernel that cannot be traced.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> @nbad.kernel
    ... def area(a, b):
    ...     return a * b
    >>> y, pullback = nbad.vjp(area, np.array([2.0, 3.0]), 5.0)
    >>> y
    array([10., 15.])
    >>> pullback(1.0)
    (array([5., 5.]), np.float64(5.0))
    """
    try:
        key, argnums = None, selection(argnums)
        if isinstance(f, Kernel) and not kwargs and max_bytes is None:
            is_usual = argnums is None and residuals is AUTO and seeds is None  # to spell the name takes a tenth of a small call
            key = PLAIN if is_usual else plain_name("vjp", argnums, residuals, seeds)
            made = f.plain(key, xs, None)
            if made is not False:
                return made
        said: dict[str, Any] = dict(residuals=residuals, seeds=seeds, max_bytes=max_bytes)
        flat = flattened(f, xs, kwargs, argnums)
        if flat is None:
            return _general(f, xs, kwargs, argnums, key, said)
        y, pullback = vjp(flat.kernel, *flat.args, argnums=flat.selected(f, argnums), **said, **flat.kwargs)
        return y, TreePullback.of(pullback, flat.groups(f, argnums))
    except Exception as error:  # not by the decorator that does so elsewhere, which takes a tenth of a small call
        cut(error)
        raise


def _general(f, xs, kwargs, argnums, key, said):
    """All that is no plain case yet; an entry is kept under `key` for the next such call, if there is a key."""
    call = analyse(f, xs, kwargs, argnums)
    options = _options(call.program.call, **said)
    forward = call.layout.remember(("vjp", call.arguments, options), lambda: _forward(call, options))
    *leaves, rows = forward.sweep(call.given)
    if key is not None:
        keep_plain(f, key, call, argnums, len(xs), lambda: _plain(call.program, forward.reverse))
    picked = Picked(forward.whole, call.indices) if call.indices else None
    pullback = Pullback(forward.reverse, rows, call.layout.shape, forward.shapes, options.max_bytes, picked, forward.order)
    return structured(call.program, leaves), pullback


class Options(NamedTuple):
    """What one may say of the pullback, checked."""

    policy: str | tuple[str, ...] = "auto"
    seeds: int = 1
    max_bytes: int | None = None


class Forward(NamedTuple):
    """The forward sweep of one layout and these options, the station of its pullbacks, and the shapes of their cotangents.

    `whole` are the shapes of what the differentiated arguments stand for, `order` that of the axes in residual rows.
    """

    sweep: sweeps.Sweep
    reverse: Reverse
    shapes: tuple[tuple[int, ...], ...]
    whole: tuple[tuple[int, ...], ...]
    order: tuple[int, ...] | None


USUAL = Options()


def _options(call, residuals, seeds, max_bytes):
    if residuals == "auto" and seeds is None and max_bytes is None:
        return USUAL
    return Options(check_policy(call, residuals), check_seeds(call, 1 if seeds is None else seeds), check_bound(call, max_bytes))


def _forward(call, options):
    program, layout = call.program, call.layout
    shapes, whole = (tuple(each[a] for a in call.arguments) for each in (layout.shapes, layout.whole))
    picked = Picked(whole, call.indices) if call.indices else None
    plan = _fitting_plan(call, shapes, picked, options)
    reverse = reverse_of(program, plan, call.arguments, layout.dtype)
    policies = POLICIES if options.policy == "auto" else ()
    advice = _advice(layout, plan, [partial(program.plan, call.wrt, policy, options.seeds) for policy in policies])
    order = sweeps.order_of_rows(program, layout, call.arguments)
    sweep = sweeps.forward(program, plan, layout, order, advice, options.max_bytes is not None)
    return Forward(sweep, reverse, shapes, whole, order)


def _plain(program, reverse):
    """`vjp` in the plain case."""
    if not program.leaves:  # a gradient by no argument: no result has the shape of the elements
        return plain.never
    run, depth, structure = plain.forward(program, reverse.plan, reverse.dtype), len(program.leaves[0]), program.structure
    is_tuple, is_usual, build, array = structure.is_tuple, structure.is_usual, structure.builder, np.ndarray
    is_of_all = reverse.arguments == tuple(range(len(program.names)))

    def call(xs, out):
        made = run(xs, out)
        if made is False:
            return False
        y, rows = made
        first = y[0] if is_tuple else y
        axes = first.ndim - depth
        shape = first.shape[:axes]
        chosen = xs if is_of_all else [xs[a] for a in reverse.arguments]
        shapes = tuple([x.shape if type(x) is array else () for x in chosen])
        if axes < 2 or first.flags.c_contiguous:
            return y if is_usual else build(y), Pullback(reverse, rows, shape, shapes)
        return y if is_usual else build(y), Pullback(reverse, rows, shape, shapes, order=tuple(range(axes))[::-1])

    return call


def _residual_bytes(layout, plan):
    """Bytes of the residual buffer."""
    return math.prod(sweeps.residual_shape(plan, layout)) * layout.dtype.itemsize


def _advice(layout, plan, others):
    """What to do where the residuals do not fit into the memory: a bound that makes "auto" keep less, if that helps.

    `others` make the plans that it may choose.
    """

    def advice(free):
        room = free - layout.dtype.itemsize * sum(map(math.prod, layout.leaf_shapes))
        is_enough = any(_residual_bytes(layout, other()) <= room for other in others) and _residual_bytes(layout, plan) > room
        return f"max_bytes={room}" if is_enough else "a part of the arguments at a time"

    return advice


def _fitting_plan(call, shapes, picked, options):
    """The plan of a policy; "auto" gives way to one that keeps less where `max_bytes` asks for it."""
    program, layout, bound = call.program, call.layout, options.max_bytes
    plan = program.plan(call.wrt, options.policy, options.seeds)
    if bound is None:
        return plan
    reverse = reverse_of(program, plan, call.arguments, layout.dtype)
    sums = sweeps_over(reverse, layout.shape, shapes, picked).least_bytes
    if _residual_bytes(layout, plan) + sums <= bound:
        return plan
    plans = [program.plan(call.wrt, p, options.seeds) for p in POLICIES] if options.policy == "auto" else [plan]
    sizes = [_residual_bytes(layout, p) + sums for p in plans]
    memory.check_fits(program.call, min(sizes), bound, _wanted(call, sums))
    return cost.best([p for p, size in zip(plans, sizes, strict=True) if size <= bound], options.seeds)


def _wanted(call, sums):
    """What `max_bytes` must have room for."""
    return "the residuals" + (" and sums over picked entries" if call.indices else " and sums over broadcast axes" * (sums > 0))
