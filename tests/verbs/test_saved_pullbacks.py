"""Pullbacks travel: what is loaded gives the same bits, in any process, and never meets the rows of another plan."""

import copy
import importlib
import math
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numba
import numpy as np
import pytest
from helpers.same_bits import bits
from helpers.sent import Pair, cotangents, growth, pulled
from helpers.wide_kernels import softmax

import nbad
from nbad.api.pickling import version_of
from nbad.plans.policies import POLICIES


@nbad.kernel(signature="(3),()->(3)")
def turned(v, phi):
    c, s = math.cos(phi), math.sin(phi)
    return np.array([c * v[0] - s * v[1], s * v[0] + c * v[1], v[2] * v[2]])


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    @nbad.kernel
    def value(self, x):
        return self.factor * x * x


@nbad.kernel
def first(x):
    return math.tanh(x)


second = nbad.grad(first)


def loaded(pullback):
    return pickle.loads(pickle.dumps(pullback))


def assert_same(one, other, ct=1.0):
    assert bits(one(ct)) == bits(other(ct))
    assert bits(one.jacobian()) == bits(other.jacobian())
    assert str(one.residuals) == str(other.residuals)


@pytest.mark.parametrize("policy", [*POLICIES, "auto", ("rate",)])
@pytest.mark.parametrize("size", [3, 5000])
def test_the_same_bits(policy, size):
    x = np.linspace(0.5, 2.0, size)
    _, pullback = nbad.vjp(growth, x, 0.7, order=3, residuals=policy, seeds=4)
    assert_same(pullback, loaded(pullback), Pair(1.0, np.cos(x)))
    assert_same(pullback, loaded(loaded(pullback)), (0.0, 1.0))


CASES = {
    "vectors": (lambda: nbad.vjp(turned, np.ones((5, 1, 3)), np.arange(4.0)), np.ones((5, 4, 3))),
    "chosen arguments": (lambda: nbad.vjp(turned, np.ones((5, 1, 3)), np.arange(4.0), argnums=("phi",)), np.ones((5, 4, 3))),
    "one element": (lambda: nbad.vjp(first, 0.5), 1.0),
    "no element": (lambda: nbad.vjp(first, np.empty((0, 2))), np.empty((0, 2))),
    "float32": (lambda: nbad.vjp(second, np.linspace(0, 1, 400, dtype="f4")), 1.0),
    "derivative": (lambda: nbad.vjp(second, np.linspace(0, 1, 400)), 1.0),
    "method": (lambda: nbad.vjp(Scaled(3.0).value, np.arange(3.0)), 1.0),
    "bounded": (lambda: nbad.vjp(turned, np.ones((90, 1, 3)), np.arange(80.0), max_bytes=600_000), np.ones((90, 80, 3))),
    "picked": (lambda: nbad.vjp(turned, nbad.indexed(np.ones((4, 3)), [0, 3, 3]), 0.5), np.ones((3, 3))),
    "by keyword": (lambda: nbad.vjp(growth, rate=0.5, x=np.arange(1.0, 4.0), scale=2.0), (1.0, 1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_asked_for_comes_again(name):
    make, ct = CASES[name]
    _, pullback = make()
    assert_same(pullback, loaded(pullback), ct)


def test_maps_with_inner_vertices(rng):
    """The kernel has a name in a cache only, so cloudpickle takes it by value."""
    f, x = softmax(8), rng.normal(size=(30, 8))
    _, pullback = nbad.vjp(f, x, seeds=2)
    assert_same(pullback, pickle.loads(cloudpickle.dumps(pullback)), x)


def test_kernels_without_a_name_travel_along():
    rate = 3.0
    f = nbad.kernel(lambda x: math.exp(rate * x))
    saved = [cloudpickle.dumps(nbad.vjp(f, x)[1]) for x in (0.5, 1.5)]
    one, other = map(pickle.loads, saved)
    assert (one(1.0)[0], other(1.0)[0]) == pytest.approx((3.0 * math.exp(1.5), 3.0 * math.exp(4.5)), rel=1e-14)


def test_copies_have_rows_of_their_own():
    x = np.arange(4.0)
    _, pullback = nbad.vjp(growth, x, 0.5)
    shallow, deep = copy.copy(pullback), copy.deepcopy(pullback)
    pullback_bits = bits(pullback((1.0, 1.0)))
    pullback.close()
    assert bits(shallow((1.0, 1.0))) == bits(deep((1.0, 1.0))) == pullback_bits
    assert deep.rows is not shallow.rows


def test_rows_travel_out_of_band_and_without_what_lay_there_before():
    """As dask sends them: without a copy, and the same bytes each time."""
    _, pullback = nbad.vjp(first, np.linspace(0.0, 1.0, 300))
    buffers = []
    data = pickle.dumps(pullback, protocol=5, buffer_callback=buffers.append)
    assert len(buffers) == 1
    assert buffers[0].raw().nbytes == pullback.rows.nbytes
    assert not np.frombuffer(buffers[0], float).reshape(pullback.rows.shape)[:, 300:].any()
    again = pickle.loads(data, buffers=[bytearray(buffers[0])])
    assert_same(pullback, again)
    assert pickle.dumps(again) == pickle.dumps(pullback)
    unaligned = bytearray(buffers[0].raw().nbytes + 1)
    unaligned[1:] = buffers[0].raw()
    assert_same(pullback, pickle.loads(data, buffers=[memoryview(unaligned)[1:]]))


def test_the_size_of_a_pullback_is_that_of_its_rows():
    _, pullback = nbad.vjp(first, np.linspace(0.0, 1.0, 10_000))
    assert 80_000 <= sys.getsizeof(pullback) < 90_000
    pullback.close()
    assert sys.getsizeof(pullback) < 1000


# kernels that were edited

EDITS = {
    "a constant": lambda x, y: x * y + 3.0 * x,
    "the plan": lambda x, y: x * math.exp(y),
    "a parameter": lambda x, z: x * z + 2.0 * x,
    "one more": lambda x, y, z: x * y + 2.0 * x,
    "the structure": lambda x, y: (x * y + 2.0 * x,),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module with a kernel that a test may edit."""
    (tmp_path / "kernel_to_edit.py").write_text("import nbad\n\n@nbad.kernel\ndef f(x, y):\n    return x * y + 2.0 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("kernel_to_edit")
    sys.modules.pop("kernel_to_edit")


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_kernel_is_refused(module, monkeypatch, edit):
    data = pickle.dumps(nbad.vjp(module.f, np.ones(3), 2.0)[1])
    assert pickle.loads(data)(1.0)[0].tolist() == [4.0] * 3
    monkeypatch.setattr(module, "f", nbad.kernel(EDITS[edit]))
    with pytest.raises(ValueError, match=r"saved by another version of[\s\S]*fix: y, pullback = nbad.vjp\(.*, x, y\)"):
        pickle.loads(data)


OWN = """
import math
import nbad
import numba
import sympy

FACTOR = {factor}

@numba.njit
def grown(x):
    return {grown}

def own(x):
    return FACTOR * grown(x)

p = nbad.primitive("grown_{number}", own, ["v"])
q = nbad.primitive("moved_{number}", {formula}, ["1"])

@nbad.kernel
def f(x):
    return p(x) + q(x)
"""
LOAD = "import pickle, sys; print(pickle.loads(open(sys.argv[1], 'rb').read())(1.0)[0].tolist())"
OWN_NOW = {"factor": 2.0, "grown": "math.exp(x)", "formula": "sympy.Symbol('x')"}
OWN_EDITS = {
    "none": ({"grown": "math.exp(x)  # as before"}, True),
    "a global": ({"factor": 3.0}, False),
    "what it calls": ({"grown": "1.5 * math.exp(x)"}, False),
    "a formula": ({"formula": "sympy.Symbol('x') + 1"}, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("edit", OWN_EDITS)
def test_an_edited_operation_is_refused_in_another_process(tmp_path, monkeypatch, edit):
    text, is_same = OWN_EDITS[edit]
    now = OWN_NOW | {"number": list(OWN_EDITS).index(edit)}  # names of their own: a second one of a name has a number behind it
    module = tmp_path / "operation_to_edit.py"
    module.write_text(OWN.format(**now))
    monkeypatch.syspath_prepend(tmp_path)
    f = importlib.import_module("operation_to_edit").f
    (tmp_path / "saved").write_bytes(pickle.dumps(nbad.vjp(f, np.zeros(2), residuals="recompute")[1]))
    sys.modules.pop("operation_to_edit")
    module.write_text("# edited\n" + OWN.format(**now | text))
    paths = os.pathsep.join([str(tmp_path), str(Path(nbad.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths}
    run = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "saved")], env=environment, capture_output=True, text=True, timeout=120
    )
    if is_same:
        assert run.stdout == "[3.0, 3.0]\n", run.stderr
    else:
        assert "saved by another version of `f`" in run.stderr


def test_the_version_of_code_is_that_of_what_it_uses():
    weights = [np.array([1.0, 2.0]), np.array([1.0, 3.0])]
    one, other = [(lambda w: lambda x: w[1] * math.exp(x))(each) for each in weights]
    assert version_of(one) == version_of((lambda w: lambda x: w[1] * math.exp(x))(weights[0].copy()))
    assert len({version_of(f) for f in (one, other, lambda x: weights[0][1] * math.exp(x), math.exp, math.sin)}) == 5
    assert version_of(numba.njit(one)) == version_of(one)


def test_what_is_no_kernel_any_more_is_refused(module, monkeypatch):
    data = pickle.dumps(nbad.vjp(module.f, np.ones(3), 2.0)[1])
    monkeypatch.setattr(module, "f", lambda x, y: x * y)
    with pytest.raises(ValueError, match="saved by another version of `f`"):
        pickle.loads(data)


def test_lines_that_moved_are_no_edit(module, monkeypatch, tmp_path):
    data = pickle.dumps(nbad.vjp(module.f, np.ones(3), 2.0)[1])
    text = (tmp_path / "kernel_to_edit.py").read_text()
    (tmp_path / "kernel_to_edit.py").write_text("# a comment\n\n" + text.replace("x * y", "y * x").replace("y * x", "x * y"))
    sys.modules.pop("kernel_to_edit")
    importlib.invalidate_caches()
    assert pickle.loads(data)(1.0)[0].tolist() == [4.0] * 3


def test_an_array_among_the_statics_is_kept_as_it_was():
    weights = np.array([1.0, 2.0])
    f = nbad.kernel(weighted, static="w")
    _, pullback = nbad.vjp(f, 3.0, w=weights)
    weights[:] = 0.0
    assert pickle.loads(cloudpickle.dumps(pullback))(1.0) == (3.0,)


def weighted(x, w):
    return w[0] * x + w[1] * x


# processes


@pytest.mark.slow
def test_both_ways_between_spawned_processes():
    x = np.linspace(1.0, 2.0, 600)
    _, pullback = nbad.vjp(growth, x, 0.5)
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        (there,), (back,) = workers.map(cotangents, [pullback]), workers.map(pulled, [x])
    assert bits(there) == bits(back((1.0, 2.0))) == bits(pullback((1.0, 2.0)))


SCRIPT = """
import math
import numpy as np
import nbad

@nbad.kernel
def f(x, rate):
    return math.exp(-rate * x) if x > 0 else x

def pulled(x):
    return nbad.vjp(f, x, 0.5)[1]

def cotangents(pullback):
    return pullback(1.0)

if __name__ == "__main__":
    xs = [np.linspace(-1.0, 2.0, n) for n in (5, 6000)]
    expected = [cotangents(pulled(x)) for x in xs]
    for found in (run(cotangents, [pulled(x) for x in xs]), [cotangents(p) for p in run(pulled, xs)]):
        for one, other in zip(found, expected):
            assert [a.tobytes() for a in one] == [a.tobytes() for a in other]
    print("right")
"""
EXECUTORS = {
    "loky": """
from joblib import Parallel, delayed
def run(work, xs):
    return Parallel(n_jobs=2, backend="loky")(delayed(work)(x) for x in xs)
""",
    "distributed": """
from distributed import Client, LocalCluster
def run(work, xs):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        return client.gather(client.map(work, xs, pure=False))
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXECUTORS)
def test_both_ways_through_other_peoples_workers(tmp_path, name):
    script = tmp_path / "script.py"
    script.write_text(EXECUTORS[name] + SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(nbad.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "right\n", done.stderr
