"""Memory, asked about before it is taken: what a call needs, what the machine has, what the user allows."""

from pathlib import Path

from nbad import config
from nbad.errors import ArgumentValueError, NbadError
from nbad.runtime import memory

CAREFUL = 1 << 28  # bytes; asking the system costs more than a smaller array
TEMPORARY = 1 << 28  # bytes of temporaries that a sweep takes at once where the user sets no bound


class NotEnoughMemoryError(NbadError, MemoryError):
    """A call would need more memory than the machine has; nothing has been allocated."""


def available():
    """Bytes that the machine can give without swapping: what the system reports, and what waits in the pool."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free = next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = 8 * config.pool_bytes()
    return free + memory.POOL.waiting


def require(call, needed, fix):
    """Raise where a call needs more than the machine has.

    Parameters
    ----------
    call : str
    needed : int
        Bytes.
    fix : str or callable
        Text, or a function that makes it of the bytes available.

    Raises
    ------
    NotEnoughMemoryError

    Examples
    --------
    >>> require("`f(x)`", 1000, "")
    """
    if needed > CAREFUL and needed > (free := available()):
        raise NotEnoughMemoryError(
            f"{call} needs {needed:,} bytes",
            got=f"{free:,} bytes available",
            expected="less than that",
            fix=fix if isinstance(fix, str) else fix(free),
        )


def check_fits(call, needed, max_bytes, what):
    """Raise where even the least working set is larger than the user allows."""
    if max_bytes is not None and needed > max_bytes:
        raise ArgumentValueError(
            f"{call}: max_bytes={max_bytes} is too small for {what}",
            got=f"{max_bytes:,} bytes",
            expected=f"at least {needed:,} bytes",
            fix=f"max_bytes={needed}",
        )
