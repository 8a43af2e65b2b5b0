"""The scheduler plugin of dask's clusters: tasks that need residuals go to the workers where these are."""

from typing import Any

from distributed import SchedulerPlugin

FORWARD = "nbad-forward"


class Pins(SchedulerPlugin):
    """Bind tasks to the workers that hold the blocks they need, so that these are not sent: work stealing would move them.

    The bindings are strict, for loose ones do not keep tasks from being stolen. So they are renewed, or given up, wherever such a
    worker is lost, and given up where it takes no tasks: a block that moves is better than a task that waits for ever.
    """

    name, idempotent = "nbad-pins", True

    def __init__(self) -> None:
        self._scheduler: Any = None

    async def start(self, scheduler: Any) -> None:
        """Remember the scheduler whose tasks these are."""
        self._scheduler = scheduler

    def update_graph(self, scheduler: Any, *, tasks: Any, **others: Any) -> None:
        """Bind what needs blocks that are there already."""
        for task in filter(None, map(scheduler.tasks.get, tasks)):
            if any(block.who_has for block in _blocks(task)):
                _bind(task)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Bind what waits for a block to the worker that has just made it, and anew what lost its worker."""
        task = self._scheduler.tasks.get(key)
        if task is None:
            return
        if task.prefix.name == FORWARD:
            for dependent in task.dependents if finish == "memory" else ():
                _bind(dependent)
        elif (start, finish) == ("processing", "released") and _blocks(task):
            _bind(task)
        elif finish == "no-worker" and _blocks(task):
            self._scheduler.loop.add_callback(self._free, key)

    def remove_worker(self, scheduler: Any, worker: str, **others: Any) -> None:
        """Bind anew what waits: its block may have another place, or none."""
        for block in [task for task in scheduler.tasks.values() if task.prefix.name == FORWARD]:
            for task in block.dependents:
                _bind(task)

    def _free(self, key):
        """Let a task run anywhere whose worker takes none."""
        task = self._scheduler.tasks.get(key)
        if task is not None and task.state == "no-worker":
            task.worker_restrictions = None
            self._scheduler.transitions({key: "processing"}, stimulus_id="nbad-pins")


def _blocks(task):
    return [block for block in task.dependencies if block.prefix.name == FORWARD]


def _bind(task):
    """Bind a task to who has its blocks; to nobody while there are none."""
    places = {worker.address for block in _blocks(task) for worker in block.who_has or ()}
    task.worker_restrictions, task.loose_restrictions = places or None, False


def pin(client: Any) -> None:
    """Have the scheduler of a client do so."""
    client.register_plugin(Pins())
