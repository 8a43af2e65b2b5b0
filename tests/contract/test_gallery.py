"""The gallery against published values and closed forms."""

import itertools

import numpy as np
import pytest
from helpers.gallery import GALLERY, kernels, kernels_of, load, random, sample
from helpers.gallery_reference import (
    DATA,
    NIST,
    assert_published,
    black_scholes,
    casts,
    gmm_constant,
    goldens,
    read_gmm,
    standard_deviations,
)
from helpers.same_bits import leaves
from numpy.testing import assert_allclose

import nbad
import nbad.testing

DBAR = 1e4  # in Pa


CASES = kernels()
every_kernel = pytest.mark.parametrize(("module", "kernel"), CASES.values(), ids=CASES.keys())


def columns(*arguments):
    """Partials by each argument as arrays of their own: the last axis of a Jacobian with one output."""
    return np.moveaxis(nbad.jacobian(arguments[0])(*arguments[1:])[..., 0, :], -1, 0)


@pytest.mark.parametrize("name", GALLERY)
def test_anatomy(name):
    module = load(name)
    assert all(f"\n{part}:" in module.__doc__ for part in ("Units", "Domain", "Source"))
    assert all(kernel.__doc__ for kernel in kernels_of(module))
    for dtype in (np.float32, np.float64):
        inputs = module.sample_inputs(random(), 7, dtype)
        assert {x.dtype for x in inputs} == {np.dtype(dtype)}
        assert {x.shape[:1] for x in inputs} <= {(7,), ()}


@every_kernel
def test_value_is_that_of_the_plain_function(module, kernel):
    inputs = sample(module, kernel, 9)
    rows = ([x[k] if x.ndim else x[()] for x in inputs] for k in range(9))
    plain = zip(*(leaves(kernel.__wrapped__(*row)) for row in rows), strict=True)
    for value, expected in zip(leaves(kernel(*inputs)), plain, strict=True):
        assert_allclose(value, np.array(expected), rtol=1e-11)


@every_kernel
def test_single_precision(module, kernel):
    """To 1e-5 of the largest value, or to what the file itself says where its formula cancels."""
    inputs = sample(module, kernel, 5, np.float32)
    singles, doubles = leaves(kernel(*inputs)), leaves(kernel(*(x.astype(np.float64) for x in inputs)))
    for single, double in zip(singles, doubles, strict=True):
        assert single.dtype == np.float32
        assert_allclose(single, double, rtol=0, atol=getattr(module, "FLOAT32_RTOL", 1e-5) * np.max(abs(double)))


# the exact values of these take a second or more
LONG = {
    "arrhenius.falloff",
    "black_scholes_rational.price",
    "colebrook.friction_factor",
    "implied_volatility.implied_volatility",
    "kepler.position",
    "lambert_w.lambert_w",
    "nonlinear_regression.enso",
    "nonlinear_regression.gauss1",
    "reprojection.reprojection",
    "rigid_transform.rigid_transform",
    "seawater_enthalpy.seawater_enthalpy",
    "specific_volume.specific_volume",
}
marked = [pytest.param(*case, marks=[pytest.mark.slow] * (name in LONG), id=name) for name, case in CASES.items()]


@pytest.mark.parametrize(("module", "kernel"), marked)
def test_harness(module, kernel):
    nbad.testing.check_kernel(kernel, *sample(module, kernel, 37))


# Black-Scholes

OPTIONS = {
    "sampled": load("black_scholes").sample_inputs(random(4), 12, np.float64),
    "far out of the money": (np.array([1e-6, 0.1, 20.0, 60.0]), 100.0, 0.5, 0.03, 0.25),
    "deep in the money": (np.array([150.0, 500.0, 1e4, 1e8]), 100.0, 0.5, 0.03, 0.25),
    "nearly expired": (np.array([99.0, 100.0, 101.0]), 100.0, 1e-6, 0.03, 0.25),
    "quiet, negative rate": (np.array([99.0, 100.0, 101.0]), 100.0, 2.0, -0.01, 1e-3),
}


def test_black_scholes_textbook_example():
    module = load("black_scholes")
    assert_allclose(module.price(*module.REFERENCE["inputs"]), module.REFERENCE["outputs"], atol=module.REFERENCE["atol"])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_black_scholes_greeks(options):
    """Relative to the larger terms that cancel in each: the densities at d1 and d2, divided by their standard deviation."""
    values, jacobian = nbad.value_and_jacobian(load("black_scholes").price)(*options)
    rows = zip(np.transpose(values), jacobian, np.transpose(np.broadcast_arrays(*options)), strict=True)
    for value, partials, (s, k, t, r, sigma) in rows:
        exact_value, exact_partials = black_scholes(s, k, t, r, sigma)
        size, steep = max(s, k), 1 + 1 / (sigma * np.sqrt(t))
        units = steep, steep, size * (abs(r) + 1 / t), size * t * steep, size * (np.sqrt(t) + 1 / sigma)
        assert_allclose(value, exact_value, rtol=1e-14, atol=2e-15 * size)
        assert np.all(abs(partials - exact_partials) <= 3e-15 * np.array(units) + 2e-14 * abs(exact_partials))


def test_black_scholes_put_call_parity():
    module = load("black_scholes")
    options = module.sample_inputs(random(5), 300, np.float64)
    s, k, t, r, _ = options
    call, put = module.price(*options)
    assert_allclose(call - put, s - k * np.exp(-r * t), atol=1e-12)
    _, pullback = nbad.vjp(module.price, *options)
    expected = np.ones(300), -np.exp(-r * t), r * k * np.exp(-r * t), t * k * np.exp(-r * t), np.zeros(300)
    assert_allclose(pullback((1.0, -1.0)), expected, atol=1e-11)


# Great circles


def test_arc_distance_golden():
    module = load("arc_distance")
    value, jacobian = nbad.value_and_jacobian(module.arc_distance)(*module.REFERENCE["inputs"])
    assert_allclose(value, module.REFERENCE["outputs"][0], rtol=4e-16)
    assert_allclose(jacobian, module.REFERENCE["jacobian"], rtol=2e-15)


def test_arc_distance_from_the_pole_is_the_colatitude():
    latitude = np.linspace(-1.4, 1.4, 29)
    pole = np.pi / 2
    value, jacobian = nbad.value_and_jacobian(load("arc_distance").arc_distance, argnums=("theta_2", "phi_2"))(
        pole, 0.3, latitude, 1.1
    )
    assert_allclose(value, pole - latitude, rtol=1e-14)
    assert_allclose(jacobian[:, 0, 0], -1.0, rtol=1e-13)
    assert_allclose(jacobian[:, 0, 1], 0.0, atol=1e-15)


# Seawater


@pytest.fixture(scope="module")
def check_casts():
    return np.load(DATA / "gsw_check_share.npz")


def test_specific_volume_of_the_toolbox_example():
    module = load("specific_volume")
    computed = module.specific_volume(*(np.array(x) for x in module.REFERENCE["inputs"]))
    assert_allclose(computed, module.REFERENCE["outputs"][0], rtol=1e-15)


def test_specific_volume_coefficients():
    """All 75 are literals of the source, and nothing but the polynomial's value is left to check."""
    coefficients = {name: float(text) for name, text in goldens("teos10_75term_v_coeffs.json").items()}
    SA, CT, p = load("specific_volume").sample_inputs(random(6), 50, np.float64)
    x, y, z = np.sqrt(0.0248826675584615 * SA + 0.5971840214030754), 0.025 * CT, 1e-4 * p
    expected = sum(c * y ** int(name[1]) * x ** int(name[2]) * z ** int(name[3]) for name, c in coefficients.items())
    assert len(coefficients) == 75
    assert_allclose(load("specific_volume").specific_volume(SA, CT, p), expected, rtol=2e-15)


def test_specific_volume_at_check_casts(check_casts):
    kernel = load("specific_volume").specific_volume
    value, jacobian = nbad.value_and_jacobian(kernel)(*casts(check_casts))
    by_SA, by_CT, by_p = np.moveaxis(jacobian[..., 0, :], -1, 0)
    assert jacobian.shape == (45, 3, 1, 3)
    assert_published(check_casts, "specvol", value)
    assert_published(check_casts, "v_SA", by_SA)
    assert_published(check_casts, "v_CT", by_CT)
    assert_published(check_casts, "v_P", by_p / DBAR)


def test_density_is_a_kernel_of_a_kernel(check_casts):
    specific_volume = load("specific_volume").specific_volume

    @nbad.kernel
    def density(SA, CT, p):
        return 1 / specific_volume(SA, CT, p)

    by_SA, by_CT, by_p = columns(density, *casts(check_casts))
    assert_allclose(density(*casts(check_casts)), check_casts["rho"], rtol=1e-14)
    assert_published(check_casts, "rho_SA", by_SA)
    assert_published(check_casts, "rho_CT", by_CT)
    assert_published(check_casts, "rho_P", by_p / DBAR)


def test_specific_volume_reverses_many_seeds(check_casts):
    SA, CT, p = (x[~np.isnan(check_casts["v_SA"])] for x in casts(check_casts))
    _, pullback = nbad.vjp(load("specific_volume").specific_volume, SA, CT, p)
    seeds = random(7).standard_normal((5, SA.size))
    for cotangent, name, unit in zip(pullback.batched(seeds), ("v_SA", "v_CT", "v_P"), (1, 1, DBAR), strict=True):
        partial = check_casts[name][~np.isnan(check_casts["v_SA"])] * unit
        assert_allclose(cotangent, seeds * partial, rtol=1e-12)


# Lennard-Jones


def icosahedron():
    """Separations of the 78 pairs of 13 atoms, one in the centre and twelve around it at the distance of least energy."""
    golden = (1 + np.sqrt(5)) / 2
    signs = np.array(list(itertools.product((-1, 1), repeat=2)))
    corners = np.concatenate([np.roll([[0, a, b * golden] for a, b in signs], shift, axis=1) for shift in range(3)])
    atoms = np.vstack([np.zeros(3), corners])
    first, second = np.triu_indices(13, 1)
    pairs = atoms[first] - atoms[second]
    r = np.linalg.norm(pairs, axis=1)
    return pairs.T * (2 * np.sum(r**-12.0) / np.sum(r**-6.0)) ** (1 / 6)


def test_lennard_jones_cluster_of_thirteen():
    module = load("lennard_jones")
    energy, pullback = nbad.vjp(module.lennard_jones, *icosahedron(), 1.0, 1.0)
    *_, by_epsilon, by_sigma = pullback(1.0)
    assert_allclose(energy.sum(), module.REFERENCE["icosahedron"], atol=5e-7)
    assert_allclose(by_epsilon, energy.sum(), rtol=1e-13)
    assert_allclose(by_sigma, 0.0, atol=1e-11)


def test_lennard_jones_partials_in_closed_form():
    module = load("lennard_jones")
    x, y, z, epsilon, sigma = inputs = module.sample_inputs(random(8), 60, np.float64)
    s6 = (sigma**2 / (x * x + y * y + z * z)) ** 3
    radial = -24 * epsilon * (2 * s6**2 - s6) / (x * x + y * y + z * z)
    expected = radial * x, radial * y, radial * z, 4 * (s6**2 - s6), 24 * epsilon * (2 * s6**2 - s6) / sigma
    scale = 24 * epsilon * (2 * s6**2 + s6)
    assert np.all(abs(columns(module.lennard_jones, *inputs) - expected) <= 1e-14 * scale)


def test_lennard_jones_minimum():
    value, jacobian = nbad.value_and_jacobian(load("lennard_jones").lennard_jones)(0.0, 0.0, 2 ** (1 / 6) * 3.405, 119.8, 3.405)
    assert_allclose(value, -119.8, rtol=1e-14)
    assert_allclose(jacobian, [[0, 0, 0, -1, 0]], atol=1e-11)


# Nonlinear regression


def test_every_nist_problem_has_its_model():
    module = load("nonlinear_regression")
    assert set(NIST) == set(module.MODELS) == set(module.REFERENCE)
    for name, problem in NIST.items():
        published = module.REFERENCE[name]
        assert published["parameters"] == tuple(problem.parameters)
        assert published["deviations"] == tuple(problem.deviations)
        assert published["range"] == (problem.x.min(), problem.x.max())


@pytest.mark.parametrize("name", NIST)
def test_certified_standard_deviations(name):
    problem, model = NIST[name], load("nonlinear_regression").MODELS[name]
    wrt = tuple(range(1, 1 + problem.parameters.size))
    jacobian = nbad.jacobian(model, argnums=wrt)(problem.x, *problem.parameters)[:, 0, :]
    assert jacobian.shape == (problem.x.size, problem.parameters.size)
    assert_allclose(standard_deviations(jacobian, problem), problem.deviations, rtol=1e-6)


@pytest.mark.parametrize("name", NIST)
def test_residual_is_orthogonal_to_the_jacobian_at_the_certified_fit(name):
    problem, model = NIST[name], load("nonlinear_regression").MODELS[name]
    wrt = tuple(f"b{k + 1}" for k in range(problem.parameters.size))
    fitted, pullback = nbad.vjp(model, problem.x, *problem.parameters, argnums=wrt)
    residual = problem.y - fitted
    jacobian = nbad.jacobian(model, argnums=wrt)(problem.x, *problem.parameters)[:, 0, :]
    assert_allclose(residual @ residual, problem.residual_sum, rtol=1e-9)
    cosine = np.array(pullback(residual)) / (np.linalg.norm(jacobian, axis=0) * np.linalg.norm(residual))
    assert np.all(abs(cosine) < 1e-5)


@pytest.mark.parametrize("name", NIST)
def test_pullback_sums_over_the_data(name):
    problem, model = NIST[name], load("nonlinear_regression").MODELS[name]
    _, pullback = nbad.vjp(model, problem.x, *problem.parameters)
    seeds = random(9).standard_normal((3, problem.x.size))
    jacobian = nbad.jacobian(model)(problem.x, *problem.parameters)[:, 0, :]
    by_x, *by_parameters = pullback.batched(seeds)
    assert_allclose(by_x, seeds * jacobian[:, 0], rtol=1e-13)
    scale = abs(seeds) @ abs(jacobian[:, 1:])
    assert np.all(abs(np.transpose(by_parameters) - seeds @ jacobian[:, 1:]) <= 1e-14 * scale)


# ADBench's Gaussian mixture: a kernel per datum and component, sums and softmax in NumPy


@nbad.kernel
def log_component(alpha, m0, m1, q0, q1, low, x0, x1):
    e0, e1 = x0 - m0, x1 - m1
    return alpha + q0 + q1 - 0.5 * ((np.exp(q0) * e0) ** 2 + (low * e0 + np.exp(q1) * e1) ** 2)


@nbad.kernel
def log_prior(q0, q1, low, gamma, m):
    return 0.5 * gamma**2 * (np.exp(2 * q0) + np.exp(2 * q1) + low**2) - m * (q0 + q1)


def test_gaussian_mixture_of_adbench():
    published, mixture = goldens("adbench/ba_gmm_goldens.json")["gmm"], read_gmm()
    parameters = (mixture.alpha, *mixture.mean.T, *mixture.factor.T)
    data = (column[:, None] for column in mixture.x.T)
    likelihood, likelihood_pullback = nbad.vjp(log_component, *parameters, *data, argnums=tuple(range(6)))
    prior, prior_pullback = nbad.vjp(log_prior, *mixture.factor.T, mixture.gamma, mixture.m, argnums=(0, 1, 2))

    log_sum = np.logaddexp.reduce(likelihood, axis=1)
    log_weight = np.logaddexp.reduce(mixture.alpha)
    n = len(mixture.x)
    objective = log_sum.sum() - n * log_weight + prior.sum() + gmm_constant(mixture)
    assert_allclose(objective, published["objective"], rtol=1e-13)

    by_alpha, m0, m1, *by_factor = likelihood_pullback(np.exp(likelihood - log_sum[:, None]))
    by_alpha = by_alpha - n * np.exp(mixture.alpha - log_weight)
    by_mean = np.transpose([m0, m1])
    by_factor = np.transpose(np.add(by_factor, prior_pullback(1.0)))
    gradient = np.concatenate([by_alpha, by_mean.ravel(), by_factor.ravel()])
    assert_allclose(gradient, published["gradient"], rtol=1e-12)


# Equations and loops


@pytest.mark.parametrize(("e", "m", "published"), load("kepler").PUBLISHED)
def test_kepler_table(e, m, published):
    assert_allclose(np.degrees(load("kepler").eccentric_anomaly(np.radians(m), e)), published, rtol=0, atol=5e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kepler_holds_for_every_orbit(dtype):
    """A bracket of m - e and m + e lost the root by rounding, in float32 at one of some thousand, or kept 12 digits of it."""
    kepler = load("kepler")
    m, e = kepler.sample_inputs(np.random.default_rng(0), 100_000, dtype)
    anomaly, m, e = (x.astype(float) for x in (kepler.eccentric_anomaly(m, e), m, e))
    assert_allclose(anomaly - e * np.sin(anomaly), m, rtol=0, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("re", "k", "published"), load("colebrook").PUBLISHED)
def test_colebrook_value(re, k, published):
    assert_allclose(load("colebrook").friction_factor(re, k), published, rtol=1e-13)


def test_implied_volatility_of_the_book():
    module = load("implied_volatility")
    *arguments, digits = module.PUBLISHED
    assert_allclose(module.implied_volatility(*arguments[0]), digits, rtol=0, atol=5e-4)


def test_implied_volatility_is_that_of_the_price():
    """Prices of the gallery's own formula lead back to the volatilities; prices that no volatility has are nan."""
    s, x, t, v = np.array([90.0, 100.0, 110.0]), 100.0, 0.7, np.array([0.15, 0.4, 0.9])
    call, _ = load("black_scholes").price(s, x, t, 0.03, v)
    implied = load("implied_volatility").implied_volatility
    assert_allclose(implied(s, x, t, 0.03, call), v, rtol=1e-12)
    assert np.isnan(implied(100.0, 100.0, 0.5, 0.02, 0.5))


@pytest.mark.parametrize(("y", "published"), load("lambert_w").PUBLISHED)
def test_lambert_w_values(y, published):
    value, slope = nbad.value_and_grad(load("lambert_w").lambert_w)(y)
    assert_allclose(value, published, rtol=4e-16, atol=4e-16)
    assert_allclose(slope, 1.0 / (np.exp(published) * (1.0 + published)), rtol=1e-14)
