"""From a traced kernel to compiled tile kernels: the pipeline, run for what a call needs and remembered.

A `Program` is one traced specialization of a kernel. Its plans are kept as text on disk under the hash of the graph, so that a later
process needs no SymPy.
"""

import threading

from nbad import plan_text
from nbad.cache import load_text, store_text
from nbad.compile import compile_tile
from nbad.lower import lower
from nbad.partition import jvp_graph, partition


class Program:
    """One specialization: its graph, and every kernel compiled from it so far.

    Attributes
    ----------
    name : str
    arguments : tuple of Argument
    graph : Graph
    leaves : tuple of tuples
        Core shape of every output.
    is_tuple : bool
    launches : dict
        Packed calls by shapes, strides and dtypes; `nbad.dispatch` fills it.
    """

    def __init__(self, name, traced, arguments, math):
        self.name, self.arguments, self.math = name, arguments, math
        self.graph, self.leaves, self.is_tuple = traced.graph, traced.outputs, traced.is_tuple
        self.cores = tuple(a.shape for a in arguments)
        self.names = tuple(a.name for a in arguments)
        self.call = f"`{name}({', '.join(self.names)})`"
        self.slots = _slot_ranges(self.cores)
        self.leaf_slots = _slot_ranges(self.leaves)
        self.launches: dict = {}
        self._known: dict = {}
        self._lock = threading.RLock()

    def remember(self, key, make):
        """The value under `key`, made at the first asking; one thread at a time makes anything."""
        if key not in self._known:
            with self._lock:
                if key not in self._known:
                    self._known[key] = make()
        return self._known[key]

    def input_slots(self, arguments):
        """The input slots of the given arguments, in order."""
        return tuple(k for a in arguments for k in self.slots[a])

    def kernel(self, key, graph, dtype):
        """The tile kernel of a graph."""
        return self.remember((key, dtype), lambda: compile_tile(lower(graph, dtype.name, self.math)))

    def value(self, dtype):
        """The kernel from inputs to outputs."""
        return self.kernel("value", self.remember("simple", self._simple), dtype)

    def plan(self, wrt, policy):
        """The plan for the given input slots."""
        return self.remember(("plan", wrt, policy), lambda: self._load_plan(wrt, policy))

    def forward(self, plan, dtype):
        """The kernel from inputs to outputs and residuals."""
        return self.kernel(("forward", plan.wrt, plan.policy), plan.forward, dtype)

    def reverse(self, plan, dtype):
        """The kernel from residuals and seeds to cotangents."""
        return self.kernel(("reverse", plan.wrt, plan.policy), plan.reverse, dtype)

    def jvp(self, wrt, dtype):
        """The kernel from inputs and tangents to outputs and output tangents."""
        graph = self.remember(("jvp", wrt), lambda: jvp_graph(self.joint(wrt, "forward"), wrt))
        return self.kernel(("jvp", wrt), graph, dtype)

    def joint(self, wrt, mode):
        """The joint graph of outputs and Jacobian entries."""
        from nbad.differentiate import jacobian

        return jacobian(self.graph, wrt, mode)

    def _simple(self):
        from nbad.simplify import simplify

        return simplify(self.graph)

    def _load_plan(self, wrt, policy):
        key = plan_text.key(self.graph, wrt, policy)
        text = load_text(key)
        plan = plan_text.loads(text) if text is not None else None
        if plan is None:
            plan = partition(self.joint(wrt, "reverse"), wrt, policy)
            store_text(key, plan_text.dumps(plan))
        return plan


def _slot_ranges(cores):
    """Numbers of the scalar slots of each core shape, counted through."""
    ranges, start = [], 0
    for core in cores:
        size = 1
        for length in core:
            size *= length
        ranges.append(range(start, start + size))
        start += size
    return ranges
