"""A call of a verb, analysed: the specialization, the operands, the differentiated arguments, and what is said of wrong ones."""

import inspect
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np

from nbad import config, foreign, labels, lines
from nbad.api.inspected import without_derivatives, without_numbers
from nbad.api.kernel import Kernel
from nbad.api.signatures import name_in_code, respelled, spelled
from nbad.errors import ArgumentTypeError, ArgumentValueError, InternalError, closest, misfit
from nbad.foreign import shown
from nbad.graphs.kernels import is_kernel
from nbad.graphs.structures import in_tuple
from nbad.indexing.index import Index
from nbad.indexing.indexed import Indexed
from nbad.memo import MISSING
from nbad.pipeline import Program
from nbad.runtime.nonfinite import check_derivatives, warn_of_equalities
from nbad.runtime.operands import WEAK, Layout, Operands, is_discrete, read, without_derivative
from nbad.runtime.out import check_out

F = TypeVar("F", bound=Callable[..., Any])
MAKERS = (  # of functions of xs
    *("jacobian", "value_and_jacobian", "grad", "value_and_grad"),
    *("hessian", "normal_equations", "sparse_jacobian", "sparse_hessian"),
)
PATHS = {"check_kernel": "testing.check_kernel"}
TAKES = {
    "jvp": "(x,), (1.0,)",
    "hvp": "(x,), (1.0,)",
    "show": "'source'",
    "export": "'float64'",
    "Problem": "{'x': 1.0}",
}  # behind the kernel; others take the arguments


class Call(NamedTuple):
    """A kernel's call, analysed: the specialization, the operands, and which arguments are differentiated."""

    program: Program
    operands: Operands
    arguments: tuple[int, ...]
    wrt: tuple[int, ...]  # the input slots of these
    names: tuple[str, ...]

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays of the arguments."""
        return self.operands.arrays

    @property
    def given(self) -> tuple[np.ndarray, ...]:
        """All that a sweep reads: these, and behind them the indices by which some are picked."""
        return self.operands.given

    @property
    def layout(self) -> Layout:
        """Their layout."""
        return self.operands.layout

    @property
    def indices(self) -> tuple[Index | None, ...]:
        """The index of each differentiated argument; empty where no argument has any."""
        return tuple([self.operands.indices[k] for k in self.arguments]) if self.operands.indices else ()

    def by(self, names):
        """The same call, differentiated by the arguments of these names only."""
        arguments = tuple(k for k in self.arguments if self.program.names[k] in names)
        if not arguments:
            raise _nothing(self.program, self.arrays, names)
        return Call(self.program, self.operands, *_differentiated(self.program, arguments))


def _refuse_partners(f, program, values, xs, kwargs):
    """Refuse arrays of a partner that has a verb for them, with the call of that; do nothing without."""
    verb = lines.verb()
    partner = foreign.partner(verb, values)
    if partner is None or (partner != "dask" and any((*program.cores, *program.leaves))):
        return
    named = dict(zip(program.names, values, strict=True))
    name, part = next((name, value) for name, value in named.items() if foreign.part_of(value) is not None)
    if f.written is not f:  # of arguments with structure
        f, kwargs = f.written, {}
        xs = f.parameters
    given = [_column(each, named.get(each)) for each in f.parameters[: len(xs)]]
    line = spelled(f, [*given, *(f"{key}={key}" for key in kwargs)], verb, lines.argnums())
    if verb == "jvp":
        along = in_tuple([_tangent(named.get(each)) for each in f.parameters[: len(xs)]])
        line = f"nbad.jvp({name_in_code(f)}, {in_tuple(given)}, {along})"
    raise ArgumentTypeError(
        f"{program.call}: {name} is a {foreign.named(part)}",
        got=foreign.named(part),
        expected=f"NumPy arrays and numbers; `nbad.integrations.{partner}` has functions for such arguments",
        fix=line.replace("nbad.", f"nbad.integrations.{partner}.", 1),
    ) from None


def _column(name, value):
    """How code spells an argument of a partner's verb: of a table a column, since one table stands for all arguments."""
    return f"{name}[{next(iter(value), 'x')!r}]" if foreign.table_of(value) else labels.of_numbers(name, value)


def _tangent(value):
    """How code spells a tangent of a value; of what has no derivative it is None."""
    value = next(iter(dict(value).values()), 1.0) if foreign.table_of(value) else value  # of a table, a column
    return "1.0" if getattr(getattr(value, "dtype", None), "kind", "f" if type(value) in WEAK else "") == "f" else "None"


def _differentiated(program, arguments):
    """Numbers of arguments, their input slots and their names."""
    return arguments, program.input_slots(arguments), tuple(program.names[k] for k in arguments)


def analyse(f, xs, kwargs, argnums):
    """Bind, read and check a call; `argnums` as the user gave them."""
    check_kernel(f)
    program, values = f.bind(xs, kwargs)
    try:
        operands = read(program, values)
    except ArgumentTypeError:
        _refuse_partners(f, program, values, xs, kwargs)
        raise
    chosen = selection(argnums)
    key = "arguments", None if chosen is None else repr(chosen)  # as text 1, 1.0 and True differ
    found = operands.layout.remember(key, lambda: _differentiated(program, _select(f, program, operands, chosen)))
    call = Call(program, operands, *found)
    if config.debug.get():
        check_derivatives(program, operands, call.wrt)
        warn_of_equalities(f.origin.bind(xs, kwargs)[0], operands, call.wrt)
    return call


def plain_name(verb, *options):
    """What the entries of a verb with its options are kept under."""
    return verb, *[None if option is None else repr(option) for option in options]  # as text 1, 1.0 and True differ


def keep_plain(f, key, call, argnums, count, make):
    """Keep an entry for later calls like this one, of so many arguments, which differentiate by the same always."""
    is_whole = len(call.program.names) == count and (argnums is not None or len(call.arguments) == count)
    if is_whole and call.layout.is_small and not config.debug.get():
        f.plain.keep(key, (count, call.layout.dtype, call.program.cores), make)


def check_kernel(f):
    """Refuse what `nbad.kernel` did not make."""
    if not isinstance(f, Kernel):
        verb, partner = lines.verb() or "vjp", lines.partner()
        path = f"integrations.{partner}.{verb}" if partner else PATHS.get(verb, verb)
        raise ArgumentTypeError(
            f"`nbad.{path}(f, ...)`: the first argument is not a kernel",
            got=shown(f),
            expected="a function decorated with @nbad.kernel",
            fix=_kernel_of(f, verb, path),
        )


def refuse_picked(f, xs):
    """Refuse arguments that are picked by an index, where arrays are laid out anew."""
    if any(isinstance(x, Indexed) for x in xs):
        verb = PATHS["check_kernel"]
        raise ArgumentTypeError(
            f"`nbad.{verb}({f.__name__}, ...)`: an argument is picked by an index, and arrays are laid out anew",
            got="nbad.indexed(a, i)",
            expected="arrays",
            fix=f"nbad.{verb}({name_in_code(f)}, {', '.join(f.parameters)})  # with a[i] in its place",
        )


def _kernel_of(f, verb, path):
    """The line that makes a kernel of a function, or the call that was meant."""
    name = name_in_code(f)
    if isinstance(getattr(f, "__wrapped__", None), Kernel):  # what `nbad.jacobian` and its kin return
        return f"nbad.grad({name})  # a kernel, which may be differentiated again"
    if isinstance(f, np.ufunc) or is_kernel(f):
        return f"nbad.kernel(lambda x: {'np.' * isinstance(f, np.ufunc)}{name}(x))"
    if callable(f) and not str(getattr(f, "__module__", "")).startswith("nbad."):
        return f"nbad.kernel({name}{'.py_func' * hasattr(f, 'py_func')})"
    is_maker = verb in (*MAKERS, "function", "value_and_partials")
    return f"nbad.{path}(f)(x)" if is_maker else f"nbad.{path}(f, {TAKES.get(verb, 'x')})"


def says_what_is_missing(function: F) -> F:
    """Give the parameters of a verb defaults, at run time only: so it can say itself what is missing, which costs nothing.

    Parameters that stand for what it has no use for, of type NoReturn, are not shown.
    """
    signature = inspect.signature(function)
    signature = signature.replace(parameters=[p for p in signature.parameters.values() if p.annotation is not NoReturn])
    by_position = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    dressed: Any = function
    dressed.__signature__ = signature
    dressed.__defaults__ = tuple(MISSING if p.default is p.empty else p.default for p in by_position)
    return function


def unfit(method, name, args, unknown, example):
    """The error for a call of a method, shown by another name, that takes anything and was given what it has no use for."""
    signature = inspect.signature(method)
    pairs = zip(args, list(signature.parameters.values())[1:], strict=False)
    given = tuple(value for value, parameter in pairs if value is not MISSING and value is not parameter.default)
    by_position = args if len(args) >= len(signature.parameters) else given
    try:
        signature.bind(None, *by_position, **unknown)
    except TypeError as fault:
        return misfit(method, by_position, unknown, fault, example, name)
    raise InternalError(f"a call of {name} is refused that fits")


def selection(argnums, f=None):
    """What `argnums` selects by, as a tuple or list of its own; None for all real arguments. `f` is what a maker was given."""
    if argnums is None:
        return None
    if isinstance(argnums, tuple | list):
        return argnums[:]
    _refuse_values(argnums, f)
    return tuple(argnums) if are_many(argnums) else (argnums,)


def are_many(argnums):
    """Whether `argnums` selects as one selects several: by any collection but text."""
    return isinstance(argnums, Iterable) and not isinstance(argnums, str)


def _refuse_values(argnums, f):
    """Refuse the kernel's argument where `argnums` belongs, and what has no order."""
    if isinstance(argnums, set | frozenset):
        raise ArgumentTypeError(
            "argnums is a set, which has no order, as results have",
            got=shown(argnums),
            expected="positions or names of parameters, in order",
            fix=f"argnums={in_tuple(sorted(map(repr, argnums)))}",
        )
    is_array = hasattr(argnums, "__array__") and not isinstance(argnums, np.integer)
    if is_array or (f is not None and isinstance(argnums, float)):
        raise ArgumentTypeError(
            f"argnums is {'an array' if is_array else 'a number'}: it selects arguments, and takes none of their values",
            got=type(argnums).__name__,
            expected="positions or names of parameters",
            fix="argnums=0" if f is None else respelled(f, f.parameters),
        )


def _select(f, program, operands, chosen):
    """Numbers of the differentiated arguments: all real ones, or the chosen, which may be none."""
    if not program.names and (chosen is None or len(chosen)):
        raise without_numbers(f)
    if chosen is None:
        return _real(program, operands.arrays)
    numbers = tuple(_argument(f, program, which) for which in chosen)
    for which, k in zip(chosen, numbers, strict=True):
        if numbers.count(k) > 1:
            raise _wrong_argnums(f, program, chosen, f"{which!r} twice")
        if is_discrete(operands.arrays[k]):
            name = program.names[k]
            raise without_derivative(f"{program.call}: argnums names {name}", name, operands.arrays[k])
    return numbers


def _real(program, arrays):
    """Numbers of the arguments that have a derivative."""
    real = tuple(k for k, a in enumerate(arrays) if not is_discrete(a))
    if not real:
        raise _nothing(program, arrays, program.names)
    return real


def _nothing(program, arrays, names):
    """The error for a call whose arguments of these names have no derivative."""
    found = {name: f"{name} of dtype {a.dtype}" for name, a in zip(program.names, arrays, strict=True) if name in names}
    fix = f"{next(iter(found))}.astype(float)" if found else f"({program.names[0]},)"
    return without_derivatives(program.call, ", ".join(found.values()) or "no argument by position", fix)


def _argument(f, program, which):
    """Number among the array arguments of what is selected by its position among all parameters, or by its name."""
    names, name, got = f.parameters, which, reprlib.repr(which)
    if isinstance(which, int | np.integer) and not isinstance(which, bool) and -len(names) <= which < len(names):
        name = names[which]
    if isinstance(name, str) and name in program.names:
        return program.names.index(name)
    if isinstance(name, str) and name in names:
        got = f"{name}, which is static" if name in f.static else f"{name}, which the call does not pass as a number"
    raise _wrong_argnums(f, program, which, got)


def _wrong_argnums(f, program, argnums, got):
    positions = [f.parameters.index(name) for name in program.names]
    one_by_one = positions != list(range(len(f.parameters)))
    listing = ", ".join(map(str, positions)) if one_by_one else f"0 to {len(positions) - 1}"
    chosen = argnums if isinstance(argnums, tuple | list) else (argnums,)
    unknown = next((name for name in chosen if isinstance(name, str) and name not in f.parameters), None)
    meant = closest(unknown, program.names)
    names = (meant,) if meant else program.names[:2]
    return ArgumentValueError(
        f"{program.call}: argnums={reprlib.repr(argnums)} does not select arguments",
        got=got,
        expected=f"positions {listing} or names among {', '.join(program.names)}, each once",
        meant=meant,
        fix=f"argnums={names!r}",
    )


def leaves_for(call, out, headline):
    """The arrays of `out=` for the outputs, checked."""
    program, layout = call.program, call.layout
    return check_out(headline, program.structure.leaves(out), program.leaf_names, layout.leaf_shapes, layout.dtype, call.arrays)


def pair_of(out, headline, names):
    """The two entries of an `out=` that is a pair; two times None where there is none."""
    if out is None:
        return None, None
    if isinstance(out, tuple) and len(out) == 2 and all(part is not None for part in out):
        return out
    pair = ", ".join(names)
    raise ArgumentValueError(
        f"{headline}: out= does not have the structure of the result",
        got=f"a tuple of {len(out)}" if isinstance(out, tuple) else shown(out),
        expected=f"a pair ({pair})",
        fix=f"out=None  # which returns such a pair {pair}, to be filled by later calls with out=({pair})",
    )
