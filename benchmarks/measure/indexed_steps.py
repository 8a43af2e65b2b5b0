"""One contestant of the command `indexed` in a process of its own: `python -m benchmarks.measure.indexed_steps`.

Bundle adjustment: observations of points by cameras, in the order of such files, which is that of the points. Springs: a net of
nodes in space, each tied to its neighbours by springs, and the energy of all springs.
"""

import sys
import time

import numpy as np

from benchmarks.cases.gallery import module_of
from benchmarks.measure.process import serve

OBSERVATIONS_OF_A_POINT, CAMERAS = 7, 1000
SPRINGS_OF_A_NODE = 3
_calls = {}


def observations(n):
    """Cameras, points, and for `n` observations the camera, the point, the feature and a seed."""
    rng = np.random.default_rng(0)
    module = module_of("reprojection")
    camera, point, _, _ = module.sample_inputs(rng, max(CAMERAS, n // OBSERVATIONS_OF_A_POINT), float)
    of_point = np.sort(rng.integers(0, len(point), n))
    of_camera = rng.integers(0, CAMERAS, n)
    given = camera[:CAMERAS].copy(), point, of_camera, of_point, 300 * rng.random((n, 2)), rng.normal(size=(n, 2))
    return module.reprojection, given


def indexed_vjp(n):
    """Forward and reverse sweep, the cotangents of cameras and points in their shapes."""
    import nbad

    kernel, (camera, point, of_camera, of_point, feature, seed) = observations(n)
    xs = nbad.indexed(camera, of_camera), nbad.indexed(point, of_point), 1.0, feature
    return lambda: nbad.vjp(kernel, *xs, argnums=("camera", "point"))[1](seed)


def gathered_vjp(n):
    """The same of arrays that were gathered before, and cotangents in their shapes."""
    import nbad

    kernel, (camera, point, of_camera, of_point, feature, seed) = observations(n)
    xs = camera[of_camera], point[of_point], 1.0, feature
    return lambda: nbad.vjp(kernel, *xs, argnums=("camera", "point"))[1](seed)


def cotangents(n):
    """What is to be summed for cameras and points."""
    rng = np.random.default_rng(1)
    _, (camera, point, of_camera, of_point, *_) = observations(n)
    return [(rng.normal(size=(n, a.shape[1])), i, len(a)) for a, i in ((camera, of_camera), (point, of_point))]


def nbad_scatter(n):
    from nbad.assembly.sums import add, are_few, scatter
    from nbad.indexing.index import Index

    each = [(ct, Index.of(i, size)) for ct, i, size in cotangents(n)]

    def call():
        totals = []
        for ct, index in each:
            totals.append(np.zeros((1, index.size, ct.shape[1])))
            if are_few(index, 1, ct.shape[1]):
                scatter(index, slice(0, n), 1, ct[None], totals[-1])
            else:
                add(index.parts(1, 1 << 30)[0], ct[None], totals[-1], is_chained=True)
        return totals

    return call


def add_at(n):
    each = cotangents(n)

    def call():
        totals = [np.zeros((size, ct.shape[1])) for ct, _, size in each]
        for total, (ct, i, _) in zip(totals, each, strict=True):
            np.add.at(total, i, ct)
        return totals

    return call


def segment_sum(n):
    import jax

    jax.config.update("jax_enable_x64", True)
    each = [(jax.numpy.asarray(ct), jax.numpy.asarray(i), size) for ct, i, size in cotangents(n)]
    run = jax.jit(lambda ct, i, size: jax.ops.segment_sum(ct, i, size), static_argnums=2)
    return lambda: [jax.block_until_ready(run(*given)) for given in each]


def nbad_jacobian(n):
    import nbad

    kernel, (camera, point, of_camera, of_point, feature, _) = observations(n)
    xs = nbad.indexed(camera, of_camera), nbad.indexed(point, of_point), 1.0, feature
    jacobian = nbad.sparse_jacobian(kernel, argnums=("camera", "point"))
    return lambda: [jacobian(*xs).data]


def coo_jacobian(n):
    """The same blocks, of gathered arrays, by way of SciPy's COO format; rows and columns are known before."""
    import scipy.sparse

    import nbad

    kernel, (camera, point, of_camera, of_point, feature, _) = observations(n)
    xs = camera[of_camera], point[of_point], 1.0, feature
    jacobian = nbad.jacobian(kernel, argnums=("camera", "point"))
    columns = [of_camera[:, None] * 11 + np.arange(11), camera.size + of_point[:, None] * 3 + np.arange(3)]
    columns = np.repeat(np.concatenate(columns, axis=1)[:, None], 2, axis=1).ravel()
    rows, shape = np.repeat(np.arange(2 * n), 14), (2 * n, camera.size + point.size)
    return lambda: [scipy.sparse.coo_array((jacobian(*xs).ravel(), (rows, columns)), shape=shape).tocsr().data]


def net(n):
    """Nodes, and the ends of about `n` springs between them: to the right, down, and across."""
    side = max(2, round((n / SPRINGS_OF_A_NODE) ** 0.5))
    number = np.arange(side * side).reshape(side, side)
    pairs = (number[:, :-1], number[:, 1:]), (number[:-1], number[1:]), (number[:-1, :-1], number[1:, 1:])
    ends = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs])
    nodes = np.stack([number // side, number % side, 0 * number], axis=-1).reshape(-1, 3)
    return nodes + 0.1 * np.random.default_rng(0).normal(size=nodes.shape), ends


def spring(ends, rest):
    d = ends[1] - ends[0]
    return 0.5 * (np.sqrt(np.dot(d, d)) - rest) ** 2


def nbad_springs(what, n):
    import nbad

    kernel, (nodes, ends) = nbad.kernel(spring, signature="(2,3),()->()"), net(n)
    x = nbad.indexed(nodes, ends)
    hessian = nbad.sparse_hessian(kernel, argnums="ends")
    calls = {
        "value": lambda: [np.sum(kernel(x, 0.9))],
        "gradient": lambda: list(nbad.vjp(kernel, x, 0.9, argnums="ends")[1](1.0)),
        "hessian": lambda: [hessian(x, 0.9).data],
    }
    return calls[what]


def numba_springs(what, n):
    """By hand: loops over springs that add to nodes; of the Hessian also where each entry stands, which is known before."""
    import numba

    nodes, ends = net(n)

    @numba.njit
    def value(nodes, ends, rest):
        total = 0.0
        for e in range(len(ends)):
            squared = 0.0
            for k in range(3):
                squared += (nodes[ends[e, 1], k] - nodes[ends[e, 0], k]) ** 2
            total += 0.5 * (np.sqrt(squared) - rest) ** 2
        return total

    @numba.njit
    def gradient(nodes, ends, rest):
        out, d = np.zeros(nodes.shape), np.empty(3)
        for e in range(len(ends)):
            squared = 0.0
            for k in range(3):
                d[k] = nodes[ends[e, 1], k] - nodes[ends[e, 0], k]
                squared += d[k] ** 2
            scale = 1.0 - rest / np.sqrt(squared)
            for k in range(3):
                out[ends[e, 1], k] += scale * d[k]
                out[ends[e, 0], k] -= scale * d[k]
        return out

    @numba.njit
    def hessian(nodes, ends, rest, places, entries):
        out, d = np.zeros(entries), np.empty(3)
        for e in range(len(ends)):
            squared = 0.0
            for k in range(3):
                d[k] = nodes[ends[e, 1], k] - nodes[ends[e, 0], k]
                squared += d[k] ** 2
            length = np.sqrt(squared)
            scale, rank = 1.0 - rest / length, rest / (squared * length)
            for i in range(3):
                for j in range(3):
                    entry = rank * d[i] * d[j] + (scale if i == j else 0.0)
                    out[places[e, 0, i, 0, j]] += entry
                    out[places[e, 1, i, 1, j]] += entry
                    out[places[e, 0, i, 1, j]] -= entry
                    out[places[e, 1, i, 0, j]] -= entry
        return out

    values = (ends[:, :, None] * 3 + np.arange(3)).reshape(len(ends), 6)
    keys = values[:, :, None] * nodes.size + values[:, None, :]
    found, places = np.unique(keys, return_inverse=True)
    places = places.reshape(-1, 2, 3, 2, 3)
    calls = {
        "value": lambda: [value(nodes, ends, 0.9)],
        "gradient": lambda: [gradient(nodes, ends, 0.9)],
        "hessian": lambda: [hessian(nodes, ends, 0.9, places, len(found))],
    }
    return calls[what]


CONTESTANTS = {
    "bundle, vjp": {"nbad": indexed_vjp, "gathered": gathered_vjp},
    "bundle, scatter": {"nbad": nbad_scatter, "add.at": add_at, "segment_sum": segment_sum},
    "bundle, Jacobian": {"nbad": nbad_jacobian, "coo": coo_jacobian},
    **{
        f"springs, {what}": {
            "nbad": lambda n, what=what: nbad_springs(what, n),
            "numba": lambda n, what=what: numba_springs(what, n),
        }
        for what in ("value", "gradient", "hessian")
    },
}


def prepare(task, contestant, n):
    """Run once; answers with seconds of the first call, and with a digest of the results."""
    start = time.perf_counter()
    _calls["call"] = call = CONTESTANTS[task][contestant](n)
    result = call()
    return {"first": time.perf_counter() - start, "sample": [float(np.sum(np.asarray(part))) for part in result]}


def measure():
    """Seconds of one call."""
    time.sleep(0.02)
    start = time.perf_counter()
    _calls["call"]()
    return time.perf_counter() - start


if __name__ == "__main__":
    serve(sys.modules[__name__])
