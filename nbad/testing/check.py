"""The correctness harness: `check_kernel(f, *xs)` proves one kernel, through the calls that a user makes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbad.api.calls import check_kernel as refuse_others
from nbad.api.calls import refuse_picked
from nbad.api.inspected import without_numbers
from nbad.api.kernel import Kernel
from nbad.api.statics import is_setting
from nbad.api.trees import flattened
from nbad.displays import html
from nbad.displays.text import plural
from nbad.errors import fitting
from nbad.testing.case import Case
from nbad.testing.checks import CHECKS
from nbad.testing.comparisons import CheckFailure, Findings, Inapplicable, compare

__all__ = ["CHECKS", "CheckFailure", "Entry", "Report", "check_kernel"]


@dataclass(frozen=True)
class Entry:
    """One line of the report: a check, how many numbers it compared, and what did not apply."""

    check: str
    compared: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        notes = [f"not applicable: {note}" for note in self.notes]
        return "  ".join([f"{self.check:<24}{self.compared:>10,}", *notes])


@dataclass(frozen=True, repr=False)
class Report:
    """What `check_kernel` compared; prints as a table, and is shown as such in notebooks."""

    kernel: str
    entries: tuple[Entry, ...]

    def __repr__(self) -> str:
        return f"<nbad.testing.Report of {self.kernel}: {self._head()}>"

    def _head(self) -> str:
        return f"{plural(len(self.entries), 'check')} passed, {sum(e.compared for e in self.entries):,} numbers compared"

    def _repr_html_(self) -> str:
        """For notebooks: a row for each check."""
        rows = ((entry.check, f"{entry.compared:,}", "; ".join(entry.notes)) for entry in self.entries)
        table = html.table(["check", "numbers compared", "not applicable"], rows, [1])
        return html.page("nbad.testing.check_kernel", self.kernel, html.note(self._head()), table)

    def __str__(self) -> str:
        return "\n".join([f"{self.kernel}: all checks passed; numbers compared:", *(f"  {entry}" for entry in self.entries)])


@fitting("nbad.testing.check_kernel({f}, {xs})")
def check_kernel(f: Kernel, *xs: Any) -> Report:
    """Prove one kernel: its values, its partials, and every promise of its pullback.

    Parameters
    ----------
    f : Kernel
    *xs : array_like
        Inputs in the kernel's domain, and values of its static arguments. The checks run on the elements of the inputs; a few
        dozen that vary are better than one.

    Returns
    -------
    Report

    Raises
    ------
    CheckFailure
        With the first difference found.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> @nbad.kernel
    ... def square(x):
    ...     return x**2
    >>> report = nbad.testing.check_kernel(square, np.linspace(-2, 2, 50))
    >>> [entry.check for entry in report.entries][:2]
    ['value', 'partials']
    """
    refuse_others(f)
    refuse_picked(f, xs)
    if not f._cores:
        raise without_numbers(f)
    if xs:
        f(*xs)  # it says itself what is wrong with them
        flat = flattened(f, xs, {})
        f, xs = (flat.kernel, flat.args) if flat else (f, xs)
        f = f.sized_for(xs, {})
    given = dict(zip(f.parameters, xs, strict=False))
    statics = {name: given.pop(name) for name, value in tuple(given.items()) if name in f.static or is_setting(value)}
    f, xs = f.fixed(statics) if statics else f, tuple(given.values())
    with np.errstate(all="ignore"):
        case = Case.of(f, xs)
        return Report(f.__name__, tuple(_run(check, case) for check in CHECKS))


def _run(check: Callable[[Case], Findings], case: Case) -> Entry:
    compared, notes = 0, []
    for finding in check(case):
        if isinstance(finding, Inapplicable):
            notes.append(finding.reason)
        else:
            compared += compare(case.kernel.__name__, check.__name__, finding)
    return Entry(check.__name__, compared, tuple(notes))
