"""Work that depends on broadcast scalars alone, taken out of a graph: it is done once, not for each element."""

from functools import reduce
from operator import or_

from nbad.graphs.graph import Graph, GraphBuilder, Node, needed
from nbad.graphs.simplify import simplify
from nbad.operations.row import REAL
from nbad.operations.table import row_of

WORTHWHILE = 3.0  # cost of what one more input row must save
# of all cost, what must be saved: the volume of seawater, whose temperature and pressure decide a hundredth of it, took up to 1.5
# times as long with that taken out
SHARE = 1 / 16


def split(graph: Graph, uniform: frozenset[int]) -> tuple[Graph, Graph] | None:
    """Split a graph into what is uniform and the rest.

    Parameters
    ----------
    graph : Graph
    uniform : frozenset of int
        Input slots that have one value for all elements.

    Returns
    -------
    head, body : Graph, or None where there is nothing worth taking out
        Both take all inputs of `graph`; `body` takes the outputs of `head` behind them.

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> b = GraphBuilder("f", ["x", "a"])
    >>> head, body = split(b.build([b.add("mul", 0, b.add("exp", 1))]), frozenset({1}))
    >>> print(body)
    f(x, a, u0):
      %3 = mul(x, u0)
      return %3
    """
    taken = _frontier(graph, uniform)
    if not taken:
        return None
    head = simplify(Graph(f"{graph.name}_uniform", graph.inputs, graph.nodes, tuple(taken)))
    return head, _body(graph, taken)


def deciding(graph: Graph, bits: dict[int, int]) -> list[int]:
    """The least sets of input slots that have something worth taking out where they are uniform; all of them, if none alone has.

    Parameters
    ----------
    graph : Graph
    bits : dict of int
        A bit for each slot that may be uniform.

    Returns
    -------
    list of int
        The bits of each set.

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> b = GraphBuilder("f", ["x", "a"])
    >>> deciding(b.build([b.add("mul", b.add("mul", 0, 0), b.add("exp", 1))]), {0: 1, 1: 2})
    [2]
    """
    costs = _costs(graph, frozenset(bits))
    sets: dict[int, int] = {}
    found: list[int] = []
    for k in costs:
        own = sets[k] = reduce(or_, [sets[a] for a in graph.nodes[k].args], bits.get(k, 0))
        if own and _is_worthwhile(graph, costs, k) and not any(less & own == less for less in found):
            found = [*(more for more in found if more & own != own), own]

    def is_enough(own: int) -> bool:
        return bool(_frontier(graph, frozenset(slot for slot, bit in bits.items() if bit & own)))

    return list(filter(is_enough, found)) or list(filter(is_enough, [reduce(or_, found, 0)]))


def _costs(graph: Graph, uniform: frozenset[int]) -> dict[int, float]:
    """The uniform nodes, and what each costs with all below it."""
    costs: dict[int, float] = {}
    for k, node in enumerate(graph.nodes):
        if node.op == "const" or (node.op == "input" and node.payload in uniform):
            costs[k] = 0.0
        elif node.op != "input" and all(a in costs for a in node.args):
            # what is used twice counts twice: the sum is only held against a threshold
            costs[k] = _cost(node) + sum(costs[a] for a in node.args)
    return costs


def _frontier(graph: Graph, uniform: frozenset[int]) -> list[int]:
    """Uniform numbers worth an input row that something else, or an output, uses; none where all of them save too little."""
    costs, whole = _costs(graph, uniform), sum(map(_cost, graph.nodes))
    users = [a for k, node in enumerate(graph.nodes) if not _is_worthwhile(graph, costs, k) for a in node.args]
    found = sorted({k for k in (*users, *graph.outputs) if _is_worthwhile(graph, costs, k)})
    return found if sum(_cost(graph.nodes[k]) for k in needed(graph, found)) > SHARE * whole else []


def _cost(node: Node) -> float:
    return 0.0 if node.op in ("input", "const") else row_of(node.op, node.payload).cost


def _is_worthwhile(graph: Graph, costs: dict[int, float], k: int) -> bool:
    return graph.nodes[k].kind == REAL and costs.get(k, 0.0) >= WORTHWHILE


def _body(graph: Graph, taken: list[int]) -> Graph:
    inputs = range(len(graph.inputs))
    builder = GraphBuilder(graph.name, [*graph.inputs, *(f"u{row}" for row in range(len(taken)))])
    places = dict(zip(inputs, inputs, strict=True)) | {k: len(inputs) + row for row, k in enumerate(taken)}
    return simplify(builder.build(builder.rebuild(graph, places, graph.outputs)))
