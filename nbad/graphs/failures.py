"""Which elements fail: the graph that tells for each one which function of the user's failed first, if it uses that.

A function that raises leaves nan behind, in lanes that nobody uses, too: both arms of a select are computed. So which elements
fail is computed anew, from the same operations in the same order, where it is known that some call failed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from nbad.graphs.graph import Graph, Node
from nbad.graphs.simplify import SimplifyingBuilder, compact, simplify
from nbad.operations.table import TABLE, row_of


def failure_of(op: str) -> str:
    """The operation that is 1 where a function of the user's fails, and 0 elsewhere."""
    return f"{op}.fails"


def may_fail(graph: Graph) -> list[int]:
    """The nodes that call functions which may fail."""
    return [k for k, node in enumerate(graph.nodes) if node.op not in ("input", "const") and row_of(node.op, node.payload).plain]


def first_causes(graph: Graph, causes: Iterable[int]) -> Graph:
    """One output: 0, or the number of the first of these nodes that fails where an output uses it, counted from 1.

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> print(first_causes(GraphBuilder("f", ["x"]).build([0]), []))
    f(x):
      return 0.0
    """
    builder = SimplifyingBuilder.extending(graph)
    uses, zero = _uses(builder, graph), builder.constant(0.0)
    code = zero
    for number, k in reversed(list(enumerate(causes, 1))):
        if k in uses:
            fails = builder.add("ne", builder.add(failure_of(graph.nodes[k].op), *graph.nodes[k].args), zero)
            code = builder.add("select", builder.add("and", uses[k], fails), builder.constant(number), code)
    return simplify(builder.build([code]))


def plain_of(graph: Graph, k: int) -> Callable[..., Any]:
    """The function of the user's that a node calls, as plain Python."""
    plain = TABLE[graph.nodes[k].op].plain
    assert plain is not None
    return plain


def fails_at(graph: Graph, k: int, values: Sequence[Any]) -> bool:
    """Whether a node calls a function of the user's that fails for these values of all nodes, of one element."""
    node = graph.nodes[k]
    is_own = node.op not in ("input", "const") and row_of(node.op, node.payload).plain
    return bool(is_own and TABLE[failure_of(node.op)].numpy(*[values[a] for a in node.args]))


def operands_of(graph: Graph, k: int) -> Graph:
    """One output for each operand of a node."""
    return compact(Graph(graph.name, graph.inputs, graph.nodes, graph.nodes[k].args))


def _uses(builder: SimplifyingBuilder, graph: Graph) -> dict[int, int]:
    """Every node that an output depends on, with the condition under which some output does."""
    always, never = builder.constant(True), builder.constant(False)
    uses = dict.fromkeys(graph.outputs, always)
    for k in range(len(graph.nodes) - 1, -1, -1):
        if k in uses:
            for operand, condition in _used_operands(builder, graph.nodes[k], uses[k]):
                uses[operand] = builder.add("or", uses.get(operand, never), condition)
    return uses


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
