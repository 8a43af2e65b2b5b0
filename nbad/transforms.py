"""The verbs `vjp` and `jvp`."""

import math
from dataclasses import replace

import numpy as np

from nbad import config, cost, dispatch
from nbad import quick as quick_path
from nbad.broadcast import WEAK, as_array
from nbad.budget import check_bound, check_fits, require
from nbad.calls import analyse, leaves_for, pair_of
from nbad.decorate import Kernel
from nbad.errors import ArgumentTypeError, ArgumentValueError, message, user_line
from nbad.outputs import check_overlaps
from nbad.policies import POLICIES, check_policy, check_seeds
from nbad.pullback import Pullback


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
    is_usual = argnums is None and residuals == "auto" and seeds is None and max_bytes is None and not kwargs
    is_usual = is_usual and not config.debug.get()
    if is_usual and isinstance(f, Kernel):
        quick = f.quick_forward.get(len(xs))
        result = quick(xs) if quick is not None else None
        if result is not None:
            return result
    call = analyse(f, xs, kwargs, argnums)
    program, operands = call.program, call.operands
    plan = _plan(call, check_policy(program.call, residuals), check_seeds(program.call, 1 if seeds is None else seeds), max_bytes)
    shapes, kept = [operands.shapes[a] for a in call.arguments], _residual_bytes(call, plan)
    pullback = Pullback(program, plan, call.arguments, shapes, operands.shape, operands.dtype, max_bytes)
    check_fits(program.call, kept + pullback.temporary_bytes, max_bytes, "the residuals and sums over broadcast axes")
    require(program.call, kept, f"max_bytes={kept // 2}")
    leaves = dispatch.new_leaves(program, operands)
    rows = pullback.rows = dispatch.residual_rows(len(plan.residuals), operands.shape, operands.dtype)
    dispatch.forward(program, plan, operands, leaves, rows)
    if is_usual and len(call.arguments) == len(xs) and len(xs) not in f.quick_forward and quick_path.serves(program, operands):
        f.quick_forward[len(xs)] = _quick_forward(program, plan)
    return dispatch.structured(program, leaves), pullback


def _residual_bytes(call, plan):
    """Bytes of the residual buffer."""
    dtype = call.operands.dtype
    return len(plan.residuals) * dispatch.row_length(math.prod(call.operands.shape), dtype) * dtype.itemsize


def _plan(call, policy, seeds, max_bytes):
    """The plan of a policy; "auto" gives way to one that keeps less where `max_bytes` asks for it."""
    program = call.program
    check_bound(program.call, max_bytes)
    plan = program.plan(call.wrt, policy, seeds)
    if max_bytes is None or _residual_bytes(call, plan) <= max_bytes:
        return plan
    plans = [program.plan(call.wrt, p) for p in POLICIES] if policy == "auto" else [plan]
    sizes = [_residual_bytes(call, p) for p in plans]
    check_fits(program.call, min(sizes), max_bytes, "the residuals")
    return cost.best([p for p, size in zip(plans, sizes, strict=True) if size <= max_bytes], seeds)


def _quick_forward(program, plan):
    """`vjp` for few elements."""
    reverse = quick_path.reverse_call(program, plan)

    def finish(y, rows, shape, shapes):
        return y, Pullback.quick(program, plan, shape, shapes, rows, reverse)

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
    call = replace(call, arguments=tuple(k for k in call.arguments if program.names[k] in given))
    arrays = _tangents(call, given, tangents)
    y, y_dot = pair_of(out, f"jvp of {program.call}", ("y", "y_dot"))
    leaves, dots = (leaves_for(call, given, f"jvp of {program.call}") for given in (y, y_dot))
    _check_apart(out, leaves, dots, arrays, program.call)
    dispatch.jvp(program, call.wrt, operands, arrays, leaves, dots)
    return out or (dispatch.structured(program, leaves), dispatch.structured(program, dots))


def _check_apart(out, leaves, dots, tangents, call):
    """Refuse results in the same memory as one another, or as a tangent."""
    for k, leaf in enumerate(leaves if out is not None else ()):
        check_overlaps(f"jvp of {call}", leaf, f"y{k}", (*tangents, *dots))
    for k, dot in enumerate(dots if out is not None else ()):
        check_overlaps(f"jvp of {call}", dot, f"y_dot{k}", tangents)


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
    for name, tangent in zip(given, tangents, strict=True):
        if name not in call.names and tangent is not None and np.any(tangent):
            raise ArgumentTypeError(message(
                f"{program.call}: {name} has no derivative, so its tangent must be 0", source=user_line(),
                got=repr(tangent), expected="0 or None", fix=f"{name}.astype(float)" if name in program.names else "None",
            ))
    by_name = dict(zip(given, tangents, strict=True))
    return [_tangent(program, call.operands, k, by_name[program.names[k]]) for k in call.arguments]


def _tangent(program, operands, k, tangent):
    name = f"the tangent of {program.names[k]}"
    array, wanted = as_array(program.call, name, tangent), operands.arrays[k].shape
    if array.shape != wanted and not (type(tangent) in WEAK or isinstance(tangent, np.generic)):
        raise ArgumentValueError(message(
            f"{program.call}: {name} has a wrong shape", source=user_line(), got=f"shape {array.shape}",
            expected=f"shape {wanted}", fix=f"np.broadcast_to(tangent, {wanted})",
        ))
    return array
