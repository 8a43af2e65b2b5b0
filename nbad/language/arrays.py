"""Small arrays of traced values: what vector arguments are inside a kernel.

Such an array is a `numpy.ndarray` of dtype object that holds traced values and plain floats, so that NumPy itself does indexing,
views, iteration and reshaping. Operators, ufuncs and other functions of NumPy go to the trace, which works item by item.
"""

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nbad.errors import TraceError
from nbad.language import refusals
from nbad.language.objects import are_conditions, dtype_of, filled, like, of_dtype

if TYPE_CHECKING:
    from nbad.language.trace import Trace

# methods that compute: each goes where NumPy's function of its name goes, to the trace
_TO_FUNCTIONS = (
    "all any argmax argmin argpartition argsort choose clip compress cumprod cumsum dot max mean min nonzero prod "
    "round searchsorted std sum trace var"
).split()
# these give its bytes
_BYTES = "__bytes__ byteswap dump dumps getfield resize setfield tobytes tofile".split()
# these change the array, and return nothing
_IN_PLACE = "partition sort".split()


class TraceAttributeError(TraceError, AttributeError):
    """A traced value has no such attribute; `hasattr` says so too."""


class TracedArray(np.ndarray):
    """An array of traced values and plain floats; a read-only one is an argument, or a part of it.

    Attributes
    ----------
    _trace : Trace
    _name : str or None
        The argument that it belongs to, for messages.
    """

    __class__ = np.ndarray  # type: ignore[assignment]  # code that asks for it is told what it is in the plain function
    __array_priority__ = 2000.0  # above that of tensors, which compute with none
    _trace: "Trace" = None  # type: ignore[assignment]  # `wrap` sets it
    _name: str | None = None

    def __array_finalize__(self, source: Any) -> None:
        self._trace, self._name = getattr(source, "_trace", self._trace), argument_of(source)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return apply_ufunc(self._trace, ufunc, method, inputs, options)

    def __jax_array__(self) -> NoReturn:
        raise self._trace.refusal_of("tensor")

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return self._trace.call(function, args, kwargs)

    @property
    def dtype(self) -> Any:
        """What the items stand for: real numbers, whole numbers or conditions."""
        return dtype_of(self._trace, self)

    @dtype.setter
    def dtype(self, dtype: Any) -> NoReturn:
        raise self._trace.refusal_of("memory")

    # as of all real arrays the array itself; NumPy 2.5 asks its items, which are objects
    real = property(lambda self: self, lambda self, value: self.__setitem__(..., value))
    conj = conjugate = lambda self: self

    flat = property(lambda self: Flat(self), lambda self, value: Flat(self).__setitem__(..., value))

    @property  # type: ignore[misc]
    def imag(self) -> Any:
        """Zeros, which nobody writes to."""
        zeros = self._trace.call(np.zeros_like, (self,), {})
        zeros.flags.writeable = False
        return zeros

    def __getitem__(self, index: Any) -> Any:
        self._trace.unwritten(self)
        mask = self._trace.mask(index, self.ndim == 0)
        if mask is not None:
            return self._trace.picked(self, mask)
        index = self._index(index)
        found = super().__getitem__(index)
        if index is Ellipsis or (self.flags.writeable and isinstance(index, tuple) and any(part is Ellipsis for part in index)):
            return found  # a view, of one item too
        if self.ndim == 0 and index == ():  # of an array, for which it may stand, this is a view
            self._trace.aliases.link(bare(self), owner(self))
        return bare(found)

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.flags.writeable:
            name = self._name or "x"
            what = f"writes to its argument {name}" if self._name else "writes into a read-only array"
            raise self._trace.refusal(what, f"{name} = {name}.copy()")
        self._trace.before_write(self)
        mask = self._trace.mask(index, self.ndim == 0)
        if mask is not None:
            self._trace.write(self, mask, value)
            return
        new = of_dtype(self._trace, fresh(self._trace, items(self._trace, value)), dtype_of(self._trace, owner(self)))
        index, target = self._index(index), self.view(np.ndarray)
        is_item = not isinstance(target[index], np.ndarray)
        if is_item and new.ndim:
            raise self._trace.refusal(f"writes an array of shape {new.shape} into one item", "x[0] = y[0]")
        target[index] = new[()] if is_item else new
        self._trace.aliases.written(owner(self))

    def _index(self, index: Any) -> Any:
        """An index as NumPy understands it: masks that were computed in the kernel hold plain bools."""
        if self.ndim == 0 and isinstance(index, slice) and index == slice(None):  # it stands for an array
            return Ellipsis
        if self._trace.holds_traced(index) and not self._trace.is_traced(index):
            raise self._trace.refusal("picks items of an array by traced conditions or values", "np.where(condition, x, 0.0)")
        return tuple(map(plain, index)) if isinstance(index, tuple) else plain(index)

    def __pow__(self, exponent: Any) -> Any:  # type: ignore[override]
        if isinstance(exponent, int | np.integer) and not self._trace.is_traced(exponent):
            return each(self._trace, lambda trace, x: trace.power(x, exponent), lambda x: x**exponent, (self,))
        return self._trace.call(np.power, (self, exponent), {})

    def __ipow__(self, exponent: Any) -> "TracedArray":  # type: ignore[override]
        self[...] = self**exponent
        return self

    def __imatmul__(self, other: Any) -> "TracedArray":  # type: ignore[misc]
        self[...] = self @ other
        return self

    def __bool__(self) -> bool:
        if self.size == 1:
            return bool(self.item())
        raise self._trace.refusal("uses an array as True or False", "np.all(x > 0), or np.any(x > 0)")

    def __repr__(self) -> str:
        return f"array({self.tolist()!r})"

    __str__ = __repr__

    def __getattr__(self, name: str) -> Any:
        """What an array has not; a kernel that takes a list may call the methods of one."""
        if self._trace is not None and hasattr(list, name):
            argument = self._name or "x"
            what = f"kernel `{self._trace.name}` calls the list method `{name}` of an array; arguments are arrays:"
            raise TraceAttributeError(what, fix=f"{argument} = list({argument})")
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def astype(  # type: ignore[override]
        self, dtype: Any, order: Any = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> "TracedArray":
        """A copy, cut to whole numbers where these are wanted."""
        return self._trace.call(np.array, (self,), {"dtype": np.dtype(dtype), "order": order, "copy": copy})

    def copy(self, order: Any = "C") -> "TracedArray":
        """A copy, of which no number is known by another name."""
        return kept(self._trace, fresh(self._trace, self.view(np.ndarray), order))

    def flatten(self, order: Any = "C") -> "TracedArray":
        """A copy with one axis."""
        return kept(self._trace, fresh(self._trace, self.view(np.ndarray).ravel(order)))

    def put(self, ind: Any, v: Any, mode: Any = "raise") -> None:
        """Set items by their places in C order."""
        self.flat[np.arange(self.size).take(np.ravel(self._index(ind)), mode=mode)] = v

    def fill(self, value: Any) -> None:
        """Set all items."""
        self[...] = value


def _compared(compare: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: compare(self[:], other)


class Flat:
    """The items of an array in C order, as by `numpy.ndarray.flat`: what is written to them the array makes its own."""

    __slots__ = ("_rest", "base")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: TracedArray) -> None:
        self.base: TracedArray = array if array.ndim else array.reshape(1)  # type: ignore[assignment]
        self._rest = array.view(np.ndarray).flat

    def __iter__(self) -> "Flat":
        return self

    def __next__(self) -> Any:
        return next(self._rest)

    def __len__(self) -> int:
        return self.base.size

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.base.flatten()

    def __getitem__(self, index: Any) -> Any:
        return self.base[self._places(index)]

    def __setitem__(self, index: Any, value: Any) -> None:
        places, new = self._places(index), items(self.base._trace, value)
        if new.size:  # too few are repeated
            self.base[places] = np.resize(new, places[0].shape) if places[0].ndim else new

    def _places(self, index: Any) -> tuple[Any, ...]:
        return np.unravel_index(np.arange(self.base.size)[self.base._index(index)], self.base.shape)

    def copy(self) -> Any:
        """The items in an array of their own."""
        return self.base.flatten()

    __eq__ = _compared(operator.eq)
    __ne__ = _compared(operator.ne)
    __lt__, __le__, __gt__, __ge__ = map(_compared, (operator.lt, operator.le, operator.gt, operator.ge))
    # how far it was iterated over
    index = property(operator.attrgetter("_rest.index"))
    coords = property(operator.attrgetter("_rest.coords"))


def to_function(name: str) -> Callable[..., Any]:
    """A method that computes what NumPy's function of its name does."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._trace.call(getattr(np, name), (self, *args), kwargs)

    return method


def _in_place(name: str) -> Callable[..., Any]:
    """A method that changes the array by comparing items: NumPy's own, for plain items."""

    def method(self: "TracedArray", *args: Any, **kwargs: Any) -> Any:
        if self._trace.holds_traced([self, args]):
            self[...] = self._trace.call(getattr(np, name), (self, *args), kwargs)
            return
        self._trace.before_write(self)
        return getattr(np.ndarray, name)(self, *args, **kwargs)

    return method


def _of_memory(name: str) -> Callable[..., Any]:
    def method(self: "TracedArray", *args: Any, **kwargs: Any) -> NoReturn:
        raise self._trace.refusal_of("memory", got=name)

    return method


for _names, _make in ((_TO_FUNCTIONS, to_function), (_IN_PLACE, _in_place), (_BYTES, _of_memory)):
    for _name in _names:
        _method = _make(_name)
        _method.__name__ = _name
        setattr(TracedArray, _name, _method)


def argument_of(array: Any) -> str | None:
    """The name of the argument that an array is a part of, or None."""
    name = getattr(array, "_name", None)
    return None if name is None or array.flags.writeable else name


def owner(value: Any) -> Any:
    """The array that owns the memory of an array; any other value itself."""
    while isinstance(value, np.ndarray) and value.base is not None:
        value = value.base
    return value


def wrap(trace: "Trace", array: np.ndarray, name: str | None = None) -> Any:
    """An array of objects as the kernel sees it; the item itself where it has no dimension."""
    return array[()] if array.ndim == 0 else kept(trace, array, name)


def kept(trace: "Trace", array: np.ndarray, name: str | None = None) -> TracedArray:
    """The same, but an array in any case: one without dimensions may be written to."""
    result = array.view(TracedArray)
    result._trace, result._name = trace, name
    trace.of_numpy.update(value._node for value in array.flat if trace.is_traced(value))
    return result


def bare(value: Any) -> Any:
    """The item of an array of the kernel that has no dimensions; anything else as it is."""
    is_bare = isinstance(value, TracedArray) and value.ndim == 0
    return value._trace.unwritten(value).view(np.ndarray)[()] if is_bare else value


def fresh(trace: "Trace", array: np.ndarray, order: Any = "K") -> np.ndarray:
    """A copy of an array of objects, in which every traced value is a new name of its number."""
    return like(array, (trace.clone(value) if trace.is_traced(value) else value for value in array.flat), order)


def holds_objects(array: np.ndarray) -> bool:
    """Whether an array may hold traced values."""
    return isinstance(array, TracedArray) or array.dtype == object


def with_axes(trace: "Trace", value: Any, axes: int) -> Any:
    """A traced number with so many axes of length 1, for NumPy a view of it."""
    return of_number(trace, value, items(trace, value).reshape((1,) * axes)) if axes else value


def _is_whole(trace: "Trace", value: Any) -> bool:
    """Whether NumPy computes with whole numbers here."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biu"
    return trace.is_whole(value)


def of_number(trace: "Trace", value: Any, array: np.ndarray) -> Any:
    """An array that holds one traced number, which to write to is to write to the number."""
    result = kept(trace, array)
    trace.aliases.link(value, owner(result))
    return result


def read_only(trace: "Trace", array: np.ndarray, name: str | None) -> Any:
    """An argument as the kernel sees it."""
    array.flags.writeable = False
    return wrap(trace, array, name)


def items(trace: "Trace", value: Any) -> np.ndarray:
    """Anything array_like as an array of objects: traced values, floats and bools. Arrays of the kernel are not copied."""
    if isinstance(value, TracedArray):
        return trace.unwritten(value).view(np.ndarray)
    if isinstance(value, np.ndarray) and value.ndim:
        return like(value, map(trace.item, value.flat))
    if not isinstance(value, list | tuple):
        return filled([trace.item(value[()] if isinstance(value, np.ndarray) else value)], ())
    parts = [items(trace, part) for part in value]
    if len({part.shape for part in parts}) > 1:
        raise trace.refusal("makes an array of parts of different shapes", "np.array([[a, b], [c, d]])  # rows of one length")
    return np.stack(parts) if parts else np.empty(0, object)


def each(trace: "Trace", act: Callable[..., Any], plain: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """Apply a function of scalars item by item, as NumPy broadcasts: `act(trace, *items)`, or `plain` where all are plain."""
    arrays = [items(trace, value) for value in operands]
    if all(_is_whole(trace, value) for value in operands):
        ints = [[v if trace.is_traced(v) or isinstance(v, bool) else int(v) for v in array.flat] for array in arrays]
        arrays = [filled(values, array.shape) for values, array in zip(ints, arrays, strict=True)]
    rows = zip(*(array.ravel() for array in broadcast(trace, arrays)), strict=True)
    # plain items are computed here and now, with inf and nan in silence as in compiled code
    with np.errstate(all="ignore"):
        values = [trace.item(act(trace, *row) if any(map(trace.is_traced, row)) else plain(*row)) for row in rows]
    (result,) = np.nditer([*arrays, None], ["refs_ok", "zerosize_ok"], op_dtypes=[object] * (len(arrays) + 1)).operands[-1:]
    result[...] = filled(values, result.shape)  # in the memory order that NumPy gives it, on which `ravel` depends
    return wrap(trace, result) if result.ndim else trace.constant(result[()])


def broadcast(trace: "Trace", arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Arrays of objects, repeated to their common shape."""
    try:
        return np.broadcast_arrays(*arrays)
    except ValueError:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise trace.refusal(f"combines arrays of shapes {shapes}, which do not broadcast", "x[:, None] * y") from None


def apply_ufunc(trace: "Trace", ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a ufunc of NumPy does to traced values and arrays; `out=` comes from operators like `+=`."""
    if method != "__call__":
        fix = refusals.METHODS.get(method, "np.{ufunc}(x, y)  # on one pair at a time").format(ufunc=ufunc.__name__)
        raise trace.refusal(f"calls `{ufunc.__name__}.{method}` on a traced value", fix)
    ufunc = _of_conditions(trace, ufunc, inputs)
    return trace.call(ufunc, inputs, options)


def _of_conditions(trace: "Trace", ufunc: np.ufunc, inputs: tuple[Any, ...]) -> np.ufunc:
    """What NumPy does to bools where it is not what it does to numbers."""
    if ufunc not in (np.add, np.subtract, np.negative) or not all(are_conditions(trace, value) for value in inputs):
        return ufunc
    if ufunc is not np.add:
        raise trace.refusal("subtracts conditions, which NumPy refuses", "a ^ b, or ~a")
    return np.logical_or


def plain(value: Any) -> Any:
    """Plain values without the dress that they wear inside a kernel; its arrays become read-only arrays of floats."""
    if isinstance(value, TracedArray):
        # a copy, and read-only: a function that fills its argument must fail, for nobody would see what it wrote
        array = value.view(np.ndarray).astype(bool if all(isinstance(v, bool) for v in value.flat) else float)
        array.flags.writeable = False
        return array
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    return value
