"""The way in for small calls: one compiled function that unboxes arrays and floats and calls a tile kernel at once.

It is a CPython function of the fast calling convention, made once; each kernel binds it to a table of its own. It answers True
when it did the work, and False, having done nothing, when an argument is anything but a float, a numpy.float64 or a C-contiguous
float64 array of the shape of the results: then the general path takes over.
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


@functools.cache
def _address():
    """Address of the thunk's code."""
    return compile_module(text_of(f"thunk {HEAD}", _print_thunk), "thunk")


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


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (("name", ctypes.c_char_p), ("call", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


@functools.cache
def _method():
    """The thunk's definition, which must outlive every function made of it."""
    return _Method(b"thunk", _address(), FASTCALL, None)


@functools.cache
def is_available():
    """Whether this interpreter lays out its objects as the thunk expects: read one array and one float, and compare."""
    if sys.implementation.name != "cpython":
        return False
    probe, number, other = np.arange(6.0).reshape(2, 3), 2.5, np.float64(3.5)
    place = id(probe)
    fields = (
        (_read(place + DATA), probe.ctypes.data), (_read(place + NDIM) & 0xFFFFFFFF, 2),
        (_read(_read(place + DIMENSIONS) + 8), 3),
        (_read(place + DESCR), id(probe.dtype)), (_read(place + FLAGS) & USUAL, USUAL), (_read(place + HEAD - 8), id(np.ndarray)),
        (ctypes.c_double.from_address(id(number) + HEAD).value, number),
        (ctypes.c_double.from_address(id(other) + HEAD).value, other),
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
    answer = ctypes.cast(ctypes.pythonapi.PyBool_FromLong, ctypes.c_void_p).value
    inputs = kernel.rows - kernel.results
    header = [
        kernel.address, kernel.width, inputs, kernel.rows, arguments, result, limit,
        id(np.ndarray), id(float), id(np.float64), id(np.dtype(float)), answer,
    ]
    table = np.array([*header, *(field for row in rows for field in row)], np.int64)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return make(ctypes.addressof(_method()), table, None)
