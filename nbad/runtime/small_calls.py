"""The quick path: a few float64 elements, straight from Python's arguments through `nbad.native.entry` into the tile kernel.

Each function here makes a closure for one specialization. The closure answers None where the call is not of the quick kind; then
the general path, which checks everything and says what is wrong, takes over.
"""

import math

import numpy as np

from nbad import config
from nbad.native import entry
from nbad.native.launch_table import TILE
from nbad.runtime.operands import DOUBLE

ARGNUMS = {type(None), int, str, tuple}
empty, ndarray = np.empty, np.ndarray


def key_of(xs, argnums):
    """What the quick path of a derivative is remembered by; None where it has none."""
    if type(argnums) not in ARGNUMS or config.debug.get():
        return None
    return len(xs), argnums if argnums is None else repr(argnums)  # as text 1, 1.0 and True differ


def derives(key, call):
    """Whether all later calls of this key differentiate by the same arguments, whatever they are given, and may be quick."""
    if key is None:
        return False
    count, argnums = key
    is_whole = len(call.program.names) == count and (argnums is not None or len(call.arguments) == count)
    return is_whole and serves(call.operands)


def serves(operands):
    """Whether calls like this one may take the quick path: few elements, in float64.

    Parameters
    ----------
    operands : Operands

    Returns
    -------
    bool
    """
    return math.prod(operands.shape) <= TILE and operands.dtype is DOUBLE and entry.is_available()


def _batch_of(cores):
    """`batch(args)`: the shape of the first array without its core; None where there are too many elements."""

    def batch(args):
        for a, (depth, most) in zip(args, limits, strict=False):
            if type(a) is ndarray:
                return (a.shape[: a.ndim - depth] if depth else a.shape) if a.size <= most else None
        return ()

    limits = [(len(core), TILE * math.prod(core)) for core in cores]
    return batch


def _plain_rows(cores):
    """One row for each core value of each argument."""
    sizes = [math.prod(core) for core in cores]
    return [(k, 8 * j, size, False) for k, size in enumerate(sizes) for j in range(size)]


def _residual_rows(argument, count):
    return [(argument, 8 * TILE * k, 1, True) for k in range(count)]


def _new(cores, shape):
    return [empty(shape + core) for core in cores]


def _fits(out, cores, shape, args):
    """Whether the arrays of `out=` may be written to at once; the thunk checks the rest."""
    if type(out) is not tuple or len(out) != len(cores):
        return False
    pairs = zip(out, cores, strict=True)
    is_fit = all(type(y) is ndarray and y.shape == shape + core and y.flags.writeable for y, core in pairs)
    return is_fit and entry.are_apart(out, [a for a in args if type(a) is ndarray])


def value_call(program):
    """`call(args, out)`: the value of the kernel, in new arrays or in those of `out`; or None.

    Parameters
    ----------
    program : Program

    Returns
    -------
    callable
    """
    cores, leaves = program.cores, program.leaves
    every = (*cores, *leaves)
    run, batch = entry.bind(program.value(DOUBLE), _plain_rows(every), every, len(cores), TILE), _batch_of(cores)
    if not program.is_tuple:
        return _single(run, batch, leaves[0])

    def call(args, out):
        shape = batch(args)
        if shape is None:
            return None
        if out is not None:
            return out if _fits(out, leaves, shape, args) and run(*args, *out) else None
        results = _new(leaves, shape)
        return _tuple(results, shape) if run(*args, *results) else None

    return call


def _single(run, batch, core):
    def call(args, out):
        shape = batch(args)
        if shape is None:
            return None
        if out is not None:
            return out if _fits((out,), (core,), shape, args) and run(*args, out) else None
        y = empty(shape + core)
        if run(*args, y):
            return y if y.ndim else y[()]
        return None

    return call


def _tuple(leaves, shape):
    return tuple(leaves) if shape else tuple([y if y.ndim else y[()] for y in leaves])


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
    cores, leaves, kept = program.cores, program.leaves, len(plan.residuals)
    every = (*cores, *leaves)
    rows = [*_plain_rows(every), *_residual_rows(len(every), kept)]
    run, batch = entry.bind(program.forward(plan, DOUBLE), rows, every, len(cores), TILE), _batch_of(cores)
    is_tuple = program.is_tuple

    def call(args):
        shape = batch(args)
        if shape is None:
            return None
        results, residuals = _new(leaves, shape), empty((kept, TILE))
        if not run(*args, *results, residuals):
            return None
        y = _tuple(results, shape)
        return finish(y if is_tuple else y[0], residuals, shape, [a.shape if type(a) is ndarray else () for a in args])

    return call


def reverse_call(program, plan, arguments):
    """`call(ct, rows, shape, out)`: the cotangents for one seed, where every argument has the elements of the value; or None.

    Parameters
    ----------
    program : Program
    plan : Plan
    arguments : tuple of int
        The differentiated ones.

    Returns
    -------
    callable
    """
    leaves, cores = program.leaves, tuple(program.cores[a] for a in arguments)
    every = (*leaves, *cores)
    rows = _residual_rows(len(every), len(plan.residuals)) + _plain_rows(every)
    run = entry.bind(program.fused_reverse(plan, DOUBLE), rows, every, len(leaves), TILE)
    is_tuple = program.is_tuple

    def call(ct, rows, shape, out):
        seeds = ct if is_tuple else (ct,)
        if type(seeds) is not tuple or len(seeds) != len(leaves):
            return None
        if out is not None:
            return out if _fits(out, cores, shape, seeds) and run(*seeds, *out, rows) else None
        cotangents = _new(cores, shape)
        return _tuple(cotangents, shape) if run(*seeds, *cotangents, rows) else None

    return call


def jacobian_call(program, plan):
    """`call(args)`: the value and the Jacobian in new arrays; or None.

    Parameters
    ----------
    program : Program
    plan : Plan
        Whose residuals are the partials.

    Returns
    -------
    callable
    """
    cores, leaves, kept, is_tuple = program.cores, program.leaves, len(plan.residuals), program.is_tuple
    every, (constants, index) = (*cores, *leaves), _entries(plan)
    columns = kept + len(constants)
    rows = [*_plain_rows(every), *((len(every), 8 * k, columns, False) for k in range(kept))]
    run, batch = entry.bind(program.forward(plan, DOUBLE), rows, every, len(cores), TILE), _batch_of(cores)

    def call(args):
        shape = batch(args)
        if shape is None:
            return None
        results, partials = _new(leaves, shape), empty((*shape, columns))
        if not run(*args, *results, partials):
            return None
        if columns > kept:
            partials[..., kept:] = constants
        y = _tuple(results, shape)
        return y if is_tuple else y[0], partials.take(index, axis=-1)

    return call


def _entries(plan):
    """The constants of a Jacobian, and for each of its entries the number among all partials and, behind them, these."""
    entries = {(e.output, e.input): e for e in plan.entries}
    constants, index = [], np.empty((plan.outputs, len(plan.wrt)), int)
    for m, n in np.ndindex(index.shape):
        e = entries.get((m, plan.wrt[n]))
        if e is None or e.partial is None:
            index[m, n] = len(plan.residuals) + len(constants)
            constants.append(e.constant if e else 0.0)
        else:
            index[m, n] = e.partial
    return constants, index
