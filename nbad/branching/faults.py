"""Errors that end the path of some elements only: which they are, and what they leave.

What Python would raise for these elements, too, makes a path without a value: an explicit `raise`, an `assert` that fails,
operations on None and on things that are no numbers, items that are not there, what cannot be computed of plain values. All else
is an error of the kernel's source, or ours.

Arithmetic of Python and its `math` raises errors, too, where compiled code has nan or infinity. NumPy's functions raise none, and
where nobody catches such an error, nbad computes as NumPy does.
"""

import math
import opcode
import operator
import re
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from nbad import lines
from nbad.errors import InternalError, NbadError, TraceError
from nbad.language import refusals
from nbad.language.merging import both, either, opposite
from nbad.language.trace import Cause, is_whole_number
from nbad.rewriting.texts import TracedText

if TYPE_CHECKING:
    from nbad.language.trace import Trace

# what Python says of operands that have no such operation
_NO_OPERATION = re.compile(
    r"unsupported operand|bad operand type|.*not supported between|.*object is not (subscriptable|callable|iterable)"
    r"|cannot unpack non-iterable|must be real number|.*has no len\(\)|can't multiply sequence|can only concatenate"
    r"|(argument must be|.*argument must be|.*takes) a? ?(string|real number)"
)
_CALLS = ("_call", "call_plain", "iterated")  # functions of ours that call the user's objects
_PLACES = ("item", "put", "__getitem__", "__setitem__")  # those that find items by plain places
# what Python raises for plain values that it cannot compute with
_OF_VALUES = (IndexError, KeyError, ValueError, ZeroDivisionError, OverflowError)


class NoPath(BaseException):  # which no handler of the user's is for
    """No element on the path that is run has a value: the flags say so already."""


def ends_path(error: BaseException) -> bool:
    """Whether an error is one that Python raises for the elements of the path that is run."""
    if isinstance(error, TraceError):
        return error.is_pythons
    if isinstance(error, NoPath):
        return True
    last = _last(error)
    if last is None:
        return False
    if _is_users(last.tb_frame):
        return _raises(last.tb_frame, last.tb_lasti) or _lacks_operation(error) or _has_no_such_value(error)
    function = _last_of_ours(error)
    if function in _CALLS:
        return _has_no_such_value(error) or (last.tb_frame.f_code.co_name == function and _lacks_operation(error))
    return function in _PLACES and isinstance(error, LookupError) and _has_no_such_value(error)


def _last(error: BaseException) -> TracebackType | None:
    """Where an error comes from."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last


def cause_of(error: Exception) -> Cause:
    """The cause that an error, or a warning at the line that is running, is for the elements on a path."""
    frames = [(frame, number) for frame, number in traceback.walk_tb(error.__traceback__) if _is_users(frame)]
    frame, number = frames[-1] if frames else _running()
    line = lines.line_of(frame.f_code, number)
    error = TypeError(str(error)) if isinstance(error, TraceError) else error.with_traceback(None)
    is_from = error.__suppress_context__  # which a write to the cause sets
    error.__context__ = error.__cause__ = None  # they would keep the frames of the trace
    error.__suppress_context__ = is_from
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


def _lacks_operation(error: BaseException) -> bool:
    """Whether an operand had no such operation; a traced value is a number, and lacks none that a number has."""
    words = str(error)
    return type(error) is TypeError and bool(_NO_OPERATION.match(words)) and "Traced" not in words


def _has_no_such_value(error: BaseException) -> bool:
    """Whether this is what Python says of plain values."""
    return isinstance(error, _OF_VALUES) and not isinstance(error, NbadError) and refusals.misuse(error) is None


def _last_of_ours(error: BaseException) -> str:
    """The name of the innermost function of ours that an error came through, if no code of the user's was called by that."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if not lines.is_library(frame)]
    return "" if _is_users(frames[-1]) else frames[-1].f_code.co_name


def is_of_c(error: BaseException) -> bool:
    """Whether code in C has raised an error, and no `raise`."""
    last = _last(error)
    return last is not None and not _raises(last.tb_frame, last.tb_lasti)


def was_raised(error: BaseException | None) -> bool:
    """Whether an error, such as a refusal that is kept, has been on its way."""
    return error is None or error.__traceback__ is not None


DOMAIN, RANGE = "math domain error", "math range error"  # of those that say no more in any version
ERRORS = (ZeroDivisionError(), OverflowError(), ValueError())  # of the kinds that are raised here
Found = Iterator[tuple[Any, Exception]]
Rule = Callable[["Trace", tuple[Any, ...], Any], Found]  # from operands and result


def _domain(function: Callable[..., Any], example: float, outside: Callable[[Any], Any]) -> Rule:
    """ValueError for what lies outside of a domain, as this example does."""

    def rule(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
        for x in operands:
            yield outside(x), _outside(trace, function, example, x)

    return rule


def _outside(trace: "Trace", function: Callable[..., Any], example: float, x: Any) -> Exception:
    """What Python says of an argument outside of a domain: from version 3.14 on with that, which each element has its own of."""
    kind = int if is_whole_number(x) else float
    error = _of_python(function, kind(example))
    general, shown, _ = str(error).rpartition(repr(kind(example)))
    return type(error)(TracedText(f"{general}<traced>", trace, refusals.FLOW["text"])) if shown else error


def _overflows(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    """OverflowError for an infinite result of finite operands."""
    yield _is_overflow(trace, operands, result), OverflowError(RANGE)


def _is_overflow(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Any:
    condition = _infinite(result)
    for x in operands:
        condition = both(trace, condition, abs(x) < math.inf)
    return condition


def _by_zero(operation: Callable[[Any, Any], Any]) -> Rule:
    """ZeroDivisionError for a divisor of zero."""

    def rule(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
        kind = int if all(map(is_whole_number, operands)) else float
        yield operands[1] == 0, _of_python(operation, kind(1), kind(0))

    return rule


def _of_python(operation: Callable[..., Any], *operands: Any) -> Exception:
    """The error that Python raises for such operands, in the words of this version: a handler may read them."""
    try:
        operation(*operands)
    except (ArithmeticError, ValueError) as error:
        return type(error)(*error.args)
    raise InternalError(f"{operation.__name__} of {operands} raises nothing")


def _power(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    base, exponent = operands
    yield both(trace, base == 0, exponent < 0), _of_python(operator.pow, 0.0, -1.0)
    yield _is_overflow(trace, operands, result), _of_python(operator.pow, 2.0, 1e9)


def _math_power(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    base, exponent = operands
    is_pole = both(trace, base == 0, both(trace, exponent < 0, exponent > -math.inf))
    is_root = both(trace, both(trace, base < 0, base > -math.inf), result != result)
    yield either(trace, is_pole, both(trace, is_root, exponent == exponent)), ValueError(DOMAIN)
    yield from _overflows(trace, operands, result)


def _whole(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    x = operands[0]
    yield x != x, ValueError("cannot convert float NaN to integer")
    yield _infinite(x), OverflowError("cannot convert float infinity to integer")


def _logarithm(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    yield from _domain(math.log, -1.0, lambda x: x <= 0)(trace, operands, result)
    if len(operands) == 2:
        yield operands[1] == 1, _of_python(math.log, 2.0, 1.0)


def _gamma(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    x = operands[0]
    is_pole = both(trace, x <= 0, x == trace.apply("floor", (x,)))
    yield is_pole, _outside(trace, math.gamma, -1.0, x)
    for condition, error in _overflows(trace, operands, result):
        yield both(trace, opposite(trace, is_pole), condition), error


def _log_gamma(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    for condition, error in _gamma(trace, operands, result):
        yield both(trace, operands[0] > -math.inf, condition), error


def _remainder(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    x, y = operands
    yield either(trace, both(trace, _infinite(x), y == y), both(trace, y == 0, x == x)), ValueError(DOMAIN)


def _infinite(x: Any) -> Any:
    return abs(x) == math.inf


def _nothing(trace: "Trace", operands: tuple[Any, ...], result: Any) -> Found:
    return iter(())


# what Python's operators raise, and those of NumPy's numbers do not
_DIVISION = (ZeroDivisionError(),)
OPERATORS = {"/": _DIVISION, "//": _DIVISION, "%": _DIVISION, "**": (*_DIVISION, OverflowError())}
# operations that make such of such
KEEPING = frozenset("add sub mul div floordiv mod neg abs pow powi select pymax pymin".split())
SILENT = "numpy.", "scipy.special."  # libraries whose functions raise no errors of arithmetic
RAISING = frozenset(f"numpy.linalg.{name}" for name in "cholesky inv solve".split())  # for matrices that only LAPACK knows
RULES: dict[str, Rule] = {
    "/": _by_zero(operator.truediv),
    "//": _by_zero(operator.floordiv),
    "%": _by_zero(operator.mod),
    "**": _power,
    "math.pow": _math_power,
    "math.sqrt": _domain(math.sqrt, -1.0, lambda x: x < 0),
    **dict.fromkeys(("math.log", "math.log2", "math.log10"), _logarithm),
    "math.log1p": _domain(math.log1p, -2.0, lambda x: x <= -1),
    **dict.fromkeys(("math.asin", "math.acos"), _domain(math.asin, 2.0, lambda x: abs(x) > 1)),
    "math.acosh": _domain(math.acosh, -1.0, lambda x: x < 1),
    "math.atanh": _domain(math.atanh, 2.0, lambda x: abs(x) >= 1),
    **dict.fromkeys(("math.sin", "math.cos", "math.tan"), _domain(math.sin, math.inf, _infinite)),
    **dict.fromkeys(("math.exp", "math.exp2", "math.expm1", "math.cosh", "math.sinh"), _overflows),
    "math.gamma": _gamma,
    "math.lgamma": _log_gamma,
    "math.fmod": _remainder,
    **dict.fromkeys(("builtins.int", "builtins.round", "math.floor", "math.ceil", "math.trunc"), _whole),
    **dict.fromkeys(
        "math.atan math.atan2 math.tanh math.asinh math.copysign math.fabs math.degrees math.radians math.erf math.erfc "
        "math.cbrt math.isnan math.isinf math.isfinite builtins.abs builtins.max builtins.min builtins.sum builtins.float "
        "builtins.bool".split(),
        _nothing,
    ),
}
