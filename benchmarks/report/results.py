"""What was measured, as records in a JSON file, and how records are compared."""

import itertools
import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.cases.task import SWEEPS, Case

FORMAT = 1


@dataclass
class Record:
    """The timings of one contestant in one case; `first` is its first call, compilation included."""

    case: Case
    peer: str
    contestant: str
    reuses: bool = False
    first: float = 0.0
    times: list = field(default_factory=list)

    @property
    def best(self):
        """Seconds of the best round."""
        return min(self.times)

    @property
    def median(self):
        """Seconds of the median round."""
        return statistics.median(self.times)

    def as_dict(self):
        """Flat, for JSON."""
        fields = asdict(self)
        return {**fields.pop("case"), **fields}

    @classmethod
    def from_dict(cls, fields):
        """The inverse of `as_dict`."""
        names = Case.__dataclass_fields__
        case = Case(**{name: value for name, value in fields.items() if name in names})
        return cls(case, **{name: value for name, value in fields.items() if name not in names})


@dataclass
class Results:
    """A run: its records and everything that a reader must know about it.

    Attributes
    ----------
    records : list of Record
    machine, settings : dict
    versions : dict
        Packages with versions, by peer.
    failures, left_out : list of dict
    """

    records: list
    machine: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    failures: list = field(default_factory=list)
    left_out: list = field(default_factory=list)

    def save(self, path, **more):
        """Write a JSON file; `more` stands beside the results."""
        body = {"format": FORMAT, **more, **vars(self), "records": [record.as_dict() for record in self.records]}
        Path(path).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path):
        """Read a JSON file."""
        body = json.loads(Path(path).read_text(encoding="utf-8"))
        if body.pop("format", None) != FORMAT:
            raise SystemExit(f"{path} was not written by `python -m benchmarks`, or by another version of it")
        known = {name: body[name] for name in cls.__dataclass_fields__}
        return cls(**{**known, "records": [Record.from_dict(fields) for fields in known["records"]]})

    @property
    def peers(self):
        """Names of the peers other than nbad, in the order of their first record."""
        return [peer for peer in dict.fromkeys(record.peer for record in self.records) if peer != "nbad"]


@dataclass(frozen=True)
class Comparison:
    """nbad and the best contestant of every peer in one case, with fresh or with reused memory."""

    case: Case
    reuses: bool
    ours: Record
    theirs: dict

    def ratio(self, peer):
        """Best time of a peer over that of nbad: above 1, nbad is ahead; None where the peer did not run."""
        return self.theirs[peer].best / self.ours.best if peer in self.theirs else None

    @property
    def closest(self):
        """The fastest peer, and its ratio."""
        peer = min(self.theirs, key=self.ratio)
        return peer, self.ratio(peer)

    @property
    def place(self):
        """Words for the place of the results."""
        return "reused" if self.reuses else "fresh"


def comparisons(records):
    """All comparisons of some records.

    Parameters
    ----------
    records : list of Record

    Returns
    -------
    list of Comparison
        In the order of workload, threads, dtype, sweep, size, seeds. Where nbad has no form that reuses memory (forward sweeps),
        peers that reuse it meet nbad's form with fresh memory.
    """
    groups = {}
    for record in records:
        groups.setdefault((record.case, record.reuses), []).append(record)
    found = []
    for (case, reuses), group in groups.items():
        ours = _best_of("nbad", group) or _best_of("nbad", groups.get((case, False), ()))
        theirs = {r.peer: _best_of(r.peer, group) for r in group if r.peer != "nbad"}
        if ours:
            found.append(Comparison(case, reuses, ours, theirs))
    return sorted(found, key=_order)


def tables(found):
    """Comparisons of one workload, dtype and number of threads together."""
    return itertools.groupby(found, key=lambda c: (c.case.workload, c.case.dtype, c.case.threads))


def _best_of(peer, records):
    return min((r for r in records if r.peer == peer), key=lambda record: record.best, default=None)


def _order(c):
    return c.case.workload, c.case.dtype, c.case.threads, SWEEPS.index(c.case.sweep), c.reuses, c.case.n, c.case.seeds
