"""Lennard-Jones energy of a pair of atoms, from their separation vector.

    u = 4 epsilon ((sigma / r)^12 - (sigma / r)^6),   r^2 = x^2 + y^2 + z^2

Units: x, y, z and sigma in one length, u in the unit of epsilon; minus the partials by x, y, z is the force.
Domain: r > 0. The minimum is -epsilon, at r = 2^(1/6) sigma.
Source: J. E. Jones, On the Determination of Molecular Fields II, 1924, doi:10.1098/rspa.1924.0082.
"""

import numpy as np

import nbad

# Energy of the best cluster of 13 atoms, an icosahedron, for epsilon = sigma = 1:
# D. J. Wales and J. P. K. Doye, 1997, doi:10.1021/jp970984n.
REFERENCE = {"icosahedron": -44.326801}


@nbad.kernel
def lennard_jones(x, y, z, epsilon, sigma):
    """Energy of one pair."""
    r2 = x * x + y * y + z * z
    s6 = (sigma * sigma / r2) ** 3
    return 4.0 * epsilon * (s6 * s6 - s6)


def sample_inputs(rng, n, dtype):
    """Pairs of argon atoms (epsilon in kelvin, lengths in angstrom) in any direction, from 0.9 to 2.5 sigma apart."""
    direction = rng.standard_normal((3, n))
    x, y, z = direction / np.linalg.norm(direction, axis=0) * rng.uniform(0.9, 2.5, n) * 3.405
    return tuple(np.asarray(a, dtype) for a in (x, y, z, 119.8, 3.405))
