"""Why elements have no value, or warn: flags beside the outputs of a kernel, each a condition of the same inputs and a cause.

Where elements are to raise, one of the outputs passes through `alarm`, which compiled code counts; where they are to be nan, all
outputs and partials are chosen by the flags.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nbad.graphs.graph import Graph
from nbad.graphs.loops import repeated
from nbad.graphs.simplify import SimplifyingBuilder, compact
from nbad.lines import Line, line_of, user_frame


class Cause(NamedTuple):
    """Why elements have no value, or what they warn of.

    Attributes
    ----------
    error : Exception
        What the trace met.
    line : Line
        The user's.
    module : str
        The name of the module that it stands in.
    raises : callable or None
        Makes the error from a text that says where that was, and the values of `states` there by their names; None where the
        plain function is run for the element, to raise what it raises. A loop that does not end must not be run.
    states : tuple of (str, value)
        What to tell of the element.
    """

    error: Exception
    line: Line
    module: str = ""
    raises: Callable[[str, Mapping[str, float]], Exception] | None = None
    states: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def here(cls, error: Exception) -> "Cause":
        """The cause that an error is at the user's line that is running, or at none."""
        if (frame := user_frame()) is None:
            return cls(error, Line("", "", 0))
        return cls(error, line_of(frame.f_code, frame.f_lineno), str(frame.f_globals.get("__name__")))

    @property
    def is_warning(self) -> bool:
        """Whether the element has a value all the same."""
        return isinstance(self.error, Warning)


class Flag(NamedTuple):
    """A condition, traced or True, for which elements have no value, or warn, and why."""

    condition: Any
    cause: Cause


class Flags(NamedTuple):
    """The hidden flags of each element.

    Attributes
    ----------
    graph : Graph
        One condition for each cause, and behind these the values of their states in turn.
    causes : tuple of Cause
        In the order of the trace: the first whose condition holds is what happened; in `states` values are left out.
    """

    graph: Graph
    causes: tuple[Cause, ...]

    @property
    def numbers(self) -> list[int]:
        """Those of the causes that leave elements without a value."""
        return [k for k, cause in enumerate(self.causes) if not cause.is_warning]

    @property
    def warnings(self) -> list[int]:
        """Those of the others."""
        return [k for k, cause in enumerate(self.causes) if cause.is_warning]

    def states(self, number: int) -> Graph:
        """One output for each state of a cause."""
        first = len(self.causes) + sum(len(cause.states) for cause in self.causes[:number])
        outputs = self.graph.outputs[first : first + len(self.causes[number].states)]
        return compact(self.graph, outputs)

    def spliced(self, values: Sequence[Any]) -> Iterator[tuple[Any, Cause]]:
        """The causes elsewhere, each with its condition, from what the outputs of the graph are there."""
        states = iter(values[len(self.causes) :])
        for condition, cause in zip(values, self.causes, strict=False):
            yield condition, cause._replace(states=tuple((name, next(states)) for name, _ in cause.states))

    def conditions(self, builder: SimplifyingBuilder) -> list[int]:
        """The conditions as nodes of a graph that begins with the same inputs."""
        return repeated(builder, replace(self.graph, outputs=self.graph.outputs[: len(self.causes)]))

    def any(self, builder: SimplifyingBuilder, numbers: Iterable[int]) -> int:
        """Whether one of some conditions holds, as a node of such a graph."""
        conditions = self.conditions(builder)
        return builder.fold("or", [builder.constant(False), *(conditions[number] for number in numbers)])


def alarmed(graph: Graph, flags: Flags, numbers: Sequence[int]) -> Graph:
    """The same graph, its nodes under their numbers; that there are elements for which one of some flags holds is noticed."""
    if not numbers:
        return graph
    builder = SimplifyingBuilder.extending(graph)
    first, *others = graph.outputs
    return builder.build([builder.add("alarm", flags.any(builder, numbers), first), *others])


def silenced(graph: Graph, flags: Flags) -> Graph:
    """The same outputs, nan for all elements without a value."""
    builder = SimplifyingBuilder.extending(graph)
    dead, nan = flags.any(builder, flags.numbers), builder.constant(float("nan"))
    return builder.build([builder.add("select", dead, nan, output) for output in graph.outputs])


def has_alarm(graph: Graph) -> bool:
    """Whether elements without a value, or that warn, are noticed."""
    return any(node.op == "alarm" for node in graph.nodes)
