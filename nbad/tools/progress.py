"""The bar of commands and of `nbad.profile`, on terminals; no other function draws one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def bar(steps: int) -> Iterator[Callable[[str], object]]:
    """A bar on stderr, where that is a terminal; yields what moves it. It draws between steps, not while one is timed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda name: None
        return
    columns = TextColumn("{task.description:<18}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task("load", total=steps)
        yield lambda name: progress.update(task, description=name, advance=1, refresh=True)
