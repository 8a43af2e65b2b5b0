"""The derivatives of a loop: another loop, which carries beside each state its derivatives by what the loop was given.

One pass takes the derivatives D of the states to `D' = J D + K`, with the step's own Jacobian, J by the states and K by the
captured values. That comes from the same sweeps as any other, so that branches, kinks and loops in the step are right, and it
can be differentiated again: a loop has derivatives of every order.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nbad.graphs.graph import Graph
from nbad.graphs.loops import Loop
from nbad.graphs.simplify import SimplifyingBuilder, compact

if TYPE_CHECKING:
    from nbad.graphs.differentiate import JointGraph

Entries = dict[tuple[int, int], int]


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
    """

    loop: Loop
    starts: tuple[float, ...]
    places: Entries


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
        That of `nbad.graphs.differentiate`.

    Returns
    -------
    TangentLoop
    """
    captured = [k for column in columns for k in column if k >= loop.states]
    joint = jacobian(loop.step, (*range(loop.states), *captured))
    # of the step's outputs the first is whether it goes on
    entries = {(m - 1, n): k for (m, n), k in zip(joint.positions, joint.graph.outputs[joint.n_outputs :], strict=True)}
    return _Tangents(loop, columns, joint, entries).made()


class _Tangents:
    """What is known while a tangent loop is made."""

    def __init__(self, loop: Loop, columns: Sequence[Sequence[int]], joint: "JointGraph", entries: Entries) -> None:
        self.loop, self.columns, self.joint, self.entries = loop, columns, joint, entries
        self.vanishing: list[bool] = []  # of the nodes of the builder
        self.levels = self._levels()
        self.carried = sorted(self.levels)  # pairs of state and column
        self.guarded = any(self._needs_guard(t, c, k) for (_, t), k in entries.items() for c in range(len(columns)))
        more = [*(f"{loop.step.inputs[s]}.{c}" for s, c in self.carried), *["passes"] * self.guarded]
        step, states = loop.step, loop.states
        self.builder = SimplifyingBuilder(step.name, [*step.inputs[:states], *more, *step.inputs[states:]])
        self.slots = {pair: states + number for number, pair in enumerate(self.carried)}
        self.passes = states + len(self.carried)  # the slot, where there is one
        self.places = {k: k if k < states else k + len(more) for k in range(len(step.inputs))}

    def made(self) -> TangentLoop:
        """The tangent loop."""
        primal = self.builder.rebuild(self.joint.graph, self.places, self.joint.graph.outputs[: self.joint.n_outputs])
        factors = self.builder.rebuild(self.joint.graph, self.places, self.entries.values())
        found = dict(zip(self.entries, factors, strict=True))
        following = [self._sum(s, c, found) for s, c in self.carried]
        counted = [self.builder.add("add", self.passes, self.builder.constant(1.0))] if self.guarded else []
        step = compact(self.builder.build([*primal, *following, *counted]))
        starts = [1.0 if s in self.columns[c] else 0.0 for s, c in self.carried]
        loop = replace(self.loop, step=step, states=self.loop.states + len(starts) + len(counted))
        return TangentLoop(loop, (*starts, *[0.0] * len(counted)), self.slots)

    def _levels(self) -> Entries:
        """After how many passes each state follows each column for the first time."""
        found = {(s, c): 0 for c, column in enumerate(self.columns) for s in column if s < self.loop.states}
        captured = {k: c for c, column in enumerate(self.columns) for k in column if k >= self.loop.states}
        level, fresh = 1, set(found)
        while fresh or level == 1:
            reached = {(s, c) for s, t in self.entries for u, c in fresh if u == t}
            if level == 1:
                reached |= {(s, captured[k]) for s, k in self.entries if k in captured}
            fresh = reached - found.keys()
            found |= dict.fromkeys(fresh, level)
            level += 1
        return found

    def _needs_guard(self, t: int, c: int, factor: int) -> bool:
        """Whether a factor may be infinite before state `t` follows a column at all, so that its derivative is no number."""
        return self.levels.get((t, c), 0) > 0 and self.joint.graph.nodes[factor].op != "const"

    def _sum(self, s: int, c: int, factors: Entries) -> int:
        """The derivative of a state after a pass, by a column."""
        captured = [k for k in self.columns[c] if k >= self.loop.states and (s, k) in factors]
        return self._total([*self._through_states(s, c, factors), *(factors[s, k] for k in captured)])

    def _through_states(self, s: int, c: int, factors: Entries) -> Iterator[int]:
        """What comes through states that follow the column at once, then through those that follow it after so many passes."""
        groups: dict[int, list[int]] = {}
        for t in range(self.loop.states):
            if (s, t) in factors and (t, c) in self.slots:
                level = self.levels[t, c] if self._needs_guard(t, c, self.entries[s, t]) else 0
                groups.setdefault(level, []).append(self._times(factors[s, t], self.slots[t, c]))
        for level, terms in sorted(groups.items()):
            total = self._total(terms)
            if level:
                follows = self.builder.add("ge", self.passes, self.builder.constant(float(level)))
                total = self.builder.add("select", follows, total, self.builder.constant(0.0))
            yield total

    def _total(self, terms: Iterable[int]) -> int:
        nonzero = [term for term in terms if self.builder.value(term) != 0.0]
        return functools.reduce(lambda a, b: self.builder.add("add", a, b), nonzero) if nonzero else self.builder.constant(0.0)

    def _times(self, factor: int, tangent: int) -> int:
        """A product that is 0 wherever a branch makes the factor 0, whatever the tangent is."""
        parts, waiting = set(), [factor]
        while waiting:
            if (k := waiting.pop()) not in parts:
                parts.add(k)
                waiting += self._parts(k)
        products: dict[int, int] = {}
        for k in sorted(parts):
            node = self.builder.nodes[k]
            if inner := self._parts(k):
                condition = node.args[:1] if node.op == "select" else ()
                products[k] = self.builder.add(node.op, *condition, *(products[part] for part in inner))
            else:
                products[k] = k if self.builder.value(k) == 0.0 else self.builder.add("mul", k, tangent)
        return products[factor]

    def _parts(self, k: int) -> tuple[int, ...]:
        """Those of a choice, and of a sum of which nothing may be left."""
        node = self.builder.nodes[k]
        is_made_of = node.op == "select" or (node.op == "add" and self._may_vanish(k))
        return node.args[node.op == "select" :] if is_made_of else ()

    def _may_vanish(self, k: int) -> bool:
        """Whether there is nothing but choices in a sum, each of which may be for 0."""
        for node in self.builder.nodes[len(self.vanishing) :]:
            arms = [self.builder.value(a) == 0.0 or self.vanishing[a] for a in node.args[node.op == "select" :]]
            self.vanishing.append(any(arms) if node.op == "select" else node.op == "add" and all(arms))
        return self.vanishing[k]
