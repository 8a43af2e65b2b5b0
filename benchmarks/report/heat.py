"""Heat maps: the best peer's time over nbad's, kernels down and sizes across, a panel for each sweep and place of the results.

One picture for each number of threads, in float64 or what there is instead. Blue: nbad is ahead; red: the peer that is named.
"""

import math

from matplotlib import pyplot as plt
from matplotlib.colors import TwoSlopeNorm

from benchmarks.cases.task import SWEEPS, plural, short
from benchmarks.report.results import comparisons
from benchmarks.report.tables import ratio

MOST = 3  # powers of two beyond which colours do not change
CELL = 0.95, 0.26  # inches


def heat_maps(results):
    """The pictures for which there are records.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict of str to Figure
        By name.
    """
    found = [c for c in comparisons(results.records) if c.theirs]
    dtypes = {c.case.dtype for c in found}
    shown = [c for c in found if c.case.dtype == ("float64" if "float64" in dtypes else min(dtypes))]
    return {f"heat-{threads}": _picture(shown, threads) for threads in sorted({c.case.threads for c in shown})}


def _picture(found, threads):
    found = [c for c in found if c.case.threads == threads]
    kernels, sizes = list(dict.fromkeys(c.case.workload for c in found)), sorted({c.case.n for c in found})
    sweeps = sorted({(SWEEPS.index(c.case.sweep), c.case.seeds, c.case.title) for c in found})
    places = sorted({c.reuses for c in found})
    width, height = (2 + 0.3 + len(sizes) * CELL[0]) * len(places), 0.9 + (0.6 + len(kernels) * CELL[1]) * len(sweeps)
    figure, panels = plt.subplots(len(sweeps), len(places), figsize=(width, height), squeeze=False, layout="constrained")
    for row, (_, _, title) in zip(panels, sweeps, strict=True):
        for axes, reuses in zip(row, places, strict=True):
            cells = {(c.case.workload, c.case.n): c for c in found if (c.case.title, c.reuses) == (title, reuses)}
            _panel(axes, cells, kernels, sizes)
            axes.set_title(f"{title}, results {'reused' if reuses else 'fresh'}", fontsize=9)
    dtype = found[0].case.dtype
    figure.suptitle(f"Best peer's time over nbad's, {dtype}, {plural(threads, 'thread')} (blue: nbad is ahead)", fontsize=11)
    return figure


def _panel(axes, cells, kernels, sizes):
    """One sweep; a cell is white and empty where nothing was measured."""
    norm, colors = TwoSlopeNorm(0, -MOST, MOST), plt.get_cmap("RdBu")
    for (kernel, n), c in cells.items():
        x, y, (peer, value) = sizes.index(n), kernels.index(kernel), c.closest
        power = max(-MOST, min(MOST, math.log2(value)))
        axes.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=colors(norm(power)), edgecolor="white"))
        ink = "white" if abs(power) > 0.6 * MOST else "black"
        axes.text(x + 0.5, y + 0.5, f"{ratio(value)} {peer}", ha="center", va="center", fontsize=7, color=ink)
    axes.set(xlim=(0, len(sizes)), ylim=(len(kernels), 0))
    axes.set_xticks([k + 0.5 for k in range(len(sizes))], [short(n) for n in sizes], fontsize=8)
    axes.set_yticks([k + 0.5 for k in range(len(kernels))], kernels, fontsize=8)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
