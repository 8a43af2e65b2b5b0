"""The command line: what `nbad profile` prints, and what it says when it cannot."""

import re
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import nbad
from nbad import cli, profiling
from nbad.errors import ArgumentValueError

ROOT = Path(__file__).parents[1]
SMALL = ["--n", "3000", "--seeds", "3", "--repeats", "1"]
HEAD = "import nbad\nimport numpy as np\n"
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
    """The cells of the printed table by the first one of each row."""
    cells = (re.split(r"\s*[│┃]\s*", line)[1:-1] for line in text.splitlines() if re.match("[│┃]", line))
    return {first: rest for first, *rest in cells}


def test_profile_prints_a_row_for_each_sweep(write, capsys):
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "kernel area of mine.py, 3,000 elements, float64" in out
    table = rows(out)
    assert table.pop("sweep") == ["best time", "ns per element", "GB/s", "first use"]
    assert list(table) == ["value", "forward", "reverse, 3 seeds", "Jacobian"]
    for time, per_element, *_ in table.values():
        assert float(time.removesuffix(" ms")) * 1e6 / 3000 == pytest.approx(float(per_element), abs=5e3 / 3000 + 0.01)


def test_profile_prints_the_facts(write, capsys):
    cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL, "--dtype", "float32"])
    facts = dict(re.findall(r"^(.+?): (.+)$", capsys.readouterr().out, re.MULTILINE))
    assert re.fullmatch(r"[\d.]+ bytes per element", facts["residuals"])
    assert re.match(r"[\d.]+ s", facts["compile time"])
    assert re.fullmatch(r"\d+ \(.+\)", facts["threads"])
    assert facts["vectors"] == nbad.vector_math.describe()
    assert "checks of the harness passed on 64 elements" in facts["checked"]


def test_profile_of_a_gallery_kernel(capsys):
    assert cli.main(["profile", str(ROOT / "kernels" / "black_scholes.py") + ":price", *SMALL]) == 0
    assert "checks of the harness passed on 64 elements" in capsys.readouterr().out


def test_file_of_several_kernels_gets_the_name():
    subject = profiling.load(str(ROOT / "kernels" / "nonlinear_regression.py") + ":danwood")
    assert subject.name == "danwood"
    assert len(subject.inputs(10, "float64")) == 3


def test_report_counts_bytes_and_is_frozen(write):
    subject = profiling.load(write(KERNEL.format("area"), INPUTS))
    report = profiling.profile(subject, profiling.Options(n=4096, seeds=2, repeats=1))
    value, forward, reverse, jacobian = report.sweeps
    array = 8 * 4096
    assert value.bytes_moved == 4 * array
    assert forward.bytes_moved == 4 * array + report.residual_bytes
    assert reverse.bytes_moved == report.residual_bytes + 2 * 4 * array
    assert jacobian.bytes_moved == 6 * array
    assert report.residual_bytes >= 2 * array
    assert report.compile_seconds == sum(sweep.first_use for sweep in report.sweeps) > 0
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        report.checked = ""


def test_steps_are_announced(write):
    steps = []
    subject = profiling.load(write(KERNEL.format("area"), INPUTS))
    profiling.profile(subject, profiling.Options(n=100, seeds=1, repeats=1), steps.append)
    assert steps == ["compile", "value", "forward", "reverse, 1 seeds", "Jacobian", "check"]
    assert len(steps) + 1 == cli.STEPS


@pytest.mark.parametrize(
    ("parts", "target", "text"),
    [
        ((), "missing.py", "`nbad profile missing.py`: no file missing.py\n  expected: FILE.py or FILE.py:NAME\n"),
        ((), "mine.txt", "`nbad profile mine.txt`: mine.txt is not a Python file\n  expected: FILE.py or FILE.py:NAME\n"),
        ((INPUTS,), "mine.py", "`nbad profile mine.py`: no kernel in mine.py\n  fix: decorate the function with @nbad.kernel\n"),
        (
            (KERNEL.format("area"), INPUTS), "mine.py:volume",
            "`nbad profile mine.py:volume`: no kernel `volume`\n  expected: one of area\n  fix: nbad profile mine.py:area\n",
        ),
        (
            (KERNEL.format("area"), KERNEL.format("volume"), INPUTS), "mine.py",
            "`nbad profile mine.py`: the file has several kernels\n"
            "  expected: one of area, volume\n  fix: nbad profile mine.py:area\n",
        ),
        (
            (KERNEL.format("area"),), "mine.py",
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
    monkeypatch.setattr(cli, "Console", lambda stderr: Console(stderr=stderr, force_terminal=True))
    with cli._progress() as step:
        step("compile")
        step("value")
    out, err = capsys.readouterr()
    assert out == ""
    assert -1 < err.find("load") < err.find("compile") < err.find("value")


def test_load_raises_for_callers_from_python():
    with pytest.raises(ArgumentValueError, match=r"no file missing\.py"):
        profiling.load("missing.py")


def test_wrong_derivative_is_reported_with_exit_code_1(write, capsys, monkeypatch):
    def harness(kernel, *xs):
        raise AssertionError("dot product differs")

    monkeypatch.setattr(profiling, "check_kernel", harness)
    assert cli.main(["profile", write(KERNEL.format("area"), INPUTS), *SMALL]) == 1
    assert capsys.readouterr().err == "check failed: dot product differs\n"


def test_results_that_differ_between_calls_are_reported(write):
    kernel = profiling.load(write(KERNEL.format("area"), INPUTS)).kernel
    with pytest.raises(AssertionError, match=r"area.*f and vjp at element \(0,\)"):
        profiling._compare(kernel, "f and vjp", np.zeros(3), -np.zeros(3))


@pytest.mark.parametrize("number", ["0", "-5", "1.5", "many"])
def test_sizes_are_positive_whole_numbers(capsys, number):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["profile", "mine.py", f"--n={number}"])
    assert "argument --n:" in capsys.readouterr().err


def test_sizes_may_be_written_with_an_exponent():
    assert cli._parser().parse_args(["profile", "mine.py", "--n", "1e6"]).n == 1_000_000


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"nbad {nbad.__version__}\n"


def test_command_runs_in_a_fresh_process(run_python):
    out = run_python("import sys; from nbad.cli import main; sys.exit(main(['profile', 'missing.py']) - 2)")
    assert out == ""
