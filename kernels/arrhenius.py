"""Rate constants of chemical kinetics: the modified Arrhenius law, and falloff between low and high pressure.

    arrhenius:  k = a (T / T0)^n exp(-E / (R T))                    T0 = 298.15 K, R the molar gas constant
    falloff:    k = k0 M / (1 + x) 0.6^(1 / (1 + log10(x)^2))       x = k0 M / k_inf
                k0 = low (T / 300)^-n,   k_inf = high (T / 300)^-m

Units: T in K, E (activation energy) in J/mol, k in the unit of a; M in molecules/cm^3, `low` in cm^6/s, `high` in cm^3/s.
Domain: T, a, low, high, M > 0.
Source: J. B. Burkholder et al., Chemical Kinetics and Photochemical Data for Use in
Atmospheric Studies, JPL Publication 15-10, 2015.
"""

import math

import numpy as np

import nbad

GAS_CONSTANT = 8.31446261815324  # J/(mol K), exact in the SI of 2019

# Of its tables: a in cm^3/s, E/R in K and the printed rate constant at 298 K; the four parameters of a falloff.
REFERENCE = {
    "OH + CH4": {"a": 2.45e-12, "temperature": 1775.0, "at 298 K": 6.3e-15},
    "O + O3": {"a": 8.0e-12, "temperature": 2060.0, "at 298 K": 8.0e-15},
    "OH + NO2 + M": {"low": 1.8e-30, "n": 3.0, "high": 2.8e-11, "m": 0.0},
}


@nbad.kernel
def arrhenius(temperature, a, n, activation_energy):
    """Rate constant of a reaction in two bodies."""
    return a * (temperature / 298.15) ** n * math.exp(-activation_energy / (GAS_CONSTANT * temperature))


@nbad.kernel
def falloff(temperature, density, low, n, high, m):
    """Rate constant, in two bodies, of an association that a third body of the given density stabilizes."""
    k0 = low * (temperature / 300) ** -n
    k_inf = high * (temperature / 300) ** -m
    x = k0 * density / k_inf
    return k0 * density / (1 + x) * 0.6 ** (1 / (1 + math.log10(x) ** 2))


def sample_inputs(rng, n, dtype, name="arrhenius"):
    """Temperatures of atmosphere and flame; rate parameters in scaled units, so that float32 can hold them."""
    temperature = rng.uniform(200.0, 2000.0, n)
    if name == "arrhenius":
        arguments = temperature, rng.uniform(1.0, 10.0, n), rng.uniform(-1.0, 2.0, n), rng.uniform(1e3, 5e4, n)
    else:
        arguments = temperature, 10.0 ** rng.uniform(-3.0, 3.0, n), 1.8, 3.0, 2.8, 0.5
    return tuple(np.asarray(x, dtype) for x in arguments)
