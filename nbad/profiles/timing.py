"""The one timer: how long a call takes, at its best, because other work can only add to it."""

import time
from collections.abc import Callable


def seconds(call: Callable[[], object]) -> float:
    """The time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def best(call: Callable[[], object], repeats: int, enough: float = 0.0) -> float:
    """The best time of as many calls as fit into `enough` seconds, and of `repeats` at least."""
    until = time.perf_counter() + enough
    times = [seconds(call) for _ in range(repeats)]
    while time.perf_counter() < until:
        times.append(seconds(call))
    return min(times)
