"""Pictures of a run: roofline, time against seeds, time against n, peers side by side; and heat maps, which `heat` draws.

The former show float64, or what there is instead, on the most threads, with fresh results.
"""

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.by_hand.costs import nbytes, operations
from benchmarks.cases.task import SWEEPS, short
from benchmarks.report.heat import heat_maps
from benchmarks.report.results import comparisons

MARKS = dict(zip(SWEEPS, "o^sDvP", strict=True))
COLORS = (*plt.get_cmap("tab20").colors[::2], *plt.get_cmap("tab20").colors[1::2])


def draw(results, folder):
    """Write every picture for which there are records.

    Parameters
    ----------
    results : Results
    folder : Path

    Returns
    -------
    list of str
        Names of the files.
    """
    pictures = {"roofline": roofline, "seeds": against_seeds, "sizes": against_sizes, "peers": side_by_side}
    figures = {name: picture(results, _shown(results)) for name, picture in pictures.items()} | heat_maps(results)
    for name, figure in figures.items():
        if figure:
            figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
            plt.close(figure)
    return [f"{name}.png" for name, figure in figures.items() if figure]


def roofline(results, found):
    """nbad's sweeps at the largest size, below what memory and arithmetic allow."""
    bandwidth, peak = (results.settings.get(key) for key in ("bytes per second", "operations per second"))
    points = _largest(found, key=lambda c: None)
    if not points or not bandwidth:
        return None
    figure, axes = plt.subplots(figsize=(9, 6))
    names = list(dict.fromkeys(c.case.workload for c in points))
    for c in points:
        x, y = operations(c.case) / nbytes(c.case), operations(c.case) * c.case.n / c.ours.best / 1e9
        axes.plot(x, y, MARKS[c.case.sweep], color=_color(names.index(c.case.workload)))
    low, high = axes.get_xlim()
    xs = [min(max(low, 0.02), 0.05), peak / bandwidth, max(high, 2 * peak / bandwidth)]
    axes.plot(xs, [min(peak, x * bandwidth) / 1e9 for x in xs], color="black", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="operations per byte that has to move", ylabel="1e9 operations per second")
    roofs = f"{bandwidth / 1e9:.0f} GB/s from memory, {peak / 1e9:.0f} Gflop/s"
    axes.set_title(f"nbad, n = {short(points[0].case.n)}, {points[0].case.dtype}; line: {roofs}")
    _legend(axes, [(name, "s", _color(k)) for k, name in enumerate(names)] + [(s, m, "gray") for s, m in MARKS.items()])
    return figure


def against_seeds(results, found):
    """Time of a reverse sweep against the number of seeds, a panel for each workload."""
    reverse = _largest([c for c in found if c.case.sweep == "reverse"], key=lambda c: c.case.workload)
    return _panels(
        results,
        reverse,
        _name_and_size,
        lambda c: c.case.seeds,
        lambda record: record.best * 1e3,
        ("seeds", "milliseconds, reverse"),
    )


def against_sizes(results, found):
    """Time for one element against n, a panel for each workload and sweep; reverse with the middle number of seeds."""
    seeds = sorted({c.case.seeds for c in found if c.case.sweep == "reverse"})
    chosen = [c for c in found if c.case.sweep != "reverse" or c.case.seeds == seeds[len(seeds) // 2]]
    return _panels(
        results,
        chosen,
        _panel_name,
        lambda c: c.case.n,
        lambda record: record.best * 1e9 / record.case.n,
        ("n", "nanoseconds an element"),
    )


def side_by_side(results, found):
    """Every peer's time over nbad's at the largest size, a panel for each sweep."""
    chosen = _largest([c for c in found if c.theirs], key=lambda c: (c.case.workload, c.case.sweep, c.case.seeds))
    if not chosen:
        return None
    names = list(dict.fromkeys(c.case.title for c in chosen))
    figure, panels = plt.subplots(len(names), 1, figsize=(11, 2.6 * len(names)), squeeze=False, layout="constrained")
    for axes, name in zip(panels[:, 0], names, strict=True):
        _bars(axes, [c for c in chosen if c.case.title == name], results.peers)
        axes.set(yscale="log", title=name, ylabel="time over nbad's")
        _plain(axes.yaxis)
    _legend(panels[0, 0], [(peer, "s", _color(k + 1)) for k, peer in enumerate(results.peers)])
    return figure


def _bars(axes, chosen, peers):
    width = 0.8 / max(1, len(peers))
    for k, peer in enumerate(peers):
        points = [(place + k * width, c.ratio(peer)) for place, c in enumerate(chosen) if peer in c.theirs]
        axes.bar([x for x, _ in points], [y - 1 for _, y in points], width, bottom=1, color=_color(k + 1))
    axes.axhline(1, color="black", linewidth=1)
    centers = [place + 0.4 - width / 2 for place in range(len(chosen))]
    axes.set_xticks(centers, [f"{c.case.workload}\nn = {short(c.case.n)}" for c in chosen])


def _panels(results, found, panel, x, y, labels):
    """One panel for each value of `panel`, one line for each peer."""
    names = list(dict.fromkeys(map(panel, found)))
    if len(set(map(x, found))) < 2:
        return None
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), squeeze=False, layout="constrained")
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels.flat, names, strict=False):
        group = sorted((c for c in found if panel(c) == name), key=x)
        _lines(axes, group, results.peers, x, y)
        axes.set(xscale="log", yscale="log", title=name)
        ticks = sorted({x(c) for c in group})
        axes.set_xticks(ticks, [short(tick) for tick in ticks])
        axes.xaxis.set_minor_formatter("")
        _plain(axes.yaxis)
    figure.supxlabel(labels[0])
    figure.supylabel(labels[1])
    lines = {line.get_label(): line for axes in panels.flat for line in axes.get_lines()}
    figure.legend(handles=list(lines.values()), loc="outside right upper")
    return figure


def _lines(axes, group, peers, x, y):
    axes.plot([x(c) for c in group], [y(c.ours) for c in group], "o-", color=_color(0), label="nbad", linewidth=2)
    for k, peer in enumerate(peers, 1):
        points = [(x(c), y(c.theirs[peer])) for c in group if peer in c.theirs]
        if points:
            axes.plot([p for p, _ in points], [t for _, t in points], ".-", color=_color(k), label=peer, linewidth=1)


def _shown(results):
    found = [c for c in comparisons(results.records) if not c.reuses]
    dtypes, threads = {c.case.dtype for c in found}, [c.case.threads for c in found]
    dtype = "float64" if "float64" in dtypes else next(iter(dtypes), None)
    return [c for c in found if c.case.dtype == dtype and c.case.threads == max(threads)]


def _largest(found, key):
    """Those of the largest size that each key has."""
    sizes = {}
    for c in found:
        sizes[key(c)] = max(sizes.get(key(c), 0), c.case.n)
    return [c for c in found if c.case.n == sizes[key(c)]]


def _name_and_size(c):
    return f"{c.case.workload}, n = {short(c.case.n)}"


def _panel_name(c):
    return f"{c.case.workload}\n{c.case.title}"


def _plain(axis):
    """Labels such as 0.5 and 20, and none between the decades."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def _color(k):
    return COLORS[k % len(COLORS)]


def _legend(axes, entries):
    for label, mark, color in entries:
        axes.plot([], [], mark, color=color, label=label)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
