"""What a check may find: results that must be the same bits or near, or why it does not apply; the error where they differ."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbad.errors import NbadError

DIGITS_WITHOUT_BOUND = 1e-8


class CheckFailure(NbadError, AssertionError):
    """A kernel is wrong.

    Attributes
    ----------
    check : str
        Name of the check that found it.
    what : str
        The output or argument.
    index : tuple of int
        The first wrong element; empty where dtype or shape differ.
    got, expected : str
        The two values there, or the two dtypes and shapes.
    """

    def __init__(self, kernel: str, check: str, what: str, index: tuple[int, ...], got: str, expected: str):
        self.check, self.what, self.index, self.got, self.expected = check, what, index, got, expected
        place = f" at element {index}" if index else ""
        super().__init__(f"`check_kernel({kernel}, ...)`: {check} fails: {what}{place}", got=got, expected=expected, source=None)


@dataclass(frozen=True)
class Same:
    """Two results that must be the same bits; any nan equals any nan."""

    what: str
    got: Any
    expected: Any


@dataclass(frozen=True)
class Near:
    """A result that must be within `bound` of another, except where that one is `unknown`; nan and infinity must agree."""

    what: str
    got: Any
    expected: Any
    bound: Any
    unknown: Any = False


@dataclass(frozen=True)
class Inapplicable:
    """Why a check, or a part of it, has nothing to say about this kernel or on this machine."""

    reason: str


Findings = Iterator[Same | Near | Inapplicable]


def same(what: str, got: Iterable[Any], expected: Iterable[Any]) -> Iterator[Same]:
    """One `Same` per leaf."""
    for k, (a, b) in enumerate(zip(got, expected, strict=True)):
        yield Same(f"{what} {k}", a, b)


def compare(kernel: str, check: str, finding: Same | Near) -> int:
    """Judge one finding.

    Parameters
    ----------
    kernel, check : str
        Names, for the message.
    finding : Same or Near

    Returns
    -------
    int
        How many numbers were compared.

    Raises
    ------
    CheckFailure
    """
    got, expected = np.asarray(finding.got), np.asarray(finding.expected)
    forms = [f"{'array' if isinstance(finding, Near) else a.dtype.name} of shape {a.shape}" for a in (got, expected)]
    if forms[0] != forms[1]:
        raise CheckFailure(kernel, check, finding.what, (), *forms)
    wrong = _too_far(got, expected, finding) if isinstance(finding, Near) else _different(got, expected)
    if wrong.any():
        index = tuple(map(int, np.argwhere(wrong)[0]))
        room = f" within {np.broadcast_to(finding.bound, got.shape)[index]:.3g}" if isinstance(finding, Near) else ""
        raise CheckFailure(kernel, check, finding.what, index, repr(got[index]), repr(expected[index]) + room)
    return got.size


def _different(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Where bits differ."""
    if got.dtype.kind != "f":
        return np.asarray(got != expected)
    bits = [np.array(a, a.dtype.newbyteorder("="), order="C").view(f"i{a.itemsize}") for a in (got, expected)]
    return (bits[0] != bits[1]) & ~(np.isnan(got) & np.isnan(expected))


def _too_far(got: np.ndarray, expected: np.ndarray, finding: Near) -> np.ndarray:
    """Where the difference exceeds the bound; a lost bound stands for eight digits."""
    with np.errstate(all="ignore"):
        bound = np.where(np.isfinite(finding.bound), finding.bound, DIGITS_WITHOUT_BOUND * np.abs(expected))
        agree = (got == expected) | (np.isnan(got) & np.isnan(expected)) | (np.abs(got - expected) <= bound)
    return ~(agree | finding.unknown)
