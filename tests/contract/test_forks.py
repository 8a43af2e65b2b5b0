"""Children that are forked while other threads of their parents are at work: what these hold, or are loading, is whole there."""

import pytest

NUMBAS_OWN = """
import os, signal, threading
import nbad.forks
from numba.np.ufunc import parallel

parallel._set_init_process_lock()
inside, done = threading.Event(), threading.Event()

def hold():
    with parallel._backend_init_process_lock:
        inside.set()
        done.wait()

thread = threading.Thread(target=hold)
thread.start()
inside.wait()
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(0 if parallel.get_num_threads() else 3)
print(os.waitpid(child, 0)[1])
done.set()
thread.join()
child = os.fork()
if not child:  # it is ended where it starts threads
    if parallel._backend_init_process_lock is None:
        parallel._set_init_process_lock()
    parallel._backend_init_process_lock.__enter__()
    os._exit(0)
os.waitpid(child, 0)
signal.alarm(60)
print(parallel.get_num_threads() > 0)
"""


def test_a_child_shares_no_lock_of_numbas_with_its_family(run_python):
    """Numba's is a semaphore in shared memory: where a child took it, and could not give it back, all waited for ever."""
    assert run_python(NUMBAS_OWN).split() == ["0", "True"]


LOADED_MEANWHILE = """
import os, sys, threading, types
from nbad.forks import IMPORTS

taken, waits, done = threading.Event(), threading.Event(), threading.Event()
llvm = types.ModuleType("llvmlite.binding.ffi")
llvm.lib = types.SimpleNamespace(_lock=types.SimpleNamespace(_lock=threading.RLock()))

def load():
    with IMPORTS:
        taken.set()
        waits.wait()
        sys.modules[llvm.__name__] = llvm
        llvm.lib._lock._lock.acquire()
    done.wait()
    llvm.lib._lock._lock.release()

thread = threading.Thread(target=load)
thread.start()
taken.wait()
threading.Timer(0.2, waits.set).start()
threading.Timer(0.6, done.set).start()
child = os.fork()
if not child:
    os._exit(0 if llvm.lib._lock._lock.acquire(timeout=5) else 3)
print(os.waitpid(child, 0)[1])
thread.join()
"""


def test_a_fork_waits_for_what_was_loaded_while_it_waited(run_python):
    assert run_python(LOADED_MEANWHILE).strip() == "0"


COMPILES = """
import os, signal, sys, threading
import numba
import numpy as np
import nbad
import nbad.runtime.threads

nbad.runtime.threads.LONG = 0  # Numba's threads run all that several threads may

def wait(event, arguments):
    if event == "import" and arguments[0] == "numba.cpython.hashing" and not begun.is_set():
        begun.set()
        done.wait()

begun, done = threading.Event(), threading.Event()
assert "numba.cpython.hashing" not in sys.modules
sys.addaudithook(wait)
thread = threading.Thread(target=lambda: numba.njit("f8(f8)")(lambda x: 2.0 * x))
thread.start()
begun.wait()
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(0 if nbad.kernel(lambda x: x * x)(np.full(500_000, 3.0))[-1] == 9.0 else 3)
print(os.waitpid(child, 0)[1])
done.set()
thread.join()
"""


@pytest.mark.slow
def test_a_child_does_not_wait_for_a_module_that_numba_was_loading_for_a_user(run_python, tmp_path):
    assert run_python(COMPILES, NBAD_CACHE_DIR=str(tmp_path)).strip() == "0"


KERNEL = """
import numpy as np
import nbad

@nbad.kernel
def f(x):
    return np.sqrt(x**4 + x) if x > 0 else nbad.special.erfinv(x)
"""
UNGUARDED = """
import sys
import numpy as np
import nbad
from nbad.forks import IMPORTS
from written import f

class Finder:
    def find_spec(name, path=None, target=None):
        starts = getattr(sys.modules.get("numba.np.ufunc.parallel"), "_backend_init_thread_lock", IMPORTS)
        if not (IMPORTS._is_owned() or starts._is_owned() or name == "sympy"):  # of which the disk cache wants the version
            unguarded.append(name)

unguarded, x = [], np.full(500_000, 2.0)
sys.meta_path.insert(0, Finder)
"""
FIRST_CALLS = {
    "value": "f(2.0)",
    "vjp of many, by Numba's threads": """
with IMPORTS:
    import nbad.runtime.threads
nbad.runtime.threads.LONG = 0
nbad.vjp(f, x)[1](1.0)
""",
    "vjp": "nbad.vjp(f, x[:9], residuals='recompute', seeds=2)[1](1.0)",
    "grad": "nbad.grad(f)(2.0), nbad.grad(nbad.grad(f))(2.0)",
    "hessian": "nbad.hessian(f)(2.0)",
    "jacobian": "nbad.jacobian(f)(x[:9])",
    "jvp": "nbad.jvp(f, (x[:9],), (x[:9],))",
    "explain": "str(nbad.explain(f, x[:9]))",
    "primitive": "own = nbad.primitive('own', lambda x: x * x, ['2*x']); nbad.grad(nbad.kernel(lambda x: own(x)))(2.0)",
    "debugging": "nbad.debugging().__enter__(); f(x[:9])",
}


@pytest.mark.parametrize(
    "call", [call if call == "value" else pytest.param(call, marks=pytest.mark.slow) for call in FIRST_CALLS]
)
def test_a_first_call_loads_modules_only_where_no_fork_comes_between(call, run_python, tmp_path):
    """A child would wait for ever for a module that another thread of its parent was loading."""
    (tmp_path / "written.py").write_text(KERNEL)
    code = f"{UNGUARDED}\n{FIRST_CALLS[call]}\nprint(unguarded)"
    assert run_python(code, NBAD_CACHE_DIR=str(tmp_path / "empty")).strip() == "[]"
