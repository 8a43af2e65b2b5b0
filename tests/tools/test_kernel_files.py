"""Files that the command line is given: what is wrong with them is told in a few lines, and they stay as they are."""

import re
import shlex
import sys

import pytest

from nbad.tools import cli

KERNEL = "import nbad\n@nbad.kernel\ndef area(a, b):\n    return a * b\n"
SMALL = ["--n", "1000", "--seeds", "2", "--repeats", "1"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", sys.path[:])
    return lambda name, text: (tmp_path / name).write_text(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def f(:\n", "wrong.py raises SyntaxError\n  got: invalid syntax (wrong.py, line 1)\n"),
        (
            "import nosuch\n",
            "wrong.py raises ModuleNotFoundError\n  got: No module named 'nosuch', by import nosuch (wrong.py:1)\n",
        ),
        ("x = 1\ny = x / 0\n", "wrong.py raises ZeroDivisionError\n  got: division by zero, by y = x / 0 (wrong.py:2)\n"),
    ],
)
def test_files_that_raise(write, capsys, text, says):
    write("wrong.py", text)
    for command in ("export", "profile"):
        assert cli.main([command, "wrong.py"]) == 2
        head, fix = f"`nbad {command} wrong.py`: ", f"  fix: NBAD_FRAMES=1 nbad {command} wrong.py  # shows how it came to that\n"
        assert capsys.readouterr() == ("", head + says + fix)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ("raise RuntimeError('boom')", "`sample_inputs` of mine.py raises RuntimeError\n  got: boom, by def sample_inputs("),
        ("return None", "`sample_inputs` returns no tuple\n  got: NoneType\n"),
        ("return rng.random(n)", "`sample_inputs` returns no tuple\n  got: numpy.ndarray\n"),
        ("return dict(a=rng.random(n), b=1.0)", "`sample_inputs` returns no tuple\n  got: dict\n"),
        (
            "return (rng.random(n),)",
            "`sample_inputs`: missing a required argument: 'b'\n  got: 1 argument\n  expected: the arguments of `area`",
        ),
        (
            "return rng.random(3), 2.0",
            "`sample_inputs` does not make what it is asked for\n  got: 3 elements of float64\n  expected: 1,000 elements"
            " of float64\n  fix: return np.resize(a, n).astype(dtype), np.resize(b, n).astype(dtype)\n",
        ),
        ("return rng.random(n), 'wide'", "`area(a, b)`: b holds text\n  got: str 'wide'\n"),
    ],
)
def test_functions_for_inputs_that_make_none(write, capsys, inputs, says):
    write("mine.py", KERNEL + f"def sample_inputs(rng, n, dtype): {inputs}\n")
    assert cli.main(["profile", "mine.py:area", *SMALL]) == 2
    assert says in capsys.readouterr().err


def test_inputs_of_another_dtype_are_told_and_the_fix_runs(write, capsys):
    lines = "def sample_inputs(rng, n, dtype):\n    a, b = rng.random((5, 2)), 2.0\n    "
    kernel = KERNEL.replace("kernel\n", "kernel(signature='(2),()->()')\n").replace("a * b", "a[0] * b")
    write("mine.py", kernel + f"import numpy as np\n{lines}return a[np.arange(n) % 5], b\n")
    assert cli.main(["profile", "mine.py", "--dtype", "float32", *SMALL]) == 2
    error = capsys.readouterr().err
    assert "got: 1,000 elements of float64\n  expected: 1,000 elements of float32\n" in error
    write("mended.py", kernel + f"import numpy as np\n{lines}{error.partition('fix: ')[2]}")
    assert cli.main(["profile", "mended.py", "--dtype", "float32", *SMALL]) == 0


def test_the_fix_keeps_structures_and_static_arguments(write, capsys):
    kernel = KERNEL.replace("kernel\n", "kernel(static=('b',))\n").replace("a * b", "a['u'] * a['v'] ** b")
    begin = f"{kernel}import numpy as np\ndef sample_inputs(rng, n, dtype):\n    a, b = {{'u': rng.random(3), 'v': 2.0}}, 3\n    "
    write("mine.py", f"{begin}return a, b\n")
    assert cli.main(["profile", "mine.py", *SMALL]) == 2
    fix = capsys.readouterr().err.partition("fix: ")[2]
    assert fix == "return {'u': np.resize(a['u'], n).astype(dtype), 'v': np.resize(a['v'], n).astype(dtype)}, b\n"
    write("mended.py", begin + fix)
    assert cli.main(["profile", "mended.py", *SMALL]) == 0


def test_fix_of_what_raises_shows_how_it_came_to_that(write, capsys, monkeypatch):
    write("my kernel.py", KERNEL + "def sample_inputs(rng, n, dtype): return deep()\ndef deep(): return 1 / 0\n")
    assert cli.main(["profile", "my kernel.py:area"]) == 2
    setting, _, command = capsys.readouterr().err.splitlines()[-1].partition("fix: ")[2].partition("  #")[0].partition(" ")
    assert setting == "NBAD_FRAMES=1"
    monkeypatch.setenv(*setting.split("="))
    assert cli.main(shlex.split(command)[1:]) == 2
    assert re.search("in sample_inputs\n.*in deep\n.*ZeroDivisionError", capsys.readouterr().err, re.DOTALL)


@pytest.mark.parametrize(
    ("command", "body", "says"),
    [
        ("export", "missing = nosuch", "NameError\n  got: name 'nosuch' is not defined"),
        ("profile", "if a < 2: raise ValueError('low')", "ValueError\n  got: low, by if a < 2: raise ValueError('low')"),
    ],
)
def test_kernels_that_raise(write, capsys, command, body, says):
    text = KERNEL.replace("return", f"{body}\n    return")
    write("mine.py", text + "def sample_inputs(rng, n, dtype): return rng.random(n), rng.random(n)\n")
    assert cli.main([command, "mine.py"]) == 2
    assert f"`nbad {command} mine.py`: `area` of mine.py raises {says}" in capsys.readouterr().err


def test_fixes_are_lines_for_a_shell(write, capsys):
    write("my kernel.py", KERNEL)
    assert cli.main(["export", "my kernel.py:volume"]) == 2
    assert "fix: nbad export 'my kernel.py:area'\n" in capsys.readouterr().err


def test_a_module_does_not_take_the_place_of_the_kernels_own_file(write, capsys, tmp_path):
    write("mine.py", KERNEL)
    (tmp_path / "link.py").symlink_to("mine.py")
    for target, output in (("mine.py", "mine.py"), ("link.py", "mine.py"), ("mine.py:area", "./link.py")):
        assert cli.main(["export", target, "-o", output]) == 2
        assert "take the place of the kernel's own file" in capsys.readouterr().err
    assert (tmp_path / "mine.py").read_text() == KERNEL
    assert cli.main(["export", "mine.py", "-o", "mine_exported.py"]) == 0
    assert cli.main(["export", "mine.py", "-o", "mine_exported.py"]) == 0


@pytest.mark.parametrize(
    ("kernel", "inputs"),
    [
        (KERNEL.replace("kernel\n", "kernel(static=('b',))\n").replace("a * b", "a**b"), "rng.random(n).astype(dtype), 3"),
        (KERNEL.replace("a * b", "a['width'] * b"), "{'width': rng.random(n).astype(dtype)}, rng.random(n).astype(dtype)"),
    ],
)
def test_inputs_may_have_static_values_and_structure(write, capsys, kernel, inputs):
    write("mine.py", f"{kernel}def sample_inputs(rng, n, dtype): return {inputs}\n")
    assert cli.main(["profile", "mine.py", *SMALL, "--policies"]) == 0
    assert "waiting" in capsys.readouterr().out
