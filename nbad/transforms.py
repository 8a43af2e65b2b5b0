"""The verbs: `vjp`, `jvp`, `jacobian`, `value_and_jacobian`."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nbad import dispatch, pool
from nbad.broadcast import WEAK, Operands, as_array, read
from nbad.errors import ArgumentTypeError, ArgumentValueError, message, user_line
from nbad.outputs import check_out
from nbad.partition import POLICIES
from nbad.programs import Program
from nbad.pullback import Pullback


@dataclass(frozen=True, slots=True)
class Call:
    """A kernel's call, analysed: the specialization, the operands, and which arguments are differentiated."""

    program: Program
    operands: Operands
    arguments: tuple[int, ...]

    @property
    def wrt(self):
        """The input slots to differentiate."""
        return self.program.input_slots(self.arguments)

    @property
    def names(self):
        """The names of the differentiated arguments."""
        return tuple(self.program.names[k] for k in self.arguments)


def analyse(f, xs, kwargs, argnums):
    """Bind, read and check a call; `argnums` as the user gave them."""
    check_kernel(f)
    program, values = f.bind(xs, kwargs)
    operands = read(program.call, program.names, program.cores, values)
    return Call(program, operands, _select(program, operands, values, argnums))


def check_kernel(f):
    """Refuse what `nbad.kernel` did not make."""
    if not hasattr(f, "bind"):
        raise ArgumentTypeError(message(
            "the first argument is not a kernel", source=user_line(), got=type(f).__name__,
            expected="a function decorated with @nbad.kernel", fix="nbad.kernel(f)",
        ))


def _is_discrete(array):
    return array.dtype.kind in "iub"


def _select(program, operands, values, argnums):
    """Numbers of the differentiated arguments: all real ones, or those that `argnums` names."""
    if argnums is None:
        return tuple(k for k, a in enumerate(operands.arrays) if not _is_discrete(a))
    chosen = (argnums,) if isinstance(argnums, str) or not isinstance(argnums, Iterable) else tuple(argnums)
    numbers = tuple(_argument(program, which) for which in chosen)
    for which, k in zip(chosen, numbers, strict=True):
        if numbers.count(k) > 1:
            raise _wrong_argnums(program, argnums, f"{which!r} twice")
        if _is_discrete(operands.arrays[k]):
            raise ArgumentTypeError(message(
                f"{program.call}: argnums names {program.names[k]}, which has no derivative", source=user_line(),
                got=f"dtype {operands.arrays[k].dtype}", expected="a floating dtype",
                fix=f"{program.names[k]}.astype(float)",
            ))
    return numbers


def _argument(program, which):
    count = len(program.names)
    if isinstance(which, str) and which in program.names:
        return program.names.index(which)
    if isinstance(which, int | np.integer) and not isinstance(which, bool) and -count <= which < count:
        return int(which) % count
    raise _wrong_argnums(program, which, repr(which))


def _wrong_argnums(program, argnums, got):
    return ArgumentValueError(message(
        f"{program.call}: argnums={argnums!r} does not select arguments", source=user_line(), got=got,
        expected=f"positions 0 to {len(program.names) - 1} or names among {', '.join(program.names)}, each once",
        fix=f"argnums=({', '.join(map(repr, program.names[:2]))},)",
    ))


def _policy(program, residuals):
    if residuals == "auto" or residuals in POLICIES:
        return "partials" if residuals == "auto" else residuals
    raise ArgumentValueError(message(
        f"{program.call}: unknown residual policy", source=user_line(), got=repr(residuals),
        expected="'auto' or one of " + ", ".join(map(repr, POLICIES)), fix="residuals='auto'",
    ))


def _result(program, leaves):
    results = dispatch.scalars(leaves)
    return tuple(results) if program.is_tuple else results[0]


def vjp(f, *xs, argnums=None, residuals="auto", seeds=None, max_bytes=None, **kwargs):
    """Run the forward sweep once and return the value with its pullback.

    Parameters
    ----------
    f : Kernel
    *xs, **kwargs : array_like
        The kernel's arguments.
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, by position or name, in order; by default all but integer and bool arrays.
    residuals : str
        What to keep for the pullback: "auto" or the name of a policy.
    seeds : int, optional
        The expected number of seeds, a hint for "auto".
    max_bytes : int, optional
        Bound of the working set.

    Returns
    -------
    y : array or tuple of arrays
        The value, in the broadcast shape of the arguments.
    pullback : Pullback
        Takes seeds to cotangents, any number of times; it needs none of the arrays that were passed here.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.
    TraceError
        For a kernel that cannot be traced.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> @nbad.kernel
    ... def area(a, b):
    ...     return a * b
    >>> y, pullback = nbad.vjp(area, np.array([2.0, 3.0]), 5.0)
    >>> y
    array([10., 15.])
    >>> pullback(1.0)
    (array([5., 5.]), np.float64(5.0))
    """
    call = analyse(f, xs, kwargs, argnums)
    program, operands = call.program, call.operands
    plan = program.plan(call.wrt, _policy(program, residuals))
    leaves = dispatch.new_leaves(program, operands)
    rows = dispatch.residual_rows(len(plan.residuals), operands.shape, operands.dtype)
    dispatch.forward(program, plan, operands, leaves, rows)
    return _result(program, leaves), Pullback(program, plan, operands, call.arguments, rows)


def jvp(f, primals, tangents):
    """Value and directional derivative.

    Parameters
    ----------
    f : Kernel
    primals : tuple of array_like
        The kernel's arguments.
    tangents : tuple of array_like
        One per argument, in its shape; a Python scalar may stand for one. An integer argument takes 0.

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
    call = analyse(f, primals, {}, None)
    program, operands = call.program, call.operands
    arrays = _tangents(program, operands, call.arguments, tangents)
    leaves, dots = dispatch.new_leaves(program, operands), dispatch.new_leaves(program, operands)
    dispatch.jvp(program, call.wrt, operands, arrays, leaves, dots)
    return _result(program, leaves), _result(program, dots)


def _as_tuple(name, value):
    if isinstance(value, tuple | list):
        return tuple(value)
    raise ArgumentTypeError(message(
        f"`nbad.jvp(f, primals, tangents)`: {name} is not a tuple", source=user_line(), got=type(value).__name__,
        expected="a tuple with one entry per argument", fix=f"({name},)",
    ))


def _tangents(program, operands, arguments, tangents):
    """The tangents of the differentiated arguments as arrays, checked."""
    if len(tangents) != len(program.names):
        raise ArgumentValueError(message(
            f"{program.call}: there must be one tangent per argument", source=user_line(), got=f"{len(tangents)} tangents",
            expected=f"{len(program.names)}", fix=f"({', '.join(f'{name}_dot' for name in program.names)},)",
        ))
    for k, tangent in enumerate(tangents):
        if k not in arguments and tangent is not None and np.any(tangent):
            raise ArgumentTypeError(message(
                f"{program.call}: {program.names[k]} has no derivative, so its tangent must be 0", source=user_line(),
                got=repr(tangent), expected="0 or None", fix=f"{program.names[k]}.astype(float)",
            ))
    return [_tangent(program, operands, k, tangents[k]) for k in arguments]


def _tangent(program, operands, k, tangent):
    name = f"the tangent of {program.names[k]}"
    array, wanted = as_array(program.call, name, tangent), operands.arrays[k].shape
    if array.shape != wanted and not (type(tangent) in WEAK or isinstance(tangent, np.generic)):
        raise ArgumentValueError(message(
            f"{program.call}: {name} has a wrong shape", source=user_line(), got=f"shape {array.shape}",
            expected=f"shape {wanted}", fix=f"np.broadcast_to(tangent, {wanted})",
        ))
    return array


def jacobian(f, argnums=None, mode="auto"):
    """The function that computes the per-element Jacobian.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        Arguments to differentiate; by default all but integer and bool arrays.
    mode : {"auto"}
        How the entries are accumulated.

    Returns
    -------
    callable
        `jacobian(f)(*xs, out=None)` of shape `(*B, M, N)`: M runs over the outputs, N over the chosen arguments, in order, core values
        in C order. Both axes are always there.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> nbad.jacobian(area)(np.array([2.0, 3.0]), 5.0)
    array([[[5., 2.]],
           [[5., 3.]]])
    """
    check_kernel(f)
    _check_mode(mode)

    @functools.wraps(f, updated=())
    def compute(*xs, out=None, **kwargs):
        call = analyse(f, xs, kwargs, argnums)
        blocks = _blocks(call, out)
        dispatch.jacobian(call.program, call.program.plan(call.wrt, "partials"), call.operands, [], blocks)
        return blocks

    return compute


def _check_mode(mode):
    if mode != "auto":
        raise ArgumentValueError(message(
            f"`nbad.jacobian(f, mode={mode!r})`: unknown mode", source=user_line(), got=repr(mode),
            expected="'auto'", fix="nbad.jacobian(f)",
        ))


def _blocks(call, out):
    """The array that receives the Jacobian."""
    outputs = sum(len(slots) for slots in call.program.leaf_slots)
    shape = (*call.operands.shape, outputs, len(call.wrt))
    if out is None:
        return pool.empty(shape, call.operands.dtype)
    headline = f"jacobian of {call.program.call}"
    return check_out(headline, out, ["out"], [shape], call.operands.dtype, call.operands.arrays, False)[0]


def value_and_jacobian(f, argnums=None):
    """The function that computes value and per-element Jacobian in one sweep.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        As for `jacobian`.

    Returns
    -------
    callable
        `value_and_jacobian(f)(*xs)` returns `(y, J)`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> y, J = nbad.value_and_jacobian(area)(2.0, 5.0)
    >>> y, J
    (np.float64(10.0), array([[5., 2.]]))
    """
    check_kernel(f)

    @functools.wraps(f, updated=())
    def compute(*xs, **kwargs):
        call = analyse(f, xs, kwargs, argnums)
        leaves, blocks = dispatch.new_leaves(call.program, call.operands), _blocks(call, None)
        dispatch.jacobian(call.program, call.program.plan(call.wrt, "partials"), call.operands, leaves, blocks)
        return _result(call.program, leaves), blocks

    return compute


