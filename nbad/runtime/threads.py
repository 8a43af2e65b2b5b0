"""The drivers: who runs a launch, its caller alone or with others.

All call the worker of `nbad.native.worker` through its address. The serial ones need nothing of Numba, so that a process that
makes small calls only never waits for Numba's compiler to start; the one for the smallest calls keeps the interpreter's lock. A
launch for several threads is cut into chunks, which they claim (`nbad.native.sharing`). Numba's threads share long ones, in a
`prange` loop. A shorter one would wait there too long for a thread that has not begun: beside two busy processes on two cores a
call of 0.3 ms took 10 ms. These have helpers, threads of nbad's own, for whom nobody waits.
"""

import ctypes
import functools
import os
import sys
import threading
import time
from _thread import allocate_lock, start_new_thread
from array import array
from contextlib import suppress

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
from nbad.native.sharing import FREE, finish, leave, listen, offer, share
from nbad.native.worker import worker

SMALL = 60_000  # estimated nanoseconds: below, waking a thread or giving the interpreter's lock away costs more than it gains
LONG = 5_000_000  # from here on, Numba's threads: helpers that cannot be moved may share their caller's core for milliseconds
CHUNKS, LONGEST = 8, 200_000  # for each thread; estimated nanoseconds of a chunk
LISTENS = 8_000  # rounds in which a helper waits for the next launch, some 160 us: once it sleeps, it begins 60 us later
SOON = 1e-3  # seconds: where it slept for longer, to listen would take the core from others, its caller perhaps, for nothing
ALIGNMENT = 64


@intrinsic
def call_share(typingctx, share, table, thread):
    """Call `nbad.native.sharing.share` through its address.

    Printed here rather than left to Numba, which takes 0.13 s longer to compile the same in Python.
    """

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 2)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


@cached_njit(parallel=True, error_model="numpy", nogil=True)
def drive_parallel(share, table, workers):
    """Share a launch among Numba's threads.

    Parameters
    ----------
    share : int
        Address of `nbad.native.sharing.share`.
    table : int
        Address of what it claims chunks of.
    workers : int
    """
    for k in nb.prange(workers):
        call_share(share, table, k)  # type: ignore[call-arg]


@functools.cache
def _serial(work):
    """A worker as a function that releases the interpreter's lock."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)(work)


class _Block:
    """Memory for scratch, and an aligned address in it."""

    def __init__(self, size):
        self.size, self._memory = size, np.empty(size + ALIGNMENT, np.uint8)
        start = self._memory.ctypes.data
        self.address = start + -start % ALIGNMENT


class _Scratch(threading.local):
    """One thread's scratch, which grows with need.

    Who takes it has it alone, until it is given back: a finalizer or a signal handler may call nbad while helpers write to it.
    """

    _block = None

    def take(self, size):
        """A block of at least so many bytes."""
        block, self._block = self._block, None
        return block if block is not None and block.size >= size else _Block(size)

    def give(self, block):
        """Keep a block for the next launch."""
        self._block = block


class _Helper:
    """A thread that waits for launches: asleep, or listening without the interpreter's lock where they come one after another."""

    def __init__(self, number):
        self._number, self._slot = number, array("q", [FREE])
        self.slot = self._slot.buffer_info()[0]
        self._lock = threading.RLock()  # a finalizer may run inside, and call nbad
        self._bell, self._sleeps, self._thread = allocate_lock(), False, 0
        self._bell.acquire()
        start_new_thread(self._live, ())

    def wake(self):
        """It will look into its slot, at the latest when this thread gives the interpreter's lock away."""
        with self._lock:
            if self._sleeps:
                self._sleeps = False
                _move_away(self._thread)
                self._bell.release()

    def _live(self):
        rounds, self._thread = 1, threading.get_native_id()
        while True:
            listen()(self.slot, self._number, rounds)
            with self._lock:
                sleeps = self._sleeps = self._slot[0] == FREE
            if sleeps:
                since = time.monotonic()
                self._bell.acquire()
                rounds = LISTENS if time.monotonic() - since < SOON else 1


@functools.cache
def _own_core():
    """What tells a thread's core; None where the system does not let threads be moved."""
    return getattr(ctypes.PyDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


def _move_away(thread):
    """Let a thread go on elsewhere than on this one's core.

    Linux wakes it there, and it waits until that core is free: after a pause of 20 ms a launch of 3 ms took 1.07 to 0.8 of one
    thread's time, and 0.6 so.
    """
    if own_core := _own_core():
        others = os.sched_getaffinity(0) - {own_core()}
        if others:
            with suppress(OSError):
                os.sched_setaffinity(thread, others)


class _Helpers:
    """All helpers. A forked child has none of them, and starts its own."""

    def __init__(self):
        self._all, self._lock = {}, Lock(self._forget)  # by their numbers

    def _forget(self):
        self._all = {}

    def run(self, table, number):
        """Compute a launch together with so many of them, or with those that are free."""
        if len(self._all) < number:
            with self._lock.current, suppress(RuntimeError):  # where no more threads may be started
                while (new := len(self._all) + 1) <= number:
                    self._all.setdefault(new, _Helper(new))  # a finalizer may run inside, and start it: two would share scratch
        helpers = list(self._all.values())[:number]
        slots = array("q", [*(helper.slot for helper in helpers), *[0] * len(helpers)])
        launch, end = (table.buffer_info()[0], slots.buffer_info()[0], len(helpers)), finish()
        to_end = *launch, leave()
        try:
            offer()(*launch)
            for helper in helpers:
                helper.wake()
        finally:  # whatever interrupts this: those who have begun write to results
            end(*to_end)


def _threads():
    """How many threads the user wants. Numba is asked where its threads are there already: to ask starts them."""
    is_there = getattr(sys.modules.get("numba.np.ufunc.parallel"), "_is_initialized", False)
    return nb.get_num_threads() if is_there else nb.config.NUMBA_NUM_THREADS


class _Numba:
    """Whether, and how, this process may use Numba's threads."""

    def __init__(self):
        self._layer, self._lock = None, Lock()  # a finalizer may run inside, and call nbad

    def may_run(self, nanoseconds):
        """Whether to use them for this much work."""
        return nanoseconds >= LONG and not inherits_threads() and not nb.config.DISABLE_JIT

    def run(self, table, workers):
        """Compute a launch."""
        call = share(), table.buffer_info()[0], workers
        # the `workqueue` layer aborts the process when two threads enter it; before a first call has come back it is not known
        if self._layer not in (None, "workqueue"):
            drive_parallel(*call)
            return
        with self._lock.current:
            drive_parallel(*call)
            self._layer = nb.threading_layer()


_scratch, _helpers, _numba = _Scratch(), _Helpers(), _Numba()


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
    work : int, optional
        Address of the worker; by default that of sweeps.
    """

    def __init__(self, table, elements, nanoseconds, scratch, work=None):
        self._work = worker() if work is None else work
        self._table, self._address = table, table.ctypes.data
        self._tiles, self._nanoseconds, self._scratch = -(-elements // TILE), max(nanoseconds, 1), scratch  # seeds are work too
        may_hold = scratch <= cpython.LARGEST and cpython.is_available()
        self._held = launcher(self._work, self._address, scratch, self._tiles) if may_hold else None

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
        workers, ids = _threads() if nanoseconds >= SMALL else 1, array("q", map(id, arrays))
        block = _scratch.take(self._scratch * workers)
        if workers == 1:
            _serial(self._work)(self._address, ids.buffer_info()[0], block.address, 0, self._tiles, 0, n_seeds)
        else:
            self._share(ids, block.address, n_seeds, workers)
        _scratch.give(block)

    def _share(self, ids, scratch, n_seeds, workers):
        """Run with several threads."""
        nanoseconds = self._nanoseconds * n_seeds
        by_seed = self._tiles < workers and n_seeds > self._tiles  # the tiles are shared, or the seeds where these are too few
        chunks = min(max(workers * CHUNKS, int(nanoseconds / LONGEST)), n_seeds if by_seed else self._tiles)
        fields = self._work, self._address, ids.buffer_info()[0], self._tiles, n_seeds, by_seed, chunks, scratch, self._scratch
        table = array("q", (*fields, workers, 0, *[0] * workers))
        if _numba.may_run(nanoseconds):
            _numba.run(table, workers)
        else:
            _helpers.run(table, min(workers, chunks) - 1)
