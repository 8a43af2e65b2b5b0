"""NumPy's functions of whole traced arrays: making, filling, reshaping and joining them, sums, means, extremes, logic along axes.

Reductions run from left to right in C order, starting with the first item, as a plain Python loop would; no sum is pairwise.
"""

import functools
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from nbad.language import arrays, masks, objects
from nbad.language.lookup import extreme, ordered
from nbad.language.meanings import Meaning, means

if TYPE_CHECKING:
    from nbad.language.trace import Trace

# what only moves items, or combines them by their own operators, NumPy's own function does on arrays of objects
_RESHAPING = (
    "append array_split atleast_1d atleast_2d atleast_3d broadcast_to column_stack cumprod cumsum cumulative_prod cumulative_sum "
    "delete diag diagflat diagonal dsplit ediff1d expand_dims flip fliplr flipud hsplit insert kron matrix_transpose moveaxis "
    "ndim outer permute_dims ravel repeat reshape resize roll rollaxis rot90 shape size split squeeze swapaxes take tile trace "
    "transpose tril triu unstack vander vsplit"
).split()
_JOINING = "concat concatenate dstack hstack stack vstack".split()


def _wrapped(trace: "Trace", result: Any, name: str | None = None) -> Any:
    """Arrays of objects as the kernel sees them, in lists and tuples too; shapes and sizes as they are."""
    if isinstance(result, list | tuple):
        return type(result)(_wrapped(trace, part, name) for part in result)
    return arrays.wrap(trace, objects.of_reals(trace, result), name) if isinstance(result, np.ndarray) else result


def _parts(trace: "Trace", value: Any) -> Any:
    """A sequence of arrays, each of its own shape, as arrays of objects."""
    is_sequence = isinstance(value, list | tuple)
    return [arrays.items(trace, part) for part in value] if is_sequence else arrays.items(trace, value)


def reshaping(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's own function on an array of objects, of which it moves or combines the items."""

    def act(trace: "Trace", x: Any, *places: Any, **options: Any) -> Any:
        _check_options(trace, function, options if function is not np.take or len(places) < 3 else {"out": x})
        options = {name: _objects(trace, value) for name, value in options.items()}
        given = arrays.items(trace, x)
        if function.__name__.startswith("cum") and objects.are_conditions(trace, given):  # they are counted
            given = objects.like(given, map(operator.pos, given.flat))
        result = function(given, *(_objects(trace, place) for place in places), **options)
        if trace.is_traced(x) and isinstance(result, np.ndarray) and result.ndim:
            is_view = np.may_share_memory(result, given)
            return arrays.of_number(trace, x, result) if is_view else arrays.wrap(trace, arrays.fresh(trace, result))
        if isinstance(result, np.ndarray) and result.ndim == 0 and result.base is not None and isinstance(x, arrays.TracedArray):
            return arrays.kept(trace, result, arrays.argument_of(x))  # a view
        return _wrapped(trace, result, arrays.argument_of(x))

    return act


def _check_options(trace: "Trace", function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuse options by which NumPy itself would write to arrays, or ask for numbers."""
    name = next((name for name in ("out", "dtype") if options.get(name) is not None), None)
    if name is not None:
        raise trace.refusal(f"passes `{name}=` to `numpy.{function.__name__}`", f"y = np.{function.__name__}(...)  # without it")


def _objects(trace: "Trace", value: Any) -> Any:
    """Operands as arrays of objects, places and axes as they are."""
    if not (isinstance(value, arrays.TracedArray) or trace.holds_traced(value)):
        return value
    items = arrays.items(trace, value).view()
    items.flags.writeable = False  # nobody would see what is written to them
    return items


def _joining(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a function of several arrays, each of its own shape."""

    def act(trace: "Trace", parts: Any, *places: Any, **options: Any) -> Any:
        _check_options(trace, function, options)
        return _wrapped(trace, function(_parts(trace, parts), *places, **options))

    return act


def _cross(a: Any, b: Any, *axes: Any, **options: Any) -> Any:
    """NumPy before 2.3 makes arrays of the items of single vectors, which rows of one vector are not."""
    is_single = np.ndim(a) == np.ndim(b) == 1 and not axes and not options
    return np.cross(np.asarray(a)[None], np.asarray(b)[None])[0] if is_single else np.cross(a, b, *axes, **options)


def _broadcast_arrays(trace: "Trace", *parts: Any) -> Any:
    """Read-only, as NumPy plans to make them."""
    return tuple(arrays.wrap(trace, np.broadcast_to(part, part.shape)) for part in np.broadcast_arrays(*_parts(trace, parts)))


def _meshgrid(trace: "Trace", *parts: Any, **options: Any) -> Any:
    return _wrapped(trace, list(np.meshgrid(*_parts(trace, parts), **options)))


def _block(trace: "Trace", parts: Any) -> Any:
    def objects(part: Any) -> Any:
        return list(map(objects, part)) if isinstance(part, list) else arrays.items(trace, part)

    return arrays.wrap(trace, np.block(objects(parts)))


# making


def _array(
    trace: "Trace", value: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: bool = False, ndmin: int = 0
) -> Any:
    wanted = _dtype_of(trace, value) if dtype is None else np.dtype(dtype)
    is_kept = not copy and isinstance(value, arrays.TracedArray) and value.dtype == (float if wanted.kind == "O" else wanted)
    if is_kept and (order not in ("C", "F") or value.flags[f"{order}_CONTIGUOUS"]):
        return value if value.ndim >= ndmin else value.reshape((1,) * (ndmin - value.ndim) + value.shape)
    if wanted not in (float, object):
        return _of_dtype(trace, value, wanted, order, ndmin)
    if not copy and trace.is_traced(value) and not trace.is_whole(value):  # for NumPy it is what it is given, if that is an array
        return arrays.of_number(trace, value, arrays.items(trace, value).reshape((1,) * ndmin))
    items = arrays.fresh(trace, arrays.items(trace, value), order)
    items = items if wanted.kind == "O" else objects.of_dtype(trace, items, wanted)
    return arrays.kept(trace, items.reshape((1,) * (ndmin - items.ndim) + items.shape))


def _dtype_of(trace: "Trace", value: Any) -> np.dtype:
    """The dtype of an array that is made of a value without naming one."""
    if isinstance(value, list | tuple):
        return np.result_type(*(_dtype_of(trace, part) for part in value)) if value else np.dtype(float)
    if trace.is_traced(value):
        return np.dtype(bool if trace.is_condition(value) else int if trace.is_whole(value) else float)
    if not isinstance(value, np.ndarray):
        is_bool = isinstance(trace.item(value), bool)
        return np.dtype(bool if is_bool else int if trace.is_whole(value) else float)
    return np.dtype(bool if value.dtype.kind == "b" else int if value.dtype.kind in "iu" else float)


def _of_dtype(trace: "Trace", value: Any, dtype: np.dtype, order: Any, ndmin: int) -> Any:
    """Conditions, or numbers cut to whole ones."""
    if dtype.kind == "b":
        items = masks.conditions_of(trace, value)
    else:
        if dtype.kind != "i" or dtype.itemsize < 4:  # others wrap around where data may lie
            raise trace.refusal(f"makes an array of dtype {dtype.name} of traced values", "np.array([x, y])")
        items = arrays.items(trace, value)
        if not trace.holds_traced(items):  # they are as those of other plain arrays
            return np.array(items.astype(float), dtype, order=order, ndmin=ndmin)
        items = objects.like(items, (_as_whole(trace, item) for item in items.flat))
    items = arrays.fresh(trace, items, order)
    return arrays.kept(trace, items.reshape((1,) * (ndmin - items.ndim) + items.shape))


def _as_whole(trace: "Trace", value: Any) -> Any:
    if not trace.is_traced(value):
        return np.trunc(np.float64(value))
    return value if trace.is_whole(value) and not trace.is_condition(value) else trace.whole("trunc", value)


def _asarray(trace: "Trace", a: Any, dtype: Any = None, order: Any = "K", *, copy: Any = None) -> Any:
    return _array(trace, a, dtype, order=order, copy=copy)


def _empty(trace: "Trace", shape: Any, dtype: Any = float, order: Any = "C") -> Any:
    """Items that are not written are nan."""
    is_real = np.dtype(dtype or float) in (float, object)
    return _full(trace, shape, np.nan, dtype, order) if is_real else np.zeros(shape, dtype, order)


def _full(trace: "Trace", shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> Any:
    return _filled(trace, np.empty(shape, object, order), fill_value, dtype)


def _filled(trace: "Trace", items: np.ndarray, value: Any, dtype: Any) -> Any:
    items[...] = arrays.fresh(trace, _array(trace, value, dtype).view(np.ndarray))
    return arrays.kept(trace, items)


def _linspace(trace: "Trace", start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    """Numbers between two, which are among them as they are, as in NumPy."""
    steps = max(num - endpoint, 1)
    values = [start + k * ((stop - start) / steps) for k in range(num)]
    if endpoint and num > 1:
        values[-1] = stop
    return _array(trace, values)


def _full_like(trace: "Trace", x: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True) -> Any:
    """Like conditions, or of bools: conditions; like whole numbers: such."""
    dtype = _dtype_like(trace, x) if dtype is None else np.dtype(dtype)
    if dtype.kind == "b":
        fill_value = trace.condition(fill_value) if trace.is_traced(fill_value) else bool(fill_value)
    elif dtype.kind == "i" and not trace.holds_traced(fill_value):
        return np.full_like(arrays.items(trace, x), fill_value, dtype, order)
    return _filled(trace, np.empty_like(arrays.items(trace, x), object, order), fill_value, dtype)


def _dtype_like(trace: "Trace", x: Any) -> np.dtype:
    """Of a traced whole number, which no array need be: float."""
    dtype = _dtype_of(trace, x)
    return np.dtype(float) if trace.is_traced(x) and dtype.kind == "i" else dtype


def _alike(value: float) -> Meaning:
    def act(trace: "Trace", x: Any, dtype: Any = None, order: Any = "K", subok: bool = True) -> Any:
        return _full_like(trace, x, value, dtype, order)

    return means(act, each=())


def _empty_like(trace: "Trace", x: Any, dtype: Any = None, order: Any = "K", subok: bool = True) -> Any:
    """Like a plain array of whole numbers or bools: one of these, which rounds what is written into it."""
    is_kernels = isinstance(x, arrays.TracedArray) or trace.is_traced(x)
    dtype = x.dtype if dtype is None and isinstance(x, np.ndarray) and not is_kernels else dtype
    is_real = is_kernels or np.dtype(dtype or float) in (float, object)
    return _full_like(trace, x, np.nan, dtype, order) if is_real else np.zeros_like(x, dtype, order)


def _target(trace: "Trace", array: Any) -> arrays.TracedArray:
    if isinstance(array, arrays.TracedArray):
        return array
    name = array.spelled() if trace.is_traced(array) else "y"
    raise trace.refusal(f"writes into {name}, which nobody can write to", f"{name} = np.where(mask, value, {name})")


def _fitting(trace: "Trace", name: str, target: np.ndarray, part: np.ndarray) -> np.ndarray:
    """One item, or as many as the array has, in its shape."""
    if part.size not in (1, target.size):
        raise trace.refusal(f"calls `numpy.{name}` with arrays of different shapes", f"np.{name}(a, a > 0, 0.0)")
    return part.reshape(target.shape if part.size == target.size else ())


def _putmask(trace: "Trace", a: Any, mask: Any, values: Any) -> None:
    parts = masks.conditions_of(trace, mask), arrays.items(trace, values)
    masks.assign(trace, _target(trace, a), *(_fitting(trace, "putmask", a, part) for part in parts))


def _place(trace: "Trace", arr: Any, mask: Any, vals: Any) -> None:
    masks.write(trace, _target(trace, arr), _fitting(trace, "place", arr, masks.conditions_of(trace, mask)), vals)


def _copyto(trace: "Trace", dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    target = _target(trace, dst)
    masks.assign(trace, target, *masks.alike(trace, target, masks.conditions_of(trace, where), arrays.items(trace, src)))


# reducing


def reduce_axes(trace: "Trace", x: Any, axis: Any, keepdims: bool, fold: Callable[..., Any]) -> Any:
    """Apply `fold`, from a sequence of items to one, along the given axes; `None` stands for all."""
    array = arrays.items(trace, x)
    if axis is None or (array.ndim == 0 and axis in (0, -1)):  # which NumPy allows
        axes = tuple(range(array.ndim))
    else:
        axes = tuple(sorted(normalize_axis_tuple(axis, array.ndim)))
    first = array.ndim - len(axes)
    # the folded axes last, in their order: so items of a row come in C order
    moved = np.moveaxis(array, axes, range(first, array.ndim))
    kept, folded = moved.shape[:first], moved.shape[first:]
    values = [fold(list(row)) for row in moved.reshape(math.prod(kept), math.prod(folded))]
    result = objects.filled(values, kept)
    if len(kept) > 1 and math.prod(folded):  # in NumPy's memory order
        first_items: tuple[Any, ...] = (..., *(0,) * len(axes))
        result = objects.like(moved[first_items], values)
    return arrays.wrap(trace, np.expand_dims(result, axes) if keepdims else result)


def _reduction(fold: Callable[..., Any]) -> Meaning:
    def act(trace: "Trace", x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        return reduce_axes(trace, x, axis, keepdims, functools.partial(fold, trace))

    return means(act, each=())


def _from(fold: Callable[..., Any]) -> Meaning:
    """The same, where one more number may be given, which comes last."""

    def act(trace: "Trace", x: Any, axis: Any = None, *, keepdims: bool = False, initial: Any = None) -> Any:
        last = [] if initial is None else [initial]
        return reduce_axes(trace, x, axis, keepdims, lambda values: fold(trace, values + last))

    return means(act, each=())


def _spreading(finish: Callable[..., Any]) -> Meaning:
    """The same, where the divisor may be less than the number of items."""

    def act(trace: "Trace", x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
        return reduce_axes(trace, x, axis, keepdims, lambda values: finish(_variance(trace, values, ddof)))

    return means(act, each=())


def _sum(trace: "Trace", values: list[Any]) -> Any:
    return functools.reduce(operator.add, values[1:], +values[0]) if values else np.float64(0.0)  # one condition is counted


def _product(trace: "Trace", values: list[Any]) -> Any:
    return functools.reduce(operator.mul, values[1:], +values[0]) if values else np.float64(1.0)


def _mean(trace: "Trace", values: list[Any]) -> Any:
    return _sum(trace, values) / len(values)


def _variance(trace: "Trace", values: list[Any], ddof: float) -> Any:
    mean = _mean(trace, values)
    return np.divide(_sum(trace, [(value - mean) * (value - mean) for value in values]), max(len(values) - ddof, 0.0))


def _median(trace: "Trace", values: list[Any]) -> Any:
    """Nan if any of them is, for these come last."""
    if not values:
        raise trace.refusal("takes the median of no items", "np.median(x)  # of at least one")
    values, middle = ordered(trace, values), len(values) // 2
    center = values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2.0
    return trace.apply("select", (trace.apply("eq", (values[-1], values[-1])), center, np.nan))


def _spread(trace: "Trace", values: list[Any]) -> Any:
    return _extreme("maximum", trace, values) - _extreme("minimum", trace, values)


def _extreme(op: str, trace: "Trace", values: list[Any]) -> Any:
    if not values:
        raise trace.refusal("takes the least or greatest of no items", "np.max(x)  # of at least one")
    return extreme(trace, op, values) if any(map(trace.is_traced, values)) else functools.reduce(getattr(np, op), values)


def _without_nan(trace: "Trace", values: list[Any], instead: float, other: Any = None) -> list[Any]:
    """Numbers, or another one in place of each, and something instead of nan."""
    return [trace.apply("select", (trace.real(v) != v, instead, v if other is None else other)) for v in values]


def _nan_mean(trace: "Trace", values: list[Any]) -> Any:
    sums = (_sum(trace, _without_nan(trace, values, 0.0, other)) for other in (None, 1.0))
    return trace.apply("div", tuple(sums))


def _nan_extreme(op: str, least: float, trace: "Trace", values: list[Any]) -> Any:
    is_nan = [trace.real(value) != value for value in values]
    result = _extreme(op, trace, _without_nan(trace, values, least))
    return trace.apply("select", (functools.reduce(operator.and_, is_nan), math.nan, result))


def _logical(op: str, function: Callable[..., Any], trace: "Trace", values: list[Any]) -> Any:
    if not any(map(trace.is_traced, values)):
        return bool(function(values))
    return functools.reduce(lambda x, y: trace.logic(op, x, y), map(trace.condition, values))


_MAKERS = ((_RESHAPING, reshaping), (_JOINING, _joining))
MEANINGS = {
    f"numpy.{name}": means(make(getattr(np, name)), each=())
    for names, make in _MAKERS
    for name in names
    if hasattr(np, name)  # some are younger than the oldest NumPy
} | {
    "numpy.broadcast_arrays": means(_broadcast_arrays, each=()),
    "numpy.block": means(_block, each=()),
    **dict.fromkeys(("numpy.cross", "numpy.linalg.cross"), means(reshaping(_cross), each=())),
    "numpy.array": means(_array, each=()),
    "numpy.copy": means(lambda trace, a, order="K", subok=False: _array(trace, a, order=order), each=()),
    **dict.fromkeys(("numpy.asarray", "numpy.asanyarray"), means(_asarray, each=())),
    "numpy.meshgrid": means(_meshgrid, each=()),
    "numpy.linspace": means(_linspace, each=()),
    "numpy.empty": means(_empty, each=(), always=True),
    "numpy.full": means(_full, each=()),
    "numpy.full_like": means(_full_like, each=()),
    "numpy.zeros_like": _alike(0.0),
    "numpy.ones_like": _alike(1.0),
    "numpy.empty_like": means(_empty_like, each=(), always=True),
    "numpy.putmask": means(_putmask, each=()),
    "numpy.put": means(lambda trace, a, ind, v, mode="raise": _target(trace, a).put(ind, v, mode), each=()),
    "numpy.place": means(_place, each=()),
    "numpy.copyto": means(_copyto, each=()),
    "numpy.result_type": means(lambda trace, *values: np.result_type(*(getattr(v, "dtype", v) for v in values)), each=()),
    "numpy.sum": _from(_sum),
    "numpy.prod": _reduction(_product),
    "numpy.mean": _reduction(_mean),
    "numpy.var": _spreading(lambda variance: variance),
    "numpy.std": _spreading(np.sqrt),
    "numpy.median": _reduction(_median),
    "numpy.ptp": _reduction(_spread),
    **dict.fromkeys(("numpy.max", "numpy.amax"), _from(functools.partial(_extreme, "maximum"))),
    **dict.fromkeys(("numpy.min", "numpy.amin"), _from(functools.partial(_extreme, "minimum"))),
    "numpy.nansum": _reduction(lambda trace, values: _sum(trace, _without_nan(trace, values, 0.0))),
    "numpy.nanprod": _reduction(lambda trace, values: _product(trace, _without_nan(trace, values, 1.0))),
    "numpy.nanmean": _reduction(_nan_mean),
    "numpy.nanmax": _reduction(functools.partial(_nan_extreme, "maximum", -math.inf)),
    "numpy.nanmin": _reduction(functools.partial(_nan_extreme, "minimum", math.inf)),
    "numpy.all": _reduction(functools.partial(_logical, "and", all)),
    "numpy.any": _reduction(functools.partial(_logical, "or", any)),
}
