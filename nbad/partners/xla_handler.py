"""The handler of XLA's custom calls: one function for all kernels, printed as LLVM IR, that reads XLA's call frame.

A call has the frame and a table that Python packs, which says what is to be run and which buffers it was packed for. A frame
with others is refused with an error of XLA's. The worker (`nbad.native.worker`) then runs on XLA's own memory. Long calls are
shared with XLA's threads: the tasks that are scheduled claim chunks, as in `nbad.native.sharing`, and nobody waits for one that
has not begun. The offsets are those of the structs in `xla/ffi/api/c_api.h`.
"""

import ctypes
import functools
import os

import numpy as np
from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.codegen.host import host
from nbad.native import sharing
from nbad.native.builder import I32, I64, Code, Int
from nbad.native.cpython import DATA

# the table
WORK, LAUNCH, SCRATCH_BYTES, TILES, IS_LONG, SHARE, MALLOC, FREE, LEAVE = range(9)
MAJOR, MINOR, DTYPE, ARGS, RETS, WRONG_COUNT, WRONG_DTYPE, WRONG_SHAPE, NO_MEMORY, BUFFERS = range(9, 19)
# offsets in bytes
FRAME = dict(extension=8, api=16, ctx=24, args=56, arg_list=72, rets=96, ret_list=112)
EXTENSION = dict(type=8, metadata=24)
METADATA = dict(major=24, minor=28, traits=32)
BUFFER = dict(dtype=16, data=24, rank=32, dims=40)
API = dict(create_error=48, destroy_error=64, schedule=136, threads=144)
INVALID_ARGUMENT = 3
# a shared call: who still holds it, how many tasks have begun, the table of `nbad.native.sharing`, and the records of the tasks
HOLDERS, BEGUN, SHARED = range(3)
BLOCK, THREAD, TABLE, RECORD = range(4)


def address() -> int:
    """Of `handle(frame, table)`, which returns an error of XLA's, or 0."""
    return compile_lasting(text_of(f"xla handler {DATA} {host().triple}", _print), "handle")


def bound(table: np.ndarray) -> int:
    """Address of the handler of one table; it is loaded for good, and so must be what the table names."""
    code = Code(ir.Module("handler"), "handler", 1, internal=False, returns=I64)
    found = code.call(code.int(address()), *code.parameters, code.int(table.ctypes.data))
    code.finish(found)
    return compile_lasting(str(code.function.module), "handler", is_kept=False)


@functools.cache
def system() -> dict[int, int]:
    """The addresses of the functions that every table names."""
    library = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
    malloc, free = (ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (library.malloc, library.free))
    return {SHARE: sharing.share(), MALLOC: malloc, FREE: free, LEAVE: sharing.leave() or 0}


def _print() -> str:
    module = ir.Module("xla")
    task = _task(Code(module, "task", 1))
    code = Code(module, "handle", 2, internal=False, returns=I64)
    frame, table = code.parameters
    answer, is_query, fault = code.variable(0), code.variable(0), code.variable(0)
    extension = code.load(frame + FRAME["extension"])
    with code.when(extension.differs(0)), code.when(_half(code, extension + EXTENSION["type"]).equals(1)):
        _answer_query(code, code.load(extension + EXTENSION["metadata"]), table)
        is_query.set(1)
    with code.when(is_query.equals(0)):
        _check(code, frame, table, fault)
        with code.when(fault.equals(0)), code.when(code.field(table, TILES).differs(0)):
            _run(code, frame, table, task, fault)
        with code.when(fault.differs(0)):
            answer.set(_error(code, frame, fault))
    code.finish(answer)
    return str(module)


def _half(code: Code, address: Int) -> Int:
    """An int32."""
    return Int(code.builder, code.builder.sext(code.load(address, I32), I64))


def _put_half(code: Code, address: Int, value: Int) -> None:
    code.store(address, code.builder.trunc(value.value, I32), I32)


def _answer_query(code: Code, metadata: Int, table: Int) -> None:
    """Tell XLA for which version of its interface the handler is made."""
    for name, value in (("major", code.field(table, MAJOR)), ("minor", code.field(table, MINOR)), ("traits", code.int(0))):
        _put_half(code, metadata + METADATA[name], value)


def _buffer(code: Code, frame: Int, table: Int, k: Int) -> Int:
    """The argument, or behind these the result, of a number."""
    args = code.field(table, ARGS)
    of_args = code.load(frame + FRAME["arg_list"]) + k * 8
    of_rets = code.load(frame + FRAME["ret_list"]) + (k - args) * 8
    return code.load(code.select(k < args, of_args, of_rets))


def _check(code: Code, frame: Int, table: Int, fault: ir.Value) -> None:
    """Compare numbers, dtypes and shapes of the buffers with those that the table was packed for."""

    def must_be(found: Int, wanted: Int, text: int) -> None:
        with code.when(found.differs(wanted)):
            fault.set(code.field(table, text))

    args, rets = code.field(table, ARGS), code.field(table, RETS)
    must_be(code.load(frame + FRAME["args"]), args, WRONG_COUNT)
    must_be(code.load(frame + FRAME["rets"]), rets, WRONG_COUNT)
    with code.when(fault.equals(0)):
        place = code.variable(table + BUFFERS * 8)
        with code.loop(0, args + rets) as k:
            buffer, wanted = _buffer(code, frame, table, k), place
            must_be(_half(code, buffer + BUFFER["dtype"]), code.field(table, DTYPE), WRONG_DTYPE)
            rank = code.load(wanted)
            must_be(code.load(buffer + BUFFER["rank"]), rank, WRONG_SHAPE)
            with code.when(code.load(buffer + BUFFER["rank"]).equals(rank)), code.loop(0, rank) as d:
                must_be(code.field(code.load(buffer + BUFFER["dims"]), d), code.field(wanted, d + 1), WRONG_SHAPE)
            place.set(wanted + (rank + 1) * 8)


def _run(code: Code, frame: Int, table: Int, task: Code, fault: ir.Value) -> None:
    """Run the launch, alone or with others."""
    count = code.field(table, ARGS) + code.field(table, RETS)
    ids = code.stack(count * 8)  # the worker finds data in Python's array objects, so many bytes from their beginning
    with code.loop(0, count) as k:
        code.put(ids, k, _buffer(code, frame, table, k) + (BUFFER["data"] - DATA))
    threads = code.variable(1)
    with code.when(code.field(table, IS_LONG).differs(0)):
        threads.set(_threads(code, frame))
    fixed = (SHARED + sharing.CLAIMED) * 8 + 64
    each = code.field(table, SCRATCH_BYTES) + (1 + RECORD) * 8
    block = code.call(code.field(table, MALLOC), each * threads + fixed)
    with code.when(block.equals(0)):
        fault.set(code.field(table, NO_MEMORY))
    with code.when(block.differs(0)):
        _share(code, frame, table, task, block, ids, threads)


def _share(code: Code, frame: Int, table: Int, task: Code, block: Int, ids: Int, threads: Int) -> None:
    """Compute the launch in a block of memory, together with those tasks that begin in time."""
    shared = block + SHARED * 8
    records = shared + (threads + sharing.CLAIMED) * 8
    scratch, tiles = records + threads * (RECORD * 8) + 63 & -64, code.field(table, TILES)
    fields = {
        sharing.WORK: code.field(table, WORK), sharing.LAUNCH: code.field(table, LAUNCH), sharing.IDS: ids,
        sharing.TILES: tiles, sharing.SEEDS: code.int(1), sharing.BY_SEED: code.int(0),
        sharing.CHUNKS: code.smaller(tiles, threads * sharing.CHUNKS_EACH), sharing.SCRATCH: scratch,
        sharing.SCRATCH_BYTES: code.field(table, SCRATCH_BYTES), sharing.THREADS: threads, sharing.LEFT: code.int(0),
    }  # fmt: skip
    for field, value in fields.items():
        code.put(shared, field, value)
    with code.loop(0, threads) as k:
        code.put(shared, k + sharing.CLAIMED, 0)
    code.put(block, HOLDERS, threads)
    code.put(block, BEGUN, 0)
    with code.loop(1, threads) as k:
        record = records + k * (RECORD * 8)
        for field, value in {BLOCK: block, THREAD: k, TABLE: table}.items():
            code.put(record, field, value)
        _schedule(code, frame, table, task, record)
    code.call(code.field(table, SHARE), shared, 0)
    _wait(code, table, block)
    _release(code, table, block)


def _wait(code: Code, table: Int, block: Int) -> None:
    """Until all tasks that have begun are done: all chunks are claimed, so that later ones find nothing to do."""
    rounds = code.variable(0)

    def is_anybody_there():
        begun = code.shared(block + BEGUN * 8)
        return code.shared(block + (SHARED + sharing.LEFT) * 8).differs(begun)

    with code.repeat(is_anybody_there):
        rounds.set(rounds + 1)
        with code.when(code.int(sharing.ROUNDS) < rounds):
            code.call(code.field(table, LEAVE))


def _task(code: Code) -> Code:
    """One task: claim chunks until there are none."""
    (record,) = code.parameters
    block, table = code.field(record, BLOCK), code.field(record, TABLE)
    code.add(block + BEGUN * 8, 1)
    code.call(code.field(table, SHARE), block + SHARED * 8, code.field(record, THREAD))
    code.add(block + (SHARED + sharing.LEFT) * 8, 1)
    _release(code, table, block)
    return code.finish()


def _release(code: Code, table: Int, block: Int) -> None:
    """Hold a block no longer; the last one frees it."""
    with code.when(code.add(block + HOLDERS * 8, -1).equals(1)):
        code.call(code.field(table, FREE), block)


def _threads(code: Code, frame: Int) -> Int:
    """How many threads XLA has; 1 where it does not say."""
    found = code.listed([1])
    args = code.listed([32, 0, code.load(frame + FRAME["ctx"]), found])
    _destroy(code, frame, _api(code, frame, "threads", args))
    return code.select(code.load(found) < 1, 1, code.load(found))


def _schedule(code: Code, frame: Int, table: Int, task: Code, record: Int) -> None:
    """Let a thread of XLA's run a task; where it will not, nobody holds the block for it."""
    function = Int(code.builder, code.builder.ptrtoint(task.function, I64))
    args = code.listed([40, 0, code.load(frame + FRAME["ctx"]), function, record])
    error = _api(code, frame, "schedule", args)
    with code.when(error.differs(0)):
        _release(code, table, code.field(record, BLOCK))
    _destroy(code, frame, error)


def _error(code: Code, frame: Int, text: Int) -> Int:
    """An error of XLA's with a text."""
    args = code.listed([28, 0, text, INVALID_ARGUMENT])
    return _api(code, frame, "create_error", args)


def _destroy(code: Code, frame: Int, error: Int) -> None:
    with code.when(error.differs(0)):
        code.call(code.load(code.load(frame + FRAME["api"]) + API["destroy_error"]), code.listed([24, 0, error]))


def _api(code: Code, frame: Int, name: str, args: Int) -> Int:
    """Call a function of XLA's, which returns an error or 0."""
    return code.call(code.load(code.load(frame + FRAME["api"]) + API[name]), args)
