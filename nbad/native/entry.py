"""The way in for small calls: CPython functions of the fast calling convention, printed as IR.

* The thunk unboxes arrays and floats and calls a tile kernel at once; each kernel binds it to a table of its own. It answers
  True when it did the work, and False, having done nothing, when an argument is anything but a float, a numpy.float64 or a
  C-contiguous float64 array, of the elements of the results and of its own core shape: then the general path takes over.
* A launcher runs the tiles of one launch where threads do not pay.
* `are_apart` tells that arrays certainly share no memory.
"""

import ctypes
import functools
import sys
from itertools import accumulate

import numpy as np
from llvmlite import ir

from nbad.codegen.compile import compile_module
from nbad.codegen.disk import text_of
from nbad.native.builder import I64, Code, Int

I32 = ir.IntType(32)
HEAD = object.__basicsize__  # an object's own fields lie behind its head, whose last field is its type
DATA, NDIM, DIMENSIONS, DESCR, FLAGS = HEAD, HEAD + 8, HEAD + 16, HEAD + 40, HEAD + 48
USUAL = 0x0001 | 0x0100  # C-contiguous and aligned
LARGEST = 1 << 16  # bytes of scratch on the stack
FASTCALL = 0x0080
# the table: a header; for each row of the kernel its argument, the byte offset there, how many items lie between neighbours, and
# whether padding may be written; for each checked argument how many core dimensions it has, and where in the table these stand
KERNEL, WIDTH, INPUTS, ROWS, ARGUMENTS, RESULT, LIMIT, ARRAY, FLOAT, FLOAT64, DOUBLE, ANSWER, HEADER = range(13)
OFFSET, STEP, PADDED, ROW = range(1, 5)
DEPTH, PLACE, CORE = range(3)
WORK, LAUNCH, SCRATCH_BYTES, TILES, DONE = range(5)  # a launcher's table
APART_ARRAY, APART_ANSWER = range(2)
DIGIT = HEAD + 8  # an int's lowest 30 bits
CONTIGUOUS = 0x0001 | 0x0002  # in C order or Fortran's
WIDEST = 8  # bytes of an item
_methods: dict[str, "_Method"] = {}


def _print_thunk():
    module = ir.Module("thunk")
    code = Code(module, "thunk", 3, internal=False, returns=I64)
    this, args, _ = code.parameters
    table = code.load(this + DATA)
    good = _checked(code, table, args)
    with code.when(code.read(good).differs(0)):
        _run(code, table, args)
    code.finish(code.call(code.field(table, ANSWER), code.read(good), returns=I64))
    return str(module)


def _size(code, array, ndim):
    """Number of elements along the first dimensions of an array."""
    count = code.variable(1)
    with code.loop(0, ndim) as d:
        code.assign(count, code.read(count) * _length(code, array, d))
    return code.read(count)


def _length(code, array, dimension):
    return code.field(code.load(array + DIMENSIONS), dimension)


def _lead(code, table, args):
    """The first result, and how many of its dimensions are not its core's."""
    number = code.field(table, RESULT)
    result = code.field(args, number)
    return result, _short(code, result + NDIM) - code.field(table, _core(code, table, number) + DEPTH)


def _core(code, table, argument):
    """Where the core shape of an argument is described."""
    return HEADER + code.field(table, ROWS) * ROW + argument * CORE


def _short(code, address):
    return Int(code.builder, code.builder.zext(code.load(address, I32), I64))


def _type(code, thing):
    return code.load(thing + (HEAD - 8))


def _is_scalar(code, table, thing):
    """Whether an argument is a float, or NumPy's, which holds its value in the same place."""
    kind = _type(code, thing)
    return code.builder.or_(kind.equals(code.field(table, FLOAT)), kind.equals(code.field(table, FLOAT64)))


def _checked(code, table, args):
    """A variable: 1 if the thunk can serve this call, else 0."""
    (result, lead), good = _lead(code, table, args), code.variable(1)

    def demand(condition):
        code.assign(good, code.select(condition, code.read(good), 0))

    count = _size(code, result, lead)
    demand(lead >= 0)
    demand(count >= 1)
    demand(code.field(table, LIMIT) >= count)
    demand(code.field(table, ROWS) * (count + code.field(table, WIDTH)) < LARGEST // 8)
    with code.loop(0, code.field(table, ARGUMENTS)) as k:
        thing, own = code.field(args, k), _core(code, table, k)
        depth, core = code.field(table, own + DEPTH), code.field(table, own + PLACE)
        is_array = _type(code, thing).equals(code.field(table, ARRAY))
        with code.when(is_array):
            demand(code.load(thing + DESCR).equals(code.field(table, DOUBLE)))
            demand((_short(code, thing + FLAGS) & USUAL).equals(USUAL))
            demand(_short(code, thing + NDIM).equals(lead + depth))
            with code.when(code.read(good).differs(0)), code.loop(0, lead) as d:
                demand(_length(code, thing, d).equals(_length(code, result, d)))
            with code.when(code.read(good).differs(0)), code.loop(0, depth) as d:
                demand(_length(code, thing, lead + d).equals(code.field(table, core + d)))
        with code.when(code.builder.not_(is_array)):
            demand(_is_scalar(code, table, thing))
            demand(depth.equals(0))
    return good


def _run(code, table, args):
    """Unbox, call the kernel, and write back."""
    count = _size(code, *_lead(code, table, args))
    width, rows, inputs = (code.field(table, f) for f in (WIDTH, ROWS, INPUTS))
    padded = (count + width - 1) // width * width
    pointers, scratch = code.stack(rows * 8), code.stack(rows * padded * 8)
    with code.loop(0, rows) as r:
        thing, own, step = _argument(code, table, args, r), scratch + r * padded * 8, _entry(code, table, r, STEP)
        code.store(pointers + r * 8, own)
        is_float = _is_scalar(code, table, thing)
        with code.when(is_float):
            _fill(code, (own, 1), (thing + HEAD, 0), padded)
        with code.when(code.builder.not_(is_float)):
            data = code.load(thing + DATA) + _entry(code, table, r, OFFSET)
            fills = code.builder.and_(padded.equals(count), step.equals(1))
            direct = code.builder.or_(fills, _entry(code, table, r, PADDED).differs(0))
            with code.when(direct):
                code.store(pointers + r * 8, data)
            with code.when(code.builder.and_(code.builder.not_(direct), r < inputs)):
                _fill(code, (own, 1), (data, step), count)
                _fill(code, (own + count * 8, 1), (own + (count - 1) * 8, 0), padded - count)
    code.call(code.field(table, KERNEL), pointers, padded)
    with code.loop(inputs, rows) as r, code.when(code.field(pointers, r).equals(scratch + r * padded * 8)):
        data = code.load(_argument(code, table, args, r) + DATA) + _entry(code, table, r, OFFSET)
        _fill(code, (data, _entry(code, table, r, STEP)), (scratch + r * padded * 8, 1), count)


def _entry(code, table, row, field):
    return code.field(table, HEADER + row * ROW + field)


def _argument(code, table, args, row):
    return code.field(args, _entry(code, table, row, 0))


def _fill(code, target, source, count):
    """Copy `count` items; target and source are addresses, each with how many items lie between neighbours."""
    (target, into), (source, step) = target, source
    with code.loop(0, count) as i:
        code.store(target + i * (8 * into), code.load(source + i * (8 * step)))


def _print_launcher():
    """All tiles of a launch. The arguments are the worker's array objects, and behind them the number of seeds."""
    module = ir.Module("launcher")
    code = Code(module, "launcher", 3, internal=False, returns=I64)
    this, args, count = code.parameters
    table = code.load(this + DATA)
    launch, size, tiles = (code.field(table, f) for f in (LAUNCH, SCRATCH_BYTES, TILES))
    seeds = _short(code, code.field(args, count - 1) + DIGIT)
    code.call(code.field(table, WORK), launch, args, code.stack(size), 0, tiles, 0, seeds)
    code.finish(code.call(code.field(table, DONE), 1, returns=I64))
    return str(module)


def _print_apart():
    """Compare bounds: those of each of the first arrays, whose number comes last, with those of all that follow it."""
    module = ir.Module("apart")
    code = Code(module, "apart", 3, internal=False, returns=I64)
    this, args, count = code.parameters
    table, good, arrays = code.load(this + DATA), code.variable(1), count - 1
    with code.loop(0, arrays) as k:
        thing = code.field(args, k)
        is_array = _type(code, thing).equals(code.field(table, APART_ARRAY))
        code.assign(good, code.select(is_array, code.read(good), 0))
        with code.when(is_array):
            is_contiguous = (_short(code, thing + FLAGS) & CONTIGUOUS).differs(0)
            code.assign(good, code.select(is_contiguous, code.read(good), 0))
    with code.when(code.read(good).differs(0)), code.loop(0, _short(code, code.field(args, arrays) + DIGIT)) as k:
        low, high = _bounds(code, code.field(args, k))
        with code.loop(k + 1, arrays) as other:
            start, end = _bounds(code, code.field(args, other))
            is_apart = code.builder.or_(low >= end, start >= high)
            code.assign(good, code.select(is_apart, code.read(good), 0))
    code.finish(code.call(code.field(table, APART_ANSWER), code.read(good), returns=I64))
    return str(module)


def _bounds(code, array):
    """Where the memory of a contiguous array begins, and where it ends at the latest."""
    data = code.load(array + DATA)
    return data, data + _size(code, array, _short(code, array + NDIM)) * WIDEST


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (("name", ctypes.c_char_p), ("call", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


def _method(name, make):
    """A function's definition, which must outlive every function made of it; `make` prints its code."""
    if name not in _methods:
        _methods.setdefault(name, _Method(name.encode(), compile_module(text_of(f"{name} {HEAD}", make), name), FASTCALL, None))
    return _methods[name]


def _function(name, make, fields):
    """A Python function with a table of its own."""
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype, create.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return create(ctypes.addressof(_method(name, make)), np.array(fields, np.int64), None)


def _answer():
    """Address of what makes a bool of an integer."""
    return ctypes.cast(ctypes.pythonapi.PyBool_FromLong, ctypes.c_void_p).value


@functools.cache
def is_available():
    """Whether this interpreter lays out its objects as the thunk expects: read one array and one float, and compare."""
    if sys.implementation.name != "cpython":
        return False
    probe, number, other, count = np.arange(6.0).reshape(2, 3), 2.5, np.float64(3.5), 123456789
    place = id(probe)
    fields = (
        (_read(place + DATA), probe.ctypes.data),
        (_read(place + NDIM) & 0xFFFFFFFF, 2),
        (_read(_read(place + DIMENSIONS) + 8), 3),
        (_read(place + DESCR), id(probe.dtype)),
        (_read(place + FLAGS) & USUAL, USUAL),
        (_read(place + HEAD - 8), id(np.ndarray)),
        (ctypes.c_double.from_address(id(number) + HEAD).value, number),
        (ctypes.c_double.from_address(id(other) + HEAD).value, other),
        (_read(id(count) + DIGIT) & 0xFFFFFFFF, count),
    )
    return all(found == expected for found, expected in fields)


def _read(address):
    return ctypes.c_int64.from_address(address).value


def bind(kernel, rows, cores, result, limit):
    """A function of arrays and floats that runs a tile kernel on few elements.

    Parameters
    ----------
    kernel : TileKernel
        In float64.
    rows : sequence of (int, int, int, bool)
        For each row of the kernel the argument that holds it, the byte offset there, how many items lie between neighbours, and
        whether padding may be written.
    cores : sequence of tuples
        Core shapes of the leading arguments, which must be floats or arrays of the results' elements; those behind are ours.
    result : int
        The first result among them.
    limit : int
        The largest number of elements.

    Returns
    -------
    callable
        Answers whether it did the work.
    """
    header = [
        kernel.address,
        kernel.width,
        kernel.rows - kernel.results,
        kernel.rows,
        len(cores),
        result,
        limit,
        id(np.ndarray),
        id(float),
        id(np.float64),
        id(np.dtype(float)),
        _answer(),
    ]
    sizes = [size for core in cores for size in core]
    places = accumulate(map(len, cores), initial=HEADER + len(rows) * ROW + len(cores) * CORE)
    shapes = [field for core, place in zip(cores, places, strict=False) for field in (len(core), place)]
    return _function("thunk", _print_thunk, [*header, *(field for row in rows for field in row), *shapes, *sizes])


def launcher(work, launch, scratch, tiles):
    """A function `run(*arrays, n_seeds)` that runs a launch in its caller's thread and keeps the interpreter's lock.

    Parameters
    ----------
    work, launch : int
        Addresses of the worker and of what `nbad.runtime.launch` packed.
    scratch : int
        Bytes that the worker needs, on the stack: at most `LARGEST`.
    tiles : int

    Returns
    -------
    callable
    """
    return _function("launcher", _print_launcher, [work, launch, scratch, tiles, _answer()])


@functools.cache
def _apart():
    return _function("apart", _print_apart, [id(np.ndarray), _answer()]) if is_available() else lambda *arrays: False


def are_apart(arrays, others):
    """Whether contiguous arrays certainly share no memory with one another, nor with the others; False where that is not clear.

    Examples
    --------
    >>> a = np.zeros(4)
    >>> are_apart([a], [np.ones(3)]), are_apart([a], [a[1:]])
    (True, False)
    """
    return _apart()(*arrays, *others, len(arrays))
