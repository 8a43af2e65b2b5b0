"""`nbad.from_sympy`: a kernel from SymPy expressions."""

import functools
import inspect
import keyword
import re
import unicodedata
from typing import Any

from nbad.api.kernel import Kernel
from nbad.api.signatures import RESERVED, dressed
from nbad.errors import ArgumentTypeError, ArgumentValueError, fitting
from nbad.formulas.from_sympy import DIGITS, parts_of, shown, walk
from nbad.graphs.kernels import Traced
from nbad.graphs.structures import ALONE, in_places, in_tuple
from nbad.lines import user_frame


@fitting("nbad.from_sympy(sympy.Symbol('x') ** 2, sympy.Symbol('x'))")
def from_sympy(expressions: Any, symbols: Any, name: str | None = None) -> Kernel:
    """Make a kernel of SymPy expressions.

    Operations are evaluated in the order in which SymPy keeps their operands. Where SymPy would go on with complex numbers, as in
    `sqrt(-1.0)`, and where no case of a `Piecewise` holds, the value is nan.

    Parameters
    ----------
    expressions : SymPy expression or tuple of them
        One output, or a tuple of outputs, also of one.
    symbols : tuple of Symbol
        The arguments, in order. A name that is no identifier becomes one, for calls by keyword: `sigma_0` for "\\\\sigma_0".
    name : str, optional
        The name of the kernel.

    Returns
    -------
    Kernel

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For symbols that are missing, repeated or no symbols; for matrices and equations.
    TraceError
        For functions that nbad does not know, and for complex constants.

    Examples
    --------
    >>> import nbad, sympy
    >>> x, y = sympy.symbols("x y")
    >>> f = nbad.from_sympy(x**2 * sympy.exp(y), (x, y))
    >>> f(3.0, y=0.0)
    np.float64(9.0)
    >>> nbad.jacobian(f)(3.0, 0.0)
    array([[6., 9.]])
    """
    if name is not None and not isinstance(name, str):
        raise ArgumentTypeError(
            "`nbad.from_sympy(expressions, symbols, name=...)`: name is no text",
            got=repr(name),
            expected="text, or None",
            fix="name='expression'",
        )
    name = name or "expression"
    symbols = _as_symbols(symbols)
    traced = graph_of(expressions, symbols, name)
    is_tuple, expressions = _as_expressions(expressions)
    function = _reference(expressions, symbols, name, is_tuple)
    frame = user_frame()
    function.__module__ = frame.f_globals.get("__name__", "__main__") if frame else "__main__"  # where pickle looks for the name
    return Kernel(function, tracer=functools.partial(_ready, traced))


def _ready(traced, arguments, constants):
    return traced


def graph_of(expressions, symbols, name):
    """The graph of one expression or a tuple of them; its inputs are the symbols in order.

    Examples
    --------
    >>> import sympy
    >>> x, y = sympy.symbols("x y")
    >>> graph_of((x * y,), (x, y), "f").outputs
    ((),)
    """
    is_tuple, expressions = _as_expressions(expressions)
    inputs = dict(zip(symbols, argument_names(symbols), strict=True))
    return Traced(walk(expressions, inputs, name), ((),) * len(expressions), in_places(len(expressions)) if is_tuple else ALONE)


def argument_names(symbols):
    """A name for each symbol: its own, made an identifier that a call can spell, and unlike the others.

    Examples
    --------
    >>> import sympy
    >>> argument_names(sympy.symbols(r"x lambda \\sigma_0 v^{2} seeds"))
    ('x', 'lambda_', 'sigma_0', 'v_2', 'seeds_')
    """
    names: list[str] = []
    for symbol in symbols:
        name = _identifier(symbol.name)
        while name in names:
            name += "_"
        names.append(name)
    return tuple(names)


def _identifier(text):
    text = unicodedata.normalize("NFKC", text)  # as Python does with the names in source text
    if not text.isidentifier():
        text = re.sub(r"\W+|_+(?=\W)", "_", text).strip("_") or "x"
        text = text if text.isidentifier() else f"x{text}"
    return f"{text}_" if keyword.iskeyword(text) or text in RESERVED else text


def _as_expressions(expressions):
    """Whether they are in a tuple, and the expressions as SymPy's own."""
    import sympy

    is_tuple = isinstance(expressions, tuple | list | sympy.Tuple)
    expressions = tuple(map(_as_expression, expressions if is_tuple else (expressions,)))
    if not expressions:
        raise _not_an_expression((), "sympy.Float(1)")
    return is_tuple, expressions


def _as_expression(e):
    import sympy

    if isinstance(e, sympy.MatrixBase | sympy.MatrixExpr | sympy.NDimArray):
        raise _not_an_expression(e, "nbad.from_sympy(tuple(M), symbols)")
    try:
        e = sympy.sympify(e, strict=True)
    except sympy.SympifyError:
        fix = f"sympy.sympify({e!r})" if isinstance(e, str) else "sympy.Float(1)"
        raise _not_an_expression(e, fix) from None
    if isinstance(e, sympy.logic.boolalg.Boolean) and not e.is_Symbol:
        fix = "equation.rhs" if isinstance(e, sympy.Equality) else "sympy.Piecewise((1, condition), (0, True))"
        raise _not_an_expression(e, fix)
    return e


def _not_an_expression(e, fix):
    return ArgumentTypeError(
        "`nbad.from_sympy(expressions, symbols)`: there is no expression to compute",
        got=f"{type(e).__name__} {shown(e)}",
        expected="a SymPy expression of numbers, or a tuple of them",
        fix=fix,
    )


def _as_symbols(symbols):
    symbols = (symbols,) if isinstance(symbols, str) or not hasattr(symbols, "__iter__") else tuple(symbols)
    for symbol in symbols:
        if not getattr(symbol, "is_Symbol", False):
            raise ArgumentTypeError(
                "`nbad.from_sympy(expressions, symbols)`: not all of symbols are symbols",
                got=f"{type(symbol).__name__} {shown(symbol)}",
                expected="SymPy symbols",
                fix='x, y = sympy.symbols("x y")',
            )
    for symbol in symbols:
        if symbols.count(symbol) > 1:
            raise ArgumentValueError(
                f"`nbad.from_sympy(expressions, symbols)`: `{symbol}` comes twice in symbols",
                got=", ".join(map(str, symbols)),
                expected="each symbol once",
                fix=in_tuple([str(each) for each in dict.fromkeys(symbols)]),
            )
    return symbols


def _reference(expressions, symbols, name, is_tuple):
    """The expressions as a Python function of numbers: SymPy's own evaluation, in many digits, rounded once."""
    names = argument_names(symbols)
    signature = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names])

    def function(*args, **kwargs):
        values = evaluated(expressions, dict(zip(symbols, signature.bind(*args, **kwargs).args, strict=True)))
        return values if is_tuple else values[0]

    return dressed(function, name, f"SymPy expressions of {', '.join(names)}.", signature)


def evaluated(expressions, values):
    """The expressions at numbers for their symbols, one operation at a time, by SymPy.

    Raises
    ------
    ValueError
        Where a value is no real number.

    Examples
    --------
    >>> import sympy
    >>> x = sympy.Symbol("x")
    >>> evaluated((x / 3, sympy.exp(x)), {x: 1.0})
    (0.3333333333333333, 2.718281828459045)
    """
    import sympy

    known = {symbol: sympy.Float(value, DIGITS) for symbol, value in values.items()}
    for e in parts_of(expressions):
        if e not in known:
            value = e.func(*(known[a] for a in e.args)) if e.args else e
            known[e] = value.evalf(DIGITS) if e.args and isinstance(value, sympy.Expr) else value
    results = [known[e].evalf(DIGITS) for e in expressions]
    for e, value in zip(expressions, results, strict=True):
        if not value.is_Number:
            raise ValueError(f"{shown(e)} is not a real number here")
    return tuple(map(float, results))
