"""Plans as text and back: what the disk cache keeps of the symbolic stages."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from nbad.derivatives.implicit import Equations, Implicit
from nbad.graphs.graph import Graph, Node, Payload
from nbad.graphs.loops import Carried, Loop
from nbad.operations.table import TABLE
from nbad.operations.ties import Tied
from nbad.plans.linear import Entry
from nbad.plans.plan import Plan, Residual

Data = Any  # what JSON holds
Brought = Loop | Equations  # what a graph brings beside the table's operations


def key(graph: Graph, *request: object) -> str:
    """Text that identifies a plan: the whole graph with its constants, the partials of the user's own operations, the request."""
    return json.dumps(["plan", _graph_data(graph), _own_partials(graph), repr(request)])


def dumps(plan: Plan) -> str:
    """A plan as JSON; floats keep every bit."""
    data = {
        "policy": plan.policy,
        "wrt": plan.wrt,
        "outputs": plan.outputs,
        "forward": _graph_data(plan.forward),
        "prologue": plan.prologue and _graph_data(plan.prologue),
        "residuals": [asdict(r) for r in plan.residuals],
        "entries": [_entry_data(e) for e in plan.entries],
        "mode": plan.mode,
        "inner": plan.inner,
    }
    return json.dumps(data)


def loads(text: str) -> Plan:
    """The plan of a text that `dumps` wrote."""
    data = json.loads(text)
    policy = data["policy"] if isinstance(data["policy"], str) else tuple(data["policy"])
    entries = tuple(Entry(m, n, k, None if c is None else float.fromhex(c), if_) for m, n, k, c, if_ in data["entries"])
    residuals = tuple(Residual(**r) for r in data["residuals"])
    prologue = data["prologue"] and _graph(data["prologue"])
    shape = tuple(data["wrt"]), data["outputs"]
    return Plan(policy, *shape, _graph(data["forward"]), residuals, prologue, entries, data["mode"], data["inner"])


def _own_partials(graph: Graph) -> dict[str, list[Data]]:
    """The partials of every primitive of the user's in a graph, in what it brings, and in these partials."""
    found: dict[str, list[Data]] = {}
    graphs = [graph]
    while graphs:
        nodes = graphs.pop().nodes
        graphs += [brought.step if isinstance(brought, Loop) else brought.residual for brought in _brought(nodes)]
        operations = {node.op for node in nodes if node.op in TABLE} - found.keys()
        for op in sorted(operations):
            make = TABLE[op].recipes
            recipes = make() if make else ()
            found |= {op: [_graph_data(recipe) for recipe in recipes]} if make else {}
            graphs += recipes
    return found


def _entry_data(entry: Entry) -> tuple[int, int, int | None, str | None, int | None]:
    constant = None if entry.constant is None else float(entry.constant).hex()
    return entry.output, entry.input, entry.partial, constant, entry.condition


def _brought(nodes: Iterable[Node]) -> list[Brought]:
    """The loops and the equations among some nodes, each once, in order."""
    return list(dict.fromkeys(node.payload[0] for node in nodes if isinstance(node.payload, Carried | Implicit)))


def _graph_data(graph: Graph) -> Data:
    brought = {one: number for number, one in enumerate(_brought(graph.nodes))}
    nodes = [(n.op, n.args, _payload_data(n.payload, brought), n.kind, n.source, n.names) for n in graph.nodes]
    return graph.name, graph.inputs, nodes, graph.outputs, list(map(_brought_data, brought))


def _brought_data(one: Brought) -> Data:
    if isinstance(one, Equations):
        return [_graph_data(one.residual)]
    return _graph_data(one.step), one.states, one.max_passes, float(one.passes).hex()


def _payload_data(payload: Payload, brought: dict[Brought, int]) -> int | str | tuple[int, int] | None:
    if isinstance(payload, Carried | Implicit):
        return brought[payload[0]], payload.place
    return payload.hex() if isinstance(payload, float) else payload


def _graph(data: Data) -> Graph:
    name, inputs, nodes, outputs, brought = data
    found = list(map(_one, brought))
    intern = sys.intern  # each text once: a plan lives as long as its kernel
    parsed = [
        Node(intern(op), tuple(args), payload and _payload(payload, found), intern(kind), source and intern(source), tuple(names))
        for op, args, payload, kind, source, names in nodes
    ]
    return Graph(name, tuple(inputs), tuple(parsed), tuple(outputs))


def _one(data: Data) -> Brought:
    graph, *rest = data
    if not rest:
        return Equations(_graph(graph))
    states, most, passes = rest
    return Loop(_graph(graph), states, most, float.fromhex(passes))


def _payload(data: Data, brought: list[Brought]) -> Payload:
    if isinstance(data, list) and len(data) == 1:
        return Tied(*data)
    if isinstance(data, list):
        one = brought[data[0]]
        return Carried(one, data[1]) if isinstance(one, Loop) else Implicit(one, data[1])
    return float.fromhex(data) if isinstance(data, str) else data
