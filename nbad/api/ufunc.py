"""What kernels have in common with NumPy's ufuncs: counts, `sized`, `outer`; arrays of dask and others, which answer themselves.

NumPy asks every argument that has an `__array_ufunc__` of its own what a ufunc makes of it, and so do kernels: pandas aligns,
xarray pairs dimensions by name, dask stays lazy. Nothing is paired by position, or computed, without being asked for.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nbad import foreign, labels, lines
from nbad.api.signatures import Sizes, check_sizes, code_of, groups, in_order, name_in_code, sizes_in, with_sizes
from nbad.api.statics import is_setting
from nbad.errors import ArgumentTypeError, fitting
from nbad.forks import IMPORTS
from nbad.memo import Memo

if TYPE_CHECKING:
    from nbad.pipeline import Program


class Ufunc:
    """The attributes and methods of ufuncs, for `Kernel`."""

    __name__: str
    __wrapped__: Callable[..., Any]
    by: tuple[str, ...]
    parameters: tuple[str, ...]
    signature: Any
    static: tuple[str, ...]
    letters: tuple[str, ...]
    remember: Memo
    _cores: dict[str, Any]
    _leaves: Any
    _made_from: Any
    _again: Callable[..., Any]
    _parameters: tuple[Any, ...]
    _rest: str | None
    _parts: Callable[..., Any]
    bind: Callable[..., Any]
    whole_program: Callable[[], "Program"]

    @property
    def nin(self) -> int:
        """How many arguments are numbers or arrays: all but the static ones."""
        return len(self._cores)

    @property
    def nout(self) -> int:
        """How many outputs there are; without a signature the kernel is traced for it."""
        return len(self.whole_program().leaves if self._leaves is None else self._leaves)

    @property
    def nargs(self) -> int:
        """Arguments and outputs."""
        return self.nin + self.nout

    @property
    def types(self) -> list[str]:
        """The working dtypes as NumPy writes loops.

        Examples
        --------
        >>> import nbad
        >>> nbad.kernel(lambda x, y: x * y).types
        ['ff->f', 'dd->d']
        """
        return _types(self.nin, self.nout)

    @property
    def takes_where(self) -> bool:
        """Whether `where=` is a mask, and no parameter of the kernel's own."""
        return "where" not in self.parameters and self._rest is None

    def statics_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The static values of a call."""
        return self._parts(args, kwargs)[1]

    def bind_names(self, given: dict[str, Any]) -> tuple["Program", tuple[Any, ...]]:
        """As `bind`, for arguments by name, those that are positional only too."""
        return self.bind(*in_order(self._parameters, given))

    def of(self, names: Sequence[str], values: Sequence[Any], statics: dict[str, Any], **options: Any) -> Any:
        """The kernel of arguments by name."""
        positional, named = in_order(self._parameters, statics | dict(zip(names, values, strict=True)))
        return self(*positional, **named, **options)  # type: ignore[operator]

    @fitting("f.sized(n=3)", "f.sized")
    def sized(self, **sizes: int) -> Any:
        """The kernel of one size: with numbers for the letters of its signature.

        A kernel finds sizes in the arguments of each call. This tells them where there is no call yet, as in code that Numba
        compiles and in `nbad.export`.

        Parameters
        ----------
        **sizes : int
            A number for each letter.

        Returns
        -------
        Kernel

        Raises
        ------
        ArgumentTypeError
            If the letters are others.
        ArgumentValueError
            If a number is no size.

        Examples
        --------
        >>> import nbad, numpy as np
        >>> dot = nbad.kernel(lambda a, b: np.dot(a, b), signature="(n),(n)->()")
        >>> dot([1.0, 2.0], [3.0, 4.0]), dot([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
        (np.float64(11.0), np.float64(6.0))
        >>> dot.sized(n=2).signature
        '(2),(2)->()'
        """
        check_sizes(name_in_code(self), self.signature, self.letters, sizes)
        return self.at_sizes(tuple((letter, int(sizes[letter])) for letter in self.letters))

    def at_sizes(self, sizes: Sizes) -> Any:
        """The same, made once for each."""
        return self.remember(("sized", sizes), lambda: self._at_sizes(sizes)) if sizes else self

    def _at_sizes(self, sizes):
        made_from: tuple[Any, Any, Any] = self._made_from or (None, None, ())
        base, method, arguments = made_from
        if method in (None, "flat"):
            cores, leaves = with_sizes(self._cores.values(), sizes), with_sizes(self._leaves, sizes)
            return self._again(f"{groups(cores)}->{groups(leaves)}", ("at_sizes", (sizes,)))
        sized = base.at_sizes(sizes)
        if method == "fixed":
            return sized.fixed(*arguments)
        name, tracer, outputs, by = arguments
        tracer = functools.partial(tracer.func, sized, *tracer.args[1:])
        return sized.derived(name, tracer, with_sizes(outputs, sizes), by)

    def sized_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The kernel of the sizes that a call's arguments have; this one, if its signature has no letters."""
        if not self.letters:
            return self
        with IMPORTS:
            from nbad.runtime.operands import as_array
        names, statics, values = self._parts(args, kwargs)
        call = f"`{self.__name__}({', '.join(self.parameters)})`"
        given = dict(zip(names, values, strict=True))
        for p in self._parameters:
            if p.name in self._cores and p.name not in given and p.name not in statics and p.default is not p.empty:
                given[p.name] = p.default
        shapes = {
            name: tuple(value.shape) if hasattr(value, "shape") else as_array(call, name, value).shape
            for name, value in given.items()
            if name in self._cores and not is_setting(value)
        }
        return self.at_sizes(tuple(sizes_in(call, self.signature, self._cores, shapes).items()))

    @fitting("f.outer(np.arange(3.0), np.arange(4.0))", "f.outer")
    def outer(self, a: Any, b: Any, /, *, out: Any = None, **kwargs: Any) -> Any:
        """The kernel of all pairs of elements of two arguments.

        Parameters
        ----------
        a, b : array_like
            The arguments that are not static, in order.
        out : array or tuple of arrays, optional
            Filled and returned, as in a call.
        **kwargs
            Static arguments, and `where=`, as in a call.

        Returns
        -------
        array or tuple of arrays
            The shape is that of `a` followed by that of `b`, both without core axes.

        Raises
        ------
        ArgumentTypeError
            For kernels of another number of arguments.

        Examples
        --------
        >>> import nbad
        >>> nbad.kernel(lambda x, y: x - y).outer([1.0, 2.0], [0.0, 1.0, 5.0])
        array([[ 1.,  0., -4.],
               [ 2.,  1., -3.]])
        """
        with IMPORTS:
            from nbad.runtime.operands import WEAK, as_array
        name, names = name_in_code(self), tuple(self._cores)
        if len(names) != 2:
            raise ArgumentTypeError(
                f"`{name}.outer(a, b)`: all pairs are made of two arguments",
                got=f"{len(names)}: {', '.join(names)}",
                expected="a kernel of two arguments",
                fix=f"{name}(*np.ix_({', '.join(names)}))  # for all combinations, of vectors",
            )
        call = f"`{name}.outer({', '.join(names)})`"
        first, second = (as_array(call, name, value) for name, value in zip(names, (a, b), strict=True))
        axes, core = second.ndim - len(self._cores[names[1]]), (slice(None),) * len(self._cores[names[0]])
        passed = [x if type(x) in WEAK else array for x, array in ((a, first[(..., *(None,) * axes, *core)]), (b, second))]
        statics = {name: kwargs.pop(name) for name in self.static if name in kwargs}
        return self.of(names, passed, statics, out=out, **kwargs)


def _types(nin: int, nout: int) -> list[str]:
    return [f"{kind * nin}->{kind * nout}" for kind in "fd"]


class StandIn:
    """What arguments with an answer of their own are handed in place of a kernel.

    Their libraries look functions of their own up by a ufunc's `__name__`: of a kernel named `add`, pandas would make `a + b`.

    Parameters
    ----------
    kernel : Kernel
    program : Program
        The specialization that the call uses.
    names : tuple of str
        Of the arguments that it passes as numbers or arrays.
    statics : dict
        The other ones.
    """

    def __init__(self, kernel: Any, program: "Program", names: tuple[str, ...], statics: dict[str, Any]):
        self._kernel, self._program, self._names, self._statics = kernel, program, names, statics
        self.__name__ = self.__qualname__ = f"nbad.{kernel.__name__}"
        self.nin, self.nout, self.nargs = len(names), len(program.leaves), len(names) + len(program.leaves)
        self.types, self.signature, self.identity = _types(self.nin, self.nout), None, None
        if any(program.cores) or any(program.leaves):
            self.signature = f"{groups(program.cores)}->{groups(program.leaves)}"
        self.fault: BaseException | None = None

    def __call__(self, *values: Any, **options: Any) -> Any:
        """The kernel of arrays, or of what answers in its own way in turn, such as dask's arrays within xarray's."""
        unknown = next((name for name in options if name not in ("out", "where")), None)
        if unknown is not None:
            raise TypeError(f"{self!r} takes out= and where=, not {unknown}=")
        with ExitStack() as stack:
            stack.push(self._note)
            made = self._kernel.of(self._names, values, self._statics, **options)
        leaves = self._program.structure.leaves(made)
        return leaves if self.nout > 1 else leaves[0]

    def _note(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """Remember what the kernel raised: a library may raise it, or something else instead."""
        self.fault = error or self.fault

    def __repr__(self) -> str:
        return f"<{self.__name__}{self._names}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _stand_in, (self._kernel, self._names, self._statics)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """What tells it from others: dask computes what has one token once, and an edited kernel keeps its name."""
        with IMPORTS:
            from nbad.plans.kept import key
        program = self._program
        flags = key(program.flags.graph) if program.flags else None
        return self.__name__, self._names, key(program.graph), flags, program.math, program.errors


def _stand_in(kernel: Any, names: tuple[str, ...], statics: dict[str, Any]) -> StandIn:
    """A stand-in in another process."""
    return StandIn(kernel, kernel.bind_names(dict.fromkeys(names, 0.0) | statics)[0], names, statics)


def asked(kernel: Any, program: "Program", values: tuple[Any, ...], statics: dict[str, Any]) -> Any:
    """What the first argument with an answer of its own makes of a call, in the kernel's structure."""
    named = dict(zip(program.names, values, strict=True))
    stand_in = StandIn(kernel, program, program.names, statics)
    fault = None
    for value in _in_turn(values, stand_in.signature is not None):
        options = _options(stand_in, value, values)
        if stand_in.nout > 1 and type(value).__name__ == "ArrowExtensionArray":  # pandas would make one array of all outputs
            made = stand_in(*(np.asarray(v) if isinstance(v, type(value)) else v for v in values))
            return program.structure.build(tuple(map(type(value)._from_sequence, made)))
        try:
            answer = type(value).__array_ufunc__(value, stand_in, "__call__", *values, **options)
        except (TypeError, RuntimeError, ValueError, AssertionError) as error:
            labels.refuse_others(program.call, named)  # not before: to ask a table for its dtypes is a fifth of a small call
            _refuse_shapes(program, named)
            if error is stand_in.fault:
                if stand_in.nout > 1 and any(map(labels.is_lazy, values)):  # it asked dask, which answers for one output alone
                    break
                raise
            # of labels with other levels pandas before 3.1 only asserts that they fit
            tells_of_labels = isinstance(error, ValueError | AssertionError) or labels.of_one_kind(named)
            if stand_in.fault is None and tells_of_labels:
                raise labels.unaligned(program.call, named, value, error) from error
            fault = error
            break
        leaves = answer if stand_in.nout > 1 else (answer,)
        if answer is not NotImplemented and isinstance(leaves, tuple):  # polars says one thing, however many the outputs are
            return program.structure.build(leaves)
    labels.refuse_others(program.call, named)
    _refuse(kernel, program, named, statics, fault)


def _refuse_shapes(program: "Program", named: dict[str, Any]) -> None:
    """Refuse shapes that do not broadcast, where at most one argument has names or labels, by which libraries pair."""
    tied = sum(labels.has_labels(value) or hasattr(value, "dims") for value in named.values())
    codes = {name: foreign.indexable(value, name) for name, value in named.items()}
    names = sorted(named, key=lambda name: codes[name] == name)  # new axes are for those that are given up
    shapes = [_shape(named[name]) for name in names]
    if tied < 2 and not any(program.cores) and all(isinstance(n, int) for shape in shapes for n in shape):
        with IMPORTS:
            from nbad.runtime.operands import common_shape
        common_shape(program.call, [codes[name] for name in names], shapes)


def _shape(value: Any) -> Any:
    """The shape of an array or a flat list; none where there is no other one."""
    if isinstance(value, list | tuple) and not any(isinstance(each, list | tuple) for each in value):
        return (len(value),)
    return shape if type(shape := getattr(value, "shape", ())) is tuple else ()


def _options(stand_in: StandIn, value: Any, values: tuple[Any, ...]) -> dict[str, Any]:
    """For dask the dtype of the result: to find it, dask runs functions on memory that holds anything, which may raise.

    What kernels do not take is refused: arrays tell their dtypes, and of which kind their blocks are, before they are computed.
    """
    if type(value).__module__ != "dask.array.core" or stand_in.signature is not None or stand_in.nout > 1:
        return {}
    with IMPORTS:
        from nbad.runtime.operands import as_array
    for name, each in zip(stand_in._names, values, strict=True):
        dtype = getattr(each, "dtype", float)
        is_told = isinstance(dtype, type | np.dtype) and not isinstance(each, np.ma.MaskedArray)
        as_array(stand_in._program.call, name, np.ones((), dtype) if is_told else each)
        if isinstance(getattr(each, "_meta", None), np.ma.MaskedArray):
            raise ArgumentTypeError(
                f"{stand_in._program.call}: {name} is a masked array",
                got="a dask array of masked arrays",
                expected="an array without a mask",
                fix=f"da.ma.filled({name}.astype(float), np.nan)",
            )
    dtypes = [np.dtype(getattr(v, "dtype", float)) for v in values if type(v) not in (float, int, bool)]
    return {"dtype": np.dtype(np.float32 if set(dtypes) == {np.dtype(np.float32)} else np.float64)}


def _in_turn(values: tuple[Any, ...], is_vectors: bool) -> Iterator[Any]:
    """Those that answer, as NumPy asks them: one of each type, from left to right, but types before those they derive from."""
    left: list[Any] = []
    for value in values:
        if foreign.answers(value, is_vectors) and type(value) not in map(type, left):
            left.append(value)
    while left:
        is_base = [any(type(b) is not type(a) and isinstance(b, type(a)) for b in left) for a in left]
        yield left.pop(is_base.index(False))


def _refuse(kernel: Any, program: "Program", named: dict[str, Any], statics: dict[str, Any], fault: Any) -> NoReturn:
    """The error for arguments of which nobody knows what the kernel makes of them."""
    odd = [pair for pair in named.items() if foreign.part_of(pair[1]) is not None]
    # rather what has no axes than an array that does not take it; what dask delays has whatever attribute one asks for
    name, value = min(odd, key=lambda pair: isinstance(getattr(pair[1], "ndim", None), int))
    part = foreign.part_of(value)
    raise ArgumentTypeError(
        f"{program.call}: {name} is a {foreign.named(part)}",
        got=foreign.named(part) + (f", which says: {str(fault).splitlines()[0]}" if str(fault or "") else ""),
        expected="a NumPy array: labels, units and the like would be lost",
        fix=_line(kernel, program, named, statics, part) or foreign.line_for(value, part, name),
    ) from fault


def _line(kernel: Any, program: "Program", named: dict[str, Any], statics: dict[str, Any], part: Any) -> str | None:
    """The call of dask's or xarray's function that applies such a kernel; None for others."""
    package, name, outputs = type(part).__module__, code_of(kernel), len(program.leaves)
    settings = "".join(f", {key}={value!r}" for key, value in statics.items())
    if labels.has_labels(part) and any(map(labels.is_of_xarray, named.values())):
        made = {labels.for_xarray(n, value): value for n, value in named.items()}
        if list(made) != list(named) and not any(program.cores):
            return f"{name}({', '.join(made)}{settings})"
        results = [[f"{letter}{k}" for letter, _ in zip("abc", core, strict=False)] for k, core in enumerate(program.leaves)]
        sizes = {d: n for own, core in zip(results, program.leaves, strict=True) for d, n in zip(own, core, strict=True)}
        kwargs = f", kwargs={statics!r}" if statics else ""
        return labels.by_apply_ufunc(name, made, program.cores, results, sizes, kwargs)
    table = next((each for each, value in named.items() if foreign.table_of(value)), None)
    if table is not None and package.partition(".")[0] == "pandas":  # where it is alone, pandas takes it
        # one column for each of the table's, of the same names
        whole = f"pd.concat([{{}}] * {table}.shape[1], axis=1).set_axis({table}.columns, axis=1)"
        given = [whole.format(n) if hasattr(v, "to_frame") else n for n, v in named.items()]
        return f"{name}({', '.join(given)}{settings})" if given != list(named) else None
    if package == "dask.array.core" and hasattr(part, "map_blocks"):
        if outputs == 1 and not any((*program.cores, *program.leaves)):
            return None
        if lines.verb() == "value_and_grad":
            base, by = kernel._made_from[0], kernel._made_from[2][-1]
            chosen = repr(by if len(by) > 1 else by[0])
            return f"nbad.integrations.dask.value_and_grad({code_of(base)}, {chosen})({', '.join(named)}{settings})"
        return foreign.by_apply_gufunc(name, named, program.cores, program.leaves, settings)
    return None
