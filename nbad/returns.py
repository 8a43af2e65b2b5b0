"""Returns on traced tests: where a call may have ended already, and with which result."""

from dataclasses import dataclass
from typing import Any

from nbad import refusals, source
from nbad.forks import variables
from nbad.heap import Contents, Entry, Heap, same
from nbad.merging import Different, Merger, both, containers, kept


@dataclass(frozen=True)
class Outcome:
    """A result, what the containers that outlive the call hold with it, and which of its lists and arrays may live on."""

    value: Any
    contents: list[Contents]
    originals: list[Any]
    line: source.Line | None


class Call:
    """One call of a function that returns from within branches.

    Attributes
    ----------
    alive : bool
        Whether the path that is run has not returned.
    """

    def __init__(self, flow, frame):
        self.flow = flow
        self._arguments = variables(frame)
        self._heap = Heap(self._arguments)
        self._final: Outcome | None = None
        self._exits: list[tuple[Any, Outcome]] = []  # in the order of the source: the first whose condition holds counts
        self._outer_exits: list[list[tuple[Any, Outcome]]] = []

    @property
    def alive(self):
        return self._final is None

    def give(self, value) -> bool:
        """Return a value; says whether that ends the call, or only this path of it."""
        is_last = not self._outer_exits
        if is_last and not self._exits:
            self._final = Outcome(value, [], [], None)
        else:
            line = source.running_line()
            self._final = Outcome(value if is_last else kept(value), self._contents(), list(containers(value)), line)
        return is_last

    def result(self):
        """What the call returns in the end."""
        if not self._exits:
            return self._final.value
        outcome = self._chain(self._exits, self._final)
        for entry, contents in zip(self._heap.entries, outcome.contents, strict=True):
            if not same(entry.kind.read(entry.container), contents):
                entry.kind.write(entry.container, contents.items)
        survivors = Heap(self._arguments, self.flow.outer)
        shared = [value for value in outcome.originals if survivors.holds(value)]
        if shared:
            self.flow.watch([(value, shared) for value in containers(outcome.value)], outcome.line)
        return outcome.value

    def end(self):
        """What the call returns where it runs into its end."""
        if self.alive:
            self.give(None)
        return self.result()

    def enter(self):
        """A branch on a traced value begins."""
        if not self._outer_exits:
            self._heap.add(self.flow.outer, is_outer=True)
        self._outer_exits.append(self._exits)
        self._exits = []

    def end_arm(self):
        """How an arm may have ended the call: the exits from within, and its outcome if it always did."""
        ends, self._exits, self._final = (self._exits, self._final), [], None
        return ends

    def join(self, condition, first, second):
        """Both arms of a branch have run, and ended so."""
        (exits, final), (other_exits, other_final) = first, second
        trace, new = self.flow.trace, []
        if final and other_final:
            self._final = self._merged(condition, self._chain(exits, final), self._chain(other_exits, other_final))
        elif final:
            new = [(condition, self._chain(exits, final)), *other_exits]
        elif other_final:
            new = [(trace.logic("not", condition), self._chain(other_exits, other_final)), *exits]
        else:
            new = [(both(trace, condition, c), outcome) for c, outcome in exits]
            new += [(both(trace, trace.logic("not", condition), c), outcome) for c, outcome in other_exits]
        self._exits = self._outer_exits.pop() + new

    def _chain(self, exits, final):
        """The outcome of some exits, or else the final one."""
        for condition, outcome in reversed(exits):
            final = self._merged(condition, outcome, final)
        return final

    def _merged(self, condition, a: Outcome, b: Outcome):
        merger = Merger(self.flow.trace, condition)
        try:
            value = merger.merge(a.value, b.value)
        except Different as error:
            what, fix = refusals.FLOW["results"]
            raise self.flow.trace.refusal(what, fix, line=a.line, got=str(error)) from None
        contents = [self._merged_contents(merger, *row) for row in zip(self._heap.entries, a.contents, b.contents, strict=True)]
        self.flow.watch(merger.entangled, a.line)
        return Outcome(value, contents, a.originals + b.originals, a.line)

    def _merged_contents(self, merger, entry: Entry, a: Contents, b: Contents):
        if same(a, b):
            return a
        is_same_size = a.rest == b.rest and len(a.items) == len(b.items)
        try:
            if entry.is_outer or entry.kind.write is None or not is_same_size:
                raise Different(f"the {entry.kind.noun} `{entry.name}` is changed after it")
            return Contents(a.rest, [merger.merge(x, y) for x, y in zip(a.items, b.items, strict=True)])
        except Different as error:
            what, fix = refusals.FLOW["after"]
            raise self.flow.trace.refusal(what.format(name=entry.name), fix, got=str(error)) from None

    def _contents(self):
        return [entry.kind.read(entry.container) for entry in self._heap.entries]
