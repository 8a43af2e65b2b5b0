"""A user's script with a mistake in each marked line: both checkers find them all, and nothing else."""

import math

import numpy as np

import nbad


@nbad.kernel
def decay(a: float, t: float) -> float:
    return a * math.exp(-t) if t > 0 else a


a, t = np.array([2.0, 3.0, 4.0]), np.linspace(-1.0, 1.0, 3)
y, pullback = nbad.vjp(decay, a, t, residuals="typo")  # wrong: no such policy
y, pullback, residuals = nbad.vjp(decay, a, t)  # wrong: a pair
blocks = nbad.jacobian(decay, mode="sideways")(a, t)  # wrong: no such mode
fast = nbad.kernel(math.exp, math="fast")  # wrong: no such kind of math
y, y_dot = nbad.jvp(decay, (a, t))  # wrong: the tangents are missing
