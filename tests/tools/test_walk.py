"""The walk: the README of the package is what the command makes of it, and names every wing and every room."""

import re
import runpy
from pathlib import Path

import pytest

from nbad.tools import walk

README = walk.README.read_text(encoding="utf-8")
ROOT_README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_readme_is_what_the_command_makes_of_it():
    assert walk.walk(README) == README


def test_every_door_is_shown():
    assert {door[2] for door in walk.DOOR.finditer(README)} == set(walk.DOORS)


@pytest.mark.parametrize("wing", [*walk.wings(), "nbad"])
def test_every_room_is_named(wing):
    folder = walk.PACKAGE if wing == "nbad" else walk.PACKAGE / wing
    section = README.partition(f"of `{wing}/` |")[2].partition("\n\n")[0]
    rooms = {path.stem for path in folder.glob("*.py")} - ({"__init__"} if wing != "nbad" else set())
    assert set(re.findall(r"^\| `(\w+)` \| \S", section, re.MULTILINE)) == rooms


def test_names_for_others_stand_beside_their_room():
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", README.partition("of `displays/` |")[2], re.MULTILINE))
    assert rows["text"] == "`aligned`, `amount`, `plural`"


@pytest.mark.slow
def test_what_is_stale_is_renewed(tmp_path, monkeypatch):
    """Every kind of text that is not prose: a door, a promise, a line on a room."""
    stale = README.replace("%3 = gt(t, 0.0)", "%3 = lt(t, 0.0)").replace("*Scalar graphs:", "*Vector graphs:")
    stale = stale.replace("| `graph` | ", "| `paragraph` | ")
    assert stale != README
    monkeypatch.setattr(walk, "README", tmp_path / "README.md")
    walk.README.write_text(stale, encoding="utf-8")
    walk.main()
    assert walk.README.read_text(encoding="utf-8") == README


def test_root_readme_has_the_promise_of_every_wing():
    rows = re.findall(r"^\| `nbad/(\w+)/` \| (.*) \|$", ROOT_README, re.MULTILINE)
    assert rows == [(wing, walk.promise(wing)) for wing in walk.wings()]


@pytest.mark.parametrize("module", ["tools/walk", "tools/accuracy", "operations/derive", "functions/fits"])
def test_a_command_that_writes_files_writes_none_when_it_is_asked_for_help(module, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", [f"{module}.py", "--help"])
    monkeypatch.setattr(Path, "write_text", lambda path, text, **options: pytest.fail(f"{path} is written"))
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(walk.PACKAGE / f"{module}.py"), run_name="__main__")
    assert f"python -m nbad.{module.replace('/', '.')}" in " ".join(capsys.readouterr().out.split())
