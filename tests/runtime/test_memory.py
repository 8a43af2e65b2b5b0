"""The pool: memory comes back when nobody holds it, never before, and never beyond the bound."""

import itertools
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nbad
from nbad import forks
from nbad.native import cpython
from nbad.runtime import memory

DOUBLE = np.dtype(float)
BIG = memory.SMALLEST // 8 * 4


@pytest.fixture(autouse=True)
def own_pool(monkeypatch):
    mine = memory.Pool(1 << 24)
    monkeypatch.setattr(memory, "POOL", mine)
    monkeypatch.setattr(memory.Lease.__del__, "__defaults__", (mine.give,))
    return mine


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_recycled_when_the_array_is_gone():
    first = memory.empty((BIG,), DOUBLE)
    place = address(first)
    del first
    assert address(memory.empty((BIG,), DOUBLE)) == place


FAULTS = """
import resource
import numpy as np
import nbad

@nbad.kernel
def powers(x):
    return x, x * x, x * x * x, x + 1.0, x - 1.0, 2.0 * x

x = np.ones(16_000)
faults = []
for _ in range(20):
    powers(x)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[9])
"""


def test_results_that_malloc_would_give_back_to_the_system_are_recycled_too(run_python):
    # of 128,000 bytes each: some 155 pages came anew at each call
    assert int(run_python(FAULTS)) < 100


@pytest.mark.parametrize("n", [100, 5_000, 100_000, 3_000_000])
def test_results_can_be_made_writeable_again(n):
    x = np.ones(n)
    value, pullback = nbad.vjp(nbad.kernel(lambda x: x * x), x)
    for result in (value, *pullback(x), memory.empty((n,), DOUBLE)):
        result.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            result[0] = 7.0
        result.flags.writeable = True
        result[0] = 7.0
        assert result[0] == 7.0


def test_memory_is_kept_while_a_view_lives(collect):
    first = memory.empty((2, BIG), DOUBLE)
    view = first[1, ::2]
    view[...] = 7.0
    del first
    collect()
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
        assert own_pool.waiting == sum(block.nbytes for blocks in own_pool.blocks.values() for block in blocks)


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
    array = memory.empty((BIG + 3,), DOUBLE, is_exact=True)
    place = address(array)
    del array
    assert own_pool.waiting == 8 * (BIG + 3)
    assert address(memory.empty((BIG + 3,), DOUBLE, is_exact=True)) == place


def broken_off(call, at, room=memory):
    """Whether `call` was interrupted, at the operation of such a number in a room, that of the pool."""
    left = at

    def watch(frame, event, _):
        nonlocal left
        frame.f_trace_opcodes = frame.f_code.co_filename == room.__file__
        left -= event == "opcode"
        if left < 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return watch

    sys.settrace(watch)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("waiting", [0, 1, 3])
@pytest.mark.parametrize("what", ["take", "give"])
def test_a_pool_serves_after_an_interrupt_at_any_place(what, waiting):
    size = 1 << 18
    for at in itertools.count():
        pool = memory.Pool(2 * size)
        for block in [pool.take(size) for _ in range(waiting)]:
            pool.give(block)
        given = (size,) if what == "take" else (pool.take(size),)
        was_early = broken_off(lambda pool=pool, given=given: getattr(pool, what)(*given), at)
        blocks = [pool.take(size) for _ in range(4)]
        assert len({address(block) for block in blocks}) == 4
        for block in blocks:
            pool.give(block)
        assert pool.waiting <= pool.limit
        if not was_early:
            break
    assert at > 5


def test_a_lease_that_was_interrupted_returns_nothing(own_pool):
    lease = memory.Lease.__new__(memory.Lease)
    del lease
    assert own_pool.waiting == 0


def test_what_compiled_code_lent_returns_and_is_lent_again(own_pool):
    first, second = own_pool.lend(8 * BIG), own_pool.lend(8 * BIG + 1)
    assert own_pool.waiting == 0
    del first, second
    assert own_pool.waiting == 8 * BIG + memory.rounded(8 * BIG + 1)
    places = {address(block) for block in cpython.emptied(own_pool._lends)}
    assert len(places) == 2
    assert own_pool.waiting == 0


def test_of_two_that_make_what_lends_at_once_one_is_kept_with_its_table(own_pool, monkeypatch):
    lender = cpython.lender

    def overtaken(*given):
        monkeypatch.setattr(cpython, "lender", lender)
        made = lender(*given)
        assert own_pool.lend  # what another thread, or a finalizer, does meanwhile
        return made

    monkeypatch.setattr(cpython, "lender", overtaken)
    lent = own_pool.lend(8 * BIG)
    del lent
    assert own_pool.waiting == 8 * BIG


def test_what_waits_near_compiled_code_is_found_by_others_and_freed(own_pool):
    del_me = own_pool.lend(8 * BIG)
    del del_me
    array = memory.empty((BIG,), DOUBLE)
    assert own_pool.waiting == 0
    del array
    lent = [own_pool.lend(8 * BIG) for _ in range(40)]
    del lent
    assert 0 < own_pool.waiting <= own_pool.limit
    own_pool.clear()
    assert own_pool.waiting == 0


def test_no_interrupt_loses_what_waits_near_compiled_code():
    for at in itertools.count():
        made = []

        def take(size, made=made):
            block = np.empty(size, np.uint8)
            made.append(weakref.ref(block))
            return block

        lend, table = cpython.lender(take, lambda block: None, 1 << 20)
        lent = [lend(1 << 18) for _ in range(3)]
        del lent
        was_early = broken_off(lambda table=table: cpython.emptied(table), at, cpython)
        cpython.emptied(table)
        assert table[cpython.ROOM] == 1 << 20
        assert [block() for block in made] == [None] * 3
        if not was_early:
            break
    assert at > 5


def test_a_pool_that_keeps_nothing_lends_all_the_same():
    pool = memory.Pool(0)
    lent = [pool.lend(1 << 18) for _ in range(3)]
    assert len(lent) == 3
    del lent
    assert pool.waiting == 0


V2 = {
    "proc/self/cgroup": "0::/user/job\n",
    "group/user/memory.max": "1000000000\n",
    "group/user/memory.current": "400000000\n",
    "group/user/memory.stat": "anon 1\ninactive_file 50000000\n",
    "group/user/job/memory.max": "max\n",
    "group/user/job/memory.current": "300000000\n",
}
V1 = {
    "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n",  # the container sees its own part as the root
    "group/memory/memory.limit_in_bytes": "1000000000\n",
    "group/memory/memory.usage_in_bytes": "400000000\n",
    "group/memory/memory.stat": "inactive_file 7\ntotal_inactive_file 50000000\n",
}
UNBOUNDED = V1 | {"group/memory/memory.limit_in_bytes": "9223372036854771712\n"}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 4 GB, of which 3 GB are available, with these files."""

    def pretend(files):
        files = {"proc/meminfo": "MemTotal: 4000000 kB\nMemFree: 7 kB\nMemAvailable: 3000000 kB\n"} | files
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
        monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path / "group")
        memory._groups.cache_clear()

    yield pretend
    memory._groups.cache_clear()


@pytest.mark.parametrize("files", [V2, V1], ids=["v2", "v1"])
def test_the_limit_of_a_container_counts(machine, files):
    machine(files)
    assert list(memory.limits())[1:] == [memory.Limit(1_000_000_000, 650_000_000)]
    assert memory.available() == 650_000_000
    with pytest.raises(MemoryError, match="650,000,000 bytes available"):
        memory.require("`f(x)`", 700_000_000, "")


@pytest.mark.parametrize("files", [{}, UNBOUNDED, {"proc/self/cgroup": "0::/\n"}], ids=["none", "boundless", "no files"])
def test_without_a_limit_the_machine_counts(machine, files):
    machine(files)
    assert list(memory.limits()) == [memory.Limit(4_000_000 << 10, 3_000_000 << 10)]


def test_a_machine_that_tells_nothing(machine, own_pool, monkeypatch):
    machine({"proc/meminfo": ""})
    assert memory.available() == 8 * own_pool.limit


def test_what_waits_goes_back_where_memory_gets_scarce(own_pool, monkeypatch):
    monkeypatch.setattr(memory, "FASTEST", 1e30)
    monkeypatch.setattr(memory, "left", lambda: 5 * 8 * BIG)
    arrays = [memory.empty((size,), DOUBLE) for size in (BIG, 2 * BIG)]
    del arrays
    assert own_pool.waiting == 3 * 8 * BIG
    monkeypatch.setattr(memory, "left", lambda: 2 * 8 * BIG)
    array = memory.empty((3 * BIG,), DOUBLE)
    assert own_pool.waiting == 0
    del array
    assert own_pool.waiting == 0


def test_the_pool_looks_what_is_left_when_more_waits_and_not_for_what_goes_round(own_pool, monkeypatch):
    looks = []
    monkeypatch.setattr(memory, "FASTEST", 1e-30)
    monkeypatch.setattr(memory, "MUCH", 4 * 8 * BIG)
    monkeypatch.setattr(memory, "left", lambda: looks.append(own_pool.waiting) or 1 << 40)
    for _ in range(20):
        memory.empty((2 * BIG,), DOUBLE)
    assert looks == [0]
    arrays = [memory.empty((BIG,), DOUBLE) for _ in range(2)]
    del arrays
    assert looks == [0, 4 * 8 * BIG]


def test_the_system_is_not_asked_where_enough_waits(own_pool, monkeypatch):
    array = memory.empty((BIG,), DOUBLE)
    del array
    monkeypatch.setattr(memory, "CAREFUL", 0)
    monkeypatch.setattr(memory, "left", lambda: -(1 << 40))
    memory.require("`f(x)`", 8 * BIG, "")
    with pytest.raises(MemoryError, match=f"needs {8 * BIG + 1:,} bytes"):
        memory.require("`f(x)`", 8 * BIG + 1, "")


def test_memory_is_released_by_a_call(own_pool):
    array = memory.empty((BIG,), DOUBLE)
    del array
    assert nbad.release_memory() == 8 * BIG
    assert own_pool.waiting == 0
    assert nbad.release_memory() == 0


LIMITED = """
import resource
import numpy as np

def limit(more):
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    return size
"""


def test_the_limit_of_the_process_bounds_the_pool(run_python):
    code = LIMITED + "import numba; size = limit(1 << 31); from nbad.runtime.memory import POOL; print(POOL.limit, size // 8)"
    bound, expected = run_python(code, NBAD_POOL_BYTES="").split()
    assert bound == expected


@pytest.mark.slow
def test_numpy_finds_room_where_the_pool_held_more_than_was_left(run_python):
    code = (
        LIMITED
        + """
import nbad
from nbad import forks
from nbad.native import cpython
from nbad.runtime.memory import POOL
f = nbad.kernel(lambda x: x * x)
x = np.ones(1 << 21)
f(x)
limit(1 << 30)
kept = [f(x) for _ in range(40)]  # 640 MiB
del kept
print(np.ones(60 << 20).sum(), POOL.waiting < 640 << 20)
try:
    f(np.broadcast_to(1.0, 1 << 29))
except MemoryError as error:
    print(type(error).__name__)
"""
    )
    assert run_python(code, NBAD_POOL_BYTES=str(1 << 31)).split() == ["62914560.0", "True", "NotEnoughMemoryError"]


def test_to_ask_for_limits_waits_for_nobody_who_loads_modules():
    """A finalizer asks, wherever a thread is: inside an import, too, for which the other one waits."""
    with ThreadPoolExecutor(1) as pool, forks.IMPORTS:
        assert pool.submit(lambda: list(memory.limits())).result(timeout=5)
