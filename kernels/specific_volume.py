"""Specific volume of seawater: the 75-term polynomial of TEOS-10.

    v(SA, CT, p) = sum over i, j, k of v_ijk y^i x^j z^k
    x = sqrt((SA + 24 g/kg) / (40 * 35.16504 g/kg / 35)),   y = CT / 40 degC,   z = p / 10^4 dbar

Units: SA (Absolute Salinity) in g/kg, CT (Conservative Temperature) in degrees Celsius, p (sea pressure) in dbar, v in m^3/kg.
Domain: SA 0 to 42, CT from freezing to 40, p 0 to 10^4, within the funnel of the world's oceans.
A derivative by p in Pa is the one by p in dbar times 1e-4.
Source: F. Roquet, G. Madec, T. J. McDougall and P. M. Barker, Accurate polynomial expressions for the density and
specific volume of seawater using the TEOS-10 standard, 2015, doi:10.1016/j.ocemod.2015.04.002.
"""

from math import sqrt

import numpy as np

import nbad

# Example of the page on specific volume of the GSW toolbox, www.teos-10.org.
REFERENCE = {
    "inputs": (
        (34.7118, 34.8915, 35.0256, 34.8472, 34.7366, 34.7324),
        (28.8099, 28.4392, 22.7862, 10.2262, 6.8272, 4.3236),
        (10.0, 50.0, 125.0, 250.0, 600.0, 1000.0),
    ),
    "outputs": (
        (
            0.978626852431313e-3,
            0.978222365701325e-3,
            0.976155264597929e-3,
            0.972961258011157e-3,
            0.971026719344908e-3,
            0.968989944622149e-3,
        ),
    ),
}


@nbad.kernel
def specific_volume(SA, CT, p):
    """A polynomial in z, each coefficient one in y (from `a0` to `a6` for z^0, from `b0` for z, ...), each of these one in x."""
    x = sqrt(0.0248826675584615 * SA + 0.5971840214030754)
    y = 0.025 * CT
    z = 1e-4 * p

    a0 = 1.0769995862e-3 + x * (
        -3.1038981976e-4
        + x * (6.6928067038e-4 + x * (-8.5047933937e-4 + x * (5.8086069943e-4 + x * (-2.1092370507e-4 + x * 3.1932457305e-5))))
    )
    a1 = -1.5649734675e-5 + x * (
        3.5009599764e-5 + x * (-4.3592678561e-5 + x * (3.4532461828e-5 + x * (-1.1959409788e-5 + x * 1.3864594581e-6)))
    )
    a2 = 2.7762106484e-5 + x * (-3.7435842344e-5 + x * (3.5907822760e-5 + x * (-1.8698584187e-5 + x * 3.8595339244e-6)))
    a3 = -1.6521159259e-5 + x * (2.4141479483e-5 + x * (-1.4353633048e-5 + x * 2.2863324556e-6))
    a4 = 6.9111322702e-6 + x * (-8.7595873154e-6 + x * 4.3703680598e-6)
    a5 = -8.0539615540e-7 + x * -3.3052758900e-7
    a6 = 2.0543094268e-7

    b0 = -6.0799143809e-5 + x * (
        2.4262468747e-5 + x * (-3.4792460974e-5 + x * (3.7470777305e-5 + x * (-1.7322218612e-5 + x * 3.0927427253e-6)))
    )
    b1 = 1.8505765429e-5 + x * (-9.5677088156e-6 + x * (1.1100834765e-5 + x * (-9.8447117844e-6 + x * 2.5909225260e-6)))
    b2 = -1.1716606853e-5 + x * (-2.3678308361e-7 + x * (2.9283346295e-6 + x * -4.8826139200e-7))
    b3 = 7.9279656173e-6 + x * (-3.4558773655e-6 + x * 3.1655306078e-7)
    b4 = -3.4102187482e-6 + x * 1.2956717783e-6
    b5 = 5.0736766814e-7

    c0 = 9.9856169219e-6 + x * (-5.8484432984e-7 + x * (-4.8122251597e-6 + x * (4.9263106998e-6 + x * -1.7811974727e-6)))
    c1 = -1.1736386731e-6 + x * (-5.5699154557e-6 + x * (5.4620748834e-6 + x * -1.3544185627e-6))
    c2 = 2.1305028740e-6 + x * (3.9137387080e-7 + x * -6.5731104067e-7)
    c3 = -4.6132540037e-7 + x * 7.7618888092e-9
    c4 = -6.3352916514e-8

    d0 = -1.1309361437e-6 + x * (3.6310188515e-7 + x * 1.6746303780e-8)
    d1 = -3.6527006553e-7 + x * -2.7295696237e-7
    d2 = 2.8695905159e-7

    e0 = 1.0531153080e-7 + x * -1.1147125423e-7
    e1 = 3.1454099902e-7

    f0 = -1.2647261286e-8
    g0 = 1.9613503930e-9

    a = a0 + y * (a1 + y * (a2 + y * (a3 + y * (a4 + y * (a5 + y * a6)))))
    b = b0 + y * (b1 + y * (b2 + y * (b3 + y * (b4 + y * b5))))
    c = c0 + y * (c1 + y * (c2 + y * (c3 + y * c4)))
    d = d0 + y * (d1 + y * d2)
    e = e0 + y * e1
    return a + z * (b + z * (c + z * (d + z * (e + z * (f0 + z * g0)))))


def sample_inputs(rng, n, dtype):
    """Water of the open ocean: the deeper, the colder."""
    pressure = rng.uniform(0.0, 6000.0, n)
    salinity = rng.uniform(30.0, 38.0, n)
    temperature = 2.0 + rng.uniform(0.0, 26.0, n) * np.exp(-pressure / 1000.0)
    return tuple(a.astype(dtype) for a in (salinity, temperature, pressure))
