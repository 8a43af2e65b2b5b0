"""The package as a zip, as byte code only, and frozen: kernels run, and are kept on disk where their code can be told apart."""

import compileall
import math
import shutil
from pathlib import Path

import pytest

import nbad
from nbad.codegen import disk
from nbad.codegen.numba_cache import cached_njit

PACKAGE = Path(nbad.__file__).parent
PROGRAM = """
import math
import numpy as np
import nbad

@nbad.kernel
def f(x, y):
    return math.exp(x) * y if x > y else x * x

y, pullback = nbad.vjp(f, np.linspace(-1.0, 1.0, 1_000_000), 0.5)
print(nbad.__file__, y[0], float(pullback(1.0)[1]) / 1e6)
f("text", 1.0)
"""


def zipped(folder):
    return shutil.make_archive(str(folder / "archive"), "zip", PACKAGE.parent, PACKAGE.name)


def byte_code_only(folder):
    """Compiled in another place than where it runs."""
    sources = shutil.copytree(PACKAGE, folder / "elsewhere" / "nbad", ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(sources, quiet=1, legacy=True, workers=1)
    shutil.copytree(sources, folder / "moved" / "nbad", ignore=shutil.ignore_patterns("*.py"))
    shutil.rmtree(sources)
    return str(folder / "moved")


@pytest.mark.slow
@pytest.mark.parametrize("pack", [zipped, byte_code_only])
def test_big_arrays_run_and_are_kept(pack, tmp_path, run_python, monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))
    path, files = pack(tmp_path), []
    (tmp_path / "program.py").write_text(PROGRAM)
    for _ in range(2):
        code = "try:\n  import program\nexcept TypeError as error:\n  print(error)"
        printed = run_python(code, PYTHONPATH=path)
        place, y, slope = printed.splitlines()[0].split()
        assert place.startswith(path)
        assert float(y) == 1.0
        assert float(slope) == pytest.approx((math.e - math.sqrt(math.e)) / 2, rel=1e-5), "the mean of exp where x > y, else 0"
        assert 'f("text", 1.0)  ' in printed
        assert "(program.py:" in printed
        files.append(sorted((tmp_path / "cache").rglob("*.nbad")))
    assert len(files[0]) >= 4
    assert files[0] == files[1], "all came from the disk"


def test_frozen_functions_run_uncached(tmp_path, monkeypatch):
    """Their loader has no files, and nothing tells one version of a function from another."""
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(globals(), "__loader__", object())

    @cached_njit(error_model="numpy")
    def doubled(x):
        return 2.0 * x

    assert doubled(3.0) == 6.0
    assert disk.info().files == 0


def test_frozen_texts_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(disk, "__file__", str(tmp_path / "nbad" / "codegen" / "disk.pyc"))
    monkeypatch.setattr(disk, "_stamp", disk._stamp.__wrapped__)
    assert disk.text_of("plan", lambda: "text") == "text"
    assert not disk.store_own("plan", b"text")
    assert disk.load_own("plan") is None
    assert disk.info().files == 0
