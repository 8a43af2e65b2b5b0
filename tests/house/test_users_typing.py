"""What a user's type checker says: nothing about a script that is right, and where each mistake is in one that is wrong."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import nbad

SCRIPTS = Path(__file__).parents[1] / "data" / "typing"
ROOT = str(Path(nbad.__file__).parents[1])


@pytest.fixture
def project(tmp_path):
    """A folder of a user's with both scripts, away from the checkout and its configuration."""
    for script in SCRIPTS.glob("*.py"):
        shutil.copy(script, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [ROOT]}))
    return tmp_path


def run(project, *command):
    path = {} if sysconfig.get_path("purelib") == ROOT else {"MYPYPATH": ROOT}  # mypy refuses to be told what it knows
    environment = os.environ | path | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(project):
    """File, line and text of every error."""
    options = "--strict", "--follow-imports=silent", "--python-executable", sys.executable, "--output=json"
    errors = map(json.loads, run(project, "mypy", *options, "right.py", "wrong.py").splitlines())
    return [(error["file"], error["line"], error["message"]) for error in errors if error["severity"] == "error"]


def pyright(project):
    """The same."""
    report = json.loads(run(project, "pyright", "--outputjson", "--pythonpath", sys.executable))
    assert report["summary"]["filesAnalyzed"] == 2
    errors = [error for error in report["generalDiagnostics"] if error["severity"] == "error"]
    return [(Path(e["file"]).name, e["range"]["start"]["line"] + 1, e["message"]) for e in errors]


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_checker_finds_the_mistakes_and_nothing_else(checker, project):
    lines = enumerate((SCRIPTS / "wrong.py").read_text(encoding="utf-8").splitlines(), 1)
    mistakes = {("wrong.py", number) for number, text in lines if "# wrong: " in text}
    found = checker(project)
    assert len(mistakes) == 5
    assert {(file, line) for file, line, _ in found} == mistakes, found


def test_what_is_right_runs(capsys):
    runpy.run_path(str(SCRIPTS / "right.py"))
    assert "residual 0" in capsys.readouterr().out
