"""Gallery kernels with branches, helpers, vectors and matrices, against published values and closed forms."""

import math

import mpmath
import numpy as np
import pytest
from helpers.gallery import load, random
from helpers.gallery_reference import goldens
from numpy.testing import assert_allclose, assert_array_equal

import nbad

# Bundle adjustment


def skew(d):
    """The matrix of the cross product d x."""
    return np.array([[0, -d[2], d[1]], [d[2], 0, -d[0]], [-d[1], d[0], 0]])


def observation():
    camera, point, weight, feature = (np.array(x) for x in load("reprojection").REFERENCE["inputs"])
    return camera, point, weight, feature


def test_bundle_adjustment_of_adbench():
    """All 31 published numbers: two errors' Jacobian by camera, point and weight, and the weight's own."""
    module, published = load("reprojection"), goldens("adbench/ba_gmm_goldens.json")
    value, jacobian = nbad.value_and_jacobian(module.reprojection, argnums=(0, 1, 2))(*observation())
    assert jacobian.shape == (2, 15)
    assert_allclose(value, published["reproj_err"], rtol=1e-12)
    assert_allclose(jacobian, [published["J_err0"], published["J_err1"]], rtol=1e-12)
    weight = published["w"]
    value, jacobian = nbad.value_and_jacobian(module.weight_error)(weight)
    assert_allclose(value, published["w_err"], rtol=1e-12)
    assert_allclose(jacobian, [[published["dw_err_dw"]]], rtol=1e-12)


def test_bundle_adjustment_constants_are_the_published_ones():
    module, published = load("reprojection"), goldens("adbench/ba_gmm_goldens.json")
    for constant, key in zip(module.REFERENCE["inputs"], ("cam", "X", "w", "feat"), strict=True):
        assert_array_equal(constant, published[key])
    assert_array_equal(module.REFERENCE["jacobian"], [published["J_err0"], published["J_err1"]])
    assert_array_equal(module.REFERENCE["outputs"][0], published["reproj_err"])
    assert_array_equal(module.REFERENCE["weight error"], (published["w_err"], published["dw_err_dw"]))


def test_ten_equal_observations():
    """ADBench repeats one observation ten times; here the camera is broadcast, and its cotangent is the sum."""
    module = load("reprojection")
    camera, point, weight, feature = observation()
    many = camera, np.tile(point, (10, 1)), np.full(10, weight), np.tile(feature, (10, 1))
    values, pullback = nbad.vjp(module.reprojection, *many)
    single = nbad.jacobian(module.reprojection)(*observation())
    blocks = nbad.jacobian(module.reprojection)(*many)
    assert values.shape == (10, 2)
    assert blocks.shape == (10, 2, 17)
    assert_array_equal(blocks, np.broadcast_to(single, blocks.shape))
    rows = pullback.batched(np.tile(np.eye(2)[:, None, :], (1, 10, 1)))
    assert_allclose(rows[0], 10 * single[:, :11], rtol=1e-14)
    assert_array_equal(rows[1], np.tile(single[:, None, 11:14], (1, 10, 1)))


def test_zero_rotation():
    """There the point turns by rotation x d: the partials by rotation are those by the point times -[d]x."""
    camera, point, weight, feature = observation()
    camera[:3] = 0
    jacobian = nbad.jacobian(load("reprojection").reprojection)(camera, point, weight, feature)
    by_rotation, by_center, by_point = jacobian[:, :3], jacobian[:, 3:6], jacobian[:, 11:14]
    assert np.all(np.isfinite(jacobian))
    assert_allclose(by_center, -by_point, rtol=1e-14)
    assert_allclose(by_rotation, -by_point @ skew(point - camera[3:6]), rtol=1e-12)


def test_zero_rotation_in_a_batch():
    """An element's branch leaves the other elements alone, and both branches meet."""
    camera, point, weight, feature = observation()
    scales = np.array([0.0, 1.0, 1e-7, 0.0, 1e-3])
    cameras = np.tile(camera, (5, 1))
    cameras[:, :3] *= scales[:, None]
    kernel = load("reprojection").reprojection
    together = nbad.jacobian(kernel)(cameras, point, weight, feature)
    for row, alone in zip(together, cameras, strict=True):
        assert_array_equal(row, nbad.jacobian(kernel)(alone, point, weight, feature))
    assert_allclose(together[2], together[0], rtol=1e-5, atol=1e-4)


def test_many_seeds_on_observations():
    inputs = load("reprojection").sample_inputs(random(1), 40, np.float64)
    kernel = load("reprojection").reprojection
    _, pullback = nbad.vjp(kernel, *inputs)
    seeds = random(2).standard_normal((16, 40, 2))
    joined = np.concatenate([c.reshape(16, 40, -1) for c in pullback.batched(seeds)], axis=-1)
    jacobian = nbad.jacobian(kernel)(*inputs)
    expected = np.einsum("snm,nmk->snk", seeds, jacobian)
    assert_allclose(joined, expected, rtol=0, atol=1e-14 * np.max(abs(expected)))


# Black-Scholes, rational approximation


def test_numba_benchmark_options():
    published, price = goldens("numba_blackscholes_goldens.json"), load("black_scholes_rational").price
    n = published["N"]
    s, x, t = (np.random.RandomState(k).uniform(*limits, n) for k, limits in enumerate([(5, 30), (1, 100), (0.25, 10)]))
    (call, put), jacobian = nbad.value_and_jacobian(price)(s, x, t, published["R"], published["V"])
    for point in published["points"]:
        k = point["i"]
        assert (s[k], x[k], t[k]) == (point["S"], point["X"], point["T"])
        assert_allclose((call[k], put[k]), (point["call"], point["put"]), rtol=1e-13, atol=1e-14 * max(s[k], x[k]))
        expected = np.array([point["dcall_SXTRV"], point["dput_SXTRV"]])
        units = 1.0, 1.0, s[k], t[k] * s[k], np.sqrt(t[k]) * s[k]
        assert np.all(abs(jacobian[k] - expected) <= 1e-12 * abs(expected) + 3e-15 * np.array(units))


def test_both_sides_of_the_branch_of_the_normal_distribution():
    """Call and put change places, and signs, with the signs of d1 and d2; parity holds across."""
    price = load("black_scholes_rational").price
    s = np.linspace(5.0, 100.0, 39)
    (call, put), jacobian = nbad.value_and_jacobian(price)(s, 30.0, 1.5, 0.02, 0.3)
    assert_allclose(call - put, s - 30.0 * math.exp(-0.03), atol=1e-13)
    assert_allclose(jacobian[:, 0, 0] - jacobian[:, 1, 0], 1.0, rtol=1e-13)
    assert np.all(np.diff(jacobian[:, 0, 0]) > 0)


# Seawater


def test_dynamic_enthalpy_of_the_toolbox_examples():
    module = load("seawater_enthalpy")
    SA, CT, p = (np.array(x) for x in module.REFERENCE["inputs"])
    value, jacobian = nbad.value_and_jacobian(module.seawater_enthalpy)(SA, CT, p)
    assert_allclose(value + 1e4 * p / 1024, module.REFERENCE["dynamic enthalpy"], rtol=1e-13)
    assert_allclose(jacobian[:, 0, 2] / 1e4 + 1 / 1024, module.REFERENCE["specific volume"], rtol=1e-13)


def test_dynamic_enthalpy_in_high_precision():
    points = np.array(goldens("pyhpc_eos_goldens.json")["points_SA_CT_p__H_HSA_HCT_Hp"]).T
    value, jacobian = nbad.value_and_jacobian(load("seawater_enthalpy").seawater_enthalpy)(*points[:3])
    assert_allclose([value, *jacobian[:, 0, :].T], points[3:], rtol=1e-8)


@pytest.mark.parametrize("size", ["4096", "16384"])
def test_enthalpy_by_temperature_replaces_the_ocean_model_s_hand_written_derivative(size):
    """Pressure is broadcast along the grid; the published sums are of 150 lines of derivative code, which cancels more."""
    published, module = goldens("pyhpc_eos_goldens.json")["checksums_dHdT"][size], load("seawater_enthalpy")
    SA, CT, p = module.benchmark_inputs(int(size))
    _, pullback = nbad.vjp(module.seawater_enthalpy, SA, CT, p)
    by_SA, by_CT, by_p = pullback(1.0)
    assert list(by_CT.shape) == published["shape"]
    assert by_SA.shape == SA.shape
    assert by_p.shape == p.shape
    assert [SA.flat[0], CT.flat[0], p.flat[0]] == published["first"][:3]
    assert_allclose(np.linalg.norm(by_CT), published["l2"], rtol=1e-8)
    assert_allclose(by_CT.sum(), published["sum"], atol=1e-8 * by_CT.size)
    assert_allclose([by_CT.flat[0], by_CT.flat[-1]], [published["first"][3], published["last"][3]], rtol=1e-7)


# Chemical kinetics


@pytest.mark.parametrize("reaction", ["OH + CH4", "O + O3"])
def test_published_rate_constants(reaction):
    module = load("arrhenius")
    published = module.REFERENCE[reaction]
    computed = module.arrhenius(298.0, published["a"], 0.0, published["temperature"] * module.GAS_CONSTANT)
    assert_allclose(computed, published["at 298 K"], rtol=1e-2)


def test_arrhenius_partials_in_closed_form():
    module = load("arrhenius")
    temperature, a, n, energy = inputs = module.sample_inputs(random(3), 50, np.float64)
    k, jacobian = nbad.value_and_jacobian(module.arrhenius)(*inputs)
    per_kelvin = energy / (module.GAS_CONSTANT * temperature**2)
    logarithmic = n / temperature + per_kelvin, 1 / a, np.log(temperature / 298.15), -per_kelvin * temperature / energy
    assert_allclose(jacobian[:, 0, :].T, k * np.array(logarithmic), rtol=1e-12)


def test_activation_energy_from_the_partials():
    """R T^2 d(log k)/dT is the activation energy plus n R T."""
    module = load("arrhenius")
    temperature = np.linspace(250.0, 1500.0, 11)
    k, jacobian = nbad.value_and_jacobian(module.arrhenius, argnums="temperature")(temperature, 3.0, 0.5, 2e4)
    apparent = module.GAS_CONSTANT * temperature**2 * jacobian[:, 0, 0] / k
    assert_allclose(apparent, 2e4 + 0.5 * module.GAS_CONSTANT * temperature, rtol=1e-12)


def test_falloff_between_its_limits():
    module = load("arrhenius")
    low, n, high, m = (module.REFERENCE["OH + NO2 + M"][key] for key in ("low", "n", "high", "m"))
    centre = high / low
    density = centre * np.array([1e-12, 1.0, 1e12])
    k, jacobian = nbad.value_and_jacobian(module.falloff, argnums="density")(300.0, density, low, n, high, m)
    broadening = 0.6 ** (1 / 145)
    assert_allclose(k, [low * density[0] * broadening, 0.3 * high, high * broadening], rtol=1e-11)
    lg = np.array([-12.0, 0.0, 12.0])
    slope = 1 / (1 + density / centre) - 2 * lg * np.log(0.6) / (np.log(10) * (1 + lg**2) ** 2)
    assert_allclose(jacobian[:, 0, 0], slope * k / density, rtol=1e-10)


# Activation functions

SMOOTH = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "leaky_relu": lambda x: max(x, x * mpmath.mpf(0.01)),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "selu": lambda x: mpmath.mpf(1.0507009873554805) * (x if x > 0 else mpmath.mpf(1.6732632423543772) * mpmath.expm1(x)),
    "hard_swish": lambda x: x * min(max(x + 3, mpmath.mpf(0)), 6) / 6,
}
POINTS = np.array([-800.0, -700.0, -40.0, -8.5, -2.5, -1.0, -1e-3, 1e-3, 1.0, 2.5, 8.5, 40.0, 700.0, 800.0])
SLOPES_AT_ZERO = {
    "relu": 0.0,
    "leaky_relu": 0.01,
    "elu": 1.0,
    "selu": 1.7580993408473766,
    "hard_swish": 0.5,
    "sigmoid": 0.25,
    "silu": 0.5,
    "softplus": 0.5,
    "mish": 0.6,
    "gelu": 0.5,
}


def test_every_activation_has_its_reference():
    assert set(load("activations").ACTIVATIONS) == set(SMOOTH) == set(SLOPES_AT_ZERO)


@pytest.mark.parametrize("name", SMOOTH)
def test_activation_and_slope_in_both_tails(name):
    with mpmath.workdps(400):
        exact = [(SMOOTH[name](mpmath.mpf(x)), mpmath.diff(SMOOTH[name], mpmath.mpf(x))) for x in POINTS]
        exact = np.array(exact, float).T
    value, jacobian = nbad.value_and_jacobian(load("activations").ACTIVATIONS[name], argnums="x")(POINTS)
    assert_allclose(value, exact[0], rtol=2e-14, atol=1e-300)
    assert_allclose(jacobian[:, 0, 0], exact[1], rtol=2e-14, atol=1e-300)


@pytest.mark.parametrize("name", SLOPES_AT_ZERO)
def test_activation_slope_at_zero(name):
    kernel = load("activations").ACTIVATIONS[name]
    for zero in (0.0, -0.0):
        assert_allclose(nbad.jacobian(kernel)(zero), [[SLOPES_AT_ZERO[name]]], rtol=1e-15)


def test_hard_swish_at_its_kinks():
    jacobian = nbad.jacobian(load("activations").hard_swish)(np.array([-3.0, 3.0]))
    assert_array_equal(jacobian[:, 0, 0], [0.0, 1.0])


# Rigid motion


def test_rigid_transform_partials_in_closed_form():
    """By the translation: the identity. By the point: the rotation. By an angle: a cross product with its axis."""
    module = load("rigid_transform")
    inputs = module.sample_inputs(random(4), 20, np.float64)
    value, jacobian = nbad.value_and_jacobian(module.rigid_transform)(*inputs)
    assert jacobian.shape == (20, 3, 9)
    for (roll, pitch, yaw), translation, point, moved, block in zip(*inputs, value, jacobian, strict=True):
        rotation = block[:, 6:]
        turned = rotation @ point
        axis_of_pitch = np.array([-math.sin(yaw), math.cos(yaw), 0.0])
        bottom = -math.sin(pitch), math.cos(pitch) * math.sin(roll), math.cos(pitch) * math.cos(roll)
        assert_allclose(moved, turned + translation, atol=1e-14)
        assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-15)
        assert_allclose(np.linalg.det(rotation), 1.0, rtol=1e-14)
        assert_allclose(rotation[2], bottom, atol=1e-15)
        assert_array_equal(block[:, 3:6], np.eye(3))
        assert_allclose(block[:, 0], rotation @ np.cross([1.0, 0.0, 0.0], point), atol=1e-14)
        assert_allclose(block[:, 1], np.cross(axis_of_pitch, turned), atol=1e-14)
        assert_allclose(block[:, 2], np.cross([0.0, 0.0, 1.0], turned), atol=1e-14)


def test_one_motion_of_many_points():
    """Angles and translation are broadcast: their cotangents are torque and force on the whole body."""
    module = load("rigid_transform")
    angles, translation = np.array([0.3, -0.8, 2.0]), np.array([1.0, 2.0, 3.0])
    points = random(5).standard_normal((50, 3))
    _, pullback = nbad.vjp(module.rigid_transform, angles, translation, points)
    forces = random(6).standard_normal((50, 3))
    by_angles, by_translation, by_points = pullback(forces)
    jacobian = nbad.jacobian(module.rigid_transform)(angles, translation, points)
    assert by_points.shape == (50, 3)
    assert_allclose(by_translation, forces.sum(axis=0), rtol=1e-13)
    assert_allclose(by_angles, np.einsum("nm,nmk->k", forces, jacobian[:, :, :3]), rtol=1e-13)
