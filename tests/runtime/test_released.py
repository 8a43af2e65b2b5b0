"""What `release_memory` gives back is the system's again, wherever malloc had it from."""

HELD = """
import numpy as np
import nbad

@nbad.kernel
def powers(x):
    return x, x * x, x * x * x

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

x = np.ones(5000)
powers(x)
before = resident()
results = [powers(x) for _ in range(1500)]
last = results[-1]  # behind all others, in the heap
del results
released = nbad.release_memory()
print(released, resident() - before)
"""


def test_small_blocks_go_back_to_the_system_though_others_lie_behind_them(run_python):
    released, left = map(int, run_python(HELD).split())
    assert released > 150e6
    assert left < released / 10
