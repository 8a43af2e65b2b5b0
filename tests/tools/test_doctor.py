"""What `nbad doctor` finds here, and what it says of every lack."""

import re

import numba
import pytest

import nbad
from nbad.codegen import disk
from nbad.codegen import host as vector_math
from nbad.tools import cli, doctor
from nbad.tools.doctor import Diagnosis, Finding

TOPICS = [
    "versions",
    "system",
    "CPU",
    "disk cache",
    "vectors, float64",
    "vectors, float32",
    "threads",
    "load",
    "threading layer",
    "fork",
    "memory pool",
    "switches",
]
NUMBER = r"\d+\.\d+"


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    """Short measurements, and a cache folder of our own."""
    monkeypatch.setattr(doctor, "ENOUGH", 0.0)
    monkeypatch.setattr(doctor, "FEWEST", 1)
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def pretend(monkeypatch):
    """Say that this host is another in some respects."""

    def use(**changes):
        pretended = vector_math.host()._replace(**changes)
        monkeypatch.setattr(vector_math, "host", lambda: pretended)

    return use


def test_every_topic_has_its_finding():
    findings = doctor.examine().findings
    assert [finding.topic for finding in findings] == TOPICS
    assert all(finding.found for finding in findings)


def test_versions(monkeypatch):
    assert re.match(rf"nbad {nbad.__version__}, Python 3\.\d+\.\d+, numba {numba.__version__}, ", doctor.versions().found)
    monkeypatch.setattr(doctor, "PARTNERS", ("numba", "no-such-partner"))
    assert doctor.versions().found.endswith(", no-such-partner absent")


def test_system_tells_of_other_work(monkeypatch):
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (0.2, 0.0, 0.0), raising=False)
    assert "slows" not in doctor.system().found
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (3.14, 0.0, 0.0))
    assert doctor.system().found.endswith("; other work, at load 3.1, slows what is timed here")


def test_cpu_without_restriction(monkeypatch):
    monkeypatch.setattr(vector_math, "host", doctor._own_host)
    finding = doctor.cpu()
    assert f"; code for {doctor._own_host().cpu} with {doctor._own_host().instructions} (" in finding.found
    assert finding.lack == ""


def test_cpu_that_is_restricted(monkeypatch, pretend):
    pretend(cpu="generic", nbytes=8, letter="b", features="+sse3,+sse4.1,-avx,+avx2")
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    finding = doctor.cpu()
    assert finding.found.endswith("; code for generic with SSE2 (sse4.1 avx2)")
    assert re.fullmatch(r"64 bits in a vector, where this CPU has \d+: unset NUMBA_CPU_NAME", finding.lack)


def test_vectors_name_the_functions_without_variant(pretend):
    host = vector_math.host()
    every = {function: 1 + (function in ("pow", "atan2", "hypot")) for function in ("exp", "pow", "atan2", "hypot", "cbrt")}
    symbols = {f"_ZGVdN{host.width('float64')}{'v' * arity}_{name}" for name, arity in every.items()}
    pretend(offered=frozenset(symbols), features="", letter="d")
    finding = doctor.float64_vectors()
    total = len({row.libm for row in doctor.TABLE.values() if row.libm})
    start = f"{host.width('float64')} at a time, of {total} functions 0 of nbad's own and 5 from libmvec.so.1; exp takes "
    assert finding.found.startswith(start)
    assert re.search(rf"called lane by lane: .*\bsin, .*; exp would take {NUMBER} times as long$", finding.lack)
    assert "cbrt" not in finding.lack


def test_vectors_without_any_variant(pretend, monkeypatch):
    pretend(offered=frozenset(), features="", letter="d")
    finding = doctor.float32_vectors()
    own = r"of \d+ functions 0 of nbad's own and 0 from .*"
    assert re.fullmatch(rf"\d+ at a time, {own}; exp takes {NUMBER} ns for an element", finding.found)
    monkeypatch.setattr(vector_math, "LIBRARY", "libabsent.so.0")
    assert doctor.float32_vectors().lack == "libabsent.so.0 is not here, so functions are called lane by lane: all"


def test_vectors_of_nbads_own(pretend):
    pretend(offered=frozenset(), features="+fma")
    finding = doctor.float64_vectors()
    assert re.search(r", of \d+ functions [1-9]\d* of nbad's own and 0 from .*; exp takes ", finding.found)
    assert re.search(r"called lane by lane: .*\btgamma, lgamma; exp would take", finding.lack)


def test_threads(monkeypatch):
    monkeypatch.setattr(doctor, "cores", lambda: 64)
    before = numba.get_num_threads()
    finding = doctor.threads()
    assert numba.get_num_threads() == before
    assert re.match(rf"{before}, of 64 cores", finding.found)
    assert finding.lack == f"big calls use {before} of 64 cores: NUMBA_NUM_THREADS or numba.set_num_threads"
    monkeypatch.setattr(doctor, "cores", lambda: before)
    assert doctor.threads().lack == ""


def test_one_thread(monkeypatch):
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert doctor.threads().found == f"1, of {doctor.cores()} cores"
    finally:
        numba.set_num_threads(before)


def test_load(monkeypatch):
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (3.14, 0.0, 0.0), raising=False)
    monkeypatch.setattr(doctor, "cores", lambda: 2)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 2)
    monkeypatch.setattr(doctor, "_seconds_on", lambda number: 10.0 * number)
    slower = "exp of 262,144 elements takes 2.0 times as long on 2 threads as on one"
    assert doctor.load() == Finding("load", "3.1, on 2 cores", f"{slower}: export NUMBA_NUM_THREADS=1 while other work runs")
    monkeypatch.setattr(doctor, "_seconds_on", lambda number: 10.0 / number)
    assert doctor.load() == Finding("load", "3.1, on 2 cores")
    monkeypatch.setattr(numba, "get_num_threads", lambda: 1)
    monkeypatch.setattr(doctor, "_seconds_on", None)
    assert doctor.load().lack == ""


@pytest.mark.parametrize(
    ("layer", "lack"), [("omp", ""), ("workqueue", "long calls from several Python threads wait for one another: install tbb")]
)
def test_threading_layer(monkeypatch, layer, lack):
    monkeypatch.setattr(numba, "threading_layer", lambda: layer)
    finding = doctor.threading_layer()
    assert re.fullmatch(rf"{layer}; available: (tbb|omp|workqueue)(, \w+)*", finding.found)
    assert finding.lack == lack


def test_forks():
    assert re.search(r"a forked child is safe, and uses threads of its own; .* is (fork|spawn|forkserver)$", doctor.forks().found)


def test_disk_cache(tmp_path, monkeypatch):
    finding = doctor.disk_cache()
    start = re.escape(f"NBAD_CACHE_DIR, private: {tmp_path / 'cache' / disk.OWN}: ")
    assert re.match(rf"{start}\d+ files, {NUMBER} of at most 512 MiB; the first vjp of a kernel of one exp took ", finding.found)
    assert finding.lack == ""
    monkeypatch.delenv("NBAD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert doctor.disk_cache().found.startswith("the user's cache folder, private: ")


def test_disk_cache_that_is_off_or_refused(tmp_path, monkeypatch):
    costs = rf"\. Every process compiles its kernels anew: the first vjp of a kernel of one exp took {NUMBER} s in this process"
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    finding = doctor.disk_cache()
    assert finding.found == "off (NBAD_CACHE_DIR)"
    assert re.fullmatch(rf".*/cache may be written by others: chmod go-w .*/cache{costs}", finding.lack)
    monkeypatch.setenv("NBAD_CACHE_BYTES", "0")
    assert re.fullmatch(rf"NBAD_CACHE_BYTES is 0{costs}", doctor.disk_cache().lack)


def test_disk_cache_that_cannot_grow(tmp_path, monkeypatch):
    report = disk.CacheInfo(tmp_path, 3, 1 << 20, 10 << 20, f"{tmp_path} is read-only")
    monkeypatch.setattr(disk, "info", lambda: report)
    finding = doctor.disk_cache()
    assert f"private: {tmp_path}: 3 files, 1.0 of at most 10 MiB; the first" in finding.found
    assert finding.lack == f"{tmp_path} is read-only: new kernels are compiled anew in every process"


def test_memory_pool(monkeypatch):
    monkeypatch.setenv("NBAD_POOL_BYTES", str(100 << 20))
    assert doctor.memory_pool() == Finding("memory pool", "keeps at most 100 MiB for reuse (NBAD_POOL_BYTES)")
    monkeypatch.setenv("NBAD_POOL_BYTES", "0")
    lack = rf"big results lie in fresh memory: 8 MiB are filled in {NUMBER} ms, reused ones in {NUMBER} ms"
    assert re.fullmatch(lack, doctor.memory_pool().lack)


def test_switches(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    assert doctor.switches() == Finding("switches", "NUMBA_DISABLE_JIT off, NBAD_DEBUG off")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with nbad.debugging():
        finding = doctor.switches()
    assert finding.found == "NUMBA_DISABLE_JIT on, NBAD_DEBUG on"
    assert finding.lack == (
        "NUMBA_DISABLE_JIT: no threads of Numba's, and sums over broadcast axes in Python; "
        "NBAD_DEBUG: every value and derivative is checked for nan and inf"
    )


def test_verdict():
    good, bad = Finding("versions", "all"), Finding("threads", "1", "7 cores idle")
    assert Diagnosis((good,)).verdict == "Nothing is lacking."
    assert Diagnosis((good, bad)).verdict == "1 of 2 topics lack something: threads."
    assert Diagnosis((bad, Finding("vectors, float64", "1", "lanes"))).lacks == ("threads", "vectors, float64")
    assert Diagnosis((bad, Finding("vectors, float64", "1", "lanes"))).verdict.endswith("something: threads; vectors, float64.")


def test_command_prints_a_table_and_the_verdict(capsys, monkeypatch):
    findings = Finding("disk cache", "[bold] in a path"), Finding("threads", "1", "7 cores idle")
    monkeypatch.setattr(doctor, "examine", lambda: Diagnosis(findings))
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"│ disk cache │ \[bold\] in a path +│", out)
    assert re.search(r"│ threads    │ 1 +│\n│ +│ lacking: 7 cores idle +│", out)
    assert out.endswith("1 of 2 topics lack something: threads.\n")
