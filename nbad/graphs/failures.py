"""Which elements fail: those that take a path without a value, and those that use what a function of the user's raises for.

A path without a value is a flag of the element: a condition beside the outputs of a kernel, of the same inputs. Where elements
are to raise, one of the outputs passes through `alarm`, which compiled code counts; where they are to be nan, all outputs and
partials are chosen by the flags.

A function that raises leaves nan behind, in lanes that nobody uses, too: both arms of a select are computed. So which elements
fail is computed anew, from the same operations in the same order, where it is known that some element may have.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad.graphs.graph import Graph, Node
from nbad.graphs.simplify import SimplifyingBuilder, compact, simplify
from nbad.lines import Line
from nbad.operations.table import TABLE

if TYPE_CHECKING:
    from nbad.graphs.differentiate import JointGraph


class Cause(NamedTuple):
    """Why elements have no value, or what they warn of.

    Attributes
    ----------
    error : Exception
        What the trace met.
    line : Line
        The user's.
    module : str
        The name of the module that it stands in.
    raises : callable or None
        Makes the error from a text that says where that was, and the values of `states` there by their names; None where the
        plain function is run for the element, to raise what it raises. A loop that does not end must not be run.
    states : tuple of (str, value)
        What to tell of the element.
    """

    error: Exception
    line: Line
    module: str = ""
    raises: Callable[[str, Mapping[str, float]], Exception] | None = None
    states: tuple[tuple[str, Any], ...] = ()

    @property
    def is_warning(self) -> bool:
        """Whether the element has a value all the same."""
        return isinstance(self.error, Warning)


class Flags(NamedTuple):
    """The hidden flags of each element.

    Attributes
    ----------
    graph : Graph
        One condition for each cause, and behind these the values of their states in turn.
    causes : tuple of Cause
        In the order of the trace: the first whose condition holds is what happened; in `states` values are left out.
    """

    graph: Graph
    causes: tuple[Cause, ...]

    @property
    def numbers(self) -> list[int]:
        """Those of the causes that leave elements without a value."""
        return [k for k, cause in enumerate(self.causes) if not cause.is_warning]

    @property
    def warnings(self) -> list[int]:
        """Those of the others."""
        return [k for k, cause in enumerate(self.causes) if cause.is_warning]

    def states(self, number: int) -> Graph:
        """One output for each state of a cause."""
        first = len(self.causes) + sum(len(cause.states) for cause in self.causes[:number])
        outputs = self.graph.outputs[first : first + len(self.causes[number].states)]
        return compact(replace(self.graph, outputs=outputs))

    def spliced(self, values: Sequence[Any]) -> Iterator[tuple[Any, Cause]]:
        """The causes elsewhere, each with its condition, from what the outputs of the graph are there."""
        states = iter(values[len(self.causes) :])
        for condition, cause in zip(values, self.causes, strict=False):
            yield condition, cause._replace(states=tuple((name, next(states)) for name, _ in cause.states))

    def conditions(self, builder: SimplifyingBuilder) -> list[int]:
        """The conditions as nodes of a graph that begins with the same inputs."""
        return builder.splice(self.graph, range(len(self.graph.inputs)))[: len(self.causes)]

    def any(self, builder: SimplifyingBuilder, numbers: Iterable[int]) -> int:
        """Whether one of some conditions holds, as a node of such a graph."""
        conditions, found = self.conditions(builder), builder.constant(False)
        for number in numbers:
            found = builder.add("or", found, conditions[number])
        return found


def alarmed(graph: Graph, flags: Flags, numbers: Sequence[int]) -> Graph:
    """The same graph, its nodes under their numbers; that there are elements for which one of some flags holds is noticed."""
    if not numbers:
        return graph
    builder = SimplifyingBuilder.extending(graph)
    first, *others = graph.outputs
    return builder.build([builder.add("alarm", flags.any(builder, numbers), first), *others])


def silenced(graph: Graph, flags: Flags) -> Graph:
    """The same outputs, nan for all elements without a value."""
    builder = SimplifyingBuilder.extending(graph)
    dead, nan = flags.any(builder, flags.numbers), builder.constant(float("nan"))
    return builder.build([builder.add("select", dead, nan, output) for output in graph.outputs])


def silenced_joint(joint: "JointGraph", flags: Flags, wrt: Sequence[int]) -> "JointGraph":
    """The same Jacobian with all its entries, by the input slots `wrt`, which are nan for all elements without a value."""
    builder = SimplifyingBuilder.extending(joint.graph)
    found = dict(zip(joint.positions, joint.graph.outputs[joint.n_outputs :], strict=True))
    positions = tuple((m, n) for m in range(joint.n_outputs) for n in wrt)
    zero = builder.constant(0.0)
    graph = builder.build([*joint.graph.outputs[: joint.n_outputs], *(found.get(position, zero) for position in positions)])
    return replace(joint, graph=silenced(graph, flags), positions=positions)


def failure_of(op: str) -> str:
    """The operation that is 1 where a function of the user's fails, and 0 elsewhere."""
    return f"{op}.fails"


def has_alarm(graph: Graph) -> bool:
    """Whether elements without a value, or that warn, are noticed."""
    return any(node.op == "alarm" for node in graph.nodes)


def may_fail(graph: Graph) -> list[int]:
    """The nodes that call functions which may fail."""
    return [k for k, node in enumerate(graph.nodes) if node.op not in ("input", "const") and TABLE[node.op].plain]


def first_causes(graph: Graph, causes: Iterable[int], flags: Flags | None = None, numbers: Iterable[int] = ()) -> Graph:
    """The first output is 0, or the number, counted from 1, of what an element fails by; the others are 1 where one warns.

    First come the flags of the given numbers, then those of these nodes that fail where an output uses them.

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> print(first_causes(GraphBuilder("f", ["x"]).build([0]), []))
    f(x):
      return 0.0
    """
    builder = SimplifyingBuilder.extending(graph)
    zero, one = builder.constant(0.0), builder.constant(1.0)
    conditions = flags.conditions(builder) if flags else []
    fails = [*(conditions[k] for k in numbers), *_failures(builder, graph, causes)]
    code = zero
    for number, condition in reversed(list(enumerate(fails, 1))):
        code = builder.add("select", condition, builder.constant(number), code)
    warns = [builder.add("select", conditions[k], one, zero) for k in flags.warnings] if flags else []
    return simplify(builder.build([code, *warns]))


def with_failures(graph: Graph, flags: Flags | None) -> Flags | None:
    """Flags that say, too, which elements use what a function of the user's raises for."""
    nodes = may_fail(graph)
    if not nodes:
        return flags
    builder = SimplifyingBuilder.extending(graph)
    known = flags or Flags(graph, ())
    outputs = builder.splice(known.graph, range(len(graph.inputs))) if flags else []
    count = len(known.causes)
    outputs[count:count] = _failures(builder, graph, nodes)
    causes = [Cause(ArithmeticError(graph.nodes[k].op), Line("", "", 0)) for k in nodes]
    return Flags(simplify(builder.build(outputs)), (*known.causes, *causes))


def _failures(builder: SimplifyingBuilder, graph: Graph, causes: Iterable[int]) -> list[int]:
    """For each of some nodes whether it fails where an output uses it."""
    used, zero, found = uses(builder, graph), builder.constant(0.0), []
    for k in causes:
        failed = builder.add("ne", builder.add(failure_of(graph.nodes[k].op), *graph.nodes[k].args), zero)
        found.append(builder.add("and", used[k], failed) if k in used else builder.constant(False))
    return found


def plain_of(graph: Graph, k: int) -> Callable[..., Any]:
    """The function of the user's that a node calls, as plain Python."""
    plain = TABLE[graph.nodes[k].op].plain
    assert plain is not None
    return plain


def fails_at(graph: Graph, k: int, values: Sequence[Any]) -> bool:
    """Whether a node calls a function of the user's that fails for these values of all nodes, of one element."""
    node = graph.nodes[k]
    is_own = node.op not in ("input", "const") and TABLE[node.op].plain
    return bool(is_own and TABLE[failure_of(node.op)].numpy(*[values[a] for a in node.args]))


def operands_of(graph: Graph, k: int) -> Graph:
    """One output for each operand of a node."""
    return compact(Graph(graph.name, graph.inputs, graph.nodes, graph.nodes[k].args))


def uses(builder: SimplifyingBuilder, graph: Graph) -> dict[int, int]:
    """Every node that an output depends on, with the condition under which some output does."""
    always, never = builder.constant(True), builder.constant(False)
    found = dict.fromkeys(graph.outputs, always)
    for k in range(len(graph.nodes) - 1, -1, -1):
        if k in found:
            for operand, condition in _used_operands(builder, graph.nodes[k], found[k]):
                found[operand] = builder.add("or", found.get(operand, never), condition)
    return found


def _used_operands(builder: SimplifyingBuilder, node: Node, use: int) -> Iterator[tuple[int, int]]:
    """The operands of a node that is used, each with the condition under which it is used for that."""
    first, *others = node.args or (None,)
    if first is None:
        return
    yield first, use
    if node.op == "select":
        literals = [first, builder.add("not", first)]
    elif node.op in ("and", "or"):  # as Python has it: the second one decides where the first does not
        literals = [first if node.op == "and" else builder.add("not", first)]
    else:
        literals = [use] * len(others)
    for operand, literal in zip(others, literals, strict=True):
        yield operand, builder.add("and", use, literal)
