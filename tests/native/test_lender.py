"""What lends memory to compiled code: every failure of Python's is told, and loses no block."""

import sys
import weakref

import numpy as np
import pytest

from nbad.native import cpython


def test_a_block_that_cannot_be_given_back_is_told_and_freed(monkeypatch):
    told, freed = [], []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: told.append(str(found.exc_value)))

    def take(size):
        block = np.empty(size, np.uint8)
        freed.append(weakref.ref(block))
        return block

    def give(block):
        raise ValueError("no room")

    lend, _ = cpython.lender(take, give, 0)
    with pytest.raises(KeyError, match="pending"):
        _raise_while_holding(lend(1 << 18))
    assert told == ["no room"]
    assert freed[0]() is None


def _raise_while_holding(lent):
    raise KeyError("pending")


def test_a_lender_that_gets_nothing_raises():
    def take(size):
        raise MemoryError("nothing left")

    lend, _ = cpython.lender(take, lambda block: None, 1 << 20)
    with pytest.raises(MemoryError, match="nothing left"):
        lend(1 << 18)


@pytest.mark.parametrize("step", [cpython.AS_NUMBER, cpython.NEW], ids=["number", "capsule"])
def test_a_lender_raises_where_there_is_no_room_for_a_small_object(step):
    lend, table = cpython.lender(lambda size: np.empty(size, np.uint8), lambda block: None, 1 << 20)
    table[step] = cpython.api("PyErr_NoMemory")
    with pytest.raises(MemoryError, match=r"^$"):
        lend(1 << 18)
