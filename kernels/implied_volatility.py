"""Implied volatility: the volatility at which the Black-Scholes formula gives the price that is paid for a call.

    s N(d1) - x exp(-r t) N(d2) = price,   d1 = (ln(s/x) + (r + v^2/2) t) / (v sqrt(t)),   d2 = d1 - v sqrt(t)

Newton's steps start at the volatility where the price has its point of inflection, from which they lead to the solution.
Units: s (spot), x (strike) and price in one currency, t in years, r and the volatility v per year.
Domain: s, x, t > 0, and max(s - x exp(-r t), 0) < price < s; the volatility is at most 5.
Source: S. Manaster and G. Koehler, J. Finance 37 (1982) 227, doi:10.2307/2327127, for the start; J. C. Hull, Options, Futures,
and Other Derivatives, whose example of an implied volatility is PUBLISHED.
"""

import math

import numpy as np

import nbad

# spot, strike, time, rate, price; volatility, to the digits that the book gives
PUBLISHED = ((21.0, 20.0, 0.25, 0.1, 1.875), 0.235)


def normal(d):
    return 0.5 * math.erfc(-d / math.sqrt(2.0))


def mispricing(v, s, x, t, r, price):
    root = v * math.sqrt(t)
    d1 = (math.log(s / x) + r * t) / root + 0.5 * root
    return s * normal(d1) - x * math.exp(-r * t) * normal(d1 - root) - price


@nbad.kernel(errors="nan")
def implied_volatility(s, x, t, r, price):
    """The volatility of a call; nan where none gives this price."""
    start = math.sqrt(2.0 * abs(math.log(s / x) + r * t) / t)
    return nbad.solve(mispricing, min(max(start, 0.1), 4.0), s, x, t, r, price, bracket=(1e-4, 5.0))


def sample_inputs(rng, n, dtype):
    """Prices of calls near the money, at volatilities from 0.1 to 0.6."""
    s, x, t, v = rng.uniform(80.0, 120.0, n), 100.0, rng.uniform(0.5, 2.0, n), rng.uniform(0.1, 0.6, n)
    r = 0.02
    price = np.array([mispricing(*row, 0.0) for row in zip(v, s, np.full(n, x), t, np.full(n, r), strict=True)])
    return tuple(np.asarray(a, dtype) for a in (s, x, t, r, price))
