"""One peer's process: `python -m benchmarks.measure.worker PEER THREADS`."""

import gc
import math
import sys
import time
from importlib import metadata

from benchmarks import peers
from benchmarks.cases.reference import TOLERANCE, Reference
from benchmarks.cases.task import Case, Task
from benchmarks.measure import machine
from benchmarks.measure.contestants import PAUSE, WARM
from benchmarks.measure.process import serve

SHORTEST = 1e-3  # seconds that one timing takes at least: a short call is repeated
MOST = 20_000  # repetitions

clock = time.perf_counter


class Session:
    """What the parent may ask of a peer: each method whose name is not private."""

    def __init__(self, module):
        self.module, self.calls, self.reference = module, {}, (None, None)

    def versions(self):
        """Versions of the peer's packages, and of what else it runs by."""
        return {name: _version(name) for name in self.module.PACKAGES} | getattr(self.module, "VERSIONS", {})

    def release(self):
        """Forget all cases and their data."""
        self.calls = {}
        gc.collect()

    def prepare(self, case):
        """Build every contestant of a case, run it once, check its result, and find how often to repeat it."""
        task = Task(Case(**case))
        found = []
        for contestant in self.module.contestants(task):
            start = clock()
            result = contestant.call()
            first = clock() - start
            self._reference(task).check(task.sweep, contestant.normal(result), task.seeds, TOLERANCE[task.case.dtype])
            del result
            self.calls[task.case, contestant.name] = contestant.call, _repetitions(contestant.call)
            found.append({"contestant": contestant.name, "reuses": contestant.reuses, "first": first})
        return found

    def measure(self, case, contestant):
        """Seconds of one call after others, the mean of some repetitions where it is short."""
        call, number = self.calls[Case(**case), contestant]
        time.sleep(PAUSE)
        gc.disable()
        _warm_up(call)
        start = clock()
        for _ in range(number):
            call()
        seconds = clock() - start
        gc.enable()
        return seconds / number

    def _reference(self, task):
        key = task.case.workload, task.case.n, task.case.dtype
        if self.reference[0] != key:
            self.reference = key, Reference(task.workload, task.inputs, task.n)
        return self.reference[1]


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "from the checkout" if name == "nbad" else "not installed"


def _repetitions(call):
    return min(MOST, max(1, math.ceil(SHORTEST / max(_warm_up(call), 1e-9))))


def _warm_up(call):
    """Seconds of the fastest call of a warm loop; the first ones may wait for threads."""
    best, end = math.inf, clock() + WARM
    while clock() < end:
        start = clock()
        call()
        best = min(best, clock() - start)
    return best


def main(name, threads):
    """Answer until the input ends."""
    machine.keep_to(int(threads))
    serve(Session(peers.load(name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
