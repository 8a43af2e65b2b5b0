"""Elements without a value by the end of a trace, variables that some elements leave unbound, and the graph of the others."""

import math
from collections.abc import Iterator
from typing import Any

from nbad import lines
from nbad.graphs.failures import uses_of
from nbad.graphs.flags import Cause, Flag, Flags
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.simplify import SimplifyingBuilder, compact, simplify
from nbad.graphs.steps import forget
from nbad.language.merging import both, opposite
from nbad.language.trace import Trace, is_whole_number
from nbad.language.values import TracedWhole
from nbad.operations.row import BOOL, REAL


def living(trace: Trace) -> Any:
    """The condition of the elements on the path that is run which have a value so far, traced or True."""
    living = trace.path()
    for condition, cause in trace.flags:
        if not cause.is_warning:
            living = both(trace, living, opposite(trace, condition))
    return living


def unbound(trace: Trace, value: Any, name: str, line: lines.Line, module: str) -> Any:
    """What stands beside a number for a variable that has no value: elements that use it have none either."""
    error = UnboundLocalError(f"cannot access local variable '{name}' where it is not associated with a value")
    node = trace.builder.add("unbound", payload=len(trace.unset))
    trace.unset[node] = Cause(error, line, module)
    if trace.is_condition(value):
        return trace.apply("ne", (trace.value(node), 0.0))
    return TracedWhole(trace, node, is_signed=False) if is_whole_number(value) else trace.value(node)


def frozen(trace: Trace, outputs: list[int]) -> tuple[Graph, Flags | None]:
    """The graph of the outputs, and all flags as a graph of the same inputs; None where no element can have one."""
    has_states, is_kept = forget(trace.builder, [*outputs, *_flag_nodes(trace)])
    if is_kept:
        raise trace.refusal_of("loop keeps")
    if trace.unset:
        _flag_uses(trace, outputs)
    if not (trace.flags or trace.unset):
        return _values(trace, outputs, has_states), None
    causes = [cause._replace(states=tuple((name, 0.0) for name, _ in cause.states)) for _, cause in trace.flags]
    nodes = _flag_nodes(trace)
    if trace.unset:
        outputs, nodes = _without_unbound(trace, outputs, nodes)
    graph = simplify(trace.builder.build(nodes))
    has_flags = any(graph.nodes[k].payload is not False for k in graph.outputs[: len(causes)])
    flags = Flags(graph, tuple(causes)) if has_flags else None
    return _values(trace, outputs, has_states or has_flags), flags


def _values(trace: Trace, outputs: list[int], has_more: bool) -> Graph:
    """The graph of the outputs; without what only states and flags need, where there is such."""
    return compact(trace.builder, outputs) if has_more else trace.builder.build(outputs)


def _flag_nodes(trace: Trace) -> list[int]:
    return _conditions(trace) + [trace.node(value, REAL) for _, cause in trace.flags for _, value in cause.states]


def _conditions(trace: Trace) -> list[int]:
    return [trace.node(condition, BOOL) for condition, _ in trace.flags]


def _flag_uses(trace: Trace, outputs: list[int]) -> None:
    """Elements that use a variable without a value have none; what a message tells of a state is no use of it."""
    graph = trace.builder.build([*outputs, *_conditions(trace)])
    trace.builder = builder = SimplifyingBuilder.extending(graph)
    found = uses_of(builder, graph)
    for node, cause in trace.unset.items():
        if node in found and builder.value(found[node]) is not False:
            trace.flags.append(Flag(trace.value(found[node]), cause))


def _without_unbound(trace: Trace, *groups: list[int]) -> Iterator[list[int]]:
    """Nodes in a new builder, where a variable is what it is on the side that gives it a value."""
    graph, inputs, same = trace.builder.build(()), range(len(trace.builder.inputs)), list(range(len(trace.builder.nodes)))
    trace.builder = builder = GraphBuilder(trace.name, graph.inputs)
    places = dict(zip(inputs, inputs, strict=True)) | dict.fromkeys(trace.unset, builder.constant(math.nan))
    nodes = []
    for k, node in enumerate(graph.nodes):
        nodes.append(node._replace(args=tuple([same[a] for a in node.args])))
        arms = [a for a in nodes[-1].args[1:] if a not in trace.unset]
        if node.op == "select" and len(arms) == 1:
            same[k] = arms[0]
    graph = Graph(graph.name, graph.inputs, tuple(nodes), ())
    return iter([builder.rebuild(graph, places, [same[k] for k in group]) for group in groups])
