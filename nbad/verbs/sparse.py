"""The verbs `sparse_jacobian` and `sparse_hessian`: all elements in one sparse matrix, or as a linear operator."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nbad.api.calls import Call, analyse, check_kernel, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums
from nbad.assembly.parts import cut, part_size
from nbad.assembly.scatter import Picked
from nbad.assembly.scipy_sparse import check_scipy, csr, csr_of_parts, operator
from nbad.assembly.structure import Columns, Squares, of_hessian, of_jacobian
from nbad.errors import fitting
from nbad.memo import Recent
from nbad.runtime import sweeps
from nbad.runtime.reverse import reverse_of
from nbad.verbs.gradients import gradient
from nbad.verbs.jacobians import Made, by_flat
from nbad.verbs.pullback import Pullback
from nbad.verbs.pushforward import Pushforward, linearized
from nbad.verbs.vjp import vjp

STRUCTURES = 2  # that are kept for each verb and kernel, of the last indices


@fitting("nbad.sparse_jacobian({f})({xs})")
def sparse_jacobian(f: Kernel, argnums: Argnums = None) -> "SparseJacobian":
    """The function that computes the Jacobian of all elements as one sparse matrix.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, in order; by default all but integer and bool arrays.

    Returns
    -------
    callable
        `sparse_jacobian(f)(*xs)` is a `scipy.sparse.csr_array`. Its rows are the elements in C order, for each of them all
        outputs; its columns are the arguments one after the other, each in C order: of `nbad.indexed(a, i)` those of `a`.
        `sparse_jacobian(f).operator(*xs)` is the same as a `scipy.sparse.linalg.LinearOperator`, which makes no matrix.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.
    MissingExtraError
        If SciPy is not installed.

    Notes
    -----
    Columns ascend in each row and none comes twice (`has_canonical_format`): what an element reads twice is summed. The data are
    the blocks of `nbad.jacobian` themselves where these lie in that order, zeros among them included. The structure is made by
    the first call with these indices and shapes, in the time of sorting it, and shared by all later results, which must not
    change it: `indices` and `indptr` are read-only, `data` are each result's own, and `J.copy()` owns all.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> slope = nbad.kernel(lambda left, right, h: (right - left) / h)
    >>> u, k = np.array([1.0, 4.0, 9.0]), np.arange(2)
    >>> J = nbad.sparse_jacobian(slope, argnums=("left", "right"))(nbad.indexed(u, k), nbad.indexed(u, k + 1), 0.5)
    >>> J.toarray()
    array([[-2.,  0.,  0.,  0.,  2.,  0.],
           [ 0., -2.,  0.,  0.,  0.,  2.]])

    Where both ends are one argument, so are their columns:

    >>> slope = nbad.kernel(lambda u, h: (u[1] - u[0]) / h, signature="(2),()->()")
    >>> ends = nbad.indexed(u, np.array([[0, 1], [1, 2]]))
    >>> jacobian = nbad.sparse_jacobian(slope, argnums="u")
    >>> jacobian(ends, 0.5).toarray()
    array([[-2.,  2.,  0.],
           [ 0., -2.,  2.]])
    >>> J = jacobian.operator(ends, 0.5)
    >>> J @ np.array([1.0, 0.0, 0.0]), (J.T @ J) @ np.array([1.0, 0.0, 0.0])
    (array([-2.,  0.]), array([ 4., -4.,  0.]))
    """
    check_kernel(f)
    return SparseJacobian(f, selection(argnums, f))


class Sparse(Made):
    """What returns sparse matrices, and keeps their structures."""

    def __init__(self, f, argnums):
        super().__init__(f, argnums)
        self._structures = Recent(STRUCTURES)


class SparseJacobian(Sparse):
    """What `sparse_jacobian` returns: a function with the kernel's name, docstring and signature."""

    gives = "a scipy.sparse.csr_array: rows are the elements' outputs, columns the entries of the arguments"

    @by_flat
    def __call__(self, /, *xs: Any, **kwargs: Any) -> Any:
        check_scipy("`nbad.sparse_jacobian`")
        call = analyse(self.f, xs, kwargs, self.argnums)
        plan = call.program.jacobian_plan(call.wrt, "auto")
        structure = _known(self._structures, call, lambda: of_jacobian(_columns(call), plan.outputs))
        return csr(structure, sweeps.jacobian(call.program, plan, call.layout, False)(call.given)[0])

    @by_flat
    def operator(self, /, *xs: Any, **kwargs: Any) -> Any:
        """The Jacobian of all elements as a linear operator: `J @ v`, `J.T @ w`, `(J.T @ J) @ v`, and products with matrices.

        One forward sweep is run, whose residuals serve all products; no matrix is made, and no structure is needed.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator

        Examples
        --------
        >>> import nbad, numpy as np
        >>> square = nbad.kernel(lambda x: x * x)
        >>> J = nbad.sparse_jacobian(square).operator(np.array([1.0, 2.0]))
        >>> J @ np.array([1.0, 1.0]), J.T @ np.eye(2)
        (array([2., 4.]), array([[2., 0.],
               [0., 4.]]))
        """
        check_scipy("`nbad.sparse_jacobian(f).operator`")
        call = analyse(self.f, xs, kwargs, self.argnums)
        return _operator(call)


def _operator(call):
    program, layout = call.program, call.layout
    sweep, pushing = linearized(call)
    *_, rows = sweep(call.given)
    shapes, whole = (tuple(each[k] for k in call.arguments) for each in (layout.shapes, layout.whole))
    pushforward = Pushforward(pushing, rows, call.given[len(call.arrays) :])
    reverse = reverse_of(program, pushing.plan, call.arguments, layout.dtype)
    picked = Picked(whole, call.indices) if call.indices else None
    pullback = Pullback(reverse, rows, layout.shape, shapes, picked=picked, order=pushing.order)
    elements, widths = math.prod(layout.shape), [math.prod(core) for core in program.leaves]
    shape = elements * sum(widths), sum(map(math.prod, shapes))

    def push(tangents):
        dots = program.structure.leaves(pushforward.batched(tuple(_cut(tangents, shapes))))
        parts = [dot.reshape(len(tangents), elements, width) for dot, width in zip(dots, widths, strict=True)]
        return _beside(parts, 2).reshape(len(tangents), shape[0])

    def pull(seeds):
        parts = np.split(seeds.reshape(len(seeds), elements, sum(widths)), np.cumsum(widths)[:-1], axis=2)
        leaves = [part.reshape(len(seeds), *own) for part, own in zip(parts, layout.leaf_shapes, strict=True)]
        cts = zip(pullback.batched(program.structure.build(leaves)), shapes, strict=True)
        return _beside([ct.reshape(len(seeds), math.prod(own)) for ct, own in cts], 1)

    return operator(shape, layout.dtype, push, pull)


def _cut(rows, shapes):
    """The parts of each row as arrays of these shapes, behind the axis of the rows."""
    parts = np.split(rows, np.cumsum([math.prod(shape) for shape in shapes])[:-1], axis=1)
    return [part.reshape(len(rows), *shape) for part, shape in zip(parts, shapes, strict=True)]


def _beside(parts, axis):
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


@fitting("nbad.sparse_hessian({f})({xs})")
def sparse_hessian(f: Kernel, argnums: Argnums = None) -> "SparseHessian":
    """The function that computes the Hessian of the sum of a single-output kernel over all elements, as a sparse matrix.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, in order; by default all but integer and bool arrays.

    Returns
    -------
    callable
        `sparse_hessian(f)(*xs)` is a symmetric `scipy.sparse.csr_array`, whose rows and columns are the arguments one after the
        other, each in C order: of `nbad.indexed(a, i)` those of `a`. `sparse_hessian(f).operator(*xs)` is the same as a
        `scipy.sparse.linalg.LinearOperator`, which makes no matrix.

    Raises
    ------
    TraceError
        If `f` has several outputs.
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.
    MissingExtraError
        If SciPy is not installed.

    Notes
    -----
    Entries that are 0 by the structure of the kernel are left out. An entry and its mirror image have the same bits: both are
    sums of the same numbers, in float64: in blocks of 256, and by parts of the elements, whose blocks are in memory at a time, a
    few MB of them. The structure is made by the first call with these indices and shapes, and shared as that of
    `nbad.sparse_jacobian` is.

    Examples
    --------
    Two springs between three nodes on a line:

    >>> import nbad, numpy as np
    >>> energy = nbad.kernel(lambda ends: 0.5 * (ends[1] - ends[0] - 1.0) ** 2, signature="(2)->()")
    >>> nodes = np.array([0.0, 1.5, 2.0])
    >>> nbad.sparse_hessian(energy)(nbad.indexed(nodes, np.array([[0, 1], [1, 2]]))).toarray()
    array([[ 1., -1.,  0.],
           [-1.,  2., -1.],
           [ 0., -1.,  1.]])
    """
    check_kernel(f)
    return SparseHessian(f, selection(argnums, f))


class SparseHessian(Sparse):
    """What `sparse_hessian` returns: a function with the kernel's name, docstring and signature."""

    gives = "a symmetric scipy.sparse.csr_array over the entries of the arguments"

    @by_flat
    def __call__(self, /, *xs: Any, **kwargs: Any) -> Any:
        check_scipy("`nbad.sparse_hessian`")
        call = self._analysed(xs, kwargs)
        program, plan = call.program, call.program.jacobian_plan(call.wrt, "auto")

        def make():
            columns, size = _columns(call), plan.outputs
            pattern, graph = np.array(program.sparsity(call.wrt), bool), program.jacobian_graph(plan, False)
            nodes = graph.outputs[len(graph.outputs) - size**2 :]
            squares = Squares.distinct(columns, pattern.reshape(size, size), nodes)
            nbytes = len(squares.entries) * call.layout.dtype.itemsize
            # where elements may fail there are values, too: the number of one would be that in its part
            part = part_size(call.operands, program.cores, nbytes) if len(graph.outputs) == size**2 else None
            return squares.entries, of_hessian(columns, squares, part)

        def squares_of(part):
            operands = cut(call.operands, program.cores, part)
            return sweeps.jacobian(program, plan, operands.layout, False, entries)(operands.given)[0]

        entries, structure = _known(self._structures, call, make)
        return csr_of_parts(structure, call.layout.dtype, squares_of)

    @by_flat
    def operator(self, /, *xs: Any, **kwargs: Any) -> Any:
        """The Hessian of the sum over all elements as a linear operator: `H @ v`, and products with matrices.

        One forward sweep is run, whose residuals serve all products; no matrix is made, and no structure is needed.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator

        Examples
        --------
        >>> import nbad, numpy as np
        >>> cube = nbad.kernel(lambda x: x**3)
        >>> H = nbad.sparse_hessian(cube).operator(np.array([1.0, 2.0]))
        >>> H @ np.array([1.0, 1.0])
        array([ 6., 12.])
        """
        check_scipy("`nbad.sparse_hessian(f).operator`")
        call = self._analysed(xs, kwargs)
        layout, shapes = call.layout, tuple(call.layout.shapes[k] for k in call.arguments)
        _, pullback = vjp(gradient(self.f, call.names), *xs, argnums=call.names, residuals="partials", **kwargs)
        places = [index.positions if index else ... for index in call.indices or [None] * len(shapes)]
        wholes = [(*layout.shape, *call.program.cores[k]) for k in call.arguments]

        def push(vectors):
            """The blocks are symmetric: a pullback of what the elements read of the vectors is the product."""
            parts = zip(_cut(vectors, shapes), places, wholes, strict=True)
            seeds = tuple([_spread(part[:, place], whole) for part, place, whole in parts])
            cts = zip(pullback.batched(seeds), shapes, strict=True)
            return _beside([ct.reshape(len(vectors), math.prod(own)) for ct, own in cts], 1)

        size = sum(map(math.prod, shapes))
        return operator((size, size), layout.dtype, push, push)

    def _analysed(self, xs, kwargs):
        """The call of the gradient."""
        names = analyse(self.f, xs, kwargs, self.argnums).names
        return analyse(gradient(self.f, names), xs, kwargs, names)


def _spread(rows, shape):
    """Each row broadcast to a shape, behind the axis of the rows."""
    missing = (1,) * (len(shape) + 1 - rows.ndim)
    return np.broadcast_to(rows.reshape(len(rows), *missing, *rows.shape[1:]), (len(rows), *shape))


def _known(structures: Recent, call: Call, make: Callable[[], Any]) -> Any:
    """The structure for these indices and shapes."""
    return structures(
        (call.program, call.layout.shape, call.layout.whole, call.layout.shapes, call.arguments, call.indices), make
    )


def _columns(call: Call) -> Columns:
    """The columns of all that a call is differentiated by."""
    shapes, cores = ([each[k] for k in call.arguments] for each in (call.layout.shapes, call.program.cores))
    return Columns.of(call.layout.shape, shapes, cores, call.indices or [None] * len(shapes))
