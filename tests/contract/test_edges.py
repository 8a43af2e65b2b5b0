"""Edges of the runtime that once gave wrong results: byte orders, array subclasses, overlap, error state, forks, names."""

import copy
import math
import pickle
import threading
import weakref

import numpy as np
import pytest

import nbad


@nbad.kernel
def scaled(x, a):
    return a * x + x * x


square = nbad.kernel(lambda x: x * x)


def test_big_endian_seeds_and_tangents_of_one_element():
    seeds = np.array([1.0, 2.0], ">f8")
    assert nbad.linearize(square, 3.0)[1].batched((seeds,)).tolist() == [6.0, 12.0]
    assert nbad.vjp(square, np.float32(3.0), residuals="partials")[1].batched(seeds)[0].tolist() == [6.0, 12.0]
    product = nbad.kernel(lambda r: r[0] * r[1], signature="(2)->()")
    assert nbad.vjp(product, np.array([2.0, 3.0]))[1].batched(seeds)[0].tolist() == [[3.0, 2.0], [6.0, 4.0]]


def test_subclasses_as_out_leave_no_trace_in_later_calls():
    x, seeds = np.arange(300.0), np.ones((2, 300))
    _, pullback = nbad.vjp(square, x)
    out = np.zeros((2, 300)).view(np.matrix)
    assert pullback.batched(seeds, out=(out,))[0] is out
    assert np.array_equal(np.asarray(out), 2 * x * seeds)
    assert np.array_equal(pullback.batched(seeds)[0], 2 * x * seeds)


def test_results_may_not_overlap_tangents():
    z, y = np.arange(600.0), np.zeros(600)
    for out in ((y, z[::-1]), (z, y)):
        with pytest.raises(ValueError, match="overlaps an input or another result"):
            nbad.jvp(scaled, (np.ones(600), 2.0), (z, 1.0), out=out)
    assert np.array_equal(z, np.arange(600.0))


@pytest.mark.parametrize("call", [
    lambda out: nbad.value_and_jacobian(scaled)(1.0, 2.0, out=out), lambda out: nbad.jvp(scaled, (1.0, 2.0), (1.0, 1.0), out=out),
    lambda out: nbad.value_and_grad(scaled)(1.0, 2.0, out=out),
])  # fmt: skip
def test_a_pair_with_a_hole_is_refused(call):
    with pytest.raises(ValueError, match="out= does not have the structure of the result"):
        call((np.zeros(()), None))


def test_sums_do_not_obey_the_callers_error_state():
    x = np.array([np.inf, -np.inf] * 300)
    _, pullback = nbad.vjp(scaled, x, 2.0)
    with np.errstate(all="raise"):
        assert math.isnan(pullback(1.0)[1])
        _, single = nbad.vjp(scaled, np.full(600, 3e38, np.float32), np.ones(1, np.float32))
        assert np.isinf(single(1.0)[1])


def test_names_of_nbads_own_parameters_are_free_for_kernels():
    @nbad.kernel
    def named(f, self, primals):
        return f * self + primals

    assert named(f=2.0, self=3.0, primals=1.0) == 7.0
    assert nbad.vjp(named, f=2.0, self=3.0, primals=1.0)[1](1.0) == (3.0, 2.0, 1.0)
    assert nbad.linearize(named, f=2.0, self=3.0, primals=1.0)[0] == 7.0


def test_the_debug_mode_is_one_threads_own():
    seen = []
    with nbad.debugging():
        other = threading.Thread(target=lambda: seen.append(nbad.kernel(lambda x: math.log(x))(0.0)))
        other.start()
        other.join()
        with pytest.raises(nbad.NonFiniteError, match="log"):
            nbad.kernel(lambda x: math.log(x))(0.0)
        assert nbad.kernel(lambda r: r[0] + r[1], signature="(2)->()")(np.ones((0, 2))).shape == (0,)
    assert seen == [-math.inf]


def test_big_calls_keep_their_errors_after_small_ones():
    assert scaled(1.0, 2.0) == 3.0
    with pytest.raises(ValueError, match="do not broadcast"):
        scaled(np.broadcast_to(1.0, (2**45,)), np.ones(3))


def test_closed_pullbacks_are_not_copied():
    _, pullback = nbad.vjp(square, 2.0)
    pullback.close()
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ValueError, match=r"`pullback` is closed[\s\S]*pickle or copy after close"):
            attempt(pullback)


@pytest.mark.slow
def test_a_child_of_a_process_that_used_numbas_threads(run_python):
    code = """
import os
import numba, numpy as np, nbad
@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(x.size):
        s += x[i]
    return s
total(np.ones(100_000))
f = nbad.kernel(lambda x: x * x)
child = os.fork()
if not child:
    os._exit(0 if f(np.full(300_000, 3.0))[-1] == 9.0 else 1)
print(os.waitpid(child, 0)[1])
"""
    assert run_python(code, PYTHONWARNINGS="ignore").strip() == "0"


def test_a_child_whose_parent_was_tracing(run_python):
    """Another thread holds the kernel's lock when the process forks."""
    code = """
import os, threading, time
import nbad
inside, done = threading.Event(), threading.Event()
def slow(x):
    inside.set()
    done.wait(20)
    return x * x
f = nbad.kernel(lambda x: slow(x))
thread = threading.Thread(target=f, args=(3.0,))
thread.start()
inside.wait()
child = os.fork()
if not child:
    done.set()
    os._exit(0 if f(3.0) == 9.0 else 1)
print(os.waitpid(child, 0)[1])
done.set()
thread.join()
"""
    assert run_python(code, PYTHONWARNINGS="ignore").strip() == "0"


def test_a_kernel_that_returns_an_array_can_be_collected(collect):
    class Held:
        pass

    held = Held()
    f = nbad.kernel(lambda v: v * (2.0 if held else 1.0), signature="(3)->(3)")
    f(np.ones(3))
    reference = weakref.ref(held)
    f = held = None
    collect()
    assert reference() is None


FIRST_CALL = """
import os, signal, threading, time
import numpy as np
import nbad

def first_call():
    return nbad.vjp(nbad.kernel(lambda x: x**4 + x), np.full(300_000, 2.0))[1](1.0)[0][0]
"""
FORKS = """
calls = threading.Thread(target=first_call)
calls.start()
children = []
for _ in range({count}):
    time.sleep(0.1)
    child = os.fork()
    if not child:
        signal.alarm(100)
        os._exit(0 if first_call() == 33.0 else 3)
    children.append(child)
print(*[os.waitpid(child, 0)[1] for child in children])
calls.join()
"""


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_children_that_are_forked_while_a_thread_makes_its_first_call(run_python, count):
    """It loads most of nbad, and Numba, and starts its threads."""
    assert run_python(FIRST_CALL + "print(first_call())").strip() == "33.0"  # the cache has what all of them compile
    assert run_python(FIRST_CALL + FORKS.format(count=count)).split() == ["0"] * count
