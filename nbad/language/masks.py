"""Items where a condition holds: `y[mask] = f(x)[mask]` is a select, for arrays and for numbers that stand for elements of them.

A traced number never changes. Where a kernel writes to one, its variable gets a new number, and the old one must not be used any
more, under whatever name: for NumPy that would be the array that was written to.
"""

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nbad.language import arrays, merging
from nbad.language.arrays import TracedArray
from nbad.language.meanings import means
from nbad.language.values import Tracer

if TYPE_CHECKING:
    from nbad.language.trace import Trace

_OUTSIDE = (
    "uses items that a traced condition picks for more than to write them back",
    "y[mask] = f(x[mask])  # by one mask; or np.where(mask, f(x), 0.0)",
)
_WHOLE = (slice(None), Ellipsis, ())


class Masked:
    """The items of a number or array where a condition holds: what arithmetic makes of them is picked by the same condition.

    Attributes
    ----------
    values : numpy.ndarray
        All items, of which those count for which the mask holds.
    mask : numpy.ndarray
        A condition for each item, or for each part along the first axes.
    """

    __slots__ = ("_trace", "mask", "values")
    __array_priority__ = 30.0

    def __init__(self, trace: "Trace", values: np.ndarray, mask: np.ndarray) -> None:
        self._trace, self.values, self.mask = trace, values, mask

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            self._refuse()
        return self._trace.call(ufunc, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._trace.call(function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"picked items have no attribute `{name}`")
        if name not in ("astype", "clip", "copy", "round"):
            self._refuse()
        return lambda *args, **options: lifted(
            self._trace, lambda x, *rest, **more: getattr(x, name)(*rest, **more), (self, *args), options
        )

    def _refuse(self: Any, *args: Any) -> NoReturn:
        raise self._trace.refusal(*_OUTSIDE)

    __bool__ = __len__ = __iter__ = __getitem__ = __setitem__ = __float__ = __int__ = __index__ = __hash__ = _refuse


def _operator(act: Callable[..., Any], is_reflected: bool = False) -> Callable[..., Any]:
    def method(self: Masked, other: Any) -> Any:
        return lifted(self._trace, act, (other, self) if is_reflected else (self, other), {})

    return method


def _unary(act: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: lifted(self._trace, act, (self,), {})


for _name in "add sub mul truediv floordiv mod pow and or xor".split():
    _act = getattr(operator, _name, None) or getattr(operator, f"{_name}_")
    setattr(Masked, f"__{_name}__", _operator(_act))
    setattr(Masked, f"__r{_name}__", _operator(_act, is_reflected=True))
for _name in "lt le gt ge eq ne".split():
    setattr(Masked, f"__{_name}__", _operator(getattr(operator, _name)))
for _name in "neg pos abs invert".split():
    setattr(Masked, f"__{_name}__", _unary(getattr(operator, _name)))


class Places:
    """Where a condition holds, as `np.where(condition)` and `np.nonzero` say it: an index, and nothing else."""

    __slots__ = ("_trace", "mask")

    def __init__(self, trace: "Trace", mask: np.ndarray) -> None:
        self._trace, self.mask = trace, mask

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(f"places have no attribute `{name}`")
        self._refuse()

    _refuse = Masked._refuse
    __bool__ = __len__ = __iter__ = __getitem__ = __array__ = __index__ = _refuse


class Aliases:
    """Which numbers and arrays of a trace may be one array for NumPy, and which numbers must not be used any more.

    Attributes
    ----------
    stale : dict
        Numbers, and arrays that own their memory, which were written to under another name; by identity.
    """

    def __init__(self) -> None:
        self.stale: dict[int, Any] = {}
        self._groups: dict[int, list[Any]] = {}
        self._kept: set[int] = set()

    def link(self, first: Any, *others: Any) -> None:
        """Values that may be one array."""
        group = self._groups.setdefault(id(first), [first])
        for other in others:
            more = self._groups.setdefault(id(other), [other])
            if more is not group:
                group, more = (more, group) if len(more) > len(group) else (group, more)
                group += more
                self._groups |= {id(value): group for value in more}

    def keep(self, copy: Any, original: Any) -> None:
        """The copy is what a call has returned on a path of its own, on which nothing is written any more."""
        self.link(copy, original)
        self._kept.add(id(copy))

    def written(self, value: Any) -> None:
        """A number, or an array, was written to: only an array holds what was written."""
        others = [other for other in self._groups.get(id(value), [value]) if id(other) not in self._kept]
        self.stale |= {id(other): other for other in others if other is not value or isinstance(value, Tracer)}

    def is_stale(self, value: Any) -> bool:
        """Whether a number or an array must not be used any more."""
        return bool(self.stale) and id(arrays.owner(value)) in self.stale


def as_mask(trace: "Trace", index: Any, of_number: bool = False) -> np.ndarray | None:
    """The conditions of an index that is a mask; None for all other indices. Of a number, a plain bool is one too."""
    if isinstance(index, tuple) and len(index) == 1:
        (index,) = index
    if isinstance(index, Places):
        return index.mask
    if isinstance(index, Tracer) or (of_number and isinstance(index, bool | np.bool_)):
        return arrays.filled([index], ()) if trace.is_condition(index) else None
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
        what = "writes by traced conditions into an array of whole numbers or bools"
        raise trace.refusal(what, "y = np.zeros(3)  # an array of floats")
    if not isinstance(container, Tracer):
        container[index] = value
        return container
    if mask is None and not _is_whole(index):
        container[index] = value  # which refuses
    condition = True if mask is None else _fitting(trace, mask, ()).item()
    if condition is False or condition is np.False_:
        return container
    (new,) = _written(trace, value, arrays.filled([condition], ()), ()).flat
    return _rewritten(trace, container, condition, new)


def _is_whole(index: Any) -> bool:
    return any(type(index) is type(whole) and index == whole for whole in _WHOLE)


def _rewritten(trace: "Trace", old: Tracer, condition: Any, new: Any) -> Tracer:
    """The number that is `new` where a condition holds, else `old`, which is not to be used any more."""
    for holds, noun in ((trace.is_condition, "conditions"), (trace.is_whole, "whole numbers")):
        if holds(old) and not holds(new):
            raise trace.refusal(f"writes real numbers among {noun}", "y = y * 1.0  # before")
    result = chosen(trace, condition, new, old)
    if isinstance(result, Tracer):
        result = trace.clone(result)
    else:
        result = trace.condition(result) if trace.is_condition(old) else trace.real(result)
    trace.aliases.written(old)
    trace.aliases.link(result, old)
    return result


def chosen(trace: "Trace", condition: Any, a: Any, b: Any) -> Any:
    """`a` where a condition, traced or plain, holds, else `b`."""
    if not isinstance(condition, Tracer):
        return a if condition else b
    if trace.is_condition(a) and trace.is_condition(b):
        return merging.chosen(trace, condition, a, b)
    return trace.apply("select", (condition, a, b))


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
    rows = zip(np.broadcast_to(mask, old.shape).flat, np.broadcast_to(new, old.shape).flat, old.flat, strict=True)
    array[...] = arrays.filled([chosen(trace, *row) for row in rows], old.shape)


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
        return tuple(Masked(trace, arrays.items(trace, part), first.mask) for part in result)
    return Masked(trace, arrays.items(trace, result), first.mask)


def holds_masked(args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether picked items are among the operands of a call."""
    return any(isinstance(value, Masked) for value in args) or any(isinstance(value, Masked) for value in options.values())


def refuse_picked(trace: "Trace") -> NoReturn:
    """Refuse a function of arrays that is given picked items."""
    raise trace.refusal(*_OUTSIDE)


def in_place(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call of `nan_to_num` with `copy=False`, which is one with `out=`; all others as they are."""
    if function is not np.nan_to_num or not args or (args[1] if len(args) > 1 else options.get("copy", True)):
        return args, options
    return args[:1], {**{name: value for name, value in options.items() if name != "copy"}, "out": args[0]}


def into(trace: "Trace", function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A function of single items with `out=`, where it puts them, and `where=`, the condition under which it does so."""
    options = dict(options)
    out, where = options.pop("out", None), options.pop("where", True)
    (target,) = out if isinstance(out, tuple) else (out,)
    result = trace.call(function, args, options)
    if where is True and target is None:
        return result
    conditions = _conditions(trace, where)
    if isinstance(target, Tracer):
        return _rewritten(trace, target, conditions.item(), arrays.bare(result))
    if target is None:  # what is not computed could be anything
        return trace.call(np.where, (arrays.wrap(trace, conditions), result, np.nan), {})
    if not isinstance(target, TracedArray):
        raise trace.refusal("changes an array that was made outside the kernel", "a = a + x")
    assign(trace, target, *_alike(trace, target, conditions, arrays.items(trace, result)))
    return target


def _conditions(trace: "Trace", where: Any) -> np.ndarray:
    values = arrays.items(trace, where)
    return arrays.filled([value if trace.is_condition(value) else trace.condition(value) for value in values.flat], values.shape)


def _alike(trace: "Trace", target: TracedArray, *parts: np.ndarray) -> list[np.ndarray]:
    """Arrays that broadcast to a shape."""
    for part in parts:
        if part.size > 1 and np.broadcast_shapes(part.shape, target.shape) != target.shape:
            raise trace.refusal(f"writes an array of shape {part.shape} into one of shape {target.shape}", "x[:3]")
    return [part.reshape(()) if part.size == 1 else part for part in parts]


def _target(trace: "Trace", array: Any) -> TracedArray:
    if isinstance(array, TracedArray):
        return array
    name = array.spelled() if isinstance(array, Tracer) else "y"
    raise trace.refusal(f"writes into {name}, which nobody can write to", f"{name} = np.where(mask, value, {name})")


def _putmask(trace: "Trace", a: Any, mask: Any, values: Any) -> None:
    target = _target(trace, a)
    parts = _conditions(trace, mask), arrays.items(trace, values)
    for part in parts:
        if part.size > 1 and part.shape != target.shape:
            raise trace.refusal("calls `numpy.putmask` with arrays of different shapes", "np.putmask(a, a > 0, 0.0)")
    assign(trace, target, *_alike(trace, target, *parts))


def _place(trace: "Trace", arr: Any, mask: Any, vals: Any) -> None:
    write(trace, _target(trace, arr), _conditions(trace, mask), vals)


def _copyto(trace: "Trace", dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    target = _target(trace, dst)
    assign(trace, target, *_alike(trace, target, _conditions(trace, where), arrays.items(trace, src)))


def _nonzero(trace: "Trace", a: Any) -> Any:
    (places,) = (_flatnonzero(trace, a),)
    return (places,)


def _flatnonzero(trace: "Trace", a: Any) -> Any:
    mask = _conditions(trace, a)
    if mask.ndim > 1:
        raise trace.refusal("asks where conditions of several axes hold", "y[mask] = 0.0  # by the mask itself")
    return Places(trace, mask) if trace.holds_traced(a) else np.flatnonzero(mask.astype(bool))


MEANINGS = {
    "numpy.putmask": means(_putmask, each=()),
    "numpy.place": means(_place, each=()),
    "numpy.copyto": means(_copyto, each=()),
    "numpy.nonzero": means(_nonzero, each=()),
    "numpy.flatnonzero": means(_flatnonzero, each=()),
}
