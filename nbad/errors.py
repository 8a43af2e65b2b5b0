"""The exceptions that users may catch: they compose their own message, with the user's line and the fix.

Errors of a user's derive from `NbadError` and from the builtin that NumPy would raise; a bug of ours is an `InternalError`.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from traceback import walk_tb
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from nbad.lines import PACKAGE, Line, is_library, running_line

P = ParamSpec("P")
R = TypeVar("R")
HERE = Line("", "", 0)  # stands for the user's line that is running
LONGEST = {"headline": 300, "got": 240, "expected": 420, "did you mean": 60, "fix": 320}  # so that a message is read to its end


class NbadError(Exception):
    """Base of every error that nbad raises on purpose; it composes its own message.

    Parameters
    ----------
    headline : str
        The call as the user wrote it, or the kernel, and what is wrong with it.
    got, expected, meant, fix : str, optional
        Each becomes a line of its own; the fix is code, and `meant` what was probably meant by a name that is unknown.
    source : Line or None
        The line to show; by default the user's that is running.

    Examples
    --------
    >>> print(NbadError("`f(x)`: x has a complex dtype", got="complex128", fix="f(x.real)", source=None))
    `f(x)`: x has a complex dtype
      got: complex128
      fix: f(x.real)
    """

    def __init__(
        self,
        headline: str = "",
        *,
        got: str | None = None,
        expected: str | None = None,
        meant: str | None = None,
        fix: str | None = None,
        source: Line | None = HERE,
    ):
        labelled = ("got", got), ("expected", expected), ("did you mean", meant), ("fix", fix)
        parts = [(label, _shortened(text, LONGEST[label])) for label, text in labelled if text]
        if source is HERE:
            source = running_line() if parts else None  # without parts it is made again, as by pickle: the text is whole
        shown = [f"    {source.text:<40} ({source.place})"] if source else []
        headline = _shortened(headline, LONGEST["headline"]) if parts else headline
        super().__init__("\n".join([headline, *shown, *(f"  {label}: {text}" for label, text in parts)]))


def _shortened(text, longest):
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."


class TraceError(NbadError, TypeError):
    """The kernel's source does something that cannot be traced, or not differentiated rightly."""

    is_pythons = False  # whether Python raises a TypeError there, too


class ArgumentTypeError(NbadError, TypeError):
    """An argument, seed or option has a type or dtype that nbad refuses."""


class ArgumentValueError(NbadError, ValueError):
    """An argument, seed or option has a wrong shape, structure or value."""


class IndexTypeError(ArgumentTypeError, IndexError):
    """What is to pick entries of an array is not made of integers."""


class IndexRangeError(ArgumentValueError, IndexError):
    """An index lies outside of its array."""


class UnknownNameError(NbadError, AttributeError):
    """A module of nbad's, or one that a kernel uses, has nothing of this name."""


class MissingExtraError(NbadError, ImportError):
    """An operation needs a package that is not installed."""


class NotConvergedError(NbadError, RuntimeError):
    """A loop of a kernel is not done after the most passes that it may do."""


class InternalError(NbadError, RuntimeError):
    """nbad broke one of its own invariants: a bug of ours, never of the caller's."""


def cut(error: Exception) -> None:
    """Take the frames of nbad's own files out of the traceback of an error that leaves a public call.

    To be called where the error is caught, before a bare `raise`, which adds no frame: what calls it is cut off, too. Errors that
    this one was raised from are cut likewise, where a frame of the user's is left. NBAD_FRAMES=1 keeps all; so do bugs of ours,
    and what else nbad's own code raises. What the user's code raises is the user's.

    Examples
    --------
    >>> try:
    ...     raise NbadError("no")
    ... except NbadError as error:
    ...     cut(error)
    ...     error.__traceback__.tb_next is None  # the frame of this example is the user's
    True
    """
    from nbad import config  # which imports this file

    is_ours = isinstance(error, InternalError) or not (isinstance(error, NbadError) or _is_of_users(error))
    if is_ours or config.shows_frames():
        return
    error.__traceback__ = _users_part(error.__traceback__)
    known, before = {id(error)}, _before(error)
    while before is not None and id(before) not in known:
        known.add(id(before))
        before.__traceback__ = _users_part(before.__traceback__) or before.__traceback__
        before = _before(before)


def _is_of_users(error: Exception) -> bool:
    """Whether code of the user's raised an error, or a library that it called."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__) if not is_library(frame)]
    return bool(frames) and not frames[-1].f_code.co_filename.startswith(PACKAGE)


def _before(error: BaseException) -> BaseException | None:
    """The error that a traceback shows above this one."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _users_part(traceback: TracebackType | None) -> TracebackType | None:
    """The same traceback without frames of nbad's."""
    kept = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(PACKAGE):
            kept.append(traceback)
        traceback = traceback.tb_next
    for found in reversed(kept):
        traceback = TracebackType(traceback, found.tb_frame, found.tb_lasti, found.tb_lineno)
    return traceback


def leaving(function: Callable[P, R]) -> Callable[P, R]:
    """The decorator of a public function that takes its time: what it raises shows no frames of nbad's, as by `cut`."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            cut(error)
            raise

    return call


def closest(word: Any, known: Iterable[str]) -> str | None:
    """The known name that was probably meant by another word; None where none is like it.

    Examples
    --------
    >>> closest("partial", ("partials", "mincut")), closest("y", ("partials", "mincut"))
    ('partials', None)
    >>> closest("gradient", ("grad", "stop_gradient"))  # the one that begins so
    'grad'
    """
    import difflib

    if not isinstance(word, str):
        return None
    known = list(known)
    begins = [name for name in known if min(len(name), len(word)) > 2 and (name.startswith(word) or word.startswith(name))]
    found = difflib.get_close_matches(word, begins, 1, 0.0) or difflib.get_close_matches(word, known, 1)
    return found[0] if found else None


def unknown_name(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that a module does not have; protocols are asked for and not missed."""
    if name.startswith("__"):
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    offered = sorted({*known})
    meant = closest(name, offered)
    elsewhere = _of_others(name)
    return UnknownNameError(
        f"module {module!r} has no attribute {name!r}",
        got=name,
        expected=", ".join(offered),
        meant=elsewhere or meant,
        fix=elsewhere or (f"{module}.{meant}" if meant else f"help({module})"),
    )


def _of_others(name: str) -> str | None:
    """A function of numbers that Python or NumPy have, as code: kernels know these, and nbad has none of its own."""
    if hasattr(math, name):
        return f"math.{name}"
    return f"np.{name}" if isinstance(getattr(np, name, None), np.ufunc) else None


def fitting(example: str, method: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The decorator of a public function: calls that do not fit its parameters raise our error, with a call that does fit.

    It costs a tenth of a microsecond; what small calls use every time has parameters that take anything.

    Parameters
    ----------
    example : str
        A call that fits; `{f}` stands for the name of the kernel that was passed first, `{xs}` for those of its arguments.
    method : str, optional
        What code calls the function where it is a method.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                try:
                    return function(*args, **kwargs)
                except TypeError as error:
                    if error.__traceback__ is None or error.__traceback__.tb_next is not None:  # raised within
                        raise
                    fault = error
                raise misfit(function, args[method is not None :], kwargs, fault, example, method)
            except Exception as error:
                cut(error)
                raise

        return call

    return decorate


def misfit(
    function: Callable[..., Any], args: tuple, kwargs: dict, fault: TypeError, example: str, name: str | None = None
) -> ArgumentTypeError:
    """The error for a call whose arguments are not those of a function; `fault` is Python's."""
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    shown = signature.replace(parameters=parameters, return_annotation=signature.empty)
    known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    unknown = next((name for name in kwargs if name not in known), None)
    meant = unknown and closest(unknown, known)
    f, xs = "f", getattr(args[0], "parameters", None) if args else None
    if not isinstance(xs, tuple):  # no kernel was passed first
        xs = ("x",)
    elif args[0].__name__.isidentifier():
        f = args[0].__name__
    return ArgumentTypeError(
        f"`{name or function.__name__}{shown}`: {str(fault).partition('() ')[2] or fault}",
        got=", ".join([f"{len(args)} by position", *(f"{name}=" for name in kwargs)]),
        expected=f"the arguments {', '.join(known)}" if known else "no arguments",
        meant=meant and f"{meant}=",
        fix=example.format(f=f, xs=", ".join(xs)),
    )
