"""What a traced kernel is to others: its graph, the core shapes of its outputs, how it returns them, and how one asks for one."""

from typing import Any, NamedTuple, Protocol, TypeGuard

from nbad.graphs.flags import Flags
from nbad.graphs.graph import Graph
from nbad.graphs.structures import ALONE, Structure

Core = tuple[int, ...]


class Traced(NamedTuple):
    """The graph of a kernel, the core shape of each output, how the kernel returns them, and its flags, if it has any.

    Where all that it returns is the gradient of a function by some input slots, in order, `gradient_by` names these.
    """

    graph: Graph
    outputs: tuple[Core, ...]
    structure: Structure = ALONE
    flags: Flags | None = None
    gradient_by: tuple[int, ...] = ()


class BoundKernel(NamedTuple):
    """A call of a kernel within another one: its graph, the operand for each of its arguments, and their core shapes."""

    traced: Traced
    operands: list[Any]
    cores: list[Core]


class KernelLike(Protocol):
    """What `nbad.kernel` and `nbad.primitive` make."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def bind_traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Traced, list[Any], list[Core]]:
        """The parts of a `BoundKernel`."""


def is_kernel(value: object) -> TypeGuard[KernelLike]:
    """Whether a value can be called so. Its class is asked: objects of users may claim to have any attribute.

    Examples
    --------
    >>> import nbad
    >>> is_kernel(nbad.kernel(abs)), is_kernel(abs)
    (True, False)
    """
    return hasattr(type(value), "bind_traced")
