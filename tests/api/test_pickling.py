"""Kernels travel: by name through pickle, by value through cloudpickle, and multiprocessing works with them."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from helpers.sent import doubled, slope, square

import nbad
from kernels import polynomials


@nbad.kernel(static="order")
def power(x, order=2):
    return x**order


@nbad.kernel(signature="(2)->()")
def length(r):
    return np.linalg.norm(r)


def test_by_name():
    assert pickle.loads(pickle.dumps(square)) is square
    assert b"square" in pickle.dumps(square)


def test_copies_are_the_same_kernel():
    assert copy.deepcopy(square)(3.0) == 9.0


def test_what_has_no_name_is_refused_by_pickle(monkeypatch):
    monkeypatch.delitem(sys.modules, "cloudpickle")
    what = r"kernel `<lambda>` cannot be pickled: it is not found by a name[\s\S]*top level of a module\n  fix: import cloud"
    with pytest.raises(TypeError, match=what):
        pickle.dumps(nbad.kernel(lambda x: x + 1.0))


def test_what_is_made_from_a_kernel_with_a_name_is_made_again(monkeypatch):
    """Without cloudpickle: derivatives of any order, of static and vector kernels, and kernels with static values fixed."""
    monkeypatch.delitem(sys.modules, "cloudpickle")
    second = nbad.grad(nbad.grad(power, "x"))
    again = pickle.loads(pickle.dumps(second))
    assert again.__name__ == "power_grad_grad"
    assert again(2.0, order=4) == second(2.0, order=4) == 48.0
    assert pickle.loads(pickle.dumps(power.fixed({"order": 3})))(2.0) == 8.0
    assert np.allclose(pickle.loads(pickle.dumps(nbad.grad(length)))(np.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-15)
    with pytest.raises(TypeError, match="kernel `<lambda>` cannot be pickled"):
        pickle.dumps(nbad.grad(nbad.kernel(lambda x: x * x)))


def test_pushforwards_do_not_travel():
    with pytest.raises(TypeError, match="a pushforward cannot be pickled or copied"):
        pickle.dumps(nbad.linearize(square, 1.0)[1])


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_sparse_derivatives_and_problems_travel(travel):
    x = np.array([1.0, 2.0])
    for verb, expected in ((nbad.sparse_jacobian, np.diag(2 * x)), (nbad.sparse_hessian, 2 * np.eye(2))):
        made = verb(square)
        made(x)  # which remembers the structure
        np.testing.assert_array_equal(travel(made)(x).toarray(), expected)
    problem = nbad.integrations.scipy.Problem(power, unknowns={"x": x}, data={"order": 3})
    problem.jac(x), problem.summed.jac(x)
    again = travel(problem)
    np.testing.assert_array_equal(again.fun(x), x**3)
    np.testing.assert_array_equal(again.jac(x).toarray(), np.diag(3 * x**2))
    np.testing.assert_array_equal(again.summed.hess(x).toarray(), np.diag(6 * x))


def test_by_value_through_cloudpickle():
    rate = 3.0
    f = nbad.kernel(lambda x: rate * x, math="libm")
    again = pickle.loads(cloudpickle.dumps(f))
    assert again is not f
    assert again(2.0) == 6.0
    assert again._math == "libm"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 warns of every fork beside threads
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method):
    with multiprocessing.get_context(method).Pool(2) as workers:
        assert workers.map(slope, [1.0, 2.0, 3.0]) == [2.0, 4.0, 6.0]
        assert workers.map(square, [np.array([2.0])])[0].tolist() == [4.0]
        assert workers.map(doubled, [1.0, 3.0]) == [2.0, 6.0]


@pytest.mark.slow
def test_spawned_from_a_script(tmp_path):
    """Kernels of `__main__`, whose name the children find in a module of another name."""
    script = tmp_path / "script.py"
    script.write_text("""
import math, multiprocessing, nbad

@nbad.kernel
def decay(x, rate=0.5):
    return math.exp(-rate * x)

def slope(x):
    return float(nbad.vjp(decay, x)[1](1.0)[0])

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        print(workers.map(slope, [0.0, 0.0]), workers.map(nbad.grad(decay), [0.0])[0], workers.map(decay, [0.0])[0])
""")
    environment = os.environ | {"PYTHONPATH": str(Path(nbad.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[-0.5, -0.5] -0.5 1.0\n", done.stderr


def test_cloudpickled_kernels_of_a_script_run_in_another_process(tmp_path, run_python):
    """Helpers, globals and called kernels travel along, and so does the text that branches are read from."""
    path, script = tmp_path / "kernels.pickle", tmp_path / "script.py"
    script.write_text(f"""
import cloudpickle, math, nbad
rate = 2.0
def helper(x):
    if x > 100:
        return 0.0
    return math.exp(-rate * x)
inner = nbad.kernel(lambda x: x * x)
@nbad.kernel
def outer(x, n=2):
    total = 0.0
    for k in range(n):
        total = total + k * helper(x)
    return inner(total) if x > 0 else total
with open({str(path)!r}, "wb") as file:
    cloudpickle.dump((outer, nbad.grad(outer), nbad.jacobian(outer)), file)
""")
    run_python(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    script.unlink()
    printed = run_python(f"""
import pickle
with open({str(path)!r}, "rb") as file:
    f, slope, jacobian = pickle.load(file)
print(f(0.5), slope(0.5), jacobian(0.5)[0, 0], slope(-1.0))
""")
    value, far = np.exp(-2.0), np.exp(2.0)
    assert np.allclose([float(word) for word in printed.split()], [value, -4 * value, -4 * value, -2 * far], rtol=1e-14)


BRANCHES = """
import math
import numpy as np
import nbad
rate = 2.0
def helper(x):
    if x > 1:
        return math.exp(-rate * x)
    return x * x
@nbad.kernel
def f(x):
    return helper(x) if x > 0 else -x
def work(x):
    return [float(v) for v in (f(x), nbad.grad(f)(x))]
if __name__ == "__main__":
    xs, expected = (-1.0, 0.5, 2.0), [[1.0, -1.0], [0.25, 1.0], [math.exp(-4.0), -2.0 * math.exp(-4.0)]]
    for found in run(work, xs), run(f, xs):
        assert np.allclose(found, expected if np.ndim(found) == 2 else [e[0] for e in expected], rtol=1e-14), found
    print("right")
"""
EXECUTORS = {
    "loky": """
from joblib import Parallel, delayed
def run(work, xs):
    return Parallel(n_jobs=2, backend="loky")(delayed(work)(x) for x in xs)
""",
    "dask processes": """
import dask
def run(work, xs):
    return dask.compute(*[dask.delayed(work, pure=True)(x) for x in xs], scheduler="processes", num_workers=2)
""",
    "distributed": """
from distributed import Client, LocalCluster
def run(work, xs):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        return client.gather(client.map(work, xs))
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXECUTORS)
def test_kernels_of_a_script_run_in_other_peoples_workers(tmp_path, name):
    script = tmp_path / "script.py"
    script.write_text(EXECUTORS[name] + BRANCHES)
    environment = os.environ | {"PYTHONPATH": str(Path(nbad.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "right\n", done.stderr


def test_a_file_of_that_name_with_another_text_is_not_taken_for_the_kernels_own(tmp_path, run_python):
    path, script = tmp_path / "kernel.pickle", tmp_path / "script.py"
    script.write_text(f"""
import cloudpickle, nbad
f = nbad.kernel(lambda x: x * x if x > 0 else 3 * x)
with open({str(path)!r}, "wb") as file:
    cloudpickle.dump(f, file)
""")
    run_python(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    script.write_text("\n\n\nf = lambda x: 5 * x if x > 0 else x\n")
    printed = run_python(f"import pickle; f = pickle.load(open({str(path)!r}, 'rb')); print(f(3.0), f(-2.0))")
    assert printed.split() == ["9.0", "-6.0"]


def test_precompile_refuses_other_dtypes():
    with pytest.raises(TypeError, match=r"`square.precompile\('int64'\)`: not a working dtype"):
        square.precompile("int64")


@pytest.mark.parametrize("x", [0.5, np.linspace(0.0, 1.0, 10_000)], ids=["a number", "many"])
def test_precompiling_serves_the_usual_calls(monkeypatch, x):
    f = nbad.kernel(polynomials.__wrapped__).precompile()
    monkeypatch.setattr("nbad.codegen.compile._shelves.find", None)
    values = f(x)
    y, pullback = nbad.vjp(f, x)
    assert all(np.array_equal(a, b) for a, b in zip(y, values, strict=True))
    assert np.allclose(pullback((1.0, *[0.0] * 5))[0], nbad.jacobian(f)(x)[..., 0, 0], rtol=1e-14)
    assert pullback._reverse.plan.policy == "mincut"


def test_precompiling_without_a_static_value_is_refused():
    with pytest.raises(TypeError, match=r"one graph for each value of the static argument n[\s\S]*fix: def f\(x, n=2\): \.\.\."):
        nbad.kernel(lambda x, n: x**n, static="n").precompile()


def test_precompiled_kernels_do_not_compile_again(monkeypatch):
    f = nbad.kernel(lambda x: x**4 + 0.25).precompile(np.float64, np.float32)
    monkeypatch.setattr("nbad.codegen.compile._shelves.find", None)
    for dtype in (np.float64, np.float32):
        y, pullback = nbad.vjp(f, np.array([2.0], dtype), residuals="partials")
        assert y.dtype == dtype
        assert pullback(1.0)[0].tolist() == [32.0]
        assert nbad.jacobian(f)(np.array([2.0], dtype)).tolist() == [[[32.0]]]


def test_copies_of_kernels_are_themselves():
    """As of functions: whoever copies an object that has one copies no kernel, whether it has a name or none."""
    f = nbad.kernel(lambda x: x * x)
    made = nbad.jacobian(f)
    for kernel in (f, nbad.grad(f), made.f):
        assert copy.copy(kernel) is kernel
        assert copy.deepcopy({"kernel": kernel})["kernel"] is kernel
    assert copy.deepcopy(made)(3.0) == 6.0
