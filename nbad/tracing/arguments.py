"""What a trace is told of each argument."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from nbad.graphs.structures import Tree


class Argument(NamedTuple):
    """A traced argument and its core shape; `()` is a scalar."""

    name: str
    shape: tuple[int, ...] = ()

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of its scalar slots in C order: "x", or "r[0]", "r[1]", or "m[0,1]"."""
        if not self.shape:
            return (self.name,)
        return tuple(f"{self.name}[{','.join(map(str, index))}]" for index in np.ndindex(self.shape))


class Bundle(NamedTuple):
    """Arguments that the function takes as one: a dict, a namedtuple or a dataclass of them."""

    name: str
    parts: tuple[Argument, ...]
    tree: Tree

    @property
    def slots(self) -> tuple[str, ...]:
        """Those of its parts."""
        return tuple(slot for part in self.parts for slot in part.slots)


def parts_of(argument: Argument | Bundle) -> Iterable[Argument]:
    """What is in it, if it is several."""
    return argument.parts if isinstance(argument, Bundle) else (argument,)
