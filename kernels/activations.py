"""Activation functions of neural networks: kernels of one line or two, several with a branch.

    relu, leaky_relu, elu, selu, hard_swish       in pieces
    sigmoid, silu, softplus, mish, gelu           smooth; written so that neither tail overflows or cancels

Units: none.
Domain: all real numbers. At a kink the derivative is that of the branch taken: relu'(0) = 0, leaky_relu'(0) = slope.
Source: elu doi:10.48550/arXiv.1511.07289, selu doi:10.48550/arXiv.1706.02515, gelu doi:10.48550/arXiv.1606.08415,
silu doi:10.48550/arXiv.1702.03118, mish doi:10.48550/arXiv.1908.08681, hard_swish doi:10.48550/arXiv.1905.02244.
"""

from math import erfc, exp, expm1, log1p, sqrt, tanh

import numpy as np

import nbad

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def logistic(x):
    if x >= 0:
        return 1 / (1 + exp(-x))
    e = exp(x)
    return e / (1 + e)


def log1p_exp(x):
    return log1p(exp(-abs(x))) + max(x, 0.0)


@nbad.kernel
def relu(x):
    """x where positive, else 0."""
    return x if x > 0 else 0.0


@nbad.kernel
def leaky_relu(x, slope=0.01):
    """x where positive, else a little of it."""
    return x if x > 0 else slope * x


@nbad.kernel
def elu(x, alpha=1.0):
    """x where positive, else an exponential that tends to -alpha."""
    if x > 0:
        return x
    return alpha * expm1(x)


@nbad.kernel
def selu(x):
    """`elu` scaled so that mean 0 and variance 1 reproduce themselves."""
    return SELU_SCALE * (x if x > 0 else SELU_ALPHA * expm1(x))


@nbad.kernel
def hard_swish(x):
    """`silu` in three pieces."""
    if x <= -3:
        return 0.0
    elif x >= 3:
        return x
    return x * (x + 3) / 6


@nbad.kernel
def sigmoid(x):
    """The logistic function."""
    return logistic(x)


@nbad.kernel
def silu(x):
    """x times its logistic function."""
    return x * logistic(x)


@nbad.kernel
def softplus(x):
    """log(1 + exp(x))."""
    return log1p_exp(x)


@nbad.kernel
def mish(x):
    """x tanh(softplus(x))."""
    return x * tanh(log1p_exp(x))


@nbad.kernel
def gelu(x):
    """x times the normal distribution function."""
    return 0.5 * x * erfc(-x * sqrt(0.5))


ACTIVATIONS = {f.__name__: f for f in (relu, leaky_relu, elu, selu, hard_swish, sigmoid, silu, softplus, mish, gelu)}


def sample_inputs(rng, n, dtype):
    """Both sides of every kink."""
    return (np.asarray(3 * rng.standard_normal(n), dtype),)
