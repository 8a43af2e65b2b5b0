"""Tables for a terminal: nbad's time, and every peer's time over it."""

from rich.table import Table

from benchmarks.cases.task import plural, short
from benchmarks.report.results import comparisons, tables

UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def seconds(value):
    """A time with its unit, to three digits.

    Examples
    --------
    >>> seconds(0.00123456)
    '1.23 ms'
    """
    unit, size = next(((u, s) for u, s in UNITS if value >= s), UNITS[-1])
    return f"{value / size:.3g} {unit}" if value < 999.5 * size else f"{value / size:.0f} {unit}"


def ratio(value):
    """A ratio to two digits; nothing where a peer did not run.

    Examples
    --------
    >>> ratio(12.345), ratio(1.234), ratio(0.5), ratio(0.0123)
    ('12', '1.2', '0.50', '0.01')
    """
    if value is None:
        return ""
    digits = (0 if value >= 9.95 else 1 if value >= 0.995 else 2) if value >= 0.00995 else 4
    return f"{value:.{digits}f}"


def ratio_tables(results):
    """One table for each workload, dtype and number of threads.

    Parameters
    ----------
    results : Results

    Yields
    ------
    rich.table.Table
    """
    for (workload, dtype, threads), group in tables(comparisons(results.records)):
        table = Table(title=f"{workload}, {dtype}, {plural(threads, 'thread')}: time over nbad's")
        for name in ("sweep", "n", "seeds", "results", "nbad", "median"):
            table.add_column(name, justify="left" if name in ("sweep", "results") else "right", no_wrap=True)
        for peer in results.peers:
            table.add_column(peer, justify="right", no_wrap=True)
        for c in group:
            table.add_row(*row_head(c), *(_colored(c.ratio(peer)) for peer in results.peers))
        yield table


def row_head(c):
    """The first cells of a comparison's row."""
    return c.case.sweep, short(c.case.n), str(c.case.seeds or ""), c.place, seconds(c.ours.best), seconds(c.ours.median)


def _colored(value):
    text = ratio(value)
    return f"[red]{text}[/red]" if value is not None and value < 1 else text
