"""Energies of nets and meshes by hand, in Numba: derivatives written out, loops over elements that add to nodes and entries.

What one element adds is written once for both kinds of loops: one after the other, and by several threads. Those take elements by
groups in which no two share a node, so that no two threads add to the same place; to a value each adds by itself.
"""

import functools

import numpy as np

from benchmarks.cases.nets import colours, places


@functools.cache
def _inlined():
    """Of each net: what an element adds to the value, the gradient and the Hessian's entries."""
    import numba

    njit = numba.njit

    @njit
    def spring_value(e, nodes, ends, data):
        squared = 0.0
        for k in range(3):
            squared += (nodes[ends[e, 1], k] - nodes[ends[e, 0], k]) ** 2
        return 0.5 * (np.sqrt(squared) - data[0]) ** 2

    @njit
    def spring_gradient(e, nodes, ends, data, out):
        a, b, squared = ends[e, 0], ends[e, 1], 0.0
        for k in range(3):
            squared += (nodes[b, k] - nodes[a, k]) ** 2
        scale = 1.0 - data[0] / np.sqrt(squared)
        for k in range(3):
            force = scale * (nodes[b, k] - nodes[a, k])
            out[b, k] += force
            out[a, k] -= force

    @njit
    def spring_hessian(e, nodes, ends, data, places, out):
        a, b = ends[e, 0], ends[e, 1]
        d = nodes[b, 0] - nodes[a, 0], nodes[b, 1] - nodes[a, 1], nodes[b, 2] - nodes[a, 2]
        squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
        length = np.sqrt(squared)
        scale, rank = 1.0 - data[0] / length, data[0] / (squared * length)
        for i in range(3):
            for j in range(3):
                entry = rank * d[i] * d[j] + (scale if i == j else 0.0)
                out[places[e, 0, i, 0, j]] += entry
                out[places[e, 1, i, 1, j]] += entry
                out[places[e, 0, i, 1, j]] -= entry
                out[places[e, 1, i, 0, j]] -= entry

    @njit
    def deformed(e, nodes, triangles, inverse):
        """The rows of the deformation gradient, and of each corner by which numbers it counts in its columns."""
        a, b, c = triangles[e, 0], triangles[e, 1], triangles[e, 2]
        p, q = (inverse[e, 0, 0], inverse[e, 0, 1]), (inverse[e, 1, 0], inverse[e, 1, 1])
        shapes = (-p[0] - q[0], -p[1] - q[1]), p, q
        u = nodes[b, 0] - nodes[a, 0], nodes[b, 1] - nodes[a, 1], nodes[b, 2] - nodes[a, 2]
        v = nodes[c, 0] - nodes[a, 0], nodes[c, 1] - nodes[a, 1], nodes[c, 2] - nodes[a, 2]
        f = u[0] * p[0] + v[0] * q[0], u[1] * p[0] + v[1] * q[0], u[2] * p[0] + v[2] * q[0]
        g = u[0] * p[1] + v[0] * q[1], u[1] * p[1] + v[1] * q[1], u[2] * p[1] + v[2] * q[1]
        ff, gg, fg = f[0] * f[0] + f[1] * f[1] + f[2] * f[2], g[0] * g[0] + g[1] * g[1] + g[2] * g[2], 0.0
        fg = f[0] * g[0] + f[1] * g[1] + f[2] * g[2]
        return f, g, (0.5 * (ff - 1.0), 0.5 * (gg - 1.0), 0.5 * fg), shapes

    @njit
    def mesh_value(e, nodes, triangles, data):
        inverse, area, mu, lam = data
        _, _, (a, b, c), _ = deformed(e, nodes, triangles, inverse)
        return area[e] * (mu * (a * a + b * b + 2.0 * c * c) + 0.5 * lam * (a + b) ** 2)

    @njit
    def mesh_gradient(e, nodes, triangles, data, out):
        inverse, area, mu, lam = data
        f, g, (a, b, c), shapes = deformed(e, nodes, triangles, inverse)
        trace = lam * (a + b)
        s, t, r = area[e] * (2.0 * mu * a + trace), area[e] * (2.0 * mu * b + trace), area[e] * 2.0 * mu * c
        for i in range(3):
            p, q = s * f[i] + r * g[i], r * f[i] + t * g[i]
            for corner in range(3):
                out[triangles[e, corner], i] += p * shapes[corner][0] + q * shapes[corner][1]

    @njit
    def mesh_hessian(e, nodes, triangles, data, places, out):
        inverse, area, mu, lam = data
        f, g, (a, b, c), shapes = deformed(e, nodes, triangles, inverse)
        trace, mu, lam = area[e] * lam * (a + b), area[e] * mu, area[e] * lam
        s, t, r = 2.0 * mu * a + trace, 2.0 * mu * b + trace, 2.0 * mu * c
        for m in range(3):
            x, y = shapes[m]
            for n in range(3):
                z, w = shapes[n]
                stretch, product = x * (s * z + r * w) + y * (r * z + t * w), mu * (x * z + y * w)
                for i in range(3):
                    left, right = f[i] * x + g[i] * y, f[i] * z + g[i] * w
                    for j in range(3):
                        entry = product * (f[i] * f[j] + g[i] * g[j]) + (stretch if i == j else 0.0)
                        entry += mu * right * (f[j] * x + g[j] * y) + lam * left * (f[j] * z + g[j] * w)
                        out[places[e, m, i, n, j]] += entry

    return {"springs": (spring_value, spring_gradient, spring_hessian), "mesh": (mesh_value, mesh_gradient, mesh_hessian)}


def serial(name, what, net):
    """A call without arguments that computes the value, the gradient or the Hessian's entries, one element after the other."""
    import numba

    add_value, add_gradient, add_hessian = _inlined()[name]

    @numba.njit
    def value(nodes, elements, data):
        total = 0.0
        for e in range(len(elements)):
            total += add_value(e, nodes, elements, data)
        return total

    @numba.njit
    def gradient(nodes, elements, data):
        out = np.zeros(nodes.shape)
        for e in range(len(elements)):
            add_gradient(e, nodes, elements, data, out)
        return out

    @numba.njit
    def hessian(nodes, elements, data, places, entries):
        out = np.zeros(entries)
        for e in range(len(elements)):
            add_hessian(e, nodes, elements, data, places, out)
        return out

    given = net.nodes, net.elements, net.data
    known = places(net) if what == "hessian" else ()
    run = {"value": value, "gradient": gradient, "hessian": hessian}[what]
    return lambda: [run(*given, *known)]


def parallel(name, what, net):
    """The same by all threads."""
    import numba

    add_value, add_gradient, add_hessian = _inlined()[name]

    @numba.njit(parallel=True)
    def value(nodes, elements, data):
        total = 0.0
        for e in numba.prange(len(elements)):
            total += add_value(e, nodes, elements, data)
        return total

    @numba.njit(parallel=True)
    def gradient(nodes, elements, data, groups):
        out = np.zeros(nodes.shape)
        for group in groups:
            for k in numba.prange(len(group)):
                add_gradient(group[k], nodes, elements, data, out)
        return out

    @numba.njit(parallel=True)
    def hessian(nodes, elements, data, groups, places, entries):
        out = np.zeros(entries)
        for group in groups:
            for k in numba.prange(len(group)):
                add_hessian(group[k], nodes, elements, data, places, out)
        return out

    given = net.nodes, net.elements, net.data
    groups = () if what == "value" else (tuple(colours(net.elements)),)
    known = places(net) if what == "hessian" else ()
    run = {"value": value, "gradient": gradient, "hessian": hessian}[what]
    return lambda: [run(*given, *groups, *known)]
