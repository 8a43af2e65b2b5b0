"""Lambert's W function: the number w with w exp(w) = y, on its principal branch. A loop that is left when it is done.

Halley's steps from log(1 + y), or from a root near the branch point at y = -1/e.
Units: none.
Domain: y > -1/e, where the slope of w is infinite; w > -1.
Source: R. M. Corless, G. H. Gonnet, D. E. G. Hare, D. J. Jeffrey and D. E. Knuth, Adv. Comput. Math. 5 (1996) 329,
doi:10.1007/BF02124750; the first value is the omega constant.
"""

import math

import numpy as np

import nbad

PUBLISHED = ((1.0, 0.56714329040978387), (math.e, 1.0), (0.0, 0.0), (-0.5 * math.log(2.0), -math.log(2.0)))


@nbad.kernel
def lambert_w(y):
    """The principal branch."""
    w = math.log1p(y) if y > 0.5 else math.sqrt(2.0 * (1.0 + math.e * y)) - 1.0
    for _ in range(50):
        grown = math.exp(w)
        rest = w * grown - y
        step = rest / (grown * (w + 1.0) - 0.5 * (w + 2.0) * rest / (w + 1.0))
        w = w - step
        if abs(step) < 1e-5 * (1.0 + abs(w)):  # what is left is of the order of its cube
            break
    return w


def sample_inputs(rng, n, dtype):
    """From near the branch point to large numbers."""
    return (np.asarray(np.exp(rng.uniform(-4.0, 8.0, n)) - 0.35, dtype),)
