"""The verbs `jacobian` and `value_and_jacobian`."""

import functools
import math

from nbad.api.calls import analyse, check_kernel, leaves_for, pair_of, selection
from nbad.errors import ArgumentValueError
from nbad.runtime import memory, sweeps
from nbad.runtime import small_calls as quick_path
from nbad.runtime.budget import require
from nbad.runtime.out import check_out, check_overlaps

MODES = ("auto", "reverse", "forward")


def jacobian(f, argnums=None, mode="auto"):
    """The function that computes the per-element Jacobian.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        Arguments to differentiate; by default all but integer and bool arrays.
    mode : {"auto", "reverse", "forward"}
        How the entries are accumulated: one sweep per output, one per input, or whichever costs less. They agree to rounding.

    Returns
    -------
    callable
        `jacobian(f)(*xs, out=None)` of shape `(*B, M, N)`: M runs over the outputs, N over the chosen arguments, in order, core
        values in C order. Both axes are always there.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> nbad.jacobian(area)(np.array([2.0, 3.0]), 5.0)
    array([[[5., 2.]],
           [[5., 3.]]])
    """
    check_kernel(f)
    _check_mode(mode)
    argnums = selection(argnums)

    @functools.wraps(f, updated=())
    def compute(*xs, out=None, **kwargs):
        key = quick_path.key_of(xs, argnums)
        few = _few(f, key, mode, xs) if out is None and not kwargs else None
        if few is not None:
            return few[1]
        call = analyse(f, xs, kwargs, argnums)
        blocks, plan = _blocks(call, out), call.program.jacobian_plan(call.wrt, mode)
        sweeps.jacobian(call.program, plan, call.operands, [], blocks)
        _prepare_few(f, key, mode, call)
        return blocks

    return compute


def _few(f, key, mode, xs):
    """Value and Jacobian of few elements, or None."""
    quick = f.quick_jacobian.get((key, mode))
    return quick(xs) if quick is not None else None


def _prepare_few(f, key, mode, call):
    """Make the quick path for later calls like this one."""
    if (key, mode) not in f.quick_jacobian and quick_path.derives(key, call):
        f.quick_jacobian[key, mode] = quick_path.jacobian_call(call.program, call.program.jacobian_plan(call.wrt, mode))


def _check_mode(mode):
    if mode not in MODES:
        raise ArgumentValueError(
            f"`nbad.jacobian(f, mode={mode!r})`: unknown mode",
            got=repr(mode),
            expected=", ".join(map(repr, MODES)),
            fix="nbad.jacobian(f)",
        )


def _blocks(call, out):
    """The array that receives the Jacobian."""
    program, (arrays, layout) = call.program, call.operands
    shape, headline = (*layout.shape, len(program.graph.outputs), len(call.wrt)), f"jacobian of {program.call}"
    if out is None:
        require(headline, math.prod(shape) * layout.dtype.itemsize, "the Jacobian of a part of the arguments, out= another")
        return memory.empty(shape, layout.dtype)
    return check_out(headline, out, ["out"], [shape], layout.dtype, arrays, False)[0]


def value_and_jacobian(f, argnums=None):
    """The function that computes value and per-element Jacobian in one sweep.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        As for `jacobian`.

    Returns
    -------
    callable
        `value_and_jacobian(f)(*xs, out=None)` returns `(y, J)`; `out` is such a pair, filled.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> y, J = nbad.value_and_jacobian(area)(2.0, 5.0)
    >>> y, J
    (np.float64(10.0), array([[5., 2.]]))
    """
    check_kernel(f)
    argnums = selection(argnums)

    @functools.wraps(f, updated=())
    def compute(*xs, out=None, **kwargs):
        key = quick_path.key_of(xs, argnums)
        few = _few(f, key, "auto", xs) if out is None and not kwargs else None
        if few is not None:
            return few
        call = analyse(f, xs, kwargs, argnums)
        headline = f"value_and_jacobian of {call.program.call}"
        y, J = pair_of(out, headline, ("y", "J"))
        leaves, blocks = leaves_for(call, y, headline), _blocks(call, J)
        if out is not None:
            check_overlaps(headline, blocks, "J", leaves)
        sweeps.jacobian(call.program, call.program.jacobian_plan(call.wrt, "auto"), call.operands, leaves, blocks)
        _prepare_few(f, key, "auto", call)
        return out or (sweeps.structured(call.program, leaves), blocks)

    return compute
