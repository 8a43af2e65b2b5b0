"""Plans as text and back: what the disk cache keeps of the symbolic stages."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from nbad.graphs.graph import Graph, Node, Payload
from nbad.graphs.loops import Carried, Loop
from nbad.operations.table import TABLE
from nbad.plans.plan import Entry, Plan, Residual

Data = Any  # what JSON holds


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
    }
    return json.dumps(data)


def loads(text: str) -> Plan:
    """The plan of a text that `dumps` wrote."""
    data = json.loads(text)
    policy = data["policy"] if isinstance(data["policy"], str) else tuple(data["policy"])
    entries = tuple(Entry(m, n, k, None if c is None else float.fromhex(c)) for m, n, k, c in data["entries"])
    residuals = tuple(Residual(**r) for r in data["residuals"])
    prologue = data["prologue"] and _graph(data["prologue"])
    return Plan(policy, tuple(data["wrt"]), data["outputs"], _graph(data["forward"]), residuals, prologue, entries, data["mode"])


def _own_partials(graph: Graph) -> dict[str, list[Data]]:
    """The partials of every primitive of the user's in a graph, in the steps of its loops, and in these partials."""
    found: dict[str, list[Data]] = {}
    graphs = [graph]
    while graphs:
        nodes = graphs.pop().nodes
        graphs += [loop.step for loop in _loops(nodes)]
        operations = {node.op for node in nodes} - found.keys() - {"input", "const", "loop"}
        for op in sorted(operations):
            make = TABLE[op].recipes
            recipes = make() if make else ()
            found |= {op: [_graph_data(recipe) for recipe in recipes]} if make else {}
            graphs += recipes
    return found


def _entry_data(entry: Entry) -> tuple[int, int, int | None, str | None]:
    constant = None if entry.constant is None else float(entry.constant).hex()
    return entry.output, entry.input, entry.partial, constant


def _loops(nodes: Iterable[Node]) -> list[Loop]:
    """The loops among some nodes, each once, in order."""
    return list(dict.fromkeys(node.payload.loop for node in nodes if node.op == "loop"))


def _graph_data(graph: Graph) -> Data:
    loops = {loop: number for number, loop in enumerate(_loops(graph.nodes))}
    nodes = [(n.op, n.args, _payload_data(n.payload, loops), n.kind, n.source) for n in graph.nodes]
    steps = [(_graph_data(loop.step), loop.states, loop.max_passes, float(loop.passes).hex()) for loop in loops]
    return graph.name, graph.inputs, nodes, graph.outputs, steps


def _payload_data(payload: Payload, loops: dict[Loop, int]) -> int | str | tuple[int, int] | None:
    if isinstance(payload, Carried):
        return loops[payload.loop], payload.place
    return payload.hex() if isinstance(payload, float) else payload


def _graph(data: Data) -> Graph:
    name, inputs, nodes, outputs, steps = data
    loops = [Loop(_graph(step), states, most, float.fromhex(passes)) for step, states, most, passes in steps]
    # each text once: a plan lives as long as its kernel
    parsed = (
        Node(sys.intern(op), tuple(args), _payload(payload, loops), sys.intern(kind), source and sys.intern(source))
        for op, args, payload, kind, source in nodes
    )
    return Graph(name, tuple(inputs), tuple(parsed), tuple(outputs))


def _payload(data: Data, loops: list[Loop]) -> Payload:
    if isinstance(data, list):
        return Carried(loops[data[0]], data[1])
    return float.fromhex(data) if isinstance(data, str) else data
