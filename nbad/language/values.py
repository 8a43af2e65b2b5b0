"""The values that a kernel computes with while it is traced: real scalars and conditions, and the trace they grow."""

import numbers
import operator
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nbad import foreign, lines
from nbad.language import arrays, refusals
from nbad.language.arrays import TraceAttributeError
from nbad.operations.row import BOOL, REAL

if TYPE_CHECKING:
    from nbad.language.trace import Trace


def plain_number(value: Any) -> bool | float | None:
    """A real Python or NumPy number as bool or float; None for anything else."""
    if isinstance(value, Tracer):
        return None
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.view(np.ndarray)[()]
        if isinstance(value, Tracer):
            return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return float(value) if isinstance(value, numbers.Real) else None


def first_traced(values: Iterable[Any]) -> "Tracer | None":
    """The first traced value among `values` and the lists, tuples, dicts and object arrays in them, or None."""
    return next((found for found in map(_traced_in, values) if found is not None), None)


def _traced_in(value: Any) -> "Tracer | None":
    if isinstance(value, Tracer):
        return value
    if type(value) is Perhaps:
        return first_traced((value.none, value.number))
    if isinstance(value, (list, tuple)):
        return first_traced(value)
    if isinstance(value, dict):
        return first_traced(value.values())
    if isinstance(value, np.ndarray) and arrays.holds_objects(value):
        return first_traced(value.flat)
    return None


_NUMERIC = (float, int, np.generic, numbers.Number)
_BUILTIN = (*_NUMERIC, str, bytes, list, tuple, dict, type(None))


def _operator(op: str, reflected: bool = False, operable: tuple[type, ...] = _BUILTIN) -> Callable[..., Any]:
    """A binary operator method. Types that nbad does not know may answer for themselves."""

    def method(self: "Tracer", other: Any) -> Any:
        if isinstance(other, Tracer) or isinstance(other, operable) or foreign.tensors_of(other):  # noqa: SIM101, hot path
            return self._trace.apply(op, (other, self) if reflected else (self, other))
        return NotImplemented

    return method


def _risky(op: str, sign: str, reflected: bool = False) -> Callable[..., Any]:
    """The same of an operator that may raise errors in Python, where somebody may catch these."""
    apply = _operator(op, reflected)

    def method(self: "Tracer", other: Any) -> Any:
        result = apply(self, other)
        if self._trace.guards and result is not NotImplemented:
            self._trace.note_faults(sign, (other, self) if reflected else (self, other), result)
        return result

    return method


def _refused(name: str) -> Callable[..., Any]:
    def method(self: "Tracer", *args: Any, **kwargs: Any) -> NoReturn:
        line, frame = lines.running_line(), lines.user_frame()
        what, fix = refusals.protocol(name, line.text if line else "")
        got = lines.obstacle(frame) if frame and "__nbad__" not in frame.f_globals else None
        raise self._trace.refusal(what.format(value=self.described()), fix.replace("{name}", self.spelled()), got=got)

    return method


def _whole(op: str) -> Callable[["Tracer"], Any]:
    return lambda self: self._trace.whole(op, self)


class Tracer:
    """A value that is known only when the compiled kernel runs."""

    __slots__ = ("_node", "_trace")
    _node: int
    _trace: "Trace"
    kind = REAL

    def __init__(self, trace: "Trace", node: int) -> None:
        # kernels may set no attribute, see below
        object.__setattr__(self, "_trace", trace)
        object.__setattr__(self, "_node", node)

    def __repr__(self) -> str:
        node = self._trace.builder.nodes[self._node]
        if node.op == "const":
            return repr(node.payload)
        self._trace.note_text(sys._getframe(1))
        return f"<traced {self._trace.builder.inputs[node.payload] if node.op == 'input' else f'%{self._node}'}>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def described(self) -> str:
        return f"`{self.spelled()}`" if self._trace.builder.nodes[self._node].op == "input" else "a traced value"

    def spelled(self) -> str:
        """How a line of code may call it: by the name of the argument, if it is one."""
        node = self._trace.builder.nodes[self._node]
        return self._trace.builder.inputs[node.payload] if node.op == "input" else "x"

    __add__, __radd__ = _operator("add"), _operator("add", reflected=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", reflected=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", reflected=True)
    __truediv__, __rtruediv__ = _risky("div", "/"), _risky("div", "/", reflected=True)
    __floordiv__, __rfloordiv__ = _risky("floordiv", "//"), _risky("floordiv", "//", reflected=True)
    __mod__, __rmod__ = _risky("mod", "%"), _risky("mod", "%", reflected=True)
    __lt__, __le__, __gt__, __ge__ = map(_operator, ("lt", "le", "gt", "ge"))
    # with text, None or a list a number is simply not equal; the other operators refuse these by name
    __eq__, __ne__ = _operator("eq", operable=_NUMERIC), _operator("ne", operable=_NUMERIC)

    def __pow__(self, exponent: Any, modulus: Any = None) -> Any:
        if isinstance(exponent, np.ndarray) and exponent.ndim:
            return NotImplemented  # arrays answer for themselves
        if modulus is not None:
            raise self._trace.refusal("calls pow() with a modulus", "pow(x, y)")
        result = self._trace.power(self, exponent)
        if self._trace.guards:
            self._trace.note_faults("**", (self, exponent), result)
        return result

    def __rpow__(self, base: Any) -> Any:
        result = self._trace.apply("pow", (base, self))
        if self._trace.guards:
            self._trace.note_faults("**", (base, self), result)
        return result

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __neg__(self) -> Any:
        return self._trace.apply("neg", (self,))

    def __pos__(self) -> Any:
        return self._trace.real(self)

    def __abs__(self) -> Any:
        return self._trace.apply("abs", (self,))

    __floor__, __ceil__, __trunc__ = map(_whole, ("floor", "ceil", "trunc"))

    def __round__(self, digits: Any = None) -> Any:
        return self._trace.call(round, (self, digits), {})

    def __and__(self, other: Any) -> Any:
        return self._trace.logic("and", self, other)

    def __or__(self, other: Any) -> Any:
        return self._trace.logic("or", self, other)

    def __xor__(self, other: Any) -> Any:
        return self._trace.exclusive(self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Any:
        return self._trace.logic("not", self)

    def __bool__(self) -> NoReturn:
        frame, line = lines.user_frame(), lines.running_line()
        obstacle = lines.obstacle(frame)
        text = line.text if line and not line.text.startswith("in `") else ""
        what, fix = refusals.truth(text, is_rewritten=obstacle is None)
        raise self._trace.refusal(what, fix, line=line, got=obstacle)

    def copy(self, order: str = "C") -> Any:
        """The same under a name of its own."""
        return self._trace.clone(self)

    __copy__ = __deepcopy__ = copy

    def __getattr__(self, name: str) -> NoReturn:
        # protocols are asked for by `hasattr`, which is to say no as for a float
        if name.startswith("__"):
            raise AttributeError(f"traced values have no attribute `{name}`")
        path = f"numpy.{name}"
        if path in refusals.WHOLE:
            what, fix, expected = refusals.whole(path, [self.spelled()])
            raise TraceAttributeError(f"kernel `{self._trace.name}` {what}:", expected=expected, fix=fix)
        what, fix = f"reads the attribute `{name}` of {self.described()}", f"use {self.spelled()} itself: it is one number"
        if hasattr(self.__class__, name):  # which a number has: to say no would be wrong
            raise self._trace.refusal(what, fix)
        raise TraceAttributeError(f"kernel `{self._trace.name}` {what}:", fix=fix)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        _, fix = refusals.PROTOCOL["__setitem__"]
        raise TraceAttributeError(f"kernel `{self._trace.name}` writes the attribute `{name}` of {self.described()}:", fix=fix)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return arrays.apply_ufunc(self._trace, ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._trace.call(function, args, kwargs)


# each protocol has a method that refuses, where Python would say something about a TracedReal
for _name in refusals.PROTOCOL:
    setattr(Tracer, _name, _refused(_name))


class TracedReal(Tracer):
    """A real number, with what NumPy's float64 has; code that asks for its class is told what it would be told of a float."""

    __slots__ = ()
    __class__ = float  # type: ignore[assignment]
    imag, shape, ndim, size, dtype = 0.0, (), 0, 1, np.dtype(float)

    @property
    def real(self) -> Any:
        """Itself."""
        return self

    T = real

    def item(self) -> Any:
        """Itself."""
        return self

    conjugate = conj = squeeze = item

    def astype(self, dtype: Any, **options: Any) -> Any:
        """As a number of a dtype: itself, cut to a whole number, or whether it is not zero."""
        wanted = np.dtype(dtype)
        if wanted.kind == "b":
            return self != 0.0
        if wanted.kind in "iu":
            return self._trace.whole("trunc", self)
        if wanted != self.dtype:
            raise self._trace.refusal(f"makes {self.described()} a number of dtype {wanted.name}", "x  # it is a float64")
        return self._trace.clone(self)

    def ravel(self, order: str = "C") -> Any:
        """As an array of one item, for NumPy a view."""
        return arrays.with_axes(self._trace, self, 1)

    def flatten(self, order: str = "C") -> Any:
        """A copy as an array of one item."""
        return arrays.with_axes(self._trace, self._trace.clone(self), 1)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """As an array of one item, as by `numpy.reshape`."""
        return self._trace.call(np.reshape, (self, shape[0] if len(shape) == 1 else shape), options)

    clip, round = map(arrays.to_function, ("clip", "round"))

    def is_integer(self) -> Any:
        """Whether it is a whole number."""
        return self._trace.logic("and", self == self._trace.apply("floor", (self,)), abs(self) < float("inf"))


class TracedWhole(TracedReal):
    """A whole number: of class int.

    Attributes
    ----------
    is_signed : bool
        Whether it may be computed as -0, which is 0 where it becomes a real number.
    """

    __slots__ = ("is_signed",)
    __class__ = int  # type: ignore[assignment]
    is_signed: bool

    def __init__(self, trace: "Trace", node: int, is_signed: bool) -> None:
        super().__init__(trace, node)
        object.__setattr__(self, "is_signed", is_signed)

    __pos__ = Tracer.copy

    def __rshift__(self, count: Any) -> Any:
        return self // 2 ** int(count) if isinstance(count, int | np.integer) and count >= 0 else NotImplemented

    def __lshift__(self, count: Any) -> Any:
        return self * 2 ** int(count) if isinstance(count, int | np.integer) and count >= 0 else NotImplemented

    def __and__(self, mask: Any) -> Any:
        is_of_lowest = isinstance(mask, int | np.integer) and mask > 0 and mask & (mask + 1) == 0
        return self % (int(mask) + 1) if is_of_lowest else super().__and__(mask)

    __rand__ = __and__


class TracedCondition(Tracer):
    """The outcome of a comparison; in arithmetic it counts 1 or 0."""

    __slots__ = ()
    __class__ = bool  # type: ignore[assignment]
    kind = BOOL

    __neg__, __pos__ = (lambda self: 0 - self), (lambda self: 0 + self)

    shape, ndim, size, dtype = (), 0, 1, np.dtype(bool)

    def any(self) -> Any:
        """Itself: a mask of one element."""
        return self

    all = item = any

    def astype(self, dtype: Any, **options: Any) -> Any:
        """As a number of a dtype: 1 or 0."""
        kind = np.dtype(dtype).kind
        if kind == "b":
            return self.copy()
        return self._trace.real(self).astype(dtype)


class TracedGuard(TracedCondition):
    """What `np.any` and `np.all` make of the condition of one element: it guards work, and is no number to compute with."""

    __slots__ = ()


class Perhaps:
    """A number, or None where a condition holds. What Python cannot do with None leaves those elements without a value.

    Attributes
    ----------
    none : TracedCondition or bool
    number : Tracer or number
        What it is where it is not None.
    """

    __slots__ = ("_trace", "none", "number")

    def __init__(self, trace: "Trace", none: Any, number: Any) -> None:
        self._trace, self.none, self.number = trace, none, number

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Asked for by `isinstance` in a kernel: what it is depends on the element."""
        frame: Any = sys._getframe(1)
        while frame.f_globals.get("__name__") in ("abc", "numbers", "typing"):
            frame = frame.f_back
        if "__nbad__" in frame.f_globals:
            raise self._trace.refusal_of("perhaps")
        return Perhaps

    def use(self) -> Any:
        """The number; elements for which this is None have no value."""
        self._trace.not_none(self.none)
        return self.number

    def __eq__(self, other: Any) -> Any:
        return self.none if other is None else self._trace.logic("and", ~self._trace.condition(self.none), self.number == other)

    def __ne__(self, other: Any) -> Any:
        return ~self._trace.condition(self == other)

    def __bool__(self) -> NoReturn:
        raise self._trace.refusal_of("perhaps")

    __hash__ = None  # type: ignore[assignment]


def _used(name: str, is_reflected: bool = False) -> Callable[..., Any]:
    """A method of the number."""

    def method(self: Perhaps, *operands: Any) -> Any:
        return getattr(operator, name)(*((*operands, self.use()) if is_reflected else (self.use(), *operands)))

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Perhaps, f"__{_name}__", _used(_name))
    setattr(Perhaps, f"__r{_name}__", _used(_name, is_reflected=True))
for _name in ("lt", "le", "gt", "ge", "neg", "pos", "abs"):
    setattr(Perhaps, f"__{_name}__", _used(_name))
