"""The exception tree and the shape of a message.

Errors of a user's derive from `NbadError` and from the builtin that NumPy would raise; a bug of ours is an `InternalError`.
"""

import linecache
import os
import sys
from pathlib import Path


class NbadError(Exception):
    """Base of every error that nbad raises on purpose."""


class TraceError(NbadError, TypeError):
    """The kernel's source does something that cannot be traced, or not differentiated rightly."""


class ArgumentTypeError(NbadError, TypeError):
    """An argument, seed or option has a type or dtype that nbad refuses."""


class ArgumentValueError(NbadError, ValueError):
    """An argument, seed or option has a wrong shape, structure or value."""


class MissingExtraError(NbadError, ImportError):
    """An operation needs a package that is not installed."""


class InternalError(NbadError, RuntimeError):
    """nbad broke one of its own invariants: a bug of ours, never of the caller's."""


def message(headline, *, source=None, got=None, expected=None, fix=None):
    """One message: what was called, the source line, what it got and expected, and the fix as code.

    Parameters
    ----------
    headline : str
        The call as the user wrote it, or the kernel, and what is wrong with it.
    source : tuple of (str, str, int), optional
        Text of the source line, file and line number.
    got, expected, fix : str, optional
        Each becomes a line of its own.

    Returns
    -------
    str

    Examples
    --------
    >>> print(message("`f(x)`: x has a complex dtype", got="complex128", fix="f(x.real)"))
    `f(x)`: x has a complex dtype
      got: complex128
      fix: f(x.real)
    """
    lines = [headline]
    if source is not None:
        text, file, number = source
        lines.append(f"    {text.strip():<40} ({file}:{number})")
    parts = (("got", got), ("expected", expected), ("fix", fix))
    lines += [f"  {label}: {text}" for label, text in parts if text]
    return "\n".join(lines)


def user_line():
    """Text, file name and number of the innermost source line outside nbad, for `message(source=...)`."""
    package = str(Path(__file__).parent) + os.sep
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    return linecache.getline(file, number).strip(), Path(file).name, number
