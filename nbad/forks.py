"""Forks: a child has the locks of all threads of its parent, and only one of the threads.

All is looked up at the fork: `import nbad` loads none of what is mended here.
"""

import ctypes
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

ENROLLED = (logging,)  # loaded by Numba; it has a lock to hold over forks, and must not enrol it while a fork is under way
IMPORTS = threading.RLock()  # held where a call loads modules: a child would wait for ever for what another thread was importing


class Lock:
    """Holds a lock that may be taken again by the thread that has it, `current`; a forked child gets a new one.

    Parameters
    ----------
    renewed : callable, optional
        Called in a child, which has not what other threads were doing with the lock.

    Examples
    --------
    >>> lock = Lock()
    >>> with lock.current, lock.current:
    ...     pass
    """

    def __init__(self, renewed: Callable[[], None] | None = None) -> None:
        self.current, self._renewed = threading.RLock(), renewed
        _LOCKS.add(self)

    def renew(self) -> None:
        """Forget who holds it."""
        self.current = threading.RLock()
        if self._renewed is not None:
            self._renewed()


_LOCKS: weakref.WeakSet[Lock] = weakref.WeakSet()
_held: list[Any] = []  # while a process forks
_inherited = threading.Event()


def inherits_threads() -> bool:
    """Whether the parent may have started threads of GNU OpenMP, for Numba or another library, or was compiling.

    A child that uses it then is killed by Numba, or waits for threads that are not there; what Numba itself was making, or
    loading, for its compiler is half made.

    Examples
    --------
    >>> inherits_threads()
    False
    """
    return _inherited.is_set()


def _may_use_openmp() -> bool:
    """Whether GNU OpenMP is loaded, which does not tell if it was used, and Numba would share it."""
    try:
        ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except (AttributeError, OSError):
        return False
    return _attribute("numba", "config.THREADING_LAYER") not in ("workqueue", "tbb", "safe", "forksafe")


def _attribute(module: str, path: str) -> Any:
    """What is at a dotted path in a module; None where that is not loaded, or not wholly."""
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _before() -> None:
    """No thread loads modules, starts Numba's threads or is inside LLVM while a child is copied, so that all are whole there."""
    _hold(IMPORTS)
    # looked up now: the thread that was waited for may have loaded them; in this order: who starts threads enters LLVM
    _hold(_attribute("numba.np.ufunc.parallel", "_backend_init_thread_lock"))
    _hold(_attribute("llvmlite.binding.ffi", "lib._lock._lock"))


def _hold(lock: Any) -> None:
    if lock is not None:
        lock.acquire()
        _held.append(lock)


def _release() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    _release()
    for lock in list(_LOCKS):
        lock.renew()
    if _attribute("numba.np.ufunc.parallel", "_is_initialized") or _may_use_openmp():
        _inherited.set()
    if _attribute("numba.np.ufunc.parallel", "_backend_init_process_lock") is not None:
        # a semaphore that it would share with its whole family: a child takes it with the count of its parent, and does not give
        # it back if another thread there had it; nor does a child that is killed. Numba makes a new one
        sys.modules["numba.np.ufunc.parallel"]._backend_init_process_lock = None  # type: ignore[attr-defined]
    compiler = _attribute("numba.core.compiler_lock", "global_compiler_lock")
    if compiler is not None:
        if compiler._lock.acquire(blocking=False):
            compiler._lock.release()
        else:  # another thread of the parent holds it
            compiler._lock = threading.RLock()
            _inherited.set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_release, after_in_child=_in_child)
