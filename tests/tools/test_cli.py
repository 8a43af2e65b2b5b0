"""The command line: what `nbad profile` and `nbad cache` print, and what they say when they cannot."""

import io
import re
import sys
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import nbad
from nbad.codegen import disk
from nbad.errors import ArgumentValueError
from nbad.profiles import roofs, shares, timing
from nbad.testing import CheckFailure
from nbad.tools import cli, kernel_files, plots, profiling, progress
from nbad.tools.doctor import Diagnosis, Finding

ROOT = Path(__file__).parents[2]
SMALL = ["--n", "3000", "--seeds", "3", "--repeats", "1"]
HEAD = "import nbad\nimport numpy as np\n"
VECTORS = """
@nbad.kernel(signature="(2),()->(),(2)")
def spiral(p, a):
    x, y = p
    return a * x * y, np.array([np.exp(x * a), y * y])

def sample_inputs(rng, n, dtype):
    return rng.random((n, 2)).astype(dtype), rng.random(n).astype(dtype)
"""
KERNEL = "@nbad.kernel\ndef {0}(x, y):\n    return x * y, x - 2 * y\n"
INPUTS = "def sample_inputs(rng, n, dtype):\n    return rng.random(n).astype(dtype), rng.random(n).astype(dtype)\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into the current folder; returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", sys.path[:])

    def write_file(*parts, name="mine.py"):
        (tmp_path / name).write_text("\n\n".join([HEAD, *parts]))
        return name

    return write_file


def rows(text):
    """The cells of the printed tables by the first one of each row."""
    cells = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.startswith("  "))
    return {first: rest for first, *rest in cells}


def test_profile_prints_a_row_for_each_sweep(write, capsys):
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "kernel area of mine.py, 3,000 elements, float64" in out
    table = rows(out)
    assert table.pop("sweep") == "time|ns per element|GB/s|first use|body|launch|staging|blocks|waiting".split("|")
    assert list(table) == ["value", "forward", "reverse, 1 seed", "reverse, 3 seeds", "Jacobian"]
    for time, each, _, _, *parts in table.values():
        assert 97 <= sum(int(cell.rstrip("%")) for cell in parts) <= 103
        number, unit = time.split()
        assert float(number) * {"us": 1e3, "ms": 1e6, "s": 1e9}[unit] / 3000 == pytest.approx(float(each), rel=0.02)
    assert re.search(r"Measured beside [\d.]+ GB/s from memory and [\d.]+ billion operations per second\.", out)


def test_profile_prints_the_facts(write, capsys):
    cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL, "--dtype", "float32"])
    facts = dict(re.findall(r"^(.+?): (.+)$", capsys.readouterr().out, re.MULTILINE))
    assert re.fullmatch(r"[\d.]+ bytes per element", facts["residuals"])
    assert re.match(r"[\d.]+ s", facts["compile time"])
    assert re.fullmatch(r"[\d.]+ [um]?s, [\d.]+ ns per element, in a batch of 3", facts["reverse per seed"])
    assert re.fullmatch(r"\d+ \(.+\)", facts["threads"])
    assert facts["vectors"] == str(nbad.codegen.host.host())
    assert "checks of the harness passed on 64 elements" in facts["checked"]


def test_profile_of_a_gallery_kernel(capsys):
    assert cli.main(["profile", str(ROOT / "kernels" / "black_scholes.py") + ":price", *SMALL]) == 0
    assert "checks of the harness passed on 64 elements" in capsys.readouterr().out


def test_file_of_several_kernels_gets_the_name():
    subject = kernel_files.load(str(ROOT / "kernels" / "nonlinear_regression.py") + ":danwood")
    assert subject.name == "danwood"
    assert len(subject.inputs(10, "float64")) == 3


def test_report_counts_bytes_and_is_frozen(write):
    subject = kernel_files.load(write(KERNEL.format("area"), INPUTS))
    report = profiling.profile(subject, profiling.Options(n=4096, seeds=2, repeats=1))
    value, forward, one, reverse, jacobian = report.sweeps
    array = 8 * 4096
    assert value.bytes_moved == 4 * array
    assert forward.bytes_moved == 4 * array + report.residual_bytes
    assert one.bytes_moved == report.residual_bytes + 4 * array
    assert reverse.bytes_moved == report.residual_bytes + 2 * 4 * array
    assert jacobian.bytes_moved == 6 * array
    assert report.residual_bytes >= 2 * array
    assert report.seconds_per_seed == reverse.seconds / 2
    assert report.compile_seconds == sum(sweep.first_use for sweep in report.sweeps) > 0
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        report.checked = ""


def test_steps_are_announced(write):
    steps = []
    subject = kernel_files.load(write(KERNEL.format("area"), INPUTS))
    profiling.profile(subject, profiling.Options(n=100, seeds=1, repeats=1), steps.append)
    assert steps == ["first use", "compile", "round 1", "check"]


@pytest.mark.parametrize(
    "more",
    [["--seeds", "1"], pytest.param(["--seeds", "4", "--policies"], marks=pytest.mark.slow), ["--plot", "a.png", "--policies"]],
)
def test_the_bar_has_as_many_steps_as_are_announced(write, monkeypatch, more):
    steps, announced = [], []

    @contextmanager
    def progress(number):
        steps.append(number)
        yield announced.append

    monkeypatch.setattr(cli, "bar", progress)
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), "--n=100", "--repeats=1", *more]) == 0
    assert steps == [len(announced) + 1]


@pytest.mark.parametrize(
    ("parts", "target", "text"),
    [
        ((), "missing.py", "`nbad profile missing.py`: no file missing.py\n  expected: FILE.py or FILE.py:NAME\n"),
        ((), "mine.txt", "`nbad profile mine.txt`: mine.txt is not a Python file\n  expected: FILE.py or FILE.py:NAME\n"),
        ((INPUTS,), "mine.py", "`nbad profile mine.py`: no kernel in mine.py\n  fix: decorate the function with @nbad.kernel\n"),
        (
            (KERNEL.format("area"), INPUTS),
            "mine.py:volume",
            "`nbad profile mine.py:volume`: no kernel `volume`\n  expected: one of area\n  fix: nbad profile mine.py:area\n",
        ),
        (
            (KERNEL.format("area"), KERNEL.format("volume"), INPUTS),
            "mine.py",
            "`nbad profile mine.py`: the file has several kernels\n"
            "  expected: one of area, volume\n  fix: nbad profile mine.py:area\n",
        ),
        (
            (KERNEL.format("area"),),
            "mine.py",
            "`nbad profile mine.py`: no function `sample_inputs` in mine.py\n"
            "  fix: def sample_inputs(rng, n, dtype): return rng.uniform(0, 1, n).astype(dtype), ...\n",
        ),
    ],
)
def test_errors_are_a_few_lines_and_exit_code_2(write, capsys, parts, target, text):
    write(*parts)
    write(name="mine.txt")
    assert cli.main(["profile", target]) == 2
    assert capsys.readouterr() == ("", text)


def test_progress_moves_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(stderr=stderr, force_terminal=True))
    with progress.bar(3) as step:
        step("compile")
        step("value")
    out, err = capsys.readouterr()
    assert out == ""
    assert -1 < err.find("load") < err.find("compile") < err.find("value")


def test_load_raises_for_callers_from_python():
    with pytest.raises(ArgumentValueError, match=r"no file missing\.py"):
        kernel_files.load("missing.py")


def test_wrong_derivative_is_reported_with_exit_code_1(write, capsys, monkeypatch):
    def harness(kernel, *xs):
        raise CheckFailure("area", "dot_product", "<Jv, w>", (0,), "1.0", "2.0")

    monkeypatch.setattr(profiling, "check_kernel", harness)
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL]) == 1
    assert capsys.readouterr().err.startswith("check failed: `check_kernel(area, ...)`: dot_product fails: <Jv, w> at")


def test_results_that_differ_between_calls_are_reported(write):
    kernel = kernel_files.load(write(KERNEL.format("area"), INPUTS)).kernel
    with pytest.raises(AssertionError, match=r"area.*f and vjp at element \(0,\)"):
        profiling._compare(kernel, "f and vjp", np.zeros(3), -np.zeros(3))


def test_operations_are_those_of_the_cost_model(write):
    subject = kernel_files.load(write(KERNEL.format("area"), INPUTS))
    report = profiling.profile(subject, profiling.Options(n=4096, seeds=2, repeats=1))
    value, _, one, reverse, _ = report.sweeps
    assert value.operations == 4096 * 3  # x * y, 2 * y, x - 2 * y
    assert reverse.operations == 2 * one.operations > 0
    assert value.intensity == 3 / 32
    assert value.rate == value.operations / value.seconds


def test_profile_of_a_kernel_of_vectors(write, capsys):
    assert cli.main(["profile", write(VECTORS), *SMALL, "--policies"]) == 0
    out = capsys.readouterr().out
    assert "checked: 192 numbers of the pullback agree with the Jacobian on 64 elements" in out
    assert "reverse, 3 seeds" in rows(out)


def test_kernel_of_vectors_with_a_wrong_pullback_is_reported(write, monkeypatch):
    subject = kernel_files.load(write(VECTORS))
    right = profiling.jacobian
    monkeypatch.setattr(profiling, "jacobian", lambda f: lambda *xs: 1.001 * right(f)(*xs))
    with pytest.raises(AssertionError, match=r"spiral.*product with the Jacobian at element \(0, 0\)"):
        profiling._products(subject.kernel, subject.inputs(8, "float64"))


def test_a_python_number_may_stand_for_an_argument_of_all_elements(write):
    subject = kernel_files.load(write(VECTORS.replace("rng.random(n).astype(dtype)", "0.5")))
    assert profiling._products(subject.kernel, subject.inputs(8, "float32")).startswith("24 numbers")


# residual policies


def test_policies_are_compared(write, capsys):
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL, "--policies"]) == 0
    table = rows(capsys.readouterr().out)
    *policies, auto = list(table)[-4:]
    assert policies == ["partials", "mincut", "recompute"]
    assert auto in [f"auto = {policy}" for policy in policies]
    assert table[auto][:2] == table[auto.removeprefix("auto = ")][:2]
    for values, nbytes, *times in (table[policy] for policy in policies):
        assert float(nbytes) == 8 * int(values)
        forward, _, reverse, both = (float(n) * {"us": 1, "ms": 1e3}[unit] for n, unit in map(str.split, times))
        assert both == pytest.approx(forward + reverse, rel=0.02)


# the roofline


def picture(write, name, monkeypatch):
    monkeypatch.setattr(shares, "_roofs", lambda best, probes: roofs.Roofs(20e9, 64e9))
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL, "--plot", name]) == 0
    return Path(name)


def test_roofline_is_drawn(write, capsys, monkeypatch):
    path = picture(write, "roofline.png", monkeypatch)
    assert capsys.readouterr().out.endswith("roofline: roofline.png\n")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000


@pytest.mark.slow
def test_roofline_says_what_it_shows(write, monkeypatch):
    """Text in an SVG is drawn as curves, with a comment that says what they spell."""
    said = re.findall("<!-- (.*?) -->", picture(write, "roofline.svg", monkeypatch).read_text())
    roof = "memory: 20 GB/s, caches more", "arithmetic: 64 billion operations per second"
    assert {"area: 3,000 elements, float64", *roof} <= set(said)
    for sweep in ("value", "forward", "reverse, 1 seed", "reverse, 3 seeds", "Jacobian"):
        assert any(re.fullmatch(rf"{sweep}: [\d.]+ billion operations per second, \d+% of its roof", text) for text in said)


def test_a_sweep_without_operations_is_left_out(write, monkeypatch):
    monkeypatch.setattr(profiling, "total", lambda graph: 0.0)
    said = picture(write, "roofline.svg", monkeypatch).read_text()
    assert "<!-- value: " not in said
    assert "<!-- forward: " in said


def test_roofs():
    found = roofs.Roofs(*(amount / timing.seconds(call) for call, amount in roofs.probes("float64").values()))
    assert min(found.bandwidth, found.rate) > 1e6
    assert found.at(1e-9) == pytest.approx(1e-9 * found.bandwidth)
    assert found.at(1e9) == found.rate


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "roofline.txt",
            "`nbad profile --plot roofline.txt`: not a kind of picture\n"
            "  expected: a name that ends in .png, .svg or .pdf\n  fix: --plot roofline.png\n",
        ),
        ("no/roofline.png", "`nbad profile --plot no/roofline.png`: no folder no\n  fix: mkdir -p no\n"),
    ],
)
def test_where_no_picture_can_be_drawn_nothing_is_measured(write, capsys, name, text):
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), "--plot", name]) == 2
    assert capsys.readouterr() == ("", text)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setattr(plots.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentValueError, match=r'matplotlib is not installed\n  fix: pip install "nbad\[plot\]"'):
        plots.check_target("roofline.png")


# the disk cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / disk.OWN


def test_cache_info_and_clear(folder, capsys):
    disk.store("key", b"value")
    disk.store("other", b"value")
    assert cli.main(["cache", "info"]) == 0
    assert cli.main(["cache", "clear"]) == 0
    assert cli.main(["cache", "info"]) == 0
    assert capsys.readouterr().out == (
        f"{folder}: 2 files, 0.0 of at most 512 MiB\n{folder}: 2 of 2 files removed\n{folder}: 0 files, 0.0 of at most 512 MiB\n"
    )


def test_cache_that_is_off(folder, capsys, monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_BYTES", "0")
    assert cli.main(["cache", "info"]) == 0
    assert cli.main(["cache", "clear"]) == 1
    assert capsys.readouterr().out == "no disk cache: NBAD_CACHE_BYTES is 0\n" * 2


def test_cache_with_a_wrong_setting(folder, capsys, monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_BYTES", "many")
    assert cli.main(["cache", "info"]) == 2
    assert capsys.readouterr().err.startswith("environment variable NBAD_CACHE_BYTES is not a number of bytes\n  got: 'many'")


@pytest.mark.parametrize("number", ["0", "-5", "1.5", "many", "inf", "nan"])
def test_sizes_are_positive_whole_numbers(capsys, number):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["profile", "mine.py", f"--n={number}"])
    assert f"argument -n/--n: expected a positive whole number, got {number}" in capsys.readouterr().err


def test_sizes_may_be_written_with_an_exponent():
    assert [cli._parser().parse_args(["profile", "mine.py", n, "1e6"]).n for n in ("-n", "--n")] == [1_000_000] * 2


def test_narrow_terminals_cut_nothing(write, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL]) == 0
    assert "…" not in capsys.readouterr().out
    monkeypatch.setattr(cli.doctor, "examine", lambda: Diagnosis((Finding("disk cache", "/a/folder/of/the/cache" * 3),)))
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.count("/") == 5 * 3


def test_what_cannot_be_written_is_told_in_a_line(folder, capsys, monkeypatch):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert cli.main(["cache", "info"]) == 2
    assert capsys.readouterr().err == "`nbad cache`: [Errno 28] No space left on device\n"


def test_without_stdout_nothing_is_printed(folder, capsys, monkeypatch):
    """As where a shell closes it, or under `pythonw`."""
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["cache", "info"]) == 0
    assert capsys.readouterr().err == ""


def test_modules_are_utf_8_on_every_terminal(write, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert cli.main(["export", write(KERNEL.format("Fläche"))]) == 0
    assert "`Fläche`" in written.getvalue().decode()


def test_an_interrupt_ends_without_a_traceback(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.disk, "info", interrupted)
    assert cli.main(["cache", "info"]) == 130
    assert capsys.readouterr() == ("", "")


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"nbad {nbad.__version__}\n"


def test_command_runs_in_a_fresh_process(run_python):
    out = run_python("import sys; from nbad.tools.cli import main; sys.exit(main(['profile', 'missing.py']) - 2)")
    assert out == ""
