"""Settings from the environment, read when they are asked for.

* `NBAD_CACHE_DIR`: folder in which the disk cache has one of its own; default the user's cache folder.
* `NBAD_CACHE_BYTES`: bound of the disk cache, default 512 MiB; 0 turns it off.
* `NBAD_POOL_BYTES`: bound of the memory kept for reuse; default an eighth of the machine's memory.
* `NBAD_DEBUG`: 1 checks every value and derivative for nan and inf.
"""

import os
from contextvars import ContextVar
from pathlib import Path

from nbad.errors import ArgumentValueError
from nbad.forks import IMPORTS

CACHE_BYTES = 512 << 20
POOL_BYTES = 1 << 30  # where the machine does not tell its memory


# whether every value and derivative is checked for nan and inf
debug = ContextVar("nbad.debug", default=os.environ.get("NBAD_DEBUG", "0") not in ("", "0"))


def cache_folder() -> Path | None:
    """In which folder the disk cache belongs; None where there is no home to put it in.

    Examples
    --------
    >>> import os
    >>> os.environ["NBAD_CACHE_DIR"] = "/tmp/nbad"
    >>> cache_folder().name
    'nbad'
    """
    chosen = os.environ.get("NBAD_CACHE_DIR")
    if not chosen:
        with IMPORTS:
            import platformdirs

        chosen = platformdirs.user_cache_dir("nbad", appauthor=False)
    folder = Path(os.path.expanduser(chosen))
    return folder if folder.is_absolute() else None


def cache_bytes() -> int:
    """Bound of the disk cache in bytes."""
    return _bytes("NBAD_CACHE_BYTES", CACHE_BYTES)


def pool_bytes() -> int:
    """Bound of the memory that waits for reuse, in bytes."""
    try:
        default = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8
    except (AttributeError, ValueError, OSError):
        default = POOL_BYTES
    return _bytes("NBAD_POOL_BYTES", default)


def _bytes(name, default):
    text = os.environ.get(name)
    if not text:
        return default
    if not text.strip().isdecimal():
        headline = f"environment variable {name} is not a number of bytes"
        raise ArgumentValueError(headline, got=repr(text), expected="a whole number", fix=f"export {name}={default}", source=None)
    return int(text)
