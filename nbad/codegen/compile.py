"""Op list to machine code: a tile kernel `entry(table, n)` that is called through its address.

The module is printed as vector IR and compiled by llvmlite, for the CPU that Numba compiles for, without the front end and the
optimization passes that Numba's own functions need: the graph was simplified before, and vectors need no vectorizer. The object
code of a graph is kept on disk under what the graph says, for this very nbad: to lower and print it took a quarter of a warm
compile. Where it has operations of the user's, which mean what the user likes, it is kept under the hash of the IR itself.

Loaded code is unloaded when nobody holds it: whoever keeps its address keeps its shelf, too. Vector functions of nbad's own are
loaded before the first kernel that calls them, from the disk or not, and stay.

Numba's own functions, the drivers, are kept in the same folder by `cached_njit`.
"""

import ctypes
import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakValueDictionary

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core.compiler_lock import global_compiler_lock

from nbad.codegen import disk
from nbad.codegen.host import COUNT, FOREIGN, counting_function, foreign_function, host
from nbad.codegen.length import width
from nbad.codegen.lower import OpList, lower
from nbad.codegen.vector_ir import ENTRY, print_ir
from nbad.functions import library
from nbad.graphs.graph import Graph
from nbad.graphs.loops import digest_of
from nbad.operations.table import ROWS

MACHINE = dict(opt=2, codemodel="jitdefault", jit=True)
VERSIONS = f"numba {numba.__version__} llvmlite {llvmlite.__version__}"
DECLARED = re.compile(r"^declare .* @(nbad[\w.]*)\(", re.MULTILINE)  # what the linker knows from nbad
OPERATIONS = frozenset(row.name for row in ROWS) | {"input", "const", "loop", "implicit"}  # whose meaning nbad itself tells
SHELF = 32  # kernels: an engine alone takes 40 KiB and a millisecond to make, code of a kernel 10 KiB


class Shelf:
    """Code that is loaded and unloaded together, by an engine of LLVM.

    Attributes
    ----------
    addresses : dict
        By symbol.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _new_machine())  # it owns a machine of its own

    def load(self, code: bytes, symbol: str) -> None:
        """Load machine code and look a symbol in it up."""
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.addresses[symbol] = self._engine.get_function_address(symbol)


class _Shelves:
    """All that is loaded, each shelf for as long as somebody holds it; the last one until it is full."""

    def __init__(self) -> None:
        self.by_symbol: WeakValueDictionary[str, Shelf] = WeakValueDictionary()
        self._last: Shelf | None = None

    def find(self, symbol: str, make: Callable[[], bytes]) -> Shelf:
        """The shelf that has a symbol; load its code where none has. The caller holds the compiler's lock."""
        shelf = self.by_symbol.get(symbol)
        if shelf is None:
            code, shelf = make(), self._last or Shelf()
            shelf.load(code, symbol)
            self.by_symbol[symbol] = shelf
            self._last = shelf if len(shelf.addresses) < SHELF else None
        return shelf


_shelves, _lasting = _Shelves(), _Shelves()


class Code(NamedTuple):
    """Which machine code a tile kernel is, and what it needs.

    Attributes
    ----------
    symbol : str
    width : int
        Elements in a vector.
    functions : list of str
        What the linker must know from nbad before the code is loaded.
    """

    symbol: str
    width: int
    functions: list[str]


class TileKernel(NamedTuple):
    """Compiled code, and what a driver must know of it.

    Attributes
    ----------
    address : int
        Of `entry(table: intp, n: intp) -> void`: `table` holds the address of one row per input, then per output; `n` is a
        positive multiple of the width.
    graph : Graph
        What it computes: an op list, or what was lowered to one.
    dtype : dtype
        Of every row.
    math : "simd" or "libm"
    code : Code
    shelf : Shelf or None
        What the code lies on: it is loaded for as long as this is held.
    """

    address: int
    graph: Graph
    dtype: np.dtype
    math: str
    code: Code
    shelf: Shelf | None = None

    def __str__(self) -> str:
        rows = f"{', '.join(self.graph.inputs)} -> {self.results} results"
        return f"tile kernel of {self.graph.name}: rows {rows}, {self.dtype}, {self.width} in a vector"

    @property
    def width(self) -> int:
        """Elements in a vector."""
        return self.code.width

    @property
    def rows(self) -> int:
        """Entries of the table."""
        return len(self.graph.inputs) + self.results

    @property
    def results(self) -> int:
        """Rows that the kernel writes, the last ones of the table."""
        return len(self.graph.outputs)

    @property
    def oplist(self) -> OpList:
        """The instructions and calls."""
        return self.graph if isinstance(self.graph, OpList) else lower(self.graph, self.dtype.name, self.math)

    @property
    def llvm(self) -> str:
        """The kernel as LLVM IR."""
        return print_ir(self.oplist, host())

    @property
    def asm(self) -> str:
        """The kernel as assembly, compiled anew."""
        with global_compiler_lock:
            return _machine().emit_assembly(_parse(self.llvm))


def tile_of(graph: Graph, dtype: str = "float64", math: str = "simd") -> TileKernel:
    """The tile kernel of a graph: by the code that the disk says it became, or lowered and compiled.

    Parameters
    ----------
    graph : Graph
    dtype : "float64" or "float32"
    math : "simd" or "libm"

    Returns
    -------
    TileKernel

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> builder = GraphBuilder("double", ["x"])
    >>> tile_of(builder.build([builder.add("add", 0, 0)])).rows
    2
    """
    if not _is_of_the_table(graph):
        return compile_tile(lower(graph, dtype, math))
    key = "\n".join(["tile", VERSIONS, repr(MACHINE), host().spelled, digest_of(graph, dtype, math)])
    kept = disk.load_own(key)
    if kept is not None:
        note, _, code = kept.partition(b"\n")
        return _tile(Code(*json.loads(note)), lambda: code, graph, dtype, math)
    known, ir = _printed(lower(graph, dtype, math))

    def make() -> bytes:
        code = _compiled(ir)
        disk.store_own(key, json.dumps(known).encode() + b"\n" + code)
        return code

    return _tile(known, make, graph, dtype, math)


def compile_tile(oplist: OpList) -> TileKernel:
    """The tile kernel of an op list: loaded already, loaded from disk, or compiled.

    Parameters
    ----------
    oplist : OpList

    Returns
    -------
    TileKernel

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> from nbad.codegen.lower import lower
    >>> builder = GraphBuilder("double", ["x"])
    >>> kernel = compile_tile(lower(builder.build([builder.add("add", 0, 0)])))
    >>> kernel.rows
    2
    """
    known, ir = _printed(oplist)
    return _tile(known, lambda: _object_code(ir), oplist, oplist.dtype, oplist.math)


def _is_of_the_table(graph: Graph) -> bool:
    """Whether nbad's sources say what a graph means: the user's own operations may be others in the next process."""
    loops = {node.payload.loop for node in graph.nodes if node.op == "loop"}
    return OPERATIONS.issuperset([node.op for node in graph.nodes]) and all(_is_of_the_table(loop.step) for loop in loops)


def _printed(oplist: OpList) -> tuple[Code, str]:
    """What the code of an op list will be called and need, and the module that it is compiled from."""
    symbol, ir = _renamed(print_ir(oplist, host()), ENTRY)
    return Code(symbol, width(oplist, host()), DECLARED.findall(ir)), ir


def _tile(code: Code, make: Callable[[], bytes], graph: Graph, dtype: str, math: str) -> TileKernel:
    with global_compiler_lock:
        for function in code.functions:
            _link(function)
        shelf = _shelves.find(code.symbol, make)
    return TileKernel(shelf.addresses[code.symbol], graph, np.dtype(dtype), math, code, shelf)


def compile_lasting(ir: str, name: str) -> int:
    """Address of the function `name` of an LLVM module that all kernels share: loaded already, loaded from disk, or compiled.

    It is never unloaded: at exit a kernel may outlive what this module holds.
    """
    symbol, ir = _renamed(ir, name)
    with global_compiler_lock:
        if symbol not in _lasting.by_symbol:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(_lasting.find(symbol, lambda: _object_code(ir))))
        return _lasting.by_symbol[symbol].addresses[symbol]


@functools.cache
def _link(symbol: str) -> None:
    """Make a function known to the linker."""
    if symbol == COUNT:
        counting_function()
    elif symbol.startswith(FOREIGN):
        foreign_function(symbol.removeprefix(FOREIGN))
    else:
        binding.add_symbol(symbol, compile_lasting(library.text(symbol), symbol))


def _renamed(ir: str, name: str) -> tuple[str, str]:
    """A symbol of its own for the function `name` of a module, and the module with it: an engine holds the code of many."""
    symbol = f"{name}_{hashlib.sha256(ir.encode()).hexdigest()[:32]}"
    return symbol, ir.replace(f"@{name}(", f"@{symbol}(").replace(f'@"{name}"(', f"@{symbol}(")


def _object_code(ir: str) -> bytes:
    """Machine code of a module, from the disk where it is there."""
    target = host()
    key = "\n".join(["kernel", VERSIONS, target.triple, target.cpu, target.features, repr(MACHINE), ir])
    code = disk.load(key)
    if code is None:
        code = _compiled(ir)
        disk.store(key, code)
    return code


def _compiled(ir: str) -> bytes:
    return _machine().emit_object(_parse(ir))


def _parse(ir: str) -> binding.ModuleRef:
    module = binding.parse_assembly(ir)
    module.verify()
    return module


def _new_machine() -> binding.TargetMachine:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = host()
    relocation = "static" if target.triple.startswith("x86") else "default"  # as Numba does
    family = binding.Target.from_triple(target.triple)
    return family.create_target_machine(cpu=target.cpu, features=target.features, reloc=relocation, **MACHINE)


@functools.cache
def _machine() -> binding.TargetMachine:
    """Compiles for this host."""
    return _new_machine()
