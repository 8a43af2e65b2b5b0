"""`try` statements: where an element fails in the body, its handler is the other arm of a branch.

The condition of that branch is known only when the body has run: it grows with every operation that Python would raise for.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.linalg import LinAlgError

from nbad.branching.branches import Branch
from nbad.branching.faults import ERRORS, NoPath, is_of_c
from nbad.containers.snapshots import Heap
from nbad.errors import TraceError
from nbad.language.merging import Different, Merger, both, either, opposite
from nbad.language.values import first_traced
from nbad.lines import Line, running_line
from nbad.rewriting.texts import TracedText, told

if TYPE_CHECKING:
    from nbad.branching.flow import Flow
    from nbad.branching.returns import Call


class Fault(NamedTuple):
    """Elements that leave the body: their condition, which excludes those that left before, the error, and its handler."""

    condition: Any
    error: Exception
    handler: int
    values: dict[str, Any]
    has_written: bool
    heap: Heap
    line: Line | None


class Trial(Branch):
    """A `try` statement with handlers, a branch as soon as an element may fail in its body.

    Parameters
    ----------
    kinds : callable
        Returns for which errors each handler is.
    """

    has_handlers = True

    def __init__(
        self,
        flow: "Flow",
        names: tuple[str, ...],
        frame: FrameType,
        last_line: int,
        call: "Call | None",
        kinds: Callable[[], tuple[Any, ...]],
        asks: bool,
    ) -> None:
        super().__init__(flow, None, names, frame, last_line, None, None, asks)
        self._kinds, self.faults = kinds, list[Fault]()
        self.returning, self._level = call, None if call is None else call.level()
        self._opaque, self._handed = flow.trace.opaque, Heap(())
        flow.guards.append(self)
        if call is not None:
            call.trials.append(self)

    @property
    def is_traced(self) -> bool:  # type: ignore[override]
        """Whether elements have left the body."""
        return bool(self.faults)

    @property
    def literal(self) -> Any:
        """What holds on the path that is run."""
        if not self.holds:
            return self._are_among(self.faults)
        trace, path = self.flow.trace, True
        for fault in self.faults:
            path = both(trace, path, opposite(trace, fault.condition))
        return path

    def catches(self, error: Exception) -> bool:
        """Whether a handler is for an error."""
        return self._handler_of(error) is not None

    def acts(self, error: Exception) -> bool:
        """Whether anything is done where an error leaves the statement that no handler is for."""
        return False

    def fault(self, condition: Any, error: Exception) -> None:
        """Elements on the path that is run leave the body where a condition holds."""
        condition, handler = both(self.flow.trace, self.flow.trace.path(), condition), self._handler_of(error)
        if condition is False or handler is None:
            return
        if self.flow.guards.index(self) < self.flow.floor.guards:
            raise self.flow.trace.refusal_of("loop try")
        if any(guard.acts(error) for guard in self.flow.guards[self.flow.guards.index(self) + 1 :]):
            raise self.flow.trace.refusal_of("ends")
        if not self.faults and self.returning is not None and self._level is not None:
            self.returning.divide(*self._level)
            self.call = self.returning
        has_written, values = bool(self.heap.changes()), self._variables()
        self.faults.append(Fault(condition, error, handler, values, has_written, self._made(values), running_line()))

    def _made(self, values: dict[str, Any]) -> Heap:
        """What the body has made, as it is now."""
        heap = Heap(values.items())
        heap.entries = {key: entry for key, entry in heap.entries.items() if key not in self.heap.entries}
        return heap

    def passed(self) -> None:
        """The body ends: here, or by an error, or by a jump."""
        self.flow.unguard(self)
        error = sys.exception()
        if not isinstance(error, TraceError) and self.flow.trace.opaque > self._opaque and self._may_catch_arithmetic():
            raise self.flow.trace.refusal_of("try")
        if error is not None and not self.faults:
            self.undo()

    def dies(self) -> bool:
        """Whether the error that is handled ends this path only: in the body, if elements have left it before."""
        return (not self.holds or bool(self.faults)) and super().dies()

    def undo(self) -> None:
        """It was no branch."""
        self._end_trial()
        within = self.flow.open[self._mark.open :]
        if self in within and not any(fork.is_traced for fork in within):  # else an error left a branch, as its handler will say
            self.flow.abandon(self._mark.open)

    def _end_trial(self) -> None:
        """Returns of the call are not in its body any more."""
        if self.returning is not None and self in self.returning.trials:
            self.returning.trials.remove(self)

    def caught(self) -> None:
        """A handler begins as Python runs it: errors of the trace are not for the kernel to handle."""
        for error in _errors_in(sys.exception()):
            if isinstance(error, NoPath):
                raise error
            if isinstance(error, TraceError) and not isinstance(error, AttributeError):
                raise error
            if isinstance(error, NameError):
                self.flow.explain(error)
            is_of_text = self.flow.trace.has_texts and isinstance(error, TypeError) and is_of_c(error)
            if is_of_text or "TracedText" in str(error):
                raise self.flow.trace.refusal_of("text")
        # the branches that the error left, seen from the `try`
        if any(fork.is_traced for fork in self.flow.open[self._mark.open :]):
            raise self.flow.trace.refusal_of("caught")
        self.flow.abandon(self._mark.open)

    def turn(self) -> bool:
        """Whether there are elements for the handlers, which begin with the variables that the body left to them."""
        if not self.faults:
            self.undo()
            return False
        if any(fault.has_written for fault in self.faults):
            raise self.flow.trace.refusal_of("try writes", line=self.faults[-1].line)
        failed = self.flow.trace.condition(self._are_among(self.faults))
        self.condition = self.merger.condition = self.flow.trace.logic("not", failed)
        lost, self.outer_error = self.flow.lost, sys.exception()
        super().turn()
        self.flow.lost = lost  # the handlers begin with what the body left
        self.values = self._left()
        self._handed = self._made(self.values)
        return True

    def join(self) -> bool:
        """Body and handler have run."""
        self._end_trial()
        if self.faults and self._handed.changes():  # the elements that did not fail have these, too
            raise self.flow.trace.refusal_of("try writes", line=self.faults[-1].line)
        return bool(self.faults) and super().join()

    def chosen(self, handler: int) -> Any:
        """Whether the elements that failed are for a handler."""
        meant = [fault for fault in self.faults if fault.handler == handler]
        return True if len(meant) == len(self.faults) else self._are_among(meant)

    def error(self, handler: int, is_raised: bool = False) -> Exception:
        """The error that a handler reads, or raises again: it is the same for all elements, or nobody asks."""
        first, *others = [fault.error for fault in self.faults if fault.handler == handler]
        is_asked = not is_raised or any(guard.catches(error) for guard in self.flow.guards for error in (first, *others))
        if is_asked and not all(_are_alike(first, other) for other in others):
            raise self.flow.trace.refusal_of("errors")
        self.flow.trace.has_texts |= any(type(part) is TracedText for part in first.args)
        return first

    def some_error(self, handler: int) -> Exception:
        """Any of them, for a handler that only tells it."""
        return next(fault.error for fault in self.faults if fault.handler == handler)

    def _are_among(self, faults: Sequence[Fault]) -> Any:
        """Whether elements left the body so."""
        join = functools.partial(either, self.flow.trace)
        return functools.reduce(join, (fault.condition for fault in faults), False)

    def _left(self) -> dict[str, Any]:
        """The variables as the elements that failed left them."""
        *others, last = self.faults
        values = last.values
        for name in {name for fault in self.faults for name in self._changed_after(fault)}:
            self._lose(name, "unlike", "made in the `try`, and changed after an error")
            for fault in self.faults:
                fault.values.pop(name, None)
        for fault in reversed(others):
            merger, merged = Merger(self.flow.trace, self.flow.trace.condition(fault.condition), self._has_others), {}
            for name in values.keys() & fault.values.keys():
                try:
                    merged[name] = merger.merge(fault.values[name], values[name])
                except Different as error:
                    self._lose(name, "unlike", str(error))
            for name in values.keys() ^ fault.values.keys():
                self._lose(name, "one-sided", "assigned before some errors only")
            self.flow.watch(merger.entangled, last.line)
            values = merged
        return values

    def _has_others(self, value: Any) -> bool:
        """Whether there may be more names of what the body left to the elements that failed."""
        return self._is_old(value) or sum(fault.heap.holds(value) for fault in self.faults) > 1

    def _changed_after(self, fault: Fault) -> list[str]:
        """The variables that do not lead any more to what they led to at an error."""
        changed = {id(entry.container) for entry, _ in fault.heap.changes()}
        return [name for name, value in fault.values.items() if changed & Heap([(name, value)]).entries.keys()] if changed else []

    def _handler_of(self, error: Exception) -> int | None:
        """The number of the first handler for an error."""
        for number, kind in enumerate(self._kinds()):
            kinds: Sequence[Any] = kind if isinstance(kind, tuple) else (kind,)
            if any(kind is None or isinstance(error, self.flow.original(kind)) for kind in kinds):
                return number
        return None

    def _may_catch_arithmetic(self) -> bool:
        return any(map(self.catches, (*ERRORS, IndexError(), LinAlgError(), FloatingPointError(), RuntimeWarning())))


def _are_alike(one: Exception, other: Exception) -> bool:
    """Whether two errors say the same."""
    if type(one) is not type(other):
        return False
    said = [(*map(told, error.args), *vars(error).items()) for error in (one, other)]
    return first_traced(said) is None and repr(said[0]) == repr(said[1])


def _errors_in(error: BaseException | None) -> list[BaseException | None]:
    """An error, or those that a group of them holds."""
    return (
        [part for inner in error.exceptions for part in _errors_in(inner)] if isinstance(error, BaseExceptionGroup) else [error]
    )
