"""Whether arrays certainly share no memory, told from their bounds.

Compiled: to ask NumPy of each pair, a call into `out=` took up to 1.35 times as long.
"""

import functools

import numpy as np

from nbad.native.cpython import DATA, DIGIT, NDIM, STRIDES, api, function, is_available, length, new_function, short, type_of

ARRAY, ANSWER = range(2)  # the table
WIDEST = 8  # bytes of an item


def are_apart(arrays, others):
    """Whether arrays certainly share no memory with one another, nor with the others; False where that is not clear.

    Examples
    --------
    >>> a = np.zeros(4)
    >>> are_apart([a[1::-1]], [np.ones(3), a[2:]]), are_apart([a[::2]], [a[1::2]])
    (True, False)
    """
    return _apart()(*arrays, *others, len(arrays))


@functools.cache
def _apart():
    fields = [id(np.ndarray), api("PyBool_FromLong")]
    return function("apart", _print, fields) if is_available() else lambda *arrays: False


def _print():
    """Compare bounds: those of each of the first arrays, whose number comes last, with those of all that follow it."""
    code, table, args, count = new_function("apart")
    arrays, answer = count - 1, code.field(table, ANSWER)

    def demand(condition):
        with code.when(~condition):
            code.builder.ret(code.call(answer, 0).value)

    with code.loop(0, arrays) as k:
        thing = code.field(args, k)
        demand(type_of(code, thing).equals(code.field(table, ARRAY)))
    with code.loop(0, short(code, code.field(args, arrays) + DIGIT)) as k:
        low, high = bounds(code, code.field(args, k))
        with code.loop(k + 1, arrays) as other:
            start, end = bounds(code, code.field(args, other))
            demand((low >= end) | (start >= high))
    return code.text(code.call(answer, 1))


def bounds(code, array):
    """Where the memory of an array begins, and where it ends at the latest."""
    data, strides = code.load(array + DATA), code.load(array + STRIDES)
    low, high = code.variable(data), code.variable(data + WIDEST)
    with code.loop(0, short(code, array + NDIM)) as d:
        reach = (length(code, array, d) - 1) * code.field(strides, d)
        low.set(low + code.smaller(reach, code.int(0)))
        high.set(high + code.select(reach < 0, 0, reach))
    return low.now(), high.now()
