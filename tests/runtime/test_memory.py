"""The pool: memory comes back when nobody holds it, never before, and never beyond the bound."""

import gc

import numpy as np
import pytest

from nbad.runtime import memory

DOUBLE = np.dtype(float)
BIG = memory.SMALLEST // 8 * 4


@pytest.fixture(autouse=True)
def own_pool(monkeypatch):
    mine = memory.Pool(1 << 24)
    monkeypatch.setattr(memory, "POOL", mine)
    monkeypatch.setattr(memory._Lease.__del__, "__defaults__", (mine.give,))
    return mine


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_recycled_when_the_array_is_gone():
    first = memory.empty((BIG,), DOUBLE)
    place = address(first)
    del first
    assert address(memory.empty((BIG,), DOUBLE)) == place


def test_memory_is_kept_while_a_view_lives():
    first = memory.empty((2, BIG), DOUBLE)
    view = first[1, ::2]
    view[...] = 7.0
    del first
    gc.collect()
    second = memory.empty((2, BIG), DOUBLE)
    second[...] = 0.0
    assert (view == 7.0).all()


def test_blocks_are_aligned_and_of_the_asked_shape():
    array = memory.empty((3, BIG), np.dtype(np.float32))
    assert array.shape == (3, BIG)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert address(array) % 64 == 0


def test_blocks_start_at_places_of_a_page_of_their_own(own_pool):
    arrays = [memory.empty((BIG,), DOUBLE) for _ in range(10)]
    places = [address(array) % 4096 for array in arrays]
    assert len(set(places)) == 10
    assert not any(place % 64 for place in places)


def test_small_arrays_do_not_pass_through_the_pool(own_pool):
    array = memory.empty((4,), DOUBLE)
    del array
    assert own_pool.waiting == 0


def test_what_waits_is_bounded_and_counted(own_pool):
    for size in (BIG, 2 * BIG, 3 * BIG, BIG, 4 * BIG):
        arrays = [memory.empty((size,), DOUBLE) for _ in range(3)]
        del arrays
        assert own_pool.waiting <= own_pool.limit
        assert own_pool.waiting == sum(block.size for blocks in own_pool.blocks.values() for block in blocks)


def test_a_block_larger_than_the_bound_is_freed(own_pool):
    array = memory.empty((1 << 22,), DOUBLE)
    del array
    assert own_pool.waiting == 0


def test_clear_frees_what_waits(own_pool):
    array = memory.empty((BIG,), DOUBLE)
    del array
    assert own_pool.waiting > 0
    own_pool.clear()
    assert own_pool.waiting == 0


def test_exact_memory_is_not_rounded_and_is_recycled(own_pool):
    array = memory.exact((BIG + 3,), DOUBLE)
    place = address(array)
    del array
    assert own_pool.waiting == 8 * (BIG + 3)
    assert address(memory.exact((BIG + 3,), DOUBLE)) == place


def test_a_lease_that_was_interrupted_returns_nothing(own_pool):
    lease = memory._Lease.__new__(memory._Lease)
    del lease
    assert own_pool.waiting == 0
