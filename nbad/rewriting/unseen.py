"""Code that runs as it is, because nbad could not rewrite it: what may it hide from a trace?

What a rewritten function catches or compares goes through `nbad.branching`. All else (methods of objects that the kernel makes,
properties, operators, code without source, libraries) is asked here, whenever an operation is traced while it runs. Who
asks there by `type` is told what no float would tell.
"""

import builtins
import contextlib
import dis
import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile, pairwise, takewhile
from types import CodeType, FrameType, FunctionType, GeneratorType
from typing import Any, NamedTuple

from nbad import lines

# errors that arithmetic on floats never raises: to catch them hides nothing of the trace
HARMLESS = frozenset(
    "AssertionError AttributeError FileNotFoundError ImportError KeyError ModuleNotFoundError NameError OSError RecursionError "
    "RuntimeError StopIteration TypeError UnboundLocalError".split()
)


# Python 3.11 computes properties that are cached under a lock, which hides nothing
_LOCKED = functools.cached_property.__get__.__code__
_NUMBERS = frozenset("bool complex float float64 int numbers".split())
_COMPARISONS = ("COMPARE_OP", "CONTAINS_OP", "IS_OP")
_IS = dis.opmap["IS_OP"]
# of `sys`, `traceback` and loggers
_OF_HANDLED = frozenset("exc_info exception format_exc format_exception print_exc print_exception".split())


class Fault(NamedTuple):
    """A frame that hides something from the trace, and what: a case of `refusals.FLOW`."""

    frame: FrameType
    case: str


class _Code(NamedTuple):
    """A code object, the ranges of instructions whose errors it may hide, whether it compares by `is`, and types of numbers."""

    code: CodeType  # held so that its identity stays its own
    covered: Sequence[range] = ()
    compares: bool = False
    asks_type: bool = False


class Unseen:
    """The code that runs in one trace; `root` is the code around it, which does not matter."""

    def __init__(self) -> None:
        self.root: CodeType | None = None
        self._known: dict[int, _Code] = {}

    def fault(self, frame: FrameType | None, is_condition: bool) -> Fault | None:
        """The innermost frame that may hide the errors of an operation, or ask for the identity of a condition; or None."""
        asks_now = is_condition  # the code that compares, and what of nbad it called for that
        while frame is not None and frame.f_code is not self.root:
            known = self._known.get(id(frame.f_code)) or self._read(frame)
            if known.covered and any(frame.f_lasti in part for part in known.covered):
                return Fault(frame, "hides")
            if asks_now and known.compares:
                return Fault(frame, "compares")
            if known.asks_type and "__nbad__" not in frame.f_globals:
                return Fault(frame, "type")
            asks_now = asks_now and frame.f_code.co_filename.startswith(lines.PACKAGE)
            frame = frame.f_back
        return None

    def _read(self, frame: FrameType) -> _Code:
        code = frame.f_code
        known = _Code(code)
        if not code.co_filename.startswith(lines.PACKAGE) and "__nbad__" not in code.co_names and code is not _LOCKED:
            is_users = not lines.is_library(frame)
            known = _Code(code, list(_covered(code, _may_hide)), is_users and _compares(code), is_users and _asks_type(code))
        self._known[id(code)] = known
        return known


def _covered(code: CodeType, is_meant: Callable[[Sequence[dis.Instruction]], bool]) -> Iterator[range]:
    """The instructions whose errors go to a handler of some kind."""
    if not code.co_exceptiontable:  # to read the instructions takes long
        return
    read = dis.Bytecode(code)
    instructions = list(read)
    entries = read.exception_entries  # type: ignore[attr-defined]  # of all versions so far
    targets = {range(entry.start, entry.end): entry.target for entry in entries}
    passing = {instruction.offset for instruction in instructions if instruction.opname == "CLEANUP_THROW"}
    for covered, target in targets.items():
        while target in passing:  # of `yield from`: errors go on from there
            target = next((outer for part, outer in targets.items() if target in part), None)
        handler = [instruction for instruction in instructions if target is not None and instruction.offset >= target]
        if handler and handler[0].opname == "PUSH_EXC_INFO" and is_meant(_own(handler)):
            yield covered


def _own(handler: Sequence[dis.Instruction]) -> Sequence[dis.Instruction]:
    """The instructions of a handler, without those of the handlers behind it."""
    return [handler[0], *takewhile(lambda instruction: instruction.opname != "PUSH_EXC_INFO", handler[1:])]


def _may_hide(handler: Sequence[dis.Instruction]) -> bool:
    """Whether a handler may hide an error of arithmetic."""
    kinds = _kinds(handler)
    return _swallows(handler) and not (kinds and all(names <= HARMLESS for names in kinds))


def _may_run(error: type[BaseException], handler: Sequence[dis.Instruction]) -> bool:
    """Whether a handler, or a `finally`, may run for an error."""
    kinds = _kinds(handler)
    named = [getattr(builtins, str(name), error) for names in kinds for name in names]
    return not kinds or any(not isinstance(kind, type) or issubclass(error, kind) for kind in named)


def _kinds(handler: Sequence[dis.Instruction]) -> list[set[Any]]:
    """The names of the errors that a handler is for, by clause; empty for a `finally` and a plain `except`."""
    matches = [k for k, instruction in enumerate(handler) if instruction.opname in ("CHECK_EXC_MATCH", "CHECK_EG_MATCH")]
    return [_caught(handler[:k]) for k in matches]


def _caught(before: Sequence[dis.Instruction]) -> set[Any]:
    """The names of the errors that are loaded last."""
    loads = takewhile(_loads, reversed(before))
    return {load.argval for load in loads if load.opname.startswith("LOAD_")}


def _swallows(instructions: Sequence[dis.Instruction]) -> bool:
    """Whether a handler ends without raising its error again."""
    return any(one.opname == "POP_EXCEPT" and next_.opname != "RERAISE" for one, next_ in pairwise(instructions))


def _compares(code: CodeType) -> bool:
    """Whether code asks by `is` for anything but None, and for `any` and its like, as Python 3.14 does where they are called."""
    if _IS not in code.co_code[::2]:
        return False
    steps = pairwise(dis.get_instructions(code))
    return any(then.opname == "IS_OP" and not _is_told_apart(one) for one, then in steps)


def _is_told_apart(loaded: dis.Instruction) -> bool:
    return loaded.opname == "LOAD_COMMON_CONSTANT" or (loaded.opname == "LOAD_CONST" and loaded.argval is None)


def _asks_type(code: CodeType) -> bool:
    """Whether code asks by `type(x)` for numbers: compares that with one of their types, or names one and does other things."""
    mentioned = {*code.co_names, *code.co_consts}
    if "type" not in code.co_names or mentioned.isdisjoint(_NUMBERS):
        return False
    steps = list(dis.get_instructions(code))
    calls = [k for k, step in enumerate(steps, 1) if step.opname == "LOAD_GLOBAL" and step.argval == "type"]
    return any(_is_of_numbers(steps[k:], code.co_varnames[:1]) for k in calls)


def _is_of_numbers(after: Sequence[dis.Instruction], own: tuple[str, ...]) -> bool:
    """Whether what follows `type` in some code may compare it with a type of numbers; `own` is the object of a method."""
    argument = list(takewhile(lambda step: step.opname not in ("PRECALL", "CALL"), after))
    if [step.argval for step in argument] == list(own):
        return False
    after = list(dropwhile(lambda step: step.opname != "CALL", after))[1:]
    types = list(takewhile(_loads, after))
    is_compared = len(types) < len(after) and after[len(types)].opname in _COMPARISONS
    return not is_compared or not _NUMBERS.isdisjoint(step.argval for step in types)


def _loads(step: dis.Instruction) -> bool:
    return step.opname.startswith(("LOAD_", "BUILD_TUPLE"))


@functools.lru_cache(maxsize=256)
def asking_method(cls: type) -> str | None:
    """A method of a user's class, which runs as it is, that asks for the type of a number; else None."""
    members = ((name, member) for base in cls.__mro__ for name, member in vars(base).items())
    functions = ((name, member.fget if isinstance(member, property) else member) for name, member in members)
    users = ((name, f.__code__) for name, f in functions if isinstance(f, FunctionType) and not _is_installed(f))
    return next((name for name, code in users if _asks_type(code)), None)


def _is_installed(function: FunctionType) -> bool:
    top = str(function.__module__).partition(".")[0]
    return top in lines.LIBRARIES or "site-packages" in function.__code__.co_filename


def asks_for_error(code: CodeType, is_raised: bool) -> bool:
    """Whether a function without handlers of its own asks which error its caller handles, or raises that again, if it counts."""
    pairs = zip(code.co_code[::2], code.co_code[1::2], strict=True)
    raises = is_raised and (dis.opmap["RAISE_VARARGS"], 0) in pairs
    return not code.co_exceptiontable and (raises or not _OF_HANDLED.isdisjoint(code.co_names))


def has_end(iterator: Any, error: type[BaseException] = GeneratorExit) -> bool:
    """Whether code runs where an iterator is let go of: it is, or holds, a generator that waits in a `try` or a `with`."""
    found, left = {id(iterator)}, [iterator]
    while left:
        one = left.pop()
        frame = one.gi_frame if isinstance(one, GeneratorType) else None
        if frame is not None and any(frame.f_lasti in part for part in _ends_of(frame.f_code, error)):  # type: ignore[arg-type]  # a class is hashable
            return True
        within = [part for part in gc.get_referents(one) if isinstance(part, Iterator | tuple) and id(part) not in found]
        found.update(map(id, within))
        left += within
    return False


@functools.lru_cache(maxsize=256)
def _ends_of(code: CodeType, error: type[BaseException]) -> list[range]:
    return list(_covered(code, functools.partial(_may_run, error)))


def acts_at_end(manager: Any, error: type[BaseException] | None) -> bool:
    """Whether code of the user's runs where an error, or none, leaves the `with` of a context manager."""
    generator = getattr(manager, "gen", None)  # of `contextlib.contextmanager`
    if isinstance(generator, GeneratorType):
        return error is None or has_end(generator, error)
    end = getattr(type(manager), "__exit__", None)
    return isinstance(manager, contextlib.ExitStack | contextlib.closing) or (
        isinstance(end, FunctionType) and not _is_installed(end)
    )


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
