"""Splines and interpolators of SciPy's in kernels: their values and derivatives to any order, inside, at and beyond the ends."""

import math
import re

import numpy as np
import pytest
import scipy.interpolate as interpolate
from helpers.tracing import traced

import nbad
from nbad.errors import TraceError

RNG = np.random.default_rng(5)
X, Y = np.sort(RNG.uniform(0.0, 5.0, 9)), RNG.normal(size=9)
POINTS = np.concatenate([np.linspace(-1.0, 6.0, 29), X, [np.nan]])
TCK = interpolate.splrep(X, Y, s=0.3)
CUBIC, PCHIP = interpolate.CubicSpline(X, Y), interpolate.PchipInterpolator(X, Y, extrapolate=False)
PERIODIC = interpolate.CubicSpline(X, [*Y[:-1], Y[0]], bc_type="periodic")
QUINTIC, CONSTANT = interpolate.make_interp_spline(X, Y, k=5), interpolate.BSpline(X, Y[:-1], 0)
SMOOTH, HELD = interpolate.UnivariateSpline(X, Y, s=0.3), interpolate.UnivariateSpline(X, Y, s=0.3, ext=3)
PARABOLAS = interpolate.InterpolatedUnivariateSpline(X, Y, k=2, ext="zeros")
LINEAR, ENDED = interpolate.interp1d(X, Y, bounds_error=False), interpolate.interp1d(X, Y, bounds_error=False, fill_value=(1, 2))
CURVED = interpolate.interp1d(X, Y, kind="cubic", fill_value="extrapolate")
PAIR, STRICT = interpolate.CubicSpline(X, np.stack([Y, Y**2], 1)), interpolate.interp1d(X, Y)
GX, GY, Z = np.linspace(0.0, 4.0, 6), np.linspace(-1.0, 2.0, 5), RNG.normal(size=(6, 5))
SURFACE, FLAT = interpolate.RectBivariateSpline(GX, GY, Z), interpolate.RectBivariateSpline(GX, GY, Z, kx=2, ky=1)
SURFACE_TCK = (*SURFACE.tck, *SURFACE.degrees)
PLACES = RNG.uniform((-1.0, -2.0), (5.0, 3.0), (40, 2)).T
INSIDE = (PLACES[0] > 0.0) & (PLACES[0] < 4.0) & (PLACES[1] > -1.0) & (PLACES[1] < 2.0)


def plain(function, *columns):
    return np.array([np.squeeze(function(*map(np.float64, row))) for row in zip(*columns, strict=True)])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: CUBIC(x), lambda x: CUBIC(x, 2), lambda x: CUBIC(x, nu=1, extrapolate=False), lambda x: CUBIC.derivative()(x),
        lambda x: PCHIP(x), lambda x: interpolate.Akima1DInterpolator(X, Y)(x), lambda x: PERIODIC(x), lambda x: PERIODIC(x, 1),
        lambda x: QUINTIC(x), lambda x: QUINTIC(x, 1), lambda x: QUINTIC.antiderivative()(x),
        lambda x: QUINTIC(x, extrapolate=False),
        lambda x: SMOOTH(x), lambda x: SMOOTH(x, 2, ext=1), lambda x: SMOOTH.derivative()(x), lambda x: HELD(x),
        lambda x: HELD(x, 1), lambda x: PARABOLAS(x),
        lambda x: LINEAR(x), lambda x: ENDED(x), lambda x: CURVED(x), lambda x: CONSTANT(x),
        lambda x: interpolate.splev(x, TCK), lambda x: interpolate.splev(x, QUINTIC, 1),
        lambda x: interpolate.splev(x, TCK, ext=3),
        lambda x: interpolate.splev(x, TCK, der=1, ext=1), lambda x: PAIR(x)[1], lambda x: interpolate.CubicSpline(X, Y)(x),
    ],
)  # fmt: skip
def test_values_equal_those_of_scipy(function):
    np.testing.assert_allclose(nbad.kernel(function)(POINTS), plain(function, POINTS), rtol=1e-11, atol=1e-12)


def test_derivatives_are_those_of_the_pieces_to_any_order():
    f, points = nbad.kernel(lambda x: QUINTIC(x)), POINTS[:-1]
    for order in range(1, 7):
        f = nbad.grad(f)
        np.testing.assert_allclose(f(points), QUINTIC(points, order), rtol=1e-9, atol=1e-9 * 10**order)


def test_slopes_beyond_the_ends():
    for table in (HELD, LINEAR, ENDED, PARABOLAS):
        assert nbad.grad(nbad.kernel(lambda x, f=table: f(x)))([-1.0, 6.0]).tolist() == [0.0, 0.0]
    assert nbad.grad(nbad.kernel(lambda x: CUBIC(x)))(6.0) == pytest.approx(CUBIC(6.0, 1))
    assert np.isnan(nbad.kernel(lambda x: STRICT(x))([-1.0, 6.0])).all()


def test_items_and_a_spline_in_an_object():
    f = nbad.kernel(lambda v: CUBIC(v), signature="(3)->(3)")
    np.testing.assert_allclose(f([0.5, 1.5, 7.0]), CUBIC([0.5, 1.5, 7.0]), rtol=1e-12)

    class Pump:
        def __init__(self):
            self.curve = CUBIC

        def head(self, flow):
            return self.curve(flow) - flow

    pump = Pump()
    assert nbad.kernel(lambda x: pump.head(x))(1.5) == pytest.approx(CUBIC(1.5) - 1.5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: SURFACE.ev(x, y), lambda x, y: SURFACE(x, y, grid=False), lambda x, y: SURFACE(x, y)[0, 0],
        lambda x, y: SURFACE.ev(x, y, dx=1, dy=2), lambda x, y: FLAT(x, y, grid=False),
        lambda x, y: interpolate.bisplev(x, y, SURFACE_TCK), lambda x, y: interpolate.bisplev(x, y, SURFACE_TCK, dx=1),
    ],
)  # fmt: skip
def test_surfaces(function):
    np.testing.assert_allclose(nbad.kernel(function)(*PLACES), plain(function, *PLACES), rtol=1e-11, atol=1e-12)


def test_slopes_of_a_surface():
    slopes = nbad.jacobian(nbad.kernel(lambda x, y: SURFACE.ev(x, y)))(*PLACES)[:, 0]
    x, y = PLACES
    np.testing.assert_allclose(slopes[INSIDE, 0], SURFACE.ev(x, y, dx=1)[INSIDE], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(slopes[INSIDE, 1], SURFACE.ev(x, y, dy=1)[INSIDE], rtol=1e-11, atol=1e-12)
    assert not slopes[(x < 0.0) | (x > 4.0), 0].any()  # a surface is held at its edges


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: CUBIC(x, 1, 2, 3), "calls a `CubicSpline` that nbad does not know, or in such a way"),
        (lambda x: interpolate.interp1d(X, Y, kind="nearest")(x), "calls a `interp1d` that nbad does not know, or in such a way"),
        (lambda x: interpolate.interp1d(X, Y, kind="zero")(x), "calls a `interp1d` that nbad does not know, or in such a way"),
        (lambda x: interpolate.splev(x, TCK, 0, 7), "calls `scipy.interpolate.splev` in a way that nbad does not know"),
        (lambda x: QUINTIC(x, -1), "calls a `BSpline` that nbad does not know, or in such a way"),
        (lambda x: SMOOTH(x, 4), "calls a `UnivariateSpline` that nbad does not know, or in such a way"),
        (lambda x: interpolate.bisplev(x, x, SURFACE_TCK[:3]), "calls a surface of splines that nbad does not know"),
        (lambda x: interpolate.bisplev([x, x], x, SURFACE_TCK), "uses a value of type list where a real number is needed"),
        (lambda x: SURFACE.ev(x, x, dx=3), "takes a derivative of a surface that SciPy does not compute"),
        (lambda x: SURFACE([x, 1.0], [0.0, 1.0]), "calls a `RectBivariateSpline` on a grid"),
        (lambda x: interpolate.splev(x, (TCK[0], [x] * len(TCK[1]), 3)), "turns a traced value into a"),
    ],
)
def test_refusals(function, message):
    with pytest.raises(TraceError, match=re.escape(message)):
        traced(function)


def test_derivative_of_a_constant_piece_is_nan_at_nan_only():
    f = nbad.kernel(lambda x: CONSTANT(x))
    assert math.isnan(f(np.nan))
    assert nbad.grad(f)(2.0) == 0.0
