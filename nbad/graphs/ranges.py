"""Ranges: between which numbers a node lies whatever the inputs are, as far as that is plain to see."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nbad.graphs.graph import Node

Range = tuple[float, float] | None  # the least and the greatest number that a node may be; None where it may be any, or nan
_ROUNDED: dict[str, Callable[[float], float]] = {"floor": math.floor, "ceil": math.ceil, "trunc": math.trunc}
_EXTREMES = dict.fromkeys(("pymin", "fmin", "minimum"), min) | dict.fromkeys(("pymax", "fmax", "maximum"), max)
_KNOWN = {"select", "add", "sub", *_ROUNDED, *_EXTREMES}


def range_of(nodes: Sequence[Node], node: int, known: Mapping[int, tuple[float, float]]) -> Range:
    """The range of a node, where those of some others are known."""
    found: dict[int, Range] = dict(known)
    waiting = [node]
    while waiting:
        k = waiting.pop()
        operands = _operands(nodes[k])
        if k in found:
            continue
        if unknown := [a for a in operands if a not in found]:
            waiting += [k, *unknown]
        else:
            found[k] = _range(nodes[k], [found[a] for a in operands])
    return found[node]


def _operands(node: Node) -> tuple[int, ...]:
    """The operands by which the range of a node is told."""
    return () if node.op not in _KNOWN else node.args[1:] if node.op == "select" else node.args


def _range(node: Node, operands: Sequence[Range]) -> Range:
    if node.op == "const":
        value: Any = node.payload
        return (value, value) if math.isfinite(value) else None
    known = [operand for operand in operands if operand is not None]
    if not operands or len(known) < len(operands):
        return None
    lows, highs = zip(*known, strict=True)
    if node.op == "select":
        return min(lows), max(highs)
    if node.op in ("add", "sub"):
        (low, high), other = known
        least, greatest = other if node.op == "add" else (-other[1], -other[0])
        return low + least, high + greatest
    change = _ROUNDED.get(node.op)
    return (change(*lows), change(*highs)) if change else (_EXTREMES[node.op](lows), _EXTREMES[node.op](highs))
