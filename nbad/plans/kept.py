"""Plans as the disk cache keeps them, and the keys under which it does: a graph with all that it brings, and a request."""

import pickle
from dataclasses import replace

from nbad.derivatives.implicit import Implicit
from nbad.graphs.graph import Graph
from nbad.graphs.loops import Carried, Loop
from nbad.operations.table import TABLE
from nbad.plans.plan import Plan


def key(graph: Graph, *request: object) -> str:
    """Text that identifies a plan: the whole graph with its constants, the user's own operations, the request.

    Of these operations it has the partials, the formula, of which constants are made, and whether they may fail.
    It has the graphs of loops and equations, too, of which a node tells only what values depend on: plans have the lines of the
    source and the names of variables.
    """
    graphs, own = [graph], dict[str, tuple[bool, bool]]()
    for one in graphs:  # which grow
        brought = dict.fromkeys(node.payload[0] for node in one.nodes if isinstance(node.payload, Carried | Implicit))
        graphs += [each.step if isinstance(each, Loop) else each.residual for each in brought]
        for op in sorted({node.op for node in one.nodes if node.op in TABLE} - own.keys()):
            if (row := TABLE[op]).recipes:
                own[op] = row.formula is not None, row.plain is not None
                graphs += [*row.recipes(), *([row.formula] if row.formula else [])]
    told = [(g.name, g.inputs, list(map(tuple, g.nodes)), g.outputs) for g in graphs]
    return repr(("plan", told, sorted(own.items()), request))


def dumps(plan: Plan) -> bytes:
    """A plan without what follows from it; floats keep every bit. A file of the cache is as safe as code in it is."""
    return pickle.dumps(replace(plan), pickle.HIGHEST_PROTOCOL)


def loads(data: bytes) -> Plan:
    """The plan of what `dumps` gave."""
    plan: Plan = pickle.loads(data)
    return plan
