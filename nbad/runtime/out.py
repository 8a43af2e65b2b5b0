"""Checks of `out=`: filled, never cast, never overlapping an input."""

import numpy as np

from nbad import foreign
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.native.apart import are_apart


def check_out(call, arrays, names, shapes, dtype, inputs):
    """The arrays of `out=`, after every check; nothing has been written when it raises.

    `arrays` are what the user gave, `names` tell what each receives, and `inputs` are what they must not overlap.
    """
    if type(arrays) is not tuple or len(arrays) != len(shapes):
        got = f"a tuple of {len(arrays)}" if type(arrays) is tuple else f"a {type(arrays).__name__}"
        raise ArgumentValueError(
            f"{call}: out= does not have the structure of the result",
            got=got,
            expected=f"a tuple of {len(shapes)} arrays",
            fix="out=(" + ", ".join(_empty(shape, dtype) for shape in shapes) + ",)",
        )
    for array, name, shape in zip(arrays, names, shapes, strict=True):
        is_plain = type(array) is np.ndarray and array.shape == shape and array.dtype is dtype and array.flags.carray
        if not is_plain and (fault := _fault(array, shape, dtype)):
            error, what, got, expected = fault
            raise error(f"{call}: out= for {name} {what}", got=got, expected=expected, fix=_empty(shape, dtype))
    if not are_apart(arrays, inputs):
        for k, (array, name) in enumerate(zip(arrays, names, strict=True)):
            check_overlaps(call, array, name, (*inputs, *arrays[:k]))
    return [np.asarray(array) for array in arrays]  # np.matrix indexes its first axis in its own way


def _fault(array, shape, dtype):
    """What is wrong with an array: the error, the words, what it got and what it expected; None where nothing is."""
    if not isinstance(array, np.ndarray) or foreign.part_of(array) is not None:
        return ArgumentTypeError, "is not an array", foreign.named(array), "numpy.ndarray"
    if array.shape != shape:
        return ArgumentValueError, "has a wrong shape", f"shape {array.shape}", f"shape {shape}"
    if array.dtype != dtype or not array.dtype.isnative:
        return ArgumentTypeError, "has a wrong dtype, and out= is never cast", f"dtype {array.dtype}", f"dtype {dtype}"
    if not array.flags.writeable:
        return ArgumentValueError, "is read-only", "a read-only array", "a writeable array"
    if _may_overlap_itself(array):
        expected = "an array whose elements have memory of their own"
        return ArgumentValueError, "overlaps itself", f"strides {array.strides}", expected
    return None


def _empty(shape, dtype):
    return f"np.empty({shape}, np.{dtype})"


def _may_overlap_itself(array):
    """Whether some axis steps by less than what the axes within it span."""
    span = array.itemsize
    for step, size in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if step < span and array.size:
            return True
        span += step * (size - 1)
    return False


def check_overlaps(call, array, name, others):
    """Refuse an array of `out=` that shares memory with any other."""
    if not are_apart((array,), others) and any(_overlap(array, other) for other in others):
        raise ArgumentValueError(
            f"{call}: out= for {name} overlaps an input or another result",
            got="shared memory",
            expected="memory of its own",
            fix=_empty(array.shape, array.dtype),
        )


def _overlap(array, other):
    """Whether two arrays share memory: exact where that is cheap; where it is not, overlapping bounds count."""
    try:
        return np.shares_memory(array, other, max_work=10_000)  # type: ignore[arg-type]  # NumPy's stub knows two numbers only
    except np.exceptions.TooHardError:
        return True
