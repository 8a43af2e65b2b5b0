"""A call in compiled code, read by the types of its arguments, static ones as constants; the function compiled in its place."""

import functools
import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import types
from numba.core.errors import TypingError

from nbad.api.statics import identity, is_setting
from nbad.njit import sources
from nbad.njit.callees import Callee
from nbad.njit.elements import Asked, Element, Group, Result, element, leaves
from nbad.njit.linking import KINDS, slots_of

NUMBERS: Any = types.Integer, types.Float, types.Boolean
TUPLES: Any = types.BaseTuple
NAMED: Any = types.BaseNamedTuple
DICTS: Any = types.DictType, types.LiteralStrKeyDict
NOT_STATIC = object()


class Argument(NamedTuple):
    """A number, or numbers, that a call passes."""

    given: sources.Given
    dtype: Any  # of its numbers, as Numba has it
    axes: int  # of its own

    @property
    def is_discrete(self) -> bool:
        """Whether it has no derivative: as outside an array of integers; compiled code's own integers are Python's."""
        return self.given.is_array and not isinstance(self.dtype, types.Float)


def function_for(callee: Callee, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
    """The function for a call with arguments of these types: compiled, it takes the same.

    Raises
    ------
    TypingError
        Where the call cannot be compiled.
    """
    passed, out = _bound(callee, args, dict(kws))
    return callee.remember(("function", repr(passed), repr(out)), lambda: _function(callee, passed, out))


def _bound(callee: Callee, args: tuple[Any, ...], kws: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Types by parameter, in the order of these, and that of `out`, None where it is not passed."""
    out = kws.pop("out", None)
    try:
        passed = callee.signature.bind_partial(*args, **kws).arguments
    except TypeError as error:
        by = f"{len(args)} arguments by position and {', '.join(kws) or 'none'} by name"
        raise TypingError(f"{callee.call} is called with {by}: {error}") from None
    return passed, out


def _function(callee: Callee, passed: dict[str, Any], out: Any, is_careful: bool = False) -> Any:
    statics: dict[str, Any] = {}
    arguments: dict[str, Argument] = {}
    for name, kind in passed.items():
        value = _static(kind)
        if callee.is_static(name) or (value is not NOT_STATIC and is_setting(value)):
            statics[name] = _known(callee, name, value)
        else:
            arguments[name] = _argument(callee, name, kind)
    if not arguments:  # settings go with numbers: these were to be numbers
        arguments = {name: _argument(callee, name, kind) for name, kind in passed.items() if not callee.is_static(name)}
    asked = Asked(
        tuple(arguments),
        tuple(statics.items()),
        _working_dtype(list(arguments.values())),
        tuple(name for name, argument in arguments.items() if argument.is_discrete),
    )
    found = element(callee, asked)
    parameters = (*passed, *(() if out is None else ("out",)))
    out = None if out is None or _static(out) is None else out
    _check_out(callee, found, arguments, out)
    given = [argument.given for argument in arguments.values()]
    scope: dict[str, Any] = {"np": np, "slots": slots_of(callee, asked), "overlap": _overlap()}
    scope |= {kind.__name__: kind for kind in sources.kinds(found.result)}
    scope |= {f"fault{k}": kind for k, (kind, _) in enumerate(found.faults, 1)}
    is_element = not any(argument.axes for argument in given)
    if is_element:
        text = sources.element_source(parameters, given, found, None if out is None else _singles(found, out))
    else:
        is_flat = _is_flat(given, found, out)
        text = sources.arrays_source(parameters, given, found, out is not None, is_flat, is_careful)
        if out is not None:
            scope["fresh"] = _function(callee, passed, None)
        if found.faults and not is_careful:
            scope["careful"] = _function(callee, passed, None, is_careful=True)
    prefix = sources.own_prefix(parameters)
    made: dict[str, Any] = {"__name__": __name__} | {f"{prefix}{own}": value for own, value in scope.items()}
    exec(text, made)
    function = made[f"{prefix}call"]
    # cached code of other processes may be loaded beside: what has one name must be one thing
    digest = hashlib.sha256(f"{found.digest}{text}".encode()).hexdigest()[:32]
    function.__name__ = function.__qualname__ = f"{re.sub(r'[^a-zA-Z0-9_]', '_', callee.kernel.__name__)}_{digest}"
    return numba.njit(function, error_model="numpy", forceinline=is_element)


def _static(kind: Any) -> Any:
    """The value that a type tells; NOT_STATIC where it tells none."""
    if isinstance(kind, types.Literal):
        return kind.literal_value
    if isinstance(kind, types.NoneType):
        return None
    if isinstance(kind, TUPLES) and not isinstance(kind, types.BaseNamedTuple):
        values = tuple(map(_static, kind))
        return NOT_STATIC if NOT_STATIC in values else values
    return getattr(kind, "kernel", None) or getattr(kind, "dispatcher", NOT_STATIC)


def _known(callee: Callee, name: str, value: Any) -> Any:
    """The value of a static argument."""
    if value is NOT_STATIC:
        others = ", ".join(each for each in callee.parameters if each != name)
        raise TypingError(
            f"{callee.call}: {name} is static, and compiled code knows the values of literal integers, bools and text only: "
            f"use nbad.kernel(lambda {others}: {callee.kernel.__name__}({others}, {name}=...)), made outside"
        )
    identity(callee.kernel.__name__, name, value)
    return value


def _argument(callee: Callee, name: str, kind: Any) -> Argument:
    """What is passed for a parameter that is a number, or an array of them."""
    core = callee.core(name)
    if isinstance(kind, types.Array) and isinstance(kind.dtype, NUMBERS) and kind.ndim >= len(core):
        axes = kind.ndim - len(core)
        return Argument(sources.Given(name, core, axes, True, kind.layout == "C"), kind.dtype, axes)
    if isinstance(kind, NUMBERS) and not core:
        return Argument(sources.Given(name, core, 0, False, True), types.unliteral(kind), 0)
    if isinstance(kind, TUPLES) and core and _tuple_shape(kind) == core:
        return Argument(sources.Given(name, core, 0, False, True), types.float64, 0)
    wanted = (
        f"an array with at least {len(core)} axes, or a tuple, of shape {core}" if core else "a number or an array of numbers"
    )
    raise TypingError(f"{callee.call}: {name} is of type {kind}, expected {wanted}; fix: {_fix(callee, name, kind)}")


def _fix(callee: Callee, name: str, kind: Any) -> str:
    """Code that passes for a parameter what is of another type."""
    if isinstance(getattr(kind, "dtype", kind), types.Complex):
        return f"{name}.real"
    if _static(kind) is None:
        return "np.nan"
    if isinstance(kind, DICTS):
        fields, made = "a, b", '{"a": a, "b": b}'
    elif isinstance(kind, NAMED):
        fields = ", ".join(kind.fields)
        made = f"{kind.instance_class.__name__}({fields})"
    else:
        return f"np.array({name})"
    given, passed = ([part if each == name else each for each in callee.parameters] for part in (fields, made))
    return f"nbad.kernel(lambda {', '.join(given)}: {callee.kernel.__name__}({', '.join(passed)})), made outside"


def _tuple_shape(kind: Any) -> tuple[int, ...] | None:
    """The shape of a tuple of numbers, or of equal tuples; None where there is none."""
    if isinstance(kind, NUMBERS):
        return ()
    shapes = {_tuple_shape(member) for member in kind} if isinstance(kind, TUPLES) else {None}
    inner = shapes.pop() if len(shapes) == 1 else None
    return None if inner is None else (len(kind), *inner)


def _working_dtype(arguments: list[Argument]) -> str:
    """float32 if every array is; without arrays, if numbers of float32 are all that are not integers.

    Numbers beside arrays are weak, as Python's are.
    """
    kinds = [a.dtype for a in arguments if a.given.is_array] or [a.dtype for a in arguments if isinstance(a.dtype, types.Float)]
    return "float32" if kinds and all(kind == types.float32 for kind in kinds) else "float64"


def _check_out(callee: Callee, found: Element, arguments: dict[str, Argument], out: Any) -> None:
    """Refuse an `out` that has not the structure, the axes and the dtype of the result."""
    if out is not None:
        axes = max((argument.given.axes for argument in arguments.values()), default=0)
        _check_target(callee, found.result, out, axes, KINDS[found.dtype])


def _check_target(callee: Callee, result: Result, kind: Any, axes: int, dtype: Any) -> None:
    if isinstance(result, Group):
        if not isinstance(kind, TUPLES) or len(kind) != len(result.members):
            raise TypingError(f"{callee.call}: out= is of type {kind}, expected a tuple of {len(result.members)}")
        for member, each in zip(result.members, kind, strict=True):
            _check_target(callee, member, each, axes, dtype)
        return
    wanted = axes + len(result.core)
    # there are no arrays without axes to be had in compiled code: a number goes into a slice of length 1
    fits = isinstance(kind, types.Array) and (kind.ndim == wanted or (kind.ndim == 1 and wanted == 0))
    if not fits or kind.dtype != dtype or not kind.mutable:
        raise TypingError(f"{callee.call}: out= is of type {kind}, expected a writable array of {dtype} with {wanted or 1} axes")


def _singles(found: Element, out: Any) -> list[str]:
    """The parts of an `out` for one element that are slices of length 1, where the output is a number."""
    parts = zip(sources.places(found.result, "out"), leaves(found.result), _arrays(out), strict=True)
    return [place for place, leaf, kind in parts if not leaf.core and kind.ndim == 1]


def _is_flat(given: list[sources.Given], found: Element, out: Any) -> bool:
    """Whether types say that all arrays are contiguous and have the same axes."""
    axes = max(argument.axes for argument in given)
    are_outputs = out is None or all(kind.layout == "C" for kind in _arrays(out))
    return are_outputs and all(argument.is_contiguous and argument.axes == axes for argument in given if argument.axes)


def _arrays(kind: Any) -> list[Any]:
    return [kind] if isinstance(kind, types.Array) else [array for member in kind for array in _arrays(member)]


@functools.cache
def _overlap() -> Callable[..., Any]:
    """Whether the memory of two arrays may overlap, told by its bounds."""

    def bounds(a):
        low = high = a.ctypes.data
        for k in range(a.ndim):
            reach = (a.shape[k] - 1) * a.strides[k]
            low, high = (low, high + reach) if reach > 0 else (low + reach, high)
        return low, high + a.itemsize

    bounds = numba.njit(bounds)

    def overlap(a, b):
        first, second = bounds(a), bounds(b)
        return a.size > 0 and b.size > 0 and first[0] < second[1] and second[0] < first[1]

    return numba.njit(overlap)
