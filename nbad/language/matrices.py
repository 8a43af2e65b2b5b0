"""Products, norms, averages, differences, sums of exponentials of traced arrays, and linear algebra of small matrices.

A sum of products starts with the first product and runs from left to right. Determinants are closed forms, inverses and solutions
come by elimination, for matrices of up to three rows.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.graphs import elimination
from nbad.language import arrays, masks, objects
from nbad.language.array_functions import reduce_axes, reshaping
from nbad.language.lookup import ordered
from nbad.language.meanings import Meaning, means
from nbad.language.special_functions import stop_gradient
from nbad.operations.row import REAL

if TYPE_CHECKING:
    from nbad.language.trace import Trace

LARGEST_MATRIX = 3  # closed forms, and choices of pivots, grow fast with the rows
_SIGN_AND_LOG = type(np.linalg.slogdet(np.eye(1)))
ROTATIONS = 5  # through all pairs of axes: what they leave falls with the square, and then again


def _dot(u: Any, v: Any) -> Any:
    """Sum of products of two sequences."""
    return functools.reduce(operator.add, map(operator.mul, u, v)) if len(u) else np.float64(0.0)


def _product(function: Callable[..., Any]) -> Meaning:
    """The meaning of a product: NumPy's own, on arrays of objects."""

    def act(trace: "Trace", a: Any, b: Any) -> Any:
        x, y = arrays.items(trace, a), arrays.items(trace, b)
        x, y = (x.ravel(), y.ravel()) if function is np.vdot else (x, y)
        if function is np.matmul and not (x.ndim and y.ndim):
            raise trace.refusal("uses `@` on a number", "x * y")
        length = y.shape[-1 if y.ndim == 1 or function is np.inner else -2] if y.ndim else 1
        if x.ndim and y.ndim and x.shape[-1] != length:
            raise trace.refusal(f"multiplies vectors of lengths {x.shape[-1]} and {length}", "x[:3] @ y")
        if length == 0:  # there NumPy has whole numbers
            return np.float64(0.0) + function(np.zeros(x.shape), np.zeros(y.shape))
        return _combined(trace, np.dot if function is np.vdot else function, x, y)

    return means(act, each=())


def _combined(trace: "Trace", function: Callable[..., Any], x: np.ndarray, y: np.ndarray, *options: Any, **named: Any) -> Any:
    """NumPy's own sums of products, on arrays of objects."""
    result = function(x, y, *options, **named)
    if objects.are_conditions(trace, x) and objects.are_conditions(trace, y):  # which NumPy joins by `or`
        result = masks.conditions_of(trace, result)
    return arrays.wrap(trace, result) if isinstance(result, np.ndarray) and result.ndim else np.ravel(result)[0]


def _of_objects(function: Callable[..., Any]) -> Meaning:
    """The meaning of a function of two arrays that needs no more than that."""

    def act(trace: "Trace", a: Any, b: Any, *options: Any, **named: Any) -> Any:
        return _combined(trace, function, arrays.items(trace, a), arrays.items(trace, b), *options, **named)

    return means(act, each=())


def _average(trace: "Trace", a: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    """Of one axis, or of as many weights as items."""
    if weights is None:
        return trace.call(np.mean, (a,), {"axis": axis, "keepdims": keepdims})
    x, w = arrays.items(trace, a), arrays.items(trace, weights)
    if x.shape != w.shape:
        raise trace.refusal(f"averages items of shape {x.shape} by weights of shape {w.shape}", "np.dot(x, w) / np.sum(w)")
    options = {"axis": axis, "keepdims": keepdims}
    products, w = arrays.wrap(trace, x * w), arrays.wrap(trace, w)
    return trace.call(np.sum, (products,), options) / trace.call(np.sum, (w,), options)


def _trapezoid(trace: "Trace", y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Products of widths and sums of neighbours, halved, and their sum from left to right."""
    heights, widths = np.moveaxis(arrays.items(trace, y), axis, -1), arrays.items(trace, dx)
    if x is not None:
        places = arrays.items(trace, x)
        widths = np.diff(places if places.ndim == 1 else np.moveaxis(places, axis, -1))
    parts = widths * (heights[..., 1:] + heights[..., :-1]) / 2.0
    return trace.call(np.sum, (arrays.wrap(trace, parts),), {"axis": -1})


def _vecdot(trace: "Trace", x1: Any, x2: Any, *, axis: int = -1) -> Any:
    x, y = arrays.items(trace, x1), arrays.items(trace, x2)
    lengths = [part.shape[axis] if part.ndim else 0 for part in (x, y)]
    if lengths[0] != lengths[1] or not (x.ndim and y.ndim):
        raise trace.refusal("multiplies vectors of lengths {} and {}".format(*lengths), "np.vecdot(x[:3], y)")
    return trace.call(np.sum, (arrays.wrap(trace, x * y),), {"axis": axis})


def _einsum(trace: "Trace", subscripts: Any, *operands: Any, optimize: Any = False) -> Any:
    """Loops over the letters of the result, and inside over the others in the order in which they appear."""
    parts = [arrays.items(trace, operand) for operand in operands]
    inputs, output = _subscripts(trace, subscripts, parts)
    sizes = _sizes(trace, subscripts, inputs, parts)
    summed = [letter for letter in sizes if letter not in output]

    def term(place: dict[str, int]) -> Any:
        values = (part[tuple(place[letter] for letter in letters)] for letters, part in zip(inputs, parts, strict=True))
        return functools.reduce(operator.mul, values)

    def value(kept: dict[str, int]) -> Any:
        places = itertools.product(*(range(sizes[letter]) for letter in summed))
        return functools.reduce(operator.add, (term(kept | dict(zip(summed, place, strict=True))) for place in places))

    shape = tuple(sizes[letter] for letter in output)
    values = [value(dict(zip(output, place, strict=True))) for place in np.ndindex(shape)]
    return arrays.wrap(trace, objects.filled(values, shape))


def _subscripts(trace: "Trace", text: Any, parts: list[np.ndarray]) -> tuple[list[str], str]:
    """The letters of each operand, and those of the result: by default those that appear once, in order."""
    if not isinstance(text, str) or "." in text:
        raise trace.refusal("calls `numpy.einsum` without a letter for each axis", "np.einsum('ij,j->i', a, b)")
    left, arrow, output = text.replace(" ", "").partition("->")
    inputs = left.split(",")
    if not arrow:
        output = "".join(sorted(letter for letter in set(left) - {","} if left.count(letter) == 1))
    if [len(letters) for letters in inputs] != [part.ndim for part in parts] or not set(output) <= set(left):
        shapes = ", ".join(str(part.shape) for part in parts)
        raise trace.refusal(f"calls `numpy.einsum` with {text!r} on shapes {shapes}", "np.einsum('ij,j->i', a, b)")
    return inputs, output


def _sizes(trace: "Trace", text: str, inputs: list[str], parts: list[np.ndarray]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    axes = (zip(letters, part.shape, strict=True) for letters, part in zip(inputs, parts, strict=True))
    for letter, size in itertools.chain.from_iterable(axes):
        if sizes.setdefault(letter, size) != size:
            raise trace.refusal(f"calls `numpy.einsum` with {text!r}, where {letter} is {sizes[letter]} and {size} long")
    return sizes


# norms


def _norm(trace: "Trace", x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The derivative of the Euclidean norm is 0 at the zero vector."""
    one_axis = arrays.items(trace, x).ndim == 1 or isinstance(axis, int)
    of_vectors = {1: _of_sizes(operator.add), 2: _root_of_squares, math.inf: _of_sizes(np.maximum)}
    folds: dict[Any, Callable[..., Any]] = of_vectors if one_axis else {"fro": _root_of_squares}
    fold = _root_of_squares if ord is None else folds.get(ord)
    if fold is None and one_axis and isinstance(ord, int | float) and ord != 0.0:
        fold = _of_sizes(np.minimum) if ord == -math.inf else functools.partial(_of_powers, ord)
    if fold is None:
        raise trace.refusal(f"takes the norm of order {ord!r} of an array", "np.linalg.norm(x)")
    return reduce_axes(trace, x, axis, keepdims, functools.partial(fold, trace))


def _root_of_squares(trace: "Trace", values: Sequence[Any]) -> Any:
    squares = _dot(values, values)
    return trace.apply("norm_root", (squares,)) if trace.is_traced(squares) else np.sqrt(squares)


def _of_sizes(join: Callable[..., Any]) -> Callable[..., Any]:
    return lambda trace, values: functools.reduce(join, map(abs, values))


def _of_powers(order: float, trace: "Trace", values: Sequence[Any]) -> Any:
    return functools.reduce(operator.add, (abs(value) ** order for value in values)) ** (1.0 / order)


# exponentials of many, less the greatest of them, so that none overflows


def _greatest(trace: "Trace", x: Any, axis: Any) -> tuple[Any, Any]:
    """The greatest along axes, which are kept, and what to take off: that, as a constant, or 0 where it is infinite."""
    greatest = trace.call(np.max, (x,), {"axis": axis, "keepdims": True})
    shift = trace.call(np.where, (abs(greatest) < math.inf, greatest, 0.0), {})
    return greatest, trace.call(stop_gradient, (shift,), {})


def _log_of_sum(trace: "Trace", x: Any, axis: Any) -> tuple[Any, Any]:
    """What is taken off, and the logarithm of the rest: the greatest is 1 there, which is left to `log1p`."""
    greatest, shift = _greatest(trace, x, axis)
    ones = trace.call(np.where, (x == greatest, 1.0, 0.0), {})
    options = {"axis": axis, "keepdims": True}
    others = trace.call(np.sum, (np.exp(x - shift) - ones,), options) + (trace.call(np.sum, (ones,), options) - 1.0)
    return shift, trace.call(np.log1p, (others,), {})


def _logsumexp(trace: "Trace", a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    x = arrays.wrap(trace, arrays.items(trace, a))
    shift, rest = _log_of_sum(trace, x, axis)
    return shift + rest if keepdims else trace.call(np.sum, (shift + rest,), {"axis": axis})


def _softmax(trace: "Trace", x: Any, axis: Any = None) -> Any:
    x = arrays.wrap(trace, arrays.items(trace, x))
    powers = np.exp(x - trace.call(stop_gradient, _greatest(trace, x, axis)[:1], {}))  # nan where that is infinite, as SciPy's
    return powers / trace.call(np.sum, (powers,), {"axis": axis, "keepdims": True})


def _log_softmax(trace: "Trace", x: Any, axis: Any = None) -> Any:
    x = arrays.wrap(trace, arrays.items(trace, x))
    shift, rest = _log_of_sum(trace, x, axis)
    return x - shift - rest


# small matrices


def _slogdet(trace: "Trace", a: Any) -> Any:
    det = _det(trace, a)
    return _SIGN_AND_LOG(trace.call(np.sign, (det,), {}), trace.call(np.log, (abs(det),), {}))


def _square(trace: "Trace", a: Any, path: str) -> np.ndarray:
    matrix = arrays.items(trace, a)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise trace.refusal(f"calls `{path}` on an array of shape {matrix.shape}", f"{path}(a)  # one square matrix")
    if not 0 < len(matrix) <= LARGEST_MATRIX:
        fix = f"{path}(a[:3, :3]); or solve larger systems outside the kernel"
        raise trace.refusal(f"calls `{path}` on a matrix of {len(matrix)} rows", fix, expected=f"up to {LARGEST_MATRIX} rows")
    return matrix


def _minor(matrix: np.ndarray, row: int, column: int) -> np.ndarray:
    return np.delete(np.delete(matrix, row, 0), column, 1)


def _determinant(matrix: np.ndarray) -> Any:
    """Expansion along the first row."""
    if len(matrix) == 1:
        return matrix[0, 0]
    terms = [matrix[0, k] * _determinant(_minor(matrix, 0, k)) for k in range(len(matrix))]
    return functools.reduce(lambda total, k: total - terms[k] if k % 2 else total + terms[k], range(1, len(terms)), terms[0])


def _matrix_power(trace: "Trace", a: Any, n: int) -> Any:
    """NumPy's own, by squares."""
    matrix = arrays.items(trace, a) if n >= 0 else arrays.items(trace, trace.call(np.linalg.inv, (a,), {}))
    return arrays.wrap(trace, np.linalg.matrix_power(matrix, abs(n)))


def _det(trace: "Trace", a: Any) -> Any:
    return _determinant(_square(trace, a, "np.linalg.det"))


def _inv(trace: "Trace", a: Any) -> Any:
    matrix = _square(trace, a, "np.linalg.inv")
    return arrays.wrap(trace, _solution(trace, matrix, np.eye(len(matrix))))


def _solve(trace: "Trace", a: Any, b: Any) -> Any:
    matrix, right = _square(trace, a, "np.linalg.solve"), arrays.items(trace, b)
    if right.ndim not in (1, 2) or len(right) != len(matrix):
        raise trace.refusal(f"calls `np.linalg.solve` with shapes {matrix.shape} and {right.shape}", "np.linalg.solve(a, b)")
    return arrays.wrap(trace, _solution(trace, matrix, right.reshape(len(right), -1)).reshape(right.shape))


def _solution(trace: "Trace", matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """By elimination: as exact as LAPACK's, and for numbers of any size."""
    left, given = ([[trace.node(value, REAL) for value in row] for row in rows] for rows in (matrix, right))
    rows = trace.grown(elimination.solved, left, given)
    return objects.filled((trace.value(node) for row in rows for node in row), right.shape)


def _cholesky(trace: "Trace", a: Any, *, upper: Any = False) -> Any:
    """Nan where the matrix is not positive definite; the other triangle is not looked at."""
    matrix = _square(trace, a, "np.linalg.cholesky")
    matrix, factor = matrix.T if upper else matrix, np.zeros(matrix.shape, object)
    for i, j in itertools.product(range(len(matrix)), repeat=2):
        if j <= i:
            known = [factor[i, k] * factor[j, k] for k in range(j)]
            rest = functools.reduce(operator.sub, known, matrix[i, j])
            factor[i, j] = trace.call(np.sqrt, (rest,), {}) if i == j else rest / factor[j, j]
    return arrays.wrap(trace, np.vectorize(trace.item, otypes=[object])(factor.T if upper else factor))


def _eigvalsh(trace: "Trace", a: Any, UPLO: Any = "L") -> Any:
    """In increasing order, by Jacobi's rotations, which are as exact as LAPACK; one triangle is looked at."""
    matrix = _square(trace, a, "np.linalg.eigvalsh")
    lower = np.tril(matrix if UPLO in ("L", "l") else matrix.T)
    rows = lower + np.tril(lower, -1).T
    pairs = list(itertools.combinations(range(len(rows)), 2))
    for p, q in pairs * (ROTATIONS if len(pairs) > 1 else 1):
        rows = _rotated(trace, rows, p, q)
    return arrays.wrap(trace, objects.filled(ordered(trace, list(rows.diagonal())), (len(rows),)))


def _rotated(trace: "Trace", rows: np.ndarray, p: int, q: int) -> np.ndarray:
    """A symmetric matrix after the rotation in the plane of two axes that makes their common item 0."""
    difference, twice = rows[q, q] - rows[p, p], 2.0 * rows[p, q]
    side = trace.call(np.copysign, (1.0, difference), {})
    length = side * difference + trace.call(np.hypot, (difference, twice), {})  # `abs` has no slope at 0
    # 0 where the two are equal already
    tangent = trace.apply("select", (length == 0.0, 0.0, side * twice / length))
    cosine = 1.0 / trace.apply("sqrt", (1.0 + tangent * tangent,))
    sine, result = tangent * cosine, rows.copy()
    for r in range(len(rows)):
        if r not in (p, q):
            result[p, r] = result[r, p] = cosine * rows[r, p] - sine * rows[r, q]
            result[q, r] = result[r, q] = sine * rows[r, p] + cosine * rows[r, q]
    result[p, p], result[q, q] = rows[p, p] - tangent * rows[p, q], rows[q, q] + tangent * rows[p, q]
    result[p, q] = result[q, p] = 0.0
    return result


def _diff(trace: "Trace", a: Any, n: int = 1, axis: int = -1, **ends: Any) -> Any:
    """Of conditions it is whether they differ."""
    array = arrays.items(trace, a)
    if not (array.size and all(map(trace.is_condition, array.flat))):
        return reshaping(np.diff)(trace, a, n, axis, **ends)
    array = np.moveaxis(array, axis, -1)
    for _ in range(n):
        array = np.frompyfunc(trace.exclusive, 2, 1)(array[..., 1:], array[..., :-1])
    return arrays.wrap(trace, np.moveaxis(array, -1, axis))


def _fill_diagonal(trace: "Trace", a: Any, val: Any) -> None:
    values = arrays.items(trace, val).ravel()
    if len(set(a.shape)) > 1 < a.ndim - 1 or a.ndim < 2:
        raise trace.refusal(f"fills the diagonal of an array of shape {a.shape}", "np.fill_diagonal(a, 0.0)  # of a matrix")
    for k in range(min(a.shape)):
        a[(k,) * a.ndim] = values[k % len(values)]


MEANINGS = {
    "numpy.diff": means(_diff, each=()),
    "numpy.fill_diagonal": means(_fill_diagonal, each=(), always=True),
    "numpy.dot": _product(np.dot),
    "numpy.average": means(_average, each=()),
    "numpy.inner": _product(np.inner),
    "numpy.vdot": _product(np.vdot),
    "numpy.matmul": _product(np.matmul),
    "numpy.trapezoid": means(_trapezoid, each=()),
    **dict.fromkeys(("numpy.vecdot", "numpy.linalg.vecdot"), means(_vecdot, each=())),
    "numpy.einsum": means(_einsum, each=()),
    "scipy.special.logsumexp": means(_logsumexp, each=()),
    "scipy.special.softmax": means(_softmax, each=()),
    "scipy.special.log_softmax": means(_log_softmax, each=()),
    "numpy.linalg.norm": means(_norm, each=()),
    "numpy.linalg.slogdet": means(_slogdet, each=()),
    "numpy.linalg.matrix_power": means(_matrix_power, each=()),
    "numpy.tensordot": _of_objects(np.tensordot),
    "numpy.convolve": _of_objects(np.convolve),
    "numpy.linalg.det": means(_det, each=()),
    "numpy.linalg.cholesky": means(_cholesky, each=()),
    "numpy.linalg.eigvalsh": means(_eigvalsh, each=()),
    "numpy.linalg.inv": means(_inv, each=()),
    "numpy.linalg.solve": means(_solve, each=()),
}
