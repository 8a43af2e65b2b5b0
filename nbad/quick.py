"""The quick path: calls on a few float64 elements, straight from Python's arguments through `nbad.thunk` into the tile kernel.

Each function here makes a closure for one specialization. The closure answers None where the call is not of the quick kind; then
the general path, which checks everything and says what is wrong, takes over.
"""

import math

import numpy as np

from nbad import thunk
from nbad.broadcast import DOUBLE
from nbad.tiles import TILE

empty, ndarray = np.empty, np.ndarray


def serves(program, operands):
    """Whether calls like this one may take the quick path: scalar arguments and outputs, in float64.

    Parameters
    ----------
    program : Program
    operands : Operands

    Returns
    -------
    bool
    """
    is_small = math.prod(operands.shape) <= TILE and operands.dtype is DOUBLE
    return is_small and program.is_scalar and thunk.is_available()


def _shape(args):
    """The shape of the first array, or that of scalars; None where there are too many elements."""
    for a in args:
        if type(a) is ndarray:
            return a.shape if a.size <= TILE else None
    return ()


def _plain_rows(count):
    return [(k, 0, False) for k in range(count)]


def _fits(out, count, shape, args):
    """Whether the arrays of `out=` may be written to at once; the thunk checks the rest."""
    if type(out) is not tuple or len(out) != count:
        return False
    is_fit = all(type(y) is ndarray and y.shape == shape and y.flags.writeable for y in out)
    return is_fit and thunk.are_apart(out, [a for a in args if type(a) is ndarray])


def value_call(program):
    """`call(args, out)`: the value of the kernel, in new arrays or in those of `out`; or None.

    Parameters
    ----------
    program : Program

    Returns
    -------
    callable
    """
    count, outputs = len(program.names), len(program.leaves)
    kernel = program.value(DOUBLE)
    run = thunk.bind(kernel, _plain_rows(count + outputs), count + outputs, count, TILE)
    if not program.is_tuple:
        return _single(run)

    def call(args, out):
        shape = _shape(args)
        if shape is None:
            return None
        if out is not None:
            return out if _fits(out, outputs, shape, args) and run(*args, *out) else None
        leaves = [empty(shape) for _ in range(outputs)]
        return _tuple(leaves, shape) if run(*args, *leaves) else None

    return call


def _single(run):
    def call(args, out):
        shape = _shape(args)
        if shape is None:
            return None
        if out is not None:
            return out if _fits((out,), 1, shape, args) and run(*args, out) else None
        y = empty(shape)
        if run(*args, y):
            return y if shape else y[()]
        return None

    return call


def _tuple(leaves, shape):
    return tuple(leaves) if shape else tuple([y[()] for y in leaves])


def forward_call(program, plan, finish):
    """`call(args)`: what `finish(value, rows, shape, shapes of the arguments)` makes of a forward sweep, or None.

    Parameters
    ----------
    program : Program
    plan : Plan
    finish : callable

    Returns
    -------
    callable
    """
    count, outputs, kept = len(program.names), len(program.leaves), len(plan.residuals)
    rows = [*_plain_rows(count + outputs), *((count + outputs, 8 * TILE * k, True) for k in range(kept))]
    run = thunk.bind(program.forward(plan, DOUBLE), rows, count + outputs, count, TILE)
    is_tuple = program.is_tuple

    def call(args):
        shape = _shape(args)
        if shape is None:
            return None
        leaves, residuals = [empty(shape) for _ in range(outputs)], empty((kept, TILE))
        if not run(*args, *leaves, residuals):
            return None
        y = _tuple(leaves, shape) if is_tuple else leaves[0] if shape else leaves[0][()]
        return finish(y, residuals, shape, [shape if type(a) is ndarray else () for a in args])

    return call


def reverse_call(program, plan):
    """`call(ct, rows, shape, out)`: the cotangents for one seed, where every argument has the shape of the value; or None.

    Parameters
    ----------
    program : Program
    plan : Plan

    Returns
    -------
    callable
    """
    kept, seeds, results = len(plan.residuals), len(program.leaves), len(plan.wrt)
    table = [(seeds + results, 8 * TILE * k, True) for k in range(kept)]
    table += _plain_rows(seeds + results)
    run = thunk.bind(program.fused_reverse(plan, DOUBLE), table, seeds + results, seeds, TILE)
    is_tuple = program.is_tuple

    def call(ct, rows, shape, out):
        leaves = ct if is_tuple else (ct,)
        if type(leaves) is not tuple or len(leaves) != seeds:
            return None
        if out is not None:
            return out if _fits(out, results, shape, leaves) and run(*leaves, *out, rows) else None
        cotangents = [empty(shape) for _ in range(results)]
        return _tuple(cotangents, shape) if run(*leaves, *cotangents, rows) else None

    return call
