"""Wide kernels: many outputs of many inputs, whose Jacobian has far more entries than they have operations."""

import functools

import numpy as np

import nbad


def _kernel(shape, function):
    return nbad.kernel(function, signature=shape, max_operations=100_000)


@functools.cache
def softmax(width):
    def softmax(x):
        e = np.exp(x - np.max(x))
        return e / np.sum(e)

    return _kernel(f"({width})->({width})", softmax)


@functools.cache
def layer_norm(width):
    def layer_norm(x):
        c = x - np.sum(x) / width
        return c / np.sqrt(np.sum(c * c) / width + 1e-5)

    return _kernel(f"({width})->({width})", layer_norm)


@functools.cache
def log_sum_exp(width):
    """Beside the value itself what it is used for: the logarithms of probabilities."""

    def log_sum_exp(x):
        top = np.max(x)
        total = top + np.log(np.sum(np.exp(x - top)))
        return total, x - total

    return _kernel(f"({width})->(),({width})", log_sum_exp)


@functools.cache
def dense(width):
    first, second = np.random.default_rng(0).standard_normal((2, width, width)) / width**0.5

    def dense(x):
        return np.tanh(second @ np.tanh(first @ x))

    return _kernel(f"({width})->({width})", dense)


@functools.cache
def kinetics(species):
    """Mass action: reactions of two species to two others, at a temperature."""
    ends = np.random.default_rng(0).integers(0, species, (3 * species, 4)).tolist()

    def kinetics(c, t):
        rates = [0.0] * species
        for n, (i, j, k, m) in enumerate(ends):
            r = c[i] * c[j] * np.exp(-(1.0 + n % 7) / t)
            rates[i] -= r
            rates[j] -= r
            rates[k] += r
            rates[m] += r
        return np.array(rates)

    return _kernel(f"({species}),()->({species})", kinetics)


@functools.cache
def branching(width):
    """Arms within a wide kernel: rows that count for some elements only, and a root that others do not take."""

    def branching(x, c):
        s = np.sqrt(np.where(c > 0, x, 1.0))
        if c > 1:
            total = np.sum(s) + np.sum(x)
        elif c > -1:
            total = np.sum(s * s)
        else:
            total = 3.0
        return np.where(x > 0.5, s * total, x - total)

    return _kernel(f"({width}),()->({width})", branching)


MAKERS = (softmax, layer_norm, log_sum_exp, dense, kinetics, branching)


def sample(make, width, n=40, seed=1):
    rng = np.random.default_rng(seed)
    if make is kinetics:
        return rng.uniform(0.1, 2.0, (n, width)), rng.uniform(0.8, 2.0, n)
    if make is branching:
        return rng.uniform(0.1, 1.0, (n, width)), rng.uniform(-2.0, 2.0, n)
    return (rng.standard_normal((n, width)),)
