"""The parameters of a kernel: names, core shapes with letters as sizes, which are static; and how code spells a call of it."""

import inspect
import itertools
import math
import re
import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from nbad import lines
from nbad.api.options import check_function
from nbad.displays.text import plural
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError, closest
from nbad.foreign import VERBS, shown, table_of
from nbad.tracing.arguments import signature_of

Sized = tuple[int | str, ...]  # a core shape, with letters for sizes
Sizes = tuple[tuple[str, int], ...]  # letters and what they stand for

RECEIVERS = ("self", "cls")  # the object of a method, by the name that everybody gives it
RESERVED = ("out", "argnums", "residuals", "seeds", "max_bytes")
SIZE = r"(?:[1-9]\d*|[A-Za-z_]\w*)"  # a number, or a letter for one
GROUP = re.compile(rf"\(\s*((?:{SIZE}\s*(?:,\s*{SIZE}\s*)*)?)\)")


def parameters_of(function, name):
    """The parameters of a function that is to be a kernel, checked."""
    check_function(function)
    try:
        if isinstance(function, np.ufunc):  # from NumPy 2.4 on they have signatures, of `out=` and more
            raise ValueError
        parameters = tuple(signature_of(function).parameters.values())
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
        if p.kind is p.VAR_POSITIONAL:
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


def cores_of(kernel, signature, arguments):
    """Core shapes of the arguments by name, and of the outputs or None; letters in them stand for sizes.

    Examples
    --------
    >>> cores_of("f", "(3),()->(2,2)", ["x", "y"])
    ({'x': (3,), 'y': ()}, ((2, 2),))
    >>> cores_of("f", "(n,3)->(n)", ["x"])
    ({'x': ('n', 3)}, (('n',),))
    """
    if signature is None:
        return dict.fromkeys(arguments, ()), None
    if not isinstance(signature, str):
        raise ArgumentTypeError(
            f"`nbad.kernel(signature={signature!r})` of `{kernel}`: not text",
            got=shown(signature),
            expected="groups of sizes, an arrow, and a group for each output",
            fix=f"signature={_like('', arguments)!r}",
        )
    sides = [[_shape(sizes) for sizes in GROUP.findall(side)] for side in signature.split("->")]
    rests = [re.sub(r"\s", "", GROUP.sub("", side)) for side in signature.split("->")]
    fits = len(sides) == 2 and len(sides[0]) == len(arguments) and bool(sides[1])
    fits = fits and all(rest == "," * max(len(side) - 1, 0) for rest, side in zip(rests, sides, strict=True))
    unknown = [letter for letter in letters_in(sides[1]) if letter not in letters_in(sides[0])] if fits else []
    if not fits or unknown:
        raise ArgumentValueError(
            f"`nbad.kernel(signature={signature!r})` does not fit `{kernel}({', '.join(arguments)})`",
            got=f"{unknown[0]} in an output, and in no argument" if unknown else repr(signature),
            expected=f"a group of sizes for each of {', '.join(arguments)}, an arrow, and one for each output, of these letters",
            fix=f"signature={_like(signature, arguments)!r}",
        )
    return dict(zip(arguments, sides[0], strict=True)), tuple(sides[1])


def _like(signature, arguments):
    """The signature that was probably meant: a group for each argument, and letters that arguments have."""
    inputs, _, outputs = signature.partition("->")
    cores = [_shape(found) for found in GROUP.findall(inputs)][: len(arguments)]
    cores += [()] * (len(arguments) - len(cores))
    known = letters_in(cores)
    returned = [
        tuple(size if size in known or isinstance(size, int) else 3 for size in _shape(found)) for found in GROUP.findall(outputs)
    ]
    return f"{groups(cores)}->{groups(returned or [()])}"


def _shape(sizes):
    return tuple(int(size) if size.isdecimal() else size for size in map(str.strip, sizes.split(",")) if size)


def letters_in(cores: Iterable[Sized]) -> tuple[str, ...]:
    """The letters for sizes in core shapes, each once."""
    return tuple(dict.fromkeys(size for core in cores for size in core if isinstance(size, str)))


def with_sizes(cores: Iterable[Sized], sizes: Sizes) -> list[tuple[int, ...]]:
    """Core shapes with numbers for their letters."""
    known = dict(sizes)
    return [tuple(known[size] if isinstance(size, str) else size for size in core) for core in cores]


def _with_letters(cores: Iterable[tuple[int, ...]], sizes: Sizes) -> list[Sized]:
    """Core shapes with letters for their numbers, as far as there are any: the first one that stands for a number."""
    known = {size: letter for letter, size in reversed(sizes)}
    return [tuple(known.get(size, size) for size in core) for core in cores]


def check_sizes(name: str, signature: str | None, letters: tuple[str, ...], sizes: dict[str, Any]) -> None:
    """Refuse what does not tell a size for each letter."""
    given = ", ".join(f"{letter}={reprlib.repr(size)}" for letter, size in sizes.items())
    call, fix = f"`{name}.sized({given})`", f"{name}.sized({', '.join(f'{letter}=3' for letter in letters)})"
    if sizes.keys() != set(letters):
        has = (
            f"the signature {signature} has the letters {', '.join(letters)}"
            if letters
            else "there are no letters in its signature"
        )
        raise ArgumentTypeError(f"{call}: {has}", got=", ".join(sizes) or "no sizes", expected="a number for each", fix=fix)
    for letter, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ArgumentValueError(
                f"{call}: {letter} is no size", got=shown(size), expected="a whole number from 1 on", fix=fix
            )


def sizes_in(call: str, signature: str, cores: dict[str, Sized], shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """What the letters in core shapes stand for, by the shapes of arguments."""
    found: dict[str, tuple[int, str]] = {}  # and of which argument
    for name, shape in shapes.items():
        core = cores[name]
        if len(shape) < len(core):
            axes = f"np.atleast_{len(core)}d({name})" if len(core) < 4 else f"np.expand_dims({name}, 0)"
            raise ArgumentValueError(
                f"{call}: {name} has no axes for its core {group(core)}",
                got=f"shape {shape}",
                expected=f"{'1 axis' if len(core) == 1 else f'{len(core)} axes'} at least, as in the signature {signature}",
                fix=axes,
            )
        for axis, letter in enumerate(core, len(shape) - len(core)):
            size, other = found.setdefault(letter, (shape[axis], name)) if isinstance(letter, str) else (shape[axis], name)
            got = f"{letter} = {shape[axis]} in {name} of shape {shape}"
            if shape[axis] == 0:
                raise ArgumentValueError(f"{call}: {name} has a core of no numbers", got=got, expected="a size from 1 on")
            if size != shape[axis]:
                raise _uneven(call, signature, cores, letter, (other, shapes[other]), (name, shape))
    return {letter: size for letter, (size, _) in found.items()}


def _uneven(call, signature, cores, letter, *pair):
    """The error where a letter stands for different sizes in two axes, of one argument or of two, with their shapes."""
    shapes = dict(pair)
    sizes = {
        name: [n for n, size in zip(shape[-len(cores[name]) :], cores[name], strict=True) if size == letter]
        for name, shape in pair
    }
    least = min(min(found) for found in sizes.values())
    parts = {name: ", ".join(f":{least}" if size == letter else ":" for size in cores[name]) for name in shapes}
    (first, _), (second, _) = pair
    what = (
        f"{second} does not fit {first}: both have the size {letter}"
        if first != second
        else f"{first} has the size {letter} twice"
    )
    return ArgumentValueError(
        f"{call}: {what} in the signature {signature}",
        got=", ".join(
            f"{letter} = {' and '.join(map(str, sizes[name]))} in {name} of shape {shape}" for name, shape in shapes.items()
        ),
        expected=f"one size {letter}",
        fix=", ".join(f"{name}[..., {part}]" for name, part in parts.items()),
    )


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


def code_of(kernel: Any) -> str:
    """How code spells a kernel, or one that `nbad.grad` or `nbad.value_and_grad` made of it.

    Examples
    --------
    >>> import nbad
    >>> f = nbad.kernel(lambda x, y: x * y)
    >>> code_of(nbad.grad(nbad.grad(f), "y"))
    "nbad.grad(nbad.grad(f), 'y')"
    """
    if not _is_derived(kernel):
        return name_in_code(kernel)
    base, _, (name, _, _, by) = kernel._made_from
    inner, verb = code_of(base), name.removeprefix(f"{base.__name__}_")
    if verb == "value_and_grad" and len(by) > 1:
        return f"lambda *xs: ({inner}(*xs), *nbad.grad({inner}{_chosen(base, by)})(*xs))"
    return f"nbad.{verb}({inner}{_chosen(base, by)})"


def _is_derived(kernel):
    return bool(kernel.by) and kernel._made_from[1] == "derived"


def _chosen(base, by):
    """How code spells what a kernel was differentiated by; not that which it is without, nor parts of structures."""
    return "" if by == base.parameters[:1] or base.written is not base else f", {by if len(by) > 1 else by[0]!r}"


def spelled(kernel, arguments, verb=None, selected=None, /, **options):
    """A call of a kernel, or of a transform of it, with these arguments.

    Examples
    --------
    >>> import nbad
    >>> f = nbad.kernel(lambda x, y: x * y)
    >>> spelled(f, ["x", "y"]), spelled(f, ["x", "y"], "jvp"), spelled(nbad.grad(f), ["x"])
    ('f(x, y)', 'nbad.jvp(f, (x, y,), (1.0, 1.0,))', 'nbad.grad(f)(x)')
    """
    xs, more = ", ".join(arguments), "".join(f", {key}={value}" for key, value in options.items())
    if verb == "value_and_grad" and _is_derived(kernel) and kernel.__name__.endswith("_value_and_grad"):
        base, by = kernel._made_from[0], kernel._made_from[2][-1]
        return f"nbad.value_and_grad({code_of(base)}{_chosen(base, by)})({xs}{more})"
    name = code_of(kernel)
    if verb in ("vjp", "linearize", "explain", "check_kernel", "profile"):
        return f"nbad.{'testing.' * (verb == 'check_kernel')}{verb}({name}, {xs}{more})"
    if verb in ("jvp", "hvp"):
        return f"nbad.{verb}({name}, ({xs},), ({', '.join(['1.0'] * len(arguments))},){more})"
    if verb in lines.MADE_BY.values() or verb in ("grad", "value_and_partials"):
        return f"nbad.{verb}({name}{'' if selected is None else f', {selected!r}'})({xs}{more})"
    return f"{name}({xs}{more})"


def respelled(kernel, arguments, selected=None, /, **options):
    """The call of the user's line that is running, of a partner's verb too, with these arguments and `argnums`, if it had any.

    Examples
    --------
    >>> import nbad
    >>> respelled(nbad.kernel(lambda x: x), ["x"])
    'f(x)'
    """
    selected, partner = lines.argnums() if selected is None else selected, lines.partner()
    line = spelled(kernel, arguments, lines.verb(), selected, **options)
    return line.replace("nbad.", f"nbad.integrations.{partner}.", 1) if partner else line


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
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    passed = [f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else p.name for p in named]
    called = lines.verb()
    unknown = next((name for name in kwargs if name not in kernel.parameters), None)
    meant = closest(unknown, sorted({*kernel.parameters, *_OPTIONS.get(called or "", ["out"])} - {unknown}))
    options = {meant: _VALUES[meant]} if meant in _VALUES else {}
    table = table_of(args[0]) if len(args) == 1 else None
    if table is not None:
        return _for_table(kernel, type(args[0]).__name__, *table, kwargs, fault, called)
    if len(args) == 1 and isinstance(args[0], dict) and kernel._required <= args[0].keys() <= set(kernel.parameters):
        passed = [f"**{listing.partition(',')[0]}"]
    return ArgumentTypeError(
        f"`{kernel.__name__}({listing})`: {fault}",
        got=plural(len(args) + len(kwargs), "argument"),
        expected=f"{len(kernel.parameters)} at most: {listing}" if listing else "none",
        meant=meant and f"{meant}=",
        fix=respelled(kernel, passed, kwargs.get("argnums"), **options),
    )


def _for_table(kernel, kind, partner, code, kwargs, fault, called):
    """The error where a partner's table stands for all arguments."""
    listing = ", ".join(kernel.parameters)
    has_verb = called in VERBS
    columns = [f"{code}[{name!r}]" for name in kernel.parameters if name not in kwargs]
    if called not in (None, "Kernel", "value_and_grad"):  # which leave labels to NumPy's ufuncs
        columns = [f"{column}.to_numpy()" for column in columns]
    given = [*([code] if has_verb else columns), *(f"{name}={name}" for name in kwargs)]
    line = spelled(kernel, given, called, lines.argnums())
    return ArgumentTypeError(
        f"`{kernel.__name__}({listing})`: {fault}",
        got=f"a {kind}",
        expected=listing + f"; `nbad.integrations.{partner}` finds them in a {kind}" * has_verb,
        fix=line.replace("nbad.", f"nbad.integrations.{partner}.", 1) if has_verb else line,
    )


def dressed(function: Any, name: str, doc: str | None, signature: inspect.Signature) -> Any:
    """A function that we made, with the name, docstring and signature that a user sees."""
    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__signature__ = doc, signature
    return function


def in_order(parameters: Iterable[inspect.Parameter], given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by position, as far as that goes, for a wrapper may take `*args` only; and the others by name."""
    parameters = list(parameters)
    leading = list(itertools.takewhile(lambda p: p.name in given and p.kind is not p.KEYWORD_ONLY, parameters))
    return [given[p.name] for p in leading], {p.name: given[p.name] for p in parameters[len(leading) :] if p.name in given}


def with_outputs(name: str, traced: Any, cores: Iterable[Sized], leaves: tuple[Any, ...] | None, sizes: Sizes = ()) -> Any:
    """A traced kernel that returns what its signature says: `leaves`, or numbers where it says nothing.

    `cores` are those of its arguments, as they were written: with the letters that `sizes` has.
    """
    returned, arguments = groups(traced.outputs), groups(cores)
    if leaves is None and all(math.prod(core) == 1 for core in traced.outputs):
        traced = traced._replace(outputs=((),) * len(traced.outputs))  # such as `np.atleast_1d` makes
    if leaves is None and any(traced.outputs):
        raise TraceError(
            f"kernel `{name}` returns an array, but has no signature that says so",
            got=returned,
            expected="one number, or a tuple of numbers",
            fix=f'@nbad.kernel(signature="{arguments}->{returned}")',
        )
    if leaves is not None and traced.outputs != leaves:
        raise TraceError(
            f"kernel `{name}` does not return what its signature says",
            got=returned,
            expected=groups(leaves),
            fix=f'signature="{arguments}->{groups(_with_letters(traced.outputs, sizes))}"',
        )
    return traced


def in_core_shape(kernel: str, name: str, default: Any, core: tuple[int, ...]) -> np.ndarray:
    """The default of a parameter as an array of its core shape."""
    array = np.array(default, dtype=float)
    if array.shape != core:
        raise ArgumentValueError(
            f"kernel `{kernel}`: the default of {name} does not have its core shape",
            got=f"shape {array.shape}",
            expected=f"shape {core}, as in the signature {group(core)}",
            fix=f"np.broadcast_to(default, {core})",
        )
    return array
