"""Op list to machine code: a tile kernel `entry(table, n)` that is called through its address.

The module is printed as vector IR and compiled by llvmlite, for the CPU that Numba compiles for, without the front end and the
optimization passes that Numba's own functions need: the graph was simplified before, and vectors need no vectorizer. The object
code is kept on disk under the hash of the IR itself, so that nothing that shapes the code can be forgotten in the key.

Loaded code is unloaded when nobody holds it: whoever keeps its address keeps its shelf, too. Vector functions of nbad's own are
loaded before the first kernel that calls them, from the disk or not, and stay.

Numba's own functions, the drivers, are kept in the same folder by `cached_njit`.
"""

import ctypes
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core.compiler_lock import global_compiler_lock

from nbad.codegen import disk
from nbad.codegen.host import host
from nbad.codegen.length import width
from nbad.codegen.lower import OpList
from nbad.codegen.vector_ir import ENTRY, print_ir
from nbad.functions import library
from nbad.memo import Memo, cached_property

MACHINE = dict(opt=2, codemodel="jitdefault", jit=True)
VERSIONS = f"numba {numba.__version__} llvmlite {llvmlite.__version__}"
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

    def find(self, symbol: str, ir: str) -> Shelf:
        """The shelf that has a symbol; compile and load it where none has. The caller holds the compiler's lock."""
        shelf = self.by_symbol.get(symbol)
        if shelf is None:
            code, shelf = _object_code(ir), self._last or Shelf()
            shelf.load(code, symbol)
            self.by_symbol[symbol] = shelf
            self._last = shelf if len(shelf.addresses) < SHELF else None
        return shelf


_shelves, _lasting = _Shelves(), _Shelves()


class TileKernel:
    """Compiled code, made when its address is asked for, and what a driver must know of it.

    Parameters
    ----------
    oplist : OpList
    width : int
        Elements in a vector; `n` is a positive multiple of it.
    """

    def __init__(self, oplist: OpList, width: int):
        self.oplist, self.width = oplist, width
        self._others = Memo()

    @cached_property
    def _loaded(self) -> tuple[int, Shelf]:
        symbol, ir = _renamed(self.llvm, ENTRY)
        with global_compiler_lock:
            for function in library.declared_in(ir):
                _link(function)
            shelf = _shelves.find(symbol, ir)
        return shelf.addresses[symbol], shelf

    @property
    def address(self) -> int:
        """Of `entry(table: intp, n: intp) -> void`: `table` holds the address of one row per input, then per result."""
        return self._loaded[0]

    @property
    def shelf(self) -> Shelf:
        """What the code lies on: it is loaded for as long as this is held."""
        return self._loaded[1]

    def load(self) -> "TileKernel":
        """Compile it, or load it from the disk, now."""
        assert self.address
        return self

    def beside(self, widths: Sequence[int]) -> "TileKernel":
        """The kernel whose last results have so many outputs each, side by side."""
        rows = [1] * (len(self.oplist.outputs) - sum(widths))
        return self.like(widths=(*rows, *widths)) if max(widths, default=1) > 1 else self

    def like(self, **changes: Any) -> "TileKernel":
        """The kernel of an op list that differs from this one's."""
        return self._others(tuple(changes.items()), lambda: tile_kernel(replace(self.oplist, **changes)))

    def __str__(self) -> str:
        rows = f"{', '.join(self.oplist.inputs)} -> {self.results} results"
        return f"tile kernel of {self.oplist.name}: rows {rows}, {self.oplist.dtype}, {self.width} in a vector"

    @property
    def rows(self) -> int:
        """Entries of the table."""
        return len(self.oplist.inputs) + self.results

    @property
    def results(self) -> int:
        """Rows and blocks that the kernel writes, the last entries of the table."""
        return len(self.oplist.results)

    @property
    def dtype(self) -> np.dtype:
        """Of every row."""
        return np.dtype(self.oplist.dtype)

    @property
    def llvm(self) -> str:
        """The kernel as LLVM IR."""
        return print_ir(self.oplist, host())

    @property
    def asm(self) -> str:
        """The kernel as assembly, compiled anew."""
        with global_compiler_lock:
            return _machine().emit_assembly(_parse(self.llvm))


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
    return tile_kernel(oplist).load()


def tile_kernel(oplist: OpList) -> TileKernel:
    """The same, compiled or loaded when its address is asked for."""
    return TileKernel(oplist, width(oplist, host()))


def compile_lasting(ir: str, name: str) -> int:
    """Address of the function `name` of an LLVM module that all kernels share: loaded already, loaded from disk, or compiled.

    It is never unloaded: at exit a kernel may outlive what this module holds.
    """
    symbol, ir = _renamed(ir, name)
    with global_compiler_lock:
        if symbol not in _lasting.by_symbol:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(_lasting.find(symbol, ir)))
        return _lasting.by_symbol[symbol].addresses[symbol]


@functools.cache
def _link(symbol: str) -> None:
    """Make a function of `nbad.functions` known to the linker."""
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
        code = _machine().emit_object(_parse(ir))
        disk.store(key, code)
    return code


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
