"""What NumPy's functions on whole arrays mean on traced ones: making, reshaping, reducing.

Reductions run from left to right in C order, starting with the first item, as a plain Python loop would; no sum is pairwise.
"""

import functools
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from nbad.language import arrays
from nbad.language.lookup import extreme
from nbad.language.meanings import Meaning, means

if TYPE_CHECKING:
    from nbad.language.trace import Trace

# what only moves items, or combines them by their own operators, NumPy's own function does on arrays of objects
_RESHAPING = (
    "append array_split atleast_1d atleast_2d atleast_3d broadcast_to column_stack delete diag diagflat diagonal "
    "dsplit expand_dims flip fliplr flipud hsplit insert kron matrix_transpose moveaxis ndim outer permute_dims ravel repeat "
    "reshape resize roll rollaxis rot90 shape size split squeeze swapaxes take tile transpose tril triu unstack vander vsplit"
).split()
_JOINING = "concat concatenate dstack hstack stack vstack".split()


def _wrapped(trace: "Trace", result: Any, name: str | None = None) -> Any:
    """Arrays of objects as the kernel sees them, in lists and tuples too; shapes and sizes as they are."""
    if isinstance(result, list | tuple):
        return type(result)(_wrapped(trace, part, name) for part in result)
    return arrays.wrap(trace, result, name) if isinstance(result, np.ndarray) else result


def _parts(trace: "Trace", value: Any) -> Any:
    """A sequence of arrays, each of its own shape, as arrays of objects."""
    is_sequence = isinstance(value, list | tuple)
    return [arrays.items(trace, part) for part in value] if is_sequence else arrays.items(trace, value)


def _reshaping(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's own function on an array of objects, of which it moves or combines the items."""

    def act(trace: "Trace", x: Any, *places: Any, **options: Any) -> Any:
        options = {name: _objects(trace, value) for name, value in options.items()}
        result = function(arrays.items(trace, x), *(_objects(trace, place) for place in places), **options)
        return _wrapped(trace, result, arrays.argument_of(x))

    return act


def _objects(trace: "Trace", value: Any) -> Any:
    """Operands as arrays of objects, places and axes as they are."""
    is_operand = isinstance(value, arrays.TracedArray) or trace.holds_traced(value)
    return arrays.items(trace, value) if is_operand else value


def _joining(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a function of several arrays, each of its own shape."""
    return lambda trace, parts, *places, **options: _wrapped(trace, function(_parts(trace, parts), *places, **options))


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
    trace: "Trace", value: Any, dtype: Any = float, *, copy: Any = True, order: str = "K", subok: bool = False, ndmin: int = 0
) -> Any:
    _check_dtype(trace, dtype)
    if not copy and isinstance(value, arrays.TracedArray) and value.ndim >= ndmin:
        return value
    items = arrays.items(trace, value).copy(order="K")
    return arrays.wrap(trace, items.reshape((1,) * (ndmin - items.ndim) + items.shape))


def _asarray(trace: "Trace", value: Any, dtype: Any = float, order: str = "K", *, copy: Any = None) -> Any:
    return _array(trace, value, dtype, copy=copy)


def _copy(trace: "Trace", value: Any, order: str = "K", subok: bool = False) -> Any:
    return _array(trace, value)


def _check_dtype(trace: "Trace", dtype: Any) -> None:
    if dtype not in (None, float, np.float64, object):
        raise trace.refusal(f"makes an array of dtype {np.dtype(dtype).name} of traced values", "np.array([x, y])")


def _empty(trace: "Trace", shape: Any, dtype: Any = float) -> Any:
    """Items that are not written are nan."""
    return _full(trace, shape, np.nan, dtype) if dtype in (None, float, np.float64, object) else np.zeros(shape, dtype)


def _full(trace: "Trace", shape: Any, fill_value: Any, dtype: Any = float, order: str = "C") -> Any:
    _check_dtype(trace, dtype)
    array = np.empty(shape, object)
    array[...] = arrays.items(trace, fill_value)
    return arrays.wrap(trace, array)


def _linspace(trace: "Trace", start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    """Numbers between two, which are among them as they are, as in NumPy."""
    steps = max(num - endpoint, 1)
    values = [start + k * ((stop - start) / steps) for k in range(num)]
    if endpoint and num > 1:
        values[-1] = stop
    return _array(trace, values)


def _full_like(trace: "Trace", x: Any, fill_value: Any, dtype: Any = float) -> Any:
    _check_dtype(trace, dtype)
    return fill_value


def _zeros_like(trace: "Trace", x: Any, dtype: Any = float) -> Any:
    return _full_like(trace, x, 0.0, dtype)


def _ones_like(trace: "Trace", x: Any, dtype: Any = float) -> Any:
    return _full_like(trace, x, 1.0, dtype)


def _empty_like(trace: "Trace", x: Any, dtype: Any = None) -> Any:
    """Like a plain array of whole numbers or bools: one of these, which rounds what is written into it."""
    if isinstance(x, np.ndarray) and dtype is None:
        dtype = x.dtype
    return _empty(trace, arrays.items(trace, x).shape, dtype)


def _diff(trace: "Trace", a: Any, n: int = 1, axis: int = -1) -> Any:
    """Of conditions it is whether they differ."""
    array = np.moveaxis(arrays.items(trace, a), axis, -1)
    step = trace.exclusive if array.size and all(map(trace.is_condition, array.flat)) else lambda x, y: x - y
    for _ in range(n):
        array = np.frompyfunc(step, 2, 1)(array[..., 1:], array[..., :-1])
    return arrays.wrap(trace, np.moveaxis(array, -1, axis))


def _fill_diagonal(trace: "Trace", a: Any, value: Any) -> None:
    for k in range(min(a.shape)):
        a[(k,) * a.ndim] = value


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
    shape = tuple(1 if k in axes else size for k, size in enumerate(array.shape)) if keepdims else kept
    return arrays.wrap(trace, arrays.filled(values, shape))


def _reduction(fold: Callable[..., Any]) -> Meaning:
    def act(trace: "Trace", x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        return reduce_axes(trace, x, axis, keepdims, functools.partial(fold, trace))

    return means(act, each=())


def _sum(trace: "Trace", values: list[Any]) -> Any:
    return functools.reduce(operator.add, values) if values else np.float64(0.0)


def _product(trace: "Trace", values: list[Any]) -> Any:
    return functools.reduce(operator.mul, values) if values else np.float64(1.0)


def _mean(trace: "Trace", values: list[Any]) -> Any:
    return _sum(trace, values) / len(values)


def _variance(trace: "Trace", values: list[Any]) -> Any:
    mean = _mean(trace, values)
    return _mean(trace, [(value - mean) * (value - mean) for value in values])


def _deviation(trace: "Trace", values: list[Any]) -> Any:
    return np.sqrt(_variance(trace, values))


def _spread(trace: "Trace", values: list[Any]) -> Any:
    return _extreme("maximum", trace, values) - _extreme("minimum", trace, values)


def _extreme(op: str, trace: "Trace", values: list[Any]) -> Any:
    if not values:
        raise trace.refusal("takes the least or greatest of no items", "np.max(x)  # of at least one")
    return extreme(trace, op, values) if any(map(trace.is_traced, values)) else functools.reduce(getattr(np, op), values)


def _logical(op: str, function: Callable[..., Any], trace: "Trace", values: list[Any]) -> Any:
    if not any(map(trace.is_traced, values)):
        return bool(function(values))
    return functools.reduce(lambda x, y: trace.logic(op, x, y), map(trace.condition, values))


def _running(function: Callable[..., Any]) -> Meaning:
    def act(trace: "Trace", x: Any, axis: Any = None) -> Any:
        array = arrays.items(trace, x)
        array = array.ravel() if axis is None else np.moveaxis(array, axis, 0)
        rows = [array[0]] if len(array) else []
        for row in array[1:]:
            rows.append(function(rows[-1], row))
        result = arrays.filled(rows, array.shape) if array.ndim == 1 else np.stack(rows)
        return arrays.wrap(trace, result if axis is None else np.moveaxis(result, 0, axis))

    return means(act, each=())


_MAKERS = ((_RESHAPING, _reshaping), (_JOINING, _joining))
MEANINGS = {
    f"numpy.{name}": means(make(getattr(np, name)), each=())
    for names, make in _MAKERS
    for name in names
    if hasattr(np, name)  # some are younger than the oldest NumPy
} | {
    "numpy.broadcast_arrays": means(_broadcast_arrays, each=()),
    "numpy.block": means(_block, each=()),
    "numpy.cross": means(_reshaping(_cross), each=()),
    "numpy.array": means(_array, each=()),
    "numpy.copy": means(_copy, each=()),
    "numpy.asarray": means(_asarray, each=()),
    "numpy.asanyarray": means(_asarray, each=()),
    "numpy.meshgrid": means(_meshgrid, each=()),
    "numpy.linspace": means(_linspace, each=()),
    "numpy.empty": means(_empty, each=(), always=True),
    "numpy.full": means(_full, each=()),
    "numpy.full_like": means(_full_like, each=(0,)),
    "numpy.zeros_like": means(_zeros_like, each=(0,)),
    "numpy.ones_like": means(_ones_like, each=(0,)),
    "numpy.empty_like": means(_empty_like, each=(), always=True),
    "numpy.diff": means(_diff, each=()),
    "numpy.fill_diagonal": means(_fill_diagonal, each=(), always=True),
    "numpy.sum": _reduction(_sum),
    "numpy.prod": _reduction(_product),
    "numpy.mean": _reduction(_mean),
    "numpy.var": _reduction(_variance),
    "numpy.std": _reduction(_deviation),
    "numpy.ptp": _reduction(_spread),
    "numpy.max": _reduction(functools.partial(_extreme, "maximum")),
    "numpy.amax": _reduction(functools.partial(_extreme, "maximum")),
    "numpy.min": _reduction(functools.partial(_extreme, "minimum")),
    "numpy.amin": _reduction(functools.partial(_extreme, "minimum")),
    "numpy.all": _reduction(functools.partial(_logical, "and", all)),
    "numpy.any": _reduction(functools.partial(_logical, "or", any)),
    "numpy.cumsum": _running(operator.add),
    "numpy.cumprod": _running(operator.mul),
}
