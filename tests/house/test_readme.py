"""The README keeps its word: its example prints what it shows, its commands and folders exist."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.gallery_reference import NIST

from nbad.operations.table import TABLE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FOLDERS = {"nbad", "kernels", "tests", "benchmarks"}


EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL).group(1)


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=["polar", "least squares", "loop", "compiled", "paths"])
def test_examples_print_what_is_shown(run_python, tmp_path, code, printed):
    (tmp_path / "example.py").write_text(code)
    assert run_python("import runpy; runpy.run_path('example.py')") == printed


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_examples_are_short_and_run(code):
    assert code in [example for example, _ in EXAMPLES]
    assert len([line for line in code.splitlines() if line]) <= 12


def test_least_squares_example_is_the_published_problem():
    """Its data, to the last digit, and its answer, to the digits shown."""
    code, printed = EXAMPLES[1]
    x, y = (np.array(eval(numbers)) for numbers in re.findall(r"np\.array\((\[.*\])\)", code))
    problem = NIST["misra1a"]
    assert np.array_equal(x, problem.x)
    assert np.array_equal(y, problem.y)
    assert printed == "b1 = {:.4f}, b2 = {:.5e}\n".format(*problem.parameters)


def test_commands():
    assert block("bash").splitlines() == [
        "pip install . && nbad profile kernels/black_scholes.py",
        'pip install ".[test]" && pytest',
    ]


def test_map_names_every_folder():
    assert {name for name in FOLDERS if f"| `{name}/` |" in README} == FOLDERS
    assert all((ROOT / name).is_dir() for name in FOLDERS)


def test_special_points_are_those_of_the_primitive_table():
    section = README.partition("## Derivatives at special points")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", section, re.MULTILINE)
    shown = {name: text for names, text in rows for name in re.findall(r"`(\w+)`", names)}
    assert shown == {row.name: row.kink for row in TABLE.values() if row.kink}
