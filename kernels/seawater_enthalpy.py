"""Dynamic enthalpy of seawater by the 48-term equation of TEOS-10: the pressure integral of a rational specific volume.

    v(SA, CT, p) = (a0 + a1 p + a2 p^2 + a3 p^3) / (b0 + 2 b1 p + b2 p^2),   a and b polynomials in SA, sqrt(SA) and CT
    H = 10^4 times the integral of v - 1 / 1024 from 0 to p

The integral is in closed form, with two logarithms. The partial by CT, which ocean models evaluate from 150 lines of
derivative code, is the reverse sweep of this kernel; the partial by p is 10^4 (v - 1 / 1024).
Units: SA (Absolute Salinity) in g/kg, CT (Conservative Temperature) in degrees Celsius, p (sea pressure) in dbar, H in J/kg.
Domain: SA > 0, the funnel of the world's oceans. The closed form cancels: of float32 it keeps three digits.
Source: T. J. McDougall, P. M. Barker, R. Feistel and D. R. Jackett, 2011, the 48-term expression for density (GSW version 3.0).
"""

from math import log, sqrt

import numpy as np

import nbad

# Examples of the pages on dynamic enthalpy (the integral of v alone) and specific volume of GSW version 3.0.
REFERENCE = {
    "inputs": (
        (34.7118, 34.8915, 35.0256, 34.8472, 34.7366, 34.7324),
        (28.8099, 28.4392, 22.7862, 10.2262, 6.8272, 4.3236),
        (10.0, 50.0, 125.0, 250.0, 600.0, 1000.0),
    ),
    "dynamic enthalpy": (
        97.864649180491,
        489.161224318287,
        1220.511487957649,
        2433.730243703573,
        5833.879407549211,
        9711.445229571982,
    ),
    "specific volume": (
        0.978626363206202e-3,
        0.978221861206179e-3,
        0.976154716658432e-3,
        0.972960929615236e-3,
        0.971026743358570e-3,
        0.968990291993136e-3,
    ),
}

FLOAT32_RTOL = 1e-3


def denominator(SA, CT):
    """b0, b1, b2."""
    b0 = (
        9.998420897506056e2
        + CT * (2.839940833161907 + CT * (-3.147759265588511e-2 + CT * 1.181805545074306e-3))
        + SA
        * (
            -6.698001071123802
            + CT * (-2.986498947203215e-2 + CT * 2.327859407479162e-4)
            + sqrt(SA)
            * (-3.988822378968490e-2 + CT * (5.095422573880500e-4 + CT * (-1.426984671633621e-5 + CT * 1.645039373682922e-7)))
        )
    )
    b1 = 0.5 * (
        -2.233269627352527e-2
        + CT * (-3.436090079851880e-4 + CT * 3.726050720345733e-6)
        + SA * (-1.806789763745328e-4 + CT * 6.876837219536232e-7)
    )
    b2 = -3.087032500374211e-7 + CT * (-1.988366587925593e-8 + CT * -1.061519070296458e-11) + SA * 1.550932729220080e-10
    return b0, b1, b2


def numerator(SA, CT):
    """a0, a1, a2, a3."""
    a0 = (
        1.0
        + CT * (2.775927747785646e-3 + CT * (-2.349607444135925e-5 + CT * (1.119513357486743e-6 + CT * 6.743689325042773e-10)))
        + SA
        * (
            -7.521448093615448e-3
            + CT
            * (-2.764306979894411e-5 + CT * (1.262937315098546e-7 + CT * (9.527875081696435e-10 + CT * -1.811147201949891e-11)))
            + SA * 5.419326551148740e-6
            + sqrt(SA)
            * (
                -3.303308871386421e-5
                + CT
                * (
                    3.801564588876298e-7
                    + CT * (-7.672876869259043e-9 + CT * (-4.634182341116144e-11 + CT * 2.681097235569143e-12))
                )
            )
        )
    )
    a1 = (
        -2.742185394906099e-5
        + CT * (-3.212746477974189e-7 + CT * (3.191413910561627e-9 + CT * -1.931012931541776e-12))
        + SA * (-1.105097577149576e-7 + CT * 6.211426728363857e-10)
    )
    a2 = -1.119011592875110e-10 + CT * (-1.941660213148725e-11 + CT * -1.864826425365600e-14 + SA * 1.119522344879478e-14)
    a3 = -1.200507748551599e-15 + CT * 6.057902487546866e-17
    return a0, a1, a2, a3


@nbad.kernel
def seawater_enthalpy(SA, CT, p):
    """Dynamic enthalpy less that of water of 1024 kg/m^3."""
    b0, b1, b2 = denominator(SA, CT)
    a0, a1, a2, a3 = numerator(SA, CT)
    cn = a0 + (2 * a3 * b0 * b1 / b2 - a2 * b0) / b2
    cm = a1 + (4 * a3 * b1 * b1 / b2 - a3 * b0 - 2 * a2 * b1) / b2
    root = sqrt(b1 * b1 - b0 * b2)
    ca, cb = b1 - root, b1 + root
    integral = (
        p * (a2 - 2 * a3 * b1 / b2 + 0.5 * a3 * p) / b2
        + cm / (2 * b2) * log(1 + p * (2 * b1 + b2 * p) / b0)
        + (cn * b2 - cm * b1) / (b2 * (cb - ca)) * log(1 + b2 * p * (cb - ca) / (ca * (cb + b2 * p)))
    )
    return 1e4 * integral - 1e4 * p / 1024


def sample_inputs(rng, n, dtype):
    """Water of the open ocean: the deeper, the colder."""
    pressure = rng.uniform(0.0, 6000.0, n)
    salinity = rng.uniform(30.0, 38.0, n)
    temperature = 2.0 + rng.uniform(0.0, 26.0, n) * np.exp(-pressure / 1000.0)
    return tuple(a.astype(dtype) for a in (salinity, temperature, pressure))


def benchmark_inputs(size):
    """Inputs of pyhpc-benchmarks for about `size` elements: salinity and temperature on a grid, pressure along its last axis."""
    generator = np.random.RandomState(17)
    across, deep = int(np.ceil(2 * size ** (1 / 3))), int(np.ceil(0.25 * size ** (1 / 3)))
    shape = across, across, deep
    return generator.uniform(1e-2, 10, shape), generator.uniform(-12, 20, shape), generator.uniform(0, 1000, (1, 1, deep))
