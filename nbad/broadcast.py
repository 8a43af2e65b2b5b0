"""Arguments as arrays: what is accepted, the working dtype, the broadcast shape, strides over it."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nbad.errors import ArgumentTypeError, ArgumentValueError, message, user_line

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
WEAK = (float, int, bool)
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


@dataclass(frozen=True, slots=True)
class Operands:
    """The arguments of one call as arrays, their working dtype and their common element space."""

    arrays: tuple[np.ndarray, ...]
    cores: tuple[int, ...]
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def shapes(self):
        """Shape of each array."""
        return [a.shape for a in self.arrays]

    @property
    def batches(self):
        """Shape of each array without its core dimensions."""
        return [batch(a.shape, core) for a, core in zip(self.arrays, self.cores, strict=True)]

    def without_arrays(self):
        """The same shapes and dtypes in arrays of one element: what a pullback may keep of its caller's arrays."""
        hollow = tuple(np.broadcast_to(np.empty((), a.dtype), a.shape) for a in self.arrays)
        return replace(self, arrays=hollow)


def batch(shape, core):
    """A shape without its last `core` dimensions."""
    return shape[: len(shape) - core]


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
    if type(value) is not np.ndarray:
        value = _convert(call, name, value)
    kind = value.dtype.kind
    if kind in "fiub" and value.dtype.itemsize <= 8:
        return value
    what, fix = REFUSED.get(kind, ("is a long double", "{0}.astype(np.float64)"))
    raise ArgumentTypeError(message(
        f"{call}: {name} {what}", source=user_line(), got=f"dtype {value.dtype}",
        expected="float64, float32, float16, an integer dtype or bool", fix=fix.format(name),
    ))


def _convert(call, name, value):
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentTypeError(message(
            f"{call}: {name} is a masked array", source=user_line(), got="numpy.ma.MaskedArray",
            expected="an array without a mask", fix=f"{name}.filled(np.nan)",
        ))
    if isinstance(value, np.generic | np.ndarray) or hasattr(value, "__array__"):
        return np.asarray(value)
    try:
        array = np.asarray(value, dtype=float) if type(value) in WEAK else np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(message(
            f"{call}: {name} is not an array of numbers", source=user_line(), got=f"{type(value).__name__}: {error}",
            expected="a number, an array, or nested lists of equal lengths", fix=f"np.asarray({name}, dtype=float)",
        )) from None
    return array.astype(float) if array.dtype.kind in "iub" else array


def read(call, names, cores, values):
    """Convert and check the arguments of one call.

    Parameters
    ----------
    call : str
        The call, for messages.
    names : tuple of str
    cores : tuple of tuples
        Core shape of each argument.
    values : tuple of array_like

    Returns
    -------
    Operands
    """
    arrays = tuple(
        v if type(v) is np.ndarray and (v.dtype is DOUBLE or v.dtype is SINGLE) else as_array(call, name, v)
        for name, v in zip(names, values, strict=True)
    )
    strong = [a.dtype for a, v in zip(arrays, values, strict=True) if type(v) not in WEAK]
    dtype = SINGLE if strong and all(t.kind == "f" and t.itemsize == 4 for t in strong) else DOUBLE
    ranks = tuple(map(len, cores))
    _check_cores(call, names, cores, arrays)
    shapes = [batch(a.shape, rank) for a, rank in zip(arrays, ranks, strict=True)]
    return Operands(arrays, ranks, dtype, _common_shape(call, names, shapes))


def _check_cores(call, names, cores, arrays):
    for name, core, array in zip(names, cores, arrays, strict=True):
        if core and array.shape[-len(core) :] != core:
            raise ArgumentValueError(message(
                f"{call}: {name} does not end in its core shape", source=user_line(), got=f"shape {array.shape}",
                expected=f"shape {_dots(core)}", fix=f"np.moveaxis({name}, axis, -1), if the vector lies along another axis",
            ))


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
        raise ArgumentValueError(message(
            f"{call}: the arguments do not broadcast", source=user_line(), got=listing,
            expected="shapes that NumPy broadcasts to one", fix=_fix(names, shapes),
        )) from None


def _fix(names, shapes):
    """A new axis for the first one-dimensional argument that clashes: the usual wish is an outer product."""
    for name, shape in zip(names, shapes, strict=True):
        if len(shape) == 1:
            return f"{name}[:, None], for all combinations"
    return "np.expand_dims on one of them"


def strides_over(array, core, shape):
    """Strides in bytes over the element space; 0 along the axes that the array is broadcast along."""
    own = batch(array.shape, core)
    missing = len(shape) - len(own)
    kept = (0 if size == 1 else stride for size, stride in zip(own, array.strides, strict=False))
    return (0,) * missing + tuple(kept)


def contiguous_strides(shape, itemsize):
    """Strides of a C-contiguous array."""
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= size
    return tuple(reversed(strides))


def core_offsets(strides, core):
    """Byte offset of each core value, in C order."""
    offsets = [0]
    for size, stride in zip(core, strides[len(strides) - len(core) :], strict=True):
        offsets = [offset + k * stride for offset in offsets for k in range(size)]
    return offsets


def is_broadcast(own, shape):
    """Whether an array of batch shape `own` is repeated, or summed over, in the element space `shape`."""
    return own != shape


def is_total(own, shape):
    """Whether it is repeated along every axis: one value for all elements."""
    return math.prod(own) == 1 and own != shape


def unstructure(leaves: list[Any], is_tuple: bool):
    """A tuple of results, or the only one."""
    return tuple(leaves) if is_tuple else leaves[0]
