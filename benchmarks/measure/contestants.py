"""Contestants: what a process of their own answers of them, and the seconds of several in turn."""

import math
import time

import numpy as np

PAUSE = 0.02  # seconds: idle threads of the contestant before may spin for a while
# Seconds that calls run before they are timed, one at least: a contestant's own threads sleep, and may wait 6 ms for a core. A
# call of 1.2 ms takes up to 1.6 times as long after a pause: without, it would stand beside the second call of one of 0.9.
WARM = 0.01


class Contestants:
    """What may be asked of a process: to begin one contestant of a task, and to time it.

    Parameters
    ----------
    tasks : dict of str to dict of str to callable
        What makes the call of each contestant of a task, for a number of elements.
    parts : callable
        From the contestant, that number, and what the call returns to the arrays that are compared.
    """

    def __init__(self, tasks, parts=lambda contestant, n, result: result):
        self.tasks, self.parts, self.call = tasks, parts, None

    def begin(self, task, contestant, n, file):
        """Run once, and put the results to a file; answers with the seconds of that."""
        start = time.perf_counter()
        self.call = self.tasks[task][contestant](n)
        result = self.call()
        first = time.perf_counter() - start
        np.savez(file, *self.parts(contestant, n, result))
        return first

    def measure(self):
        """Seconds of one call, the best of those in 10 ms: the first ones after a pause wake threads, and may wait for a core."""
        time.sleep(PAUSE)
        best, end = math.inf, time.perf_counter() + WARM
        while True:
            start = time.perf_counter()
            if start > end:
                return best
            self.call()
            best = min(best, time.perf_counter() - start)


def in_turn(measure, rounds):
    """Seconds of each contestant in each round, by the functions that measure them; every second round goes backwards."""
    times = {who: [] for who in measure}
    for turn in range(rounds):
        for who in list(measure)[:: -1 if turn % 2 else 1]:
            times[who].append(measure[who]())
    return times
