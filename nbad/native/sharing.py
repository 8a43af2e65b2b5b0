"""A launch in chunks that threads claim one by one: nobody waits for one that has not begun.

A barrier at the end of a launch, as OpenMP's, waits for every thread that was asked: for milliseconds where other processes keep
the cores busy. Here a helper finds the table of a launch in its slot, and takes it; its caller takes back what nobody took.
"""

import ctypes
import functools
import os

from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.codegen.host import host
from nbad.native.builder import I64, VOID, Code, Int

# the table of a shared launch; behind it, for each thread, how many of its chunks are claimed
WORK, LAUNCH, IDS, TILES, SEEDS, BY_SEED, CHUNKS, SCRATCH, SCRATCH_BYTES, THREADS, LEFT, CLAIMED = range(12)
FREE, BUSY = 0, -1  # what a slot holds but for the address of a table
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
    """`listen(slot, thread, rounds)`: take what is put into a slot, and help with it, until nothing was for so many rounds."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(_address("listen", _print_listen))


@functools.cache
def offer():
    """`offer(table, slots, number)`: put a launch into slots that are free.

    `slots` has their addresses, and behind these as many places, 0 at first, for the addresses of those into which it was put.
    """
    return ctypes.PYFUNCTYPE(None, *[ctypes.c_int64] * 3)(_address("offer", _print_offer))


@functools.cache
def finish():
    """`finish(table, slots, number, leave)`: compute a launch, as thread 0, together with those to whom it was offered.

    When it returns, all is done, and nobody will look at the table any more. `leave` is the address of what leaves the core to
    others.
    """
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(_address("finish", _print_finish))


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
    code.finish()
    return str(code.function.module)


def _print_listen():
    code = Code(ir.Module("listen"), "listen", 3, internal=False)
    slot, thread, rounds = code.parameters
    left = code.variable(rounds)
    with code.repeat(lambda: code.int(0) < code.read(left)):
        code.assign(left, code.read(left) - 1)
        table = _read(code, slot)
        with code.when(table.differs(FREE)), code.when(_exchanged(code, slot, table, code.int(BUSY))):
            _chunks(code, table, thread)
            _add_one(code, table + LEFT * 8)
            _write(code, slot, FREE)
            code.assign(left, rounds)
        _pause(code)
    code.finish()
    return str(code.function.module)


def _print_offer():
    code = Code(ir.Module("offer"), "offer", 3, internal=False)
    table, slots, number = code.parameters
    with code.loop(0, number) as k:
        slot = code.field(slots, k)
        code.store(slots + (number + k) * 8, code.select(_exchanged(code, slot, code.int(FREE), table), slot, 0))
    code.finish()
    return str(code.function.module)


def _print_finish():
    code = Code(ir.Module("finish"), "finish", 4, internal=False)
    table, slots, number, leave = code.parameters
    _chunks(code, table, code.int(0))
    taken, rounds = code.variable(0), code.variable(0)
    with code.loop(number, number + number) as k, code.when(code.field(slots, k).differs(0)):
        is_there = _exchanged(code, code.field(slots, k), table, code.int(FREE))
        code.assign(taken, code.select(is_there, code.read(taken), code.read(taken) + 1))
    with code.repeat(lambda: _read(code, table + LEFT * 8).differs(code.read(taken))):
        code.assign(rounds, code.read(rounds) + 1)
        _pause(code)
        with code.when(code.int(ROUNDS) < code.read(rounds)):
            code.call(leave)
    code.finish()
    return str(code.function.module)


def _chunks(code, table, thread):
    """Compute a thread's own chunks, of the tiles or of the seeds, and then what is left of those of others."""
    chunks, threads, by_seed = (code.field(table, f) for f in (CHUNKS, THREADS, BY_SEED))
    scratch = code.field(table, SCRATCH) + thread * code.field(table, SCRATCH_BYTES)
    with code.loop(0, threads) as step:
        other = thread + step
        owner = code.select(other < threads, other, other - threads)
        first, last = chunks * owner // threads, chunks * (owner + 1) // threads
        counter = table + (owner + CLAIMED) * 8
        claimed = code.variable(first + _add_one(code, counter))
        with code.repeat(lambda: code.read(claimed) < last):
            k, bounds = code.read(claimed), []
            for field, is_shared in ((TILES, by_seed.equals(0)), (SEEDS, by_seed.differs(0))):
                total = code.field(table, field)
                bounds += [code.select(is_shared, total * n // chunks, whole) for n, whole in ((k, 0), (k + 1, total))]
            code.call(code.field(table, WORK), code.field(table, LAUNCH), code.field(table, IDS), scratch, *bounds)
            code.assign(claimed, first + _add_one(code, counter))


def _place(code, address):
    return code.builder.inttoptr(address.value, I64.as_pointer())


def _read(code, address):
    return Int(code.builder, code.builder.load_atomic(_place(code, address), "acquire", 8))


def _write(code, address, value):
    code.builder.store_atomic(I64(value), _place(code, address), "release", 8)


def _add_one(code, address):
    """What was there before one was added to it."""
    return Int(code.builder, code.builder.atomic_rmw("add", _place(code, address), I64(1), "acq_rel"))


def _exchanged(code, address, old, new):
    """Whether `new` was put where `old` was."""
    pair = code.builder.cmpxchg(_place(code, address), old.value, new.value, "acq_rel", "acquire")
    return code.builder.extract_value(pair, 1)


def _pause(code):
    """Leave the core to its other thread, for some 20 ns, where it has one."""
    if host().triple.startswith("x86"):
        kind = ir.FunctionType(VOID, [])
        module = code.function.module
        code.builder.call(module.globals.get("llvm.x86.sse2.pause") or ir.Function(module, kind, "llvm.x86.sse2.pause"), [])
