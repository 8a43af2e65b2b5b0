"""Calls that are broken off at any place, and calls inside calls: of finalizers, and of signal handlers."""

import pytest

PRELUDE = """
import math, signal, sys
import numpy as np
import nbad
from nbad.runtime import threads

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell runs in the background inherits that it is ignored

@nbad.kernel
def decay(x, rate):
    return math.exp(-rate * x), rate * x * x

x, v = np.linspace(0.1, 3.0, 400_006)[::2], np.linspace(1.0, 2.0, 3_200_000).reshape(40_000, 80)[:, ::2]
wide = nbad.kernel(lambda v, s: [a * s + a for a in v], signature="(40),()->(40)")
right = []

def outer():
    right.append(np.allclose(decay(x, 0.5)[0], np.exp(-0.5 * x), rtol=1e-14, atol=0.0))

def inner():
    right.append(np.array_equal(wide(v, 2.0), v * 2.0 + v))
"""


@pytest.mark.parametrize("place", ["start_new_thread", "_Helpers.ready"])
def test_a_launch_inside_a_launch(place, run_python):
    """Finalizers and signal handlers run wherever Python does: what they call has scratch and threads of its own."""
    code = (
        PRELUDE
        + f"""
real = threads.{place}

def followed(*args):
    made = real(*args)
    threads.{place} = real
    inner()
    return made

for _ in range(5):
    threads.{place} = followed
    outer()
print(len(right) >= 6, all(right), threads._helpers.team.size)
"""
    )
    assert run_python(code, NUMBA_NUM_THREADS="3").strip() == "True True 2"


@pytest.mark.parametrize("what", ["inner()", "raise KeyboardInterrupt"])
def test_a_call_is_interrupted_while_its_scratch_is_made(what, run_python):
    code = (
        PRELUDE
        + f"""
def watch(frame, event, _):
    if event == "call" and frame.f_code is threads.memory.Pool._look.__code__:  # where the pool makes, or takes back
        sys.setprofile(None)
        {what}

decay(x[:10], 0.5)
sys.setprofile(watch)
try:
    inner()
except KeyboardInterrupt:
    pass
sys.setprofile(None)
outer()
print(all(right))
"""
    )
    assert run_python(code, NUMBA_NUM_THREADS="2").strip() == "True"


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_the_first_long_calls_may_come_together_and_be_broken_off(layer, run_python):
    """Numba does not know its layer before its threads are there, and whoever starts them may be interrupted."""
    code = (
        PRELUDE
        + """
from concurrent.futures import ThreadPoolExecutor
drive, threads.LONG = threads.drive_parallel, 0

def interrupted(*call):
    raise KeyboardInterrupt

threads.drive_parallel = interrupted
x = np.linspace(0.1, 3.0, 200_003)
try:
    decay(x, 0.5)
except KeyboardInterrupt:
    print("interrupted")
threads.drive_parallel = drive
with ThreadPoolExecutor(3) as pool:
    results = list(pool.map(lambda _: decay(x, 0.5)[0], range(3)))
print([np.allclose(y, np.exp(-0.5 * x), rtol=1e-14, atol=0.0) for y in results])
"""
    )
    out = run_python(code, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER=layer).strip()
    assert out == "interrupted\n[True, True, True]"
