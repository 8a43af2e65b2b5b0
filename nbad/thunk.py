"""The way in for small calls: CPython functions of the fast calling convention, printed as IR.

* The thunk unboxes arrays and floats and calls a tile kernel at once; each kernel binds it to a table of its own. It answers
  True when it did the work, and False, having done nothing, when an argument is anything but a float, a numpy.float64 or a
  C-contiguous float64 array of the shape of the results: then the general path takes over.
* A launcher runs the tiles of one launch where threads do not pay.
* `are_apart` tells that arrays certainly share no memory.
"""

import ctypes
import functools
import sys

import numpy as np
from llvmlite import ir

from nbad.cache import text_of
from nbad.compile import compile_module
from nbad.structured import I64, Code, Int

I32 = ir.IntType(32)
HEAD = object.__basicsize__  # an object's own fields lie behind its head, whose last field is its type
DATA, NDIM, DIMENSIONS, DESCR, FLAGS = HEAD, HEAD + 8, HEAD + 16, HEAD + 40, HEAD + 48
USUAL = 0x0001 | 0x0100  # C-contiguous and aligned
LARGEST = 1 << 16  # bytes of scratch on the stack
FASTCALL = 0x0080
# the table: a header, then for each row of the kernel its argument, the byte offset there, and whether padding may be written
KERNEL, WIDTH, INPUTS, ROWS, ARGUMENTS, RESULT, LIMIT, ARRAY, FLOAT, FLOAT64, DOUBLE, ANSWER, HEADER = range(13)
OFFSET, PADDED, ROW = 1, 2, 3
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


def _size(code, array):
    """Number of elements of an array."""
    count = code.variable(1)
    with code.loop(0, _short(code, array + NDIM)) as d:
        code.assign(count, code.read(count) * code.field(code.load(array + DIMENSIONS), d))
    return code.read(count)


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
    result, good = code.field(args, code.field(table, RESULT)), code.variable(1)

    def demand(condition):
        code.assign(good, code.select(condition, code.read(good), 0))

    count = _size(code, result)
    demand(count >= 1)
    demand(code.field(table, LIMIT) >= count)
    demand(code.field(table, ROWS) * (count + code.field(table, WIDTH)) < LARGEST // 8)
    with code.loop(0, code.field(table, ARGUMENTS)) as k:
        thing = code.field(args, k)
        is_array = _type(code, thing).equals(code.field(table, ARRAY))
        with code.when(is_array):
            demand(code.load(thing + DESCR).equals(code.field(table, DOUBLE)))
            demand((_short(code, thing + FLAGS) & USUAL).equals(USUAL))
            ndim = _short(code, thing + NDIM)
            demand(ndim.equals(_short(code, result + NDIM)))
            with code.when(code.read(good).differs(0)), code.loop(0, ndim) as d:
                demand(code.field(code.load(thing + DIMENSIONS), d).equals(code.field(code.load(result + DIMENSIONS), d)))
        with code.when(code.builder.not_(is_array)):
            demand(_is_scalar(code, table, thing))
    return good


def _run(code, table, args):
    """Unbox, call the kernel, and write back."""
    count = _size(code, code.field(args, code.field(table, RESULT)))
    width, rows, inputs = (code.field(table, f) for f in (WIDTH, ROWS, INPUTS))
    padded = (count + width - 1) // width * width
    pointers, scratch = code.stack(rows * 8), code.stack(rows * padded * 8)
    with code.loop(0, rows) as r:
        thing, own = _argument(code, table, args, r), scratch + r * padded * 8
        code.store(pointers + r * 8, own)
        is_float = _is_scalar(code, table, thing)
        with code.when(is_float):
            _fill(code, own, thing + HEAD, 0, padded)
        with code.when(code.builder.not_(is_float)):
            data = code.load(thing + DATA) + code.field(table, HEADER + r * ROW + OFFSET)
            direct = code.builder.or_(padded.equals(count), code.field(table, HEADER + r * ROW + PADDED).differs(0))
            with code.when(direct):
                code.store(pointers + r * 8, data)
            with code.when(code.builder.and_(code.builder.not_(direct), r < inputs)):
                _fill(code, own, data, 1, count)
                _fill(code, own + count * 8, data + (count - 1) * 8, 0, padded - count)
    code.call(code.field(table, KERNEL), pointers, padded)
    with code.loop(inputs, rows) as r, code.when(code.field(pointers, r).equals(scratch + r * padded * 8)):
        thing = _argument(code, table, args, r)
        _fill(code, code.load(thing + DATA) + code.field(table, HEADER + r * ROW + OFFSET), scratch + r * padded * 8, 1, count)


def _argument(code, table, args, row):
    return code.field(args, code.field(table, HEADER + row * ROW))


def _fill(code, target, source, step, count):
    """Copy `count` elements, or one of them `count` times."""
    with code.loop(0, count) as i:
        code.store(target + i * 8, code.load(source + i * (8 * step)))


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
    return data, data + _size(code, array) * WIDEST


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
        (_read(place + DATA), probe.ctypes.data), (_read(place + NDIM) & 0xFFFFFFFF, 2),
        (_read(_read(place + DIMENSIONS) + 8), 3),
        (_read(place + DESCR), id(probe.dtype)), (_read(place + FLAGS) & USUAL, USUAL), (_read(place + HEAD - 8), id(np.ndarray)),
        (ctypes.c_double.from_address(id(number) + HEAD).value, number),
        (ctypes.c_double.from_address(id(other) + HEAD).value, other),
        (_read(id(count) + DIGIT) & 0xFFFFFFFF, count),
    )
    return all(found == expected for found, expected in fields)


def _read(address):
    return ctypes.c_int64.from_address(address).value


def bind(kernel, rows, arguments, result, limit):
    """A function of arrays and floats that runs a tile kernel on few elements.

    Parameters
    ----------
    kernel : TileKernel
        In float64.
    rows : sequence of (int, int, bool)
        For each row of the kernel the argument that holds it, the byte offset there, and whether padding may be written.
    arguments : int
        The leading arguments that must be floats or arrays of the shape of the results; those behind are ours.
    result : int
        The first result among them.
    limit : int
        The largest number of elements.

    Returns
    -------
    callable
        Answers whether it did the work.
    """
    inputs = kernel.rows - kernel.results
    header = [
        kernel.address, kernel.width, inputs, kernel.rows, arguments, result, limit,
        id(np.ndarray), id(float), id(np.float64), id(np.dtype(float)), _answer(),
    ]
    return _function("thunk", _print_thunk, [*header, *(field for row in rows for field in row)])


def launcher(work, launch, scratch, tiles):
    """A function `run(*arrays, n_seeds)` that runs a launch in its caller's thread and keeps the interpreter's lock.

    Parameters
    ----------
    work, launch : int
        Addresses of the worker and of what `nbad.launch` packed.
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
