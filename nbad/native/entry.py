"""The plain case of a sweep in one call: from Python's arguments to results, without a step in Python between.

An entry is a CPython function, printed as IR once for each dtype, with a table for each kernel. It owns the plain case: numbers
and C-contiguous arrays of one dtype and one shape, up to milliseconds of work and results that caches keep. It checks, allocates,
runs the tile kernel, with helpers where that pays, and makes the results; where anything is not plain it answers False, having
done nothing, and the general way takes over, which converts, broadcasts and says what is wrong.
"""

import math
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from nbad.codegen.compile import TileKernel
from nbad.codegen.host import LINE, host
from nbad.native import entry_code
from nbad.native import entry_table as table
from nbad.native.cpython import LARGEST, api, function, kind_of, lasting, numpy_api
from nbad.native.launch_table import TILE
from nbad.native.sharing import together

STAGED = 1 << 15  # items
# elements that are swept at once where there are many seeds: what residuals they have is in the nearest cache for the next seed;
# 8 seeds of 20,000 elements take 92 us, and 124 us in parts of 1,024. Rows of numbers are as long
AT_ONCE = 2 * TILE
NEW_NUMBER, RETURN_NUMBER, OWNED_BY = 93, 76, 282  # `PyArray_New` and `PyArray_Return` in the table of NumPy's binary interface


class Move(NamedTuple):
    """Where a row of the kernel meets an argument: from which item on, and how many items lie between neighbours.

    A residual row has step 0, and its number in place of an offset; rows in lines are one move, of as many steps. A block, which
    a kernel reads or writes with all items of an element side by side, is one move, too.
    """

    row: int
    argument: int
    offset: int = 0
    step: int = 1


class Bounds(NamedTuple):
    """What an entry does by itself, in elements of all seeds.

    Attributes
    ----------
    most, most_staged, few : int
        So many at most; where they pass through scratch; and where numbers among the inputs decide work that could be done once.
    shared_from, long_from, woken_from : int
        From so many on helpers that listen share the work; the interpreter's lock is given away; helpers that sleep are woken.
    """

    most: int
    most_staged: int
    few: int
    shared_from: int
    long_from: int
    woken_from: int


class Means(NamedTuple):
    """What an entry asks Python for.

    Attributes
    ----------
    asked : callable
        `nbad.runtime.threads.asked`.
    fresh_from : int
        Bytes of a result from which on NumPy does not allocate it.
    leased : callable
        What does then: given the bytes, gives what has their address as its index, and keeps them while it lives.
    """

    asked: Callable
    fresh_from: int
    leased: Callable


class Rows(NamedTuple):
    """A residual buffer among arguments or results, of so many rows."""

    number: int


class Plain(NamedTuple):
    """A sweep as an entry sees it.

    Attributes
    ----------
    kernel : TileKernel
    inputs : tuple
        For each argument its core shape; or first of all the `Rows` that an earlier sweep made: then the element space is given
        before these.
    groups : tuple of (tuple, bool)
        The results, and whether they are a tuple; more than one group come as a tuple themselves. For each result its core shape,
        or `Rows`.
    loads, stores : tuple of Move
        Results are numbered on behind the inputs.
    batched : bool
        Whether all but residual rows have a leading axis of seeds.
    primals : int
        How many of the inputs are primals, where the rest are their tangents.
    shared : tuple of bool
        For each result, whether all elements share it: it is their sum, and has no axes of theirs. Where it is (), none is.
    deciding : tuple of int
        Sets of inputs, as bits: where all of one are numbers, there is work that is better done once for many elements.
    """

    kernel: TileKernel
    inputs: tuple
    groups: tuple
    loads: tuple
    stores: tuple
    batched: bool = False
    primals: int = 0
    shared: tuple = ()
    deciding: tuple = ()


def plain_rows(cores, first=0):
    """What of each argument belongs to each row: (argument, offset, step), one for each core value; arguments are numbered on."""
    sizes = [math.prod(core) for core in cores]
    return [(first + k, j, size) for k, size in enumerate(sizes) for j in range(size)]


def residual_rows(argument, count):
    """The same of a residual buffer."""
    return [(argument, k, 0) for k in range(count)]


def most_staged(items):
    """Elements of so many items to bring to rows: an entry moves one item after another, the worker, which takes longer to begin,
    vectors. For 1,000 elements of 10 items that takes 24 us (by the worker 36), of 30 items 72 (69).

    Examples
    --------
    >>> most_staged(10)
    3276
    """
    return max(TILE, STAGED // max(items, 1))


def entry(sweep, bounds, means):
    """A Python function that runs a sweep of so many elements, or answers False; None if there is too much of anything.

    It takes a tuple of the inputs, and None, or arrays for the results in their structure, which it gives back then. A sweep from
    residual rows takes the element space, a tuple, and the rows before them.
    """
    kernel, dtype = sweep.kernel, sweep.kernel.dtype
    results = [result for group, _ in sweep.groups for result in group]
    moves = (*sweep.loads, *sweep.stores)
    widths = [*kernel.reads, *kernel.widths]  # items of each row or block
    rooms = list(accumulate(widths, initial=0))  # where they have theirs in scratch
    whole = max(kernel.width, LINE // dtype.itemsize) if kernel.lines else kernel.width  # a tile begins with a line
    tile, at_once = (
        _fitting(most, items * dtype.itemsize, whole) for most, items in ((TILE, rooms[-1]), (AT_ONCE, len(sweep.inputs)))
    )
    uses = Counter(move.row for move in moves)
    shared = (*(False for _ in sweep.inputs), *(sweep.shared or [False] * len(results)))
    alone = [uses[m.row] == 1 and m.step in (0, 1, widths[m.row]) and not shared[m.argument] for m in moves]
    in_place = len(uses) == kernel.rows and all(alone)
    arguments = (*sweep.inputs, *results)
    cores = [() if isinstance(a, Rows) else a for a in arguments]
    places = list(accumulate(map(len, cores), initial=0))
    moves_at = table.HEADER + table.ARGUMENT * len(arguments)
    groups_at = moves_at + table.MOVE * len(moves)
    cores_at = groups_at + table.GROUP * len(sweep.groups)
    from_rows = bool(sweep.inputs) and isinstance(sweep.inputs[0], Rows)
    most = bounds.most if in_place else min(bounds.most_staged, most_staged(alone.count(False)))
    most = min(most, tile) if any(shared) else most  # a sum is that of one tile
    if not tile or most < 1 or len(arguments) > table.MOST_ARGUMENTS:
        return None
    deciding_at = cores_at + places[-1]
    fields = [
        *(kernel.address, kernel.width, len(sweep.inputs), len(results), rooms[-1], most, min(most, bounds.few), tile),
        *(in_place, from_rows),
        *(len(sweep.loads), len(moves), len(sweep.groups)),
        *(id(np.ndarray), kind_of(dtype), id(float), id(np.float64 if dtype.itemsize == 8 else float), dtype.num),
        *(numpy_api(NEW_NUMBER), numpy_api(RETURN_NUMBER)),
        *(api("PyTuple_New"), api("PyTuple_SetItem"), id(tuple), id(None), api("PyLong_AsSsize_t"), api("PyBool_FromLong")),
        *(moves_at, groups_at, sweep.batched, sweep.primals, api("Py_DecRef"), api("Py_IncRef")),
        *(bounds.shared_from, bounds.long_from, bounds.woken_from, lasting(means.asked), api("PyObject_CallNoArgs"), together()),
        *(api("PyEval_SaveThread"), api("PyEval_RestoreThread")),
        *(means.fresh_from, lasting(means.leased), api("PyObject_CallOneArg"), api("PyLong_FromSsize_t")),
        *(api("PyNumber_AsSsize_t"), numpy_api(OWNED_BY)),
        *(whole if kernel.lines else 1, at_once, len(sweep.deciding), deciding_at),
    ]
    for a, core, place, is_shared in zip(arguments, cores, places[:-1], shared, strict=True):
        is_rows = isinstance(a, Rows)
        fields += [is_rows, a.number if is_rows else len(core), cores_at + place, math.prod(core), is_shared]
    for move, is_alone in zip(moves, alone, strict=True):
        is_lined = isinstance(arguments[move.argument], Rows) and move.step > 1
        fields += [*move, table.ALWAYS if is_lined else is_alone, rooms[move.row], widths[move.row]]
    fields += [field for group, is_tuple in sweep.groups for field in (len(group), is_tuple)]
    fields += [length for core in cores for length in core]
    fields += sweep.deciding
    name = f"entry_{dtype.name}_{host().nbytes}"
    return function(name, lambda: entry_code.text(name, dtype), fields, kernel.shelf)


def _fitting(most, nbytes, whole):
    """Elements of so many bytes that the stack has room for, a multiple of `whole`, and `most` of them."""
    return min(most, LARGEST // max(nbytes, 1) // whole * whole)
