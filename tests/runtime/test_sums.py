"""Sums over broadcast axes are those of the tree that is documented, bit for bit, whatever is summed together."""

import itertools

import numpy as np
import pytest

import nbad
from nbad.runtime import block_sums, reverse
from nbad.runtime.block_sums import sum_to
from nbad.runtime.slabs import Region

SHAPES = [(3, 5), (7, 300), (300, 7), (40, 513), (2, 3, 200), (31, 33, 4), (1000, 3), (5, 1, 600), (9, 1100), (6, 3, 70)]


def by_the_tree(values, numbers):
    """One sum: blocks of 256 elements first, then neighbours of an aligned binary tree; `numbers` are those of the elements."""
    sums = {}
    for value, number in zip(values, numbers, strict=True):
        sums[number // 256] = sums.get(number // 256, 0.0) + float(value)
    while len(sums) > 1:
        above = {}
        for block, total in sums.items():
            above[block // 2] = above[block // 2] + total if block // 2 in above else total
        sums = above
    return next(iter(sums.values()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_way_to_sum_along_some_axes(shape, dtype, rng):
    rows = rng.standard_normal((2, *shape)).astype(dtype)
    numbers = np.arange(rows[0].size).reshape(shape)
    for kept in itertools.product((False, True), repeat=len(shape)):
        own = tuple(size if keeps else 1 for size, keeps in zip(shape, kept, strict=True))
        if np.prod(own) in (1, numbers.size):
            continue
        found = sum_to(rows.reshape(2, -1), Region.whole(shape), own).reshape(2, *own)
        for row, place in itertools.product(range(2), np.ndindex(*own)):
            part = tuple(k if keeps else slice(None) for k, keeps in zip(place, kept, strict=True))
            assert found[(row, *place)] == by_the_tree(rows[(row, *part)].ravel(), numbers[part].ravel())


def test_sums_along_whatever_axes_are_the_same_compiled_code():
    """Numba compiles anew for arrays in F order, which takes a second each time."""
    shape = 3, 4, 5, 6, 7
    for kept in itertools.product((False, True), repeat=len(shape)):
        own = tuple(size if keeps else 1 for size, keeps in zip(shape, kept, strict=True))
        _, *axes = block_sums._axes(Region.whole(shape), own)
        assert all(array.flags.c_contiguous for pair in axes for array in pair)


def test_a_slab_of_one_index_keeps_no_axis(monkeypatch, rng):
    """Python sees what compiled code reads behind the ends of arrays."""
    monkeypatch.setattr(block_sums, "_add_axes", block_sums._add_axes.py_func)
    rows, whole = rng.standard_normal((2, 300)), Region.whole((3, 300))
    for at in range(3):
        found = sum_to(rows, whole.slab(0, slice(at, at + 1)), (1, 1))
        numbers = np.arange(at * 300, (at + 1) * 300)
        assert [total for (total,) in found] == [by_the_tree(row, numbers) for row in rows]


@pytest.mark.parametrize(
    ("shape", "axis", "part"),
    [
        ((9, 3, 300), 0, slice(2, 7)),
        ((9, 3, 300), 1, slice(1, 3)),
        ((9, 3, 300), 2, slice(50, 115)),
        ((9, 70, 3), 2, slice(1, 2)),
    ],
)
def test_slabs_whose_neighbours_are_summed_together(shape, axis, part, monkeypatch, rng):
    monkeypatch.setattr(block_sums, "_add_rows", block_sums._add_rows.py_func)
    numbers = np.arange(np.prod(shape)).reshape(shape)[(slice(None),) * axis + (part,)]
    region = Region.whole(shape).slab(axis, part)
    rows = rng.standard_normal((2, *region.shape))
    for own in [(1, 1, region.shape[2]), (1, *region.shape[1:]), (region.shape[0], 1, region.shape[2])]:
        found = sum_to(rows.reshape(2, -1), region, own).reshape(2, *own)
        for row, place in itertools.product(range(2), np.ndindex(*own)):
            of_one = tuple(k if size > 1 else slice(None) for k, size in zip(place, own, strict=True))
            assert found[(row, *place)] == by_the_tree(rows[(row, *of_one)].ravel(), numbers[of_one].ravel())


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_seeds_whose_sums_take_turns(count, accumulate, rng, monkeypatch):
    """In the caches there is room for some of them."""
    x, y, seeds = rng.standard_normal((40, 1)), rng.standard_normal(300), rng.standard_normal((count, 40, 300))
    _, pullback = nbad.vjp(nbad.kernel(lambda x, y: x * np.sin(y)), x, y)
    each, found = [pullback(seed) for seed in seeds], []
    for seeds_at_once in (5, 2, 1):
        monkeypatch.setattr(reverse, "NEAR", seeds_at_once * 2 * 8 * 40 * 300)
        out = np.ones((count, 40, 1)), np.ones((count, 300))
        found.append(pullback.batched(seeds, out=out, accumulate=accumulate))
    for dx, dy in found:
        for k, (one_x, one_y) in enumerate(each):
            assert np.array_equal(dx[k], one_x + accumulate)
            assert np.array_equal(dy[k], one_y + accumulate)


@pytest.mark.parametrize(("dtype", "size", "n"), [("float32", 30, 130_000), ("float64", 28, 72_000)])
def test_sums_of_many_blocks_have_room_in_a_thread_with_a_small_stack(dtype, size, n, run_python):
    """Those of 30 numbers in float32 took twice the bytes that scratch on the stack may have, and in float64 as many as it."""
    code = f"""
import threading
import numpy as np, nbad

@nbad.kernel(signature="({size}),()->()")
def summed(a, x):
    return sum([p * x if k % 2 else p for k, p in enumerate(a)])

def sweep():
    for n in (300, {n}):
        x = np.ones(n, np.{dtype})
        _, pullback = nbad.vjp(summed, np.ones({size}, np.{dtype}), x)
        found.append(float(pullback(x)[0].sum()))

found = []
sweep()
threading.stack_size(1 << 17)
thread = threading.Thread(target=sweep)
thread.start()
thread.join()
print(*found)
"""
    assert run_python(code).split() == [f"{size * 300}.0", f"{size * n}.0"] * 2
