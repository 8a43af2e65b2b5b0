"""Chunks of a launch, claimed by several threads: each is computed once, whoever comes, and nobody waits for one who does not."""

import ctypes
import threading
import time
from array import array

import pytest

from nbad.native import sharing
from nbad.native.cpython import api
from nbad.native.sharing import ASLEEP, BUSY, FREE, LEFT, leave, listen, share

WORK = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)


class Shared:
    """The table of a launch whose work is done in Python, and what was done."""

    def __init__(self, tiles, seeds, by_seed, chunks, threads):
        self.done, self.meanwhile = [], lambda: None
        self._work = WORK(self._note)
        address = ctypes.cast(self._work, ctypes.c_void_p).value
        self.table = array("q", [address, 7, 8, tiles, seeds, by_seed, chunks, 1000, 10, threads, 0, *[0] * threads])
        self.address = self.table.buffer_info()[0]

    def _note(self, launch, ids, scratch, tile, last_tile, seed, last_seed):
        assert (launch, ids) == (7, 8)
        self.done.append(((scratch - 1000) // 10, range(tile, last_tile), range(seed, last_seed)))
        self.meanwhile()

    def pairs(self):
        return sorted((tile, seed) for _, tiles, seeds in self.done for tile in tiles for seed in seeds)


class Team:
    """Helpers in these states, of whom none is a thread; who releases a bell is noted."""

    def __init__(self, *slots):
        self.released = []
        self._release = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self.released.append)
        release = ctypes.cast(self._release, ctypes.c_void_p).value
        self.table = array("q", [len(slots), 1, api("PyThread_acquire_lock"), release, leave(), 0, 0, 0])
        for k, slot in enumerate(slots):
            self.table.extend([slot, 70 + k, 0, 0, 0, 0, 0, 0])
        self.address = self.table.buffer_info()[0]

    def slot(self, number):
        return self.table[8 * number]

    def run(self, shared):
        ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2)(sharing.together())(shared.address, self.address)


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("tiles", "seeds", "by_seed", "chunks"),
    [(1, 1, 0, 1), (40, 1, 0, 16), (17, 3, 0, 16), (5, 1, 0, 5), (2, 9, 1, 9), (3, 20, 1, 8)],
)
def test_every_tile_and_seed_is_computed_once(tiles, seeds, by_seed, chunks, threads):
    shared = Shared(tiles, seeds, by_seed, chunks, threads)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(share())
    for thread in reversed(range(threads)):
        call(shared.address, thread)
    assert shared.pairs() == [(tile, seed) for tile in range(tiles) for seed in range(seeds)]
    assert len(shared.done) == chunks
    assert {thread for thread, _, _ in shared.done} == {threads - 1}  # who comes first computes what the others would


def test_a_thread_computes_its_own_chunks_first():
    shared = Shared(40, 1, 0, 8, 2)
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(share())(shared.address, 1)
    assert [tiles.start for _, tiles, _ in shared.done] == [20, 25, 30, 35, 0, 5, 10, 15]


def test_nobody_waits_for_a_helper_that_does_not_come():
    shared, team = Shared(40, 1, 0, 8, 2), Team(FREE)
    shared.meanwhile = lambda: offered.append(team.slot(1))
    offered = []
    team.run(shared)
    assert set(offered) == {shared.address}
    assert (team.slot(1), len(shared.done), team.released) == (FREE, 8, [])


def test_a_busy_helper_is_not_asked():
    shared, team = Shared(40, 1, 0, 8, 2), Team(BUSY)
    team.run(shared)
    assert (team.slot(1), len(shared.done)) == (BUSY, 8)


def test_one_that_sleeps_is_woken_once():
    shared, team = Shared(40, 1, 0, 8, 3), Team(ASLEEP, FREE)
    team.run(shared)
    assert (team.slot(1), team.slot(2), team.released) == (FREE, FREE, [70])
    assert len(shared.done) == 8


@pytest.mark.parametrize(("chunks", "threads", "asked"), [(8, 3, 2), (2, 3, 1), (1, 3, 0), (8, 1, 0)])
def test_no_more_helpers_are_asked_than_there_are_chunks_and_threads(chunks, threads, asked):
    team = Team(*[ASLEEP] * 3)
    team.run(Shared(40, 1, 0, chunks, threads))
    assert team.released == [70, 71][:asked]


def test_without_helpers_the_caller_is_alone():
    shared, team = Shared(40, 1, 0, 8, 2), Team()
    team.run(shared)
    assert len(shared.done) == 8


def test_a_caller_waits_for_who_has_begun():
    """And who has nothing to do falls asleep, until it is woken."""
    new = ctypes.pythonapi.PyThread_allocate_lock
    new.restype = ctypes.c_void_p
    shared, team, begun, done = Shared(40, 1, 0, 8, 2), Team(FREE), threading.Event(), threading.Event()
    bell = team.table[8 + sharing.BELL] = new()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)(api("PyThread_acquire_lock"))(bell, 1)
    team.table[sharing.RELEASE] = api("PyThread_release_lock")
    threading.Thread(target=lambda: listen()(team.address, 1), daemon=True).start()
    wait_until(lambda: team.slot(1) == ASLEEP)
    caller = threading.Thread(target=lambda: team.run(shared))

    def meanwhile():
        if threading.current_thread() is caller:
            assert begun.wait(20)
        else:
            begun.set()
            assert done.wait(20)

    shared.meanwhile = meanwhile
    caller.start()
    assert begun.wait(20)
    caller.join(0.05)
    assert caller.is_alive()
    done.set()
    caller.join(20)
    assert not caller.is_alive()
    wait_until(lambda: team.slot(1) == ASLEEP)
    assert shared.table[LEFT] == 1
    assert shared.pairs() == [(tile, 0) for tile in range(40)]
    assert {thread for thread, _, _ in shared.done} == {0, 1}


def test_a_helper_is_moved_off_its_callers_core():
    """To the others that the caller may use; it stays where it is if there are none, or if the system does not tell."""
    cores, moved = {0b1101}, []
    own = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 2)
    tell = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int64] * 3)(
        lambda thread, size, mask: ctypes.memmove(mask, min(cores).to_bytes(size, "little"), size) and 0
    )
    move = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int64] * 3)(
        lambda thread, size, mask: moved.append((thread, int.from_bytes(ctypes.string_at(mask, size), "little"))) or 0
    )
    team = Team(ASLEEP)
    team.table[8 + sharing.THREAD] = 7
    for field, function in {sharing.OWN_CORE: own, sharing.GET_CORES: tell, sharing.SET_CORES: move}.items():
        team.table[field] = ctypes.cast(function, ctypes.c_void_p).value
    team.run(Shared(40, 1, 0, 8, 2))
    assert moved == [(7, 0b1001)]
    cores.clear()
    cores.add(0b100)
    team.table[8] = ASLEEP
    team.run(Shared(40, 1, 0, 8, 2))
    assert len(moved) == 1
    assert team.released == [70, 70]
