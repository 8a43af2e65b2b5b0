"""The benchmark suite's peers: what they compute against the reference, and the bounds that hold nbad beside them."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # last, so that an installed nbad stays the one that is tested

from benchmarks import peers
from benchmarks.__main__ import main
from benchmarks.cases.reference import TOLERANCE, Reference
from benchmarks.cases.task import SWEEPS, Case, Task
from benchmarks.cases.workloads import workloads
from benchmarks.commands import rivals
from benchmarks.measure.schedule import start
from benchmarks.peers import c_peer, nbad_peer, numpy_peer
from benchmarks.report.results import Record, Results

NAMES = list(workloads())
PARTIAL = ("c.fma", "drjit", "heyoka", "casadi", "symengine", "pytensor", "jax", "ddx")  # peers that give value and Jacobian


def check(peer, case, tolerance):
    """Hold every contestant of a case, where there is such a sweep, against the reference; how many there were."""
    if not case.exists:
        return 0
    work = Task(case)
    reference, contestants = Reference(work.workload, work.inputs, work.n), list(peer.contestants(work))
    for contestant in contestants:
        reference.check(case.sweep, contestant.normal(contestant.call()), work.seeds, tolerance)
    return len(contestants)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NAMES)
def test_nbad_agrees_with_the_reference(name, dtype):
    for sweep in SWEEPS:
        case = Case(name, sweep, 5, dtype, seeds=3 if sweep == "reverse" else 0)
        assert check(nbad_peer, case, TOLERANCE[dtype]) >= case.exists


@pytest.mark.parametrize("name", NAMES)
def test_numpy_agrees_with_the_reference(name):
    assert check(numpy_peer, Case(name, "value", 5), 1e-12) == 1


@pytest.mark.parametrize("sweep", SWEEPS if "c" in peers.installed() else ())  # without a C compiler, or libmvec, it is not
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_c_by_hand_agrees_with_the_reference(sweep, dtype):
    """A branch, arguments that all elements share; constants in the Jacobian; whole vectors and a rest; threads."""
    name = {"hessian": "silu", "reverse": "bundle_adjustment"}.get(sweep, "black_scholes_rational")
    case = Case(name, sweep, 77, dtype, threads=2, seeds=3 if sweep == "reverse" else 0)
    assert check(c_peer, case, TOLERANCE[dtype]) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*PARTIAL} & {*peers.installed()}))
def test_peers_that_are_installed_agree_with_the_reference(name):
    case = {"do": "prepare", "case": Case("call_price", "value_and_jacobian", 50).as_dict()}
    with start(name, 2) as child:
        assert child.ask(**case)


def make_records(line, **seconds):
    """Records of peers, `c_fma` for c.fma, in the case of a line; those that have memory of their own are fresh."""
    case, names = line.pick("nbad").case, {peer: peer.replace("_", ".") for peer in seconds}
    return [
        Record(case, name, "x", line.reuses and name not in rivals.POOLED, 0.0, [seconds[peer]]) for peer, name in names.items()
    ]


def line_of(n, sweep, reuses=True):
    """The first line of the table of rivals with such a case, on one thread."""
    return next(x for x in rivals.lines(1) if (x.job.case.n, x.job.case.sweep, x.reuses) == (n, sweep, reuses))


def test_rivals_are_measurable():
    for line in rivals.lines(2):
        assert line.pick("nbad").case.exists
        assert line.job.case.workload in NAMES
    assert set(rivals.RIVALS) <= set(peers.PEERS)
    assert len(set(rivals.lines(2))) == 4 * len(rivals.JOBS)


def test_rivals_are_held_by_their_bounds():
    line = line_of(100_000, "value")
    verdicts = list(line.verdicts(make_records(line, nbad=1.0, c=0.98, c_fma=0.9, heyoka=0.9, drjit=0.96, jax=0.5)))
    assert [(peer, bound, holds) for peer, bound, _, holds in verdicts] == [
        ("c", "0.97", True),
        ("heyoka", "0.92", False),  # C gains 0.90 / 0.98 by contraction
        ("drjit", "0.97", False),
    ]


def test_nbad_should_lead_everyone_in_long_reverse_sweeps():
    line = line_of(20_000, "reverse", reuses=False)
    verdicts = list(line.verdicts(make_records(line, nbad=1.0, c=0.99, jax=1.01)))
    assert [(peer, bound, holds) for peer, bound, _, holds in verdicts] == [("c", "1.00", False), ("jax", "1.00", True)]


def test_a_call_of_one_element_is_held_by_its_time():
    line = line_of(1, "value_and_jacobian")
    assert list(line.verdicts(make_records(line, nbad=0.8e-6, c=0.1e-6))) == [("", "at most 900 ns", "800 ns", True)]
    assert list(line.verdicts([])) == []


def test_rivals_are_reported(tmp_path, capsys):
    line = line_of(100_000, "value")
    path = tmp_path / "rivals.json"
    records = make_records(line, nbad=1.0, c=0.5, drjit=2.0)
    Results(records, {}, {}).save(path, kind="rivals", cores=1)
    assert main(["report", str(path)]) == 0
    text = capsys.readouterr().out
    assert "| Black-Scholes, value, n = 1e5 | reused | 1 s | **0.50** |  |  | 2.00 |  |" in text
    assert "### Missed: 1 of 2 bounds" in text
    assert "| Black-Scholes, value, n = 1e5 | 1 | reused | c | 0.97 | 0.50 |" in text
