"""What a forward sweep left of a block, and where that stays with the schedulers of this process: until its pullback is gone."""

import weakref
from collections.abc import Callable
from typing import Any

from nbad.forks import Lock
from nbad.runtime import memory


class Block:
    """The value of one block, and its pullback."""

    def __init__(self, leaves: tuple[Any, ...], pullback: Any):
        self.leaves, self.pullback = leaves, pullback

    def __sizeof__(self) -> int:
        """What dask takes it to weigh."""
        return sum(leaf.nbytes for leaf in self.leaves) + self.pullback.rows.nbytes

    def __reduce__(self) -> tuple[Any, ...]:
        return Block, (self.leaves, self.pullback)


class Kept:
    """Blocks by their numbers, as many as half of the memory holds that is free when the first one comes.

    Examples
    --------
    >>> kept = Kept()
    >>> kept.of(0, lambda: "made"), Place(kept).of(0, lambda: "made again"), Place(Kept()).of(0, lambda: "made again")
    ('made', 'made', 'made again')
    """

    def __init__(self) -> None:
        self._blocks: dict[int, Any] = {}
        self._room: int | None = None
        self._lock = Lock()

    def of(self, number: int, make: Callable[[], Any]) -> Any:
        """The block of a number, made where it is not kept."""
        if number in self._blocks:
            return self._blocks[number]
        block = make()
        with self._lock.current:
            self._room = memory.available() // 2 if self._room is None else self._room
            size = block.__sizeof__()
            if size <= self._room:
                self._room -= size
                self._blocks[number] = block
        return block


class Place:
    """What tasks know of a `Kept`: they do not keep it alive, and in another process it is not there."""

    def __init__(self, kept: Kept | None):
        self._kept = (lambda: None) if kept is None else weakref.ref(kept)

    def of(self, number: int, make: Callable[[], Any]) -> Any:
        """As of what is kept, if that is still there."""
        kept = self._kept()
        return make() if kept is None else kept.of(number, make)

    def __reduce__(self) -> tuple[Any, ...]:
        return Place, (None,)
