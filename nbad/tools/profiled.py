"""`nbad.profile`: the time of each sweep of a call, and where it goes, as a table and as bars in notebooks."""

import math
from dataclasses import dataclass
from typing import Any

from nbad.api.calls import Call, analyse, check_kernel, says_what_is_missing
from nbad.api.kernel import Kernel
from nbad.api.options import check_seeds
from nbad.displays import html
from nbad.displays.text import aligned, plural
from nbad.errors import ArgumentTypeError, ArgumentValueError, fitting
from nbad.profiles import shares
from nbad.profiles.roofs import Roofs
from nbad.profiles.shares import PARTS, Share
from nbad.tools import plots
from nbad.tools.progress import bar

ROUNDS = 7


@dataclass(frozen=True, repr=False)
class Profile:
    """What `nbad.profile` measured; prints as a table, and is a picture in notebooks.

    Attributes
    ----------
    call : str
    elements : int
        Elements of the broadcast shape.
    dtype : str
    sweeps : tuple of Share
        Each with `name`, its best time in `seconds`, and those of its parts `body`, `launch`, `staging`, `blocks` and `waiting`.
    roofs : Roofs
        Bytes and operations that this machine did in a second, in the same minutes.
    load : float or None
        How many processes wanted to run in the last minute: other work than this makes all figures worse.
    """

    call: str
    elements: int
    dtype: str
    sweeps: tuple[Share, ...]
    roofs: Roofs
    load: float | None

    def __repr__(self) -> str:
        slowest = max(self.sweeps, key=lambda sweep: sweep.seconds)
        return f"<nbad.Profile of {self._head()}; print it for its table; longest: {slowest.name}, {time(slowest.seconds)}>"

    def __str__(self) -> str:
        return "\n".join([self._head(), "", *aligned([list(HEADINGS), *map(self._row, self.sweeps)]), "", self.conditions()])

    def _head(self) -> str:
        return f"{self.call}: {plural(self.elements, 'element')} of {self.dtype}"

    def _row(self, sweep: Share) -> list[str]:
        return row(sweep, self.elements)

    def conditions(self) -> str:
        """The roofs and the load as a sentence."""
        return conditions(self.roofs, self.load)

    def _repr_html_(self) -> str:
        """For notebooks: a row for each sweep, with a bar of its parts."""
        longest = max(sweep.seconds for sweep in self.sweeps)
        rows = []
        for sweep in self.sweeps:
            name, taken, each, *fractions = self._row(sweep)
            rows.append([name, taken, each, html.stack(sweep.fractions(), sweep.seconds / longest), *fractions])
        legend = [*HEADINGS[:3], "", *(html.swatch(k, name) for k, name in enumerate(PARTS))]
        table = html.table(legend, rows, [1, 2, *range(4, 4 + len(PARTS))])
        return html.page("nbad.profile", self._head(), table, html.note(self.conditions()))

    def _repr_png_(self) -> bytes | None:
        """The same bars as a picture, where matplotlib is installed."""
        return plots.png(self.sweeps, self._head()) if plots.is_available() else None


HEADINGS = ("sweep", "time", "ns per element", *PARTS)


@fitting("nbad.profile({f}, {xs})")
@says_what_is_missing
def profile(f: Kernel, /, *xs: Any, seeds: int = 8, rounds: int = ROUNDS) -> Profile:
    """Time the value, the forward and the reverse sweep and the Jacobian of a kernel, and tell where the time goes.

    It takes seconds: every sweep is run many times, on all elements and on parts of them that the caches keep.

    Parameters
    ----------
    f : Kernel
    *xs : array_like
        Its arguments.
    seeds : int
        Of the reverse sweep of many.
    rounds : int
        The best of so many interleaved timings is taken.

    Returns
    -------
    Profile
        Prints as a table: the best time of each sweep, and which fractions of it are the compiled code ("body"), what a call
        costs without elements ("launch"), arguments of other layouts and dtypes ("staging"), a Jacobian written as blocks
        ("blocks"), and the rest, for memory and other threads ("waiting").

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments that do not fit.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> told = nbad.profile(cube, np.linspace(0.0, 1.0, 1000), seeds=2, rounds=1)
    >>> [sweep.name for sweep in told.sweeps]
    ['value', 'forward', 'reverse, 1 seed', 'reverse, 2 seeds', 'Jacobian']
    """
    check_kernel(f)
    f, xs = shares.of_numbers(f, xs)
    call = analyse(f, xs, {}, None)
    _refuse_picked(call)
    seeds, rounds = max(1, check_seeds(call.program.call, seeds)), _rounds(call.program.call, rounds)
    with bar(rounds + 1) as step:
        found = shares.measure(f, xs, seeds, rounds, step)
    return Profile(call.program.call[1:-1], math.prod(call.layout.shape), call.layout.dtype.name, *found)


def conditions(roofs: Roofs, load: float | None) -> str:
    """Under which roofs, and beside how many processes, something was measured."""
    told = "" if load is None else f" Load of the machine: {load:.1f} processes in the last minute."
    roof = f"{roofs.bandwidth / 1e9:.1f} GB/s from memory and {roofs.rate / 1e9:.1f} billion operations per second"
    return f"Measured beside {roof}.{told}"


def _refuse_picked(call: Call) -> None:
    """Parts of arguments that are picked by an index would lie otherwise than the whole."""
    for name, _ in filter(lambda pair: pair[1], zip(call.program.names, call.operands.indices, strict=False)):
        raise ArgumentTypeError(
            f"`nbad.profile`: {name} is picked by an index",
            got="nbad.indexed(a, i)",
            expected="arrays",
            fix="nbad.profile(f, a[i])",
        )


def _rounds(call: str, rounds: Any) -> int:
    if isinstance(rounds, bool) or not hasattr(rounds, "__index__") or rounds < 1:
        raise ArgumentValueError(
            f"{call}: rounds={rounds!r} is not a number of rounds", got=repr(rounds), expected="an int, 1 or more", fix="rounds=7"
        )
    return int(rounds)


def row(sweep: Share, elements: int) -> list[str]:
    """A sweep below `HEADINGS`: its name, its time, and what fractions of that its parts are."""
    fractions = (f"{fraction:.0%}" for fraction in sweep.fractions().values())
    return [sweep.name, time(sweep.seconds), f"{sweep.seconds * 1e9 / max(1, elements):.3g}", *fractions]


def time(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    scale, unit = next((pair for pair in ((1e6, "us"), (1e3, "ms")) if seconds * pair[0] < 1000), (1.0, "s"))
    return f"{seconds * scale:.3g} {unit}"
