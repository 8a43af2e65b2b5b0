"""What values and sweeps take, in operations, bytes and nanoseconds.

A sweep takes the time of its floating-point operations plus that of the bytes that it moves:

    time of a sweep = flops / FLOPS_PER_NS + bytes / BYTES_PER_NS

Flops count as the rows of `nbad.operations.table` say, in units of one multiplication: a division for 16, an exponential for 20.
Bytes are those of the arrays that a sweep must read or write, each counted once.
"""

from dataclasses import dataclass

from nbad.graphs.graph import Graph, Node
from nbad.graphs.loops import each_once
from nbad.operations.table import TABLE, row_of

# Rough numbers of one core of a server with AVX-512, in float64; only their ratio matters to a choice.
BYTES_PER_NS = 14.0
CACHED_BYTES_PER_NS = 56.0  # where all arrays of a call lie in the second level of the caches
FLOPS_PER_NS = 28.0
WORD = 8  # bytes of a value; in float32 these and the time of an operation are half as much


@dataclass(frozen=True)
class Work:
    """What one sweep does for one element."""

    bytes: float
    flops: float

    @property
    def nanoseconds(self) -> float:
        """The time that it takes, by the model."""
        return self.bytes / BYTES_PER_NS + self.flops / FLOPS_PER_NS

    @property
    def cached_nanoseconds(self) -> float:
        """The same where the caches hold the arrays: with it, small calls are told from big ones."""
        return self.bytes / CACHED_BYTES_PER_NS + self.flops / FLOPS_PER_NS


def of_keeping(node: Node) -> int:
    """Price of a residual in operations: it is written once and read once; a condition is made a number and compared again."""
    return round(2 * WORD / BYTES_PER_NS * FLOPS_PER_NS) + 2 * (node.kind == "bool")


def of_repeating(node: Node) -> int:
    """Price of computing a cheap node again."""
    return round(operations(node))


def operations(node: Node) -> float:
    """Operations of one node; of a loop, those of all its passes."""
    if node.op in ("input", "const"):
        return 0.0
    return row_of(node.op, node.payload).cost + (TABLE["div"].cost if _is_inverse(node) else 0.0)


def is_expensive(node: Node) -> bool:
    """Whether a policy should not repeat a node: loops, calls of the C library, roots, and whatever divides."""
    if node.op in ("input", "const"):
        return False
    row = row_of(node.op, node.payload)
    return node.op == "loop" or _is_inverse(node) or bool(row.libm) or row.cost >= TABLE["div"].cost


def _is_inverse(node: Node) -> bool:
    return node.op == "powi" and node.payload < 0


def total(graph: Graph) -> float:
    """Operations of a graph, each loop counted once; an input that is an output is copied."""
    copies = sum(graph.nodes[k].op == "input" for k in graph.outputs)
    return sum(map(operations, each_once(graph))) + copies
