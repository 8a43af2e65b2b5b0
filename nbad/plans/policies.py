"""Residual policies: which values of a joint graph the forward kernel stores.

A policy names values to keep; what is stored are those of them that the partials need, and the inputs that the rest needs. So the
partials always follow from what is stored. A condition is stored as 1 or 0, and counts like any other value.
"""

from collections.abc import Callable, Iterable

from nbad.errors import ArgumentValueError, closest
from nbad.graphs.graph import Graph, Node
from nbad.plans import work
from nbad.plans.mincut import INFINITE, Network
from nbad.plans.plan import Policy

POLICIES = ("partials", "mincut", "recompute")


class Targets:
    """A joint graph seen from the nonconstant entries of its Jacobian.

    Attributes
    ----------
    graph : Graph
        Simplified; numbers of nodes are those that `nbad.show(f, "plan")` prints.
    entries : dict
        Each entry's node, with the entries that it is: `∂y0/∂x`.
    is_wide : bool
        Whether the entries are those of a map that keeps inner vertices.
    """

    def __init__(self, graph: Graph, entries: dict[int, list[str]], is_wide: bool = False):
        self.graph, self.entries, self.is_wide = graph, entries, is_wide

    def name(self, k: int) -> str:
        """What a node is called: an input by its name, an entry by what it is, any other by a variable's name or its number."""
        return self.graph.label(k) if k not in self.entries or self.graph.nodes[k].op == "input" else ", ".join(self.entries[k])

    def numbers(self) -> dict[str, int]:
        """The node of every name that a value goes by."""
        named = {role: k for k, roles in self.entries.items() for role in (*roles, ", ".join(roles))}
        for k, node in enumerate(self.graph.nodes):
            if node.op != "const":
                named |= dict.fromkeys((*node.names, f"%{k}", self.graph.label(k)), k)
        return named

    def below(self, kept: Iterable[int] = ()) -> list[int]:
        """The nodes that the entries are computed from, in order, down to inputs and kept nodes; no constants."""
        nodes, kept, waiting = self.graph.nodes, set(kept), list(self.entries)
        found = set(waiting)
        while waiting:
            k = waiting.pop()
            fresh = [] if k in kept else [a for a in nodes[k].args if a not in found and nodes[a].op != "const"]
            found.update(fresh)
            waiting += fresh
        return sorted(found)


def stored_values(targets: Targets, policy: Policy) -> list[int]:
    """The nodes that a policy stores, in order; those of `"partials"` in the order of the entries.

    Parameters
    ----------
    targets : Targets
    policy : str or tuple of str
        One of `POLICIES`, or the names of values to keep.

    Returns
    -------
    list of int
    """
    kept = CHOICES[policy](targets) if isinstance(policy, str) else _named(targets, policy)
    kept |= {k for k in targets.below(kept) if targets.graph.nodes[k].op == "loop"}  # no policy repeats one
    stored = [k for k in targets.below(kept) if k in kept or targets.graph.nodes[k].op == "input"]
    return list(targets.entries) if set(stored) == set(targets.entries) else stored


def _cut(targets: Targets) -> set[int]:
    """The values to keep so that bytes and repeated operations together cost least, and nothing expensive is repeated.

    Each node is two vertices with an edge between them, which is cut where its value is kept; the sink's side is what the reverse
    sweep computes. A node whose operands lie there is repeated: an edge from the source charges for it.
    """
    nodes = targets.graph.nodes
    source, sink = 2 * len(nodes), 2 * len(nodes) + 1
    network = Network(2 * len(nodes) + 2)
    for k in targets.below():
        network.connect(2 * k, 2 * k + 1, work.of_keeping(nodes[k]))
        network.connect(source, 2 * k, INFINITE if _is_fixed(nodes[k], targets.is_wide) else work.of_repeating(nodes[k]))
        for a in set(nodes[k].args):
            if nodes[a].op != "const":
                network.connect(2 * a + 1, 2 * k, INFINITE)
    for k in targets.entries:
        network.connect(2 * k + 1, sink, INFINITE)
    network.flow(source, sink)
    repeated = network.sink_side(sink)
    return {k for k in range(len(nodes)) if 2 * k + 1 in repeated and 2 * k not in repeated}


def _is_fixed(node: Node, is_wide: bool) -> bool:
    """Whether nothing repeats a node; of wide maps, hundreds of quotients with one divisor are no more than their price."""
    return node.op == "input" or (work.is_expensive(node) and not (is_wide and node.op == "div"))


def _named(targets: Targets, names: tuple[str, ...]) -> set[int]:
    numbers = targets.numbers()
    unknown = [name for name in names if name not in numbers]
    if unknown:
        graph, known = targets.graph, _known(targets)
        meant = closest(unknown[0], numbers)
        raise ArgumentValueError(
            f"`nbad.vjp({graph.name}, ..., residuals={names!r})`: these are not values of the kernel",
            got=", ".join(map(repr, unknown)),
            expected=f"names among {', '.join(known)}, as `nbad.show(f, 'plan')` prints them",
            meant=meant,
            fix=f"residuals=({', '.join(map(repr, [meant] if meant else known[-2:]))},)" if known else "residuals='auto'",
        )
    return {numbers[name] for name in names}


def _known(targets: Targets) -> list[str]:
    """The names of what may be kept: first the variables of the user's, then arguments, entries, and numbers."""
    nodes, below = targets.graph.nodes, targets.below()
    return list(dict.fromkeys([*(name for k in below for name in nodes[k].names), *map(targets.name, below)]))


CHOICES: dict[str, Callable[[Targets], set[int]]] = {
    "partials": lambda targets: set(targets.entries),
    "mincut": _cut,
    "recompute": lambda targets: set(),
}
