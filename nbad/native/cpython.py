"""Functions that Python calls at once, printed as IR, and how its objects lie in memory.

A function made here takes CPython's own arguments, without a parser between: 3 times faster for small calls than ctypes, which
also would give the interpreter's lock away.
"""

import ctypes
import functools
import sys

import numpy as np
from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.codegen.host import LINE
from nbad.native.builder import I32, I64, Code, Int

HEAD = object.__basicsize__  # an object's own fields lie behind its head, whose last field is its type
DATA, NDIM, DIMENSIONS, STRIDES, DESCR, FLAGS = HEAD, HEAD + 8, HEAD + 16, HEAD + 24, HEAD + 40, HEAD + 48
KIND = HEAD + 8  # in a dtype: its kind, letter, byte order and number
DIGIT = HEAD + 8  # an int's lowest 30 bits
ITEMS = tuple.__basicsize__  # behind their number, and in Python 3.14 behind a hash
CONTIGUOUS = 0x0001  # in C order
USUAL = CONTIGUOUS | 0x0100  # and aligned
WRITEABLE = 0x0400
FASTCALL, KEYWORDS = 0x0080, 0x0002
ANY = FASTCALL | KEYWORDS
LARGEST = 1 << 16  # bytes of scratch on the stack
FLAG, GENERAL, FALSE, READ, CALL, LET_GO, HOLD, RUN, FIRST, SECOND, RESULT = range(11)  # the table of a repeated function
BLOCK, TABLE = HEAD, HEAD + 16  # of a capsule: what it holds, and its context
# the table of a lender; behind it blocks that wait
TAKE, GIVE, AS_SIZE, AS_NUMBER, CALL_WITH, RELEASE, RETAIN, NEW, SET_TABLE, HIDE, SHOW, TELL, NONE = range(13)
RETURNED, ROOM, LEFT, KEPT = range(13, 17)
BLOCKS, OFTEN = 16, 64  # how many wait at most, and how many return until Python is told, which sees to memory
_methods: dict[str, "_Method"] = {}


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (("name", ctypes.c_char_p), ("call", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


def _method(name, make, flags):
    """A function's definition, which is never freed; `make` prints its code."""
    if name not in _methods:
        method = _Method(name.encode(), compile_lasting(text_of(f"{name} {HEAD}", make), name), flags, None)
        lasting(_methods.setdefault(name, method))
    return _methods[name]


def function(name, make, fields, owner=None, flags=FASTCALL):
    """A Python function with a table of its own; `make` prints `name(table array, arguments, their number) -> object`.

    `fields` are the table; an array is itself the table, which several functions may have. The function keeps the owner of what
    it has addresses of, as its module. Called with `KEYWORDS`, it is given their names, too.
    """
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype, create.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    return create(ctypes.addressof(_method(name, make, flags)), np.asarray(fields, np.int64), owner)


def new_function(name, flags=FASTCALL):
    """The code of a function under construction, its table, its arguments, their number and, where asked, the keywords' names."""
    code = Code(ir.Module(name), name, 4 if flags & KEYWORDS else 3, internal=False, returns=I64)
    this, *given = code.parameters
    return code, code.load(this + DATA), *given


def repeated(flag, general):
    """A function without arguments, and its table, in which `settle` names another; None where it has none.

    `general` is called until another is named, while the context variable `flag` is true, and where the other answers False.
    """
    if not is_available():
        return general, None
    functions = [api(name) for name in ("PyContextVar_Get", "PyObject_Vectorcall", "Py_DecRef", "Py_IncRef")]
    call = function("repeat", _print_repeat, [id(flag), id(general), id(False), *functions, 0, 0, 0, 0], (flag, general), ANY)
    return call, call.__self__


def settle(table, call, result):
    """Let a repeated function make a call of two arguments, a partial object, from now on; the caller keeps all that is given.

    A `result` that is not None is returned for what the call gives.
    """
    table[FIRST : RESULT + 1] = *map(id, call.args), 0 if result is None else id(result)
    table[RUN] = id(call.func)  # last: before it the others are not read


def _print_repeat():
    code, table, args, count, names = new_function("repeat", ANY)
    place, given = code.stack(code.int(8)), code.stack(code.int(16))
    run, false = code.field(table, RUN), code.field(table, FALSE)
    with code.when(run.differs(0) & count.equals(0) & names.equals(0)):
        code.call(code.field(table, READ), code.field(table, FLAG), 0, place)
        flag = code.load(place)
        code.call(code.field(table, LET_GO), flag)
        with code.when(flag.equals(false)):
            code.store(given, code.field(table, FIRST))
            code.store(given + 8, code.field(table, SECOND))
            made, result = code.call(code.field(table, CALL), run, given, 2, 0), code.field(table, RESULT)
            with code.when(made.equals(0) | (made.differs(false) & result.equals(0))):
                code.builder.ret(made.value)
            code.call(code.field(table, LET_GO), made)
            with code.when(made.differs(false)):
                code.call(code.field(table, HOLD), result)
                code.builder.ret(result.value)
    return code.text(code.call(code.field(table, CALL), code.field(table, GENERAL), args, count, names))


def lender(take, give, room):
    """A function that lends a block of so many bytes or somewhat more, in a capsule by which it is returned; and its table.

    At most `room` bytes wait. Where nothing fits, `take`, in Python, makes an array of bytes; where there is no room for one,
    `give` is given it, and None now and then.

    Examples
    --------
    >>> lend, table = lender(lambda size: np.empty(size, np.uint8), lambda block: None, 1 << 20)
    >>> capsule = lend(1000)
    >>> del capsule
    >>> [block.nbytes for block in emptied(table)]
    [1024]
    """
    names = "PyLong_AsSsize_t PyLong_FromSsize_t PyObject_CallOneArg Py_DecRef Py_IncRef PyCapsule_New PyCapsule_SetContext"
    names += " PyErr_Fetch PyErr_Restore PyErr_WriteUnraisable"
    returned = compile_lasting(text_of(f"returned {HEAD}", _print_returned), "returned")
    fields = lasting(take), lasting(give), *map(api, names.split()), id(None), returned, room, OFTEN, *[0] * BLOCKS
    lend = function("lend", _print_lend, fields)
    lasting(lend)  # capsules name its table
    return lend, lend.__self__


def _print_lend():
    code, table, args, _ = new_function("lend")
    asked, block = code.call(code.field(table, AS_SIZE), code.load(args)), code.variable(0)
    zeros = Int(code.builder, code.builder.ctlz(asked.value, ir.Constant(ir.IntType(1), 0)))
    step = code.int(1) << (code.int(60) - zeros)  # an eighth or less
    size = code.whole(asked + step - 1, step)
    with code.loop(KEPT, code.int(KEPT + BLOCKS)) as k, code.when(block.equals(0) & code.field(table, k).differs(0)):
        kept = code.field(table, k)
        with code.when(length(code, kept, 0).equals(size)):
            block.set(kept)
            code.put(table, k, 0)
            code.put(table, ROOM, code.field(table, ROOM) + size)
    with code.when(block.equals(0)):
        number = code.call(code.field(table, AS_NUMBER), size)
        with code.when(number.differs(0)):
            block.set(code.call(code.field(table, CALL_WITH), code.field(table, TAKE), number))
            code.call(code.field(table, RELEASE), number)
    capsule = code.variable(0)
    with code.when(block.differs(0)):
        capsule.set(code.call(code.field(table, NEW), block, 0, code.field(table, RETURNED)))
        with code.when(capsule.equals(0)):
            code.call(code.field(table, RELEASE), block)
        with code.when(capsule.differs(0)):
            code.call(code.field(table, SET_TABLE), capsule, table)
    return code.text(capsule)


def _print_returned():
    code = Code(ir.Module("returned"), "returned", 1, internal=False)
    (capsule,), place = code.parameters, code.variable(0)
    block, table = code.load(capsule + BLOCK), code.load(capsule + TABLE)
    size = length(code, block, 0)
    code.put(table, LEFT, code.field(table, LEFT) - 1)
    with code.loop(KEPT, code.int(KEPT + BLOCKS)) as k:
        fits = code.field(table, k).equals(0) & (size <= code.field(table, ROOM))
        place.set(code.select(fits, table + k * 8, place))
    with code.when(place.differs(0)):
        code.store(place, block)
        code.put(table, ROOM, code.field(table, ROOM) - size)
    with code.when(place.equals(0) | code.field(table, LEFT).equals(0)):
        code.put(table, LEFT, OFTEN)
        thing = code.select(place.equals(0), block, code.field(table, NONE))
        errors = [code.stack(code.int(8)) for _ in range(3)]
        code.call(code.field(table, HIDE), *errors)
        answer = code.call(code.field(table, CALL_WITH), code.field(table, GIVE), thing)
        with code.when(answer.equals(0)):
            code.call(code.field(table, TELL), thing)
        with code.when(answer.differs(0)):
            code.call(code.field(table, RELEASE), answer)
        with code.when(place.equals(0)):
            code.call(code.field(table, RELEASE), block)
        code.call(code.field(table, SHOW), *map(code.load, errors))
    return code.text()


def emptied(table):
    """What waits in the table of a lender, which has nothing then."""
    found, next_one = [], function("next_one", _print_next, table)
    while (block := next_one()) is not None:
        found.append(block)
    return found


def _print_next():
    """One of the blocks that wait, or None: it is owned by its caller at once, so that no interrupt can lose it."""
    code, table, _, _ = new_function("next_one")
    block = code.variable(0)
    with code.loop(KEPT, code.int(KEPT + BLOCKS)) as k, code.when(block.equals(0) & code.field(table, k).differs(0)):
        block.set(code.field(table, k))
        code.put(table, k, 0)
        code.put(table, ROOM, code.field(table, ROOM) + length(code, block, 0))
    with code.when(block.equals(0)):
        block.set(code.field(table, NONE))
        code.call(code.field(table, RETAIN), block)
    return code.text(block)


def api(name):
    """Address of a function of Python's own."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value


def lasting(thing):
    """Address of an object that is never freed: at exit a kernel may outlive what modules hold."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return id(thing)


def numpy_api(number):
    """Address of a function in the table that NumPy exports to C, whose order is part of its binary interface."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return ctypes.c_void_p.from_address(get(_exported(), None) + 8 * number).value


def _exported():
    """The capsule that has that table."""
    return np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]


def kind_of(dtype):
    """What a dtype has at `KIND`, the same for all objects of it."""
    return _read(id(dtype) + KIND)


def short(code, address):
    """A 32-bit number, without sign."""
    return Int(code.builder, code.builder.zext(code.load(address, I32), I64))


def type_of(code, thing):
    """Address of an object's type."""
    return code.load(thing + (HEAD - 8))


def length(code, array, dimension):
    """Length of one dimension."""
    return code.field(code.load(array + DIMENSIONS), dimension)


@functools.cache
def is_available():
    """Whether this interpreter lays out its objects as the code expects: read one array and one float, and compare."""
    if sys.implementation.name != "cpython":
        return False
    probe, number, other, count = np.arange(6.0).reshape(2, 3), 2.5, np.float64(3.5), 123456789
    pair = probe, number
    place = id(probe)
    fields = (
        (_read(place + DATA), probe.ctypes.data),
        (_read(place + NDIM) & 0xFFFFFFFF, 2),
        (_read(_read(place + DIMENSIONS) + 8), 3),
        (_read(_read(place + STRIDES)), 24),
        (_read(place + DESCR), id(probe.dtype)),
        (_read(place + FLAGS) & USUAL, USUAL),
        (_read(place + HEAD - 8), id(np.ndarray)),
        (ctypes.c_double.from_address(id(number) + HEAD).value, number),
        (ctypes.c_double.from_address(id(other) + HEAD).value, other),
        (_read(id(count) + DIGIT) & 0xFFFFFFFF, count),
        (_read(id(pair) + HEAD), 2),
        (_read(id(pair) + ITEMS + 8), id(number)),
        (kind_of(probe.dtype) & 0xFF, ord("f")),
        (kind_of(probe.dtype) >> 32, probe.dtype.num),
        (_read(_read(id(_exported()) + BLOCK)), numpy_api(0)),
        (ctypes.CFUNCTYPE(ctypes.c_uint)(numpy_api(0))() >> 24, 2),  # the version of NumPy's binary interface
    )
    return all(found == expected for found, expected in fields)


def address_of(array):
    """Where an array's values begin, in a tenth of the time that `array.ctypes.data` takes.

    Examples
    --------
    >>> a = np.zeros(3)
    >>> address_of(a) == a.ctypes.data
    True
    """
    return _read(id(array) + DATA) if is_available() else array.ctypes.data


def phase_of(*arrays):
    """How many bytes behind the begin of a cache line the values of all these arrays begin; -1 where they do not agree.

    Compiled: where calls with many results are cold in the caches, to ask `address_of` of each took a tenth of their time.

    Examples
    --------
    >>> lines = np.zeros(80)
    >>> phase_of(lines, lines[8:]) == lines.ctypes.data % LINE, phase_of(lines, lines[1:])
    (True, -1)
    """
    return _phase()(*arrays)


@functools.cache
def _phase():
    return function("phase", _print_phase, [api("PyLong_FromLong")]) if is_available() else _phase_in_python


def _print_phase():
    code, table, args, count = new_function("phase")

    def own(k):
        return code.load(code.field(args, k) + DATA) & (LINE - 1)

    phase = code.variable(own(0))
    with code.loop(1, count) as k:
        phase.set(code.select(own(k).equals(phase), phase, -1))
    return code.text(code.call(code.field(table, 0), phase))


def _phase_in_python(*arrays):
    first, *others = {array.ctypes.data % LINE for array in arrays}
    return -1 if others else first


def _read(address):
    return ctypes.c_int64.from_address(address).value
