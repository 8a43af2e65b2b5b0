"""What the parameters of a kernel are: their names, core shapes and static values."""

import inspect
import pickle
import re
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError, closest
from nbad.foreign import shown
from nbad.language.kernels import is_kernel
from nbad.language.values import first_traced
from nbad.lines import verb

RECEIVERS = ("self", "cls")  # the object of a method, by the name that everybody gives it
RESERVED = ("out", "argnums", "residuals", "seeds", "max_bytes")
_EXACT = frozenset({int, bool, str, bytes, type(None), type(Ellipsis)})  # equal values of one of these types are the same
# what may be static in place of a value that changes
_HASHABLE: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("tuple({0}.items())  # and dict({0}) in the kernel", lambda value: tuple(value.items())),
    ("tuple({0}.ravel().tolist())", lambda value: tuple(value.ravel().tolist())),
    ("frozenset({0})", lambda value: frozenset(value.union())),
    ("tuple({0})", tuple),
    ("tuple(map(tuple, {0}))", lambda value: tuple(map(tuple, value))),
    ("repr({0})", repr),
)
_ITSELF = (type, FunctionType, BuiltinFunctionType, ModuleType, np.ufunc)
GROUP = re.compile(r"\(\s*((?:[1-9]\d*\s*(?:,\s*[1-9]\d*\s*)*)?)\)")


def parameters_of(function, name):
    """The parameters of a function that is to be a kernel, checked."""
    if not callable(function):
        is_signature = isinstance(function, str) and "->" in function
        raise ArgumentTypeError(
            "`nbad.kernel(fn)`: fn is not a function",
            got=shown(function),
            expected="a Python function of scalars",
            fix=f"@nbad.kernel(signature={function!r})" if is_signature else "nbad.kernel(lambda x: x * x)",
        )
    try:
        if isinstance(function, np.ufunc):  # from NumPy 2.4 on they have signatures, of `out=` and more
            raise ValueError
        parameters = tuple(inspect.signature(function).parameters.values())
    except ValueError:
        names = ", ".join("xyz"[: getattr(function, "nin", 1 if isinstance(function, type) else 2)])
        path = f"np.{name}" if getattr(np, name, None) is function else name
        raise ArgumentTypeError(
            f"`nbad.kernel({name})`: Python does not know the parameters of {name}",
            got=repr(function),
            expected="a Python function of scalars",
            fix=f"nbad.kernel(lambda {names}: {path}({names}))",
        ) from None
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise TraceError(
                f"kernel `{name}` takes `{p}`, but every argument needs a name",
                got=str(p),
                expected="named parameters",
                fix=f"nbad.kernel(lambda x, y: {name_in_code(function)}(x, y))",
            )
        if p.name in RESERVED:
            raise TraceError(
                f"kernel `{name}` has a parameter named `{p.name}`, which nbad's own calls use",
                got=f"def {name}(... {p.name} ...)",
                expected="another name",
                fix=f"def {name_in_code(function)}({', '.join(q.name + '_' * (q is p) for q in parameters)}): ...",
            )
    return parameters


def static_names(kernel, known, static):
    """The names in `static=`, checked against the parameters `known` of the kernel; the object of a method is static too."""
    if not isinstance(static, Iterable) or not all(isinstance(name, str) for name in static):
        raise ArgumentTypeError(
            f"`nbad.kernel(static={static!r})`: not names of parameters",
            got=shown(static),
            expected=f"a tuple of names among {', '.join(known)}",
            fix=f"static=({known[-1]!r},)" if known else "static=()",
        )
    names = (static,) if isinstance(static, str) else tuple(static)
    names += tuple(name for name in known[:1] if name in RECEIVERS and name not in names)
    for name in names:
        if name not in known:
            raise ArgumentValueError(
                f"`nbad.kernel(static={static!r})`: `{kernel}` has no parameter `{name}`",
                got=name,
                expected=f"names among {', '.join(known)}",
                meant=closest(name, known),
                fix=f"static=({(closest(name, known) or known[-1])!r},)" if known else "static=()",
            )
    return names


def identity(kernel, name, value):
    """What tells one static value from another: with their types, for 2, 2.0 and True are equal but not the same exponent."""
    try:
        hash(value)
    except TypeError:
        traced = first_traced((value,))
        if traced is not None:
            what = f"passes a traced value for `{name}`, a static argument of `{kernel}`"
            raise traced._trace.refusal(what, f"{name}=2", expected="a value that is known when the kernel is traced") from None
        raise ArgumentTypeError(
            f"`{kernel}`: the static argument {name} is not hashable",
            got=type(value).__name__,
            expected="a number, text or tuple: one specialization is kept for each value",
            fix=next(line.format(name) for line, convert in _HASHABLE if _is_hashable(convert, value)),
        ) from None
    try:
        return _contents(value, {})
    except (_Opaque, RecursionError) as opaque:
        raise ArgumentTypeError(
            f"`{kernel}`: the contents of the static argument {name} cannot be seen, so that a change would go unnoticed",
            got=f"{type(value).__name__} in which {opaque}",
            expected="numbers, text, functions, and objects of these",
            fix=f"a tuple of what {kernel} needs of {name}",
        ) from None


def _is_hashable(convert, value):
    try:
        hash(convert(value))
    except (TypeError, AttributeError):
        return False
    return True


class _Opaque(Exception):
    """A value that Python cannot take apart."""


def _contents(value, seen):
    """A key by type and contents, all the way down; an object that was `seen` before is its number there."""
    kind = type(value)
    if kind in _EXACT:
        return kind, value
    if kind in (float, complex) or isinstance(value, np.generic):
        return kind, repr(value)  # as text 0.0 and -0.0 differ, and nan equals itself
    if isinstance(value, _ITSELF) or is_kernel(value) or kind.__module__.startswith("numba."):
        return kind, value
    if kind is tuple:
        return kind, tuple(_contents(item, seen) for item in value)
    if kind in (set, frozenset):  # in any order
        return kind, frozenset(_contents(item, dict(seen)) for item in value)
    if id(value) in seen:
        return kind, seen[id(value)][0]
    seen[id(value)] = len(seen), value
    if kind in (list, dict):
        return kind, tuple(_contents(item, seen) for item in (value.items() if kind is dict else value))
    if kind is np.ndarray and value.dtype != object:
        return kind, value.dtype.str, value.shape, value.tobytes()
    try:
        parts = value.__reduce_ex__(4)  # what pickle would write
    except (TypeError, ValueError, AttributeError, pickle.PicklingError) as error:
        raise _Opaque(f"{kind.__name__}: {error}") from None
    if isinstance(parts, str):  # the name of something global
        return kind, value
    # where an object is equal to itself only, it may be told from its like
    itself = value if kind.__hash__ is object.__hash__ else None
    constructor, arguments, state, *items = (*parts, None, None, None)[:5]
    return kind, itself, constructor, *(_contents(part, seen) for part in (arguments, state, *(i and list(i) for i in items)))


def cores_of(kernel, signature, arguments):
    """Core shapes of the arguments by name, and of the outputs or None.

    Examples
    --------
    >>> cores_of("f", "(3),()->(2,2)", ["x", "y"])
    ({'x': (3,), 'y': ()}, ((2, 2),))
    """
    if signature is None:
        return dict.fromkeys(arguments, ()), None
    if not isinstance(signature, str):
        raise ArgumentTypeError(
            f"`nbad.kernel(signature={signature!r})` of `{kernel}`: not text",
            got=shown(signature),
            expected="groups of literal sizes, an arrow, and a group for each output",
            fix=f"signature={_like('', arguments)!r}",
        )
    sides = [[_shape(sizes) for sizes in GROUP.findall(side)] for side in signature.split("->")]
    rests = [re.sub(r"\s", "", GROUP.sub("", side)) for side in signature.split("->")]
    fits = len(sides) == 2 and len(sides[0]) == len(arguments) and bool(sides[1])
    if not fits or any(rest != "," * max(len(side) - 1, 0) for rest, side in zip(rests, sides, strict=True)):
        symbol = re.search(r"[^\W\d]\w*", signature)
        raise ArgumentValueError(
            f"`nbad.kernel(signature={signature!r})` does not fit `{kernel}({', '.join(arguments)})`",
            got=repr(signature) + (f", in which {symbol[0]} is no number" if symbol else ""),
            expected=f"{len(arguments)} groups of literal sizes, an arrow, and a group for each output",
            fix=f"signature={_like(signature, arguments)!r}",
        )
    return dict(zip(arguments, sides[0], strict=True)), tuple(sides[1])


def _like(signature, arguments):
    """The signature that was probably meant: numbers for its symbols, and a group for each argument."""
    symbols = list(dict.fromkeys(re.findall(r"[^\W\d]\w*", signature)))
    sizes = {symbol: str(size) for size, symbol in enumerate(symbols, 3)}
    inputs, _, outputs = (re.sub(r"[^\W\d]\w*", lambda found: sizes[found[0]], signature)).partition("->")
    cores = [_shape(found) for found in GROUP.findall(inputs)][: len(arguments)]
    cores += [()] * (len(arguments) - len(cores))
    return f"{groups(cores)}->{groups([_shape(found) for found in GROUP.findall(outputs)] or [()])}"


def _shape(sizes):
    return tuple(int(size) for size in sizes.split(",") if size.strip())


def group(core):
    """A core shape as the signature writes it."""
    return "(" + ",".join(map(str, core)) + ")"


def groups(cores):
    """One side of a signature."""
    return ",".join(map(group, cores))


def name_in_code(function):
    """How a line of code spells a kernel or a function: by its name, if it has one."""
    name = getattr(function, "__name__", "f")
    return name if name.isidentifier() else "f"


def spelled(kernel, arguments, verb=None, **options):
    """A call of a kernel, or of a transform of it, with these arguments.

    Examples
    --------
    >>> import nbad
    >>> f = nbad.kernel(lambda x, y: x * y)
    >>> spelled(f, ["x", "y"]), spelled(f, ["x", "y"], "jvp"), spelled(nbad.grad(f), ["x"])
    ('f(x, y)', 'nbad.jvp(f, (x, y,), (1.0, 1.0,))', 'nbad.grad(f)(x)')
    """
    base = kernel
    while base._made_from and base._made_from[1] == "derived":
        base = base._made_from[0]
    name, xs, more = name_in_code(base), ", ".join(arguments), "".join(f", {key}={value}" for key, value in options.items())
    if verb in ("vjp", "linearize", "explain", "check_kernel"):
        return f"nbad.{'testing.' * (verb == 'check_kernel')}{verb}({name}, {xs}{more})"
    if verb in ("jvp", "hvp"):
        return f"nbad.{verb}({name}, ({xs},), ({', '.join(['1.0'] * len(arguments))},){more})"
    if verb in ("jacobian", "value_and_jacobian", "hessian", "value_and_grad"):
        return f"nbad.{verb}({name})({xs}{more})"
    return f"{name if base is kernel else f'nbad.grad({name})'}({xs}{more})"


_VALUES = {"out": "None", "argnums": "0", "residuals": "'auto'", "seeds": "8", "max_bytes": "2**30"}
# beside the kernel's arguments, by verb; all others take `out=`
_OPTIONS = {
    "vjp": ("argnums", "residuals", "seeds", "max_bytes"),
    "linearize": ("argnums",),
    "explain": ("argnums", "seeds"),
    "check_kernel": (),
}


def misbound(kernel, parameters, args, kwargs, fault):
    """The error for a call whose arguments are not those of a kernel; `fault` is Python's."""
    listing = ", ".join(kernel.parameters)
    passed = [f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else p.name for p in parameters]
    called = verb()
    unknown = next((name for name in kwargs if name not in kernel.parameters), None)
    meant = closest(unknown, [*kernel.parameters, *_OPTIONS.get(called or "", ["out"])])
    options = {meant: _VALUES[meant]} if meant in _VALUES else {}
    return ArgumentTypeError(
        f"`{kernel.__name__}({listing})`: {fault}",
        got=f"{len(args) + len(kwargs)} arguments",
        expected=f"{len(kernel.parameters)} at most: {listing}",
        meant=meant and f"{meant}=",
        fix=spelled(kernel, passed, called, **options),
    )


def dressed(function: Any, name: str, doc: str | None, signature: inspect.Signature) -> Any:
    """A function that we made, with the name, docstring and signature that a user sees."""
    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__signature__ = doc, signature
    return function
