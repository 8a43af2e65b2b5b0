"""The verb `vjp`: one forward sweep, and a pullback of what it kept."""

import math

from nbad.api.calls import analyse
from nbad.api.kernel import Kernel
from nbad.api.options import check_bound, check_policy, check_seeds
from nbad.plans import cost
from nbad.plans.policies import POLICIES
from nbad.runtime import memory, sweeps
from nbad.runtime import small_calls as quick_path
from nbad.runtime.budget import check_fits, require
from nbad.verbs.pullback import Pullback


def vjp(f, /, *xs, argnums=None, residuals="auto", seeds=None, max_bytes=None, **kwargs):
    """Run the forward sweep once and return the value with its pullback.

    Parameters
    ----------
    f : Kernel
    *xs, **kwargs : array_like
        The kernel's arguments.
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, by position or name, in order; by default all but integer and bool arrays. Positions count all
        parameters, static ones included.
    residuals : str or tuple of str
        What to keep for the pullback: "auto", the name of a policy, or the names of values as `nbad.explain` prints them.
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
    is_usual = isinstance(f, Kernel) and not kwargs and residuals == "auto" and seeds is None and max_bytes is None
    key = quick_path.key_of(xs, argnums) if is_usual else None
    quick = f.quick_forward.get(key) if key else None
    result = quick(xs) if quick is not None else None
    if result is not None:
        return result
    call = analyse(f, xs, kwargs, argnums)
    program, operands = call.program, call.operands
    options = check_policy(program.call, residuals), check_seeds(program.call, 1 if seeds is None else seeds)
    max_bytes = check_bound(program.call, max_bytes)
    plan, kept = operands.layout.remember(("vjp", call.arguments, options, max_bytes), lambda: _plan(call, *options, max_bytes))
    made = operands.dtype.itemsize * math.prod(operands.shape) * len(program.graph.outputs)
    require(program.call, kept + made, lambda free: _leaner(call, residuals, kept, free - made))
    pullback, leaves = _pullback(call, plan, max_bytes), sweeps.new_leaves(program, operands)
    rows = pullback.rows = sweeps.residual_rows(plan, operands, memory.empty if max_bytes is None else memory.exact)
    sweeps.forward(program, plan, operands, leaves, rows)
    if quick is None and quick_path.derives(key, call):
        f.quick_forward[key] = _quick_forward(program, plan, call.arguments)
    return sweeps.structured(program, leaves), pullback


def _pullback(call, plan, max_bytes):
    """A pullback without its residuals."""
    layout = call.operands.layout
    shapes = [layout.shapes[a] for a in call.arguments]
    return Pullback(call.program, plan, call.arguments, shapes, layout.shape, layout.dtype, max_bytes)


def _residual_bytes(call, plan):
    """Bytes of the residual buffer."""
    dtype = call.operands.dtype
    return len(plan.residuals) * sweeps.row_length(math.prod(call.operands.shape), dtype) * dtype.itemsize


def _leaner(call, policy, kept, room):
    """What to do where the residuals do not fit into the memory: a bound that makes "auto" keep less, if that helps."""
    plans = [call.program.plan(call.wrt, p) for p in POLICIES] if policy == "auto" else []
    is_enough = any(_residual_bytes(call, plan) <= room for plan in plans) and kept > room
    return f"max_bytes={room}" if is_enough else "a part of the arguments at a time"


def _plan(call, policy, seeds, max_bytes):
    """The plan for the options of a call, and the bytes of its residuals."""
    plan = _fitting_plan(call, policy, seeds, max_bytes)
    return plan, _residual_bytes(call, plan)


def _fitting_plan(call, policy, seeds, max_bytes):
    """The plan of a policy; "auto" gives way to one that keeps less where `max_bytes` asks for it."""
    program = call.program
    plan = program.plan(call.wrt, policy, seeds)
    if max_bytes is None:
        return plan
    sums = _least_sums(call, plan)
    if _residual_bytes(call, plan) + sums <= max_bytes:
        return plan
    plans = [program.plan(call.wrt, p) for p in POLICIES] if policy == "auto" else [plan]
    sizes = [_residual_bytes(call, p) + sums for p in plans]
    check_fits(program.call, min(sizes), max_bytes, "the residuals" + " and sums over broadcast axes" * (sums > 0))
    return cost.best([p for p, size in zip(plans, sizes, strict=True) if size <= max_bytes], seeds)


def _least_sums(call, plan):
    """Bytes of sums over broadcast axes without which no seed can be swept."""
    return _pullback(call, plan, None).temporary_bytes


def _quick_forward(program, plan, arguments):
    """`vjp` for few elements."""
    reverse = quick_path.reverse_call(program, plan, arguments)

    def finish(y, rows, shape, shapes):
        return y, Pullback.quick(program, plan, arguments, [shapes[a] for a in arguments], shape, rows, reverse)

    return quick_path.forward_call(program, plan, finish)
