"""What a trace is told of each argument."""

from typing import NamedTuple

import numpy as np


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
