"""What a loop carries from pass to pass: the numbers in its variables, lists and arrays, each as a state."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.language import arrays, objects
from nbad.language.merging import is_number
from nbad.language.trace import is_whole_number
from nbad.language.values import TracedCondition, TracedReal, TracedWhole, Tracer
from nbad.operations.row import REAL

if TYPE_CHECKING:
    from nbad.language.trace import Trace

# what a number is to Python, the narrowest first; a signed whole number may be -0
CONDITION, WHOLE, SIGNED, ANY = range(4)
_ATOMS = (str, bytes, type(None), range, slice, complex)


@dataclass
class State:
    """One number that changes from pass to pass.

    Attributes
    ----------
    name : str
    kind : int
        What it is to Python in each pass.
    initial : number, plain or traced
        What it is in the first pass; nobody reads it where it is what only the last pass leaves.
    next : number, plain or traced, or None
        What it is in the next pass; None where nothing was written to it.
    node : int
        What stands for it in the pass that is traced.
    """

    trace: "Trace"
    name: str
    kind: int
    initial: Any = 0.0
    next: Any = None
    node: int = field(init=False)

    def __post_init__(self) -> None:
        self.node = self.trace.builder.state()

    @property
    def value(self) -> Any:
        """What the pass sees."""
        return number_of(self.trace, self.node, self.kind)

    def node_of(self, number: Any) -> int:
        """The node of a number, as one of the state's kind."""
        if isinstance(number, TracedWhole) and self.kind == ANY:
            return self.trace.real(number)._node
        return self.trace.node(number, REAL)

    @property
    def is_fixed(self) -> bool:
        """Whether it is in the next pass what it was."""
        return self.next is None or (isinstance(self.next, Tracer) and self.next._node == self.value._node)


def kind_of(number: Any) -> int:
    """The kind of a number, plain or traced."""
    if isinstance(number, (TracedCondition, bool, np.bool_)):
        return CONDITION
    if not is_whole_number(number):
        return ANY
    return SIGNED if isinstance(number, TracedWhole) and number.is_signed else WHOLE


def number_of(trace: "Trace", node: int, kind: int) -> Any:
    """The traced value of a real node, as a number of a kind."""
    if kind == CONDITION:
        return trace.apply("ne", (TracedReal(trace, node), 0.0))
    return TracedReal(trace, node) if kind == ANY else TracedWhole(trace, node, is_signed=kind == SIGNED)


def numbers(value: Any) -> Iterator[Any]:
    """The numbers in a value, and in the tuples, lists and arrays in it, in order."""
    if is_number(value):
        yield value
    elif _is_array(value):
        yield from value.view(np.ndarray).flat
    elif isinstance(value, tuple) or type(value) is list:
        for part in value:
            yield from numbers(part)


def rebuilt(trace: "Trace", value: Any, change: Callable[[Any], Any]) -> Any:
    """The same with other numbers."""
    if is_number(value):
        return change(value)
    if _is_array(value):
        return arrays.wrap(trace, objects.filled(map(change, numbers(value)), value.shape))
    if type(value) in (list, tuple):
        return type(value)(rebuilt(trace, part, change) for part in value)
    if isinstance(value, tuple):
        return value._make(rebuilt(trace, part, change) for part in value)  # type: ignore[attr-defined]
    return value


def likeness(value: Any) -> Any:
    """What a value is apart from its numbers: values that are alike can follow one another."""
    if is_number(value):
        return "number"
    if _is_array(value):
        return "array", value.shape
    if type(value) in (list, tuple) or hasattr(type(value), "_make"):
        return type(value), tuple(map(likeness, value))
    return ("atom", type(value), repr(value)) if isinstance(value, _ATOMS) else ("object", id(value))


def is_carried(value: Any) -> bool:
    """Whether a value is made of numbers, and of what never changes."""
    if type(value) in (list, tuple) or hasattr(type(value), "_make"):
        return all(map(is_carried, value))
    return is_number(value) or _is_array(value) or isinstance(value, _ATOMS)


def _is_array(value: Any) -> bool:
    """Whether a value is an array of numbers to compute with; those of integers and bools are indices and masks."""
    return isinstance(value, np.ndarray) and value.ndim > 0 and value.dtype in (object, float)
