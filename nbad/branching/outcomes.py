"""What a loop leaves: its pass becomes a step, the graph gets the loop, and variables, containers and returns their values."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad.branching import no_value
from nbad.branching.branches import Loss
from nbad.branching.returns import Outcome
from nbad.branching.states import ANY, CONDITION, State, is_carried, kind_of, number_of, numbers, rebuilt
from nbad.errors import NotConvergedError
from nbad.graphs.flags import Cause, Flag
from nbad.graphs.loops import Loop as Repeated
from nbad.graphs.steps import Step, dependents, extract
from nbad.language.arrays import owner
from nbad.language.merging import both, containers
from nbad.language.values import Tracer
from nbad.operations.row import BOOL
from nbad.rewriting.scopes import is_own

if TYPE_CHECKING:
    from nbad.branching.passes import Pass
    from nbad.language.trace import Trace

SHOWN = 8  # states of an element that an error tells
USUAL = 10.0  # passes to expect where nothing is known


class Count(NamedTuple):
    """What a `for` loop counts: from an item on, by a step, until before a stop; and how many passes that makes, if known."""

    item: Any
    step: int
    stop: Any
    passes: int | None


class Limits(NamedTuple):
    """What a pass for all may be, where the passes could be run one by one as well.

    Attributes
    ----------
    plain : set of str
        Variables that would be plain integers then.
    operations : float
        How many it may have.
    """

    plain: frozenset[str]
    operations: float


class Left(NamedTuple):
    """What a run of a pass left behind.

    Attributes
    ----------
    values : mapping
        Variables.
    items : dict
        Those of containers that were written to, by their identity.
    returned : Any
        The condition of the elements that returned, traced or plain.
    outcome : Outcome or None
        What these return.
    flags : list of Flag
        By which some elements have no value.
    """

    values: Mapping[str, Any]
    items: dict[int, list[Any]]
    returned: Any
    outcome: Outcome | None
    flags: list[Flag]


class Outcomes:
    """The loop of a pass, in the graph; and what it leaves.

    Attributes
    ----------
    values : dict
        What variables are to be set to; the others are to be deleted.
    """

    def __init__(self, run: "Pass", left: Left) -> None:
        self._run, self._left, self._trace, self._flow = run, left, run.trace, run.flow
        self._last: dict[tuple[int, int], State] = {}  # what only the last pass leaves, by node and kind
        self._final: dict[int, Any] = {}  # numbers after the loop, by the nodes of the states
        self._known: dict[int, Any] = {}  # containers after the loop, by what they are in the pass
        self._states = list(run.states.values())
        self._fixed = [state for state in self._states if state.is_fixed]
        moving = [state for state in self._states if not state.is_fixed]
        builder = self._trace.builder
        self._depending = dependents(builder, run.first, {state.node for state in self._states})
        flags = [self._flag(condition) for condition in (left.returned, *(flag.condition for flag in left.flags))]
        is_left = isinstance(run.is_left, Tracer) or left.returned is not False or left.flags
        is_counted = run.count is not None and run.count.passes is not None and not is_left
        self._counted = run.limits.plain if is_counted and run.limits is not None else frozenset[str]()
        unbound = {k for k in range(run.first, len(builder.nodes)) if builder.nodes[k].op == "unbound"}
        self._unbound = dependents(builder, run.first, unbound)
        self._carry(run, left)
        self._build([*moving, *filter(None, flags), *self._last.values()], [flag for flag in flags if flag])
        self.values = dict(self._variables())
        self._write()
        self._return(flags[0])
        self._raise(flags[1:])

    # before the loop is built

    def _flag(self, condition: Any) -> State | None:
        """The state of a condition that ends the loop; None where it never holds."""
        return None if condition is False else State(self._trace, "done", CONDITION, False, condition)

    def _depends(self, number: Any) -> bool:
        return isinstance(number, Tracer) and number._node in self._depending

    def _carry(self, run: "Pass", left: Left) -> None:
        """Find what only the last pass leaves."""
        loose = [v for name, v in left.values.items() if name in run.names and name not in run.values and self._is_bound(v)]
        loose += [] if left.outcome is None else [left.outcome.value]
        loose += [value for flag in left.flags for _, value in flag.cause.states]
        for number in itertools.chain.from_iterable(map(numbers, filter(is_carried, loose))):
            if self._depends(number):
                key = number._node, kind_of(number)
                self._last.setdefault(key, State(self._trace, "last", key[1], next=number))

    def _is_bound(self, value: Any) -> bool:
        """Whether a value has numbers whatever arms the last pass took."""
        return not any(isinstance(x, Tracer) and x._node in self._unbound for x in numbers(value))

    # the loop

    def _build(self, moving: list[State], flags: list[State]) -> None:
        """Put the loop into the graph."""
        trace, run = self._trace, self._run
        builder, goes_on = trace.builder, run.asked
        for flag in flags:
            goes_on = both(trace, goes_on, trace.logic("not", flag.value))
        if not moving:
            moving = [State(trace, "none", ANY, next=0.0)]
        wanted = [trace.node(goes_on, BOOL), *(state.node_of(state.next) for state in moving)]
        if not self._unbound.isdisjoint(wanted):
            name = next((state.name for state, node in zip(moving, wanted[1:], strict=True) if node in self._unbound), "done")
            raise trace.refusal_of("one-sided", line=run.line, name=name)
        fixed = {state.node: state.node_of(state.initial) for state in self._fixed}
        step = extract(builder, run.first, {state.node: state.name for state in moving}, fixed, wanted)
        self._check(step, moving)
        known = run.count and run.count.passes
        loop = Repeated(step.graph, len(moving), known or trace.max_passes, float(known or USUAL))
        active = trace.node(no_value.living(trace), BOOL)
        initial = [state.node_of(state.initial) for state in moving]
        source, builder.source = builder.source, run.line.place
        *ends, unfinished = builder.loop(active, initial, step.captured, loop)
        builder.source = source
        trace.operations += len(moving) + sum(node.op not in ("input", "const") for node in step.graph.nodes)
        for state, node in zip(moving, ends, strict=True):
            self._final[state.node] = number_of(trace, node, state.kind)
        self._final |= {state.node: state.initial for state in self._fixed}
        self._unfinished = None if known else trace.apply("ne", (trace.value(unfinished), 0.0))

    def _check(self, step: Step, moving: list[State]) -> None:
        """Refuse a pass for all where passes one by one are better, or exact where floats are not."""
        limits = self._run.limits
        if limits is None:
            return
        size = sum(node.op not in ("input", "const") for node in step.graph.nodes)
        exact = [state for state in moving if state.name in limits.plain and not self._is_counter(state)]
        if size > limits.operations or exact:
            raise self._trace.refusal_of("loop size", line=self._run.line)

    def _change(self, state: State) -> float | None:
        """By how much a state changes in each pass, if that is a constant."""
        nodes = self._trace.builder.nodes
        op, args, *_ = nodes[state.node_of(state.next)]
        if op not in ("add", "sub") or state.node not in args or (op == "sub" and args[0] != state.node):
            return None
        other = nodes[args[1] if args[0] == state.node else args[0]]
        return None if other.op != "const" else other.payload if op == "add" else -other.payload

    def _is_item(self, state: State) -> bool:
        """Whether a state is in each pass what a `for` loop is at."""
        item = self._run.states.get("item")
        return item is not None and state.node_of(state.next) == item.node

    def _is_counter(self, state: State) -> bool:
        """Whether a state is exact as a float."""
        change = self._change(state)
        return self._is_item(state) or (change is not None and change == int(change))

    # after the loop

    def _number(self, number: Any) -> Any:
        """What a number of the last pass is after the loop."""
        if not self._depends(number):
            return number
        return self._final[self._last[number._node, kind_of(number)].node]

    def _variables(self) -> Iterator[tuple[str, Any]]:
        run, found = self._run, self._left.values
        for name in filter(found.__contains__, run.names):
            value = found[name]
            if run.is_kept(name, value):
                yield name, run.before.values[name]
            elif name in run.values:
                states = iter([run.states[name, k] for k, _ in enumerate(numbers(value))])
                yield name, self._new(value, functools.partial(self._of_next, states))
            elif is_carried(value) and self._is_bound(value):
                yield name, self._new(value, self._number)
            else:
                self._flow.lost[run.code, name] = Loss("loop variable", str(run.line))

    def _of_next(self, states: Iterator[State], number: Any) -> Any:
        return self._of_state(next(states))

    def _of_state(self, state: State) -> Any:
        """A number after the loop, which may be a plain one."""
        count = self._run.count
        if count is not None and count.passes and state.name in self._counted and type(state.initial) is int:
            change = self._change(state)
            if self._is_item(state) and type(count.item) is int:
                return count.item + (count.passes - 1) * count.step
            if change is not None and state.kind != ANY:
                return state.initial + count.passes * int(change)
        return self._final[state.node] if self._depends(state.next) else state.next

    def _new(self, value: Any, change: Callable[[Any], Any]) -> Any:
        """A value with the numbers that it holds after the loop; lists and arrays that others may hold are not to be written."""
        new = rebuilt(self._trace, value, change)
        for old, container in zip(containers(value), containers(new), strict=True):
            known = self._known.setdefault(id(owner(old)), container)
            if known is not container or self._run.before.heap.holds(old):
                self._flow.watch([(container, [container, known])], self._run.line, "loop bound")
        return new

    def _write(self) -> None:
        """Write what the loop leaves into the containers that it writes to."""
        run = self._run
        for key, entry in sorted(run.written.items(), key=lambda item: isinstance(item[1].container, list)):
            states = [run.states.get((key, k)) for k in range(len(entry.contents.items))]
            old = entry.contents.items
            entry.write([item if state is None else self._of_state(state) for item, state in zip(old, states, strict=True)])

    def _return(self, flag: State | None) -> None:
        """The elements that returned have left the call."""
        returned, outcome, call = self._left.returned, self._left.outcome, self._run.call
        if outcome is not None and call is not None:
            value = self._new(outcome.value, self._number)
            is_for_all = returned is True or (self._run.asked is True and self._run.count is None)
            call.leave(True if is_for_all or flag is None else self._final[flag.node], value, outcome.line)

    def _raise(self, flags: Sequence[State | None]) -> None:
        """Elements have no value where that was so in some pass, or where the passes do not end."""
        trace, run = self._trace, self._run
        for (_, cause), flag in zip(self._left.flags, flags, strict=True):
            states = tuple((name, trace.real(self._number(value))) for name, value in cause.states)
            if flag is not None:
                trace.no_value(self._final[flag.node], cause._replace(states=states))
        if self._unfinished is not None:
            trace.no_value(self._unfinished, _not_converged(trace, run, self._final))


def _not_converged(trace: "Trace", run: "Pass", final: Mapping[int, Any]) -> Cause:
    """Why elements have no value where a loop does not end."""
    name, passes, line = trace.name, trace.max_passes, run.line

    def raises(where: str, states: Mapping[str, float]) -> Exception:
        return NotConvergedError(
            f"kernel `{name}`: a loop is not done after {passes} passes; {where}",
            got=", ".join(f"{state} = {float(value)!r}" for state, value in states.items()),
            fix=f"@nbad.kernel(max_passes={10 * passes})  # or errors='nan', or a test that is met",
            source=line,
        )

    shown = [state for key, state in run.states.items() if key != "item" and not is_own(state.name)][:SHOWN]
    states = tuple((state.name, trace.real(final[state.node])) for state in shown)
    return Cause(raises("", {}), line, run.module, raises, states)
