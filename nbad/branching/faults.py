"""Errors that end the path of some elements only: which they are, and what they leave.

What Python would raise for these elements, too, makes a path without a value: an explicit `raise`, an `assert` that fails, and
operations on None and on things that are no numbers. All else is an error of the kernel's source, or ours.
"""

import opcode
import re
import traceback
from types import FrameType

from nbad import lines
from nbad.errors import InternalError, TraceError
from nbad.language.trace import Cause

# what Python says of operands that have no such operation
_NO_OPERATION = re.compile(
    r"unsupported operand|bad operand type|.*not supported between|.*object is not (subscriptable|callable|iterable)"
    r"|cannot unpack non-iterable|must be real number|.*has no len\(\)|can't multiply sequence|can only concatenate"
    r"|(argument must be|.*argument must be|.*takes) a? ?(string|real number)"
)
_CALLS = ("_call", "call_plain")  # functions of ours that call the user's objects


class NoPath(Exception):
    """No element on the path that is run has a value: the flags say so already."""


def ends_path(error: Exception) -> bool:
    """Whether an error is one that Python raises for the elements of the path that is run."""
    if isinstance(error, TraceError):
        return error.is_pythons
    if isinstance(error, NoPath):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    if _is_users(last.tb_frame):
        return _raises(last.tb_frame, last.tb_lasti) or _lacks_operation(error)
    return last.tb_frame.f_code.co_name in _CALLS and _lacks_operation(error)


def cause_of(error: Exception) -> Cause:
    """The cause that an error, or a warning at the line that is running, is for the elements on a path."""
    frames = [(frame, number) for frame, number in traceback.walk_tb(error.__traceback__) if _is_users(frame)]
    frame, number = frames[-1] if frames else _running()
    line = lines.line_of(frame.f_code, number)
    error = TypeError(str(error)) if isinstance(error, TraceError) else error.with_traceback(None)
    return Cause(error, line, str(frame.f_globals.get("__name__")))


def _running() -> tuple[FrameType, int]:
    """The user's frame that is running, and its line."""
    frame = lines.user_frame()
    if frame is None:
        raise InternalError("an error of nobody's")
    return frame, frame.f_lineno


def _is_users(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith(lines.PACKAGE) and not lines.is_library(frame)


def _raises(frame: FrameType, place: int) -> bool:
    """Whether the instruction at a place is that of `raise` and `assert`."""
    return opcode.opname[frame.f_code.co_code[place]] == "RAISE_VARARGS"


def _lacks_operation(error: Exception) -> bool:
    """Whether an operand had no such operation; a traced value is a number, and lacks none that a number has."""
    words = str(error)
    return type(error) is TypeError and bool(_NO_OPERATION.match(words)) and "Traced" not in words


def was_raised(error: BaseException | None) -> bool:
    """Whether an error, such as a refusal that is kept, has been on its way."""
    return error is None or error.__traceback__ is not None
