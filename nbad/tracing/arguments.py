"""What a trace is told of each argument, and how functions take theirs."""

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from nbad.graphs.structures import Structure

if sys.version_info >= (3, 14):
    import annotationlib


class Argument(NamedTuple):
    """A traced argument and its core shape; `()` is a scalar."""

    name: str
    shape: tuple[int, ...] = ()

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of its scalar slots in C order: "x", or "r[0]", "r[1]", or "m[0,1]"."""
        if not self.shape:
            return (self.name,)
        return tuple(f"{self.name}[{','.join(map(str, index))}]" for index in np.ndindex(self.shape))


class Bundle(NamedTuple):
    """Arguments that the function takes as one: a dict, a namedtuple or a dataclass of them."""

    name: str
    parts: tuple[Argument, ...]
    tree: Structure

    @property
    def slots(self) -> tuple[str, ...]:
        """Those of its parts."""
        return tuple(slot for part in self.parts for slot in part.slots)


def parts_of(argument: Argument | Bundle) -> Iterable[Argument]:
    """What is in it, if it is several."""
    return argument.parts if isinstance(argument, Bundle) else (argument,)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """How a user's function is called: Python 3.14 evaluates annotations when they are asked for, so there they stay texts."""
    if sys.version_info >= (3, 14):
        return inspect.signature(function, annotation_format=annotationlib.Format.STRING)
    return inspect.signature(function)


def shown_signature(function: Callable[..., Any]) -> str:
    """The same as its `def` has it."""
    signature = signature_of(function)
    if sys.version_info >= (3, 14):
        return signature.format(quote_annotation_strings=False)
    return str(signature)
