"""Loops on data: a step that is repeated, for each element as often as its numbers ask for; narrowed, or repeated in a builder.

A loop is one node for each state that is used. All nodes of the same operands and the same `Loop` are one loop of the machine,
so that every node is one number still, and nothing else in a graph need know how it came about.
"""

import functools
import hashlib
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from nbad.errors import InternalError
from nbad.graphs.graph import Graph, GraphBuilder, Node, Operands, key_of, needed
from nbad.graphs.interpreter import repeat
from nbad.memo import cached_property
from nbad.operations.row import BOOL, REAL, Operation
from nbad.operations.table import row_of

SHOWN = 6  # letters of the digest, where people read it


@dataclass(frozen=True, eq=False, repr=False)
class Loop:
    """What one pass does, and how often it may be done.

    For each element it is `z = initial; k = 0`, and then

        while active and goes_on(z, captured) and k < max_passes: z = next(z, captured); k += 1

    Attributes
    ----------
    step : Graph
        Its inputs are the states and behind them the captured values; its outputs are `goes_on`, a bool, and the next states.
    states : int
    max_passes : int
    passes : float
        How many to expect; costs follow it, values do not.
    """

    step: Graph
    states: int
    max_passes: int
    passes: float = 10.0

    def __post_init__(self) -> None:
        kinds = [self.step.nodes[k].kind for k in self.step.outputs]
        if not 1 <= self.states <= len(self.step.inputs) or kinds != [BOOL, *[REAL] * self.states] or self.max_passes < 1:
            raise InternalError(f"a loop of {self.states} states, {self.max_passes} passes and a step that returns {kinds}")

    @cached_property
    def digest(self) -> str:
        """What tells loops apart: all that values depend on, so not the lines of the source."""
        return digest_of(self.step, self.states, self.max_passes, self.passes)

    def __repr__(self) -> str:
        return f"<Loop {self.digest} of {self.states} states>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loop) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Loop, (self.step, self.states, self.max_passes, self.passes)

    @property
    def payloads(self) -> "list[Carried]":
        """Those of all nodes that it may have."""
        return [Carried(self, place) for place in range(self.states + 1)]

    @cached_property
    def row(self) -> Operation:
        """What the primitive table says of other operations."""
        operands = (BOOL, *[REAL] * len(self.step.inputs))
        pass_cost = self.states + sum(row_of(node.op, node.payload).cost for node in each_once(self.step))
        return Operation("loop", _last_value, operands=operands, payload=0, cost=self.passes * pass_cost)

    @cached_property
    def text(self) -> str:
        """As a graph tells it where it first uses it."""
        lines = str(self.step).splitlines()
        return "\n".join([f"loop {self.digest[:SHOWN]}, at most {self.max_passes} passes:", *(f"  {line}" for line in lines)])


def digest_of(graph: Graph, *others: Any) -> str:
    """What tells a graph, and other values, from others: all that results depend on, so not the lines of the source."""
    nodes = [(n.op, n.args, type(n.payload).__name__, repr(n.payload), n.kind) for n in graph.nodes]
    meaning = type(graph).__name__, nodes, graph.outputs, len(graph.inputs), *others
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:32]


class Carried(NamedTuple):
    """The payload of a node: which state's last value it is.

    Where `place` is the number of states, it is 1.0 for elements that are not done after the most passes, and 0.0 for others.
    """

    loop: Loop
    place: int

    @property
    def row(self) -> Operation:
        """That of the loop."""
        return self.loop.row

    @property
    def text(self) -> str:
        """That of the loop."""
        return self.loop.text

    def __repr__(self) -> str:
        return f"state {self.place} of loop {self.loop.digest}"

    def __str__(self) -> str:
        what = "unfinished" if self.place == self.loop.states else f"state {self.place}"
        return f"{what} of loop {self.loop.digest[:SHOWN]}"


def _last_value(*values: Any) -> Any:
    """One node, for operands in NumPy and its payload behind them."""
    *operands, (loop, place) = values
    return repeat(loop, operands)[place]


def each_once(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph that compute something, one for all nodes of a loop."""
    loops = set()
    for node in graph.nodes:
        if node.op == "loop":
            key = node.args, node.payload.loop
            if key not in loops:
                yield node
            loops.add(key)
        elif node.op not in ("input", "const"):
            yield node


def in_lockstep(loop: Loop, constants: Container[int]) -> bool:
    """Whether all elements do the same number of passes: that follows from inputs of the step which begin as constants alone."""
    goes_on, *following = loop.step.outputs
    wanted: set[int] = set()
    waiting = {goes_on}
    while waiting:
        inputs = {k for k in needed(loop.step, waiting) if k < len(loop.step.inputs)} - wanted
        if not all(k in constants for k in inputs):
            return False
        wanted |= inputs
        waiting = {following[k] for k in inputs if k < loop.states}
    return True


def narrow(graph: Graph) -> Graph:
    """The same outputs from loops that carry only what somebody uses; where there are loops, nothing dead is left."""
    if "loop" not in {node.op for node in graph.nodes}:
        return graph
    used: dict[tuple[tuple[int, ...], Loop], set[int]] = {}
    for k in needed(graph, graph.outputs):
        if (node := graph.nodes[k]).op == "loop":
            used.setdefault((node.args, node.payload.loop), set()).add(node.payload.place)
    if not used:
        return graph
    found = {key: _narrowed(key[1], frozenset(places), _given(graph, *key)) for key, places in used.items()}
    builder, inputs = GraphBuilder(graph.name, graph.inputs), {k: k for k in range(len(graph.inputs))}

    def narrowed(node: Node, args: tuple[int, ...]) -> tuple[tuple[int, ...], Carried]:
        one = found[node.args, node.payload.loop]
        return (args[0], *(args[1 + kept] for kept in one.kept)), one.carried(node.payload)

    return builder.build(builder.rebuild(graph, inputs, graph.outputs, of_loop=narrowed))


def repeated(builder: GraphBuilder, graph: Graph) -> list[int]:
    """The outputs of a graph of the same inputs, repeated in a builder.

    Whether a loop is done is asked of one that the builder has already, if that goes on as long: of one that carries derivatives
    beside the states, for example, so that the loop need not run for this alone.
    """
    graph, known = narrow(graph), dict[Any, tuple[tuple[int, ...], Loop]]()
    for node in builder.nodes:
        if node.op == "loop":
            known.setdefault(_end(builder, node.args, node.payload.loop), (node.args, node.payload.loop))

    def known_end(node: Node, args: tuple[int, ...]) -> tuple[tuple[int, ...], Carried]:
        loop, place = node.payload
        if place < loop.states:
            return args, node.payload
        args, loop = known.get(_end(builder, args, loop), (args, loop))
        return args, Carried(loop, loop.states)

    return builder.rebuild(graph, {k: k for k in range(len(graph.inputs))}, graph.outputs, of_loop=known_end)


def _end(builder: GraphBuilder, args: tuple[int, ...], loop: Loop) -> Any:
    """What decides how long a loop goes on: the loop that does nothing else, and its operands."""
    narrowed = _narrowed(loop, frozenset([loop.states]), _given(builder, args, loop))
    return narrowed.loop, args[0], tuple([args[1 + k] for k in narrowed.kept])


class _Narrowed(NamedTuple):
    """A loop, which inputs of the step of a wider one it has, and where the states of that are."""

    loop: Loop
    kept: tuple[int, ...]
    places: dict[int, int]

    def carried(self, before: Carried) -> Carried:
        return Carried(self.loop, self.loop.states if before.place == before.loop.states else self.places[before.place])


def _given(graph: Graph | GraphBuilder, args: tuple[int, ...], loop: Loop) -> tuple[int | str, ...]:
    """For each input of the step the text of what it is given, if that is a constant, else the first that is given the same.

    States and captured values are told apart.
    """
    nodes, found = graph.nodes, list[int | str]()
    for first, inputs in ((0, args[1 : loop.states + 1]), (loop.states, args[loop.states + 1 :])):
        same = {a: k for k, a in reversed(list(enumerate(inputs, first)))}
        found += [nodes[a].payload.hex() if nodes[a].op == "const" else same[a] for a in inputs]
    return tuple(found)


@functools.lru_cache(256)
def _narrowed(loop: Loop, places: frozenset[int], given: tuple[int | str, ...]) -> _Narrowed:
    step, states = loop.step, _used_states(loop, places)
    goes_on, *following = step.outputs
    captured = {k: same for k, same in enumerate(given) if k >= loop.states}
    equal = _equal_states(loop, sorted(states), given)
    own = sorted(set(equal.values()))
    wanted = needed(step, [goes_on, *(following[s] for s in own)])
    own_captured = {captured[k] for k in wanted if k in captured}
    kept = (*own, *sorted(k for k in own_captured if isinstance(k, int)))
    builder = GraphBuilder(step.name, [step.inputs[k] for k in kept])
    known = _known(builder, {k: place for place, k in enumerate(kept)}, equal | captured)
    outputs = builder.rebuild(step, known, [goes_on, *(following[s] for s in own)])
    narrowed = replace(loop, step=narrow(builder.build(outputs)), states=len(own))
    is_same = kept == tuple(range(len(step.inputs))) and narrowed == loop
    return _Narrowed(loop if is_same else narrowed, kept, {s: own.index(one) for s, one in equal.items()})


def _used_states(loop: Loop, places: frozenset[int]) -> set[int]:
    """The states that some of them, and whether the loop goes on, follow from; one at least."""
    found = _closed(loop, places - {loop.states} or frozenset([0]), lambda wanted: needed(loop.step, wanted))
    return {k for k in found if k < loop.states}


@functools.lru_cache(256)
def read_inputs(loop: Loop, places: frozenset[int]) -> frozenset[int]:
    """The inputs of the step that some states, and whether the loop goes on, follow from, these states included.

    What a loop within the step begins a state with that nobody asks for is read by nobody.
    """
    return _closed(loop, places, lambda wanted: _read(loop.step, wanted))


def _read(graph: Graph, wanted: Iterable[int]) -> set[int]:
    """The nodes whose values some nodes follow from."""
    found = set(wanted)
    for k in range(max(found, default=-1), -1, -1):
        node = graph.nodes[k]
        if k in found and node.op == "loop":
            active, *inputs = node.args
            found.update((active, *(inputs[s] for s in read_inputs(node.payload.loop, frozenset([node.payload.place])))))
        elif k in found:
            found.update(node.args)
    return found


def _closed(loop: Loop, places: frozenset[int], sources: Callable[[list[int]], Iterable[int]]) -> frozenset[int]:
    """The inputs of the step that states follow from; `sources` are the nodes that some nodes follow from."""
    goes_on, *following = loop.step.outputs
    found = set(places) - {loop.states}
    while True:
        wanted = sources([goes_on, *(following[s] for s in found if s < loop.states)])
        if (more := found.union(k for k in wanted if k < len(loop.step.inputs))) == found:
            return frozenset(found)
        found = more


def _equal_states(loop: Loop, states: list[int], given: tuple[int | str, ...]) -> dict[int, int]:
    """For each state the first one that is the same in all passes: both begin alike, and follow from equal states alike."""
    step, following = loop.step, loop.step.outputs[1:]
    equal = _firsts({s: given[s] for s in states})
    nodes = [(k, key_of(*step.nodes[k][:3])) for k in needed(step, [following[s] for s in states])]
    while len(classes := set(equal.values())) < len(states):
        numbers: dict[int, int] = {}  # of nodes, the same for those that compute the same from equal states
        known: dict[Hashable, int] = {}
        operands = Operands(numbers)
        for k, (op, _, payload) in nodes:
            what = ("input", equal.get(k, given[k])) if op == "input" else (op, payload, *operands.of(step.nodes[k]))
            numbers[k] = known.setdefault(what, len(known))
        equal = _firsts({s: (equal[s], numbers[following[s]]) for s in states})
        if len(set(equal.values())) == len(classes):
            break
    return equal


def _firsts(what: dict[int, Hashable]) -> dict[int, int]:
    """For each number the first one for which there is the same."""
    first = {value: s for s, value in reversed(list(what.items()))}
    return {s: first[value] for s, value in what.items()}


def _known(builder: GraphBuilder, places: dict[int, int], instead: Mapping[int, int | str]) -> dict[int, int]:
    """Where the inputs of a step are in a builder: `instead` are those that are constants, or the same as others."""
    known = dict(places)
    for k, same in instead.items():
        if isinstance(same, str):
            known[k] = builder.constant(float.fromhex(same))
        elif same in places:
            known[k] = places[same]
    return known
