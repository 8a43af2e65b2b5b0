"""The picture of a profile: how far each sweep is below what the machine allows.

matplotlib is loaded only when something is drawn.
"""

from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from nbad.errors import ArgumentValueError
from nbad.tools.profiling import Report, Sweep
from nbad.tools.roofs import Roofs

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
        expected, fix = f"a name that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}", f"--plot {target.stem}.png"
        raise ArgumentValueError(f"{headline}: not a kind of picture", expected=expected, fix=fix, source=None)
    if not target.resolve().parent.is_dir():
        raise ArgumentValueError(f"{headline}: no folder {target.parent}", fix=f"mkdir -p {target.parent}", source=None)
    if util.find_spec("matplotlib") is None:
        raise ArgumentValueError(f"{headline}: matplotlib is not installed", fix='pip install "nbad[plot]"', source=None)
    return target


def roofline(report: Report, roofs: Roofs, path: Path) -> None:
    """Draw the sweeps of a report under the roofs of this machine.

    Parameters
    ----------
    report : Report
    roofs : Roofs
    path : Path
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes, shown = figure.subplots(), [sweep for sweep in report.sweeps if sweep.operations]
    _draw_roofs(axes, roofs, [sweep.intensity for sweep in shown])
    for mark, sweep in zip(MARKS, shown, strict=False):
        axes.plot(sweep.intensity, sweep.rate / 1e9, mark, markersize=9, markeredgecolor="white", label=_label(sweep, roofs))
    _scale(axes, [roofs.rate / 1e9, *(sweep.rate / 1e9 for sweep in shown)])
    axes.set_title(f"{report.subject.name}: {report.options.n:,} elements, {report.options.dtype}")
    figure.legend(loc="outside lower center", frameon=False)
    figure.savefig(path, dpi=130)


def _draw_roofs(axes: Any, roofs: Roofs, intensities: list[float]) -> None:
    """The line that no sweep is above, unless its arrays fit into the caches, with its two parts named."""
    ridge = roofs.rate / roofs.bandwidth
    low, high = min([*intensities, ridge]) / 3, max([*intensities, ridge]) * 3
    xs, gigabytes = np.array([low, ridge, high]), roofs.bandwidth / 1e9
    axes.plot(xs, [roofs.at(x) / 1e9 for x in xs], color="black", linewidth=1.5)
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    middle, name = (low * ridge) ** 0.5, dict(textcoords="offset points", color="0.3", ha="right")
    axes.annotate(f"memory: {gigabytes:.0f} GB/s, caches more", (middle, middle * gigabytes), (-8, 2), **name)
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
