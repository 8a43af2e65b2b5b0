"""The parent: one process for each peer, one of them at work at a time, rounds interleaved.

Whatever else the machine does meets every contestant of a case alike; best and median are taken over rounds.
"""

import itertools
import time
from dataclasses import dataclass, field

from benchmarks.measure.process import Child, ChildError
from benchmarks.report.results import Record

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Settings:
    """How to run: rounds, seconds that one contestant may take in all, bytes of a case, and seconds for everything."""

    rounds: int = 10
    seconds: float = 3.0
    max_bytes: int = 1 << 31
    deadline: float = float("inf")


@dataclass
class Outcome:
    """What a run gave: records, what failed, what was left out and why, versions by peer."""

    records: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    left_out: list = field(default_factory=list)
    versions: dict = field(default_factory=dict)

    def add(self, other):
        """Append another run."""
        self.records += other.records
        self.failures += other.failures
        self.left_out += other.left_out
        self.versions |= other.versions


def start(peer, threads):
    """A peer's process."""
    counts = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return Child("worker", peer, threads, **counts)


class Team:
    """The workers of one number of threads; one that fails is started again."""

    def __init__(self, peers, threads, outcome):
        self.threads, self.outcome = threads, outcome
        self.workers = {peer: start(peer, threads) for peer in peers}
        self.hopeless, self.lost = set(), set()

    def __enter__(self):
        for peer in list(self.workers):
            versions = self.ask(peer, "start", "versions")
            self.outcome.versions[peer] = versions or self.outcome.versions.get(peer, {})
        return self

    def __exit__(self, *error):
        for worker in self.workers.values():
            worker.close()

    def ask(self, peer, what, do, **arguments):
        """A peer's answer; None if it failed, which is noted under `what`."""
        try:
            return self.workers[peer].ask(do, **arguments)
        except ChildError as error:
            self.outcome.failures.append({"peer": peer, "what": what, "threads": self.threads, "reason": str(error)})
            self.workers[peer].close()
            self.workers[peer] = start(peer, self.threads)
            return None

    def prepare(self, cases):
        """The contestants of some cases as records without times."""
        self.lost.clear()
        for peer in self.workers:
            self.ask(peer, "release", "release")
        return [record for case in cases for peer in self.workers for record in self._prepare(peer, case)]

    def _prepare(self, peer, case):
        key = peer, case.workload, case.sweep, case.dtype
        answer = None if key in self.hopeless else self.ask(peer, str(case), "prepare", case=case.as_dict())
        if answer is None:
            self.hopeless.add(key)
            self.lost.add(peer)
        return [Record(case, peer, **contestant) for contestant in answer or ()]

    def measure(self, record):
        """Add one timing. A peer that fails is started again, and knows nothing of the prepared cases any more."""
        place = dict(case=record.case.as_dict(), contestant=record.contestant)
        seconds = self.ask(record.peer, f"{record.case}: {record.contestant}", "measure", **place)
        if seconds is None:
            self.lost.add(record.peer)
        else:
            record.times.append(seconds)

    def is_ready(self, record):
        """Whether the peer can still run this contestant."""
        return record.peer not in self.lost


def run(batches, peers, settings, step=lambda case: None):
    """Time every case with every peer.

    Parameters
    ----------
    batches : list of list of Case
        Rounds go over all cases of a batch; they have the same number of threads.
    peers : list of str
    settings : Settings
    step : callable
        Called with the first case of each batch as it begins.

    Returns
    -------
    Outcome
        All that there is when the cases end, or the user interrupts.
    """
    outcome, end = Outcome(), time.monotonic() + settings.deadline
    try:
        for threads, group in itertools.groupby(batches, lambda batch: batch[0].threads):
            with Team(peers, threads, outcome) as team:
                for batch in group:
                    step(batch[0])
                    _run_batch(team, batch, settings, end)
    except KeyboardInterrupt:
        outcome.left_out.append({"case": "the rest", "reason": "interrupted"})
    return outcome


def _run_batch(team, batch, settings, end):
    reasons = {case: _reason_to_leave_out(case, settings, end) for case in batch}
    team.outcome.left_out += [{"case": str(case), "reason": reason} for case, reason in reasons.items() if reason]
    cases = [case for case in batch if not reasons[case]]
    if cases:
        team.outcome.records += _rounds(team, cases, settings, end)


def _reason_to_leave_out(case, settings, end):
    if case.nbytes > settings.max_bytes:
        return f"{case.nbytes / 2**30:.1f} GiB"
    return "out of time" if time.monotonic() > end else None


def _rounds(team, cases, settings, end):
    """Interleaved timings of some cases; every round begins with another contestant."""
    records = team.prepare(cases)
    for number in range(settings.rounds):
        late = number >= LEAST_ROUNDS and time.monotonic() > end
        active = [r for r in records if not late and _wants_more(r, number, settings)]
        turn = number % max(1, len(active))
        for record in active[turn:] + active[:turn]:
            if team.is_ready(record):
                team.measure(record)
    return [record for record in records if record.times]


def _wants_more(record, number, settings):
    return len(record.times) == number and (number < LEAST_ROUNDS or sum(record.times) < settings.seconds)
