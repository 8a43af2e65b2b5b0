"""Names of values: those of the variables that held them when the functions of a kernel returned.

Nothing is asked for while a function runs: its frame is kept, and read once it was left. A variable of the kernel names its last
value; a variable `x` of a function `g` that the kernel calls is `g.x` of the last call, and `g.x.1`, `g.x.2`, ... of those
before. An argument keeps its name, and is `x.1` where the variable was given another value. Items of arrays and lists are `x[0]`.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from inspect import CO_GENERATOR, CO_OPTIMIZED
from types import CodeType, FrameType
from typing import Any

import numpy as np

from nbad import lines
from nbad.branching.guards import acts_when_let_go, held_by
from nbad.containers.kinds import is_atom
from nbad.language import arrays
from nbad.language.trace import Trace
from nbad.language.values import Tracer

MOST_ITEMS = 100  # of an array or a list: longer ones are tables
CONTAINERS = arrays.TracedArray, list, tuple
NAMELESS = ("input", "const", "state", "unbound")


class Names:
    """The variables of one trace.

    Parameters
    ----------
    trace : Trace
    caller : code
        What calls the kernel's function.
    outer : list of (str, object)
        Variables of code outside the kernel that can be changed.
    """

    def __init__(self, trace: Trace, caller: CodeType, outer: list[tuple[str, Any]]) -> None:
        self._trace, self._caller, self._outer = trace, caller, outer
        self._stack: list[FrameType] = []  # of the user's functions that run, outermost first
        self._frame: FrameType | None = None  # in which the last operation ran
        self._found: dict[str, list[int]] = {}  # by variable the nodes that it held, in order

    def __enter__(self) -> "Names":
        self._trace.frame = self.frame
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of all frames: they hold arrays of traced values, which no garbage collector looks into."""
        self._trace.frame, self._frame = lines.user_frame, None
        self._stack.clear()

    def frame(self) -> FrameType | None:
        """The user's frame in which an operation runs; as a rule that of the operation before, which is known to be one."""
        frame, last = sys._getframe(1), self._frame
        while frame is not last and frame is not None and lines.is_foreign(frame):
            frame = frame.f_back  # type: ignore[assignment]
        if frame is not last:
            self._frame = frame
            self._enter(frame)
        return frame

    def _enter(self, frame: FrameType | None) -> None:
        """It is another one than that of the operation before: those that did not call this one were left."""
        stack, entered = self._stack, list[FrameType]()
        while frame is not None and frame not in stack and frame.f_code is not self._caller:
            if not (entered and lines.is_foreign(frame)):
                entered.append(frame)
            frame = frame.f_back
        while stack and stack[-1] is not frame:
            self._leave(stack.pop())
        stack += reversed(entered)

    def give(self) -> None:
        """Name the nodes of the graph, when all functions have returned."""
        self._enter(None)
        builder, known = self._trace.builder, self._found.keys() | self._trace.builder.inputs
        for k, node in enumerate(builder.nodes):
            if node.names:  # of kernels that this one calls
                builder.nodes[k] = node._replace(names=())
                for name in node.names:
                    self._note(name, k)
        named: dict[int, list[str]] = {}
        for name, held in self._found.items():
            if name not in builder.inputs:
                named.setdefault(held.pop(), []).append(name)
            for k, unique in zip(held, _numbered(name, known) if held else (), strict=False):
                named.setdefault(k, []).append(unique)
        for k, names in named.items():
            builder.give_names(k, names)

    def _leave(self, frame: FrameType) -> None:
        """Note what the variables of a function hold at its end."""
        code, known = frame.f_code, frame.f_locals
        if self._stack and "__nbad__" in frame.f_globals and not code.co_flags & CO_GENERATOR:
            self._check_lifetimes(frame, known)
        is_kernels = not self._stack or code.co_name == self._trace.name
        if not is_kernels and code.co_name.startswith("<"):  # a comprehension, or a lambda
            return
        before = "" if is_kernels else f"{code.co_name}."
        for name, value in known.items():
            kind = type(value)
            if issubclass(kind, Tracer):
                if value._trace is self._trace:
                    self._note(before + name, value._node)
            elif issubclass(kind, CONTAINERS):
                for index, item in _items(value):
                    if issubclass(type(item), Tracer) and item._trace is self._trace:
                        self._note(f"{before}{name}{index}", item._node)

    def _check_lifetimes(self, frame: FrameType, known: Mapping[str, Any]) -> None:
        """Refuse what should have acted when the function returned, for its frame alone has kept it alive until now."""
        for name, value in known.items():
            kind: Any = type(value)
            if is_atom(kind):  # as nearly all: helpers that are called often are traced a tenth faster
                continue
            if acts_when_let_go(value) and id(value) not in self._kept():
                raise self._trace.refusal_of("let go", line=lines.line_of(frame.f_code, frame.f_lineno), name=name)

    def _kept(self) -> dict[int, Any]:
        """What the functions that run, and code outside the kernel, keep alive."""
        values = [value for _, value in self._outer]
        for frame in self._stack:
            known = frame.f_locals
            values += known.values()
            if sys.version_info < (3, 13) and frame.f_code.co_flags & CO_OPTIMIZED:  # the frame would keep them in that dict
                known.clear()
        return held_by(values)

    def _note(self, name: str, k: int) -> None:
        if self._trace.builder.nodes[k].op not in NAMELESS:
            held = self._found.setdefault(name, [])
            if k not in held[-1:]:
                held.append(k)


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    """The values in an array, a list or a tuple, each with what code writes behind the variable."""
    kind = next(kind for kind in (list, tuple, np.ndarray) if issubclass(type(value), kind))
    if kind is np.ndarray:
        plain = value.view(np.ndarray)
        places = np.ndindex(plain.shape) if plain.size <= MOST_ITEMS else ()
        return ((f"[{','.join(map(str, index))}]" if index else "", plain[index]) for index in places)
    # not by methods of the user's classes, which may do anything
    return ((f"[{k}]", item) for k, item in enumerate(kind.__iter__(value))) if kind.__len__(value) <= MOST_ITEMS else ()


def _numbered(name: str, known: set[str]) -> Iterator[str]:
    """`name.1`, `name.2`, ... without what is known; those that are taken are known then."""
    for unique in map(f"{name}.{{}}".format, itertools.count(1)):
        if unique not in known:
            known.add(unique)
            yield unique
