"""The functions of `nbad.special`, `polygamma`, the normal distribution, and NumPy's polynomials."""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad import foreign
from nbad.errors import ArgumentTypeError
from nbad.language import arrays
from nbad.language.meanings import LibraryFunction, Meaning, means
from nbad.language.values import first_traced, plain_number
from nbad.operations.row import Operation
from nbad.operations.table import ROWS, TABLE

if TYPE_CHECKING:
    from nbad.language.trace import Trace

MODULE = "nbad.special"  # where users find them, and where pickles look


def _function(row: Operation, name: str) -> Callable[..., Any]:
    """An operation as a function of numbers and arrays, and of traced values."""

    def function(*operands: Any) -> Any:
        traced = first_traced(operands)
        if traced is not None:
            return traced._trace.call(function, operands, {})
        if len(operands) != len(row.operands):
            raise ArgumentTypeError(
                f"`nbad.special.{name}` is called with {len(operands)} arguments",
                got=f"{len(operands)} arguments",
                expected=f"{len(row.operands)}",
                fix=f"nbad.special.{name}({', '.join(['x', 'y', 'z'][: len(row.operands)])})",
            )
        with np.errstate(all="ignore"):
            return row.numpy(*(_numbers(name, x)[()] for x in operands))[()]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{row.expression}, elementwise."
    function.__module__ = MODULE
    return function


def _numbers(name: str, x: Any) -> np.ndarray:
    """The operand of a function outside of kernels as an array of floats."""
    part = foreign.part_of(x)
    try:
        array = None if part is not None else np.asarray(x)
        if array is not None and array.dtype.kind in "fiub":
            return array.astype(float, copy=False)
    except (ValueError, TypeError, OverflowError):
        array = None
    raise ArgumentTypeError(
        f"`nbad.special.{name}(x)`: x is no array of real numbers",
        got=foreign.shown(x),
        expected="a number, an array, or nested lists of equal lengths",
        fix=foreign.conversion(x, "x", "x") if part is None else foreign.line_for(x, part, "x"),
    )


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma; n is a plain whole number."""
    traced = first_traced((x,))
    if traced is not None:
        return traced._trace.call(polygamma, (n, x), {})
    if _order(n) is None:
        raise ArgumentTypeError(
            "`nbad.special.polygamma(n, x)`: n is no whole number", got=foreign.shown(n), expected="0, 1, 2, ...", fix="n=1"
        )
    return FUNCTIONS["digamma"](x) if n == 0 else TABLE["polygamma"].numpy(_numbers("polygamma", x), n)[()]


polygamma.__module__ = MODULE


def _order(n: Any) -> int | None:
    number = plain_number(n)
    return None if number is None or not number >= 0 or number != number // 1 else int(number)


def _polygamma(trace: "Trace", n: Any, x: Any) -> Any:
    number = _order(n)
    if number is None:
        raise trace.refusal("calls `polygamma` with a first argument that is no plain whole number", "polygamma(1, x)")
    return trace.apply("polygamma", (x,), number) if number else trace.apply("digamma", (x,))


def _of_whole_order(name: str, apply: Callable[..., Any]) -> Any:
    """The meaning of a function whose first operand is a plain whole number."""

    def act(trace: "Trace", n: Any, x: Any) -> Any:
        number = _order(n)
        if number is None:
            what = f"calls `{name}` with a first argument that is no plain whole number"
            raise trace.refusal(what, f"scipy.special.{name}(1, x)")
        return apply(trace, number, x)

    return means(act, each=(1,))


def _zeta(trace: "Trace", x: Any, q: Any = None) -> Any:
    if q is None:
        fix = "scipy.special.zeta(x, 1.0)  # of x above 1, for which it is known"
        raise trace.refusal("calls `zeta` of one number, whose derivative nbad does not know", fix)
    return trace.apply("zeta", (x, q))


def _lambertw(trace: "Trace", z: Any, k: Any = 0, tol: Any = 1e-8) -> Any:
    """The real branches; nan where SciPy's value is complex."""
    branch = plain_number(k)
    if branch not in (0, -1):
        raise trace.refusal(
            "calls `lambertw` for a branch that is not real", "scipy.special.lambertw(x, k=-1)", expected="k=0 or -1"
        )
    return trace.apply("lambertw_lower" if branch else "lambertw", (z,))


def _of_normal(function: Callable[..., Any]) -> Any:
    """The meaning of a function of SciPy's normal distribution; `function` makes it of the standardized number and the scale."""

    def act(trace: "Trace", x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        x, loc, scale = trace.real(x), trace.real(loc), trace.real(scale)
        return trace.apply("select", (scale > 0.0, function(trace, (x - loc) / scale, scale), math.nan))

    return means(act, each=(0, 1, 2))


def _quantile(sign: float) -> Any:
    """The meaning of the inverse of a distribution or survival function."""

    def act(trace: "Trace", q: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        loc, scale = trace.real(loc), trace.real(scale)
        value = loc + scale * (sign * trace.apply("ndtri", (q,)))
        return trace.apply("select", (scale > 0.0, value, math.nan))

    return means(act, each=(0, 1, 2))


def _density(trace: "Trace", z: Any, scale: Any) -> Any:
    return trace.apply("exp", (-z * z / 2.0,)) / math.sqrt(2.0 * math.pi) / scale


def _log_density(trace: "Trace", z: Any, scale: Any) -> Any:
    return -z * z / 2.0 - math.log(math.sqrt(2.0 * math.pi)) - trace.apply("log", (scale,))


# polynomials


def _polyval(trace: "Trace", p: Any, x: Any) -> Any:
    """The polynomial with these coefficients, the highest power first, by Horner's rule, as NumPy does it."""
    coefficients = p.coeffs if isinstance(p, np.poly1d) else p
    return functools.reduce(lambda sum_, coefficient: sum_ * x + coefficient, coefficients, 0.0)


def _series(function: Callable[..., Any]) -> Meaning:
    """A sum of orthogonal polynomials: NumPy's own recurrence, on an array of objects."""

    def act(trace: "Trace", x: Any, c: Any, tensor: bool = True) -> Any:
        return arrays.wrap(trace, arrays.items(trace, function(x, arrays.items(trace, c))))

    return means(act, each=(0,))


def polynomial(value: Any) -> LibraryFunction | None:
    """What calling a polynomial of NumPy's with constant coefficients means; None for all other values."""
    if isinstance(value, np.poly1d):
        return LibraryFunction(value, "numpy.poly1d", means(lambda trace, x: _polyval(trace, value, x)))
    if not isinstance(value, POLYNOMIALS):
        return None

    def act(trace: "Trace", x: Any) -> Any:
        offset, scale = value.mapparms()
        return value._val(offset + scale * x, value.coef)

    return LibraryFunction(value, f"numpy.polynomial.{type(value).__name__}", means(act))


_MODULES = ("polynomial", "chebyshev", "legendre", "laguerre", "hermite", "hermite_e")
_CLASSES = "Polynomial Chebyshev Legendre Laguerre Hermite HermiteE".split()
POLYNOMIALS = (np.poly1d, *(getattr(np.polynomial, name) for name in _CLASSES))
# the value of a series of each kind
SERIES = {
    f"numpy.polynomial.{module}.{name}": getattr(getattr(np.polynomial, module), name)
    for module, name in zip(_MODULES, "polyval chebval legval lagval hermval hermeval".split(), strict=True)
}


def stop_gradient(x: Any) -> Any:
    """`x` itself, of which no derivative is taken.

    Parameters
    ----------
    x : traced value, number or array

    Returns
    -------
    The same.

    Examples
    --------
    >>> import nbad
    >>> f = nbad.kernel(lambda x: x * nbad.stop_gradient(x))
    >>> float(f(3.0)), float(nbad.grad(f)(3.0))
    (9.0, 3.0)
    """
    traced = first_traced((x,))
    return x if traced is None else traced._trace.call(stop_gradient, (x,), {})


# made of the table, so that none is forgotten; `nbad.special` hands them on
FUNCTIONS = {
    name: _function(row, name)
    for row in ROWS
    for module, _, name in (path.rpartition(".") for path in row.spellings)
    if module == MODULE
} | {"polygamma": polygamma}

MEANINGS = {
    "scipy.special.polygamma": means(_polygamma, each=(1,)),
    "nbad.special.polygamma": means(_polygamma, each=(1,)),
    "scipy.special.expn": _of_whole_order("expn", lambda trace, n, x: trace.apply("expint", (x,), n)),
    "scipy.special.kn": _of_whole_order("kn", lambda trace, n, x: trace.apply("besselk", (n, x))),
    "scipy.special.yn": _of_whole_order("yn", lambda trace, n, x: trace.apply("bessely", (n, x))),
    "scipy.special.zeta": means(_zeta),
    "scipy.special.lambertw": means(_lambertw, each=(0,)),
    "scipy.stats.norm.cdf": _of_normal(lambda trace, z, _: trace.apply("ndtr", (z,))),
    "scipy.stats.norm.sf": _of_normal(lambda trace, z, _: trace.apply("ndtr", (-z,))),
    "scipy.stats.norm.logcdf": _of_normal(lambda trace, z, _: trace.apply("log_ndtr", (z,))),
    "scipy.stats.norm.logsf": _of_normal(lambda trace, z, _: trace.apply("log_ndtr", (-z,))),
    "scipy.stats.norm.ppf": _quantile(1.0),
    "scipy.stats.norm.isf": _quantile(-1.0),
    "scipy.stats.norm.pdf": _of_normal(_density),
    "scipy.stats.norm.logpdf": _of_normal(_log_density),
    "numpy.polyval": means(_polyval, each=(1,)),
    **{path: _series(function) for path, function in SERIES.items()},
}
