"""The verbs `jvp` and `linearize`: the Jacobian times tangents, at once, or as often as one likes after one forward sweep."""

import math

import numpy as np

from nbad.api.calls import analyse, leaves_for, pair_of
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.runtime import memory, sweeps
from nbad.runtime.budget import require
from nbad.runtime.operands import DOUBLE, WEAK, as_array
from nbad.runtime.out import check_out, check_overlaps


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
            raise ArgumentValueError(
                "`pushforward.batched(tangents)`: the number of tangents is not known",
                got=f"leading axes {sorted(counts)}" if counts else "Python scalars only",
                expected="at least one array, all with the same leading axis",
                fix="np.ones((S, *x.shape))",
            )
        return self._push(arrays, counts.pop(), out)

    def __reduce__(self):
        raise ArgumentTypeError(
            "a pushforward cannot be pickled or copied: it holds compiled code and residuals",
            got="pickle or copy",
            expected="the arguments of `nbad.linearize`, to make it again",
            fix=f"y, pushforward = nbad.linearize({self._program.name}, ...)",
        )

    def _read(self, call, tangents, batched):
        names = [self._program.names[k] for k in self._arguments]
        if not isinstance(tangents, tuple | list) or len(tangents) != len(names):
            got = f"{len(tangents)} tangents" if isinstance(tangents, tuple | list) else type(tangents).__name__
            raise ArgumentValueError(
                f"`{call}`: there must be one tangent per differentiated argument",
                got=got,
                expected=f"a tuple of {len(names)}: {', '.join(names)}",
                fix=f"({', '.join(f'{n}_dot' for n in names)},)",
            )
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
            raise ArgumentValueError(
                f"`{call}`: {name} has a wrong shape",
                got=f"shape {array.shape}",
                expected=f"shape {expected}",
                fix=f"np.broadcast_to(tangent, {expected})",
            )
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


def jvp(f, primals, tangents, /, out=None, **kwargs):
    """Value and directional derivative.

    Parameters
    ----------
    f : Kernel
    primals : tuple of array_like
        The kernel's arguments.
    tangents : tuple of array_like
        One per primal, in its shape; a Python scalar may stand for one. An integer or static argument takes 0 or None.
    out : pair, optional
        `(y, y_dot)`, each an array or a tuple of arrays, filled and returned.
    **kwargs
        Arguments that are passed by keyword are held fixed.

    Returns
    -------
    y, y_dot : arrays or tuples of arrays
        Both in the structure and shape of the value.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or tangents that do not fit.

    Examples
    --------
    >>> import nbad
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> nbad.jvp(cube, (2.0,), (1.0,))
    (np.float64(8.0), np.float64(12.0))
    """
    primals, tangents = _as_tuple("primals", primals), _as_tuple("tangents", tangents)
    call = analyse(f, primals, kwargs, None)
    program, operands, given = call.program, call.operands, f.parameters[: len(primals)]
    if kwargs:
        call = call.by(given)
    arrays = _tangents(call, given, tangents)
    leaves, dots = _jvp_results(call, arrays, out)
    sweeps.jvp(program, call.wrt, operands, arrays, leaves, dots)
    return out or (sweeps.structured(program, leaves), sweeps.structured(program, dots))


def _jvp_results(call, tangents, out):
    """Arrays for value and derivative: fresh ones, or those of `out=`, apart from one another and from the tangents."""
    if out is None:
        return [sweeps.new_leaves(call.program, call.operands) for _ in range(2)]
    headline = f"jvp of {call.program.call}"
    leaves, dots = (leaves_for(call, given, headline) for given in pair_of(out, headline, ("y", "y_dot")))
    for k, leaf in enumerate(leaves):
        check_overlaps(headline, leaf, f"y{k}", (*tangents, *dots))
    for k, dot in enumerate(dots):
        check_overlaps(headline, dot, f"y_dot{k}", tangents)
    return leaves, dots


def _as_tuple(name, value):
    if isinstance(value, tuple | list):
        return tuple(value)
    raise ArgumentTypeError(
        f"`nbad.jvp(f, primals, tangents)`: {name} is not a tuple",
        got=type(value).__name__,
        expected="a tuple with one entry per argument",
        fix=f"({name},)",
    )


def _tangents(call, given, tangents):
    """The tangents of the differentiated arguments as arrays, checked; `given` are the names of the primals."""
    program = call.program
    if len(tangents) != len(given):
        raise ArgumentValueError(
            f"{program.call}: there must be one tangent per argument",
            got=f"{len(tangents)} tangents",
            expected=f"{len(given)}",
            fix=f"({', '.join(f'{name}_dot' for name in given)},)",
        )
    if call.names != given:
        tangents = _by_differentiated(call, dict(zip(given, tangents, strict=True)))
    return [_tangent(call, k, tangent) for k, tangent in zip(call.arguments, tangents, strict=True)]


def _by_differentiated(call, tangents):
    """The tangents, by name, of the differentiated arguments; those of all others must be 0."""
    program = call.program
    for name, tangent in tangents.items():
        if name not in call.names and tangent is not None and np.any(tangent):
            raise ArgumentTypeError(
                f"{program.call}: {name} has no derivative, so its tangent must be 0",
                got=repr(tangent),
                expected="0 or None",
                fix=f"{name}.astype(float)" if name in program.names else "None",
            )
    return [tangents[name] for name in call.names]


def _tangent(call, k, tangent):
    program, wanted = call.program, call.operands.layout.shapes[k]
    if type(tangent) is np.ndarray and tangent.dtype is DOUBLE and tangent.shape == wanted:
        return tangent
    name = f"the tangent of {program.names[k]}"
    array = as_array(program.call, name, tangent)
    if array.shape != wanted and not (type(tangent) in WEAK or isinstance(tangent, np.generic)):
        raise ArgumentValueError(
            f"{program.call}: {name} has a wrong shape",
            got=f"shape {array.shape}",
            expected=f"shape {wanted}",
            fix=f"np.broadcast_to(tangent, {wanted})",
        )
    return array
