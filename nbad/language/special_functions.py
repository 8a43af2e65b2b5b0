"""What `nbad.special`, `polygamma`, the normal distribution, NumPy's polynomials and SciPy's splines mean on traced values."""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad import foreign
from nbad.displays.text import plural
from nbad.errors import ArgumentTypeError
from nbad.language import arrays, objects
from nbad.language.lookup import select_tree
from nbad.language.meanings import LibraryFunction, Meaning, means
from nbad.language.values import first_traced, plain_number
from nbad.operations import splines
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
                f"`nbad.special.{name}` is called with {plural(len(operands), 'argument')}",
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


def _polygamma(trace: "Trace", n: int, x: Any) -> Any:
    return trace.apply("polygamma", (x,), n) if n else trace.apply("digamma", (x,))


def _of_whole_order(path: str, apply: Callable[..., Any]) -> Any:
    """The meaning of a function whose first operand is a plain whole number."""
    what = f"calls `{path.rpartition('.')[2]}` with a first argument that is no plain whole number"

    def act(trace: "Trace", n: Any, x: Any) -> Any:
        number = _order(n)
        if number is None:
            raise trace.refusal(what, f"{path}(1, x)")
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


# splines


def value_of(trace: "Trace", pieces: splines.Pieces, x: Any) -> Any:
    """A piecewise polynomial by Horner's rule, its piece found by selects: at a knot the right-hand piece counts."""
    knots = [float(knot) for knot in pieces.knots]
    x = trace.real(x)
    place = knots[0] + (x - knots[0]) % (knots[-1] - knots[0]) if pieces.outside == splines.PERIODIC else x
    step = place - _picked(trace, place, knots, knots[:-1])

    def value(index: tuple[int, ...]) -> Any:
        coefficients = [_picked(trace, place, knots, row[(slice(None), *index)]) for row in pieces.coefficients]
        inside = functools.reduce(lambda total, coefficient: total * step + coefficient, coefficients)
        # a constant has to say itself that nan is nowhere
        inside = inside if len(coefficients) > 1 else trace.apply("select", (x == x, inside, math.nan))
        if isinstance(pieces.outside, str):
            return inside if pieces.outside != splines.NOWHERE else trace.apply("select", (_is_in(x, knots), inside, math.nan))
        below, above = (np.broadcast_to(end, pieces.coefficients.shape[2:])[index] for end in pieces.outside)
        return trace.apply("select", (x < knots[0], below, trace.apply("select", (x > knots[-1], above, inside))))

    shape = pieces.coefficients.shape[2:]
    return arrays.wrap(trace, objects.filled(map(value, np.ndindex(shape)), shape))


def _is_in(x: Any, knots: list[float]) -> Any:
    return (x >= knots[0]) & (x <= knots[-1])


def _picked(trace: "Trace", x: Any, knots: list[float], values: Sequence[Any] | np.ndarray) -> Any:
    """Of one value for each piece that of the piece in which a number lies."""
    values = [value if trace.is_traced(value) else float(value) for value in values]
    return select_tree(trace, values, lambda k: x < knots[k])


def _surface(trace: "Trace", tck: Any, x: Any, y: Any, dx: int, dy: int) -> Any:
    """A tensor product of B-splines, held at its edges: along x first, with one coefficient for each spline along y."""
    what, fix = "calls a surface of splines that nbad does not know", "bisplev(x, y, (tx, ty, c, kx, ky))  # of numbers"
    across, along, table = _read(trace, what, fix, splines.surface, tck)
    degrees = [len(axis.coefficients) - 1 for axis in (across, along)]
    if not all(0 <= order < max(degree, 1) for order, degree in zip((dx, dy), degrees, strict=True)):
        raise trace.refusal("takes a derivative of a surface that SciPy does not compute", "spline.ev(x, y, dx=1)")
    rows = _of_basis(trace, across, x, dx)
    return _of_basis(trace, along, y, dy)([rows(column) for column in table.T.tolist()])


def _of_basis(trace: "Trace", basis: splines.Basis, x: Any, order: int) -> Callable[[Sequence[Any]], Any]:
    """The sum of the B-splines of one axis, as a function of their coefficients."""
    knots = [float(knot) for knot in basis.knots]
    x = trace.real(x)
    held = trace.apply("select", (x < knots[0], knots[0], trace.apply("select", (x > knots[-1], knots[-1], x))))
    local = splines.Pieces(basis.knots, basis.derivative(order).coefficients)
    weights = value_of(trace, local, held)

    def total(coefficients: Sequence[Any]) -> Any:
        near = [_picked(trace, held, knots, [coefficients[n + k] for n in basis.first]) for k in range(len(weights))]
        return functools.reduce(operator.add, map(operator.mul, weights, near))

    return total


def _splev(trace: "Trace", x: Any, tck: Any, der: int = 0, ext: int = 0) -> Any:
    what = "calls `scipy.interpolate.splev` in a way that nbad does not know"
    return value_of(trace, _read(trace, what, "splev(x, (t, c, k))  # of numbers", splines.fitpack, tck, der, ext), x)


def _read(trace: "Trace", what: str, fix: str, make: Callable[..., Any], *operands: Any, **options: Any) -> Any:
    """What `make` makes of a spline and of the other operands of a call."""
    try:
        found = make(*operands, **options)
    except (TypeError, ValueError):  # of other operands than it has, or of knots that make no pieces
        found = None
    if found is None:
        raise trace.refusal(what, fix)
    return found


def spline(value: Any) -> LibraryFunction | None:
    """What calling an object of `scipy.interpolate` means, or its method `ev`; None for all other values."""
    # of a user's object nothing is asked: it may answer anything
    owner, method = (value.__self__, value.__name__) if isinstance(value, MethodType) else (value, "__call__")
    kinds = _kinds(type(owner))
    make = next((splines.OBJECTS[kind] for kind in kinds if kind in splines.OBJECTS), None)
    if splines.SURFACE in kinds and method in ("ev", "__call__"):
        is_grid = method == "__call__"
        meaning = means(functools.partial(_call_surface, owner, is_grid), each=() if is_grid else (0, 1))
    elif make is not None and method == "__call__":
        meaning = Meaning(functools.partial(_call_spline, owner, make), None, (0,))
    else:
        return None
    return LibraryFunction(value, f"scipy.interpolate.{kinds[0]}", meaning)


def is_spline(cls: type) -> bool:
    """Whether objects of a class are among those."""
    return any(kind in splines.OBJECTS or kind == splines.SURFACE for kind in _kinds(cls))


def _kinds(cls: type) -> list[str]:
    """The names of a class of `scipy.interpolate` and of those above it."""
    return [base.__name__ for base in cls.__mro__] if str(cls.__module__).startswith("scipy.interpolate.") else []


def _call_spline(spline: Any, make: Callable[..., Any], trace: "Trace", x: Any, *operands: Any, **options: Any) -> Any:
    what = f"calls a `{type(spline).__name__}` that nbad does not know, or in such a way"
    pieces = _read(trace, what, "CubicSpline(x, y)(t)  # of numbers", make, spline, *operands, **options)
    return value_of(trace, pieces, x)


def _call_surface(spline: Any, is_grid: bool, trace: "Trace", x: Any, y: Any, dx: int = 0, dy: int = 0, grid: bool = True) -> Any:
    """At one point; on a grid, which has one point here, the result has two axes."""
    if is_grid and grid and any(isinstance(value, list | tuple | np.ndarray) for value in (x, y)):
        raise trace.refusal(f"calls a `{type(spline).__name__}` on a grid", "spline.ev(x, y)  # point by point")
    result = _surface(trace, (*spline.tck, *spline.degrees), x, y, dx, dy)
    return arrays.with_axes(trace, result, 2) if is_grid and grid else result


# what to write for functions that nbad does not know
_SERIES_OF = (
    ("chebyt", "chebyshev", "cheb"), ("hermite", "hermite", "herm"), ("hermitenorm", "hermite_e", "herme"),
    ("laguerre", "laguerre", "lag"), ("legendre", "legendre", "leg"),
)  # fmt: skip
_REWRITES = {
    "betaincc": "1.0 - sc.betainc(a, b, x)", "chdtr": "sc.gammainc(v / 2, x / 2)", "chdtrc": "sc.gammaincc(v / 2, x / 2)",
    "ive": "np.exp(-abs(z)) * sc.iv(v, z)", "k0e": "np.exp(x) * sc.k0(x)", "k1e": "np.exp(x) * sc.k1(x)",
    "kve": "np.exp(z) * sc.kv(v, z)", "pdtr": "sc.gammaincc(np.floor(k) + 1.0, m)", "rgamma": "1.0 / sc.gamma(z)",
    "spherical_jn": "np.sqrt(np.pi / (2.0 * z)) * sc.jv(n + 0.5, z)  # of positive z",
    "stdtr": "p = 0.5 * sc.betainc(df / 2, 0.5, df / (df + t * t)); np.where(t > 0, 1.0 - p, p)",
    **{f"eval_{name}": f"np.polynomial.{place}.{short}val(x, [0.0] * n + [1.0])" for name, place, short in _SERIES_OF},
}  # fmt: skip
REWRITES = {f"scipy.special.{name}": text.replace("sc.", "scipy.special.") for name, text in _REWRITES.items()}

# made of the table, so that none is forgotten; `nbad.special` hands them on
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: _function(row, name)
    for row in ROWS
    for module, _, name in (path.rpartition(".") for path in row.spellings)
    if module == MODULE
} | {"polygamma": polygamma}

_OF_WHOLE_ORDER: dict[str, Callable[..., Any]] = {
    "scipy.special.polygamma": _polygamma,
    "nbad.special.polygamma": _polygamma,
    "scipy.special.expn": lambda trace, n, x: trace.apply("expint", (x,), n),
    "scipy.special.kn": lambda trace, n, x: trace.apply("besselk", (n, x)),
    "scipy.special.yn": lambda trace, n, x: trace.apply("bessely", (n, x)),
}
MEANINGS = {
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
    "scipy.interpolate.splev": means(_splev, each=(0,)),
    "scipy.interpolate.bisplev": means(lambda trace, x, y, tck, dx=0, dy=0: _surface(trace, tck, x, y, dx, dy), each=()),
    **{path: _series(function) for path, function in SERIES.items()},
    **{path: _of_whole_order(path, apply) for path, apply in _OF_WHOLE_ORDER.items()},
}
