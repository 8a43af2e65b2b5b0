"""What tests send to processes of their own, which find it by name: `helpers` is on their path, wherever nbad lies."""

import math
from collections import namedtuple

import nbad


@nbad.kernel
def square(x):
    return x * x


doubled = nbad.grad(square)


def slope(x):
    _, pullback = nbad.vjp(square, x)
    return pullback(1.0)[0]


Pair = namedtuple("Pair", ["growth", "age"])


@nbad.kernel(static="order")
def growth(x, rate, order=2, scale=1.0):
    return Pair(scale * math.exp(rate * x) * x**order, x / rate)


def pulled(x):
    return nbad.vjp(growth, x, 0.5)[1]


def cotangents(pullback):
    return pullback((1.0, 2.0))
