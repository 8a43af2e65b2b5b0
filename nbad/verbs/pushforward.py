"""`linearize`: one forward sweep, then the Jacobian times tangents as often as one likes."""

import math

import numpy as np

from nbad.api.calls import analyse
from nbad.errors import ArgumentTypeError, ArgumentValueError, message, user_line
from nbad.runtime import memory, sweeps
from nbad.runtime.budget import require
from nbad.runtime.operands import WEAK, as_array
from nbad.runtime.out import check_out


class Pushforward:
    """Apply the Jacobian of one forward sweep to tangents: any number of times, in any order, from any thread.

    Made by `nbad.linearize`. Calling it takes one tangent per argument; `batched` takes many of each.
    """

    def __init__(self, call, plan, rows):
        self._program, self._arguments, self._layout = call.program, call.arguments, call.operands.layout
        self._plan, self._rows = plan, rows

    def __call__(self, tangents, out=None):
        """Output tangents for one tangent per differentiated argument.

        Parameters
        ----------
        tangents : tuple of array_like
            In the arguments' shapes; a Python scalar may stand for any of them.
        out : array or tuple of arrays, optional
            Filled and returned, in the structure and shape of the value.

        Returns
        -------
        array or tuple of arrays
            In the structure and shape of the value.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            If there is not one tangent per differentiated argument, or one has a wrong shape or dtype.

        Examples
        --------
        >>> import nbad
        >>> y, pushforward = nbad.linearize(nbad.kernel(lambda x: x * x), 3.0)
        >>> pushforward((1.0,)), pushforward((2.0,))
        (np.float64(6.0), np.float64(12.0))
        """
        arrays = self._read("pushforward(tangents)", tangents, False)
        return self._push(arrays, None, out)

    def batched(self, tangents, out=None):
        """Output tangents for many tangents: every tangent array and every result has one leading axis.

        Parameters
        ----------
        tangents : tuple of array_like
            Of shape `(S, *shape of the argument)`; a Python scalar stands for all of an argument's.
        out : array or tuple of arrays, optional
            As for one tangent, with the leading axis.

        Returns
        -------
        array or tuple of arrays
            Of shape `(S, *shape of the leaf)`; row `s` has the bits of a single call.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            As for one tangent; also if no tangent is an array, for then their number is not known.

        Examples
        --------
        >>> import nbad, numpy as np
        >>> y, pushforward = nbad.linearize(nbad.kernel(lambda x: x * x), 3.0)
        >>> pushforward.batched((np.array([1.0, 2.0]),))
        array([ 6., 12.])
        """
        arrays = self._read("pushforward.batched(tangents)", tangents, True)
        counts = {a.shape[0] for a in arrays if a.ndim}
        if len(counts) != 1:
            raise ArgumentValueError(message(
                "`pushforward.batched(tangents)`: the number of tangents is not known", source=user_line(),
                got=f"leading axes {sorted(counts)}" if counts else "Python scalars only",
                expected="at least one array, all with the same leading axis", fix="np.ones((S, *x.shape))",
            ))
        return self._push(arrays, counts.pop(), out)

    def __reduce__(self):
        raise ArgumentTypeError(message(
            "a pushforward cannot be pickled or copied: it holds compiled code and residuals", source=user_line(),
            got="pickle or copy", expected="the arguments of `nbad.linearize`, to make it again",
            fix=f"y, pushforward = nbad.linearize({self._program.name}, ...)",
        ))

    def _read(self, call, tangents, batched):
        names = [self._program.names[k] for k in self._arguments]
        if not isinstance(tangents, tuple | list) or len(tangents) != len(names):
            got = f"{len(tangents)} tangents" if isinstance(tangents, tuple | list) else type(tangents).__name__
            raise ArgumentValueError(message(
                f"`{call}`: there must be one tangent per differentiated argument", source=user_line(), got=got,
                expected=f"a tuple of {len(names)}: {', '.join(names)}", fix=f"({', '.join(f'{n}_dot' for n in names)},)",
            ))
        return [self._tangent(call, k, tangent, batched) for k, tangent in zip(self._arguments, tangents, strict=True)]

    def _tangent(self, call, k, tangent, batched):
        wanted = self._layout.shapes[k]
        if not batched and type(tangent) is np.ndarray and tangent.dtype is self._layout.dtype and tangent.shape == wanted:
            return tangent
        name = f"the tangent of {self._program.names[k]}"
        array = as_array(f"`{call}`", name, tangent)
        if type(tangent) in WEAK or isinstance(tangent, np.generic):
            return array
        if array.ndim < batched or array.shape[int(batched) :] != wanted:
            expected = f"(S, *{wanted})" if batched else str(wanted)
            raise ArgumentValueError(message(
                f"`{call}`: {name} has a wrong shape", source=user_line(), got=f"shape {array.shape}",
                expected=f"shape {expected}", fix=f"np.broadcast_to(tangent, {expected})",
            ))
        return array

    def _push(self, tangents, count, out):
        program, layout, dtype = self._program, self._layout, self._layout.dtype
        shapes = layout.leaf_shapes if count is None else [(count, *shape) for shape in layout.leaf_shapes]
        if out is None:
            nbytes = dtype.itemsize * sum(map(math.prod, shapes))
            require("`pushforward`", nbytes, "a part of the tangents at a time, or out=")
            dots = [memory.empty(shape, dtype) for shape in shapes]
        else:
            names = [f"y{k}_dot" for k in range(len(shapes))]
            dots = check_out("`pushforward`", out, names, shapes, dtype, tangents, program.is_tuple)
        if count != 0:
            sweeps.pushforward(program, layout, self._plan, self._rows, tangents, dots, count)
        return sweeps.structured(program, dots) if out is None else out


def linearize(f, /, *xs, argnums=None, **kwargs):
    """Run the forward sweep once and return the value with its pushforward.

    Parameters
    ----------
    f : Kernel
    *xs, **kwargs : array_like
        The kernel's arguments.
    argnums : int, str or tuple of these, optional
        Arguments to differentiate; by default all but integer and bool arrays.

    Returns
    -------
    y : array or tuple of arrays
    pushforward : Pushforward
        Takes one tangent per differentiated argument; `pushforward.batched` takes many.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.
    TraceError
        For a kernel that cannot be traced.

    Examples
    --------
    >>> import nbad
    >>> y, pushforward = nbad.linearize(nbad.kernel(lambda a, b: a * b), 2.0, 5.0)
    >>> y, pushforward((1.0, 0.0)), pushforward((0.0, 1.0))
    (np.float64(10.0), np.float64(5.0), np.float64(2.0))
    """
    call = analyse(f, xs, kwargs, argnums)
    program, operands = call.program, call.operands
    plan = program.plan(call.wrt, "partials")
    elements, itemsize = math.prod(operands.shape), operands.dtype.itemsize
    kept = len(plan.residuals) * sweeps.row_length(elements, operands.dtype) + elements * len(program.graph.outputs)
    require(program.call, kept * itemsize, "a part of the arguments at a time, or `nbad.jvp`, which keeps nothing")
    leaves = sweeps.new_leaves(program, operands)
    rows = sweeps.residual_rows(plan, operands)
    sweeps.forward(program, plan, operands, leaves, rows)
    return sweeps.structured(program, leaves), Pushforward(call, plan, rows)
