"""A point carried by a rigid motion, the rotation given by roll, pitch and yaw.

    y = R p + t,   R = Rz(yaw) Ry(pitch) Rx(roll)

Units: angles in radians, point and translation in one length.
Domain: all; the partials by roll and yaw are parallel at pitch = pi/2 (gimbal lock).
Source: J. J. Craig, Introduction to Robotics, the convention of fixed axes X-Y-Z.
"""

from math import cos, sin

import numpy as np

import nbad


def rotation_matrix(roll, pitch, yaw):
    rotation = np.zeros((3, 3))
    rotation[0, 0] = cos(yaw) * cos(pitch)
    rotation[0, 1] = cos(yaw) * sin(pitch) * sin(roll) - sin(yaw) * cos(roll)
    rotation[0, 2] = cos(yaw) * sin(pitch) * cos(roll) + sin(yaw) * sin(roll)
    rotation[1, 0] = sin(yaw) * cos(pitch)
    rotation[1, 1] = sin(yaw) * sin(pitch) * sin(roll) + cos(yaw) * cos(roll)
    rotation[1, 2] = sin(yaw) * sin(pitch) * cos(roll) - cos(yaw) * sin(roll)
    rotation[2, 0] = -sin(pitch)
    rotation[2, 1] = cos(pitch) * sin(roll)
    rotation[2, 2] = cos(pitch) * cos(roll)
    return rotation


@nbad.kernel(signature="(3),(3),(3)->(3)")
def rigid_transform(angles, translation, point):
    """The point after rotation and translation."""
    roll, pitch, yaw = angles
    return rotation_matrix(roll, pitch, yaw) @ point + translation


def sample_inputs(rng, n, dtype):
    """Any attitude."""
    angles, translation, point = rng.uniform(-np.pi, np.pi, (n, 3)), rng.standard_normal((n, 3)), rng.standard_normal((n, 3))
    return tuple(a.astype(dtype) for a in (angles, translation, point))
