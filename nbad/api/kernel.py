"""The class `Kernel`: a Python function, its signature, and its traced specializations."""

import functools
import inspect
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from nbad import config
from nbad.api.entries import VALUE, Entries
from nbad.api.inspected import Inspected, without_numbers, without_sizes, without_structure
from nbad.api.options import ArrayArgument, Out, check_errors, check_math, check_operations, check_passes, working_dtype
from nbad.api.pickling import reduced
from nbad.api.signatures import (
    RECEIVERS,
    cores_of,
    dressed,
    groups,
    in_core_shape,
    in_order,
    letters_in,
    misbound,
    name_in_code,
    parameters_of,
    static_names,
    with_outputs,
)
from nbad.api.statics import copied, identity, is_setting, is_to_blame
from nbad.api.trees import flattened, grouped, names_in
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError, closest, cut, fitting
from nbad.forks import IMPORTS
from nbad.graphs.kernels import BoundKernel
from nbad.memo import MANY, Memo, Recent
from nbad.tracing.arguments import Argument

if TYPE_CHECKING:
    from nbad.pipeline import Program


class Kernel(Inspected):
    """An elementwise function of arrays, made by `nbad.kernel` from a function of scalars.

    Attributes
    ----------
    __wrapped__ : callable
        The function as it was written.
    parameters : tuple of str
        Names of all parameters, static ones included.
    signature : str or None
    static : tuple of str
    errors : "raise" or "nan"

    Examples
    --------
    >>> import nbad
    >>> square = nbad.kernel(lambda x: x * x)
    >>> square([1.0, 2.0])
    array([1., 4.])
    """

    def __init__(
        self,
        function,
        signature=None,
        static=(),
        math="simd",
        max_operations=5000,
        errors="raise",
        max_passes=10_000,
        tracer=None,
    ):
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._tracer = tracer or functools.partial(_trace, function, max_operations=max_operations, max_passes=max_passes)
        self._parameters = parameters_of(function, self.__name__)
        self._parameters_signature = inspect.Signature(self._parameters)
        self.parameters = tuple(p.name for p in self._parameters if p.kind is not p.VAR_KEYWORD)
        self._rest = next((p.name for p in self._parameters if p.kind is p.VAR_KEYWORD), None)
        self._is_plain = all(p.kind is p.POSITIONAL_OR_KEYWORD for p in self._parameters)
        self._required = {p.name for p in self._parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
        self.static = self._static = static_names(self.__name__, self.parameters, static)
        self._math, self.max_operations = check_math(self.__name__, math), check_operations(self.__name__, max_operations)
        self.errors, self.max_passes = check_errors(self.__name__, errors), check_passes(self.__name__, max_passes)
        self._options = self._math, self.max_operations, self.errors, self.max_passes  # what is made of it has them, too
        arrays = [name for name in self.parameters if name not in self._static]
        self._cores, self._leaves = cores_of(self.__name__, signature, arrays)
        self._traces, self._programs = Recent(MANY), Recent()
        self._whole: Program | None = None  # of all parameters, if none is static and all may be given by position
        self.plain, self.remember = Entries(errors == "nan"), Memo()
        self._values = self.plain.runs(VALUE)
        self._made_from, self.signature, self.letters = None, signature, letters_in(self._cores.values())
        self.by: tuple[str, ...] = ()  # the arguments by which the outputs are derivatives

    def __call__(self, /, *args: ArrayArgument, out: Out = None, **kwargs: Any) -> Any:
        try:
            if not kwargs and not config.debug.get():
                for run in self._values:  # as `self.plain` does it, in line: a small call takes 0.7 us instead of 0.8
                    made = run(args, out)
                    if made is not False:
                        return made
            return _general()(self, args, kwargs, out)
        except Exception as error:
            cut(error)
            raise

    def bound(self, args: tuple[Any, ...], out: Out) -> Callable[[], Any] | None:
        """The plain case of a call as a function without arguments; None where it is none, or not yet."""
        return self.plain.bound(VALUE, args, out)

    def __copy__(self) -> "Kernel":
        """Itself, as of a function."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Kernel":
        """Likewise."""
        return self

    def __reduce__(self):
        """Pickle by name or as made from another; what has no name to be found by, through cloudpickle, where that is in use."""
        options = self.signature, self.static, *self._options
        return reduced(self, self._made_from, (Kernel, self.__wrapped__, self._tracer, *options))

    @fitting('f.precompile("float32")', "f.precompile")
    def precompile(self, *dtypes: DTypeLike) -> "Kernel":
        """Compile, or load from the disk cache, what value, forward and reverse sweep need, and the Jacobian of a narrow kernel.

        Parameters
        ----------
        *dtypes : dtype
            Working dtypes, float64 and float32; float64 alone by default.

        Returns
        -------
        Kernel
            This kernel.

        Examples
        --------
        >>> import nbad
        >>> nbad.kernel(lambda x: x * x).precompile("float64", "float32")(3.0)
        np.float64(9.0)
        """
        with IMPORTS:
            from nbad.runtime.plain import precompile
        program, name = self.whole_program(), name_in_code(self)
        for dtype in dtypes or ("float64",):
            precompile(program, working_dtype(f"`{name}.precompile({dtype!r})`", dtype, f"{name}.precompile({{0!r}})"))
        return self

    def __get__(self, instance, owner=None):
        """A method where `self` comes first, a new kernel with the attributes as they are; else, like a ufunc, this kernel."""
        is_method = instance is not None and self.parameters[:1] and self.parameters[0] in RECEIVERS
        return self.fixed({self.parameters[0]: instance}) if is_method else self

    def parameter(self, which: Any) -> str:
        """The name of the parameter at a position, or of a name."""
        names = self.parameters
        if not self._cores:
            raise without_numbers(self)
        is_position = isinstance(which, int | np.integer) and not isinstance(which, bool) and -len(names) <= which < len(names)
        name = names[which] if is_position else which
        if isinstance(name, str) and name in self._cores:
            return name
        shown, meant = reprlib.repr(which), closest(which, self._cores)
        raise ArgumentValueError(
            f"`{self.__name__}({', '.join(names)})`: {shown} does not select an argument to differentiate by",
            got=f"{name}, which is static" if isinstance(name, str) and name in self._static else shown,
            expected=f"a position from 0 to {len(names) - 1} or a name among {', '.join(self._cores)}",
            meant=meant,
            fix=f"argnums={meant or next(iter(self._cores), 0)!r}",
        )

    def default(self, name: str) -> Any:
        """The default of a parameter."""
        return self._parameters_signature.parameters[name].default

    def core(self, name: str) -> tuple[int, ...]:
        """Core shape of an argument."""
        if self.letters:
            raise without_sizes(self)
        return self._cores[name]

    def traced(self, arguments, constants):
        """The graph for the given array arguments and plain values, from which all starts that is derived from this kernel."""
        return self._trace(tuple(a.name for a in arguments), self._statics(constants))

    def derived(self, name, tracer, outputs, by):
        """A kernel with these parameters, and outputs of these core shapes: derivatives by `by`, whose graph `tracer` makes."""
        with IMPORTS:
            from nbad.api.value import interpreted
        function, outputs = interpreted(self, name, tracer), tuple(outputs)
        signature = None if self.signature is None else f"{groups(self._cores.values())}->{groups(outputs)}"
        kernel = Kernel(function, signature, self._static, *self._options, tracer)
        kernel._made_from, kernel.by = (self, "derived", (name, tracer, outputs, by)), (*self.by, *by)
        return kernel

    @property
    def origin(self) -> "Kernel":
        """The kernel of which this one is a derivative, of any order; of others themselves."""
        return self._made_from[0].origin if self._made_from and self.by else self

    @property
    def written(self) -> "Kernel":
        """The kernel of arguments with structure that this flat one was made of; of others themselves."""
        return self._made_from[0] if self._made_from and self._made_from[1] == "flat" else self

    def _again(self, signature, how):
        """The same kernel with another signature."""
        kernel = Kernel(self.__wrapped__, signature, self._static, *self._options, self._tracer)
        kernel._made_from = self, *how
        return kernel

    def fixed(self, statics: dict[str, Any]) -> "Kernel":
        """The kernel of the other arguments, for the given values of static ones."""

        def function(*args, **kwargs):
            return self.__wrapped__(**dict(zip(names, args, strict=False)), **kwargs, **statics)

        def tracer(arguments, constants):
            return self.traced(arguments, {**constants, **statics})

        names = [name for name in self.parameters if name not in statics]
        functools.update_wrapper(function, self.__wrapped__)
        left_over = inspect.Signature([p for p in self._parameters if p.name not in statics])
        dressed(function, self.__name__, self.__doc__, left_over)
        left = [name for name in self.static if name in names]
        kernel = Kernel(function, self.signature, left, *self._options, tracer)
        kernel._made_from, kernel.by = (self, "fixed", (statics,)), self.by
        return kernel

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple["Program", tuple[Any, ...]]:
        """The specialization that a call uses, and the values of its array arguments."""
        if self.letters:
            return self.sized_for(args, kwargs).bind(args, kwargs)
        errors = "raise" if config.raising.get() else self.errors
        is_whole = not kwargs and len(args) == len(self.parameters) and not any(map(is_setting, args))
        if self._whole is not None and is_whole and errors == self.errors:
            return self._whole, args
        names, statics, values = self._parts(args, kwargs)
        key = self._key(names, statics), errors
        return self._programs(key, lambda: self._specialize(names, statics, errors)), tuple(values)

    def whole_program(self) -> "Program":
        """The specialization in which every number is passed; all else has its default."""
        if self.letters:
            raise without_sizes(self)
        values = {}
        for name in self.parameters:
            default = self.default(name)
            if name in self._cores:
                if default is inspect.Parameter.empty or not is_setting(default):
                    values[name] = 0.0
            elif default is inspect.Parameter.empty:
                raise ArgumentTypeError(
                    f"`{self.__name__}`: there is one graph for each value of the static argument {name}",
                    got="no value",
                    expected=f"a default of {name}",
                    fix=f"def {name_in_code(self)}({', '.join([*(n for n in self.parameters if n != name), f'{name}=2'])}): ...",
                )
        try:
            return self.bind_names(values)[0]
        except TraceError:
            if (error := without_structure(self)) is not None:
                raise error from None
            raise

    def bind_traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BoundKernel:
        """What another kernel's trace needs to call this one: the traced graph, each argument's operand and its core shape."""
        flat = flattened(self, args, kwargs)
        if flat is not None:
            return flat.kernel.bind_traced(flat.args, flat.kwargs)
        if self.letters:
            return self.sized_for(args, kwargs).bind_traced(args, kwargs)
        names, statics, operands = self._parts(args, kwargs)
        return BoundKernel(self._trace(names, statics), operands, [self._cores[name] for name in names])

    def _parts(self, args, kwargs):
        """Names of the array arguments that a call passes, its static values, and the values of the former."""
        given = self._given(args, kwargs)
        names = tuple(name for name, value in given.items() if not self._is_static(name, value))
        if not names and not self._cores.keys().isdisjoint(given):  # settings go with numbers: these were to be numbers
            names = tuple(name for name in given if name in self._cores)
        return names, self._statics({n: v for n, v in given.items() if n not in names}), [given[name] for name in names]

    def _is_static(self, name, value):
        """Whether an argument is a constant of the trace: by its declaration, as one of `**kwargs`, or by what it is."""
        return name not in self._cores or is_setting(value)

    def _statics(self, given):
        """The static values among those given, without the defaults: to pass a default is to omit it."""
        known = self._parameters_signature.parameters
        statics = {name: value for name, value in given.items() if self._is_static(name, value)}
        return {name: value for name, value in statics.items() if name not in known or value is not known[name].default}

    def _key(self, names, statics):
        return names, tuple((name, identity(self.__name__, name, value)) for name, value in statics.items())

    def _given(self, args, kwargs):
        """The arguments that a call passes, by name, in the order of the parameters."""
        names = self.parameters
        if self._is_plain:
            passed = dict(zip(names, args, strict=False)) | kwargs
            given = {name: passed[name] for name in names if name in passed}
            if len(given) == len(args) + len(kwargs) and self._required <= given.keys():
                return given
        try:
            given = dict(self._parameters_signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise misbound(self, self._parameters, args, kwargs, error) from None
        return given | given.pop(self._rest) if self._rest in given else given

    def plainly(self, statics, values):
        """Run the function that was written, by a kernel that this one was derived from, for the values of one element."""
        if self._made_from is None:
            positional, named = in_order(self._parameters, statics | values)
            return self.__wrapped__(*positional, **named)
        base, method, made_of = self._made_from
        if method == "flat":
            values = grouped(made_of[0], names_in(base.parameters, made_of[0]), values)
        return base.plainly({**statics, **made_of[0]} if method == "fixed" else statics, values)

    def _is_traced(self):
        return getattr(self._tracer, "func", None) is _trace

    def _specialize(self, names, statics, errors):
        with IMPORTS:
            from nbad.pipeline import Program
        traced = self._trace(names, statics)
        plainly, made_from = functools.partial(self.plainly, statics), (self, copied(statics))
        program = Program(self.__name__, traced, self._arguments(names), self._math, self.by, errors, plainly, made_from)
        if names == self.parameters and self._is_plain and errors == self.errors:
            self._whole = program
        return program

    def _arguments(self, names):
        return tuple(Argument(name, self._cores[name]) for name in names)

    def _trace(self, names, statics):
        """The one trace for these arguments and statics; the kernel of a method, which `fixed` makes anew, keeps its own."""
        if not statics.keys().isdisjoint(RECEIVERS):
            return self._trace_anew(names, statics)
        key = self._key(names, statics)
        # made without holding a lock: kernels that call one another could wait for each other's
        traced = self._traces.known.get(key) or self._trace_anew(names, statics)
        return self._traces(key, lambda: traced)

    def _trace_anew(self, names, statics):
        constants = {**self._defaults(names), **{name: copied(value) for name, value in statics.items()}}
        try:
            traced = self._tracer(self._arguments(names), constants)
        except TypeError as error:
            self._blame(error, names, statics)
            raise
        made = self._made_from
        written, sizes = (made[0], made[2][0]) if made and made[1] == "at_sizes" else (self, ())
        return with_outputs(self.__name__, traced, written._cores.values(), self._leaves, sizes)

    def _blame(self, error, names, statics):
        """Say of a setting that it is no number, where Python's error is that one cannot compute with it."""
        for name in [name for name, value in statics.items() if name in self._cores and is_to_blame(value, error)]:
            with IMPORTS:
                from nbad.runtime.operands import as_array
            passed = ", ".join(each for each in self.parameters if each in names or each in statics)
            as_array(f"`{self.__name__}({passed})`", name, statics[name])

    def _defaults(self, names):
        """Defaults of the parameters that a call omits: constants of the trace."""
        omitted = [p for p in self._parameters if p.default is not p.empty and p.name not in names]
        return {p.name: self._constant(p.name, p.default) for p in omitted}

    def _constant(self, name, default):
        """A default in the core shape of its argument."""
        core = self._cores.get(name, ())
        if not core or is_setting(default):
            return default
        return in_core_shape(self.__name__, name, default, core)


@functools.cache
def _general():
    """What makes values where the call is not the plain case; `import nbad` loads neither the runtime nor what prints code."""
    with IMPORTS:
        from nbad.api.value import value
    return value


def _trace(function, arguments, constants, max_operations, max_passes):
    """Trace a function; the modules that do it are half of nbad, and are not loaded before."""
    with IMPORTS:
        from nbad.tracing.tracer import trace
    return trace(function, arguments, constants, max_operations, max_passes)
