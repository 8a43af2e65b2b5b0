"""Kernels made from kernels: `grad`, closed under itself, and what is built on it."""

import functools

from nbad.errors import ArgumentValueError, TraceError, message, user_line
from nbad.graph import Graph, GraphBuilder
from nbad.simplify import simplify
from nbad.tracer import Traced
from nbad.transforms import analyse, check_kernel, jacobian


def grad(f, argnums=0):
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
        As a kernel it may be differentiated again, and called inside other kernels.

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
    check_kernel(f)
    chosen = argnums if isinstance(argnums, tuple | list) else (argnums,)
    names = tuple(f.parameter(which) for which in chosen)
    if len(set(names)) != len(names):
        raise ArgumentValueError(message(
            f"`nbad.grad({f.__name__}, argnums={argnums!r})` names an argument twice", source=user_line(), got=repr(argnums),
            expected="each argument once", fix=f"argnums={tuple(dict.fromkeys(chosen))!r}",
        ))
    tracer = functools.partial(_trace_grad, f, names, isinstance(argnums, tuple | list))
    return f.derived(f"{f.__name__}_grad", tracer)


def _trace_grad(f, names, is_tuple, arguments, constants):
    """Trace `f`, and return its Jacobian entries in place of its output."""
    from nbad.differentiate import jacobian

    traced = f.traced(arguments, constants)
    if len(traced.graph.outputs) != 1 or traced.outputs != ((),):
        raise TraceError(message(
            f"`nbad.grad` takes kernels with one scalar output, but `{f.__name__}` returns more", source=user_line(),
            got=f"outputs of shapes {', '.join(map(str, traced.outputs))}", expected="one number",
            fix=f"nbad.jacobian({f.__name__})",
        ))
    slots = _slots(f, arguments, names)
    wrt = tuple(slot for name in names for slot in slots[name])
    joint = jacobian(traced.graph, wrt)
    found = {n: node for (_, n), node in zip(joint.positions, joint.graph.outputs[1:], strict=True)}
    graph, zero = _with_zero(joint.graph)
    outputs = tuple(found.get(slot, zero) for slot in wrt)
    graph = simplify(Graph(f"{traced.graph.name}_grad", graph.inputs, graph.nodes, outputs))
    shapes = {a.name: a.shape for a in arguments}
    return Traced(graph, tuple(shapes[name] for name in names), is_tuple)


def _slots(f, arguments, names):
    slots, start = {}, 0
    for argument in arguments:
        slots[argument.name] = range(start, start + len(argument.slots))
        start += len(argument.slots)
    for name in names:
        if name not in slots:
            raise ArgumentValueError(message(
                f"`nbad.grad({f.__name__}, {name!r})`: the call does not pass {name}, so it is a constant", source=user_line(),
                got=f"arguments {', '.join(slots)}", expected=f"{name} among them", fix=f"{name}=... in the call",
            ))
    return slots


def _with_zero(graph):
    """The graph with a node for 0."""
    builder = GraphBuilder.extending(graph)
    zero = builder.constant(0.0)
    return builder.build(graph.outputs), zero



def hessian(f, argnums=None):
    """The function that computes the per-element Hessian of a single-output kernel.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        Arguments to differentiate, in order; by default all but integer and bool arrays.

    Returns
    -------
    callable
        `hessian(f)(*xs, out=None)` of shape `(*B, N, N)`: both axes run over the chosen arguments, core values in C order.

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
    gradient = functools.cache(lambda names: grad(f, names))

    @functools.wraps(f, updated=())
    def compute(*xs, out=None, **kwargs):
        names = analyse(f, xs, kwargs, argnums).names
        return jacobian(gradient(names), argnums=names)(*xs, out=out, **kwargs)

    return compute
