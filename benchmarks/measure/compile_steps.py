"""Steps that `benchmarks.commands.compile` takes in a fresh process, one in each: seconds by name.

What a step does not measure, it imports before.
"""

import functools
import sys
import time

from benchmarks.measure.process import serve

MANY, FEW = 100_000, 1  # elements: enough for all threads; one

clock = time.perf_counter


def imports():
    """Imports in the order in which a program meets them; SymPy is loaded when the first kernel is traced."""
    return {"import numba": _import("numba"), "import nbad": _import("nbad"), "import sympy": _import("sympy")}


def drivers():
    """Compile what all kernels share, with a kernel that no other step uses."""
    import numpy as np

    from benchmarks.cases.own_kernels import many_operations

    kernel = many_operations(30)
    for n in (FEW, MANY):
        xs = np.ones(n), np.ones(n)
        _vjp(kernel, xs)
        _jacobian(kernel, xs)
    return {}


def vjp_black_scholes():
    """`vjp` and one pullback, everything imported; Numba's own start is part of it."""
    import sympy  # noqa: F401

    kernel, xs = _workload("black_scholes")
    return {"seconds": _seconds(_vjp, kernel, xs)}


def vjp_after_start():
    """The same with Numba started before."""
    _start_numba()
    return vjp_black_scholes()


def jacobian_bundle_adjustment():
    """Value and full Jacobian, everything imported."""
    import sympy  # noqa: F401

    kernel, xs = _workload("bundle_adjustment")
    return {"seconds": _seconds(_jacobian, kernel, xs)}


def second_process():
    """`vjp` and one pullback of a kernel that the cache knows; Numba's own start is measured apart."""
    kernel, xs = _workload("black_scholes")
    start = _seconds(_start_numba)
    return {"seconds": _seconds(_vjp, kernel, xs), "Numba's start": start, "SymPy loaded": "sympy" in sys.modules}


def growth(counts):
    """`vjp` and one pullback of kernels with more and more operations, in one process."""
    import numpy as np

    from benchmarks.cases.own_kernels import many_operations

    drivers()
    xs = np.ones(MANY), np.ones(MANY)
    _vjp(many_operations(40), xs)  # the first kernel that the cache does not know starts SymPy
    return {count: _seconds(_vjp, many_operations(count), xs) for count in counts}


def small_calls():
    """One element, as arrays of one and as numbers or vectors: the value, `vjp` with one pullback, and the Jacobian."""
    import nbad
    from benchmarks.cases.workloads import workloads

    found = {}
    for name in ("one_operation", "black_scholes", "reprojection"):
        workload = workloads()[name]
        kernel, arrays = workload.kernel, workload.arrays(FEW, "float64")
        alone = tuple(float(x[0]) if x.ndim == 1 else x[0] for x in arrays)
        for kind, xs in (("array of one", arrays), ("vectors" if workload.has_vectors else "floats", alone)):
            y = kernel(*xs)
            found[f"{name}, {kind}: value"] = _best(functools.partial(kernel, *xs))
            found[f"{name}, {kind}: vjp and pullback"] = _best(functools.partial(_vjp_with_seed, kernel, xs, y))
            found[f"{name}, {kind}: Jacobian"] = _best(functools.partial(nbad.jacobian(kernel), *xs))
    return found


def _import(name):
    start = clock()
    __import__(name)
    return clock() - start


def _start_numba():
    import numba

    numba.njit(lambda x: x + 1.0)(1.0)


def _workload(name):
    from benchmarks.cases.workloads import workloads

    workload = workloads()[name]
    return workload.kernel, workload.inputs(MANY, "float64")


def _vjp(kernel, xs):
    import nbad

    y, pullback = nbad.vjp(kernel, *xs)
    return pullback(y)


def _vjp_with_seed(kernel, xs, seed):
    from nbad import vjp

    return vjp(kernel, *xs)[1](seed)


def _jacobian(kernel, xs):
    import nbad

    return nbad.value_and_jacobian(kernel)(*xs)


def _seconds(call, *args):
    start = clock()
    call(*args)
    return clock() - start


def _best(call, rounds=30, number=300):
    """Seconds of one call, the best of some rounds."""

    def once():
        for _ in range(number):
            call()

    return min(_seconds(once) for _ in range(rounds)) / number


if __name__ == "__main__":
    serve(sys.modules[__name__])
