"""`with`, `finally` and `__del__`: what they would do with errors and returns of some elements, or for some only, is refused."""

import sys
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nbad.branching.arms import variables
from nbad.branching.returns import Call
from nbad.containers.attributes import ATOMS, is_foreign
from nbad.containers.kinds import Contents, carried, is_atom, kind_of
from nbad.containers.snapshots import Entry, Heap
from nbad.errors import TraceError
from nbad.lines import Line, running_line
from nbad.rewriting.unseen import acts_at_end, has_end, may_swallow

if TYPE_CHECKING:
    from nbad.branching.flow import Flow


class Guard:
    """A `with` statement or a `finally`: what they do with errors and returns of the elements in their bodies."""

    def __init__(self, flow: "Flow", call: Call | None, catches: bool | None) -> None:
        self._is_finally, self._catches = catches is not None, bool(catches)
        self._flow, self._applied = flow, flow.trace.applied
        self._call, self._returns = call, 0 if call is None else call.merged_returns
        self._exits = 0 if call is None else call.level()[1]
        self._flags, self._error_before = len(flow.trace.flags), sys.exception()  # of a handler that it stands in
        self._have_left = False  # elements, its body, for which it runs, too
        self._error_passing: BaseException | None = None
        self._heap: Heap | None = None  # before, where these have returned
        self._own: list[tuple[Entry, Contents]] = []  # what the others hold then
        self._managers: list[Any] = []
        self._line: Line | None = None

    @property
    def has_handlers(self) -> bool:
        """Whether errors of arithmetic matter, too: in a `finally` that others have reached, if handlers around catch errors."""
        return self._have_left and any(guard.has_handlers for guard in self._around())

    def _around(self) -> list[Any]:
        """The statements around it that may catch errors."""
        return self._flow.guards[: self._flow.guards.index(self)]

    def manager(self, value: Any) -> Any:
        """The context manager of a `with` statement."""
        self._managers.append(self._flow.original(value))
        if may_swallow(self._managers[-1]):
            self._catches = True
        self._line, self._applied = running_line(), self._flow.trace.applied
        return value

    def left(self) -> None:
        """The body of a `with` statement has run: its managers may suppress errors."""
        self.passed()
        if any(map(may_swallow, self._managers)):
            if isinstance(error := sys.exception(), NameError):
                self._flow.explain(error)
            self.ran()

    def catches(self, error: Exception) -> bool:
        """Whether an error of the body does not get out of the statement."""
        is_caught = self._have_left and any(guard.catches(error) for guard in self._around())
        return self._catches or self._heap is not None or is_caught

    def acts(self, error: Exception) -> bool:
        """Whether code of the user's runs where an error leaves the statement."""
        return self._is_finally or any(acts_at_end(manager, type(error)) for manager in self._managers)

    def fault(self, condition: Any, error: Exception) -> None:
        """Refuse that it catches an error of some elements, or raises one, in which those are left out that left its body."""
        case = "caught" if not self._have_left else "another" if self._heap is None else "finally"
        raise self._flow.trace.refusal_of(case, line=self._line)

    def passed(self) -> None:
        """The body of the statement ends."""
        self._flow.unguard(self)

    def ran(self) -> None:
        """The body, the errors of which do not get out, has run."""
        # a body without arithmetic on traced values catches what it would catch outside
        if self._flow.trace.applied > self._applied and not isinstance(sys.exception(), TraceError):
            raise self._flow.trace.refusal_of("try", line=self._line or running_line())

    def finish(self, is_left: bool) -> None:
        """The `finally` begins: it runs once, for elements that have returned, or ended in an error, and others that have not.

        `is_left`: a `return`, `break` or `continue` may leave it, and undo a return that is on its way.
        """
        error = self._error()
        if is_left and self._call is not None and not self._call.alive and error is None:
            raise self._flow.trace.refusal_of("undone")
        has_returned = self._call is not None and self._call.merged_returns != self._returns
        has_ended = error is None and len(self._flow.trace.flags) > self._flags
        if not (has_returned or has_ended) or isinstance(error, TraceError):
            return
        self._have_left, self._error_passing = True, error
        self._flow.guards.append(self)
        if self._call is None or not has_returned:
            return
        self._own = self._call.gather(self._exits)
        self._heap = Heap(variables(sys._getframe(1).f_locals), self._flow.outer)
        ends_otherwise = error is not None and any(acts_at_end(manager, None) for manager in self._managers)
        if is_left or ends_otherwise:
            raise self._flow.trace.refusal_of("finally")

    def _error(self) -> BaseException | None:
        """The error that is on its way through the statement."""
        error = sys.exception()
        return None if error is self._error_before else error

    def finished(self) -> None:
        """The `finally` has run: it may have changed local variables, but nothing that outlives the call."""
        if not self._have_left or self._error() not in (None, self._error_passing):  # which will be refused
            return
        self.passed()
        if self._heap is not None and self._heap.changes():
            raise self._flow.trace.refusal_of("finally")
        for entry, contents in self._own:
            entry.write(contents.items, contents.rest)


def refuse_end(flow: "Flow", items: Iterator[Any]) -> None:
    """Refuse that some elements leave an iterator, and others go on, if code of the user's runs where it is left."""
    if has_end(items):
        raise flow.trace.refusal_of("end")


def acts_when_let_go(value: Any) -> bool:
    """Whether code of the user's runs, or a weak reference from elsewhere tells, where a value and what it holds are let go."""
    held = held_by([value])
    references = list[Any]()
    for one in held.values():
        if isinstance(one, Iterator) and has_end(one):
            return True
        if _is_users(one):
            if hasattr(type(one), "__del__"):
                return True
            references += weakref.getweakrefs(one)
    return any(id(reference) not in held for reference in references)


def held_by(values: Iterable[Any]) -> dict[int, Any]:
    """What values, and the containers and objects of the user's that they lead to, keep alive, by identity."""
    held, left = dict[int, Any](), list(values)
    while left:
        one = left.pop()
        if is_atom(type(one)) or id(one) in held:  # type: ignore[arg-type]  # a class is hashable
            continue
        held[id(one)] = one
        items: Iterable[Any] = ()
        if type(one) in (list, tuple):
            items = one
        elif isinstance(one, dict | set) or _is_users(one):
            items = kind.read(one).items if (kind := kind_of(one)) else carried(one)
        if not ATOMS.issuperset(map(type, items)):  # as those of most tables are
            left += items
    return held


def _is_users(value: Any) -> bool:
    """Whether a value is an object of a class of the user's; classes themselves are let go of by the garbage collector alone."""
    return not isinstance(value, type) and not is_foreign(type(value))  # type: ignore[arg-type]  # a class is hashable


def refuse_to_let_go(flow: "Flow", name: str, before: Any, after: Any, line: Line) -> None:
    """Refuse that a variable gets, or loses, what acts when it is let go of, for some elements or in a pass for all passes."""
    if before is not after and (acts_when_let_go(before) or acts_when_let_go(after)):
        raise flow.trace.refusal_of("let go", line=line, name=name)
