"""Operations of the user's own: a scalar function that Numba compiles, and its partial derivatives.

A primitive is a row of the primitive table like any other. Compiled code calls its function by a name, which each process
resolves to what it compiled itself, and the key of a cached plan holds the partials as they were traced: nothing of a primitive
is ever taken from a cache that an earlier version of it has filled.
"""

import functools
import inspect
import keyword
import numbers
import re
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType
from typing import Any, NamedTuple

import numpy as np

from nbad import lines
from nbad.api.primitive_code import Compiled, pointer_to
from nbad.api.signatures import name_in_code
from nbad.displays.text import plural
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError, closest, fitting
from nbad.forks import IMPORTS, Lock
from nbad.graphs.failures import failure_of
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.graphs.kernels import BoundKernel, Traced
from nbad.graphs.recipes import read_partial
from nbad.language.values import first_traced
from nbad.operations.row import REAL, Operation
from nbad.operations.table import TABLE, newest
from nbad.runtime.failures import Failure, noted, raise_plainly
from nbad.tracing.arguments import Argument, shown_signature, signature_of
from nbad.tracing.tracer import trace

COST = 100.0  # of a call lane by lane, in multiplications
_naming = Lock()  # two threads might take one name


@fitting("nbad.primitive('bump', lambda x: math.exp(-x * x), ['-2*x*v'])")
def primitive(name: str, implementation: Any, partials: Any = None) -> "Primitive":
    """Make an operation of a scalar function and its partial derivatives, or of a formula alone.

    Parameters
    ----------
    name : str
        An identifier; nbad has no operation of this name.
    implementation : function
        Takes one or more floats and returns one, always the same for the same; a Python function that Numba can compile, or one
        that `numba.njit` or `numba.cfunc` made. Or a C function of doubles, which may be called from several threads at once: one
        of ctypes with its types, or a pair `(address, "float64(float64)")`; its parameters are x, y, z, or x0, x1, ... where they
        are more. Or a SymPy expression, whose symbols in the order of their names are the parameters, or a `sympy.Lambda`, which
        has an order of its own: code and partials follow from that.
    partials : sequence, optional for a formula
        For each parameter of `implementation` the partial derivative by it: a number; a Python function of the arguments and
        behind them the value, traced like a kernel when it is first needed; or a formula, as text or as SymPy expression, in
        symbols with the names of the parameters, and `v` for the value.

    Returns
    -------
    Primitive
        To be called in kernels and in partials, its own included; with plain numbers and arrays it computes.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For an implementation that is no function, or that Numba does not compile (at the first call); for partials that do not
        fit.

    Notes
    -----
    What the implementation raises comes out of the call, with a note: from the first element, in C order, that uses the value. A
    partial is used where the value is and a derivative by its argument is asked for, whatever the seeds and tangents are, 0 too.

    Examples
    --------
    >>> import math, nbad
    >>> def bump(x):
    ...     return math.exp(-x * x)
    >>> gauss = nbad.primitive("gauss", bump, ["-2*x*v"])
    >>> f = nbad.kernel(lambda x: 3.0 * gauss(x))
    >>> f(0.0), nbad.grad(f)(1.0) == -6.0 * gauss(1.0)
    (np.float64(3.0), np.True_)

    >>> import sympy
    >>> x, y = sympy.symbols("x y")
    >>> wave = nbad.primitive("wave", sympy.sin(x * y))
    >>> nbad.grad(nbad.kernel(lambda t: wave(t, 2.0)))(0.0)
    np.float64(2.0)
    """
    call = f"`nbad.primitive({name!r}, ...)`"
    _check_name(call, name)
    if hasattr(implementation, "free_symbols") and not getattr(implementation, "is_Matrix", False):
        return _of_formula(call, name, implementation, partials)
    pointer = pointer_to(call, implementation)
    names = pointer.names if pointer else _parameters(call, implementation)
    if partials is None:
        raise ArgumentTypeError(
            f"{call}: there are no partials",
            got="a function alone",
            expected="its partials, or a SymPy expression in its place, from which they follow",
            fix=_partials(names),
        )
    recipes, definition = _recipes(call, name, names, partials), _Definition(name, implementation, partials)
    own: dict[str, Any] = dict(recipes=recipes, cost=COST)
    if pointer:  # a C function cannot raise
        return _made(names, definition, numpy=pointer.of_arrays, address=lambda: pointer.address, **own)
    compiled = Compiled(call, getattr(implementation, "_pyfunc", implementation), len(names))
    failure = dict(numpy=compiled.fails, address=lambda: compiled.failure.address)
    own |= dict(numpy=compiled, address=lambda: compiled.value.address, plain=implementation)
    return _made(names, definition, failure, **own)


def _made(names: tuple[str, ...], definition: "_Definition", failure: Any = None, **row: Any) -> "Primitive":
    """The operation with this row of the table, under a name that is free; beside it the one that tells where it fails."""
    operands = (REAL,) * len(names)
    with _naming.current:
        op = _free_name(definition.name)
        TABLE[op] = Operation(name=op, operands=operands, **row)
        if failure:
            TABLE[failure_of(op)] = Operation(name=failure_of(op), operands=operands, cost=COST, **failure)
    return Primitive(op, names, definition)


def _of_formula(call: str, name: str, formula: Any, partials: Any) -> "Primitive":
    """An operation that a SymPy expression defines: its graph is the implementation, and SymPy's derivatives are the partials."""
    with IMPORTS:
        from nbad.formulas.from_sympy import walk
    # by its name, for derivatives and integrals have variables, too
    is_ordered = any(cls.__name__ == "Lambda" for cls in type(formula).__mro__)
    expression = formula.expr if is_ordered else formula
    symbols = tuple(formula.variables) if is_ordered else tuple(sorted(formula.free_symbols, key=str))
    names = tuple(str(symbol) for symbol in symbols)
    if not names or "v" in names or len(set(names)) < len(names) or not all(map(_is_name, names)):
        raise ArgumentValueError(
            f"{call}: the symbols of the expression are not names of parameters",
            got=", ".join(names) or "none",
            expected="one or more names, each of one symbol; v stands for the value",
            fix=f"nbad.primitive({name!r}, sympy.Symbol('x', real=True) ** 2)",
        )
    graph = walk((expression,), dict(zip(symbols, names, strict=True)), name)
    recipes = _recipes(call, name, names, [expression.diff(symbol) for symbol in symbols] if partials is None else partials)
    return _made(
        names,
        _Definition(name, formula, partials),
        numpy=lambda *operands: evaluate(graph, *operands)[0],
        recipes=recipes,
        formula=graph,
        expansion=functools.partial(_repeated, graph),
        cost=sum(TABLE[node.op].cost for node in graph.nodes if node.op not in ("input", "const")),
    )


def _repeated(graph: Graph, g: Any, *operands: Any) -> Any:
    """The output of a graph, built from other operands by what an expansion is given."""
    values: list[Any] = []
    for node in graph.nodes:
        if node.op == "input":
            values.append(operands[node.payload])
        elif node.op == "const":
            values.append(node.payload)
        else:
            apply = g.where if node.op == "select" else getattr(g, node.op)
            values.append(apply(*(values[a] for a in node.args), *([] if node.payload is None else [node.payload])))
    return values[graph.outputs[0]]


class _Definition(NamedTuple):
    """What the user gave."""

    name: str
    implementation: Any
    partials: Any


class Primitive:
    """An operation of the user's own, made by `nbad.primitive`."""

    def __init__(self, op: str, names: tuple[str, ...], definition: _Definition) -> None:
        self._op, self._names, self._definition = op, names, definition
        self.__name__ = definition.name
        given = definition.implementation
        self.__doc__ = str(given) if hasattr(given, "free_symbols") else getattr(given, "_pyfunc", given).__doc__
        self.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names])

    def __repr__(self) -> str:
        return f"<nbad.primitive {self.__name__}({', '.join(self._names)})>"

    def __reduce__(self) -> tuple[Any, ...]:
        if pointer_to("", self._definition.implementation):
            raise TypeError(f"cannot pickle {self!r}: its C function has an address in this process only")
        return primitive, tuple(self._definition)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        traced = first_traced((args, kwargs))
        if traced is not None:
            return traced._trace.splice(self, args, kwargs)
        return self._computed(self._operands(args, kwargs))

    def bind_traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BoundKernel:
        """What a trace needs to call this: a graph of one operation, each argument's operand and its core shape."""
        operands = self._operands(args, kwargs)
        builder = GraphBuilder(self._op, self._names)
        graph = builder.build([builder.add(self._op, *range(len(operands)), source=lines.place())])
        return BoundKernel(Traced(graph, ((),)), operands, [()] * len(operands))

    def _computed(self, operands: list[Any]) -> Any:
        """The value for plain numbers and arrays; where the implementation raises, this does."""
        before = noted.value
        values = TABLE[self._op].numpy(*operands)
        may_fail = TABLE[self._op].plain is not None and noted.value != before
        failure = Failure.among(TABLE[failure_of(self._op)].numpy(*operands)) if may_fail else None
        if failure is not None:
            element = [float(x[failure.element]) for x in np.broadcast_arrays(*operands)]
            where = f"`{self.__name__}({', '.join(map(str, element))})`: raised at {failure}, in {lines.place()}"
            raise_plainly(self._definition.implementation, element, where)
        return values[()]

    def _operands(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        try:
            return list(self.__signature__.bind(*args, **kwargs).args)
        except TypeError as error:
            raise ArgumentTypeError(
                f"`{self.__name__}({', '.join(self._names)})`: {error}",
                got=plural(len(args) + len(kwargs), "argument"),
                expected=f"{len(self._names)}: {', '.join(self._names)}",
                meant=closest(next((key for key in kwargs if key not in self._names), None), self._names),
                fix=f"{self.__name__}({', '.join(self._names)})",
            ) from None


def _parameters(call: str, implementation: Any) -> tuple[str, ...]:
    """Names of the parameters of a function; Numba's hold the Python functions that they were made of."""
    function = getattr(implementation, "py_func", getattr(implementation, "_pyfunc", implementation))
    if not inspect.isfunction(function):
        is_named = isinstance(implementation, BuiltinFunctionType)
        raise ArgumentTypeError(
            f"{call}: the implementation is not a function",
            got=repr(implementation),
            expected="a Python function, or one that numba.njit made, or a C function",
            fix=f"lambda x: {implementation.__module__}.{implementation.__name__}(x)" if is_named else "lambda x: x * x",
        )
    parameters = signature_of(function).parameters.values()
    if not parameters or any(p.kind is not p.POSITIONAL_OR_KEYWORD or p.default is not p.empty for p in parameters):
        raise ArgumentTypeError(
            f"{call}: the implementation must take one or more arguments, none of them optional",
            got=f"{function.__name__}{shown_signature(function)}",
            expected="positional parameters",
            fix=f"lambda x: {name_in_code(function)}(x)" if parameters else "lambda x: 1.0",
        )
    names = tuple(p.name for p in parameters)
    if "v" in names:
        listed = ", ".join("value" if name == "v" else name for name in names)
        raise ArgumentValueError(
            f"{call}: a parameter of the implementation is named v, which stands for the value",
            got=", ".join(names),
            expected="other names",
            fix=f"lambda {listed}: {name_in_code(function)}({listed})",
        )
    return names


def _named(text: str) -> str:
    """A name like a text."""
    name = "_".join(re.findall("[a-zA-Z0-9]+", text)).lstrip("0123456789") or "own"
    return f"my_{name}" if keyword.iskeyword(name) else name


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _check_name(call: str, name: str) -> None:
    if not isinstance(name, str) or not _is_name(name) or not name.isascii():
        raise ArgumentTypeError(
            f"{call}: the name is not an identifier of ASCII letters",
            got=repr(name),
            expected="a name like `soft_clip`",
            fix=f"name={_named(str(name))!r}",
        )
    if name in TABLE and not TABLE[name].recipes:
        raise ArgumentValueError(
            f"{call}: nbad has an operation of this name", got=name, expected="a name of its own", fix=f"name='my_{name}'"
        )


def _free_name(name: str) -> str:
    """A name that no row has yet: graphs of an earlier primitive of this name keep their own."""
    if name not in TABLE:
        return name
    _, _, number = newest(name).partition(".")
    return f"{name}.{int(number or 1) + 1}"


def _recipes(call: str, name: str, names: tuple[str, ...], partials: Any) -> Callable[[], tuple[Graph, ...]]:
    """What returns all partials as graphs; those that are functions are traced when it is first called."""
    if isinstance(partials, str) or not hasattr(partials, "__len__"):
        partials = (partials,)
    if len(partials) != len(names):
        raise ArgumentValueError(
            f"{call}: there must be one partial for each parameter of the implementation",
            got=plural(len(partials), "partial"),
            expected=f"{len(names)}: by {', '.join(names)}",
            fix=_partials(names),
        )
    makers = [_maker(call, f"{name}_by_{by}", names, partial) for by, partial in zip(names, partials, strict=True)]
    return functools.cache(lambda: tuple(make() for make in makers))


def _partials(names: Sequence[str]) -> str:
    return f"partials={[f'exp(-{name}*v)' for name in names]}  # formulas in {', '.join(names)} and v, the value"


def _maker(call: str, name: str, names: tuple[str, ...], partial: Any) -> Callable[[], Graph]:
    """What makes the graph of one partial."""
    inputs = (*names, "v")
    if isinstance(partial, str | numbers.Real):
        graph = _from_text(call, partial, inputs)
    elif hasattr(partial, "free_symbols"):
        graph = _from_sympy(call, name, partial, inputs)
    elif callable(partial):
        return functools.partial(_from_function, name, partial, _argument_names(call, partial, inputs))
    else:
        raise ArgumentTypeError(
            f"{call}: a partial is neither a function nor a formula",
            got=repr(partial),
            expected=f"a function of ({', '.join(inputs)}), or text or a SymPy expression in these",
            fix=_partials(inputs[:-1]),
        )
    return lambda: graph


def _from_text(call: str, text: Any, inputs: tuple[str, ...]) -> Graph:
    try:
        return read_partial(str(text), inputs)
    except (ValueError, SyntaxError) as error:
        raise ArgumentValueError(
            f"{call}: a partial has a part that nbad does not know",
            got=f"{error} in {str(text)!r}",
            expected=f"a formula in {', '.join(inputs)} and operations of nbad, such as exp, log, sqrt, tanh",
            fix=_partials(inputs[:-1]),
        ) from None


def _from_sympy(call: str, name: str, expression: Any, inputs: tuple[str, ...]) -> Graph:
    with IMPORTS:
        from nbad.formulas.from_sympy import walk
    symbols = {symbol.name: symbol for symbol in expression.free_symbols}
    if not symbols.keys() <= set(inputs):
        raise ArgumentValueError(
            f"{call}: a partial has other symbols than the arguments and v",
            got=str(expression),
            expected=f"symbols among {', '.join(inputs)}",
            fix=_partials(inputs[:-1]),
        )
    return walk((expression,), {symbols.get(name, name): name for name in inputs}, name)


def _argument_names(call: str, partial: Any, inputs: tuple[str, ...]) -> list[str]:
    """How a partial that is a function names its arguments and the value."""
    parameters = list(signature_of(getattr(partial, "py_func", partial)).parameters.values())
    given, left = parameters[: len(inputs)], parameters[len(inputs) :]
    fits = len(given) == len(inputs) and all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in given)
    if not fits or any(p.default is p.empty for p in left):
        raise ArgumentTypeError(
            f"{call}: a partial takes the arguments of the implementation and, behind them, its value",
            got=f"({', '.join(map(str, parameters))})",
            expected=f"({', '.join(inputs)})",
            fix=f"lambda {', '.join(inputs)}: ...",
        )
    return [p.name for p in given]


def _from_function(name: str, partial: Any, names: Sequence[str]) -> Graph:
    traced = trace(partial, [Argument(name) for name in names], {})
    if traced.structure.is_tuple or traced.outputs != ((),):
        raise TraceError(
            f"partial `{name}` returns more than one number",
            got=f"{len(traced.outputs)} outputs",
            expected="one number",
            fix=f"lambda {', '.join(names)}: {name_in_code(partial)}({', '.join(names)})[0]",
        )
    return traced.graph
