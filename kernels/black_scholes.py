"""European call and put by the Black-Scholes formula.

    call = s N(d1) - k exp(-r t) N(d2)          d1 = (log(s / k) + (r + sigma^2 / 2) t) / (sigma sqrt(t))
    put  = k exp(-r t) N(-d2) - s N(-d1)        d2 = d1 - sigma sqrt(t)

Units: s (spot) and k (strike) in one currency, t in years, r (continuous rate) and sigma (volatility) per year.
Domain: s, k, t, sigma > 0; r of either sign.
Source: F. Black and M. Scholes, The Pricing of Options and Corporate Liabilities, 1973, doi:10.1086/260062.
"""

from math import erf, exp, log, sqrt

import nbad

# J. C. Hull, Options, Futures, and Other Derivatives: the example of the chapter on the formula, to the printed cent.
REFERENCE = {"inputs": (42.0, 40.0, 0.5, 0.10, 0.20), "outputs": (4.76, 0.81), "atol": 5e-3}


def normal_cdf(x):
    return 0.5 + 0.5 * erf(x * sqrt(0.5))


@nbad.kernel
def price(s, k, t, r, sigma):
    """Value of a call and of a put on a share that pays no dividend."""
    deviation = sigma * sqrt(t)
    d1 = (log(s / k) + (r + 0.5 * sigma * sigma) * t) / deviation
    n1 = normal_cdf(d1)
    n2 = normal_cdf(d1 - deviation)
    discounted = k * exp(-r * t)
    call = s * n1 - discounted * n2
    put = discounted * (1.0 - n2) - s * (1.0 - n1)
    return call, put


def sample_inputs(rng, n, dtype):
    """Options of up to two years, in and out of the money."""
    low = (80.0, 80.0, 0.1, 0.0, 0.1)
    high = (120.0, 120.0, 2.0, 0.06, 0.6)
    return tuple(rng.uniform(a, b, n).astype(dtype) for a, b in zip(low, high, strict=True))
