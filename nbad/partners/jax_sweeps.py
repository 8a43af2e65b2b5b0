"""Kernels as primitives of JAX: values and partials by nbad's machine code or by a call of Python, products with them by XLA.

The derivative of a kernel is linear in tangents: with the partials as further outputs of the kernel it is a sum of products,
which JAX transposes and maps itself. The kernel with these outputs is one more kernel, and so has derivatives, too.
"""

import functools
import inspect
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import jet
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from nbad.api.kernel import Kernel
from nbad.errors import ArgumentTypeError
from nbad.partners.derived import Partials, with_partials
from nbad.partners.jax_ffi import stand_in, target
from nbad.plans.linear import Entry
from nbad.runtime.operands import Layout, read

call_p, times_p = Primitive("nbad_call"), Primitive("nbad_times")
call_p.multiple_results = True
# what lowers a function into an operation of XLA's: its compiler inlines that, and ends the process at a call of other code
INLINING = {"_reduce_lower", "_generic_reduce_window_lower", "_scatter_lower", "_select_and_scatter_lower"}


def outputs(kernel: Kernel, xs: Sequence[jax.Array], is_weak: bool) -> list[jax.Array]:
    """The outputs of a kernel of arrays, all of one dtype; weak ones give way to the dtype of what they meet."""
    layout_of(kernel, xs)  # which refuses what does not fit, where the user's line is running
    return call_p.bind(*_varying_alike([_gathered(x) for x in xs]), kernel=kernel, is_weak=is_weak)


def layout_of(kernel: Kernel, xs: Iterable[Any]) -> Layout:
    """What a kernel makes of such arrays: contiguous ones, which nobody reads."""
    return read(kernel.whole_program(), tuple(stand_in(tuple(x.shape), np.dtype(x.dtype)) for x in xs)).layout


def _gathered(x: Any) -> Any:
    """An array as a whole on every device, where its type says how it is shared out; what transposes this shares out again."""
    sharding = getattr(jax.typeof(x), "sharding", None) if hasattr(jax.sharding, "reshard") else None
    if sharding is None or not any(sharding.spec):
        return x
    return jax.sharding.reshard(x, jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec()))


# within `jax.shard_map`: along which axes of the mesh values differ from device to device, and so what is summed over devices


def _varying(aval: Any) -> tuple[str, ...]:
    """The axes of the mesh along which a value differs; earlier versions of JAX say so at another place, or do not know it."""
    kind = getattr(aval, "manual_axis_type", None)
    return tuple(sorted(getattr(aval, "vma", ()) if kind is None else kind.varying))


def _varying_alike(xs: Sequence[jax.Array]) -> Sequence[jax.Array]:
    """Arrays that differ along the same axes: what transposes this sums cotangents over devices."""
    each = [_varying(x.aval) for x in xs]
    missing = [tuple(sorted(set().union(*each).difference(own))) for own in each]
    return [_cast(x, axes) if axes else x for x, axes in zip(xs, missing, strict=True)] if any(missing) else xs


def _cast(x: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    lax: Any = jax.lax
    return lax.pcast(x, axes, to="varying") if hasattr(lax, "pcast") else lax.pvary(x, axes)


def _of_shape(shape: tuple[int, ...], dtype: Any, is_weak: bool, operands: Sequence[Any]) -> Any:
    """The type of an array that differs along the same axes as operands do."""
    if not any(map(_varying, operands)):
        return jax.core.ShapedArray(shape, dtype, weak_type=is_weak)
    one = operands[0]
    whole = jax.sharding.NamedSharding(one.sharding.mesh, jax.sharding.PartitionSpec(*(None,) * len(shape)))
    return one.update(shape=shape, dtype=dtype, weak_type=is_weak, sharding=whole)


# the primitive of a kernel


@functools.lru_cache(1024)
def _compiled(kernel: Kernel, is_weak: bool) -> Any:
    def call(*xs: Any) -> Any:
        return call_p.bind(*xs, kernel=kernel, is_weak=is_weak)

    call.__qualname__ = kernel.__name__
    call.__dict__["_apply_primitive"] = True  # where `jax_debug_nans` finds one, it is not to look for it in here
    return jax.jit(call)


def _run(*xs: Any, kernel: Kernel, is_weak: bool) -> Any:
    with jax.disable_jit(False):  # where it is on, the function would be run as it is, and end here again
        return _compiled(kernel, is_weak)(*xs)


def _abstract(*xs: Any, kernel: Kernel, is_weak: bool) -> list[Any]:
    layout = layout_of(kernel, xs)
    return [_of_shape(shape, layout.dtype, is_weak, xs) for shape in layout.leaf_shapes]


def _mapped(xs: Sequence[Any], dims: Sequence[int | None], *, kernel: Kernel, is_weak: bool) -> tuple[Any, list[int]]:
    """One call over an axis more, the first of the element space."""
    cores = kernel.whole_program().cores
    ranks = [x.ndim - len(core) - (d is not None) for x, d, core in zip(xs, dims, cores, strict=True)]
    wide = []
    for x, d, rank in zip(xs, dims, ranks, strict=True):
        if d is not None:
            x = jnp.moveaxis(x, d, 0)
            x = x.reshape(x.shape[0], *(1,) * (max(ranks) - rank), *x.shape[1:])
        wide.append(_gathered(x))
    ys = call_p.bind(*wide, kernel=kernel, is_weak=is_weak)
    return ys, [0] * len(ys)


def _pushed(primals: Sequence[Any], tangents: Sequence[Any], *, kernel: Kernel, is_weak: bool) -> tuple[list[Any], list[Any]]:
    """Outputs and their tangents."""
    moved = [k for k, t in enumerate(tangents) if type(t) is not ad.Zero]
    partials = with_partials(kernel, tuple(kernel.parameters[k] for k in moved))
    found = call_p.bind(*primals, kernel=partials.kernel, is_weak=is_weak)
    count = len(kernel.whole_program().leaves)
    return found[:count], _product(kernel, partials, found, [tangents[k] for k in moved])


def _product(kernel: Kernel, partials: Partials, found: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """The tangents of the outputs: a walk along the linear map, which sums products."""
    program, ends = kernel.whole_program(), partials.ends
    ys, weights = found[: len(program.leaves)], found[len(program.leaves) :]
    shape = ys[0].shape[: ys[0].ndim - len(program.leaves[0])]
    cores = [kernel.core(name) for name in partials.names]
    slots = [t[(..., *index)] for t, core in zip(tangents, cores, strict=True) for index in np.ndindex(core)]
    values = {source: jnp.broadcast_to(slot, shape) for source, slot in zip(ends.sources, slots, strict=True)}
    into: dict[int, list[Entry]] = {}
    for entry in partials.entries:
        into.setdefault(ends.of(entry)[1], []).append(entry)
    zero = jnp.zeros(shape, ys[0].dtype)

    def total(end: int) -> Any:
        terms = [_term(entry, weights, values[ends.of(entry)[0]]) for entry in into.get(end, ())]
        return functools.reduce(jnp.add, terms) if terms else zero

    for end, vertex in ends.inner:
        values[vertex] = total(end)
    dots = []
    for own, core, y in zip(program.leaf_slots, program.leaves, ys, strict=True):
        each = [total(slot) for slot in own]
        dots.append(jnp.stack(each, -1).reshape(y.shape) if core else each[0])
    return dots


def _term(entry: Entry, weights: Sequence[Any], value: Any) -> Any:
    """What one entry makes of what flows there; behind a condition that fails it is not used, whatever it is."""
    constant: Any = entry.constant
    if entry.partial is None and constant == 1.0:
        term = value
    else:
        term = times_p.bind(jnp.full_like(value, constant) if entry.partial is None else weights[entry.partial], value)
    return term if entry.condition is None else jnp.where(weights[entry.condition] != 0, term, jnp.zeros_like(term))


def _refuse_inlining(kernel: Kernel) -> None:
    """Refuse to be lowered in a function that XLA's compiler inlines, be it called there by others."""
    frame: Any = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name in INLINING and frame.f_globals.get("__name__", "").startswith("jax."):
            raise ArgumentTypeError(
                f"{kernel.whole_program().call} is called for each number within an operation of XLA's, where no kernel can be",
                got="jax.lax.reduce, jax.lax.reduce_window, x.at[i].apply or the like",
                expected="calls of the kernel with arrays",
                fix="x.at[i].set(f(x[i])), or jax.lax.associative_scan(f, x)[-1] for a reduction",
            )
        frame = frame.f_back


def _by_callback(*xs: Any, kernel: Kernel, is_weak: bool) -> list[Any]:
    _refuse_inlining(kernel)
    layout = layout_of(kernel, xs)
    kinds = [jax.ShapeDtypeStruct(shape, layout.dtype) for shape in layout.leaf_shapes]

    def run(*arrays: Any) -> list[np.ndarray]:
        y = kernel(*map(np.asarray, arrays))
        return [np.asarray(leaf) for leaf in kernel.whole_program().structure.leaves(y)]

    return jax.pure_callback(run, kinds, *xs)


def _lowered(ctx: Any, *operands: Any, kernel: Kernel, is_weak: bool) -> Any:
    """On the CPU: the kernel's machine code, called by XLA; a call of Python where that cannot be."""
    _refuse_inlining(kernel)
    name = target(kernel.whole_program(), layout_of(kernel, ctx.avals_in))
    if name is None:
        return _called_back(ctx, *operands, kernel=kernel, is_weak=is_weak)
    return jax.ffi.ffi_lowering(name)(ctx, *operands)


_called_back = mlir.lower_fun(_by_callback, multiple_results=True)
call_p.def_impl(_run)
call_p.def_abstract_eval(_abstract)
batching.primitive_batchers[call_p] = _mapped
ad.primitive_jvps[call_p] = _pushed
# what was lowered elsewhere is not to be taken where it must be refused; earlier versions keep nothing
LOWERING: dict[str, Any] = {"cacheable": False} if "cacheable" in inspect.signature(mlir.register_lowering).parameters else {}
mlir.register_lowering(call_p, _called_back, **LOWERING)
mlir.register_lowering(call_p, _lowered, platform="cpu", **LOWERING)


def _series(primals: Sequence[Any], series: Sequence[Sequence[Any]], **parameters: Any) -> tuple[list[Any], list[list[Any]]]:
    """Outputs and their Taylor coefficients along a curve that is given by those of the arguments."""
    primals, orders = [jnp.asarray(x) for x in primals], range(1, 1 + len(series[0]))
    # earlier versions of JAX hold derivatives, which are the coefficients times these numbers
    sizes = [1 if "factorial_scaled" in inspect.signature(jet.jet).parameters else math.factorial(k) for k in orders]

    def curve(t: Any) -> Any:
        terms = [[c * (t**k / size) for c, k, size in zip(own, orders, sizes, strict=True)] for own in series]
        return [call_p.bind(*[(x + sum(own)).astype(x.dtype) for x, own in zip(primals, terms, strict=True)], **parameters)]

    for _ in orders:
        curve = functools.partial(_with_next, curve)
    ys, *rates = curve(jnp.zeros((), primals[0].dtype))
    found = [[y * (size / math.factorial(k)) for y in own] for own, k, size in zip(rates, orders, sizes, strict=True)]
    return ys, [list(own) for own in zip(*found, strict=True)]


def _with_next(curve: Any, t: Any) -> Any:
    """A list of derivatives by one number, and the next one."""
    found, rates = jax.jvp(curve, (t,), (jnp.ones_like(t),))
    return [*found, rates[-1]]


rules: dict[Any, Any] = jet.jet_rules
rules[call_p] = _series


# the primitive of a product with a tangent or a seed, which a zero there makes 0


def _times(partial: Any, tangent: Any) -> Any:
    return jnp.where(tangent == 0, jnp.zeros_like(tangent), partial * tangent)


def _times_abstract(partial: Any, tangent: Any) -> Any:
    return _of_shape(tangent.shape, tangent.dtype, partial.weak_type and tangent.weak_type, (tangent, partial))


def _times_mapped(xs: Sequence[Any], dims: Sequence[int | None]) -> tuple[Any, int]:
    size = next(x.shape[d] for x, d in zip(xs, dims, strict=True) if d is not None)
    moved = [jnp.broadcast_to(x, (size, *x.shape)) if d is None else jnp.moveaxis(x, d, 0) for x, d in zip(xs, dims, strict=True)]
    return times_p.bind(*moved), 0


def _times_pushed(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (partial, tangent), (partial_dot, tangent_dot) = primals, tangents
    terms = []
    if type(partial_dot) is not ad.Zero:
        terms.append(times_p.bind(partial_dot, tangent))
    if type(tangent_dot) is not ad.Zero:
        terms.append(times_p.bind(partial, tangent_dot))
    return times_p.bind(partial, tangent), sum(terms[1:], terms[0])


def _times_transposed(ct: Any, partial: Any, tangent: Any) -> list[Any]:
    if ad.is_undefined_primal(tangent):
        return [None, times_p.bind(partial, ct)]
    return [times_p.bind(ct, tangent), None]


_times_compiled = jax.jit(_times)
times_p.def_impl(lambda partial, tangent: _times_compiled(partial, tangent))
times_p.def_abstract_eval(_times_abstract)
batching.primitive_batchers[times_p] = _times_mapped
ad.primitive_jvps[times_p] = _times_pushed
ad.primitive_transposes[times_p] = _times_transposed
jet.def_comp(times_p, _times)
mlir.register_lowering(times_p, mlir.lower_fun(_times, multiple_results=False))
