"""Pullbacks shared among Python threads, forked children, thread counts, and life without a compiler."""

import importlib.util

import pytest

# who shares a launch: nbad's own threads, or Numba's of some layer
NUMBAS = ["omp", "workqueue", *(["tbb"] if importlib.util.find_spec("tbb") else [])]
LAYERS = ["helpers", *NUMBAS]

PRELUDE = """
import math, os, sys, threading, time
import numba
import numpy as np
import nbad
from nbad.runtime import threads

layer = os.environ.get("NUMBA_THREADING_LAYER", "helpers")
if layer in ("omp", "workqueue", "tbb"):
    threads.LONG = 0

@nbad.kernel
def decay(x, rate):
    return math.exp(-rate * x), rate * x * x

def bits(arrays):
    return [np.asarray(a).tobytes() for a in arrays]

def job(n):
    x = np.linspace(0.1, 3.0, n)
    _, pullback = nbad.vjp(decay, x, 0.7)
    return pullback, [(x * (k + 1), np.cos(k * x)) for k in range(8)]
"""

SHARE = (
    PRELUDE
    + """
def hammer(n, repeats):
    pullback, seeds = job(n)
    expected = [bits(pullback(seed)) for seed in seeds]
    wrong, barrier = [], threading.Barrier(8)

    def work(k):
        barrier.wait()
        for call in range(repeats):
            if bits(pullback(seeds[k])) != expected[k]:
                wrong.append((k, call))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    return wrong
"""
)


def layered(layer):
    """The environment of a process in which a layer shares launches."""
    return {} if layer == "helpers" else {"NUMBA_THREADING_LAYER": layer}


@pytest.mark.parametrize(
    "layer", ["helpers", "workqueue", *(pytest.param(n, marks=pytest.mark.slow) for n in NUMBAS if n != "workqueue")]
)
def test_eight_threads_share_one_pullback(layer, run_python):
    """1,000 calls each on a small array, fewer on one that is large enough for the parallel driver."""
    code = SHARE + "print(hammer(100, 1000), hammer(100_003, 20), layer if layer == 'helpers' else numba.threading_layer())"
    assert run_python(code, **layered(layer)).split() == ["[]", "[]", layer]


@pytest.mark.parametrize("layer", ["helpers", *(pytest.param(layer, marks=pytest.mark.slow) for layer in NUMBAS)])
def test_eight_threads_meet_a_kernel_for_the_first_time(layer, run_python):
    """Tracing, compiling and the first launch race; every thread gets the same bits."""
    code = (
        SHARE
        + """
results, barrier = [None] * 8, threading.Barrier(8)
x = np.linspace(0.1, 3.0, 70_001)
def work(k):
    barrier.wait()
    y, pullback = nbad.vjp(decay, x, 0.7)
    results[k] = bits([*y, *pullback((x, 1.0)), *decay(x, 0.7), nbad.jacobian(decay)(x, 0.7)])
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(all(r is not None and r == results[0] for r in results))
"""
    )
    assert run_python(code, **layered(layer)).strip() == "True"


@pytest.mark.parametrize(
    ("layer", "repeats"), [("helpers", 4), *(pytest.param(layer, 24, marks=pytest.mark.slow) for layer in LAYERS)]
)
def test_threads_of_different_sizes_share_the_pool(layer, repeats, run_python):
    """Forward and reverse sweeps of eight sizes at once, results dropped, so that memory changes hands all the time."""
    code = (
        SHARE
        + f"repeats = {repeats}"
        + """
sizes = [1, 17, 300, 5_000, 40_000, 70_001, 100_003, 131_072]
expected = {n: [bits(p(s)) for s in seeds] for n in sizes for p, seeds in [job(n)]}
wrong, barrier = [], threading.Barrier(8)
def work(k):
    barrier.wait()
    for call in range(repeats):
        n = sizes[(k + call) % 8]
        pullback, seeds = job(n)
        if bits(pullback(seeds[k])) != expected[n][k]:
            wrong.append((k, call))
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(wrong)
"""
    )
    assert run_python(code, **layered(layer)).strip() == "[]"


FORK = (
    PRELUDE
    + """
pullback, seeds = job(100_003)
expected = bits(pullback(seeds[3]))

def same():
    y, fresh = nbad.vjp(decay, np.linspace(0.1, 3.0, 100_003), 0.7)
    return bits(pullback(seeds[3])) == expected and bits(fresh(seeds[3])) == expected
"""
)


@pytest.mark.parametrize("layer", ["helpers", *(pytest.param(layer, marks=pytest.mark.slow) for layer in NUMBAS)])
def test_a_forked_child_goes_on(layer, run_python):
    """GNU OpenMP kills a child that starts threads after its parent did; nbad has its own start there."""
    code = (
        FORK
        + """
child = os.fork()
if child == 0:
    os._exit(0 if same() else 3)
print(os.waitpid(child, 0)[1], same())
"""
    )
    assert run_python(code, **layered(layer)).split() == ["0", "True"]


@pytest.mark.parametrize("layer", [*(pytest.param(layer, marks=pytest.mark.slow) for layer in LAYERS), "default"])
def test_a_child_goes_on_though_another_library_used_openmp_before(layer, run_python):
    """Without nbad's care it waits for ever, where Numba's layer is GNU OpenMP: for threads that only its parent has."""
    code = """
import ctypes
openmp = ctypes.CDLL("libgomp.so.1")
openmp.GOMP_parallel(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None), None, 2, 0)
"""
    code += (
        PRELUDE
        + """
import signal
x = np.linspace(0.1, 3.0, 500_000)
child = os.fork()
if child == 0:
    signal.alarm(60)
    y, pullback = nbad.vjp(decay, x, 0.7)
    (cotangent, _), expected = pullback((0.0, 1.0)), 1.4 * x
    os._exit(0 if np.allclose(cotangent, expected) else 3)
print(os.waitpid(child, 0)[1], decay(x, 0.7)[1][-1] == 0.7 * x[-1] * x[-1])
"""
    )
    assert run_python(code, **layered(layer)).split() == ["0", "True"]


def test_a_child_does_not_wait_for_a_property_that_a_thread_of_its_parent_was_making(run_python):
    code = """
import os, signal, threading
from nbad.memo import cached_property

class Thing:
    def __init__(self, wait):
        self.wait = wait

    @cached_property
    def made(self):
        self.wait()
        return 7

begun, done = threading.Event(), threading.Event()
thread = threading.Thread(target=lambda: Thing(lambda: (begun.set(), done.wait())).made)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(0 if Thing(int).made == 7 else 3)
print(os.waitpid(child, 0)[1])
done.set()
thread.join()
"""
    assert run_python(code).strip() == "0"


@pytest.mark.slow
def test_a_forked_pool_goes_on(run_python):
    code = (
        FORK
        + """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    print([pool.apply(same) for _ in range(3)], same())
"""
    )
    assert run_python(code).split("\n")[0] == "[True, True, True] True"


def test_a_child_has_threads_of_its_own_and_compiles_what_its_parent_did_not(run_python):
    code = (
        FORK
        + """
def in_a_child(holds):
    child = os.fork()
    if child == 0:
        os._exit(0 if holds() else 3)
    return os.waitpid(child, 0)[1]

def starts_threads():
    before = len(os.listdir("/proc/self/task"))
    return same() and (before, len(os.listdir("/proc/self/task"))) == (1, 2)

def compiles():
    cube = nbad.kernel(lambda x: x**3)
    return nbad.vjp(cube, np.full(100_003, 2.0))[1](1.0)[0].tolist() == [12.0] * 100_003

print(in_a_child(starts_threads), in_a_child(compiles))
"""
    )
    assert run_python(code, NUMBA_NUM_THREADS="2").split() == ["0", "0"]


def test_where_no_thread_can_be_started_the_caller_works_alone(run_python):
    code = (
        PRELUDE
        + """
def refuse(*_):
    raise RuntimeError("can't start new thread")

pullback, seeds = job(100_003)
expected = bits(pullback(seeds[3]))
threads._helpers, threads.start_new_thread = threads._Helpers(), refuse
before = os.listdir("/proc/self/task")
print(bits(pullback(seeds[3])) == expected, os.listdir("/proc/self/task") == before)
"""
    )
    assert run_python(code, NUMBA_NUM_THREADS="2").split() == ["True", "True"]


def test_a_helper_is_moved_off_its_callers_core_when_it_is_woken(run_python):
    out = run_python(
        """
import os, time
import numpy as np, nbad
from nbad.native import sharing
from nbad.runtime import threads

f, x = nbad.kernel(lambda x: np.exp(np.sin(x))), np.linspace(0.0, 1.0, 400_000)
cores = sorted(os.sched_getaffinity(0))
f(x)
time.sleep(0.05)
helper = int(threads._helpers.team._table[8 + sharing.THREAD])
os.sched_setaffinity(0, cores[:1])
before = os.sched_getaffinity(helper)
f(x)
print(os.sched_getaffinity(helper) == before)  # this core is the only one that its caller may use
os.sched_setaffinity(0, cores)
time.sleep(0.05)
f(x)
print(len(os.sched_getaffinity(helper)) == max(1, len(cores) - 1))
""",
        NUMBA_NUM_THREADS="2",
    )
    assert out.split() == ["True", "True"]


@pytest.mark.parametrize("layer", ["helpers", pytest.param("workqueue", marks=pytest.mark.slow)])
def test_thread_counts_are_obeyed(layer, run_python):
    """Counted from outside, by the time that the process's threads spend: only the caller works when one thread is asked for."""
    code = (
        PRELUDE
        + """
def spent():
    times = {}
    for tid in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{tid}/schedstat") as file:
            times[tid] = int(file.read().split()[0])
    own = times.pop(str(os.getpid()))
    return np.array([own, sum(times.values())])

def share_of_others(count):
    numba.set_num_threads(count)
    time.sleep(0.05)  # until helpers, which listen for a while behind the last launch, sleep
    before = spent()
    for _ in range(60):
        pullback(seeds[1])
    own, others = spent() - before
    return others / (own + others)

pullback, seeds = job(500_000)
share_of_others(2)
print(share_of_others(1) < 0.03, share_of_others(2) > 0.03, share_of_others(1) < 0.03, numba.get_num_threads())
"""
    )
    assert run_python(code, NUMBA_NUM_THREADS="2", **layered(layer)).split() == ["True", "True", "True", "1"]


@pytest.mark.parametrize("count", ["1", pytest.param("3", marks=pytest.mark.slow)])
def test_bits_do_not_depend_on_the_number_of_threads(count, run_python):
    code = (
        PRELUDE
        + """
import hashlib
pullback, seeds = job(200_003)
print(hashlib.sha256(b"".join(bits(pullback(seeds[5])))).hexdigest(), numba.config.NUMBA_NUM_THREADS)
"""
    )
    digest, threads = run_python(code, NUMBA_NUM_THREADS=count).split()
    assert threads == count
    assert digest == run_python(code, NUMBA_NUM_THREADS="2").split()[0]


def test_without_a_compiler_the_answers_are_the_same(run_python):
    """NUMBA_DISABLE_JIT=1: kernels run on the graph's interpreter, to rounding."""
    code = (
        PRELUDE
        + """
x = np.linspace(0.1, 3.0, 50)
y, pullback = nbad.vjp(decay, x, 0.7)
cts, many = pullback((x, 1.0)), pullback.batched((np.stack([x, 0 * x]), 1.0))
assert np.allclose(y[0], np.exp(-0.7 * x), rtol=1e-14) and np.allclose(y[1], 0.7 * x * x, rtol=1e-14)
expected = -0.7 * np.exp(-0.7 * x) * x + 1.4 * x
assert np.allclose(cts[0], expected, rtol=1e-12)
assert np.isclose(cts[1], np.sum(-x * np.exp(-0.7 * x) * x + x * x), rtol=1e-12)
assert bits(ct[0] for ct in many) == bits(cts)
assert np.allclose(nbad.jvp(decay, (x, 0.7), (1.0, 0.0))[1][1], 1.4 * x)
assert nbad.jacobian(decay)(x, 0.7).shape == (50, 2, 2)
assert nbad.value_and_jacobian(decay)(2.0, 0.5)[0][1] == 2.0
print(type(decay(1.0, 0.5)[0]).__name__)
"""
    )
    assert run_python(code, NUMBA_DISABLE_JIT="1").strip() == "float64"


@pytest.mark.slow
def test_float32_sums_without_a_compiler_have_the_same_bits(run_python):
    code = """
import numpy as np, nbad
f = nbad.kernel(lambda x, y: x * y + x * x)
x, y = np.linspace(0.1, 1.0, 3, dtype="f4")[None], np.linspace(-2.0, 3.0, 900, dtype="f4")[:, None]
print([ct.tobytes().hex() for ct in nbad.vjp(f, x, y)[1](1.0)])
"""
    assert run_python(code, NUMBA_DISABLE_JIT="1") == run_python(code)
