"""Settings from the environment, read when they are asked for.

* `NBAD_CACHE_DIR`: folder in which the disk cache has one of its own; default the user's cache folder.
* `NBAD_CACHE_BYTES`: bound of the disk cache, default 512 MiB; 0 turns it off.
* `NBAD_POOL_BYTES`: bound of the memory kept for reuse; default an eighth of what the machine,
  the container or the process may have.
* `NBAD_FRAMES`: 1 shows the frames of nbad's own files in the tracebacks of errors.
* `NBAD_DEBUG`: 1 checks every value and derivative for nan and inf.
"""

import os
import time
from contextvars import ContextVar

from nbad.errors import ArgumentValueError

IMPORTED = time.time()  # files of nbad's that changed later are not what this process runs
CACHE_BYTES = 512 << 20
POOL_BYTES = 1 << 30  # where nothing tells how much memory there is


def _is_on(name):
    return os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off")


_DEBUG = _is_on("NBAD_DEBUG")
debug = ContextVar("nbad.debug", default=_DEBUG)  # whether every value and derivative is checked for nan and inf

# whether elements without a value raise whatever their kernels say: while a plain function runs for a kernel around them
raising = ContextVar("nbad.raising", default=False)


def shows_frames() -> bool:
    """Whether tracebacks keep nbad's own frames."""
    return _is_on("NBAD_FRAMES")


def cache_bytes() -> int:
    """Bound of the disk cache in bytes."""
    return _bytes("NBAD_CACHE_BYTES", CACHE_BYTES)


def pool_bytes(default: int = POOL_BYTES) -> int:
    """Bound of the memory that waits for reuse, in bytes."""
    return _bytes("NBAD_POOL_BYTES", default)


def _bytes(name, default):
    text = os.environ.get(name)
    if not text:
        return default
    if not text.strip().isdecimal():
        headline = f"environment variable {name} is not a number of bytes"
        raise ArgumentValueError(headline, got=repr(text), expected="a whole number", fix=f"export {name}={default}", source=None)
    return int(text)
