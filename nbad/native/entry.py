"""The plain case of a sweep in one call: from Python's arguments to results, without a step in Python between.

An entry is a CPython function, printed as IR once for each dtype, with a table for each kernel. It owns the plain case: numbers
and C-contiguous arrays of one dtype and one shape, up to milliseconds of work and results that caches keep. It checks, allocates,
runs the tile kernel, with helpers where that pays, and makes the results; where anything is not plain it answers False, having
done nothing, and the general way takes over, which converts, broadcasts and says what is wrong.
"""

import contextvars
import functools
import math
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np

from nbad.codegen.compile import TileKernel
from nbad.codegen.host import LINE, host
from nbad.native import entry_code
from nbad.native import entry_table as table
from nbad.native.cpython import LARGEST, api, function, kind_of, lasting, numpy_api
from nbad.native.launch_table import TILE
from nbad.native.sharing import together

# `PyArray_New`, `PyArray_Return` and others in the table of NumPy's binary interface
NEW_NUMBER, RETURN_NUMBER, OWNED_BY, COPY_INTO = 93, 76, 282, 50


class Move(NamedTuple):
    """Where a row of the kernel meets an argument: from which item on, and how many items lie between neighbours.

    A residual row has step 0, and its number in place of an offset; rows in lines are one move, of as many steps and items. A
    block, which a kernel reads or writes with all items of an element side by side, is one move, too.
    """

    argument: int
    offset: int = 0
    step: int = 1
    items: int = 1


class Bounds(NamedTuple):
    """What an entry does by itself, in elements of all seeds.

    Attributes
    ----------
    most, few : int
        So many at most; and where numbers among the inputs decide work that could be done once.
    shared_from, long_from, woken_from : int
        From so many on helpers that listen share the work; the interpreter's lock is given away; helpers that sleep are woken.
    copied : int
        Items of an input, up to which NumPy lays it out anew where a kernel does not read it as it is.
    """

    most: int
    few: int
    shared_from: int
    long_from: int
    woken_from: int
    copied: int = 0


class Means(NamedTuple):
    """What an entry asks Python for: who may share work, as `nbad.runtime.threads.asked` tells, and memory for big results.

    From so many bytes on it is not NumPy that allocates one: `leased` gives a capsule, as `nbad.native.cpython.lender` says.
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
    loads, stores : sequence of Move
        Of the kernel's first rows, and of its last ones, in order. Results are numbered on behind the inputs.
    batched : bool
        Whether all but residual rows have a leading axis of seeds.
    primals : int
        How many of the inputs are primals, where the rest are their tangents.
    shared : tuple of int
        For each result, whether all elements share it: it is their sum, and this is 1 more than its axes of length 1. Where it is
        (), none is.
    deciding : tuple of int
        Sets of inputs, as bits: where all of one are numbers, there is work that is better done once for many elements.
    floating : sequence of int
        The inputs by which is differentiated: arrays of integers are no such ones.
    order : tuple of int
        The axes of the elements as they lie in residual rows that are given, and so in all else; () where that is C order.
    """

    kernel: TileKernel
    inputs: tuple
    groups: tuple
    loads: Sequence[Move]
    stores: Sequence[Move]
    batched: bool = False
    primals: int = 0
    shared: tuple = ()
    deciding: tuple = ()
    floating: Sequence[int] = ()
    order: tuple = ()


def entry(sweep, bounds, means):
    """A Python function that runs a sweep of so many elements, or answers False; None if there is too much of anything.

    It takes a tuple of the inputs, and None, or arrays for the results in their structure, which it gives back then. A sweep from
    residual rows takes the element space, a tuple, and the rows before them.
    """
    kernel, dtype, inputs = sweep.kernel, sweep.kernel.dtype, sweep.inputs
    narrow = narrow_of(kernel, inputs)
    results = [result for group, _ in sweep.groups for result in group]
    arguments, moves = (*inputs, *results), (*sweep.loads, *sweep.stores)
    shared = (*(0 for _ in inputs), *(sweep.shared or [0] * len(results)))
    rows = [*range(len(sweep.loads)), *range(kernel.rows - len(sweep.stores), kernel.rows)]  # between them: those nobody asks for
    *rooms, room = accumulate([*kernel.reads, *kernel.widths], initial=0)  # where each has its items in scratch, and of all
    whole = max(kernel.width, LINE // dtype.itemsize) if kernel.lines else kernel.width  # a tile begins with a line
    # What residuals a part has is in the nearest cache for the next seed: where that has 32 KiB, 8 seeds of 20,000 elements take
    # 0.8 of the time that they take in parts twice as long. Rows of numbers are as long.
    at_once = _fitting(TILE, len(inputs) * dtype.itemsize, whole)
    tile = min(at_once, _fitting(TILE, room * dtype.itemsize, whole))
    direct = [_direct(move, arguments[move.argument], shared[move.argument]) for move in moves]
    in_place = len(moves) == kernel.rows and all(direct)
    most = bounds.most if in_place or any(shared) else min(bounds.most, bounds.long_from)
    if any(how == table.NEVER and not shared[move.argument] for move, how in zip(moves, direct, strict=True)):
        most = min(most, TILE)  # an entry moves one item after another, the worker, which takes longer to begin, vectors
    sums = sum(shared[move.argument] for move in sweep.stores)
    if sums:  # one is of whole blocks, whose own sums wait on the stack beside scratch
        left = LARGEST * 3 // 2 - tile * room * dtype.itemsize
        most = min(most, tile if tile < TILE else left // (8 * sums) * TILE)
    if not tile or most < 1 or len(arguments) > table.MOST_ARGUMENTS:
        return None
    header = _of_python(dtype) | {
        table.KERNEL: kernel.address, table.WIDTH: kernel.width, table.ROWS: kernel.rows, table.ROOMS: room,
        table.INPUTS: len(inputs), table.RESULTS: len(results), table.GROUPS: len(sweep.groups), table.MOVES: len(moves),
        table.LOADS: len(sweep.loads), table.DECIDING: len(sweep.deciding), table.IN_PLACE: in_place,
        table.FROM_ROWS: bool(inputs) and isinstance(inputs[0], Rows), table.BATCHED: sweep.batched, table.PRIMALS: sweep.primals,
        table.LIMIT: most, table.FEW: min(most, bounds.few), table.COPIED: bounds.copied,
        table.TILE_SIZE: tile, table.AT_ONCE: at_once,
        table.WHOLE: whole if kernel.lines else 1, table.SHARED_FROM: bounds.shared_from, table.LONG_FROM: bounds.long_from,
        table.WOKEN_FROM: bounds.woken_from, table.ASKED: lasting(means.asked), table.FRESH_FROM: means.fresh_from,
        table.LEASED: lasting(means.leased), table.SUMS: sums, table.ORDERED: len(sweep.order),
        table.NARROW: narrow.address, table.NARROW_WIDTH: narrow.width,
    }  # fmt: skip
    cores, fields = [() if isinstance(a, Rows) else a for a in arguments], []
    core_at = table.HEADER + table.ARGUMENT * len(arguments)
    for k, (a, core) in enumerate(zip(arguments, cores, strict=True)):
        is_rows = isinstance(a, Rows)
        fields += [is_rows, len(core), core_at, a.number if is_rows else math.prod(core), shared[k], k in sweep.floating]
        core_at += len(core)
    fields += chain.from_iterable(cores)
    sections = {
        table.MOVES_AT: [field for row, move, how in zip(rows, moves, direct, strict=True) for field in (row, *move, how)],
        table.GROUPS_AT: [field for group, is_tuple in sweep.groups for field in (len(group), is_tuple)],
        table.DECIDING_AT: sweep.deciding,
        table.ROOMS_AT: rooms,
        table.ORDER_AT: sweep.order,
    }
    for place, section in sections.items():
        header[place] = table.HEADER + len(fields)
        fields += section
    name = f"entry_{dtype.name}_{host().nbytes}"
    whole_table = [*(header[k] for k in range(table.HEADER)), *fields]
    return function(name, lambda: entry_code.text(name, dtype), whole_table, (kernel.shelf, narrow.shelf))


def narrow_of(kernel, inputs):
    """The kernel for what is less than a vector: of Black-Scholes the value and gradient of one element take 0.7 of the time so.

    From residual rows on there is none: these sweeps mostly multiply, in single registers, and have their entries, and so their
    code, at the first call, others at the second.
    """
    return kernel if inputs and isinstance(inputs[0], Rows) else kernel.narrow()


@functools.cache
def _of_python(dtype):
    """What an entry knows of Python and NumPy: types, objects, and functions of theirs."""
    return {
        table.ARRAY: id(np.ndarray), table.TUPLE: id(tuple), table.NONE: id(None), table.FLOAT: id(float),
        table.NUMBER: id(np.float64 if dtype.itemsize == 8 else float), table.INTEGER: id(int), table.ITEM_TYPE: kind_of(dtype),
        table.COPY: numpy_api(COPY_INTO), table.FAILED: api("PyErr_Occurred"), table.FORGET: api("PyErr_Clear"),
        table.ENTER: api("PyContext_Enter"), table.EXIT: api("PyContext_Exit"), table.UNWATCHED: lasting(_unwatched()),
        table.TYPE_NUMBER: dtype.num, table.NEW: numpy_api(NEW_NUMBER), table.RETURN: numpy_api(RETURN_NUMBER),
        table.OWN: numpy_api(OWNED_BY), table.TUPLE_NEW: api("PyTuple_New"), table.TUPLE_SET: api("PyTuple_SetItem"),
        table.AS_SIZE: api("PyLong_AsSsize_t"), table.FROM_SIZE: api("PyLong_FromSsize_t"),
        table.ANSWER: api("PyBool_FromLong"), table.CALL: api("PyObject_CallNoArgs"),
        table.CALL_WITH: api("PyObject_CallOneArg"), table.RELEASE: api("Py_DecRef"), table.RETAIN: api("Py_IncRef"),
        table.SAVE: api("PyEval_SaveThread"), table.RESTORE: api("PyEval_RestoreThread"), table.TOGETHER: together(),
    }  # fmt: skip


def _unwatched():
    """A context in which NumPy says nothing of what it meets: float64 of a signalling nan is a nan, of which it would warn."""
    context = contextvars.Context()
    context.run(np.seterr, all="ignore")
    return context


def _direct(move, argument, is_shared):
    """Whether the kernel reads or writes a row where it is."""
    if isinstance(argument, Rows):
        return table.ALWAYS
    return table.OFTEN if move.step in (1, move.items) and not is_shared else table.NEVER


def _fitting(most, nbytes, whole):
    """Elements of so many bytes that the stack has room for, a multiple of `whole`, and `most` of them."""
    return min(most, LARGEST // max(nbytes, 1) // whole * whole)
