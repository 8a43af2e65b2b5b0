"""European call and put with a rational approximation of the normal distribution: a helper with a branch.

    N(d) = 1 - n(d) (a1 K + a2 K^2 + ... + a5 K^5),   K = 1 / (1 + 0.2316419 d)   for d > 0;   N(-d) = 1 - N(d)

with n the normal density; the rest is the Black-Scholes formula. The approximation is off by at most 7.5e-8.
Units: s (spot) and x (strike) in one currency, t in years, r and v (volatility) per year.
Domain: s, x, t, v > 0.
Source: numba-benchmark, bench_blackscholes.py; M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 26.2.17.
"""

import math

import numpy as np

import nbad

# Option 0 of the benchmark, in high precision: call, put, and their partials by s, x, t, r, v.
REFERENCE = {
    "inputs": (18.720337598183118, 42.28517846555483, 4.500950295884537, 0.02, 0.3),
    "outputs": (1.0515346120398785, 20.976205797450785),
    "jacobian": (
        (0.20594357429207535, -0.06630688876406729, 0.43316781696753065, 12.619758250273547, 11.3151443262813),
        (-0.7940564257079247, 0.847606926571345, -0.3397323587043498, -161.3195054687045, 11.3151443262813),
    ),
}

A1, A2, A3, A4, A5 = 0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429
RSQRT2PI = 0.398942280401432678


def cnd(d):
    k = 1.0 / (1.0 + 0.2316419 * abs(d))
    tail = RSQRT2PI * math.exp(-0.5 * d * d) * (k * (A1 + k * (A2 + k * (A3 + k * (A4 + k * A5)))))
    if d > 0:
        return 1.0 - tail
    return tail


@nbad.kernel
def price(s, x, t, r, v):
    """Value of a call and of a put."""
    root = math.sqrt(t)
    d1 = (math.log(s / x) + (r + 0.5 * v * v) * t) / (v * root)
    d2 = d1 - v * root
    n1, n2 = cnd(d1), cnd(d2)
    discounted = x * math.exp(-r * t)
    return s * n1 - discounted * n2, discounted * (1.0 - n2) - s * (1.0 - n1)


def sample_inputs(rng, n, dtype):
    """The benchmark's ranges; rate and volatility are the same for all."""
    s, x, t = rng.uniform(5.0, 30.0, n), rng.uniform(1.0, 100.0, n), rng.uniform(0.25, 10.0, n)
    return tuple(np.asarray(a, dtype) for a in (s, x, t, 0.02, 0.30))
