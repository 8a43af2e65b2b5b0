"""What kernels show of their compiled code, as Numba's dispatchers do."""

import math
import re

import numba
import numpy as np
import pytest

import nbad
from nbad.errors import ArgumentValueError


@pytest.fixture
def kernel():
    def wave(x, y):
        a = np.sin(x)
        return a * y

    return nbad.kernel(wave)


def test_what_was_compiled_is_listed_by_signature(kernel):
    assert (kernel.signatures, kernel.inspect_llvm(), kernel.inspect_asm()) == ([], {}, {})
    kernel(np.ones(3), 2.0)
    kernel(np.ones(3, np.float32), np.ones(3, np.float32))
    double, single = (numba.float64,) * 2, (numba.float32,) * 2
    assert kernel.signatures == [double, single]
    assert kernel.inspect_llvm().keys() == kernel.inspect_asm().keys() == {double, single}
    assert re.findall("^; .*", kernel.inspect_llvm(double), re.MULTILINE) == ["; value of wave, float64"]
    assert re.findall("fmul <[0-9]+ x (double|float)>", kernel.inspect_llvm(single)) == ["float"]


def test_numba_knows_the_signatures_of_vectors_and_of_written_text():
    norm = nbad.kernel(lambda r, s: s * (r[0] * r[0] + r[1] * r[1]), signature="(2),()->()")
    norm(np.ones((3, 2)), 2.0)
    assert norm.signatures == [(numba.float64[::1], numba.float64)]


def test_code_for_vectors_that_lie_side_by_side_is_shown():
    """Such a kernel is derived from one that is derived from the one for rows."""
    mean = nbad.kernel(lambda x: x - np.sum(x) / 8, signature="(8)->(8)")
    mean(np.ones((4, 8)))
    assert list(mean.inspect_llvm()) == mean.signatures == [(numba.float64[::1],)]


def test_sweeps_are_shown_behind_the_value(kernel):
    nbad.vjp(kernel, 1.0, 2.0)[1](1.0)
    (text,) = kernel.inspect_llvm().values()
    titles = re.findall("^; (.*) of wave, float64$", text, re.MULTILINE)
    assert [title.split()[0] for title in titles][:1] == ["forward"]
    assert len(titles) == 2


def test_lines_of_the_source_are_shown(kernel):
    kernel(1.0, 2.0)
    first = kernel.py_func.__code__.co_firstlineno
    (llvm,), (asm,) = kernel.inspect_llvm().values(), kernel.inspect_asm().values()
    assert [f"; test_inspected.py:{first + k}" in llvm for k in range(4)] == [False, True, True, False]
    number = re.search(r'\.file\t(\d+) "test_inspected.py"', asm)[1]
    assert [f".loc\t{number} {first + k} " in asm for k in range(4)] == [False, True, True, False]
    assert ".debug_" not in asm.partition(".cfi_startproc")[2]


def test_code_for_loops_is_shown_too():
    def halved(x):
        while x > 1.0:
            x = x / 2.0
        return x

    kernel = nbad.kernel(halved)
    assert kernel(12.0) == 0.75
    assert all("fmul" in text or "fdiv" in text for text in kernel.inspect_llvm().values())
    assert all(".loc" in text for text in kernel.inspect_asm().values())


def test_hits_and_misses_of_the_disk_are_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))
    f = nbad.kernel(lambda x: 0.731 * x)
    f(2.0)
    assert (f.stats.cache_hits, f.stats.cache_misses) == ({(numba.float64,): 0}, {(numba.float64,): 1})
    assert f.stats.cache_path.parent == tmp_path / "cache"
    again = nbad.kernel(lambda x: 0.731 * x)
    again(2.0)
    assert (again.stats.cache_hits, again.stats.cache_misses) == ({(numba.float64,): 1}, {(numba.float64,): 0})


@pytest.mark.parametrize("method", ["inspect_llvm", "inspect_asm"])
def test_a_signature_without_code_is_explained(kernel, method):
    with pytest.raises(ArgumentValueError, match=r"(?s)nothing was compiled.*none yet.*fix: wave.precompile()"):
        getattr(kernel, method)((numba.float64,))
    kernel.precompile()
    with pytest.raises(ArgumentValueError, match=rf"(?s)got: \(int64,\).*expected: \(float64, float64\).*fix: wave.{method}"):
        getattr(kernel, method)((numba.int64,))


def test_functions_that_numba_compiled_are_traced_as_they_were_written():
    helper = numba.njit(lambda x: math.exp(-x))
    whole = numba.njit(lambda x, scale=2.0: scale * helper(x))
    assert nbad.kernel(whole)(1.0) == nbad.kernel(lambda x: 2.0 * math.exp(-x))(1.0)
    assert nbad.grad(nbad.kernel(whole))(1.0) == pytest.approx(-2.0 * math.exp(-1.0), rel=1e-15)
    assert nbad.kernel(lambda x: helper(x) + 1.0)(0.0) == 2.0
