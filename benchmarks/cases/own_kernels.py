"""Kernels that only the benchmarks need: bundle adjustment in scalars, one option price, one operation, many operations."""

from math import cos, erf, exp, log, sin, sqrt

import numpy as np

import nbad


@nbad.kernel
def bundle_adjustment(r1, r2, r3, c1, c2, c3, focal, u0, v0, k1, k2, x, y, z, weight, feature_u, feature_v):
    """Reprojection error of one observation, in scalars and without a branch, so that every tool can run it.

    Camera: axis-angle rotation r, center c, focal length, principal point (u0, v0), distortion k. Then point, weight and feature.
    Source: ADBench, problem BA, doi:10.1080/10556788.2018.1435651; at zero rotation it is 0/0.
    """
    d1, d2, d3 = x - c1, y - c2, z - c3
    angle = sqrt(r1 * r1 + r2 * r2 + r3 * r3)
    a1, a2, a3 = r1 / angle, r2 / angle, r3 / angle
    cosine, sine = cos(angle), sin(angle)
    along = (a1 * d1 + a2 * d2 + a3 * d3) * (1 - cosine)
    p1 = d1 * cosine + (a2 * d3 - a3 * d2) * sine + a1 * along
    p2 = d2 * cosine + (a3 * d1 - a1 * d3) * sine + a2 * along
    p3 = d3 * cosine + (a1 * d2 - a2 * d1) * sine + a3 * along
    u, v = p1 / p3, p2 / p3
    s = u * u + v * v
    stretch = focal * (1 + k1 * s + k2 * s * s)
    return weight * (u * stretch + u0 - feature_u), weight * (v * stretch + v0 - feature_v)


@nbad.kernel
def call_price(s, k, t, r, sigma):
    """European call alone: one output, so that a forward sweep writes five partials and a reverse sweep reads one seed."""
    deviation = sigma * sqrt(t)
    d1 = (log(s / k) + (r + 0.5 * sigma * sigma) * t) / deviation
    n1 = 0.5 + 0.5 * erf(d1 * sqrt(0.5))
    n2 = 0.5 + 0.5 * erf((d1 - deviation) * sqrt(0.5))
    return s * n1 - k * exp(-r * t) * n2


@nbad.kernel
def one_operation(x, y):
    """The least that a kernel can do: memory traffic and nothing else."""
    return x * y


def many_operations(count):
    """A kernel of `count` operations, ten in each pass of a loop; one of the ten is a sine. All values stay near 1."""

    def chain(x, y):
        u, v = x, y
        for k in range(count // 10):
            product = u * v
            u = 0.5 * u + 0.25 * sin(product) + 0.01 * k / count
            v = (v + 0.5) / (1 + product * product)
        return u

    chain.__name__ = chain.__qualname__ = f"chain_{count}"
    return nbad.kernel(chain, max_operations=2 * count + 100)


def sample_bundle_adjustment(rng, n, dtype):
    """Cameras that look at the origin from about ten units away, each at a point of its own near the origin."""
    rotation = 0.2 * rng.standard_normal((3, n))
    center = np.array([[0.0], [0.0], [-10.0]]) + rng.standard_normal((3, n))
    spread = np.array([[20.0], [5.0], [5.0], [0.01], [0.01]])
    lens = np.array([[500.0], [320.0], [240.0], [-0.05], [0.01]]) + spread * rng.standard_normal((5, n))
    point, weight, feature = rng.standard_normal((3, n)), rng.uniform(0.5, 1.0, (1, n)), 300 * rng.random((2, n))
    return tuple(row.astype(dtype) for part in (rotation, center, lens, point, weight, feature) for row in part)


def sample_pair(rng, n, dtype):
    """Two numbers between a half and one."""
    return tuple(rng.uniform(0.5, 1.0, n).astype(dtype) for _ in range(2))
