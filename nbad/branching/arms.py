"""What all branches on traced values share: the writes of an arm are undone at its end, and merged by the condition behind both.

Statements are in `nbad.branching.branches`, operands of `and` and `or` in `nbad.branching.choices`.
"""

import linecache
import re
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from nbad import lines
from nbad.containers.kinds import Contents, is_unreadable, settings
from nbad.containers.snapshots import Entry, Heap
from nbad.errors import TraceError
from nbad.language import refusals
from nbad.language.merging import Different, Merger
from nbad.rewriting.scopes import is_own

if TYPE_CHECKING:
    from nbad.branching.flow import Flow


class Written(NamedTuple):
    """A container that an arm wrote to, and what it held then."""

    entry: Entry
    contents: Contents


Changes = dict[int, Written]  # by the identity of the container


class Ended(Changes):
    """What an arm wrote, and what may not be used any more at its end, as `Aliases.stale` has it."""

    stale: dict[int, Any]


class Fork:
    """One branch on a traced value.

    Parameters
    ----------
    flow : Flow
        Of the trace; offers `trace`, `outer` and `watch`.
    condition : TracedCondition
    frame : frame
        The one that branches.
    last_line : int
        Where the source of its arms ends.

    Attributes
    ----------
    holds : bool
        Whether the condition holds on the path that is run.
    """

    is_traced = True

    def __init__(self, flow: "Flow", condition: Any, frame: FrameType, last_line: int = 0) -> None:
        self.flow: Flow = flow
        self.condition: Any = condition
        self.holds = True
        self.code, self.number, self.last_line = frame.f_code, frame.f_lineno, last_line
        self.heap = Heap(variables(frame.f_locals), flow.outer)
        self._sides: tuple[Changes, Changes] = {}, {}  # what the first and the second arm wrote
        self._settings = settings()
        self._stale = dict(flow.trace.aliases.stale)  # before the arms
        self._left_stale: dict[int, Any] = {}
        held = (lambda container: self._held(0, container)), (lambda container: self._held(1, container))
        self.merger = Merger(flow.trace, condition, self._is_old, held)

    @property
    def line(self) -> lines.Line:
        """The source line of the test."""
        return lines.line_of(self.code, self.number)

    @property
    def literal(self) -> Any:
        """What holds on the path that is run."""
        return self.condition if self.holds else self.flow.trace.logic("not", self.condition)

    def end_arm(self) -> Changes:
        """What the arm wrote, which is undone here."""
        if settings() != self._settings:
            raise self.flow.trace.refusal_of("settings", line=self.line)
        aliases, stale = self.flow.trace.aliases, self.flow.trace.aliases.stale
        aliases.stale = dict(self._stale)
        changes = self.heap.changes()
        for entry, contents in changes:
            self._check(entry, contents)
            entry.write(entry.contents.items)
        ended = Ended({id(entry.container): Written(entry, contents) for entry, contents in changes})
        ended.stale = stale
        return ended

    def write(self, changes: Changes) -> None:
        """Do again what an arm wrote."""
        self._left_stale = self._stale_after(changes)
        for entry, contents in changes.values():
            entry.write(contents.items, contents.rest)

    def merge_writes(self, first: Changes, second: Changes) -> None:
        """Write what two arms wrote, by the condition; into arrays first, of which lists may hold views."""
        self._sides = first, second
        self.merger.stale = self._stale_after(first), self._stale_after(second)
        self._left_stale = self.merger.stale[0] | self.merger.stale[1]
        entries = {key: entry for changes in self._sides for key, (entry, _) in changes.items()}
        for entry in sorted(entries.values(), key=lambda entry: isinstance(entry.container, list)):
            a, b = (_left(entry, changes) for changes in self._sides)
            if a.rest != b.rest:
                raise self._changed(entry, "unlike")
            try:
                items = [self.merger.merge(x, y) for x, y in zip(a.items, b.items, strict=True)]
            except Different as error:
                raise self.flow.trace.refusal_of("items", line=self.line, got=str(error), name=entry.name) from None
            entry.write(items, a.rest)

    def _is_old(self, value: Any) -> bool:
        return self.heap.holds(value) or self.flow.has_names(value)

    def _stale_after(self, changes: Changes) -> dict[int, Any]:
        """What may not be used any more after an arm; one that did not run leaves that as it was."""
        return changes.stale if isinstance(changes, Ended) else self._stale

    def _held(self, side: int, container: Any) -> list[Any] | None:
        """What a list or array held at the end of an arm; None if it was made in the branch, or cannot have changed."""
        entry = self.heap.entries.get(id(container))
        return None if entry is None or entry.kind.write is None else _left(entry, self._sides[side]).items

    def close(self) -> None:
        """Both arms are merged: keep nothing alive that nobody else uses."""
        self.flow.watch(self.merger.entangled, self.line)
        self.flow.trace.aliases.stale |= self._left_stale
        del self.heap, self.merger, self._sides

    def _check(self, entry: Entry, contents: Contents) -> None:
        is_same_size = contents.rest == entry.contents.rest and len(contents.items) == len(entry.contents.items)
        if is_unreadable(contents):
            case = "unreadable"
        elif entry.is_outer:
            case = entry.case
        elif entry.kind.write is None or not (is_same_size or entry.kind.noun in ("dict", "object")):  # these grow in both
            case = "changed"
        else:
            return
        if entry.kind.write is not None:
            entry.write(entry.contents.items)  # what is outside the kernel stays as it was
        raise self._changed(entry, case)

    def _changed(self, entry: Entry, case: str) -> TraceError:
        if f"{case} {entry.kind.noun}" in refusals.FLOW:
            case = f"{case} {entry.kind.noun}"
        line = self._line_of_change(entry.name)
        return self.flow.trace.refusal_of(case, line=line, name=entry.name, noun=entry.kind.noun, where="a branch")

    def _line_of_change(self, name: str) -> lines.Line:
        """The first line of the arms that looks like the change, or that names the variable, else the test's."""
        numbers = range(self.number, self.last_line + 1)
        texts = [(number, linecache.getline(self.code.co_filename, number)) for number in numbers]
        if len(texts) > 1:
            del texts[0]  # the test itself
        # what writes to it comes before what merely names it
        for pattern in (rf"\b{name}\b(\.\w+\(|(\[.*\]|\.\w+)+\s*[^\s=]?=[^=]|\s*\+=)|\bdel {name}\b", rf"\b{name}\b"):
            for number, text in texts:
                if re.search(pattern, text):
                    return lines.line_of(self.code, number)
        return self.line


def _left(entry: Entry, changes: Changes) -> Contents:
    """What an arm with these changes left in a container."""
    written = changes.get(id(entry.container))
    return entry.contents if written is None else written.contents


def variables(known: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The user's among the variables of a frame."""
    return [(name, value) for name, value in known.items() if not is_own(name)]
