"""Kernels within `jax.shard_map`: what differs from device to device is known, so that cotangents of what does not are summed."""

import pytest

PROGRAM = """
import jax, math, nbad, numpy as np
from jax.sharding import Mesh, PartitionSpec as P

jax.config.update("jax_enable_x64", True)

@nbad.kernel
def area(a, b):
    return a * b * b

@nbad.kernel
def small(a, b):
    if a > 100.0:
        raise ValueError("too large")
    return a * b * b

mesh = Mesh(np.array(jax.devices()), ("i",))
a, b = np.arange(1.0, 9.0), 3.0
for kernel in (area, small):
    f = nbad.integrations.jax.function(kernel)
    mapped = jax.shard_map(f, mesh=mesh, in_specs=(P("i"), P()), out_specs=P("i"))
    within = lambda a, b: jax.grad(lambda b: f(a, b).sum())(b)
    within = jax.shard_map(within, mesh=mesh, in_specs=(P("i"), P()), out_specs=P())
    total = lambda a, b: mapped(a, b).sum()
    by_a, by_b = jax.grad(total, (0, 1))(a, b)
    found = mapped(a, b), by_a, by_b, within(a, b), jax.jit(jax.hessian(total, 1))(a, b), jax.jvp(total, (a, b), (a, b))[1]
    expected = 9 * a, 9.0 + 0 * a, 6 * 36.0, 6 * 36.0, 2 * 36.0, 3 * 9 * 36.0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
try:
    jax.shard_map(f, mesh=mesh, in_specs=(P("i"), P()), out_specs=P())(a, b)
except ValueError as error:
    print(len(jax.devices()), "out_specs" in str(error))
"""


EXPLICIT = """
import jax, jax.numpy as jnp, math, nbad, numpy as np
from jax.sharding import AxisType, PartitionSpec as P

jax.config.update("jax_enable_x64", True)
f = nbad.integrations.jax.function(nbad.kernel(lambda a, b: a * math.sin(b)))
native = lambda a, b: a * jnp.sin(b)
WAYS = {
    "value": lambda h: h,
    "grad": lambda h: jax.grad(lambda a, b: h(a, b).sum(), (0, 1)),
    "jitted grad": lambda h: jax.jit(jax.grad(lambda a, b: h(a, b).sum(), (0, 1))),
    "grad of vmap": lambda h: jax.grad(lambda a, b: jax.vmap(h)(a, b).sum(), (0, 1)),
    "hessian": lambda h: jax.hessian(lambda a, b: h(a, b).sum(), (0, 1)),
}
mesh = jax.make_mesh((4,), ("i",), axis_types=(AxisType.Explicit,))
with jax.set_mesh(mesh):
    a, b = (jax.device_put(np.arange(n, n + 8.0), P("i")) for n in (1.0, 5.0))
    for way in WAYS.values():
        for one, other in zip(jax.tree.leaves(way(f)(a, b)), jax.tree.leaves(way(native)(a, b)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-14)
    print(*map(jax.typeof, WAYS["grad"](f)(a, b)))
print(f(a, b).shape)
"""


@pytest.mark.slow
def test_arrays_whose_types_say_how_they_are_shared_out_are_gathered(run_python, tmp_path):
    (tmp_path / "program.py").write_text(EXPLICIT)
    told = run_python("import program", XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert told == "float64[8@i] float64[8@i]\n(8,)\n"


@pytest.mark.slow
def test_cotangents_are_summed_over_devices(run_python, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    assert run_python("import program", XLA_FLAGS="--xla_force_host_platform_device_count=4") == "4 True\n"
