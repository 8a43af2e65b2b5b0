"""The drivers: hand the tiles and seeds of a launch to one worker, or to many in a `prange` loop.

All call the worker of `nbad.native.worker` through its address. The serial ones need nothing of Numba, so that a process that
makes small calls only never waits for Numba's compiler to start; the one for the smallest calls keeps the interpreter's lock.
"""

import ctypes
import functools
import threading
from array import array

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from nbad.codegen.numba_cache import cached_njit
from nbad.forks import Lock, inherits_threads
from nbad.native import cpython
from nbad.native.launch_table import TILE
from nbad.native.launcher import launcher
from nbad.native.worker import worker

SMALL = 60_000  # estimated nanoseconds: below, waking a thread or giving the interpreter's lock away costs more than it gains
ALIGNMENT = 64


@intrinsic
def call_worker(typingctx, work, table, ids, scratch, size, workers, tiles, n_seeds, k):
    """Call the worker through its address for share k of a launch: of its tiles or, where these are too few, of its seeds.

    Printed here rather than left to Numba, which takes 0.13 s longer to compile the same in Python.
    """

    def codegen(context, builder, signature, args):
        work, table, ids, scratch, size, workers, tiles, n_seeds, k = args
        by_seed = builder.and_(builder.icmp_signed("<", tiles, workers), builder.icmp_signed(">", n_seeds, tiles))

        def share(total, is_shared):
            low, high = (builder.sdiv(builder.mul(total, i), workers) for i in (k, builder.add(k, k.type(1))))
            return builder.select(is_shared, low, k.type(0)), builder.select(is_shared, high, total)

        own = builder.add(scratch, builder.mul(k, size))
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 7)
        shares = *share(tiles, builder.not_(by_seed)), *share(n_seeds, by_seed)
        builder.call(builder.inttoptr(work, kind.as_pointer()), [table, ids, own, *shares])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), codegen


@cached_njit(parallel=True, error_model="numpy", nogil=True)
def drive_parallel(work, table, ids, scratch, size, workers, tiles, n_seeds):
    """Share a launch among workers.

    Parameters
    ----------
    work : int
        Address of the worker.
    table : int
        Address of what `nbad.runtime.launch` packed.
    ids : int
        Address of the addresses of the array objects, which the caller keeps alive.
    scratch, size : int
        Address of the scratch, and how much of it each worker has.
    workers, tiles, n_seeds : int
    """
    for k in nb.prange(workers):
        call_worker(work, table, ids, scratch, size, workers, tiles, n_seeds, k)  # type: ignore[call-arg]


@functools.cache
def _serial():
    """The worker as a function that releases the interpreter's lock."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)(worker())


class _Scratch(threading.local):
    """One thread's scratch, which grows with need."""

    def __init__(self):
        self.block, self.address = None, 0

    def reserve(self, size):
        """The block, which the caller must hold while it uses it, and an aligned address in it."""
        if self.block is None or self.block.size < size + ALIGNMENT:
            self.block = np.empty(size + ALIGNMENT, np.uint8)
            start = self.block.ctypes.data
            self.address = start + -start % ALIGNMENT
        return self.block, self.address


class _Threads:
    """Whether, and how, this process may enter the parallel driver."""

    def __init__(self):
        self.used = False
        self.lock = Lock()  # a finalizer may run inside, and call nbad

    def number(self, work):
        """How many threads are worth waking for this much work."""
        if work < SMALL or inherits_threads() or nb.config.DISABLE_JIT:
            return 1
        return nb.get_num_threads()

    def needs_lock(self):
        """The `workqueue` layer aborts the process when two threads enter it; before the first call the layer is not known."""
        return not self.used or nb.threading_layer() == "workqueue"


_scratch, _threads = _Scratch(), _Threads()


class Driver:
    """Runs one packed launch.

    Parameters
    ----------
    table : int64 array
        What `nbad.runtime.launch` packed.
    elements : int
    nanoseconds : float
        Estimated for one seed.
    scratch : int
        Bytes that each worker needs.
    """

    def __init__(self, table, elements, nanoseconds, scratch):
        self._table, self._address = table, table.ctypes.data
        self._tiles, self._nanoseconds, self._scratch = -(-elements // TILE), max(nanoseconds, 1), scratch  # seeds are work too
        may_hold = scratch <= cpython.LARGEST and cpython.is_available()
        self._held = launcher(worker(), self._address, scratch, self._tiles) if may_hold else None

    def __call__(self, arrays, n_seeds):
        """Run, serially or in parallel, whichever the size asks for.

        Parameters
        ----------
        arrays : sequence of arrays
            In the order in which the launch's slots number them.
        n_seeds : int
            Number of seeds; 1 where nothing depends on a seed.
        """
        nanoseconds = self._nanoseconds * n_seeds
        if self._held is not None and nanoseconds < SMALL:
            self._held(*arrays, n_seeds)
            return
        workers, ids = _threads.number(nanoseconds), array("q", map(id, arrays))
        _block, scratch = _scratch.reserve(self._scratch * workers)
        if workers == 1:
            _serial()(self._address, ids.buffer_info()[0], scratch, 0, self._tiles, 0, n_seeds)
        else:
            call = worker(), self._address, ids.buffer_info()[0], scratch, self._scratch, workers, self._tiles, n_seeds
            _drive(call)


def _drive(call):
    if not _threads.needs_lock():
        drive_parallel(*call)
        return
    with _threads.lock.current:
        _threads.used = True
        drive_parallel(*call)
