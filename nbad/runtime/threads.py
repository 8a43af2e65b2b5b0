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
import threading
import time
from _thread import start_new_thread
from array import array
from contextlib import suppress

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.ufunc import parallel

from nbad.codegen.host import LINE
from nbad.codegen.numba_cache import cached_njit
from nbad.forks import Lock, inherits_threads
from nbad.native import cpython, sharing
from nbad.native.cpython import api
from nbad.native.entry_table import TEAM_BITS
from nbad.native.launch_table import TILE
from nbad.native.sharing import FREE, leave, listen, share
from nbad.native.worker import launcher, worker
from nbad.runtime import memory

SMALL = 60_000  # estimated nanoseconds: below, waking a thread or giving the interpreter's lock away costs more than it gains
LONG = 5_000_000  # from here on, Numba's threads: helpers that cannot be moved may share their caller's core for milliseconds
LONGEST = 200_000  # estimated nanoseconds of a chunk
LISTENS = 8_000  # rounds in which a helper waits for the next launch, some 160 us: once it sleeps, it begins 60 us later
SOON = 5e-3  # seconds from launch to launch: where it is longer, to listen would take the core from others, for nothing
MOST_HELPERS = 1023


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
    """Share a launch among Numba's threads: addresses of `nbad.native.sharing.share`, and of what it claims chunks of."""
    for k in nb.prange(workers):
        call_share(share, table, k)  # type: ignore[call-arg]


@functools.cache
def _released(address, arguments):
    """A C function of so many integers, which is called without the interpreter's lock."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(address)


class _Team:
    """The helpers of this process: threads that sleep, or listen where launches come one after another.

    Their memory is as `nbad.native.sharing` says. It is never freed: they look at it until the process ends.
    """

    def __init__(self):
        self._memory = np.zeros((MOST_HELPERS + 2) * LINE // 8, np.int64)
        first = -self._memory.ctypes.data % LINE // 8
        self._table, self.address = self._memory[first:], self._memory[first:].ctypes.data
        self._table[: sharing.HEADER] = 0, 1, api("PyThread_acquire_lock"), api("PyThread_release_lock"), leave(), *_cores()
        self.size, self._are_soon = 0, False

    def start(self):
        """One more helper."""
        self.size = number = self.size + 1  # at once: a finalizer may run inside, and start it: two would share scratch
        helper = self._table[number * LINE // 8 :]
        helper[sharing.SLOT], helper[sharing.BELL] = FREE, _new_bell()
        try:
            start_new_thread(self._live, (number, helper))
        except RuntimeError:
            self.size = number - 1
            raise
        self._table[sharing.HELPERS] = self.size

    def _live(self, number, helper):
        helper[sharing.THREAD] = threading.get_native_id()
        listen()(self.address, number)

    def hurry(self, are_soon):
        """Say whether launches come one after another: then helpers listen for the next one."""
        if are_soon is not self._are_soon:
            self._are_soon, self._table[sharing.LISTENS] = are_soon, LISTENS if are_soon else 1


def _new_bell():
    """A lock that is taken: who takes it again waits until it is released."""
    new, acquire = ctypes.pythonapi.PyThread_allocate_lock, ctypes.pythonapi.PyThread_acquire_lock
    new.restype, acquire.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)
    bell = new()
    acquire(bell, 1)
    return bell


def _cores():
    """Addresses of what tells a thread's core and the cores that it may use, and moves a thread; 0 where the system has none."""
    names = "sched_getcpu", "sched_getaffinity", "sched_setaffinity"
    found = [getattr(ctypes.PyDLL(None), name, None) for name in names] if hasattr(os, "sched_setaffinity") else [None]
    return [ctypes.cast(function, ctypes.c_void_p).value for function in found if function] if all(found) else [0, 0, 0]


class _Helpers:
    """All helpers. A forked child has none of them, and starts its own."""

    def __init__(self):
        self._lock, self._latest = Lock(self._forget), 0.0
        self._forget()

    def _forget(self):
        self.team: _Team | None = None

    def ready(self, number):
        """Address of the team, with so many helpers in it, or as many as could be started."""
        now = time.monotonic()
        soon, self._latest = now - self._latest < SOON, now
        team = self.team or self._new_team()
        if team.size < number:
            with self._lock.current, suppress(RuntimeError):  # where no more threads may be started
                while team.size < min(number, MOST_HELPERS):
                    team.start()
        team.hurry(soon)
        return team.address

    def _new_team(self):
        with self._lock.current:
            self.team = team = self.team or _Team()
            return team

    def run(self, table, number):
        """Compute a launch together with so many of them, or with those that are free."""
        _released(sharing.together(), 2)(table.buffer_info()[0], self.ready(number))


def asked():
    """Who may share a plain case: how many threads, and in the lower `TEAM_BITS` bits the address of the helpers' team."""
    workers = threads_wanted()
    return workers << TEAM_BITS | (_helpers.ready(workers - 1) if workers > 1 else 0)


def threads_wanted():
    """How many threads the user wants. Numba is asked where its threads are there already: to ask starts them."""
    is_there = parallel._is_initialized
    return parallel._get_num_threads() if is_there else nb.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]


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


_helpers, _numba = _Helpers(), _Numba()


class Driver:
    """Runs a table that `nbad.runtime.launch` packed, with so many estimated nanoseconds for one seed.

    Each worker needs so many bytes of scratch; `work` is its address, by default that of sweeps.
    """

    def __init__(self, table, elements, nanoseconds, scratch, work=None):
        self._work = worker() if work is None else work
        self._table, self._address = table, table.ctypes.data
        self._tiles, self._nanoseconds, self._scratch = -(-elements // TILE), max(nanoseconds, 1), scratch  # seeds are work too
        may_hold = scratch <= cpython.LARGEST and cpython.is_available()
        self._held = launcher(self._work, self._address, scratch, self._tiles) if may_hold else None

    def __call__(self, arrays, n_seeds):
        """Run, serially or in parallel, whichever the size asks for; arrays come as the slots of the launch number them."""
        nanoseconds = self._nanoseconds * n_seeds
        if self._held is not None and nanoseconds < SMALL:
            self._held(*arrays, n_seeds)
            return
        workers, ids = threads_wanted() if nanoseconds >= SMALL else 1, array("q", map(id, arrays))
        block = memory.POOL.take(memory.rounded(self._scratch * workers))
        if workers == 1:
            _released(self._work, 7)(self._address, ids.buffer_info()[0], cpython.address_of(block), 0, self._tiles, 0, n_seeds)
        else:
            self._share(ids, cpython.address_of(block), n_seeds, workers)
        memory.POOL.give(block)

    def _share(self, ids, scratch, n_seeds, workers):
        """Run with several threads."""
        nanoseconds = self._nanoseconds * n_seeds
        by_seed = self._tiles < workers and n_seeds > self._tiles  # the tiles are shared, or the seeds where these are too few
        chunks = min(max(workers * sharing.CHUNKS_EACH, int(nanoseconds / LONGEST)), n_seeds if by_seed else self._tiles)
        fields = self._work, self._address, ids.buffer_info()[0], self._tiles, n_seeds, by_seed, chunks, scratch, self._scratch
        table = array("q", (*fields, workers, 0, *[0] * workers))
        if _numba.may_run(nanoseconds):
            _numba.run(table, workers)
        else:
            _helpers.run(table, min(workers, chunks) - 1)
