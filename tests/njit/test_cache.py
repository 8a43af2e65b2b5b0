"""Compiled code in Numba's cache: loaded in a fresh process, on every CPU, and never of a kernel that was edited since."""

import importlib
import pickle
import sys

import numba
import numpy as np
import pytest
from helpers.compiled import calling
from numba.core.errors import NumbaWarning

import nbad
from nbad.api.pickling import by_name
from nbad.njit.callees import Form, callee_of
from nbad.njit.elements import Asked, element
from nbad.njit.linking import StaleCodeError, Witness, witness_for

KERNELS = """\
import math
import nbad
import scipy.special

FACTOR = 2.0

@nbad.kernel
def decay(x, rate=0.5):
    return FACTOR * math.exp(-rate * x)

slope = nbad.grad(decay)
blocks = nbad.value_and_jacobian(decay)

def bump_of(x):
    return FACTOR * math.exp(-x * x)

bump = nbad.primitive("bump", bump_of, ["-2*x*v"])

@nbad.kernel
def special(x):
    return bump(x) + scipy.special.erfinv(0.5 * x)
"""
CALLERS = """\
import numba
import numpy as np
import nbad
from own_kernels import blocks, decay, slope, special

cached = numba.njit(cache=True)

@cached
def of_global(x):
    return decay(x), slope(x, 0.25), blocks(x, 0.25)[1][0][0], nbad.grad(decay, "rate")(x, 0.25), special(x)

@numba.njit
def helper(x):
    return decay(x)

@cached
def of_helper(x):
    return helper(x)

@cached
def of_argument(f, x):
    return f(x, 0.25), nbad.grad(f)(x, 0.25)

def made(f):
    @cached
    def of_closure(x):
        return f(x, 0.25)
    return of_closure

of_closure = made(decay)

@numba.njit(cache=True, parallel=True)
def of_arrays(x, out):
    for i in numba.prange(x.size):
        out[i] = decay(x[i], 0.25)
    return decay(x, 0.25) + out

@numba.vectorize(["float64(float64)"], cache=True)
def ufunc(x):
    return decay(x, 0.25)

@numba.guvectorize(["(float64[:], float64[:])"], "(n)->(n)", cache=True)
def generalized(x, out):
    for i in range(x.size):
        out[i] = decay(x[i], 0.25)

@numba.cfunc("float64(float64)", cache=True)
def callback(x):
    return decay(x, 0.25)

x = np.linspace(0, 1, 5)
found = [*of_global(0.5), of_helper(0.5), *of_argument(decay, 0.5), of_closure(0.5), of_arrays(x, np.empty(5))[2]]
found += [ufunc(x)[2], generalized(x)[2], callback.ctypes(0.5)]
callers = [of_global, of_helper, of_argument, of_closure, of_arrays]
print(sum(sum(f.stats.cache_hits.values()) > 0 for f in callers), callback.cache_hits, *map(float, found))
"""


@pytest.fixture
def run_callers(tmp_path, run_python):
    """Run the callers in a fresh process; returns how many came from the cache, and their results."""
    (tmp_path / "own_callers.py").write_text(CALLERS)
    (tmp_path / "own_kernels.py").write_text(KERNELS)

    def run(**variables):
        hits, callback, *found = run_python("import sys; sys.path.insert(0, '.'); import own_callers", **variables).split()
        return int(hits) + int(callback), list(map(float, found))

    return run


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["", "generic", "haswell"])
def test_a_fresh_process_loads_what_another_cached(run_callers, cpu):
    variables = {"NUMBA_CPU_NAME": cpu} if cpu else {}
    (none, first), (all_of_them, second) = run_callers(**variables), run_callers(**variables)
    assert (none, all_of_them) == (0, 6)
    assert first == second
    assert first[0] == pytest.approx(2 * np.exp(-0.25), rel=1e-15)


@pytest.mark.slow
def test_an_edited_kernel_is_not_served_stale(run_callers, tmp_path):
    _, before = run_callers()
    (tmp_path / "own_kernels.py").write_text(KERNELS.replace("FACTOR = 2.0", "FACTOR = 3.0"))
    hits, after = run_callers()
    assert hits == 0
    special = 4  # of two terms, one of which has the factor
    assert [*after[:special], *after[special + 1 :]] == pytest.approx(
        [1.5 * value for value in [*before[:special], *before[special + 1 :]]], rel=1e-14
    )
    assert after[special] - before[special] == pytest.approx(np.exp(-0.25), rel=1e-14)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of kernels that a test may edit."""
    (tmp_path / "edited_kernels.py").write_text("import nbad\n\n@nbad.kernel\ndef line(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("edited_kernels")
    sys.modules.pop("edited_kernels")


def witness_of(f):
    callee, asked = callee_of(f), Asked(("x",), (), "float64")
    return Witness(by_name((f, ())), Form(), asked, element(callee, asked).digest)


def test_a_witness_finds_the_kernel_again(module):
    for f in (module.line, nbad.grad(module.line)):
        data = pickle.dumps(witness_of(f))
        assert pickle.loads(data) == witness_of(f)


def test_a_witness_of_an_edited_kernel_counts_as_lost(module, monkeypatch):
    """As a file that is gone, which Numba takes an OSError for."""
    data, line = pickle.dumps(witness_of(module.line)), module.line
    monkeypatch.setattr(module, "line", nbad.kernel(lambda x: 3 * x))
    with pytest.raises(StaleCodeError, match="edited"):
        pickle.loads(data)
    monkeypatch.delattr(module, "line")
    with pytest.raises(OSError, match="is not found"):
        pickle.loads(data)
    assert line(1.0) == 2.0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (nbad.kernel(lambda x, y: x - 2 * y), nbad.kernel(lambda y, x: y - 2 * x)),  # called by name they differ
        (nbad.kernel(lambda x: x[0, 1], signature="(1,2)->()"), nbad.kernel(lambda x: x[1, 0], signature="(2,1)->()")),
    ],
)
def test_a_witness_tells_the_order_of_parameters_and_their_shapes(module, monkeypatch, before, after):
    asked = Asked(before.parameters, (), "float64")
    monkeypatch.setattr(module, "line", before)
    monkeypatch.setattr(before, "__qualname__", "line")
    monkeypatch.setattr(before, "__module__", module.__name__)
    data = pickle.dumps(Witness(by_name((before, ())), Form(), asked, element(callee_of(before), asked).digest))
    pickle.loads(data)
    monkeypatch.setattr(module, "line", after)
    with pytest.raises(StaleCodeError, match="edited"):
        pickle.loads(data)


@pytest.mark.parametrize("verb", [nbad.grad, nbad.value_and_grad, nbad.jacobian, nbad.hessian, lambda f, argnums: f])
def test_a_name_that_leads_to_something_else_counts_as_edited(module, monkeypatch, verb):
    """As where `slope = nbad.grad(f, "x")` in another module now is by "y": the kernel itself is what it was."""
    plane, other = nbad.kernel(lambda x, y: 2 * x * x + 3 * y), nbad.kernel(lambda x, y: x - y)
    for name, f in (("plane", plane), ("other", other)):
        monkeypatch.setattr(f, "__qualname__", name)
        monkeypatch.setattr(f, "__module__", module.__name__)
        monkeypatch.setattr(module, name, f, raising=False)
    monkeypatch.setattr(module, "made", verb(plane, argnums="x"), raising=False)
    callee, asked = callee_of(module.made), Asked(("x", "y"), (), "float64")
    data = pickle.dumps(witness_for(callee, asked, element(callee, asked).digest))
    module.made = verb(plane, argnums="x")
    pickle.loads(data)
    module.made = verb(plane, argnums="y") if callee_of(plane) is not callee else other
    with pytest.raises(StaleCodeError, match="leads to something else"):
        pickle.loads(data)
    module.made = 3.0
    with pytest.raises(StaleCodeError, match="leads to something else"):
        pickle.loads(data)


def test_types_tell_kernels_apart_by_their_graphs():
    def typed(function):
        return numba.typeof(nbad.kernel(function)).name

    assert typed(lambda x: 2 * x) == typed(lambda x: 2 * x)
    assert len({typed(lambda x: 2 * x), typed(lambda x: 3 * x), typed(lambda x, y: 2 * x), typed(lambda x: (2 * x,))}) == 4
    assert typed(lambda x, n=2: n * x) != typed(lambda x, n=2: n * x)  # other calls have other graphs, and there is no name


def test_a_caller_of_a_kernel_without_a_name_is_not_cached(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    call = numba.njit(calling(nbad.kernel(lambda x: 5 * x), 1).py_func)
    call.enable_caching = call.enable_caching
    monkeypatch.setattr("inspect.getfile", lambda function: __file__)
    call.enable_caching()
    with pytest.warns(NumbaWarning, match="Cannot cache compiled function"):
        assert call(2.0) == 10.0


def test_numba_finds_the_extension_by_its_entry_point(run_python):
    code = "import numba, nbad; f = nbad.kernel(lambda x: 2 * x); print(numba.njit(lambda x: f(x))(4.0))"
    assert run_python(code) == "8.0\n"


@pytest.mark.slow
def test_verbs_may_be_asked_for_after_numba_has_begun(run_python):
    code = "import numba, nbad; numba.njit(lambda x: x)(1.0); f = nbad.kernel(lambda x: x * x); g = nbad.jacobian(f)\n"
    assert run_python(code + "print(numba.njit(lambda x: g(x))(4.0))") == "((8.0,),)\n"


@pytest.mark.slow
def test_a_verb_may_be_first_met_inside_compiled_code(run_python):
    code = "import numba, nbad; f = nbad.kernel(lambda x: x * x)\n"
    assert run_python(code + "print(numba.njit(lambda x: nbad.jacobian(f)(x))(4.0))") == "((8.0,),)\n"
    assert run_python("from nbad import grad\n" + code + "print(numba.njit(lambda f, x: grad(f)(x))(f, 4.0))") == "8.0\n"
