"""Reprojection error of bundle adjustment: one observation of a point by a camera with radial distortion.

    d = point - center;   r = d turned by the axis-angle vector `rotation` (Rodrigues' formula)
    (x, y) = (r0, r1) / r2;   s = x^2 + y^2
    error = weight (focal (1 + k1 s + k2 s^2) (x, y) + principal point - feature)

`camera` holds rotation (3), center (3), focal length, principal point (2), and the distortion k1, k2: 11 numbers.
Units: lengths in one unit, angles in radians, focal length, principal point and feature in pixels.
Domain: r2 != 0. At zero rotation Rodrigues' formula is 0/0; there the rotation is linearized, which is exact to first order.
Source: ADBench (F. Srajer, Z. Kukelova and A. Fitzgibbon, 2018, doi:10.1080/10556788.2018.1435651), problem BA.
"""

import math

import numpy as np

import nbad

# ADBench's test problem and its answers; columns of the Jacobian: camera, point, weight.
REFERENCE = {
    "inputs": (
        (1.797201, 0.590697, -0.635786, 90.85955, 29.361415, 28.777534, 211.628116, -0.284531, -14.762924, 0.058931, 0.069976),
        (4.173048, 5.586898, 1.403869),
        0.417022,
        (-525.672849, 161.811929),
    ),
    "outputs": ((-0.2690488492351894, 0.2599447926779019),),
    "jacobian": (
        (
            228.87720220824676,
            634.5748114955454,
            -782.2228662593405,
            2.4289261560715967,
            -11.782807962801131,
            2.5416931248774346,
            -1.0365708495851809,
            0.417022,
            0.0,
            -350.7395210960052,
            -912.1077736680086,
            -2.4289261560715967,
            11.782807962801131,
            -2.5416931248774346,
            -0.6451670397129874,
        ),
        (
            -120.54243599499688,
            -385.6732407664604,
            97.54762914033265,
            -1.7837210852957657,
            4.154667994331261,
            2.040257180298989,
            0.3491763974331459,
            0.0,
            0.417022,
            118.1491477044145,
            307.25010896034325,
            1.7837210852957657,
            -4.154667994331261,
            -2.040257180298989,
            0.623335921553064,
        ),
    ),
    "weight error": (0.826092651516, -0.834044),
}


def rotate(rotation, d):
    squared = np.dot(rotation, rotation)
    if squared == 0:
        return d + np.cross(rotation, d)
    angle = math.sqrt(squared)
    axis = rotation / angle
    cosine = math.cos(angle)
    return d * cosine + np.cross(axis, d) * math.sin(angle) + axis * (np.dot(axis, d) * (1 - cosine))


@nbad.kernel(signature="(11),(3),(),(2)->(2)")
def reprojection(camera, point, weight, feature):
    """Weighted error of one observation, in pixels."""
    rotation, center, focal, principal, distortion = camera[:3], camera[3:6], camera[6], camera[7:9], camera[9:]
    r = rotate(rotation, point - center)
    image = r[:2] / r[2]
    s = np.dot(image, image)
    stretch = 1 + distortion[0] * s + distortion[1] * s * s
    return weight * (image * stretch * focal + principal - feature)


@nbad.kernel
def weight_error(weight):
    """The second residual of an observation: it keeps the weight near 1."""
    return 1 - weight * weight


def sample_inputs(rng, n, dtype, name="reprojection"):
    """Cameras that look at the origin from about ten units away, each at a point of its own near the origin."""
    rotation = 0.2 * rng.standard_normal((n, 3))
    center = np.array([0.0, 0.0, -10.0]) + rng.standard_normal((n, 3))
    lens = np.array([500.0, 320.0, 240.0, -0.05, 0.01]) + np.array([20.0, 5.0, 5.0, 0.01, 0.01]) * rng.standard_normal((n, 5))
    camera = np.hstack([rotation, center, lens])
    point, weight, feature = rng.standard_normal((n, 3)), rng.uniform(0.5, 1.0, n), 300 * rng.random((n, 2))
    arguments = (weight,) if name == "weight_error" else (camera, point, weight, feature)
    return tuple(a.astype(dtype) for a in arguments)
