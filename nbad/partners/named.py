"""What all partners ask of a kernel's call: its static values apart from its arguments, and names of outputs and arguments."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nbad import config, foreign
from nbad.api.calls import Call, analyse, check_kernel
from nbad.api.signatures import in_order, name_in_code, spelled
from nbad.errors import ArgumentTypeError, ArgumentValueError, closest
from nbad.graphs.structures import outputs_of
from nbad.indexing.indexed import Indexed
from nbad.pipeline import Program
from nbad.verbs.pushforward import check_count

Names = tuple[str, ...]


class Bound(NamedTuple):
    """A kernel with its static values; the others come in the order of their names."""

    f: Any
    program: Program
    statics: dict[str, Any]

    @classmethod
    def of(cls, f: Any, xs: Sequence[Any], kwargs: dict[str, Any]) -> "tuple[Bound, list[Any]]":
        """A call's, and the values of its arguments."""
        check_kernel(f)
        program, values = f.bind(tuple(xs), kwargs)
        for name, value in zip(program.names, values, strict=True):
            if isinstance(value, Indexed):
                raise ArgumentTypeError(
                    f"{program.call}: {name} is picked by an index, which partners' arrays have no part in",
                    got="nbad.indexed",
                    expected="an array",
                    fix=f"{name}.array[{name}.index.positions]",
                )
        return cls(f, program, f.statics_of(tuple(xs), kwargs)), list(values)

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments that are no static values."""
        return self.program.names

    def call(self, function: Callable[..., Any], values: Sequence[Any], **options: Any) -> Any:
        """A function of the kernel's arguments, as the kernel's parameters want them: by position or by name."""
        given = self.statics | dict(zip(self.names, values, strict=True))
        positional, named = in_order(self.f._parameters, given)
        return function(*positional, **named, **options)

    def structured(self, leaves: Sequence[Any]) -> Any:
        """Outputs in the structure that the kernel returns."""
        return self.program.structure.build(leaves)

    def differentiated(self, values: Sequence[Any], argnums: Any) -> tuple[str, ...]:
        """The names of the arguments that a verb differentiates by; of arrays the dtype counts."""
        one = [np.ones((), x.dtype) if hasattr(x, "dtype") else x for x in values]
        names: tuple[str, ...] = self.call(lambda *xs, **kwargs: without_checks(self.f, xs, kwargs, argnums).names, one)
        return names

    def __reduce__(self) -> tuple[Any, ...]:
        return _bound, (self.f, self.names, self.statics, self.program.cores)

    def without_statics(self) -> Any:
        """The kernel of its other arguments."""
        return self.f.fixed(self.statics) if self.statics else self.f

    def tangents(self, primals: Sequence[Any], tangents: Sequence[Any], table: type, differentiated: Names) -> list[Any]:
        """Those of the arguments that are no static values, where each that was passed has one; a table has them by name."""
        is_table, is_along_table = (len(given) == 1 and isinstance(given[0], table) for given in (primals, tangents))
        if is_along_table:
            return [tangents[0].get(name) for name in self.names]
        names = self.names if is_table else self.f.parameters[: len(primals)]
        check_count(self.f, names, tangents, differentiated, "table" if is_table else None)
        given = dict(zip(names, tangents, strict=True))
        return [given[name] for name in self.names]


def in_tuples(primals: Any, tangents: Any, table: type) -> tuple[Any, Any]:
    """Both, where each may be one table that stands for all arguments."""
    one, other = ((given,) if isinstance(given, table) else given for given in (primals, tangents))
    return one, other


def _bound(f, names, statics, cores=()):
    """One in another process; arrays of the cores tell the sizes that are letters in a signature."""
    numbers = {name: np.zeros(core) for name, core in itertools.zip_longest(names, cores, fillvalue=())}
    return Bound(f, f.bind_names(numbers | statics)[0], statics)


def without_checks(f: Any, xs: Sequence[Any], kwargs: dict[str, Any], argnums: Any) -> Call:
    """A call, analysed by shapes and dtypes: its numbers are not those of the user, and say nothing."""
    debug = config.debug.set(False)
    try:
        call: Call = analyse(f, tuple(xs), kwargs, argnums)
    finally:
        config.debug.reset(debug)
    return call


def leaves_in(function: Callable[..., Any], bound: Bound, *values: Any) -> tuple[Any, ...]:
    """What a verb's function returns, as a flat tuple of arrays."""
    return tuple(leaf for part in outputs_of(bound.call(function, values)) for leaf in outputs_of(part))


def output_names(bound: Bound) -> list[str]:
    """A name for each output: the field or key under which it is returned, or the variable that held it, or `y0`, `y1`, ...

    The only output of a kernel is called as the kernel is.

    Examples
    --------
    >>> import nbad
    >>> output_names(Bound.of(nbad.kernel(lambda x: {"half": x / 2, "twice": x * 2}), (1.0,), {})[0])
    ['half', 'twice']
    """
    program = bound.program
    structure, plain = program.structure, [f"y{k}" for k in range(len(program.leaves))]
    if not structure.is_tuple:
        return [name_in_code(bound.f)]
    fields = [] if structure.kind is tuple else [str(key) for key in structure.keys]
    names = fields or [_variable(program, k) or name for k, name in enumerate(plain)]
    return names if len(set(names)) == len(names) else plain


def _variable(program, k):
    """The name of the kernel's own variable that held an output; None where there is none, or there are many numbers in it."""
    if any(program.leaves):
        return None
    names = program.graph.nodes[program.graph.outputs[k]].names
    return next((name for name in names if name.isidentifier()), None)


def by_name(verb: str, f: Any, table: Any, names: Mapping[Any, Any] | Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a table holds under the names of the kernel's parameters, and those that are passed beside it.

    A parameter that has neither keeps its default.
    """
    check_kernel(f)
    found = {name: table[name] for name in f.parameters if name in names and name in f._cores and name not in kwargs}
    missing = [name for name in f.parameters if name not in found and name not in kwargs and is_needed(f, name)]
    if not missing:
        return found | kwargs
    meant = closest(missing[0], [str(name) for name in names])
    columns = "columns=" * hasattr(table, "columns")
    raise ArgumentValueError(
        f"`{verb}` of `{name_in_code(f)}`: the {foreign.named(table)} has nothing named {missing[0]}",
        got=", ".join(map(str, names)) or "no names",
        expected=", ".join(f.parameters),
        meant=meant,
        fix=f"table.rename({columns}{{{meant!r}: {missing[0]!r}}})" if meant else f"{missing[0]}=1.0  # beside the table",
    )


def without_partner(verb: str, f: Any, values: Iterable[Any], what: str, expected: str) -> ArgumentTypeError:
    """The error for the verb of a partner whose arrays are not among the arguments; those of NumPy's have one of nbad's own."""
    plain = "value_and_jacobian" if verb.endswith("value_and_partials") else verb.rpartition(".")[2]
    return ArgumentTypeError(
        f"`{verb}` of `{name_in_code(f)}`: no argument is a {what}",
        got=", ".join(map(foreign.named, values)) or "nothing",
        expected=expected,
        fix=spelled(f.written, f.written.parameters, plain),
    )


def refuse_unlabelled(verb: str, f: Any, name: str, value: Any, kind: str, table: type, fix: Callable[[], str]) -> None:
    """Refuse an argument that has axes without labels, and a table beside other arguments."""
    is_table = isinstance(value, table)
    if is_table or foreign.axes_of(value):
        what = f"is a {table.__name__}, which stands for all arguments"
        raise ArgumentTypeError(
            f"`{verb}` of `{name_in_code(f)}`: {name} {what if is_table else 'has no labels, and nothing is paired by position'}",
            got=foreign.named(value) if is_table else foreign.shown(value),
            expected=f"{kind} and numbers, or one {table.__name__} alone",
            fix=f"{name}[{next(iter(value), 'x')!r}]" if is_table else fix(),
        )


def is_needed(f: Any, name: str) -> bool:
    """Whether a parameter has no default."""
    return bool(f.default(name) is f._parameters_signature.parameters[name].empty)


def refuse_vectors(verb: str, bound: Bound, fix: Callable[[], str]) -> None:
    """Refuse kernels of vectors: of labels nobody knows which belong to elements, and which to the numbers of one."""
    program = bound.program
    if any((*program.cores, *program.leaves)):
        raise ArgumentTypeError(
            f"`{verb}` of `{name_in_code(bound.f)}`: arguments or results are vectors for each element",
            got=f"signature {bound.f.signature}",
            expected="a kernel of numbers",
            fix=fix(),
        )
