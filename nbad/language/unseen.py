"""Code that runs as it is, because nbad could not rewrite it: what may it hide from a trace?

What a rewritten function catches or compares goes through `nbad.branching`. All else (methods of objects that the kernel makes,
properties, operators, code without source, libraries) is asked here, whenever an operation is traced while it runs.
"""

import contextlib
import dis
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from types import CodeType, FrameType, FunctionType, GeneratorType
from typing import Any, NamedTuple

from nbad import lines

# errors that arithmetic on floats never raises: to catch them hides nothing of the trace
HARMLESS = frozenset(
    "AssertionError AttributeError FileNotFoundError ImportError KeyError ModuleNotFoundError NameError OSError RecursionError "
    "RuntimeError StopIteration TypeError UnboundLocalError".split()
)


class Fault(NamedTuple):
    """A frame that hides something from the trace, and what: a case of `refusals.FLOW`."""

    frame: FrameType
    case: str


class _Code(NamedTuple):
    """A code object, the ranges of instructions whose errors it may hide, and whether it compares by `is`."""

    code: CodeType  # held so that its identity stays its own
    covered: Sequence[range] = ()
    compares: bool = False


class Unseen:
    """The code that runs in one trace; `root` is the code around it, which does not matter."""

    def __init__(self) -> None:
        self.root: CodeType | None = None
        self._known: dict[int, _Code] = {}

    def fault(self, frame: FrameType | None, is_condition: bool) -> Fault | None:
        """The innermost frame that may hide the errors of an operation, or ask for the identity of a condition; or None."""
        innermost = True
        while frame is not None and frame.f_code is not self.root:
            known = self._known.get(id(frame.f_code)) or self._read(frame)
            if known.covered and any(frame.f_lasti in part for part in known.covered):
                return Fault(frame, "hides")
            if known.compares and innermost and is_condition:
                return Fault(frame, "compares")
            innermost = innermost and frame.f_code.co_filename.startswith(lines.PACKAGE)
            frame = frame.f_back
        return None

    def _read(self, frame: FrameType) -> _Code:
        code = frame.f_code
        known = _Code(code)
        if not code.co_filename.startswith(lines.PACKAGE) and "__nbad__" not in code.co_names:
            known = _Code(code, list(_covered(code)), not lines.is_library(frame) and _compares(code))
        self._known[id(code)] = known
        return known


def _covered(code: CodeType) -> Iterator[range]:
    """The instructions whose errors a handler may hide."""
    read = dis.Bytecode(code)
    instructions = list(read)
    for entry in read.exception_entries:  # type: ignore[attr-defined]  # of all versions so far
        handler = [instruction for instruction in instructions if instruction.offset >= entry.target]
        if handler[0].opname == "PUSH_EXC_INFO" and _may_hide(handler):
            yield range(entry.start, entry.end)


def _may_hide(handler: Sequence[dis.Instruction]) -> bool:
    """Whether the handler that these instructions begin with may hide an error of arithmetic."""
    own = [handler[0], *takewhile(lambda instruction: instruction.opname != "PUSH_EXC_INFO", handler[1:])]
    if not _swallows(own):
        return False
    matches = [k for k, instruction in enumerate(own) if instruction.opname in ("CHECK_EXC_MATCH", "CHECK_EG_MATCH")]
    return not matches or not all(_caught(own[:k]) <= HARMLESS for k in matches)


def _caught(before: Sequence[dis.Instruction]) -> set[Any]:
    """The names of the errors that are loaded last."""
    loads = takewhile(lambda part: part.opname.startswith(("LOAD_", "BUILD_TUPLE")), reversed(before))
    return {load.argval for load in loads if load.opname.startswith("LOAD_")}


def _swallows(instructions: Sequence[dis.Instruction]) -> bool:
    """Whether a handler ends without raising its error again."""
    return any(one.opname == "POP_EXCEPT" and next_.opname != "RERAISE" for one, next_ in pairwise(instructions))


def _compares(code: CodeType) -> bool:
    """Whether code asks by `is` for anything but None."""
    steps = pairwise(dis.get_instructions(code))
    return any(then.opname == "IS_OP" and not (one.opname == "LOAD_CONST" and one.argval is None) for one, then in steps)


def may_swallow(manager: Any) -> bool:
    """Whether a context manager may suppress errors."""
    if isinstance(manager, contextlib.ExitStack):
        return any(_may_suppress(callback) for _, callback in manager._exit_callbacks)  # type: ignore[attr-defined]
    generator = getattr(manager, "gen", None)  # of `contextlib.contextmanager`
    if isinstance(generator, GeneratorType):
        return _swallows(list(dis.get_instructions(generator.gi_code)))
    return _may_suppress(getattr(type(manager), "__exit__", None))


def _may_suppress(callback: Any) -> bool:
    """Whether an `__exit__`, or what an ExitStack calls instead, may return something true. Python's own in C do not."""
    if hasattr(callback, "__wrapped__"):  # a plain function on an ExitStack
        return False
    if hasattr(callback, "__self__"):
        return may_swallow(callback.__self__)
    return isinstance(callback, FunctionType) and not _returns_nothing(callback.__code__)


def _returns_nothing(code: CodeType) -> bool:
    """Whether all that a function returns is None or False."""
    for one, then in pairwise(dis.get_instructions(code)):
        if then.opname == "RETURN_CONST" and then.argval:
            return False
        if then.opname == "RETURN_VALUE" and (one.opname != "LOAD_CONST" or one.argval):
            return False
    return True
