"""What compiled code computes for one element: a flat graph of numbers, and how its outputs are put together."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nbad.api.inspected import without_derivatives
from nbad.api.signatures import name_in_code
from nbad.api.statics import identity
from nbad.codegen.host import host
from nbad.codegen.lower import lower
from nbad.errors import ArgumentTypeError
from nbad.graphs.failures import first_causes, may_fail
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.structures import Structure
from nbad.njit.callees import JVP, TANGENT, Callee
from nbad.njit.scalar_ir import ScalarCode, print_scalar
from nbad.pipeline import Program
from nbad.verbs.gradients import grad


class Leaf(NamedTuple):
    """An output: its core shape, and the number of its first value among those of the graph.

    Of a Jacobian the values come as rows, in tuples, so that they stay in registers; other vectors as arrays.
    """

    core: tuple[int, ...]
    first: int
    is_rows: bool = False


class Group(NamedTuple):
    """Outputs in a tuple, or in a namedtuple of this kind."""

    kind: Any
    members: "tuple[Leaf | Group, ...]"


Result = Leaf | Group


class Asked(NamedTuple):
    """What a call asks for.

    Attributes
    ----------
    names : tuple of str
        The numbers that it passes, in the order of the parameters.
    statics : tuple of (str, value)
    dtype : str
    discrete : tuple of str
        Those of the numbers that have no derivative, elements of arrays of integers.
    """

    names: tuple[str, ...]
    statics: tuple[tuple[str, Any], ...]
    dtype: str
    discrete: tuple[str, ...] = ()

    @property
    def key(self) -> Any:
        """What tells it from others: among statics 2 from 2.0 and True, and one function from another."""
        statics = [(name, identity("kernel", name, value)) for name, value in self.statics]
        return self.names, tuple(statics), self.dtype, self.discrete


class Element:
    """The code of one element, and what a call must know of it.

    Attributes
    ----------
    names : tuple of str
        The arguments, whose values are the inputs of the code in turn.
    dtype : str
    code : ScalarCode
    outputs : int
        Their number; behind them is the number of what went wrong, or 0, where something can.
    result : Leaf or Group
    faults : tuple of (type, tuple)
        What is raised for that number, counted from 1.
    digest : str
        What tells it from what another version of the kernel, or of nbad, makes of the same call.
    """

    def __init__(self, callee: Callee, asked: Asked):
        made = _MADE[callee.form.verb](callee, asked)
        program, graph, self.result = made
        self.names, self.dtype, self.outputs = asked.names, asked.dtype, len(graph.outputs)
        code, self.faults = _with_faults(program, graph)
        self.oplist = lower(code, asked.dtype, program.math)
        self.code: ScalarCode = print_scalar(self.oplist, host())
        # a call passes arguments by name, too, and in these shapes
        self.digest = self._digest(callee.parameters, [callee.core(name) for name in asked.names])

    def _digest(self, *call: Any) -> str:
        modules = [text for texts in self.code.modules.values() for text in texts]
        parts = self.code.text, modules, self.names, self.dtype, self.result, self.faults, *call
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def element(callee: Callee, asked: Asked) -> Element:
    """The element of a call, which the callee keeps."""
    return callee.remember(("element", asked.key), lambda: Element(callee, asked))


def leaves(result: Result) -> Iterator[Leaf]:
    """The outputs in turn."""
    if isinstance(result, Leaf):
        yield result
    else:
        for member in result.members:
            yield from leaves(member)


def _program(callee: Callee, asked: Asked) -> Program:
    """The specialization of a call."""
    tangents = {TANGENT.format(name) for name in callee.kernel.parameters} if callee.form.verb == JVP else ()
    numbers = {name: 0.0 for name in asked.names if name not in tangents}
    program = callee.kernel.bind_names(numbers | dict(asked.statics))[0].apart()
    for name in (*program.by, *(program.names if tangents else ())):
        if name in asked.discrete:
            raise ArgumentTypeError(
                f"{callee.call} differentiates by {name}, which has no derivative",
                got="an array of integers or bools",
                expected="a floating dtype",
                fix=f"{name}.astype(np.float64)",
            )
    return program


class _Made(NamedTuple):
    program: Program
    graph: Graph
    result: Result


def _value(callee: Callee, asked: Asked) -> _Made:
    program = _program(callee, asked)
    return _Made(program, program.simple, _outputs(callee, program))


def _value_and_grad(callee: Callee, asked: Asked) -> _Made:
    program, graph, result = _value(callee, asked)
    assert isinstance(result, Group)
    y, *partials = result.members
    return _Made(program, graph, Group(tuple, (y, Group(tuple, tuple(partials)) if callee.form.option else partials[0])))


def _jacobian(callee: Callee, asked: Asked) -> _Made:
    program, graph, result = _value_and_jacobian(callee, asked)
    assert isinstance(result, Group)
    rows = result.members[1]
    assert isinstance(rows, Leaf)
    graph = Graph(graph.name, graph.inputs, graph.nodes, graph.outputs[rows.first :])
    return _Made(program, graph, rows._replace(first=0))


def _value_and_jacobian(callee: Callee, asked: Asked) -> _Made:
    program = _program(callee, asked)
    wrt = program.input_slots(_chosen(callee, program, asked))
    plan = program.jacobian_plan(wrt, callee.form.option or "auto")
    graph = program.jacobian_graph(plan, with_value=True)
    rows = Leaf((plan.outputs, len(wrt)), plan.outputs, is_rows=True)
    return _Made(program, graph, Group(tuple, (_outputs(callee, program), rows)))


def _hessian(callee: Callee, asked: Asked) -> _Made:
    program = _program(callee, asked)
    names = tuple(program.names[k] for k in _chosen(callee, program, asked))
    kernel = callee.kernel
    gradient = kernel.remember(("gradient", names), lambda: grad(kernel, names))
    return _jacobian(Callee(gradient, callee.form._replace(argnums=names)), asked)


def _jvp(callee: Callee, asked: Asked) -> _Made:
    program = _program(callee, asked)
    graph = program.jvp_graph(program.input_slots(tuple(range(len(program.names)))))
    y = _outputs(callee, program)
    return _Made(program, graph, Group(tuple, (y, _moved(y, len(graph.outputs) // 2))))


_MADE: dict[str, Callable[[Callee, Asked], _Made]] = {
    "value": _value,
    "jacobian": _jacobian,
    "value_and_jacobian": _value_and_jacobian,
    "value_and_grad": _value_and_grad,
    "hessian": _hessian,
    "jvp": _jvp,
}


def _outputs(callee: Callee, program: Program) -> Result:
    """The kernel's own outputs."""
    members = tuple(Leaf(core, slots.start) for core, slots in zip(program.leaves, program.leaf_slots, strict=True))
    structure: Structure = program.structure
    if structure.is_dict:
        raise ArgumentTypeError(
            f"{callee.call} returns a dict, which compiled code does not have",
            got=f"keys {', '.join(map(str, structure.keys))}",
            expected="a tuple or a namedtuple",
            fix=f"return {', '.join(map(str, structure.keys))}",
        )
    return Group(structure.kind, members) if structure.is_tuple else members[0]


def _moved(result: Result, by: int) -> Result:
    """The same outputs further behind."""
    if isinstance(result, Leaf):
        return result._replace(first=result.first + by)
    return result._replace(members=tuple(_moved(member, by) for member in result.members))


def _chosen(callee: Callee, program: Program, asked: Asked) -> tuple[int, ...]:
    """Numbers of the arguments by which to differentiate: the chosen ones, or all that have a derivative."""
    argnums = callee.form.argnums
    if argnums is None:
        real = tuple(k for k, name in enumerate(program.names) if name not in asked.discrete)
        if not real:
            got = "arrays of integers or bools" if program.names else "no number"
            fix = f"{program.names[0]}.astype(np.float64)" if program.names else f"{name_in_code(callee.kernel)}()  # its value"
            raise without_derivatives(callee.call, got, fix)
        return real
    names = [callee.kernel.parameter(which) for which in argnums]
    for name in names:
        if name not in program.names or name in asked.discrete or names.count(name) > 1:
            wrong = "has no derivative, it is an integer" if name in asked.discrete else "is named twice, or not passed"
            raise ArgumentTypeError(
                f"{callee.call}: argnums={argnums!r}: {name} {wrong}",
                got=name,
                expected=f"some of {', '.join(n for n in program.names if n not in asked.discrete)}, each once",
                fix=f"argnums={program.names[:1]!r}",
            )
    return tuple(map(program.names.index, names))


def _with_faults(program: Program, graph: Graph) -> tuple[Graph, tuple[tuple[type, tuple], ...]]:
    """The graph, with the number of what goes wrong for the element as last output, if anything can; and what is raised then."""
    if program.errors == "nan":
        return graph, ()
    nodes, flags = may_fail(graph), program.flags
    numbers = flags.numbers if flags is not None else []
    if not nodes and not numbers:
        return graph, ()
    codes = first_causes(graph, nodes, flags, numbers)
    builder = GraphBuilder.extending(graph)
    code = builder.splice(codes, range(len(graph.inputs)))[0]
    faults = [_fault(program, flags.causes[number]) for number in numbers] if flags is not None else []
    faults += [_failed(program, graph.nodes[k]) for k in nodes]
    return builder.build([*graph.outputs, code]), tuple(faults)


def _fault(program: Program, cause: Any) -> tuple[type, tuple]:
    """The class of the user's exception, and what it is made of: plain values as they are, else text that tells the line."""
    error = cause.error
    is_plain = cause.raises is None and all(type(value) in (str, int, float, bool) for value in error.args)
    return type(error), error.args if is_plain else (f"{program.call}: raised by {cause.line}",)


def _failed(program: Program, node: Any) -> tuple[type, tuple]:
    """What stands for an exception of a function of the user's, which its own compiled code does not tell."""
    called = "a function in a loop" if node.op == "loop" else f"`{node.op.partition('.')[0]}`"
    place = f" of {node.source}" if node.source else ""
    return ArithmeticError, (f"{program.call}: {called}{place} raised; called from Python the kernel says what",)
