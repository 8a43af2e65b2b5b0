"""The greatest or least of many: its derivative is shared by those that are equal to it, 1/k each.

The value is found two by two. That chain of choices is no way for derivatives: in it a tie is one of two values at a time, so the
shares of all would take nine operations a value to follow. A node behind the chain has its end as its value and all the values
as operands, and with each of these it is one comparison.
"""

import functools
from typing import Any, NamedTuple

from nbad.operations.row import REAL, Operation


class Tied(NamedTuple):
    """The payload of a node: its first operand is its value, whose derivative so many others share where they equal it."""

    items: int

    @property
    def row(self) -> Operation:
        """What the primitive table says of other operations; its edges are made in `nbad.derivatives.edges`."""
        return _row(self.items)

    def __repr__(self) -> str:
        return f"one of {self.items}"


@functools.cache
def _row(items: int) -> Operation:
    operands = (REAL,) * (items + 1)
    return Operation("tied", _first, operands=operands, payload=0, expression="x", expansion=_expanded, cost=0.0)


def _first(value: Any, *_: Any) -> Any:
    return value


def _expanded(g: Any, value: Any, *_: Any) -> Any:
    return value
