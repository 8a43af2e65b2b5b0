"""Contestants: the first call of one, and the seconds of several in turn."""

import time


def begun(make, n):
    """The call that a contestant makes for so many elements, what its first run returns, and the seconds of both."""
    start = time.perf_counter()
    call = make(n)
    result = call()
    return call, result, time.perf_counter() - start


def in_turn(measure, rounds):
    """Seconds of each contestant in each round, by the functions that measure them; every second round goes backwards."""
    times = {who: [] for who in measure}
    for turn in range(rounds):
        for who in list(measure)[:: -1 if turn % 2 else 1]:
            times[who].append(measure[who]())
    return times
