"""The decorator and the class `Kernel`: a Python function, its signature, and its traced specializations."""

import functools
import inspect
import math
import re
import threading

import numpy as np

from nbad import dispatch
from nbad.broadcast import read
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError, message, user_line
from nbad.graph import evaluate
from nbad.outputs import check_out
from nbad.programs import Program
from nbad.tracer import Argument, trace

RESERVED = ("out", "argnums", "residuals", "seeds", "max_bytes")
MATH = ("simd", "libm")
GROUP = re.compile(r"\(\s*((?:\d+\s*(?:,\s*\d+\s*)*)?)\)")


class Kernel:
    """An elementwise function of arrays, made by `nbad.kernel` from a function of scalars.

    Attributes
    ----------
    __wrapped__ : callable
        The function as it was written.
    signature : str or None
    static : tuple of str

    Examples
    --------
    >>> import nbad
    >>> square = nbad.kernel(lambda x: x * x)
    >>> square([1.0, 2.0])
    array([1., 4.])
    >>> square.__wrapped__(3)
    9
    """

    def __init__(self, function, signature=None, static=(), math="simd", max_operations=5000, tracer=None):
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._tracer = tracer or functools.partial(trace, function, max_operations=max_operations)
        self._parameters = _parameters(function, self.__name__)
        self._static = _static_names(self, static)
        self._math, self.max_operations = _check_math(self.__name__, math), max_operations
        arrays = [p.name for p in self._parameters if p.name not in self._static]
        self._cores, self._leaves = _parse_signature(self.__name__, signature, arrays)
        self.signature, self.static = signature, self._static
        self._programs: dict = {}
        self._lock = threading.RLock()

    def __call__(self, *args, out=None, **kwargs):
        program, values = self.bind(args, kwargs)
        operands = read(program.call, program.names, program.cores, values)
        if out is None:
            leaves = dispatch.new_leaves(program, operands)
        else:
            leaves = self._check_out(program, operands, out)
        dispatch.value(program, operands, leaves)
        if out is not None:
            return out
        results = dispatch.scalars(leaves)
        return tuple(results) if program.is_tuple else results[0]

    def __repr__(self):
        return f"<nbad.Kernel {self.__name__}{inspect.signature(self.__wrapped__)}>"

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def _inputs(self):
        """The input side of the signature, with an output side that says nothing."""
        return f"{self._inputs_text()}->..." if any(self._cores.values()) else None

    def _inputs_text(self):
        return ",".join(map(_group, self._cores.values()))

    def _check_out(self, program, operands, out):
        names = [f"y{k}" for k in range(len(program.leaves))]
        shapes = [(*operands.shape, *core) for core in program.leaves]
        return check_out(program.call, out, names, shapes, operands.dtype, operands.arrays, program.is_tuple)

    def parameter(self, which):
        """The name of the parameter at a position, or of a name."""
        names = [p.name for p in self._parameters]
        if isinstance(which, str) and which in names and which not in self._static:
            return which
        if isinstance(which, int) and not isinstance(which, bool) and -len(names) <= which < len(names):
            return self.parameter(names[which])
        raise ArgumentValueError(message(
            f"`{self.__name__}({', '.join(names)})`: {which!r} does not select an argument to differentiate by", source=user_line(),
            got=repr(which), expected=f"a position from 0 to {len(names) - 1} or a name", fix=repr(names[0]) if names else None,
        ))

    def traced(self, arguments, constants):
        """The traced graph for the given array arguments and plain values."""
        return self._tracer(arguments, constants)

    def derived(self, name, tracer):
        """A kernel with this one's parameters whose graph `tracer(arguments, constants)` makes."""
        function = _interpreted(self, name, tracer)
        return Kernel(function, self._inputs(), self._static, self._math, self.max_operations, tracer)

    def bind(self, args, kwargs):
        """The specialization that a call uses, and the values of its array arguments."""
        given = self._given(args, kwargs)
        statics = tuple((name, _hashable(self, name, given[name])) for name in self._static if name in given)
        names = tuple(name for name in given if name not in self._static)
        key = names, statics
        program = self._programs.get(key)
        if program is None:
            with self._lock:
                program = self._programs.get(key) or self._specialize(key)
        return program, tuple(given[name] for name in names)

    def whole_program(self):
        """The specialization in which every argument is passed; static ones have their defaults."""
        defaults = {p.name: p.default for p in self._parameters if p.name in self._static}
        return self.bind((), {**{p.name: None for p in self._parameters}, **defaults})[0]

    def bind_traced(self, args, kwargs):
        """What another kernel's trace needs to call this one: the traced graph, and the operand of each of its arguments."""
        given = self._given(args, kwargs)
        names = tuple(name for name in given if name not in self._static)
        statics = {name: given[name] for name in self._static if name in given}
        return self._trace(names, statics), [given[name] for name in names]

    def _given(self, args, kwargs):
        """The arguments that a call passes, by name, in the order of the parameters."""
        parameters = self._parameters
        if not kwargs and len(args) == len(parameters):
            return {p.name: value for p, value in zip(parameters, args, strict=True)}
        try:
            return dict(inspect.Signature(parameters).bind(*args, **kwargs).arguments)
        except TypeError as error:
            names = ", ".join(p.name for p in parameters)
            raise ArgumentTypeError(message(
                f"`{self.__name__}({names})`: {error}", source=user_line(), got=f"{len(args) + len(kwargs)} arguments",
                expected=f"{len(parameters)} at most: {names}", fix=f"{self.__name__}({names})",
            )) from None

    def _specialize(self, key):
        names, statics = key
        traced = self._trace(names, dict(statics))
        program = Program(self.__name__, traced, self._arguments(names), self._math)
        self._programs[key] = program
        return program

    def _arguments(self, names):
        return tuple(Argument(name, self._cores[name]) for name in names)

    def _trace(self, names, statics):
        traced = self._tracer(self._arguments(names), {**self._defaults(names), **statics})
        if self._leaves is not None and traced.outputs != self._leaves:
            raise TraceError(message(
                f"kernel `{self.__name__}` does not return what its signature says", source=user_line(),
                got=", ".join(map(_group, traced.outputs)), expected=", ".join(map(_group, self._leaves)),
                fix=f"signature={self._inputs_text()}->{','.join(map(_group, traced.outputs))}",
            ))
        return traced

    def _defaults(self, names):
        """Defaults of the parameters that a call omits: constants of the trace."""
        return {p.name: p.default for p in self._parameters if p.default is not p.empty and p.name not in names}


def _interpreted(kernel, name, tracer):
    """A plain function that computes a derived kernel's values for one element, with the NumPy interpreter."""
    def function(*args, **kwargs):
        given = kernel._given(args, kwargs)
        names = tuple(n for n in given if n not in kernel._static)
        statics = {n: given[n] for n in kernel._static if n in given}
        traced = tracer(kernel._arguments(names), {**kernel._defaults(names), **statics})
        slots = [value for n in names for value in np.ravel(given[n])]
        values, leaves = iter(evaluate(traced.graph, *slots)), []
        for core in traced.outputs:
            leaf = np.array([next(values) for _ in range(math.prod(core))]).reshape(core)
            leaves.append(leaf if core else leaf[()])
        return tuple(leaves) if traced.is_tuple else leaves[0]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Derived from `{kernel.__name__}`."
    function.__signature__ = inspect.signature(kernel.__wrapped__)
    return function


def _parameters(function, name):
    if not callable(function):
        raise ArgumentTypeError(message(
            "`nbad.kernel(fn)`: fn is not a function", source=user_line(), got=type(function).__name__,
            expected="a Python function of scalars", fix="@nbad.kernel above `def f(x): ...`",
        ))
    parameters = tuple(inspect.signature(function).parameters.values())
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise TraceError(message(
                f"kernel `{name}` takes `{p}`, but every argument needs a name", source=user_line(), got=str(p),
                expected="named parameters", fix=f"def {name}(x, y): ...",
            ))
        if p.name in RESERVED:
            raise TraceError(message(
                f"kernel `{name}` has a parameter named `{p.name}`, which nbad's own calls use", source=user_line(),
                got=f"def {name}(... {p.name} ...)", expected="another name", fix=f"{p.name}_",
            ))
    return parameters


def _static_names(kernel, static):
    names = (static,) if isinstance(static, str) else tuple(static)
    known = [p.name for p in kernel._parameters]
    for name in names:
        if name not in known:
            raise ArgumentValueError(message(
                f"`nbad.kernel(static={static!r})`: `{kernel.__name__}` has no parameter `{name}`", source=user_line(),
                got=name, expected=f"names among {', '.join(known)}", fix=f"static=({known[-1]!r},)" if known else "static=()",
            ))
    return names


def _hashable(kernel, name, value):
    try:
        hash(value)
    except TypeError:
        raise ArgumentTypeError(message(
            f"`{kernel.__name__}`: the static argument {name} is not hashable", source=user_line(), got=type(value).__name__,
            expected="a number, text or tuple: one specialization is kept for each value", fix=f"tuple({name})",
        )) from None
    return value


def _check_math(name, library):
    if library not in MATH:
        raise ArgumentValueError(message(
            f"`nbad.kernel(math=...)` of `{name}`: unknown library", source=user_line(), got=repr(library),
            expected="'simd' or 'libm'", fix="math='simd'",
        ))
    return library


def _parse_signature(name, text, arguments):
    """Core shapes of the arguments by name, and of the outputs or None."""
    if text is None:
        return dict.fromkeys(arguments, ()), None
    sides = [[_shape(group) for group in GROUP.findall(side)] for side in text.split("->")]
    clean = [re.sub(r"[\s,]", "", GROUP.sub("", side)) for side in text.split("->")]
    derived = text.endswith("->...")
    if not derived and (len(sides) != 2 or any(clean) or len(sides[0]) != len(arguments) or not sides[1]):
        raise ArgumentValueError(message(
            f"`nbad.kernel(signature={text!r})` does not fit `{name}({', '.join(arguments)})`", source=user_line(), got=repr(text),
            expected=f"{len(arguments)} groups of literal sizes, an arrow, and a group for each output",
            fix="signature=" + repr(",".join(["()"] * len(arguments)) + "->()"),
        ))
    return dict(zip(arguments, sides[0], strict=True)), None if derived else tuple(sides[1])


def _group(core):
    return "(" + ",".join(map(str, core)) + ")"


def _shape(group):
    return tuple(int(size) for size in group.split(",") if size.strip())


def kernel(fn=None, *, signature=None, static=(), math="simd", max_operations=5000):
    """Make an elementwise kernel of a Python function of scalars.

    The function is traced once for each set of passed arguments; globals, closures and defaults are read then. Derivatives come
    from `nbad.vjp`, `nbad.jvp`, `nbad.jacobian` and their kin.

    Parameters
    ----------
    fn : callable
        Plain Python with `math.*` and `numpy.*` functions; returns one value or a tuple of values.
    signature : str, optional
        Core shapes in NumPy's gufunc notation with literal sizes, such as "(3),()->(2)"; scalars without it.
    static : tuple of str
        Arguments that are Python values fixed when the kernel is traced; one specialization for each value.
    math : {"simd", "libm"}
        Vector functions within a few ulp, or the C library's scalar ones bit for bit.
    max_operations : int
        A kernel of more operations is refused.

    Returns
    -------
    Kernel
        With the function's name, docstring, signature, defaults and keyword arguments.

    Raises
    ------
    TraceError
        At decoration for `*args` and reserved parameter names; at the first call for what cannot be traced.

    Examples
    --------
    >>> import nbad, math
    >>> @nbad.kernel
    ... def damped(x, rate=0.5):
    ...     return math.exp(-rate * x) * math.cos(x)
    >>> damped(0.0)
    np.float64(1.0)
    """
    if fn is None:
        return functools.partial(kernel, signature=signature, static=static, math=math, max_operations=max_operations)
    return Kernel(fn, signature, static, math, max_operations)
