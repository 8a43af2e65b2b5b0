"""`Program`: a traced kernel led to graphs, plans and compiled tile kernels, run for what a call needs and remembered.

A `Program` is one traced specialization of a kernel. Its plans are kept on disk under the hash of the graph: to find one
takes 0.1 ms for a kernel of 40 operations (Black-Scholes), to make it anew 3; 0.6 and 10 for one of 200 (seawater's enthalpy).
"""

import copy
from dataclasses import replace

from nbad.codegen.compile import TileKernel
from nbad.codegen.disk import cache_folder as cache_folder
from nbad.codegen.disk import load_own, store_own
from nbad.forks import IMPORTS
from nbad.graphs.failures import may_fail, with_failures
from nbad.graphs.flags import alarmed, silenced
from nbad.graphs.graph import by_demand, in_order
from nbad.graphs.hoist import split
from nbad.memo import Memo
from nbad.plans import kept, work
from nbad.plans.partition import partition
from nbad.plans.plan import fuse, jvp_graph, repeated, symmetric, whole_jacobian


class Program:
    """One specialization: its graph, and every kernel compiled from it so far.

    Attributes
    ----------
    name : str
    arguments : tuple of Argument
    graph : Graph
    leaves : tuple of tuples
        Core shape of every output.
    structure : Structure
        How the outputs are returned.
    by : tuple of str
        Names of the arguments by which its outputs are derivatives of another kernel's.
    flags : Flags or None
        Which elements have no value, or warn.
    errors : "raise" or "nan"
        What elements without a value do.
    plainly : callable or None
        Runs the user's function for the values of one element.
    made_from : tuple or None
        The kernel, and the static values of the call that it was made for.
    layouts : Memo
        What follows from shapes, strides and dtypes of arguments.
    remember : Memo
        Plans, kernels and what else follows from the program alone.
    """

    def __init__(self, name, traced, arguments, math, by=(), errors="raise", plainly=None, made_from=None):
        self.name, self.arguments, self.math, self.by = name, arguments, math, by
        self.graph, self.leaves, self.structure, self.flags, self.gradient_by = traced
        self.errors, self.plainly, self.made_from = errors, plainly, made_from
        if errors == "nan":
            self.flags = with_failures(self.graph, self.flags)
        self.cores = tuple(a.shape for a in arguments)
        self.names = tuple(a.name for a in arguments)
        self.call = f"`{name}({', '.join(self.names)})`"
        self.slots = _slot_ranges(self.cores)
        self.leaf_slots = _slot_ranges(self.leaves)
        self.leaf_names = [f"y{k}" for k in range(len(self.leaves))]
        self.seed_names = self.structure.spelled("ct")
        self.layouts = Memo()
        self.remember = Memo()

    def apart(self):
        """The same program with nothing made: for who holds Numba's lock, for which those wait who make things of this."""
        program = copy.copy(self)
        program.layouts, program.remember = Memo(), Memo()
        return program

    def input_slots(self, arguments):
        """The input slots of the given arguments, in order."""
        return self.remember(("slots", arguments), lambda: tuple(k for a in arguments for k in self.slots[a]))

    def kernel(self, key, graph, dtype):
        """The tile kernel of a graph, compiled when it is run."""
        return self.remember((key, dtype), lambda: TileKernel(in_order(graph), dtype, self.math))

    def compiled(self):
        """Every tile kernel that was compiled so far, each with the words of its key: "forward mincut", say."""
        known = list(self.remember.known.items())
        return [(_words(key), tile) for key, value in known if isinstance(value, TileKernel) for tile in value.made()]

    @property
    def simple(self):
        """The simplified graph."""
        return self.remember("simple", self._simple)

    def value(self, dtype):
        """The kernel from inputs to outputs."""
        return self.kernel("value", self.simple, dtype)

    def parts(self, key, graph, uniform, dtype):
        """The kernels of a graph's uniform part and of the rest; None where it is not worth splitting."""
        pair = self.remember(("split", key, uniform), lambda: split(graph, uniform))
        sides = zip(("head", "body"), pair or (), strict=False)
        return pair and [self.kernel((key, side, uniform), part, dtype) for side, part in sides]

    def forward_key(self, plan):
        """What tells one forward graph from another."""
        return "forward", plan.mode, *plan.key

    def plan(self, wrt, policy, seeds=1, elimination="auto"):
        """The plan for the given input slots; `seeds`, the number to expect, matters to whatever is "auto"."""
        request = elimination, wrt, policy, seeds
        return self.remember(("plan", *request), lambda: self._load_plan("reverse", *request))

    def jacobian_plan(self, wrt, mode):
        """The plan that stores the whole Jacobian, accumulated in a mode; "auto" takes the cheaper, and reverse of equals."""
        return self.remember(("jacobian", wrt, mode), lambda: self._jacobian_plan(wrt, mode))

    def _jacobian_plan(self, wrt, mode):
        if mode == "reverse" or (mode == "auto" and len(self.graph.outputs) <= len(wrt)):
            return self.plan(wrt, "partials", elimination="full")
        forward = self.remember(("plan", "forward", wrt), lambda: self._load_plan("forward", "full", wrt, "partials", 1))
        if mode == "forward":
            return forward
        reverse = self.plan(wrt, "partials", elimination="full")
        return min(reverse, forward, key=lambda plan: work.total(plan.forward))

    def forward(self, plan, dtype):
        """The kernel from inputs to outputs and residuals."""
        return self.kernel(self.forward_key(plan), plan.forward, dtype)

    def jacobian_key(self, plan, with_value, chosen=None):
        """What tells one graph of all entries, or of chosen ones, from another."""
        return "jacobian", self.forward_key(plan), with_value, chosen

    def jacobian_graph(self, plan, with_value, chosen=None):
        """The graph from inputs to all entries of the Jacobian, or to chosen ones, which come last."""
        key = self.jacobian_key(plan, with_value, chosen)
        return self.remember(key, lambda: self._jacobian_graph(plan, with_value, chosen))

    def _jacobian_graph(self, plan, with_value, chosen):
        graph = whole_jacobian(plan, with_value)
        graph = symmetric(graph, len(plan.wrt)) if self.gradient_by == plan.wrt else graph
        if chosen is None:
            return graph
        first = len(graph.outputs) - plan.outputs * len(plan.wrt)
        return replace(graph, outputs=(*graph.outputs[:first], *(graph.outputs[first + k] for k in chosen)))

    def jacobian(self, plan, dtype, with_value):
        """The kernel of that."""
        return self.kernel(self.jacobian_key(plan, with_value), self.jacobian_graph(plan, with_value), dtype)

    def prologue(self, plan, dtype):
        """The kernel from residuals to partials; None where they are the same."""
        return self.kernel(("prologue", *plan.key), plan.prologue, dtype) if plan.prologue else None

    def reverse(self, plan, dtype, seeds=1):
        """The kernel from partials and some seeds at once to their cotangents."""
        graph = self.remember(("repeated", *plan.key, seeds), lambda: repeated(plan.reverse, plan.partials, seeds))
        return self.kernel(("reverse", *plan.key, seeds), graph, dtype)

    def fused_reverse(self, plan, dtype):
        """The kernel from residuals and seeds to cotangents, prologue and all: for one seed and few elements."""
        if plan.prologue is None:
            return self.reverse(plan, dtype)
        graph = fuse(plan.prologue, plan.reverse)
        return self.kernel(("fused", *plan.key), by_demand(graph) if plan.inner else graph, dtype)

    def blocks(self, plan, dtype):
        """The kernel from residuals to all entries of the Jacobian."""
        return self.kernel(("blocks", *plan.key), plan.blocks, dtype)

    def pushforward(self, plan, dtype):
        """The kernel from residuals and tangents to output tangents."""
        return self.kernel(("pushforward", *plan.key), plan.pushforward, dtype)

    def jvp(self, wrt, dtype):
        """The kernel from inputs and tangents to outputs and output tangents."""
        return self.kernel(("jvp", wrt), self.jvp_graph(wrt), dtype)

    def jvp_graph(self, wrt):
        """The graph of inputs and tangents to outputs and output tangents."""
        return self.remember(("jvp", wrt), lambda: self._alarmed(jvp_graph(self.joint(wrt, "forward", "auto"), wrt)))

    def joint(self, wrt, mode, elimination="full", seeds=1):
        """The joint graph of outputs and Jacobian entries."""
        with IMPORTS:
            from nbad.derivatives.differentiate import jacobian, silenced_joint
        joint = jacobian(self.graph, wrt, mode, elimination if self.is_scarce else "full", seeds)
        return silenced_joint(joint, self.flags, wrt) if self.is_silent else joint

    def sparsity(self, wrt):
        """For each output whether its partial by each of these input slots may be other than 0."""
        with IMPORTS:
            from nbad.derivatives.differentiate import sparsity
        if self.is_silent:  # elements without a value have nan everywhere
            return [[True] * len(wrt) for _ in self.graph.outputs]
        rows = self.remember(("sparsity", wrt), lambda: sparsity(self.graph, wrt))
        return [[n in row for n in wrt] for row in rows]

    @property
    def is_scarce(self):
        """Whether inner vertices may be kept: not where elements fail by what they use, for behind a vertex all is computed."""
        return not self.is_silent and not may_fail(self.graph)

    @property
    def is_silent(self):
        """Whether elements without a value are nan."""
        return self.errors == "nan" and self.flags is not None and bool(self.flags.numbers)

    def _alarmed(self, graph):
        """The graph that notices elements that raise, or warn."""
        if self.flags is None:
            return graph
        return alarmed(graph, self.flags, self.flags.warnings if self.errors == "nan" else range(len(self.flags.causes)))

    def _simple(self):
        with IMPORTS:
            from nbad.graphs.simplify import simplify
        return self._alarmed(simplify(silenced(self.graph, self.flags) if self.is_silent else self.graph))

    def _load_plan(self, *request):
        plan = self._bare_plan(*request)
        return replace(plan, forward=self._alarmed(plan.forward), asked=request[-2:])

    def _bare_plan(self, mode, elimination, wrt, policy, seeds):
        silence = [self.flags.graph, self.flags.numbers] if self.is_silent else []
        key = kept.key(self.graph, mode, elimination, wrt, policy, seeds, *silence)
        found = load_own(key)
        plan = None if found is None else kept.loads(found)
        if plan is None:
            joint = self.remember(("joint", mode, elimination, wrt, seeds), lambda: self.joint(wrt, mode, elimination, seeds))
            plan = replace(partition(joint, wrt, policy, seeds), mode=mode)
            store_own(key, kept.dumps(plan))
        return plan


def _words(key):
    """The words in a key."""
    if isinstance(key, tuple):
        return " ".join(filter(None, map(_words, key)))
    return key if isinstance(key, str) else ""


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
