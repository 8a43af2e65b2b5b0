"""The graph of a kernel: frozen nodes in single-assignment order, and the builder that interns them.

A graph knows scalars only. Each input is one scalar slot (`x`, or `r[0]`, `r[1]`, ... for a vector argument), each output one
node. Kinds are "real" and "bool"; the working dtype, float32 or float64, is chosen when the graph is lowered.
"""

import functools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from nbad.errors import InternalError
from nbad.operations.table import TABLE, row_of

if TYPE_CHECKING:
    from nbad.graphs.loops import Loop

Key = tuple[str, tuple[int, ...], Any]
Payload = Any  # what it is depends on the operation, see `Node`

LONG = 256  # nodes of a graph whose order matters
NEAR = 16  # nodes within which an operand is still in a register
CLEARLY = 0.75  # above, gains and losses are within 5 %

_right = set[tuple]()  # sorts of nodes that are right in every graph, as checks found: no row of the table goes or changes


class Node(NamedTuple):
    """One value: an operation of `nbad.operations.table.TABLE` on earlier nodes, an input, or a constant.

    `payload` is the input's position, the constant, or the exponent of `powi`; `source` is "file.py:12" of the user's line, and
    `names` are those of the user's variables that held the value. An operation that the table does not know brings its row with
    its payload, as a loop does (`nbad.graphs.loops`).
    """

    op: str
    args: tuple[int, ...] = ()
    payload: Payload = None
    kind: str = "real"
    source: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Nodes in evaluation order, the names of the scalar inputs, and the nodes that are outputs.

    Input slot k is node k: a graph begins with one node for each input, in order and used or not, and has no other inputs. So
    whoever names slots, as `wrt` and `positions` do, names nodes, and who adds inputs behind the others moves no node of theirs.
    Every other node comes after its operands, which have the kinds that its row of the primitive table asks for.
    """

    name: str
    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    is_checked: ClassVar[bool] = False  # whether each is, when it is made; tests say so: it takes 3 % of what compiles a kernel

    def __post_init__(self) -> None:
        if self.is_checked:
            self.check()

    def check(self) -> None:
        """Raise `InternalError` where the graph is not what is said above; builders see to the kinds of operands.

        Nodes of one sort, the same operation on the same kinds, are right or wrong alike, if all their operands come before them.
        """
        kinds: dict[int, str] = {}  # of the nodes so far
        inputs, loops, sort = len(self.inputs), set[tuple](), tuple[Any, ...]()
        for k, node in enumerate(self.nodes):
            op, args, payload, kind, _, _ = node
            if op == "loop":  # of which there may be hundreds of nodes, each with hundreds of operands, all the same
                sort, right = (op, id(args), payload.loop, kind), loops
            else:
                sort, right = (op, type(payload), kind, *map(kinds.get, args)), _right
            if k < inputs or sort not in right:
                if (fault := self._fault(k, node)) is not None:
                    raise InternalError(f"graph `{self.name}`: node {k}, `{op}`, {fault}")
                if op != "input" and (op == "loop" or not hasattr(payload, "row")):
                    right.add(sort)
            kinds[k] = kind
        if len(self.nodes) < len(self.inputs):
            raise InternalError(f"graph `{self.name}` has {len(self.inputs)} inputs, but {len(self.nodes)} nodes")
        for output in self.outputs:
            if not 0 <= output < len(self.nodes):
                raise InternalError(f"graph `{self.name}`: output {output} is none of its {len(self.nodes)} nodes")

    def _fault(self, k: int, node: Node) -> str | None:
        """What is wrong with a node, if anything is."""
        if k < len(self.inputs) or node.op == "input":
            return self._fault_of_input(k, node)
        if node.op == "const":
            return _fault_of_constant(node)
        if node.op not in TABLE and not hasattr(node.payload, "row"):
            return "is no operation"
        row = row_of(node.op, node.payload)
        if node.args and not 0 <= min(node.args) <= max(node.args) < k:
            return f"uses {node.args}, of which some do not come before it"
        kinds = tuple([self.nodes[a].kind for a in node.args])
        if kinds != row.operands or node.kind != row.kind:
            return f"takes operands {row.operands} and is {row.kind}, got {kinds} and {node.kind}"
        if (node.payload is None) != (row.payload is None):
            return f"has the payload {node.payload}"
        return None

    def _fault_of_input(self, k: int, node: Node) -> str | None:
        if k >= len(self.inputs):
            return f"comes after the {len(self.inputs)} inputs"
        is_right = (node.op, node.args, node.payload, node.kind) == ("input", (), k, "real")
        return None if is_right else f"stands in the place of input {k}, `{self.inputs[k]}`"

    def __str__(self) -> str:
        lines = [f"{self.name}({', '.join(self.inputs)}):"]
        shown: set[str] = set()  # what several nodes bring is told once
        for k, node in enumerate(self.nodes):
            text = getattr(node.payload, "text", "")
            lines += [] if text in shown else [f"  {line}" for line in text.splitlines()]
            shown.add(text)
            lines += [f"  {line}"] if (line := self._line(k)) else []
        returned = ", ".join(self.label(k) for k in self.outputs)
        return "\n".join([*lines, f"  return {returned}"])

    def label(self, k: int) -> str:
        """How node `k` is written where it is used: an input's name, a constant, the name of a variable, or `%k`."""
        node = self.nodes[k]
        if node.op == "input":
            return self.inputs[k]
        if node.op == "const":
            return repr(node.payload)
        return node.names[0] if node.names else f"%{k}"

    def _line(self, k: int) -> str:
        node = self.nodes[k]
        if node.op in ("input", "const"):
            return ""
        operands = [self.label(a) for a in node.args] + ([str(node.payload)] if node.payload is not None else [])
        text = f"{self.label(k)} = {node.op}({', '.join(operands)})"
        return f"{text:<44} # {node.source}" if node.source else text


def _fault_of_constant(node: Node) -> str | None:
    if node.args:
        return "has operands"
    is_right = isinstance(node.payload, bool if node.kind == "bool" else float)
    return None if is_right else f"is {node.kind}, but its value is {node.payload!r}"


def needed(graph: "Graph | GraphBuilder", wanted: Iterable[int], known: Container[int] = ()) -> list[int]:
    """The nodes that some nodes are computed from, these included, in order; known ones and what only they need are left out."""
    found, loops = set(wanted), set[int]()
    for k in range(max(found, default=-1), -1, -1):
        if k not in found or k in known:
            continue
        args = graph.nodes[k].args
        if graph.nodes[k].op == "loop":  # its nodes share their operands
            if id(args) in loops:
                continue
            loops.add(id(args))
        found.update(args)
    return sorted([k for k in found if k not in known])


def without_dead(graph: "Graph | GraphBuilder", outputs: Sequence[int]) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """The nodes that some outputs need, and all inputs; and these outputs among them."""
    kept = needed(graph, {*range(len(graph.inputs)), *outputs})
    if len(kept) == len(graph.nodes):
        return tuple(graph.nodes), tuple(outputs)
    return _renumbered(graph, kept, outputs)


def _renumbered(
    graph: "Graph | GraphBuilder", order: Sequence[int], outputs: Sequence[int]
) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """Some nodes in an order of their own, each behind its operands; and these outputs among them."""
    places = {old: new for new, old in enumerate(order)}
    operands = Operands(places)
    nodes = [Node(node.op, operands.of(node), *node[2:]) for node in map(graph.nodes.__getitem__, order)]
    return tuple(nodes), tuple([places[k] for k in outputs])


def by_demand(graph: Graph) -> Graph:
    """The same graph with every node where it is first asked for: outputs one after the other, each behind what it needs.

    So fewer values wait, where many are computed from inputs that are there from the start.
    """
    order, placed = list(range(len(graph.inputs))), set(range(len(graph.inputs)))
    for output in graph.outputs:
        waiting = [output]
        while waiting:
            k = waiting[-1]
            missing = () if k in placed else [a for a in graph.nodes[k].args if a not in placed]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if k not in placed:
                order.append(k)
                placed.add(k)
    return Graph(graph.name, graph.inputs, *_renumbered(graph, order, graph.outputs))


def in_order(graph: Graph) -> Graph:
    """The same graph in the order by demand, if it is long, and its operands are clearly nearer so and values wait no longer.

    Layer norm of 256 takes 0.8 of the time so, and pullbacks of the rates of 40 species 0.6. Products with matrices, whose
    operands are as far away in either order, would take 1.1 to 1.2, and pushforwards of these rates, where values wait, 1.3.
    """
    if len(graph.nodes) < LONG:
        return graph
    other = by_demand(graph)
    (far, waits), (other_far, other_waits) = _waits(graph), _waits(other)
    return other if other_far < CLEARLY * far and other_waits <= waits else graph


def _waits(graph: Graph) -> tuple[int, int]:
    """How many operands were last at hand so long before that they lie in memory, and how long values wait; inputs aside."""
    known, last, far = len(graph.inputs), dict[int, int](), 0
    for k, node in enumerate(graph.nodes):
        for a in node.args:
            far += a >= known and k - last.get(a, a) > NEAR
            last[a] = k
    return far, sum(k - a for a, k in last.items() if a >= known)


class Operands:
    """The operands of nodes of one graph as nodes of another, which the nodes of a loop share."""

    def __init__(self, places: Mapping[int, int]) -> None:
        self._places, self._known = places, dict[int, tuple[int, ...]]()

    def of(self, node: Node) -> tuple[int, ...]:
        """Those of a node."""
        if node.op != "loop":
            return tuple([self._places[a] for a in node.args])
        if (found := self._known.get(id(node.args))) is None:
            found = self._known[id(node.args)] = tuple([self._places[a] for a in node.args])
        return found


class GraphBuilder:
    """Grow a graph; equal nodes (same operation, operands and payload) are one node."""

    def __init__(self, name: str, inputs: Iterable[str], source: str | None = None) -> None:
        self.name, self.inputs = name, tuple(inputs)
        self.nodes: list[Node] = []
        self._known: dict[Key, int] = {}
        self._loops: dict[tuple[int, ...], tuple[int, ...]] = {}  # operands of loops
        self.source = source
        for position in range(len(self.inputs)):
            self._intern("input", (), position)

    @classmethod
    def extending(cls, graph: Graph) -> Self:
        """A builder that starts with all nodes of `graph`, under their old numbers."""
        builder = cls(graph.name, ())
        builder.inputs = graph.inputs
        # node by node, not by `add`: a builder that simplifies would give them other numbers
        for node in graph.nodes:
            builder.nodes.append(node)
            builder._known.setdefault(key_of(*node[:3]), len(builder.nodes) - 1)
        return builder

    def constant(self, value: Any) -> int:
        """The node of a Python constant: a bool, or a number taken as float."""
        if isinstance(value, (bool, np.bool_)):
            return self._intern("const", (), bool(value), "bool")
        return self._intern("const", (), float(value))

    def add(self, op: str, *args: int, payload: Payload = None, source: str | None = None) -> int:
        """The node of operation `op` on earlier nodes."""
        row = TABLE[op] if payload is None else row_of(op, payload)
        if op == "loop":
            args = self._loops.setdefault(args, args)
        kinds = tuple([self.nodes[a].kind for a in args])
        if kinds != row.operands:
            raise InternalError(f"`{op}` takes operands {row.operands}, got {kinds}")
        return self._intern(op, args, payload, row.kind, source or self.source)

    def fold(self, op: str, nodes: Iterable[int]) -> int:
        """An operation on all of some nodes, one after the other."""
        return functools.reduce(lambda a, b: self.add(op, a, b), nodes)

    def number(self, k: int) -> int:
        """The node of a condition as 1.0 or 0.0; other nodes are numbers."""
        return self.add("select", k, self.constant(1.0), self.constant(0.0)) if self.nodes[k].kind == "bool" else k

    def state(self) -> int:
        """What stands for a number that changes from pass to pass while a loop's step is found; no graph may hold it."""
        return self._intern("state", (), len(self.nodes), source=self.source)

    def loop(self, active: int, initial: Sequence[int], captured: Sequence[int], loop: "Loop") -> list[int]:
        """The last value of each state of a loop, and behind them whether it was not done: 1.0 or 0.0."""
        return [self.add("loop", active, *initial, *captured, payload=payload) for payload in loop.payloads]

    def find(self, op: str, *args: int) -> int | None:
        """The node of an operation without payload, if there is one."""
        return self._known.get(key_of(op, args))

    def rebuild(
        self,
        graph: Graph,
        places: Mapping[int, int],
        wanted: Iterable[int],
        active: int | None = None,
        prefix: str = "",
        of_loop: Callable[[Node, tuple[int, ...]], tuple[tuple[int, ...], Payload]] | None = None,
    ) -> list[int]:
        """Repeat here what some nodes of `graph` need; returns where these went.

        `places` says which nodes of `graph`, inputs or others, are here already, and where. Where a condition `active` does not
        hold nobody uses what is repeated: no loop does a pass there. Values keep their names, with a `prefix`. `of_loop` may give
        a node of a loop, whose operands here it is told, others, and another payload.
        """
        wanted, found, before = tuple(wanted), dict(places), self.source
        operands = Operands(found)
        for k in needed(graph, wanted, found):
            node = graph.nodes[k]
            self.source = node.source or before  # also of what a simplifying builder makes of it
            args, payload = operands.of(node), node.payload
            if node.op == "loop" and of_loop is not None:
                args, payload = of_loop(node, args)
            if node.op == "loop" and active is not None:
                args = self.add("and", active, args[0]), *args[1:]
            found[k] = self.constant(node.payload) if node.op == "const" else self.add(node.op, *args, payload=payload)
            if node.names:
                self.give_names(found[k], [f"{prefix}{name}" for name in node.names])
        self.source = before
        return [found[k] for k in wanted]

    def splice(self, graph: Graph, operands: Iterable[int], active: int | None = None, prefix: str = "") -> list[int]:
        """Repeat the outputs of `graph` here, with `operands` for its inputs; returns where they went."""
        return self.rebuild(graph, dict(enumerate(operands)), graph.outputs, active, prefix)

    def give_names(self, k: int, names: Sequence[str]) -> None:
        """Give a node more names, those of the kernel's own variables first; inputs have theirs, and constants need none."""
        node = self.nodes[k]
        if names and node.op not in ("input", "const"):
            if node.names or len(names) > 1:
                names = sorted({*node.names, *names}, key=lambda name: ("." in name, name))
            self.nodes[k] = Node(*node[:-1], tuple(names))

    def build(self, outputs: Iterable[int]) -> Graph:
        """Freeze the graph."""
        outputs = tuple(outputs)  # first: a generator may still add nodes
        return Graph(self.name, self.inputs, tuple(self.nodes), outputs)

    def _intern(self, op: str, args: tuple[int, ...], payload: Payload, kind: str = "real", source: str | None = None) -> int:
        key = (op, args, None) if payload is None else key_of(op, args, payload)  # most nodes have none: spares a call each
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, payload, kind, source))
        return found


def key_of(op: str, args: tuple[int, ...], payload: Payload = None) -> Key:
    """Identity of a node. The text of a float tells 0.0 from -0.0 and holds nan, which `==` does not."""
    return op, args, payload if payload is None else (type(payload).__name__, repr(payload))
