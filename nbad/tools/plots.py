"""Pictures of a profile: how far each sweep is below what the machine allows, and where its time goes.

matplotlib is loaded only when something is drawn.
"""

import io
import shlex
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from nbad.displays.html import COLORS
from nbad.errors import ArgumentValueError
from nbad.profiles.roofs import Roofs
from nbad.profiles.shares import PARTS, Share
from nbad.tools.profiling import Report, Sweep

FORMATS = (".png", ".svg", ".pdf")
MARKS = "osD^v"


def check_target(path: str) -> Path:
    """Where to draw, checked before anything is measured.

    Parameters
    ----------
    path : str

    Returns
    -------
    Path

    Examples
    --------
    >>> check_target("roofline.txt")
    Traceback (most recent call last):
    nbad.errors.ArgumentValueError: `nbad profile --plot roofline.txt`: not a kind of picture
      expected: a name that ends in .png, .svg or .pdf
      fix: --plot roofline.png
    """
    target, headline = Path(path), f"`nbad profile --plot {path}`"
    if target.suffix not in FORMATS:
        expected = f"a name that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        fix = f"--plot {shlex.quote(str(target.with_suffix('.png')))}"
        raise ArgumentValueError(f"{headline}: not a kind of picture", expected=expected, fix=fix, source=None)
    if not target.resolve().parent.is_dir():
        fix = f"mkdir -p {shlex.quote(str(target.parent))}"
        raise ArgumentValueError(f"{headline}: no folder {target.parent}", fix=fix, source=None)
    if not is_available():
        raise ArgumentValueError(f"{headline}: matplotlib is not installed", fix='pip install "nbad[plot]"', source=None)
    return target


def is_available() -> bool:
    """Whether there is something to draw with."""
    return util.find_spec("matplotlib") is not None


def png(sweeps: Sequence[Share], title: str) -> bytes:
    """Where the time of each sweep goes, as a picture.

    Parameters
    ----------
    sweeps : sequence of Share
    title : str
    """
    from matplotlib.figure import Figure

    figure, file = Figure(figsize=(8, 0.9 + 0.4 * len(sweeps)), layout="constrained"), io.BytesIO()
    _draw_shares(figure.subplots(), sweeps)
    figure.suptitle(title, fontsize=10)
    figure.savefig(file, format="png", dpi=130)
    return file.getvalue()


def _draw_shares(axes: Any, sweeps: Sequence[Share]) -> None:
    """A bar for each sweep, of the fractions that its parts are."""
    names = [sweep.name for sweep in sweeps][::-1]
    left = np.zeros(len(sweeps))
    for part, color in zip(PARTS, COLORS, strict=True):
        widths = np.array([sweep.fractions()[part] for sweep in sweeps][::-1])
        axes.barh(names, widths, left=left, color=color, label=part, height=0.7)
        left += widths
    axes.set(xlim=(0.0, 1.0))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(PARTS), frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def roofline(report: Report, path: Path) -> None:
    """Draw the sweeps of a report under the roofs of this machine, and where the time of each goes.

    Parameters
    ----------
    report : Report
    path : Path
    """
    from matplotlib.figure import Figure

    figure, roofs = Figure(figsize=(8, 8.5), layout="constrained"), report.roofs
    axes, below = figure.subplots(2, height_ratios=(3, 1))
    shown = [sweep for sweep in report.sweeps if sweep.operations]
    _draw_shares(below, [sweep.share for sweep in report.sweeps])
    _draw_roofs(axes, roofs, [sweep.intensity for sweep in shown])
    for mark, sweep in zip(MARKS, shown, strict=False):
        axes.plot(sweep.intensity, sweep.rate / 1e9, mark, markersize=9, markeredgecolor="white", label=_label(sweep, roofs))
    _scale(axes, [roofs.rate / 1e9, *(sweep.rate / 1e9 for sweep in shown)])
    axes.set_title(f"{report.subject.name}: {report.options.n:,} elements, {report.options.dtype}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False)
    figure.savefig(path, dpi=130)


def _draw_roofs(axes: Any, roofs: Roofs, intensities: list[float]) -> None:
    """The line that no sweep is above, unless its arrays fit into the caches, with its two parts named."""
    ridge = roofs.rate / roofs.bandwidth
    low, high = min([*intensities, ridge]) / 3, max([*intensities, ridge]) * 3
    xs, gigabytes = np.array([low, ridge, high]), roofs.bandwidth / 1e9
    axes.plot(xs, [roofs.at(x) / 1e9 for x in xs], color="black", linewidth=1.5)
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    middle, name = (low * ridge) ** 0.5, dict(textcoords="offset points", color="0.3", ha="right")
    below = name | {"ha": "left"}
    axes.annotate(f"memory: {gigabytes:.0f} GB/s, caches more", (middle, middle * gigabytes), (8, -10), **below)
    text = f"arithmetic: {roofs.rate / 1e9:.0f} billion operations per second"
    axes.annotate(text, (high, roofs.rate / 1e9), (-6, 5), **name)


def _scale(axes: Any, rates: list[float]) -> None:
    """Round numbers along both axes, and room around the points."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.set_ylim(min(rates) / 3, max(rates) * 2)
    axes.set_xlabel("operations per byte that has to move (a multiplication counts 1, a call of exp 20)")
    axes.set_ylabel("billion operations per second")
    axes.grid(which="major", color="0.92")
    axes.set_axisbelow(True)


def _label(sweep: Sweep, roofs: Roofs) -> str:
    share = sweep.rate / roofs.at(sweep.intensity)
    return f"{sweep.name}: {sweep.rate / 1e9:.1f} billion operations per second, {share:.0%} of its roof"
