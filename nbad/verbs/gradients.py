"""Kernels made from kernels: `grad`, closed under itself, and `value_and_grad`, `hessian` and `hvp`, which are built on it."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nbad.api.calls import analyse, are_many, check_kernel, pair_of, says_what_is_missing, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, Array, ArrayArgument
from nbad.api.signatures import name_in_code, spelled
from nbad.api.trees import FILLED, flattened
from nbad.errors import ArgumentValueError, TraceError, cut, fitting, leaving
from nbad.forks import IMPORTS
from nbad.graphs.failures import with_failures
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.kernels import Core, Traced
from nbad.graphs.simplify import simplify
from nbad.graphs.structures import ALONE, Structure, in_places
from nbad.runtime import sweeps
from nbad.verbs.jacobians import Made, jacobian
from nbad.verbs.pushforward import as_tuples, check_count, jvp


@fitting("nbad.grad({f})({xs})")
def grad(f: Kernel, argnums: Argnums = 0) -> Kernel:
    """The kernel of the partial derivatives of a single-output kernel.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these
        The argument to differentiate by, as a position among the parameters or a name; a tuple gives a tuple of outputs.

    Returns
    -------
    Kernel
        Elementwise, with the parameters, `signature` inputs and `static` of `f`; each output has the core shape of its argument.
        As a kernel it may be differentiated again, and called inside other kernels. Integer and bool arrays it takes for
        the other arguments only.

    Raises
    ------
    ArgumentValueError
        If `argnums` does not select parameters.
    TraceError
        At the first trace, if `f` has several outputs.

    Examples
    --------
    >>> import nbad
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> slope = nbad.grad(cube)
    >>> slope(2.0), nbad.grad(slope)(2.0)
    (np.float64(12.0), np.float64(12.0))
    """
    names = _parameters(f, argnums, "grad")
    tracer = functools.partial(_trace_grad, f, names, in_places(len(names)) if are_many(argnums) else ALONE)
    return f.derived(f"{f.__name__}_grad", tracer, [f._cores[name] for name in names], names)


def _parameters(f, argnums, verb):
    """Names of the parameters that `argnums` selects."""
    check_kernel(f)
    chosen = (None,) if argnums is None else selection(argnums, f)
    names = tuple(f.parameter(which) for which in chosen)
    if len(set(names)) != len(names):
        raise ArgumentValueError(
            f"`nbad.{verb}({f.__name__}, argnums={chosen!r})` names an argument twice",
            got=repr(chosen),
            expected="each argument once",
            fix=f"argnums={tuple(dict.fromkeys(chosen))!r}",
        )
    return names


def _trace_grad(f, names, structure, arguments, constants):
    """Trace `f`, and return its Jacobian entries in place of its output."""
    return _partials(f, names, arguments, constants, structure, False)


def _trace_value_and_grad(f, names, structure, arguments, constants):
    """Trace `f`, and return its output and behind it its Jacobian entries."""
    return _partials(f, names, arguments, constants, structure, True)


def _partials(f, names, arguments, constants, structure, with_value):
    with IMPORTS:
        from nbad.derivatives.differentiate import jacobian
    traced = f.traced(arguments, constants)
    check_is_number(f, traced.structure, traced.outputs)
    slots = _slots(f, arguments, names, "value_and_grad" if with_value else "grad")
    wrt = tuple(slot for name in names for slot in slots[name])
    joint = jacobian(traced.graph, wrt)
    found = {n: node for (_, n), node in zip(joint.positions, joint.graph.outputs[1:], strict=True)}
    graph, zero = _with_zero(joint.graph)
    outputs = (*graph.outputs[:with_value], *(found.get(slot, zero) for slot in wrt))
    graph = simplify(Graph(f"{traced.graph.name}_grad", graph.inputs, graph.nodes, outputs))
    shapes = {a.name: a.shape for a in arguments}
    flags = with_failures(traced.graph, traced.flags) if f.errors == "nan" else traced.flags
    outputs = (*traced.outputs[:with_value], *(shapes[name] for name in names))
    return Traced(graph, outputs, structure, flags, () if with_value else wrt)


def check_is_number(f: Kernel, structure: Structure, outputs: tuple[Core, ...]) -> None:
    """Refuse a kernel that returns more than one number."""
    if structure.is_tuple or outputs != ((),):
        name = getattr(structure.kind, "__name__", "")
        got = f"a {name}" if name else f"an array of shape {outputs[0]}"
        raise TraceError(
            f"gradients and Hessians take kernels with one number as output, but `{f.__name__}` returns {got}",
            got=got,
            expected="one number",
            fix=spelled(f, f.parameters, "jacobian"),
        )


def _slots(f, arguments, names, verb):
    slots, start = {}, 0
    for argument in arguments:
        slots[argument.name] = range(start, start + len(argument.slots))
        start += len(argument.slots)
    for name in names:
        if name not in slots:
            raise ArgumentValueError(
                f"`nbad.{verb}({f.__name__}, {name!r})`: the call does not pass {name} as a number, so it is a constant",
                got=f"arguments {', '.join(slots)}",
                expected=f"{name} among them",
                fix=_with_number(f, name, tuple(slots), verb),
            )
    return slots


def _with_number(f, name, passed, verb):
    """A call that differentiates by what is passed as a number."""
    default = f.default(name)
    is_number = isinstance(default, int | float | np.ndarray | np.generic) and not isinstance(default, bool)
    call = f"nbad.{verb}({name_in_code(f)}, {name if is_number or not passed else passed[0]!r})"
    missing = [f"{name}={default!r}"] if is_number else [] if passed else [f"{name}=1.0"]
    return f"{call}({', '.join([*passed, *missing])})"


def _with_zero(graph):
    """The graph with a node for 0."""
    builder = GraphBuilder.extending(graph)
    zero = builder.constant(0.0)
    return builder.build(graph.outputs), zero


@fitting("nbad.hessian({f})({xs})")
def hessian(f: Kernel, argnums: Argnums = None) -> Callable[..., Array]:
    """The function that computes the per-element Hessian of a single-output kernel.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, in order; by default all but integer and bool arrays.

    Returns
    -------
    callable
        `hessian(f)(*xs, out=None)` of shape `(*B, N, N)`: both axes run over the chosen arguments, core values in C order. It is
        symmetric to the last bit: of two entries that are the same one is computed.

    Raises
    ------
    TraceError
        If `f` has several outputs.
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad
    >>> area = nbad.kernel(lambda a, b: a * b * b)
    >>> nbad.hessian(area)(2.0, 3.0)
    array([[0., 6.],
           [6., 4.]])
    """
    check_kernel(f)
    return Hessian(f, selection(argnums, f))


class Hessian(Made):
    """What `hessian` returns: a function with the kernel's name, docstring and signature."""

    gives = "H of shape (*B, N, N): N inputs by N inputs for each element"

    @leaving
    def __call__(self, /, *xs, out=None, **kwargs):
        flat = flattened(self.f, xs, kwargs, self.argnums)
        if flat is not None:
            return self._of(flat)(*flat.args, out=out, **flat.kwargs)
        return self._jacobian(xs, kwargs)(*xs, out=out, **kwargs)

    def bound(self, xs, out):
        """As of a Jacobian."""
        return self._jacobian(xs, {}).bound(xs, out)

    def _jacobian(self, xs, kwargs):
        """The Jacobian of a gradient kernel, kept as that is."""
        names = analyse(self.f, xs, kwargs, self.argnums).names
        return self.f.remember(("hessian", names), lambda: jacobian(gradient(self.f, names), argnums=names))


@fitting("nbad.value_and_grad({f})({xs})")
def value_and_grad(f: Kernel, argnums: Argnums = 0) -> Callable[..., tuple[Any, Any]]:
    """The function that computes the value and the partial derivatives of a single-output kernel in one sweep.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these
        As for `grad`.

    Returns
    -------
    callable
        `value_and_grad(f)(*xs, out=None)` returns `(y, partials)`; a tuple of partials where `argnums` is a tuple.

    Raises
    ------
    TraceError
        If `f` has several outputs.
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> nbad.value_and_grad(cube)(2.0)
    (np.float64(8.0), np.float64(12.0))
    """
    return ValueAndGrad(f, _parameters(f, argnums, "value_and_grad"), are_many(argnums))


def _both(f, names):
    """The kernel of value and partials."""
    tracer = functools.partial(_trace_value_and_grad, f, names, in_places(1 + len(names)))
    return f.derived(f"{f.__name__}_value_and_grad", tracer, [(), *(f._cores[name] for name in names)], names)


class ValueAndGrad(Made):
    """What `value_and_grad` returns: a function with the kernel's name, docstring and signature."""

    gives = "(y, partials) for each element"

    def __init__(self, f, names, is_many):
        super().__init__(f, names)
        self.both, self.is_many = f.remember(("value and gradient", names), lambda: _both(f, names)), is_many

    def __call__(self, /, *xs, out=None, **kwargs):
        try:
            into = out if out is None else self._flat(out)
            made = self.both(*xs, out=into, **kwargs) if kwargs else self.both(*xs, out=into)
            return out or (made[0], made[1:] if self.is_many else made[1])
        except Exception as error:
            cut(error)
            raise

    def bound(self, xs, out):
        """As of a Jacobian; only with arrays for results, which else come in another structure."""
        return None if out is None else self.both.bound(xs, self._flat(out))

    def _flat(self, out):
        """Arrays for results as one tuple."""
        if self.is_many and type(out) is tuple and len(out) == 2 and out[0] is not None:  # at once: it took 0.4 us of 1.4
            y, partials = out
            if type(partials) is tuple and len(partials) == len(self.argnums):
                return y, *partials
        return self._checked(out)

    def _checked(self, out):
        headline = f"value_and_grad of `{self.f.__name__}`"
        y, partials = pair_of(out, headline, ("y", "partials"))
        if not self.is_many:
            return y, partials
        if not isinstance(partials, tuple) or len(partials) != len(self.argnums):
            dots = "".join(f"d{name}, " for name in self.argnums).rstrip()
            raise ArgumentValueError(
                f"{headline}: out= does not have the structure of the result",
                got=f"partials as a tuple of {len(partials)}" if isinstance(partials, tuple) else f"a {type(partials).__name__}",
                expected=f"a pair (y, ({dots}))",
                fix="out=None  # which returns such a pair, to be filled by later calls",
            )
        return y, *partials


@fitting("nbad.hvp({f}, ({xs},), ({xs},))")
@says_what_is_missing
def hvp(
    f: Kernel, primals: Sequence[ArrayArgument], tangents: Sequence[ArrayLike], /, out: tuple[Array, ...] | None = None
) -> tuple[Any, ...]:
    """Hessian times vector for each element of a single-output kernel.

    For many directions over one forward sweep, linearize the gradient: `nbad.linearize(nbad.grad(f, argnums), *xs)`.

    Parameters
    ----------
    f : Kernel
    primals : tuple of array_like
        The kernel's arguments.
    tangents : tuple of array_like
        One per argument, in its shape; a Python scalar may stand for one. An integer argument takes 0.
    out : tuple of arrays, optional
        Filled and returned.

    Returns
    -------
    tuple of arrays
        One per differentiated argument, in the broadcast shape and that argument's core shape.

    Raises
    ------
    TraceError
        If `f` has several outputs.
    ArgumentTypeError, ArgumentValueError
        For arguments or tangents that do not fit.

    Examples
    --------
    >>> import nbad
    >>> area = nbad.kernel(lambda a, b: a * b * b)
    >>> nbad.hvp(area, (2.0, 3.0), (1.0, 0.0))
    (np.float64(0.0), np.float64(6.0))
    """
    primals, tangents = as_tuples(f, primals, tangents)
    flat = flattened(f, primals, {})
    if flat is not None:
        groups = flat.groups(f, None)
        into = None if out is None else groups.leaves("`nbad.hvp`", out, FILLED)
        made = hvp(flat.kernel, flat.args, flat.along(f, primals, tangents), out=into)
        return groups.build(made) if out is None else out
    names = analyse(f, primals, {}, None).names
    check_count(f, f.parameters[: len(primals)], tangents, names)
    slopes = gradient(f, names)
    if out is None:
        return jvp(slopes, primals, tangents)[1]
    call = analyse(slopes, primals, {}, None)
    unused = tuple(sweeps.value(call.program, call.layout).new())
    return jvp(slopes, primals, tangents, out=(unused, out))[1]


def gradient(f, names):
    """One gradient kernel per kernel and arguments, kept by the kernel, so that it is compiled once."""
    return f.remember(("gradient", names), lambda: grad(f, names))
