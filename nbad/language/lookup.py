"""Choices among many: `table[i]`, `x in values`, the greatest and the least, order and tables, as selects or folds."""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterator, KeysView, Sequence, ValuesView
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.graphs.flags import Cause
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.ranges import range_of
from nbad.language import arrays
from nbad.language.arrays import TracedArray, owner, wrap
from nbad.language.meanings import Meaning, means
from nbad.language.merging import Different, Merger, containers, either, is_number, opposite
from nbad.language.objects import filled, like
from nbad.language.values import TracedWhole, Tracer, first_traced
from nbad.operations.row import REAL
from nbad.operations.ties import Tied

if TYPE_CHECKING:
    from nbad.language.trace import Trace

LONGEST_SORT = 12  # comparisons grow with the square


def is_traced(index: Any) -> bool:
    """Whether an index is a traced value, an array of such, or a tuple with one."""
    if isinstance(index, TracedArray):
        return first_traced(index.flat) is not None
    return isinstance(index, Tracer) or (isinstance(index, tuple) and any(isinstance(part, Tracer) for part in index))


def new_axes(container: Any, index: Any) -> int | None:
    """How many axes `x[()]`, `x[...]`, `x[:]` or `x[..., None]` gives a traced number; None for other indices and containers."""
    if not isinstance(container, Tracer):
        return None
    given = index if isinstance(index, tuple) else (index,)
    parts = [Ellipsis if isinstance(p, slice) and p == slice(None) else p for p in given]
    return sum(part is None for part in parts) if all(part is None or part is Ellipsis for part in parts) else None


def extreme(trace: "Trace", op: str, items: Sequence[Any]) -> Any:
    """The greatest or least of several, from left to right; equal ones share the derivative alike, whatever their order."""
    result: Any = functools.reduce(lambda best, other: trace.apply(op, (best, other)), items)
    if len(items) > 2 and not isinstance(result, TracedWhole):  # what is whole has no derivative
        result = trace.value(trace.grown(_tied, *(trace.node(trace.real(value), REAL) for value in (result, *items))))
    if op.startswith("py"):  # Python's own give one of them, as it is
        trace.aliases.link(result, *(owner(item) for item in items if isinstance(item, Tracer | TracedArray)))
    return result


def _tied(builder: GraphBuilder, value: int, *items: int) -> int:
    return builder.add("tied", value, *items, payload=Tied(len(items)))


def extreme_by(trace: "Trace", is_better: Callable[..., Any], key: Callable[[Any], Any], items: Sequence[Any]) -> Any:
    """Of several things the first whose key is the greatest or least."""
    rows = [(key(item), item) for item in items]
    if not all(is_number(value) for value, _ in rows):
        raise trace.refusal("picks the greatest or least by a key that is no number", "max(values, key=lambda v: abs(v))")

    def choose(best: Any, row: Any) -> Any:
        holds = is_better(row[0], best[0])
        if not isinstance(holds, Tracer):
            return row if holds else best
        if any(containers((best, row))):
            raise trace.refusal("picks the greatest or least of lists or arrays", "max(pairs, key=lambda p: p[0])  # of tuples")
        return _merged(trace, lambda: Merger(trace, holds).merge(row, best))

    return functools.reduce(choose, rows)[1]


def _place_of(op: str) -> Meaning:
    """`argmin` and `argmax`: the first place of the least or greatest, or of nan, which is locally constant."""

    def place(trace: "Trace", row: np.ndarray) -> Any:
        if not row.size:
            raise trace.refusal("looks for the place of an item where there are none", "np.argmin(x)  # of at least one")
        best: Any = row[0]
        found: Any = 0
        for k, value in enumerate(row[1:], 1):
            is_better = ~trace.apply(op, (best, value)) & trace.apply("eq", (best, best))
            best, found = trace.apply("select", (is_better, value, best)), trace.apply("select", (is_better, k, found))
        return found

    def act(trace: "Trace", a: Any, axis: Any = None) -> Any:
        array = arrays.items(trace, a)
        rows = array.ravel() if axis is None else np.moveaxis(array, axis, -1)
        places = [trace.item(place(trace, row)) for row in rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])]
        return wrap(trace, filled(places, rows.shape[:-1]))

    return means(act, each=())


def ordered(trace: "Trace", items: Sequence[Any] | np.ndarray, least: str = "fmin", greatest: str = "maximum") -> list[Any]:
    """Several numbers from the least to the greatest, equal ones in their order; two by two, and ties share the derivative.

    `least` and `greatest` are operations of two, which give the first in a tie; with these nan are last.
    """
    if len(items) > LONGEST_SORT:
        fix = "one more argument, sorted before the call"
        raise trace.refusal(f"sorts {len(items)} traced values", fix, expected=f"up to {LONGEST_SORT}")
    result = list(items)
    for end in range(len(result) - 1, 0, -1):
        for k in range(end):
            first, second = result[k], result[k + 1]
            result[k], result[k + 1] = trace.apply(least, (first, second)), trace.apply(greatest, (second, first))
    return result


def _sort(trace: "Trace", a: Any, axis: Any = -1) -> Any:
    array = arrays.items(trace, a)
    array, axis = (array.ravel(), -1) if axis is None else (array, axis)
    rows = np.moveaxis(array, axis, -1)
    values = [value for row in rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1]) for value in ordered(trace, row)]
    return wrap(trace, like(array, np.moveaxis(filled(values, rows.shape), -1, axis).flat))


def item(trace: "Trace", container: Any, index: Any) -> Any:
    """The item of a tuple, list or array at a traced place, of which negative ones count from the end, or of a dict.

    Elements for which the place is out of range, or no whole number, have no value.
    """
    if isinstance(index, TracedArray):
        return _items(trace, container, index)
    if isinstance(container, np.ndarray):
        return _array_item(trace, container, index if isinstance(index, tuple) else (index,))
    if is_of_key(container, index):
        return of_key(trace, container, index)
    if not isinstance(container, (list, tuple)):
        return container[index]
    kind = "tuple" if isinstance(container, tuple) else "list"
    wrong = TypeError(f"{kind} indices must be integers or slices, not float")
    return _pick(trace, list(container), _place_in(trace, len(container), index, IndexError(f"{kind} index out of range"), wrong))


def is_of_key(table: Any, key: Any) -> bool:
    """Whether this is a dict, and a traced number, of which it is plain to see which keys it may be equal to."""
    return type(table) is dict and isinstance(key, Tracer) and all(map(_is_clear, table))


def _is_clear(known: Any) -> bool:
    return known is None or isinstance(known, str | bytes | tuple) or _is_exact(known)


def _is_exact(known: Any) -> bool:
    """Whether a traced number can be equal to a plain one, and is where it is in Python."""
    if isinstance(known, int | np.integer | np.bool_):
        return float(known) == int(known)
    return isinstance(known, float) and known == known


def of_key(trace: "Trace", table: dict[Any, Any], key: Any, *default: Any) -> Any:
    """The item of a dict at a traced number; elements for which that is no key have a default, or no value."""
    rows = [(known, value) for known, value in table.items() if _is_exact(known)]
    return _first(trace, key, rows, KeyError("a number that is no key"), *default)


def place_of(trace: "Trace", items: Sequence[Any], item: Any, *bounds: Any) -> Any:
    """`items.index(item)`: elements that are equal to none of them have no value."""
    is_clear = all((isinstance(known, Tracer) and known is not item) or _is_clear(known) for known in items)
    if not isinstance(item, Tracer) or bounds or not is_clear:
        return items.index(item, *bounds)
    rows = [(known, k) for k, known in enumerate(items) if isinstance(known, Tracer) or _is_exact(known)]
    return _first(trace, item, rows, ValueError("a number that is not in the list"))


def _first(trace: "Trace", item: Any, rows: list[tuple[Any, Any]], error: Exception, *default: Any) -> Any:
    """The value of the first row that a traced number is equal to."""
    if isinstance(item, TracedWhole):
        _check_finite(trace, item)
    found = [(item == known, value) for known, value in rows]
    if not default:
        is_there = functools.reduce(functools.partial(either, trace), (holds for holds, _ in found), False)
        trace.no_value(opposite(trace, is_there), Cause.here(error))
        default = (found.pop()[1],) if found else (trace.nothing(),)

    def choose(result: Any, row: tuple[Any, Any]) -> Any:
        return Merger(trace, row[0]).merge(row[1], result)

    return _merged(trace, lambda: functools.reduce(choose, reversed(found), default[0]))


def _check_finite(trace: "Trace", index: Any) -> None:
    """What is computed as a whole number may be nan, where Python has none."""
    trace.no_value(trace.logic("not", abs(index) < math.inf), Cause.here(ValueError("cannot convert float NaN to integer")))


def _items(trace: "Trace", container: Any, index: TracedArray) -> Any:
    """The items of an array with one axis at an array of places."""
    if not isinstance(container, np.ndarray) or container.ndim != 1 or all(map(trace.is_condition, index.flat)):
        raise trace.refusal_of("index")
    if any(not isinstance(place, Tracer) and place != int(place) for place in index.flat):
        raise trace.refusal_of("index")
    places = (place if isinstance(place, Tracer) else int(place) for place in index.flat)
    return wrap(trace, filled([item(trace, container, place) for place in places], index.shape))


def _array_item(trace: "Trace", array: np.ndarray, index: tuple[Any, ...]) -> Any:
    """The item of an array at a tuple of places."""
    traced = [axis for axis, part in enumerate(index) if isinstance(part, Tracer)]
    is_odd = any(part is None or part is Ellipsis or trace.is_condition(part) for part in index)
    if traced and (is_odd or len(index) > array.ndim):
        raise trace.refusal_of("index")
    wrong = IndexError(
        "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are valid indices"
    )
    places = list(index)
    for axis in traced:
        outside = IndexError(f"index is out of bounds for axis {axis} with size {array.shape[axis]}")
        places[axis] = _place_in(trace, array.shape[axis], index[axis], outside, wrong)
    # what is picked is a number of the graph, and these are floats
    return _array_pick(trace, array.astype(float) if array.dtype.kind in "iub" else array, places)


def _array_pick(trace: "Trace", array: np.ndarray, places: list[Any]) -> Any:
    """The item at places that are in range, by the first traced one."""
    axis = next((k for k, part in enumerate(places) if isinstance(part, Tracer)), None)
    if axis is None:
        return array[tuple(places)]
    others = [[*places[:axis], k, *places[axis + 1 :]] for k in range(array.shape[axis])]
    return _pick(trace, [_array_pick(trace, array, other) for other in others], places[axis])


def _place_in(trace: "Trace", size: int, index: Any, outside: Exception, wrong: Exception) -> Any:
    """A traced place, counted from the start; elements for which it is none have no value."""
    is_whole, index = trace.is_whole(index), trace.real(index)
    found = range_of(trace.builder.nodes, index._node, trace.ranges)
    is_inside = found is not None and -size <= found[0] and found[1] < size
    if not is_whole:  # an argument may be an array of integers
        trace.no_value(index != trace.apply("floor", (index,)), Cause.here(wrong))
    if not (is_inside and is_whole):
        if trace.guards and is_whole:  # those to whom making it of nan is an error have left before
            _check_finite(trace, index)
        trace.no_value(trace.logic("not", (index >= -size) & (index < size)), Cause.here(outside))
    if found is not None and found[0] >= 0.0:
        return index
    return trace.apply("select", (index < 0, index + size, index))


def _pick(trace: "Trace", values: list[Any], place: Any) -> Any:
    return _merged(trace, lambda: select_tree(trace, values, lambda k: place < k))


def _merged(trace: "Trace", merge: Callable[[], Any]) -> Any:
    try:
        return merge()
    except Different as error:
        raise trace.refusal_of("table", got=str(error)) from None


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
    if is_of_key(container, item) or isinstance(container, KeysView | ValuesView):
        container = tuple(container)
    if isinstance(container, Iterator) and trace.is_traced(item):  # how far it is read depends on the item
        raise trace.refusal_of("iterator")
    if not isinstance(container, (list, tuple, set, frozenset, range, np.ndarray)) or first_traced((item, container)) is None:
        return item in container
    if isinstance(container, np.ndarray):
        found = [value == item for value in container.flat]
    else:
        found = _equal(container, item)
    return functools.reduce(functools.partial(either, trace), found, False)


def _equal(values: Any, item: Any) -> list[Any]:
    """Which of the values an item is equal to: what is there is found even if it is nan."""
    return [value is item or value == item for value in values]


def count_of(trace: "Trace", items: Sequence[Any], item: Any) -> Any:
    """`items.count(item)`."""
    return items.count(item) if first_traced((item, items)) is None else _count(trace, _equal(items, item))


# tables


def _searchsorted(trace: "Trace", a: Any, v: Any, side: str = "left") -> Any:
    return _place(trace, _knots(trace, "np.searchsorted({a}, x)", a), v, side)


def _digitize(trace: "Trace", x: Any, bins: Any, right: bool = False) -> Any:
    return _place(trace, _knots(trace, "np.digitize(x, {bins})", bins), x, "left" if right else "right")


def _bisect_left(trace: "Trace", a: Any, x: Any, lo: int = 0, hi: int | None = None) -> Any:
    """Nan lies below all, as in Python: no knot is less."""
    x, knots = trace.real(x), _knots(trace, "bisect.bisect_left({a}, x)", a)[lo:hi]
    return lo + _count(trace, [x > knot for knot in knots])


def _bisect_right(trace: "Trace", a: Any, x: Any, lo: int = 0, hi: int | None = None) -> Any:
    return lo + _place(trace, _knots(trace, "bisect.bisect_right({a}, x)", a)[lo:hi], x, "right")


def _place(trace: "Trace", knots: list[float], x: Any, side: str) -> Any:
    """How many knots lie below a number; nan lies above all, as in NumPy."""
    x = trace.real(x)
    return _count(trace, [~(x <= knot) if side == "left" else ~(x < knot) for knot in knots])


def _count(trace: "Trace", conditions: list[Any]) -> Any:
    return trace.whole("floor", sum(conditions, start=0.0))


def _interp(trace: "Trace", x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear interpolation in a table, constant beyond its ends; at a knot the derivative is that of the right-hand piece."""
    if period is not None:
        raise trace.refusal(
            "passes `period=` to `numpy.interp`", "np.interp(x % period, xp, fp)  # a table that spans the period"
        )
    x, knots = trace.real(x), _knots(trace, "np.interp(x, {xp}, fp)", xp)
    values = [v if trace.is_traced(v) else float(v) for v in fp]
    if len(values) != len(xp) or not knots:
        raise trace.refusal("calls `numpy.interp` with tables that do not fit", "np.interp(x, xp, fp)  # of one length")
    left = values[0] if left is None else left
    last = len(knots) - 1
    # two equal knots are a jump, which has no slope
    pieces = [k for k in range(last) if knots[k] < knots[k + 1]]
    if not pieces:
        above = values[last] if right is None else trace.apply("select", (x > knots[last], right, values[last]))
        below_or_above = trace.apply("select", (x < knots[0], left, above))
        return trace.apply("select", (x == x, below_or_above, math.nan)) if last else below_or_above  # as NumPy has it
    slopes = [(values[k + 1] - values[k]) / (knots[k + 1] - knots[k]) for k in pieces]
    endless = [j for j, slope in enumerate(slopes) if not (trace.is_traced(slope) or math.isfinite(slope))]
    origins, starts = [knots[k] for k in pieces], [values[k] for k in pieces]
    if origins[0] == -math.inf:  # such a piece is measured from its end
        origins[0], starts[0] = knots[pieces[0] + 1], values[pieces[0] + 1]
    for j in endless:  # a piece that begins or ends at inf or nan, or whose slope is too large, as NumPy has it
        start, end = values[pieces[j]], values[pieces[j] + 1]
        if math.isnan(slopes[j]):
            slopes[j], starts[j] = 0.0, start if start == end else math.nan
        elif not (math.isfinite(start) and math.isfinite(end)):
            slopes[j], starts[j] = 0.0, _between(start, end)

    def pick(numbers: list[Any]) -> Any:
        return select_tree(trace, numbers, lambda k: x < knots[pieces[k]])

    distance = x - pick(origins)
    inside = pick(slopes) * distance + pick(starts)
    for j, k in enumerate(pieces):  # at most one is so long: its far part is measured from its end, as NumPy does
        is_long = math.isfinite(knots[k]) and math.isfinite(knots[k + 1]) and math.isinf(knots[k + 1] - knots[k])
        if is_long and j not in endless:
            is_far = trace.logic("and", distance == math.inf, x < knots[k + 1])
            inside = trace.apply("select", (is_far, slopes[j] * (x - knots[k + 1]) + values[k + 1], inside))
    for j in {*endless, *[0] * (knots[0] == -math.inf)}:
        inside = trace.apply("select", (x == knots[pieces[j]], values[pieces[j]], inside))
    at_end = values[last] if right is None else trace.apply("select", (x > knots[last], right, values[last]))
    above = trace.apply("select", (x >= knots[last], at_end, inside))
    return trace.apply("select", (x < knots[0], left, above))


def _between(start: float, end: float) -> float:
    """What lies between two values of a table of which one is infinite or nan: infinite, if both agree on that."""
    infinite = {value for value in (start, end) if math.isinf(value)}
    return infinite.pop() if len(infinite) == 1 and not math.isnan(start + end) else math.nan


def _knots(trace: "Trace", example: str, table: Any) -> list[float]:
    """A constant table that increases; `example` is the call, with the table's name in braces."""
    call, name = example.partition("(")[0].replace("np", "numpy"), example.partition("{")[2].partition("}")[0]
    if trace.holds_traced(table):
        fix = example.replace(f"{{{name}}}", "[0.0, 1.0, 2.0]") + "  # a constant table"
        raise trace.refusal(f"calls `{call}` with a traced `{name}`", fix)
    knots = [float(knot) for knot in table]
    if not all(itertools.starmap(operator.le, itertools.pairwise(knots))):
        fix = example.replace(f"{{{name}}}", f"sorted({name})")
        raise trace.refusal(f"calls `{call}` with an `{name}` that does not increase", fix)
    return knots


MEANINGS = {
    "numpy.sort": means(_sort, each=()),
    "numpy.searchsorted": means(_searchsorted, each=(1,)),
    "numpy.digitize": means(_digitize, each=(0,)),
    **dict.fromkeys(("bisect.bisect", "bisect.bisect_right"), means(_bisect_right, each=())),
    "bisect.bisect_left": means(_bisect_left, each=()),
    "numpy.argmin": _place_of("le"),
    "numpy.argmax": _place_of("ge"),
    "numpy.interp": means(_interp, each=(0,)),
}
