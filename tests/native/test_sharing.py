"""Chunks of a launch, claimed by several threads: each is computed once, whoever comes, and nobody waits for one who does not."""

import ctypes
import threading
from array import array

import pytest

from nbad.native.sharing import BUSY, FREE, LEFT, finish, leave, listen, offer, share

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


def address_of(table):
    return table.buffer_info()[0]


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
    shared, slot = Shared(40, 1, 0, 8, 2), array("q", [FREE])
    slots = array("q", [address_of(slot), 0])
    offer()(shared.address, address_of(slots), 1)
    assert slot[0] == shared.address
    finish()(shared.address, address_of(slots), 1, leave())
    assert slot[0] == FREE
    assert len(shared.done) == 8


def test_a_busy_helper_is_not_asked():
    shared, slot = Shared(40, 1, 0, 8, 2), array("q", [BUSY])
    slots = array("q", [address_of(slot), 0])
    offer()(shared.address, address_of(slots), 1)
    finish()(shared.address, address_of(slots), 1, leave())
    assert (slot[0], slots[1], len(shared.done)) == (BUSY, 0, 8)


def test_what_was_not_offered_is_computed_alone():
    shared, slot = Shared(40, 1, 0, 8, 2), array("q", [FREE])
    finish()(shared.address, address_of(array("q", [address_of(slot), 0])), 1, leave())
    assert (slot[0], len(shared.done)) == (FREE, 8)


def test_a_caller_waits_for_who_has_begun():
    shared, slot = Shared(40, 1, 0, 8, 2), array("q", [FREE])
    slots, begun, done = array("q", [address_of(slot), 0]), threading.Event(), threading.Event()
    offer()(shared.address, address_of(slots), 1)
    helper = threading.Thread(target=lambda: listen()(address_of(slot), 1, 1))
    caller = threading.Thread(target=lambda: finish()(shared.address, address_of(slots), 1, leave()))

    def meanwhile():
        if threading.current_thread() is not caller:
            begun.set()
            assert done.wait(20)

    shared.meanwhile = meanwhile
    helper.start()
    assert begun.wait(20)
    caller.start()
    caller.join(0.05)
    assert caller.is_alive()
    done.set()
    caller.join(20)
    helper.join(20)
    assert not caller.is_alive()
    assert (slot[0], shared.table[LEFT]) == (FREE, 1)
    assert shared.pairs() == [(tile, 0) for tile in range(40)]
    assert {thread for thread, _, _ in shared.done} == {0, 1}
