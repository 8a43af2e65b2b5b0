"""Which elements fail, as a graph: by a flag, or by the first call of a user's function that raises; when a node is used at all.

A function that raises leaves nan behind, in lanes that nobody uses, too: both arms of a select are computed. So which elements
fail is computed anew, from the same operations in the same order, where it is known that some element may have.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nbad.graphs.flags import Cause, Flags
from nbad.graphs.graph import Graph, GraphBuilder, Key, Node
from nbad.graphs.interpreter import evaluate
from nbad.graphs.loops import Loop, read_inputs
from nbad.graphs.simplify import SimplifyingBuilder, simplify
from nbad.lines import Line
from nbad.operations.row import REAL
from nbad.operations.table import TABLE, row_of


def failure_of(op: str) -> str:
    """The operation that is 1 where a function of the user's fails, and 0 elsewhere."""
    return f"{op}.fails"


def may_fail(graph: Graph) -> list[int]:
    """The nodes that call functions which may fail, and one node for each loop that does so."""
    found = {_place(node): k for k, node in reversed(list(enumerate(graph.nodes))) if _may_fail(node)}
    return sorted(found.values())


def _may_fail(node: Node) -> bool:
    if node.op == "loop":
        return _step_may_fail(node.payload.loop)
    return node.op not in ("input", "const") and bool(row_of(node.op, node.payload).plain)


@functools.lru_cache(256)  # loops have as many nodes as states, and steps with loops in them
def _step_may_fail(loop: Loop) -> bool:
    return bool(may_fail(loop.step))


def _place(node: Node) -> Key:
    """What is the same for all nodes of a loop, and for no others."""
    return node.op, node.args, node.payload.loop if node.op == "loop" else node.payload


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
    used, zero, found = uses_of(builder, graph), builder.constant(0.0), []
    for k in causes:
        failed = builder.add("ne", _first_call(builder, graph.nodes[k])[0], zero) if k in used else builder.constant(False)
        found.append(builder.add("and", used[k], failed) if k in used else failed)
    return found


class Call(NamedTuple):
    """A call of a function of the user's: the node of some step or graph, and the operands."""

    node: Node
    operands: list[float]

    def __str__(self) -> str:
        called = f"`{self.node.op.partition('.')[0]}({', '.join(map(str, self.operands))})`"
        return called + (f" of {self.node.source}" if self.node.source else "")

    @property
    def plain(self) -> Callable[..., Any]:
        """The function as plain Python."""
        plain = TABLE[self.node.op].plain
        assert plain is not None
        return plain


def first_call(graph: Graph, k: int) -> Graph:
    """The call that fails first at a node, as numbers which `call_of` reads."""
    builder = SimplifyingBuilder.extending(graph)
    return simplify(builder.build(_first_call(builder, graph.nodes[k])))


def call_of(graph: Graph, k: int, numbers: Sequence[float]) -> Call:
    """The call that these numbers tell of."""
    node, (number, *operands) = graph.nodes[k], numbers
    if node.op == "loop":
        node = _calls(node.payload.loop.step)[int(number) - 1]
    return Call(node, operands[: len(node.args)])


def fails_at(graph: Graph, k: int, values: Sequence[Any]) -> bool:
    """Whether a node calls a function of the user's that fails for these values of all nodes, of one element."""
    node = graph.nodes[k]
    if not _may_fail(node):
        return False
    names = [f"x{k}" for k, a in enumerate(node.args) if graph.nodes[a].kind == REAL]
    builder, given = GraphBuilder("failing", names), iter(range(len(names)))
    args = [next(given) if graph.nodes[a].kind == REAL else builder.constant(bool(values[a])) for a in node.args]
    call = builder.build([builder.add(node.op, *args, payload=node.payload)])
    operands = [values[a] for a in node.args if graph.nodes[a].kind == REAL]
    return bool(evaluate(first_call(call, call.outputs[0]), *operands)[0])


def _calls(step: Graph) -> list[Node]:
    """The nodes that may fail in a step and in the loops of it, in order."""
    nodes = [step.nodes[k] for k in may_fail(step)]
    return [call for node in nodes for call in (_calls(node.payload.loop.step) if node.op == "loop" else [node])]


def _first_call(builder: SimplifyingBuilder, node: Node) -> list[int]:
    """0 or the number of the call that fails first at a node, 1 where it is one, and the operands of that."""
    if node.op != "loop":
        return [builder.add(failure_of(node.op), *node.args), *node.args]
    (loop, _), zero = node.payload, builder.constant(0.0)
    active, initial, captured = node.args[0], node.args[1 : loop.states + 1], node.args[loop.states + 1 :]
    width = 1 + max(len(call.args) for call in _calls(loop.step))
    found = builder.loop(active, [*initial, *[zero] * width], captured, _noting(loop, width))
    # the test is run once more than the rest
    last = builder.splice(_first_of(loop.step, loop.step.outputs[:1], width), [*found[: loop.states], *captured])
    happened = builder.add("ne", found[loop.states], zero)
    number, *operands = _chosen(builder, happened, found[loop.states : loop.states + width], last)
    return [builder.add("select", active, number, zero), *operands]


def _noting(loop: Loop, width: int) -> Loop:
    """The same loop with further states: the number of the call that failed first, or 0, and its operands."""
    step, states = loop.step, loop.states
    names = [*step.inputs[:states], "failed", *(f"operand{k}" for k in range(1, width)), *step.inputs[states:]]
    builder = SimplifyingBuilder(step.name, names)
    inputs = [*range(states), *range(states + width, len(names))]
    known, fresh = list(range(states, states + width)), builder.splice(_first_of(step, step.outputs, width), inputs)
    happened = builder.add("ne", states, builder.constant(0.0))
    outputs = [*builder.splice(step, inputs), *_chosen(builder, happened, known, fresh)]
    return replace(loop, step=builder.build(outputs), states=states + width)


def _first_of(step: Graph, outputs: Sequence[int], width: int) -> Graph:
    """The call that fails first where some outputs of a step use it: its number, or 0, and its operands."""
    builder = SimplifyingBuilder.extending(step)
    uses, zero = uses_of(builder, replace(step, outputs=tuple(outputs))), builder.constant(0.0)
    found, number = [zero] * width, 1 + len(_calls(step))
    for k in reversed(may_fail(step)):
        node = step.nodes[k]
        inside = len(_calls(node.payload.loop.step)) if node.op == "loop" else 1
        number -= inside
        if k in uses:
            code, *operands = _first_call(builder, node)
            fails = builder.add("and", uses[k], builder.add("ne", code, zero))
            code = (
                builder.add("add", code, builder.constant(number - 1.0)) if node.op == "loop" else builder.constant(float(number))
            )
            found = _chosen(builder, fails, [code, *operands, *[zero] * (width - 1 - len(operands))], found)
    return simplify(builder.build(found))


def _chosen(builder: SimplifyingBuilder, condition: int, first: Sequence[int], second: Sequence[int]) -> list[int]:
    return [builder.add("select", condition, x, y) for x, y in zip(first, second, strict=True)]


def uses_of(builder: SimplifyingBuilder, graph: Graph) -> dict[int, int]:
    """Every node that an output depends on, with the condition under which some output does."""
    always, never = builder.constant(True), builder.constant(False)
    uses, named = dict.fromkeys(graph.outputs, always), set(graph.outputs)
    places = dict[int, frozenset[int]]()  # of each loop the states that are asked for by name
    first = {_place(node): k for k, node in reversed(list(enumerate(graph.nodes))) if node.op == "loop"}
    for k in range(len(graph.nodes) - 1, -1, -1):
        if k in uses:
            if (node := graph.nodes[k]).op == "loop":  # its nodes are used together
                one = first[_place(node)]
                if k in named:
                    places[one] = places.get(one, frozenset()) | {node.payload.place}
                if one != k:
                    uses[one] = builder.add("or", uses.get(one, never), uses[k])
                    continue
            for operand, condition in _used_operands(builder, node, uses[k], places.get(k)):
                uses[operand] = builder.add("or", uses.get(operand, never), condition)
                named.add(operand)
    return uses


def _used_operands(builder: SimplifyingBuilder, node: Node, use: int, places: frozenset[int] | None) -> Iterator[tuple[int, int]]:
    """The operands of a node that is used, each with the condition under which it is; of a loop, those that some states need."""
    first, *others = node.args or (None,)
    if first is None:
        return
    yield first, use
    if places is not None:
        others = [others[k] for k in sorted(read_inputs(node.payload.loop, places))]
    if node.op == "select":
        literals = [first, builder.add("not", first)]
    elif node.op in ("and", "or"):  # as Python has it: the second one decides where the first does not
        literals = [first if node.op == "and" else builder.add("not", first)]
    else:
        literals = [first if node.op == "loop" else use] * len(others)
    for operand, literal in zip(others, literals, strict=True):
        yield operand, builder.add("and", use, literal)
