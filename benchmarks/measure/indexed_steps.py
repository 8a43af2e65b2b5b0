"""One contestant of the command `indexed` in a process of its own: `python -m benchmarks.measure.indexed_steps`.

Bundle adjustment: observations of points by cameras, in the order of such files, which is that of the points. Nets and meshes:
energies summed over elements that share nodes, their gradients, and the entries of their Hessians.
"""

import functools

import numpy as np

from benchmarks.by_hand.nets import parallel, serial
from benchmarks.cases.gallery import module_of
from benchmarks.cases.nets import NETS, places
from benchmarks.measure.contestants import Contestants
from benchmarks.measure.process import serve

OBSERVATIONS_OF_A_POINT, CAMERAS = 7, 1000


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


def summed(n, cts):
    """Cotangents of gathered arrays, summed in their order for what they were gathered from."""
    _, (camera, point, of_camera, of_point, *_) = observations(n)
    totals = np.zeros(camera.shape), np.zeros(point.shape)
    for total, i, ct in zip(totals, (of_camera, of_point), cts, strict=True):
        np.add.at(total, i, ct)
    return totals


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
        return [total[0] for total in totals]

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


def nbad_net(name, what, n):
    import nbad

    net = NETS[name](n)
    kernel, xs = nbad.kernel(net.energy(np), signature=net.signature), (nbad.indexed(net.nodes, net.elements), *net.data)
    hessian = nbad.sparse_hessian(kernel, argnums=0)
    calls = {
        "value": lambda: [np.sum(kernel(*xs))],
        "gradient": lambda: list(nbad.vjp(kernel, *xs, argnums=0)[1](1.0)),
        "hessian": lambda: [hessian(*xs).data],
    }
    return calls[what]


def jax_net(name, what, n):
    """The same energy; of the Hessian the blocks of all elements, which are added where they are known to stand."""
    import jax

    jax.config.update("jax_enable_x64", True)
    net = NETS[name](n)
    energy, axes = net.energy(jax.numpy), (0, *(0 if np.ndim(each) else None for each in net.data))
    nodes, elements, *data = map(jax.numpy.asarray, (net.nodes, net.elements, *net.data))

    def value(nodes):
        return jax.numpy.sum(jax.vmap(energy, axes)(nodes[elements], *data))

    if what != "hessian":
        run = jax.jit(value if what == "value" else jax.grad(value))
        return lambda: [jax.block_until_ready(run(nodes))]
    numbers, count = places(net)

    @jax.jit
    def hessian(nodes, numbers):
        blocks = jax.vmap(jax.hessian(energy), axes)(nodes[elements], *data)
        return jax.ops.segment_sum(blocks.ravel(), numbers, count)

    numbers = jax.numpy.asarray(numbers.ravel())
    return lambda: [jax.block_until_ready(hessian(nodes, numbers))]


def by_hand(loops, name, what, n):
    return loops(name, what, NETS[name](n))


BY = {
    "nbad": nbad_net,
    "serial": functools.partial(by_hand, serial),
    "parallel": functools.partial(by_hand, parallel),
    "jax": jax_net,
}
CONTESTANTS = {
    "bundle, vjp": {"nbad": indexed_vjp, "gathered": gathered_vjp},
    "bundle, scatter": {"nbad": nbad_scatter, "add.at": add_at, "segment_sum": segment_sum},
    "bundle, Jacobian": {"nbad": nbad_jacobian, "coo": coo_jacobian},
    **{
        f"{net}, {what}": {who: lambda n, make=make, given=(net, what): make(*given, n) for who, make in BY.items()}
        for net in NETS
        for what in ("value", "gradient", "hessian")
    },
}


def parts(contestant, n, result):
    """What is compared: cotangents of gathered arrays are to be summed yet."""
    return summed(n, result) if contestant == "gathered" else result


if __name__ == "__main__":
    serve(Contestants(CONTESTANTS, parts))
