"""What all tests share: hypothesis without chance, graphs that are checked, the gallery by path, Python in a fresh process."""

import gc
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from helpers.gallery import GALLERY, load

import nbad
from nbad.graphs.graph import Graph

PACKAGE = Path(nbad.__file__).parent

hypothesis.settings.register_profile("nbad", derandomize=True, database=None, deadline=None, max_examples=50)
hypothesis.settings.load_profile("nbad")
Graph.is_checked = True


def pytest_report_header():
    return f"nbad: {PACKAGE}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """What `-n auto` means: up to four workers, and none for files and tests that are named, so that one sees them print."""
    is_named = all(".py" in argument for argument in config.args)
    return 0 if is_named else min(4, len(os.sched_getaffinity(0)))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is collected stays until the end: to look for garbage among 800,000 objects took a third of the time until there, and
    half a second whenever a test had made enough of its own. What tests leave, Numba's types above all, stays too, so that the
    collector looks through all of it a tenth as often: it found little, and took a twentieth of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        meets_numpy()
        gc.freeze()
        gc.set_threshold(700, 10, 100)
        gc.enable()


@hypothesis.given(hypothesis.strategies.none())
def meets_numpy(nothing):
    """Run once before: hypothesis asks the collector who holds NumPy's generator, and would be told that nobody does."""


@pytest.fixture(scope="session")
def gallery():
    """Every module of kernels/ by name."""
    return {name: load(name) for name in GALLERY}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def collect():
    """Looks for garbage among what the test makes: to look through all that others left took a second."""
    gc.freeze()
    return gc.collect


@pytest.fixture(scope="session")
def entry_points(tmp_path_factory):
    """A folder that tells of nbad's entry points, where what is installed does not."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    folder = tmp_path_factory.mktemp("entry_points")
    info = folder / "nbad_as_it_stands-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nbad-as-it-stands\nVersion: 0\n")
    points = tomllib.loads(text)["project"]["entry-points"]
    lines = [line for group, found in points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in found.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run_python(tmp_path, entry_points):
    """Run code in a fresh process, away from the checkout, on the same nbad; returns what it printed."""

    def run(code, **variables):
        environment = os.environ | {"PYTHONPATH": f"{PACKAGE.parent}{os.pathsep}{entry_points}"} | variables
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
