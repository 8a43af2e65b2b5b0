"""Returns on traced tests: where a call may have ended already, and with which result."""

import functools
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbad import lines
from nbad.branching.arms import variables
from nbad.containers.kinds import Contents, carried, kind_of, same
from nbad.containers.snapshots import Entry, Heap
from nbad.errors import InternalError, TraceError
from nbad.language.merging import (
    Copy,
    Different,
    Entangled,
    Merger,
    both,
    containers,
    described,
    either,
    is_number,
    kept,
    uncopied,
)
from nbad.language.values import Tracer

if TYPE_CHECKING:
    from nbad.branching.flow import Flow


class Outcome(NamedTuple):
    """A result, and what the containers that outlive the call hold with it, by their identity."""

    value: Any
    contents: dict[int, Contents]
    line: lines.Line | None

    def held(self, container: Any) -> list[Any] | None:
        """The items of a container with this outcome; None if it does not outlive the call, or cannot change."""
        contents = self.contents.get(id(container))
        is_fixed = isinstance(container, np.ndarray) and not container.flags.writeable
        return None if contents is None or is_fixed else contents.items


class Exit(NamedTuple):
    """A return of those elements for which a condition holds."""

    condition: Any
    outcome: Outcome


class Ends(NamedTuple):
    """How an arm may have ended the call: exits from within it, and its outcome if it always did; or it has no value at all."""

    exits: Sequence[Exit] = ()
    final: Outcome | None = None
    is_dead: bool = False

    def dead(self) -> "Ends":
        """The same where those that have not returned have no value: so the last return is as good for them as any."""
        return Ends(self.exits[:-1], self.exits[-1].outcome) if self.exits else Ends(is_dead=True)


class Call:
    """One call of a function that returns from within branches.

    Attributes
    ----------
    alive : bool
        Whether the path that is run has not returned.
    merged_returns : int
        How often it returned for some elements only.
    trials : list
        The `try` statements of it that are open.
    """

    def __init__(self, flow: "Flow", frame: FrameType) -> None:
        self.flow, self._mark = flow, flow.mark()
        flow.calls.append(self)
        self.heap = Heap(variables(frame.f_locals))
        self.merged_returns, self.trials = 0, list[Any]()
        self._final: Outcome | None = None
        self._exits: list[Exit] = []  # in the order of the source: the first whose condition holds counts
        self._outer_exits: list[list[Exit]] = []
        self._entangled: list[Entangled] = []
        self._views: dict[int, Copy] = {}  # copies of what may be, or view, what outlives the call, by their identity
        self._fixed: list[tuple[Any, Contents]] = []

    @property
    def alive(self) -> bool:
        return self._final is None

    @property
    def returned(self) -> Iterator[Any]:
        """The conditions of the elements that have returned already, as seen from the path that is run."""
        return (condition for exits in (*self._outer_exits, self._exits) for condition, _ in exits)

    def dies(self) -> bool:
        """Whether the error that is handled is that of elements that have not returned so far, while others have."""
        if self._exits and isinstance(error := sys.exception(), NameError):
            self.flow.explain(error, self._exits[-1].outcome.line)
        if not self._exits or self._outer_exits or not self.flow.ends_path(self._mark, 0):
            self.flow.reset(self._mark)
            return False
        *exits, last = self._exits
        self._exits, self._final = exits, last.outcome
        return True

    def give(self, value: Any) -> bool:
        """Return a value; says whether that ends the call, or only this path of it."""
        is_last = not self._outer_exits and not any(trial.is_traced for trial in self.trials)
        if is_last and not self._exits:
            self._final = Outcome(value, {}, None)
        else:
            self.merged_returns += 1
            value, contents = self._kept(value)
            self._final = Outcome(value, contents, lines.running_line())
        return is_last

    def result(self) -> Any:
        """What the call returns in the end."""
        self.flow.abandon(self._mark.open)
        self.flow.reset(self._mark)
        if self._final is None:
            raise InternalError("a call has ended without a result")
        # what was returned by reference must still be what it was then
        for value, contents in self._fixed:
            if not same(_state(value), contents):
                raise self._refusal(described(value))
        outcome = self._chain(self._exits, self._final)
        for key, contents in outcome.contents.items():  # none where all elements return at one place
            entry = self.heap.entries[key]
            if not same(entry.read(), contents):
                entry.write(contents.items, contents.rest)
        self.flow.watch(map(self._of_originals, self._entangled), outcome.line)
        self._watch_views(outcome)
        return outcome.value

    def end(self) -> Any:
        """What the call returns where it runs into its end."""
        if self.alive:
            self.give(None)
        return self.result()

    def kept(self) -> tuple[Any, ...]:
        """What is to be set back where a part of the call is run again."""
        exits, outer = list(self._exits), [list(exits) for exits in self._outer_exits]
        return exits, outer, self._final, self.merged_returns, list(self._entangled), dict(self._views), list(self._fixed)

    def set_back(self, kept: tuple[Any, ...]) -> None:
        """Forget what has happened since."""
        exits, outer, self._final, self.merged_returns, entangled, views, fixed = kept
        self._exits, self._outer_exits = list(exits), [list(exits) for exits in outer]
        self._entangled, self._views, self._fixed = list(entangled), dict(views), list(fixed)

    def returned_in_pass(self) -> tuple[Any, Outcome | None]:
        """The condition of the elements that such a pass, which is at its end, returns from, and what these return."""
        ends = [*self._exits, *([Exit(True, self._final)] if self._final else [])]
        if not ends:
            return False, None
        outcome = self._chain(ends[:-1], ends[-1].outcome)
        for key, contents in outcome.contents.items():
            if not same(self.heap.entries[key].read(), contents):
                entry = self.heap.entries[key]
                raise self._refusal(f"the {entry.kind.noun} `{entry.name}`")
        return functools.reduce(functools.partial(either, self.flow.trace), (end.condition for end in ends)), outcome

    def gather(self, count: int) -> list[tuple[Entry, Contents]]:
        """Let what outlives the call hold the numbers of those, too, that have returned since there were so many exits.

        Gives what it held: an end that is run for them reads theirs, and writing those of the others is seen.
        """
        before = [(entry, entry.read()) for entry in self.heap.entries.values() if entry.kind.write and not entry.is_outer]
        for condition, outcome in reversed(self._exits[count:]):
            merger = Merger(self.flow.trace, condition, self._is_old, (outcome.held, lambda container: None))
            for entry, _ in before:
                held, now = outcome.contents.get(id(entry.container), entry.contents), entry.read()
                if held.rest == now.rest and len(held.items) == len(now.items) and not same(held, now):
                    pairs = zip(held.items, now.items, strict=True)
                    merged = [merger.merge(x, y) if is_number(x) and is_number(y) else y for x, y in pairs]
                    entry.write(merged, now.rest)
        return before

    def leave(self, condition: Any, value: Any, line: lines.Line | None) -> None:
        """The elements for which a condition holds, which may be True, have returned a value in a loop."""
        self.merged_returns += 1
        outcome = Outcome(value, {key: entry.read() for key, entry in self.heap.entries.items()}, line)
        if condition is True:
            self._final = outcome
        else:
            self._exits.append(Exit(condition, outcome))

    def enter(self) -> None:
        """A branch on a traced value begins."""
        if not self._outer_exits:
            self.heap.add(self.flow.outer, is_outer=True)
        self._outer_exits.append(self._exits)
        self._exits = []

    def level(self) -> tuple[int, int]:
        """Within how many branches this is, and how many exits came before."""
        return len(self._outer_exits), len(self._exits)

    def divide(self, depth: int, count: int) -> None:
        """What was begun at a level turns out to be a branch."""
        if not self._outer_exits:
            self.heap.add(self.flow.outer, is_outer=True)
        levels = [*self._outer_exits, self._exits]
        levels[depth : depth + 1] = [levels[depth][:count], levels[depth][count:]]
        *self._outer_exits, self._exits = levels

    def end_arm(self) -> Ends:
        """How an arm may have ended the call; the path that is run goes on."""
        ends, self._exits, self._final = Ends(self._exits, self._final), [], None
        return ends

    def join(self, condition: Any, first: Ends, second: Ends) -> None:
        """Both arms of a branch have run, and ended so."""
        trace, opposite = self.flow.trace, functools.partial(self.flow.trace.logic, "not", condition)
        new: list[Exit] = []
        if first.is_dead or second.is_dead:  # the condition holds, or fails, for all that have a value
            living = second if first.is_dead else first
            new, self._final = list(living.exits), living.final
            if living.final:
                new, self._final = [], self._chain(living.exits, living.final)
        elif first.final and second.final:
            self._final = self._merged(condition, self._chain(first.exits, first.final), self._chain(second.exits, second.final))
        elif first.final:
            new = [Exit(condition, self._chain(first.exits, first.final)), *second.exits]
        elif second.final:
            new = [Exit(opposite(), self._chain(second.exits, second.final)), *first.exits]
        else:
            new = [Exit(both(trace, condition, c), outcome) for c, outcome in first.exits]
            new += [Exit(both(trace, opposite(), c), outcome) for c, outcome in second.exits]
        self._exits = self._outer_exits.pop() + new

    def _chain(self, exits: Sequence[Exit], final: Outcome) -> Outcome:
        """The outcome of some exits, or else the final one."""
        for condition, outcome in reversed(exits):
            final = self._merged(condition, outcome, final)
        return final

    def _merged(self, condition: Any, a: Outcome, b: Outcome) -> Outcome:
        merger = Merger(self.flow.trace, condition, self._is_old, (a.held, b.held))
        contents = {key: self._merged_contents(merger, entry, a, b) for key, entry in self.heap.entries.items()}
        try:
            value = merger.merge(a.value, b.value)
        except Different as error:
            raise self.flow.trace.refusal_of("results", line=a.line, got=str(error)) from None
        self._entangled += merger.entangled
        return Outcome(value, contents, a.line)

    def _merged_contents(self, merger: Merger, entry: Entry, *outcomes: Outcome) -> Contents:
        a, b = (outcome.contents.get(id(entry.container), entry.contents) for outcome in outcomes)  # or it was not known then
        if same(a, b):
            return a
        is_same_size = a.rest == b.rest and len(a.items) == len(b.items)
        try:
            if entry.is_outer or entry.kind.write is None or not is_same_size:
                raise self._refusal(f"the {entry.kind.noun} `{entry.name}`")
            return Contents(a.rest, [merger.merge(x, y) for x, y in zip(a.items, b.items, strict=True)])
        except Different:
            raise self._refusal(f"the {entry.kind.noun} `{entry.name}`") from None

    def _refusal(self, changed: str) -> TraceError:
        return self.flow.trace.refusal_of("after", got=f"{changed} is changed after the first return")

    def _kept(self, value: Any) -> tuple[Any, dict[int, Contents]]:
        """A value and the contents of what outlives the call; what does not, and may still be written to, is copied."""
        copies = {key: Copy(entry.container, entry.container) for key, entry in self.heap.entries.items()}
        now = {key: entry.read() for key, entry in self.heap.entries.items()}
        self._fix([value, *(item for _, items in now.values() for item in items)])
        contents = {key: Contents(rest, [kept(item, copies) for item in items]) for key, (rest, items) in now.items()}
        result = _alone(kept(value, copies))
        made = (copy for copy in copies.values() if copy.copy is not copy.original)
        views = [copy for copy in made if self.heap.holds(copy.original) or self.flow.has_names(copy.original)]
        self._views |= {id(copy.copy): copy for copy in views}
        return result, contents

    def _is_old(self, value: Any) -> bool:
        return id(value) in self._views or self.heap.holds(value)

    def _of_originals(self, merged: Entangled) -> Entangled:
        """A merged list or array with the views, instead of copies of them, that it may be."""
        views = self._views
        return merged._replace(sources=[views[id(s)].original if id(s) in views else s for s in merged.sources])

    def _watch_views(self, outcome: Outcome) -> None:
        """Copies that are returned as they are: nobody may write to them, or to what they are copies of."""
        views = (self._views[id(value)] for value in containers(outcome.value) if id(value) in self._views)
        self.flow.watch([(copy, [original]) for copy, original in views], outcome.line)

    def _fix(self, values: Iterable[Any]) -> None:
        """Remember what values lead to that is neither copied nor outlives the call: it may not change any more."""
        within = Heap(("a result", value) for value in uncopied(values))
        self._fixed += [(value, _state(value)) for key, value in within.seen.items() if key not in self.heap.entries]


def _alone(value: Any) -> Any:
    """Returned numbers under names of their own: what other paths write to is not what this one has returned."""
    if type(value) is tuple:
        return tuple(map(_alone, value))
    if not isinstance(value, Tracer):
        return value
    copy = value._trace.clone(value)
    copy._trace.aliases.keep(copy, value)
    return copy


def _state(value: Any) -> Contents:
    """What a container holds, or a function sees."""
    kind = kind_of(value)
    rest, items = (None, []) if kind is None else kind.read(value)
    return Contents(rest, [*items, *carried(value)])
