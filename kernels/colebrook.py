"""Colebrook's friction factor of pipes: a loop that ends when the data say so.

    1/sqrt(f) = -2 log10(k/3.7 + 2.51/(Re sqrt(f)))

in the unknown x = 1/sqrt(f), by Newton's steps.
Units: none. re is the Reynolds number, k the roughness over the diameter, f Darcy's friction factor.
Domain: re > 0, k >= 0; flow is turbulent from about re = 4000.
Source: C. F. Colebrook, J. Inst. Civ. Eng. 11 (1939) 133, doi:10.1680/ijoti.1939.13150; values from the documentation of the
package fluids, function Colebrook.
"""

import math

import numpy as np

import nbad

PUBLISHED = ((1e5, 1e-4, 0.018513866077471),)


@nbad.kernel
def friction_factor(re, k):
    """Darcy's friction factor."""
    slope = 2.0 / math.log(10.0)
    x, step = 7.0, 1.0
    while abs(step) > 1e-6 * x:  # Newton: what is left after a step is of the order of its square
        inside = k / 3.7 + 2.51 * x / re
        step = (x + slope * math.log(inside)) / (1.0 + slope * 2.51 / (re * inside))
        x = x - step
    return 1.0 / (x * x)


def sample_inputs(rng, n, dtype):
    """Turbulent flow in smooth and rough pipes."""
    return tuple(np.asarray(x, dtype) for x in (10.0 ** rng.uniform(3.7, 7.0, n), 10.0 ** rng.uniform(-6.0, -1.5, n)))
