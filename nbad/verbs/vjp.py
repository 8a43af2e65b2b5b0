"""The verbs `vjp` and `jvp`."""

import math

import numpy as np

from nbad.api.calls import analyse, leaves_for, pair_of
from nbad.api.kernel import Kernel
from nbad.errors import ArgumentTypeError, ArgumentValueError, message, user_line
from nbad.plans import cost
from nbad.plans.policies import POLICIES, check_policy, check_seeds
from nbad.runtime import memory, sweeps
from nbad.runtime import small_calls as quick_path
from nbad.runtime.budget import check_bound, check_fits, require
from nbad.runtime.operands import DOUBLE, WEAK, as_array
from nbad.runtime.out import check_overlaps
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


def jvp(f, primals, tangents, /, out=None, **kwargs):
    """Value and directional derivative.

    Parameters
    ----------
    f : Kernel
    primals : tuple of array_like
        The kernel's arguments.
    tangents : tuple of array_like
        One per primal, in its shape; a Python scalar may stand for one. An integer or static argument takes 0 or None.
    out : pair, optional
        `(y, y_dot)`, each an array or a tuple of arrays, filled and returned.
    **kwargs
        Arguments that are passed by keyword are held fixed.

    Returns
    -------
    y, y_dot : arrays or tuples of arrays
        Both in the structure and shape of the value.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or tangents that do not fit.

    Examples
    --------
    >>> import nbad
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> nbad.jvp(cube, (2.0,), (1.0,))
    (np.float64(8.0), np.float64(12.0))
    """
    primals, tangents = _as_tuple("primals", primals), _as_tuple("tangents", tangents)
    call = analyse(f, primals, kwargs, None)
    program, operands, given = call.program, call.operands, f.parameters[: len(primals)]
    if kwargs:
        call = call.by(given)
    arrays = _tangents(call, given, tangents)
    leaves, dots = _jvp_results(call, arrays, out)
    sweeps.jvp(program, call.wrt, operands, arrays, leaves, dots)
    return out or (sweeps.structured(program, leaves), sweeps.structured(program, dots))


def _jvp_results(call, tangents, out):
    """Arrays for value and derivative: fresh ones, or those of `out=`, apart from one another and from the tangents."""
    if out is None:
        return [sweeps.new_leaves(call.program, call.operands) for _ in range(2)]
    headline = f"jvp of {call.program.call}"
    leaves, dots = (leaves_for(call, given, headline) for given in pair_of(out, headline, ("y", "y_dot")))
    for k, leaf in enumerate(leaves):
        check_overlaps(headline, leaf, f"y{k}", (*tangents, *dots))
    for k, dot in enumerate(dots):
        check_overlaps(headline, dot, f"y_dot{k}", tangents)
    return leaves, dots


def _as_tuple(name, value):
    if isinstance(value, tuple | list):
        return tuple(value)
    raise ArgumentTypeError(message(
        f"`nbad.jvp(f, primals, tangents)`: {name} is not a tuple", source=user_line(), got=type(value).__name__,
        expected="a tuple with one entry per argument", fix=f"({name},)",
    ))


def _tangents(call, given, tangents):
    """The tangents of the differentiated arguments as arrays, checked; `given` are the names of the primals."""
    program = call.program
    if len(tangents) != len(given):
        raise ArgumentValueError(message(
            f"{program.call}: there must be one tangent per argument", source=user_line(), got=f"{len(tangents)} tangents",
            expected=f"{len(given)}", fix=f"({', '.join(f'{name}_dot' for name in given)},)",
        ))
    if call.names != given:
        tangents = _by_differentiated(call, dict(zip(given, tangents, strict=True)))
    return [_tangent(call, k, tangent) for k, tangent in zip(call.arguments, tangents, strict=True)]


def _by_differentiated(call, tangents):
    """The tangents, by name, of the differentiated arguments; those of all others must be 0."""
    program = call.program
    for name, tangent in tangents.items():
        if name not in call.names and tangent is not None and np.any(tangent):
            raise ArgumentTypeError(message(
                f"{program.call}: {name} has no derivative, so its tangent must be 0", source=user_line(),
                got=repr(tangent), expected="0 or None", fix=f"{name}.astype(float)" if name in program.names else "None",
            ))
    return [tangents[name] for name in call.names]


def _tangent(call, k, tangent):
    program, wanted = call.program, call.operands.layout.shapes[k]
    if type(tangent) is np.ndarray and tangent.dtype is DOUBLE and tangent.shape == wanted:
        return tangent
    name = f"the tangent of {program.names[k]}"
    array = as_array(program.call, name, tangent)
    if array.shape != wanted and not (type(tangent) in WEAK or isinstance(tangent, np.generic)):
        raise ArgumentValueError(message(
            f"{program.call}: {name} has a wrong shape", source=user_line(), got=f"shape {array.shape}",
            expected=f"shape {wanted}", fix=f"np.broadcast_to(tangent, {wanted})",
        ))
    return array
