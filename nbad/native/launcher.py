"""Runs the tiles of one launch in the caller's thread, with the interpreter's lock: where threads do not pay.

By `ctypes`, with scratch from the pool, calls of up to 1,000 elements took 1.4 times as long.
"""

from nbad.native.cpython import DIGIT, api, function, new_function, short

WORK, LAUNCH, SCRATCH_BYTES, TILES, DONE = range(5)  # the table


def launcher(work, launch, scratch, tiles):
    """A function `run(*arrays, n_seeds)` that runs a launch in its caller's thread and keeps the interpreter's lock.

    Parameters
    ----------
    work, launch : int
        Addresses of the worker and of what `nbad.runtime.launch` packed.
    scratch : int
        Bytes that the worker needs, on the stack: at most `nbad.native.cpython.LARGEST`.
    tiles : int

    Returns
    -------
    callable
    """
    return function("launcher", _print, [work, launch, scratch, tiles, api("PyBool_FromLong")])


def _print():
    """The arguments are the worker's array objects, and behind them the number of seeds."""
    code, table, args, count = new_function("launcher")
    launch, size, tiles = code.field(table, LAUNCH), code.field(table, SCRATCH_BYTES), code.field(table, TILES)
    seeds = short(code, code.field(args, count - 1) + DIGIT)
    code.call(code.field(table, WORK), launch, args, code.stack(size), 0, tiles, 0, seeds)
    return code.text(code.call(code.field(table, DONE), 1))
