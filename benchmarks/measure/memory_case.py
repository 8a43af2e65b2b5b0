"""What `benchmarks.commands.memory` measures in a fresh process, once in each.

What a process holds at most is read from Linux's `VmHWM`, which is set back before the part that counts.
"""

import gc
import math
import sys
from pathlib import Path

import numba
import numpy as np

import nbad
from benchmarks.cases.gallery import subjects
from benchmarks.measure.process import serve
from nbad.runtime import memory

WARM = 30_000  # elements of the calls that compile, start threads and fill caches before anything counts


def reverse(kernel, elements, seeds, policy):
    """Bytes that a forward sweep leaves and a reverse sweep of all seeds takes, its seeds and results included."""
    subject = subjects()[kernel]
    inputs = subject.inputs(elements)
    for _ in range(2):  # big sweeps have kernels of their own, and what few elements need is compiled at the second call
        _sweep(subject, inputs, seeds, residuals=policy)
    told = nbad.explain(subject.kernel, *inputs, seeds=seeds, argnums=subject.argnums)
    (account,) = (account for account in told.policies if account.policy == policy)
    before = _settled()
    y, pullback = nbad.vjp(subject.kernel, *inputs, argnums=subject.argnums, residuals=policy)
    shapes, is_tuple = [leaf.shape for leaf in (y if isinstance(y, tuple) else (y,))], isinstance(y, tuple)
    del y
    _settled()
    given = tuple(np.ones((seeds, *shape)) for shape in shapes)
    pullback.batched(given if is_tuple else given[0])
    return _peak(told.elements, _status("VmHWM") - before, account.peak_bytes)


def bounded(kernel, elements, seeds, max_bytes, argnums=None):
    """Bytes that `vjp` and a reverse sweep under `max_bytes=` take beside arguments, seeds and results."""
    subject = subjects()[kernel]
    chosen = subject.argnums if argnums is None else tuple(argnums)
    for _ in range(2):
        _sweep(subject, subject.inputs(WARM), 2, argnums=chosen)
    inputs = subject.inputs(elements)
    shape = np.broadcast_shapes(*(x.shape for x in inputs))
    given = np.broadcast_to(np.ones(shape), (seeds, *shape))
    before = _settled()
    y, pullback = nbad.vjp(subject.kernel, *inputs, argnums=chosen, seeds=seeds, max_bytes=max_bytes)
    results = pullback.batched(given)
    peak = _status("VmHWM")
    measured = peak - before - y.nbytes - sum(result.nbytes for result in results)
    return _peak(math.prod(shape), measured, max_bytes)


def _peak(elements, measured, told):
    return {"elements": elements, "measured": measured, "told": told, "threads": numba.get_num_threads()}


def _sweep(subject, inputs, seeds, argnums=None, **options):
    y, pullback = nbad.vjp(subject.kernel, *inputs, argnums=subject.argnums if argnums is None else argnums, **options)
    leaves = tuple(np.ones((seeds, *leaf.shape)) for leaf in (y if isinstance(y, tuple) else (y,)))
    pullback.batched(leaves if isinstance(y, tuple) else leaves[0])


def _settled():
    """Give back all that only waits for reuse, and set the peak back to what is held now, in bytes."""
    gc.collect()
    memory.POOL.clear()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(name):
    """A line of the process's status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


if __name__ == "__main__":
    serve(sys.modules[__name__])
