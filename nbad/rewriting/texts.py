"""`TracedText`: texts with traced values in them may be shown, by whoever is given them, and nothing else can be made of them."""

import re
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from nbad import lines

# what makes a text, or takes the result of a call, stands behind the name of what shows it; `log` is that of loggers, not of math
_MAKES = r"""["']|\b(?:str|repr|format|ascii)\(|\breturn\b|(?<![=!<>])=(?!=)"""
_SHOWING_CALL = r"(?:\b\w*(?i:log)\w*\.log|\b(?:print|warn|debug|info|warning|error|critical|exception))\("
_SHOWS = re.compile(rf"(?:raise|assert)\b|(?:(?!{_MAKES}).)*?{_SHOWING_CALL}")
_SHOWING = frozenset("bdb cmd code logging pdb traceback unittest warnings".split())  # what these make of values is for people


def computing_line(frame: FrameType | None) -> lines.Line | None:
    """The user's line that makes a text of a traced value; None where the text is shown."""
    while frame is not None and lines.is_foreign(frame):
        if lines.top_module(frame) in _SHOWING:
            return None
        frame = frame.f_back
    line = None if frame is None else lines.line_of(frame.f_code, frame.f_lineno)
    return None if line is None or _SHOWS.match(line.text) else line


class TracedText:
    """What an f-string makes of traced values: no `str`, for code in C would read what no element has.

    Parameters
    ----------
    text : str
    trace : Trace
        Is told when it is turned into a `str`, and refuses all other uses; what outlives it is a text like others.
    words : tuple of str
        What is said then.
    """

    __slots__ = ("_text", "_trace", "_words")
    __class__ = str  # type: ignore[assignment]

    def __init__(self, text: str, trace: Any, words: tuple[str, str]) -> None:
        self._text, self._trace, self._words = text, weakref.ref(trace), words

    def __str__(self) -> str:
        trace = self._trace()
        if trace is not None:
            trace.note_text(sys._getframe(1))
        return self._text

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return True  # no number is shown as nothing

    def __add__(self, other: Any) -> Any:
        return self._joined(self, other)

    def __radd__(self, other: Any) -> Any:
        return self._joined(other, self)

    def _joined(self, *parts: Any) -> Any:
        texts = list(map(told, parts))
        if not all(type(text) is str for text in texts):
            return NotImplemented
        trace = self._trace()
        return "".join(texts) if trace is None else TracedText("".join(texts), trace, self._words)

    def __getattr__(self, name: str) -> Any:
        trace = self._trace()
        if trace is None or not trace.is_open:
            return getattr(self._text, name)
        if name.startswith("__"):
            raise AttributeError(f"texts of traced values have no attribute `{name}`")
        raise trace.refusal(*self._words)


def told(part: Any) -> Any:
    """What a text of traced values would show; anything else as it is."""
    return part._text if type(part) is TracedText else part


def _method(name: str) -> Callable[..., Any]:
    """A method of texts, for those that outlive their trace."""

    def method(self: TracedText, *operands: Any) -> Any:
        trace = self._trace()
        if trace is None or not trace.is_open:
            return getattr(self._text, name)(*operands)
        raise trace.refusal(*self._words)

    return method


for _name in "eq ne lt le gt ge hash len iter getitem contains mul rmul mod float int index complex bytes".split():
    setattr(TracedText, f"__{_name}__", _method(f"__{_name}__"))
