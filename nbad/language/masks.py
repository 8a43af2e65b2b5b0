"""Items where a condition holds: `y[mask] = f(x)[mask]` is a select, for arrays and for numbers that stand for elements of them.

A traced number never changes. Where a kernel writes to one, its variable gets a new number, and the old one must not be used any
more, under whatever name: for NumPy that would be the array that was written to.
"""

import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nbad.language import arrays, merging, objects
from nbad.language.arrays import TracedArray
from nbad.language.meanings import LibraryFunction, holds, means
from nbad.language.values import Tracer

if TYPE_CHECKING:
    from nbad.language.trace import Trace

_OUTSIDE = (
    "uses items that a traced condition picks for more than to write them back",
    "y[mask] = f(x[mask])  # by one mask; or np.where(mask, f(x), 0.0)",
)
# functions of arrays that make as many items
_AS_MANY = [f"numpy.{name}" for name in "array asarray copy full_like zeros_like ones_like empty_like".split()]
_WHOLE = (slice(None), Ellipsis, ())


class _Picked:
    """What stands for items that a traced condition picks: it can do little."""

    __slots__ = ("_trace", "mask")

    def __init__(self, trace: "Trace", mask: np.ndarray) -> None:
        self._trace, self.mask = trace, mask

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(f"picked items have no attribute `{name}`")
        self._refuse()

    def _refuse(self: Any, *args: Any) -> NoReturn:
        raise self._trace.refusal(*_OUTSIDE)

    __bool__ = __len__ = __iter__ = __index__ = _refuse


class Masked(_Picked):
    """The items of a number or array where a condition holds: what arithmetic makes of them is picked by the same condition.

    Items of them are picked, and written to, by conditions that come of them.

    Attributes
    ----------
    values : numpy.ndarray
        All items, of which those count for which the mask holds; the memory is theirs alone.
    mask : numpy.ndarray
        A condition for each item, or for each part along the first axes.
    """

    __slots__ = ("values",)
    __array_priority__ = 3000.0  # above that of traced arrays

    def __init__(self, trace: "Trace", values: np.ndarray, mask: np.ndarray) -> None:
        super().__init__(trace, mask)
        self.values = values

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            self._refuse()
        return self._trace.call(ufunc, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._trace.call(function, args, kwargs)

    def __getitem__(self, index: Any) -> "Masked":
        mask = self._part(index)
        return Masked(self._trace, arrays.fresh(self._trace, self.values), mask)

    def __setitem__(self, index: Any, value: Any) -> None:
        mask = self._part(index)
        self._put(mask, _written(self._trace, value, mask, self.values.shape))

    def _part(self, index: Any) -> np.ndarray:
        """The conditions of those of the items for which a condition of theirs holds."""
        if not (isinstance(index, Masked) and all(map(self._trace.is_condition, index.values.flat))):
            self._refuse()
        _check_same(self._trace, index.mask, self.mask)
        parts = map(functools.partial(merging.both, self._trace), *_flat(self._along(), index.values))
        return objects.filled(parts, self.values.shape)

    def _along(self) -> np.ndarray:
        """The mask with an axis for each of the values."""
        return self.mask.reshape(self.mask.shape + (1,) * (self.values.ndim - self.mask.ndim))

    def _put(self, mask: Any, new: Any) -> "Masked":
        self._trace.before_write(self.values)
        rows = map(functools.partial(merging.chosen, self._trace), *_flat(mask, new, self.values))
        self.values[...] = objects.filled(rows, self.values.shape)
        return self

    @property
    def shape(self) -> "_Shape":
        """Nobody knows how many they are."""
        return _Shape(self)

    __float__ = __int__ = __hash__ = _Picked._refuse


class _Shape:
    """The shape of picked items, which depends on their conditions; but it is a tuple, and no number."""

    __slots__ = ("_picked",)
    __class__ = tuple  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, picked: Masked) -> None:
        self._picked = picked

    def __eq__(self, other: object) -> bool:
        return not isinstance(other, int | float) and self._refuse()

    def _refuse(self, *args: Any) -> NoReturn:
        self._picked._refuse()

    __bool__ = __len__ = __iter__ = __getitem__ = __add__ = __radd__ = __lt__ = __gt__ = __le__ = __ge__ = __array__ = _refuse


def _lifting(act: Callable[..., Any], is_reflected: bool = False) -> Callable[..., Any]:
    def method(self: Masked, *others: Any, **options: Any) -> Any:
        return lifted(self._trace, act, (*others, self) if is_reflected else (self, *others), options)

    return method


def _in_place(act: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: self._put(True, lifted(self._trace, act, (self, other), {}).values)


def _method(name: str) -> Callable[..., Any]:
    return _lifting(lambda x, *args, **options: getattr(x, name)(*args, **options))


for _name in "add sub mul truediv floordiv mod pow and or xor".split():
    _act = getattr(operator, _name, None) or getattr(operator, f"{_name}_")
    setattr(Masked, f"__{_name}__", _lifting(_act))
    setattr(Masked, f"__r{_name}__", _lifting(_act, is_reflected=True))
    setattr(Masked, f"__i{_name}__", _in_place(_act))
for _name in "lt le gt ge eq ne neg pos abs".split():
    setattr(Masked, f"__{_name}__", _lifting(getattr(operator, _name)))
for _name in "astype clip copy round".split():
    setattr(Masked, _name, _method(_name))
setattr(Masked, "__invert__", _lifting(np.invert))  # noqa: B010, as above; conditions may be plain


class Places(_Picked):
    """Where a condition holds, as `np.where(condition)` and `np.nonzero` say it: an index, and nothing else."""

    __slots__ = ()
    __getitem__ = __array__ = _Picked._refuse


def as_mask(trace: "Trace", index: Any, of_number: bool = False) -> np.ndarray | None:
    """The conditions of an index that is a mask; None for all other indices. Of a number, a plain bool is one too."""
    if isinstance(index, tuple) and len(index) == 1:
        (index,) = index
    if isinstance(index, Places):
        return index.mask
    if isinstance(index, Tracer) or (of_number and isinstance(index, bool | np.bool_)):
        return objects.filled([index], ()) if trace.is_condition(index) else None
    if isinstance(index, TracedArray | list) and trace.holds_traced(index):
        conditions = arrays.items(trace, index)
        return conditions if all(map(trace.is_condition, conditions.flat)) else None
    return None


def picked(trace: "Trace", container: Any, mask: np.ndarray) -> Masked:
    """`container[mask]`."""
    values = arrays.fresh(trace, arrays.items(trace, container))
    return Masked(trace, values, _fitting(trace, mask, values.shape))


def _fitting(trace: "Trace", mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The mask in the shape of the first axes of what it picks from."""
    if mask.size == 1 and shape in ((), (1,)):
        return mask.reshape(shape)
    if mask.ndim == 0 or mask.shape != shape[: mask.ndim]:
        what = f"picks items of an array of shape {shape} by conditions of shape {mask.shape}"
        raise trace.refusal(what, "y[y > 0] = 0.0  # a mask of the same shape")
    return mask


def put(trace: "Trace", value: Any, container: Any, index: Any) -> Any:
    """`container[index] = value`, and what the variable of the container is to hold then."""
    index = arrays.bare(index)
    mask = as_mask(trace, index, of_number=True)
    if isinstance(container, np.generic) and (mask is not None or _is_whole(index)):
        raise trace.refusal("writes into a number, which is none of the kernel's arguments", "y = np.array(y)  # before")
    if type(container) is np.ndarray and as_mask(trace, index) is not None:
        where = "that was made outside the kernel" if container.dtype == float else "of whole numbers or bools"
        raise trace.refusal(f"writes by traced conditions into an array {where}", "y = np.array(y, float)  # before")
    if not isinstance(container, Tracer):
        container[index] = value
        return container
    if mask is None and not _is_whole(index):
        container[index] = value  # which refuses
    condition = True if mask is None else _fitting(trace, mask, ()).item()
    if condition is False or condition is np.False_:
        return container
    (new,) = _written(trace, value, objects.filled([condition], ()), ()).flat
    return _rewritten(trace, container, condition, new)


def _is_whole(index: Any) -> bool:
    return any(type(index) is type(whole) and index == whole for whole in _WHOLE)


def _rewritten(trace: "Trace", old: Tracer, condition: Any, new: Any) -> Tracer:
    """The number that is `new` where a condition holds, else `old`, which is not to be used any more."""
    for is_alike, noun in ((trace.is_condition, "conditions"), (trace.is_whole, "whole numbers")):
        if is_alike(old) and not is_alike(new):
            raise trace.refusal(f"writes real numbers among {noun}", "y = y * 1.0  # before")
    result = merging.chosen(trace, condition, new, old)
    if isinstance(result, Tracer):
        result = trace.clone(result)
    else:
        result = trace.condition(result) if trace.is_condition(old) else trace.real(result)
    trace.aliases.written(old)
    trace.aliases.link(result, old)
    return result


def write(trace: "Trace", array: TracedArray, mask: np.ndarray, value: Any) -> None:
    """`array[mask] = value`."""
    mask = _fitting(trace, mask, array.shape)
    new = _written(trace, value, mask, array.shape)
    assign(trace, array, mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim)), new)


def _written(trace: "Trace", value: Any, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What is written to the items that a mask picks, for all items of the array."""
    if isinstance(value, Masked):
        _check_same(trace, value.mask, mask)
        return np.broadcast_to(value.values.reshape(shape) if value.values.size == 1 else value.values, shape)
    new = arrays.items(trace, value)
    if new.size != 1 and new.ndim > len(shape) - mask.ndim:
        raise trace.refusal("writes a whole array to the items that traced conditions pick", "y[mask] = x[mask]")
    return np.broadcast_to(new.reshape(()) if new.size == 1 else new, shape)


def assign(trace: "Trace", array: TracedArray, mask: Any, new: Any) -> None:
    """Write items to an array where conditions hold; both broadcast to its shape."""
    old = array.view(np.ndarray)
    if objects.dtype_of(trace, arrays.owner(array)).kind == "i":
        new = objects.filled((v if trace.is_traced(v) else int(v) for v in np.asarray(new).flat), np.shape(new))
    rows = zip(np.broadcast_to(mask, old.shape).flat, np.broadcast_to(new, old.shape).flat, old.flat, strict=True)
    array[...] = objects.filled([merging.chosen(trace, *row) for row in rows], old.shape)


def _check_same(trace: "Trace", a: np.ndarray, b: np.ndarray) -> None:
    def names(mask: np.ndarray) -> list[Any]:
        return [condition._node if isinstance(condition, Tracer) else bool(condition) for condition in mask.flat]

    if list(map(repr, names(a))) != list(map(repr, names(b))):
        raise trace.refusal("combines items that different conditions pick", "y[mask] = x[mask]  # by one mask")


def lifted(trace: "Trace", function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a function of single items makes of those that a mask picks."""
    first, *others = [value for value in (*args, *options.values()) if isinstance(value, Masked)]
    for other in others:
        _check_same(trace, other.mask, first.mask)
    for value in args:
        if isinstance(value, list | tuple | np.ndarray) and arrays.items(trace, value).size != 1:
            raise trace.refusal("combines items that traced conditions pick with a whole array", "x[mask] * y[mask]")
    given = [arrays.wrap(trace, v.values) if isinstance(v, Masked) else v for v in args]
    named = {name: arrays.wrap(trace, v.values) if isinstance(v, Masked) else v for name, v in options.items()}
    result = function(*given, **named)
    if isinstance(result, tuple):
        return tuple(Masked(trace, arrays.fresh(trace, arrays.items(trace, part)), first.mask) for part in result)
    return Masked(trace, arrays.fresh(trace, arrays.items(trace, result)), first.mask)


def _flat(*parts: Any) -> list[Any]:
    """The items of arrays in one shape, in C order."""
    return [part.flat for part in np.broadcast_arrays(*parts)]


def called(trace: "Trace", known: LibraryFunction | None, act: Callable[..., Any], args: tuple[Any, ...], options: Any) -> Any:
    """What a function makes of picked items: something of each, others of as many, or whether any or all of them hold."""
    if known and known.is_of_arrays:
        return lifted(trace, act, args, options)
    first, path = args[0] if args else None, known.path if known else ""
    if not isinstance(first, Masked) or holds_masked(args[1:], options):
        raise trace.refusal(*_OUTSIDE)
    if path in ("numpy.any", "numpy.all") and len(args) == 1 and not options:
        pairs = zip(*_flat(first._along(), conditions_of(trace, arrays.wrap(trace, first.values))), strict=True)
        if path == "numpy.any":
            held = [merging.both(trace, is_picked, holds) for is_picked, holds in pairs]
        else:
            held = [merging.either(trace, merging.opposite(trace, is_picked), holds) for is_picked, holds in pairs]
        return act(arrays.wrap(trace, objects.filled(held, first.values.shape)))
    dtype = args[1] if len(args) > 1 else options.get("dtype")
    is_real = not any(trace.is_condition(value) or trace.is_whole(value) for value in first.values.flat)
    if path == "numpy.asarray" and (dtype is None or (is_real and np.dtype(dtype) == float)):
        return first
    if path not in _AS_MANY:
        raise trace.refusal(*_OUTSIDE)
    return lifted(trace, act, args, options)


def holds_masked(args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether picked items are among the operands of a call."""
    return any(isinstance(value, Masked) for value in args) or any(isinstance(value, Masked) for value in options.values())


def in_place(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call of `nan_to_num` with `copy=False`, which is one with `out=`; all others as they are."""
    if function is not np.nan_to_num or not holds((args, options), TracedArray | Tracer | Masked):
        return args, options
    options = dict(zip(("copy", "nan", "posinf", "neginf"), args[1:], strict=False), **options)
    return args[:1], options if options.pop("copy", True) else {**options, "out": args[0]}


def into(trace: "Trace", function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A function of single items with `out=`, where it puts them, and `where=`, the condition under which it does so."""
    options = dict(options)
    out, where = options.pop("out", None), options.pop("where", True)
    (target,) = out if isinstance(out, tuple) else (out,)
    result = trace.call(function, args, options)
    if where is True and target is None:
        return result
    if where is True and isinstance(target, TracedArray):
        (target[...],) = alike(trace, target, arrays.items(trace, result))
        return target
    conditions = conditions_of(trace, where)
    if isinstance(target, Tracer):
        return _rewritten(trace, target, conditions.item(), arrays.bare(result))
    if target is None:  # what is not computed could be anything
        return trace.call(np.where, (arrays.wrap(trace, conditions), result, np.nan), {})
    if not isinstance(target, TracedArray):
        raise trace.refusal("changes an array that was made outside the kernel", "a = a + x")
    assign(trace, target, *alike(trace, target, conditions, arrays.items(trace, result)))
    return target


def conditions_of(trace: "Trace", where: Any) -> np.ndarray:
    values = arrays.items(trace, where)
    return objects.like(values, (v if trace.is_condition(v) else merging.as_condition(trace, v) for v in values.flat))


def alike(trace: "Trace", target: TracedArray, *parts: np.ndarray) -> list[np.ndarray]:
    """Arrays that broadcast to a shape."""
    for part in parts:
        sizes = zip(part.shape[::-1], target.shape[::-1], strict=False)
        if part.size != 1 and (part.ndim > target.ndim or any(size not in (1, wanted) for size, wanted in sizes)):
            raise trace.refusal(f"writes an array of shape {part.shape} into one of shape {target.shape}", "x[:3]")
    return [part.reshape(()) if part.size == 1 else part for part in parts]


def _nonzero(trace: "Trace", a: Any) -> Any:
    return (_flatnonzero(trace, a),)


def _flatnonzero(trace: "Trace", a: Any) -> Any:
    mask = conditions_of(trace, a)
    if mask.ndim > 1:
        raise trace.refusal("asks where conditions of several axes hold", "y[mask] = 0.0  # by the mask itself")
    return Places(trace, mask) if trace.holds_traced(a) else np.flatnonzero(mask.astype(bool))


MEANINGS = {"numpy.nonzero": means(_nonzero, each=()), "numpy.flatnonzero": means(_flatnonzero, each=())}
