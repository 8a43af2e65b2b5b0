"""Brackets of `nbad.solve` one end of which is the root, but for rounding: against mpmath and closed forms."""

import math
import types

import mpmath
import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

import nbad

ULPS = (-10_000, -4, -1, 0, 1, 4, 10_000)  # from the root into the bracket, negative ones leave it out


def shifted(x, ulps):
    return x + ulps * np.spacing(np.abs(x))


def exponential(v, y):
    return math.exp(v) - y


def falling(v, y):
    return y - math.exp(v)


def logarithmic(v, y):
    return math.log(v) - math.log(y)


def cubic(v, y):
    return (v - y) * (1.0 + v * v)


def shallow(v, y):
    return 1e-300 * (v - y) * (3.0 + v)


def steep(v, y):
    return 1e300 * (v - y) * (3.0 + v)


CASES = {  # the residual, its root, and the slope of that
    exponential: (math.log, lambda y: 1.0 / y),
    falling: (math.log, lambda y: 1.0 / y),
    logarithmic: (lambda y: y, lambda y: 1.0),
    cubic: (lambda y: y, lambda y: 1.0),
    shallow: (lambda y: y, lambda y: 1.0),
    steep: (lambda y: y, lambda y: 1.0),
}
Y = np.array([0.7, 1.75, 3.0, 17.0, 1e5])


def within(residual, **options):
    @nbad.kernel(**options)
    def found(y, near, far):
        return nbad.solve(residual, near + 0.3 * (far - near), y, bracket=(near, far), max_passes=8)

    return found


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["low", "high"])
@pytest.mark.parametrize("residual", CASES)
def test_roots_at_an_end(residual, side):
    """In a few passes and to all digits; where rounding leaves them out of the bracket, by a few, the end is the root."""
    root, slope = map(np.vectorize, CASES[residual])
    f = within(residual, errors="nan")
    for ulps in ULPS:
        near = shifted(root(Y), -side * ulps)
        far = near + side * 0.4 * np.abs(near)
        got, by_y = f(Y, near, far), nbad.grad(f)(Y, near, far)
        if ulps < -4:
            assert np.isnan(got).all()
            continue
        assert (np.minimum(near, far) <= got).all()
        assert (got <= np.maximum(near, far)).all()
        assert_allclose(got, np.maximum(side * root(Y), side * near) * side, rtol=4e-15)
        assert_allclose(by_y, slope(Y), rtol=1e-12)


@pytest.mark.parametrize("y", [1.0 - 2.0**-53, 1.0, 1.0 + 2.0**-52, 1.0 - 1e-13])
def test_roots_at_zero(y):
    """The next number to 0 says nothing of rounding, so that the other end does; a root inside is as exact as `tol`."""
    for far in (1.0, -1.0):
        root = float(mpmath.log(y))
        inside = root if root * far > 0.0 else 0.0
        f = nbad.kernel(lambda y, far: nbad.solve(exponential, 0.3 * far, y, bracket=(0.0, far), max_passes=45))
        if abs(root) > 1e-15 and inside == 0.0:
            with pytest.raises(nbad.NotConvergedError, match="both ends of the bracket have the same sign"):
                f(y, far)
            continue
        assert_allclose(f(y, far), inside, rtol=0, atol=1e-12 if inside else 0)
        assert_allclose(nbad.grad(f)(y, far), 1.0 / y, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keplers_equation_within_the_eccentricity(dtype):
    """The root is an end of this bracket where the sine is 1 or -1, and all of it where the orbit is a circle."""
    f = nbad.kernel(lambda m, e: nbad.solve(anomaly, m + e * math.sin(m), m, e, bracket=(m - e, m + e), max_passes=45))
    rng = np.random.default_rng(0)
    e = np.concatenate([rng.uniform(0.0, 0.95, 2000), 10.0 ** rng.uniform(-17.0, 0.0, 2000), np.zeros(10)])
    anywhere, turned = rng.uniform(-7.0, 7.0, e.size), math.pi / 2.0 + 10.0 ** rng.uniform(-9.0, -4.0, e.size)
    beside = turned - e * np.sin(turned)
    for m in (math.pi / 2.0 - e, -math.pi / 2.0 + e, 1.5 * math.pi + e, 0.0 * e, math.pi + 0.0 * e, beside, anywhere):
        mean, eccentricity = m.astype(dtype), np.minimum(e, 0.99).astype(dtype)
        found = f(mean, eccentricity)
        assert found.dtype == dtype
        found, mean, eccentricity = (x.astype(float) for x in (found, mean, eccentricity))
        assert_allclose(found - eccentricity * np.sin(found), mean, rtol=0, atol=4 * np.spacing(dtype(7.0)))


def anomaly(v, m, e):
    return v - e * math.sin(v) - m


def test_both_ends_within_rounding():
    y, ulps = np.meshgrid(Y, np.arange(-4.0, 5.0))
    for width in (0.0, 1.0, 4.0):
        low = shifted(np.log(y), ulps)
        found = within(exponential)(y, low, shifted(low, width))
        assert_allclose(found, np.log(y), rtol=1e-14)


def test_ends_at_which_the_residual_is_no_root_though_newtons_step_is_short():
    """Beside a pole, and where the slope has no bound, a step is as short as it would be at a root."""
    pole = nbad.kernel(lambda y, low: nbad.solve(lambda v: 1.0 / (v - 1.0) - y, 2.0, bracket=(low, 20.0)))
    lows = np.array([shifted(1.0, 1), shifted(1.0, 8), 1.0 + 1e-12, 1.0 + 1e-9])
    for y in (0.1, 0.5, 3.0):
        assert_allclose(pole(y, lows), 1.0 + 1.0 / y, rtol=1e-12)
    with pytest.raises(nbad.NotConvergedError, match="both ends of the bracket have the same sign"):
        pole(1e-3, shifted(1.0, 1))

    def bends(v, y):
        return math.log(v) + math.exp(v) - y

    def rises(v, y):
        return math.sqrt(v) + math.exp(v) - y

    y = np.array([2.0, 3.0, 9.0])
    for residual, exact in ((bends, mpmath.log), (rises, mpmath.sqrt)):
        f = nbad.kernel(lambda y, low: nbad.solve(residual, 3.0, y, bracket=(low, 50.0)))  # noqa: B023
        roots = [float(mpmath.findroot(lambda v: exact(v) + mpmath.exp(v) - value, 0.8)) for value in y]  # noqa: B023
        for low in (0.0, 1e-300, 1e-40, 1e-20, 1e-15, 1e-12):
            assert_allclose(f(y, low), roots, rtol=1e-12)


@pytest.mark.parametrize(
    ("residual", "bracket"),
    [
        (lambda v, y: v * v + 1e-40 * y, (0.0, 1.0)),  # flat at the end, but positive
        (lambda v, y: math.exp(v) - 0.5 * y, (0.0, 50.0)),  # far below the other end's, but no rounding
        (lambda v, y: math.sqrt(v) + 1e-3 * y, (0.0, 1.0)),
        (lambda v, y: v - y, (0.0, 1.0 - 1e-12)),
        (lambda v, y: v - y, (1.0 + 1e-12, 2.0)),
        (lambda v, y: v - y, (0.5, 0.5)),
        (lambda v, y: (v - 0.5 * y) ** 2, (0.0, 1.0)),
    ],
)
def test_ends_of_the_same_sign_that_are_no_root(residual, bracket):
    f = nbad.kernel(lambda y: nbad.solve(residual, 0.7, y, bracket=bracket))
    with pytest.raises(nbad.NotConvergedError, match="both ends of the bracket have the same sign"):
        f(1.0)
    with pytest.raises(nbad.NotConvergedError, match="both ends of the bracket have the same sign"):
        nbad.solve(residual, 0.7, 1.0, bracket=bracket)


def test_an_end_that_is_the_root_where_the_residual_is_not_known_at_the_other():
    f = nbad.kernel(
        lambda y, far: nbad.solve(lambda v: (v - y) ** 3 * (v - 2.0) / (v - 2.0), 1.7, bracket=(y, far), max_passes=8)
    )
    assert_allclose(f(np.array([1.0, 3.0]), 2.0), [1.0, 3.0], rtol=0)


def test_every_failure_is_an_error_of_its_own():
    """One that all solves share would tell of the failures of others."""
    notes = []
    for n in range(2):
        with pytest.raises(nbad.NotConvergedError, match="both ends of the bracket have the same sign") as caught:
            nbad.kernel(lambda y: nbad.solve(lambda v: v - y, 0.5, bracket=(0.0, 1.0)))(2.0 + n)
        notes.append(len(caught.value.__notes__))
    assert notes == [1, 1]


@pytest.mark.parametrize("power", [2, 3, 4, 5])
def test_multiple_roots_at_an_end(power):
    """Where the residual is 0; its slope is 0 too, so that Newton's step is 0/0."""
    f = nbad.kernel(lambda y, far: nbad.solve(lambda v: (v - y) ** power, y, bracket=(y, far), max_passes=8))
    assert_allclose(f(Y, 2.0 * Y), Y, rtol=0)
    assert_allclose(f(Y, 0.5 * Y), Y, rtol=0)


@pytest.mark.parametrize("x", [0.7, 2.0, 1e5])
def test_an_end_in_a_branch_and_by_a_root_finder_of_scipys(x):
    def found(y, low, high):
        if y > 0.0:
            return optimize.brentq(lambda v: v * v - y, low, high)
        return nbad.solve(lambda v: v * v + y, 0.5 * low, bracket=(low, high))

    f = nbad.kernel(found)
    y, low = x * x, np.sqrt(x * x)
    for ulps in (-1, 0, 1):
        ends = shifted(low, ulps)
        assert_allclose(f(np.array([y, -y]), ends, 3.0 * low), [low, low], rtol=1e-15)
        assert_allclose(f(np.array([y, -y]), 0.2 * low, ends), [low, low], rtol=1e-15)
        assert_allclose(nbad.grad(f)(np.array([y, -y]), ends, 3.0 * low), [0.5 / low, -0.5 / low], rtol=1e-13)


def test_numbers_outside_of_kernels():
    for ulps in (-4, -1, 0, 1, 4, 10_000):
        low = shifted(math.log(3.0), -ulps)
        assert_allclose(nbad.solve(exponential, 1.2, 3.0, bracket=(low, 2.0), max_passes=8), math.log(3.0), rtol=4e-15)


@nbad.kernel
def logarithm(y, near, far):
    return nbad.solve(exponential, 0.5 * (near + far), y, bracket=(near, far))


@numba.njit(error_model="numpy")
def summed(y, near, far):
    return logarithm(y, near, far) + nbad.grad(logarithm)(y, near, far)


def near_and_far(ulps):
    """The lower end next to the root, or the upper one."""
    side = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    near = shifted(np.log(Y), -side * ulps)
    return near, near + side * 0.4 * np.abs(near)


@pytest.mark.parametrize("ulps", [-4, 0, 4, 10_000])
def test_compiled_callers(ulps):
    for y, near, far in zip(Y, *near_and_far(ulps), strict=True):
        expected = logarithm(y, near, far) + nbad.grad(logarithm)(y, near, far)
        assert_allclose(summed(y, near, far), expected, rtol=1e-15)


@pytest.mark.slow
def test_exported_modules():
    module = types.ModuleType("exported")
    exec(nbad.export(logarithm), vars(module))
    for ulps in (-4, -1, 0, 1, 4, 10_000):
        ends = near_and_far(ulps)
        value, pullback = module.vjp(Y, *ends)
        assert_allclose(value, logarithm(Y, *ends), rtol=1e-15)
        assert_allclose(pullback(np.ones_like(Y))[0], nbad.grad(logarithm)(Y, *ends), rtol=1e-15)
