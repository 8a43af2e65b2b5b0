"""A launch in chunks that threads claim one by one: nobody waits for one that has not begun.

A barrier at the end of a launch, as OpenMP's, waits for every thread that was asked: for milliseconds where other processes keep
the cores busy. Here a helper finds the table of a launch in its slot, and takes it; its caller takes back what nobody took.
Neither asks for the interpreter's lock: who has it may share a launch, too.
"""

import ctypes
import functools
import os

from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.codegen.host import LINE, host
from nbad.native.builder import I64, VOID, Code, Int

# the table of a shared launch; behind it, for each thread, how many of its chunks are claimed
WORK, LAUNCH, IDS, TILES, SEEDS, BY_SEED, CHUNKS, SCRATCH, SCRATCH_BYTES, THREADS, LEFT, CLAIMED = range(12)
# a team: how many helpers there are, for how many rounds each of them listens behind a launch, and functions of the system;
# behind it the helpers, a cache line each
HELPERS, LISTENS, ACQUIRE, RELEASE, LEAVE, OWN_CORE, GET_CORES, SET_CORES, HEADER = range(9)
SLOT, BELL, THREAD = range(3)  # a helper: the bell is a lock that it waits for while it sleeps
FREE, BUSY, ASLEEP = 0, -1, -2  # what a slot holds but for the address of a table
MOST_CORES = 1024  # that a mask of cores has bits for
CHUNKS_EACH = 8  # for each thread
ROUNDS = 2_000  # some 40 us, after which a caller that waits for others leaves its core to them


@functools.cache
def share():
    """Address of `share(table, thread)`: compute chunks until all are claimed, one's own first.

    The same thread then has the same elements in its caches, from launch to launch.

    Examples
    --------
    >>> share() != 0
    True
    """
    return _address("share", _print_share)


@functools.cache
def listen():
    """`listen(team, thread)`: the life of a helper, which takes what is put into its slot, and sleeps where that is nothing."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2)(_address("listen", _print_listen))


@functools.cache
def together():
    """Address of `together(table, team)`: compute a launch, as thread 0, together with the helpers that are free.

    When it returns, all is done, and nobody will look at the table any more.
    """
    return _address("together", _print_together)


@functools.cache
def leave():
    """Address of a C function that leaves the core to other threads."""
    function = ctypes.CDLL("kernel32").SwitchToThread if os.name == "nt" else ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value


def _address(name, make):
    return compile_lasting(text_of(f"{name} {host().triple}", make), name)


def _print_share():
    code = Code(ir.Module("share"), "share", 2, internal=False)
    _chunks(code, *code.parameters)
    return code.text()


def _print_listen():
    code = Code(ir.Module("listen"), "listen", 2, internal=False)
    team, thread = code.parameters
    helper, left = _helper(team, thread), code.variable(1)
    with code.repeat(lambda: code.int(0).equals(0)):
        with code.repeat(lambda: code.int(0) < left):
            left.set(left - 1)
            table = code.shared(helper)
            with code.when(table.differs(FREE)), code.when(_exchanged(code, helper, table, code.int(BUSY))):
                _chunks(code, table, thread)
                left.set(code.field(team, LISTENS))
                # before its caller may go on, and come with the next launch
                code.builder.store_atomic(I64(FREE), code.pointer(helper), "release", 8)
                code.add(table + LEFT * 8, 1)
            _pause(code)
        with code.when(_exchanged(code, helper, code.int(FREE), code.int(ASLEEP))):
            code.call(code.field(team, ACQUIRE), code.field(helper, BELL), 1)
        left.set(1)
    return code.text()


def _print_together():
    code = Code(ir.Module("together"), "together", 2, internal=False)
    table, team = code.parameters
    most = code.smaller(code.field(table, THREADS), code.field(table, CHUNKS)) - 1
    number, taken, rounds = code.smaller(most, code.field(team, HELPERS)), code.variable(0), code.variable(0)
    offered, cores = code.stack(number * 8), code.stack(MOST_CORES // 8)
    with code.loop(0, number) as k:
        helper = _helper(team, k + 1)
        is_offered = _exchanged(code, helper, code.int(FREE), table)
        code.put(offered, k, code.select(is_offered, 1, 0))
        # once only: while this thread waits for a core, a helper may compute all there is, be counted, and fall asleep
        with code.when(~is_offered), code.when(_exchanged(code, helper, code.int(ASLEEP), table)):
            code.put(offered, k, 1)
            _move_away(code, team, code.field(helper, THREAD), cores)
            code.call(code.field(team, RELEASE), code.field(helper, BELL))
    _chunks(code, table, code.int(0))
    with code.loop(0, number) as k, code.when(code.field(offered, k).differs(0)):
        is_there = _exchanged(code, _helper(team, k + 1), table, code.int(FREE))
        taken.set(code.select(is_there, taken, taken + 1))
    with code.repeat(lambda: code.shared(table + LEFT * 8).differs(taken)):
        rounds.set(rounds + 1)
        _pause(code)
        with code.when(code.int(ROUNDS) < rounds):
            code.call(code.field(team, LEAVE))
    return code.text()


def _helper(team, thread):
    """Address of a helper, and of its slot; threads are numbered from the caller on, which is 0."""
    return team + thread * LINE


def _move_away(code, team, thread, cores):
    """Let a thread go on elsewhere than on this one's core, where the system lets threads be moved; `cores` is room for a mask.

    Linux wakes it there, and it waits until that core is free: after a pause of 20 ms a launch of 3 ms took 1.07 to 0.8 of one
    thread's time, and 0.6 so.
    """
    size, any_core = MOST_CORES // 8, code.variable(0)
    with code.when(code.field(team, OWN_CORE).differs(0)):
        with code.loop(0, size // 8) as k:
            code.put(cores, k, 0)
        code.call(code.field(team, GET_CORES), 0, size, cores)
        own = code.call(code.field(team, OWN_CORE)) & (MOST_CORES - 1)
        place = cores + (own >> 6) * 8
        bit = code.int(1) << (own & 63)
        code.store(place, code.load(place) - (code.load(place) & bit))
        any_core.set(0)
        with code.loop(0, size // 8) as k:
            any_core.set(any_core | code.field(cores, k))
        with code.when(any_core.differs(0)):
            code.call(code.field(team, SET_CORES), thread, size, cores)


def _chunks(code, table, thread):
    """Compute a thread's own chunks, of the tiles or of the seeds, and then what is left of those of others."""
    chunks, threads, by_seed = (code.field(table, f) for f in (CHUNKS, THREADS, BY_SEED))
    scratch = code.field(table, SCRATCH) + thread * code.field(table, SCRATCH_BYTES)
    with code.loop(0, threads) as step:
        other = thread + step
        owner = code.select(other < threads, other, other - threads)
        first, last = chunks * owner // threads, chunks * (owner + 1) // threads
        counter = table + (owner + CLAIMED) * 8
        claimed = code.variable(first + code.add(counter, 1))
        with code.repeat(lambda: claimed < last):
            k, bounds = claimed.now(), []
            for field, is_shared in ((TILES, by_seed.equals(0)), (SEEDS, by_seed.differs(0))):
                total = code.field(table, field)
                bounds += [code.select(is_shared, total * n // chunks, whole) for n, whole in ((k, 0), (k + 1, total))]
            code.call(code.field(table, WORK), code.field(table, LAUNCH), code.field(table, IDS), scratch, *bounds)
            claimed.set(first + code.add(counter, 1))


def _exchanged(code, address, old, new):
    """Whether `new` was put where `old` was."""
    pair = code.builder.cmpxchg(code.pointer(address), old.value, new.value, "acq_rel", "acquire")
    return Int(code.builder, code.builder.extract_value(pair, 1))


def _pause(code):
    """Leave the core to its other thread, for some 20 ns, where it has one."""
    if host().triple.startswith("x86"):
        code.intrinsic("llvm.x86.sse2.pause", VOID)
