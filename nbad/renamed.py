"""Rooms that had other names: pickles name them, and those of an earlier nbad are read as if they had the names of today."""

import importlib
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# by the name that pickles hold
ROOMS = {
    "nbad.integrations.labelled": "nbad.partners.xarray_call",
    "nbad.integrations.scipy_parts": "nbad.partners.scipy_problem",
    "nbad.partners.aligned": "nbad.partners.pandas_call",
    "nbad.partners.block_pullback": "nbad.partners.dask_pullback",
    "nbad.partners.blockwise": "nbad.partners.dask_blocks",
    "nbad.partners.pins": "nbad.partners.dask_pins",
    "nbad.verbs.saved": "nbad.verbs.pickling",
}


class Renamed(Loader):
    """Finds a room by its old name, in `sys.meta_path` behind Python's own finders: it is asked for what is nowhere else."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """What Python asks of a finder."""
        return ModuleSpec(name, self) if name in ROOMS else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the room of today in the place of the module that was to be filled."""
        sys.modules[module.__name__] = importlib.import_module(ROOMS[module.__name__])


def install() -> None:
    """Let Python ask, once."""
    if not any(isinstance(finder, Renamed) for finder in sys.meta_path):
        sys.meta_path.append(Renamed())
