"""Great-circle distance on the unit sphere, by the haversine formula.

    q = sin^2((theta_2 - theta_1) / 2) + cos(theta_1) cos(theta_2) sin^2((phi_2 - phi_1) / 2)
    d = 2 atan2(sqrt(q), sqrt(1 - q))

Units: latitudes theta, longitudes phi and the distance in radians.
Domain: all; the distance has a kink where the points coincide or are opposite.
Source: the benchmark `arc_distance` of NPBench (A. N. Ziogas et al., 2021, doi:10.1145/3447818.3460360).
"""

import numpy as np

import nbad

# Computed in 50 digits.
REFERENCE = {
    "inputs": (0.1, 0.2, 0.7, 0.9),
    "outputs": (0.8679716543374774,),
    "jacobian": ((-0.7635432954748282, -0.6425305448851767, 0.5424586393739053, 0.6425305448851767),),
}


@nbad.kernel
def arc_distance(theta_1, phi_1, theta_2, phi_2):
    """Angle between two points given by latitude and longitude."""
    q = np.sin((theta_2 - theta_1) / 2) ** 2 + np.cos(theta_1) * np.cos(theta_2) * np.sin((phi_2 - phi_1) / 2) ** 2
    return 2 * np.arctan2(np.sqrt(q), np.sqrt(1 - q))


def sample_inputs(rng, n, dtype):
    """Points of a patch of the sphere, as in the benchmark."""
    return tuple(rng.random(n).astype(dtype) for _ in range(4))
