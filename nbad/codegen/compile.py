"""Op list to machine code: a tile kernel `entry(table, n)` that is called through its address.

The module is printed as vector IR and compiled by llvmlite, for the CPU that Numba compiles for, without the front end and the
optimization passes that Numba's own functions need: the graph was simplified before, and vectors need no vectorizer. The object
code is kept on disk under the hash of the IR itself, so that nothing that shapes the code can be forgotten in the key.

Numba's own functions, the drivers, are kept in the same folder by `cached_njit`.
"""

import functools
import hashlib
from typing import NamedTuple

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core.compiler_lock import global_compiler_lock

from nbad.codegen import disk
from nbad.codegen.host import host
from nbad.codegen.lower import OpList
from nbad.codegen.vector_ir import ENTRY, print_ir

MACHINE = dict(opt=2, codemodel="jitdefault", jit=True)
VERSIONS = f"numba {numba.__version__} llvmlite {llvmlite.__version__}"
_addresses: dict[str, int] = {}


class TileKernel(NamedTuple):
    """Compiled code, which stays loaded until the process ends, and what a driver must know of it.

    Attributes
    ----------
    address : int
        Of `entry(table: intp, n: intp) -> void`: `table` holds the address of one row per input, then per output.
    oplist : OpList
    width : int
        Elements in a vector; `n` is a positive multiple of it.
    """

    address: int
    oplist: OpList
    width: int

    def __str__(self) -> str:
        rows = f"{', '.join(self.oplist.inputs)} -> {self.results} results"
        return f"tile kernel of {self.oplist.name}: rows {rows}, {self.oplist.dtype}, {self.width} in a vector"

    @property
    def rows(self) -> int:
        """Entries of the table."""
        return len(self.oplist.inputs) + self.results

    @property
    def results(self) -> int:
        """Rows that the kernel writes, the last ones of the table."""
        return len(self.oplist.outputs)

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
    return TileKernel(compile_module(print_ir(oplist, host()), ENTRY), oplist, host().width(oplist.dtype))


def compile_module(ir: str, name: str) -> int:
    """Address of the function `name` of an LLVM module: loaded already, loaded from disk, or compiled."""
    # one engine holds the code of all kernels, so each needs a symbol of its own
    symbol = f"{name}_{hashlib.sha256(ir.encode()).hexdigest()[:32]}"
    with global_compiler_lock:
        if symbol not in _addresses:
            renamed = ir.replace(f"@{name}(", f"@{symbol}(").replace(f'@"{name}"(', f"@{symbol}(")
            _addresses[symbol] = _load(_object_code(renamed), symbol)
    return _addresses[symbol]


def _object_code(ir: str) -> bytes:
    """Machine code of a module, from the disk where it is there."""
    target = host()
    key = "\n".join(["kernel", VERSIONS, target.triple, target.cpu, target.features, repr(MACHINE), ir])
    code = disk.load(key)
    if code is None:
        code = _machine().emit_object(_parse(ir))
        disk.store(key, code)
    return code


def _load(code: bytes, symbol: str) -> int:
    """Load machine code; return the address of a symbol in it."""
    engine = _engine()
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(symbol)


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


@functools.cache
def _engine() -> binding.ExecutionEngine:
    """Holds the loaded code of all kernels, and owns a machine of its own."""
    return binding.create_mcjit_compiler(binding.parse_assembly(""), _new_machine())
