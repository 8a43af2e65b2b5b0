"""The README keeps its word: its example prints what it shows, its commands and folders exist."""

import re
from pathlib import Path

from nbad.ops import TABLE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FOLDERS = {"nbad", "kernels", "tests", "benchmarks"}


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL).group(1)


def test_example_prints_what_is_shown(run_python, tmp_path):
    (tmp_path / "example.py").write_text(block("python"))
    assert run_python("import runpy; runpy.run_path('example.py')") == block("text")


def test_example_is_short():
    assert len([line for line in block("python").splitlines() if line]) <= 12


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
