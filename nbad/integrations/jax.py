"""Kernels as functions of JAX's arrays, which are compiled, mapped and differentiated in every way that JAX knows."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from nbad.api.calls import check_kernel
from nbad.api.kernel import Kernel
from nbad.errors import ArgumentTypeError, fitting
from nbad.partners.derived import of_arrays
from nbad.partners.jax_sweeps import outputs
from nbad.runtime.operands import WEAK, as_array
from nbad.verbs.jacobians import Made


@fitting("nbad.integrations.jax.function({f})({xs})")
def function(f: Kernel) -> "Function":
    """The kernel as a function of JAX's arrays: `jit`, `vmap`, `grad`, `jvp`, `jacrev`, `jacfwd` and the like, to any order.

    Parameters
    ----------
    f : Kernel

    Returns
    -------
    callable
        Takes what `f` takes, and returns JAX's arrays in the structure that `f` returns. They broadcast, and the dtype is what
        JAX makes of the arguments: float32, or float64 where `jax_enable_x64` is on. Half precision is computed in float32. Of
        Python's numbers the results have a weak dtype, as those of JAX's functions, which gives way to that of what they meet.

    Raises
    ------
    ArgumentTypeError
        At a call with complex arguments, or with a static one that a transform traces; and where `jax.lax.reduce` or
        `x.at[i].apply` would call the kernel for each number, within code of XLA's.

    Notes
    -----
    On the CPU compiled code calls the kernel's machine code, on JAX's own memory, through XLA's foreign function interface. Where
    its version is not known, on other devices, and for kernels that may raise, it calls Python (`jax.pure_callback`), and raises
    what JAX makes of errors there. A derivative is one sweep of nbad for the values and partials; what multiplies these with
    tangents or seeds, however many `vmap` makes of them, is code of XLA's. As in nbad a zero tangent or seed hides an infinite
    partial. Within `jax.shard_map` each device calls the kernel on its part; elsewhere a sharded argument is gathered first.

    Examples
    --------
    >>> import jax, nbad
    >>> area = nbad.integrations.jax.function(nbad.kernel(lambda a, b: a * b * b))
    >>> print(jax.jit(jax.grad(area, argnums=1))(2.0, 5.0), jax.hessian(area, argnums=1)(2.0, 5.0))
    20.0 4.0
    >>> print(jax.vmap(area, in_axes=(0, None))(jax.numpy.arange(3.0), 5.0))
    [ 0. 25. 50.]
    """
    check_kernel(f)
    return Function(f)


class Function(Made):
    """What `function` returns: a function with the kernel's name, docstring and signature."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        _refuse_traced_statics(self.f, args, kwargs)
        kernel, values = of_arrays(self.f, args, kwargs)
        xs, dtype, is_weak = _read(kernel, values)
        leaves = [_of_dtype(y, dtype) for y in outputs(kernel, xs, is_weak)]
        return kernel.whole_program().structure.build(leaves)

    def __repr__(self) -> str:
        return f"<nbad.integrations.jax.function of {self.f!r}>"

    def __reduce__(self) -> Any:
        return function, (self.f,)


def _refuse_traced_statics(f: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for name, value in {**dict(zip(f.parameters, args, strict=False)), **kwargs}.items():
        if isinstance(value, jax.core.Tracer) and name in f.static:
            raise ArgumentTypeError(
                f"`{f.__name__}({', '.join(f.parameters)})`: {name} is static, but a transform of JAX traces it",
                got=str(value),
                expected="a value that is known when the kernel is traced",
                fix=f"jax.jit(f, static_argnames=({name!r},))",
            )


def _read(kernel: Kernel, values: Sequence[Any]) -> tuple[list[jax.Array], Any, bool]:
    """The arguments as arrays of the dtype that a kernel computes in, the dtype of the results, and whether that is weak."""
    named = zip(kernel.parameters, values, strict=True)
    call = kernel.whole_program().call
    arrays = [v if isinstance(v, jax.Array) or type(v) in WEAK else _array(call, name, v) for name, v in named]
    for name, array in zip(kernel.parameters, arrays, strict=True):
        if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.extended):
            raise ArgumentTypeError(f"{call}: {name} is an array of keys", expected="numbers", fix=f"jax.random.uniform({name})")
    is_floating = any(jnp.issubdtype(jnp.result_type(array), jnp.inexact) for array in arrays)
    dtype = jnp.result_type(*arrays) if is_floating else jnp.result_type(*arrays, float)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        name = next(n for n, a in zip(kernel.parameters, arrays, strict=True) if jnp.iscomplexobj(a))
        raise ArgumentTypeError(
            f"{call}: {name} is complex",
            got=str(dtype),
            expected="a real dtype",
            fix=f"{name}.real  # and {name}.imag as an argument of its own",
        )
    working = jnp.dtype(jnp.float32) if dtype.itemsize < 4 else dtype
    _, is_weak = jax.dtypes.result_type(*(arrays or [float]), return_weak_type_flag=True)
    xs = map(jnp.asarray, arrays)  # one weak number of several is converted in JAX's sight, so that its derivative is weak again
    return [_of_dtype(x, working) if is_weak else x.astype(working) for x in xs], dtype, is_weak


def _array(call: str, name: str, value: Any) -> Any:
    """What is no array of JAX's as one, with its derivatives; numbers of JAX's own classes, which rules are handed, stay weak."""
    holds_arrays = isinstance(value, list | tuple) and any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value))
    if not (holds_arrays or hasattr(value, "aval")):
        return as_array(call, name, value)
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"{call}: {name} is not an array of numbers",
            got=str(error).partition("\n")[0],
            expected="nested lists of equal lengths",
            fix=f"jax.flatten_util.ravel_pytree({name})[0]  # all of its numbers, one after the other",
        ) from None


def _of_dtype(array: jax.Array, dtype: Any) -> jax.Array:
    """An array of a dtype; a weak one stays so where it has that."""
    return array if array.dtype == dtype else array.astype(dtype)
