"""Factors that all ways into an inner vertex share: they move behind it, where they make weights of others.

An inner vertex has no unit of its own: what leads into it may be divided by what all that leads out of it is multiplied by. Into
the sum that a softmax divides by lead the weights `-y/s`, and out of it `e`; with `-1/s` behind the vertex these are `y` and
`-e/s`, which is `-y`: 64 outputs have 64 different weights and no more, where they had 192.
"""

from collections.abc import Collection
from typing import NamedTuple

from nbad.graphs.simplify import SimplifyingBuilder

Entries = dict[tuple[int, int], int]  # a node for each output or vertex, and each input or vertex


class _Factored(NamedTuple):
    """A weight as a product with a reciprocal, or the negative of one; `is_scaled` where it is 0 by an infinite one, too."""

    is_negative: bool
    rest: int
    reciprocal: int
    is_scaled: bool


def moved(
    builder: SimplifyingBuilder, entries: Entries, vertices: range, inputs: int, fixed: Collection[int]
) -> tuple[Entries, frozenset[int]]:
    """The entries of a map with the same products along its ways, and the vertices that have another unit now.

    Parameters
    ----------
    builder : SimplifyingBuilder
        Where they are nodes, beside the primal.
    entries : dict
    vertices : range
        The rows of the inner vertices; the column of the first is `inputs`.
    inputs : int
    fixed : collection of int
        Numbers of entries that count for some elements only: a vertex that they lead into or out of stays what it is.

    Returns
    -------
    dict
        With the same keys in the same order.
    frozenset of int
        Their numbers, from 0 on.
    """
    into: dict[int, list[tuple[int, int]]] = {}
    out: dict[int, list[tuple[int, int]]] = {}
    stays: set[int] = set()
    for number, (row, column) in enumerate(entries):
        ends = row, vertices.start + column - inputs  # as rows
        into.setdefault(ends[1], []).append((row, column))
        out.setdefault(ends[0], []).append((row, column))
        stays.update(ends if number in fixed else ())
    while True:
        found, loose = dict(entries), set[tuple[int, int]]()
        free = [vertex for vertex in reversed(vertices) if vertex not in stays]  # a factor may move on to the next one
        changed = [vertex for vertex in free if _move(builder, found, into.get(vertex, []), out.get(vertex, []), loose)]
        if not loose:
            return found, frozenset(vertex - vertices.start for vertex in changed)
        stays.update(row for row, _ in loose)


def _move(
    builder: SimplifyingBuilder,
    entries: Entries,
    into: list[tuple[int, int]],
    out: list[tuple[int, int]],
    loose: set[tuple[int, int]],
) -> bool:
    """Move the factor behind one vertex, if that leaves fewer weights to compute; tells whether it did.

    `loose` are the places of weights that it is left in, which are infinite where it is: ways that are 0 there would be nan, but
    0 over a subnormal sum is flat in that. In the end there may be none.
    """
    factored = [_factored(builder, entries[place]) for place in into]
    first = factored[0] if factored else None
    if first is None or any(other is None or other.reciprocal != first.reciprocal for other in factored):
        return False
    known = {place: _quotient(builder, entries[place], first.reciprocal) for place in out}
    if 2 * sum(k is None for k in known.values()) > len(into):
        return False
    ways = [way for way in factored if way is not None]
    if any(way.is_scaled for way in ways) or not loose.isdisjoint(into):
        loose.difference_update(into)
        loose.update(place for place, k in known.items() if k in (None, first.reciprocal))
    negates = all(way.is_negative for way in ways)  # then the minus moves, too
    for place, way in zip(into, ways, strict=True):
        entries[place] = builder.add("neg", way.rest) if way.is_negative and not negates else way.rest
    for place, quotient in known.items():
        weight = builder.add("mul", first.reciprocal, entries[place]) if quotient is None else quotient
        entries[place] = builder.add("neg", weight) if negates else weight
    for place, k in entries.items():  # a quotient that is there is as good as a product with the reciprocal
        same = _factored(builder, k)
        if same is not None and same.reciprocal == first.reciprocal and not same.is_negative:
            quotient = _quotient(builder, same.rest, first.reciprocal)
            entries[place] = k if quotient is None else quotient
    return True


def _factored(builder: SimplifyingBuilder, k: int) -> _Factored | None:
    """How a weight is a product with a reciprocal; None where it is none."""
    inside = builder.inner(k, "neg")
    node = builder.nodes[k if inside is None else inside]
    if node.op in ("mul", "over"):
        first, *_, last = node.args
        for rest, other in ((first, last), (last, first)):
            if _is_reciprocal(builder, other):
                return _Factored(inside is not None, rest, other, node.op == "over")
    return None


def _is_reciprocal(builder: SimplifyingBuilder, k: int) -> bool:
    node = builder.nodes[k]
    return node.op == "div" and builder.value(node.args[0]) == 1.0


def _quotient(builder: SimplifyingBuilder, k: int, reciprocal: int) -> int | None:
    """The node that is `k`, or twice a node, divided by what the reciprocal is of, where that quotient is there already."""
    node, divisor = builder.nodes[k], builder.nodes[reciprocal].args[1]
    if node.op == "add" and node.args[0] == node.args[1]:
        half = builder.find("div", node.args[0], divisor)
        return None if half is None else builder.add("add", half, half)
    return builder.find("div", k, divisor)
