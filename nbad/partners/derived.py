"""Kernels that partners derive from a user's: of the arrays of a call alone, and the linear maps of a kernel as kernels.

A partner that differentiates what it was given needs derivatives of the reverse sweep, too: as a kernel of arguments and seeds
the sweep has them, to any order.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nbad.api.kernel import Kernel
from nbad.api.signatures import dressed, groups
from nbad.api.trees import flattened
from nbad.forks import IMPORTS
from nbad.graphs.failures import with_failures
from nbad.graphs.graph import Graph
from nbad.graphs.kernels import Core, Traced
from nbad.graphs.simplify import SimplifyingBuilder, simplify
from nbad.graphs.structures import in_places
from nbad.plans.linear import Ends, Entry
from nbad.tracing.arguments import Argument

Names = tuple[str, ...]


def of_arrays(f: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Kernel, list[Any]]:
    """The kernel of the numbers and arrays that a call passes, all by position, and these; all else is fixed.

    What has structure, such as a dict of arrays, is taken apart.

    Examples
    --------
    >>> import nbad
    >>> power = nbad.kernel(lambda x, n: x**n, static=("n",))
    >>> kernel, values = of_arrays(power, (3.0,), {"n": 2})
    >>> kernel(*values)
    np.float64(9.0)
    """
    flat = flattened(f, args, kwargs)
    if flat is not None:
        f, args, kwargs = flat.kernel, flat.args, flat.kwargs
    f = f.sized_for(args, kwargs)
    names, statics, values = f._parts(args, kwargs)
    if names == f.parameters and not statics and f._is_plain:
        return f, values
    return f.remember(("of arrays", f._key(names, statics)), lambda: _fixed(f, names, statics)), values


def _fixed(f: Kernel, names: Names, statics: dict[str, Any]) -> Kernel:
    def plainly(values: dict[str, Any]) -> Any:
        return f.plainly(statics, values)

    def tracer(arguments: Sequence[Argument], constants: dict[str, Any]) -> Traced:
        return f.traced(arguments, statics)

    arguments = [Argument(name, f.core(name)) for name in names]
    return _kernel(f, f.__name__, arguments, f._leaves, plainly, tracer)


def reverse_kernel(kernel: Kernel, names: Names) -> Kernel:
    """The reverse sweep as a kernel: of the arguments, and of a seed for each output, to the cotangents of some arguments.

    A cotangent is one element's: what the sums over broadcast axes are sums of.

    Examples
    --------
    >>> import nbad
    >>> reverse_kernel(nbad.kernel(lambda a, b: a * b), ("a",))(2.0, 5.0, 10.0)
    (np.float64(50.0),)
    """
    return kernel.remember(("reverse kernel", names), lambda: _linear(kernel, names, "reverse"))


def forward_kernel(kernel: Kernel, names: Names) -> Kernel:
    """The pushforward as a kernel: of the arguments, and of a tangent for each of some of them, to the outputs' tangents.

    Examples
    --------
    >>> import nbad
    >>> forward_kernel(nbad.kernel(lambda a, b: a * b), ("a",))(2.0, 5.0, 10.0)
    (np.float64(50.0),)
    """
    return kernel.remember(("forward kernel", names), lambda: _linear(kernel, names, "forward"))


class Partials(NamedTuple):
    """A kernel with the weights of its linear map as further outputs.

    Attributes
    ----------
    kernel : Kernel
        It returns the outputs, and then each weight, and condition, that is no constant.
    names : tuple of str
        Of the arguments that have tangents.
    entries : tuple of Entry
        As those of a plan: by outputs and inner vertices, and by input slots and inner vertices.
    ends : Ends
        The way from tangents to those of the outputs.
    """

    kernel: Kernel
    names: Names
    entries: tuple[Entry, ...]
    ends: Ends


def with_partials(kernel: Kernel, names: Names) -> Partials:
    """The kernel with its partials by some arguments; of wide kernels those of a map with inner vertices, which are fewer.

    Examples
    --------
    >>> import nbad
    >>> partials = with_partials(nbad.kernel(lambda a, b: a * b + 3 * a), ("a", "b"))
    >>> partials.kernel(2.0, 5.0)
    (np.float64(16.0), np.float64(8.0), np.float64(2.0))
    """
    return kernel.remember(("with partials", names), lambda: _with_partials(kernel, names))


def _with_partials(kernel: Kernel, names: Names) -> Partials:
    program = kernel.whole_program()
    traced = kernel.traced(program.arguments, {})
    wrt = program.input_slots(tuple(map(program.names.index, names)))
    joint = program.joint(wrt, "reverse", "auto")
    graph, count = simplify(joint.graph), len(joint.positions)
    found = graph.outputs[joint.n_outputs : joint.n_outputs + count + len(joint.conditions)]
    stored = [k for k in dict.fromkeys(found) if graph.nodes[k].op != "const"]
    places = {k: place for place, k in enumerate(stored)}
    conditions = {k: found[count + row] for row, k in enumerate(joint.conditions)}
    entries = []
    for number, ((m, n), k) in enumerate(zip(joint.positions, found, strict=False)):
        constant = None if k in places else graph.nodes[k].payload
        entries.append(Entry(m, n, places.get(k), constant, places.get(conditions.get(number, -1))))
    flags = with_failures(traced.graph, traced.flags) if kernel.errors == "nan" else traced.flags
    leaves = (*program.leaves, *((),) * len(stored))
    whole = Traced(replace(graph, outputs=(*graph.outputs[: joint.n_outputs], *stored)), leaves, in_places(len(leaves)), flags)

    def plainly(values: dict[str, Any]) -> Any:
        return kernel.plainly({}, values)

    made = _kernel(kernel, f"{kernel.__name__}_with_partials", program.arguments, leaves, plainly, lambda *_: whole)
    ends = Ends.forward(wrt, joint.n_outputs, len(traced.graph.inputs), joint.inner)
    return Partials(made, names, tuple(entries), ends)


def _linear(kernel: Kernel, names: Names, direction: str) -> Kernel:
    """The kernel of arguments and seeds, or tangents, to cotangents, or output tangents."""
    program = kernel.whole_program()
    given = [Argument(name, kernel.core(name)) for name in names]
    outputs = [Argument(f"y{m}", core) for m, core in enumerate(program.leaves)]
    sources, targets = (outputs, given) if direction == "reverse" else (given, outputs)
    behind = [Argument(_unused(f"{source.name}_bar", program.names), source.shape) for source in sources]

    def plainly(values: dict[str, Any]) -> Any:
        return kernel.plainly({}, {name: values[name] for name in program.names})

    def tracer(arguments: Sequence[Argument], constants: dict[str, Any]) -> Traced:
        traced, shapes = kernel.traced(program.arguments, {}), tuple(target.shape for target in targets)
        wrt = program.input_slots(tuple(map(program.names.index, names)))
        graph = _product(traced.graph, wrt, [slot for a in behind for slot in a.slots], direction)
        flags = with_failures(traced.graph, traced.flags) if kernel.errors == "nan" else traced.flags
        return Traced(graph, shapes, in_places(len(shapes)), flags)

    shapes = tuple(target.shape for target in targets)
    return _kernel(kernel, f"{kernel.__name__}_{direction}", [*program.arguments, *behind], shapes, plainly, tracer)


def _unused(name: str, known: Names) -> str:
    """The name, longer where an argument has it."""
    return _unused(f"{name}_", known) if name in known else name


def _product(graph: Graph, wrt: tuple[int, ...], sources: Sequence[str], direction: str) -> Graph:
    """The product of the Jacobian, or of its transpose, with further inputs.

    It is differentiated again, so that zeros among these hide nothing: the derivative by a seed of 0 is the partial.
    """
    with IMPORTS:
        from nbad.derivatives.differentiate import jacobian
    joint = jacobian(graph, wrt)
    builder, slots = SimplifyingBuilder(f"{graph.name}_{direction}", [*graph.inputs, *sources]), {n: k for k, n in enumerate(wrt)}
    found = builder.splice(joint.graph, range(len(graph.inputs)))[joint.n_outputs :]
    sums: dict[int, int] = {}
    for (m, n), entry in zip(joint.positions, found, strict=False):
        source, target = (m, slots[n]) if direction == "reverse" else (slots[n], m)
        term = builder.add("mul", entry, len(graph.inputs) + source)
        sums[target] = builder.add("add", sums[target], term) if target in sums else term
    zero = builder.constant(0.0)
    count = len(wrt) if direction == "reverse" else joint.n_outputs
    return builder.build([sums.get(target, zero) for target in range(count)])


def _kernel(
    base: Kernel,
    name: str,
    arguments: Sequence[Argument],
    outputs: Sequence[Core] | None,
    plainly: Callable[[dict[str, Any]], Any],
    tracer: Callable[..., Traced],
) -> Kernel:
    """A kernel of scalars and arrays by position, with the options of another one."""
    names = [argument.name for argument in arguments]

    def function(*values: Any) -> Any:
        return plainly(dict(zip(names, values, strict=True)))

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    dressed(function, name, base.__doc__, inspect.Signature(parameters))
    cores = [argument.shape for argument in arguments]
    signature = None if outputs is None or not any((*cores, *outputs)) else f"{groups(cores)}->{groups(outputs)}"
    options = base._math, base.max_operations, base.errors, base.max_passes
    return Kernel(function, signature, (), *options, tracer)
