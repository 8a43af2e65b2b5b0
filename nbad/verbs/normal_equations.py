"""The verb `normal_equations`: what a least-squares fit of shared parameters needs of all elements, summed in the sweep."""

import math
from collections.abc import Callable

import numpy as np

from nbad.api.calls import analyse, check_kernel, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, Array
from nbad.api.signatures import spelled
from nbad.errors import ArgumentValueError, fitting
from nbad.plans.plan import triangle
from nbad.runtime import sweeps
from nbad.runtime.block_sums import add_blocks
from nbad.runtime.strides import batch
from nbad.verbs.jacobians import Made, by_flat


@fitting("nbad.normal_equations({f})({xs})")
def normal_equations(f: Kernel, argnums: Argnums = None) -> Callable[..., tuple[Array, Array]]:
    """The function that computes the sums of `J'J` and `J'r` over all elements, without their Jacobians.

    Parameters
    ----------
    f : Kernel
        Of residuals r; where an element has several, all count.
    argnums : int, str or tuple of these, optional
        The parameters, in order, which all elements share; by default all arguments but integer and bool arrays.

    Returns
    -------
    callable
        `normal_equations(f, argnums)(*xs)` returns arrays of shape `(N, N)` and `(N,)`, in float64: N runs over the parameters,
        core values in C order. A step of Gauss and Newton is `-np.linalg.solve(JtJ, Jtr)`.

    Raises
    ------
    ArgumentValueError
        If elements do not share what `argnums` selects, or for arguments that do not fit.
    ArgumentTypeError
        For arguments that do not fit.

    Notes
    -----
    Products are computed in the working dtype, and summed in float64 by the tree that sums over broadcast axes take: bits do not
    depend on threads. An element takes `(N * (N + 1) / 2 + N) / 32` bytes of memory while it runs, where its Jacobian has
    `8 * M * N`, and `M * N * (N + 3) / 2` multiplications beside those of its Jacobian.

    Examples
    --------
    A line through points:

    >>> import nbad, numpy as np
    >>> line = nbad.kernel(lambda x, y, slope, offset: slope * x + offset - y)
    >>> x = np.linspace(0.0, 1.0, 1000)
    >>> JtJ, Jtr = nbad.normal_equations(line, ("slope", "offset"))(x, 3.0 * x + 1.0, 0.0, 0.0)
    >>> np.round(-np.linalg.solve(JtJ, Jtr), 12)
    array([3., 1.])
    """
    check_kernel(f)
    return NormalEquations(f, selection(argnums, f))


class NormalEquations(Made):
    """What `normal_equations` returns: a function with the kernel's name, docstring and signature."""

    gives = "(JtJ, Jtr) of shape (N, N) and (N,): sums over all elements, for N shared parameters"

    @by_flat
    def __call__(self, /, *xs, **kwargs):
        call = analyse(self.f, xs, kwargs, self.argnums)
        _check_shared(self.f, call)
        plan, size = call.program.jacobian_plan(call.wrt, "auto"), len(call.wrt)
        blocks = [sweep(call.given)[0] for sweep in sweeps.normal(call.program, plan, call.layout)]
        with np.errstate(all="ignore"):  # as in the sweeps: infinities and overflow are values
            parts = [add_blocks(sums) for sums in blocks]
        sums, JtJ = np.concatenate([np.empty(0), *parts]), np.empty((size, size))
        for (i, j), value in zip(triangle(size), sums, strict=False):
            JtJ[i, j] = JtJ[j, i] = value
        return JtJ, sums[len(sums) - size :]


def _check_shared(f, call):
    own = [batch(call.layout.shapes[k], len(call.program.cores[k])) for k in call.arguments]
    indices, is_one = call.indices or (None,) * len(own), math.prod(call.layout.shape) == 1
    each = zip(call.names, own, indices, strict=True)
    names = [name for name, shape, index in each if index is not None or (math.prod(shape) != 1 and not is_one)]
    if names:
        left = [name for name in call.names if name not in names]
        raise ArgumentValueError(
            f"normal_equations of {call.program.call}: elements do not share {', '.join(names)}",
            got=f"{names[0]} with elements of shape {own[call.names.index(names[0])]}",
            expected="parameters that all elements share",
            fix=f"argnums={tuple(left)!r}" if left else spelled(f, call.program.names, "jacobian"),
        )
