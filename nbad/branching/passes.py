"""One pass of a loop, traced for all passes: what changes from pass to pass is a state there, and the pass becomes a step.

The pass is run again, on wider states, until what it leaves is like what it began with: an integer that becomes a float is one
from the start, and a list that it writes to is carried too.
"""

import itertools
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from nbad import lines
from nbad.branching.arms import variables
from nbad.branching.branches import Loss
from nbad.branching.guards import refuse_to_let_go
from nbad.branching.outcomes import Count, Left, Limits, Outcomes
from nbad.branching.returns import Call
from nbad.branching.states import State, is_carried, kind_of, likeness, numbers, rebuilt
from nbad.containers.snapshots import Contents, Entry, Heap
from nbad.language.merging import both, containers, is_number

if TYPE_CHECKING:
    from nbad.branching.flow import Flow


class Moment:
    """What variables and the containers in reach held at one moment, and how the call may have ended by then."""

    def __init__(self, flow: "Flow", call: Call | None, known: Mapping[str, Any], names: Iterable[str]) -> None:
        self.flow, self.call, self.names = flow, call, tuple(names)
        self.values = {name: known[name] for name in names if name in known}
        self.heap = Heap(variables(known), flow.outer)
        self.operations = flow.trace.operations
        self._call = None if call is None else call.kept()

    def can_return(self) -> bool:
        """Whether all that was changed since can be set back."""
        return all(entry.kind.write is not None and not entry.is_outer for entry, _ in self.heap.changes())

    def come_back(self) -> bool:
        """Set everything back but the variables, which are the frame's; says whether that could be done."""
        changed = [entry for entry, _ in self.heap.changes()]
        for entry in changed:
            if entry.kind.write is not None:
                entry.write(entry.contents.items)
        if self.call is not None and self._call is not None:
            self.call.set_back(self._call)
        self.flow.trace.operations = self.operations
        return all(entry.kind.write is not None for entry in changed)


class Pass:
    """The pass that is traced for all.

    Parameters
    ----------
    before : Moment
        The begin of the loop, for elements that do the first pass.
    frame : frame
        The one that loops.
    line : Line
        The line of the loop.
    count : Count or None
        Of a `for` loop.
    limits : Limits or None
        Where the passes could be run one by one as well.

    Attributes
    ----------
    values : dict
        What variables are to be set to, for a run of the pass, or at the end; the others are to be deleted.
    item : number
        What a `for` loop is at.
    """

    def __init__(
        self, before: Moment, frame: FrameType, line: lines.Line, count: Count | None, limits: "Limits | None" = None
    ) -> None:
        self.flow, self.trace, self.call = before.flow, before.flow.trace, before.call
        self.before, self.names, self.line, self.count, self.limits = before, before.names, line, count, limits
        self.code, self.module = frame.f_code, str(frame.f_globals.get("__name__"))
        self.first = len(self.trace.builder.nodes)
        self._kinds: dict[Any, int] = {}  # of states that become wider than they begin
        self.written: dict[int, Entry] = {}  # containers that are written to, or may be
        self._rebound: set[str] = set()  # variables that are bound to new containers
        self._unset: set[str] = set()  # variables that have no value at the begin of a pass, or none that could be carried
        self._flow, self._flags = self.flow.kept(), self.trace.flags
        self._begin()

    def goes_on(self, test: Any, left: Any) -> bool:
        """Ask whether there is this pass."""
        flow = self.flow
        holds, self.is_left = (
            flow.condition(value) if flow.truth(value) is None else flow.truth(value) for value in (test, left)
        )
        self.asked = both(self.trace, holds, flow.negated(self.is_left))
        flow.floor = flow.floor._replace(asked=self.asked)
        return True

    def end(self, known: Mapping[str, Any]) -> bool:
        """The pass has run and left these variables; says whether it is the one for all, or has to run again."""
        left, lost = self._left(known), self.flow.lost
        self.abandon()
        if self._widen(left):
            self._begin()
            return False
        self.values = Outcomes(self, left).values
        # a variable that has a value in Python, but none that the trace could hold at the end of the pass
        self.flow.lost |= {key: loss for key, loss in lost.items() if key[0] is self.code and key[1] not in self.values}
        return True

    def abandon(self) -> bool:
        """Undo what the run did; says whether that could be done."""
        is_undone = self.before.come_back()
        self.flow.set_back(self._flow)
        self.trace.flags = self._flags
        return is_undone

    # a run of the pass

    def _begin(self) -> None:
        self.states: dict[Any, State] = {}
        self.asked = self.is_left = False
        self.flow.begin_pass(self.before.heap, self.call)
        self.trace.flags = []
        for name in self._unset:
            self.flow.lost[self.code, name] = Loss("loop variable", f"{self.line}")
        known = {name: value for name, value in self.before.values.items() if name not in self._unset}
        self.values = {name: self._begun(name, value) for name, value in known.items()}
        for entry in self.written.values():
            items = enumerate(entry.contents.items)
            entry.write([self._state((id(entry.container), k), f"{entry.name}[{k}]", item) for k, item in items])
        if self.count is not None:
            self.item = self._state("item", "item", self.count.item)
            if self.count.passes is not None:
                ends = self.count.item, self.count.item + (self.count.passes - 1) * self.count.step
                self.trace.ranges[self.item._node] = min(ends), max(ends)

    def _begun(self, name: str, value: Any) -> Any:
        """What a variable is at the begin of the pass."""
        entry = self.before.heap.entries.get(id(value))
        # what dicts and objects hold may be settings: these stay plain numbers where nothing is written
        is_array = entry is not None and _is_own(entry) and entry.kind.noun in ("list", "array")
        if entry is not None and is_array and name not in self._rebound and not self.flow.is_watched(value):
            self.written[id(value)] = entry
            return value
        if not is_carried(value):
            return value
        places = itertools.count()
        new = rebuilt(self.trace, value, lambda x: self._state((name, k := next(places)), _place(name, value, k), x))
        self.flow.watch([(container, [container]) for container in containers(new)], self.line, "loop bound")
        return new

    def _state(self, key: Any, name: str, value: Any) -> Any:
        """What stands for a number in the pass; anything else is what it is."""
        if not is_number(value):
            return value
        self.states[key] = state = State(self.trace, name, self._kinds.get(key, kind_of(value)), value)
        return state.value

    def _left(self, known: Mapping[str, Any]) -> Left:
        for name in self.names:
            refuse_to_let_go(self.flow, name, self.values.get(name), known.get(name), self.line)
        items = {}
        for entry, contents in self.before.heap.changes():
            self._check(entry, contents)
            items[id(entry.container)] = contents.items
        returned, outcome = (False, None) if self.call is None else self.call.returned_in_pass()
        return Left(known, items, returned, outcome, self.trace.flags)

    def _check(self, entry: Entry, contents: Contents) -> None:
        """Refuse a change that cannot be carried."""
        is_same_size = contents.rest == entry.contents.rest and len(contents.items) == len(entry.contents.items)
        if not _is_own(entry):
            case = entry.case if entry.is_outer else "changed array" if entry.kind.noun == "array" else "changed"
        elif not is_same_size:
            case = {"list": "loop grown", "array": "changed array"}.get(entry.kind.noun, f"unlike {entry.kind.noun}")
        elif any(
            x is not y and not (is_number(x) and is_number(y)) for x, y in zip(contents.items, entry.contents.items, strict=True)
        ):
            case = "loop items"
        else:
            return
        raise self.trace.refusal_of(case, line=self.line, name=entry.name, noun=entry.kind.noun, where="a loop")

    # what the pass needs to begin with

    def _widen(self, left: Left) -> bool:
        """Take note of what becomes of the states; says whether any of them has to begin as something else."""
        is_wider = False
        for key, items in left.items.items():
            if key not in self.written:
                self.written[key], is_wider = self.before.heap.entries[key], True
            is_wider = self._follow_all([(key, k) for k in range(len(items))], items) or is_wider
        for name in self.values:
            is_wider = self._follow(name, left.values) or is_wider
        if self.count is not None:
            self.states["item"].next = self.item + self.count.step
        return is_wider

    def _follow(self, name: str, found: Mapping[str, Any]) -> bool:
        """The same for a variable."""
        start, value = self.values[name], found.get(name)
        if name in found and self.is_kept(name, value):
            return False
        if name not in found:
            self._unset.add(name)
            return True
        is_written = start is self.before.values[name] and id(start) in self.written
        if is_written and is_carried(start):  # now bound to another list or array
            self._rebound.add(name)
            return True
        if is_carried(start) and likeness(value) == likeness(start):
            return self._follow_all([(name, k) for k, _ in enumerate(numbers(start))], numbers(value))
        self._unset.add(name)
        return True

    def is_kept(self, name: str, value: Any) -> bool:
        """Whether a variable is at the end of the pass what it was at its begin."""
        start = self.values.get(name)
        return name in self.values and (value is start or (not is_carried(start) and likeness(value) == likeness(start)))

    def _follow_all(self, keys: Iterable[Any], values: Iterable[Any]) -> bool:
        is_wider = False
        for key, value in zip(keys, values, strict=True):
            state = self.states.get(key)
            if state is not None:
                state.next = value
                kind = max(state.kind, kind_of(value))
                self._kinds[key], is_wider = kind, is_wider or kind != state.kind
        return is_wider


def _is_own(entry: Entry) -> bool:
    """Whether a list or array of the kernel's own can be written to."""
    return entry.kind.write is not None and not entry.is_outer


def _place(name: str, value: Any, k: int) -> str:
    return name if is_number(value) else f"{name}[{k}]"
