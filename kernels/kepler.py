"""Kepler's equation: where a planet stands at a given time. An equation to solve in every element.

    E - e sin E = M,   x = a (cos E - e),   y = a sqrt(1 - e^2) sin E

Units: m (mean anomaly) and the eccentric anomaly E in radians, e (eccentricity) without unit, a (semi-major axis), x and y in
one unit of length, with the focus as origin and the periapsis on the x axis.
Domain: 0 <= e < 1, any m.
Source: J. Meeus, Astronomical Algorithms, 2nd ed., 1998, chapter 30; the values are those of its table and of its example 30.a.
"""

import math

import numpy as np

import nbad

# eccentricity, mean anomaly and eccentric anomaly, both in degrees
PUBLISHED = ((0.1, 5.0, 5.554589), (0.99, 2.0, 32.361007), (0.99, 33.0, 89.722155))


def residual(anomaly, m, e):
    return anomaly - e * math.sin(anomaly) - m


@nbad.kernel
def eccentric_anomaly(m, e):
    """The eccentric anomaly, which lies within e of the mean one; a bracket of that size would lose it by rounding."""
    return nbad.solve(residual, m + e * math.sin(m), m, e, bracket=(m - 1.0, m + 1.0))


@nbad.kernel
def position(m, e, a=1.0):
    """Place in the plane of the orbit."""
    anomaly = eccentric_anomaly(m, e)
    return a * (math.cos(anomaly) - e), a * math.sqrt(1.0 - e * e) * math.sin(anomaly)


def sample_inputs(rng, n, dtype):
    """One revolution, from circles to long ellipses."""
    return tuple(np.asarray(x, dtype) for x in (rng.uniform(0.0, 2.0 * math.pi, n), rng.uniform(0.0, 0.95, n)))
