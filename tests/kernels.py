"""Kernels that several files test: small, and each for one thing that derivatives can do."""

import math

import nbad


@nbad.kernel
def copy(x):
    return x


@nbad.kernel
def square(x):
    return x**2


@nbad.kernel
def product(a, b, c):
    return a * b * c


@nbad.kernel
def polar(r, phi):
    """Cartesian coordinates."""
    return r * math.cos(phi), r * math.sin(phi)


@nbad.kernel
def decay(x, rate):
    """Two partials, -rate exp(-rate x) and -x exp(-rate x)."""
    return math.exp(-rate * x)


@nbad.kernel
def scaled_decay(x, rate, scale=2.0):
    return scale * math.exp(-rate * x)


@nbad.kernel
def sine(x):
    return math.sin(x)


@nbad.kernel
def sine_of_multiple(x, a):
    return math.sin(x * a)


@nbad.kernel
def polynomials(x):
    """Six polynomials in one exponential: the partials follow from it by some twenty cheap operations each.

    The best plan for one seed is another than for the Jacobian, which is best in forward mode.
    """
    e, results = math.exp(x), []
    for k in range(6):
        y = e
        for power in range(7):
            y = y * e + float(k * power + 1)
        results.append(y)
    return tuple(results)
