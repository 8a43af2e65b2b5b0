"""What values and sweeps cost: the model behind the residual policies.

A sweep takes the time of its floating-point operations plus that of the bytes that it moves:

    time of a sweep              = flops / FLOPS_PER_NS + bytes / BYTES_PER_NS
    time of a kernel for S seeds = forward + S * (reverse per call + reverse per seed)

Flops count as the rows of `nbad.operations.table` say, in units of one multiplication: a division for 16, an exponential for 20.
Bytes are those of the arrays that a sweep must read or write, each counted once. "Reverse per call" turns residuals into
partials, "per seed" multiplies and adds. In a batch the first is paid once for all seeds; the model charges it for each seed,
because seeds may also come one by one: there a wrong choice costs most, while in a large batch all policies cost nearly the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nbad.graphs.graph import Graph, Node
from nbad.operations.table import TABLE
from nbad.plans.plan import Plan

# Rough numbers of one core of a server with AVX-512, in float64; only their ratio matters to a choice.
BYTES_PER_NS = 14.0
CACHED_BYTES_PER_NS = 56.0  # where all arrays of a call lie in the second level of the caches
FLOPS_PER_NS = 28.0
PAID = 0.9  # of the time of a prologue's operations; the rest passes while the sweep waits for memory
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


class PrologueWork(Work):
    """What the prologue does for one element."""

    @property
    def nanoseconds(self) -> float:
        """The time that it takes, by the model."""
        return self.bytes / BYTES_PER_NS + PAID * self.flops / FLOPS_PER_NS


class Sweeps(NamedTuple):
    """Work of the forward sweep, and of a reverse sweep for each call and for each seed."""

    forward: Work
    call: Work
    seed: Work


class Line(NamedTuple):
    """Nanoseconds of one forward sweep, and of a reverse sweep for each seed."""

    once: float
    each: float

    def at(self, seeds: int) -> float:
        """The time of both."""
        return self.once + seeds * self.each


def sweeps(plan: Plan, inputs: float, cotangents: float, itemsize: int) -> Sweeps:
    """Work of the sweeps of a plan.

    Parameters
    ----------
    plan : Plan
    inputs, cotangents : float
        Bytes of the inputs, and of the cotangents, for one element; less where they are broadcast.
    itemsize : int

    Returns
    -------
    Sweeps
    """
    outputs, residuals = plan.outputs * itemsize, len(plan.residuals) * itemsize
    forward = Work(inputs + outputs + residuals, total(plan.forward))
    call = PrologueWork(residuals, total(plan.prologue) if plan.prologue else 0.0)
    return Sweeps(forward, call, Work(outputs + cotangents, total(plan.reverse)))


def nanoseconds(plan: Plan) -> Line:
    """Time of a plan for one element, by the model."""
    work = sweeps(plan, len(plan.forward.inputs) * WORD, len(plan.wrt) * WORD, WORD)
    return Line(work.forward.nanoseconds, work.call.nanoseconds + work.seed.nanoseconds)


def best(plans: Sequence[Plan], seeds: int) -> Plan:
    """The plan that costs least for a number of seeds; of equals, the first."""
    return min(plans, key=lambda plan: nanoseconds(plan).at(seeds))


def changes(plans: Sequence[Plan]) -> list[tuple[int, Plan]]:
    """Where the best plan changes: pairs of a number of seeds and the plan that is best from there on, the first for 1 seed."""
    lines = [nanoseconds(plan) for plan in plans]
    crossings = ((b.once - a.once) / (a.each - b.each) for a in lines for b in lines if a.each != b.each)
    numbers = sorted({1, *(k for s in crossings if s >= 1 for k in (math.ceil(s), math.floor(s) + 1))})
    found = [(seeds, best(plans, seeds)) for seeds in numbers]
    return [pair for k, pair in enumerate(found) if k == 0 or pair[1] is not found[k - 1][1]]


def of_keeping(node: Node) -> int:
    """Price of a residual in operations: it is written once and read once; a condition is made a number and compared again."""
    return round(2 * WORD / BYTES_PER_NS * FLOPS_PER_NS) + 2 * (node.kind == "bool")


def of_repeating(node: Node) -> int:
    """Price of computing a cheap node again."""
    return round(operations(node))


def operations(node: Node) -> float:
    """Operations of one node."""
    if node.op in ("input", "const"):
        return 0.0
    return TABLE[node.op].cost + (TABLE["div"].cost if _is_inverse(node) else 0.0)


def is_expensive(node: Node) -> bool:
    """Whether a policy should not repeat a node: calls of the C library, roots, and whatever divides."""
    if node.op in ("input", "const"):
        return False
    return _is_inverse(node) or bool(TABLE[node.op].libm) or TABLE[node.op].cost >= TABLE["div"].cost


def _is_inverse(node: Node) -> bool:
    return node.op == "powi" and node.payload < 0


def total(graph: Graph) -> float:
    """Operations of a graph; an input that is an output is copied."""
    copies = sum(graph.nodes[k].op == "input" for k in graph.outputs)
    return sum(map(operations, graph.nodes)) + copies
