"""Scarcity: which inner vertices of the map from tangents to output tangents are worth keeping.

The Jacobian of a kernel is a sum over paths: along each, the product of the weights of its arcs. As a matrix it may have many
more entries than there are arcs, that of a softmax for one. So the map is a small graph of arcs: to eliminate an inner vertex is
to put an arc, with the product of both weights, in the place of each pair of arcs that meet there. With all of them eliminated
the arcs are the entries of the Jacobian; with none a seed takes the way that the values came.

After A. Griewank, A. Walther, "Evaluating Derivatives" (2008), chapters 9 and 10. Here are numbers of vertices only: arcs, and
what they cost.
"""

import functools
import heapq
import operator
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

ELIMINATIONS = ("auto", "full", "greedy", "plain")
NARROW = 48  # entries of a Jacobian that is accumulated without asking what else it could be
WORTHWHILE = 0.6  # of what a full map costs: a scarce one that costs more is not worth its conditions


class Arc(NamedTuple):
    """How a vertex follows one below it: by a constant, or by a weight that is computed, for all elements or only some."""

    weight: Any = None
    is_conditional: bool = False

    @property
    def is_unit(self) -> bool:
        """Whether it takes no multiplication."""
        return self.weight is not None and abs(self.weight) == 1

    @property
    def cost(self) -> int:
        """Operations for a seed: an addition, and a multiplication and a choice if need be."""
        return 1 + (not self.is_unit) + self.is_conditional

    def after(self, other: "Arc") -> "Arc":
        """Both in turn."""
        weight = None if self.weight is None or other.weight is None else self.weight * other.weight
        return Arc(weight, self.is_conditional or other.is_conditional)

    def beside(self, other: "Arc | None") -> "Arc":
        """Both at once."""
        if other is None:
            return self
        weight = None if self.weight is None or other.weight is None else self.weight + other.weight
        return Arc(weight, self.is_conditional and other.is_conditional)


Arcs = Mapping[tuple[int, int], Arc]  # by the vertex above and the one below


class Tally(NamedTuple):
    """What a map is by one elimination.

    Attributes
    ----------
    elimination : str
    vertices : int
        Inner vertices that are kept.
    arcs : int
    multiplications : int
        For each seed.
    products : int
        Multiplications that lead to the weights.
    """

    elimination: str
    vertices: int
    arcs: int
    multiplications: int
    products: int


class LinearMap:
    """A map as arcs between vertices: heads, where seeds come in, inner ones, and tails; an arc leads from above to below.

    Attributes
    ----------
    below, above : dict
        The arcs of each vertex to those below it, and the vertices above it.
    products : int
        Multiplications that the eliminations so far took.

    Examples
    --------
    >>> chain = LinearMap({(3, 2): Arc(2), (2, 1): Arc(5), (3, 1): Arc(1)}, heads=[3])
    >>> chain.eliminate(2)
    >>> chain.below
    {3: {1: Arc(weight=11, is_conditional=False)}}
    """

    def __init__(self, arcs: Arcs, heads: Iterable[int]) -> None:
        found: dict[int, dict[int, Arc]] = {}
        for (head, tail), arc in arcs.items():
            found.setdefault(head, {})[tail] = arc
        self.below: dict[int, dict[int, Arc]] = {}
        self.above: dict[int, set[int]] = {}
        self.products = 0
        waiting = list(heads)
        while waiting:
            head = waiting.pop()
            if head in found and head not in self.below:
                self.below[head] = found[head]
                for tail in found[head]:
                    self.above.setdefault(tail, set()).add(head)
                    waiting.append(tail)

    @property
    def inner(self) -> list[int]:
        """The vertices that have arcs on both sides, in order."""
        return sorted(self.below.keys() & self.above.keys())

    @property
    def arcs(self) -> list[Arc]:
        """All of them."""
        return [arc for row in self.below.values() for arc in row.values()]

    @property
    def cost(self) -> int:
        """Operations for each seed."""
        return sum(arc.cost for arc in self.arcs)

    def tally(self, elimination: str) -> "Tally":
        """What it is now."""
        arcs = self.arcs
        return Tally(elimination, len(self.inner), len(arcs), sum(not arc.is_unit for arc in arcs), self.products)

    def eliminate(self, vertex: int) -> None:
        """Lead past an inner vertex what goes through it."""
        arcs, heads = self.below.pop(vertex), self.above.pop(vertex)
        for tail in arcs:
            self.above[tail].discard(vertex)
        for head in heads:
            outer, row = self.below[head].pop(vertex), self.below[head]
            for tail, arc in arcs.items():
                self.products += not (outer.is_unit or arc.is_unit)
                row[tail] = outer.after(arc).beside(row.get(tail))
                self.above[tail].add(head)

    def gain(self, vertex: int, seeds: int = 1) -> int:
        """How many operations so many seeds would save without a vertex, less the products that this takes, once."""
        arcs, heads = self.below[vertex], self.above[vertex]
        saved = sum(arc.cost for arc in arcs.values()) + sum(self.below[head][vertex].cost for head in heads)
        # as many arcs at least are new, each of which costs 1 or more
        fresh = sum(max(0, len(arcs) + 1 - len(self.below[head])) for head in heads)
        if fresh >= saved and fresh:
            return seeds * (saved - fresh) - 1
        products, others = 0, sum(not arc.is_unit for arc in arcs.values())
        for head in heads:
            row, outer = self.below[head], self.below[head][vertex]
            products += 0 if outer.is_unit else others
            for tail, arc in arcs.items():
                known = row.get(tail)
                saved += (known.cost if known else 0) - outer.after(arc).beside(known).cost
        return seeds * saved - products

    def reduce(self, seeds: int = 1) -> None:
        """Eliminate vertices for as long as that costs nothing, those first that save most (after Markowitz).

        Of equals the uppermost comes first: so a long sum goes term by term, without another one growing meanwhile.
        """
        waiting: Collection[int] = self.inner
        while waiting:
            best = [(-gain, -v) for v in waiting if (gain := self.gain(v, seeds)) >= 0]
            heapq.heapify(best)
            touched: set[int] = set()
            while best:
                promised, vertex = -best[0][0], -best[0][1]
                if vertex in touched and (gain := self.gain(vertex, seeds)) != promised:  # one near it is gone meanwhile
                    touched.discard(vertex)
                    if gain >= 0:
                        heapq.heapreplace(best, (-gain, -vertex))
                    else:
                        heapq.heappop(best)
                    continue
                heapq.heappop(best)
                touched |= self.above[vertex].union(self.below[vertex])
                self.eliminate(vertex)
                touched.discard(vertex)
            waiting = [v for v in touched if v in self.below and v in self.above]


class _Full(NamedTuple):
    """What the Jacobian is as a matrix: how many entries it has, and the multiplications that they take."""

    entries: int
    products: int

    def is_narrow(self, heads: Collection[int]) -> bool:
        """Whether there is nothing to save."""
        return self.entries <= NARROW or len(heads) < 2

    def costs_more_than(self, linear: LinearMap, seeds: int) -> bool:
        """Whether a scarce map is worth while for so many seeds, the way to the weights included."""
        return linear.products + seeds * linear.cost < WORTHWHILE * (self.products + 2 * seeds * self.entries)

    @classmethod
    def of(cls, linear: LinearMap, heads: Collection[int]) -> "_Full":
        order = _topological(linear, heads)
        tails = {v: 1 << k for k, v in enumerate(sorted(linear.above.keys() - linear.below.keys()))}
        for v in reversed(order):
            if v in linear.below:
                tails[v] = functools.reduce(operator.or_, (tails[tail] for tail in linear.below[v]), 0)
        reached = {v: 1 << k for k, v in enumerate(heads)}
        for v in order:
            for tail in linear.below.get(v, ()):
                reached[tail] = reached.get(tail, 0) | reached[v]
        arcs = ((v, arc) for v, row in linear.below.items() for arc in row.values() if not arc.is_unit)
        return cls(sum(tails.get(v, 0).bit_count() for v in heads), sum(reached[v].bit_count() for v, _ in arcs))


def _topological(linear: LinearMap, heads: Collection[int]) -> list[int]:
    """All vertices, each behind those above it."""
    left = {v: len(above) for v, above in linear.above.items()}
    found = list(dict.fromkeys(heads))
    for v in found:
        for tail in linear.below.get(v, ()):
            left[tail] -= 1
            if not left[tail]:
                found.append(tail)
    return found


def kept_vertices(arcs: Arcs, heads: Collection[int], elimination: str = "auto", seeds: int = 1) -> list[int]:
    """The inner vertices to keep, in order.

    Parameters
    ----------
    arcs : mapping of (int, int) to Arc
        By the vertices above and below; where there is an arc up there is none down.
    heads : collection of int
        Where seeds come in; nothing is above them.
    elimination : "auto", "full", "greedy" or "plain"
        All inner vertices eliminated; those that cost nothing; none; or what is cheapest.
    seeds : int
        The number to expect.

    Returns
    -------
    list of int

    Examples
    --------
    >>> kept_vertices({(2, 1): Arc(), (1, 0): Arc()}, [2], "plain")
    [1]
    """
    if elimination == "full":
        return []
    linear = LinearMap(arcs, heads)
    if elimination == "plain":
        return linear.inner
    full = _Full.of(linear, heads)
    if elimination == "auto" and full.is_narrow(heads):
        return []
    linear.reduce(seeds)
    return linear.inner if elimination == "greedy" or full.costs_more_than(linear, seeds) else []


def tallies(arcs: Arcs, heads: Collection[int], seeds: int = 1) -> tuple[list[Tally], str]:
    """What the map is by each elimination, and which of them "auto" takes.

    Examples
    --------
    >>> tallies({(2, 1): Arc(), (1, 0): Arc()}, [2])[0][0]
    Tally(elimination='full', vertices=0, arcs=1, multiplications=1, products=2)
    """
    linear = LinearMap(arcs, heads)
    full, plain = _Full.of(linear, heads), linear.tally("plain")
    linear.reduce(seeds)
    is_scarce = not full.is_narrow(heads) and linear.inner and full.costs_more_than(linear, seeds)
    entries = Tally("full", 0, full.entries, full.entries, full.products)
    return [entries, linear.tally("greedy"), plain], "greedy" if is_scarce else "full"
