"""Choices among many: `table[i]`, `x in values`, the greatest and the least, as trees of selects or folds."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.language import refusals
from nbad.language.arrays import TracedArray, filled, owner, wrap
from nbad.language.merging import Different, Merger, either
from nbad.language.values import Tracer, first_traced

if TYPE_CHECKING:
    from nbad.language.trace import Trace


def is_traced(index: Any) -> bool:
    """Whether an index is a traced value, an array of such, or a tuple with one."""
    if isinstance(index, TracedArray):
        return first_traced(index.flat) is not None
    return isinstance(index, Tracer) or (isinstance(index, tuple) and any(isinstance(part, Tracer) for part in index))


def new_axes(container: Any, index: Any) -> int | None:
    """How many axes `x[()]`, `x[...]`, `x[:]` or `x[..., None]` gives a traced number; None for other indices and containers."""
    if not isinstance(container, Tracer):
        return None
    parts = [
        Ellipsis if isinstance(p, slice) and p == slice(None) else p for p in (index if isinstance(index, tuple) else (index,))
    ]
    return sum(part is None for part in parts) if all(part is None or part is Ellipsis for part in parts) else None


def extreme(trace: "Trace", op: str, items: Sequence[Any]) -> Any:
    """The greatest or least of several, from left to right; equal ones share the derivative alike, whatever their order."""
    result: Any = items[0]
    ties: Any = 1.0  # how many are tied for it so far
    for k, other in enumerate(items[1:], 1):
        before = result
        result = trace.apply(op, (before, other)) if k == 1 else trace.apply(f"{op}_of", (before, other, ties))
        if k < len(items) - 1:
            kept = trace.apply("select", (trace.apply("eq", (result, before)), ties, 1.0)) if k > 1 else 1.0
            ties = trace.apply("select", (trace.apply("eq", (other, before)), ties + 1.0, kept))
    if op.startswith("py"):  # Python's own give one of them, as it is
        trace.aliases.link(result, *(owner(item) for item in items if isinstance(item, Tracer | TracedArray)))
    return result


def item(trace: "Trace", container: Any, index: Any) -> Any:
    """The item of a tuple, list or array at a traced place; nan where the place is no whole number or out of range.

    As in Python, negative places count from the end.
    """
    if isinstance(index, TracedArray):
        return _items(trace, container, index)
    if isinstance(container, np.ndarray):
        return _array_item(trace, container, index if isinstance(index, tuple) else (index,))
    if not isinstance(container, (list, tuple)):
        return container[index]
    return _pick(trace, list(container), index)


def _items(trace: "Trace", container: Any, index: TracedArray) -> Any:
    """The items of an array with one axis at an array of places."""
    if not isinstance(container, np.ndarray) or container.ndim != 1 or all(map(trace.is_condition, index.flat)):
        raise trace.refusal(*refusals.FLOW["index"])
    return wrap(trace, filled([item(trace, container, place) for place in index.flat], index.shape))


def _array_item(trace: "Trace", array: np.ndarray, index: tuple[Any, ...]) -> Any:
    """The item of an array at a tuple of places, by its first traced one."""
    axis = next((k for k, part in enumerate(index) if isinstance(part, Tracer)), None)
    if axis is None:
        return array[index]
    if any(part is None or part is Ellipsis for part in index) or trace.is_condition(index[axis]) or len(index) > array.ndim:
        raise trace.refusal(*refusals.FLOW["index"])
    # what is picked is a number of the graph, and these are floats
    numbers = array.astype(float) if array.dtype.kind in "iub" else array
    places = range(array.shape[axis])
    return _pick(trace, [_array_item(trace, numbers, (*index[:axis], k, *index[axis + 1 :])) for k in places], index[axis])


def _pick(trace: "Trace", values: list[Any], index: Any) -> Any:
    size, index = len(values), trace.real(index)
    place = trace.apply("select", (index < 0, index + size, index))
    valid = (place >= 0) & (place < size) & (index == trace.apply("floor", (index,)))
    try:
        inside = select_tree(trace, values, lambda k: place < k)
        return Merger(trace, valid).merge(inside, _like(values[0], math.nan))
    except Different as error:
        what, fix = refusals.FLOW["table"]
        raise trace.refusal(what, fix, got=str(error)) from None


def _like(value: Any, number: float) -> Any:
    """The number in the shape of a value."""
    if isinstance(value, (list, tuple)):
        return type(value)(_like(part, number) for part in value)
    if isinstance(value, dict):
        return {key: _like(part, number) for key, part in value.items()}
    return np.full(value.shape, number) if isinstance(value, np.ndarray) and value.ndim else number


def select_tree(trace: "Trace", values: list[Any], is_below: Callable[[int], Any]) -> Any:
    """The value at a place: `is_below(k)` is the condition that the place is below `k`."""

    # a tree has as many selects as a chain, but only log2(n) of them one after the other
    def pick(start: int, stop: int) -> Any:
        if stop - start == 1:
            return values[start]
        middle = (start + stop) // 2
        return Merger(trace, is_below(middle)).merge(pick(start, middle), pick(middle, stop))

    return pick(0, len(values))


def contained(trace: "Trace", item: Any, container: Any) -> Any:
    """Whether a container of numbers holds an item."""
    if not isinstance(container, (list, tuple, set, frozenset, range, np.ndarray)) or first_traced((item, container)) is None:
        return item in container
    values = container.flat if isinstance(container, np.ndarray) else container
    return functools.reduce(functools.partial(either, trace), (value == item for value in values), False)
