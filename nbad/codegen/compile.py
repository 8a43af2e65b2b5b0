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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core.compiler_lock import global_compiler_lock

from nbad.codegen import disk
from nbad.codegen.host import COUNT, COUNTING, FOREIGN, foreign_function, host, noted
from nbad.codegen.length import width
from nbad.codegen.lower import BY_ROWS, Form, OpList, lower
from nbad.codegen.reads import may_read
from nbad.codegen.source_lines import commented, located, without_tables
from nbad.codegen.vector_ir import ENTRY, print_ir
from nbad.functions import library
from nbad.graphs.graph import Graph
from nbad.graphs.loops import digest_of
from nbad.memo import Memo, cached_property
from nbad.operations.table import ROWS

# not opt=1, which takes 0.91 of LLVM's time but orders stores otherwise: the forward sweep of Black-Scholes over a million
# elements is 1.35 times slower by it
MACHINE = dict(opt=2, codemodel="jitdefault", jit=True)
VERSIONS = f"numba {numba.__version__} llvmlite {llvmlite.__version__}"
DECLARED = re.compile(r"^declare .* @(nbad[\w.]*)\(", re.MULTILINE)  # what the linker knows from nbad
# whose meaning nbad itself tells
OPERATIONS = frozenset(row.name for row in ROWS) | {"input", "const", "loop", "implicit", "tied"}
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


class TileKernel:
    """Code that is compiled or found when it is first asked for, and what a driver must know of it.

    Parameters
    ----------
    graph : Graph
        What it computes: an op list, or what is lowered to one.
    dtype : dtype
        Of every row.
    math : "simd" or "libm"
    form : Form
        How it meets memory.
    code : Code, optional
        Which code it is, where that is known.
    """

    def __init__(self, graph: Graph, dtype: np.dtype, math: str, form: Form = BY_ROWS, code: Code | None = None) -> None:
        self.graph, self.dtype, self.math = graph, dtype, math
        rows = (1,) * len(graph.outputs), (1,) * len(graph.inputs)
        self.form = form._replace(widths=form.widths or rows[0], reads=form.reads or rows[1])
        self.widths, _, self.reads, self.lines, _ = self.form
        self.is_kept = False  # whether its code was found on the disk
        self._code, self._others = code, Memo()

    def __str__(self) -> str:
        rows = f"{', '.join(self.graph.inputs)} -> {self.results} results"
        return f"tile kernel of {self.graph.name}: rows {rows}, {self.dtype}, {self.width} in a vector"

    @property
    def width(self) -> int:
        """Elements in a vector; `n` is a positive multiple of it."""
        return self.code.width

    @property
    def code(self) -> Code:
        """Which code it is."""
        return self._code or self._loaded[0]

    @property
    def address(self) -> int:
        """Of `entry(table: intp, n: intp) -> void`: `table` holds the address of one row per input, then per result."""
        code, shelf = self._loaded
        return shelf.addresses[code.symbol]

    @property
    def shelf(self) -> Shelf:
        """What the code lies on: it is loaded for as long as this is held."""
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[Code, Shelf]:
        known, make, self.is_kept = _code_of(self)
        with global_compiler_lock:
            for function in known.functions:
                _link(function)
            return known, _shelves.find(known.symbol, make)

    def load(self) -> "TileKernel":
        """Compile it, or load it from the disk, now."""
        assert self.address
        return self

    def made(self) -> "list[TileKernel]":
        """Those of this kernel and the ones derived from it, and from those, that have code."""
        derived = chain.from_iterable(kernel.made() for kernel in list(self._others.known.values()))
        return [*[self] * ("_loaded" in vars(self)), *derived]

    def past_caches(self) -> "TileKernel":
        """The kernel whose results are stored past the caches: their rows begin at whole cache lines."""
        return self._other(streams=True)

    def beside(self, widths: Sequence[int], outputs: tuple[int, ...] | None = None) -> "TileKernel":
        """The kernel whose last results have so many outputs each, side by side, with its outputs in another order perhaps."""
        graph = self.graph if outputs in (None, self.graph.outputs) else replace(self.graph, outputs=outputs)
        return self._other(graph, widths=(*[1] * (len(graph.outputs) - sum(widths)), *widths))

    def reading(self, numbers: Iterable[int]) -> "TileKernel":
        """The kernel whose inputs lie side by side, so many of them each time; those that are too few stay rows."""
        every = [(number,) if reads_beside(number, self.dtype) else (1,) * number for number in numbers]
        if self.lines == "read":
            every[0] = self.reads[:1]
        return self._other(reads=tuple(chain.from_iterable(every)))

    def in_lines(self, lines: str, number: int) -> "TileKernel":
        """The kernel whose first inputs, or last outputs, so many, are rows in lines: "read", or "written"."""
        inputs, outputs = len(self.graph.inputs), len(self.graph.outputs)
        if lines == "read":
            return self._other(reads=(number, *[1] * (inputs - number)), lines=lines)
        return self._other(widths=(*[1] * (outputs - number), number), lines=lines)

    def narrow(self) -> "TileKernel":
        """The kernel for less than a vector, of one register: this one where it is so, or rows are in whole lines."""
        is_so = self.lines or self.width == host().width(self.dtype.name)
        return self if is_so else self._other(is_narrow=True)

    def _other(self, graph: Graph | None = None, **changes: Any) -> "TileKernel":
        """The kernel of another form, or of a graph with its outputs in another order."""
        graph, form = graph or self.graph, self.form._replace(**changes)
        if graph is self.graph and form == self.form:
            return self
        return self._others((form, graph.outputs), lambda: TileKernel(graph, self.dtype, self.math, form))

    @property
    def rows(self) -> int:
        """Entries of the table."""
        return len(self.reads) + self.results

    @property
    def results(self) -> int:
        """Rows and blocks that the kernel writes, the last entries of the table."""
        return len(self.widths)

    def outputs_of(self, result: int) -> tuple[int, ...]:
        """The outputs of a result."""
        start = sum(self.widths[:result])
        return self.graph.outputs[start : start + self.widths[result]]

    @property
    def oplist(self) -> OpList:
        """The instructions and calls."""
        lowered = self.graph if isinstance(self.graph, OpList) else lower(self.graph, self.dtype.name, self.math)
        return replace(lowered, form=self.form)

    @property
    def llvm(self) -> str:
        """The kernel as LLVM IR, with the user's lines."""
        oplist = self.oplist
        return commented(print_ir(oplist, host()), oplist)

    @property
    def asm(self) -> str:
        """The kernel as assembly, compiled anew, with the user's lines."""
        oplist = self.oplist
        with global_compiler_lock:
            return without_tables(_machine().emit_assembly(parsed(located(print_ir(oplist, host()), oplist))))


def reads_beside(number: int, dtype: np.dtype) -> bool:
    """Whether kernels read so many inputs, which lie side by side, from there."""
    return may_read(number, host().width(dtype.name))


def _code_of(kernel: TileKernel) -> tuple[Code, Callable[[], bytes], bool]:
    """Which code a kernel is, and what gives it: found on the disk by its graph, which is said, or printed."""
    if isinstance(kernel.graph, OpList) or not is_of_the_table(kernel.graph):
        known, ir = _printed(kernel.oplist)
        return known, lambda: _object_code(ir), False
    form = digest_of(kernel.graph, kernel.dtype.name, kernel.math, *kernel.form)
    key = "\n".join(["tile", VERSIONS, repr(MACHINE), host().spelled, form])
    kept = disk.load_own(key)
    if kept is not None:
        note, _, code = kept.partition(b"\n")
        return Code(*json.loads(note)), lambda: code, True
    known, ir = _printed(kernel.oplist)

    def make() -> bytes:
        code = _compiled(ir)
        disk.store_own(key, json.dumps(known).encode() + b"\n" + code)
        return code

    return known, make, False


def is_of_the_table(graph: Graph) -> bool:
    """Whether nbad's sources say what a graph means: the user's own operations may be others in the next process."""
    loops = {node.payload.loop for node in graph.nodes if node.op == "loop"}
    return OPERATIONS.issuperset([node.op for node in graph.nodes]) and all(is_of_the_table(loop.step) for loop in loops)


def _printed(oplist: OpList) -> tuple[Code, str]:
    """What the code of an op list will be called and need, and the module that it is compiled from."""
    symbol, ir = _renamed(print_ir(oplist, host()), ENTRY)
    return Code(symbol, width(oplist, host()), DECLARED.findall(ir)), ir


def compile_lasting(ir: str, name: str, is_kept: bool = True) -> int:
    """Address of the function `name` of an LLVM module that all kernels share: loaded already, loaded from disk, or compiled.

    It is never unloaded: at exit a kernel may outlive what this module holds. What has addresses of this process in it is not to
    be kept on disk.
    """
    symbol, ir = _renamed(ir, name)
    with global_compiler_lock:
        if symbol not in _lasting.by_symbol:
            ctypes.pythonapi.Py_IncRef(
                ctypes.py_object(_lasting.find(symbol, lambda: _object_code(ir) if is_kept else _compiled(ir)))
            )
        return _lasting.by_symbol[symbol].addresses[symbol]


@functools.cache
def _link(symbol: str) -> None:
    """Make a function known to the linker."""
    if symbol == COUNT:
        text = COUNTING.format(address=ctypes.addressof(noted))  # that of this process
        binding.add_symbol(COUNT, compile_lasting(text, "count", is_kept=False))
    elif symbol.startswith(FOREIGN):
        foreign_function(symbol.removeprefix(FOREIGN))
    else:
        binding.add_symbol(symbol, compile_lasting(library.text(symbol, host().letter), symbol))


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
    return _machine().emit_object(parsed(ir))


def parsed(ir: str) -> binding.ModuleRef:
    """A module of LLVM, verified."""
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
