"""JAX: every formulation of the same sweep that its documentation suggests, and the fastest that we found."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax.scipy.special import erf

from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Contestant, merged
from benchmarks.cases.workloads import workloads

PACKAGES = ("jax", "jaxlib")

jax.config.update("jax_enable_x64", True)
LIBRARY = accepting_numbers(
    {"sqrt": jnp.sqrt, "exp": jnp.exp, "log": jnp.log, "sin": jnp.sin, "cos": jnp.cos, "atan2": jnp.arctan2, "erf": erf}
) | {"where": jnp.where}


def contestants(task):
    """`jit(vjp)` with `jit(vmap(pullback))`, partials once then multiplied, `vmap(jacrev)`, one pullback an output, `hessian`."""
    active, passive = [jnp.asarray(x) for x in task.active], {k: jnp.asarray(x) for k, x in task.passive.items()}
    sweeps = {"value": _value, "forward": _forward, "reverse": _reverse, "jacobian": _jacobian}
    sweeps |= {"value_and_jacobian": _value_and_jacobian, "hessian": _hessian}
    return sweeps[task.sweep](_compiled(task.workload.name), active, passive, task)


@functools.cache
def _compiled(name):
    """The functions of a workload; JAX compiles each for every shape and dtype that it meets."""
    workload = workloads()[name]
    f = rebound(workload.function, LIBRARY)

    def value(active, passive):
        y = f(*merged(active, passive))
        return list(y) if workload.is_tuple else [y]

    def vjp(active, passive):
        return jax.vjp(lambda *xs: value(xs, passive), *active)

    def partials(active, passive):
        y, pullback = vjp(active, passive)
        return y, [list(pullback(unit)) for unit in _units(y)]

    return SimpleNamespace(
        value=jax.jit(value),
        vjp=jax.jit(vjp),
        reverse=jax.jit(lambda pullback, seeds: jax.vmap(pullback)(seeds)),
        partials=jax.jit(partials),
        multiply=jax.jit(lambda rows, seeds: [_dot(seeds, column) for column in zip(*rows, strict=True)]),
        jacrev=jax.jit(_of_elements(value, jax.jacrev)),
        hessian=jax.jit(_of_elements(lambda active, passive: value(active, passive)[0], jax.hessian)),
    )


def _units(y):
    """A seed for each output that selects it."""
    return [[jnp.full_like(leaf, k == m) for k, leaf in enumerate(y)] for m in range(len(y))]


def _dot(seeds, column):
    return sum(seed * partial for seed, partial in zip(seeds, column, strict=True))


def _of_elements(value, derivative):
    def of_one(active, passive):
        return derivative(lambda *xs: value(xs, passive), argnums=tuple(range(len(active))))(*active)

    def of_all(active, passive):
        axes = {k: 0 if x.ndim else None for k, x in passive.items()}
        return jax.vmap(of_one, in_axes=(0, axes))(active, passive)

    return of_all


def _done(function, *args):
    return lambda: jax.block_until_ready(function(*args))


def _value(compiled, active, passive, task):
    yield Contestant("jit", _done(compiled.value, active, passive), list)


def _forward(compiled, active, passive, task):
    yield Contestant("jit(vjp)", _done(compiled.vjp, active, passive), lambda result: result[0])
    yield Contestant("value and partials", _done(compiled.partials, active, passive), lambda result: result[0])


def _reverse(compiled, active, passive, task):
    seeds = [jnp.asarray(s) for s in task.seeds]
    _, pullback = compiled.vjp(active, passive)
    _, rows = compiled.partials(active, passive)
    yield Contestant("jit(vmap(pullback))", _done(compiled.reverse, pullback, seeds), list)
    yield Contestant("partials times seeds", _done(compiled.multiply, rows, seeds), list)


def _jacobian(compiled, active, passive, task):
    yield Contestant("vmap(jacrev)", _done(compiled.jacrev, active, passive), lambda rows: [list(row) for row in rows])
    yield Contestant("one pullback an output", _done(compiled.partials, active, passive), lambda result: result[1])


def _value_and_jacobian(compiled, active, passive, task):
    call = _done(compiled.partials, active, passive)
    yield Contestant("one pullback an output", call, lambda result: [*result[0], *result[1]])


def _hessian(compiled, active, passive, task):
    yield Contestant("vmap(hessian)", _done(compiled.hessian, active, passive), lambda rows: [list(row) for row in rows])
