"""The derivatives of a loop: another loop, which carries those of each state by columns, and notes which states follow these.

One pass takes the derivatives D of the states to `D' = J D + K`, with the step's own Jacobian, J by the states and K by the
captured values. That comes from the same sweeps as any other, so that branches, kinks and loops in the step are right, and it
can be differentiated again: a loop has derivatives of every order.

As elsewhere, what an element does not use cannot spoil its derivatives, by predicate and not by value: a derivative counts where
its state follows the column, which for some it does from a certain pass on, and for others is noted in a state of its own.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad.graphs.graph import Graph, Node
from nbad.graphs.loops import Loop
from nbad.graphs.simplify import SimplifyingBuilder, compact

if TYPE_CHECKING:
    from nbad.derivatives.differentiate import JointGraph

LONGEST = 50  # passes after which pairs of states and columns are to follow one another as before
Pair = tuple[int, int]  # of a state and a column
Entries = dict[Pair, int]


class Guard(NamedTuple):
    """What holds where a state of the tangent loop, by its place, is at least so much."""

    place: int
    least: float


class TangentLoop(NamedTuple):
    """A loop that carries derivatives.

    Attributes
    ----------
    loop : Loop
        Its states begin with those of the primal loop.
    starts : tuple of float
        Where its other states begin.
    places : dict
        The place of the derivative of a state by a column, by both.
    guards : dict
        Where a state follows a column: elements that did no pass, or took other arms in all of them, do not use it. A pair that
        is missing does so for all elements.
    """

    loop: Loop
    starts: tuple[float, ...]
    places: Entries
    guards: dict[Pair, Guard]


def tangent_loop(
    loop: Loop, columns: Sequence[Sequence[int]], jacobian: "Callable[[Graph, tuple[int, ...]], JointGraph]"
) -> TangentLoop:
    """The loop that carries the derivatives of a loop's states.

    Parameters
    ----------
    loop : Loop
    columns : sequence of sequences of int
        The inputs of the step that are given one value, for each value to differentiate by.
    jacobian : callable
        That of `nbad.derivatives.differentiate`.

    Returns
    -------
    TangentLoop
    """
    captured = [k for column in columns for k in column if k >= loop.states]
    joint = jacobian(loop.step, (*range(loop.states), *captured))
    # of the step's outputs the first is whether it goes on
    positions = [(m - 1, n) for m, n in joint.positions]
    entries = dict(zip(positions, joint.graph.outputs[joint.n_outputs :], strict=True))
    return _Tangents(loop, columns, joint.graph, joint.graph.outputs[: joint.n_outputs], entries).made()


class _Tangents:
    """What is known while a tangent loop is made: the step with its Jacobian, and the entries of that."""

    def __init__(
        self, loop: Loop, columns: Sequence[Sequence[int]], joint: Graph, primal: tuple[int, ...], entries: Entries
    ) -> None:
        self.loop, self.columns, self.entries = loop, columns, entries
        # the columns of captured values
        self.given = {k: c for c, column in enumerate(columns) for k in column if k >= loop.states}
        self.choices = _Choices(joint.nodes)
        steady = {pair for pair, k in entries.items() if self.choices.is_steady(k)}
        levels = self._levels()
        self.carried = sorted(levels)
        # those that follow their column from some pass on, whatever arms are taken, need no note of it
        lasting = self._lasting(steady, levels)
        noted = [pair for pair in self.carried if pair not in lasting]
        self.is_counted = any(levels.values())
        self._lay_out(joint, primal, noted, levels)

    def _lay_out(self, joint: Graph, primal: tuple[int, ...], noted: Sequence[Pair], levels: Entries) -> None:
        """The inputs of the tangent step: states, derivatives, notes, a count of passes, captured values."""
        step, states = self.loop.step, self.loop.states
        slots = [*self.carried, *noted, *[None] * self.is_counted]
        names = [f"{step.inputs[s]}.{c}" for s, c in self.carried] + [f"{step.inputs[s]}.{c}?" for s, c in noted]
        names += ["passes"] * self.is_counted
        self.places = {pair: states + k for k, pair in enumerate(self.carried)}
        self.notes = {pair: states + len(self.carried) + k for k, pair in enumerate(noted)}
        self.passes = states + len(slots) - 1
        self.guards = {pair: Guard(self.passes, float(level)) for pair, level in levels.items() if level}
        self.guards |= {pair: Guard(place, 1.0) for pair, place in self.notes.items()}
        self.builder = SimplifyingBuilder(step.name, [*step.inputs[:states], *names, *step.inputs[states:]])
        inputs = {k: k if k < states else k + len(slots) for k in range(len(step.inputs))}
        self.primal = self.builder.rebuild(joint, inputs, primal)
        self.factors = dict(zip(self.entries, self.builder.rebuild(joint, inputs, self.entries.values()), strict=True))
        self.choices = _Choices(self.builder.nodes)

    def made(self) -> TangentLoop:
        """The tangent loop."""
        one, zero = self.builder.constant(1.0), self.builder.constant(0.0)
        following = [self._derivative(*pair) for pair in self.carried]
        following += [self.builder.add("select", self._follows(*pair), one, zero) for pair in self.notes]
        following += [self.builder.add("add", self.passes, one)] if self.is_counted else []
        starts = [1.0 if s in self.columns[c] else 0.0 for s, c in (*self.carried, *self.notes)] + [0.0] * self.is_counted
        step = compact(self.builder, [*self.primal, *following])
        loop = replace(self.loop, step=step, states=self.loop.states + len(starts))
        return TangentLoop(loop, tuple(starts), self.places, self.guards)

    def _levels(self) -> Entries:
        """After how many passes each state may follow each column for the first time."""
        found: Entries = dict.fromkeys(self._given(), 0)
        fresh, level = set(found), 0
        while fresh or not level:
            level += 1
            fresh = self._after_pass(self.entries, fresh) - found.keys()
            found |= dict.fromkeys(fresh, level)
        return found

    def _lasting(self, entries: Collection[Pair], levels: Entries) -> set[Pair]:
        """The pairs that do follow from that pass on for good, by these entries alone."""
        follow, seen = self._given(), list[set[Pair]]()
        while follow not in seen:
            seen.append(follow)
            follow = self._after_pass(entries, follow)
            if len(seen) > LONGEST:
                return set()
        again = seen.index(follow)
        return {pair for pair, level in levels.items() if all(pair in pairs for pairs in seen[min(level, again) :])}

    def _given(self) -> set[Pair]:
        """The pairs that follow before the first pass."""
        return {(s, c) for c, column in enumerate(self.columns) for s in column if s < self.loop.states}

    def _after_pass(self, entries: Collection[Pair], before: Collection[Pair]) -> set[Pair]:
        """The pairs that follow after a pass, by these entries, from those that did before."""
        columns: dict[int, list[int]] = {k: [c] for k, c in self.given.items()}
        for t, c in before:
            columns.setdefault(t, []).append(c)
        return {(s, c) for s, t in entries for c in columns.get(t, ())}

    def _derivative(self, s: int, c: int) -> int:
        """That of a state by a column, after one more pass."""
        always = self.builder.constant(True)
        groups: dict[int, list[int]] = {}
        for t in range(self.loop.states):
            if (s, t) in self.factors and (t, c) in self.places:
                factor = self.factors[s, t]
                # a factor that is not finite is no matter where nothing follows through it
                guard = always if self.builder.value(factor) is not None else self._guard(t, c)
                groups.setdefault(guard, []).append(self._times(factor, self.places[t, c]))
        given = [self.factors[s, k] for k in self.columns[c] if k >= self.loop.states and (s, k) in self.factors]
        terms = [*groups.pop(always, []), *given]
        for condition, products in groups.items():
            terms.append(self.builder.add("select", condition, self._total(products), self.builder.constant(0.0)))
        return self._total(terms)

    def _follows(self, s: int, c: int) -> int:
        """Whether a state follows a column after one more pass."""
        found = self.builder.constant(False)
        for (_, t), factor in ((pair, k) for pair, k in self.factors.items() if pair[0] == s):
            if t in self.given and self.given[t] == c:
                found = self.builder.add("or", found, self._condition(factor))
            elif (t, c) in self.places:
                through = self.builder.add("and", self._guard(t, c), self._condition(factor))
                found = self.builder.add("or", found, through)
        return found

    def _guard(self, t: int, c: int) -> int:
        """Whether a state follows a column before the pass."""
        if (t, c) not in self.guards:
            return self.builder.constant(True)
        place, least = self.guards[t, c]
        return self.builder.add("ge", place, self.builder.constant(least))

    def _total(self, terms: Iterable[int]) -> int:
        nonzero = [term for term in terms if self.builder.value(term) != 0.0]
        return self.builder.fold("add", nonzero) if nonzero else self.builder.constant(0.0)

    def _times(self, factor: int, tangent: int) -> int:
        """A product that is 0 wherever a branch makes the factor 0, whatever the tangent is."""
        products: dict[int, int] = {}
        for k, parts in self.choices.below(factor):
            if parts:
                products[k] = self.builder.add(*self._head(k), *(products[part] for part in parts))
            else:
                products[k] = k if self.choices.is_zero(k) else self.builder.add("mul", k, tangent)
        return products[factor]

    def _condition(self, factor: int) -> int:
        """Whether no branch makes the factor 0."""
        conditions: dict[int, int] = {}
        for k, parts in self.choices.below(factor):
            if not parts:
                conditions[k] = self.builder.constant(not self.choices.is_zero(k))
            elif self.builder.nodes[k].op == "add":
                conditions[k] = self.builder.add("or", *(conditions[part] for part in parts))
            else:
                conditions[k] = self._chosen(self.builder.nodes[k].args[0], *(conditions[part] for part in parts))
        return conditions[factor]

    def _chosen(self, condition: int, chosen: int, other: int) -> int:
        """One of two conditions."""
        inside = self.builder.add("and", condition, chosen)
        return self.builder.add("or", inside, self.builder.add("and", self.builder.add("not", condition), other))

    def _head(self, k: int) -> tuple[Any, ...]:
        node = self.builder.nodes[k]
        return (node.op, node.args[0]) if node.op == "select" else (node.op,)


class _Choices:
    """The factors among some nodes that branches make 0 for some elements: choices, and sums of such."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self._vanishing: list[bool] = []  # in order

    def is_zero(self, k: int) -> bool:
        """Whether a node is the constant."""
        return self.nodes[k].op == "const" and self.nodes[k].payload == 0.0

    def is_steady(self, factor: int) -> bool:
        """Whether no branch makes it 0."""
        return not any(self.is_zero(k) for k, parts in self.below(factor) if not parts)

    def below(self, factor: int) -> list[tuple[int, tuple[int, ...]]]:
        """The choices and sums that a factor is made of, in order, each with its parts, and what these are made of, without."""
        found, waiting = {}, [factor]
        while waiting:
            if (k := waiting.pop()) not in found:
                found[k] = self._parts(k)
                waiting += found[k]
        return sorted(found.items())

    def _parts(self, k: int) -> tuple[int, ...]:
        """Those of a choice, and of a sum of which nothing may be left."""
        node = self.nodes[k]
        is_made_of = node.op == "select" or (node.op == "add" and self._may_vanish(k))
        return node.args[node.op == "select" :] if is_made_of else ()

    def _may_vanish(self, k: int) -> bool:
        """Whether there is nothing but choices in a sum, each of which may be for 0."""
        for node in self.nodes[len(self._vanishing) :]:
            arms = [self.is_zero(a) or self._vanishing[a] for a in node.args[node.op == "select" :]]
            self._vanishing.append(any(arms) if node.op == "select" else node.op == "add" and all(arms))
        return self._vanishing[k]
