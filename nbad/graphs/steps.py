"""The step of a loop, taken out of the growing graph in which one pass was traced for all passes.

What depends on no state is not for the step: it is computed before the loop, and captured. But it stays where it is used in some
arm only, for the step knows the condition of that; and where there would be more to capture than what it is made of.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from nbad.graphs.graph import Graph, GraphBuilder, Node, needed
from nbad.graphs.simplify import simplify
from nbad.operations.row import BOOL
from nbad.operations.table import row_of

EXPENSIVE = 8.0  # the cost from which on an operation is not repeated in every pass


class Step(NamedTuple):
    """The graph of a step, and the nodes outside that its inputs behind the states stand for."""

    graph: Graph
    captured: list[int]


class _Parts(NamedTuple):
    """The nodes that a step computes itself, and those that it is given, which depend on no state."""

    own: set[int]
    given: set[int]


def dependents(builder: GraphBuilder, first: int, states: Collection[int]) -> set[int]:
    """Some states and the nodes, from the number `first` on, that depend on them."""
    found = set(states)
    for k in range(first, len(builder.nodes)):
        if not found.isdisjoint(builder.nodes[k].args):
            found.add(k)
    return found


def forget(builder: GraphBuilder, wanted: Iterable[int]) -> tuple[bool, bool]:
    """Let nothing be left of what stood for states; says whether there were any, and whether wanted nodes need them."""
    states = {k for k, node in enumerate(builder.nodes) if node.op == "state"}
    is_needed = not states.isdisjoint(needed(builder, wanted))
    for k in states:
        builder.nodes[k] = Node("const", (), 0.0)
    return bool(states), is_needed


def extract(
    builder: GraphBuilder, first: int, states: Mapping[int, str], fixed: Mapping[int, int], wanted: Sequence[int]
) -> Step:
    """The step whose outputs are the nodes `wanted`.

    Parameters
    ----------
    builder : GraphBuilder
    first : int
        How many nodes there were before the pass was traced.
    states : mapping of int to str
        The nodes of the states, in order, and their names.
    fixed : mapping of int to int
        Nodes of states that never change, and what they are outside.
    wanted : sequence of int
    """
    nodes = builder.nodes
    depending = dependents(builder, first, {*states, *fixed})
    free = {k for k in _used_always(nodes, wanted) if k >= first and k not in depending and nodes[k].kind != BOOL}
    dear = {k for k in free if nodes[k].op not in ("const", "state") and row_of(nodes[k].op, nodes[k].payload).cost >= EXPENSIVE}
    own, given = min(
        (_parts(nodes, first, states, fixed, wanted, out) for out in (free, dear)), key=lambda parts: len(parts.given)
    )
    outside = {k: builder.number(fixed.get(k, k)) for k in sorted(given)}
    captured = list(dict.fromkeys(node for node in outside.values() if nodes[node].op != "const"))
    grown = GraphBuilder(builder.name, _names(builder, states.values(), captured))
    places = {k: position for position, k in enumerate(states)}
    for k, given_as in outside.items():
        is_constant = nodes[given_as].op == "const"
        place = grown.constant(nodes[given_as].payload) if is_constant else len(states) + captured.index(given_as)
        places[k] = grown.add("ne", place, grown.constant(0.0)) if nodes[k].kind == BOOL else place
    for k in sorted(own):
        node = nodes[k]
        if node.op == "const":
            places[k] = grown.constant(node.payload)
        else:
            places[k] = grown.add(node.op, *[places[a] for a in node.args], payload=node.payload, source=node.source)
    return Step(simplify(grown.build([places[k] for k in wanted])), captured)


def _parts(
    nodes: Sequence[Node],
    first: int,
    states: Collection[int],
    fixed: Collection[int],
    wanted: Iterable[int],
    out: Collection[int],
) -> _Parts:
    """What a step is made of, if the nodes `out` are computed outside."""
    own: set[int] = set()
    given: set[int] = set()
    stack = list(wanted)
    while stack:
        k = stack.pop()
        if k in own or k in given or k in states:
            continue
        if nodes[k].op == "const" or (k >= first and k not in out and k not in fixed and nodes[k].op != "state"):
            own.add(k)
            stack += nodes[k].args
        else:
            given.add(k)
    return _Parts(own, given)


def _used_always(nodes: Sequence[Node], wanted: Iterable[int]) -> set[int]:
    """The nodes that a pass uses whatever its conditions are."""
    found: set[int] = set()
    stack = list(wanted)
    while stack:
        k = stack.pop()
        if k not in found:
            found.add(k)
            # the other operands count in some arm only
            stack += nodes[k].args[:1] if nodes[k].op in ("select", "and", "or", "loop") else nodes[k].args
    return found


def _names(builder: GraphBuilder, states: Iterable[str], captured: Iterable[int]) -> Iterator[str]:
    """Names for the inputs of a step, no two the same."""
    known: set[str] = set()
    labels = (builder.inputs[builder.nodes[k].payload] if builder.nodes[k].op == "input" else f"v{k}" for k in captured)
    for name in (*states, *labels):
        while name in known:
            name += "_"
        known.add(name)
        yield name
