"""Names of values: those of the variables that held them when the functions of a kernel returned.

Nothing is asked for while a function runs: its frame is kept, and read once it was left. A variable of the kernel names its last
value; a variable `x` of a function `g` that the kernel calls is `g.x` of the last call, and `g.x.1`, `g.x.2`, ... of those
before. An argument keeps its name, and is `x.1` where the variable was given another value. Items of arrays and lists are `x[0]`.
"""

import itertools
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import Any

import numpy as np

from nbad import lines
from nbad.language.trace import Trace
from nbad.language.values import Tracer

MOST_ITEMS = 100  # of an array or a list: longer ones are tables
NAMELESS = ("input", "const", "state", "unbound")


class Names:
    """The variables of one trace.

    Parameters
    ----------
    trace : Trace
    caller : code
        What calls the kernel's function.
    """

    def __init__(self, trace: Trace, caller: CodeType) -> None:
        self._trace, self._caller = trace, caller
        self._stack: list[FrameType] = []  # of the user's functions that run, outermost first
        self._frame: FrameType | None = None  # in which the last operation ran
        self._found: list[tuple[str, int]] = []

    def frame(self) -> FrameType | None:
        """The user's frame in which an operation runs."""
        frame = lines.user_frame()
        if frame is not self._frame:
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
        builder, held = self._trace.builder, self._found
        of_kernels = {k: node.names for k, node in enumerate(builder.nodes) if node.names}  # that this one calls
        if of_kernels:
            held = [*((name, k) for k, names in of_kernels.items() for name in names), *held]
        for k in of_kernels:
            builder.nodes[k] = builder.nodes[k]._replace(names=())
        for k, names in _unique(held, builder.inputs).items():
            builder.give_names(k, names)

    def _leave(self, frame: FrameType) -> None:
        """Note what the variables of a function hold at its end."""
        code = frame.f_code
        is_kernels = not self._stack or code.co_name == self._trace.name
        if not is_kernels and code.co_name.startswith("<"):  # a comprehension, or a lambda
            return
        before = "" if is_kernels else f"{code.co_name}."
        for name, value in frame.f_locals.items():
            if issubclass(type(value), Tracer):
                self._note(f"{before}{name}", value)
            elif issubclass(type(value), np.ndarray | list | tuple):
                for index, item in _items(value):
                    if issubclass(type(item), Tracer):
                        self._note(f"{before}{name}{index}", item)

    def _note(self, name: str, value: Tracer) -> None:
        trace = self._trace
        if value._trace is trace and trace.builder.nodes[value._node].op not in NAMELESS:
            self._found.append((name, value._node))


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    """The values in an array, a list or a tuple, each with what code writes behind the variable."""
    if len(value) > MOST_ITEMS if isinstance(value, list | tuple) else value.size > MOST_ITEMS:
        return ()
    if isinstance(value, list | tuple):
        return ((f"[{k}]", item) for k, item in enumerate(value))
    plain = value.view(np.ndarray)
    return ((f"[{','.join(map(str, index))}]" if index else "", plain[index]) for index in np.ndindex(plain.shape))


def _unique(held: Iterable[tuple[str, int]], taken: Iterable[str]) -> dict[int, list[str]]:
    """By node its names: the last node that had a name keeps it, if it is not taken, and those before get numbers."""
    holders: dict[str, list[int]] = {}
    for name, k in held:
        before = holders.setdefault(name, [])
        if k not in before[-1:]:
            before.append(k)
    known, found = {*taken, *holders}, dict[int, list[str]]()
    for name, nodes in holders.items():
        if name not in taken:
            found.setdefault(nodes.pop(), []).append(name)
        if nodes:
            numbered = (n for n in map(f"{name}.{{}}".format, itertools.count(1)) if n not in known)
            for k, unique in zip(nodes, [*itertools.islice(numbered, len(nodes))], strict=True):
                known.add(unique)
                found.setdefault(k, []).append(unique)
    return found
