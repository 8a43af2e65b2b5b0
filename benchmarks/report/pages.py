"""Results as Markdown: what results.md shows, losses first, and who is ahead where."""

import itertools
from pathlib import Path

from benchmarks.cases.task import SWEEPS, plural, short
from benchmarks.report.results import comparisons, tables
from benchmarks.report.tables import ratio, row_head, seconds

TITLES = ["sweep", "n", "seeds", "results", "nbad", "median"]


def markdown(results):
    """The whole report of a run of the matrix: the summary, and a table for each workload, dtype and number of threads.

    Parameters
    ----------
    results : Results

    Returns
    -------
    str
    """
    found = comparisons(results.records)
    leaders = [_leaders(group) for group in _by_place(found)[1:]]
    parts = [*leaders, *(_table(key, list(group), results.peers) for key, group in tables(found))]
    return "\n\n".join([summary(results).rstrip(), *parts, *_incidents(results)]) + "\n"


def summary(results):
    """The machine, the largest size of every sweep, where a peer is ahead, and who is ahead where.

    Parameters
    ----------
    results : Results

    Returns
    -------
    str
    """
    found = comparisons(results.records)
    counts = f"Failures: {len(results.failures)}. Cases left out: {len(results.left_out)}."
    parts = [head({**results.machine, **results.settings}), f"{_versions(results)} {counts}"]
    parts += [_largest(found, results.peers), _losses(found, results.peers), *map(_leaders, _by_place(found)[:1])]
    return "\n\n".join(parts) + "\n"


def insert(path, name, text):
    """Put text between the markers of a section in a file.

    Parameters
    ----------
    path : path-like
    name : str
        Of the section: its markers are `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
    text : str
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = Path(path).read_text(encoding="utf-8")
    if begin not in old or end not in old:
        raise SystemExit(f"{path} has no lines `{begin}` and `{end}`")
    head, rest = old.split(begin, 1)
    Path(path).write_text(f"{head}{begin}\n{text.strip()}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def grid(titles, rows):
    """A Markdown table; all columns but the first are right-aligned."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def head(facts):
    """A table of facts by name, such as the machine's."""
    return grid(["machine", ""], [[name, _plain(fact)] for name, fact in facts.items()])


def _plain(fact):
    return f"{fact:.3g}" if isinstance(fact, float) else fact


def _versions(results):
    named = {f"{name} {version}" for packages in results.versions.values() for name, version in packages.items()}
    return "Versions: " + ", ".join(sorted(named)) + "." if named else ""


def _largest(found, peers):
    """Ratios with fresh results at the largest size of every sweep, for the first dtype on the most threads."""
    shown, key = {}, lambda c: (c.case.workload, c.case.sweep, c.case.seeds)
    for c in sorted(found, key=lambda c: (c.case.dtype == "float64", c.case.threads, c.case.n)):
        if not c.reuses:
            shown[key(c)] = c
    rows = [[c.case, seconds(c.ours.best), *(_marked(c.ratio(peer)) for peer in peers)] for _, c in sorted(shown.items())]
    return "### Time over nbad's, fresh results\n\n" + grid(["case", "nbad", *peers], rows)


def _losses(found, peers):
    """Where a peer is ahead: a row for each workload, sweep and peer, the largest lead first."""
    groups = {}
    for c, peer in itertools.product(found, peers):
        if peer in c.theirs:
            groups.setdefault((c.case.workload, c.case.sweep, peer), []).append((c.ratio(peer), c))
    rows = [_loss(key, group) for key, group in groups.items()]
    rows = [row for _, row in sorted((row for row in rows if row), key=lambda row: row[0])]
    titles = ["workload", "sweep", "peer", "ahead in", "at most n", "ratio at worst", "there", "how"]
    return "### Where a peer is ahead\n\n" + (grid(titles, rows) if rows else "Nowhere in this run.")


def _by_place(found):
    """Comparisons that have peers, of one dtype, number of threads and place of the results together; the first are float64's."""
    groups = {}
    for c in sorted(found, key=lambda c: (c.case.dtype != "float64", -c.case.threads, c.reuses)):
        if c.theirs:
            groups.setdefault((c.case.dtype, c.case.threads, c.place), []).append(c)
    return list(groups.values())


def _leaders(group):
    """The fastest of all at every size: a peer with its time over nbad's, or nbad with that of the closest peer."""
    sizes, rows = sorted({c.case.n for c in group}), {}
    for c in sorted(group, key=lambda c: (c.case.workload, SWEEPS.index(c.case.sweep), c.case.seeds)):
        peer, value = c.closest
        cell = f"**{peer} {ratio(value)}**" if value < 1 else f"nbad {ratio(value)}"
        rows.setdefault((c.case.workload, c.case.title), {})[c.case.n] = cell
    first = group[0]
    title = f"### Who is ahead where: {first.case.dtype}, {plural(first.case.threads, 'thread')}, results {first.place}"
    text = "The fastest of all; in each cell, the best peer's time over nbad's."
    cells = [[*key, *(row.get(n, "") for n in sizes)] for key, row in rows.items()]
    return f"{title}\n\n{text}\n\n" + grid(["workload", "sweep", *(f"n = {short(n)}" for n in sizes)], cells)


def _loss(key, group):
    """Worst ratio and row of a group; None where nbad is never behind."""
    behind = [(value, c) for value, c in group if value < 1]
    if not behind:
        return None
    worst, c = min(behind, key=lambda item: item[0])
    most = short(max(c.case.n for _, c in behind))
    place = f"{c.case.title}, n = {short(c.case.n)}, {c.case.dtype}, {plural(c.case.threads, 'thread')}, {c.place}"
    return worst, [*key, f"{len(behind)} of {len(group)}", most, ratio(worst), place, c.theirs[key[2]].contestant]


def _marked(value):
    return f"**{ratio(value)}**" if value is not None and value < 1 else ratio(value)


def _table(key, group, peers):
    workload, dtype, threads = key
    shown = [peer for peer in peers if any(peer in c.theirs for c in group)]
    rows = [[*row_head(c), *(_marked(c.ratio(peer)) for peer in shown)] for c in group]
    return f"### {workload}, {dtype}, {plural(threads, 'thread')}\n\n" + grid([*TITLES, *shown], rows)


def _incidents(results):
    """Lists of what failed and what was left out, where there is any."""
    for title, entries in (("Failed", results.failures), ("Left out", results.left_out)):
        if entries:
            yield f"### {title}\n\n" + "\n".join("* " + "; ".join(f"{k}: {v}" for k, v in entry.items()) for entry in entries)
