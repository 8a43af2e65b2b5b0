"""Second derivatives of the gallery against published values and closed forms."""

import math

import mpmath
import numpy as np
import pytest
from helpers.gallery import load, random
from helpers.gallery_reference import DATA, assert_published, casts
from numpy.testing import assert_allclose

import nbad

PASCAL = 1e-4  # in dbar


def test_specific_volume_at_check_casts():
    """The five that TEOS-10 publishes; pressure counts in Pa there."""
    check_casts = np.load(DATA / "gsw_check_share.npz")
    hessian = nbad.hessian(load("specific_volume").specific_volume)(*casts(check_casts))
    assert hessian.shape == (45, 3, 3, 3)
    assert_published(check_casts, "v_SA_SA", hessian[..., 0, 0], 1e-12)
    assert_published(check_casts, "v_SA_CT", hessian[..., 0, 1], 1e-12)
    assert_published(check_casts, "v_CT_CT", hessian[..., 1, 1], 1e-12)
    assert_published(check_casts, "v_SA_P", hessian[..., 0, 2] * PASCAL, 1e-12)
    assert_published(check_casts, "v_CT_P", hessian[..., 1, 2] * PASCAL, 1e-12)
    assert_allclose(hessian, np.swapaxes(hessian, -1, -2), rtol=1e-13)


def test_density_at_check_casts():
    check_casts = np.load(DATA / "gsw_check_share.npz")
    specific_volume = load("specific_volume").specific_volume

    @nbad.kernel
    def density(SA, CT, p):
        return 1 / specific_volume(SA, CT, p)

    hessian = nbad.hessian(density)(*casts(check_casts))
    assert_published(check_casts, "rho_SA_SA", hessian[..., 0, 0], 3e-12)  # the published ones are off by 5e-13
    assert_published(check_casts, "rho_SA_CT", hessian[..., 0, 1], 1e-12)
    assert_published(check_casts, "rho_CT_CT", hessian[..., 1, 1], 1e-12)
    assert_published(check_casts, "rho_SA_P", hessian[..., 0, 2] * PASCAL, 1e-12)
    assert_published(check_casts, "rho_CT_P", hessian[..., 1, 2] * PASCAL, 1e-12)


def test_gamma_of_black_scholes():
    """Second partial of the call by the spot, n(d1) / (s sigma sqrt(t)); the put has the same."""
    price = load("black_scholes").price
    s, k, t, r, sigma = options = load("black_scholes").sample_inputs(random(), 50, np.float64)

    @nbad.kernel
    def call(s, k, t, r, sigma):
        return price(s, k, t, r, sigma)[0]

    @nbad.kernel
    def put(s, k, t, r, sigma):
        return price(s, k, t, r, sigma)[1]

    deviation = sigma * np.sqrt(t)
    d1 = (np.log(s / k) + (r + sigma**2 / 2) * t) / deviation
    expected = np.exp(-(d1**2) / 2) / (math.sqrt(2 * math.pi) * s * deviation)
    for kernel in (call, put):
        assert_allclose(nbad.grad(nbad.grad(kernel))(*options), expected, rtol=1e-11, atol=1e-13)


def test_stiffness_of_lennard_jones_at_its_minimum():
    """Along the axis 57.15 epsilon / sigma^2; across it nothing, for there is no force to turn."""
    hessian = nbad.hessian(load("lennard_jones").lennard_jones, argnums=("x", "y", "z"))(2 ** (1 / 6), 0.0, 0.0, 1.0, 1.0)
    assert_allclose(hessian, np.diag([72 / 2 ** (1 / 3), 0.0, 0.0]), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sigmoid", lambda x: 1 / (1 + mpmath.exp(-x))),
        ("softplus", lambda x: mpmath.log1p(mpmath.exp(x))),
        ("silu", lambda x: x / (1 + mpmath.exp(-x))),
        ("gelu", lambda x: x * mpmath.ncdf(x)),
    ],
)
def test_curvature_of_activations(name, function):
    points = np.array([-30.0, -3.0, -0.5, 0.5, 3.0, 30.0])
    with mpmath.workdps(80):
        exact = np.array([mpmath.diff(function, mpmath.mpf(x), 2) for x in points], float)
    computed = nbad.grad(nbad.grad(load("activations").ACTIVATIONS[name]))(points)
    assert_allclose(computed, exact, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_piecewise_linear_activations_have_no_curvature(name):
    kernel = load("activations").ACTIVATIONS[name]
    assert np.all(nbad.grad(nbad.grad(kernel))(np.array([-2.0, 0.0, 3.0])) == 0)
