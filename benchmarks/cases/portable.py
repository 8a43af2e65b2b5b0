"""Gallery kernels as every tool can run them: scalars in place of vectors and matrices, `np.where` in place of a branch.

nbad runs the gallery's own files, the other tools these: the same formulas and numbers.
"""

from math import cos, exp, log, sin, sqrt

import numpy as np

from benchmarks.cases.gallery import module_of

RATIONAL = module_of("black_scholes_rational")
A1, A2, A3, A4, A5 = RATIONAL.A1, RATIONAL.A2, RATIONAL.A3, RATIONAL.A4, RATIONAL.A5
DENSITY = RATIONAL.RSQRT2PI


def rational_cdf(d):
    k = 1.0 / (1.0 + 0.2316419 * abs(d))
    tail = DENSITY * exp(-0.5 * d * d) * (k * (A1 + k * (A2 + k * (A3 + k * (A4 + k * A5)))))
    return np.where(d > 0, 1.0 - tail, tail)


def black_scholes_rational(s, x, t, r, v):
    """Value of a call and of a put."""
    root = sqrt(t)
    d1 = (log(s / x) + (r + 0.5 * v * v) * t) / (v * root)
    n1, n2 = rational_cdf(d1), rational_cdf(d1 - v * root)
    discounted = x * exp(-r * t)
    return s * n1 - discounted * n2, discounted * (1.0 - n2) - s * (1.0 - n1)


def silu(x):
    """x times its logistic function; neither side overflows."""
    e = exp(-abs(x))
    return x * np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def rigid_transform(roll, pitch, yaw, t1, t2, t3, p1, p2, p3):
    """The point after rotation and translation."""
    cr, sr, cp, sp, cy, sy = cos(roll), sin(roll), cos(pitch), sin(pitch), cos(yaw), sin(yaw)
    y1 = cy * cp * p1 + (cy * sp * sr - sy * cr) * p2 + (cy * sp * cr + sy * sr) * p3 + t1
    y2 = sy * cp * p1 + (sy * sp * sr + cy * cr) * p2 + (sy * sp * cr - cy * sr) * p3 + t2
    return y1, y2, -sp * p1 + cp * sr * p2 + cp * cr * p3 + t3
