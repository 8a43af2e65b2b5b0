"""`scipy.optimize.least_squares` with nbad's Jacobian, on NIST models and a small bundle adjustment.

The contestant has exact slopes from complex steps: a step of 1e-100 cancels nothing.
"""

import numpy as np
import pytest
import scipy.optimize
from helpers.gallery import load
from helpers.gallery_reference import NIST

import nbad

STEP = 1e-100
OPTIONS = dict(x_scale="jac")
MODELS = {
    "misra1a": lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)),
    "danwood": lambda x, b1, b2: b1 * x**b2,
    "rat42": lambda x, b1, b2, b3: b1 / (1 + np.exp(b2 - b3 * x)),
    "eckerle4": lambda x, b1, b2, b3: b1 / b2 * np.exp(-(((x - b3) / b2) ** 2) / 2),
}


def complex_steps(function, b):
    return np.stack([function(b + 1j * STEP * e).imag / STEP for e in np.eye(b.size)], -1)


STARTS = {"near": lambda problem: problem.parameters * 1.02, "published": lambda problem: problem.start}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_nist_model_reaches_the_certified_parameters(name, start):
    problem, model, plain = NIST[name], load("nonlinear_regression").MODELS[name], MODELS[name]
    slopes = nbad.jacobian(model, argnums=tuple(range(1, 1 + problem.parameters.size)))
    start = start(problem)

    def residuals(b):
        return plain(problem.x, *b) - problem.y

    ours = scipy.optimize.least_squares(residuals, start, lambda b: slopes(problem.x, *b)[:, 0], **OPTIONS)
    exact = scipy.optimize.least_squares(residuals, start, lambda b: complex_steps(residuals, b), **OPTIONS)
    assert np.allclose(ours.x, problem.parameters, rtol=1e-6)
    assert 2 * ours.cost == pytest.approx(problem.residual_sum, rel=1e-7)
    assert ours.njev <= exact.njev
    assert ours.nfev <= exact.nfev


def rotate(rotation, d):
    angle = np.sqrt(rotation @ rotation)
    axis = rotation / angle
    return d * np.cos(angle) + np.cross(axis, d) * np.sin(angle) + np.outer(d @ axis, axis) * (1 - np.cos(angle))


def project(camera, points):
    r = rotate(camera[:3], points - camera[3:6])
    image = r[:, :2] / r[:, 2:]
    s = np.sum(image * image, axis=1, keepdims=True)
    return image * (camera[6] * (1 + camera[9] * s + camera[10] * s * s)) + camera[7:9]


def test_a_camera_is_found_again(rng):
    truth = np.array([0.2, -0.1, 0.3, 0.5, -0.4, -6.0, 800.0, 5.0, -3.0, -0.05, 0.01])
    points = rng.uniform(-1.5, 1.5, (30, 3))
    features = project(truth, points)
    reprojection = load("reprojection").reprojection
    slopes = nbad.jacobian(reprojection, argnums="camera")
    start = truth + np.array([0.02, 0.02, -0.02, 0.05, 0.05, -0.1, 10.0, 1.0, 1.0, 0.01, 0.005])

    def residuals(camera):
        return (project(camera, points) - features).ravel()

    assert np.allclose(reprojection(start, points, 1.0, features).ravel(), residuals(start), rtol=1e-9)
    ours = scipy.optimize.least_squares(residuals, start, lambda c: slopes(c, points, 1.0, features).reshape(60, 11), **OPTIONS)
    exact = scipy.optimize.least_squares(residuals, start, lambda c: complex_steps(residuals, c), **OPTIONS)
    assert np.allclose(ours.x, truth, rtol=1e-6, atol=1e-8)
    assert ours.njev <= exact.njev
    assert ours.nfev <= exact.nfev


def test_cameras_and_points_are_found_together(rng):
    """A small bundle adjustment: three cameras, twelve points; the first of each stays, to fix frame and scale.

    The Jacobian is that of one observation, put at the camera's and the point's columns.
    """
    lens = np.array([800.0, 5.0, -3.0, -0.05, 0.01])
    poses = np.array([[0.2, -0.1, 0.3, 0.5, -0.4, -6.0], [-0.1, 0.3, 0.1, -1.0, 0.3, -6.5], [0.1, 0.2, -0.3, 0.3, 1.0, -5.5]])
    points = rng.uniform(-1.0, 1.0, (12, 3))
    features = np.stack([project(np.append(pose, lens), points) for pose in poses])
    reprojection = load("reprojection").reprojection
    slopes = nbad.jacobian(reprojection, argnums=("camera", "point"))
    truth = np.append(poses[1:], points[1:])

    def split(z):
        return np.vstack([poses[:1], z[:12].reshape(2, 6)]), np.vstack([points[:1], z[12:].reshape(11, 3)])

    def residuals(z):
        cameras, where = split(z)
        return np.stack([project(np.append(camera, lens), where) for camera in cameras] - features).ravel()

    def jacobian(z):
        cameras, where = split(z)
        full = np.hstack([cameras, np.tile(lens, (3, 1))])
        blocks = slopes(full[:, None], where, 1.0, features)
        found = np.zeros((3, 12, 2, z.size))
        for c, p in np.ndindex(3, 12):
            if p:
                found[c, p, :, 9 + 3 * p : 12 + 3 * p] = blocks[c, p, :, 11:]
            if c:
                found[c, p, :, 6 * (c - 1) : 6 * c] = blocks[c, p, :, :6]
        return found.reshape(-1, z.size)

    start = truth + 0.02 * rng.standard_normal(truth.size)
    assert np.allclose(jacobian(start), complex_steps(residuals, start), rtol=1e-9, atol=1e-8)
    ours, exact = (
        scipy.optimize.least_squares(residuals, start, j, **OPTIONS) for j in (jacobian, lambda z: complex_steps(residuals, z))
    )
    assert 2 * ours.cost < 1e-12
    assert ours.njev <= exact.njev
    assert ours.nfev <= exact.nfev
