"""SciPy's splines and interpolators with constant tables, as piecewise polynomials.

SciPy itself is not imported: whoever has such an object has loaded it.
"""

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

CONTINUED, PERIODIC, NOWHERE = "continued", "periodic", "nowhere"
EXTRAPOLATION = {0: CONTINUED, 1: "zero", 2: NOWHERE, 3: "ends"}  # by the numbers of FITPACK


class Pieces(NamedTuple):
    """A piecewise polynomial.

    Attributes
    ----------
    knots : array of n + 1 floats that increase
        The k-th piece begins at `knots[k]`, and the last one ends at the last knot.
    coefficients : array of shape (degree + 1, n, *shape)
        Of the powers of `x - knots[k]`, the highest first; the value has that shape.
    outside : str or pair of values
        What holds beyond the ends: "continued", "periodic", "nowhere" (nan), or the values below and above.
    """

    knots: np.ndarray
    coefficients: np.ndarray
    outside: Any = CONTINUED

    def derivative(self, order: int) -> "Pieces":
        """Its derivative of some order, piece by piece; constants beyond the ends have none."""
        if order < 0:
            raise ValueError("an antiderivative")
        coefficients = self.coefficients
        for _ in range(order):
            powers = np.arange(len(coefficients) - 1.0, 0.0, -1.0).reshape(-1, *[1] * (coefficients.ndim - 1))
            coefficients = coefficients[:-1] * powers if len(coefficients) > 1 else np.zeros_like(coefficients)
        outside = self.outside if isinstance(self.outside, str) or not order else (0.0, 0.0)
        return Pieces(self.knots, coefficients, outside)

    def ends(self) -> tuple[Any, Any]:
        """The values at the first and at the last knot."""
        last = np.zeros(self.coefficients.shape[2:])
        for coefficient in self.coefficients[:, -1]:
            last = last * (self.knots[-1] - self.knots[-2]) + coefficient
        return self.coefficients[-1, 0], last


class Basis(NamedTuple):
    """The B-splines of one axis of a table: on the k-th piece, the `degree + 1` that are not zero there.

    `first[k]` is the number of the first of them, and `coefficients` has the shape (degree + 1, n, degree + 1): powers, pieces,
    splines.
    """

    knots: np.ndarray
    coefficients: np.ndarray
    first: list[int]

    def derivative(self, order: int) -> "Basis":
        """The derivatives of these."""
        return self._replace(coefficients=Pieces(self.knots, self.coefficients).derivative(order).coefficients)


def of_b_spline(knots: Any, coefficients: Any, degree: int) -> Pieces:
    """The pieces of a B-spline: Taylor coefficients of each by SciPy's own derivatives at its left end."""
    knots, size = np.asarray(knots, float), len(knots) - degree - 1
    if knots[size - 1] == knots[size]:
        raise ValueError("a last piece that is one point")  # a step there would belong to no piece
    spline = sys.modules["scipy.interpolate"].BSpline(knots, np.asarray(coefficients, float)[:size], degree)
    ends = np.unique(knots[degree : size + 1])
    powers = [spline(ends[:-1], nu=order) / math.factorial(order) for order in reversed(range(degree + 1))]
    return Pieces(ends, np.array(powers))


def basis(knots: Any, degree: int) -> Basis:
    """The B-splines over some knots."""
    knots, size = np.asarray(knots, float), len(knots) - degree - 1
    all_of_them = of_b_spline(knots, np.eye(size), degree)
    first = [int(np.searchsorted(knots, start, "right")) - 1 - degree for start in all_of_them.knots[:-1]]
    picked = [all_of_them.coefficients[:, k, n : n + degree + 1] for k, n in enumerate(first)]
    return Basis(all_of_them.knots, np.stack(picked, axis=1), first)


def surface(tck: Any) -> tuple[Basis, Basis, np.ndarray]:
    """The B-splines along both axes of a tensor product, and its table of coefficients."""
    tx, ty, coefficients, kx, ky = tck
    across, along = basis(tx, kx), basis(ty, ky)
    return across, along, np.asarray(coefficients, float).reshape(len(tx) - kx - 1, len(ty) - ky - 1)


def fitpack(tck: Any, order: Any, mode: Any) -> Pieces | None:
    """What `splev` computes; None for what nbad does not know."""
    if type(tck).__name__ == "BSpline" and mode == 0:
        tck = tck.tck
    if not isinstance(tck, tuple | list) or len(tck) != 3 or np.ndim(tck[1]) != 1 or mode not in EXTRAPOLATION:
        return None
    pieces = of_b_spline(*tck)
    if order > tck[2]:
        raise ValueError("a derivative that FITPACK does not compute")
    beyond = {"zero": (0.0, 0.0), "ends": CONTINUED if order else pieces.ends()}  # derivatives FITPACK continues
    return pieces.derivative(order)._replace(outside=beyond.get(EXTRAPOLATION[mode], EXTRAPOLATION[mode]))


def _extrapolated(pieces: Pieces, own: Any, asked: Any, order: int) -> Pieces:
    """With SciPy's word for what holds beyond the ends: as the object has it, or as the call asks."""
    asked = own if asked is None else asked
    outside = PERIODIC if asked == "periodic" else CONTINUED if asked else NOWHERE
    return pieces._replace(outside=outside).derivative(order)


def _of_bspline(spline: Any, nu: int = 0, extrapolate: Any = None) -> Pieces | None:
    if spline.axis or spline.c.dtype.kind == "c":
        return None
    return _extrapolated(of_b_spline(spline.t, spline.c, spline.k), spline.extrapolate, extrapolate, nu)


def _of_ppoly(spline: Any, nu: int = 0, extrapolate: Any = None) -> Pieces | None:
    if spline.axis or spline.c.dtype.kind == "c" or spline.x[0] > spline.x[-1]:
        return None
    return _extrapolated(Pieces(spline.x, spline.c), spline.extrapolate, extrapolate, nu)


def _of_univariate(spline: Any, nu: int = 0, ext: Any = None) -> Pieces | None:
    names = {"extrapolate": 0, "zeros": 1, "raise": 2, "const": 3}
    return fitpack(spline._eval_args, nu, spline.ext if ext is None else names.get(ext, ext))


def _of_interp1d(table: Any) -> Pieces | None:
    """Linear ones and splines; beyond the ends what SciPy puts there, nan where it raises."""
    x, y, kind = table.x, table.y, table._kind
    if y.ndim != 1 or y.dtype.kind == "c":
        return None
    if kind == "linear":
        kept = np.flatnonzero(np.diff(x) > 0)
        slopes = (np.diff(y)[kept]) / np.diff(x)[kept]
        pieces = Pieces(np.append(x[kept], x[-1]), np.array([slopes, y[kept]])) if len(kept) else None
    elif kind == "spline" and table._call.__name__ == "_call_spline":
        pieces = of_b_spline(table._spline.t, table._spline.c[:, 0], table._spline.k)
    else:
        return None
    if pieces is None or table._extrapolate:
        return pieces
    ends = float(np.squeeze(table._fill_value_below)), float(np.squeeze(table._fill_value_above))
    return pieces._replace(outside=NOWHERE if table.bounds_error else ends)


# a class of `scipy.interpolate`, or one above: from its object and the other operands of a call, the pieces
OBJECTS: dict[str, Callable[..., Pieces | None]] = {
    "BSpline": _of_bspline,
    "PPoly": _of_ppoly,
    "UnivariateSpline": _of_univariate,
    "interp1d": _of_interp1d,
}
SURFACE = "BivariateSpline"
