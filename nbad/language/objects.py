"""Arrays of objects, as NumPy moves them: how they are made, and the dtype that they have in the plain function."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.language import refusals

if TYPE_CHECKING:
    from nbad.language.trace import Trace


def filled(values: Iterable[Any], shape: tuple[int, ...]) -> np.ndarray:
    """A new array of objects from a sequence in C order."""
    values = list(values)
    array = np.empty(len(values), object)
    for k, value in enumerate(values):  # NumPy would look for sequences in them
        array[k] = value
    return array.reshape(shape)


def like(array: np.ndarray, values: Iterable[Any], order: Any = "K") -> np.ndarray:
    """The same in the shape of an array, and in its memory order, on which `ravel` depends, or in another one."""
    result = np.empty_like(array, object, order, subok=False)
    result[...] = filled(values, array.shape)
    return result


def dtype_of(trace: "Trace", array: np.ndarray) -> Any:
    """The dtype that an array has in the plain function: its traced items tell, for plain ones are floats or bools here."""
    if array.size and are_conditions(trace, array):
        return np.dtype(bool)
    has_whole = False
    for value in array.flat:
        is_traced = trace.is_traced(value)
        has_whole |= is_traced and trace.is_whole(value) and not trace.is_condition(value)
        if not (trace.is_whole(value) if is_traced else float(value).is_integer()):
            return np.dtype(float)
    return np.dtype(int if has_whole else float)


def of_dtype(trace: "Trace", new: np.ndarray, dtype: Any) -> np.ndarray:
    """What an array of a dtype makes of items that are written to it."""
    if dtype.kind == "f":
        return _of_floats(trace, new)
    is_alike, plain_item = (trace.is_condition, bool) if dtype.kind == "b" else (trace.is_whole, np.trunc)
    if not all(is_alike(value) for value in new.flat if trace.is_traced(value)):
        raise trace.refusal(*refusals.KEPT[dtype.kind])
    return like(new, (value if trace.is_traced(value) else plain_item(value) for value in new.flat))


def _of_floats(trace: "Trace", new: np.ndarray) -> np.ndarray:
    if not any(map(trace.is_whole, new.flat)):
        return new
    return like(new, (trace.real(v) if trace.is_traced(v) else np.float64(v) for v in new.flat))


def are_conditions(trace: "Trace", value: Any) -> bool:
    values = value.flat if isinstance(value, np.ndarray) else (value,)
    return all(map(trace.is_condition, values))


def of_reals(trace: "Trace", array: np.ndarray) -> np.ndarray:
    """The same array: whole numbers that NumPy took from options are real numbers among these, and so are bools."""
    if array.flags.writeable and not are_conditions(trace, array):
        for place, value in np.ndenumerate(array):
            if isinstance(value, int) and not trace.is_traced(value):
                array[place] = np.float64(value)
    return array
