"""Tasks of a cluster that need residuals go where these are."""

from typing import Any

from distributed import SchedulerPlugin

FORWARD = "nbad-forward"


class Pins(SchedulerPlugin):
    """Bind tasks to the workers that hold the residuals they need, so that these are not sent: work stealing would move them.

    A binding is loose: where these workers are lost, another one runs the forward sweep anew, and what needs it is bound to that.
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
            for block in task.dependencies:
                if block.prefix.name == FORWARD and block.who_has:
                    _bind(task, block)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Bind what waits for a block to the worker that has just made it."""
        if finish == "memory" and str(key[0] if isinstance(key, tuple) else key).startswith(FORWARD):
            block = self._scheduler.tasks[key]
            for task in block.dependents:
                _bind(task, block)


def _bind(task, block):
    task.worker_restrictions = {worker.address for worker in block.who_has}
    task.loose_restrictions = True


def pin(client: Any) -> None:
    """Have the scheduler of a client do so."""
    client.register_plugin(Pins())
