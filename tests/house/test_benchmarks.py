"""The benchmark suite without its peers: workloads against their reference, tables and files, one tiny run."""

import doctest
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2]))  # last, so that an installed nbad stays the one that is tested

from benchmarks import peers
from benchmarks.__main__ import main
from benchmarks.by_hand.adjoint import FUNCTIONS
from benchmarks.by_hand.costs import nbytes, operations
from benchmarks.by_hand.loops import define, function, loops
from benchmarks.cases import nets, rebinding, task
from benchmarks.cases.gallery import BROADCAST, FOLDER, subjects
from benchmarks.cases.reference import Reference, WrongResultError
from benchmarks.cases.task import SWEEPS, Case, Task, matrix
from benchmarks.cases.workloads import workloads
from benchmarks.commands import beside, cluster, memory, policies, targets, usual, wide
from benchmarks.commands import compile as compile_time
from benchmarks.commands.report import MARKDOWN
from benchmarks.measure import indexed_steps, wide_steps
from benchmarks.measure.contestants import Contestants
from benchmarks.measure.process import ChildError
from benchmarks.measure.schedule import start
from benchmarks.report import heat, pages, tables
from benchmarks.report.results import Record, Results, comparisons

NAMES = list(workloads())
CASE = Case("one_operation", "value", 100)


def make_results(*entries):
    """Results of entries (peer, contestant, reuses, times)."""
    records = [Record(CASE, peer, name, reuses, 0.5, list(times)) for peer, name, reuses, times in entries]
    return Results(records, {"processor": "abacus"}, {"rounds": 2}, {"nbad": {"nbad": "1.0"}})


@pytest.mark.parametrize("name", NAMES)
def test_adjoint_by_hand_agrees_with_the_reference(name):
    lines, work = loops(name), Task(Case(name, "jacobian", 4))
    outputs, columns, second = len(lines.outputs), len(lines.cotangents), Case(name, "hessian", 4).exists
    body = lines.body(lines.value_and_jacobian() + (lines.hessian() if second else []))
    text = function(["n", *lines.arguments, *lines.outputs, "j", "h"], "for i in range(n):", body)
    scope = {name: getattr(math, name) for name in FUNCTIONS}
    run, found = define(text, scope), [np.empty(4) for _ in lines.outputs]
    blocks, seconds = np.empty((4, outputs, columns)), np.empty((4, columns, columns))
    run(4, *work.inputs, *found, blocks, seconds)
    reference = Reference(work.workload, work.inputs, 4)
    assert reference.check("value", found, (), 1e-12) is None
    assert reference.check("jacobian", [list(row) for row in np.moveaxis(blocks, 0, -1)], (), 1e-12) is None
    assert not second or reference.check("hessian", [list(row) for row in np.moveaxis(seconds, 0, -1)], (), 1e-12) is None


def test_products_by_hand_skip_what_is_constant():
    assert loops("one_operation").products("[i]") == ["g0[i] = w0[i] * r0[i]", "g1[i] = w0[i] * r1[i]"]
    assert "g7[q, i] = w0[q, i] * r7[i] + w1[q, i] * 0.0" in loops("bundle_adjustment").products("[q, i]")


def test_a_wrong_result_is_refused():
    work = Task(Case("one_operation", "reverse", 6, seeds=2))
    reference, (x, y), (seed,) = Reference(work.workload, work.inputs, 6), work.inputs, work.seeds
    reference.check("reverse", [seed * y, seed * x], work.seeds, 1e-12)
    with pytest.raises(WrongResultError, match=r"result 1 of reverse is wrong by .* of its size, 1e-12 allowed"):
        reference.check("reverse", [seed * y, seed * x * 1.001], work.seeds, 1e-12)
    with pytest.raises(WrongResultError, match="result 0 of reverse is wrong"):
        reference.check("reverse", [np.full((2, 6), np.nan), seed * x], work.seeds, 1e-12)


def test_a_sample_holds_both_ends():
    workload = workloads()["one_operation"]
    reference = Reference(workload, workload.inputs(10_000, "float64"), 10_000)
    assert reference.sample[0] == 0
    assert reference.sample[-1] == 9_999
    assert reference.sample.size < 1_000


def test_matrix_has_seeds_for_reverse_sweeps_alone():
    choice = dict(workloads=["one_operation"], sweeps=SWEEPS, sizes=[1, 10], dtypes=["float64"], threads=[1], seeds=[1, 8])
    cases = matrix(choice)
    assert len(cases) == len(set(cases)) == 2 * (len(SWEEPS) + 1)
    assert {case.seeds for case in cases if case.sweep != "reverse"} == {0}


def test_matrix_has_hessians_of_one_output_of_scalars_alone():
    choice = dict(sweeps=["hessian"], sizes=[1], dtypes=["float64"], threads=[1], seeds=[1])
    cases = matrix(choice | dict(workloads=["call_price", "black_scholes", "rigid_transform"]))
    assert [case.workload for case in cases] == ["call_price"]


def test_costs_count_what_must_move():
    assert operations(Case("one_operation", "value", 10)) == 1
    assert nbytes(Case("one_operation", "value", 10)) == 3 * 8
    assert nbytes(Case("one_operation", "reverse", 10, "float32", seeds=8)) == (2 + 8 * 3) * 4
    assert nbytes(Case("lennard_jones", "value", 10)) == (3 + 1) * 8  # epsilon and sigma are shared
    assert nbytes(Case("lennard_jones", "hessian", 10)) == (3 + 9) * 8
    assert operations(Case("one_operation", "value_and_jacobian", 10)) == 1  # the partials are the arguments


def test_comparisons_keep_fresh_and_reused_memory_apart():
    results = make_results(
        ("nbad", "fresh", False, [2.0, 4.0]),
        ("jax", "slow", False, [9.0]),
        ("jax", "quick", False, [1.0]),
        ("ddx", "buffer", True, [3.0]),
    )
    fresh, reused = comparisons(results.records)
    assert (fresh.place, fresh.ours.median, fresh.ratio("jax"), fresh.ratio("ddx")) == ("fresh", 3.0, 0.5, None)
    assert fresh.theirs["jax"].contestant == "quick"
    assert (reused.place, reused.ratio("ddx")) == ("reused", 1.5)


def test_results_survive_the_file(tmp_path):
    results = make_results(("nbad", "fresh", False, [2.0, 4.0]), ("jax", "jit", False, [1.0]))
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(SystemExit, match=r"other\.json was not written by"):
        Results.load(path)


def test_report_names_who_is_ahead():
    entries = ("nbad", "fresh", False, [2.0]), ("jax", "jit", False, [1.0]), ("ddx", "evaluate", False, [8.0])
    text = pages.markdown(make_results(*entries))
    place = "value, n = 100, float64, 1 thread, fresh"
    assert f"| one_operation | value | jax | 1 of 1 | 100 | 0.50 | {place} | jit |" in text
    assert "| one_operation value, n = 100, float64, 1 thread | 2 s | **0.50** | 4.0 |" in text
    assert "| value | 100 |  | fresh | 2 s | 2 s | **0.50** | 4.0 |" in text
    assert "| processor | abacus |" in text


def test_report_says_who_is_ahead_where():
    records = [
        Record(Case("one_operation", "value", n), peer, "x", False, 0.5, [seconds])
        for n, times in ((10, dict(nbad=2.0, jax=1.0, ddx=1.5)), (1000, dict(nbad=2.0, jax=5.0, ddx=4.0)))
        for peer, seconds in times.items()
    ]
    text = pages.summary(Results(records))
    assert "### Who is ahead where: float64, 1 thread, results fresh" in text
    assert "| workload | sweep | n = 10 | n = 1e3 |" in text
    assert "| one_operation | value | **jax 0.50** | nbad 2.0 |" in text


def test_heat_maps_name_the_closest_peer():
    entries = (
        ("nbad", "fresh", False, [2.0]),
        ("jax", "jit", False, [1.0]),
        ("ddx", "buffer", True, [3.0]),
        ("nbad", "out=", True, [1.0]),
    )
    (name, figure), *others = heat.heat_maps(make_results(*entries)).items()
    assert (name, others) == ("heat-1", [])
    panels = {axes.get_title(): [text.get_text() for text in axes.texts] for axes in figure.axes}
    assert panels == {"value, results fresh": ["0.50 jax"], "value, results reused": ["3.0 ddx"]}
    assert heat.heat_maps(make_results(("nbad", "fresh", False, [2.0]))) == {}


def test_report_says_when_nobody_is_ahead():
    assert "Nowhere in this run." in pages.markdown(make_results(("nbad", "fresh", False, [1.0]), ("jax", "jit", False, [2.0])))


def test_report_goes_between_its_markers(tmp_path):
    page, found = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text("before\n<!-- results: begin -->\nold\n<!-- results: end -->\nafter\n")
    make_results(("nbad", "fresh", False, [1.0])).save(found)
    assert main(["report", str(found), "--into", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- results: begin -->\n| machine |")
    assert text.endswith("<!-- results: end -->\nafter\n")
    assert "old" not in text
    with pytest.raises(SystemExit, match="has no lines `<!-- compile: begin -->`"):
        pages.insert(page, "compile", "text")


def test_targets_are_measurable():
    for target in targets.targets(2):
        for pick in (target.ours, target.other):
            assert pick.case.workload in NAMES
            assert set(pick.peers) <= set(peers.PEERS)
            assert pick.case.sweep in SWEEPS


def test_a_target_is_met_or_missed_or_not_measured():
    mine, other = targets.Pick(CASE, reuses=True), targets.Pick(CASE, ("ddx",), reuses=True)
    entries = ("nbad", "fresh", False, [1.0]), ("nbad", "out=", True, [2.0]), ("ddx", "buffer", True, [3.0])
    records = make_results(*entries).records
    assert targets.row(targets.Target("t", mine, other, 1.5), records)[:4] == ("t", "1.50", "1.50", "met")
    assert targets.row(targets.Target("t", mine, other, 1.6), records)[3] == "missed"
    assert targets.row(targets.Target("t", mine, targets.Pick(CASE, ("jax",)), 1.6), records)[3] == "not measured"


def test_compile_report_holds_times_against_limits(tmp_path, capsys):
    path = tmp_path / "compile.json"
    rows = [dict(what="cold", best=0.5, median=0.7, limit=0.6), dict(what="import numba", best=0.4, median=0.4, limit=None)]
    path.write_text(json.dumps({"kind": "compile", "machine": {}, "rows": rows, "growth": {"50": 0.1, "100": 0.2, "200": 0.4}}))
    assert main(["report", str(path)]) == 0
    text = capsys.readouterr().out
    assert "| cold | 500 ms | 700 ms | 600 ms | met |" in text
    assert "| import numba | 400 ms | 400 ms |  |  |" in text
    assert "to the power 1.00" in text


# many small ones, and those that loop, which have a command of their own
NOT_MEASURED = {"activations", "nonlinear_regression", "kepler", "colebrook", "implied_volatility", "lambert_w"}


def test_the_gallery_is_whole():
    named = {path.stem: path.read_text().count("@nbad.kernel") for path in FOLDER.glob("*.py")}
    assert len(subjects()) == sum(named.values()) + 1  # one of them twice: with its arguments on a grid
    assert {file for file in named if file in workloads()} == set(named) - NOT_MEASURED
    assert all(x.dtype == np.float32 for subject in subjects().values() for x in subject.inputs(8, "float32"))
    salinity, _, pressure = subjects()[BROADCAST[1]].inputs(1000)
    assert salinity.ndim == pressure.ndim == 3
    assert pressure.shape[:2] == (1, 1) != salinity.shape[:2]


def make_trial(auto, fixed=(3.0, 2.0, 4.0)):
    """A trial of 10 elements and 1 seed: the same seconds in each of two rounds, half of them in each sweep."""
    times = {policy: [(t / 2, t / 2)] * 2 for policy, t in zip((*policies.FIXED, "auto"), (*fixed, auto), strict=True)}
    model = dict.fromkeys(policies.FIXED, (2, 1e8, 2e7, 5e6))
    return policies.Trial("f", 10, 1, "mincut", model, times)


@pytest.mark.parametrize(("auto", "ratio", "verdict"), [(2.2, "1.10", "met"), (2.3, "1.15", "missed"), (1.9, "0.95", "met")])
def test_auto_is_held_against_the_best_policy(auto, ratio, verdict):
    assert make_trial(auto).cells[-3:] == ["mincut", ratio, verdict]


def test_the_cost_model_stands_beside_the_measurement():
    first, last = make_trial(2.0), make_trial(2.0, (3.7, 2.0, 4.0))
    last.seeds = 8
    partials, *_ = policies.model_rows([first, last])
    assert partials[:3] == ["f", "partials", 2]
    assert [float(text) for text in partials[3:]] == [1.5e8, 1e8, 1.5e8, 2.5e7, 5e6, 5e6]


def test_policies_are_timed_and_reported(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- policies: begin -->\n<!-- policies: end -->\n")
    choice = "--kernels arc_distance,rigid_transform --seeds 1,3 --elements 500 --seconds 0.1".split()
    assert main(["policies", *choice, "--out", str(tmp_path)]) == 0
    assert "rigid_transform" in capsys.readouterr().out
    trials = [policies.Trial(**fields) for fields in json.loads((tmp_path / "policies.json").read_text())["trials"]]
    assert [(t.kernel, t.seeds, t.elements) for t in trials[1:3]] == [("arc_distance", 3, 500), ("rigid_transform", 1, 500)]
    assert all(len(rounds) >= policies.LEAST for trial in trials for rounds in trial.times.values())
    assert main(["report", str(tmp_path / "policies.json"), "--into", str(page)]) == 0
    assert "| arc_distance | 500 | 3 |" in page.read_text()


def test_peaks_are_what_explain_says_within_a_tile_a_thread():
    request = dict(do="reverse", kernel="black_scholes", policy="partials", seeds=4, elements=200_000)
    peak = memory.measure(request)
    assert 0 <= peak.told - (9 + 4 * 7) * 200_000 * 8 < 9 * 4096  # rows are padded
    assert peak.is_met, peak.more


def test_a_bound_is_kept_or_missed():
    request = dict(kernel="rat43", elements=10, seeds=64, measured=90, threads=2)
    assert memory.Peak(told=100, **request).cells == ["rat43", 10, 64, "90", "100", "10", "met"]
    assert memory.Peak(told=80, **request).cells[-2:] == ["-10", "missed"]
    told = memory.Peak("rat43", 10, 1, 10**7, 2 * 10**7, 2, "partials")
    assert told.cells[-2:] == ["-10,000,000", "missed"]


def test_memory_is_reported(tmp_path, capsys):
    peaks = [memory.Peak("rat43", 10, 1, 1000, 990, 2, "partials"), memory.Peak("rat43", 10**7, 64, 90, 100, 2)]
    path = tmp_path / "memory.json"
    path.write_text(json.dumps({"kind": "memory", "machine": {}, "peaks": [vars(peak) for peak in peaks]}))
    assert main(["report", str(path)]) == 0
    text = capsys.readouterr().out
    assert "| rat43 | partials | sums over all elements | 10 | 1 | 1,000 | 990 | 10 | met |" in text
    assert "| rat43 | 10000000 | 64 | 90 | 100 | 10 | met |" in text


def test_sweeps_over_processes_are_reported(tmp_path):
    row = dict(
        grows="seeds", workers=2, blocks=16, block=256, seeds=64, forward=0.078, reverse=0.718, tasks=53, graph=5291, moved=19
    )
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({"kind": "cluster", "machine": {}, "rounds": 3, "rows": [row]}))
    assert "| seeds | 2 | 16 x 256 | 4096 | 64 | 78 ms | 718 ms | 53 | 5,291 | 19 |" in MARKDOWN["cluster"](path)
    cluster.draw([row], tmp_path / "cluster.png")
    assert (tmp_path / "cluster.png").stat().st_size > 1000


def test_steps_from_one_number_of_elements_to_the_next(tmp_path):
    rows = [["arrays", "value", 4.0, 1.0, 1.5], ["points", "reverse", 20.0, 5.0, 15.0]]
    body = {"kind": "usual", "machine": {"processor": "abacus"}, "sizes": [10, 100, 1000], "rows": rows}
    (tmp_path / "usual.json").write_text(json.dumps(body))
    text = usual.markdown(tmp_path / "usual.json")
    assert "No step is steeper than 2 in 1 of 2 rows; the steepest is 3.00." in text
    assert "| arrays | value | 4.00 | 1.00 | 1.50 | 1.50 | met |" in text
    assert "| points | reverse | 20 | 5.00 | 15 | 3.00 | missed |" in text


@pytest.mark.slow
def test_arrays_that_users_have_run(tmp_path):
    assert main(["usual", "--sizes", "10,40", "--threads", "1", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "usual.json").read_text())["rows"]
    assert len(rows) == 9 * 5 - 1  # no Jacobian by whole numbers
    assert all(len(row) == 4 for row in rows)


@pytest.mark.slow
def test_sweeps_over_processes_run(tmp_path, monkeypatch):
    monkeypatch.setitem(cluster.CASES, "workers", [(workers, 4, 256, 2) for workers in (0, 1)])
    assert main(["cluster", "--grows", "workers", "--rounds", "1", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "cluster.json").read_text())["rows"]
    assert [row["tasks"] > 0 for row in rows] == [False, True]


@pytest.mark.slow
def test_a_tiny_run_writes_its_files(tmp_path, capsys):
    choice = "--workloads one_operation --sizes 1,300 --seeds 2 --dtypes float64 --threads 1 --peers numpy --rounds 3".split()
    assert main([*choice, "--out", str(tmp_path)]) == 0
    results = Results.load(tmp_path / "results.json")
    assert not results.failures
    assert {record.case.sweep for record in results.records} == set(SWEEPS)
    assert {record.peer for record in results.records} == {"nbad", "numpy"}
    assert all(len(record.times) == 3 for record in results.records)
    assert "one_operation, float64, 1 thread" in capsys.readouterr().out
    assert "### one_operation, float64, 1 thread" in (tmp_path / "results.md").read_text()


def test_a_peer_that_fails_says_why():
    with start("numpy", 1) as child, pytest.raises(ChildError, match="KeyError"):
        child.ask("measure", case=CASE.as_dict(), contestant="unknown")


def test_the_readme_names_what_there_is():
    folder = Path(peers.__file__).parents[1]
    named = re.findall(r"`(\w+/(?:\w+\.py)?)`", (folder / "README.md").read_text())
    assert {path.parent.name + "/" for path in folder.glob("*/__init__.py")} <= set(named)
    assert all((folder / name).exists() for name in named)
    assert set(re.findall("<!-- (.*): begin -->", (folder / "results.md").read_text())) == {*MARKDOWN, "results"}


def test_unknown_names_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--workloads", "no_such_kernel"])
    assert "unknown name 'no_such_kernel'; known are black_scholes" in capsys.readouterr().err


@pytest.mark.parametrize("module", [rebinding, tables, task, compile_time])
def test_docstring_examples_run(module):
    attempted = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert attempted.failed == 0
    assert attempted.attempted > 0


def test_wide_kernels_are_compared_by_their_best_times(tmp_path):
    told = {"nbad": {"first": 0.2, "residual": 8, "operations": 100}, "jax": {"first": 0.1, "residual": 16.0, "operations": 0}}
    row = wide.Row("softmax", 8, told, {"nbad": [[2e-3, 1e-3, 4e-3], [1e-3, 2e-3, 4e-3]], "jax": [[1e-3, 2e-3, 2e-3]]})
    assert row.ratios[2:7] == ["1.00", "2.00", "0.50", "8 B", "16 B"]
    assert row.costs == ([5.0, 5.0, 20.0], 2.0)
    (tmp_path / "wide.json").write_text(json.dumps({"kind": "wide", "machine": {}, "threads": 1, "rows": [vars(row)]}))
    assert "1 thread; JAX's time over nbad's." in MARKDOWN["wide"](tmp_path / "wide.json")


def test_picked_arguments_are_compared_by_their_best_times(tmp_path):
    times = {"nbad": [2e-3, 1e-3], "add.at": [9e-3, 6e-3]}
    row = beside.Row("bundle, scatter", 100, 2, "add.at", "np.add.at", 5.0, {"nbad": 0.2, "add.at": 0.1}, times)
    assert row.cells[2:6] == [2, "5.00", "6.00", "met"]
    (tmp_path / "indexed.json").write_text(json.dumps({"kind": "indexed", "machine": {}, "rows": [vars(row)]}))
    assert "| bundle, scatter | 100 | 2 | 5.00 | 6.00 | met |" in MARKDOWN["indexed"](tmp_path / "indexed.json")


@pytest.mark.slow
@pytest.mark.parametrize("task", indexed_steps.CONTESTANTS)
def test_picked_arguments_run(task, tmp_path):
    one, *others = [who for who in indexed_steps.CONTESTANTS[task] if who not in ("segment_sum", "jax")]
    for who in (one, *others):
        found = Contestants(indexed_steps.CONTESTANTS, indexed_steps.parts)
        assert found.begin(task, who, 300, str(tmp_path / f"{who}.npz")) > 0
        assert found.measure() > 0
    for other in others:
        beside.compare(tmp_path / f"{one}.npz", tmp_path / f"{other}.npz")


def test_results_of_picked_arguments_that_differ_are_refused(tmp_path):
    np.savez(tmp_path / "one.npz", np.array([1.0, 2.0, 3.0]))
    np.savez(tmp_path / "other.npz", np.array([2.0, 1.0, 3.0]))
    with pytest.raises(AssertionError, match="Mismatched elements: 2 / 3"):
        beside.compare(tmp_path / "one.npz", tmp_path / "other.npz")


@pytest.mark.parametrize("wrong", [{}, {"a": [1.0, np.inf]}, {"a": [2.0, np.inf], "b": [1.0]}])
def test_no_result_is_missing_and_an_infinity_excuses_no_other_number(tmp_path, wrong):
    np.savez(tmp_path / "one.npz", a=[1.0, np.inf], b=[1.0])
    np.savez(tmp_path / "other.npz", **wrong)
    beside.compare(tmp_path / "one.npz", tmp_path / "one.npz")
    with pytest.raises(AssertionError, match=r"one\.npz has|Mismatched elements: 1 / 2"):
        beside.compare(tmp_path / "one.npz", tmp_path / "other.npz")


def test_no_two_elements_of_a_colour_share_a_node():
    elements = nets.mesh(200).elements
    groups = nets.colours(elements)
    assert sorted(np.concatenate(groups)) == list(range(len(elements)))
    assert all(len(set(elements[group].ravel())) == elements[group].size for group in groups)


@pytest.mark.slow
def test_wide_kernels_run(monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_DIR", "")  # put back afterwards
    for name in wide_steps.TASKS:
        answer = wide_steps.prepare(name, 3, "nbad", 10, 2)
        assert len(answer["sample"]) == 2 * 2 * 3
        assert all(np.isfinite(answer["sample"]))
        assert len(wide_steps.measure(1)) == len(wide.SWEEPS)
