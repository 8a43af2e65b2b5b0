"""The graph of a kernel: frozen nodes in single-assignment order, and the builder that interns them.

A graph knows scalars only. Each input is one scalar slot (`x`, or `r[0]`, `r[1]`, ... for a vector argument), each output one
node. Kinds are "real" and "bool"; the working dtype, float32 or float64, is chosen when the graph is lowered.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nbad.errors import InternalError
from nbad.operations.table import TABLE

Key = tuple[str, tuple[int, ...], Any]


class Node(NamedTuple):
    """One value: an operation of `nbad.operations.table.TABLE` on earlier nodes, an input, or a constant.

    `payload` is the input's position, the constant, or the exponent of `powi`; `source` is "file.py:12" of the user's line.
    """

    op: str
    args: tuple[int, ...] = ()
    payload: Any = None
    kind: str = "real"
    source: str | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes in evaluation order, the names of the scalar inputs, and the nodes that are outputs."""

    name: str
    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def __str__(self):
        lines = [f"{self.name}({', '.join(self.inputs)}):"]
        lines += [f"  {line}" for line in map(self._line, range(len(self.nodes))) if line]
        returned = ", ".join(self.label(k) for k in self.outputs)
        return "\n".join([*lines, f"  return {returned}"])

    def label(self, k):
        """How node `k` is written where it is used: an input's name, a constant, or `%k`."""
        node = self.nodes[k]
        if node.op == "input":
            return self.inputs[node.payload]
        return repr(node.payload) if node.op == "const" else f"%{k}"

    def _line(self, k):
        node = self.nodes[k]
        if node.op in ("input", "const"):
            return ""
        operands = [self.label(a) for a in node.args] + ([repr(node.payload)] if node.payload is not None else [])
        text = f"%{k} = {node.op}({', '.join(operands)})"
        return f"{text:<44} # {node.source}" if node.source else text


class GraphBuilder:
    """Grow a graph; equal nodes (same operation, operands and payload) are one node."""

    def __init__(self, name: str, inputs: Iterable[str], source=None):
        self.name, self.inputs = name, tuple(inputs)
        self.nodes: list[Node] = []
        self._known: dict[Key, int] = {}
        self.source = source
        for position in range(len(self.inputs)):
            self._intern(Node("input", (), position))

    @classmethod
    def extending(cls, graph: Graph):
        """A builder that starts with all nodes of `graph`, under their old numbers."""
        builder = cls(graph.name, ())
        builder.inputs = graph.inputs
        for node in graph.nodes:
            builder.nodes.append(node)
            builder._known.setdefault(_key(node), len(builder.nodes) - 1)
        return builder

    def constant(self, value) -> int:
        """The node of a Python constant: a bool, or a number taken as float."""
        if isinstance(value, (bool, np.bool_)):
            return self._intern(Node("const", (), bool(value), "bool"))
        return self._intern(Node("const", (), float(value)))

    def add(self, op: str, *args: int, payload=None, source: str | None = None) -> int:
        """The node of operation `op` on earlier nodes."""
        row = TABLE[op]
        kinds = tuple(self.nodes[a].kind for a in args)
        if kinds != row.operands:
            raise InternalError(f"`{op}` takes operands {row.operands}, got {kinds}")
        return self._intern(Node(op, args, payload, row.kind, source or self.source))

    def find(self, op: str, *args: int) -> int | None:
        """The node of an operation without payload, if there is one."""
        return self._known.get(_key(Node(op, args)))

    def splice(self, graph: Graph, operands: Iterable[int]) -> list[int]:
        """Repeat the nodes of `graph` here, with `operands` for its inputs; return where each of its nodes went."""
        places, operands = [], tuple(operands)
        for node in graph.nodes:
            if node.op == "input":
                places.append(operands[int(node.payload or 0)])
            elif node.op == "const":
                places.append(self.constant(node.payload))
            else:
                args = (places[a] for a in node.args)
                places.append(self.add(node.op, *args, payload=node.payload, source=node.source))
        return places

    def build(self, outputs: Iterable[int]) -> Graph:
        """Freeze the graph."""
        outputs = tuple(outputs)  # first: a generator may still add nodes
        return Graph(self.name, self.inputs, tuple(self.nodes), outputs)

    def _intern(self, node: Node) -> int:
        key = _key(node)
        if key not in self._known:
            self.nodes.append(node)
            self._known[key] = len(self.nodes) - 1
        return self._known[key]


def _key(node: Node) -> Key:
    """Identity of a node. The text of a float tells 0.0 from -0.0 and holds nan, which `==` does not."""
    payload = node.payload
    return node.op, node.args, payload if payload is None else (type(payload).__name__, repr(payload))
