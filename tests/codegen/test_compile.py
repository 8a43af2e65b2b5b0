"""Machine code: right, of one width, compiled once, loaded from disk, safe from threads; and Numba's functions on disk."""

import importlib
import re
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.tiles_by_hand import ENTRY, compile_tile, edges, graph_of, pairs, run_tile, same_bits, ulps

from nbad.codegen import compile, disk, numba_cache
from nbad.codegen.compile import TileKernel
from nbad.codegen.host import host
from nbad.codegen.lower import lower
from nbad.codegen.numba_cache import cached_njit
from nbad.codegen.vector_ir import print_ir
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.graphs.simplify import simplify
from nbad.operations.table import ROWS, TABLE

REGISTERS = {"e": "zmm", "d": "ymm", "c": "ymm", "b": "xmm", "n": "v"}
ROUNDED = {name for name in TABLE if any(node.op in TABLE and TABLE[node.op].is_call for node in lower(graph_of(name)).nodes)}
FASTER_MODULE = """
import numba
import numpy as np

from nbad.codegen.numba_cache import cached_njit

{constant}


@cached_njit(parallel=True, error_model="numpy", nogil=True)
def scaled(x, out):
    for k in numba.prange(x.size):
        out[k] = FACTOR * one(x[k])


@cached_njit(error_model="numpy")
def one(x):
    return x + 1.0
"""
RUN_MODULE = """
import numpy as np
import drive_a as module

out = np.empty(3)
module.scaled(np.arange(3.0), out)
print(out.tolist(), sum(module.scaled.stats.cache_hits.values()), sum(module.scaled.stats.cache_misses.values()))
"""
FORKED = """
import os, signal, threading
import numpy as np
import nbad
from numba.core.compiler_lock import global_compiler_lock

taken, done = threading.Event(), threading.Event()

def hold():
    with global_compiler_lock:
        taken.set()
        done.wait()

thread = threading.Thread(target=hold)
thread.start()
taken.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    cube = nbad.kernel(lambda x: x**3)
    values = (cube(2.0), *nbad.vjp(cube, np.full(500_000, 2.0))[1](1.0)[0][:2])
    os._exit(0 if values == (8.0, 12.0, 12.0) else 3)
print(os.waitpid(child, 0)[1], global_compiler_lock._lock.acquire(blocking=False))
done.set()
thread.join()
with global_compiler_lock:
    child = os.fork()
    if child == 0:
        os._exit(0 if global_compiler_lock.is_locked() else 3)
print(os.waitpid(child, 0)[1])
"""


def forget(monkeypatch):
    """As in a new process: nothing is loaded."""
    for name in ("_shelves", "_lasting"):
        monkeypatch.setattr(compile, name, compile._Shelves())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder of this test's own, and nothing loaded yet."""
    monkeypatch.setenv("NBAD_CACHE_DIR", str(tmp_path / "cache"))
    forget(monkeypatch)
    return tmp_path / "cache" / disk.OWN


def chain(length, start=1.5):
    """A graph of `length` operations, one after another."""
    builder, node = GraphBuilder("chain", ["x", "y"]), 0
    for k in range(length):
        node = builder.add(("mul", "add", "sub")[k % 3], node, 1 if k % 2 else builder.constant(k + start if k else start))
    return builder.build([node])


WHOLE = ("powi", "expn_of_two")  # they take whole numbers


@pytest.mark.parametrize("math", ["simd", "libm"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["real", "bool"])
def test_every_operation_against_the_interpreter(kind, dtype, math):
    names = [row.name for row in ROWS if row.kind == kind and row.name not in WHOLE]
    oplist, (x, y) = lower(graph_of(*names), np.dtype(dtype).name, math), pairs(edges(dtype))
    for name, value, expected in zip(names, run_tile(compile_tile(oplist), x, y), evaluate(oplist, x, y), strict=True):
        assert value.dtype == dtype
        if name in ROUNDED:
            assert np.array_equal(np.isnan(value), np.isnan(expected)), name
            assert np.percentile(ulps(value, expected), 99) <= 8, name
        else:
            assert same_bits(value, np.ascontiguousarray(expected)), name


def test_integer_powers_are_multiplied_out():
    builder = GraphBuilder("powers", ["x"])
    graph = builder.build([builder.add("powi", 0, payload=n) for n in (-3, -1, 0, 1, 2, 7)])
    x = edges(np.float64)
    for value, expected in zip(run_tile(compile_tile(lower(graph)), x), evaluate(graph, x), strict=True):
        assert same_bits(value, np.ascontiguousarray(expected))


def test_what_the_driver_must_know():
    builder = GraphBuilder("f", ["x", "y", "z"])
    kernel = compile_tile(lower(builder.build([builder.add("mul", 0, 1), 2]), "float32"))
    assert (kernel.rows, kernel.results) == (5, 2)
    assert kernel.dtype == np.float32
    assert kernel.width == host().width("float32")
    x = np.arange(37, dtype=np.float32)
    product, copy = run_tile(kernel, x, x, -x)
    np.testing.assert_array_equal(product, x * x)
    np.testing.assert_array_equal(copy, -x)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_nothing_is_written_behind_the_end(count):
    kernel = compile_tile(lower(graph_of("mul")))
    n = count * kernel.width
    x, out = np.arange(n, dtype=float), np.full(n + 8, -1.0)
    table = np.array([x.ctypes.data, x.ctypes.data, out.ctypes.data], np.intp)
    ENTRY(kernel.address)(table.ctypes.data, n)
    np.testing.assert_array_equal(out, [*(x * x), *[-1.0] * 8])


def test_an_element_does_not_depend_on_its_position():
    names = [row.name for row in ROWS if row.libm]
    kernel = compile_tile(lower(graph_of(*names)))
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.1, 0.9, (2, 64))
    whole = run_tile(kernel, x, y)
    for shift in (1, 3, 5):
        for value, shifted in zip(whole, run_tile(kernel, x[shift:], y[shift:]), strict=True):
            np.testing.assert_array_equal(value[shift:], shifted)


def test_the_code_is_vector_code_of_one_width():
    names = [row.name for row in ROWS if not row.libm and not row.expansion]
    asm = compile_tile(lower(graph_of("exp", *names))).asm
    wide = REGISTERS[host().letter]
    assert asm.count(wide) > 20
    assert not {register for register in ("zmm", "ymm") if register in asm} - {wide}
    packed = re.findall(r"\tv?(?:add|sub|mul|div|sqrt|min|max)(pd|sd)\t", asm)
    assert set(packed) <= {"pd"}


@pytest.mark.parametrize("math", ["simd", "libm"])
def test_nothing_is_contracted(math):
    builder = GraphBuilder("f", ["x", "y"])
    kernel = compile_tile(lower(builder.build([builder.add("add", builder.add("mul", 0, 1), 0)]), math=math))
    assert "fmadd" not in kernel.asm
    assert "fadd" in kernel.llvm
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1000))
    np.testing.assert_array_equal(run_tile(kernel, x, y)[0], x * y + x)


def test_the_same_oplist_is_compiled_once(folder, monkeypatch):
    first = compile_tile(lower(chain(3)))
    monkeypatch.setattr(compile, "_object_code", None)
    again = compile_tile(lower(chain(3)))
    assert isinstance(again, TileKernel)
    assert again.address == first.address


def test_sources_do_not_make_a_new_kernel(folder):
    addresses = set()
    for source in ("f.py:1", "f.py:2"):
        builder = GraphBuilder(source[-1], ["x"])
        addresses.add(compile_tile(lower(builder.build([builder.add("neg", 0, source=source)]))).address)
    assert len(addresses) == 1


@pytest.mark.parametrize("constants", [(0.0, -0.0), (1.0, np.nextafter(1.0, 2.0))])
def test_constants_that_differ_in_a_bit_make_two_kernels(folder, constants):
    kernels = [compile_tile(lower(chain(1, start=constant))) for constant in constants]
    assert kernels[0].address != kernels[1].address
    assert disk.info().files == 2


def test_a_kernel_comes_from_the_disk(folder, monkeypatch):
    oplist, x = lower(chain(4)), np.arange(5.0)
    expected = run_tile(compile_tile(oplist), x, x)
    forget(monkeypatch)
    monkeypatch.setattr(compile, "_machine", None)
    np.testing.assert_array_equal(run_tile(compile_tile(oplist), x, x), expected)


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"", lambda data: data[:100] + b"?" + data[101:]])
def test_a_damaged_file_is_compiled_anew(folder, monkeypatch, damage):
    oplist, x = lower(chain(5)), np.arange(5.0)
    expected = run_tile(compile_tile(oplist), x, x)
    (file,) = folder.rglob("*.nbad")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    forget(monkeypatch)
    np.testing.assert_array_equal(run_tile(compile_tile(oplist), x, x), expected)
    assert file.read_bytes() == whole


def test_a_graph_finds_its_code_without_being_lowered(folder, monkeypatch):
    graph, x = simplify(graph_of("exp", "sin", "cos", "erfinv")), np.linspace(-0.9, 0.9, 5)
    first = TileKernel(graph, np.dtype(float), "simd").load()
    forget(monkeypatch)
    for name in ("lower", "print_ir", "_machine"):
        monkeypatch.setattr(compile, name, None)
    again = TileKernel(graph, np.dtype(float), "simd").load()
    assert (again.code, again.rows) == (first.code, first.rows)
    np.testing.assert_array_equal(run_tile(again, x, x), run_tile(first, x, x))


def test_code_is_found_in_another_process(folder, run_python, tmp_path):
    """With what the linker must know: functions of nbad's and of SciPy's, and the one that counts."""
    kernel = """
import math, scipy.special as sc

def f(x):
    if x < 0.0:
        raise ValueError("negative")
    return math.tanh(x) * math.atan(x) * sc.erfinv(x / 9.0)
"""
    program = """
import sys, numpy as np, nbad
from nbad.codegen import compile
sys.path.insert(0, {path!r})
from positive import f

compile.print_ir = (lambda real: lambda *given: print("printed") or real(*given))(compile.print_ir)
f = nbad.kernel(f)
print(f(np.arange(1.0, 4.0)).tolist())
try:
    f(np.array([1.0, -1.0]))
except ValueError as error:
    print(str(error).splitlines()[0])
"""
    (tmp_path / "positive.py").write_text(kernel)
    first, second = (run_python(program.format(path=str(tmp_path)), NBAD_CACHE_DIR=str(folder.parent)) for _ in range(2))
    assert first.count("printed") > 0
    assert second == first.replace("printed\n", "")


def test_many_threads_compile_at_once(folder):
    x = np.arange(16.0)

    def one(k):
        graph = chain(6, start=float(k % 4))
        return np.array_equal(run_tile(compile_tile(lower(graph)), x, x)[0], evaluate(graph, x, x)[0])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(32)))
    assert len(compile._shelves.by_symbol) == 4


def test_many_slots():
    builder = GraphBuilder("wide", [f"x{k}" for k in range(250)])
    graph = builder.build([builder.add("add", k, (k + 1) % 250) for k in range(250)])
    x = np.random.default_rng(0).normal(size=(250, 16))
    np.testing.assert_array_equal(run_tile(compile_tile(lower(graph)), *x), x + np.roll(x, -1, axis=0))


def test_numba_functions_are_kept_on_disk(tmp_path, run_python, folder):
    """A parallel function too."""
    (tmp_path / "drive_a.py").write_text(FASTER_MODULE.format(constant="FACTOR = 2.0"))
    assert run_python(RUN_MODULE) == "[2.0, 4.0, 6.0] 0 1\n"
    assert run_python(RUN_MODULE) == "[2.0, 4.0, 6.0] 1 0\n"
    assert not list(tmp_path.glob("__pycache__/*.nb?"))


def test_sources_and_constants_are_part_of_the_key(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    seen = set()
    for name, constant in (("b", "FACTOR = 2.0"), ("c", "FACTOR = 3.0"), ("d", "from settings import FACTOR")):
        (tmp_path / "settings.py").write_text("FACTOR = 4.0")
        (tmp_path / f"drive_{name}.py").write_text(FASTER_MODULE.format(constant=constant))
        module = importlib.import_module(f"drive_{name}")
        seen |= {"\n".join(numba_cache._sources(module.__name__, set()))}
    module.FACTOR = 5.0
    seen |= {"\n".join(numba_cache._sources(module.__name__, set()))}
    assert len(seen) == 4


def test_compiled_functions_of_other_modules_are_part_of_the_key():
    importlib.import_module("nbad.runtime.threads")  # importing nbad does not
    texts = numba_cache._sources("nbad.runtime.threads", set())
    assert any("def call_share" in text for text in texts)
    assert not any("class TileKernel" in text for text in texts)


def test_a_closure_is_not_kept(folder):
    factor = 2.0

    @cached_njit(error_model="numpy")
    def scaled(x):
        return factor * x

    assert scaled(3.0) == 6.0
    assert disk.info().files == 0


def test_without_numbas_compiler_functions_are_plain(run_python):
    code = (
        "from nbad.codegen.numba_cache import cached_njit\n"
        "import nbad.codegen.disk, nbad.codegen.lower, nbad.codegen.python_source, nbad.codegen.vector_ir, nbad.codegen.host\n"
        "print(cached_njit(parallel=True)(lambda x: -x)(-2), nbad.codegen.host.host())"
    )
    assert run_python(code, NUMBA_DISABLE_JIT="1").startswith("2 ")


def test_a_child_compiles_though_a_thread_of_its_parent_was_compiling(run_python):
    """A child of the compiling thread itself goes on to hold the lock."""
    assert run_python(FORKED).split() == ["0", "False", "0"]


def test_code_is_unloaded_when_nobody_holds_it(folder, collect):
    x = np.arange(5.0)
    kernels = [compile_tile(lower(chain(2, start=k + 0.5))) for k in range(3 * compile.SHELF)]
    shelves = {id(kernel.shelf): weakref.ref(kernel.shelf) for kernel in kernels}
    assert len(shelves) == 3
    kept = kernels[1]
    del kernels
    collect()
    assert [shelf() is not None for shelf in shelves.values()] == [True, False, False]
    assert len(compile._shelves.by_symbol) == compile.SHELF
    np.testing.assert_array_equal(run_tile(kept, x, x), evaluate(lower(chain(2, start=1.5)), x, x))


def test_what_all_kernels_share_stays(folder, collect):
    text = print_ir(lower(chain(1)), host()).replace(f"@{compile.ENTRY}(", "@shared(")
    address = compile.compile_lasting(text, "shared")
    (shelf,) = map(weakref.ref, set(compile._lasting.by_symbol.values()))
    compile._lasting = compile._Shelves()
    collect()
    assert shelf().addresses.popitem()[1] == address


@pytest.mark.slow
def test_kernels_made_and_dropped_leave_no_memory_behind(run_python):
    """Without unloading each left 25 KiB; what one round leaves in the allocators, the next one uses."""
    code = """
import ctypes, gc, math
import numpy as np
import nbad

def resident():
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))

def use(k):
    f = nbad.kernel(lambda x, y: math.exp(-k * x) * math.sin(y) + k * y)
    assert nbad.vjp(f, x, x)[1](1.0)[0].shape == f(x, x).shape

x = np.linspace(0.1, 2.0, 64)
for k in range(150):
    use(k + 0.5)
before = resident()
for k in range(150):
    use(k + 0.25)
print((resident() - before) / 150)
"""
    assert float(run_python(code)) < 6
