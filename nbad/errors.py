"""The exceptions that users may catch: they compose their own message, with the user's line and the fix.

Errors of a user's derive from `NbadError` and from the builtin that NumPy would raise; a bug of ours is an `InternalError`.
"""

from nbad.lines import Line, running_line

HERE = Line("", "", 0)  # stands for the user's line that is running


class NbadError(Exception):
    """Base of every error that nbad raises on purpose; it composes its own message.

    Parameters
    ----------
    headline : str
        The call as the user wrote it, or the kernel, and what is wrong with it.
    got, expected, fix : str, optional
        Each becomes a line of its own; the fix is code.
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
        fix: str | None = None,
        source: Line | None = HERE,
    ):
        parts = [(label, text) for label, text in (("got", got), ("expected", expected), ("fix", fix)) if text]
        if source is HERE:
            source = running_line() if parts else None  # without parts it is made again, as by pickle: the text is whole
        shown = [f"    {source.text:<40} ({source.file}:{source.number})"] if source else []
        super().__init__("\n".join([headline, *shown, *(f"  {label}: {text}" for label, text in parts)]))


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
