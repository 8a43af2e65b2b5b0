"""The README keeps its word: its examples print what they show, its commands and folders exist."""

import os
import re
import subprocess
from importlib.util import find_spec

import numpy as np
import pytest
from helpers.gallery_reference import NIST
from helpers.site import ROOT, blocks, making

from nbad.operations.table import TABLE

PATH = ROOT / "README.md"
README = PATH.read_text(encoding="utf-8")
FOLDERS = {"nbad", "kernels", "docs", "tests", "benchmarks"}
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")  # PyTorch's own forward mode calls it
LARGE = ("torch", "jax")  # partners that the tests do without where they are not installed
PROGRAMS = [
    program
    for program in blocks.programs_of(PATH)
    if all(f"import {partner}\n" not in program[0].code or find_spec(partner) for partner in LARGE)
]


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL).group(1)


def program_with(text):
    (found,) = (program for program in PROGRAMS if text in program[0].code)
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: re.findall(r"^import (\w+)", program[0].code, re.M)[0])
def test_examples_print_what_is_shown(program, tmp_path):
    assert list(blocks.run(program, tmp_path)) == [block.printed for block in program]


@pytest.mark.parametrize("text", ["def polar", pytest.param("import numba", marks=pytest.mark.slow)])
def test_examples_do_so_in_a_fresh_process(run_python, tmp_path, text):
    ((code, printed),) = program_with(text)
    (tmp_path / "example.py").write_text(code)
    assert run_python("import runpy; runpy.run_path('example.py')") == printed


@pytest.mark.parametrize("program", PROGRAMS)
def test_examples_are_short_and_print(program):
    ((code, printed),) = program
    assert printed
    assert len([line for line in code.splitlines() if line]) <= 12


def test_least_squares_example_is_the_published_problem():
    """Its data, to the last digit, and its answer, to the digits shown."""
    ((code, printed),) = program_with("least_squares")
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


def test_links_of_a_release_lead_to_its_tag(tmp_path):
    """The package index shows the README without the files beside it."""
    lines = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8").splitlines()
    steps = [line.strip() for line in lines if line.strip().startswith(("site=", "sed -Ei"))]
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    named = {"GITHUB_SERVER_URL": "https://host", "GITHUB_REPOSITORY": "owner/name", "GITHUB_REF_NAME": "v1.2.3"}
    subprocess.run(["bash", "-euc", "\n".join(steps)], cwd=tmp_path, env=os.environ | named, check=True)
    links = re.findall(r"(!?)\[[^]]*\]\(([^)]*)\)", (tmp_path / "README.md").read_text(encoding="utf-8"))
    assert len(links) == len(re.findall(r"\]\(", README)) > 10
    for picture, link in links:
        place = f"https://host/owner/name/{'raw' if picture else 'blob'}/v1.2.3/"
        assert link.startswith(place), link
        assert (ROOT / link.removeprefix(place)).is_file(), link


def test_map_names_every_folder():
    assert {name for name in FOLDERS if f"| `{name}/` |" in README} == FOLDERS
    assert all((ROOT / name).is_dir() for name in FOLDERS)


def test_it_is_one_page():
    assert len(README.splitlines()) <= 300


def test_special_points_are_those_of_the_primitive_table():
    section = README.partition("## Derivatives at special points")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", section, re.MULTILINE)
    shown = {name: text for names, text in rows for name in re.findall(r"`(\w+)`", names)}
    assert shown.keys() >= {"abs", "maximum", "sqrt", "hypot", "pow"}
    assert shown == {name: TABLE[name].kink for name in shown}


def test_picture_and_what_is_said_of_it_are_the_measured_figures():
    """`python docs/making/pictures.py` draws it anew."""
    times = making("pictures").seed_times()
    assert str(times) in (ROOT / "docs/pictures/seeds.svg").read_text(encoding="utf-8").replace("&#39;", "'")
    said = "{:.2g} ms for one seed and {:.2g} ms for eight; JAX takes {:.2g} and {:.2g} ms"
    assert said.format(*(times[seeds][name] for name in ("nbad", "jax") for seeds in (1, 8))) in README
