"""A graph, cut at its loops: straight parts between them, and one pass of each, which knows elements that are done.

So loops run pass by pass over all elements of a tile, and each part is free of control flow, which compilers vectorize.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nbad.graphs.graph import Graph, GraphBuilder, Node, needed
from nbad.graphs.loops import Loop

Key = tuple[tuple[int, ...], Loop]


class Part(NamedTuple):
    """Operations without loops; the names of the rows that they read and write, one for each input and output."""

    graph: Graph
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class Pass(NamedTuple):
    """One pass of a loop: `test` writes the row `going`, and where that is not 0, `step` writes the rows of the next states."""

    test: Part
    step: Part
    max_passes: int


class Stages(NamedTuple):
    """Parts, and behind each the loops that follow it; rows that are neither inputs nor outputs."""

    parts: tuple[tuple[Part, tuple[Pass, ...]], ...]
    rows: tuple[str, ...]


def staged(graph: Graph, inputs: Sequence[str], outputs: Sequence[str]) -> Stages | None:
    """The stages of a graph; None where it has no loops, or loops within loops.

    Parameters
    ----------
    graph : Graph
    inputs, outputs : sequence of str
        Names of their rows.
    """
    loops = list(dict.fromkeys((node.args, node.payload.loop) for node in graph.nodes if node.op == "loop"))
    if not loops or any(node.op == "loop" for _, loop in loops for node in loop.step.nodes):
        return None
    return _Cut(graph, inputs, outputs, loops).stages()


class _Cut:
    """A graph while it is cut; a value's level is the number of loops that are done before it is known."""

    def __init__(self, graph: Graph, inputs: Sequence[str], outputs: Sequence[str], loops: Sequence[Key]):
        self.graph, self.outputs, self.loops = graph, outputs, loops
        self.levels: list[int] = []
        for node in graph.nodes:
            self.levels.append(max((self.levels[a] for a in node.args), default=0) + (node.op == "loop"))
        self.rows = dict(enumerate(inputs))  # of the values that have one
        self.own: list[str] = []
        self.near: dict[int, str] = {}  # rows of inputs that passes read: what is loaded before a loop is not loaded in it
        self.starts: dict[Key, tuple[str, ...]] = {}  # rows of `going` and of the states
        for number, (args, loop) in enumerate(loops):
            names = (f"going{number}", *(f"state{number}_{k}" for k in range(loop.states)))
            self.starts[args, loop] = names
            self.own += names
        for k, node in enumerate(graph.nodes):
            if node.op == "loop":
                going, *states = self.starts[node.args, node.payload.loop]
                self.rows[k] = [*states, going][node.payload.place]
        for k in self._crossing():
            self.rows[k] = f"kept{k}"
            self.own.append(self.rows[k])
        for k in sorted({a for args, loop in loops for a in args[loop.states + 1 :] if graph.nodes[a].op == "input"}):
            self.near[k] = f"kept{k}"
            self.own.append(self.near[k])

    def _crossing(self) -> list[int]:
        """Values that are used behind a loop which comes after them."""
        captured = {a for args, loop in self.loops for a in args[loop.states + 1 :]}
        used = {
            a
            for k, node in enumerate(self.graph.nodes)
            for a in node.args
            if node.op != "loop" and self.levels[a] < self.levels[k]
        }
        return sorted(k for k in used | captured if k not in self.rows and self.graph.nodes[k].op != "const")

    def stages(self) -> Stages:
        """All of them, in order."""
        count = 1 + max(self.levels)
        parts = [(self._part(level), tuple(self._pass(key) for key in self._following(level))) for level in range(count)]
        return Stages(tuple(parts), tuple(self.own))

    def _following(self, level: int) -> list[Key]:
        return [(args, loop) for args, loop in self.loops if max(self.levels[a] for a in args) == level]

    def _part(self, level: int) -> Part:
        """What is known once so many loops are done."""
        wanted = [(k, row) for k, row in zip(self.graph.outputs, self.outputs, strict=True) if self.levels[k] == level]
        kept = [*self.rows.items(), *self.near.items()]
        wanted += [(k, row) for k, row in kept if row.startswith("kept") and self.levels[k] == level]
        for args, loop in self._following(level):
            wanted += zip(args, self.starts[args, loop], strict=False)
        border = self._border([k for k, _ in wanted], level)
        builder = GraphBuilder(f"{self.graph.name}_{level}", self._names(border))
        places = {k: self._read(builder, place, self.graph.nodes[k]) for place, k in enumerate(border)}
        outputs = [builder.number(k) for k in builder.rebuild(self.graph, places, [k for k, _ in wanted])]
        return Part(builder.build(outputs), tuple(self.rows[k] for k in border), tuple(row for _, row in wanted))

    def _border(self, wanted: Iterable[int], level: int) -> list[int]:
        """The nodes before a part that it reads, for some nodes."""
        inside, border, left = set[int](), set[int](), list(wanted)
        while left:
            k = left.pop()
            node = self.graph.nodes[k]
            if node.op in ("input", "loop") or (self.levels[k] < level and node.op != "const"):
                border.add(k)
            elif k not in inside:
                inside.add(k)
                left += node.args
        return sorted(border)

    def _names(self, values: Iterable[int]) -> list[str]:
        """What a function calls values that it is given."""
        return [self.graph.inputs[k] if self.graph.nodes[k].op == "input" else self.rows[k] for k in values]

    def _read(self, builder: GraphBuilder, place: int, node: Node) -> int:
        return builder.add("ne", place, builder.constant(0.0)) if node.kind == "bool" else place

    def _pass(self, key: Key) -> Pass:
        args, loop = key
        going, *states = self.starts[key]
        captured = args[loop.states + 1 :]
        rows = [k for k in dict.fromkeys(captured) if self.graph.nodes[k].op != "const"]
        builder = GraphBuilder(f"{self.graph.name}_pass", [going, *states, *self._names(rows)])
        zero = builder.constant(0.0)
        known = {k: 1 + loop.states + place for place, k in enumerate(rows)}
        given = [
            self._read(builder, known[k], self.graph.nodes[k]) if k in known else builder.constant(self.graph.nodes[k].payload)
            for k in captured
        ]
        goes_on, *following = builder.splice(loop.step, [*range(1, 1 + loop.states), *given])
        goes = builder.add("ne", 0, zero)
        more = builder.number(builder.add("and", goes, goes_on))
        new = [builder.add("select", goes, value, 1 + place) for place, value in enumerate(following)]
        graph = builder.build([more, *new])
        reads = [going, *states, *(self.near.get(k) or self.rows[k] for k in rows)]
        return Pass(_part(graph, [more], reads, [going]), _part(graph, new, reads, states), loop.max_passes)


def _part(graph: Graph, wanted: Sequence[int], reads: Sequence[str], writes: Sequence[str]) -> Part:
    """What some nodes of a graph need, as a part of its own."""
    inputs = [k for k in needed(graph, wanted) if graph.nodes[k].op == "input"]
    builder = GraphBuilder(graph.name, [graph.inputs[k] for k in inputs])
    outputs = builder.rebuild(graph, {k: place for place, k in enumerate(inputs)}, wanted)
    return Part(builder.build(outputs), tuple(reads[k] for k in inputs), tuple(writes))
