"""One partner a file, imported when it is named: `nbad.integrations.torch`, and only then torch."""

import importlib
from types import ModuleType

from nbad.errors import MissingExtraError, unknown_name
from nbad.forks import IMPORTS

PARTNERS = ("scipy",)


def __getattr__(name: str) -> ModuleType:
    """The file of a partner; users need not import it themselves."""
    if name not in PARTNERS:
        raise unknown_name("nbad.integrations", name, PARTNERS)
    try:
        with IMPORTS:
            return importlib.import_module(f"nbad.integrations.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "nbad":
            raise
        raise MissingExtraError(
            f"`nbad.integrations.{name}` needs {error.name}, which is not installed", fix=f'pip install "nbad[{name}]"'
        ) from None


def __dir__() -> list[str]:
    return [*PARTNERS]
