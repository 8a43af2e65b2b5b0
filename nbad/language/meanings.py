"""What a library function means on traced values, how a call is carried out, and a kernel called in a kernel for each element.

Each room that knows such functions exports a table `MEANINGS`, from "module.name" to meaning; `nbad.language.vocabulary` has
them all.
"""

import functools
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbad.displays.text import plural
from nbad.language import arrays, objects, refusals

if TYPE_CHECKING:
    from nbad.language.trace import Trace


class Meaning(NamedTuple):
    """How a function acts on traced values: `act(trace, *operands, **options)`.

    `arity` is the number of operands; None leaves it to `act`. The operands at positions `each` may be arrays, on whose items the
    function acts one by one; None stands for all. `always` is set where it acts on plain values too.
    """

    act: Callable[..., Any]
    arity: int | None
    each: tuple[int, ...] | None = None
    always: bool = False


def means(act: Callable[..., Any], *, each: tuple[int, ...] | None = None, always: bool = False) -> Meaning:
    """The meaning that a function gives; its arity is that of the function, where that is fixed."""
    specification = inspect.getfullargspec(act)
    is_open = specification.varargs or specification.varkw or specification.defaults or specification.kwonlyargs
    return Meaning(act, None if is_open else len(specification.args) - 1, each, always)


class LibraryFunction(NamedTuple):
    """A function of a library, where kernels find it ("numpy.linalg.norm"), and what it means."""

    original: Any
    path: str
    meaning: Meaning

    @property
    def is_of_items(self) -> bool:
        """Whether it acts on single items, be they in arrays or not."""
        whole = "builtins.max", "builtins.min"  # which give one of their operands as it is
        return (
            self.meaning.each != () or self.path == "numpy.clip" or (self.path.startswith("builtins.") and self.path not in whole)
        )

    @property
    def is_of_arrays(self) -> bool:
        """Whether it does so with arrays outside of kernels too."""
        return self.is_of_items and (self.path == "builtins.abs" or not self.path.startswith(("math.", "builtins.")))

    @property
    def takes_plain_arrays(self) -> bool:
        """Whether it acts on the kernel's arrays of plain numbers too: views must stay views. Linear algebra makes new arrays."""
        return not self.path.startswith("numpy.linalg.")


def call(trace: "Trace", function: LibraryFunction, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Apply a library function to operands of which at least one is traced."""
    _check_call(trace, function, args, options)
    each = function.meaning.each
    places = [k for k in range(len(args)) if each is None or k in each]
    if any(map(_is_array, map(args.__getitem__, places))):
        return _each(trace, function, args, options, places)
    return function.meaning.act(trace, *args, **options)


def _is_array(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _each(trace: "Trace", function: LibraryFunction, args: tuple[Any, ...], options: dict[str, Any], places: list[int]) -> Any:
    """Act on the items of the operands at `places`."""
    # these take no arrays outside of kernels either
    if function.path.startswith("math.") or function.original is float:
        raise trace.refusal(f"calls `{function.path}` on an array", f"[{function.path.replace('builtins.', '')}(v) for v in x]")

    def act(trace: "Trace", *values: Any) -> Any:
        return function.meaning.act(trace, *_placed(args, places, values), **options)

    def plainly(*values: Any) -> Any:
        return function.original(*_placed(args, places, values), **options)

    return arrays.each(trace, act, plainly, [args[k] for k in places])


def _placed(args: tuple[Any, ...], places: list[int], values: tuple[Any, ...]) -> list[Any]:
    """Operands with other values at `places`."""
    found = dict(zip(places, values, strict=True))
    return [found.get(k, value) for k, value in enumerate(args)]


def _check_call(trace: "Trace", function: LibraryFunction, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Refuse a call with the wrong number of operands, or with options that mean nothing here."""
    arity, path, shown = function.meaning.arity, function.path, _signature(function.meaning.act)
    for name in options:
        if name not in shown.parameters and not any(p.kind is p.VAR_KEYWORD for p in shown.parameters.values()):
            fix = refusals.LIBRARY.get(f"{path}({name}=)", _example(function))
            raise trace.refusal(f"passes `{name}=` to `{path}`", fix)
    if arity is not None and arity != len(args):
        fix = refusals.LIBRARY.get(path, _example(function))
        raise trace.refusal(f"calls `{path}` with {plural(len(args), 'argument')}", fix, expected=f"{arity}")
    if arity is None:
        try:
            shown.bind(trace, *args, **options)
        except TypeError as error:
            what = f"calls `{path}` in a way that nbad does not know"
            raise trace.refusal(what, _example(function), expected=str(error)) from None


def _example(function: LibraryFunction) -> str:
    """A call that nbad knows."""
    if function.meaning.arity is None:
        _, *parameters = _signature(function.meaning.act).parameters.values()
        operands = [str(p.replace(annotation=p.empty)) for p in parameters]  # as users write it
    else:
        operands = ["x", "y", "z"][: function.meaning.arity]
    return f"{function.path.removeprefix('builtins.')}({', '.join(operands)})"


# asked at every call; some functions are made for one call
_signature = functools.lru_cache(maxsize=1024)(inspect.signature)


def call_plain(trace: "Trace", function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a library function on plain values; an array of floats that it returns can be filled with traced values."""
    ufunc: Any = getattr(function, "__self__", None)
    if isinstance(ufunc, np.ufunc) and ufunc.at == function and holds(args, arrays.TracedArray):
        arrays.apply_ufunc(trace, ufunc, "at", args, kwargs)  # NumPy's own would write to what is read-only
    passed = (*args, *kwargs.values())
    given = [arrays.plain(value) for value in passed]
    try:
        result = function(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))
    except ValueError as error:
        if "read-only" not in str(error) or not holds(passed, arrays.TracedArray):
            raise
        what = f"writes to an array by `{getattr(function, '__name__', function)}`, which nbad does not know"
        raise trace.refusal(what, "a[0] = 1.0  # item by item") from None
    if not isinstance(result, np.ndarray) or result.dtype not in (float, object):
        return result  # integers and bools stay indices and masks
    if result.ndim == 0 and result.base is None:
        return arrays.kept(trace, arrays.items(trace, result))
    pairs = zip(passed, given, strict=True)
    viewed = [before for before, value in pairs if isinstance(value, np.ndarray) and np.may_share_memory(value, result)]
    if not viewed:
        return arrays.wrap(trace, arrays.items(trace, result))
    if isinstance(viewed[0], arrays.TracedArray):
        raise trace.refusal(f"takes a view of an array by `{function.__name__}`, which nbad does not know", "x[1:]")
    return result


def made(trace: "Trace", result: Any) -> Any:
    """What a function made of plain values; an array of floats that nobody else holds is the kernel's, to be written to."""
    is_array = type(result) is np.ndarray and result.dtype == float and result.base is None and result.flags.writeable
    return arrays.kept(trace, arrays.items(trace, result)) if is_array and sys.getrefcount(result) == _ALONE else result


def _references(result: Any) -> int:
    return sys.getrefcount(result)


_ALONE = _references(np.empty(1))


def each_element(
    trace: "Trace",
    name: str,
    operands: Sequence[Any],
    cores: Sequence[tuple[int, ...]],
    leaves: Sequence[tuple[int, ...]],
    compute: Callable[..., Any],
) -> tuple[Any, ...]:
    """Apply a kernel of the given core shapes to operands that broadcast among themselves.

    Parameters
    ----------
    trace : Trace
    name : str
        The kernel, for messages.
    operands : sequence of array_like
    cores, leaves : sequences of tuples
        Core shapes of its arguments and of its outputs.
    compute : callable
        From the values of all input slots of one element to those of all output slots.

    Returns
    -------
    tuple
        One array or value for each output.
    """
    given = [arrays.items(trace, value) for value in operands]
    for array, core in zip(given, cores, strict=True):
        if array.shape[array.ndim - len(core) :] != core:
            what = f"calls `{name}` with an array of shape {array.shape} for an argument of core shape {core}"
            raise trace.refusal(what, f"x[:{core[0]}]" if len(core) == 1 else f"x.reshape{core}")
    parts = [array.reshape(*array.shape[: array.ndim - len(core)], -1) for array, core in zip(given, cores, strict=True)]
    shape = arrays.broadcast(trace, [part[..., 0] for part in parts])[0].shape if parts else ()
    parts = [np.broadcast_to(part, (*shape, part.shape[-1])) for part in parts]
    elements = [compute([value for part in parts for value in part[index]]) for index in np.ndindex(shape)]
    return _leaves(trace, elements, shape, leaves)


def _leaves(trace: "Trace", elements: list[Any], shape: tuple[int, ...], leaves: Sequence[tuple[int, ...]]) -> tuple[Any, ...]:
    results, start = [], 0
    for core in leaves:
        stop = start + math.prod(core)
        values = [value for element in elements for value in element[start:stop]]
        results.append(arrays.wrap(trace, objects.filled(values, (*shape, *core))))
        start = stop
    return tuple(results)


def acts_on_plain(known: LibraryFunction | None, values: Any) -> bool:
    """Whether a library function acts on these values even if none of them is traced."""
    if known is None:
        return False
    return known.meaning.always or (known.takes_plain_arrays and holds(values, arrays.TracedArray))


def holds(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind, or a list, tuple or dict that holds one."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, kind) or (isinstance(value, list | tuple) and any(holds(part, kind) for part in value))
