"""Arguments as arrays: what is accepted, the working dtype, the broadcast shape, strides over it."""

import math
from typing import NamedTuple

import numpy as np

from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.memo import Memo
from nbad.runtime.memory import SMALLEST
from nbad.runtime.strides import batch

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
WEAK = (float, int, bool)
PLAIN = frozenset({float, np.float64})  # numbers that become float64 arrays as they are
NUMBERS = frozenset({*WEAK, *PLAIN})
REFUSED = {
    "c": ("is complex", "{0}.real, or one kernel argument for each of {0}.real and {0}.imag"),
    "O": ("holds Python objects", "np.asarray({0}, dtype=float)"),
    "M": ("holds datetimes", "({0} - {0}[0]) / np.timedelta64(1, 's')"),
    "m": ("holds time differences", "{0} / np.timedelta64(1, 's')"),
    "U": ("holds text", "np.asarray({0}, dtype=float)"),
    "S": ("holds bytes", "np.asarray({0}, dtype=float)"),
    "T": ("holds text", "np.asarray({0}, dtype=float)"),
    "V": ("is a structured array", "{0}['field']"),
}


class Layout(NamedTuple):
    """Shapes, strides and dtypes of the arguments of one call, analysed: all that a call depends on beside its numbers.

    Attributes
    ----------
    shapes : tuple of tuples
        Shape of each array.
    dtype : numpy.dtype
        The working dtype.
    shape : tuple of int
        The element space.
    leaf_shapes : tuple of tuples
        Shape of each output.
    is_plain : bool
        Whether no argument is a number, which an array must be made of.
    is_small : bool
        Whether results need no recycled memory; then the plain case is worth an entry.
    remember : Memo
        What follows from the layout, by whoever found it.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtype: np.dtype
    shape: tuple[int, ...]
    leaf_shapes: tuple[tuple[int, ...], ...]
    is_plain: bool
    is_small: bool
    remember: Memo


class Operands(NamedTuple):
    """The arguments of one call as arrays, and their layout."""

    arrays: tuple[np.ndarray, ...]
    layout: Layout

    @property
    def dtype(self):
        """The working dtype."""
        return self.layout.dtype

    @property
    def shape(self):
        """The element space."""
        return self.layout.shape


def as_array(call, name, value):
    """An array of a dtype that nbad computes with.

    Parameters
    ----------
    call, name : str
        The call and the argument, for the message.
    value : array_like

    Returns
    -------
    numpy.ndarray
        The argument itself where it is an array; numbers and nested lists of them become float64.

    Raises
    ------
    ArgumentTypeError
        For complex, longdouble, object, datetime, text and masked arrays.
    """
    if type(value) in PLAIN:
        return np.asarray(value)
    if type(value) is not np.ndarray:
        value = _convert(call, name, value)
    kind = value.dtype.kind
    if kind in "fiub" and value.dtype.itemsize <= 8:
        return value
    what, fix = REFUSED.get(kind, ("is a long double", "{0}.astype(np.float64)"))
    raise ArgumentTypeError(
        f"{call}: {name} {what}",
        got=f"dtype {value.dtype}",
        expected="float64, float32, float16, an integer dtype or bool",
        fix=fix.format(name),
    )


def _convert(call, name, value):
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{call}: {name} is a masked array",
            got="numpy.ma.MaskedArray",
            expected="an array without a mask",
            fix=f"{name}.filled(np.nan)",
        )
    if isinstance(value, np.generic | np.ndarray) or hasattr(value, "__array__"):
        return np.asarray(value)
    try:
        array = np.asarray(value, dtype=float) if type(value) in WEAK else np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(
            f"{call}: {name} is not an array of numbers",
            got=f"{type(value).__name__}: {error}",
            expected="a number, an array, or nested lists of equal lengths",
            fix=f"np.asarray({name}, dtype=float)",
        ) from None
    return array.astype(float) if array.dtype.kind in "iub" else array


def read(program, values):
    """Convert and check the arguments of one call.

    Parameters
    ----------
    program : Program
    values : tuple of array_like

    Returns
    -------
    Operands
    """
    layout = program.layouts.known.get(_key(values))
    if layout is None:
        return _analysed(program, values)
    if layout.is_plain:
        return Operands(values, layout)
    named = zip(program.names, values, strict=True)
    return Operands(tuple([v if type(v) is np.ndarray else as_array(program.call, name, v) for name, v in named]), layout)


def _key(values):
    """What a layout depends on."""
    return tuple([(v.shape, v.strides, v.dtype) if type(v) is np.ndarray else type(v) for v in values])


def _analysed(program, values):
    """The operands of a call, whose layout is remembered for others of that kind."""
    arrays = tuple(as_array(program.call, name, v) for name, v in zip(program.names, values, strict=True))
    key = _key([v if type(v) in NUMBERS else a for v, a in zip(values, arrays, strict=True)])
    return Operands(arrays, program.layouts(key, lambda: _layout(program, values, arrays)))


def _layout(program, values, arrays):
    strong = [a.dtype for a, v in zip(arrays, values, strict=True) if type(v) not in WEAK]
    dtype = SINGLE if strong and all(t.kind == "f" and t.itemsize == 4 for t in strong) else DOUBLE
    _check_cores(program.call, program.names, program.cores, arrays)
    _check_differentiated(program, arrays)
    batches = [batch(a.shape, len(core)) for a, core in zip(arrays, program.cores, strict=True)]
    shape = _common_shape(program.call, program.names, batches)
    leaf_shapes = tuple((*shape, *core) for core in program.leaves)
    is_plain, is_small = not any(type(v) in NUMBERS for v in values), math.prod(shape) * dtype.itemsize < SMALLEST
    return Layout(tuple(a.shape for a in arrays), dtype, shape, leaf_shapes, is_plain, is_small, Memo())


def _check_cores(call, names, cores, arrays):
    for name, core, array in zip(names, cores, arrays, strict=True):
        if core and array.shape[-len(core) :] != core:
            raise ArgumentValueError(
                f"{call}: {name} does not end in its core shape",
                got=f"shape {array.shape}",
                expected=f"shape {_dots(core)}",
                fix=f"np.moveaxis({name}, axis, -1), if the vector lies along another axis",
            )


def _check_differentiated(program, arrays):
    """The program of a derivative refuses integers for what it differentiates by."""
    for name, array in zip(program.names, arrays, strict=True):
        if name in program.by and is_discrete(array):
            raise without_derivative(f"{program.call} differentiates by {name}", name, array)


def is_discrete(array):
    """Whether an array, of integers or bools, has no derivative."""
    return array.dtype.kind in "iub"


def without_derivative(what, name, array):
    """The error for an array of integers or bools by which one is to differentiate."""
    return ArgumentTypeError(
        f"{what}, which has no derivative", got=f"dtype {array.dtype}", expected="a floating dtype", fix=f"{name}.astype(float)"
    )


def _dots(core):
    return "(..., " + ", ".join(map(str, core)) + ")"


def _common_shape(call, names, shapes):
    first = shapes[0] if shapes else ()
    if all(shape == first for shape in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listing = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))
        raise ArgumentValueError(
            f"{call}: the arguments do not broadcast",
            got=listing,
            expected="shapes that NumPy broadcasts to one",
            fix=_fix(names, shapes),
        ) from None


def _fix(names, shapes):
    """A new axis for the first one-dimensional argument that clashes: the usual wish is an outer product."""
    for name, shape in zip(names, shapes, strict=True):
        if len(shape) == 1:
            return f"{name}[:, None], for all combinations"
    return "np.expand_dims on one of them"
